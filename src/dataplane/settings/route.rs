//! The way out: where calls for numbers go that are no extension's, and how many of them there may be.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Peer, Tenant, TenantIndex, canonical};

/// Where numbers go that begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What they begin with; empty: all numbers. Of several routes that with the longest one counts.
    pub prefix: Box<str>,
    /// Where they go: tried in order until one does not fail. Calls from their addresses are believed.
    pub peers: Vec<Peer>,
    /// Who the edge is at them, where they ask.
    pub account: Option<Arc<PeerAccount>>,
    /// How many characters are taken off the number, from its beginning.
    pub strip: u8,
    /// What is put before what is left.
    pub prepend: Box<str>,
    /// The number that is shown where the person who calls has none for it.
    pub caller: Option<Box<str>>,
    /// An address that has not said a word for this long is passed over.
    pub no_answer: Duration,
}

impl Route {
    /// The number that is called at the peer when `number` was dialled; `None`: nothing is left of it.
    pub fn rewritten(&self, number: &str) -> Option<String> {
        let rest = number.get(usize::from(self.strip)..).filter(|rest| !rest.is_empty())?;
        Some(format!("{}{rest}", self.prepend))
    }

    /// Everywhere it leads.
    pub fn addresses(&self) -> impl Iterator<Item = &SocketAddr> {
        self.peers.iter().flat_map(|peer| &peer.addresses)
    }
}

/// Who the edge is at a peer that asks for a password (RFC 3261 §22.3).
#[derive(Clone, PartialEq, Eq)]
pub struct PeerAccount {
    /// The name, without quotes and backslashes.
    pub username: Box<str>,
    /// The password. It is kept, because what is hashed with it says the peer.
    pub password: Zeroizing<String>,
    /// The only realm that is answered; without it that which the peer names first.
    pub realm: Option<Box<str>>,
}

impl fmt::Debug for PeerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerAccount").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Who the edge is at peers that ask, for each tenant that sends calls there, in file order.
#[derive(Debug, Default)]
pub(super) struct PeerAccounts {
    by_address: HashMap<SocketAddr, Vec<(TenantIndex, Arc<PeerAccount>)>>,
    /// An emergency service is believed whatever port it calls back from, and it asks there as anywhere.
    by_emergency_service: HashMap<IpAddr, Vec<(TenantIndex, Arc<PeerAccount>)>>,
}

impl PeerAccounts {
    /// Adds those of a tenant: of its routes, then for emergency calls. Of two at one address, which `config/` refuses, the
    /// first counts.
    pub(super) fn add(&mut self, index: TenantIndex, tenant: &Tenant) {
        for route in &tenant.routes {
            let account = route.account.as_ref();
            route
                .addresses()
                .for_each(|address| put(&mut self.by_address, canonical(*address), index, account));
        }
        let account = tenant.emergency.account.as_ref();
        for address in tenant.emergency_services() {
            put(&mut self.by_address, canonical(*address), index, account);
            put(&mut self.by_emergency_service, address.ip().to_canonical(), index, account);
        }
    }

    /// The first at `address` of a tenant that is meant.
    pub(super) fn find(
        &self,
        address: SocketAddr,
        is_meant: impl Fn(TenantIndex) -> bool,
    ) -> Option<&Arc<PeerAccount>> {
        // Where nobody asks, nothing is looked up.
        if self.by_address.is_empty() {
            return None;
        }
        let at_address = self.by_address.get(&canonical(address)).into_iter().flatten();
        let of_service = self.by_emergency_service.get(&address.ip().to_canonical()).into_iter().flatten();
        at_address.chain(of_service).find(|(index, _)| is_meant(*index)).map(|(_, account)| account)
    }
}

/// Adds the account of a tenant at `key`, if it has none there.
fn put<K: Eq + Hash>(
    accounts: &mut HashMap<K, Vec<(TenantIndex, Arc<PeerAccount>)>>,
    key: K,
    index: TenantIndex,
    account: Option<&Arc<PeerAccount>>,
) {
    let Some(account) = account else { return };
    let known = accounts.entry(key).or_default();
    if known.last().is_none_or(|(last, _)| *last != index) {
        known.push((index, Arc::clone(account)));
    }
}

/// How much may be called outside: a stolen PIN costs no more than this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsidePolicy {
    /// Calls of one phone at a time.
    pub phone_calls_max: u32,
    /// Calls of one phone in a minute.
    pub phone_calls_a_minute_max: u32,
    /// Calls of the tenant at a time.
    pub calls_max: u32,
    /// Calls of the tenant in a minute.
    pub calls_a_minute_max: u32,
    /// What no number that is called may begin with, as it is dialled or as it leaves.
    pub barred: Vec<Box<str>>,
}

impl OutsidePolicy {
    /// True if `number` may not be called.
    pub fn bars(&self, number: &str) -> bool {
        self.barred.iter().any(|prefix| number.starts_with(&**prefix))
    }
}

impl Default for OutsidePolicy {
    fn default() -> Self {
        Self {
            phone_calls_max: 4,
            phone_calls_a_minute_max: 10,
            calls_max: 200,
            calls_a_minute_max: 300,
            barred: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_rewritten_from_its_beginning() {
        let rewritten = |strip, prepend: &str, number: &str| {
            let (prefix, peers, account, caller) = ("".into(), Vec::new(), None, None);
            let no_answer = Duration::from_secs(4);
            let prepend = prepend.into();
            Route { prefix, peers, account, strip, prepend, caller, no_answer }.rewritten(number)
        };

        assert_eq!(rewritten(1, "+49", "0301234").as_deref(), Some("+49301234"));
        assert_eq!(rewritten(0, "", "+49301234").as_deref(), Some("+49301234"));
        assert_eq!(rewritten(3, "+", "00049").as_deref(), Some("+49"));
        assert_eq!(rewritten(1, "+49", "0"), None);
        assert_eq!(rewritten(9, "", "0301"), None);
    }
}
