//! An office floor: as many desk phones as wanted, as many people, and the edge that serves them.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use dataplane::auth;
use dataplane::flow::Flow;
use dataplane::settings::{
    AdmissionPolicy, Codes, Device, Extension, Listener, Networks, Protocol, Rate, Reload, SeatPolicy,
    Settings, StoredPin, Tenant, TenantParts, Timers,
};

use super::desk::{DOMAIN, Desk, Role, password};
use super::edge::Edge;
use super::operation::Operation;
use crate::phone::{Challenge, Message};

/// Where desks begin: 10.0.0.0, one address a phone.
const FIRST_ADDRESS: u32 = 0x0a00_0000;

/// How long bindings last.
const EXPIRES: u32 = 3600;

/// A tenant with `n` desks, a device and an extension each.
#[derive(Debug)]
pub struct Floor {
    /// What is measured.
    pub edge: Edge,
    desks: Vec<Desk>,
    turn: u32,
    /// What the edge has sent in the operation that runs.
    heard: Vec<Message>,
}

impl Floor {
    /// A floor where nobody has registered.
    pub fn new(desks: u32) -> Self {
        Self::under(settings(desks), desks)
    }

    fn under(settings: Settings, desks: u32) -> Self {
        let edge = Edge::new(settings);
        let desk = |number| Desk::new(number, Ipv4Addr::from(FIRST_ADDRESS + number), 1);
        Self { edge, desks: (0..desks).map(desk).collect(), turn: 0, heard: Vec::new() }
    }

    /// A floor made ready for one operation, some of them done.
    ///
    /// # Panics
    /// If there are fewer than four desks, or the edge does not answer as it should.
    pub fn ready_for(operation: Operation, desks: u32) -> Self {
        assert!(desks >= 4, "two pairs of desks at least");
        let trusted = operation == Operation::RefreshTrusted;
        let mut floor = Self::under(tenant_of(desks, trusted), desks);
        if !matches!(operation, Operation::RefreshTrusted | Operation::RefusedCall) {
            for desk in 0..desks {
                floor.register(desk, Role::Device);
            }
        }
        if matches!(operation, Operation::Swap | Operation::Call) {
            // A phone has a nonce for its person's account before anybody counts.
            for desk in 0..desks {
                floor.register(desk, Role::Extension(desk % (desks / 2)));
            }
        }
        if operation == Operation::RefusedCall {
            floor.edge.overload();
        }
        // Both desks of each pair have been sat at, and the first transactions are over.
        let rounds = if operation == Operation::Call { desks / 2 } else { desks };
        for _ in 0..rounds {
            floor.perform(operation);
        }
        floor
    }

    /// Does it once, at the next desk. The edge's part is metered.
    ///
    /// # Panics
    /// If the edge does not answer as it should.
    pub fn perform(&mut self, operation: Operation) {
        let half = self.desks.len() as u32 / 2;
        let turn = self.turn;
        self.turn = (turn + 1) % (half * 2);
        match operation {
            Operation::Refresh => {
                self.send(turn, |desk| desk.register(Role::Device, EXPIRES, true));
                self.expect(200);
            }
            Operation::RefreshTrusted => {
                self.send(turn, |desk| desk.register(Role::Extension(turn), EXPIRES, false));
                self.expect(200);
            }
            Operation::Challenge => {
                self.send(turn, |desk| desk.register(Role::Device, EXPIRES, false));
                self.expect(401);
            }
            Operation::NewBinding => {
                self.unmetered(|floor| {
                    floor.send(turn, |desk| desk.register(Role::Device, 0, true));
                    floor.expect(200);
                });
                self.send(turn, |desk| desk.register(Role::Device, EXPIRES, true));
                self.expect(200);
            }
            Operation::Swap => {
                // Every person goes to and fro between two desks.
                self.send(turn, |desk| desk.register(Role::Extension(turn % half), EXPIRES, true));
                self.expect(200);
                self.expect_request("NOTIFY");
            }
            Operation::DialledLogIn => {
                let extension = Role::Extension(turn % half).user(turn);
                self.send(turn, |desk| desk.invite(&format!("*11*{extension}*7738"), true));
                self.expect(200);
                self.expect_request("BYE");
            }
            Operation::Call => {
                // Where everybody sits at the second of his two desks.
                let (caller, callee) = (half + turn % half, (turn + 1) % half);
                let callee = Role::Extension(callee).user(callee);
                self.send(caller, |desk| desk.invite(&callee, true));
                let answer = self.heard.iter().rfind(|message| message.status() == Some(200)).cloned();
                let answer = answer.expect("the call is answered");
                self.go_on(caller, |desk| desk.within("BYE", &answer));
                self.expect(200);
            }
            Operation::RefusedCall => {
                self.send(turn, |desk| desk.invite(&Role::Extension(half).user(half), false))
            }
        }
        self.edge.pass(operation.pace());
    }

    /// The desk with this number registers for `role` and is challenged for it.
    ///
    /// # Panics
    /// If the edge does not answer as it should.
    pub fn register(&mut self, desk: u32, role: Role) {
        self.send(desk, |desk| desk.register(role, EXPIRES, false));
        let challenge = self.heard.iter().find_map(Challenge::read).expect("a REGISTER is challenged");
        self.desks[desk as usize].keep(role, Some(challenge));
        self.send(desk, |desk| desk.register(role, EXPIRES, true));
        self.expect(200);
        self.edge.pass(Duration::from_micros(50));
    }

    /// The desk forgets what it was told for `role`, so that it costs no memory.
    pub fn forget(&mut self, desk: u32, role: Role) {
        self.desks[desk as usize].keep(role, None);
    }

    fn unmetered(&mut self, prepare: impl FnOnce(&mut Self)) {
        let metered = std::mem::replace(&mut self.edge.metered, false);
        prepare(self);
        self.edge.metered = metered;
    }

    /// Sends what a desk writes and lets all phones answer until nobody has anything to say.
    fn send(&mut self, desk: u32, write: impl FnOnce(&mut Desk) -> Vec<u8>) {
        self.heard.clear();
        self.go_on(desk, write);
    }

    fn go_on(&mut self, desk: u32, write: impl FnOnce(&mut Desk) -> Vec<u8>) {
        let desk = &mut self.desks[desk as usize];
        let mut under_way = VecDeque::from([(desk.flow(), write(desk))]);
        while let Some((flow, bytes)) = under_way.pop_front() {
            self.edge.receive(flow, &bytes);
            let heard = self.heard.len();
            self.heard
                .extend(self.edge.sent().map(|(_, bytes)| Message::new(String::from_utf8_lossy(bytes))));
            let flows: Vec<Flow> = self.edge.sent().map(|(flow, _)| flow).collect();
            for (flow, message) in flows.into_iter().zip(&self.heard[heard..]) {
                let desk = desk_at(&mut self.desks, flow);
                if message.is_request("INVITE") {
                    under_way.push_back((flow, desk.answer(message, "180 Ringing")));
                }
                if message.status().is_none() && message.method() != "ACK" {
                    under_way.push_back((flow, desk.answer(message, "200 OK")));
                }
                if message.status() == Some(200) && message.method() == "INVITE" {
                    under_way.push_back((flow, desk.within("ACK", message)));
                }
            }
        }
    }

    fn expect(&self, status: u16) {
        let found = self.heard.iter().any(|message| message.status() == Some(status));
        assert!(found, "{status} is missing: {:#?}", self.start_lines());
    }

    fn expect_request(&self, method: &str) {
        let found = self.heard.iter().any(|message| message.is_request(method));
        assert!(found, "{method} is missing: {:#?}", self.start_lines());
    }

    fn start_lines(&self) -> Vec<&str> {
        self.heard.iter().map(Message::start_line).collect()
    }
}

fn desk_at(desks: &mut [Desk], flow: Flow) -> &mut Desk {
    let IpAddr::V4(address) = flow.remote.ip() else { unreachable!("desks have IPv4 addresses") };
    &mut desks[(address.to_bits() - FIRST_ADDRESS) as usize]
}

/// A tenant with so many devices and as many extensions, all of them believed by their passwords.
pub fn settings(desks: u32) -> Settings {
    tenant_of(desks, false)
}

/// Trusted: its ordinary phones need no password.
fn tenant_of(desks: u32, trusted: bool) -> Settings {
    let pin = StoredPin::new("$believed");
    let device = |number| {
        let id = Role::Device.user(number);
        Device {
            name: "Open Desk".into(),
            reload: Reload::CheckSync,
            secret: auth::secret(&id, DOMAIN, &password(&id)),
            id: id.into(),
            ..Device::default()
        }
    };
    let extension = |number| {
        let user = Role::Extension(number).user(0);
        Extension {
            name: "Ann Lee".into(),
            pin: Some(pin.clone()),
            secret: auth::secret(&user, DOMAIN, &password(&user)),
            own_phones_max: 2,
            number: user.into(),
            ..Extension::default()
        }
    };
    let tenant = Tenant::new(TenantParts {
        id: "demo".into(),
        domains: vec![DOMAIN.into()],
        codes: Codes { login: "*11".into(), logout: "*12".into(), ..Codes::default() },
        // Nobody waits a quarter of an hour here before he sits down once more where he was put out.
        seats: SeatPolicy { native: true, native_silence: Duration::ZERO, ..SeatPolicy::default() },
        trusted_networks: trusted.then(|| "10.0.0.0/8".parse().expect("a network")).into_iter().collect(),
        devices: (0..desks).map(device).collect(),
        extensions: (0..desks).map(extension).collect(),
        ..TenantParts::default()
    });
    let listener = Listener {
        protocol: Protocol::Udp,
        local: "192.0.2.1:5060".parse().expect("an address"),
        advertise_host: "192.0.2.1".into(),
        advertise_port: 5060,
        tenant: Some("demo".into()),
        networks: Networks::default(),
    };
    let tenants = vec![Arc::new(tenant)];
    let mut settings = Settings::new(1, "bench", vec![listener], tenants, Timers::default(), false);
    // Time hardly passes here, so that nobody's debt is ever paid.
    let unlimited = Rate { nanos: 0 };
    settings.admission = AdmissionPolicy { source: unlimited, address: unlimited, ..settings.admission };
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_goes_as_it_says() {
        for operation in Operation::ALL {
            let mut floor = Floor::ready_for(operation, 8);

            for _ in 0..20 {
                floor.perform(operation);
                let (_, sent) = operation.messages();
                let heard = floor.heard.len() as u32;
                assert_eq!(heard, sent, "{operation:?}: {:#?}", floor.start_lines());
            }
        }
    }
}
