//! Who sits where, what an operator does, and what the world does to an edge.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{OPENING, Office, Parcel};
use crate::audit::{Event, Kind};
use crate::counters::Counters;
use crate::flow::ConnectionId;
use crate::hotdesk::Seat;
use crate::input::{Command, Input, Order, ReplyId};
use crate::now::{Mono, Now};
use crate::output::{Done, Report};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::testing::blueprint::Blueprint;
use crate::testing::store::StoreMood;
use crate::{Dataplane, Tables};

impl Office {
    /// Every worker forgets what is under way and has room for so many server transactions and forwarded requests.
    pub fn make_room_for(&mut self, servers_max: usize, calls_max: usize) {
        self.workers.iter_mut().for_each(|worker| worker.make_room_for(servers_max, calls_max));
    }

    /// The person dials the log-in at the device and gets in, or the test fails.
    pub fn log_in(&mut self, extension: &str, device: &str) {
        let outcome = self.try_log_in(extension, device);
        assert_eq!(outcome, Some(200), "{extension} logs in at {device}");
    }

    /// The person dials code, extension and the right PIN; the final answer.
    pub fn try_log_in(&mut self, extension: &str, device: &str) -> Option<u16> {
        let dialled = self.log_in_string(extension);
        let leg = self.call(device, &dialled);
        self.outcome(leg)
    }

    /// What the person dials: `*11*1001*7738`.
    pub fn log_in_string(&self, extension: &str) -> String {
        let tenant = &self.settings.tenants[0];
        let pin = tenant.extension(extension).and_then(|it| it.pin.as_ref()).expect("it has a PIN");
        let pin = pin.phc.trim_start_matches("$office$");
        format!("{}*{extension}*{pin}", tenant.codes.login)
    }

    /// The person at the device dials the log-out code; the final answer.
    pub fn log_out(&mut self, device: &str) -> Option<u16> {
        let code = self.settings.tenants[0].codes.logout.clone();
        let leg = self.call(device, &code);
        self.outcome(leg)
    }

    /// Where the extension of the first tenant sits, if at one device.
    pub fn device_of(&self, extension: &str) -> Option<String> {
        let devices = self.devices_of(extension);
        assert!(devices.len() <= 1, "{extension} sits at {devices:?}");
        devices.into_iter().next()
    }

    /// Where the extension of the first tenant sits, longest first.
    pub fn devices_of(&self, extension: &str) -> Vec<String> {
        let tenant = &self.settings.tenants[0];
        let seats = self.tables.seats.seats_of(&tenant.customer, &(&*tenant.id, extension));
        seats.iter().map(|seat| seat.device.name().to_string()).collect()
    }

    /// Who sits at a device of the first tenant.
    pub fn seat_at(&self, device: &str) -> Option<Arc<Seat>> {
        let tenant = &self.settings.tenants[0];
        self.tables.seats.seat_at(&tenant.customer, &(&*tenant.id, device))
    }

    /// The control plane wants something; the reply, if it has come when nothing moves any more.
    pub fn command(&mut self, command: Command) -> Option<Result<Done, Refusal>> {
        let reply = ReplyId(self.next_reply);
        self.next_reply += 1;
        let order = Order { by: "console".into(), command };
        let now = self.now();
        self.workers[0].handle(now, Input::Commanded { reply, order }, &mut self.outbox);
        self.empty(0);
        self.settle();
        self.replies.remove(&reply.0)
    }

    /// An administrator ends the seat at a device of the first tenant.
    pub fn force_out(&mut self, device: &str, at_once: bool) -> Option<Result<Done, Refusal>> {
        let tenant = self.settings.tenants[0].id.clone();
        self.command(Command::LogOut { tenant, device: device.into(), now: at_once })
    }

    /// What the audit trail was told of this kind, as far as it is not told by a change of seats.
    pub fn events(&self, kind: Kind) -> Vec<&Event<'static>> {
        let events = self.reports.iter().filter_map(|report| match report {
            Report::Event(event) => Some(&**event),
            _ => None,
        });
        events.filter(|event| event.kind == kind).collect()
    }

    /// The operator changes the configuration and reloads.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Blueprint)) {
        change(&mut self.blueprint);
        self.generation += 1;
        self.settings = Arc::new(self.blueprint.settings(self.generation));
        let now = self.now();
        for worker in 0..self.workers.len() {
            let input = Input::Configured(Arc::clone(&self.settings));
            self.workers[worker].handle(now, input, &mut self.outbox);
            self.empty(worker);
        }
        self.settle();
    }

    /// `kill -9` and a new start: what the store has is all that is left. Connections break.
    pub fn kill_and_restart(&mut self) {
        self.agenda.retain(|parcel| matches!(parcel, Parcel::ToPhone { flow, .. } if !flow.is_reliable()));
        self.store.held = VecDeque::new();
        self.start();
        for phone in &mut self.phones {
            if let Some(old) = phone.flow.connection {
                let next = ConnectionId::new(old.worker(), old.generation() + 1, old.slot());
                phone.flow.connection = Some(next);
            }
        }
        self.settle();
    }

    /// A store that held answers now, in order, and writes from now on.
    pub fn release_store(&mut self) {
        self.store.mood = StoreMood::Writes(Duration::from_millis(1));
        for (worker, query, record) in std::mem::take(&mut self.store.held) {
            self.agenda.insert(self.clock, Parcel::Save { worker: worker.0, query, record });
        }
        self.settle();
    }

    /// For `span` what comes to the workers has waited for `least` at least.
    pub fn let_wait(&mut self, least: Duration, span: Duration) {
        const EVERY: Duration = Duration::from_millis(25);
        for _ in 0..span.as_millis() / EVERY.as_millis() {
            for worker in 0..self.workers.len() {
                let now = self.now();
                let waited = Input::Waited { least, taken: 10_000, lost: 0, filters: true };
                self.workers[worker].handle(now, waited, &mut self.outbox);
            }
            self.advance(EVERY);
        }
    }

    /// The wall clock jumps; nothing else does.
    pub fn step_wall(&mut self, milliseconds: i64) {
        self.stepped += milliseconds;
    }

    /// Keeps everything but messages that leaves the edge, as it would be printed.
    pub fn listen(&mut self) {
        self.overheard = Some(String::new());
    }

    /// The tables all workers share.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The settings of today.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What all workers counted since their start.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.workers.iter().for_each(|worker| sum.add(worker.counters()));
        sum
    }

    /// True if no worker has anything under way.
    pub fn is_quiet(&self) -> bool {
        self.workers.iter().all(Dataplane::is_quiet)
    }

    /// The clock, since the doors opened.
    pub fn clock(&self) -> Mono {
        self.clock
    }

    /// What time it is for the edge.
    pub fn now(&self) -> Now {
        let elapsed = self.clock.0 / 1_000_000;
        let wall = (OPENING + elapsed).saturating_add_signed(self.stepped);
        Now { mono: Mono(self.clock.0 - self.started.0), wall }
    }
}
