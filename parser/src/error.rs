//! Why a message was refused, where in it, and what to answer.

use crate::header::name::Name;

/// Why octets are not an acceptable SIP message, and at which octet that showed.
///
/// Small and `Copy`, made without allocation. A peer's fault is no failure of ours: the caller turns it into
/// a drop or into the response that [`ErrorKind::status`] and [`ErrorKind::reason`] name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} (octet {at})", .kind.reason())]
pub struct ParseError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Octets from the start of what was given to the parser to the fault, or to the field that holds it.
    pub at: usize,
}

impl ParseError {
    pub(crate) const fn new(kind: ErrorKind, at: usize) -> Self {
        Self { kind, at }
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The first line is neither a SIP request line nor a SIP status line: another protocol, or noise.
    NotSip,
    /// The start line is SIP, but its parts are not separated by exactly one space (RFC 3261 §7.1, §7.2).
    StartLine,
    /// The protocol version is not `SIP/2.0` (§7.1): 505.
    Version,
    /// The method is not a token.
    Method,
    /// The Request-URI is empty, in angle brackets, or no URI.
    RequestUri,
    /// The status code is not three digits from 100 to 699.
    StatusCode,
    /// The empty line that ends the head is missing.
    HeadUnterminated,
    /// The head is longer than [`Limits::head_max`](crate::Limits::head_max): 513.
    HeadTooLarge,
    /// More header lines than [`Limits::headers_max`](crate::Limits::headers_max): 513.
    TooManyHeaders,
    /// A CR without LF or a LF without CR in the head. Never forwarded: the next reader might see a line there.
    BareLineBreak,
    /// A header line has no colon, or its name is not a token.
    HeaderName,
    /// Content-Length is not a plain decimal number, or exceeds 32 bits.
    ContentLength,
    /// Content-Length is there twice.
    ContentLengthRepeated,
    /// No Content-Length on a stream (§18.3).
    LengthRequired,
    /// Content-Length promises more octets than the datagram holds (§18.3).
    BodyTruncated,
    /// The message is longer than [`Limits::message_max`](crate::Limits::message_max): 413.
    BodyTooLarge,
    /// A mandatory header is missing (§8.1.1).
    Missing(Name),
    /// A header that may occur once occurs again (§7.3.1).
    Repeated(Name),
    /// A header's value does not follow its grammar or leaves its range.
    Malformed(Name),
    /// The method in CSeq is not the method of the request line (§8.1.1.5).
    CSeqMethod,
    /// A URI that follows no grammar we know (§19.1, RFC 3966).
    Uri,
}

impl ErrorKind {
    /// The status code of the response a request with this fault deserves: 400, 413, 505 or 513.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::BodyTooLarge => 413,
            Self::HeadTooLarge | Self::TooManyHeaders => 513,
            _ => 400,
        }
    }

    /// A reason phrase that tells the peer's engineer what to look at. Holds no octet of the message.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotSip => "Not SIP",
            Self::StartLine => "Malformed Start Line",
            Self::Version => "Version Not Supported",
            Self::Method => "Malformed Method",
            Self::RequestUri => "Malformed Request-URI",
            Self::StatusCode => "Malformed Status Code",
            Self::HeadUnterminated => "Missing Empty Line",
            Self::HeadTooLarge => "Header Section Too Large",
            Self::TooManyHeaders => "Too Many Header Fields",
            Self::BareLineBreak => "Bare CR or LF",
            Self::HeaderName => "Malformed Header Field Name",
            Self::ContentLength => "Malformed Content-Length",
            Self::ContentLengthRepeated => "Repeated Content-Length",
            Self::LengthRequired => "Missing Content-Length",
            Self::BodyTruncated => "Body Shorter Than Content-Length",
            Self::BodyTooLarge => "Request Entity Too Large",
            Self::Missing(name) => name.reasons().0,
            Self::Repeated(name) => name.reasons().1,
            Self::Malformed(name) => name.reasons().2,
            Self::CSeqMethod => "CSeq Method Does Not Match Request",
            Self::Uri => "Malformed URI",
        }
    }
}

/// The error type of the nom grammars: how many octets were left unread where the grammar failed.
///
/// One word is all a [`ParseError`] needs; the header that was being read is known to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) left: usize,
}

impl<'a> nom::error::ParseError<&'a [u8]> for Fault {
    fn from_error_kind(input: &'a [u8], _: nom::error::ErrorKind) -> Self {
        Self { left: input.len() }
    }

    fn append(_: &'a [u8], _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

/// What a grammar returns: the octets after what it read, and what it read.
pub(crate) type Parsed<'a, T> = nom::IResult<&'a [u8], T, Fault>;

/// The fault "what stands at `input` is not what the grammar wants".
pub(crate) fn fault<T>(input: &[u8]) -> Parsed<'_, T> {
    Err(nom::Err::Error(Fault { left: input.len() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_to_answer() {
        assert_eq!(ErrorKind::Version.status(), 505);
        assert_eq!(ErrorKind::Missing(Name::CallId).reason(), "Missing Call-ID");
        assert_eq!(ErrorKind::Repeated(Name::To).reason(), "Repeated To");
        assert_eq!(
            ParseError::new(ErrorKind::Malformed(Name::Via), 17).to_string(),
            "Malformed Via (octet 17)"
        );
    }
}
