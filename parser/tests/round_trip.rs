//! What is composed is parsed again; what is rewritten differs only in what was named.

use proptest::prelude::*;
use sip::{Compose, Limits, Message, Method, Name, ResponseOptions, Rewrite, Scheme, Uri};

use crate::bombs::read_all;
use crate::samples::messages;
use crate::torture::{expectations, rfc4475};

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,20}"
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}(\\.[a-z]{1,6}){0,2}",
        any::<[u8; 4]>().prop_map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        any::<u128>().prop_map(|bits| format!("[{}]", std::net::Ipv6Addr::from(bits))),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![3 => 0x20..=0x7e_u8, 1 => any::<u8>()], 0..60)
}

fn good_messages() -> Vec<Vec<u8>> {
    let torture = expectations()
        .into_iter()
        .filter(|(_, class)| matches!(class, 'V' | 'S'))
        .map(|(name, _)| rfc4475(&name));
    torture.chain(messages().into_iter().map(|(_, bytes)| bytes)).collect()
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let message = Message::parse(bytes, &Limits::default()).expect("good");
    message.fields().map(|field| field.line.to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_composed_request_is_read_back(
        user in "[a-z0-9*.-]{1,12}",
        host in host(),
        port in prop::option::of(any::<u16>()),
        call_id in "[!-~]{1,30}",
        number in any::<u32>(),
        tag in token(),
        subject in value(),
        own in token(),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let uri = format!("sip:{user}@{host}{port}");
        let mut out = Vec::new();

        let mut request = Compose::request(&mut out, "MESSAGE", uri.as_bytes());
        request.header_fmt(Name::Via, format_args!("SIP/2.0/UDP {host}{port};branch=z9hG4bK{tag}"));
        request.header_parts(Name::From, &[b"\"A, <B>\" <", uri.as_bytes(), b">;tag=", tag.as_bytes()]);
        request.header_parts(Name::To, &[uri.as_bytes()]);
        request.header(Name::CallId, call_id.as_bytes());
        request.header_fmt(Name::CSeq, format_args!("{number} MESSAGE"));
        request.header(Name::Subject, &subject);
        request.raw(format!("X-{own}").as_bytes(), &subject);
        request.body(b"text/plain", &body).finish();

        let message = Message::parse(&out, &Limits::default()).expect("what we write, we read");
        let facts = message.validate().expect("what we write is right");
        prop_assert_eq!(message.method(), Some(Method::Message));
        prop_assert_eq!(message.request_uri(), uri.as_bytes());
        prop_assert_eq!(facts.from.uri_raw, uri.as_bytes());
        prop_assert_eq!(facts.from.tag(), Some(tag.as_bytes()));
        prop_assert_eq!(facts.via.host.raw(), host.as_bytes());
        prop_assert_eq!(facts.call_id, call_id.as_bytes());
        prop_assert_eq!(facts.cseq.number, number);
        prop_assert_eq!(message.body(), &body[..]);
        prop_assert_eq!(message.fields().count(), 9);
    }

    #[test]
    fn a_response_is_read_back(
        bytes in prop::sample::select(good_messages()),
        code in 100..700_u16,
        reason in "\\PC{0,30}",
        source in any::<std::net::SocketAddr>(),
        tag in token(),
    ) {
        let request = Message::parse(&bytes, &Limits::default()).expect("good");
        let options = ResponseOptions { source: Some(source), to_tag: Some(tag.as_bytes()), record_route: true };
        let mut out = Vec::new();

        Compose::response(&mut out, &request, code, &reason, &options).finish();

        let response = Message::parse(&out, &Limits::default()).expect("what we write, we read");
        let (asked, answered) = (request.validate().expect("good"), response.validate().expect("what we write is right"));
        prop_assert_eq!(response.status(), Some(code));
        prop_assert_eq!(answered.via.branch, asked.via.branch);
        prop_assert_eq!(answered.via.host, asked.via.host);
        prop_assert_eq!(answered.via.maddr(), None);
        if let Some(received) = answered.via.received_ip() {
            prop_assert_eq!(received, source.ip().to_canonical());
        }
        prop_assert_eq!(response.vias().count(), request.vias().count());
        prop_assert_eq!(answered.from.raw, asked.from.raw);
        prop_assert_eq!(answered.call_id, asked.call_id);
        prop_assert_eq!(answered.cseq, asked.cseq);
        let expected = asked.to.tag().or(Some(tag.as_bytes()).filter(|_| code > 100));
        prop_assert_eq!(answered.to.tag(), expected);
    }

    #[test]
    fn a_rewrite_changes_only_what_it_names(
        bytes in prop::sample::select(good_messages()),
        via in value(),
        own in value(),
        remove in prop::sample::select(&[Name::Contact, Name::Route, Name::UserAgent, Name::Supported][..]),
    ) {
        let message = Message::parse(&bytes, &Limits::default()).expect("good");
        let mut rewrite = Rewrite::new(&message);
        rewrite.prepend(Name::Via, &via).append_raw(b"X-Ours", &own).remove_all(remove);
        let mut out = Vec::new();

        rewrite.write(&mut out);

        let rewritten = Message::parse(&out, &Limits::default()).expect("what we write, we read");
        prop_assert_eq!(rewritten.body(), message.body());
        prop_assert_eq!(rewritten.start_line(), message.start_line());
        prop_assert!(!rewritten.has(remove));
        let kept = message.fields().filter(|field| field.name != remove).map(|field| field.line.to_vec());
        let mut left = lines(&out);
        if !message.has(Name::ContentLength) {
            left.pop();
        }
        left.pop();
        let first_via = message.fields().filter(|field| field.name != remove).position(|field| field.name == Name::Via);
        left.remove(first_via.expect("there"));
        prop_assert_eq!(left, kept.collect::<Vec<_>>());
    }

    #[test]
    fn topmost_values_come_off_one_by_one(bytes in prop::sample::select(good_messages()), count in 1..5_usize) {
        let message = Message::parse(&bytes, &Limits::default()).expect("good");
        let values: Vec<_> = message.values(Name::Via).map(<[u8]>::to_vec).collect();
        let mut rewrite = Rewrite::new(&message);

        let removed = (0..count).filter(|_| rewrite.remove_first_value(Name::Via)).count();

        prop_assert_eq!(removed, count.min(values.len()));
        let mut out = Vec::new();
        rewrite.write(&mut out);
        let rewritten = Message::parse(&out, &Limits::default()).expect("what we write, we read");
        let left: Vec<_> = rewritten.values(Name::Via).map(<[u8]>::to_vec).collect();
        prop_assert_eq!(&left[..], &values[removed..]);
    }

    #[test]
    fn any_edits_leave_a_message(
        bytes in prop::sample::select(good_messages()),
        edits in prop::collection::vec((0..9_u8, any::<prop::sample::Index>(), value()), 0..12),
    ) {
        let message = Message::parse(&bytes, &Limits::default()).expect("good");
        let fields: Vec<_> = message.fields().collect();
        let via = message.top_via().expect("good");
        let mut rewrite = Rewrite::new(&message);
        for (edit, place, value) in &edits {
            let field = place.get(&fields);
            match edit {
                0 => drop(rewrite.set(field.name, value)),
                1 => drop(rewrite.remove_all(field.name)),
                2 => drop(rewrite.prepend(Name::RecordRoute, value)),
                3 => drop(rewrite.append(Name::Warning, value)),
                4 => drop(rewrite.remove_first_value(field.name)),
                5 => drop(rewrite.replace_span(field.value, value)),
                6 => drop(rewrite.set_body(b"text/plain", value)),
                7 => drop(rewrite.set_request_uri(value)),
                _ => drop(rewrite.set_received(&via, ([192, 0, 2, 1], 5060).into())),
            }
        }
        let mut out = Vec::new();

        rewrite.write(&mut out);

        read_all(&out, &Limits::default());
        // An empty Request-URI is the only edit that can break the shape of the head.
        if !edits.iter().any(|(edit, _, _)| *edit == 7 || *edit == 5) {
            let rewritten = Message::parse(&out, &Limits::default()).expect("what we write, we read");
            prop_assert_eq!(rewritten.bytes().len(), out.len());
            prop_assert!(rewritten.fields().count() <= message.fields().count() + edits.len() + 2);
        }
    }

    #[test]
    fn a_uri_is_read_back(
        user in prop::option::of("[A-Za-z0-9%&=+$,;?/*#_.!~()-]{1,12}"),
        host in host(),
        port in prop::option::of(any::<u16>()),
        params in prop::collection::vec((token(), prop::option::of("[a-z0-9:&+$/]{1,8}")), 0..5),
    ) {
        let mut text = String::from("sips:");
        if let Some(user) = &user {
            text += user;
            text.push('@');
        }
        text += &host;
        if let Some(port) = port {
            text += &format!(":{port}");
        }
        for (name, value) in &params {
            text.push(';');
            text += name;
            if let Some(value) = value {
                text.push('=');
                text += value;
            }
        }

        let uri = Uri::parse(text.as_bytes()).expect("good");

        prop_assert_eq!(uri.scheme, Scheme::Sips);
        prop_assert_eq!(uri.user, user.as_ref().map(String::as_bytes));
        prop_assert_eq!(uri.host.raw(), host.as_bytes());
        prop_assert_eq!(uri.port, port);
        let read: Vec<_> = uri.params.iter().collect();
        let written: Vec<_> =
            params.iter().map(|(name, value)| (name.as_bytes(), value.as_ref().map(String::as_bytes))).collect();
        prop_assert_eq!(read, written);
        prop_assert!(uri.matches(&Uri::parse(text.to_uppercase().replace("SIPS", "sips").as_bytes()).expect("good")) || user.is_some() || host.contains('%'));
    }
}
