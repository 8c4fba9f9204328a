//! What the operator decided, in the shape the dataplane reads: checked, indexed, immutable.
//!
//! `config/` makes it from TOML; a reload makes a new one and swaps the `Arc`.

mod account;
mod admission;
mod calls;
mod codes;
mod customer;
mod emergency;
mod ends;
mod listener;
mod numbers;
mod registrar;
mod route;
mod seats;
mod tenant;
mod timers;

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::flow::{Flow, ListenerId};
use crate::hash::{Identity, NameHasher};
use crate::location::device_hash;
use crate::media::MediaAddress;
pub use crate::secret::{SipSecret, StoredPin};
pub use account::{Device, Extension, Reload, Site};
pub use admission::{AdmissionPolicy, Networks, Rate};
pub use calls::{Absent, BasePolicy};
pub use codes::{AttendantPolicy, Codes, CodesFrom};
use customer::OfCustomer;
pub use emergency::{Emergency, LocationForm, Peer, Told};
pub use ends::{Ends, Limit, TERM_MAX, Terms, TimeOfDay, TimeZone};
use listener::Face;
pub use listener::{Listener, Protocol};
pub use numbers::{Pattern, number};
pub use registrar::RegistrarPolicy;
use route::PeerAccounts;
pub use route::{OutsidePolicy, PeerAccount, Route};
pub use seats::{HomePhones, HotelingPolicy, NativeIdentify, OnLimit, OnOccupied, SeatPolicy};
pub use tenant::{Account, Tenant, TenantParts};
pub use timers::Timers;

/// Everything the edge was told, one generation of it.
#[derive(Debug)]
pub struct Settings {
    /// Rises with every reload.
    pub generation: u64,
    /// The edge's own name, for `Server` and logs.
    pub edge_name: Box<str>,
    /// The listeners in file order; [`ListenerId`] is the index.
    pub listeners: Vec<Listener>,
    /// The tenants in file order; [`TenantIndex`] is the index.
    pub tenants: Vec<Arc<Tenant>>,
    /// SIP timers and limits of time.
    pub timers: Timers,
    /// True where the store outlives the process: log-ins, new and removed bindings wait for it.
    pub durable: bool,
    /// Where sound comes from, if not from the listeners' addresses.
    pub media: MediaAddress,
    /// What a source may cost before it is known who it is.
    pub admission: AdmissionPolicy,
    /// How many transactions a worker keeps on each side; what it starts with holds.
    pub transactions_max: u32,
    /// By domain in small letters.
    by_domain: HashMap<Box<[u8]>, TenantIndex, NameHasher>,
    by_id: HashMap<Box<str>, TenantIndex, NameHasher>,
    by_customer: HashMap<Box<str>, OfCustomer, NameHasher>,
    /// By [`device_hash`]: the tenant, and the index among its devices.
    by_device_hash: HashMap<u64, (TenantIndex, u32), BuildHasherDefault<Identity>>,
    /// What some tenant dials for help or as a code.
    specials: HashSet<Box<[u8]>, NameHasher>,
    /// How long these are, a bit for each length.
    special_lengths: u64,
    /// The tenants whose routes lead to an address, in file order.
    by_peer: HashMap<SocketAddr, Vec<TenantIndex>>,
    /// The tenants whose emergency calls go to an address, in file order.
    by_emergency_service: HashMap<IpAddr, Vec<TenantIndex>>,
    /// Peers to which a long request may go over TCP.
    by_stream: HashSet<SocketAddr>,
    /// Who the edge is at peers that ask.
    peer_accounts: PeerAccounts,
    /// How each listener names itself, by its index.
    faces: Vec<Face>,
}

/// Index into [`Settings::tenants`]; of one generation of settings only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TenantIndex(pub u32);

impl Settings {
    /// Transactions of a worker on each side unless the file says otherwise: some 500 calls a second for long, in 150 MB.
    pub const TRANSACTIONS_MAX: u32 = 65_536;

    /// Puts one generation together. Of two tenants with the same id or domain the first is found;
    /// `config/` refuses such a file before.
    pub fn new(
        generation: u64,
        edge_name: &str,
        listeners: Vec<Listener>,
        tenants: Vec<Arc<Tenant>>,
        timers: Timers,
        durable: bool,
    ) -> Self {
        let mut by_domain = HashMap::default();
        let mut by_id = HashMap::default();
        let mut by_customer: HashMap<Box<str>, OfCustomer, NameHasher> = HashMap::default();
        let mut by_device_hash: HashMap<_, _, BuildHasherDefault<Identity>> = HashMap::default();
        let mut emergencies = HashSet::new();
        let mut specials: HashSet<Box<[u8]>, _> = HashSet::default();
        let mut by_peer: HashMap<SocketAddr, Vec<TenantIndex>> = HashMap::new();
        let mut by_emergency_service: HashMap<IpAddr, Vec<TenantIndex>> = HashMap::new();
        let mut peer_accounts = PeerAccounts::default();
        let mut by_datagram = HashSet::new();
        let mut by_stream = HashSet::new();
        for (index, tenant) in tenants.iter().enumerate() {
            let index = TenantIndex(index as u32);
            by_id.entry(tenant.id.clone()).or_insert(index);
            let of_customer = by_customer.entry(tenant.customer.clone()).or_default();
            of_customer.tenants.push(index);
            of_customer.has_devices |= !tenant.devices.is_empty();
            if emergencies.insert((&tenant.customer, &tenant.emergency.numbers, &tenant.emergency.prefixes)) {
                of_customer.emergencies.push(index);
            }
            specials.extend(tenant.emergency.dialled().chain(tenant.codes.dialled()));
            for (number, device) in tenant.devices.iter().enumerate() {
                by_device_hash.entry(device_hash(&tenant.id, &device.id)).or_insert((index, number as u32));
            }
            for address in tenant.routes.iter().flat_map(Route::addresses) {
                let served = by_peer.entry(canonical(*address)).or_default();
                if served.last() != Some(&index) {
                    served.push(index);
                }
            }
            for address in tenant.emergency_services() {
                let served = by_emergency_service.entry(address.ip().to_canonical()).or_default();
                if served.last() != Some(&index) {
                    served.push(index);
                }
            }
            for peer in tenant.peers() {
                let ways = if peer.is_for_datagrams() { &mut by_datagram } else { &mut by_stream };
                ways.extend(peer.addresses.iter().copied().map(canonical));
            }
            peer_accounts.add(index, tenant);
            for domain in &tenant.domains {
                by_domain.entry(domain.as_bytes().to_ascii_lowercase().into()).or_insert(index);
            }
        }
        // What is said anywhere of an address holds for it: a request within a dialog knows no more than that.
        by_stream.retain(|address| !by_datagram.contains(address));
        Self {
            generation,
            edge_name: edge_name.into(),
            faces: listeners.iter().map(|listener| Face::of(listener, &listeners)).collect(),
            listeners,
            tenants,
            timers,
            durable,
            media: MediaAddress::default(),
            admission: AdmissionPolicy::default(),
            transactions_max: Self::TRANSACTIONS_MAX,
            by_domain,
            by_id,
            by_customer,
            by_device_hash,
            special_lengths: specials
                .iter()
                .map(|special| bit_of_length(special))
                .fold(0, |all, bit| all | bit),
            specials,
            by_peer,
            by_emergency_service,
            by_stream,
            peer_accounts,
        }
    }

    /// The tenant that serves `domain`, any case.
    pub fn tenant_of_domain(&self, domain: &[u8]) -> Option<&Arc<Tenant>> {
        let index = self.by_domain.get(domain).copied().or_else(|| self.in_small_letters(domain))?;
        self.tenants.get(index.0 as usize)
    }

    /// Looks again for a domain that was written with capitals, which hardly anybody does.
    #[cold]
    fn in_small_letters(&self, domain: &[u8]) -> Option<TenantIndex> {
        let mut lower = [0_u8; 255]; // RFC 1035 §2.3.4: a name has at most 255 octets.
        let lower = lower.get_mut(..domain.len())?;
        lower.copy_from_slice(domain);
        lower.make_ascii_lowercase();
        self.by_domain.get(&*lower).copied()
    }

    /// The tenant called `id`.
    pub fn tenant(&self, id: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(self.by_id.get(id)?.0 as usize)
    }

    /// True if `dialled`, digits alone, is an emergency number or a code of any tenant.
    pub(crate) fn is_special(&self, dialled: &[u8]) -> bool {
        self.special_lengths & bit_of_length(dialled) != 0 && self.specials.contains(dialled)
    }

    /// The device with this [`device_hash`], and its tenant.
    pub fn device_of_hash(&self, hash: u64) -> Option<(&Arc<Tenant>, &Device)> {
        let (tenant, device) = *self.by_device_hash.get(&hash)?;
        let tenant = self.tenants.get(tenant.0 as usize)?;
        Some((tenant, tenant.devices.get(device as usize)?))
    }

    /// What holds for the seat of an extension at a device: of device, extension, site and tenant the first that says
    /// something; a site that insists comes before the extension. A protected seat ends by itself in no way.
    pub fn terms(&self, device: (&str, &str), extension: (&str, &str)) -> Option<(&Tenant, Terms<'_>)> {
        let tenant = self.tenant(device.0)?;
        let device = tenant.device(device.1)?;
        let person = self.tenant(extension.0).and_then(|home| home.extension(extension.1))?;
        if device.protected || person.protected {
            return Some((tenant, Terms::default()));
        }
        let own = (&device.ends, &person.ends, &tenant.seats.ends);
        let terms = match tenant.site_of(device) {
            Some(site) if site.ends_forced => Terms::of(&[own.0, &site.ends, own.1, own.2]),
            Some(site) => Terms::of(&[own.0, own.1, &site.ends, own.2]),
            None => Terms::of(&[own.0, own.1, own.2]),
        };
        Some((tenant, terms))
    }

    /// The tenants of whose routes whoever sends over `flow` is a peer. A peer is known by the address and port of its
    /// datagrams, which are also those that the edge connects to.
    pub fn tenants_of_peer(&self, flow: &Flow) -> impl Iterator<Item = &Arc<Tenant>> {
        let may_be_peer = flow.lasting().connection.is_none() && !self.by_peer.is_empty();
        let served = may_be_peer.then(|| self.by_peer.get(&canonical(flow.remote))).flatten();
        served.into_iter().flatten().filter_map(|index| self.tenants.get(index.0 as usize))
    }

    /// The tenants that send emergency calls to `address`: who calls from there is believed to be the emergency service,
    /// and may call phones back.
    pub fn tenants_of_emergency_service(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Tenant>> {
        let served = self.by_emergency_service.get(&address.to_canonical());
        served.into_iter().flatten().filter_map(|index| self.tenants.get(index.0 as usize))
    }

    /// True if a request too long for a datagram may go to the peer at `address` over TCP (RFC 3261 §18.1.1).
    pub fn takes_streams(&self, address: SocketAddr) -> bool {
        self.by_stream.contains(&canonical(address))
    }

    /// Who the edge is at `address` for `tenant`, if it asks there. A visitor's call leaves by a peer of the tenant he
    /// visits, and is one of his own: so any tenant of the customer will do.
    pub fn peer_account(&self, tenant: &Tenant, address: SocketAddr) -> Option<&Arc<PeerAccount>> {
        let of = |is_meant: &dyn Fn(&Tenant) -> bool| {
            let is_meant =
                |index: TenantIndex| self.tenants.get(index.0 as usize).is_some_and(|it| is_meant(it));
            self.peer_accounts.find(address, is_meant)
        };
        of(&|it| it.id == tenant.id).or_else(|| of(&|it| it.customer == tenant.customer))
    }

    /// A listener of this generation.
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(usize::from(id.0))
    }

    /// The Via of a listener's messages, without its branch: `SIP/2.0/UDP host:port`; over a connection that the edge
    /// `opened` beside its datagrams, `SIP/2.0/TCP` and where one can be opened the other way.
    pub fn via(&self, id: ListenerId, opened: bool) -> Option<&[u8]> {
        let face = self.faces.get(usize::from(id.0))?;
        Some(if opened { &face.via_opened } else { &face.via })
    }

    /// `sip:host:port` of a listener, with its `transport` where that is not UDP; for a dialog that `is_sips`,
    /// `sips:host:port` of one that speaks TLS.
    pub fn own_uri(&self, id: ListenerId, is_sips: bool) -> Option<&str> {
        let face = self.faces.get(usize::from(id.0))?;
        Some(if is_sips { &face.sips_uri } else { &face.uri })
    }

    /// What stands behind the URI of a listener in a Route, which begins with `<` and that URI as a Record-Route of ours
    /// has it, followed by its parameters.
    pub fn behind_own_uri<'v>(&self, route: &'v [u8]) -> Option<&'v [u8]> {
        let route = route.strip_prefix(b"<")?;
        let behind = |face: &Face| route.strip_prefix(face.uri.as_bytes());
        self.faces.iter().filter_map(behind).find(|behind| behind.first() == Some(&b';'))
    }

    /// The tenant a request is for: that of the domain of `uri`, else the listener's: phones are pointed at an edge by
    /// all sorts of names. Nothing is ever sent to the host of a Request-URI, so this opens no relay.
    pub(crate) fn tenant_of(&self, uri: &sip::Uri<'_>, flow: &Flow) -> Option<&Arc<Tenant>> {
        self.tenant_of_domain(uri.host.raw()).or_else(|| self.tenant_of_listener(flow.listener))
    }

    /// The tenant a listener serves where a request names no domain of ours.
    pub fn tenant_of_listener(&self, id: ListenerId) -> Option<&Arc<Tenant>> {
        self.tenant(self.listener(id)?.tenant.as_deref()?)
    }

    /// True if `uri` names this edge itself: a listener's address or what it advertises.
    pub fn is_own_address(&self, uri: &sip::Uri<'_>) -> bool {
        let host = &uri.host;
        // RFC 3261 §19.1.2; for `transport=tls` RFC 3263 §4.2 has it.
        let is_tls =
            || uri.params.get("transport").flatten().is_some_and(|it| it.eq_ignore_ascii_case(b"tls"));
        let port =
            uri.port.unwrap_or_else(|| if uri.scheme == sip::Scheme::Sips || is_tls() { 5061 } else { 5060 });
        self.listeners.iter().any(|listener| {
            let bound = listener.local.port() == port
                && host
                    .ip()
                    .is_some_and(|ip| ip == listener.local.ip() || listener.local.ip().is_unspecified());
            bound
                || (listener.advertise_port == port
                    && listener.advertise_host.as_bytes().eq_ignore_ascii_case(host.raw()))
        })
    }
}

/// An IPv4 address as such, also where a socket of both families shows it as one of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// All from 63 on share one.
fn bit_of_length(octets: &[u8]) -> u64 {
    1 << octets.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(domain: &str) -> Settings {
        let tenant = Tenant::new(TenantParts {
            id: "demo".into(),
            domains: vec![domain.into()],
            ..TenantParts::default()
        });
        Settings::new(1, "edge", Vec::new(), vec![Arc::new(tenant)], Timers::default(), false)
    }

    #[test]
    fn a_domain_is_known_in_any_case() {
        let settings = settings("Demo.Example");

        for domain in ["demo.example", "Demo.Example", "DEMO.EXAMPLE"] {
            assert!(settings.tenant_of_domain(domain.as_bytes()).is_some(), "{domain}");
        }
        for domain in ["", "demo.example.", "demo", &"D".repeat(256)] {
            assert!(settings.tenant_of_domain(domain.as_bytes()).is_none(), "{domain}");
        }
    }

    #[test]
    fn emergency_numbers_of_a_customer_are_listed_once_and_its_devices_found_by_hash() {
        let tenant = |id: &str, customer: &str, number: &str| {
            let emergency = Emergency { numbers: vec![number.into()], ..Emergency::default() };
            let devices = vec![Device { id: "desk-1".into(), ..Device::default() }];
            let (id, customer) = (id.into(), customer.into());
            Arc::new(Tenant::new(TenantParts { id, customer, emergency, devices, ..TenantParts::default() }))
        };
        let tenants = vec![
            tenant("a", "x", "112"),
            tenant("b", "x", "112"),
            tenant("c", "x", "999"),
            tenant("d", "y", "112"),
        ];
        let settings = Settings::new(1, "edge", Vec::new(), tenants, Timers::default(), false);

        let numbers = |id: &str| {
            let tenant = settings.tenant(id).unwrap();
            let listed = settings.emergencies_of_customer(tenant);
            listed.map(|emergency| emergency.numbers[0].to_string()).collect::<Vec<_>>()
        };
        assert_eq!((numbers("b"), numbers("d")), (vec!["112".into(), "999".into()], vec!["112".to_owned()]));
        let (tenant, device) = settings.device_of_hash(device_hash("b", "desk-1")).unwrap();
        assert_eq!((&*tenant.id, &*device.id), ("b", "desk-1"));
        assert!(settings.device_of_hash(device_hash("b", "desk-2")).is_none());
    }
}
