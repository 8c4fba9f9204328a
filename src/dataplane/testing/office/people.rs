//! What people do: they plug phones in, register, dial, answer, hang up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Office, Parcel, TCP, TLS, UDP, seed_of};
use crate::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use crate::input::Input;
use crate::random::Random;
use crate::testing::call::{Call, CallState, Leg};
use crate::testing::draft::Draft;
use crate::testing::phone::Phone;

impl Office {
    /// Puts the device phone `device` on its desk: it registers its own account over UDP.
    pub fn plug_in(&mut self, device: &str) -> &mut Self {
        self.install(device, device, UDP)
    }

    /// The same over a connection.
    pub fn plug_in_stream(&mut self, device: &str) -> &mut Self {
        self.install(device, device, TCP)
    }

    /// Puts an ordinary phone called `name` beside the desks: it registers the account of `extension` over UDP.
    pub fn own_phone(&mut self, name: &str, extension: &str) -> &mut Self {
        self.install(name, extension, UDP)
    }

    fn install(&mut self, name: &str, user: &str, listener: ListenerId) -> &mut Self {
        self.add_phone(name, listener, None);
        self[name].use_account(user);
        let outcome = self.register(name);
        assert_eq!(outcome, Some(200), "{name} registers");
        self
    }

    /// A phone that holds the account `user` and has not registered.
    pub fn unbox(&mut self, name: &str, user: &str) -> &mut Self {
        self.add_phone(name, UDP, None);
        self[name].use_account(user);
        self
    }

    /// A peer without any account, at an address of its own: a gateway, or a stranger.
    pub fn peer(&mut self, name: &str, address: &str) -> &mut Self {
        self.add_phone(name, UDP, Some(address.parse().expect("an address")));
        self
    }

    fn add_phone(&mut self, name: &str, listener: ListenerId, address: Option<SocketAddr>) {
        let number = self.phones.len();
        let host = number as u8 + 1;
        let port = 5060 + number as u16;
        // Behind NAT: the edge sees another address than the phone does.
        let seen = address.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, host)), port));
        let own = address.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 1, host)), 5060));
        let worker = (number % usize::from(self.blueprint.workers)) as u8;
        let connection = (listener != UDP).then(|| ConnectionId::new(WorkerId(worker), 1, number as u32));
        let flow = Flow { listener, remote: seen, connection };
        let domain = self.settings.tenants[0].realm().to_owned();
        let random = Random::new(seed_of(self.blueprint.seed, number as u64 + 1));
        let mut phone = Phone::new(&domain, flow, own, random);
        phone.worker = worker;
        let known = self.names.insert(name.into(), number);
        assert_eq!(known, None, "{name} is a phone already");
        self.phones.push(phone);
    }

    /// Moves a phone into another tenant before it speaks.
    pub fn in_domain(&mut self, name: &str, domain: &str) -> &mut Self {
        self[name].move_to(domain);
        self
    }

    /// A phone that the kernel hashes to this worker's socket.
    pub fn at_worker(&mut self, name: &str, worker: u8) -> &mut Self {
        self[name].worker = worker;
        self
    }

    /// A phone seen at this address from now on.
    pub fn seen_at(&mut self, name: &str, address: &str) -> &mut Self {
        self[name].flow.remote = address.parse().expect("an address");
        self
    }

    /// A phone whose messages are seen at this address and where it was seen so far in turn: there are two ways out.
    pub fn seen_in_turn_at(&mut self, name: &str, address: &str) -> &mut Self {
        self[name].other_way = Some(address.parse().expect("an address"));
        self
    }

    /// A phone that speaks TLS from now on, and registers contacts of this scheme.
    pub fn over_tls(&mut self, name: &str, scheme: &'static str) -> &mut Self {
        let (number, worker) = (self.names[name] as u32, self[name].worker);
        let connection = Some(ConnectionId::new(WorkerId(worker), 1, number));
        let phone = &mut self[name];
        (phone.flow.listener, phone.flow.connection, phone.scheme) = (TLS, connection, scheme);
        self
    }

    /// Whether the edge would take in one more connection from where a phone is, to the listener it speaks to.
    pub fn may_connect(&mut self, name: &str) -> bool {
        let (now, phone) = (self.now(), &self[name]);
        let (worker, flow) = (usize::from(phone.worker), phone.flow);
        let room = self.workers[worker].admit_connection(now, flow.listener, flow.remote, &mut self.outbox);
        self.empty(worker);
        room.is_some()
    }

    /// The TLS handshake of a phone went on with its session of before.
    pub fn resume(&mut self, name: &str) {
        let (now, phone) = (self.now(), &self[name]);
        let (worker, address) = (usize::from(phone.worker), phone.flow.remote.ip());
        self.workers[worker].resumed(now, address);
    }

    /// The connection of a phone breaks; both sides notice.
    pub fn lose(&mut self, name: &str) {
        let flow = self[name].flow;
        self.break_connection(flow);
        self.settle();
    }

    /// A phone ends its side of its connection, and still hears what comes.
    pub fn finish(&mut self, name: &str) {
        let flow = self[name].flow;
        self.finished.push(flow);
        self.tell_finished(flow);
        self.settle();
    }

    pub(super) fn tell_finished(&mut self, flow: Flow) {
        for worker in 0..self.blueprint.workers {
            self.agenda.insert(self.clock, Parcel::Finished { worker, flow });
        }
    }

    pub(super) fn break_connection(&mut self, flow: Flow) {
        let Some(connection) = flow.connection else { return };
        self.agenda.retain(|parcel| !parcel.is_on(connection));
        self.opened.retain(|opened| *opened != flow);
        let gone = self.phones.iter_mut().find(|phone| phone.flow == flow);
        if let Some(phone) = gone {
            let next = ConnectionId::new(connection.worker(), connection.generation() + 1, connection.slot());
            phone.flow.connection = Some(next);
        }
        let owner = usize::from(connection.worker().0);
        let others = (0..self.workers.len()).filter(|worker| *worker != owner);
        for worker in std::iter::once(owner).chain(others) {
            let now = self.now();
            self.workers[worker].handle(now, Input::Lost { flow }, &mut self.outbox);
            self.empty(worker);
        }
    }

    /// Pulls the plug: the phone hears and says nothing more.
    pub fn pull_plug(&mut self, name: &str) {
        self[name].plugged_in = false;
    }

    /// The phone boots: it forgets its calls and registers anew, with a new Call-ID.
    pub fn reboot(&mut self, name: &str) -> Option<u16> {
        let phone = &mut self[name];
        phone.plugged_in = true;
        phone.boot();
        self.register(name)
    }

    /// Registers the phone's current account; the final answer.
    pub fn register(&mut self, name: &str) -> Option<u16> {
        self.register_with(name, |_| {})
    }

    /// The same with a changed REGISTER.
    pub fn register_with(&mut self, name: &str, change: impl FnOnce(&mut Draft)) -> Option<u16> {
        let (index, clock) = (self.names[name], self.clock);
        let ticket = self.phones[index].register(clock, change);
        self.post(index);
        self.settle();
        self.phones[index].outcomes[ticket]
    }

    /// The phone takes its current account back.
    pub fn unregister(&mut self, name: &str) -> Option<u16> {
        self.register_with(name, |register| {
            register.set("Expires", "0");
        })
    }

    /// The wizard of a phone puts in `extension`'s account and registers it.
    pub fn native_log_in(&mut self, name: &str, extension: &str) -> Option<u16> {
        self[name].use_account(extension);
        self.register(name)
    }

    /// The phone speaks as `user` again.
    pub fn switch_account(&mut self, name: &str, user: &str) -> &mut Self {
        self[name].use_account(user);
        self
    }

    /// Lifts the handset and dials; nothing has arrived anywhere yet.
    pub fn dial(&mut self, name: &str, target: &str) -> Leg {
        self.dial_with(name, target, |_| {})
    }

    /// The same with a changed INVITE.
    pub fn dial_with(&mut self, name: &str, target: &str, change: impl FnOnce(&mut Draft)) -> Leg {
        let (phone, clock) = (self.names[name], self.clock);
        let call = self.phones[phone].dial(clock, target, change);
        self.post(phone);
        Leg { phone, call }
    }

    /// Dials and waits until nothing moves.
    pub fn call(&mut self, name: &str, target: &str) -> Leg {
        self.call_with(name, target, |_| {})
    }

    /// The same with a changed INVITE.
    pub fn call_with(&mut self, name: &str, target: &str, change: impl FnOnce(&mut Draft)) -> Leg {
        let leg = self.dial_with(name, target, change);
        self.settle();
        leg
    }

    /// Takes the call that rings at a phone, without waiting.
    pub fn pick_up(&mut self, name: &str) -> Leg {
        let (phone, clock) = (self.names[name], self.clock);
        let ringing = |call: &Call| !call.outgoing && call.state == CallState::Ringing;
        let call = self.phones[phone].calls.iter().position(ringing).expect("something rings");
        self.phones[phone].answer(clock, call);
        self.post(phone);
        Leg { phone, call }
    }

    /// The latest call of a phone.
    pub fn last_call(&self, name: &str) -> Leg {
        let phone = self.names[name];
        Leg { phone, call: self.phones[phone].calls.len().checked_sub(1).expect("it had a call") }
    }

    /// Ends a call in the way its state wants: BYE, CANCEL or 603. Waits until nothing moves.
    pub fn hang_up(&mut self, leg: Leg) {
        self.put_down(leg);
        self.settle();
    }

    /// The same without waiting.
    pub fn put_down(&mut self, leg: Leg) {
        self.phones[leg.phone].hang_up(self.clock, leg.call);
        self.post(leg.phone);
    }

    /// The final answer of a call; `None` while there is none.
    pub fn outcome(&self, leg: Leg) -> Option<u16> {
        self.leg(leg).outcome()
    }

    /// A call as its phone has it.
    pub fn leg(&self, leg: Leg) -> &Call {
        &self.phones[leg.phone].calls[leg.call]
    }

    /// Sends a request outside dialogs; the final answer.
    pub fn ask(
        &mut self,
        name: &str,
        method: &str,
        target: &str,
        change: impl FnOnce(&mut Draft),
    ) -> Option<u16> {
        let (phone, clock) = (self.names[name], self.clock);
        let ticket = self.phones[phone].ask(clock, method, target, change);
        self.post(phone);
        self.settle();
        self.phones[phone].outcomes[ticket]
    }

    /// Sends a request within a call; the final answer.
    pub fn ask_within(&mut self, leg: Leg, method: &str, change: impl FnOnce(&mut Draft)) -> Option<u16> {
        let ticket = self.phones[leg.phone].ask_within(self.clock, leg.call, method, change);
        self.post(leg.phone);
        self.settle();
        self.phones[leg.phone].outcomes[ticket]
    }

    /// Sends an INVITE within a call; the final answer.
    pub fn invite_again(&mut self, leg: Leg, change: impl FnOnce(&mut Draft)) -> Option<u16> {
        let ticket = self.phones[leg.phone].invite_again(self.clock, leg.call, change);
        self.post(leg.phone);
        self.settle();
        self.phones[leg.phone].outcomes[ticket]
    }

    /// The body of the ACKs of a call from now on.
    pub fn answer_in_ack(&mut self, leg: Leg, body: &str) {
        self.phones[leg.phone].calls[leg.call].ack_body = body.into();
    }

    /// Puts octets on the wire as they are, from where `name` is seen, and waits until nothing moves.
    pub fn throw(&mut self, name: &str, bytes: &[u8]) {
        self.throw_all(name, [bytes.to_vec()]);
    }

    /// The same with many, all at once.
    pub fn throw_all(&mut self, name: &str, messages: impl IntoIterator<Item = Vec<u8>>) {
        let (flow, worker) = (self[name].flow, self[name].worker);
        for bytes in messages {
            self.send_to_edge(worker, flow, bytes);
        }
        self.settle();
    }
}
