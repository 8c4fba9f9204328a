//! Input made to hurt: nothing panics, nothing costs more than its length.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sip::{Frame, Framer, Limits, Message, Name, Uri};

use crate::bombs::{UNBOUNDED, bombs, read_all};
use crate::torture::{expectations, rfc4475};

fn request(headers: &str) -> Vec<u8> {
    format!(
        "INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n\
         Call-ID: x\r\nCSeq: 1 INVITE\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// What reading a bomb of 64 KiB may take: 50 ms, or a second where the compiler has optimised nothing.
const BOMB_TIME_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 50 });
/// Rounds in which times are taken. The least of them counts, so that what else the machine does counts little.
const ROUNDS: core::ops::RangeInclusive<usize> = 3..=30;

/// What it takes to read `bytes` as often as that.
fn time(bytes: &[u8], runs: usize) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "time is what is measured here")]
    let now = Instant::now;
    let start = now();
    (0..runs).for_each(|_| read_all(bytes, &UNBOUNDED));
    start.elapsed()
}

#[test]
fn sixteen_times_the_input_costs_about_sixteen_times_as_much() {
    for ((name, small), (_, big)) in bombs(4 * 1_024).into_iter().zip(bombs(64 * 1_024 - 1)) {
        let (mut of_sixteen_small, mut of_big) = (Duration::MAX, Duration::MAX);
        // Something quadratic would take sixteen times as long.
        let is_linear = (1..=*ROUNDS.end()).any(|round| {
            of_sixteen_small = of_sixteen_small.min(time(&small, 16));
            of_big = of_big.min(time(&big, 1));
            round >= *ROUNDS.start() && of_big < of_sixteen_small * 4 && of_big < BOMB_TIME_MAX
        });

        assert!(is_linear, "{name}: sixteen small ones {of_sixteen_small:?}, a big one {of_big:?}");
    }
}

#[test]
fn bombs_have_the_length_they_are_asked_for() {
    for octets in [4 * 1_024, 64 * 1_024 - 1] {
        for (name, bytes) in bombs(octets) {
            assert!((octets - 64..=octets).contains(&bytes.len()), "{name}: {}", bytes.len());
        }
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

    for (name, bytes) in bombs(64 * 1_024 - 1) {
        if !["headers", "headers of one name", "Vias in many lines", "Routes in many lines"].contains(&name) {
            continue;
        }
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
