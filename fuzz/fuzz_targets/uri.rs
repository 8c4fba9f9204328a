//! Any octets as a URI, an address, a Via, credentials: every part lies within, and reads the same on its own.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::{CSeq, Challenge, Credentials, Event, Host, NameAddr, SubscriptionState, Uri, Via};

fn is_within(part: &[u8], whole: &[u8]) {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    assert!(part.is_empty() || (whole.start <= part.start && part.end <= whole.end));
}

/// As it is written into another message.
fn blanked(value: &[u8]) -> Vec<u8> {
    value.iter().map(|octet| if matches!(octet, b'\r' | b'\n' | 0) { b' ' } else { *octet }).collect()
}

fuzz_target!(|octets: &[u8]| {
    if let Ok(uri) = Uri::parse(octets) {
        assert_eq!(uri.raw, octets);
        let parts = [uri.user, uri.password, Some(uri.host.raw()), Some(uri.headers), Some(uri.params.raw())];
        parts.into_iter().flatten().for_each(|part| is_within(part, octets));
        uri.params.iter().for_each(|(name, value)| {
            is_within(name, octets);
            is_within(value.unwrap_or_default(), octets);
        });
        assert!(uri.user_unescaped().len() <= uri.user.unwrap_or_default().len());
        assert!(uri.matches(&uri), "a URI equals itself (RFC 3261 §19.1.4)");
        if let Some(host) = Host::from_bytes(uri.host.raw()) {
            assert_eq!(host, uri.host);
        }
        let quoted = [b"<", octets, b">"].concat();
        let addr = NameAddr::parse(&quoted).map(|addr| addr.uri_raw.to_vec());
        assert_eq!(addr.as_deref().ok(), Some(octets), "what is a URI may stand in angle brackets");
    }
    if let Ok(addr) = NameAddr::parse(octets) {
        is_within(addr.uri_raw, octets);
        is_within(addr.addr_raw, octets);
        is_within(addr.display.unwrap_or_default(), octets);
        is_within(addr.tag().unwrap_or_default(), octets);
        let _ = addr.uri();
    }
    if let Ok(via) = Via::parse(octets) {
        is_within(via.host.raw(), octets);
        let mut out = Vec::new();
        via.write_received(([192, 0, 2, 1], 5060).into(), &mut out);
        let again = Via::parse(&out).expect("what the source was put into is a Via");
        assert_eq!((again.host, again.port), (via.host, via.port));
        assert_eq!(
            again.branch,
            via.branch.map(blanked).as_deref(),
            "but for what would end a line, which is blanked out"
        );
        assert!(again.received_ip().is_none_or(|ip| ip == std::net::Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(again.maddr(), None);
    }
    if let Ok(cseq) = CSeq::parse(octets) {
        let written = format!("{} ", cseq.number)
            .into_bytes()
            .into_iter()
            .chain(cseq.method.as_bytes().iter().copied());
        let written: Vec<u8> = written.collect();
        assert_eq!(CSeq::parse(&written), Ok(cseq));
    }
    if let Ok(credentials) = Credentials::parse(octets) {
        let _ = (credentials.username(), credentials.nc(), credentials.response());
    }
    if let Ok(challenge) = Challenge::parse(octets) {
        let _ = (challenge.nonce(), challenge.is_stale());
    }
    let _ = (Event::parse(octets), SubscriptionState::parse(octets));
});
