//! How deep a message is read: the three depths at which parsers are compared, and `httparse` beside them.
//!
//! L0 finds every header line and knows its name. L1 also reads the 22 facts a proxy works with. L2 reads every header
//! that has a type, all its values and their URIs. `httparse` reads the same octets behind an HTTP start line: it finds
//! lines and names and validates their octets, which is what L0 does.

use std::hint::black_box;

use sip::{ContactValue, Host, Limits, Message, Method, Name, NameAddr, ParseError, StartLine, Uri};

/// The eight messages of desk phones, 537 to 1,078 octets, by name.
pub const MESSAGES: [(&str, &[u8]); 8] = [
    ("bye-grandstream", include_bytes!("../../parser/tests/phones/bye-grandstream.sip")),
    ("invite-yealink", include_bytes!("../../parser/tests/phones/invite-yealink.sip")),
    ("notify-message-summary", include_bytes!("../../parser/tests/phones/notify-message-summary.sip")),
    ("ok-snom", include_bytes!("../../parser/tests/phones/ok-snom.sip")),
    ("register-cisco", include_bytes!("../../parser/tests/phones/register-cisco.sip")),
    ("register-snom", include_bytes!("../../parser/tests/phones/register-snom.sip")),
    ("register-yealink", include_bytes!("../../parser/tests/phones/register-yealink.sip")),
    ("subscribe-polycom", include_bytes!("../../parser/tests/phones/subscribe-polycom.sip")),
];

/// Header lines that any of the parsers makes room for.
const LINES_MAX: usize = 64;

/// The same text with an HTTP start line: method and URI stay, the version changes.
///
/// # Panics
/// If the message has no line or no SIP version in it; the eight have.
pub fn as_http(message: &[u8]) -> Vec<u8> {
    let end = message.iter().position(|octet| *octet == b'\n').expect("a message has a start line");
    let (line, rest) = message.split_at(end);
    let line = std::str::from_utf8(line).expect("start lines are ASCII");
    assert!(line.contains("SIP/2.0"), "a start line names its version");
    [line.replace("SIP/2.0", "HTTP/1.1").as_bytes(), rest].concat()
}

/// Reads `text` as HTTP; returns how many header lines there are.
///
/// # Panics
/// If it is no HTTP message.
#[inline(never)]
pub fn http(text: &[u8]) -> usize {
    let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
    if text.starts_with(b"HTTP/") {
        let mut response = httparse::Response::new(&mut lines);
        response.parse(text).expect("an HTTP response");
        black_box(&response).headers.len()
    } else {
        let mut request = httparse::Request::new(&mut lines);
        request.parse(text).expect("an HTTP request");
        black_box(&request).headers.len()
    }
}

/// L0: all header bounds and name ids.
///
/// # Panics
/// If it is no SIP message.
#[inline(never)]
pub fn l0(bytes: &[u8]) -> Message<'_> {
    Message::parse(bytes, &Limits::default()).expect("a SIP message")
}

/// The 22 facts a proxy works with.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Topmost Via: host, port, branch.
    pub via: (Host<'a>, Option<u16>, Option<&'a [u8]>),
    /// From: user, host, tag.
    pub from: Party<'a>,
    /// To: user, host, tag.
    pub to: Party<'a>,
    /// Call-ID.
    pub call_id: &'a [u8],
    /// CSeq: number, method.
    pub cseq: (u32, Method<'a>),
    /// First Contact: host, port, expires, instance.
    pub contact: Option<Reach<'a>>,
    /// Expires.
    pub expires: Option<u32>,
    /// Max-Forwards.
    pub max_forwards: Option<u8>,
    /// Topmost Route: host, port.
    pub route: Option<(Host<'a>, Option<u16>)>,
    /// Request-URI: user, host.
    pub request_uri: Option<(Option<&'a [u8]>, Host<'a>)>,
    /// Status of a response.
    pub status: Option<u16>,
}

/// Host, port, expires and instance of a Contact.
pub type Reach<'a> = (Host<'a>, Option<u16>, Option<u32>, Option<&'a [u8]>);

/// User, host and tag of From or To.
pub type Party<'a> = (Option<&'a [u8]>, Host<'a>, Option<&'a [u8]>);

/// L1: L0 and the facts.
///
/// # Errors
/// One of them cannot be read.
#[inline(never)]
pub fn l1(bytes: &[u8]) -> Result<Facts<'_>, ParseError> {
    let message = Message::parse(bytes, &Limits::default())?;
    let via = message.top_via()?;
    let cseq = message.cseq()?;
    let contact = match message.contacts().next().transpose()? {
        Some(ContactValue::Contact(contact)) => {
            let uri = contact.addr.uri()?;
            Some((uri.host, uri.port, contact.expires, contact.instance))
        }
        Some(ContactValue::Star) | None => None,
    };
    let route = match message.routes().next().transpose()? {
        Some(route) => route.uri().map(|uri| Some((uri.host, uri.port)))?,
        None => None,
    };
    let request_uri = match message.start_line() {
        StartLine::Request { uri, .. } => Uri::parse(uri).map(|uri| Some((uri.user, uri.host)))?,
        StartLine::Status { .. } => None,
    };
    Ok(Facts {
        via: (via.host, via.port, via.branch),
        from: party(&message.from()?)?,
        to: party(&message.to()?)?,
        call_id: message.call_id()?,
        cseq: (cseq.number, cseq.method),
        contact,
        expires: message.expires(),
        max_forwards: message.max_forwards()?,
        route,
        request_uri,
        status: message.status(),
    })
}

fn party<'a>(address: &NameAddr<'a>) -> Result<Party<'a>, ParseError> {
    let uri = address.uri()?;
    Ok((uri.user, uri.host, address.tag()))
}

/// L2: L0 and every header that has a type; returns how many values were read.
///
/// # Errors
/// One of them cannot be read.
#[inline(never)]
pub fn l2(bytes: &[u8]) -> Result<usize, ParseError> {
    let message = Message::parse(bytes, &Limits::default())?;
    let mut values = 0;
    if let StartLine::Request { uri, .. } = message.start_line() {
        black_box(Uri::parse(uri)?);
        values += 1;
    }
    for via in message.vias() {
        black_box(via?);
        values += 1;
    }
    for name in [Name::From, Name::To] {
        let address = message.address(name)?;
        black_box((address.uri()?, address.tag()));
        values += 1;
    }
    for name in [Name::Route, Name::RecordRoute] {
        for address in message.addresses(name) {
            black_box(address?.uri()?);
            values += 1;
        }
    }
    for contact in message.contacts() {
        if let ContactValue::Contact(contact) = contact? {
            black_box((contact.addr.uri()?, contact.expires, contact.q, contact.instance));
        }
        values += 1;
    }
    for name in [Name::Authorization, Name::ProxyAuthorization] {
        for credentials in message.credentials(name) {
            black_box(credentials?);
            values += 1;
        }
    }
    for name in [Name::Allow, Name::AllowEvents, Name::Supported, Name::Require, Name::ProxyRequire] {
        for token in message.option_tags(name) {
            black_box(token);
            values += 1;
        }
    }
    black_box((message.call_id()?, message.cseq()?, message.max_forwards()?, message.content_length()));
    black_box((message.expires(), message.min_expires(), message.retry_after()));
    black_box((message.event()?, message.subscription_state()?));
    // What has no type of its own: Content-Type, User-Agent and the like are octets to a proxy.
    for field in message.fields() {
        black_box((field.name, field.value));
        values += 1;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_depth_reads_the_eight_messages() {
        for (name, bytes) in MESSAGES {
            let lines = l0(bytes).fields().count();

            assert_eq!(http(&as_http(bytes)), lines, "{name}");
            assert!(l1(bytes).is_ok(), "{name}");
            assert!(l2(bytes).is_ok_and(|values| values > lines), "{name}");
        }
    }

    #[test]
    fn the_facts_of_a_register_are_found() {
        let (_, bytes) = MESSAGES[5];

        let facts = l1(bytes).unwrap();

        assert_eq!(facts.from.0, Some(&b"desk-1"[..]));
        assert_eq!((facts.cseq.0, facts.expires, facts.max_forwards), (4711, Some(3600), Some(70)));
        assert!(facts.contact.is_some_and(|(_, port, _, instance)| port == Some(5060) && instance.is_some()));
    }
}
