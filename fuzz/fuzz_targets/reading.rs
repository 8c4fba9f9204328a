//! Two readings of one message: what its views say, written anew in the plainest way, is read again and says the same; and
//! a response made of it finds its request.

#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use sip::{Compose, ContactValue, Limits, Mandatory, Message, Name, ResponseOptions};

/// All that a proxy and a registrar act on, as text.
fn facts(message: &Message<'_>, headers: &Mandatory<'_>) -> String {
    let mut text = String::new();
    let Mandatory { via, from, to, call_id, cseq, max_forwards, .. } = headers;
    let _ = writeln!(text, "{:?} {:?}", message.start_line(), max_forwards);
    let _ = writeln!(text, "{:?} {:?} {:?} {:?}", via.transport, via.host, via.port, via.branch);
    for addr in [from, to] {
        let _ = writeln!(text, "{:?} {:?} {:?}", addr.display, addr.uri_raw, addr.tag());
    }
    let _ = writeln!(text, "{call_id:?} {cseq:?} {:?}", message.expires());
    for route in message.routes().map_while(Result::ok) {
        let _ = writeln!(text, "{:?}", route.uri_raw);
    }
    for contact in message.contacts().map_while(Result::ok) {
        let _ = match contact {
            ContactValue::Star => writeln!(text, "*"),
            ContactValue::Contact(it) => {
                writeln!(text, "{:?} {:?} {:?} {:?}", it.addr.uri_raw, it.q, it.expires, it.instance)
            }
        };
    }
    text + &format!("{:?}", message.body())
}

fuzz_target!(|octets: &[u8]| {
    let limits = Limits::default();
    let Ok(message) = Message::parse(octets, &limits) else { return };
    let Ok(headers) = message.validate() else { return };
    let Some(method) = message.method() else { return };

    let mut again = [method.as_bytes(), b" ", message.request_uri(), b" SIP/2.0\r\n"].concat();
    // Each value gets a line of its own, with its folds made spaces.
    let mut line = |name: &str, value: &[u8]| {
        let value: Vec<u8> =
            value.iter().map(|octet| if matches!(octet, b'\r' | b'\n') { b' ' } else { *octet }).collect();
        again.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
    };
    message.vias().map_while(Result::ok).for_each(|via| line("Via", via.raw));
    line("From", headers.from.raw);
    line("To", headers.to.raw);
    line("Call-ID", headers.call_id);
    line(
        "CSeq",
        &[headers.cseq.number.to_string().as_bytes(), b" ", headers.cseq.method.as_bytes()].concat(),
    );
    if let Some(hops) = headers.max_forwards {
        line("Max-Forwards", hops.to_string().as_bytes());
    }
    if let Some(expires) = message.header(Name::Expires) {
        line("Expires", expires);
    }
    message.routes().map_while(Result::ok).for_each(|route| line("Route", route.raw));
    message.contacts().map_while(Result::ok).for_each(|contact| match contact {
        ContactValue::Star => line("Contact", b"*"),
        ContactValue::Contact(contact) => line("Contact", contact.addr.raw),
    });
    line("Content-Length", message.body().len().to_string().as_bytes());
    again.extend_from_slice(b"\r\n");
    again.extend_from_slice(message.body());
    if let Ok(second) = Message::parse(&again, &limits) {
        let second_headers = second.validate().expect("what was right stays right");
        // Octets are shown by their numbers.
        let unfolded = |text: String| text.replace("13, 10, ", "32, 32, ");
        assert_eq!(unfolded(facts(&message, &headers)), unfolded(facts(&second, &second_headers)));
    } else {
        // Each value has a line of its own now, so there may be too many of them.
        assert!(again.len() > 60_000 || again.split(|octet| *octet == b'\n').count() > limits.headers_max);
    }

    let mut out = Vec::new();
    let options = ResponseOptions {
        source: Some(([192, 0, 2, 1], 5060).into()),
        to_tag: Some(b"tag"),
        record_route: true,
    };
    Compose::response(&mut out, &message, 486, "Busy Here", &options).finish();
    if out.len() > 60_000 {
        return;
    }
    let response = Message::parse(&out, &limits).expect("what we write, we read");
    let answered = response.validate().expect("and it is right");
    assert_eq!(response.bytes().len(), out.len());
    assert_eq!((answered.via.host, answered.via.branch), (headers.via.host, headers.via.branch));
    assert_eq!(
        (answered.call_id, answered.cseq, answered.from.raw),
        (headers.call_id, headers.cseq, headers.from.raw)
    );
    assert_eq!(response.vias().count(), message.vias().count());
});
