//! What a proxy checks before it believes a message (RFC 3261 §8.1.1, §16.3, RFC 4475 §3.3).

use crate::error::{ErrorKind, ParseError};
use crate::header::cseq::CSeq;
use crate::header::name::Name;
use crate::header::name_addr::NameAddr;
use crate::header::via::Via;
use crate::message::Message;
use crate::method::Method;
use crate::octets;
use crate::start_line::StartLine;
use crate::uri::Uri;

/// The headers every message has (§8.1.1, §8.2.6.2), read and found good.
#[derive(Debug, Clone, Copy)]
pub struct Mandatory<'a> {
    /// The topmost Via.
    pub via: Via<'a>,
    /// From.
    pub from: NameAddr<'a>,
    /// The URI in From.
    pub from_uri: Uri<'a>,
    /// To.
    pub to: NameAddr<'a>,
    /// The URI in To.
    pub to_uri: Uri<'a>,
    /// Call-ID.
    pub call_id: &'a [u8],
    /// CSeq.
    pub cseq: CSeq<'a>,
    /// The Request-URI; `None` in a response.
    pub request_uri: Option<Uri<'a>>,
    /// Max-Forwards. A request without it comes from an element of RFC 2543 (§16.3).
    pub max_forwards: Option<u8>,
}

/// Headers that two readers would understand differently if they were there twice (§7.3.1).
const SINGLE: [Name; 9] = [
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::MaxForwards,
    Name::ContentType,
    Name::Expires,
    Name::Event,
    Name::SubscriptionState,
];

impl<'a> Message<'a> {
    /// Checks what every element must be able to rely on, and gives the headers it has read.
    ///
    /// Under [strict limits](crate::Limits::strict) the letter of Request-URI, Contact, Route and Date is
    /// checked as well.
    ///
    /// # Errors
    /// A mandatory header is missing, repeated or malformed; From, To or the Request-URI hold no URI; CSeq
    /// names another method. For a request [`ErrorKind::status`] is the answer; a response is dropped.
    pub fn validate(&self) -> Result<Mandatory<'a>, ParseError> {
        if let Some(name) = SINGLE.into_iter().find(|&name| self.index.places.repeats(name)) {
            return Err(ParseError::new(ErrorKind::Repeated(name), 0));
        }
        let (from, to) = (self.from()?, self.to()?);
        let uri_of = |name, addr: &NameAddr<'a>| {
            addr.uri().map_err(|error| self.inside(addr.uri_raw, ErrorKind::Malformed(name), error))
        };
        let via = self.top_via()?;
        let call_id = self.call_id()?;
        let cseq = self.cseq()?;
        let max_forwards = self.max_forwards()?;
        let from_uri = uri_of(Name::From, &from)?;
        // Who registers for himself writes the same twice.
        let to_uri = if to.uri_raw == from.uri_raw { from_uri } else { uri_of(Name::To, &to)? };
        let request_uri = match self.start {
            StartLine::Request { method, uri } => Some(self.check_request_line(method, uri, &cseq)?),
            StartLine::Status { .. } => None,
        };
        if self.strict {
            self.check_letter()?;
        }
        Ok(Mandatory { via, from, from_uri, to, to_uri, call_id, cseq, request_uri, max_forwards })
    }

    fn check_request_line(
        &self,
        method: Method<'a>,
        raw: &'a [u8],
        cseq: &CSeq<'a>,
    ) -> Result<Uri<'a>, ParseError> {
        let uri = Uri::parse(raw).map_err(|error| self.inside(raw, ErrorKind::RequestUri, error))?;
        // §19.1.1: no headers in a Request-URI (RFC 4475 §3.1.2.11).
        if self.strict && !uri.headers.is_empty() {
            let fault = ParseError::new(ErrorKind::Uri, 0);
            return Err(self.inside(uri.headers, ErrorKind::RequestUri, fault));
        }
        if cseq.method != method {
            return Err(ParseError::new(ErrorKind::CSeqMethod, 0));
        }
        Ok(uri)
    }

    /// What a liberal reader does not need to be right.
    fn check_letter(&self) -> Result<(), ParseError> {
        self.vias().try_for_each(|via| via.map(drop))?;
        self.contacts().try_for_each(|contact| contact.map(drop))?;
        self.routes().try_for_each(|route| route.map(drop))?;
        self.record_routes().try_for_each(|route| route.map(drop))?;
        match self.header(Name::Date) {
            // §20.17: the zone is GMT, always (RFC 4475 §3.1.2.12).
            Some(date) if !octets::trim_end(date).ends_with(b" GMT") => Err(self.inside(
                date,
                ErrorKind::Malformed(Name::Date),
                ParseError::new(ErrorKind::Malformed(Name::Date), 0),
            )),
            _ => Ok(()),
        }
    }

    /// A fault inside `part` of this message.
    fn inside(&self, part: &[u8], kind: ErrorKind, fault: ParseError) -> ParseError {
        ParseError::new(kind, octets::offset_in(self.bytes, part).unwrap_or(0) + fault.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    const GOOD: &str = "INVITE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\n\
                        To: <sip:b@example.com>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\r\n";

    fn verdict(text: &str) -> Result<(), ErrorKind> {
        let message = Message::parse(text.as_bytes(), &Limits::default()).expect("the shape is good");
        message.validate().map(drop).map_err(|error| error.kind)
    }

    #[test]
    fn a_message_has_its_mandatory_headers_once() {
        assert_eq!(verdict(GOOD), Ok(()));
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            let without: String =
                GOOD.split_inclusive("\r\n").filter(|line| !line.starts_with(&format!("{name}:"))).collect();
            assert_eq!(verdict(&without), Err(ErrorKind::Missing(name)));
        }
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq, Name::MaxForwards] {
            let line = GOOD
                .split_inclusive("\r\n")
                .find(|line| line.starts_with(&format!("{name}:")))
                .expect("there");
            assert_eq!(verdict(&GOOD.replace(line, &line.repeat(2))), Err(ErrorKind::Repeated(name)));
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (from, to, kind) in [
            ("CSeq: 1 INVITE", "CSeq: 1 BYE", ErrorKind::CSeqMethod),
            ("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE", ErrorKind::Malformed(Name::CSeq)),
            ("Max-Forwards: 70", "Max-Forwards: 256", ErrorKind::Malformed(Name::MaxForwards)),
            ("Max-Forwards: 70", "Max-Forwards: many", ErrorKind::Malformed(Name::MaxForwards)),
            ("Call-ID: x", "Call-ID: x y", ErrorKind::Malformed(Name::CallId)),
            ("To: <sip:b@example.com>", "To: \"B <sip:b@example.com>", ErrorKind::Malformed(Name::To)),
            ("To: <sip:b@example.com>", "To: <sip:b@@>", ErrorKind::Malformed(Name::To)),
            ("INVITE sip:b@example.com", "INVITE sip:2001:db8::10", ErrorKind::RequestUri),
        ] {
            assert_eq!(verdict(&GOOD.replace(from, to)), Err(kind), "{to}");
        }
    }

    #[test]
    fn a_fault_is_placed() {
        let text = GOOD.replace("UDP a;", "UDP a;;");

        let message = Message::parse(text.as_bytes(), &Limits::default()).expect("the shape is good");
        let error = message.validate().expect_err("the Via is bad");

        assert_eq!(&text[error.at..error.at + 7], ";branch");
    }
}
