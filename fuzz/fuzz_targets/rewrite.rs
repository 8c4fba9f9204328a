//! Any message and any edits as a proxy makes them: what is written is a message, and what was not named is as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::{Limits, Message, Name, Rewrite};

const NAMES: [Name; 8] = [
    Name::Via,
    Name::Route,
    Name::RecordRoute,
    Name::Contact,
    Name::Supported,
    Name::ProxyAuthorization,
    Name::PAssertedIdentity,
    Name::Subject,
];

fuzz_target!(|octets: &[u8]| {
    // Edits first, an octet each, up to the first zero; the message behind it.
    let Some(end) = octets.iter().take(16).position(|octet| *octet == 0) else { return };
    let (edits, octets) = (&octets[..end], &octets[end + 1..]);
    let limits = Limits::default();
    let Ok(message) = Message::parse(octets, &limits) else { return };
    let mut touched = Vec::new();
    let mut rewrite = Rewrite::new(&message);
    for edit in edits {
        let name = NAMES[usize::from(edit & 7)];
        touched.push(name);
        match edit >> 3 & 7 {
            0 => drop(rewrite.prepend(name, b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKfuzz")),
            1 => drop(rewrite.append(name, b"<sip:192.0.2.1;lr>")),
            2 => drop(rewrite.remove_all(name)),
            3 => drop(rewrite.remove_first_value(name)),
            4 => drop(rewrite.set(name, b"a\r\nInjected: b")),
            5 => drop(rewrite.set_body(b"text/plain", b"a body")),
            6 => drop(rewrite.set_decimal(Name::MaxForwards, 69)),
            _ => {
                if let Ok(via) = message.top_via() {
                    rewrite.set_received(&via, ([192, 0, 2, 7], 32_000).into());
                    touched.push(Name::Via);
                }
            }
        }
    }
    let mut out = Vec::new();

    rewrite.write(&mut out);

    if out.len() > limits.message_max {
        return;
    }
    let Ok(written) = Message::parse(&out, &limits) else {
        // Lines were added to a head that was full.
        assert!(message.fields().count() + edits.len() + 2 > limits.headers_max || out.len() > 60_000);
        return;
    };
    assert_eq!(written.bytes().len(), out.len(), "nothing is left over to be read as another message");
    assert_eq!(written.start_line(), message.start_line());
    assert!(!written.fields().any(|field| field.line.starts_with(b"Injected")));
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
        assert!(written.headers(name).eq(message.headers(name)), "{name} was not named");
    }
    for name in NAMES.into_iter().filter(|name| !touched.contains(name)) {
        assert!(written.headers(name).eq(message.headers(name)), "{name} was not named");
    }
});
