//! URIs that reach one phone of an extension and no other (RFC 5627): written into the 200 to its REGISTER, read from the
//! Request-URI of whoever was given one.
//!
//! ```text
//! pub-gruu    sip:1001@demo.example;gr=urn:uuid:00000000-0000-1000-8000-000a95a0e128
//! temp-gruu   sip:<token>@demo.example;gr        token = base64url( nonce (12) | sealed( instance (8) | Call-ID (8) | user ) | MAC (16) )
//! ```
//!
//! Nothing is kept for either. What a temporary one stands for is sealed into it, and it is good as long as a phone of that
//! instance is registered under the Call-ID that it was given out for (RFC 5627 §5.1): both are in the binding anyway.

use std::borrow::Cow;
use std::sync::Arc;

use aes_gcm_siv::aead::AeadInOut as _;

use crate::base64url;
use crate::location::{Binding, instance_hash};
use crate::return_path::RoutingKeys;
use crate::settings::Tenant;

/// The URI parameter that makes one (RFC 5627 §4.1).
const PARAM: &str = "gr";

const NONCE_LENGTH: usize = 12;
const MAC_LENGTH: usize = 16;
/// Octets of the hashes of instance and Call-ID.
const HEAD_LENGTH: usize = 16;

/// Longest token that is looked at, in characters: what the longest user makes.
const TOKEN_LENGTH_MAX: usize =
    base64url::length(NONCE_LENGTH + HEAD_LENGTH + crate::location::NAME_LENGTH_MAX + MAC_LENGTH);

/// The phone that a GRUU names: an address-of-record of its tenant, and one instance there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Phone {
    /// The extension, as far as the URI says; whether there is one has yet to be seen.
    pub(crate) user: Vec<u8>,
    /// Hash of the instance, as contacts have it.
    pub(crate) instance: u64,
    /// Hash of the Call-ID under which it must be registered.
    pub(crate) call_id: Option<u64>,
}

/// The phone that `uri` names. `None`: it is no GRUU of the tenant. `Some(None)`: it is one that nobody was given, or not
/// here.
pub(crate) fn read(keys: &RoutingKeys, tenant: &Tenant, uri: &sip::Uri<'_>) -> Option<Option<Phone>> {
    if !tenant.registrar.gruu || !uri.is_sip() {
        return None;
    }
    let instance = uri.params.get(PARAM)?;
    if !tenant.domains.iter().any(|domain| domain.as_bytes().eq_ignore_ascii_case(uri.host.raw())) {
        return None;
    }
    Some(match instance {
        // Phones that show none have no GRUU (RFC 5627 §4.1).
        Some([]) => None,
        Some(instance) => {
            let instance: Vec<u8> = sip::unescape(instance).collect();
            let user = uri.user_unescaped().into_owned();
            Some(Phone { user, instance: instance_hash(&instance), call_id: None })
        }
        None => open(keys, tenant, uri.user?),
    })
}

fn open(keys: &RoutingKeys, tenant: &Tenant, token: &[u8]) -> Option<Phone> {
    if token.len() > TOKEN_LENGTH_MAX {
        return None;
    }
    let mut octets = vec![0; base64url::octets_in(token.len())?];
    if !base64url::decode(token, &mut octets) {
        return None;
    }
    let (nonce, rest) = octets.split_first_chunk_mut::<NONCE_LENGTH>()?;
    let (sealed, mac) = rest.split_last_chunk_mut::<MAC_LENGTH>()?;
    let cipher = keys.gruu();
    let tenant = tenant.id.as_bytes();
    cipher.decrypt_inout_detached(&(*nonce).into(), tenant, (&mut *sealed).into(), &(*mac).into()).ok()?;
    let (instance, rest) = sealed.split_first_chunk()?;
    let (call_id, user) = rest.split_first_chunk()?;
    Some(Phone {
        user: user.to_vec(),
        instance: u64::from_le_bytes(*instance),
        call_id: Some(u64::from_le_bytes(*call_id)),
    })
}

/// What the 200 to one REGISTER needs to name its phones.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) keys: Arc<RoutingKeys>,
    /// Tenant and user of the address-of-record.
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) user: Box<str>,
    /// Random, and one for all that are named together, which SIV forgives.
    pub(crate) nonce: [u8; NONCE_LENGTH],
}

impl Names {
    /// Appends what a Contact says of both GRUUs of `binding` (RFC 5627 §5.2); nothing where its phone shows no instance.
    pub(crate) fn write(&self, binding: &Binding<'_>, out: &mut Vec<u8>) {
        if binding.instance.is_empty() {
            return;
        }
        // A phone that registered `sips:` is to be called so (RFC 5627 §5.1).
        let scheme = if crate::proxy::is_sips(&binding.uri) { &b"sips:"[..] } else { b"sip:" };
        let realm = self.tenant.realm().as_bytes();
        for part in [b";pub-gruu=\"", scheme, self.user.as_bytes(), b"@", realm, b";gr="] {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&escaped(&binding.instance));
        for part in [b"\";temp-gruu=\"", scheme] {
            out.extend_from_slice(part);
        }
        self.seal(binding, out);
        for part in [&b"@"[..], realm, b";gr\""] {
            out.extend_from_slice(part);
        }
    }

    fn seal(&self, binding: &Binding<'_>, out: &mut Vec<u8>) {
        let mut octets = Vec::with_capacity(128);
        octets.extend_from_slice(&self.nonce);
        octets.extend_from_slice(&instance_hash(&binding.instance).to_le_bytes());
        octets.extend_from_slice(&binding.call_id.to_le_bytes());
        octets.extend_from_slice(self.user.as_bytes());
        let (cipher, tenant) = (self.keys.gruu(), self.tenant.id.as_bytes());
        let mac = cipher
            .encrypt_inout_detached(&self.nonce.into(), tenant, (&mut octets[NONCE_LENGTH..]).into())
            .expect("a plaintext of some hundred octets is within the cipher's bounds");
        octets.extend_from_slice(&mac);
        let start = out.len();
        out.resize(start + base64url::length(octets.len()), 0);
        base64url::encode(&octets, &mut out[start..]);
    }
}

/// `text` as the value of a URI parameter (RFC 3261 §25.1, paramchar).
fn escaped(text: &[u8]) -> Cow<'_, [u8]> {
    let is_param = |octet: &u8| octet.is_ascii_alphanumeric() || b"[]/:&+$-_.!~*'()".contains(octet);
    if text.iter().all(is_param) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() * 3);
    for octet in text {
        match is_param(octet) {
            true => out.push(*octet),
            false => out.extend_from_slice(format!("%{octet:02X}").as_bytes()),
        }
    }
    out.into()
}
