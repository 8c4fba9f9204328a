//! One tenant: what the operator said of it, and where to find what in it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

use ipnet::IpNet;

use super::{
    Absent, AttendantPolicy, BasePolicy, Codes, Device, Emergency, Extension, HomePhones, Networks,
    OutsidePolicy, Peer, RegistrarPolicy, Route, SeatPolicy, SipSecret, Site, TimeZone, Told, number,
};
use crate::auth::RegistrarUris;
use crate::hash::NameHasher;

/// What the operator said of a tenant, an organisation served by the carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantParts {
    /// Its id: the first part of every key in every table.
    pub id: Box<str>,
    /// Tenants that may visit one another share it. Where it is empty, a [`Tenant`] made of this has its own id.
    pub customer: Box<str>,
    /// Its domains, at least one; the first is the digest realm and stands in what the edge composes.
    pub domains: Vec<Box<str>>,
    /// Dialled codes.
    pub codes: Codes,
    /// Emergency numbers and where they go.
    pub emergency: Emergency,
    /// How the attendant talks to its people.
    pub attendant: AttendantPolicy,
    /// What may happen to seats.
    pub seats: SeatPolicy,
    /// What a phone may do at which nobody sits.
    pub base: BasePolicy,
    /// What callers of an extension are told that is to be had nowhere.
    pub absent: Absent,
    /// Where numbers go that are no extension's.
    pub routes: Vec<Route>,
    /// How much may be called by them.
    pub outside: OutsidePolicy,
    /// What the embedded registrar grants.
    pub registrar: RegistrarPolicy,
    /// Where its clocks hang.
    pub time_zone: TimeZone,
    /// Networks whose ordinary phones are believed to be who they say when they REGISTER for themselves without
    /// credentials, as long as no phone outside is registered for the same extension. Anybody can write any source
    /// address into a datagram: only for a network that lets no such datagram in, a closed voice VLAN or a VPN. Devices,
    /// seats and calls are never believed.
    pub trusted_networks: Vec<IpNet>,
    /// From where its phones may speak. A call for help is taken from anywhere.
    pub networks: Networks,
    /// Places.
    pub sites: Vec<Site>,
    /// Shared desk phones; their `site` is an index into `sites`.
    pub devices: Vec<Device>,
    /// People's numbers.
    pub extensions: Vec<Extension>,
}

/// A tenant as it is used: all its [`TenantParts`], and indexes over them.
#[derive(Debug)]
pub struct Tenant {
    parts: TenantParts,
    /// What a digest for a REGISTER at its domains begins with.
    pub(crate) registrar_uris: RegistrarUris,
    accounts: HashMap<Box<[u8]>, Account, NameHasher>,
    /// Other names of extensions, by which they log in.
    aliases: HashMap<Box<str>, u32, NameHasher>,
    /// Some site or device has codes of its own.
    codes_vary: bool,
    by_mac: HashMap<[u8; 6], u32>,
    /// The devices whose base extension it is, by index of the extension.
    bases: HashMap<u32, Vec<u32>, NameHasher>,
    /// Extension by its numbers outside, without the plus.
    numbers: HashMap<Box<str>, u32, NameHasher>,
}

impl PartialEq for Tenant {
    // All else follows from them.
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Tenant {}

impl Deref for Tenant {
    type Target = TenantParts;

    #[inline]
    fn deref(&self) -> &TenantParts {
        &self.parts
    }
}

/// Whose SIP account a user part names. The index is into the tenant of the same generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// [`TenantParts::devices`].
    Device(u32),
    /// [`TenantParts::extensions`].
    Extension(u32),
}

impl Tenant {
    /// Indexes the accounts. Device ids and extension numbers share one row of names (RULES: they may not
    /// collide); `config/` refuses a collision before, here the first stands.
    pub fn new(mut parts: TenantParts) -> Self {
        if parts.customer.is_empty() {
            parts.customer = parts.id.clone();
        }
        let TenantParts { domains, sites, devices, extensions, .. } = &parts;
        let mut accounts =
            HashMap::with_capacity_and_hasher(devices.len() + extensions.len(), NameHasher::default());
        for (index, device) in devices.iter().enumerate() {
            accounts.entry(device.id.as_bytes().into()).or_insert(Account::Device(index as u32));
        }
        for (index, extension) in extensions.iter().enumerate() {
            accounts.entry(extension.number.as_bytes().into()).or_insert(Account::Extension(index as u32));
        }
        let mut aliases = HashMap::default();
        for (index, extension) in (0..).zip(extensions) {
            for alias in &extension.aliases {
                aliases.entry(alias.clone()).or_insert(index);
            }
        }
        let mut bases: HashMap<_, Vec<_>, _> = HashMap::default();
        for (index, device) in (0..).zip(devices) {
            let base = device.base_extension.as_ref().and_then(|number| accounts.get(number.as_bytes()));
            if let Some(Account::Extension(extension)) = base {
                bases.entry(*extension).or_default().push(index);
            }
        }
        let by_mac = (0..).zip(devices).filter_map(|(index, device)| Some((device.mac?, index))).collect();
        let codes_vary = devices.iter().any(|device| device.codes.is_some())
            || sites.iter().any(|site| site.codes.is_some());
        let mut numbers = HashMap::default();
        for (index, extension) in (0..).zip(extensions) {
            for number in &extension.numbers {
                numbers.entry(number.trim_start_matches('+').into()).or_insert(index);
            }
        }
        Self {
            registrar_uris: RegistrarUris::of(domains),
            parts,
            accounts,
            aliases,
            codes_vary,
            by_mac,
            bases,
            numbers,
        }
    }

    /// Every peer it names: of its routes, of its emergency routes, and who is told of emergency calls.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        let of_sites = self.sites.iter().flat_map(|site| &site.emergency_routes);
        let told = self.emergency.notify.iter().filter_map(|told| match told {
            Told::Peer(peer) => Some(peer),
            Told::Extension(_) => None,
        });
        let of_routes = self.routes.iter().flat_map(|route| &route.peers);
        self.emergency.routes.iter().chain(of_sites).chain(told).chain(of_routes)
    }

    /// The same, to give them other addresses: no index here has any.
    pub fn peers_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        let TenantParts { sites, emergency, routes, .. } = &mut self.parts;
        let of_sites = sites.iter_mut().flat_map(|site| &mut site.emergency_routes);
        let told = emergency.notify.iter_mut().filter_map(|told| match told {
            Told::Peer(peer) => Some(peer),
            Told::Extension(_) => None,
        });
        let of_routes = routes.iter_mut().flat_map(|route| &mut route.peers);
        emergency.routes.iter_mut().chain(of_sites).chain(told).chain(of_routes)
    }

    /// Everywhere its emergency calls go.
    pub fn emergency_services(&self) -> impl Iterator<Item = &SocketAddr> {
        let of_sites = self.sites.iter().flat_map(|site| &site.emergency_routes);
        self.emergency.routes.iter().chain(of_sites).flat_map(|peer| &peer.addresses)
    }

    /// The digest realm, and the domain of URIs the edge composes.
    pub fn realm(&self) -> &str {
        self.domains.first().map_or("", |domain| domain)
    }

    /// The account whose SIP user is exactly `user` (unescaped octets, case-sensitive: RFC 3261 §19.1.4).
    pub fn account(&self, user: &[u8]) -> Option<Account> {
        self.accounts.get(user).copied()
    }

    /// The device called `id`.
    pub fn device(&self, id: &str) -> Option<&Device> {
        match self.account(id.as_bytes())? {
            Account::Device(index) => self.devices.get(index as usize),
            Account::Extension(_) => None,
        }
    }

    /// The device with this MAC.
    pub fn device_of_mac(&self, mac: [u8; 6]) -> Option<&Device> {
        self.devices.get(*self.by_mac.get(&mac)? as usize)
    }

    /// The extension numbered `number`.
    pub fn extension(&self, number: &str) -> Option<&Extension> {
        match self.account(number.as_bytes())? {
            Account::Extension(index) => self.extensions.get(index as usize),
            Account::Device(_) => None,
        }
    }

    /// The extension that is numbered `name` or has it among its aliases.
    pub fn extension_known_as(&self, name: &str) -> Option<&Extension> {
        self.extension(name).or_else(|| self.extensions.get(*self.aliases.get(name)? as usize))
    }

    /// The site a device of this generation stands in.
    pub fn site_of(&self, device: &Device) -> Option<&Site> {
        self.sites.get(device.site? as usize)
    }

    /// What is dialled at a device: its own codes, else its site's, else the tenant's.
    pub fn codes_at<'t>(&'t self, device: Option<&'t Device>) -> &'t Codes {
        let site = device.and_then(|device| self.site_of(device));
        let own = device.and_then(|device| device.codes.as_ref());
        own.or_else(|| site?.codes.as_ref()).unwrap_or(&self.codes)
    }

    /// True if what is dialled depends on the device.
    pub fn codes_vary(&self) -> bool {
        self.codes_vary
    }

    /// The extension a device is while nobody sits there.
    pub fn base_extension(&self, device: &Device) -> Option<&Extension> {
        self.extension(device.base_extension.as_deref()?)
    }

    /// The devices that are this extension while nobody sits there.
    pub fn base_devices(&self, extension: &str) -> impl Iterator<Item = &Device> {
        let index = match self.account(extension.as_bytes()) {
            Some(Account::Extension(index)) => self.bases.get(&index),
            _ => None,
        };
        index.into_iter().flatten().filter_map(|index| self.devices.get(*index as usize))
    }

    /// What its ordinary phones do while an extension sits at a device of the pool.
    pub fn home_phones(&self, extension: &Extension) -> HomePhones {
        extension.home_phones.unwrap_or(self.seats.home_phones)
    }

    /// What callers of an extension are told that is to be had nowhere.
    pub fn absent<'t>(&'t self, extension: &'t Extension) -> &'t Absent {
        extension.absent.as_ref().unwrap_or(&self.absent)
    }

    /// The extension that has the number `user` outside, an unescaped user part, with a `+` in front or without.
    pub fn extension_of_number(&self, user: &[u8]) -> Option<&Extension> {
        if self.numbers.is_empty() {
            return None;
        }
        let number = number(user)?;
        self.extensions.get(*self.numbers.get(number.trim_start_matches('+'))? as usize)
    }

    /// The route that `number` goes by: that with the longest prefix, of several the first.
    pub fn route(&self, number: &str) -> Option<&Route> {
        let fits = self.routes.iter().rev().filter(|route| number.starts_with(&*route.prefix));
        fits.max_by_key(|route| route.prefix.len())
    }

    /// The digest secret and SIP user of an account of this generation.
    pub fn credentials(&self, account: Account) -> (&str, &SipSecret) {
        match account {
            Account::Device(index) => {
                let device = &self.devices[index as usize];
                (&device.id, &device.secret)
            }
            Account::Extension(index) => {
                let extension = &self.extensions[index as usize];
                (&extension.number, &extension.secret)
            }
        }
    }

    /// True if `address` lies in one of the [`TenantParts::trusted_networks`].
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_networks.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// The first site whose networks hold `address`.
    pub fn site_of_address(&self, address: IpAddr) -> Option<&Site> {
        self.sites.iter().find(|site| site.networks.iter().any(|network| network.contains(&address)))
    }
}
