//! Any octets as a message: every view is read, and what is forwarded can be read again and says the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let limits = sip::Limits::default();
    let Ok(message) = sip::Message::parse(octets, &limits) else {
        // What is refused must still be answerable or not, never fatal.
        let _ = sip::Message::salvage(octets, &limits);
        return;
    };
    let valid = message.validate().is_ok();
    message.vias().for_each(drop);
    message.contacts().for_each(drop);
    message.routes().for_each(drop);
    message.record_routes().for_each(drop);
    message.credentials(sip::Name::Authorization).for_each(drop);
    let _ = (message.expires(), message.max_forwards(), message.event());

    let mut forwarded = Vec::new();
    let mut rewrite = sip::Rewrite::new(&message);
    rewrite.prepend(sip::Name::Via, b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKfuzz");
    rewrite.write(&mut forwarded);
    if valid {
        let again = sip::Message::parse(&forwarded, &limits).expect("what is valid stays readable");
        assert_eq!(again.call_id().ok(), message.call_id().ok());
        assert_eq!(again.body(), message.body());
        assert_eq!(again.vias().count(), message.vias().count() + 1);
    }
});
