//! Who a call is from: only display name and URI of From ever change, and only where a device opened the dialog.

use crate::context::Context;
use crate::settings::{Account, Device, Extension, Tenant};

/// What From is to say on the way out, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// As the phone wrote it.
    Kept,
    /// Anonymous, as the phone wrote it; its person wants to stay unknown (RFC 3323).
    Anonymous,
    /// This display name and URI.
    Replaced {
        /// User part of the URI, and what the sealed parameter remembers.
        user: Box<str>,
        /// Epoch of the seat; 0 where a number of the site stands in.
        epoch: u64,
        /// `"Name" <sip:user@domain>`.
        addr: Vec<u8>,
    },
}

/// A From that the authenticated account may not use (RULES: 403).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

/// What an authenticated account may say in the URI of From, and what becomes of it.
///
/// A device speaks as the extension that sits there; its From may name itself or that extension. An ordinary
/// phone speaks as its own extension. Both may be anonymous. A domain that is none of ours is put right. `home` is the
/// tenant of whoever speaks: another than that of the account where a visitor sits.
pub(crate) fn from_of(
    ctx: &Context,
    tenant: &Tenant,
    home: &Tenant,
    account: Account,
    seat: Option<(&Extension, u64)>,
    uri: &sip::Uri<'_>,
) -> Result<From, Foreign> {
    if is_anonymous(uri) {
        return Ok(From::Anonymous);
    }
    let ours = ctx.is_ours(uri, tenant) || ctx.is_ours(uri, home);
    if !ours && ctx.settings.tenant_of_domain(uri.host.raw()).is_some() {
        return Err(Foreign);
    }
    let user = uri.user_unescaped();
    let own = tenant.credentials(account).0.as_bytes();
    match seat {
        Some((extension, epoch)) if *user == *own || *user == *extension.number.as_bytes() => {
            Ok(From::Replaced {
                user: extension.number.clone(),
                epoch,
                addr: addr(&extension.name, &extension.number, home.realm()),
            })
        }
        None if *user != *own => Err(Foreign),
        None if ours => Ok(From::Kept),
        // Whatever name of the edge the phone was given, or made up: the callee sees who it is.
        None => {
            let user = tenant.credentials(account).0;
            let name = tenant.extension(user).map_or("", |extension| &extension.name);
            Ok(From::Replaced { user: user.into(), epoch: 0, addr: addr(name, user, tenant.realm()) })
        }
        Some(_) => Err(Foreign),
    }
}

/// From of an emergency call: the number of the place, whoever sits there.
pub(crate) fn of_place(tenant: &Tenant, device: Option<&Device>, caller: &str) -> From {
    let name = device.map_or("", |device| &device.name);
    From::Replaced { user: caller.into(), epoch: 0, addr: addr(name, caller, tenant.realm()) }
}

/// `user` of a tenant as others see it: an extension, or its number outside, with the name of the person.
pub(crate) fn of_user(tenant: &Tenant, user: &str) -> Vec<u8> {
    let person = tenant.extension(user).or_else(|| tenant.extension_of_number(user.as_bytes()));
    addr(person.map_or("", |person| &person.name), user, tenant.realm())
}

/// `"Name" <sip:user@domain>`; without a name no quotes. Quotes and backslashes of the name are escaped (RFC 3261 §25.1).
pub(crate) fn addr(name: &str, user: &str, domain: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + user.len() + domain.len() + 12);
    if !name.is_empty() {
        out.push(b'"');
        for byte in name.bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..=31 | 127 => out.push(b' '),
                _ => out.push(byte),
            }
        }
        out.extend_from_slice(b"\" ");
    }
    out.extend_from_slice(b"<sip:");
    out.extend_from_slice(user.as_bytes());
    out.push(b'@');
    out.extend_from_slice(domain.as_bytes());
    out.push(b'>');
    out
}

/// RFC 3323 §4.1.1.3, and what phones make of it.
fn is_anonymous(uri: &sip::Uri<'_>) -> bool {
    uri.user_unescaped().eq_ignore_ascii_case(b"anonymous")
        || uri.host.raw().eq_ignore_ascii_case(b"anonymous.invalid")
}

/// True for headers in which a phone could claim to be somebody; a phone's are taken off whatever their spelling.
pub(crate) fn is_identity_header(name: sip::Name) -> bool {
    matches!(name, sip::Name::PAssertedIdentity | sip::Name::PPreferredIdentity | sip::Name::RemotePartyId)
}
