//! New messages, written straight into an outgoing buffer: responses from the request they answer, and
//! requests of our own.

use core::fmt;
use core::net::SocketAddr;
use core::ops::Range;
use std::io::Write;

use crate::header::name::Name;
use crate::header::via::Via;
use crate::message::Message;
use crate::octets::{self, clean, push_decimal, push_line, push_uri, push_value};
use crate::validate::Mandatory;

/// Writes one message behind whatever the buffer holds.
///
/// Header lines appear in the order of the calls; [`Compose::finish`] ends the head and always states the
/// Content-Length. No value given can begin a new line: CR, LF and NUL in it become spaces.
#[derive(Debug)]
#[must_use = "a message ends with `finish`"]
pub struct Compose<'o> {
    out: &'o mut Vec<u8>,
    body: &'o [u8],
}

/// What a response takes besides the request's own headers.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseOptions<'a> {
    /// Where the request came from. The topmost Via is then written as the hop that received it has to
    /// ([`Via::write_received`](crate::Via::write_received)); without it, as it stands.
    pub source: Option<SocketAddr>,
    /// The To tag, for a request that has none. Not used by 100 (RFC 3261 §8.2.6.2).
    pub to_tag: Option<&'a [u8]>,
    /// Copy Record-Route: for responses that make a dialog (§12.1.1).
    pub record_route: bool,
}

impl<'o> Compose<'o> {
    /// Begins a response to `request`: its Via, From, To, Call-ID and CSeq lines in their order (§8.2.6), for
    /// 100 its Timestamp. A request out of [`Message::salvage`] will do.
    pub fn response(
        out: &'o mut Vec<u8>,
        request: &Message<'_>,
        code: u16,
        reason: &str,
        options: &ResponseOptions<'_>,
    ) -> Self {
        let top_via = if options.source.is_some() { request.top_via().ok() } else { None };
        // What cannot be read has no tag.
        let is_tagged = options.to_tag.is_none() || request.to().is_ok_and(|to| to.tag().is_some());
        Self::answer(out, request, (top_via.as_ref(), is_tagged), code, reason, options)
    }

    /// The same for a request whose headers have been read already.
    pub fn response_to(
        out: &'o mut Vec<u8>,
        request: &Message<'_>,
        headers: &Mandatory<'_>,
        code: u16,
        reason: &str,
        options: &ResponseOptions<'_>,
    ) -> Self {
        let facts = (Some(&headers.via), headers.to.tag().is_some());
        Self::answer(out, request, facts, code, reason, options)
    }

    /// Writes the status line and what is copied. `facts`: the topmost Via, and whether To has a tag.
    fn answer(
        out: &'o mut Vec<u8>,
        request: &Message<'_>,
        facts: (Option<&Via<'_>>, bool),
        code: u16,
        reason: &str,
        options: &ResponseOptions<'_>,
    ) -> Self {
        let (top_via, is_tagged) = facts;
        // Its line need not be the first of that name: one before it may be empty.
        let corrected = options
            .source
            .zip(top_via)
            .and_then(|(source, via)| Some((octets::offset_in(request.bytes, via.raw)?, via, source)));
        let tag = options.to_tag.filter(|_| code > 100 && !is_tagged);
        // One growth at most: what is copied is no longer than the head.
        out.reserve(request.index.head_end + 256);
        out.extend_from_slice(b"SIP/2.0 ");
        push_decimal(out, u64::from(code));
        out.push(b' ');
        push_value(out, reason.as_bytes());
        out.extend_from_slice(b"\r\n");
        let mut copied = Copied { out, bytes: request.bytes, from: 0, to: 0 };
        // A bit for each name seen; those that are wanted are among the first 64.
        let mut seen = 0_u64;
        for (number, line) in request.index.lines.iter().enumerate() {
            let is_wanted = match line.name {
                Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq => true,
                Name::Timestamp => code == 100,
                Name::RecordRoute => options.record_route,
                _ => false,
            };
            if !is_wanted {
                continue;
            }
            let whole = usize::from(line.start)..request.index.line_end(number);
            let name = 1 << (line.name as u32);
            let is_first = seen & name == 0;
            seen |= name;
            match (line.name, corrected, tag) {
                (Name::Via, Some((start, via, source)), _) if whole.contains(&start) => {
                    copied.top_via(whole, start, via, source);
                }
                (Name::To, _, Some(tag)) if is_first => {
                    copied.tagged(whole.start..usize::from(line.value_end), tag);
                }
                (Name::From | Name::To | Name::CallId | Name::CSeq, ..) if !is_first => {}
                _ => copied.add(whole),
            }
        }
        copied.flush();
        Self { out, body: b"" }
    }

    /// Begins a request. Blanks and control characters in the Request-URI are escaped.
    pub fn request(out: &'o mut Vec<u8>, method: &str, uri: &[u8]) -> Self {
        push_value(out, method.as_bytes());
        out.push(b' ');
        push_uri(out, uri);
        out.extend_from_slice(b" SIP/2.0\r\n");
        Self { out, body: b"" }
    }

    /// Adds a header line.
    pub fn header(&mut self, name: Name, value: &[u8]) -> &mut Self {
        self.raw(name.as_str().as_bytes(), value)
    }

    /// Adds a header line whose value is the parts one after the other.
    pub fn header_parts(&mut self, name: Name, parts: &[&[u8]]) -> &mut Self {
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(b": ");
        for part in parts {
            push_value(self.out, part);
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a header line whose value is a number.
    pub fn header_decimal(&mut self, name: Name, value: u64) -> &mut Self {
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(b": ");
        push_decimal(self.out, value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a header line whose value is formatted: for what is not on the hot path.
    pub fn header_fmt(&mut self, name: Name, value: fmt::Arguments<'_>) -> &mut Self {
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(b": ");
        let from = self.out.len();
        // Writing to a Vec fails only if a Display of the value does; what it wrote until then stays.
        let _ = self.out.write_fmt(value);
        clean(&mut self.out[from..]);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a header line under a name that [`Name`] does not know. The caller sees to it that it is a token.
    pub fn raw(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        debug_assert!(octets::all(name, octets::TOKEN), "a header name is a token");
        push_line(self.out, name, value);
        self
    }

    /// Adds a Content-Type line and keeps the body for [`Compose::finish`].
    pub fn body(&mut self, content_type: &[u8], body: &'o [u8]) -> &mut Self {
        self.body = body;
        self.header(Name::ContentType, content_type)
    }

    /// Writes Content-Length, the empty line and the body.
    pub fn finish(&mut self) {
        if self.body.is_empty() {
            self.out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
            return;
        }
        self.header_decimal(Name::ContentLength, self.body.len() as u64);
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(self.body);
    }
}

/// What a response takes over from its request: lines that follow one another are copied in one go.
struct Copied<'o, 'a> {
    out: &'o mut Vec<u8>,
    bytes: &'a [u8],
    /// What is yet to be copied.
    from: usize,
    to: usize,
}

impl Copied<'_, '_> {
    fn add(&mut self, part: Range<usize>) {
        if self.to != part.start {
            self.flush();
            self.from = part.start;
        }
        self.to = part.end;
    }

    fn flush(&mut self) {
        self.out.extend_from_slice(&self.bytes[self.from..self.to]);
        self.from = self.to;
    }

    /// The line of the topmost Via, that value, which begins at `start`, corrected; others on the line stay as they are.
    fn top_via(&mut self, line: Range<usize>, start: usize, via: &Via<'_>, source: SocketAddr) {
        self.add(line.start..start);
        self.flush();
        via.write_received(source, self.out);
        self.add(start + via.raw.len()..line.end);
    }

    /// The To line up to the end of its value, with a tag.
    fn tagged(&mut self, value: Range<usize>, tag: &[u8]) {
        self.add(value);
        self.flush();
        self.out.extend_from_slice(b";tag=");
        push_value(self.out, tag);
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    const REQUEST: &str = "INVITE sip:b@b SIP/2.0\r\nv: SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1, SIP/2.0/UDP c\r\n\
                           Via: SIP/2.0/UDP d\r\nRecord-Route: <sip:e;lr>\r\nf: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n \r\n\
                           Call-ID: x\r\nTimestamp: 54\r\nCSeq: 1 INVITE\r\nSubject: hi\r\n\r\n";

    fn response(code: u16, options: &ResponseOptions<'_>) -> String {
        let request = Message::parse(REQUEST.as_bytes(), &Limits::default()).expect("good");
        let mut out = b"before".to_vec();
        Compose::response(&mut out, &request, code, "Reason", options).finish();
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_top_via_is_corrected_where_it_is_though_a_line_before_it_is_empty() {
        let request = "BYE sip:b@b SIP/2.0\r\nVia:\r\nTo: <sip:b@b>\r\nFrom: <sip:a@a>;tag=1\r\nCall-ID: c\r\n\
                       CSeq: 1 BYE\r\nVia: SIP/2.0/UDP a;rport;branch=z9hG4bK1\r\n\r\n";
        let request = Message::parse(request.as_bytes(), &Limits::default()).unwrap();
        let source = Some("192.0.2.7:5060".parse().unwrap());
        let options = ResponseOptions { source, to_tag: Some(b"t"), ..ResponseOptions::default() };
        let mut out = Vec::new();

        Compose::response(&mut out, &request, 481, "Gone", &options).finish();

        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("To: <sip:b@b>;tag=t\r\n").count(), 1, "{text}");
        assert_eq!(text.matches(";received=192.0.2.7").count(), 1, "{text}");
        assert_eq!(text.matches("CSeq: 1 BYE\r\n").count(), 1, "{text}");
    }

    #[test]
    fn a_response_carries_the_headers_of_its_request() {
        let options = ResponseOptions {
            source: Some("192.0.2.1:5062".parse().expect("an address")),
            to_tag: Some(b"t"),
            record_route: true,
        };

        assert_eq!(
            response(180, &options),
            "beforeSIP/2.0 180 Reason\r\n\
             v: SIP/2.0/UDP 10.0.0.1;received=192.0.2.1;rport=5062;branch=z9hG4bK1, SIP/2.0/UDP c\r\n\
             Via: SIP/2.0/UDP d\r\nRecord-Route: <sip:e;lr>\r\nf: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=t\r\n\
             Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn trying_has_a_timestamp_and_no_tag() {
        let options = ResponseOptions { to_tag: Some(b"t"), ..ResponseOptions::default() };

        let text = response(100, &options);

        assert!(text.contains("Timestamp: 54\r\n"));
        assert!(text.contains("To: <sip:b@b>\r\n \r\n"));
        assert!(!text.contains("Record-Route"));
    }

    #[test]
    fn a_value_brings_no_header_of_its_own() {
        let mut out = Vec::new();

        let mut request = Compose::request(&mut out, "NOTIFY", b"sip:a@b\r\nX: y z");
        request.header(Name::Subject, b"a\r\nX: b\0");
        request.header_fmt(Name::Reason, format_args!("{}", "c\nX: d"));
        request.header_parts(Name::Contact, &[b"<sip:", b"e\r\nX: f", b">"]);
        request.header_decimal(Name::Expires, 60).raw(b"X-Own", b"g");
        request.body(b"text/plain", b"line\r\nline\r\n").finish();

        let message = Message::parse(&out, &Limits::default()).expect("good");
        let names: Vec<_> = message.fields().map(|field| field.raw_name).collect();
        assert_eq!(
            names,
            [
                &b"Subject"[..],
                b"Reason",
                b"Contact",
                b"Expires",
                b"X-Own",
                b"Content-Type",
                b"Content-Length"
            ]
        );
        assert_eq!(message.request_uri(), b"sip:a@b%0D%0AX:%20y%20z");
        assert_eq!(message.header(Name::Subject), Some(&b"a  X: b"[..]));
        assert_eq!(message.body(), b"line\r\nline\r\n");
    }
}
