//! The audit trail from outside: asked for, followed, delivered, there after `kill -9`, and without a secret in it.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use bench::certificates::{Authority, host_showing};
use bench::deadline::Deadline;
use bench::phone::{Transport, connect};
use rustls::{ServerConnection, StreamOwned};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::edge::{Edge, PATIENCE, PEOPLE, Plan, desk, log_in_code, person, pin, pin_hash};

fn durable() -> Plan {
    Plan { store: "embedded", ..Plan::default() }
}

/// Asks for records, newest first.
fn records(edge: &Edge, query: &str) -> Vec<Value> {
    let answer = edge.control.get(&format!("/v1/audit?{query}")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let page: Value = serde_json::from_str(&answer.body).unwrap();
    page["records"].as_array().unwrap().clone()
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["kind"].as_str().unwrap()).collect()
}

/// A server that takes whatever it is sent; the requests, whole.
pub(crate) fn hook_server(listener: TcpListener) -> (SocketAddr, Receiver<String>) {
    hook_server_over(listener, |_, stream| stream)
}

/// The same over what `over` makes of each connection, numbered from 0.
fn hook_server_over<S: Read + Write>(
    listener: TcpListener,
    over: impl Fn(usize, TcpStream) -> S + Clone + Send + 'static,
) -> (SocketAddr, Receiver<String>) {
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let sender = sender.clone();
            let over = over.clone();
            thread::spawn(move || serve(over(number, stream), |request| sender.send(request).is_ok()));
        }
    });
    (address, requests)
}

pub(crate) fn any_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn serve(stream: impl Read + Write, mut take: impl FnMut(String) -> bool) {
    let mut requests = BufReader::new(stream);
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            if requests.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            head += &line;
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        let mut body = vec![0; length.unwrap()];
        requests.read_exact(&mut body).unwrap();
        let answered = requests.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        if answered.is_err() || !take(head + str::from_utf8(&body).unwrap()) {
            return;
        }
    }
}

/// Opens a feed; its lines of records.
fn feed(address: SocketAddr, query: &str) -> impl Iterator<Item = Value> + use<> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /v1/audit/feed{query} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer test-token\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(&line).unwrap())
}

/// With a file and a hook, from the next reload on.
fn tell(edge: &mut Edge, hook: SocketAddr) {
    tell_at(edge, &format!("url = \"http://{hook}/told\""));
}

/// The same, with lines that say where the hook is.
fn tell_at(edge: &mut Edge, place: &str) {
    edge.rewrite(|text| {
        format!("[audit]\nfile = \"audit.jsonl\"\n[[hook]]\nname = \"test\"\n{place}\n\n{text}")
    });
    edge.signal("HUP");
    edge.wait_for_log("configuration reloaded");
}

#[test]
fn what_happened_is_there_after_kill_9_and_goes_on() {
    let mut edge = Edge::start(durable());
    edge.control.log_in("demo", "desk-1", "1001").unwrap();
    edge.control.log_in("demo", "desk-2", "1001").unwrap();

    edge.kill();
    edge.start_again();
    let kept = records(&edge, "");
    edge.control.log_out("demo", "desk-2").unwrap();
    let after = records(&edge, "device=desk-2&limit=1");

    assert_eq!(kinds(&kept), ["log-in", "displacement", "log-in"]);
    assert_eq!(kept[1]["details"]["to_device"], "desk-2");
    assert!(kept.iter().all(|record| record["by"] == "test" && record["surface"] == "api"));
    assert_eq!(kinds(&after), ["force"]);
    assert!(after[0]["sequence"].as_u64() > kept[0]["sequence"].as_u64());
    let older = records(&edge, &format!("before={}&limit=1", kept[1]["sequence"]));
    assert_eq!(older, kept[2..]);
    assert_eq!(edge.control.get("/v1/audit?limit=0").unwrap().status, 400);
    assert_eq!(edge.control.without_token().get("/v1/audit").unwrap().status, 401);
}

#[test]
fn a_feed_goes_on_where_it_ended() {
    let edge = Edge::start(durable());
    edge.control.log_in("demo", "desk-1", "1001").unwrap();
    let first = records(&edge, "")[0]["sequence"].as_u64().unwrap();
    let mut live = feed(edge.control_address(), &format!("?after={}", first - 1));

    let seen = live.next().unwrap();
    edge.control.log_in("demo", "desk-2", "1002").unwrap();
    let next = live.next().unwrap();
    drop(live);
    edge.control.log_in("demo", "desk-3", "1003").unwrap();
    let resumed = feed(edge.control_address(), &format!("?after={}", next["sequence"])).next().unwrap();

    let extensions = [seen, next, resumed].map(|record| record["extension"].as_str().unwrap().to_owned());
    assert_eq!(extensions, ["1001", "1002", "1003"]);
}

#[test]
fn a_hook_that_was_down_is_told_in_order_also_after_a_restart() {
    // At a port where nobody listens yet, and which is taken all the while: anybody else there would be told instead.
    let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = nobody.local_addr().unwrap().as_socket().unwrap();
    let mut edge = Edge::start(durable());
    tell(&mut edge, address);
    edge.control.log_in("demo", "desk-1", "1001").unwrap();
    edge.wait_for_metric("hotdesk_hook_failed_total", 1.0);
    edge.control.log_in("demo", "desk-2", "1001").unwrap();
    edge.signal("TERM");
    edge.wait_for_end();

    nobody.listen(16).unwrap();
    let (_, requests) = hook_server(nobody.into());
    edge.start_again();
    tell(&mut edge, address);

    let told: Vec<_> = (0..3).map(|_| requests.recv_timeout(PATIENCE).expect("it is told")).collect();
    let kinds = ["log-in", "displacement", "log-in"];
    for (request, kind) in told.iter().zip(kinds) {
        assert!(request.starts_with("POST /told HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("\"kind\":\"{kind}\"")), "{request}");
    }
}

#[test]
fn a_hook_over_tls_is_told_once_its_certificate_is_its_own() {
    let authority = Authority::new("ours");
    let shown = [authority.host(&["pager.example"]), authority.host(&["127.0.0.1"])];
    let shown = shown.map(|own| Arc::new(host_showing(&own)));
    let (hook, requests) = hook_server_over(any_port(), move |number, stream| {
        let tls = ServerConnection::new(Arc::clone(&shown[number.min(1)])).unwrap();
        StreamOwned::new(tls, stream)
    });
    let mut edge = Edge::start(durable());
    edge.write("ca.pem", authority.pem());

    tell_at(&mut edge, &format!("url = \"https://{hook}/told\"\nca = \"ca.pem\""));
    edge.control.log_in("demo", "desk-1", "1001").unwrap();
    let line = edge.wait_for_log("the hook does not take a record: tried again");
    edge.wait_for_metric("hotdesk_hook_failed_total", 1.0);
    let told = requests.recv_timeout(PATIENCE).expect("it is told");

    assert!(line.contains("certificate not valid for name"), "{line}");
    assert!(told.starts_with("POST /told HTTP/1.1\r\n") && told.contains("\"kind\":\"log-in\""), "{told}");
}

#[test]
fn no_secret_leaves_by_any_way() {
    let (hook, requests) = hook_server(any_port());
    let mut edge = Edge::start(durable());
    tell(&mut edge, hook);
    let mut phone = edge.desk(Transport::Udp, 1);

    // Every surface, right and wrong, and a PIN in the wrong place.
    let wrong = "*11*1002*8264193";
    let swapped = format!("*11*{}*1001", "8264195");
    for code in [log_in_code(1), wrong.into(), swapped] {
        let mut call = phone.dial(&code).unwrap();
        phone.outcome(&mut call).unwrap();
    }
    let mut native = edge.desk(Transport::Tcp, 2);
    native.register_as(&person(2), 600).unwrap();
    edge.control.log_in("demo", "desk-3", "1003").unwrap();
    let told: Vec<_> = (0..5).map(|_| requests.recv_timeout(PATIENCE).expect("it is told")).collect();

    let mut out = told.join("\n");
    for path in ["/v1/audit", "/v1/seats", "/metrics"] {
        out += &edge.control.get(path).unwrap().body;
    }
    edge.signal("TERM");
    edge.wait_for_end();
    out += &edge.log_so_far();
    let folder = edge.file().parent().unwrap().to_owned();
    let lines = std::fs::read_to_string(folder.join("audit.jsonl")).unwrap();
    assert!(lines.lines().count() >= 5, "{lines}");
    out += &lines;
    // Only what the configuration gave the edge to keep may be in its store, and that is no PIN or password.
    out += &String::from_utf8_lossy(&std::fs::read(folder.join("var/hotdesk.db")).unwrap());
    let mut secrets = vec!["8264193".to_owned(), "8264195".into(), "test-token".into(), "response=".into()];
    for number in 1..=PEOPLE {
        secrets.push(format!("*{}", pin(number)));
        secrets.push(pin_hash(number).into());
        secrets.extend([desk(number).password, person(number).password]);
    }
    for secret in secrets {
        assert!(!out.contains(&secret), "{secret} left the edge");
    }
}

#[test]
fn a_log_out_that_waits_for_a_call_is_done_and_on_record_after_kill_9() {
    let mut edge = Edge::start(durable());
    let mut caller = edge.taken_desk(Transport::Udp, 1);
    let mut callee = edge.taken_desk(Transport::Udp, 2);
    connect(&mut caller, &mut callee, "1002").unwrap();
    for device in ["desk-1", "desk-2"] {
        let answer = edge.control.log_out("demo", device).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    assert_eq!((edge.seats().len(), records(&edge, "kind=force").len()), (2, 0), "it waits");

    edge.kill();
    edge.start_again();
    edge.wait_for_everybody_gone();

    let deadline = Deadline::after(PATIENCE);
    while records(&edge, "kind=force").len() < 2 {
        assert!(deadline.left().is_some(), "not on record");
    }
    for record in records(&edge, "kind=force") {
        assert_eq!((&record["surface"], &record["by"]), (&"api".into(), &"test".into()), "{record}");
    }
}
