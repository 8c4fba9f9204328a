use super::crypto::Suite;
use super::*;

const HERE: Speaker =
    Speaker { address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), session: 7, version: 1, port: 40_000 };
const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

fn sdp(lines: &str) -> Vec<u8> {
    format!("v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n{lines}").into_bytes()
}

fn answered(offer: &[u8]) -> String {
    let chosen = read(offer).unwrap();
    let text = answer(offer, &chosen, HERE, None);
    text.split_once("t=0 0\r\n").unwrap().1.to_owned()
}

#[test]
fn codec_and_keys_follow_the_order_and_numbers_of_the_offer() {
    let offer =
        sdp("m=audio 4000 RTP/AVP 9 8 0 97\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\n\
         a=fmtp:97 0-16\r\n");

    let chosen = read(&offer).unwrap();
    let connection = agreed(&chosen, None, SOURCE, false);

    assert_eq!((chosen.codec, chosen.events), (Codec::Pcma, Some(97)));
    assert_eq!(connection.remote, "10.0.0.1:4000".parse().unwrap());
    assert!(connection.sends);
    assert_eq!(
        answered(&offer),
        "m=audio 40000 RTP/AVP 8 97\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\n\
         a=fmtp:97 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

#[test]
fn other_streams_are_refused_in_their_place() {
    let offer = sdp(
        "m=video 4002 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 0\r\nm=audio 4004 RTP/AVP 0\r\nm=image 5 udptl t38\r\n",
    );

    let kinds: Vec<_> =
        answered(&offer).lines().filter(|it| it.starts_with("m=")).map(str::to_owned).collect();

    assert_eq!(
        kinds,
        ["m=video 0 RTP/AVP 96", "m=audio 40000 RTP/AVP 0", "m=audio 0 RTP/AVP 0", "m=image 0 udptl t38"]
    );
}

#[test]
fn what_cannot_be_taken_has_a_reason() {
    for (lines, reason) in [
        ("", Unusable::Media),
        ("m=video 4002 RTP/AVP 96\r\n", Unusable::Media),
        ("m=audio 0 RTP/AVP 0\r\n", Unusable::Media),
        ("m=audio 4000 RTP/AVP 9 18\r\n", Unusable::Format),
        ("m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n", Unusable::Transport),
        ("m=audio 4000 RTP/SAVP 0\r\n", Unusable::Transport),
        ("m=audio 4000 RTP/AVP 9\r\nm=audio 4002 UDP/TLS/RTP/SAVPF 0\r\n", Unusable::Format),
    ] {
        assert_eq!(read(&sdp(lines)).unwrap_err(), reason, "{lines}");
    }
}

#[test]
fn hold_is_understood_in_every_spelling() {
    for (lines, line) in [
        ("m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n", "a=recvonly\r\n"),
        ("a=sendonly\r\nm=audio 4000 RTP/AVP 0\r\n", "a=recvonly\r\n"),
        ("m=audio 4000 RTP/AVP 0\r\na=inactive\r\n", "a=inactive\r\n"),
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n", "a=sendrecv\r\n"),
    ] {
        let offer = sdp(lines);
        let chosen = read(&offer).unwrap();

        assert!(!chosen.listens() && !agreed(&chosen, None, SOURCE, false).sends, "{lines}");
        assert!(answered(&offer).ends_with(line), "{lines}");
    }
}

#[test]
fn own_address_of_a_stream_counts_over_the_sessions_and_a_host_is_looked_for_at_the_source() {
    let own = read(&sdp("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::5\r\n")).unwrap();
    let host = read(&sdp("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 phone.example\r\n")).unwrap();

    assert_eq!(agreed(&own, None, SOURCE, false).remote, "[2001:db8::5]:4000".parse().unwrap());
    assert_eq!(agreed(&host, None, SOURCE, false).remote, "203.0.113.9:4000".parse().unwrap());
}

const LINE: &str =
    "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\r\n";

#[test]
fn encrypted_stream_is_answered_with_a_key_of_our_own_under_its_tag() {
    let offer =
        sdp(&format!("m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:x\r\n{LINE}"));

    let chosen = read(&offer).unwrap();
    let crypto = chosen.crypto().unwrap();
    let ours = crypto.answer_with([0xfb; 30]);
    let text = answer(&offer, &chosen, HERE, Some(&ours));

    assert_eq!(crypto.suite, Suite::Sha1_80);
    assert_eq!(crypto.key.reveal().0, b"YS___semctl () {");
    assert!(text.contains("m=audio 40000 RTP/SAVP 0\r\n"), "{text}");
    let digits = "+/v7".repeat(10);
    assert!(text.contains(&format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{digits}\r\n")), "{text}");
}

#[test]
fn unencrypted_is_taken_where_the_phone_leaves_the_choice() {
    let both = sdp(&format!("m=audio 4000 RTP/SAVP 0\r\n{LINE}m=audio 4002 RTP/AVP 8\r\n"));
    let hint = sdp(&format!("m=audio 4000 RTP/AVP 0\r\n{LINE}"));

    assert_eq!(read(&both).unwrap().codec, Codec::Pcma);
    assert!(read(&hint).unwrap().crypto().is_none());
}

#[test]
fn keys_that_would_change_the_packets_are_passed_over() {
    let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    for line in [
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|1:4"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTP"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key};inline:{key}"),
        format!("1 F8_128_HMAC_SHA1_80 inline:{key}"),
        "1 AES_CM_128_HMAC_SHA1_80 inline:WVNf".to_owned(),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", "!".repeat(40)),
        format!("99999999999 AES_CM_128_HMAC_SHA1_80 inline:{key}"),
        String::new(),
    ] {
        let offer = sdp(&format!("m=audio 4000 RTP/SAVP 0\r\na=crypto:{line}\r\n"));
        assert_eq!(read(&offer).unwrap_err(), Unusable::Transport, "{line}");
    }
}

#[test]
fn own_offer_can_be_read_back() {
    let text = offer(HERE);

    let chosen = read(text.as_bytes()).unwrap();

    assert_eq!((chosen.codec, chosen.events), (Codec::Pcmu, Some(EVENTS)));
}

#[test]
fn silent_call_is_accepted_on_hold_and_other_streams_are_refused() {
    let offer = sdp(
        "m=audio 4000 RTP/AVP 9 8 101\r\na=rtpmap:101 telephone-event/8000\r\nm=video 4002 RTP/AVP 96\r\n",
    );

    let text = silent(Some(&offer), HERE);
    assert!(text.ends_with("m=audio 9 RTP/AVP 8\r\na=inactive\r\nm=video 0 RTP/AVP 96\r\n"), "{text}");

    let six = Speaker { address: "2001:db8::1".parse().unwrap(), ..HERE };
    let text = silent(None, six);
    assert!(text.contains("c=IN IP6 2001:db8::1\r\n"));
    assert!(text.contains("m=audio 9 RTP/AVP 0 8\r\na=inactive\r\n"));
}

#[test]
fn garbage_is_answered_with_as_little() {
    let bomb = "m=audio 1 RTP/AVP 0\r\n".repeat(2_000);
    for offer in [
        &b"m="[..],
        b"m=\xff\xfe\r\n",
        b"\n\n\n",
        b"m=audio\r\nm=audio 1\r\n",
        b"c=\r\na=\r\nm=audio 1 RTP/AVP",
    ] {
        assert!(silent(Some(offer), HERE).starts_with("v=0\r\n"));
        assert!(read(offer).is_err());
    }
    let chosen = read(bomb.as_bytes()).unwrap();
    assert_eq!(answer(bomb.as_bytes(), &chosen, HERE, None).matches("m=audio").count(), MEDIA_MAX);
}

proptest::proptest! {
    #[test]
    fn any_octets_are_read_without_panic(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = read(&octets);
        let _ = silent(Some(&octets), HERE);
    }

    #[test]
    fn any_lines_are_read_without_panic(
        lines in proptest::collection::vec("[mac]=(audio|crypto:1|rtpmap:|IN IP4)? ?[0-9A-Za-z/|:. ]{0,40}", 0..12)
    ) {
        let text = lines.join("\r\n");
        if let Ok(chosen) = read(text.as_bytes()) {
            let _ = answer(text.as_bytes(), &chosen, HERE, None);
        }
    }
}
