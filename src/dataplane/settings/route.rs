//! The way out: where calls for numbers go that are no extension's, and how many of them there may be.

use std::net::SocketAddr;
use std::time::Duration;

use super::Peer;

/// Where numbers go that begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What they begin with; empty: all numbers. Of several routes that with the longest one counts.
    pub prefix: Box<str>,
    /// Where they go: tried in order until one does not fail. Calls from their addresses are believed.
    pub peers: Vec<Peer>,
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
            let (prefix, peers, caller) = ("".into(), Vec::new(), None);
            let no_answer = Duration::from_secs(4);
            Route { prefix, peers, strip, prepend: prepend.into(), caller, no_answer }.rewritten(number)
        };

        assert_eq!(rewritten(1, "+49", "0301234").as_deref(), Some("+49301234"));
        assert_eq!(rewritten(0, "", "+49301234").as_deref(), Some("+49301234"));
        assert_eq!(rewritten(3, "+", "00049").as_deref(), Some("+49"));
        assert_eq!(rewritten(1, "+49", "0"), None);
        assert_eq!(rewritten(9, "", "0301"), None);
    }
}
