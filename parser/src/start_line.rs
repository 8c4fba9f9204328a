//! Request line and status line (RFC 3261 §7.1, §7.2).

use crate::error::{ErrorKind, ParseError};
use crate::method::Method;
use crate::octets::{self, TOKEN, URI};

/// The first line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// `Method SP Request-URI SP SIP/2.0`
    Request {
        /// The method.
        method: Method<'a>,
        /// The Request-URI as it stands; free of white space, brackets and quotes.
        uri: &'a [u8],
    },
    /// `SIP/2.0 SP Status-Code SP Reason-Phrase`
    Status {
        /// 100 to 699.
        code: u16,
        /// The reason phrase, perhaps empty.
        reason: &'a [u8],
    },
}

const VERSION: &[u8] = b"SIP/2.0";

/// What a request line ends with.
const END: &[u8; 8] = b" SIP/2.0";

impl<'a> StartLine<'a> {
    /// Reads a start line given without its CRLF.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, ParseError> {
        // No request begins so: a slash is not in a method.
        if line.len() > 4 && line[3] == b'/' && line[..3].eq_ignore_ascii_case(b"SIP") {
            Self::status(line)
        } else {
            Self::request(line)
        }
    }

    fn request(line: &'a [u8]) -> Result<Self, ParseError> {
        let method_end = octets::span(line, TOKEN);
        if method_end > 0
            && let Some(uri) = line[method_end..].strip_prefix(b" ")
            && let Some((uri, end)) = uri.split_last_chunk::<{ END.len() }>()
            && (end == END || end.eq_ignore_ascii_case(END))
            && octets::all(uri, URI)
        {
            return Ok(Self::Request { method: Method::from_bytes(&line[..method_end]), uri });
        }
        Err(request_fault(line, method_end))
    }

    fn status(line: &'a [u8]) -> Result<Self, ParseError> {
        let fail = |kind, at| Err(ParseError::new(kind, at));
        let (version, rest) =
            line.split_at(line.iter().position(|&octet| octet == b' ').unwrap_or(line.len()));
        if version != VERSION && !version.eq_ignore_ascii_case(VERSION) {
            return fail(ErrorKind::Version, 0);
        }
        let &[b' ', hundreds, tens, ones, ref rest @ ..] = rest else {
            return fail(ErrorKind::StatusCode, version.len());
        };
        let digits = [hundreds, tens, ones];
        if !digits.iter().all(u8::is_ascii_digit) || !matches!(hundreds, b'1'..=b'6') {
            return fail(ErrorKind::StatusCode, version.len() + 1);
        }
        let code = digits.iter().fold(0, |code, &digit| code * 10 + u16::from(digit - b'0'));
        // The space stays even when the phrase is empty (RFC 4475 §3.1.1.13); its absence harms nobody.
        match rest {
            [] => Ok(Self::Status { code, reason: b"" }),
            [b' ', reason @ ..] => Ok(Self::Status { code, reason }),
            _ => fail(ErrorKind::StatusCode, version.len() + 1),
        }
    }
}

/// What is wrong with a line that is no request line, and where.
#[cold]
fn request_fault(line: &[u8], method_end: usize) -> ParseError {
    let text = octets::trim_end(line);
    let version_start = memchr::memrchr(b' ', text).map_or(0, |space| space + 1);
    let version = &text[version_start..];
    if !version.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"SIP/")) {
        return ParseError::new(ErrorKind::NotSip, 0);
    }
    if method_end == 0 || line[method_end] != b' ' {
        return ParseError::new(ErrorKind::Method, method_end);
    }
    // Anything blank besides two single spaces is a separator too many (RFC 4475 §3.1.2.8 to §3.1.2.10).
    let uri_start = method_end + 1;
    let uri = line.get(uri_start..version_start.saturating_sub(1)).unwrap_or_default();
    if let Some(at) = uri.iter().position(|&octet| octet <= b' ') {
        return ParseError::new(ErrorKind::StartLine, uri_start + at);
    }
    if text.len() != line.len() {
        return ParseError::new(ErrorKind::StartLine, text.len());
    }
    if !octets::all(uri, URI) {
        return ParseError::new(ErrorKind::RequestUri, uri_start);
    }
    ParseError::new(ErrorKind::Version, version_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &[u8]) -> ErrorKind {
        StartLine::parse(line).expect_err("the line is bad").kind
    }

    #[test]
    fn a_request_line_has_three_parts() {
        assert_eq!(
            StartLine::parse(b"INVITE sip:1001@demo.example;x=y SIP/2.0"),
            Ok(StartLine::Request { method: Method::Invite, uri: b"sip:1001@demo.example;x=y" })
        );
        assert_eq!(kind(b"INVITE sip:a@b; lr SIP/2.0"), ErrorKind::StartLine);
        assert_eq!(kind(b"INVITE  sip:a@b SIP/2.0"), ErrorKind::StartLine);
        assert_eq!(kind(b"INVITE sip:a@b  SIP/2.0"), ErrorKind::StartLine);
        assert_eq!(kind(b"INVITE sip:a@b SIP/2.0 "), ErrorKind::StartLine);
        assert_eq!(kind(b"INVITE SIP/2.0"), ErrorKind::RequestUri);
        assert_eq!(kind(b"INVITE  SIP/2.0"), ErrorKind::RequestUri);
        assert_eq!(kind(b"INVITE <sip:a@b> SIP/2.0"), ErrorKind::RequestUri);
        assert_eq!(kind(b"INV\x01TE sip:a@b SIP/2.0"), ErrorKind::Method);
        assert_eq!(kind(b" sip:a@b SIP/2.0"), ErrorKind::Method);
        assert_eq!(kind(b"INVITE sip:a@b SIP/7.0"), ErrorKind::Version);
        assert_eq!(kind(b"GET / HTTP/1.1"), ErrorKind::NotSip);
        assert_eq!(kind(b""), ErrorKind::NotSip);
    }

    #[test]
    fn a_status_line_has_three_digits() {
        assert_eq!(
            StartLine::parse(b"SIP/2.0 200 All is well"),
            Ok(StartLine::Status { code: 200, reason: b"All is well" })
        );
        assert_eq!(StartLine::parse(b"sip/2.0 100 "), Ok(StartLine::Status { code: 100, reason: b"" }));
        assert_eq!(StartLine::parse(b"SIP/2.0 486"), Ok(StartLine::Status { code: 486, reason: b"" }));
        for bad in [
            "SIP/2.0 99 ",
            "SIP/2.0 0 x",
            "SIP/2.0 4294967301 x",
            "SIP/2.0 2xx",
            "SIP/2.0 -10 x",
            "SIP/2.0 700 x",
            "SIP/2.0",
        ] {
            assert_eq!(kind(bad.as_bytes()), ErrorKind::StatusCode, "{bad}");
        }
        assert_eq!(kind(b"SIP/7.0 200 OK"), ErrorKind::Version);
    }
}
