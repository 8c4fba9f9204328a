//! The tables all workers share, each locked by shards and one at a time.

use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use crate::admission::bans::Bans;
use crate::auth::Nonces;
use crate::hotdesk::{
    CallBacks, CalledForHelp, Calls, Cause, DeferredEnd, KeptDesks, LastSeats, Lock, Marks, Named, NextEnd,
    Origin, OutsideCalls, Pins, Place, Reloads, Resumed, Seat, SeatChange, Seats, Surface, Timeouts,
};
use crate::location::Location;
use crate::now::{Mono, Now};
use crate::query::{Record, Restored};
use crate::settings::{Protocol, Settings, Tenant};
use crate::subscription::Subscriptions;
use crate::upstream::Attempts;

/// Where PINs are tried in a tenant: at shared phones, and at the ordinary ones of each extension.
pub(crate) fn places_of(tenant: &Tenant) -> impl Iterator<Item = Place> {
    let devices = tenant.devices.iter().map(|device| Place::new(&tenant.id, &device.id));
    devices.chain(extensions_of(tenant))
}

fn extensions_of(tenant: &Tenant) -> impl Iterator<Item = Place> {
    tenant.extensions.iter().map(|extension| Place::new(&tenant.id, &extension.number))
}

/// What all workers see.
#[derive(Debug)]
pub struct Tables {
    /// Address-of-record → contacts.
    pub location: Location,
    /// Who sits where.
    pub seats: Seats,
    /// Seats that must not come back by a mere refresh.
    pub marks: Marks,
    /// Desks that ring for a while for who has left them.
    pub kept_desks: KeptDesks,
    /// Who sat down last, where the tenant lets it be known.
    pub last_seats: LastSeats,
    /// Wrong PINs.
    pub pins: Pins,
    /// Calls at each device.
    pub calls: Calls,
    /// Phones that called for help not long ago.
    pub call_backs: CallBacks,
    /// Who is not listened to for a while.
    pub bans: Bans,
    /// Calls by routes.
    pub outside_calls: OutsideCalls,
    /// How INVITEs went out to peers that ask for a password.
    pub(crate) attempts: Attempts,
    /// Reloads and ends that wait for a device to be idle.
    pub reloads: Reloads,
    /// When seats end by themselves.
    pub timeouts: Timeouts,
    /// Phones that are told who sits at them.
    pub(crate) subscriptions: Subscriptions,
    /// Digest nonces.
    pub(crate) nonces: Nonces,
    /// Authenticates the branches of all workers' transactions.
    pub(crate) branch_key: [u8; 16],
    /// Keeps anybody from choosing where in the workers' tables of sources he falls.
    pub(crate) source_key: [u8; 16],
}

impl Tables {
    /// Empty tables under keys drawn from `boot_key`, which must be random and new at every start.
    pub fn new(boot_key: [u8; 32]) -> Self {
        let draw = |label: u64| {
            let mut key = [0; 16];
            for (half, value) in key.chunks_exact_mut(8).zip(0_u64..) {
                let (k0, k1) = boot_key.split_at(16);
                let mut hasher = SipHasher13::new_with_key(k0.try_into().expect("sixteen octets"));
                hasher.write(k1);
                hasher.write_u64(label);
                hasher.write_u64(value);
                half.copy_from_slice(&hasher.finish().to_ne_bytes());
            }
            key
        };
        Self {
            location: Location::new(draw(0)),
            seats: Seats::new(),
            marks: Marks::new(),
            kept_desks: KeptDesks::new(),
            last_seats: LastSeats::new(),
            pins: Pins::new(draw(3)),
            calls: Calls::new(),
            call_backs: CallBacks::new(),
            bans: Bans::default(),
            outside_calls: OutsideCalls::new(),
            attempts: Attempts::default(),
            reloads: Reloads::new(),
            timeouts: Timeouts::new(),
            subscriptions: Subscriptions::new(),
            nonces: Nonces::new(draw(1)),
            branch_key: draw(2),
            source_key: draw(4),
        }
    }

    /// A call at a device began; saying it twice changes nothing. `call` stands for the dialog.
    pub(crate) fn call_began(&self, device: &dyn Named, call: u64, now: Mono, emergency: bool) {
        self.calls.began(device, call, now, emergency);
        self.timeouts.used(device, now);
    }

    /// A call at a device ended. True if it was the last one there.
    pub(crate) fn call_ended(&self, device: &dyn Named, call: u64, now: Mono) -> bool {
        self.timeouts.used(device, now);
        self.calls.ended(device, call, now)
    }

    /// Whose PIN cannot be tried now: at a shared phone, or at the ordinary phones of an extension.
    pub fn locks(&self, settings: &Settings, now: Mono) -> Vec<Lock> {
        let places: Vec<_> = settings.tenants.iter().flat_map(|tenant| places_of(tenant)).collect();
        let extensions: Vec<_> = settings.tenants.iter().flat_map(|tenant| extensions_of(tenant)).collect();
        self.pins.locks(&places, &extensions, now)
    }

    /// How a seat that stands will end, if nobody does anything about it; an end that waits for a call is due at once, or
    /// when the hold after an emergency call is over.
    pub fn next_end(&self, seat: &Seat, settings: &Settings, now: Now) -> Option<NextEnd> {
        let Some(owed) = self.reloads.owed_end(&seat.device).filter(|end| end.epoch == seat.epoch) else {
            return self.timeouts.next_end(&seat.device, seat.epoch, now);
        };
        let tenant = settings.tenant(seat.device.tenant());
        let held = tenant.and_then(|tenant| self.calls.held_until(&seat.device, tenant.emergency.hold));
        let wait = held.map_or(Duration::ZERO, |until| until.since(now.mono));
        let at = now.wall + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Some(NextEnd { at, cause: owed.cause })
    }

    /// Takes over what the store kept, before any worker starts.
    pub fn restore(&self, restored: Restored, settings: &Settings, now: Now) -> Unplaced {
        let customer_of = |tenant: &str| Some(&*settings.tenant(tenant)?.customer);
        let seats = self.seats.restore(restored.seats, &restored.epochs, customer_of);
        for (device, end) in restored.owed_ends {
            if let Some(customer) = customer_of(device.tenant()) {
                self.reloads.owe_end(&device, DeferredEnd { customer: customer.into(), ..end });
            }
        }
        // A phone that is refused renews its silence in memory alone, so the age of a mark says nothing: the
        // silence starts anew for all of them.
        for (device, extension) in restored.marks {
            let tenant = settings.tenant(device.tenant()).filter(|it| it.device(device.name()).is_some());
            if let Some(tenant) = tenant {
                self.marks.mark(&device, &extension, now.mono, tenant.seats.native_silence);
            }
        }
        let bindings = restored.bindings.iter().map(|(aor, record)| (&**aor, &**record));
        let unreadable = self.restore_bindings(bindings, settings, now);
        let endings = seats.into_iter().map(|seat| Record::Seats(Arc::new(removed(seat, now))));
        let forgotten = restored.called_for_help.into_iter().filter_map(|call| {
            let key = call.key.clone();
            (!self.resume(call, settings, now)).then_some(Record::CalledForHelp { key, call: None })
        });
        let endings = endings.chain(forgotten).collect();
        Unplaced { unreadable, endings }
    }

    /// The same for bindings alone, by address-of-record in the stored form of `location`, on any number of threads;
    /// returns how many addresses-of-record cannot be read.
    pub fn restore_bindings<'s>(
        &self,
        bindings: impl IntoIterator<Item = (&'s str, &'s [u8])>,
        settings: &Settings,
        now: Now,
    ) -> usize {
        let tenants = settings.tenants.iter();
        let expires_max = tenants.map(|tenant| tenant.registrar.expires_max).max().unwrap_or_default();
        let imported =
            bindings.into_iter().map(|(aor, record)| self.location.import(aor, record, now, expires_max));
        imported.filter(Result::is_err).count()
    }

    /// A phone called for help before the restart: it can be called back, and no seat at it begins or ends, for what is
    /// left of its time. A call whose end nobody has seen may still be up. False: its time is over.
    fn resume(&self, call: CalledForHelp, settings: &Settings, now: Now) -> bool {
        let call_max = settings.timers.call_max;
        let device = call.device().cloned();
        let Some(tenant) = settings.tenant(call.key.tenant()) else { return false };
        let times = (tenant.emergency.call_back, tenant.emergency.hold);
        let is_datagram =
            |listener| settings.listener(listener).is_some_and(|listener| listener.protocol == Protocol::Udp);
        let Some(resumed) = self.call_backs.restore(call, now, times, call_max, is_datagram) else {
            return false;
        };
        match (device, resumed) {
            (Some(device), Resumed::Up { dialog }) => self.calls.began(&device, dialog, now.mono, true),
            (Some(device), Resumed::Ended(age)) => {
                self.calls.hold(&device, now.mono + tenant.emergency.hold.saturating_sub(age));
            }
            (None, _) => {}
        }
        true
    }
}

/// What could not be taken over from the store.
#[derive(Debug, Default)]
pub struct Unplaced {
    /// Stored bindings that cannot be read.
    pub unreadable: usize,
    /// Seats of tenants that are no more end, and emergency calls of long ago are forgotten; the store is to hear of it,
    /// or they come back at every start.
    pub endings: Vec<Record>,
}

fn removed(seat: Seat, now: Now) -> SeatChange {
    SeatChange {
        customer: seat.device.tenant().into(),
        epoch: seat.epoch,
        ended: vec![seat],
        begun: None,
        cause: Cause::Removed,
        surface: Surface::Configuration,
        at: now.wall,
        origin: Origin::default(),
    }
}
