//! Gateways that ask who the edge is: challenges are answered, and the numbers of the dialog hold (RFC 3261 §22.2).

mod challenge;
mod dialog;
mod emergency;
mod return_path;

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::settings::{Peer, PeerAccount, Route};
use dataplane::testing::{Blueprint, Door, Office};

use crate::{SEED, seconds};

const FIRST: &str = "198.51.100.1:5060";
const SECOND: &str = "198.51.100.2:5060";
const PSAP: &str = "198.51.100.112:5060";
const OUTSIDE: &str = "02125557000";

fn account(password: &str) -> Option<Arc<PeerAccount>> {
    let password = String::from(password).into();
    Some(Arc::new(PeerAccount { username: "acme".into(), password, realm: None }))
}

fn peer(uri: &str, address: &str) -> Peer {
    Peer { uri: uri.into(), addresses: vec![address.parse().expect("an address")] }
}

/// A route of two gateways, and the emergency route, all of which know the edge as `acme`. 1001 sits at desk-1.
fn office_with(change: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants[0].routes = vec![Route {
            prefix: "0".into(),
            peers: vec![peer("sip:first.example", FIRST), peer("sip:second.example", SECOND)],
            account: account("secret"),
            strip: 1,
            prepend: "+1".into(),
            caller: Some("+12125551000".into()),
            no_answer: seconds(4),
        }];
        let emergency = &mut blueprint.tenants[0].emergency;
        emergency.routes = vec![peer("sip:first.example", FIRST), peer("sip:psap.example", PSAP)];
        emergency.account = account("secret");
        blueprint.extension("1001").numbers = vec!["+12125551001".into()];
        blueprint.extension("1001").caller = Some("+12125551001".into());
        change(blueprint);
    });
    office.peer("first", FIRST).peer("second", SECOND).peer("psap", PSAP);
    for gateway in ["first", "second", "psap"] {
        office[gateway].door = Some(Door::new("acme", "secret"));
    }
    office.plug_in("desk-1").plug_in("desk-2");
    office.log_in("1001", "desk-1");
    office
}

fn office() -> Office {
    office_with(|_| {})
}

fn number(cseq: &str) -> u32 {
    cseq.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// What a gateway must find in every dialog: each request above all before (§12.2.2), but for ACK and CANCEL, which
/// have the number of their INVITE; and in those of the phone every answer with the number of its request.
fn assert_in_order(office: &Office, gateway: &str) {
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    let mut invites: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for request in office[gateway].heard().iter().filter(|heard| heard.status().is_none()) {
        let call_id = request.header("Call-ID").expect("a Call-ID");
        let cseq = request.header("CSeq").map(number).expect("a CSeq");
        if matches!(request.method(), "ACK" | "CANCEL") {
            assert!(invites[call_id].contains(&cseq), "{}", request.text);
            continue;
        }
        assert!(last.insert(call_id, cseq) < Some(cseq), "{}", request.text);
        if request.method() == "INVITE" {
            invites.entry(call_id).or_default().push(cseq);
        }
    }
}

/// Requests of a method that a gateway heard, and how many of them brought credentials.
fn asked_and_answered(office: &Office, gateway: &str, method: &str) -> (usize, usize) {
    let requests = office[gateway].requests(method);
    let answered = requests.iter().filter(|request| request.header("Authorization").is_some());
    (requests.len(), answered.count())
}
