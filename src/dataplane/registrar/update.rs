//! One REGISTER against one record, in one lock: everything is checked, then everything is done, or nothing.

use std::borrow::Cow;
use std::time::Duration;

use smallvec::SmallVec;

use crate::auth::Proof;
use crate::flow::Flow;
use crate::location::{Binding, CONTACTS_PER_AOR_MAX, Draft, Holder, Location, NonceUse, Upkeep};
use crate::now::Mono;
use crate::settings::Tenant;

use super::request::{Contacts, Refused, Request, Wanted, read};

/// Whose phone sends a REGISTER: it sees and touches its own bindings alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A hot-desk device, for its own account.
    Device,
    /// A hot-desk device, for the extension that sits at it. Its bindings are those of the device, whatever the epoch.
    Holder(Holder),
    /// An ordinary phone of an extension. Its bindings are all that no device made.
    Ordinary,
}

impl Sender {
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

/// A REGISTER whose sender is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration<'a> {
    pub(crate) request: &'a sip::Message<'a>,
    pub(crate) flow: Flow,
    pub(crate) tenant: &'a Tenant,
    /// The account, which is the address-of-record.
    pub(crate) user: &'a str,
    pub(crate) sender: Sender,
    /// What its digest proved, to be spent with the change; `None`: it was spent before.
    pub(crate) proof: Option<Proof>,
    /// Stands for the request and its retransmissions: a hash of at least Call-ID and topmost branch.
    pub(crate) print: u32,
    /// How many contacts the ordinary phones of the account may have together.
    pub(crate) own_phones_max: usize,
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
    /// Nothing was changed.
    Refused(Refused),
}

/// Updates the bindings of an account as a REGISTER wants it (§10.3). The nonce is spent in the same lock, also where
/// the request is refused: its proof must not serve for another one.
pub(crate) fn update(
    location: &Location,
    upkeep: &mut Upkeep,
    now: Mono,
    registration: &Registration<'_>,
) -> Outcome {
    let Registration { request, flow, tenant, user, proof, print, .. } = *registration;
    let wanted = read(request, tenant, &flow);
    location.update(&tenant.id, user.as_bytes(), now, upkeep, |draft| {
        let mut is_repeated = false;
        if let Some(proof) = proof {
            match draft.judge_nonce(proof, print) {
                NonceUse::Fresh => draft.spend_nonce(proof, print),
                NonceUse::Repeated => is_repeated = true,
                NonceUse::Replayed | NonceUse::Stale => return Outcome::Stale,
            }
        }
        match wanted {
            Err(refused) => Outcome::Refused(refused),
            Ok(Request { call_id, cseq, contacts }) => {
                let stamp = Stamp { call_id, cseq, branch: print };
                match contacts {
                    Contacts::All => remove_all(draft, registration, &stamp, is_repeated),
                    Contacts::Each(wanted) => {
                        update_each(draft, registration, &stamp, &wanted, is_repeated, now)
                    }
                }
            }
        }
    })
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
    registration: &Registration<'_>,
    stamp: &Stamp,
    is_repeated: bool,
) -> Outcome {
    if is_repeated {
        return Outcome::Repeated;
    }
    let sender = registration.sender;
    for binding in draft.bindings().iter().filter(|binding| sender.owns(binding)) {
        if !matches!(stamp.against(binding), Age::Newer) {
            return Outcome::Refused(Refused::OldCSeq);
        }
    }
    let removed = draft.retain(|binding| !sender.owns(binding));
    Outcome::Granted { added: 0, refreshed: 0, removed }
}

fn update_each(
    draft: &mut Draft<'_>,
    registration: &Registration<'_>,
    stamp: &Stamp,
    wanted: &[Wanted<'_>],
    mut is_repeated: bool,
    now: Mono,
) -> Outcome {
    let sender = registration.sender;
    let mut places = SmallVec::<[Option<usize>; 2]>::new();
    let mut is_old = false;
    for contact in wanted {
        let place = draft
            .bindings()
            .iter()
            .position(|binding| sender.owns(binding) && contact.is_same(&binding.uri, &binding.instance));
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
    if added > 0 {
        let stay = |own: bool| {
            let bindings = draft.bindings().iter().enumerate();
            bindings.filter(|(place, binding)| (!own || sender.owns(binding)) && !is_removed(*place)).count()
        };
        let is_full = stay(false) + added > CONTACTS_PER_AOR_MAX;
        if is_full || sender == Sender::Ordinary && stay(true) + added > registration.own_phones_max {
            return Outcome::Refused(Refused::TooMany);
        }
    }

    // Everything is checked; from here on nothing fails.
    let mut refreshed = 0;
    for (contact, place) in pairs() {
        if let Some(place) = place.filter(|_| contact.seconds > 0) {
            let old = &draft.bindings()[place];
            let (uri, instance) = (kept(&old.uri, contact.uri), kept(&old.instance, contact.instance));
            let binding = contact.binding(uri, instance, registration, stamp, now);
            refreshed += usize::from(draft.refresh(place, binding));
        }
    }
    let mut place = 0;
    let removed = draft.retain(|_| {
        place += 1;
        !is_removed(place - 1)
    });
    for (contact, _) in pairs().filter(|(contact, place)| place.is_none() && contact.seconds > 0) {
        let (uri, instance) = (Cow::Owned(contact.uri.to_vec()), Cow::Owned(contact.instance.to_vec()));
        let fits = draft.add(contact.binding(uri, instance, registration, stamp, now));
        debug_assert!(fits, "room and lengths were checked");
    }
    if added + refreshed > 0 {
        draft.set_device_account(sender == Sender::Device);
    }
    Outcome::Granted { added, refreshed, removed }
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
        registration: &Registration<'_>,
        stamp: &Stamp,
        now: Mono,
    ) -> Binding<'r> {
        Binding {
            uri,
            instance,
            q: self.q,
            expires_at: now + Duration::from_secs(self.seconds.into()),
            call_id: stamp.call_id,
            cseq: stamp.cseq,
            branch: stamp.branch,
            flow: Some(registration.flow),
            holder: registration.sender.holder(),
        }
    }
}
