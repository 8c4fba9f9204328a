//! Where an extension rings: the phone it sits at, and ordinary phones of its own beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::flow::Flow;
use crate::gruu::Phone;
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
    /// Other flows of the same phone, to be tried one after the other where this one has failed (RFC 5626 §7).
    other_flows: Vec<Target>,
    /// How many flows share the time in which their phone must say something: the first that is tried has it for itself, all
    /// others together have it once more. Else whoever calls a silent phone would wait as often as it has flows.
    pub(super) sharing: u32,
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

/// The flows of the phone that a GRUU names; `None`: it was not given out, or not for this registration (RFC 5627 §5.1). One
/// that a hot-desk device registered is none: whoever is given it would reach the device past the seat.
pub(super) fn contacts_of_gruu(
    ctx: &Context,
    tenant: &Tenant,
    phone: &Phone,
    now: Now,
) -> Option<Vec<Contact>> {
    let contacts = ctx.tables.location.contacts(&tenant.id, &phone.user, now.mono);
    let own = contacts.into_iter().filter(|contact| contact.holder.is_none());
    let named: Vec<_> = own.filter(|contact| contact.instance == phone.instance).collect();
    let is_given = phone.call_id.is_none_or(|given| named.iter().any(|contact| contact.call_id == given));
    is_given.then_some(named)
}

/// What rings for a GRUU of `extension`: its phone and nothing else, as far as that would ring for the extension. `None`: it is
/// no GRUU, or none any more.
pub(crate) fn of_gruu(
    ctx: &Context,
    tenant: &Tenant,
    extension: &str,
    phone: &Phone,
    now: Now,
) -> Option<Vec<Target>> {
    contacts_of_gruu(ctx, tenant, phone, now)?;
    let mut targets = of_extension(ctx, tenant, extension, now);
    targets.retain(|target| target.device.is_none() && target.instance == phone.instance);
    Some(targets)
}

/// The phones of a device's own account that can be reached now.
pub(crate) fn of_device(ctx: &Context, device: &Place, now: Now) -> Vec<Target> {
    let contacts = ctx.tables.location.contacts(device.tenant(), device.name().as_bytes(), now.mono);
    of_contacts(&contacts, device, Some(device))
}

/// The phones that can be reached by `contacts` of an account: one target each, however many flows it keeps.
pub(crate) fn of_contacts<'c>(
    contacts: impl IntoIterator<Item = &'c Contact>,
    account: &Place,
    device: Option<&Place>,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for contact in contacts {
        push(&mut targets, contact, account, device);
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
        let uri = uri(peer.host());
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
    let is_same = |known: &&mut Target| target.instance != 0 && known.instance == target.instance;
    match targets.iter_mut().find(is_same) {
        None => targets.push(target),
        Some(known) if known.account == target.account && known.device == target.device => {
            known.other_flows.push(target);
        }
        // A phone that has two accounts rings by the first.
        Some(_) => {}
    }
}

impl Target {
    /// A binding of `account`. One whose connection is gone is no target: the edge never connects to a contact
    /// behind NAT.
    fn of_contact(contact: &Contact, account: &Place, device: Option<&Place>) -> Option<Self> {
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
            other_flows: Vec::new(),
            sharing: 1,
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
            other_flows: Vec::new(),
            sharing: 1,
        }
    }

    /// True if a flow of the phone has this far end.
    pub(super) fn is_seen_at(&self, remote: SocketAddr) -> bool {
        self.flow.remote == remote || self.other_flows.iter().any(|other| other.flow.remote == remote)
    }

    /// The next flow of the same phone, if there is one, to take the place of this one.
    pub(super) fn next_flow(&mut self) -> Option<Self> {
        if self.other_flows.is_empty() {
            return None;
        }
        let sharing = self.sharing.max(self.other_flows.len() as u32);
        let next = self.other_flows.remove(0);
        Some(Self { other_flows: std::mem::take(&mut self.other_flows), q: self.q, sharing, ..next })
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

/// The flow on which to reach the other end of a dialog now: the one it had, if it still has it, else the one of the
/// binding that stands for it today, else another flow of the same phone (RFC 5626 §5.3 would refuse it with 430).
pub(crate) fn current_flow(
    ctx: &Context,
    (tenant, account): (&str, &str),
    last: Flow,
    uri: &[u8],
    now: Now,
) -> Flow {
    let (location, user) = (&ctx.tables.location, account.as_bytes());
    if location.account_has_flow(tenant, user, &last, now.mono) {
        return last;
    }
    let contacts = location.contacts(tenant, user, now.mono);
    let mut of_uri = contacts.iter().filter(|contact| *contact.uri == *uri);
    if let Some(flow) = of_uri.clone().find_map(|contact| contact.flow) {
        return flow;
    }
    let instance = of_uri.find_map(|contact| (contact.instance != 0).then_some(contact.instance));
    let mut reached = contacts.iter().filter(|contact| contact.flow.is_some());
    let same_phone = reached.clone().find(|contact| instance == Some(contact.instance));
    // An address outlives a binding: the phone may still be there. A connection that no binding knows may too;
    // if it is gone, the transport says so at once.
    let first = reached.next();
    let is_only =
        |first: &&Contact| reached.all(|other| other.instance != 0 && other.instance == first.instance);
    same_phone.or(first.filter(is_only)).and_then(|contact| contact.flow).unwrap_or(last)
}
