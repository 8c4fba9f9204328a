//! Requests and responses in any order from two phones and a stranger, with time passing: the transaction layer and the cores
//! above it neither panic nor keep what has ended.

#![no_main]

use std::time::Duration;

use dataplane::testing::{Manner, Office};
use libfuzzer_sys::fuzz_target;

const METHODS: [&str; 8] = ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "MESSAGE", "PRACK", "TELEPORT"];
const CODES: [u16; 8] = [100, 180, 183, 200, 302, 401, 487, 603];
const SENDERS: [&str; 3] = ["soft-1", "soft-2", "stranger"];
const STEPS_MAX: usize = 64;

fuzz_target!(|octets: &[u8]| {
    let mut office = Office::new(1);
    office.own_phone("soft-1", "1001").own_phone("soft-2", "1002").peer("stranger", "198.51.100.66:5060");
    office["soft-2"].manner = Manner::Silent;

    let (steps, _) = octets.as_chunks::<4>();
    for &[what, which, number, more] in steps.iter().take(STEPS_MAX) {
        let sender = SENDERS[usize::from(which) % SENDERS.len()];
        let method = METHODS[usize::from(number & 7)];
        let cookie = if more & 1 == 0 { "z9hG4bK" } else { "" };
        let branch = format!("{cookie}{}", number >> 3 & 3);
        let tag = if more & 2 == 0 { "" } else { ";tag=2" };
        let request = |line: &str, via: &str| {
            format!(
                "{line}\r\n{via}From: <sip:1001@demo.hotdesk>;tag=1\r\nTo: <sip:1002@demo.hotdesk>{tag}\r\n\
                 Call-ID: fuzz\r\nCSeq: {} {method}\r\nContent-Length: 0\r\n\r\n",
                number >> 5
            )
        };
        match what & 7 {
            0..=2 => {
                let via = format!("Via: SIP/2.0/UDP 192.0.2.9;branch={branch}\r\n");
                let text = request(&format!("{method} sip:1002@demo.hotdesk SIP/2.0"), &via);
                office.throw(sender, text.as_bytes());
            }
            // A response to something the edge has sent, if there is any, else to nothing.
            3 | 4 => {
                let heard = office["soft-2"].heard().iter().rev().filter(|heard| heard.status().is_none());
                let vias = heard
                    .clone()
                    .nth(usize::from(more >> 4))
                    .map(|heard| heard.headers("Via").join("\r\nVia: "));
                let via = vias.map_or_else(String::new, |vias| format!("Via: {vias}\r\n"));
                let code = CODES[usize::from(more >> 2 & 7)];
                office.throw("soft-2", request(&format!("SIP/2.0 {code} Fuzz"), &via).as_bytes());
            }
            5 => {
                let call = office.dial("soft-1", "1002");
                if more & 4 == 0 {
                    office.hang_up(call);
                }
            }
            6 => office.advance(Duration::from_millis(u64::from(more) * 40)),
            _ => office.advance(Duration::from_secs(u64::from(more))),
        }
    }

    // Longer than Timer C and all that follows it.
    office.advance(Duration::from_secs(400));
    assert!(office.is_quiet(), "something is under way for ever");
});
