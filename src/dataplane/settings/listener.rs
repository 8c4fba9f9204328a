//! Where the edge listens, and how it names itself there.

use std::net::SocketAddr;

use super::Networks;

/// How a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// SIP over UDP.
    Udp,
    /// SIP over TCP.
    Tcp,
    /// SIP over TLS over TCP.
    Tls,
}

impl Protocol {
    /// As a Via says it (RFC 3261 §20.42).
    pub fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// As a URI's `transport` parameter says it (RFC 3261 §19.1.1).
    pub fn param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// True where messages come over connections.
    pub fn is_stream(self) -> bool {
        !matches!(self, Self::Udp)
    }
}

/// One `[[listen]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// How it speaks.
    pub protocol: Protocol,
    /// The address it is bound to, the port as the system gave it.
    pub local: SocketAddr,
    /// The host peers are told (Via, Record-Route, Contact, SDP): `advertise`, else the bound address. IPv6 stands in brackets.
    pub advertise_host: Box<str>,
    /// The port peers are told.
    pub advertise_port: u16,
    /// The tenant of requests that name no domain of ours.
    pub tenant: Option<Box<str>>,
    /// From where anything is read at all.
    pub networks: Networks,
}

/// How a listener names itself to peers: written once, since it goes into every message.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) via: Box<[u8]>,
    /// On connections to peers of this listener, which the edge opens: an answer may need another one (RFC 3261 §18.2.2), so
    /// it names a listener that takes connections, if there is one.
    pub(super) via_opened: Box<[u8]>,
    pub(super) uri: Box<str>,
    /// In a dialog that was asked for as `sips:` (RFC 5630 §5.3); the same where the listener speaks no TLS.
    pub(super) sips_uri: Box<str>,
}

impl Face {
    /// The face of one of `listeners`.
    pub(super) fn of(listener: &Listener, listeners: &[Listener]) -> Self {
        let Listener { protocol, advertise_host, advertise_port, local, .. } = listener;
        let tcp = || listeners.iter().filter(|other| other.protocol == Protocol::Tcp);
        let beside = tcp().find(|other| other.local.ip() == local.ip());
        let of_family = || tcp().find(|other| other.local.is_ipv4() == local.is_ipv4());
        let back = beside.or_else(of_family).unwrap_or(listener);
        let transport = match protocol {
            Protocol::Udp => String::new(),
            stream => format!(";transport={}", stream.param()),
        };
        let uri = format!("sip:{advertise_host}:{advertise_port}{transport}");
        let sips_uri = match protocol {
            Protocol::Tls => format!("sips:{advertise_host}:{advertise_port}"),
            _ => uri.clone(),
        };
        Self {
            via_opened: format!("SIP/2.0/TCP {}:{}", back.advertise_host, back.advertise_port)
                .into_bytes()
                .into(),
            via: format!("SIP/2.0/{} {advertise_host}:{advertise_port}", protocol.via()).into_bytes().into(),
            uri: uri.into(),
            sips_uri: sips_uri.into(),
        }
    }
}
