//! What a forwarded message looks like on the wire (RFC 3261 §16.6, §16.7).

use std::net::SocketAddr;

use smallvec::SmallVec;

use super::identity;
use super::peer::{self, ForPeer};
use super::pidf_lo::Located;
use crate::return_path;

/// Everything that differs between the request that came and the one that leaves.
pub(crate) struct Outgoing<'a> {
    /// Whence it came: `received` and `rport` of the caller's Via.
    pub(crate) source: SocketAddr,
    /// Request-URI to put in; `None` leaves it.
    pub(crate) uri: Option<&'a [u8]>,
    /// `SIP/2.0/UDP host:port` of the Via to put on top; the branch follows.
    pub(crate) via: &'a [u8],
    /// How many Route values on top are ours.
    pub(crate) own_routes: usize,
    /// Our URI in each Record-Route to put on top, the outermost last.
    pub(crate) record_route: &'a [&'a str],
    /// The sealed facts of the dialog that they carry.
    pub(crate) sealed: &'a [u8],
    /// Display name and URI of From.
    pub(crate) from: Option<&'a [u8]>,
    /// Display name and URI of To.
    pub(crate) to: Option<&'a [u8]>,
    /// P-Asserted-Identity for a peer that is trusted.
    pub(crate) asserted: Option<&'a [u8]>,
    /// The sender wants to be unknown and did not say so in `Privacy`.
    pub(crate) add_privacy: bool,
    /// The place it has in that stead, with its body.
    pub(crate) located: Option<&'a Located>,
    /// What else a peer gets that asks who the edge is.
    pub(crate) for_peer: Option<&'a ForPeer>,
}

impl Outgoing<'_> {
    /// Writes `request` with these changes and no others. Headers in which a phone might claim to be somebody or
    /// somewhere, and the credentials it gave us, stay behind.
    pub(crate) fn write(
        &self,
        request: &sip::Message<'_>,
        headers: &sip::Mandatory<'_>,
        branch: &[u8],
        out: &mut Vec<u8>,
    ) {
        let via = [self.via, b";branch=", branch];
        let record_route: SmallVec<[_; 2]> = self
            .record_route
            .iter()
            .map(|uri| [b"<", uri.as_bytes(), return_path::URI_PARAMS, self.sealed, b">"])
            .collect();

        let mut rewrite = sip::Rewrite::new(request);
        if let Some(uri) = self.uri {
            rewrite.set_request_uri(uri);
        }
        // §18.2.1: whatever the sender wrote there, the answer goes where the request came from.
        rewrite.set_received(&headers.via, self.source);
        rewrite.prepend_parts(sip::Name::Via, &via);
        for value in &record_route {
            rewrite.prepend_parts(sip::Name::RecordRoute, value);
        }
        for _ in 0..self.own_routes {
            rewrite.remove_first_value(sip::Name::Route);
        }
        // §16.6 item 3: a request without the field gets 70.
        let hops = headers.max_forwards.map_or(70, |hops| hops.saturating_sub(1));
        rewrite.set_decimal(sip::Name::MaxForwards, u64::from(hops));
        if let Some(addr) = self.from {
            rewrite.replace_span(headers.from.addr_raw, addr);
        }
        if let Some(addr) = self.to {
            rewrite.replace_span(headers.to.addr_raw, addr);
        }
        rewrite.remove_all(sip::Name::ProxyAuthorization);
        rewrite.remove_all(sip::Name::Authorization);
        strip_identity(&mut rewrite);
        strip_place(&mut rewrite);
        if let Some(asserted) = self.asserted {
            rewrite.append(sip::Name::PAssertedIdentity, asserted);
        }
        if self.add_privacy && !request.has(sip::Name::Privacy) {
            rewrite.append(sip::Name::Privacy, b"id");
        }
        if let Some(located) = self.located {
            rewrite.remove_all(sip::Name::ContentDisposition);
            rewrite.set_body(&located.content_type, &located.body);
            rewrite.append(sip::Name::Geolocation, &located.geolocation);
            rewrite.append(sip::Name::GeolocationRouting, b"yes");
        }
        if let Some(for_peer) = self.for_peer {
            for_peer.write(&mut rewrite);
        }
        rewrite.write(out);
    }
}

/// Display name and URI of From and To as the opener of a request wrote them, where it left with others, and its number:
/// its responses bring them back (§8.2.6.2).
#[derive(Debug)]
pub(crate) struct Original {
    pub(super) from: Option<Box<[u8]>>,
    to: Option<Box<[u8]>>,
    pub(super) cseq: u32,
}

impl Original {
    /// Of a request that leaves with another From, another To.
    pub(crate) fn of(request: &sip::Mandatory<'_>, from: bool, to: bool) -> Self {
        let addr = |changes: bool, addr: &sip::NameAddr<'_>| changes.then(|| addr.addr_raw.into());
        Self { from: addr(from, &request.from), to: addr(to, &request.to), cseq: request.cseq.number }
    }
}

/// What our Record-Route says in a response that makes a dialog (§16.7 item 8), and where it stands.
#[derive(Default)]
pub(crate) struct Recorded<'m> {
    pub(crate) spans: SmallVec<[&'m [u8]; 2]>,
    pub(crate) sealed: Vec<u8>,
}

/// Writes `response` as the opener of the request expects it: our Via gone, From, To and CSeq as it sent them.
pub(crate) fn write_response(
    response: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    original: &Original,
    recorded: &Recorded<'_>,
    out: &mut Vec<u8>,
) {
    let cseq;
    let mut rewrite = sip::Rewrite::new(response);
    rewrite.remove_first_value(sip::Name::Via);
    for span in &recorded.spans {
        rewrite.replace_span(span, &recorded.sealed);
    }
    if let Some(addr) = &original.from {
        rewrite.replace_span(headers.from.addr_raw, addr);
    }
    if let Some(addr) = &original.to {
        rewrite.replace_span(headers.to.addr_raw, addr);
    }
    strip_identity(&mut rewrite);
    if headers.cseq.number != original.cseq {
        cseq = peer::cseq(original.cseq, headers.cseq.method);
        rewrite.set(sip::Name::CSeq, &cseq);
        // It is about our credentials.
        rewrite.remove_all(sip::Name::AuthenticationInfo);
    }
    rewrite.write(out);
}

fn strip_identity(rewrite: &mut sip::Rewrite<'_, '_>) {
    for name in [sip::Name::PAssertedIdentity, sip::Name::PPreferredIdentity, sip::Name::RemotePartyId] {
        debug_assert!(identity::is_identity_header(name));
        rewrite.remove_all(name);
    }
}

/// Where a phone stands is what its settings say: what it claims itself (RFC 6442 §4) goes to nobody, in no request.
fn strip_place(rewrite: &mut sip::Rewrite<'_, '_>) {
    rewrite.remove_all(sip::Name::Geolocation);
    rewrite.remove_all(sip::Name::GeolocationRouting);
}
