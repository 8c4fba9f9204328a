//! What a REGISTER asks for, and what is refused whatever the record says (RFC 3261 §10.3 steps 6 and 7).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use smallvec::SmallVec;

use super::native::Wish;
use crate::context::Answer;
use crate::flow::Flow;
use crate::location::{CONTACTS_PER_AOR_MAX, INSTANCE_LENGTH_MAX, URI_LENGTH_MAX};
use crate::print::Print;
use crate::settings::{RegistrarPolicy, Tenant};

/// Why a REGISTER changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A contact cannot be read, is no SIP URI, or is too long to be kept.
    BadContact,
    /// `Contact: *` not alone, or without `Expires: 0` (§10.2.2).
    BadStar,
    /// The expiry is shorter than the tenant allows (§10.3 step 7).
    TooBrief {
        /// The shortest, in seconds, as text.
        expires_min: Box<str>,
    },
    /// A contact is not where the phone is.
    ForeignContact,
    /// More contacts than the account may have.
    TooMany,
    /// A flow was to be registered together with another contact (RFC 5626 §6).
    TwoFlows,
    /// A flow was to be registered through a proxy: it would be that one's to keep, and the edge takes no Path from there
    /// (RFC 5626 §6).
    NotFirstHop,
    /// A request of the same Call-ID with this or a later CSeq came before (§10.3 steps 6 and 7).
    OldCSeq,
}

impl Refused {
    /// The answer to give. The RFC aborts at an old CSeq without naming a code; §12.2.2 gives 500 in the same case,
    /// and 400 would say that the request itself is at fault. A full account is 403 and not 486: there is no call.
    pub(crate) fn answer(&self) -> Answer<'_> {
        match self {
            Self::BadContact => Answer::new(400, "Bad Contact"),
            Self::BadStar => Answer::new(400, "Contact * Stands Alone With Expires 0"),
            Self::TooBrief { expires_min } => {
                Answer::with(423, "Interval Too Brief", sip::Name::MinExpires, expires_min)
            }
            Self::ForeignContact => Answer::new(403, "Contact Is Elsewhere"),
            Self::TwoFlows => Answer::new(400, "One Flow A REGISTER"),
            Self::NotFirstHop => Answer::new(439, "First Hop Lacks Outbound Support"),
            Self::TooMany => Answer::new(403, "Too Many Contacts"),
            Self::OldCSeq => Answer::new(500, "CSeq Out of Order"),
        }
    }
}

/// One contact of a request.
pub(super) struct Wanted<'a> {
    pub(super) uri: &'a [u8],
    /// As it came, without quotes and brackets; empty: none. What is bound has been vetted: see [`Self::instance`].
    pub(super) instance_raw: &'a [u8],
    /// The flow it is, of several that the phone keeps; 0: it keeps one.
    pub(super) reg_id: u32,
    pub(super) q: u16,
    /// What is granted; 0 removes.
    pub(super) seconds: u32,
}

impl<'a> Wanted<'a> {
    /// What the phone itself is known by: empty if it has none that can be written back.
    pub(super) fn instance(&self) -> &'a [u8] {
        if is_instance(self.instance_raw) { self.instance_raw } else { b"" }
    }

    /// Whether the URI may be bound at all. A contact that is bound already needs no second look: a refresh does
    /// without taking its URI apart.
    pub(super) fn vet(&self, register: &Register<'_>, tenant: &Tenant) -> Result<(), Refused> {
        let uri = sip::Uri::parse(self.uri).ok().filter(sip::Uri::is_sip).ok_or(Refused::BadContact)?;
        if self.uri.len() > URI_LENGTH_MAX {
            return Err(Refused::BadContact);
        }
        let may_be_elsewhere = self.seconds == 0 || tenant.registrar.third_party_contacts;
        if !may_be_elsewhere && is_foreign(&uri, register, tenant) {
            return Err(Refused::ForeignContact);
        }
        Ok(())
    }

    /// The phone itself is known by its instance (RFC 5626 §4.1), and a flow of it by its reg-id: two phones with the same
    /// private address behind different NATs are two. Without, contacts are compared as URIs (§10.3 step 7, §19.1.4).
    pub(super) fn is_same(&self, uri: &[u8], instance: &[u8], reg_id: u32) -> bool {
        let own = self.instance();
        if !own.is_empty() && !instance.is_empty() {
            return own == instance && self.reg_id == reg_id;
        }
        self.uri == uri
            || matches!((sip::Uri::parse(self.uri), sip::Uri::parse(uri)), (Ok(a), Ok(b)) if a.matches(&b))
    }
}

/// The contacts of a REGISTER.
pub(super) enum Contacts<'a> {
    /// `*`
    All,
    Each(SmallVec<[Wanted<'a>; 2]>),
}

/// A REGISTER that has passed admission, with what the registrar reads of it: each header once.
pub(crate) struct Register<'a> {
    pub(crate) message: &'a sip::Message<'a>,
    pub(crate) headers: &'a sip::Mandatory<'a>,
    pub(crate) flow: Flow,
    pub(crate) print: Print,
    /// The contacts as far as they are allowed without a look at the record. Their URIs have yet to be vetted.
    pub(super) contacts: Result<Contacts<'a>, Refused>,
}

impl<'a> Register<'a> {
    /// Reads what a REGISTER wants of the registrar of `tenant`.
    pub(crate) fn read(
        message: &'a sip::Message<'a>,
        headers: &'a sip::Mandatory<'a>,
        flow: Flow,
        tenant: &Tenant,
    ) -> Self {
        let print = Print::of(headers);
        let contacts = contacts(message, &tenant.registrar, print);
        Self { message, headers, flow, print, contacts }
    }

    /// What it wants, as far as that matters to the seats. Contacts that cannot be read are bindings it would like to
    /// have.
    pub(crate) fn wish(&self) -> Wish {
        match &self.contacts {
            Ok(Contacts::All) => Wish::Remove,
            Ok(Contacts::Each(wanted)) if wanted.is_empty() => Wish::Ask,
            Ok(Contacts::Each(wanted)) if wanted.iter().all(|contact| contact.seconds == 0) => Wish::Remove,
            Ok(Contacts::Each(_)) | Err(_) => Wish::Bind,
        }
    }

    /// What Flow-Timer says in its 200 if it registers a flow, or takes one back (RFC 5626 §6): how many seconds at most may
    /// pass between two keep-alives (§4.4). Over streams they are double CRLFs, and mappings last for minutes; over
    /// datagrams they are STUN binding requests, as §4.4.2 wants them, and a NAT may forget after 30 s. The edge answers
    /// both, and gives up no flow for want of them: one that is dead is found out by the next request.
    pub(crate) fn flow_timer(&self) -> Option<&'static str> {
        let Ok(Contacts::Each(each)) = &self.contacts else { return None };
        let is_outbound = each.iter().any(|contact| contact.reg_id != 0);
        is_outbound.then_some(if self.flow.is_reliable() { "120" } else { "30" })
    }

    /// The `+sip.instance` of each contact that has one.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &'a [u8]> {
        let each: &[Wanted<'a>] = match &self.contacts {
            Ok(Contacts::Each(wanted)) => wanted,
            Ok(Contacts::All) | Err(_) => &[],
        };
        each.iter().map(Wanted::instance).filter(|instance| !instance.is_empty())
    }
}

fn contacts<'a>(
    request: &sip::Message<'a>,
    policy: &RegistrarPolicy,
    print: Print,
) -> Result<Contacts<'a>, Refused> {
    let header = request.expires();
    let mut stars = 0;
    let mut each = SmallVec::<[Wanted<'a>; 2]>::new();
    for value in request.contacts() {
        let contact = match value {
            Ok(sip::ContactValue::Contact(contact)) => contact,
            Ok(sip::ContactValue::Star) => {
                stars += 1;
                continue;
            }
            Err(_) => return Err(Refused::BadContact),
        };
        if each.len() == CONTACTS_PER_AOR_MAX {
            return Err(Refused::TooMany);
        }
        let seconds = spread(granted(contact.expires.or(header), policy)?, policy, print);
        let mut wanted = Wanted {
            uri: contact.addr.uri_raw,
            instance_raw: contact.instance.unwrap_or_default(),
            reg_id: 0,
            // Without q all contacts are equal, at the top.
            q: contact.q.unwrap_or(1000),
            seconds,
        };
        if let Some(reg_id) = contact.reg_id
            && is_outbound(request)?
            && !wanted.instance().is_empty()
            && REG_IDS.contains(&reg_id)
        {
            wanted.reg_id = reg_id;
        }
        // Of two that are the same contact the last counts.
        if !each.is_empty() {
            each.retain(|earlier| !earlier.is_same(wanted.uri, wanted.instance(), wanted.reg_id));
        }
        each.push(wanted);
    }
    let bound = each.iter().filter(|contact| contact.seconds > 0);
    if each.len() > 1 && bound.clone().count() > 1 && bound.clone().any(|contact| contact.reg_id != 0) {
        return Err(Refused::TwoFlows);
    }
    match stars {
        0 => Ok(Contacts::Each(each)),
        1 if each.is_empty() && header == Some(0) => Ok(Contacts::All),
        _ => Err(Refused::BadStar),
    }
}

/// What a reg-id may be (RFC 5626 §9).
const REG_IDS: RangeInclusive<u32> = 1..=0x7fff_ffff;

/// True if reg-ids count in `request`: its phone supports that, and no proxy stands between (RFC 5626 §6).
fn is_outbound(request: &sip::Message<'_>) -> Result<bool, Refused> {
    let knows = |name| request.option_tags(name).has("outbound");
    if !knows(sip::Name::Supported) && !knows(sip::Name::Require) {
        return Ok(false);
    }
    if request.vias().nth(1).is_some() { Err(Refused::NotFirstHop) } else { Ok(true) }
}

/// The expiry to grant (§10.3 step 7). What is missing, or no number, is the default; what is too long is cut.
fn granted(asked: Option<u32>, policy: &RegistrarPolicy) -> Result<u32, Refused> {
    match asked {
        None => Ok(policy.expires_default),
        Some(0) => Ok(0),
        Some(seconds) if seconds < policy.expires_min => {
            Err(Refused::TooBrief { expires_min: policy.expires_min.to_string().into() })
        }
        Some(seconds) => Ok(seconds.min(policy.expires_max)),
    }
}

/// The expiry of this phone among those of the same (§10.3 item 7: it may be less than what was asked for): the same for all requests
/// of one Call-ID, so that a repetition gets the answer it missed.
fn spread(seconds: u32, policy: &RegistrarPolicy, print: Print) -> u32 {
    let most = u64::from(seconds) * u64::from(policy.expires_spread) / 100;
    // The high half of a product is below `most`, and as evenly spread as the hash.
    let cut = ((u128::from(print.call_id) * u128::from(most)) >> 64) as u32;
    seconds - cut.min(seconds.saturating_sub(policy.expires_min))
}

/// An instance that can be written back between quotes.
fn is_instance(instance: &[u8]) -> bool {
    let is_plain = |octet: &u8| !matches!(octet, 0..=b' ' | b'"' | b'<' | b'>' | b'\\' | 0x7f..=0xff);
    // All of them are looked at, also behind one that is not: so they are looked at many at a time.
    instance.len() <= INSTANCE_LENGTH_MAX && instance.iter().fold(true, |all, octet| all & is_plain(octet))
}

/// True if a contact points at something else than the phone that registers it.
///
/// Requests go down the flow of the REGISTER whatever the contact says, so it leads nobody astray; what is refused is
/// only what cannot be a phone's own view of itself and would be call forwarding in disguise: the tenant's own domain
/// (a loop), a host name or a public address that is neither the one the REGISTER came from nor the one in its Via.
/// Private addresses are what phones behind NAT know of themselves; `.invalid` is what browsers have (RFC 7118 §5).
fn is_foreign(uri: &sip::Uri<'_>, register: &Register<'_>, tenant: &Tenant) -> bool {
    let host = uri.host.raw();
    if let Some(ip) = uri.host.ip() {
        let ip = ip.to_canonical();
        if ip == register.flow.remote.ip().to_canonical() || is_local(ip) {
            return false;
        }
    } else if tenant.domains.iter().any(|domain| domain.as_bytes().eq_ignore_ascii_case(host)) {
        return true;
    } else if host.len() >= 8 && host[host.len() - 8..].eq_ignore_ascii_case(b".invalid") {
        return false;
    }
    register.headers.via.host != uri.host
}

fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64; // RFC 6598
            ip.is_private() || shared || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()
        }
        IpAddr::V6(ip) => {
            ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback() || ip.is_unspecified()
        }
    }
}
