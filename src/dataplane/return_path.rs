//! What a dialog needs on its way back, sealed into a parameter of our Record-Route.
//!
//! Dialogs are not kept in memory: the callee's BYE comes from another address and reaches another worker,
//! maybe after a restart. All facts ride in the route set (RFC 3261 §12.1), where only the edge can read or
//! make them: AES-256-GCM-SIV under a daily key, bound to the Call-ID and the opener's tag. Of the two ciphers that
//! forgive a random nonce it is the one that processors have instructions for: 2,000 against 9,000 to seal or open.
//!
//! The callee's copy is in the request, which no tag of his is known of yet. The opener's is in the responses, where it is
//! sealed anew with the tag that each has: it is good for that dialog and no other. All are sealed under one nonce, which
//! SIV forgives too, so that a repeated response has the same octets.
//!
//! ```text
//! hd = base64url( key id (1) | nonce (12) | sealed( version (1) | opener's tag hash (8) | fields ) | MAC (16) )
//! field = tag (1) | length (2) | octets           unknown tags are passed over: the format can grow
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aes_gcm_siv::Aes256GcmSiv;
use aes_gcm_siv::aead::{AeadInOut as _, KeyInit as _};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use crate::base64url;
use crate::flow::{ConnectionId, Flow, ListenerId};
use crate::upstream::Renumbered;

/// The URI parameter that carries it.
pub const PARAM: &str = "hd";

/// What a Record-Route of ours has behind its URI, before the value of the parameter.
pub(crate) const URI_PARAMS: &[u8] = b";lr;hd=";

/// Longest parameter that is looked at, in characters: not below what [`ReturnPath::seal`] makes of the longest names.
pub const PARAM_LENGTH_MAX: usize = 1600;

/// Longest From of an opener that can be put back, in octets: beside it there is room for names of 64 octets, as long as
/// a configuration may have them, and for addresses of IPv6.
pub const ORIGINAL_LENGTH_MAX: usize = 384;

const VERSION: u8 = 1;
pub(crate) const NONCE_LENGTH: usize = 12;
const MAC_LENGTH: usize = 16;

/// What stands before the sealed octets: key id and nonce.
const OPEN_LENGTH: usize = 1 + NONCE_LENGTH;
/// What stands in the sealed octets before the fields: version and tag hash.
const HEAD_LENGTH: usize = 1 + 8;

const TENANT: u8 = 1;
const OPENER_ACCOUNT: u8 = 2;
const OPENER_FLOW: u8 = 3;
const CALLEE_ACCOUNT: u8 = 4;
const CALLEE_FLOW: u8 = 5;
const EXTENSION: u8 = 6;
const EPOCH: u8 = 7;
const OPENER_FROM: u8 = 8;
const RENUMBERED: u8 = 9;
const OPENER_DEVICE: u8 = 10;
const CALLEE_DEVICE: u8 = 11;
// Of whoever visits another tenant: that of an account or a device which is not of the dialog's.
const OPENER_ACCOUNT_TENANT: u8 = 12;
const OPENER_DEVICE_TENANT: u8 = 13;
const CALLEE_ACCOUNT_TENANT: u8 = 14;
const CALLEE_DEVICE_TENANT: u8 = 15;
/// Hash of the callee's tag; where it is there, it stands first.
const CALLEE_TAG: u8 = 16;

/// Keys under which Record-Route parameters are sealed: the first seals, all open. One is made every day and
/// an old one is kept as long as a call may last.
#[derive(Clone)]
pub struct RoutingKeys {
    keys: Vec<(u8, Aes256GcmSiv)>,
    /// Seals temporary GRUUs, and is never changed: they are good as long as their phone is registered.
    gruu: Aes256GcmSiv,
}

impl RoutingKeys {
    /// Takes (id, key) pairs, the current one first, at least one; and the key of temporary GRUUs.
    pub fn new(keys: &[(u8, [u8; 32])], gruu: [u8; 32]) -> Self {
        Self {
            keys: keys.iter().map(|(id, key)| (*id, Aes256GcmSiv::new(key.into()))).collect(),
            gruu: Aes256GcmSiv::new(&gruu.into()),
        }
    }

    pub(crate) fn gruu(&self) -> &Aes256GcmSiv {
        &self.gruu
    }
}

impl std::fmt::Debug for RoutingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

/// Which dialog it is (RFC 3261 §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialogId<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// The tag of whoever sent the INVITE.
    pub opener_tag: &'a [u8],
    /// That of whoever answers it, once it is known.
    pub callee_tag: Option<&'a [u8]>,
}

/// One end of a dialog as the edge knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party<'a> {
    /// Tenant and name of the SIP account behind the phone (a device id or an extension); `None` for a configured peer.
    pub account: Option<(&'a str, &'a str)>,
    /// Tenant and id of the shared phone it may be. Sealed only where it is not the account, because the phone holds a
    /// person's account; read, it is the account unless something else was sealed.
    pub device: Option<(&'a str, &'a str)>,
    /// The flow it was last reached over.
    pub flow: Flow,
}

/// What was put into From for the dialog's whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The extension the device spoke as.
    pub extension: &'a str,
    /// The epoch of its seat.
    pub epoch: u64,
    /// Display name and URI of From as the device wrote them: at most [`ORIGINAL_LENGTH_MAX`] octets, or nobody opens the
    /// parameter.
    pub original: &'a [u8],
}

/// The facts of a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnPath<'a> {
    /// Tenant id.
    pub tenant: &'a str,
    /// Who sent the INVITE.
    pub opener: Party<'a>,
    /// Who got it, on this branch.
    pub callee: Party<'a>,
    /// Whom the opener speaks as, where that is not its own account.
    pub identity: Option<Identity<'a>>,
    /// Whose requests have other CSeq numbers at the other end, because that asks for a password.
    pub renumbered: Option<Renumbered>,
}

/// An opened parameter; [`Opened::path`] reads it.
#[derive(Debug)]
pub struct Opened {
    /// The parameter's octets, decrypted in place.
    octets: Vec<u8>,
}

fn tag_hash(tag: &[u8]) -> u64 {
    SipHasher13::new().hash(tag)
}

fn field(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    // The longest value is a From of one message; what does not fit the length is left out whole.
    if let Ok(length) = u16::try_from(value.len()) {
        out.push(tag);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value);
    }
}

/// The name of an account or a device; its tenant too, where it is not that of the dialog.
fn name_fields(out: &mut Vec<u8>, tags: [u8; 2], named: Option<(&str, &str)>, tenant_of_dialog: &str) {
    let Some((tenant, name)) = named else { return };
    field(out, tags[0], name.as_bytes());
    if tenant != tenant_of_dialog {
        field(out, tags[1], tenant.as_bytes());
    }
}

fn flow_field(out: &mut Vec<u8>, tag: u8, flow: &Flow) {
    let mut value = SmallVec::<[u8; 28]>::new();
    value.push(flow.listener.0);
    match flow.remote.ip() {
        IpAddr::V4(ip) => {
            value.push(4);
            value.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            value.push(6);
            value.extend_from_slice(&ip.octets());
        }
    }
    value.extend_from_slice(&flow.remote.port().to_be_bytes());
    if let Some(connection) = flow.connection {
        value.extend_from_slice(&connection.to_u64().to_be_bytes());
    }
    field(out, tag, &value);
}

fn read_flow(value: &[u8]) -> Option<Flow> {
    let (&[listener, family], rest) = value.split_first_chunk()?;
    let (ip, rest): (IpAddr, &[u8]) = match family {
        4 => rest.split_first_chunk::<4>().map(|(ip, rest)| (Ipv4Addr::from(*ip).into(), rest))?,
        6 => rest.split_first_chunk::<16>().map(|(ip, rest)| (Ipv6Addr::from(*ip).into(), rest))?,
        _ => return None,
    };
    let (port, rest) = rest.split_first_chunk()?;
    let connection = match rest.first_chunk() {
        Some(connection) => Some(ConnectionId::from_u64(u64::from_be_bytes(*connection))?),
        None => None,
    };
    Some(Flow {
        listener: ListenerId(listener),
        remote: SocketAddr::new(ip, u16::from_be_bytes(*port)),
        connection,
    })
}

impl ReturnPath<'_> {
    /// Appends the parameter's value to `out`. `nonce` must be random, and is the same for one request's branches and
    /// their answers.
    pub fn seal(
        &self,
        keys: &RoutingKeys,
        nonce: [u8; NONCE_LENGTH],
        dialog: &DialogId<'_>,
        out: &mut Vec<u8>,
    ) {
        let (id, cipher) = keys.keys.first().expect("there is always a current key");
        let mut octets = Vec::with_capacity(256);
        octets.push(*id);
        octets.extend_from_slice(&nonce);
        octets.push(VERSION);
        octets.extend_from_slice(&tag_hash(dialog.opener_tag).to_be_bytes());
        if let Some(tag) = dialog.callee_tag {
            field(&mut octets, CALLEE_TAG, &tag_hash(tag).to_be_bytes());
        }
        field(&mut octets, TENANT, self.tenant.as_bytes());
        for (party, account, device, flow) in [
            (
                &self.opener,
                [OPENER_ACCOUNT, OPENER_ACCOUNT_TENANT],
                [OPENER_DEVICE, OPENER_DEVICE_TENANT],
                OPENER_FLOW,
            ),
            (
                &self.callee,
                [CALLEE_ACCOUNT, CALLEE_ACCOUNT_TENANT],
                [CALLEE_DEVICE, CALLEE_DEVICE_TENANT],
                CALLEE_FLOW,
            ),
        ] {
            name_fields(&mut octets, account, party.account, self.tenant);
            let other = party.device.filter(|_| party.device != party.account);
            name_fields(&mut octets, device, other, self.tenant);
            flow_field(&mut octets, flow, &party.flow);
        }
        if let Some(identity) = &self.identity {
            field(&mut octets, EXTENSION, identity.extension.as_bytes());
            field(&mut octets, EPOCH, &identity.epoch.to_be_bytes());
            field(&mut octets, OPENER_FROM, identity.original);
        }
        if let Some(renumbered) = &self.renumbered {
            field(&mut octets, RENUMBERED, &renumbered.write());
        }
        let mac = cipher
            .encrypt_inout_detached(&nonce.into(), dialog.call_id, (&mut octets[OPEN_LENGTH..]).into())
            .expect("a plaintext of some hundred octets is within the cipher's bounds");
        octets.extend_from_slice(&mac);

        let start = out.len();
        out.resize(start + base64url::length(octets.len()), 0);
        base64url::encode(&octets, &mut out[start..]);
    }
}

/// The nonce under which a value was sealed, by whomever.
pub(crate) fn nonce_of(value: &[u8]) -> Option<[u8; NONCE_LENGTH]> {
    let mut octets = [0; 15];
    let begin = value.get(..base64url::length(octets.len()))?;
    base64url::decode(begin, &mut octets).then(|| octets[1..OPEN_LENGTH].try_into().ok())?
}

/// Opens a parameter that came back in a Route. `None`: it was made up, changed, belongs to another Call-ID, or its key is gone.
pub fn open(keys: &RoutingKeys, value: &[u8], call_id: &[u8]) -> Option<Opened> {
    if value.len() > PARAM_LENGTH_MAX {
        return None;
    }
    let mut octets = vec![0; base64url::octets_in(value.len())?];
    if !base64url::decode(value, &mut octets) {
        return None;
    }
    let (id, rest) = octets.split_first_mut()?;
    let (nonce, rest) = rest.split_first_chunk_mut::<NONCE_LENGTH>()?;
    let (sealed, mac) = rest.split_last_chunk_mut::<MAC_LENGTH>()?;
    let (_, cipher) = keys.keys.iter().find(|(known, _)| *known == *id)?;
    if sealed.len() < HEAD_LENGTH {
        return None;
    }
    cipher.decrypt_inout_detached(&(*nonce).into(), call_id, sealed.into(), &(*mac).into()).ok()?;
    let opened = Opened { octets };
    (opened.plain().first() == Some(&VERSION)).then_some(opened)
}

impl Opened {
    /// True if `tag` is the tag of whoever sent the INVITE.
    pub fn is_opener(&self, tag: &[u8]) -> bool {
        self.plain()[1..HEAD_LENGTH] == tag_hash(tag).to_be_bytes()
    }

    /// True if `tag` is the callee's; `None` in his own copy, in which it is not.
    pub fn is_callee(&self, tag: &[u8]) -> Option<bool> {
        let sealed = self.plain()[HEAD_LENGTH..].strip_prefix(&[CALLEE_TAG, 0, 8])?;
        Some(sealed.starts_with(&tag_hash(tag).to_be_bytes()))
    }

    /// What was sealed: at least version and tag hash.
    fn plain(&self) -> &[u8] {
        &self.octets[OPEN_LENGTH..self.octets.len() - MAC_LENGTH]
    }

    /// The facts; `None` only for a parameter of a release that left one out.
    pub fn path(&self) -> Option<ReturnPath<'_>> {
        let text = |value| std::str::from_utf8(value).ok();
        let (mut tenant, mut extension, mut epoch, mut original) = (None, None, None, None);
        let (mut opener, mut callee) = (Fields::default(), Fields::default());
        let mut renumbered = None;
        let mut rest = &self.plain()[HEAD_LENGTH..];
        while let Some((&[tag, high, low], tail)) = rest.split_first_chunk() {
            let (value, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            match tag {
                TENANT => tenant = text(value),
                OPENER_ACCOUNT => opener.account = text(value),
                OPENER_ACCOUNT_TENANT => opener.account_tenant = text(value),
                OPENER_DEVICE => opener.device = text(value),
                OPENER_DEVICE_TENANT => opener.device_tenant = text(value),
                OPENER_FLOW => opener.flow = read_flow(value),
                CALLEE_ACCOUNT => callee.account = text(value),
                CALLEE_ACCOUNT_TENANT => callee.account_tenant = text(value),
                CALLEE_DEVICE => callee.device = text(value),
                CALLEE_DEVICE_TENANT => callee.device_tenant = text(value),
                CALLEE_FLOW => callee.flow = read_flow(value),
                EXTENSION => extension = text(value),
                EPOCH => epoch = value.try_into().ok().map(u64::from_be_bytes),
                OPENER_FROM => original = Some(value),
                RENUMBERED => renumbered = Some(Renumbered::read(value)?),
                _ => {}
            }
            rest = tail;
        }
        let identity = match (extension, epoch, original) {
            (Some(extension), Some(epoch), Some(original)) => Some(Identity { extension, epoch, original }),
            _ => None,
        };
        let tenant = tenant?;
        let (opener, callee) = (opener.party(tenant)?, callee.party(tenant)?);
        Some(ReturnPath { tenant, opener, callee, identity, renumbered })
    }
}

/// What was sealed of one end of a dialog.
#[derive(Default)]
struct Fields<'a> {
    account: Option<&'a str>,
    account_tenant: Option<&'a str>,
    device: Option<&'a str>,
    device_tenant: Option<&'a str>,
    flow: Option<Flow>,
}

impl<'a> Fields<'a> {
    fn party(self, tenant_of_dialog: &'a str) -> Option<Party<'a>> {
        let named = |tenant: Option<&'a str>, name| Some((tenant.unwrap_or(tenant_of_dialog), name?));
        let account = named(self.account_tenant, self.account);
        Some(Party { account, device: named(self.device_tenant, self.device).or(account), flow: self.flow? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Numbering;

    const CALL_ID: &[u8] = b"3848276298220188511@phone";
    const OFFERED: DialogId<'_> = DialogId { call_id: CALL_ID, opener_tag: b"tag-a", callee_tag: None };
    const ANSWERED: DialogId<'_> = DialogId { callee_tag: Some(b"tag-b"), ..OFFERED };

    fn keys() -> RoutingKeys {
        RoutingKeys::new(&[(7, [7; 32]), (6, [6; 32])], [5; 32])
    }

    fn path() -> ReturnPath<'static> {
        ReturnPath {
            tenant: "demo",
            opener: Party {
                account: Some(("demo", "1001")),
                device: Some(("demo", "desk-1")),
                flow: Flow::datagram(ListenerId(0), "127.0.0.1:5070".parse().unwrap()),
            },
            callee: Party {
                account: None,
                device: None,
                flow: Flow {
                    listener: ListenerId(1),
                    remote: "[2001:db8::1]:5071".parse().unwrap(),
                    connection: Some(ConnectionId::new(crate::flow::WorkerId(3), 9, 12)),
                },
            },
            identity: Some(Identity {
                extension: "1001",
                epoch: 42,
                original: b"\"Desk\" <sip:desk-1@demo.hotdesk>",
            }),
            renumbered: None,
        }
    }

    fn sealed() -> Vec<u8> {
        let mut out = Vec::new();
        path().seal(&keys(), [1; 12], &OFFERED, &mut out);
        out
    }

    #[test]
    fn what_was_sealed_is_read_back() {
        let opened = open(&keys(), &sealed(), CALL_ID).unwrap();

        assert_eq!(opened.path(), Some(path()));
        assert!(opened.is_opener(b"tag-a"));
        assert!(!opened.is_opener(b"tag-b"));
    }

    #[test]
    fn tag_of_the_callee_is_known_from_his_answer_on_and_under_the_same_nonce() {
        let mut answered = Vec::new();
        path().seal(&keys(), [1; 12], &ANSWERED, &mut answered);
        let opened = open(&keys(), &answered, CALL_ID).unwrap();

        assert_eq!(opened.path(), Some(path()));
        assert_eq!((opened.is_callee(b"tag-b"), opened.is_callee(b"tag-c")), (Some(true), Some(false)));
        assert_eq!(open(&keys(), &sealed(), CALL_ID).unwrap().is_callee(b"tag-b"), None);
        assert_eq!((nonce_of(&answered), nonce_of(&sealed())), (Some([1; 12]), Some([1; 12])));
        assert_eq!(nonce_of(b"made up"), None);
    }

    #[test]
    fn device_costs_nothing_where_it_is_the_account_and_is_read_from_it() {
        let length = |device| {
            let mut path = path();
            path.opener = Party { account: Some(("demo", "desk-1")), device, ..path.opener };
            let mut value = Vec::new();
            path.seal(&keys(), [1; 12], &OFFERED, &mut value);
            let opened = open(&keys(), &value, CALL_ID).unwrap();
            assert_eq!(opened.path().unwrap().opener.device, Some(("demo", "desk-1")));
            value.len()
        };

        // As releases wrote it that knew of no device.
        assert_eq!(length(Some(("demo", "desk-1"))), length(None));
    }

    #[test]
    fn tenant_beside_a_name_costs_nothing_where_it_is_that_of_the_dialog_and_is_read_back_where_it_is_not() {
        let sealed = |account, device| {
            let path = ReturnPath { callee: Party { account, device, ..path().callee }, ..path() };
            let mut value = Vec::new();
            path.seal(&keys(), [1; 12], &OFFERED, &mut value);
            assert_eq!(open(&keys(), &value, CALL_ID).unwrap().path(), Some(path));
            value.len()
        };
        let (home, visited) = (Some(("demo", "desk-1")), Some(("west", "desk-1")));

        let of_dialog = sealed(home, home);

        assert!(sealed(visited, visited) > of_dialog);
        // A visitor's account in a phone that is called alike is not that phone.
        assert!(sealed(home, visited) > of_dialog);
        assert!(sealed(visited, home) > of_dialog);
    }

    #[test]
    fn the_longest_path_is_read_back() {
        let [name, device, visited] = ["n", "d", "v"].map(|letter| letter.repeat(64));
        let original = [b'o'; ORIGINAL_LENGTH_MAX];
        let flow = path().callee.flow;
        let party = Party { account: Some((&visited, &name)), device: Some((&visited, &device)), flow };
        let identity = Identity { extension: &name, epoch: u64::MAX, original: &original };
        let renumbered = Some(Renumbered::Opener(Numbering::of_opener(u32::MAX).opened_by(2)));
        let path =
            ReturnPath { tenant: &name, opener: party, callee: party, identity: Some(identity), renumbered };
        let mut value = Vec::new();

        path.seal(&keys(), [1; 12], &ANSWERED, &mut value);

        assert!(value.len() <= PARAM_LENGTH_MAX, "{}", value.len());
        assert_eq!(open(&keys(), &value, CALL_ID).unwrap().path(), Some(path));
    }

    #[test]
    fn nobody_opens_what_is_longer_than_any_message_should_carry() {
        let original = [b'o'; 4 * ORIGINAL_LENGTH_MAX];
        let identity = Identity { extension: "1001", epoch: 42, original: &original };
        let mut value = Vec::new();

        ReturnPath { identity: Some(identity), ..path() }.seal(&keys(), [1; 12], &OFFERED, &mut value);

        assert!(value.len() > PARAM_LENGTH_MAX);
        assert!(open(&keys(), &value, CALL_ID).is_none());
    }

    #[test]
    fn an_old_key_still_opens_and_an_unknown_one_does_not() {
        let value = sealed();

        assert!(open(&RoutingKeys::new(&[(8, [8; 32]), (7, [7; 32])], [5; 32]), &value, CALL_ID).is_some());
        assert!(open(&RoutingKeys::new(&[(8, [8; 32])], [8; 32]), &value, CALL_ID).is_none());
    }

    #[test]
    fn another_call_a_changed_or_a_made_up_parameter_opens_nothing() {
        let value = sealed();

        assert!(open(&keys(), &value, b"another@call").is_none());
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            if changed != value {
                assert!(open(&keys(), &changed, CALL_ID).is_none(), "octet {at}");
            }
        }
        for made_up in [&b""[..], b"A", b"!!!!", &[b'A'; 2000], &[b'A'; 48], &[b'A'; 64]] {
            assert!(open(&keys(), made_up, CALL_ID).is_none());
        }
    }
}
