use super::*;
use crate::auth::{NonceId, answer};

const NOW: Mono = Mono(5_000_000_000);
const PHONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn policy(md5: bool, sha256: bool) -> RegistrarPolicy {
    RegistrarPolicy { digest_md5: md5, digest_sha256: sha256, ..RegistrarPolicy::default() }
}

fn nonces() -> Nonces {
    Nonces::new([3; 16])
}

fn nonce() -> String {
    String::from_utf8(nonces().make(NOW, [0, 0, 0, 9], PHONE, None).to_vec()).unwrap()
}

/// A REGISTER with this Authorization value.
fn register(authorization: &str) -> Vec<u8> {
    format!(
            "REGISTER sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@demo.hotdesk>;tag=1\r\n\
             To: <sip:a@demo.hotdesk>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nAuthorization: {authorization}\r\n\r\n"
        )
        .into_bytes()
}

/// What the edge says to these credentials of an account.
fn verdict_on(
    authorization: &str,
    policy: &RegistrarPolicy,
    now: Mono,
    account: Option<(&str, &SipSecret)>,
) -> Result<Proof, Refused> {
    verdict_of(&register(authorization), policy, now, account)
}

/// The same of a whole request.
fn verdict_of(
    request: &[u8],
    policy: &RegistrarPolicy,
    now: Mono,
    account: Option<(&str, &SipSecret)>,
) -> Result<Proof, Refused> {
    let request = sip::Message::parse(request, &sip::Limits::default()).unwrap();
    let uris = RegistrarUris::of(&["demo.hotdesk".into()]);
    let asked = Asked { uris: &uris, policy, nonces: &nonces(), address: PHONE, now };
    assert!(credentials_for(&request, sip::Name::ProxyAuthorization, "demo.hotdesk").is_none());
    let credentials = credentials_for(&request, sip::Name::Authorization, "demo.hotdesk");
    verify(&credentials.ok_or(Refused::Missing)?, &request, account, &asked)
}

/// The same for `desk-1`, whose password is `secret`.
fn verdict(authorization: &str, policy: &RegistrarPolicy, now: Mono) -> Result<Proof, Refused> {
    let secret = secret("desk-1", "demo.hotdesk", "secret");
    verdict_on(authorization, policy, now, Some(("desk-1", &secret)))
}

/// Credentials as a phone makes them from a challenge, by the client side.
fn credentials(challenge: &str, user: &str, password: &str, request: (&str, &str)) -> String {
    let challenge = sip::Challenge::parse(challenge.as_bytes()).unwrap();
    let secret = secret(user, "demo.hotdesk", password);
    answer(&challenge, (user, &secret), "demo.hotdesk", request, "c0ffee", 1).unwrap()
}

const REGISTER: (&str, &str) = ("REGISTER", "sip:demo.hotdesk");

fn challenge(extra: &str) -> String {
    format!("Digest realm=\"demo.hotdesk\", nonce=\"{}\"{extra}", nonce())
}

#[test]
fn md5_is_the_same_in_blocks_and_piece_by_piece() {
    let text = [b'x'; 400];
    for length in 0..400 {
        let parts: [&[u8]; 3] = [&text[..length / 2], b"", &text[..length - length / 2]];
        let whole = parts.join(&b':');

        let expected = Hex::of(&Md5::digest(&whole));
        assert_eq!(Algorithm::Md5.hash(&parts).as_bytes(), expected.as_bytes(), "{length}");
    }
}

#[test]
fn the_examples_of_rfc_7616_come_out() {
    // §3.9.1: both algorithms.
    let secret = secret("Mufasa", "http-auth@example.org", "Circle of Life");
    let answered = |algorithm| {
        let challenge = format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        let challenge = sip::Challenge::parse(challenge.as_bytes()).unwrap();
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let (realm, request) = ("http-auth@example.org", ("GET", "/dir/index.html"));
        answer(&challenge, ("Mufasa", &secret), realm, request, cnonce, 1)
    };

    let md5 = answered("MD5").unwrap();
    assert!(md5.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{md5}");
    assert!(md5.ends_with(",opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""), "{md5}");
    let sha256 = answered("SHA-256").unwrap();
    let wanted = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    assert!(sha256.contains(wanted), "{sha256}");
    assert_eq!(answered("SHA-512-256"), None);
}

#[test]
fn the_example_of_rfc_2617_comes_out() {
    let ha1 = secret("Mufasa", "testrealm@host.com", "Circle Of Life").ha1_md5.unwrap();
    let ha2 = Algorithm::Md5.hash(&[b"GET", b"/dir/index.html"]);

    let nonce = b"dcd98b7102dd2f0e8b11d0f600bfb0c093";
    let response = Algorithm::Md5.hash(&[&ha1, nonce, b"00000001", b"0a4f113b", b"auth", ha2.as_bytes()]);

    assert_eq!(&ha1, b"939e7578ed9e3c518a452acee763bce9");
    assert_eq!(response.as_bytes(), b"6629fae49393a05397450978507c4ef1");
}

#[test]
fn a_right_answer_proves_the_account() {
    let count = |count| Ok(Proof { nonce: NonceId(5 << 32 | 9), count });
    let both = policy(true, true);
    for (extra, wanted) in [
        (",qop=\"auth\"", count(Some(1))),
        (",qop=\"auth\",algorithm=MD5", count(Some(1))),
        (",qop=\"auth\",algorithm=SHA-256", count(Some(1))),
        ("", count(None)),
        (",algorithm=SHA-256", count(None)),
    ] {
        let right = credentials(&challenge(extra), "desk-1", "secret", REGISTER);
        assert_eq!(verdict(&right, &both, NOW), wanted, "{extra}");
        assert_eq!(verdict(&right.replace("algorithm=MD5,", ""), &both, NOW), wanted, "{extra}");
        // Hexadecimal digits of either case.
        let (head, tail) = right.split_once("response=\"").unwrap();
        let (response, tail) = tail.split_once('"').unwrap();
        let upper = format!("{head}response=\"{}\"{tail}", response.to_uppercase());
        assert_eq!(verdict(&upper, &both, NOW), wanted, "{extra}");
    }
}

#[test]
fn a_count_is_hashed_as_it_was_written() {
    for count in ["0000000a", "0000000A"] {
        let secret = secret("desk-1", "demo.hotdesk", "secret");
        let (ha2, nonce) = (Algorithm::Md5.hash(&[b"REGISTER", b"sip:demo.hotdesk"]), nonce());
        let ha1 = Algorithm::Md5.ha1(&secret).unwrap();
        let parts = [ha1, nonce.as_bytes(), count.as_bytes(), b"c", b"auth", ha2.as_bytes()];
        let response = Algorithm::Md5.hash(&parts);
        let response = std::str::from_utf8(response.as_bytes()).unwrap();
        let made = format!(
            "Digest username=\"desk-1\",realm=\"demo.hotdesk\",nonce=\"{nonce}\",uri=\"sip:demo.hotdesk\",\
                 response=\"{response}\",qop=auth,nc={count},cnonce=\"c\""
        );

        let proof = verdict(&made, &policy(true, false), NOW).unwrap();

        assert_eq!(proof.count, Some(10));
    }
}

#[test]
fn whatever_was_not_asked_for_proves_nothing() {
    let md5 = policy(true, false);
    let right = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", REGISTER);
    assert!(verdict(&right, &md5, NOW).is_ok());

    for (from, to) in [
        ("qop=auth", "qop=auth-int"),
        ("qop=auth", "qop=\"\""),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=00000002"),
        (",nc=00000001", ""),
        (",cnonce=\"c0ffee\"", ""),
        ("cnonce=\"c0ffee\"", "cnonce=\"c0ffe\""),
        ("uri=\"sip:demo.hotdesk\"", "uri=\"sip:demo.hotdesk:5060\""),
        ("algorithm=MD5", "algorithm=SHA-256"),
        ("algorithm=MD5", "algorithm=MD5-sess"),
        ("response=\"", "response=\"0"),
        ("response=", "respons="),
        ("username=\"desk-1\"", "username=\"desk-2\""),
        ("username=\"desk-1\",", ""),
    ] {
        assert_eq!(verdict(&right.replace(from, to), &md5, NOW), Err(Refused::Wrong), "{from} {to}");
    }
    for (from, to) in [("=\"demo.hotdesk\"", "=\"other\""), ("Digest", "Digestive"), ("Digest ", "")] {
        assert_eq!(verdict(&right.replace(from, to), &md5, NOW), Err(Refused::Missing), "{from} {to}");
    }
    let wrong = credentials(&challenge(",qop=\"auth\""), "desk-1", "secre", REGISTER);
    assert_eq!(verdict(&wrong, &md5, NOW), Err(Refused::Wrong));
    let invite = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", ("INVITE", "sip:demo.hotdesk"));
    assert_eq!(verdict(&invite, &md5, NOW), Err(Refused::Wrong));
    assert_eq!(verdict(&right, &policy(false, true), NOW), Err(Refused::Wrong));
}

#[test]
fn auth_int_is_not_taken_for_auth() {
    let ha1 = secret("desk-1", "demo.hotdesk", "secret").ha1_md5.unwrap();
    let (ha2, nonce) = (Algorithm::Md5.hash(&[b"REGISTER", b"sip:demo.hotdesk"]), nonce());
    let verdict_with = |qop: &str| {
        let parts = [&ha1, nonce.as_bytes(), b"00000001", b"c", qop.as_bytes(), ha2.as_bytes()];
        let response = Algorithm::Md5.hash(&parts);
        let response = std::str::from_utf8(response.as_bytes()).unwrap();
        let made = format!(
            "Digest username=\"desk-1\",realm=\"demo.hotdesk\",nonce=\"{nonce}\",uri=\"sip:demo.hotdesk\",\
                 response=\"{response}\",qop={qop},nc=00000001,cnonce=\"c\""
        );
        verdict(&made, &policy(true, false), NOW)
    };

    assert!(verdict_with("auth").is_ok());
    assert_eq!(verdict_with("auth-int"), Err(Refused::Wrong));
}

#[test]
fn the_uri_names_the_same_user_whatever_else_it_says() {
    let md5 = policy(true, false);
    for uri in ["sip:demo.hotdesk:5060", "sip:192.0.2.1;transport=udp", "sips:other.example"] {
        let lenient = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", ("REGISTER", uri));
        assert!(verdict(&lenient, &md5, NOW).is_ok(), "{uri}");
    }
    for uri in ["sip:1001@demo.hotdesk", "tel:+1", "nonsense", ""] {
        let other = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", ("REGISTER", uri));
        assert_eq!(verdict(&other, &md5, NOW), Err(Refused::Wrong), "{uri}");
    }
    // A number has no user part to compare.
    assert!(names_the_same(b"tel:+1", b"tel:+1"));
    for (uri, request_uri) in [("tel:+1", "tel:+2"), ("tel:+1", "sip:+1@h"), ("sip:+1@h", "tel:+1")] {
        assert!(!names_the_same(uri.as_bytes(), request_uri.as_bytes()), "{uri} {request_uri}");
    }
}

#[test]
fn an_answer_is_for_its_method_alone() {
    let secret = secret("desk-1", "demo.hotdesk", "secret");
    let verdict_on_options = |made_for| {
        let made = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", made_for);
        let request = String::from_utf8(register(&made)).unwrap().replace("REGISTER", "OPTIONS");
        verdict_of(request.as_bytes(), &policy(true, false), NOW, Some(("desk-1", &secret)))
    };

    assert!(verdict_on_options(("OPTIONS", "sip:demo.hotdesk")).is_ok());
    assert_eq!(verdict_on_options(REGISTER), Err(Refused::Wrong));
}

#[test]
fn an_old_or_foreign_nonce_is_stale_whatever_the_answer() {
    let md5 = policy(true, false);
    let right = credentials(&challenge(",qop=\"auth\""), "desk-1", "secret", REGISTER);
    let wrong = credentials(&challenge(",qop=\"auth\""), "desk-1", "other", REGISTER);
    let foreign = "Digest realm=\"demo.hotdesk\",nonce=\"of-another-life\",qop=\"auth\"";
    let later = NOW + super::super::LIFETIME;

    assert_eq!(verdict(&right, &md5, later), Err(Refused::Stale));
    assert_eq!(verdict(&wrong, &md5, later), Err(Refused::Stale));
    assert_eq!(verdict(&credentials(foreign, "desk-1", "secret", REGISTER), &md5, NOW), Err(Refused::Stale));
    assert_eq!(verdict(&credentials(foreign, "desk-1", "other", REGISTER), &md5, NOW), Err(Refused::Stale));
}

#[test]
fn an_account_that_is_not_there_is_like_a_wrong_secret() {
    let made = credentials(&challenge(",qop=\"auth\""), "nobody", "x", REGISTER);

    let md5 = policy(true, false);
    assert_eq!(verdict_on(&made, &md5, NOW, None), Err(Refused::Wrong));
    assert_eq!(verdict_on(&made, &md5, NOW, Some(("nobody", &SipSecret::default()))), Err(Refused::Wrong));
}

#[test]
fn what_stands_for_no_secret_takes_as_long_to_hash_as_one() {
    let secret = secret("desk-1", "demo.hotdesk", "secret");

    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        assert_eq!(algorithm.no_ha1().len(), algorithm.ha1(&secret).unwrap().len());
    }
}

#[test]
fn nobody_proves_himself_with_what_stands_for_no_secret() {
    let ha2 = Algorithm::Md5.hash(&[b"REGISTER", b"sip:demo.hotdesk"]);
    let nonce = nonce();
    let response = Algorithm::Md5.hash(&[Algorithm::Md5.no_ha1(), nonce.as_bytes(), ha2.as_bytes()]);
    let response = std::str::from_utf8(response.as_bytes()).unwrap();

    let forged = format!(
        "Digest username=\"nobody\",realm=\"demo.hotdesk\",nonce=\"{nonce}\",uri=\"sip:demo.hotdesk\",response=\"{response}\""
    );

    assert_eq!(verdict_on(&forged, &policy(true, false), NOW, None), Err(Refused::Wrong));
}

#[test]
fn a_challenge_offers_each_algorithm_on_its_own_line() {
    let nonce = nonces().make(NOW, [0; 4], PHONE, None);
    let values = |md5, sha256, stale| -> Vec<String> {
        Challenge::new("demo.hotdesk", &nonce, stale, &policy(md5, sha256)).values().map(Into::into).collect()
    };

    let both = values(true, true, false);
    assert_eq!(both.len(), 2);
    assert!(both[0].contains("algorithm=SHA-256") && both[1].contains("algorithm=MD5"));
    for value in both.iter().chain(&values(true, false, true)) {
        let read = sip::Challenge::parse(value.as_bytes()).unwrap();
        assert_eq!(read.realm(), Some(&b"demo.hotdesk"[..]));
        assert_eq!(read.nonce(), Some(&nonce[..]));
        assert_eq!(read.qop(), Some(&b"auth"[..]));
    }
    assert!(sip::Challenge::parse(values(true, false, true)[0].as_bytes()).unwrap().is_stale());
    assert!(!sip::Challenge::parse(both[0].as_bytes()).unwrap().is_stale());
}

#[test]
fn a_phones_challenge_is_answered_for_our_realm_alone() {
    let secret = secret("desk-1", "demo.hotdesk", "secret");
    let answered = |challenge: &str| {
        let challenge = sip::Challenge::parse(challenge.as_bytes()).unwrap();
        answer(&challenge, ("desk-1", &secret), "demo.hotdesk", ("NOTIFY", "sip:desk-1@h"), "c", 1)
    };

    assert!(answered("Digest realm=\"demo.hotdesk\",nonce=\"n\",qop=\"auth-int, auth\"").is_some());
    assert_eq!(answered("Digest realm=\"pbx.example\",nonce=\"n\",qop=\"auth\""), None);
    assert_eq!(answered("Digest realm=\"demo.hotdesk\",nonce=\"n\",qop=\"auth-int\""), None);
    assert_eq!(answered("Digest realm=\"demo.hotdesk\",qop=\"auth\""), None);
    assert_eq!(answered("Other realm=\"demo.hotdesk\",nonce=\"n\""), None);
}

#[test]
fn every_digit_of_a_response_counts_and_their_case_does_not() {
    for octets in [&[0x1a; 16][..], &[0x1a; 32]] {
        let digest = Hex::of(octets);
        let right = digest.as_bytes().to_vec();

        assert!(digest.is(&right));
        assert!(digest.is(&right.to_ascii_uppercase()));
        for at in 0..right.len() {
            for digit in (*b"0123456789abcdef").into_iter().filter(|digit| *digit != right[at]) {
                let mut wrong = right.clone();
                wrong[at] = digit;
                assert!(!digest.is(&wrong));
                assert!(!digest.is(&wrong.to_ascii_uppercase()));
            }
        }
        // Two wrong digits do not make up for each other.
        for at in 8..right.len() {
            let mut wrong = right.clone();
            (wrong[at - 8], wrong[at]) = (wrong[at - 8] ^ 1, wrong[at] ^ 1);
            assert!(!digest.is(&wrong));
        }
        for length in (0..80).filter(|length| *length != right.len()) {
            assert!(!digest.is(&b"1a".repeat(40)[..length]), "{length}");
        }
    }
}
