//! Any octets as a stream: it is cut into the same messages however it arrives, and each of them is one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::{Frame, Framer, Limits, Message};

/// What a stream comes to: lengths of messages and of line breaks between them, and whether it was given up.
fn frames(octets: &[u8], step: usize) -> Vec<(char, usize)> {
    let limits = Limits::default();
    let (mut framer, mut used, mut seen) = (Framer::new(), 0, Vec::new());
    let mut there = 0;
    while there < octets.len() {
        there = (there + step).min(octets.len());
        loop {
            match framer.frame(&octets[used..there], &limits) {
                Frame::Message { len } => {
                    assert!(len > 0 && used + len <= there);
                    // What was framed has one end; whether it is good is another question.
                    if let Ok(message) = Message::parse(&octets[used..used + len], &limits) {
                        assert_eq!(message.bytes().len() + leading(&octets[used..]), len);
                    }
                    seen.push(('m', len));
                    used += len;
                }
                Frame::KeepAlive { len, .. } => {
                    assert!(len > 0 && used + len <= there);
                    used += len;
                }
                Frame::NeedMore { total } => {
                    assert!(total.is_none_or(|total| total > there - used));
                    break;
                }
                Frame::Refuse { head_len, .. } => {
                    assert!(head_len.is_none_or(|head| head <= there - used));
                    seen.push(('x', used));
                    return seen;
                }
            }
        }
    }
    seen
}

/// Line breaks before a start line (RFC 3261 §7.5).
fn leading(octets: &[u8]) -> usize {
    octets.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count()
}

fuzz_target!(|octets: &[u8]| {
    let Some((step, octets)) = octets.split_first() else { return };

    assert_eq!(frames(octets, octets.len().max(1)), frames(octets, usize::from(*step).max(1)));
});
