//! The `sips` scheme: whoever asks for it wants TLS on every hop (RFC 3261 §26.2.2, RFC 5630 §5.3).

use std::borrow::Cow;

use super::{Plan, Target};
use crate::context::Context;

/// The Warning of a request for a `sips:` URI that no contact may have (RFC 5630 §9).
pub(super) const NOT_ALLOWED: &str = "380 hotdesk \"SIPS Not Allowed\"";

/// True if `uri` is of this scheme.
pub(crate) fn is_sips(uri: &[u8]) -> bool {
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"))
}

/// True if the request for `uri` may go to `target`. One for a `sips:` URI goes over TLS alone, and only to a contact that
/// its phone registered as `sips:`: no other wants to be called so. A call for help goes anywhere.
pub(super) fn may_go(ctx: &Context, plan: &Plan, uri: &[u8], target: &Target) -> bool {
    !is_sips(uri)
        || plan.emergency.is_some()
        || ctx.is_secure(&target.flow) && (plan.in_dialog || is_sips(&target.uri))
}

/// The contact of `target` as the Request-URI of a request that came for `uri`: a phone that registered `sips:` is called
/// by `sip:` too, over the same TLS.
pub(super) fn contact<'t>(uri: &[u8], target: &'t Target) -> Cow<'t, [u8]> {
    match target.uri.split_first_chunk::<5>() {
        Some((_, rest)) if is_sips(&target.uri) && !is_sips(uri) => [b"sip:", rest].concat().into(),
        _ => Cow::Borrowed(&target.uri),
    }
}
