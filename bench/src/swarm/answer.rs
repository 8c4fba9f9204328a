//! Answers of a phone to requests it was sent, and its own requests within a dialog.

use super::reading::{Heard, parameter, uri};
use super::template::{write_decimal, write_hex};

/// Headers that an answer has from its request (RFC 3261 §8.2.6.2; §12.1.1 for Record-Route).
const COPIED: [&[u8]; 6] = [b"Via", b"Record-Route", b"From", b"To", b"Call-ID", b"CSeq"];

/// Writes the answer of `phone` to `request`. `rest` writes further headers, Content-Length and the body.
pub(super) fn write_answer(
    out: &mut Vec<u8>,
    request: &Heard<'_>,
    status: &str,
    phone: u32,
    rest: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(b"SIP/2.0 ");
    out.extend_from_slice(status.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in request.headers() {
        let Some(copied) = COPIED.iter().find(|copied| copied.eq_ignore_ascii_case(name)) else { continue };
        out.extend_from_slice(copied);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        if *copied == b"To" && parameter(value, "tag").is_none() {
            out.extend_from_slice(b";tag=callee");
            write_hex(out, phone.into(), 8);
        }
        out.extend_from_slice(b"\r\n");
    }
    rest(out);
}

/// An answer with neither further headers nor a body.
pub(super) fn write_empty(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// Writes where a request within the dialog goes that `answer`, a 2xx to our INVITE, has made: the Request-URI.
pub(super) fn write_target(out: &mut Vec<u8>, answer: &Heard<'_>) {
    let target = answer.values("Contact").next().and_then(uri);
    out.extend_from_slice(target.unwrap_or(b"sip:nowhere.invalid"));
}

/// Writes the lines Route of such a request: Record-Route, the last first (RFC 3261 §12.1.2).
pub(super) fn write_routes(out: &mut Vec<u8>, answer: &Heard<'_>) {
    /// Proxies on the way: an edge that serves both sides adds two at most.
    const ROUTES_MAX: usize = 8;
    let mut routes = [&b""[..]; ROUTES_MAX];
    let mut count = 0;
    for route in answer.values("Record-Route").take(ROUTES_MAX) {
        routes[count] = route;
        count += 1;
    }
    for route in routes[..count].iter().rev() {
        out.extend_from_slice(b"Route: ");
        out.extend_from_slice(route);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes a session description (RFC 4566) with what a desk phone offers, and before it the headers that it needs.
pub(super) fn write_session(out: &mut Vec<u8>, host: std::net::Ipv4Addr) {
    let mut body = Vec::with_capacity(300);
    body.extend_from_slice(b"v=0\r\no=- 20817 20817 IN IP4 ");
    super::roster::write_host(&mut body, host);
    body.extend_from_slice(b"\r\ns=call\r\nc=IN IP4 ");
    super::roster::write_host(&mut body, host);
    body.extend_from_slice(
        b"\r\nt=0 0\r\nm=audio 11780 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n\
          a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n\
          a=sendrecv\r\n",
    );
    out.extend_from_slice(b"Content-Type: application/sdp\r\nContent-Length: ");
    write_decimal(out, body.len() as u32);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_what_its_request_had_and_a_tag() {
        let request = b"NOTIFY sip:a SIP/2.0\r\nVia: SIP/2.0/UDP e;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP f\r\n\
            Record-Route: <sip:e;lr>\r\nFrom: <sip:e>;tag=1\r\nTo: <sip:a>\r\nCall-ID: c\r\nCSeq: 7 NOTIFY\r\n\
            Event: check-sync\r\nContent-Length: 0\r\n\r\n";
        let mut out = Vec::new();

        write_answer(&mut out, &Heard::read(request).unwrap(), "200 OK", 10, write_empty);

        assert_eq!(
            str::from_utf8(&out).unwrap(),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP e;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP f\r\nRecord-Route: <sip:e;lr>\r\n\
             From: <sip:e>;tag=1\r\nTo: <sip:a>;tag=callee0000000a\r\nCall-ID: c\r\nCSeq: 7 NOTIFY\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_dialog_goes_back_the_way_it_came() {
        let answer = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP e\r\nRecord-Route: <sip:e;lr>\r\nRecord-Route: <sip:f;lr>\r\n\
            From: <sip:b>;tag=2\r\nTo: <sip:a>;tag=1\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:a@h:1>;x\r\n\r\n";
        let answer = Heard::read(answer).unwrap();
        let mut out = Vec::new();

        write_target(&mut out, &answer);
        out.push(b' ');
        write_routes(&mut out, &answer);

        assert_eq!(str::from_utf8(&out), Ok("sip:a@h:1 Route: <sip:f;lr>\r\nRoute: <sip:e;lr>\r\n"));
    }
}
