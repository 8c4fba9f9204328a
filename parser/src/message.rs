//! A message: the octets, the index over them, and the views of what a caller wants to read.

use crate::error::{ErrorKind, ParseError};
use crate::grammar::first_of_list;
use crate::header::contact::ContactValue;
use crate::header::credentials::{Challenge, Credentials};
use crate::header::cseq::CSeq;
use crate::header::event::{Event, SubscriptionState};
use crate::header::name::Name;
use crate::header::name_addr::{NameAddr, Reading};
use crate::header::numbers::{decimal, leading_seconds, seconds};
use crate::header::tokens::Tokens;
use crate::header::via::Via;
use crate::index::{Index, Line, OnFault};
use crate::limits::Limits;
use crate::list::{List, ReadOne, Values};
use crate::method::Method;
use crate::octets;
use crate::start_line::StartLine;

/// A SIP message over the octets it came in.
///
/// Values are given as they stand on the wire, white space around them removed and folds inside them kept.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) start: StartLine<'a>,
    pub(crate) index: Index,
    pub(crate) strict: bool,
}

/// One header line.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Which header it is.
    pub name: Name,
    /// The name as written.
    pub raw_name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The whole line with its folds and its last CRLF.
    pub line: &'a [u8],
}

impl<'a> Message<'a> {
    /// Indexes a datagram, or a message that a [`Framer`](crate::Framer) cut out of a stream.
    ///
    /// Line breaks before the start line are skipped (RFC 3261 §7.5). Octets behind the body are cut off;
    /// a body shorter than Content-Length is a fault (§18.3).
    ///
    /// # Errors
    /// What is wrong with the start line, the shape of the header lines, or Content-Length. Nothing else has
    /// been looked at: see [`Message::validate`].
    #[inline]
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        let skipped = leading_breaks(bytes);
        // A message is built where it will stay; what it says before `fill` is done is never seen.
        let mut message = Message {
            bytes: &bytes[skipped..],
            start: StartLine::Status { code: 0, reason: b"" },
            index: Index::new(),
            strict: limits.strict,
        };
        match message.fill(limits) {
            Ok(()) => Ok(message),
            Err(error) => Err(ParseError { at: error.at + skipped, ..error }),
        }
    }

    #[inline(never)]
    fn fill(&mut self, limits: &Limits) -> Result<(), ParseError> {
        let bytes = self.bytes;
        self.index.fill(bytes, limits, OnFault::Refuse, |end| {
            self.start = StartLine::parse(&bytes[..end])?;
            Ok(())
        })?;
        let head_end = self.index.head_end;
        let there = bytes.len() - head_end;
        let length = self.index.content_length(bytes)?.unwrap_or(there);
        if length > there {
            return Err(ParseError::new(ErrorKind::BodyTruncated, head_end));
        }
        self.bytes = &bytes[..head_end + length];
        if self.bytes.len() > limits.message_max {
            return Err(ParseError::new(ErrorKind::BodyTooLarge, head_end));
        }
        Ok(())
    }

    /// The message from its start line to the end of its body.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The message from its start line to the empty line, both included.
    #[must_use]
    pub fn head(&self) -> &'a [u8] {
        &self.bytes[..self.index.head_end]
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.index.head_end..]
    }

    /// The start line.
    #[must_use]
    pub const fn start_line(&self) -> StartLine<'a> {
        self.start
    }

    /// Whether it is a request.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(self.start, StartLine::Request { .. })
    }

    /// The method of a request.
    #[must_use]
    pub const fn method(&self) -> Option<Method<'a>> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Status { .. } => None,
        }
    }

    /// The Request-URI; empty for a response.
    #[must_use]
    pub const fn request_uri(&self) -> &'a [u8] {
        match self.start {
            StartLine::Request { uri, .. } => uri,
            StartLine::Status { .. } => b"",
        }
    }

    /// The status code of a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Status { code, .. } => Some(code),
        }
    }

    /// All header lines in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        self.index.lines.iter().enumerate().map(|(number, line)| {
            let whole = &self.bytes[usize::from(line.start)..self.index.line_end(number)];
            Field {
                name: line.name,
                raw_name: line.name_in(self.bytes),
                value: line.value_in(self.bytes),
                line: whole,
            }
        })
    }

    /// Whether there is a line of this header.
    #[must_use]
    pub const fn has(&self, name: Name) -> bool {
        self.index.places.has(name)
    }

    /// The value of the first line of a header.
    #[must_use]
    pub fn header(&self, name: Name) -> Option<&'a [u8]> {
        self.index.first(name).map(|line| line.value_in(self.bytes))
    }

    /// The value of each line of a header.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + Clone + '_ {
        self.index.of(name).map(|line| line.value_in(self.bytes))
    }

    /// The values of a header across its lines, split at commas that stand outside quotes and brackets.
    #[must_use]
    pub fn values(&self, name: Name) -> Values<'_, 'a> {
        Values::new(self.bytes, self.lines(name), name)
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// There is none, or it is malformed.
    #[inline]
    pub fn top_via(&self) -> Result<Via<'a>, ParseError> {
        match self.index.first(Name::Via) {
            Some(line) if line.value != line.value_end => {
                let kind = ErrorKind::Malformed(Name::Via);
                self.placed(line, first_of_list(line.value_in(self.bytes), kind, Via::read))
            }
            // An empty line of a list adds nothing to it.
            _ => self.vias().next().unwrap_or(Err(ParseError::new(ErrorKind::Missing(Name::Via), 0))),
        }
    }

    /// All Via values, topmost first.
    #[must_use]
    pub fn vias(&self) -> List<'_, 'a, Via<'a>> {
        self.list(Name::Via, |input, _| Via::read(input))
    }

    /// From.
    ///
    /// # Errors
    /// It is missing or malformed.
    pub fn from(&self) -> Result<NameAddr<'a>, ParseError> {
        self.address(Name::From)
    }

    /// To.
    ///
    /// # Errors
    /// It is missing or malformed.
    pub fn to(&self) -> Result<NameAddr<'a>, ParseError> {
        self.address(Name::To)
    }

    /// A header that holds one address: From, To, Reply-To, Refer-To, Referred-By …
    ///
    /// # Errors
    /// It is missing or malformed.
    pub fn address(&self, name: Name) -> Result<NameAddr<'a>, ParseError> {
        let reading = Reading { list: false, strict: self.strict };
        self.whole(name, |value| {
            crate::grammar::whole(value, ErrorKind::Malformed(name), |input| {
                NameAddr::read(input, reading, |_, _| {})
            })
        })
    }

    /// A header that holds a list of addresses: Route, P-Asserted-Identity, Diversion …
    #[must_use]
    pub fn addresses(&self, name: Name) -> List<'_, 'a, NameAddr<'a>> {
        self.list(name, |input, reading| NameAddr::read(input, reading, |_, _| {}))
    }

    /// Route values, topmost first.
    #[must_use]
    pub fn routes(&self) -> List<'_, 'a, NameAddr<'a>> {
        self.addresses(Name::Route)
    }

    /// Record-Route values, topmost first.
    #[must_use]
    pub fn record_routes(&self) -> List<'_, 'a, NameAddr<'a>> {
        self.addresses(Name::RecordRoute)
    }

    /// Contact values.
    #[must_use]
    pub fn contacts(&self) -> List<'_, 'a, ContactValue<'a>> {
        self.list(Name::Contact, ContactValue::read)
    }

    /// Call-ID, octet for octet: it is compared with regard to case.
    ///
    /// # Errors
    /// It is missing, empty, or has white space inside.
    pub fn call_id(&self) -> Result<&'a [u8], ParseError> {
        self.whole(Name::CallId, |value| {
            if octets::all(value, octets::VISIBLE) {
                Ok(value)
            } else {
                Err(ParseError::new(ErrorKind::Malformed(Name::CallId), 0))
            }
        })
    }

    /// CSeq.
    ///
    /// # Errors
    /// It is missing or malformed, or its number exceeds 32 bits (31 under strict limits).
    pub fn cseq(&self) -> Result<CSeq<'a>, ParseError> {
        self.whole(Name::CSeq, |value| {
            let cseq = CSeq::parse(value)?;
            if self.strict && cseq.number > u32::MAX >> 1 {
                return Err(ParseError::new(ErrorKind::Malformed(Name::CSeq), 0));
            }
            Ok(cseq)
        })
    }

    /// Max-Forwards, if it is there.
    ///
    /// # Errors
    /// It is no number from 0 to 255 (§20.22).
    pub fn max_forwards(&self) -> Result<Option<u8>, ParseError> {
        if !self.has(Name::MaxForwards) {
            return Ok(None);
        }
        self.whole(Name::MaxForwards, |value| {
            decimal(value).map(Some).ok_or(ParseError::new(ErrorKind::Malformed(Name::MaxForwards), 0))
        })
    }

    /// Expires in seconds, clamped to 32 bits; `None` if it is missing or no number, which the registrar
    /// treats alike (§20.19).
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        self.header(Name::Expires).and_then(seconds)
    }

    /// Min-Expires in seconds, likewise.
    #[must_use]
    pub fn min_expires(&self) -> Option<u32> {
        self.header(Name::MinExpires).and_then(seconds)
    }

    /// Retry-After in seconds, likewise, without its comment and parameters.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        self.header(Name::RetryAfter).and_then(leading_seconds)
    }

    /// Content-Length as written, if there is one.
    #[must_use]
    pub fn content_length(&self) -> Option<usize> {
        self.index.content_length(self.bytes).ok().flatten()
    }

    /// The values of [`Name::Authorization`] or [`Name::ProxyAuthorization`], one a line.
    pub fn credentials(&self, name: Name) -> impl Iterator<Item = Result<Credentials<'a>, ParseError>> + '_ {
        self.index
            .of(name)
            .map(move |line| self.placed(line, Credentials::of(name, line.value_in(self.bytes))))
    }

    /// The values of [`Name::WwwAuthenticate`] or [`Name::ProxyAuthenticate`], one a line.
    pub fn challenges(&self, name: Name) -> impl Iterator<Item = Result<Challenge<'a>, ParseError>> + '_ {
        self.index.of(name).map(move |line| self.placed(line, Challenge::of(name, line.value_in(self.bytes))))
    }

    /// The tokens of a list header: [`Name::Require`], [`Name::Supported`], [`Name::Allow`] …
    #[must_use]
    pub fn option_tags(&self, name: Name) -> Tokens<'_, 'a> {
        Tokens(self.values(name))
    }

    /// Event, if it is there.
    ///
    /// # Errors
    /// It is malformed.
    pub fn event(&self) -> Result<Option<Event<'a>>, ParseError> {
        if !self.has(Name::Event) {
            return Ok(None);
        }
        self.whole(Name::Event, Event::parse).map(Some)
    }

    /// Subscription-State, if it is there.
    ///
    /// # Errors
    /// It is malformed.
    pub fn subscription_state(&self) -> Result<Option<SubscriptionState<'a>>, ParseError> {
        if !self.has(Name::SubscriptionState) {
            return Ok(None);
        }
        self.whole(Name::SubscriptionState, SubscriptionState::parse).map(Some)
    }

    /// Reads the first line of a header that must be there.
    #[inline]
    fn whole<T>(
        &self,
        name: Name,
        read: impl FnOnce(&'a [u8]) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        match self.index.first(name) {
            Some(line) => self.placed(line, read(line.value_in(self.bytes))),
            None => Err(ParseError::new(ErrorKind::Missing(name), 0)),
        }
    }

    /// Counts a fault from the start of the message instead of the start of the value.
    #[inline]
    fn placed<T>(&self, line: &Line, read: Result<T, ParseError>) -> Result<T, ParseError> {
        read.map_err(|error| ParseError { at: error.at + usize::from(line.value), ..error })
    }

    fn lines(&self, name: Name) -> core::slice::Iter<'_, Line> {
        self.index.around(name).iter()
    }

    fn list<T>(&self, name: Name, read: ReadOne<'a, T>) -> List<'_, 'a, T> {
        let reading = Reading { list: true, strict: self.strict };
        List::new(self.bytes, self.lines(name), name, reading, read)
    }
}

/// How many octets of line breaks stand before the start line.
pub(crate) fn leading_breaks(bytes: &[u8]) -> usize {
    if bytes.first() != Some(&b'\r') {
        return 0;
    }
    bytes.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2
}
