//! What all rooms of one worker stand on: settings, tables, keys, random, counts; and, for the time of one
//! input, the transactions and the way out.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::admission::{Load, Sources};
use crate::attendant::CallKey;
use crate::auth::{Challenge, Refused};
use crate::counters::Counters;
use crate::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use crate::location::Upkeep;
use crate::now::{Mono, Now};
use crate::output::Outbox;
use crate::print::{Print, TAG_LENGTH};
use crate::proxy::{ProxyKey, is_sips};
use crate::random::Random;
use crate::return_path::RoutingKeys;
use crate::settings::{Listener, Protocol, Settings, Tenant};
use crate::tables::Tables;
use crate::transaction::{ServerId, Transactions};
use crate::upstream::{Challenges, DATAGRAM_MAX, PeerStream, PeerStreams};

/// Which core a transaction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A forwarded request.
    Proxy(ProxyKey),
    /// A call the edge answers itself.
    Attendant(CallKey),
    /// A NOTIFY of ours.
    Notifier(crate::notifier::NotifyKey),
    /// A NOTIFY of ours within a phone's subscription.
    Subscription(crate::subscription::NotifyKey),
    /// A MESSAGE of ours about an emergency call.
    Alarm(crate::alarm::AlarmKey),
    /// Answered at once; only retransmissions will ask for it again.
    Nobody,
}

/// What the rooms of one worker stand on.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) worker: WorkerId,
    pub(crate) settings: Arc<Settings>,
    pub(crate) keys: Arc<RoutingKeys>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) random: Random,
    pub(crate) counters: Counters,
    /// Expiry and what the store has yet to hear, of the bindings this worker sees to.
    pub(crate) upkeep: Upkeep,
    /// What peers have asked this worker.
    pub(crate) challenges: Challenges,
    /// The connections of this worker to peers.
    pub(crate) peer_streams: PeerStreams,
    pub(crate) sources: Sources,
    pub(crate) load: Load,
}

/// What a core works with for the time of one input.
pub(crate) struct Work<'a> {
    pub(crate) now: Now,
    pub(crate) ctx: &'a mut Context,
    pub(crate) transactions: &'a mut Transactions<Owner>,
    pub(crate) out: &'a mut Outbox,
    /// The MAC that the certificate of whoever sent this input names.
    pub(crate) certified: Option<[u8; 6]>,
}

/// A refusal the edge writes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) code: u16,
    pub(crate) reason: &'a str,
    /// One more header.
    pub(crate) header: Option<(sip::Name, &'a str)>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(code: u16, reason: &'a str) -> Self {
        Self { code, reason, header: None }
    }

    pub(crate) fn with(code: u16, reason: &'a str, name: sip::Name, value: &'a str) -> Self {
        Self { code, reason, header: Some((name, value)) }
    }
}

/// There is always one, since settings keep the listeners they started with.
const LISTENER_IS_THERE: &str = "a flow names a listener of this edge";

impl Context {
    /// See [`Settings::tenant_of`].
    pub(crate) fn tenant_of(&self, uri: &sip::Uri<'_>, flow: &Flow) -> Option<Arc<Tenant>> {
        self.settings.tenant_of(uri, flow).cloned()
    }

    /// True if `uri` names a domain of `tenant`, or this edge by its address.
    pub(crate) fn is_ours(&self, uri: &sip::Uri<'_>, tenant: &Tenant) -> bool {
        uri.host.raw().is_empty()
            || tenant.domains.iter().any(|domain| domain.as_bytes().eq_ignore_ascii_case(uri.host.raw()))
            || self.settings.is_own_address(uri)
    }

    /// The first listener that can send datagrams to `remote`.
    pub(crate) fn listener_for(&self, remote: &SocketAddr) -> Option<ListenerId> {
        self.settings
            .listeners
            .iter()
            .position(|listener| {
                listener.protocol == Protocol::Udp && listener.local.is_ipv4() == remote.is_ipv4()
            })
            .map(|index| ListenerId(index as u8))
    }

    /// The listener a flow came through.
    pub(crate) fn listener(&self, flow: &Flow) -> &Listener {
        self.settings.listener(flow.listener).expect(LISTENER_IS_THERE)
    }

    /// Requests of any length go to the peer at the datagram flow `peer` as datagrams for a while.
    pub(crate) fn avoid_streams(&mut self, now: Mono, peer: Flow) {
        self.counters.streams_avoided += u64::from(self.peer_streams.avoid(now, peer));
    }

    /// A fresh tag for a dialog the edge answers: 96 random bits.
    pub(crate) fn tag(&mut self) -> [u8; TAG_LENGTH] {
        self.random.token()
    }

    /// The Via of a message that leaves by `flow`, without its branch: `SIP/2.0/UDP host:port`.
    pub(crate) fn via(&self, flow: &Flow) -> &[u8] {
        let is_opened = flow.connection.is_some_and(ConnectionId::is_opened);
        self.settings.via(flow.listener, is_opened).expect(LISTENER_IS_THERE)
    }

    /// `sip:host:port` of the listener of `flow`, with its `transport` where that is not UDP; in the scheme of a dialog
    /// whose first request was for `uri` (RFC 5630 §5.3).
    pub(crate) fn own_uri(&self, flow: &Flow, uri: &[u8]) -> &str {
        self.settings.own_uri(flow.listener, is_sips(uri)).expect(LISTENER_IS_THERE)
    }

    /// True if nobody can read along on `flow`.
    pub(crate) fn is_secure(&self, flow: &Flow) -> bool {
        self.listener(flow).protocol == Protocol::Tls
    }
}

impl Work<'_> {
    /// The way of a request to the peer at the datagram flow `peer`: TCP if it is too long for a datagram, the operator has named
    /// no transport, and the peer takes connections (§18.1.1). `write` writes it as it would go by a flow.
    pub(crate) fn way_to_peer(&mut self, peer: Flow, write: impl Fn(&Context, &Flow, &mut Vec<u8>)) -> Flow {
        let Self { ctx, out, .. } = self;
        let may_be_long = ctx.settings.takes_streams(peer.remote);
        if !may_be_long || out.length_of(|buffer| write(ctx, &peer, buffer)) <= DATAGRAM_MAX {
            return peer;
        }
        let fresh = ConnectionId::opened(ctx.worker, u64::from_ne_bytes(ctx.random.bytes()));
        let Some(PeerStream { flow, is_new }) = ctx.peer_streams.to(self.now.mono, peer, fresh) else {
            return peer;
        };
        if is_new {
            out.connect(flow);
        }
        ctx.counters.requests_over_streams += 1;
        flow
    }

    /// Answers without a transaction (§8.2.7).
    pub(crate) fn answer(&mut self, flow: &Flow, request: &sip::Message<'_>, answer: Answer<'_>) {
        let tag = Print::of_message(request).tag(&self.ctx.tables.branch_key);
        self.out.message(*flow, |buffer| write_answer(buffer, request, flow, &tag, answer));
    }

    /// Answers a question to the edge itself: what it is called and what it takes (§11.2).
    pub(crate) fn describe_edge(&mut self, flow: &Flow, request: &sip::Message<'_>, allow: &str) {
        let tag = Print::of_message(request).tag(&self.ctx.tables.branch_key);
        let name = &self.ctx.settings.edge_name;
        self.out.message(*flow, |buffer| {
            sip::Compose::response(buffer, request, 200, "OK", &options(flow, &tag))
                .header(sip::Name::Allow, allow.as_bytes())
                .header(sip::Name::Accept, b"application/sdp")
                .header(sip::Name::Server, name.as_bytes())
                .finish();
        });
    }

    /// Answers within a server transaction and lets it absorb retransmissions.
    pub(crate) fn respond(&mut self, server: ServerId, request: &sip::Message<'_>, answer: Answer<'_>) {
        let Some(flow) = self.transactions.flow(server) else { return };
        let tag = self.ctx.tag();
        self.transactions.respond(self.now.mono, server, answer.code, self.out, |buffer| {
            write_answer(buffer, request, &flow, &tag, answer);
        });
    }

    /// Asks for credentials: 401 for what ends here, 407 for what is passed on (RFC 3261 §22). No transaction,
    /// no memory: one small answer, whatever the request was.
    pub(crate) fn challenge(
        &mut self,
        flow: &Flow,
        request: &sip::Message<'_>,
        tenant: &Tenant,
        proxy: bool,
        refused: Refused,
    ) {
        let (stale, elsewhere) = match refused {
            Refused::Missing | Refused::Wrong => (false, None),
            Refused::Stale => (true, None),
            Refused::Elsewhere(sent_to) => (true, Some(sent_to)),
        };
        self.ctx.counters.challenges += 1;
        self.ctx.counters.stale_nonces += u64::from(stale);
        let (code, reason, name) = if proxy {
            (407, "Proxy Authentication Required", sip::Name::ProxyAuthenticate)
        } else {
            (401, "Unauthorized", sip::Name::WwwAuthenticate)
        };
        let tag = Print::of_message(request).tag(&self.ctx.tables.branch_key);
        let (random, nonces) = (self.ctx.random.bytes(), &self.ctx.tables.nonces);
        let nonce = nonces.make(self.now.mono, random, flow.remote.ip(), elsewhere);
        let challenge = Challenge::new(tenant.realm(), &nonce, stale, &tenant.registrar);
        self.out.message(*flow, |buffer| {
            let options = options(flow, &tag);
            let mut compose = sip::Compose::response(buffer, request, code, reason, &options);
            for value in challenge.values() {
                compose.header(name, value.as_bytes());
            }
            compose.finish();
        });
    }
}

fn options<'a>(flow: &Flow, to_tag: &'a [u8]) -> sip::ResponseOptions<'a> {
    sip::ResponseOptions { source: Some(flow.remote), to_tag: Some(to_tag), record_route: false }
}

fn write_answer(
    buffer: &mut Vec<u8>,
    request: &sip::Message<'_>,
    flow: &Flow,
    tag: &[u8],
    answer: Answer<'_>,
) {
    let mut compose =
        sip::Compose::response(buffer, request, answer.code, answer.reason, &options(flow, tag));
    if let Some((name, value)) = answer.header {
        compose.header(name, value.as_bytes());
    }
    compose.finish();
}
