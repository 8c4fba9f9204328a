mod bounds;

use proptest::prelude::*;

use super::*;
use crate::auth::NonceId;
use crate::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use crate::location::Contact;
use crate::registrar::write_granted;
use crate::settings::{RegistrarPolicy, TenantParts};

const NOW: Mono = Mono(10_000_000_000);

/// One account of a tenant with one extension, and the numbers of the requests made so far.
struct Desk {
    location: Location,
    upkeep: Upkeep,
    tenant: Tenant,
    role: Role,
    flow: Flow,
    proof: Option<Proof>,
    own_max: OwnMax,
    now: Mono,
    /// Mere refreshes are done in place.
    in_place: bool,
}

/// The tenant, whose phones get the time they ask for.
fn tenant(third_party_contacts: bool) -> Tenant {
    let (id, domains) = ("demo".into(), vec!["demo.hotdesk".into()]);
    let registrar = RegistrarPolicy { expires_spread: 0, third_party_contacts, ..RegistrarPolicy::default() };
    Tenant::new(TenantParts { id, domains, registrar, ..TenantParts::default() })
}

impl Desk {
    fn new(role: Role) -> Self {
        Self {
            location: Location::new([5; 16]),
            upkeep: Upkeep::new(WorkerId(0), false),
            tenant: tenant(false),
            role,
            flow: udp(5060),
            proof: None,
            own_max: OwnMax { phones: 2, contacts: 7 },
            now: NOW,
            in_place: true,
        }
    }

    fn ordinary() -> Self {
        Self::new(Role::Ordinary)
    }

    /// Sends a REGISTER with these header lines; Call-ID and CSeq stand for its branch, too.
    fn send(&mut self, call_id: &str, cseq: u32, lines: &str) -> Outcome {
        let print = crate::location::stable_hash(&[call_id.as_bytes(), &cseq.to_le_bytes()]) as u32;
        self.send_as(call_id, cseq, print, lines)
    }

    fn send_as(&mut self, call_id: &str, cseq: u32, print: u32, lines: &str) -> Outcome {
        let bytes = message(call_id, cseq, lines);
        let request = sip::Message::parse(&bytes, &sip::Limits::default()).unwrap();
        let headers = request.validate().unwrap();
        let register = Register::read(&request, &headers, self.flow, &self.tenant);
        let registration = Registration {
            register: &register,
            tenant: &self.tenant,
            user: "1001",
            role: self.role,
            proof: self.proof,
            is_believed: false,
            print,
            own_max: self.own_max,
        };
        let mut granted = Granted::default();
        let how = if self.in_place { update } else { change_all };
        let outcome = how(&self.location, &mut self.upkeep, self.now, &registration, &mut granted);
        if matches!(outcome, Outcome::Granted { .. } | Outcome::Repeated) {
            assert_eq!(answer(&granted), self.answer());
        } else {
            assert_eq!(answer(&granted), [""; 0]);
        }
        outcome
    }

    fn contacts(&self) -> Vec<Contact> {
        self.location.contacts("demo", b"1001", self.now).to_vec()
    }

    fn uris(&self) -> Vec<String> {
        self.contacts().iter().map(|contact| String::from_utf8(contact.uri.to_vec()).unwrap()).collect()
    }

    /// Seconds the only contact has left.
    fn left(&self) -> u64 {
        let contacts = self.contacts();
        assert_eq!(contacts.len(), 1);
        contacts[0].expires_at.since(self.now).as_secs()
    }

    /// What a 200 lists now.
    fn answer(&self) -> Vec<String> {
        let mut granted = Granted::default();
        granted.list_all(&self.location, ("demo", "1001"), self.role, self.now);
        answer(&granted)
    }

    fn proved(&mut self, nonce: u64, count: u32) -> &mut Self {
        self.proof = Some(Proof { nonce: NonceId(nonce << 32), count: Some(count) });
        self
    }
}

/// The contacts of a 200.
fn answer(granted: &Granted) -> Vec<String> {
    let bytes = message("x", 1, "");
    let request = sip::Message::parse(&bytes, &sip::Limits::default()).unwrap();
    let mut out = Vec::new();
    write_granted(
        &mut out,
        &request,
        &request.validate().unwrap(),
        &sip::ResponseOptions::default(),
        granted,
    );
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("SIP/2.0 200 OK\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    let contacts = text.lines().filter_map(|line| line.strip_prefix("Contact: "));
    contacts.map(Into::into).collect()
}

fn udp(port: u16) -> Flow {
    Flow::datagram(ListenerId(0), ([203, 0, 113, 5], port).into())
}

fn message(call_id: &str, cseq: u32, lines: &str) -> Vec<u8> {
    format!(
        "REGISTER sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP phone.example;branch=z9hG4bK{cseq}\r\n\
             From: <sip:1001@demo.hotdesk>;tag=1\r\nTo: <sip:1001@demo.hotdesk>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} REGISTER\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// One REGISTER of a random history.
#[derive(Clone, Debug)]
struct Step {
    role: Role,
    port: u16,
    proof: Option<(u64, u32)>,
    call_id: bool,
    cseq: u32,
    lines: String,
    milliseconds: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let holder = |device, epoch| Role::Holder(Holder { device, epoch });
    let role = prop::sample::select(vec![
        Role::Device,
        Role::Ordinary,
        Role::Ordinary,
        Role::Ordinary,
        holder(1, 1),
        holder(1, 2),
    ]);
    let host = prop::sample::select(vec!["10.0.0.1", "10.0.0.1", "10.0.0.2"]);
    let tail = prop::sample::select(vec![
        "",
        "",
        ";q=0.5",
        ";+sip.instance=\"<urn:uuid:1>\"",
        ";+sip.instance=\"<urn:uuid:1>\"",
        ";+sip.instance=\"<urn:uuid:2>\"",
        // What cannot be written back is none.
        ";+sip.instance=\"<urn uuid:1>\"",
        ";expires=0",
        ";expires=61",
    ]);
    let lines = (host, tail).prop_map(|(host, tail)| format!("Contact: <sip:1001@{host}>{tail}\r\n"));
    let proof = prop::option::of((1_u64..3, 1_u32..80));
    let step = (role, 6000_u16..6002, proof, prop::bool::weighted(0.9), 1_u32..9, lines, 0_u64..90_000);
    let step = step.prop_map(|(role, port, proof, call_id, cseq, lines, milliseconds)| Step {
        role,
        port,
        proof,
        call_id,
        cseq,
        lines,
        milliseconds,
    });
    prop::collection::vec(step, 1..40)
}

proptest! {
    #[test]
    fn a_refresh_in_place_does_what_a_whole_change_does(steps in steps()) {
        let mut desks = [Desk::ordinary(), Desk::ordinary()];
        desks[1].in_place = false;
        let mut cseq = 0;

        for step in steps {
            cseq += step.cseq.saturating_sub(2);
            let seen = desks.each_mut().map(|desk| {
                (desk.role, desk.flow, desk.proof) = (step.role, udp(step.port), None);
                desk.now = desk.now + Duration::from_millis(step.milliseconds);
                if let Some((nonce, count)) = step.proof {
                    desk.proved(nonce, count);
                }
                let outcome = desk.send(if step.call_id { "a" } else { "b" }, cseq, &step.lines);
                let Desk { location, upkeep, now, .. } = desk;
                let record = location.update("demo", b"1001", *now, upkeep, |draft| format!("{draft:?}"));
                (outcome, record)
            });
            prop_assert_eq!(&seen[0], &seen[1]);
        }
    }
}

fn granted(added: usize, refreshed: usize, removed: usize) -> Outcome {
    Outcome::Granted { added, refreshed, removed }
}

fn refused(why: Refused) -> Outcome {
    Outcome::Refused(why)
}

const A: &str = "Contact: <sip:1001@10.0.0.1:5060>\r\n";
const B: &str = "Contact: <sip:1001@10.0.0.2:5060>\r\n";

#[test]
fn contacts_are_added_refreshed_and_removed() {
    let mut desk = Desk::ordinary();

    assert_eq!(desk.send("a", 1, A), granted(1, 0, 0));
    desk.flow = udp(6000);
    assert_eq!(desk.send("a", 2, A), granted(0, 1, 0));
    assert_eq!(desk.contacts()[0].flow, Some(udp(6000)));
    assert_eq!(desk.send("b", 1, &B.replace("\r\n", ";q=0.5\r\n")), granted(1, 0, 0));
    assert_eq!(desk.uris(), ["sip:1001@10.0.0.1:5060", "sip:1001@10.0.0.2:5060"]);
    assert_eq!(desk.contacts()[1].q, 500);

    assert_eq!(desk.send("a", 3, &A.replace("\r\n", ";expires=0\r\n")), granted(0, 0, 1));
    assert_eq!(desk.send("a", 4, &A.replace("\r\n", ";expires=0\r\n")), granted(0, 0, 0));
    assert_eq!(desk.send("b", 2, &format!("{B}Expires: 0\r\n")), granted(0, 0, 1));
    assert!(desk.contacts().is_empty());
}

#[test]
fn a_request_without_contacts_asks() {
    let mut desk = Desk::ordinary();
    desk.send("a", 1, A);

    assert_eq!(desk.send("q", 1, ""), granted(0, 0, 0));
    assert_eq!(desk.answer(), ["<sip:1001@10.0.0.1:5060>;expires=600"]);
}

#[test]
fn expiries_are_granted_within_the_tenants_limits() {
    // RegistrarPolicy: at least 60, by default 600, at most 7200.
    for (lines, seconds) in [
        ("Contact: <sip:a@10.0.0.1>\r\n", 600),
        ("Contact: <sip:a@10.0.0.1>\r\nExpires: 300\r\n", 300),
        ("Contact: <sip:a@10.0.0.1>;expires=200\r\nExpires: 300\r\n", 200),
        ("Contact: <sip:a@10.0.0.1>;expires=60\r\n", 60),
        ("Contact: <sip:a@10.0.0.1>;expires=4294967296\r\n", 7200),
        ("Contact: <sip:a@10.0.0.1>;expires=99999999999999999999\r\n", 7200),
        ("Contact: <sip:a@10.0.0.1>;expires=-1\r\n", 600),
        ("Contact: <sip:a@10.0.0.1>\r\nExpires: soon\r\n", 600),
        ("Contact: <sip:a@10.0.0.1>;expires=x\r\nExpires: 300\r\n", 300),
    ] {
        let mut desk = Desk::ordinary();
        assert_eq!(desk.send("a", 1, lines), granted(1, 0, 0), "{lines}");
        assert_eq!(desk.left(), seconds, "{lines}");
    }
}

#[test]
fn an_expiry_that_is_too_brief_changes_nothing() {
    let mut desk = Desk::ordinary();
    let brief = || refused(Refused::TooBrief { expires_min: "60".into() });

    assert_eq!(desk.send("a", 1, "Contact: <sip:a@10.0.0.1>;expires=59\r\n"), brief());
    assert_eq!(desk.send("a", 2, &format!("{A}{B}Expires: 1\r\n")), brief());
    let mixed = "Contact: <sip:a@10.0.0.1>, <sip:b@10.0.0.1>;expires=1\r\n";
    assert_eq!(desk.send("a", 3, mixed), brief());

    assert!(desk.contacts().is_empty());
    let Outcome::Refused(why) = brief() else { unreachable!() };
    assert_eq!(
        why.answer(),
        crate::context::Answer::with(423, "Interval Too Brief", sip::Name::MinExpires, "60")
    );
}

#[test]
fn an_older_cseq_of_the_same_call_id_changes_nothing() {
    let mut desk = Desk::ordinary();
    desk.own_max.phones = 4;
    desk.send("a", 5, A);
    desk.now = Mono(NOW.0 + 100_000_000_000);

    assert_eq!(desk.send("a", 4, A), refused(Refused::OldCSeq));
    assert_eq!(desk.send("a", 4, &format!("{A}Expires: 0\r\n")), refused(Refused::OldCSeq));
    // Neither does a request of which only a part is old: all or nothing.
    assert_eq!(desk.send("a", 4, &format!("{B}{A}")), refused(Refused::OldCSeq));
    assert_eq!(desk.send("a", 4, "Contact: *\r\nExpires: 0\r\n"), refused(Refused::OldCSeq));
    assert_eq!(desk.send_as("a", 5, 99, A), refused(Refused::OldCSeq));
    assert_eq!((desk.uris().len(), desk.left()), (1, 500));

    assert_eq!(desk.send("other", 1, A), granted(0, 1, 0));
    assert_eq!(desk.left(), 600);
}

#[test]
fn a_retransmission_is_granted_again_and_changes_nothing() {
    let mut desk = Desk::ordinary();
    desk.proved(3, 1);
    assert_eq!(desk.send("a", 5, A), granted(1, 0, 0));
    desk.now = Mono(NOW.0 + 1_000_000_000);

    assert_eq!(desk.send("a", 5, A), Outcome::Repeated);
    assert_eq!(desk.left(), 599);

    // Also one that removed: nothing of it is in the table any more.
    desk.proved(3, 2);
    assert_eq!(desk.send("a", 6, &format!("{A}Expires: 0\r\n")), granted(0, 0, 1));
    assert_eq!(desk.send("a", 6, &format!("{A}Expires: 0\r\n")), Outcome::Repeated);
    desk.proved(3, 3);
    assert_eq!(desk.send("a", 7, "Contact: *\r\nExpires: 0\r\n"), granted(0, 0, 0));
    assert_eq!(desk.send("a", 7, "Contact: *\r\nExpires: 0\r\n"), Outcome::Repeated);
    // And without a proof, by the binding alone.
    desk.proof = None;
    assert_eq!(desk.send("a", 8, A), granted(1, 0, 0));
    assert_eq!(desk.send("a", 8, A), Outcome::Repeated);
}

#[test]
fn a_captured_proof_moves_no_binding() {
    let mut desk = Desk::ordinary();
    desk.proved(3, 1);
    desk.send("a", 5, A);

    desk.flow = udp(6666);
    assert_eq!(desk.send("evil", 1, B), Outcome::Stale);
    assert_eq!(desk.send("a", 6, B), Outcome::Stale);
    // Even with Call-ID, CSeq and branch as captured nothing changes.
    assert_eq!(desk.send("a", 5, B), Outcome::Repeated);
    assert_eq!(desk.send("a", 5, &format!("{A}Expires: 0\r\n")), Outcome::Repeated);

    assert_eq!(desk.uris(), ["sip:1001@10.0.0.1:5060"]);
    assert_eq!(desk.contacts()[0].flow, Some(udp(5060)));
}

#[test]
fn a_proof_is_good_for_one_refresh() {
    let mut desk = Desk::ordinary();
    assert_eq!(desk.proved(1, 1).send("a", 1, A), granted(1, 0, 0));
    assert_eq!(desk.proved(1, 2).send("a", 2, A), granted(0, 1, 0));

    assert_eq!(desk.proved(1, 2).send("a", 3, A), Outcome::Stale);
    assert_eq!(desk.proved(1, 1).send("a", 4, A), Outcome::Stale);
    assert_eq!(desk.proved(1, 3).send("a", 5, A), granted(0, 1, 0));
}

#[test]
fn a_binding_that_has_ended_is_bound_anew() {
    let mut desk = Desk::ordinary();
    desk.send("a", 1, &format!("{A}Expires: 60\r\n"));

    desk.now = desk.now + Duration::from_secs(61);

    assert_eq!(desk.send("a", 2, A), granted(1, 0, 0));
}

#[test]
fn the_proof_of_a_refused_request_serves_for_no_other() {
    let mut desk = Desk::ordinary();
    desk.proved(3, 1);
    let brief = || refused(Refused::TooBrief { expires_min: "60".into() });
    assert_eq!(desk.send("a", 1, &format!("{A}Expires: 1\r\n")), brief());

    assert_eq!(desk.send("a", 1, &format!("{A}Expires: 1\r\n")), brief());
    assert_eq!(desk.send("evil", 1, A), Outcome::Stale);
    assert_eq!(desk.send("a", 1, A), Outcome::Repeated);
    assert!(desk.contacts().is_empty());
    desk.proved(3, 2);
    assert_eq!(desk.send("a", 2, A), granted(1, 0, 0));
}

#[test]
fn the_star_stands_alone_and_removes_everything_of_its_role() {
    let mut desk = Desk::ordinary();
    desk.send("a", 1, A);
    desk.send("b", 1, B);

    for lines in [
        "Contact: *\r\n",
        "Contact: *\r\nExpires: 3600\r\n",
        "Contact: *\r\nExpires: x\r\n",
        "Contact: *, <sip:a@10.0.0.1>\r\nExpires: 0\r\n",
        "Contact: <sip:a@10.0.0.1>\r\nContact: *\r\nExpires: 0\r\n",
        "Contact: *\r\nContact: *\r\nExpires: 0\r\n",
    ] {
        assert_eq!(desk.send("s", 1, lines), refused(Refused::BadStar), "{lines}");
    }
    assert_eq!(desk.contacts().len(), 2);

    assert_eq!(desk.send("s", 2, "Contact: *\r\nExpires: 0\r\n"), granted(0, 0, 2));
}

#[test]
fn each_role_sees_and_touches_its_own() {
    let holder = |device, epoch| Role::Holder(Holder { device, epoch });
    let mut desk = Desk::ordinary();
    desk.send("own", 1, A);
    desk.role = holder(1, 7);
    assert_eq!(desk.send("one", 1, A), granted(1, 0, 0));
    desk.role = holder(2, 8);
    assert_eq!(desk.send("two", 1, B), granted(1, 0, 0));

    assert_eq!(desk.answer(), ["<sip:1001@10.0.0.2:5060>;expires=600"]);
    assert_eq!(desk.send("two", 2, "Contact: *\r\nExpires: 0\r\n"), granted(0, 0, 1));
    desk.role = Role::Ordinary;
    assert_eq!(desk.answer(), ["<sip:1001@10.0.0.1:5060>;expires=600"]);
    assert_eq!(desk.send("own", 2, "Contact: *\r\nExpires: 0\r\n"), granted(0, 0, 1));

    let left = desk.contacts();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].holder, Some(Holder { device: 1, epoch: 7 }));
    // The same device in a later seat takes its binding over.
    desk.role = holder(1, 9);
    assert_eq!(desk.send("one", 2, A), granted(0, 1, 0));
    assert_eq!(desk.contacts()[0].holder, Some(Holder { device: 1, epoch: 9 }));
}

#[test]
fn a_phone_is_known_by_its_instance_else_by_its_uri() {
    let mut desk = Desk::ordinary();
    let with =
        |uri: &str, instance: u8| format!("Contact: <{uri}>;+sip.instance=\"<urn:uuid:{instance}>\"\r\n");
    assert_eq!(desk.send("a", 1, &with("sip:1001@192.168.1.10:5060", 1)), granted(1, 0, 0));

    // Another port after a reboot: the same phone.
    assert_eq!(desk.send("b", 1, &with("sip:1001@192.168.1.10:5080", 1)), granted(0, 1, 0));
    // Another phone behind another NAT that has the same private address.
    assert_eq!(desk.send("c", 1, &with("sip:1001@192.168.1.10:5080", 2)), granted(1, 0, 0));
    assert_eq!(desk.contacts().len(), 2);
    assert_eq!(
        desk.answer(),
        [
            "<sip:1001@192.168.1.10:5080>;expires=600;+sip.instance=\"<urn:uuid:1>\"",
            "<sip:1001@192.168.1.10:5080>;expires=600;+sip.instance=\"<urn:uuid:2>\"",
        ]
    );

    // Two flows of one phone (RFC 5626).
    let mut desk = Desk::ordinary();
    let flow = |reg_id: u8| {
        let contact = with("sip:1001@192.168.1.10", 1).replace(";+", &format!(";reg-id={reg_id};+"));
        format!("{contact}Supported: outbound\r\n")
    };
    assert_eq!(desk.send("a", 1, &flow(1)), granted(1, 0, 0));
    assert_eq!(desk.send("b", 1, &flow(2)), granted(1, 0, 0));
    assert_eq!(desk.send("a", 2, &flow(1)), granted(0, 1, 0));

    let mut desk = Desk::ordinary();
    assert_eq!(desk.send("a", 1, "Contact: <sip:%61@10.0.0.1;transport=UDP>\r\n"), granted(1, 0, 0));
    assert_eq!(desk.send("a", 2, "Contact: <sip:a@10.0.0.1;Transport=udp>\r\n"), granted(0, 1, 0));
    assert_eq!(desk.send("a", 3, "Contact: <sip:a@10.0.0.1:5060;Transport=udp>\r\n"), granted(1, 0, 0));
}

#[test]
fn of_two_that_are_the_same_contact_the_last_counts() {
    let mut desk = Desk::ordinary();
    let twice = "Contact: <sip:a@10.0.0.1>;expires=100, <sip:a@10.0.0.1>;expires=200\r\n";

    assert_eq!(desk.send("a", 1, twice), granted(1, 0, 0));
    assert_eq!(desk.left(), 200);
}

#[test]
fn a_contact_must_be_where_the_phone_may_think_it_is() {
    for near in [
        "sip:a@203.0.113.5:9",
        "sip:a@10.1.2.3",
        "sip:a@192.168.0.9:5062;transport=udp",
        "sip:a@100.100.0.1",
        "sip:a@127.0.0.1",
        "sip:a@169.254.7.8",
        "sip:a@0.0.0.0",
        "sip:a@[fd00::1]",
        "sip:a@[fe80::1]",
        "sip:a@[::1]",
        "sip:a@[::]",
        "sip:a@df7jal23ls0d.invalid;transport=ws",
        "sip:a@phone.example",
        "sips:a@PHONE.example:5061",
    ] {
        let outcome = Desk::ordinary().send("a", 1, &format!("Contact: <{near}>\r\n"));
        assert_eq!(outcome, granted(1, 0, 0), "{near}");
    }
    for far in [
        "sip:a@198.51.100.1",
        "sip:a@100.0.0.1",
        "sip:a@198.64.0.1",
        "sip:a@[2001:db8::1]",
        "sip:bob@example.com",
        "sip:1002@demo.hotdesk",
    ] {
        let mut desk = Desk::ordinary();
        let line = format!("Contact: <{far}>\r\n");
        assert_eq!(desk.send("a", 1, &line), refused(Refused::ForeignContact), "{far}");
        // To remove one is no harm.
        assert_eq!(desk.send("a", 2, &format!("{line}Expires: 0\r\n")), granted(0, 0, 0), "{far}");
        desk.tenant = tenant(true);
        assert_eq!(desk.send("a", 3, &line), granted(1, 0, 0), "{far}");
    }
}

#[test]
fn what_is_no_contact_is_refused() {
    let long = "x".repeat(crate::location::URI_LENGTH_MAX);
    for bad in ["tel:+1", "mailto:a@b", "sip:", "a", &format!("sip:{long}@10.0.0.1")] {
        let mut desk = Desk::ordinary();
        let lines = format!("{A}Contact: <{bad}>\r\n");
        assert_eq!(desk.send("a", 1, &lines), refused(Refused::BadContact), "{bad}");
        assert!(desk.contacts().is_empty());
    }
}

#[test]
fn a_device_is_learned_from_its_own_registers() {
    let mut desk = Desk::new(Role::Device);
    desk.flow = Flow { connection: Some(ConnectionId::new(WorkerId(0), 1, 1)), ..udp(5060) };
    let lines = "Contact: <sip:1001@10.0.0.1>;+sip.instance=\"<urn:uuid:1>\"\r\n";

    desk.send("a", 1, lines);

    let device = desk.location.device_of_flow(&desk.flow, NOW).unwrap();
    assert_eq!((&*device.tenant, &*device.user), ("demo", "1001"));
    assert_eq!(desk.location.device_of_instance("demo", b"urn:uuid:1", NOW), Some(device));
    desk.send("a", 2, &format!("{lines}Expires: 0\r\n"));
    assert_eq!(desk.location.device_of_flow(&desk.flow, NOW), None);

    let mut desk = Desk::ordinary();
    desk.send("a", 1, lines);
    assert_eq!(desk.location.device_of_flow(&desk.flow, NOW), None);
}

#[test]
fn the_answer_tells_what_is_left_of_each_binding() {
    let mut desk = Desk::ordinary();
    desk.send("a", 1, "Contact: <sip:1001@10.0.0.1;line=x>;q=0.7;expires=100\r\n");
    desk.send("b", 1, "Contact: <sip:1001@10.0.0.2>;expires=300\r\n");
    desk.now = Mono(NOW.0 + 40_000_000_000);

    assert_eq!(
        desk.answer(),
        ["<sip:1001@10.0.0.1;line=x>;expires=60;q=0.7", "<sip:1001@10.0.0.2>;expires=260"]
    );
    desk.now = Mono(NOW.0 + 99_999_999_999);
    assert!(desk.answer()[0].contains(";expires=1;"));
    desk.now = Mono(NOW.0 + 100_000_000_000);
    assert_eq!(desk.answer().len(), 1);
}
