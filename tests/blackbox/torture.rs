//! The messages of RFC 4475 and RFC 5118 on the wire: what the running edge answers to each of them, passes on, or leaves
//! alone. What the parser says of them is in `parser/tests/torture.rs`.
//!
//! Each message goes out as it stands. Where the edge asks who sends it, it goes out once more with the credentials of an
//! account, and nothing else in it has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bench::deadline::Deadline;
use bench::phone::{Account, Message, Phone, Transport};

use crate::edge::{DOMAIN, Edge, PATIENCE, Plan, with_credentials};
use crate::probe::Probe;

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// Nobody hears of it.
    Dropped,
    /// Refused at sight.
    Refused(u16),
    /// Answered so, and the connection ends: what follows cannot be told.
    Closed(&'static [u16]),
    /// Half a message: nothing is said until the rest of it is there, and then this.
    Unfinished(u16),
    /// Challenged. With the credentials of this account, answered.
    Asked(&'static str, u16),
    /// Challenged. With the credentials of the first account, passed on to the phone of the second.
    Passed(&'static str, &'static str),
}

use Verdict::{Asked, Closed, Dropped, Passed, Refused, Unfinished};

/// A message, the section that says what is odd about it, what becomes of it in a datagram, and on a stream where that differs.
type Row = (&'static str, &'static str, Verdict, Option<Verdict>);

/// RFC 4475. Sections in comments are of RFC 3261.
const RFC_4475: [Row; 49] = [
    // The To tag belongs to no dialog of ours (§12.2.2).
    ("wsinv", "3.1.1.1", Refused(481), None),
    // Nobody here knows the method (§21.5.2).
    ("intmeth", "3.1.1.2", Refused(501), None),
    // Who sends it has spaces in the name, so nobody's credentials are right for it.
    ("esc01", "3.1.1.3", Asked("caller", 403), None),
    // A NUL ends no name: `null-` may not register for `null-%00-null`.
    ("escnull", "3.1.1.4", Asked("null-", 403), None),
    // `RE%47IST%45R` is not REGISTER.
    ("esc02", "3.1.1.5", Refused(501), None),
    ("lwsdisp", "3.1.1.6", Passed("caller", "user"), None),
    // Its From is nobody here.
    ("longreq", "3.1.1.7", Asked("caller", 403), None),
    // On a stream the second message counts too, and five octets behind its stated length do not.
    ("dblreq", "3.1.1.8", Asked("j.user", 200), Some(Closed(&[401, 407]))),
    // `user;par=u@example.net` is not `user`.
    ("semiuri", "3.1.1.9", Asked("caller", 404), None),
    ("transports", "3.1.1.10", Passed("caller", "user"), None),
    // Its Route leads through somebody else.
    ("mpart01", "3.1.1.11", Refused(403), None),
    ("unreason", "3.1.1.12", Dropped, None),
    ("noreason", "3.1.1.13", Dropped, None),
    ("badinv01", "3.1.2.1", Refused(400), None),
    ("clerr", "3.1.2.2", Refused(400), Some(Unfinished(407))),
    ("ncl", "3.1.2.3", Refused(400), Some(Closed(&[400]))),
    ("scalar02", "3.1.2.4", Refused(400), None),
    ("scalarlg", "3.1.2.5", Dropped, None),
    ("quotbal", "3.1.2.6", Refused(400), None),
    ("ltgtruri", "3.1.2.7", Refused(400), None),
    ("lwsruri", "3.1.2.8", Refused(400), None),
    ("lwsstart", "3.1.2.9", Refused(400), None),
    ("trws", "3.1.2.10", Refused(400), None),
    // The header in the Request-URI goes no further: the next one has the phone's contact in its place.
    ("escruri", "3.1.2.11", Passed("caller", "user"), None),
    ("baddate", "3.1.2.12", Passed("caller", "user"), None),
    // The angle brackets that are missing are inferred, as they may be where nothing is in doubt.
    ("regbadct", "3.1.2.13", Asked("user", 200), None),
    ("badaspec", "3.1.2.14", Passed("a.g.bell", "user"), None),
    ("baddn", "3.1.2.15", Passed("a.g.bell", "t.watson"), None),
    ("badvers", "3.1.2.16", Refused(505), None),
    ("mismatch01", "3.1.2.17", Refused(400), None),
    ("mismatch02", "3.1.2.18", Refused(400), None),
    ("bigcode", "3.1.2.19", Dropped, None),
    ("badbranch", "3.2.1", Passed("caller", "user"), None),
    ("insuf", "3.3.1", Refused(400), None),
    ("unkscm", "3.3.2", Refused(416), None),
    ("novelsc", "3.3.3", Refused(416), None),
    // Whom it registers is no address-of-record of anybody.
    ("unksm2", "3.3.4", Asked("user", 403), None),
    ("bext01", "3.3.5", Refused(420), None),
    ("invut", "3.3.6", Passed("caller", "user"), None),
    ("regaut01", "3.3.7", Asked("j.user", 200), None),
    ("multi01", "3.3.8", Refused(400), None),
    ("mcl01", "3.3.9", Refused(400), Some(Closed(&[400]))),
    ("bcast", "3.3.10", Dropped, None),
    ("zeromf", "3.3.11", Refused(483), None),
    ("cparam01", "3.3.12", Asked("watson", 200), None),
    ("cparam02", "3.3.13", Asked("watson", 200), None),
    ("regescrt", "3.3.14", Asked("user", 200), None),
    // What the caller accepts is the callee's business.
    ("sdp01", "3.3.15", Passed("caller", "user"), None),
    // On a stream nobody knows where it ends (§20.14).
    ("inv2543", "3.4.1", Passed("+13035551111", "UserB"), Some(Closed(&[400]))),
];

const RFC_5118: [Row; 12] = [
    ("ipv6-good", "4.1", Asked("user", 200), None),
    ("ipv6-bad", "4.2", Refused(400), None),
    ("port-ambiguous", "4.3", Asked("user", 200), None),
    ("port-unambiguous", "4.4", Asked("user", 200), None),
    // No dialog of ours.
    ("via-received-param-with-delim", "4.5", Refused(481), None),
    // A question to the edge itself.
    ("via-received-param-no-delim", "4.5", Refused(200), None),
    ("ipv6-in-sdp", "4.6", Passed("user", "user"), None),
    ("mult-ip-in-header", "4.7", Refused(481), None),
    ("mult-ip-in-sdp", "4.8", Passed("user", "user"), None),
    ("ipv4-mapped-ipv6", "4.9", Passed("user", "user"), None),
    ("ipv6-bug-abnf-3-colons", "4.10", Passed("user", "user"), None),
    ("ipv6-correct-abnf-2-colons", "4.10", Passed("user", "user"), None),
];

/// Whom the messages name, as far as a name can be a user's here.
const PEOPLE: [&str; 9] =
    ["user", "caller", "j.user", "watson", "t.watson", "a.g.bell", "UserB", "+13035551111", "null-"];

/// Their domains, beside the one that every edge of these tests has.
const DOMAINS: &str = r#""example.com", "east.example.com", "example.net", "ift.client.example.net", "example.org", "2001:db8::10""#;

#[test]
fn each_message_gets_its_answer_over_udp() {
    each_message_gets_its_answer(Transport::Udp);
}

#[test]
fn each_message_gets_its_answer_over_tcp() {
    each_message_gets_its_answer(Transport::Tcp);
}

fn each_message_gets_its_answer(transport: Transport) {
    let mut stage = Stage::set();
    let rows = RFC_4475.iter().map(|row| (row, rfc4475(row.0)));
    let rows = rows.chain(RFC_5118.iter().map(|row| (row, rfc5118(row.0))));
    // Calls come first: what a message has registered rings later.
    let (registers, others): (Vec<_>, Vec<_>) = rows.partition(|(_, octets)| octets.starts_with(b"REGISTER"));
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());

    for ((name, section, verdict, on_stream), octets) in others.into_iter().chain(registers) {
        // With the same topmost Via it would be the repetition of another message (RFC 3261 §17.2.3).
        if !seen.insert(Lines::of(&octets).first("via").to_owned()) {
            stage = Stage::set();
            seen.clear();
        }
        let verdict = on_stream.filter(|_| transport == Transport::Tcp).unwrap_or(*verdict);
        if let Err(instead) = stage.play(transport, &octets, verdict) {
            wrong.push(format!("{name} (§{section}) should be {verdict:?}: {instead}"));
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_message_of_both_sets_has_a_row() {
    for (rfc, rows) in [("rfc4475", &RFC_4475[..]), ("rfc5118", &RFC_5118[..])] {
        let files = fs::read_dir(folder(rfc)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "dat")).collect();
        let mut named: Vec<_> =
            rows.iter().map(|row| folder(rfc).join(row.0).with_extension("dat")).collect();
        files.sort();
        named.sort();
        assert_eq!(files, named);
    }
}

// ---- the stage -----------------------------------------------------------------------------------------

/// An edge that knows the people of the messages, and the phones of those who are called.
struct Stage {
    edge: Edge,
    phones: BTreeMap<&'static str, Phone>,
}

impl Stage {
    fn set() -> Self {
        let mut edge = Edge::start(Plan::default());
        edge.rewrite(|text| {
            let mut text = text.replace(&format!("[\"{DOMAIN}\"]"), &format!("[\"{DOMAIN}\", {DOMAINS}]"));
            // The contacts of the messages are anywhere.
            text = text.replace(
                "[tenant.registration]\n",
                "[tenant.registration]\nthird_party_contacts = true\n",
            );
            for name in PEOPLE {
                text += &format!(
                    "[[tenant.extension]]\nnumber = \"{name}\"\npassword = \"{name}-secret\"\nown_phones_max = 4\n\n"
                );
            }
            text
        });
        edge.signal("HUP");
        edge.wait_for_log("configuration reloaded");
        let phones = ["user", "t.watson", "UserB"].map(|name| {
            let mut phone = edge.phone(Transport::Udp, account(name));
            assert_eq!(phone.register(600).unwrap().status(), Some(200), "{name}");
            (name, phone)
        });
        Self { phones: phones.into(), edge }
    }

    /// Sends a message. `Err` says what happened instead of the verdict.
    fn play(&mut self, transport: Transport, octets: &[u8], verdict: Verdict) -> Result<(), String> {
        let mut sender = Probe::new(&self.edge, transport);
        let account = match verdict {
            Dropped => return agree(sender.answers(octets).is_empty(), || "it is answered".into()),
            Unfinished(status) => {
                let head = octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                let length: usize = Lines::of(octets).first("content-length").parse().unwrap();
                sender.send(octets);
                let answers = sender.answers(&vec![b'.'; head + length - octets.len()]);
                return agree(statuses(&answers) == [status], || format!("{answers:?}"));
            }
            Closed(codes) => {
                sender.send(octets);
                let (answers, ended) = sender.read_to_the_end();
                return agree(ended && statuses(&answers) == codes, || format!("{answers:?}"));
            }
            Refused(status) => {
                let answers = sender.answers(octets);
                if let [answer] = &answers[..] {
                    is_answer_to(answer, octets)?;
                }
                return agree(statuses(&answers) == [status], || format!("{answers:?}"));
            }
            Asked(account, _) | Passed(account, _) => account,
        };
        sender.send(octets);
        let asked = answer_to(&mut sender, octets)?;
        is_answer_to(&asked, octets)?;
        let code = if octets.starts_with(b"REGISTER") { 401 } else { 407 };
        agree(asked.status() == Some(code), || format!("{:?} without credentials", asked.start_line()))?;
        let proved = with_credentials(octets, &asked, &self::account(account));
        sender.send(&proved);
        match verdict {
            Passed(_, callee) => {
                let phone = self.phones.get_mut(callee).unwrap();
                let method = String::from_utf8_lossy(octets.split(|octet| *octet == b' ').next().unwrap());
                let heard = phone.expect(&method).map_err(|error| error.to_string())?;
                is_passed_on(&heard, octets)?;
                // A phone answers OPTIONS by itself.
                let code = if method == "INVITE" { 486 } else { 200 };
                if method == "INVITE" {
                    phone.answer(&heard, code).map_err(|error| error.to_string())?;
                }
                let answer = answer_to(&mut sender, octets)?;
                agree(answer.status() == Some(code), || format!("{:?} comes back", answer.start_line()))
            }
            Asked(_, status) => {
                let answer = answer_to(&mut sender, octets)?;
                is_answer_to(&answer, octets)?;
                agree(answer.status() == Some(status), || {
                    format!("{:?} with credentials", answer.start_line())
                })
            }
            Dropped | Unfinished(_) | Closed(_) | Refused(_) => unreachable!("these ask for no account"),
        }
    }
}

/// The final answer to a request.
fn answer_to(sender: &mut Probe, request: &[u8]) -> Result<Message, String> {
    let call_id = Lines::of(request).first("call-id").to_owned();
    let deadline = Deadline::after(PATIENCE);
    loop {
        let message = sender.wire.receive(deadline).map_err(|error| error.to_string())?;
        let message = message.ok_or("there is no answer")?;
        if message.status() >= Some(200) && Lines::of(message.text().as_bytes()).first("call-id") == call_id {
            return Ok(message);
        }
    }
}

fn account(name: &str) -> Account {
    Account::new(name, &format!("{name}-secret"), DOMAIN)
}

fn statuses(answers: &[Message]) -> Vec<u16> {
    answers.iter().filter_map(Message::status).collect()
}

fn agree(is_so: bool, instead: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(instead()) }
}

// ---- what was said and heard ---------------------------------------------------------------------------

/// The header of a message, each line unfolded: names in lower case and in full, values without white space around them.
struct Lines(Vec<(String, String)>);

impl Lines {
    fn of(octets: &[u8]) -> Self {
        let text = String::from_utf8_lossy(octets);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let lines = unfolded.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let full = |name: &str| match &*name.trim_end().to_lowercase() {
            "f" => "from".into(),
            "i" => "call-id".into(),
            "l" => "content-length".into(),
            "t" => "to".into(),
            "v" => "via".into(),
            name => name.to_owned(),
        };
        let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
        Self(lines.map(|(name, value)| (full(name), words(value))).collect())
    }

    fn first(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// An answer finds its request again (RFC 3261 §8.2.6.2).
fn is_answer_to(answer: &Message, request: &[u8]) -> Result<(), String> {
    let (said, heard) = (Lines::of(request), Lines::of(answer.text().as_bytes()));
    for name in ["call-id", "cseq", "from"] {
        let (said, heard) = (said.first(name), heard.first(name));
        agree(said == heard, || format!("{name} of {heard:?} answers {said:?}"))?;
    }
    // What is not understood is named (§8.2.2.3, §16.3).
    let unsupported = (answer.status() == Some(420)).then(|| said.first("proxy-require"));
    agree(unsupported.is_none_or(|tags| heard.first("unsupported") == tags), || answer.text().into())?;
    agree(heard.first("to").starts_with(said.first("to")), || {
        format!("it answers to {:?}", heard.first("to"))
    })
}

/// A proxy changes what it must and nothing else (RFC 3261 §16.6).
fn is_passed_on(heard: &Message, said: &[u8]) -> Result<(), String> {
    const CHANGED: [&str; 3] = ["via", "max-forwards", "record-route"];
    let body = |text: &str| text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    let (before, after) = (Lines::of(said), Lines::of(heard.text().as_bytes()));
    for line in before.0.iter().filter(|(name, _)| !CHANGED.contains(&&**name)) {
        agree(after.0.contains(line), || format!("{line:?} is not in {}", heard.text()))?;
    }
    let hops = |lines: &Lines| lines.first("max-forwards").parse::<u8>().ok();
    let left = hops(&before).map_or(Some(70), |hops| hops.checked_sub(1));
    agree(hops(&after) == left, || format!("{:?} hops are left", hops(&after)))?;
    let vias = |lines: &Lines| lines.0.iter().filter(|(name, _)| name == "via").count();
    agree(vias(&after) == vias(&before) + 1, || format!("{} Vias", vias(&after)))?;
    agree(heard.header("Proxy-Authorization").is_none(), || "the credentials went along".into())?;
    agree(body(heard.text()) == body(&String::from_utf8_lossy(said)), || "the body has changed".into())
}

// ---- the messages --------------------------------------------------------------------------------------

fn folder(rfc: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parser/tests/torture").join(rfc)
}

fn read(rfc: &str, name: &str) -> Vec<u8> {
    fs::read(folder(rfc).join(name).with_extension("dat")).unwrap()
}

fn rfc4475(name: &str) -> Vec<u8> {
    let mut octets = read("rfc4475", name);
    if name == "baddn" {
        // As in the archive of the RFC: it ends before its empty line.
        octets.extend(b"\r\n");
    }
    octets
}

/// The archive of RFC 5118 has bare LF line ends, and lacks some empty lines and right lengths.
fn rfc5118(name: &str) -> Vec<u8> {
    let text = String::from_utf8(read("rfc5118", name)).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let lines = head.lines().filter(|line| !line.starts_with("Content-Length"));
    let head: String = lines.flat_map(|line| [line, "\r\n"]).collect();
    let body = body.replace('\n', "\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
