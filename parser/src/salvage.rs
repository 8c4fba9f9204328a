//! What can still be read of a request that was refused, so that the refusal finds its way back.

use crate::header::name::Name;
use crate::index::{Index, OnFault};
use crate::limits::Limits;
use crate::message::{Message, leading_breaks};
use crate::method::Method;
use crate::octets::{self, TOKEN};
use crate::start_line::StartLine;

impl<'a> Message<'a> {
    /// Reads of a request that [`Message::parse`] or a [`Framer`](crate::Framer) refused what a response to it
    /// needs: see [`Compose::response`](crate::Compose::response). Its body is empty, its Request-URI is empty
    /// where the request line is broken, and lines that are no header lines are unknown headers.
    ///
    /// `None` if there is nothing to answer: no request line of SIP, a response, or one of Via, From, To,
    /// Call-ID and CSeq is missing or its topmost Via unreadable. Whoever answers keeps to himself whether the
    /// method is ACK.
    #[must_use]
    pub fn salvage(bytes: &'a [u8], limits: &Limits) -> Option<Self> {
        let bytes = &bytes[leading_breaks(bytes)..];
        let mut start = None;
        let mut index = Index::new();
        let filled = index.fill(bytes, limits, OnFault::Keep, |end| {
            start = request_line(&bytes[..end]);
            Ok(())
        });
        filled.ok()?;
        let needed = [Name::From, Name::To, Name::CallId, Name::CSeq];
        if !needed.iter().all(|&name| index.places.has(name)) {
            return None;
        }
        let message = Message { bytes: &bytes[..index.head_end], start: start?, index, strict: false };
        message.top_via().ok()?;
        Some(message)
    }
}

/// A request line as far as it can be read: a token, something, and a version of SIP.
fn request_line(line: &[u8]) -> Option<StartLine<'_>> {
    match StartLine::parse(line) {
        Ok(start @ StartLine::Request { .. }) => return Some(start),
        Ok(StartLine::Status { .. }) => return None,
        Err(_) => {}
    }
    let line = octets::trim_end(line);
    let (method, _) = line.split_at(line.iter().position(|&octet| octet == b' ')?);
    let version = &line[memchr::memrchr(b' ', line)? + 1..];
    if !octets::all(method, TOKEN) || !version.get(..4)?.eq_ignore_ascii_case(b"SIP/") {
        return None;
    }
    Some(StartLine::Request { method: Method::from_bytes(method), uri: b"" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: x\r\n\
                        CSeq: 1 OPTIONS\r\n";

    fn salvaged(text: &str) -> bool {
        let limits = Limits::default();
        assert!(Message::parse(text.as_bytes(), &limits).is_err(), "{text} is refused");
        Message::salvage(text.as_bytes(), &limits).is_some()
    }

    #[test]
    fn a_broken_request_can_be_answered() {
        assert!(salvaged(&format!("OPTIONS sip:b@b SIP/7.0\r\n{REST}\r\n")));
        assert!(salvaged(&format!("OPTIONS  <sip:b@b>  SIP/2.0 \r\n{REST}\r\n")));
        assert!(salvaged(&format!("OPTIONS sip:b@b SIP/2.0\r\nno header\r\n{REST}l: -1\r\n\r\n")));
        assert!(salvaged(&format!("OPTIONS sip:b@b SIP/2.0\r\n{REST}l: 99\r\n\r\nshort")));
        assert!(salvaged(&format!("OPTIONS sip:b@b SIP/2.0\r\n{REST}Subject: a\nb\r\n\r\n")));
        assert!(salvaged(&format!("OPTIONS sip:b@b SIP/2.0\r\n{REST}")));
    }

    #[test]
    fn noise_and_responses_are_not_answered() {
        assert!(!salvaged(&format!("SIP/2.0 99 x\r\n{REST}\r\n")));
        assert!(!salvaged(&format!("GET / HTTP/1.1\r\n{REST}\r\n")));
        assert!(!salvaged("OPTIONS sip:b@b SIP/7.0\r\nVia: SIP/2.0/UDP a\r\n\r\n"));
        assert!(!salvaged("\x16\x03\x01"));
        assert!(!salvaged(""));
    }
}
