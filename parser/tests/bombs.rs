//! Input made to hurt, of any length, and a reader that leaves nothing of it unread. The tests show that its cost grows
//! with its length and no faster; the benchmark of the parser says what an octet of it costs.

use sip::{Frame, Framer, Limits, Message, Uri};

/// No bounds but those of a datagram: what is measured is the cost of the grammars, not that of a refusal.
pub(crate) const UNBOUNDED: Limits = Limits { headers_max: usize::MAX, ..Limits::liberal() };

/// The head of every bomb that is a request.
const HEAD: &str = "INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\n\
                    To: <sip:b@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n";

/// What bombs are made of: a name, what stands before the part that repeats, that part, and what stands behind it.
const BOMBS: [(&str, &str, &str, &str); 22] = [
    ("headers", "", "X: y\r\n", ""),
    ("headers of one name", "", "To: <sip:a@a>\r\n", ""),
    ("Vias in one line", "Via: SIP/2.0/UDP a", ", SIP/2.0/UDP a;branch=b", "\r\n"),
    ("Vias in many lines", "", "v: SIP/2.0/UDP a;branch=b\r\n", ""),
    ("Contacts in one line", "Contact: <sip:a@a>", ",<sip:a@a>", "\r\n"),
    ("Routes in many lines", "", "Route: <sip:a;lr>\r\n", ""),
    ("parentheses", "Contact: ", "(", "\r\n"),
    ("quotes", "Contact: ", "\"\\", "\r\n"),
    ("quoted strings", "Contact: <sip:a@a>", ";a=\"\\\"\"", "\r\n"),
    ("quotes never closed", "", "Contact: \"a\r\n", ""),
    ("brackets", "Contact: ", "<", "\r\n"),
    ("commas in Contact", "Contact: <sip:a@a>", ",", "\r\n"),
    ("commas in Supported", "Supported: ", ",", "\r\n"),
    ("header parameters", "Contact: <sip:a@a>", ";a", "\r\n"),
    ("folds", "Subject: a", "\r\n ", "a\r\n"),
    ("white space", "Contact: <sip:a@a>", " ", ";a\r\n"),
    ("URI parameters", "Contact: <sip:a@a", ";a", ">\r\n"),
    ("auth parameters", "Authorization: Digest a=b", ",a=b", "\r\n"),
    ("escapes", "Contact: <sip:", "%61", "@a>\r\n"),
    ("zeros", "Max-Forwards: ", "0", "70\r\n"),
    ("colons", "", ":", "\r\n"),
    ("controls", "Subject: ", "\x0b\x0c", "\r\n"),
];

/// The bombs by name, each of `octets` octets or as few less as the part that repeats has, and noise.
pub(crate) fn bombs(octets: usize) -> Vec<(&'static str, Vec<u8>)> {
    let requests = BOMBS.iter().map(|&(name, before, part, behind)| {
        let rest = HEAD.len() + before.len() + behind.len() + 2;
        let parts = part.repeat(octets.saturating_sub(rest) / part.len());
        (name, [HEAD, before, &parts, behind, "\r\n"].concat().into_bytes())
    });
    let noise = ("noise", b"\0\r\x01\n".repeat(octets / 4));
    requests.chain([noise]).collect()
}

/// Reads everything there is to read.
pub(crate) fn read_all(bytes: &[u8], limits: &Limits) {
    let _ = Message::salvage(bytes, limits).map(|message| read_views(&message));
    if let Ok(message) = Message::parse(bytes, limits) {
        assert!(message.bytes().len() <= bytes.len());
        read_views(&message);
    }
    let mut framer = Framer::new();
    if let Frame::Message { len } | Frame::KeepAlive { len, .. } = framer.frame(bytes, limits) {
        assert!(0 < len && len <= bytes.len());
    }
}

fn read_views(message: &Message<'_>) {
    let _ = message.validate();
    let _ = (message.event(), message.subscription_state(), message.body(), message.head());
    let _ = (message.expires(), message.min_expires(), message.retry_after(), message.content_length());
    message.vias().for_each(drop);
    message.contacts().for_each(drop);
    let _ = Uri::parse(message.request_uri()).map(|uri| uri.matches(&uri));
    let mut seen = Vec::new();
    for field in message.fields() {
        assert!(field.line.ends_with(b"\n"));
        if seen.contains(&field.name) {
            continue;
        }
        seen.push(field.name);
        message.addresses(field.name).for_each(drop);
        message.option_tags(field.name).for_each(drop);
        message.credentials(field.name).for_each(drop);
        message.challenges(field.name).for_each(drop);
        if let Ok(addr) = message.address(field.name) {
            let _ = addr.uri().map(|uri| uri.user_unescaped().len());
            addr.params.iter().for_each(drop);
        }
    }
}
