//! Scanners, sweepers of extensions and guessers of passwords: what an unauthenticated request tells of its sender, and
//! when that is enough not to listen to him for a while.
//!
//! A wrong digest answer costs its source a quarter of a second of what it may send, so that whoever does nothing else is
//! slowed at once; an unknown user costs what a known one does, or the difference would tell them apart. Too many faults in
//! ten minutes are a ban: of the address, or, where there are phones behind it or the tenant says that it
//! is its own, of that one port. A source that has proved whose it is is slowed and never banned.
//!
//! Anybody can write an address into a datagram. So only who is known to be there is banned: over a connection, or by an answer
//! to a nonce, which is good from where it was sent to alone. For anything else in datagrams the one port is slowed, and one that
//! has proved itself not even that.

use std::net::IpAddr;

use super::bans::{Ban, Offence};
use super::source::Fault;
use crate::auth::Refused;
use crate::context::{Context, Work};
use crate::flow::Flow;
use crate::input::Notice;
use crate::output::{Output, Report};
use crate::print::Print;
use crate::request_uri;
use crate::settings::Tenant;

/// True if a request that proves nothing is not even to be answered.
pub(crate) fn is_scanner(
    work: &mut Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
) -> bool {
    let user_agent = request.header(sip::Name::UserAgent).unwrap_or_default();
    if !work.ctx.settings.admission.is_scanner(user_agent) {
        return false;
    }
    let tenant = headers.request_uri.and_then(|uri| work.ctx.tenant_of(&uri, flow));
    is_shut_out(work, flow, tenant.as_deref(), Fault::Scanner)
}

/// The same for one to a tenant, about to be asked for credentials because it was `refused`.
pub(crate) fn is_attack(
    work: &mut Work<'_>,
    flow: &Flow,
    request: &sip::Message<'_>,
    headers: &sip::Mandatory<'_>,
    tenant: &Tenant,
    refused: Refused,
) -> bool {
    let invite = request.method() == Some(sip::Method::Invite);
    let is_help =
        invite && headers.request_uri.is_some_and(|uri| request_uri::asks_for_help(work.ctx, flow, &uri));
    if !is_help && is_scanner(work, flow, request, headers) {
        return true;
    }
    match refused {
        Refused::Wrong => {
            let fault = Fault::WrongDigest(Print::of(headers).with_credentials(request));
            if is_help {
                // A guess is one wherever it stands; who calls for help with it is asked again all the same.
                is_too_much(work, flow, Some(tenant), fault);
                return false;
            }
            is_shut_out(work, flow, Some(tenant), fault)
        }
        Refused::Missing if is_help => false,
        Refused::Missing => {
            // As whom it speaks: whom it calls may be anybody in the world.
            let is_register = request.method() == Some(sip::Method::Register);
            let uri = if is_register { &headers.to_uri } else { &headers.from_uri };
            let user = uri.user_unescaped();
            tenant.account(&user).is_none()
                && is_shut_out(work, flow, Some(tenant), Fault::UnknownUser(&user))
        }
        Refused::Stale | Refused::Elsewhere(_) => false,
    }
}

/// As [`is_too_much`], and a connection of a source that is not listened to is closed.
fn is_shut_out(work: &mut Work<'_>, flow: &Flow, tenant: Option<&Tenant>, fault: Fault<'_>) -> bool {
    let is_too_much = is_too_much(work, flow, tenant, fault);
    if is_too_much && let Some(connection) = flow.connection {
        work.out.push(Output::Close(connection));
    }
    is_too_much
}

/// Notes a fault that concerns `tenant`. True if its source is not listened to any more.
#[cold]
fn is_too_much(work: &mut Work<'_>, flow: &Flow, tenant: Option<&Tenant>, fault: Fault<'_>) -> bool {
    let Context { settings, tables, sources, counters, .. } = &mut *work.ctx;
    let (policy, now, address) = (&settings.admission, work.now, flow.remote.ip());
    if settings.is_never_limited(flow) {
        return false;
    }
    let is_there = flow.is_reliable() || matches!(fault, Fault::WrongDigest(_));
    let offence = match fault {
        Fault::Scanner => Offence::Scanner,
        Fault::UnknownUser(_) => Offence::Sweep,
        Fault::WrongDigest(_) => Offence::Guesses,
    };
    if !is_there {
        let is_too_much = !sources.is_proved(now.mono) && sources.fault(now.mono, flow, fault, false, policy);
        if is_too_much && !policy.ban.is_zero() && sources.slow(now.mono, now.mono + policy.ban) {
            counters.slowed += 1;
            if sources.may_tell(now.mono) {
                work.out.push(Output::Report(Report::Slowed(flow.remote, offence, policy.ban)));
            }
        }
        return fault == Fault::Scanner;
    }
    let is_alone =
        tables.location.phones_behind(address) == 0 && !tenant.is_some_and(|tenant| tenant.owns(address));
    if !sources.fault(now.mono, flow, fault, is_alone, policy)
        || sources.is_proved(now.mono)
        || policy.ban.is_zero()
    {
        return false;
    }
    let port = (!is_alone).then(|| flow.remote.port());
    let connections = flow.is_reliable();
    let ban = Ban { address, port, connections, offence, until: now.mono + policy.ban };
    let is_news = sources.ban(now.mono, &ban);
    counters.bans += u64::from(is_news);
    if is_news && sources.may_tell(now.mono) {
        tables.bans.insert(ban);
        work.out.push(Output::Report(Report::Banned(ban, policy.ban)));
        // A port is always seen by the same worker.
        if port.is_none() {
            work.out.push(Output::Tell(Notice::Banned(ban)));
        }
    }
    true
}

/// An operator listens to somebody again; the other workers are told.
pub(crate) fn pardon(work: &mut Work<'_>, address: IpAddr, port: Option<u16>) {
    work.ctx.tables.bans.remove(address, port);
    work.ctx.sources.pardon(work.now.mono, address, port);
    work.out.push(Output::Tell(Notice::Pardoned { address, port }));
}
