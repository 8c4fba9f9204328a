//! Where an extension rings: the phone it sits at, and ordinary phones of its own beside it.

use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::flow::Flow;
use crate::hotdesk::Place;
use crate::location::{Contact, Holder, device_hash};
use crate::now::Now;
use crate::settings::{HomePhones, Peer, PeerAccount, Tenant};

/// One place a request may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The account whose binding it is; `None` for a configured peer.
    pub(crate) account: Option<Place>,
    /// The hot-desk device it is, if it is one: of another tenant than the account where somebody visits that.
    pub(crate) device: Option<Place>,
    /// The contact as registered: the Request-URI.
    pub(crate) uri: Box<[u8]>,
    /// The way there: the flow of the REGISTER, whatever the contact says.
    pub(crate) flow: Flow,
    /// Preference, 0 to 1000.
    pub(crate) q: u16,
    /// An emergency call goes there without its place: it was refused with it.
    pub(crate) unlocated: bool,
    /// A place of a route: silent for this long, it is passed over, and the next one is tried only if this one fails.
    pub(crate) fails_over_after: Option<Duration>,
    /// Who the edge is there, if it asks.
    pub(crate) peer_account: Option<Arc<PeerAccount>>,
    /// Hash of `+sip.instance`, 0 without: one phone is rung once.
    instance: u64,
}

/// Everything that rings for an extension, the most preferred first. A contact that a hot-desk device registered
/// counts only while that device holds the seat, in its epoch: so no loser ever rings again.
pub(crate) fn of_extension(ctx: &Context, tenant: &Tenant, extension: &str, now: Now) -> Vec<Target> {
    let own = ctx.tables.location.contacts(&tenant.id, extension.as_bytes(), now.mono);
    let mut targets = Vec::with_capacity(own.len() + 1);
    let account = Place::new(&tenant.id, extension);
    let seats = ctx.tables.seats.seats_of(&tenant.customer, &account);
    for seat in &seats {
        let device = &seat.device;
        let holder = Holder { device: device_hash(device.tenant(), device.name()), epoch: seat.epoch };
        let before = targets.len();
        for contact in own.iter().filter(|contact| contact.holder == Some(holder)) {
            push(&mut targets, contact, &account, Some(device));
        }
        if targets.len() == before {
            targets.extend(of_device(ctx, device, now));
        }
    }
    // A device of its own is it while nobody sits there (BASE-8).
    for device in tenant.base_devices(extension) {
        let device = Place::new(&tenant.id, &device.id);
        if ctx.tables.seats.seat_at(&tenant.customer, &device).is_none() {
            targets.extend(of_device(ctx, &device, now));
        }
    }
    let home = tenant.extension(extension).map_or(HomePhones::Ring, |known| tenant.home_phones(known));
    let rings_at_home = seats.is_empty() || home == HomePhones::Ring;
    for contact in own.iter().filter(|contact| contact.holder.is_none() && rings_at_home) {
        push(&mut targets, contact, &account, None);
    }
    targets.sort_by_key(|target| std::cmp::Reverse(target.q));
    targets
}

/// The bindings of a device's own account that can be reached now.
pub(crate) fn of_device(ctx: &Context, device: &Place, now: Now) -> Vec<Target> {
    let mut targets = Vec::new();
    for contact in &ctx.tables.location.contacts(device.tenant(), device.name().as_bytes(), now.mono) {
        push(&mut targets, contact, device, Some(device));
    }
    targets
}

/// All addresses of `peers`, to be tried one after the other, with who the edge is there; `uri` makes the Request-URI for
/// the host of one.
pub(super) fn of_peers<'p>(
    ctx: &Context,
    peers: impl Iterator<Item = &'p Peer>,
    account: Option<&Arc<PeerAccount>>,
    uri: impl Fn(&str) -> String,
) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for peer in peers {
        let host = peer.uri.strip_prefix("sip:").unwrap_or(&peer.uri);
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let uri = uri(host);
        for address in &peer.addresses {
            let Some(listener) = ctx.listener_for(address) else { continue };
            let flow = Flow::datagram(listener, *address);
            // Two lists of peers often share some.
            if targets.iter().all(|known| known.flow != flow || *known.uri != *uri.as_bytes()) {
                let target = Target::peer(uri.as_bytes().into(), flow, 0);
                targets.push(Target { peer_account: account.cloned(), ..target });
            }
        }
    }
    for (target, q) in targets.iter_mut().zip((0..=1000_u16).rev()) {
        target.q = q;
    }
    targets
}

fn push(targets: &mut Vec<Target>, contact: &Contact, account: &Place, device: Option<&Place>) {
    let Some(target) = Target::of_contact(contact, account, device) else { return };
    if target.instance == 0 || targets.iter().all(|known| known.instance != target.instance) {
        targets.push(target);
    }
}

impl Target {
    /// A binding of `account`. One whose connection is gone is no target: the edge never connects to a contact
    /// behind NAT.
    pub(crate) fn of_contact(contact: &Contact, account: &Place, device: Option<&Place>) -> Option<Self> {
        Some(Self {
            account: Some(account.clone()),
            device: device.cloned(),
            uri: contact.uri.clone(),
            flow: contact.flow?,
            q: contact.q,
            fails_over_after: None,
            peer_account: None,
            unlocated: false,
            instance: contact.instance,
        })
    }

    /// A configured peer.
    pub(crate) fn peer(uri: Box<[u8]>, flow: Flow, q: u16) -> Self {
        Self {
            account: None,
            device: None,
            uri,
            flow,
            q,
            fails_over_after: None,
            peer_account: None,
            unlocated: false,
            instance: 0,
        }
    }

    /// The same, ahead of all others, for an emergency call without its place.
    pub(crate) fn unlocated(&self) -> Self {
        Self { unlocated: true, q: u16::MAX, ..self.clone() }
    }

    /// As which attempt a request goes there first. What was refused for its place went there before, and was asked once at
    /// most unless a nonce was too old: so the numbers rise there.
    pub(super) fn first_attempt(&self) -> u8 {
        if self.unlocated { 2 } else { 0 }
    }

    /// The other end of a dialog.
    pub(crate) fn party(account: Option<Place>, device: Option<Place>, uri: &[u8], flow: Flow) -> Self {
        Self { account, device, ..Self::peer(uri.into(), flow, 0) }
    }
}

/// The flow on which to reach the other end of a dialog now: the one it had, if it still has it, else the one
/// of the binding that stands for it today.
pub(crate) fn current_flow(
    ctx: &Context,
    (tenant, account): (&str, &str),
    last: Flow,
    uri: &[u8],
    now: Now,
) -> Flow {
    let (mut has_last, mut of_uri, mut some, mut several) = (false, None, None, false);
    ctx.tables.location.read(tenant, account.as_bytes(), now.mono, |binding| {
        let Some(flow) = binding.flow else { return };
        has_last |= flow == last;
        several |= some.is_some();
        some = Some(flow);
        if *binding.uri == *uri {
            of_uri = of_uri.or(Some(flow));
        }
    });
    if has_last {
        return last;
    }
    // An address outlives a binding: the phone may still be there. A connection that no binding knows may too;
    // if it is gone, the transport says so at once.
    of_uri.or(some.filter(|_| !several)).unwrap_or(last)
}
