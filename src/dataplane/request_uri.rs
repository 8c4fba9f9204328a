//! What a Request-URI asks for, as far as it tells before anybody knows who is calling: help, or a code. Admission asks
//! it of what it would rather not read, dispatch of what it serves.

use crate::context::Context;
use crate::flow::Flow;
use crate::hotdesk::{self, Dialled};
use crate::settings::{Emergency, Settings, Tenant};

/// That of what begins as an INVITE.
pub(crate) fn of_invite(bytes: &[u8]) -> Option<sip::Uri<'_>> {
    /// Longer than any number with prefixes and a domain.
    const URI_LENGTH_MAX: usize = 512;
    let rest = bytes.strip_prefix(b"INVITE ")?;
    let rest = &rest[..rest.len().min(URI_LENGTH_MAX)];
    let end = rest.iter().position(|octet| *octet == b' ')?;
    sip::Uri::parse(&rest[..end]).ok()
}

/// True for what begins as an INVITE to a number that no tenant takes for help or for a code of its own. Most are, and no tenant has to
/// be looked up to see it.
pub(crate) fn is_plain_number(settings: &Settings, bytes: &[u8]) -> bool {
    /// Those of E.164, and a prefix.
    const DIGITS_MAX: usize = 24;
    let Some(rest) = bytes.strip_prefix(b"INVITE sip:") else { return false };
    let digits = rest.iter().take(DIGITS_MAX).take_while(|octet| octet.is_ascii_digit()).count();
    digits > 0 && rest.get(digits) == Some(&b'@') && !settings.is_special(&rest[..digits])
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::settings::{Codes, TenantParts, Timers};

    fn settings() -> Settings {
        let emergency = Emergency {
            numbers: vec!["112".into(), "9999".into()],
            prefixes: vec!["0".into()],
            ..Emergency::default()
        };
        let codes = Codes { login: "*11".into(), who: "88".into(), ..Codes::default() };
        let parts = TenantParts { id: "one".into(), emergency, codes, ..TenantParts::default() };
        Settings::new(1, "edge", Vec::new(), vec![Arc::new(Tenant::new(parts))], Timers::default(), false)
    }

    #[test]
    fn a_plain_number_is_digits_that_are_neither_for_help_nor_a_code() {
        let settings = settings();
        let is_plain = |uri: &str| is_plain_number(&settings, format!("INVITE {uri} SIP/2.0\r\n").as_bytes());

        for uri in ["sip:1001@a", "sip:1@a", "sip:1120@a", "sip:00112@a", "sip:01129999@a", "sip:888@a"] {
            assert!(is_plain(uri), "{uri}");
        }
        for uri in [
            "sip:112@a",
            "sip:0112@a",
            "sip:9999@a",
            "sip:09999@a",
            "sip:88@a",
            "sip:*11@a",
            "sip:*11*1001*7738@a",
            "sip:1-12@a",
            "sip:%3112@a",
            "sip:112;phone-context=x@a",
            "sip:112#@a",
            "sip:+112@a",
            "sip:ann@a",
            "sip:1001",
            "sip:@a",
            "sips:1001@a",
            "tel:1001",
            "urn:service:sos",
            &format!("sip:{}@a", "1".repeat(25)),
        ] {
            assert!(!is_plain(uri), "{uri}");
        }
        assert!(!is_plain_number(&settings, b"INVITE sip:1001"));
        assert!(!is_plain_number(&settings, b"MESSAGE sip:1001@a SIP/2.0"));
    }

    #[test]
    fn no_plain_number_is_for_help_or_a_code_of_any_tenant() {
        let settings = settings();
        let tenant = &settings.tenants[0];
        for number in 0..=99_999_u32 {
            for dialled in [number.to_string(), format!("0{number}")] {
                let invite = format!("INVITE sip:{dialled}@a SIP/2.0\r\n");
                let uri = of_invite(invite.as_bytes()).unwrap();
                let is_more =
                    emergency_number(&tenant.emergency, &uri).is_some() || code(tenant, &uri).is_some();

                assert_eq!(is_plain_number(&settings, invite.as_bytes()), !is_more, "{dialled}");
            }
        }
    }
}
