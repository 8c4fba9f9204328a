//! Sites, and who has a SIP account: devices, which stand in them, and extensions, which do not.

use ipnet::IpNet;

use super::{Absent, Codes, Ends, HomePhones, Peer, SipSecret, StoredPin};

/// A physical place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub id: Box<str>,
    /// What people call it.
    pub name: Box<str>,
    /// The number an emergency call from here shows, E.164.
    pub emergency_caller: Option<Box<str>>,
    /// Its networks: an emergency call from inside is not challenged.
    pub networks: Vec<IpNet>,
    /// The language the attendant speaks here; `None`: the tenant's.
    pub language: Option<Box<str>>,
    /// Where emergency calls from here go before the tenant's routes are tried.
    pub emergency_routes: Vec<Peer>,
    /// Its civic address: elements and their text in the order of RFC 5139 §4; empty: it is not known.
    pub civic: Vec<(Box<str>, Box<str>)>,
    /// Off: nobody logs in here but by the control API. Who sits stays.
    pub may_hot_desk: bool,
    /// What is dialled here; `None`: what is dialled at the tenant.
    pub codes: Option<Codes>,
    /// When seats here end by themselves.
    pub ends: Ends,
    /// What [`Self::ends`] says comes before what an extension says.
    pub ends_forced: bool,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            id: Box::default(),
            name: Box::default(),
            emergency_caller: None,
            networks: Vec::new(),
            language: None,
            emergency_routes: Vec::new(),
            civic: Vec::new(),
            may_hot_desk: true,
            codes: None,
            ends: Ends::default(),
            ends_forced: false,
        }
    }
}

/// How a phone is told to fetch its file again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reload {
    /// It is not told.
    #[default]
    None,
    /// NOTIFY with `Event: check-sync;reboot=false`.
    CheckSync,
}

/// A shared desk phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id, and the SIP user of its own account.
    pub id: Box<str>,
    /// Its MAC address.
    pub mac: Option<[u8; 6]>,
    /// What people call it.
    pub name: Box<str>,
    /// Index into the tenant's sites.
    pub site: Option<u32>,
    /// The desk or room within the site.
    pub room: Box<str>,
    /// How it is told to reload.
    pub reload: Reload,
    /// Off: it refuses log-ins (DEV-3). Calls to emergency numbers still pass.
    pub enabled: bool,
    /// No seat at it begins or ends but by the control API (USR-3).
    pub protected: bool,
    /// What is dialled at it; `None`: what is dialled at its site.
    pub codes: Option<Codes>,
    /// Number of the extension of the tenant that it is while nobody sits there (BASE-8); `None`: it may call nobody and
    /// nobody calls it.
    pub base_extension: Option<Box<str>>,
    /// When seats at it end by themselves.
    pub ends: Ends,
    /// Its account's digest secret.
    pub secret: SipSecret,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            id: Box::default(),
            mac: None,
            name: Box::default(),
            site: None,
            room: Box::default(),
            reload: Reload::default(),
            enabled: true,
            protected: false,
            codes: None,
            base_extension: None,
            ends: Ends::default(),
            secret: SipSecret::default(),
        }
    }
}

/// A number with the person behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The number, and the SIP user of its own account.
    pub number: Box<str>,
    /// The person's name as displays show it.
    pub name: Box<str>,
    /// The PIN; `None`: nobody can log in with one, unless another PIN backend of the tenant knows it.
    pub pin: Option<StoredPin>,
    /// Its own account's digest secret.
    pub secret: SipSecret,
    /// Seats at a time; at least 1.
    pub devices_max: u32,
    /// Ordinary phones beside the seat; 0 refuses them.
    pub own_phones_max: u32,
    /// Off: it cannot log in, register or be called.
    pub enabled: bool,
    /// The language the attendant speaks to whoever has proved to be it; `None`: that of the place.
    pub language: Option<Box<str>>,
    /// Other names by which it logs in (USR-7), each once among the tenants of the customer.
    pub aliases: Vec<Box<str>>,
    /// USR-1: it may take a seat.
    pub may_hot_desk: bool,
    /// Where it may: indices into the tenant's sites. With [`Self::devices`] empty too: everywhere.
    pub sites: Vec<u32>,
    /// Where it may: ids of devices of the tenant, beside those of [`Self::sites`].
    pub devices: Vec<Box<str>>,
    /// It may log in at devices of other tenants of the customer; `None`: what the tenant says.
    pub may_visit: Option<bool>,
    /// None of its seats begins or ends but by the control API (USR-3).
    pub protected: bool,
    /// When its seats end by themselves.
    pub ends: Ends,
    /// The numbers it has outside.
    pub numbers: Vec<Box<str>>,
    /// The number it shows outside; `None`: that of the route.
    pub caller: Option<Box<str>>,
    /// What its callers are told while it is to be had nowhere; `None`: what the tenant says.
    pub absent: Option<Absent>,
    /// What its ordinary phones do meanwhile; `None`: what the tenant says.
    pub home_phones: Option<HomePhones>,
}

impl Default for Extension {
    fn default() -> Self {
        Self {
            number: Box::default(),
            name: Box::default(),
            pin: None,
            secret: SipSecret::default(),
            devices_max: 1,
            own_phones_max: 0,
            enabled: true,
            language: None,
            aliases: Vec::new(),
            may_hot_desk: true,
            sites: Vec::new(),
            devices: Vec::new(),
            may_visit: None,
            protected: false,
            ends: Ends::default(),
            numbers: Vec::new(),
            caller: None,
            absent: None,
            home_phones: None,
        }
    }
}
