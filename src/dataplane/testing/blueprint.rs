//! What an office is built from: the quick start's tenant, for tests to change before the doors open.

use std::net::SocketAddr;
use std::sync::Arc;

use super::wire::Quality;
use crate::auth;
use crate::settings::{
    AdmissionPolicy, Codes, Device, Emergency, Extension, Listener, Networks, Protocol, RegistrarPolicy,
    Reload, SeatPolicy, Settings, Site, StoredPin, Tenant, TenantParts, Timers,
};

/// The edge's address: UDP is listener 0, TCP listener 1; TLS, listener 2, has the next port.
const EDGE: &str = "192.0.2.1:5060";

/// People of every tenant: number, name, PIN.
const PEOPLE: [(&str, &str, &str); 3] =
    [("1001", "John Smith", "7738"), ("1002", "Ann Lee", "2468"), ("1003", "Max Weber", "1357")];

/// An office before its doors open. Every field may be changed; [`Blueprint::settings`] reads them.
#[derive(Debug)]
pub struct Blueprint {
    /// All that is random follows from it.
    pub seed: u64,
    /// Workers of the edge, at least 1.
    pub workers: u8,
    /// The store outlives the edge: log-ins and new bindings wait for it.
    pub durable: bool,
    /// SIP timers and limits of time.
    pub timers: Timers,
    /// Limits of what strangers may send.
    pub admission: AdmissionPolicy,
    /// How many transactions each worker keeps on each side.
    pub transactions_max: u32,
    /// From where the listeners take anything.
    pub networks: Networks,
    /// How well the wire delivers datagrams.
    pub quality: Quality,
    /// The listeners serve the first tenant where a request names no domain of ours; else nobody.
    pub listeners_serve_a_tenant: bool,
    /// The tenants.
    pub tenants: Vec<TenantParts>,
}

impl Blueprint {
    /// The quick start: tenant `demo`, devices `desk-1` to `desk-3`, extensions 1001 to 1003, one worker, a store
    /// that outlives the edge, a wire that delivers.
    pub fn demo(seed: u64) -> Self {
        Self {
            seed,
            workers: 1,
            durable: true,
            timers: Timers::default(),
            admission: AdmissionPolicy::default(),
            transactions_max: Settings::TRANSACTIONS_MAX,
            networks: Networks::default(),
            quality: Quality::PERFECT,
            listeners_serve_a_tenant: true,
            tenants: vec![tenant("demo", "demo.hotdesk")],
        }
    }

    /// A device of the first tenant.
    pub fn device(&mut self, id: &str) -> &mut Device {
        self.tenants[0].devices.iter_mut().find(|device| &*device.id == id).expect("the device exists")
    }

    /// An extension of the first tenant.
    pub fn extension(&mut self, number: &str) -> &mut Extension {
        let mut extensions = self.tenants[0].extensions.iter_mut();
        extensions.find(|extension| &*extension.number == number).expect("the extension exists")
    }

    /// Policy of the first tenant.
    pub fn seats(&mut self) -> &mut SeatPolicy {
        &mut self.tenants[0].seats
    }

    /// One generation of settings.
    pub fn settings(&self, generation: u64) -> Settings {
        let local: SocketAddr = EDGE.parse().expect("an address");
        let listener = |protocol, port| Listener {
            protocol,
            local: SocketAddr::new(local.ip(), port),
            advertise_host: local.ip().to_string().into(),
            advertise_port: port,
            tenant: self
                .tenants
                .first()
                .filter(|_| self.listeners_serve_a_tenant)
                .map(|tenant| tenant.id.clone()),
            networks: self.networks.clone(),
        };
        let listeners = vec![
            listener(Protocol::Udp, local.port()),
            listener(Protocol::Tcp, local.port()),
            listener(Protocol::Tls, local.port() + 1),
        ];
        let tenants = self.tenants.iter().map(|parts| Arc::new(Tenant::new(parts.clone()))).collect();
        let mut settings = Settings::new(generation, "office", listeners, tenants, self.timers, self.durable);
        settings.admission = self.admission.clone();
        settings.transactions_max = self.transactions_max;
        settings
    }
}

/// A tenant as the quick start has it, under any name.
pub fn tenant(id: &str, domain: &str) -> TenantParts {
    let device = |number: u8| {
        let id = format!("desk-{number}");
        Device {
            mac: Some([0x00, 0x11, 0x22, 0x33, 0x44, 0x50 + number]),
            name: format!("Open Desk {number}").into(),
            site: Some(0),
            room: format!("Desk {number}").into(),
            reload: Reload::CheckSync,
            secret: auth::secret(&id, domain, &password(&id)),
            id: id.into(),
            ..Device::default()
        }
    };
    let extension = |(number, name, pin): (&str, &str, &str)| Extension {
        number: number.into(),
        name: name.into(),
        pin: Some(pin_hash(pin)),
        secret: auth::secret(number, domain, &password(number)),
        own_phones_max: 2,
        ..Extension::default()
    };
    TenantParts {
        id: id.into(),
        customer: "".into(),
        domains: vec![domain.into()],
        codes: Codes {
            login: "*11".into(),
            logout: "*12".into(),
            toggle: "*10".into(),
            who: "*13".into(),
            pin: "*14".into(),
        },
        emergency: Emergency { numbers: vec!["112".into(), "911".into()], ..Emergency::default() },
        // Tests reckon with what phones ask for.
        registrar: RegistrarPolicy { expires_spread: 0, ..RegistrarPolicy::default() },
        seats: SeatPolicy { native: true, ..SeatPolicy::default() },
        sites: vec![Site {
            id: "hq".into(),
            name: "Headquarters".into(),
            emergency_caller: Some("+12125550100".into()),
            networks: vec!["10.2.0.0/16".parse().expect("a network")],
            ..Site::default()
        }],
        devices: (1..=3).map(device).collect(),
        extensions: PEOPLE.into_iter().map(extension).collect(),
        ..TenantParts::default()
    }
}

/// The digest password of every account of the office.
pub fn password(user: &str) -> String {
    format!("demo-{user}")
}

/// What stands for a PHC string here: the office's PIN backend reads it back.
pub fn pin_hash(pin: &str) -> StoredPin {
    StoredPin::new(format!("$office${pin}"))
}
