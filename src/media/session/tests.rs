use dataplane::flow::WorkerId;
use dataplane::media::SrtpKey;

use super::*;

fn session() -> Session {
    Session::new(SessionId { worker: WorkerId(0), call: 7 }, [0; 10], 0)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn connection() -> Connection {
    Connection {
        remote: address("192.0.2.1:4000"),
        codec: Codec::Pcmu,
        events: Some(101),
        sends: true,
        in_band: false,
        srtp: None,
    }
}

/// The octets sent as sound, where they went, and what was told, frame by frame.
fn frames(session: &mut Session, count: u64) -> (Vec<u8>, Vec<SocketAddr>, Vec<Heard>) {
    let (mut sound, mut to, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let mut packet = Vec::new();
    for n in 0..count {
        if let Some(address) = session.frame(20 * n, &mut packet, |heard| told.push(heard)) {
            assert_eq!(packet.len(), 172);
            sound.extend_from_slice(&packet[12..]);
            to.push(address);
        }
    }
    (sound, to, told)
}

fn packet(payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type, 0, 1];
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9]);
    packet.extend_from_slice(payload);
    packet
}

fn receive(session: &mut Session, from: &str, mut packet: Vec<u8>) -> (Counters, Vec<Heard>) {
    let (mut counters, mut told) = (Counters::default(), Vec::new());
    session.receive(0, address(from), &mut packet, &mut counters, |heard| told.push(heard));
    (counters, told)
}

const KEY_5: [u8; 4] = [5, 10, 0, 160];

#[test]
fn nothing_is_sent_or_heard_before_the_connection() {
    let mut session = session();
    session.play(&Prompts::shipped(), "en", &[Clip::Word("goodbye")], &mut Counters::default());

    assert_eq!(frames(&mut session, 100), (vec![], vec![], vec![]));
    let (counters, told) = receive(&mut session, "192.0.2.1:4000", packet(101, 0, &KEY_5));
    assert_eq!((counters.dropped_early, told), (1, vec![]));
}

#[test]
fn clips_follow_one_another_to_the_sample() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let prompts = Prompts::shipped();
        let mut session = session();
        session.connect(Connection { codec, ..connection() });
        let clips = [Clip::Word("logged-in"), Clip::Digit(b'1'), Clip::Pause(33), Clip::Digit(b'*')];

        session.play(&prompts, "de", &clips, &mut Counters::default());
        let (sound, _, told) = frames(&mut session, 400);

        let clip = |name| prompts.find("de", name).unwrap().octets(codec).to_vec();
        let mut expected =
            [clip("logged-in"), clip("digit-1"), vec![silence(codec); 264], clip("star")].concat();
        expected.resize(sound.len(), silence(codec));
        assert_eq!(sound.len(), 400 * FRAME_SAMPLES);
        assert_eq!(sound, expected);
        assert_eq!(told, [Heard::Played]);
    }
}

#[test]
fn what_plays_later_takes_the_place_of_what_plays() {
    let prompts = Prompts::shipped();
    let mut session = session();
    session.connect(connection());
    let play = |session: &mut Session, word| {
        session.play(&prompts, "en", &[Clip::Word(word)], &mut Counters::default());
    };

    play(&mut session, "enter-extension");
    assert_eq!(frames(&mut session, 3).2, []);
    play(&mut session, "goodbye");
    let (sound, _, told) = frames(&mut session, 100);
    play(&mut session, "goodbye");
    session.stop();
    let (silent, _, none) = frames(&mut session, 100);

    assert!(sound.starts_with(prompts.find("en", "goodbye").unwrap().octets(Codec::Pcmu)));
    assert_eq!((told, none), (vec![Heard::Played], vec![]));
    assert!(silent.iter().all(|octet| *octet == g711::SILENCE_MU));
}

#[test]
fn nothing_to_say_is_said_at_once() {
    let mut session = session();
    session.connect(connection());
    let mut counters = Counters::default();

    session.play(&Prompts::shipped(), "en", &[Clip::Word("no such clip")], &mut counters);

    assert_eq!(frames(&mut session, 2).2, [Heard::Played]);
    assert_eq!(counters.prompts_missing, 1);
}

#[test]
fn a_held_call_is_silent_and_goes_on_where_it_was() {
    let prompts = Prompts::shipped();
    let mut session = session();
    session.connect(connection());
    session.play(&prompts, "en", &[Clip::Word("enter-pin")], &mut Counters::default());
    let (mut sound, ..) = frames(&mut session, 10);

    session.connect(Connection { sends: false, ..connection() });
    let (held, ..) = frames(&mut session, 50);
    let key = receive(&mut session, "192.0.2.1:4000", packet(101, 0, &KEY_5)).1;
    session.connect(connection());
    let (rest, _, told) = frames(&mut session, 200);

    sound.extend(rest);
    assert!(held.is_empty());
    assert_eq!(key, [Heard::Key(b'5')]);
    assert!(sound.starts_with(prompts.find("en", "enter-pin").unwrap().octets(Codec::Pcmu)));
    assert_eq!(told, [Heard::Played]);
}

#[test]
fn sound_goes_to_where_the_phones_comes_from_until_the_next_connection() {
    let mut session = session();
    session.connect(connection());
    assert_eq!(frames(&mut session, 1).1, [address("192.0.2.1:4000")]);

    receive(&mut session, "203.0.113.9:6000", packet(0, 0, &[0xFF; 160]));
    let (spoofed, told) = receive(&mut session, "203.0.113.66:6000", packet(101, 0, &KEY_5));
    let after = frames(&mut session, 1).1;
    session.connect(Connection { codec: Codec::Pcma, ..connection() });
    let same = frames(&mut session, 1).1;
    session.connect(Connection { remote: address("192.0.2.2:4000"), ..connection() });
    let moved = frames(&mut session, 1).1;

    assert_eq!((spoofed.dropped_stranger, spoofed.packets_received, told), (1, 0, vec![]));
    assert_eq!(after, [address("203.0.113.9:6000")]);
    assert_eq!([same, moved], [[address("192.0.2.1:4000")], [address("192.0.2.2:4000")]]);
}

#[test]
fn the_phone_takes_its_call_back_from_a_stranger_who_was_first() {
    let mut session = session();
    session.connect(connection());
    receive(&mut session, "203.0.113.66:6000", packet(0, 0, &[0xFF; 160]));
    assert_eq!(frames(&mut session, 1).1, [address("203.0.113.66:6000")]);

    let (unfit, _) = receive(&mut session, "192.0.2.1:4000", packet(8, 0, &[0xD5; 160]));
    let not_yet = frames(&mut session, 1).1;
    let (_, told) = receive(&mut session, "192.0.2.1:4000", packet(101, 0, &KEY_5));
    let back = frames(&mut session, 1).1;
    let (stranger, _) = receive(&mut session, "203.0.113.66:6000", packet(101, 800, &KEY_5));

    assert_eq!((unfit.dropped_unfit, not_yet), (1, vec![address("203.0.113.66:6000")]));
    assert_eq!((told, back), (vec![Heard::Key(b'5')], vec![address("192.0.2.1:4000")]));
    assert_eq!(stranger.dropped_stranger, 1);
}

#[test]
fn srtp_follows_the_phone_and_no_forger() {
    let (ours, theirs) = (SrtpKey::new([1; 30], false), SrtpKey::new([2; 30], true));
    let mut session = session();
    session.connect(Connection { srtp: Some((ours, theirs.clone())), ..connection() });
    let mut from_phone = srtp::Context::new(&theirs);
    let mut sequence = 0_u8;
    let mut sound = || {
        sequence += 1;
        let mut sound = packet(0, 0, &[0xFF; 160]);
        sound[3] = sequence;
        from_phone.protect(&mut sound);
        sound
    };
    let to = |session: &mut Session| session.frame(0, &mut Vec::new(), |_| ());

    let first = sound();
    receive(&mut session, "203.0.113.9:6000", first.clone());
    let at_first = to(&mut session);
    // Made up, and sent again by somebody who saw it.
    for (from, forged) in [
        ("203.0.113.66:6000", packet(0, 0, &[0xFF; 160])),
        ("192.0.2.1:4000", packet(0, 0, &[0xFF; 160])),
        ("203.0.113.66:6000", first),
    ] {
        assert_eq!(receive(&mut session, from, forged).0.dropped_forged, 1);
    }
    let still = to(&mut session);
    receive(&mut session, "203.0.113.9:7000", sound());

    assert_eq!([at_first, still], [Some(address("203.0.113.9:6000")); 2]);
    assert_eq!(to(&mut session), Some(address("203.0.113.9:7000")), "its address was given another port");
}

#[test]
fn what_does_not_fit_locks_nothing_and_says_nothing() {
    let mut session = session();
    session.connect(connection());
    let mut version = packet(101, 0, &KEY_5);
    version[0] = 0x40;
    let mut padded = packet(101, 0, &[5, 10, 0, 255]);
    padded[0] |= 0x20;

    for unfit in [vec![], vec![0x80; 11], version, padded, packet(8, 0, &[0xD5; 160]), packet(102, 0, &KEY_5)]
    {
        let (counters, told) = receive(&mut session, "203.0.113.66:6000", unfit);
        assert_eq!((counters.dropped_unfit, told), (1, vec![]));
    }

    assert_eq!(frames(&mut session, 1).1, [address("192.0.2.1:4000")]);
}

#[test]
fn keys_are_heard_as_events_or_as_tones_never_twice() {
    let tone: Vec<u8> = (0..800)
        .map(|n| {
            let wave = |frequency: f32| (std::f32::consts::TAU * frequency * n as f32 / 8_000.0).sin();
            g711::encode_mu(((wave(770.0) + wave(1_336.0)) * 6_000.0) as i16)
        })
        .collect();
    let mut session = session();
    let hear_tone = |session: &mut Session| {
        let hear = |part: &[u8]| receive(session, "192.0.2.1:4000", packet(0, 0, part)).1;
        tone.chunks(160).flat_map(hear).collect::<Vec<_>>()
    };

    session.connect(connection());
    assert_eq!(hear_tone(&mut session), []);
    session.connect(Connection { in_band: true, ..connection() });
    assert_eq!(hear_tone(&mut session), [Heard::Key(b'5')]);
    session.connect(Connection { in_band: true, ..connection() });
    let event = receive(&mut session, "192.0.2.1:4000", packet(101, 0, &KEY_5)).1;
    assert_eq!(event, [Heard::Key(b'5')]);
    assert_eq!(hear_tone(&mut session), []);
    // The same press, told again after a re-INVITE.
    session.connect(connection());
    assert_eq!(receive(&mut session, "192.0.2.1:4000", packet(101, 0, &KEY_5)).1, []);
}

#[test]
fn a_flood_of_keys_is_cut_off() {
    let mut session = session();
    session.connect(connection());

    let mut press = |n: u32| receive(&mut session, "192.0.2.1:4000", packet(101, 800 * n, &KEY_5));
    let told = (0..10_000).filter(|n| press(*n).1 == [Heard::Key(b'5')]).count();

    assert_eq!(told, KEYS_PER_SECOND_MAX as usize);
}

#[test]
fn a_phone_that_says_nothing_is_told_once_in_a_while() {
    let mut session = session();
    session.connect(connection());
    let mut silent = Vec::new();

    for now in (0..100_000).step_by(20) {
        if now == 5_000 {
            let mut sound = packet(0, 0, &[0xFF; 160]);
            session.receive(now, connection().remote, &mut sound, &mut Counters::default(), |_| ());
        }
        session.frame(now, &mut Vec::new(), |_| silent.push(now));
    }

    assert_eq!(silent, [35_000, 65_000, 95_000]);
}

#[test]
fn srtp_is_spoken_and_nothing_else_is_heard() {
    let (ours, theirs) = (SrtpKey::new([1; 30], false), SrtpKey::new([2; 30], true));
    let agreed = Connection { srtp: Some((ours.clone(), theirs.clone())), ..connection() };
    let mut session = session();
    session.connect(agreed.clone());
    let (mut to_phone, mut from_phone) = (srtp::Context::new(&ours), srtp::Context::new(&theirs));
    let mut press = |timestamp| {
        let mut press = packet(101, timestamp, &KEY_5);
        from_phone.protect(&mut press);
        press
    };
    let mut sent = Vec::new();

    let to = session.frame(0, &mut sent, |_| ());
    let length = to_phone.unprotect(&mut sent).unwrap();
    let plain = receive(&mut session, "203.0.113.66:6000", packet(101, 0, &KEY_5));
    let first = press(800);
    let heard = receive(&mut session, "203.0.113.9:6000", first.clone());
    session.connect(agreed);
    let again = receive(&mut session, "203.0.113.9:6000", first);

    assert_eq!(to, Some(address("192.0.2.1:4000")));
    assert_eq!(sent[12..length], [g711::SILENCE_MU; 160]);
    assert_eq!((plain.0.dropped_forged, plain.1), (1, vec![]));
    assert_eq!(heard.1, [Heard::Key(b'5')]);
    assert_eq!(
        (again.0.dropped_forged, again.1),
        (1, vec![]),
        "a re-INVITE is no second chance for a replay"
    );
}
