//! What a phone of the swarm reads of a message: the start line and some headers, found in one pass and not copied.
//!
//! Headers are known by their full names, one value a line, as registrars and proxies write them; what is folded,
//! abbreviated or listed elsewhere counts as missing, and the message as wrong.

use memchr::{memchr, memchr_iter};

use super::template::read_hex;

/// A message, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard<'a> {
    /// Request or response.
    pub(super) start: Start<'a>,
    /// The topmost Via.
    pub(super) via: &'a [u8],
    /// From.
    pub(super) from: &'a [u8],
    /// To.
    pub(super) to: &'a [u8],
    /// Call-ID.
    pub(super) call_id: &'a [u8],
    /// The number of CSeq.
    pub(super) cseq: u32,
    /// The method of CSeq.
    pub(super) method: &'a [u8],
    /// WWW-Authenticate or Proxy-Authenticate.
    pub(super) challenge: Option<&'a [u8]>,
    /// Everything before the empty line.
    head: &'a [u8],
}

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start<'a> {
    /// Method and Request-URI.
    Request(&'a [u8], &'a [u8]),
    /// The status code.
    Response(u16),
}

impl<'a> Heard<'a> {
    /// Reads a message; `None` if it has not the headers that every SIP message has (RFC 3261 §8.1.1).
    pub(super) fn read(octets: &'a [u8]) -> Option<Self> {
        let mut lines = Lines(octets);
        let start = start(lines.next()?)?;
        let (mut via, mut from, mut to, mut call_id, mut cseq, mut challenge) =
            (None, None, None, None, None, None);
        for line in lines.by_ref() {
            let Some((name, value)) = header(line) else { continue };
            let place = match name.len() {
                3 if name.eq_ignore_ascii_case(b"Via") => &mut via,
                4 if name.eq_ignore_ascii_case(b"From") => &mut from,
                2 if name.eq_ignore_ascii_case(b"To") => &mut to,
                7 if name.eq_ignore_ascii_case(b"Call-ID") => &mut call_id,
                4 if name.eq_ignore_ascii_case(b"CSeq") => &mut cseq,
                16 if name.eq_ignore_ascii_case(b"WWW-Authenticate") => &mut challenge,
                18 if name.eq_ignore_ascii_case(b"Proxy-Authenticate") => &mut challenge,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        let head = &octets[..octets.len() - lines.0.len()];
        let cseq = cseq?;
        let space = memchr(b' ', cseq)?;
        Some(Self {
            start,
            via: via?,
            from: from?,
            to: to?,
            call_id: call_id?,
            cseq: str::from_utf8(&cseq[..space]).ok()?.parse().ok()?,
            method: &cseq[space + 1..],
            challenge,
            head,
        })
    }

    /// The status code of a response.
    pub(super) fn status(&self) -> Option<u16> {
        match self.start {
            Start::Response(status) => Some(status),
            Start::Request(..) => None,
        }
    }

    /// All headers, in order.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        Lines(self.head).skip(1).filter_map(header)
    }

    /// The values of a header, a line each.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The user of the Request-URI of a request.
    pub(super) fn user(&self) -> Option<&'a [u8]> {
        let Start::Request(_, uri) = self.start else { return None };
        let user = uri.strip_prefix(b"sip:")?;
        Some(&user[..memchr(b'@', user)?])
    }

    /// What follows `marker` in the branch of the topmost Via: eight hexadecimal digits, twice.
    pub(super) fn ticket(&self, marker: &[u8]) -> Option<(u32, u32)> {
        ticket(self.via, marker)
    }
}

/// What follows `marker` in `text`: eight hexadecimal digits, twice.
pub(super) fn ticket(text: &[u8], marker: &[u8]) -> Option<(u32, u32)> {
    let mut places = memchr_iter(*marker.first()?, text);
    let digits = places.find_map(|at| text[at..].strip_prefix(marker))?;
    Some((read_hex(digits, 8)?, read_hex(digits.get(8..)?, 8)?))
}

/// A parameter of a challenge or of an address, without quotes.
pub(super) fn parameter<'a>(value: &'a [u8], name: &str) -> Option<&'a [u8]> {
    memchr_iter(*name.as_bytes().first()?, value).find_map(|at| {
        let begins = at == 0 || matches!(value[at - 1], b' ' | b';' | b',');
        let rest = value[at..].strip_prefix(name.as_bytes()).filter(|_| begins)?.strip_prefix(b"=")?;
        match rest.strip_prefix(b"\"") {
            Some(quoted) => Some(&quoted[..memchr(b'"', quoted)?]),
            None => {
                let end = rest.iter().position(|octet| matches!(octet, b',' | b';' | b' ' | b'>'));
                Some(&rest[..end.unwrap_or(rest.len())])
            }
        }
    })
}

/// The URI of a name-addr in angle brackets.
pub(super) fn uri(address: &[u8]) -> Option<&[u8]> {
    let inner = &address[memchr(b'<', address)? + 1..];
    Some(&inner[..memchr(b'>', inner)?])
}

fn start(line: &[u8]) -> Option<Start<'_>> {
    if let Some(rest) = line.strip_prefix(b"SIP/2.0 ") {
        return Some(Start::Response(str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?));
    }
    let (method, rest) = line.split_at_checked(memchr(b' ', line)?)?;
    let uri = rest[1..].strip_suffix(b" SIP/2.0")?;
    Some(Start::Request(method, uri))
}

fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    Some((line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii()))
}

/// Lines up to the empty one, without their ends. What is not yet read is left in it.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b'\n', self.0)?;
        let line = self.0[..end].strip_suffix(b"\r").unwrap_or(&self.0[..end]);
        if line.is_empty() {
            return None;
        }
        self.0 = &self.0[end + 1..];
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.16.0.1:20000;branch=z9hG4bKsw0000000a0000002b;rport=1\r\n\
        From: <sip:1@d>;tag=f\r\nTo: <sip:1@d>;tag=t\r\nCall-ID: c@d\r\nCSeq: 43 REGISTER\r\n\
        Contact: <sip:1@a:1>;expires=60\r\ncontact: <sip:1@b:1>;expires=60\r\nContent-Length: 3\r\n\r\nVia: body";

    #[test]
    fn a_response_is_taken_apart() {
        let heard = Heard::read(OK).unwrap();

        assert_eq!(heard.status(), Some(200));
        assert_eq!((heard.cseq, heard.method), (43, &b"REGISTER"[..]));
        assert_eq!((heard.from, heard.call_id), (&b"<sip:1@d>;tag=f"[..], &b"c@d"[..]));
        assert_eq!(heard.ticket(b";branch=z9hG4bKsw"), Some((10, 43)));
        assert_eq!(parameter(heard.to, "tag"), Some(&b"t"[..]));
        let contacts: Vec<_> = heard.values("Contact").filter_map(uri).collect();
        assert_eq!(contacts, [&b"sip:1@a:1"[..], b"sip:1@b:1"]);
        assert_eq!(heard.values("Via").count(), 1);
    }

    #[test]
    fn what_is_no_sip_message_is_not_read() {
        for length in 0..OK.len() {
            let cut = &OK[..length];
            // Cut within the headers that come last it is still a message; nothing may panic.
            assert!(Heard::read(cut).is_none() || length > 150, "{length}");
        }
        assert!(Heard::read(b"NOTIFY sip:a SIP/2.0\r\nCSeq: x NOTIFY\r\n\r\n").is_none());
        assert!(Heard::read(&[0xff; 100]).is_none());
    }

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let challenge = br#"Digest realm="demo.hotdesk", cnonce="x", nonce="abc", algorithm=MD5, qop="auth""#;

        assert_eq!(parameter(challenge, "nonce"), Some(&b"abc"[..]));
        assert_eq!(parameter(challenge, "algorithm"), Some(&b"MD5"[..]));
        assert_eq!(parameter(challenge, "opaque"), None);
    }
}
