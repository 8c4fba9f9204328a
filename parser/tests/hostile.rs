//! Input made to hurt: nothing panics, nothing costs more than its length.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sip::{Frame, Framer, Limits, Message, Name, Uri};

use crate::torture::{expectations, rfc4475};

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

fn request(headers: &str) -> Vec<u8> {
    format!(
        "INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n\
         Call-ID: x\r\nCSeq: 1 INVITE\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// The bombs, each `scale` times as big as the first.
fn bombs(scale: usize) -> Vec<(&'static str, Vec<u8>)> {
    let times = |text: &str, count: usize| text.repeat(count * scale);
    vec![
        ("headers", request(&times("X: y\r\n", 500))),
        ("vias in one line", request(&format!("Via: a{}\r\n", times(", SIP/2.0/UDP a;branch=b", 200)))),
        ("vias in many lines", request(&times("v: SIP/2.0/UDP a;branch=b\r\n", 200))),
        ("parentheses", request(&format!("Contact: {}\r\n", times("(", 3_000)))),
        ("quotes", request(&format!("Contact: {}\r\n", times("\"\\", 3_000)))),
        ("brackets", request(&format!("Contact: {}\r\n", times("<", 3_000)))),
        ("commas", request(&format!("Supported: {}\r\n", times(",", 3_000)))),
        ("header parameters", request(&format!("Contact: <sip:a@a>{}\r\n", times(";a", 2_500)))),
        ("folds", request(&format!("Subject: {}\r\n", times("\r\n ", 2_000)))),
        ("uri parameters", request(&format!("Contact: <sip:a@a{}>\r\n", times(";a", 2_500)))),
        ("auth parameters", request(&format!("Authorization: Digest a=b{}\r\n", times(",a=b", 1_500)))),
        ("escapes", request(&format!("Contact: <sip:{}@a>\r\n", times("%61", 2_000)))),
        ("colons", request(&format!("{}\r\n", times(":", 6_000)))),
        ("binary", times("\0\r\x01\n", 1_500).into_bytes()),
    ]
}

/// The least time of some rounds in which `bytes` is read `runs` times, so that what else the machine does
/// counts little.
fn least_time(bytes: &[u8], runs: usize, limits: &Limits) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "time is what is measured here")]
    let now = Instant::now;
    let round = |_| {
        let start = now();
        (0..runs).for_each(|_| read_all(bytes, limits));
        start.elapsed()
    };
    (0..15).map(round).min().expect("there were rounds")
}

#[test]
fn ten_times_the_input_costs_about_ten_times_as_much() {
    // All bounds off: what is shown is the cost of the grammars.
    let limits = Limits { headers_max: usize::MAX, ..Limits::default() };
    for ((name, small), (_, big)) in bombs(1).into_iter().zip(bombs(10)) {
        let (ten_small, big) = (least_time(&small, 10, &limits), least_time(&big, 1, &limits));

        // Something quadratic would take ten times as long.
        assert!(big < ten_small * 4, "{name}: ten small ones {ten_small:?}, a big one {big:?}");
    }
}

#[test]
fn a_peer_that_sends_octet_by_octet_costs_no_more() {
    let limits = Limits::default();
    let stream = [
        &request(&format!("Subject: {}\r\nContent-Length: 10000\r\n", "x".repeat(40_000)))[..],
        &[b'y'; 10_000],
    ]
    .concat();
    let mut framer = Framer::new();
    #[expect(clippy::disallowed_methods, reason = "time is what is measured here")]
    let start = Instant::now();

    for end in 1..stream.len() {
        assert!(matches!(framer.frame(&stream[..end], &limits), Frame::NeedMore { .. }));
    }

    assert_eq!(framer.frame(&stream, &limits), Frame::Message { len: stream.len() });
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_header_bomb_is_refused_by_the_limits() {
    let limits = Limits::default();

    for (name, bytes) in
        bombs(10).into_iter().filter(|(name, _)| ["headers", "vias in many lines"].contains(name))
    {
        let error = Message::parse(&bytes, &limits).expect_err("too many");

        assert_eq!(error.kind.status(), 513, "{name}");
    }
}

#[test]
fn many_vias_in_a_line_are_found_one_by_one() {
    let line = vec!["SIP/2.0/UDP a;branch=b"; 2_000].join(",");
    let bytes = format!("SIP/2.0 200 OK\r\nVia: {line}\r\n\r\n");

    let message = Message::parse(bytes.as_bytes(), &Limits::default()).expect("good");

    assert_eq!(message.vias().filter(|via| via.is_ok()).count(), 2_000);
    assert_eq!(message.values(Name::Via).count(), 2_000);
}

/// A torture message with some octets changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let messages: Vec<_> = expectations().iter().map(|(name, _)| rfc4475(name)).collect();
    let interesting = prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n \t:;,<>\"\\@%[]?=/*\0"[..])];
    let change = (any::<prop::sample::Index>(), 0..3_u8, interesting);
    (prop::sample::select(messages), prop::collection::vec(change, 1..12)).prop_map(|(mut bytes, changes)| {
        for (place, how, octet) in changes {
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = octet,
                1 => bytes.insert(at, octet),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes, &Limits::default());
        let _ = Uri::parse(&bytes);
    }

    #[test]
    fn mutated_messages_never_panic(bytes in mutated()) {
        read_all(&bytes, &Limits::default());
        read_all(&bytes, &Limits::strict());
    }

    #[test]
    fn a_cut_message_never_panics(place in any::<prop::sample::Index>(), message in 0..49_usize) {
        let bytes = rfc4475(&expectations()[message].0);
        read_all(&bytes[..place.index(bytes.len())], &Limits::default());
    }
}
