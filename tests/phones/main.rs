//! Real programs against the edge as it is shipped: baresip as desk phones, SIPp as many of them, Kamailio as a gateway.
//!
//! Where a program is not installed its tests say so on standard error and pass, unless `CI=true`: then it must be
//! there. `scripts/test` installs them.

#![expect(clippy::unwrap_used, reason = "this is all tests")]

mod baresip;
mod edge;
mod kamailio;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bench::certificates::Authority;
use bench::sound::Ear;

use crate::baresip::{Baresip, text};
use crate::edge::{Edge, Net};
use crate::kamailio::Kamailio;

/// How long anything may take before the test fails. A debug build on a busy machine checks a PIN in seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// True if `program` can be run. Tells everybody if it cannot.
fn has(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
        return true;
    }
    let missing = format!("{program} is not installed (Debian: apt-get install {package})");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing}");
    say_skipped(&missing);
    false
}

/// True if this process, and so SIPp, may send packets that it makes whole. Tells everybody if it may not.
fn may_send_raw() -> bool {
    let (kind, protocol) = (socket2::Type::RAW, Some(socket2::Protocol::UDP));
    let may = socket2::Socket::new(socket2::Domain::IPV4, kind, protocol).is_ok();
    if !may {
        say_skipped("SIPp needs a raw socket to send sound (root, or CAP_NET_RAW)");
    }
    may
}

fn say_skipped(why: &str) {
    // Not `eprintln!`, which the test harness keeps to itself while a test passes.
    std::io::stderr().write_all(format!("\nSKIPPED, AND SO NOT TESTED: {why}\n\n").as_bytes()).unwrap();
}

fn seats(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(device, extension)| ((*device).into(), (*extension).into())).collect()
}

/// A call is up at both phones. Whoever called shows as `caller`.
fn call(from: &mut Baresip, to: &mut Baresip, number: &str, caller: (&str, &str)) {
    from.dial(number);
    let incoming = to.wait_for("CALL_INCOMING");
    assert_eq!((text(&incoming, "peeruri"), text(&incoming, "peerdisplayname")), caller, "{incoming}");
    from.wait_for("CALL_RINGING");
    to.accept();
    from.wait_for("CALL_ESTABLISHED");
    to.wait_for("CALL_ESTABLISHED");
}

#[test]
fn people_take_desks_call_move_and_leave_with_baresip() {
    if !has("baresip", "baresip-core") {
        return;
    }
    let net = Net::new(0);
    let mut edge = Edge::start(net);
    let phone = |number: u8, transport| {
        let mut phone = Baresip::start(&format!("desk-{number}"), net.host(10 + number));
        phone.register(edge.sip(), transport);
        phone
    };
    let (mut desk_1, mut desk_2, mut desk_3) = (phone(1, "udp"), phone(2, "tcp"), phone(3, "udp"));
    let ann = ("sip:1002@demo.hotdesk", "Ann Lee");
    let john = ("sip:1001@demo.hotdesk", "John Smith");

    // Nobody sits anywhere: phones are registered, and that is all they are good for.
    assert_eq!(edge.metric("hotdesk_bindings"), 3);
    assert!(desk_1.dial_in_vain("1002").starts_with("403"));
    assert!(desk_1.dial_in_vain("*11*1001*0000").starts_with("403"));
    assert_eq!(edge.seats(), seats(&[]));

    // Two people take a desk each.
    desk_1.dial_code("*11*1001*7738");
    desk_2.dial_code("*11*1002*2468");
    assert_eq!(edge.seats(), seats(&[("desk-1", "1001"), ("desk-2", "1002")]));

    // They call each other, both ways, and either hangs up. What shows is the person, not the desk.
    call(&mut desk_2, &mut desk_1, "1001", ann);
    desk_2.hang_up();
    desk_1.wait_for("CALL_CLOSED");
    desk_2.wait_for("CALL_CLOSED");
    call(&mut desk_1, &mut desk_2, "1002", john);
    desk_2.hang_up();
    desk_1.wait_for("CALL_CLOSED");
    desk_2.wait_for("CALL_CLOSED");

    // John moves. The next call rings at the third desk, and only there; the caller gives up.
    desk_3.dial_code("*11*1001*7738");
    assert_eq!(edge.seats(), seats(&[("desk-2", "1002"), ("desk-3", "1001")]));
    desk_2.dial("1001");
    let incoming = desk_3.wait_for("CALL_INCOMING");
    assert_eq!((text(&incoming, "peeruri"), text(&incoming, "peerdisplayname")), ann);
    desk_2.wait_for("CALL_RINGING");
    desk_2.hang_up();
    desk_3.wait_for("CALL_CLOSED");
    desk_2.wait_for("CALL_CLOSED");
    assert!(!desk_1.has_heard("CALL_INCOMING"));

    // The edge is cut off and comes back: people sit where they sat, and phones ring without registering again.
    edge.kill_and_start();
    assert_eq!(edge.seats(), seats(&[("desk-2", "1002"), ("desk-3", "1001")]));
    desk_1.dial_code("*11*1003*1357");
    call(&mut desk_1, &mut desk_3, "1001", ("sip:1003@demo.hotdesk", "Max Weber"));
    desk_3.hang_up();
    desk_1.wait_for("CALL_CLOSED");
    desk_3.wait_for("CALL_CLOSED");

    // John leaves, and is nowhere.
    desk_3.dial_code("*12");
    assert_eq!(edge.seats(), seats(&[("desk-1", "1003"), ("desk-2", "1002")]));
    assert!(desk_1.dial_in_vain("1001").starts_with("480"));
    assert_eq!(edge.metric("hotdesk_worker_panics_total"), 0);
}

#[test]
fn person_logs_in_at_the_attendant_with_baresip() {
    if !has("baresip", "baresip-core") {
        return;
    }
    let net = Net::new(4);
    let edge = Edge::start(net);
    let prompts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("configs/prompts/en");
    let ear = Ear::knowing(&prompts).unwrap();
    let mut desk = Baresip::start("desk-1", net.host(11));
    desk.register(edge.sip(), "udp");

    desk.dial("*11");
    desk.wait_for("CALL_ESTABLISHED");
    desk.listen(&ear, |said| said == "enter-extension");
    desk.press("1001#");
    desk.listen(&ear, |said| said.ends_with("enter-pin"));
    desk.press("7738#");
    desk.wait_for("CALL_CLOSED");

    let said = desk.listen(&ear, |said| said.ends_with("goodbye"));
    assert_eq!(said, "enter-extension enter-pin logged-in 1 0 0 1 phone-reloads goodbye");
    assert_eq!(edge.seats(), seats(&[("desk-1", "1001")]));
}

#[test]
fn person_logs_in_over_tls_with_encrypted_sound_with_baresip() {
    if !has("baresip", "baresip-core") {
        return;
    }
    let net = Net::new(8);
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = (dir.path().join("edge.pem"), dir.path().join("edge.key"));
    let issued = Authority::new("office").host(&[&net.host(1).to_string()]);
    fs::write(&chain, issued.chain).unwrap();
    fs::write(&key, issued.key).unwrap();
    let tls = SocketAddr::new(net.host(1), 5061);
    let listen = format!(
        "\n[[listen]]\nprotocol = \"tls\"\naddress = \"{tls}\"\ncertificate = {{ chain = {chain:?}, key = {key:?} }}\n"
    );
    let edge = Edge::start_with(net, &listen);
    let ear = Ear::knowing(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("configs/prompts/en")).unwrap();

    // baresip 1.0 believes every certificate, so whom a phone turns away is not seen here.
    let mut desk = Baresip::start("desk-1", net.host(11));
    desk.register_with(tls, "tls", ";mediaenc=srtp-mand");

    desk.dial("*11*1001");
    desk.wait_for("CALL_ESTABLISHED");
    desk.listen(&ear, |said| said == "enter-pin");
    desk.press("7738#");
    desk.wait_for("CALL_CLOSED");

    let said = desk.listen(&ear, |said| said.ends_with("goodbye"));
    assert_eq!(said, "enter-pin logged-in 1 0 0 1 phone-reloads goodbye");
    assert_eq!(edge.seats(), seats(&[("desk-1", "1001")]));
}

#[test]
fn calls_leave_by_a_gateway_that_asks_for_a_password_with_kamailio() {
    if !has("baresip", "baresip-core") || !has("kamailio", "kamailio") {
        return;
    }
    for (test, algorithm) in [(6, "MD5"), (7, "SHA-256")] {
        let net = Net::new(test);
        let gateway = Kamailio::start(net.host(30), algorithm);
        let route = format!(
            "\n[[tenant.route]]\npeers = [\"sip:{}\"]\ntrust = \"digest\"\nusername = \"acme\"\n\
             password = \"secret\"\nrealm = \"pbx.example\"\n",
            net.host(30)
        );
        let edge = Edge::start_with(net, &route);
        let mut desk = Baresip::start("desk-1", net.host(11));
        desk.register(edge.sip(), "udp");
        desk.dial_code("*11*1001*7738");

        for _ in 0..2 {
            desk.dial("+12125557000");
            desk.wait_for("CALL_ESTABLISHED");
            let (invite, ack) = (gateway.takes(), gateway.takes());
            assert_eq!((&*invite.method, &*ack.method), ("INVITE", "ACK"));
            assert_eq!((invite.cseq, invite.proved), (ack.cseq, ack.proved));
            desk.hang_up();
            desk.wait_for("CALL_CLOSED");
            let bye = gateway.takes();
            assert_eq!((&*bye.method, bye.proved), ("BYE", true));
            assert!(bye.cseq > invite.cseq, "{invite:?} {bye:?}");
        }

        // The first INVITE was asked for a password. All that came after brought it along.
        assert_eq!(edge.metric("hotdesk_peer_challenges_answered_total"), 1, "{algorithm}");
        assert_eq!(edge.metric("hotdesk_peer_challenges_refused_total"), 0, "{algorithm}");
    }
}

/// Plays a scenario of `bench/sipp` and gives back its figures.
fn sipp(edge: &Edge, net: Net, arguments: &[&str]) -> String {
    let run = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bench/sipp/run");
    let (scenario, options) = arguments.split_first().unwrap();
    let output = Command::new(run)
        .arg(scenario)
        .args(["--edge", &edge.sip().to_string(), "--from", &net.host(20).to_string(), "--seconds", "30"])
        .args(options)
        .output()
        .unwrap();
    let figures = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{figures}\n{errors}", output.status);
    figures
}

#[test]
fn phones_register_and_refresh_with_sipp() {
    if !has("sipp", "sip-tester") {
        return;
    }
    let net = Net::new(1);
    let edge = Edge::start(net);

    let figures = sipp(&edge, net, &["register-digest", "--calls", "60", "--rate", "60"]);
    assert!(figures.contains("60 calls good, 0 failed"), "{figures}");
    let figures = sipp(&edge, net, &["register", "--calls", "60", "--rate", "60", "--rounds", "10"]);
    assert!(figures.contains("60 calls good, 0 failed"), "{figures}");

    // Refreshes with the nonce in use are not challenged: one challenge a call is all.
    assert_eq!(edge.metric("hotdesk_stale_nonces_total"), 0);
    assert_eq!(edge.metric("hotdesk_digests_refused_total"), 0);
    assert_eq!(edge.metric("hotdesk_bindings"), 3);
}

#[test]
fn people_move_between_desks_with_sipp() {
    if !has("sipp", "sip-tester") {
        return;
    }
    let net = Net::new(2);
    let edge = Edge::start(net);

    let figures = sipp(&edge, net, &["seat-swap", "--calls", "20"]);
    assert!(figures.contains("20 calls good, 0 failed"), "{figures}");
    assert_eq!(edge.seats(), seats(&[("desk-2", "1003")]));
    let figures = sipp(&edge, net, &["seat-swap-native", "--rounds", "20"]);
    assert!(figures.contains("3 calls good, 0 failed"), "{figures}");

    assert_eq!(edge.metric("hotdesk_log_ins_refused_total"), 0);
    assert!(edge.metric("hotdesk_notifies_sent_total") > 40);
    assert_eq!(edge.metric("hotdesk_notifies_failed_total"), 0);
}

#[test]
fn calls_go_through_with_sipp() {
    if !has("sipp", "sip-tester") {
        return;
    }
    let net = Net::new(3);
    let edge = Edge::start(net);

    let figures = sipp(&edge, net, &["call", "--calls", "60", "--rate", "60"]);

    assert!(figures.contains("60 calls good, 0 failed"), "{figures}");
    assert_eq!(edge.seats(), seats(&[("desk-1", "1001"), ("desk-2", "1002")]));
}

#[test]
fn people_log_in_at_the_attendant_with_sipp() {
    if !has("sipp", "sip-tester") || !may_send_raw() {
        return;
    }
    let net = Net::new(5);
    let edge = Edge::start(net);

    let figures = sipp(&edge, net, &["attendant", "--calls", "2", "--seconds", "90"]);

    assert!(figures.contains("2 calls good, 0 failed"), "{figures}");
    assert_eq!(edge.seats(), seats(&[("desk-2", "1003")]));
    assert_eq!(edge.metric("hotdesk_log_ins_refused_total"), 0);
}
