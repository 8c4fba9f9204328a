//! Whose request is this: digest credentials, for every method.

use crate::admission;
use crate::auth::{self, Asked, Proof, Refused};
use crate::context::{Context, Work};
use crate::flow::Flow;
use crate::location::NonceUse;
use crate::print::Print;
use crate::settings::{Account, Tenant};

/// Finds the account whose secret a request was made with. Phones that were asked once send either header ahead
/// from then on, so both are read. An unknown user costs as much as a wrong secret and looks the same.
pub(super) fn prove(
    work: &Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    tenant: &Tenant,
) -> Result<(Account, Proof), Refused> {
    let asked = Asked {
        uris: &tenant.registrar_uris,
        policy: &tenant.registrar,
        nonces: &work.ctx.tables.nonces,
        address: flow.remote.ip(),
        now: work.now.mono,
    };
    for header in [sip::Name::Authorization, sip::Name::ProxyAuthorization] {
        let Some(credentials) = auth::credentials_for(request, header, tenant.realm()) else { continue };
        let account = credentials.username().and_then(|user| tenant.account(user));
        let secret = account.map(|account| tenant.credentials(account));
        return match (auth::verify(&credentials, request, secret, &asked), account) {
            (Ok(proof), Some(account)) => Ok((account, proof)),
            (Err(refused), _) => Err(refused),
            (Ok(_), None) => unreachable!("no secret proves nothing"),
        };
    }
    Err(Refused::Missing)
}

/// Asks for credentials, or again for them.
pub(super) fn ask(
    work: &mut Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    tenant: &Tenant,
    proxy: bool,
    refused: Refused,
) {
    work.ctx.counters.digests_refused += u64::from(refused == Refused::Wrong);
    work.challenge(flow, request, tenant, proxy, refused);
}

/// The account whose credentials a request outside REGISTER carries. `None`: there are none, or not the right
/// ones, and the sender has been told: 407 for what is passed on, 401 for what ends here.
pub(super) fn authenticate(
    work: &mut Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    tenant: &Tenant,
    proxy: bool,
) -> Option<Account> {
    let (account, proof) = match prove(work, flow, request, tenant) {
        Ok(proved) => proved,
        Err(refused) if admission::is_attack(work, flow, request, headers, tenant, refused) => return None,
        Err(refused) => {
            ask(work, flow, request, tenant, proxy, refused);
            return None;
        }
    };
    let user = tenant.credentials(account).0.as_bytes();
    let Context { tables, upkeep, sources, .. } = &mut *work.ctx;
    let print = Print::of(headers).with_content(request, flow.remote.ip());
    match tables.location.accept_nonce(&tenant.id, user, proof, print, work.now.mono, upkeep) {
        NonceUse::Fresh => {
            sources.proved(work.now.mono, tenant.registrar.expires_max);
            Some(account)
        }
        // Not even what looks like a retransmission: one that was forwarded is absorbed by its transaction, and one
        // that was refused may ask again. What is left is a captured request.
        NonceUse::Repeated | NonceUse::Replayed | NonceUse::Stale => {
            ask(work, flow, request, tenant, proxy, Refused::Stale);
            None
        }
    }
}
