//! What a Request-URI asks for, as far as it tells before anybody knows who is calling: help, or a code. Admission asks
//! it of what it would rather not read, dispatch of what it serves.

use crate::context::Context;
use crate::flow::Flow;
use crate::hotdesk::{self, Dialled};
use crate::settings::{Emergency, Tenant};

/// That of what begins as an INVITE.
pub(crate) fn of_invite(bytes: &[u8]) -> Option<sip::Uri<'_>> {
    /// Longer than any number with prefixes and a domain.
    const URI_LENGTH_MAX: usize = 512;
    let rest = bytes.strip_prefix(b"INVITE ")?;
    let rest = &rest[..rest.len().min(URI_LENGTH_MAX)];
    let end = rest.iter().position(|octet| *octet == b' ')?;
    sip::Uri::parse(&rest[..end]).ok()
}

/// True for `urn:service:sos` and its sub-services (RFC 5031 §4.2).
pub(crate) fn is_service_sos(uri: &sip::Uri<'_>) -> bool {
    if uri.scheme != sip::Scheme::Urn {
        return false;
    }
    let opaque = uri.opaque().to_ascii_lowercase();
    opaque == b"service:sos" || opaque.starts_with(b"service:sos.")
}

/// The number that is dialled, or the whole service URN, where `uri` asks for help.
pub(crate) fn emergency_number(emergency: &Emergency, uri: &sip::Uri<'_>) -> Option<String> {
    match hotdesk::emergency(&uri.user_unescaped(), emergency) {
        None if is_service_sos(uri) => Some(String::from_utf8_lossy(uri.raw).into_owned()),
        number => number.map(str::to_owned),
    }
}

/// True if an INVITE to `uri` may be a call for help: its number is one in the tenant that is called, or in one of its
/// customer's where the phone may stand.
pub(crate) fn asks_for_help(ctx: &Context, flow: &Flow, uri: &sip::Uri<'_>) -> bool {
    ctx.settings.tenant_of(uri, flow).is_some_and(|home| may_be_for_help(ctx, home, uri))
}

/// The same where the tenant that is called is known. Of a visitor, who knows the numbers of where he is at home and reads
/// those of where he is on the wall, it takes a search to say which of them counts.
pub(crate) fn may_be_for_help(ctx: &Context, home: &Tenant, uri: &sip::Uri<'_>) -> bool {
    ctx.settings.emergencies_of_customer(home).any(|emergency| emergency_number(emergency, uri).is_some())
}

/// What an INVITE may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Help,
    Code(Code),
    Call,
}

/// A code that a call may be to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// By which people log in, be it where nobody sits alone.
    LogIn,
    /// Any other, or one that is of a site or a device, of which it is not known yet what it does there.
    Other,
}

/// What an INVITE to `uri` may want of the tenant that is called.
pub(crate) fn wish(ctx: &Context, home: &Tenant, uri: &sip::Uri<'_>) -> Wish {
    if may_be_for_help(ctx, home, uri) {
        return Wish::Help;
    }
    code(home, uri).map_or(Wish::Call, Wish::Code)
}

/// The code that a call to `uri` may be to: one of the tenant that is called, or what begins as those do that a site or a
/// device may have of its own.
pub(crate) fn code(home: &Tenant, uri: &sip::Uri<'_>) -> Option<Code> {
    let user = uri.user_unescaped();
    match hotdesk::dialled(&user, home.codes_at(None)) {
        Dialled::LogIn(_) | Dialled::Toggle(_) => Some(Code::LogIn),
        Dialled::NotACode => (home.codes_vary() && user.first() == Some(&b'*')).then_some(Code::Other),
        _ => Some(Code::Other),
    }
}
