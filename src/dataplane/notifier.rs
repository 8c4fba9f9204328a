//! NOTIFYs after a seat change: a phone is told to fetch its file again (phones.md: `check-sync`).
//!
//! The request goes down the flow of a binding, to the contact exactly as it was registered. A phone that
//! challenges is answered once, as the account that is registered there and for our own realm only.

use std::sync::Arc;

use crate::auth;
use crate::context::{Owner, Work};
use crate::hotdesk::Place;
use crate::location::Holder;
use crate::proxy::Target;
use crate::settings::{Reload, Tenant};
use crate::slots::{SlotKey, Slots};
use crate::transaction::Event;

/// Names a NOTIFY of this worker.
pub(crate) type NotifyKey = SlotKey;

/// NOTIFYs under way at a time and worker. One more is given up: its display is old until the next refresh,
/// calls are right all the same.
const NOTIFIES_MAX: usize = 16_384;

/// A binding that goes when its phone has been told, or could not be.
#[derive(Clone, Debug)]
pub(crate) struct Eviction {
    pub(crate) device: Place,
    pub(crate) extension: Place,
    pub(crate) holder: Holder,
}

struct Notify {
    /// Of the account that is registered there.
    tenant: Arc<Tenant>,
    target: Target,
    call_id: [u8; 24],
    tag: [u8; 12],
    cseq: u32,
    eviction: Option<Eviction>,
}

/// NOTIFYs of one worker.
pub(crate) struct Notifier {
    notifies: Slots<Notify>,
}

impl Notifier {
    pub(crate) fn new() -> Self {
        Self { notifies: Slots::new(NOTIFIES_MAX) }
    }

    /// Tells the phone behind `target` to reload. Gives the eviction back at once where nothing is sent.
    pub(crate) fn tell(
        &mut self,
        work: &mut Work<'_>,
        reload: Reload,
        target: Target,
        eviction: Option<Eviction>,
    ) -> Option<Eviction> {
        if reload == Reload::None {
            return eviction;
        }
        let tenant = target.account.as_ref().and_then(|account| work.ctx.settings.tenant(account.tenant()));
        let Some(tenant) = tenant.cloned() else { return eviction };
        let notify = Notify {
            tenant,
            target,
            call_id: work.ctx.random.token(),
            tag: work.ctx.random.token(),
            cseq: 1,
            eviction,
        };
        let Some(key) = self.notifies.insert(notify) else {
            work.ctx.counters.tables_full += 1;
            return None;
        };
        self.send(work, key, None)
    }

    fn send(
        &mut self,
        work: &mut Work<'_>,
        key: NotifyKey,
        credentials: Option<(sip::Name, &[u8])>,
    ) -> Option<Eviction> {
        let notify = self.notifies.get(key)?;
        let account = notify.target.account.as_ref().map_or("", Place::name);
        let (uri, flow) = (&notify.target.uri, &notify.target.flow);
        let (via, own_uri) = (work.ctx.via(flow), work.ctx.own_uri(flow, uri));
        let realm = notify.tenant.realm().as_bytes();
        let begun = work.transactions.begin_client(
            work.now.mono,
            *flow,
            false,
            Owner::Notifier(key),
            0,
            None,
            work.out,
            |buffer, branch| {
                let account = account.as_bytes();
                let mut compose = sip::Compose::request(buffer, "NOTIFY", uri);
                compose
                    .header_parts(sip::Name::Via, &[via, b";branch=", branch])
                    .header(sip::Name::MaxForwards, b"70")
                    .header_parts(sip::Name::From, &[b"<sip:", account, b"@", realm, b">;tag=", &notify.tag])
                    .header_parts(sip::Name::To, &[b"<sip:", account, b"@", realm, b">"])
                    .header(sip::Name::CallId, &notify.call_id)
                    // The second follows a challenge, and there is no third.
                    .header(sip::Name::CSeq, if notify.cseq == 1 { b"1 NOTIFY" } else { b"2 NOTIFY" })
                    .header_parts(sip::Name::Contact, &[b"<", own_uri.as_bytes(), b">"])
                    .header(sip::Name::Event, b"check-sync;reboot=false")
                    // RFC 6665 §4.1.3 wants it; phones take the message with and without.
                    .header(sip::Name::SubscriptionState, b"terminated");
                if let Some((name, value)) = credentials {
                    compose.header(name, value);
                }
                compose.finish();
            },
        );
        if begun.is_ok() {
            work.ctx.counters.notifies_sent += 1;
            return None;
        }
        work.ctx.counters.tables_full += 1;
        self.notifies.remove(key).and_then(|notify| notify.eviction)
    }

    /// The phone answered. Gives back what may be evicted now.
    pub(crate) fn on_response(
        &mut self,
        work: &mut Work<'_>,
        key: NotifyKey,
        response: &sip::Message<'_>,
    ) -> Option<Eviction> {
        let code = response.status().unwrap_or(0);
        if code < 200 {
            return None;
        }
        if let Some(notify) = self.notifies.get_mut(key).filter(|notify| notify.cseq == 1)
            && let Some(account) = &notify.target.account
            && let Some((name, value)) =
                credentials(work, &notify.tenant, account.name(), &notify.target.uri, response)
        {
            notify.cseq = 2;
            return self.send(work, key, Some((name, &value)));
        }
        if code >= 300 {
            work.ctx.counters.notifies_failed += 1;
        }
        self.notifies.remove(key).and_then(|notify| notify.eviction)
    }

    /// The phone said nothing, or its connection is gone.
    pub(crate) fn on_event(&mut self, work: &mut Work<'_>, event: &Event<Owner>) -> Option<Eviction> {
        match event {
            Event::ClientTimeout { owner: Owner::Notifier(key), .. }
            | Event::ClientLost { owner: Owner::Notifier(key), .. } => {
                work.ctx.counters.notifies_failed += 1;
                self.notifies.remove(*key).and_then(|notify| notify.eviction)
            }
            _ => None,
        }
    }
}

/// The answer to a phone that challenges a NOTIFY for `uri`, as the account `user` of `tenant` that is registered there.
/// `None`: it is not for our realm, or cannot be answered.
pub(crate) fn credentials(
    work: &mut Work<'_>,
    tenant: &Tenant,
    user: &str,
    uri: &[u8],
    response: &sip::Message<'_>,
) -> Option<(sip::Name, Vec<u8>)> {
    let (asks, answers) = match response.status()? {
        401 => (sip::Name::WwwAuthenticate, sip::Name::Authorization),
        407 => (sip::Name::ProxyAuthenticate, sip::Name::ProxyAuthorization),
        _ => return None,
    };
    let (_, secret) = tenant.credentials(tenant.account(user.as_bytes())?);
    let cnonce = work.ctx.random.token::<16>();
    let cnonce = std::str::from_utf8(&cnonce).expect("a token is ASCII");
    let uri = std::str::from_utf8(uri).ok()?;
    response.challenges(asks).filter_map(Result::ok).find_map(|challenge| {
        let value = auth::answer(&challenge, (user, secret), tenant.realm(), ("NOTIFY", uri), cnonce, 1)?;
        Some((answers, value.into_bytes()))
    })
}
