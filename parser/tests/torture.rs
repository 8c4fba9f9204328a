//! The messages of RFC 4475 and RFC 5118 with their verdicts (`torture/README.md`).

use std::fs;
use std::path::PathBuf;

use sip::{ContactValue, ErrorKind, Host, Limits, Message, Method, Name, ParseError, StartLine, Uri};

/// The verdict a proxy acts on: shape, then the headers it must be able to rely on.
fn verdict(bytes: &[u8], limits: &Limits) -> Result<(), ParseError> {
    Message::parse(bytes, limits)?.validate().map(drop)
}

fn directory(rfc: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture").join(rfc)
}

pub(crate) fn rfc4475(name: &str) -> Vec<u8> {
    let mut bytes =
        fs::read(directory("rfc4475").join(name).with_extension("dat")).expect("the message is there");
    if name == "baddn" {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A message of RFC 5118 as it is on the wire.
pub(crate) fn rfc5118(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(directory("rfc5118").join(name).with_extension("dat"))
        .expect("the message is there");
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let body = body.replace('\n', "\r\n");
    let mut wire = String::new();
    for line in head.lines().filter(|line| !line.starts_with("Content-Length")) {
        wire.push_str(line);
        wire.push_str("\r\n");
    }
    format!("{wire}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Name and class of each message of RFC 4475.
pub(crate) fn expectations() -> Vec<(String, char)> {
    let table = fs::read_to_string(directory("rfc4475").join("expect.tsv")).expect("the table is there");
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split('\t');
            let name = columns.next().expect("a name").to_owned();
            (name, columns.next().and_then(|class| class.chars().next()).expect("a class"))
        })
        .collect()
}

pub(crate) fn rfc5118_names() -> Vec<String> {
    let files = fs::read_dir(directory("rfc5118")).expect("the directory is there");
    let name = |file: fs::DirEntry| file.path().file_stem().expect("a name").to_string_lossy().into_owned();
    files.map(|file| name(file.expect("an entry"))).collect()
}

#[test]
fn each_message_of_rfc_4475_gets_its_verdict() {
    let (liberal, strict) = (Limits::default(), Limits::strict());
    let mut seen = [0; 5];
    for (name, class) in expectations() {
        let bytes = rfc4475(&name);
        let (liberally, strictly) = (verdict(&bytes, &liberal), verdict(&bytes, &strict));
        match class {
            'V' | 'S' => {
                assert_eq!(liberally, Ok(()), "{name}");
                assert_eq!(strictly, Ok(()), "{name}");
            }
            'I' | 'E' => {
                assert!(liberally.is_err(), "{name}");
                assert!(strictly.is_err(), "{name}");
            }
            'L' => assert!(strictly.is_err(), "{name}"),
            _ => panic!("{name} has no class"),
        }
        seen["VSILE".find(class).expect("a class")] += 1;
    }
    assert_eq!(seen, [13, 14, 9, 10, 3]);
}

#[test]
fn each_refusal_names_the_fault() {
    for (name, kind) in [
        ("badinv01", ErrorKind::Malformed(Name::Via)),
        ("clerr", ErrorKind::BodyTruncated),
        ("ncl", ErrorKind::ContentLength),
        ("scalar02", ErrorKind::Malformed(Name::CSeq)),
        ("scalarlg", ErrorKind::Malformed(Name::CSeq)),
        ("badvers", ErrorKind::Version),
        ("mismatch01", ErrorKind::CSeqMethod),
        ("mismatch02", ErrorKind::CSeqMethod),
        ("bigcode", ErrorKind::StatusCode),
        ("quotbal", ErrorKind::Malformed(Name::To)),
        ("ltgtruri", ErrorKind::RequestUri),
        ("lwsruri", ErrorKind::StartLine),
        ("lwsstart", ErrorKind::StartLine),
        ("trws", ErrorKind::StartLine),
        ("insuf", ErrorKind::Missing(Name::From)),
        ("multi01", ErrorKind::Repeated(Name::From)),
        ("mcl01", ErrorKind::ContentLengthRepeated),
    ] {
        assert_eq!(
            verdict(&rfc4475(name), &Limits::default()).map_err(|error| error.kind),
            Err(kind),
            "{name}"
        );
    }
    for (name, kind) in [
        ("escruri", ErrorKind::RequestUri),
        ("baddate", ErrorKind::Malformed(Name::Date)),
        ("regbadct", ErrorKind::Malformed(Name::Contact)),
        ("badaspec", ErrorKind::Malformed(Name::To)),
        ("baddn", ErrorKind::Malformed(Name::From)),
    ] {
        let bytes = rfc4475(name);

        assert_eq!(verdict(&bytes, &Limits::default()), Ok(()), "{name} is readable");
        assert_eq!(verdict(&bytes, &Limits::strict()).map_err(|error| error.kind), Err(kind), "{name}");
    }
}

#[test]
fn a_refused_request_can_be_answered() {
    for name in ["clerr", "ncl", "badvers", "ltgtruri", "lwsruri", "lwsstart", "trws", "mcl01"] {
        let bytes = rfc4475(name);

        assert!(Message::parse(&bytes, &Limits::default()).is_err(), "{name}");
        assert!(Message::salvage(&bytes, &Limits::default()).is_some(), "{name}");
    }
    assert!(Message::salvage(&rfc4475("bigcode"), &Limits::default()).is_none());
}

#[test]
fn white_space_everywhere_is_understood() {
    let bytes = rfc4475("wsinv");
    let message = Message::parse(&bytes, &Limits::default()).expect("valid");
    let facts = message.validate().expect("valid");

    assert_eq!(facts.via.host.raw(), b"192.0.2.2");
    assert_eq!(facts.via.branch, Some(&b"390skdjuw"[..]));
    assert_eq!(facts.from.uri_raw, b"sip:jdrosen@example.com");
    assert_eq!(facts.from.tag(), Some(&b"98asjd8"[..]));
    assert_eq!(facts.to.tag(), Some(&b"1918181833n"[..]));
    assert_eq!(facts.max_forwards, Some(68));
    assert_eq!((facts.cseq.number, facts.cseq.method), (9, Method::Invite));
    assert_eq!(message.content_length(), Some(150));
    assert_eq!(message.body().len(), 150);
    let transports: Vec<_> = message.vias().map(|via| via.expect("valid").transport).collect();
    assert_eq!(transports, [b"UDP", b"TCP", b"UDP"]);
    let route = message.routes().next().expect("there").expect("valid");
    assert!(route.uri().expect("valid").params.has("lr"));
    match message.contacts().next() {
        Some(Ok(ContactValue::Contact(contact))) => assert_eq!(contact.q, Some(330)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn unusual_characters_are_understood() {
    let bytes = rfc4475("intmeth");
    let message = Message::parse(&bytes, &Limits::default()).expect("valid");
    let facts = message.validate().expect("valid");

    assert_eq!(message.method(), Some(Method::Other(b"!interesting-Method0123456789_*+`.%indeed'~")));
    assert_eq!(facts.cseq.method, message.method().expect("a request"));
    let uri = Uri::parse(message.request_uri()).expect("valid");
    assert_eq!(uri.user, Some(&b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"[..]));
    assert_eq!(uri.host.raw(), b"example.com");
    assert_eq!(facts.to.display, Some(&b"\"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\""[..]));
    assert_eq!(facts.from.tag(), Some(&b"_token~1'+`*%!-."[..]));
}

#[test]
fn escapes_stay_opaque() {
    let bytes = rfc4475("escnull");
    let message = Message::parse(&bytes, &Limits::default()).expect("valid");
    let users: Vec<_> = message
        .contacts()
        .map(|contact| match contact {
            Ok(ContactValue::Contact(contact)) => {
                contact.addr.uri().expect("valid").user_unescaped().into_owned()
            }
            other => panic!("{other:?}"),
        })
        .collect();

    assert_eq!(users, [&b"\0"[..], b"\0\0"]);
}

#[test]
fn only_the_first_message_of_a_datagram_counts() {
    let bytes = rfc4475("dblreq");

    let message = Message::parse(&bytes, &Limits::default()).expect("valid");

    assert_eq!(message.method(), Some(Method::Register));
    assert!(message.body().is_empty());
    assert!(message.bytes().len() < bytes.len());
}

#[test]
fn very_long_values_are_understood() {
    let bytes = rfc4475("longreq");

    let message = Message::parse(&bytes, &Limits::default()).expect("valid");

    assert_eq!(message.vias().filter(|via| via.is_ok()).count(), 34);
    assert_eq!(message.vias().count(), 34);
}

#[test]
fn reason_phrases_may_be_anything_or_nothing() {
    let reason = |name| match Message::parse(&rfc4475(name), &Limits::default()).expect("valid").start_line()
    {
        StartLine::Status { code, reason } => (code, reason.to_vec()),
        StartLine::Request { .. } => panic!("a response"),
    };

    assert_eq!(reason("noreason"), (100, Vec::new()));
    assert!(String::from_utf8(reason("unreason").1).expect("UTF-8").starts_with("= 2**3 * 5**2 но"));
}

#[test]
fn each_message_of_rfc_5118_gets_its_verdict() {
    let names = rfc5118_names();
    assert_eq!(names.len(), 12);
    for name in names {
        let verdict = verdict(&rfc5118(&name), &Limits::default()).map_err(|error| error.kind);

        // §4.2: without its brackets it is no URI. §4.10: three colons are tolerated.
        let expected = if name == "ipv6-bad" { Err(ErrorKind::RequestUri) } else { Ok(()) };
        assert_eq!(verdict, expected, "{name}");
    }
}

#[test]
fn a_port_is_told_from_an_address() {
    let host_and_port = |name: &str| {
        let bytes = rfc5118(name);
        let message = Message::parse(&bytes, &Limits::default()).expect("valid");
        let uri = Uri::parse(message.request_uri()).expect("valid");
        (uri.host.ip().expect("an address").to_string(), uri.port)
    };

    assert_eq!(host_and_port("port-ambiguous"), ("2001:db8::10:5070".to_owned(), None));
    assert_eq!(host_and_port("port-unambiguous"), ("2001:db8::10".to_owned(), Some(5070)));
    assert_eq!(host_and_port("ipv6-bug-abnf-3-colons"), host_and_port("ipv6-correct-abnf-2-colons"));
}

#[test]
fn received_is_read_with_and_without_brackets() {
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        let bytes = rfc5118(name);
        let message = Message::parse(&bytes, &Limits::default()).expect("valid");
        let via = message.top_via().expect("valid");

        assert!(matches!(via.host, Host::Ipv6 { .. }));
        assert_eq!(via.received_ip(), "2001:db8::9:255".parse().ok(), "{name}");
    }
}
