//! All that may enter the dataplane.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::admission::bans::Ban;
use crate::flow::Flow;
use crate::hotdesk::SeatChange;
use crate::media::Heard;
use crate::query::{Answer, QueryId};
use crate::return_path::RoutingKeys;
use crate::settings::Settings;

/// One thing that happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram, or one whole framed message of a stream.
    Received {
        /// Whence.
        flow: Flow,
        /// The MAC that the sender's certificate names, on a connection whose peer has proved that it is its own.
        certified: Option<[u8; 6]>,
        /// The octets; borrowed for the call alone.
        bytes: &'a [u8],
    },
    /// How things were on the ways into this worker since this was said last: some forty times a second.
    Waited {
        /// How long who waited least had waited, on the way in where that was longest.
        least: Duration,
        /// How many datagrams were taken.
        taken: u32,
        /// How many the system dropped: a socket was full, or they were to be left unread.
        lost: u32,
        /// The system drops what is to be left unread (`Dataplane::left_unread`).
        filters: bool,
    },
    /// A message that another worker received and that belongs to a transaction of this one.
    HandedOver {
        /// Whence the other worker had it.
        flow: Flow,
        /// The octets.
        bytes: &'a [u8],
    },
    /// A stream whose framing is in doubt (RFC 3261 §18.3). It is answered if its head can be read, and closed.
    Misframed {
        /// The connection.
        flow: Flow,
        /// The header block as far as it is known.
        head: &'a [u8],
        /// What is wrong.
        kind: sip::ErrorKind,
    },
    /// A connection of this worker ended, or one of another on which this one has sent.
    Lost {
        /// Which.
        flow: Flow,
    },
    /// Whoever is at the far end of a connection has ended that side of it: nothing more comes from there, and what was asked is
    /// still answered. Of a connection of this worker, or of one of another on which this one has sent; said again whenever
    /// something was sent there since.
    Finished {
        /// Which.
        flow: Flow,
    },
    /// A connection of this worker that could not be opened: it was refused, or nobody answered in time. Nothing of what was
    /// sent on it has left.
    Unopened {
        /// Which.
        flow: Flow,
    },
    /// A backend answered.
    Answered {
        /// What was asked.
        query: QueryId,
        /// What it said.
        answer: Answer,
    },
    /// Somebody at the control plane wants something done.
    Commanded {
        /// To be named in the reply.
        reply: ReplyId,
        /// What, and who.
        order: Order,
    },
    /// The sound of one of the attendant's calls has something to say.
    Heard {
        /// The call, as its `media::SessionId` names it.
        call: u64,
        /// What.
        heard: Heard,
    },
    /// Another worker says something that concerns all.
    Told(&'a Notice),
    /// The operator's new settings.
    Configured(Arc<Settings>),
    /// A new set of keys for Record-Route parameters.
    Keyed(Arc<RoutingKeys>),
}

/// Ties a reply to the request of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyId(pub u64);

/// A command and the operator who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The name of the operator's token, for the audit trail.
    pub by: Box<str>,
    /// What is to be done.
    pub command: Command,
}

/// What the control plane may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Seat an extension at a device; trusted, so without a PIN.
    LogIn {
        /// Tenant id.
        tenant: Box<str>,
        /// Device id.
        device: Box<str>,
        /// Extension number.
        extension: Box<str>,
        /// Id of the tenant it is at home in, where that is another of the customer.
        extension_tenant: Option<Box<str>>,
        /// Put out whoever sits there, and displace the extension, whatever the policy.
        force: bool,
        /// Until when, wall clock in milliseconds since 1970-01-01 UTC; `None`: for no particular time.
        until: Option<u64>,
    },
    /// End the seat at a device: when its calls have ended, or at once.
    LogOut {
        /// Tenant id.
        tenant: Box<str>,
        /// Device id.
        device: Box<str>,
        /// Do not wait for calls to end.
        now: bool,
    },
    /// End every seat of an extension, wherever it sits: each when the calls at its device have ended, or at once.
    LogOutExtension {
        /// Tenant id: where it is at home.
        tenant: Box<str>,
        /// Extension number.
        extension: Box<str>,
        /// Do not wait for calls to end.
        now: bool,
    },
    /// Let an extension's PIN be tried again, whatever was tried before.
    Unlock {
        /// Tenant id.
        tenant: Box<str>,
        /// Extension number.
        extension: Box<str>,
        /// Device id: at this device alone; `None`: everywhere.
        device: Option<Box<str>>,
        /// Tenant id of the device; `None`: the extension's.
        device_tenant: Option<Box<str>>,
    },
    /// Listen again to somebody who was banned.
    Pardon {
        /// The address.
        address: IpAddr,
        /// Its port, where that alone is banned.
        port: Option<u16>,
    },
    /// End every seat at the devices of a site, or of a tenant: each when its calls have ended, or at once.
    LogOutAll {
        /// Tenant id.
        tenant: Box<str>,
        /// Site id; `None`: all devices of the tenant.
        site: Option<Box<str>>,
        /// Do not wait for calls to end.
        now: bool,
    },
}

/// What one worker tells all others.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Seats changed: calls that ring may have to follow.
    SeatsChanged(Arc<SeatChange>),
    /// An address is not listened to for a while.
    Banned(Ban),
    /// Somebody is listened to again.
    Pardoned {
        /// The address.
        address: IpAddr,
        /// Its port, where that alone was banned.
        port: Option<u16>,
    },
}
