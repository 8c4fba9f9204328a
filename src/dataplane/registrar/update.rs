//! One REGISTER against one record, in one lock: everything is checked, then everything is done, or nothing.

use std::borrow::Cow;
use std::time::Duration;

use smallvec::SmallVec;

use crate::auth::Proof;
use crate::location::{Binding, CONTACTS_PER_AOR_MAX, Draft, Holder, Location, NonceUse, Renewed, Upkeep};
use crate::now::Mono;
use crate::settings::{Extension, Tenant};

use super::answer::Granted;
use super::request::{Contacts, Refused, Register, Wanted};

/// As what a phone registers: it sees and touches the bindings of its role alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A hot-desk device, for its own account.
    Device,
    /// A hot-desk device, for the extension that sits at it. Its bindings are those of the device, whatever the epoch.
    Holder(Holder),
    /// An ordinary phone of an extension. Its bindings are all that no device made.
    Ordinary,
}

impl Role {
    pub(super) fn owns(self, binding: &Binding<'_>) -> bool {
        match self {
            Self::Device | Self::Ordinary => binding.holder.is_none(),
            Self::Holder(own) => binding.holder.is_some_and(|holder| holder.device == own.device),
        }
    }

    fn holder(self) -> Option<Holder> {
        match self {
            Self::Holder(holder) => Some(holder),
            Self::Device | Self::Ordinary => None,
        }
    }
}

/// A REGISTER whose role is known.
#[derive(Clone, Copy)]
pub(crate) struct Registration<'a, 'm> {
    pub(crate) register: &'a Register<'m>,
    pub(crate) tenant: &'a Tenant,
    /// The account, which is the address-of-record.
    pub(crate) user: &'a str,
    pub(crate) role: Role,
    /// What its digest proved, to be spent with the change; `None`: it was spent before, or the sender is believed.
    pub(crate) proof: Option<Proof>,
    /// It has proved nothing and comes from a trusted network: what came from elsewhere is out of its reach.
    pub(crate) is_believed: bool,
    /// Stands for the request and its retransmissions: a hash of at least Call-ID and topmost branch.
    pub(crate) print: u32,
    /// What the ordinary phones of the account may have together.
    pub(crate) own_max: OwnMax,
}

/// How many ordinary phones an account may have, and how many contacts, of which one that keeps several flows has several.
/// Whatever they have, there is room for the contacts of its seats.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnMax {
    pub(crate) phones: usize,
    pub(crate) contacts: usize,
}

impl OwnMax {
    pub(crate) fn of(extension: &Extension) -> Self {
        let seats = extension.devices_max as usize;
        Self {
            phones: extension.own_phones_max as usize,
            contacts: CONTACTS_PER_AOR_MAX.saturating_sub(seats),
        }
    }
}

impl Registration<'_, '_> {
    /// True for a binding of the sender's account that it would have to prove itself for: whoever forges an address of the
    /// trusted network must not take a phone away that registered from elsewhere. A binding that lost its connection
    /// leads to no phone, and after a restart those of the trusted network have lost theirs, too.
    fn is_out_of_reach(&self, binding: &Binding<'_>) -> bool {
        self.is_believed
            && self.role.owns(binding)
            && binding.flow.is_some_and(|flow| !self.tenant.trusts(flow.remote.ip()))
    }
}

/// What became of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 200 with the bindings. Where some were added or removed, the store has it first.
    Granted { added: usize, refreshed: usize, removed: usize },
    /// It was granted before: the 200 once more, from the table as it is.
    Repeated,
    /// Its nonce count was used before, or cannot be told: a new nonce with `stale=true`.
    Stale,
    /// Trust is not enough for it: to be challenged. Nothing was changed.
    Unproved,
    /// Nothing was changed.
    Refused(Refused),
}

/// Updates the bindings of an account as a REGISTER wants it (§10.3), and lists in `granted` what its 200 shows. The
/// nonce is spent in the same lock, also where the request is refused: its proof must not serve for another one.
pub(crate) fn update(
    location: &Location,
    upkeep: &mut Upkeep,
    now: Mono,
    registration: &Registration<'_, '_>,
    granted: &mut Granted,
) -> Outcome {
    if let Some(outcome) = renew(location, upkeep, now, registration, granted) {
        return outcome;
    }
    change_all(location, upkeep, now, registration, granted)
}

/// The REGISTER that comes most: it renews one binding. `None`: it does not, and nothing was done.
fn renew(
    location: &Location,
    upkeep: &mut Upkeep,
    now: Mono,
    registration: &Registration<'_, '_>,
    granted: &mut Granted,
) -> Option<Outcome> {
    let Registration { register, tenant, user, role, proof, .. } = *registration;
    let Ok(Contacts::Each(wanted)) = &register.contacts else { return None };
    let [contact] = wanted.as_slice() else { return None };
    if contact.seconds == 0 {
        return None;
    }
    // One that may not be bound is like none that is: the slow way finds out.
    let (uri, instance) = (Cow::Borrowed(contact.uri), Cow::Borrowed(contact.instance_raw));
    let renewed = Renewed {
        binding: contact.binding(uri, instance, registration, &Stamp::of(registration), now),
        proof,
        device_account: role == Role::Device,
    };
    let owns = |binding: &Binding<'_>| (!registration.is_out_of_reach(binding)).then(|| role.owns(binding));
    let show = |binding: &Binding<'_>| granted.list(binding, role, now);
    let is_done = location.renew((&tenant.id, user.as_bytes()), now, upkeep, &renewed, owns, show);
    is_done.then_some(Outcome::Granted { added: 0, refreshed: 1, removed: 0 })
}

/// Any other REGISTER, and that one too.
fn change_all(
    location: &Location,
    upkeep: &mut Upkeep,
    now: Mono,
    registration: &Registration<'_, '_>,
    granted: &mut Granted,
) -> Outcome {
    let Registration { tenant, user, role, .. } = *registration;
    location.update(&tenant.id, user.as_bytes(), now, upkeep, |draft| {
        let outcome = change(draft, registration, now);
        if matches!(outcome, Outcome::Granted { .. } | Outcome::Repeated) {
            draft.bindings().iter().for_each(|binding| granted.list(binding, role, now));
        }
        outcome
    })
}

fn change(draft: &mut Draft<'_>, registration: &Registration<'_, '_>, now: Mono) -> Outcome {
    let Registration { register, proof, print, .. } = *registration;
    if draft.bindings().iter().any(|binding| registration.is_out_of_reach(binding)) {
        return Outcome::Unproved;
    }
    let mut is_repeated = false;
    if let Some(proof) = proof {
        match draft.judge_nonce(proof, print) {
            NonceUse::Fresh => draft.spend_nonce(proof, print),
            NonceUse::Repeated => is_repeated = true,
            NonceUse::Replayed | NonceUse::Stale => return Outcome::Stale,
        }
    }
    let stamp = Stamp::of(registration);
    match &register.contacts {
        Err(refused) => Outcome::Refused(refused.clone()),
        Ok(Contacts::All) => remove_all(draft, registration, &stamp, is_repeated),
        Ok(Contacts::Each(wanted)) => update_each(draft, registration, &stamp, wanted, is_repeated, now),
    }
}

/// Which request last touched a binding.
struct Stamp {
    call_id: u64,
    cseq: u32,
    branch: u32,
}

enum Age {
    Newer,
    Same,
    Older,
}

impl Stamp {
    fn of(registration: &Registration<'_, '_>) -> Self {
        let register = registration.register;
        let cseq = register.headers.cseq.number;
        Self { call_id: register.print.call_id, cseq, branch: registration.print }
    }

    /// How this request stands to the one that last touched `binding`. Call-IDs that differ tell nothing: the phone
    /// has started anew.
    fn against(&self, binding: &Binding<'_>) -> Age {
        if self.call_id != binding.call_id || self.cseq > binding.cseq {
            Age::Newer
        } else if self.cseq == binding.cseq && self.branch == binding.branch {
            Age::Same
        } else {
            Age::Older
        }
    }
}

fn remove_all(
    draft: &mut Draft<'_>,
    registration: &Registration<'_, '_>,
    stamp: &Stamp,
    is_repeated: bool,
) -> Outcome {
    if is_repeated {
        return Outcome::Repeated;
    }
    let role = registration.role;
    for binding in draft.bindings().iter().filter(|binding| role.owns(binding)) {
        if !matches!(stamp.against(binding), Age::Newer) {
            return Outcome::Refused(Refused::OldCSeq);
        }
    }
    let removed = draft.retain(|binding| !role.owns(binding));
    Outcome::Granted { added: 0, refreshed: 0, removed }
}

fn update_each(
    draft: &mut Draft<'_>,
    registration: &Registration<'_, '_>,
    stamp: &Stamp,
    wanted: &[Wanted<'_>],
    mut is_repeated: bool,
    now: Mono,
) -> Outcome {
    let role = registration.role;
    let mut places = SmallVec::<[Option<usize>; 2]>::new();
    let mut is_old = false;
    for contact in wanted {
        let is_bound = |binding: &Binding<'_>| role.owns(binding) && *binding.uri == *contact.uri;
        if !draft.bindings().iter().any(is_bound)
            && let Err(refused) = contact.vet(registration.register, registration.tenant)
        {
            return Outcome::Refused(refused);
        }
        let place = draft.bindings().iter().position(|binding| {
            role.owns(binding) && contact.is_same(&binding.uri, &binding.instance, binding.reg_id)
        });
        match place.map(|place| stamp.against(&draft.bindings()[place])) {
            Some(Age::Same) => is_repeated = true,
            Some(Age::Older) => is_old = true,
            Some(Age::Newer) | None => {}
        }
        places.push(place);
    }
    if is_repeated {
        return Outcome::Repeated;
    }
    if is_old {
        return Outcome::Refused(Refused::OldCSeq);
    }

    let pairs = || wanted.iter().zip(&places);
    let is_removed = |place| pairs().any(|(contact, other)| *other == Some(place) && contact.seconds == 0);
    let added = pairs().filter(|(contact, place)| place.is_none() && contact.seconds > 0).count();
    let mut yielding = SmallVec::<[usize; 2]>::new();
    if added > 0 {
        let own_max = match role {
            Role::Ordinary => registration.own_max,
            _ => OwnMax { phones: CONTACTS_PER_AOR_MAX, contacts: CONTACTS_PER_AOR_MAX },
        };
        let is_full = |yielding: &[usize]| {
            let stay = draft.bindings().iter().enumerate();
            let stay = stay.filter(|(place, _)| !is_removed(*place) && !yielding.contains(place));
            let own = stay.clone().filter(|(_, binding)| role.owns(binding));
            let come = pairs().filter(|(contact, place)| place.is_none() && contact.seconds > 0);
            let instances = own.map(|(_, binding)| &*binding.instance);
            let phones = phones(instances.clone().chain(come.map(|(contact, _)| contact.instance())));
            stay.count() + added > CONTACTS_PER_AOR_MAX
                || instances.count() + added > own_max.contacts
                || phones > own_max.phones
        };
        // What a phone left behind when it came back under another port or connection makes room for it, the oldest
        // first: a contact that leads nowhere, or that came from the same address.
        let is_named = |place| pairs().any(|(_, other)| *other == Some(place));
        let bindings = draft.bindings().iter().enumerate();
        let mut left_behind = bindings.filter(|(place, binding)| {
            let here = registration.register.flow.remote.ip();
            let left = binding.flow.is_none_or(|old| old.remote.ip() == here);
            role.owns(binding) && left && !is_named(*place)
        });
        while is_full(&yielding) {
            let Some((place, _)) = left_behind.next() else { return Outcome::Refused(Refused::TooMany) };
            yielding.push(place);
        }
    }

    // Everything is checked; from here on nothing fails.
    let mut refreshed = 0;
    for (contact, place) in pairs() {
        if let Some(place) = place.filter(|_| contact.seconds > 0) {
            let old = &draft.bindings()[place];
            let (uri, instance) = (kept(&old.uri, contact.uri), kept(&old.instance, contact.instance()));
            let binding = contact.binding(uri, instance, registration, stamp, now);
            refreshed += usize::from(draft.refresh(place, binding));
        }
    }
    let mut place = 0;
    let removed = draft.retain(|_| {
        place += 1;
        !is_removed(place - 1) && !yielding.contains(&(place - 1))
    });
    for (contact, _) in pairs().filter(|(contact, place)| place.is_none() && contact.seconds > 0) {
        let (uri, instance) = (Cow::Owned(contact.uri.to_vec()), Cow::Owned(contact.instance().to_vec()));
        let fits = draft.add(contact.binding(uri, instance, registration, stamp, now));
        debug_assert!(fits, "room and lengths were checked");
    }
    if added + refreshed > 0 {
        draft.set_device_account(role == Role::Device);
    }
    Outcome::Granted { added, refreshed, removed }
}

/// How many phones these are the instances of; one without is a phone of its own, one that has several flows is one.
fn phones<'i>(instances: impl Iterator<Item = &'i [u8]>) -> usize {
    let mut known = SmallVec::<[&[u8]; CONTACTS_PER_AOR_MAX]>::new();
    for instance in instances {
        if instance.is_empty() || !known.contains(&instance) {
            known.push(instance);
        }
    }
    known.len()
}

/// The text as the record has it if it is the same, so that a refresh copies nothing.
fn kept<'r>(old: &Cow<'r, [u8]>, new: &[u8]) -> Cow<'r, [u8]> {
    if **old == *new { old.clone() } else { Cow::Owned(new.to_vec()) }
}

impl Wanted<'_> {
    fn binding<'r>(
        &self,
        uri: Cow<'r, [u8]>,
        instance: Cow<'r, [u8]>,
        registration: &Registration<'_, '_>,
        stamp: &Stamp,
        now: Mono,
    ) -> Binding<'r> {
        Binding {
            uri,
            instance,
            reg_id: self.reg_id,
            q: self.q,
            expires_at: now + Duration::from_secs(self.seconds.into()),
            call_id: stamp.call_id,
            cseq: stamp.cseq,
            branch: stamp.branch,
            flow: Some(registration.register.flow),
            holder: registration.role.holder(),
        }
    }
}

#[cfg(test)]
mod tests;
