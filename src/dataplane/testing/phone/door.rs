//! A peer that lets nobody in without a password (RFC 3261 §22.1).

use crate::testing::digest;
use crate::testing::heard::{quoted, value};

/// What a peer wants to see of whoever sends it requests. ACK and CANCEL it takes from everybody.
#[derive(Clone, Debug)]
pub struct Door {
    /// Who may come in.
    pub user: String,
    /// With what.
    pub password: String,
    /// Its realm.
    pub realm: String,
    /// It is that of a proxy: it asks by 407.
    pub of_proxy: bool,
    /// It counts (`qop=auth`); else a nonce is good for ever.
    pub counts: bool,
    /// How often a nonce is good.
    pub uses_max: u32,
    /// Every answer brings another nonce (RFC 7616 §3.5).
    pub renews: bool,
    /// Whoever is let in hears nothing more.
    pub silent_behind: bool,
    /// Requests it has let in.
    pub let_in: u32,
    nonce: u32,
    used: u32,
}

impl Door {
    /// A door for `user` with this password.
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            realm: "pbx.example".into(),
            of_proxy: false,
            counts: true,
            uses_max: u32::MAX,
            renews: false,
            silent_behind: false,
            let_in: 0,
            nonce: 1,
            used: 0,
        }
    }

    /// Lets a request in: what the answer says of the next nonce. Else the status and header of the challenge.
    pub(super) fn pass(&mut self, request: &str) -> Result<Option<String>, (u16, &'static str, String)> {
        let (asks, answers) = match self.of_proxy {
            true => ((407, "Proxy-Authenticate"), "Proxy-Authorization"),
            false => ((401, "WWW-Authenticate"), "Authorization"),
        };
        let credentials = value(request, answers);
        let (method, uri) = (request.split(' ').next(), request.split(' ').nth(1));
        let (method, uri) = (method.unwrap_or_default(), uri.unwrap_or_default());
        let nonce = quoted(credentials, "nonce").unwrap_or_default();
        let count = quoted(credentials, "nc").and_then(|nc| u32::from_str_radix(&nc, 16).ok()).unwrap_or(0);
        let is_right = digest::is_right(credentials, &nonce, &self.user, &self.password, method, uri);
        let is_fresh = !self.counts || (count > self.used && self.used < self.uses_max);
        if is_right && nonce == self.nonce() && is_fresh {
            self.used = count;
            self.let_in += 1;
            if self.renews {
                (self.nonce, self.used) = (self.nonce + 1, 0);
            }
            return Ok(self.renews.then(|| format!("nextnonce=\"{}\"", self.nonce())));
        }
        (self.nonce, self.used) = (self.nonce + 1, 0);
        let qop = if self.counts { ",qop=\"auth\"" } else { "" };
        let stale = if is_right { ",stale=true" } else { "" };
        let challenge = format!("Digest realm=\"{}\",nonce=\"{}\"{qop}{stale}", self.realm, self.nonce());
        Err((asks.0, asks.1, challenge))
    }

    fn nonce(&self) -> String {
        format!("nonce-{}", self.nonce)
    }
}
