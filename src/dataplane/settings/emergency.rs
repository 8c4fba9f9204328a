//! Emergency calls: which they are, where they go, what they say and who is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::PeerAccount;

/// Emergency calls of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emergency {
    /// Dialled numbers, digits only, such as `112`.
    pub numbers: Vec<Box<str>>,
    /// Prefixes for an outside line that may stand before them, such as `0` and `9`.
    pub prefixes: Vec<Box<str>>,
    /// Where they go, in the order in which they are tried; none: such a call gets 500 with a Warning at once. At most
    /// as many addresses as a request may have branches are tried.
    pub routes: Vec<Peer>,
    /// Who the edge is there and at the routes of sites, where they ask.
    pub account: Option<Arc<PeerAccount>>,
    /// An address that has not said a word for this long is passed over.
    pub no_answer: Duration,
    /// How long after an emergency call no seat at the device begins or ends.
    pub hold: Duration,
    /// How long after an emergency call whoever calls the number it showed reaches the phone it came from.
    pub call_back: Duration,
    /// How the place is told to the emergency service, beside the number.
    pub location: LocationForm,
    /// Who is told of an emergency call by a SIP MESSAGE.
    pub notify: Vec<Told>,
}

/// How an emergency call tells its place, beside the number of the site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocationForm {
    /// By the number alone.
    #[default]
    None,
    /// As a PIDF-LO document in the INVITE (RFC 4119, RFC 6442). A gateway that refuses it gets the INVITE without.
    PidfLo,
}

/// Somebody who is told of emergency calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An extension of the tenant: every phone it is to be had at.
    Extension(Box<str>),
    /// A SIP URI elsewhere; its addresses are tried in order.
    Peer(Peer),
}

impl Emergency {
    /// All that is dialled for help: each number, and with each prefix before it.
    pub(super) fn dialled(&self) -> impl Iterator<Item = Box<[u8]>> {
        let prefixes = || std::iter::once("").chain(self.prefixes.iter().map(|prefix| &**prefix));
        let with_each =
            move |number| prefixes().map(move |prefix| [prefix, number].concat().into_bytes().into());
        self.numbers.iter().flat_map(move |number| with_each(&**number))
    }
}

impl Default for Emergency {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            prefixes: vec!["0".into(), "9".into()],
            routes: Vec::new(),
            account: None,
            no_answer: Duration::from_secs(4),
            hold: Duration::from_secs(3600),
            call_back: Duration::from_secs(3600),
            location: LocationForm::default(),
            notify: Vec::new(),
        }
    }
}

/// A configured SIP peer that the edge trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The URI as configured, such as `sip:psap-gateway.example`.
    pub uri: Box<str>,
    /// Where its host was found at load, first address first; none if it was not found.
    pub addresses: Vec<SocketAddr>,
}

impl Peer {
    /// Host and port as the URI has them.
    pub fn host(&self) -> &str {
        let rest = self.uri.strip_prefix("sip:").unwrap_or(&self.uri);
        let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        rest.split_once(';').map_or(rest, |(host, _)| host)
    }

    /// True if the URI names UDP, so that nothing is sent there over TCP (RFC 3263 §4.1).
    pub fn is_for_datagrams(&self) -> bool {
        self.uri.split_once(';').is_some_and(|(_, params)| params.eq_ignore_ascii_case("transport=udp"))
    }
}
