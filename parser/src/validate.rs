//! What a proxy checks before it believes a message (RFC 3261 §8.1.1, §16.3, RFC 4475 §3.3).

use crate::error::{ErrorKind, ParseError};
use crate::header::cseq::CSeq;
use crate::header::name::Name;
use crate::header::name_addr::NameAddr;
use crate::header::via::Via;
use crate::message::Message;
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
    /// To.
    pub to: NameAddr<'a>,
    /// Call-ID.
    pub call_id: &'a [u8],
    /// CSeq.
    pub cseq: CSeq<'a>,
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
        if let Some(name) = SINGLE.into_iter().find(|&name| self.index.counts.repeats(name)) {
            return Err(ParseError::new(ErrorKind::Repeated(name), 0));
        }
        let mandatory = Mandatory {
            via: self.top_via()?,
            from: self.from()?,
            to: self.to()?,
            call_id: self.call_id()?,
            cseq: self.cseq()?,
            max_forwards: self.max_forwards()?,
        };
        for (name, addr) in [(Name::From, &mandatory.from), (Name::To, &mandatory.to)] {
            addr.uri().map_err(|error| self.inside(addr.uri_raw, ErrorKind::Malformed(name), error))?;
        }
        if let StartLine::Request { method, uri } = self.start {
            let parsed = Uri::parse(uri).map_err(|error| self.inside(uri, ErrorKind::RequestUri, error))?;
            // §19.1.1: no headers in a Request-URI (RFC 4475 §3.1.2.11).
            if self.strict && !parsed.headers.is_empty() {
                return Err(self.inside(
                    parsed.headers,
                    ErrorKind::RequestUri,
                    ParseError::new(ErrorKind::Uri, 0),
                ));
            }
            if mandatory.cseq.method != method {
                return Err(ParseError::new(ErrorKind::CSeqMethod, 0));
            }
        }
        if self.strict {
            self.check_letter()?;
        }
        Ok(mandatory)
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
