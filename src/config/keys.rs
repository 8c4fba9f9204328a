//! Every key of the configuration file, in one table: what the loader accepts, what it suggests for a misspelt
//! key, and what the documentation has to describe.

/// One table of the file.
#[derive(Debug)]
pub struct Section {
    /// Its dotted name, such as `tenant.seats`; empty for the top of the file.
    pub name: &'static str,
    /// True where the file may hold several: `[[tenant.device]]`.
    pub repeated: bool,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [&'static str],
    /// Those of its keys that take effect at a start only; a reload that changes one is refused.
    pub at_start: &'static [&'static str],
}

impl Section {
    const fn one(name: &'static str, keys: &'static [&'static str]) -> Self {
        Self { name, repeated: false, keys, at_start: &[] }
    }

    const fn many(name: &'static str, keys: &'static [&'static str]) -> Self {
        Self { name, repeated: true, keys, at_start: &[] }
    }

    const fn at_start(self, at_start: &'static [&'static str]) -> Self {
        Self { at_start, ..self }
    }

    /// As it is written in the file: `[edge]`, `[[listen]]`.
    pub fn header(&self) -> String {
        match (self.name, self.repeated) {
            ("", _) => "the top of the file".into(),
            (name, false) => format!("[{name}]"),
            (name, true) => format!("[[{name}]]"),
        }
    }
}

pub(super) static TOP: Section = Section::one(
    "",
    &[
        "edge",
        "listen",
        "store",
        "control",
        "timers",
        "pins",
        "media",
        "audit",
        "hook",
        "log",
        "admission",
        "tenant",
    ],
);
pub(super) static EDGE: Section =
    Section::one("edge", &["name", "workers", "transactions_max"]).at_start(&["workers", "transactions_max"]);
pub(super) static LISTEN: Section = Section::many(
    "listen",
    &[
        "protocol",
        "address",
        "advertise",
        "dscp",
        "tenant",
        "allow",
        "deny",
        "certificate",
        "client_certificates",
        "client_ca",
        "client_mac",
    ],
)
.at_start(&["protocol", "address", "dscp"]);
pub(super) static LISTEN_CERTIFICATE: Section = Section::one("listen.certificate", &["chain", "key"]);
pub(super) static STORE: Section = Section::one("store", &["kind", "path"]).at_start(&["kind", "path"]);
pub(super) static CONTROL: Section = Section::one("control", &["address", "tokens"]).at_start(&["address"]);
pub(super) static TOKEN: Section = Section::many("control.tokens", &["name", "token", "hash", "file"]);
pub(super) static TIMERS: Section =
    Section::one("timers", &["t1", "t2", "t4", "timer_c", "no_answer_from_phone", "call_max"]);
pub(super) static PINS: Section = Section::one("pins", &["pepper", "seal_key"]);
pub(super) static PEPPER: Section = Section::one("pins.pepper", &["file"]);
pub(super) static SEAL_KEY: Section = Section::one("pins.seal_key", &["file"]);
pub(super) static MEDIA: Section =
    Section::one("media", &["ports", "sessions_max", "dscp", "address", "advertise", "prompts"]).at_start(&[
        "ports",
        "sessions_max",
        "dscp",
    ]);
pub(super) static AUDIT: Section = Section::one("audit", &["keep", "records_max", "file"]);
pub(super) static HOOK: Section = Section::many("hook", &["name", "url", "ca", "events", "secret"]);
pub(super) static HOOK_SECRET: Section = Section::one("hook.secret", &["file"]);
pub(super) static LOG: Section = Section::one("log", &["level", "format"]).at_start(&["level", "format"]);
pub(super) static ADMISSION: Section = Section::one(
    "admission",
    &[
        "source_rate",
        "address_rate",
        "phone_rate",
        "connections_per_address",
        "never_limited",
        "scanners",
        "unknown_users_max",
        "wrong_digests_max",
        "ban",
    ],
);
pub(super) static TENANT: Section = Section::many(
    "tenant",
    &[
        "id",
        "customer",
        "domains",
        "certificate",
        "registrar",
        "dial_pin",
        "pins",
        "codes",
        "attendant",
        "emergency",
        "base",
        "absent",
        "route",
        "outside",
        "seats",
        "registration",
        "trusted_networks",
        "allow",
        "deny",
        "time_zone",
        "site",
        "device",
        "extension",
    ],
);
pub(super) static TENANT_CERTIFICATE: Section = Section::one("tenant.certificate", &["chain", "key"]);
pub(super) static CODES: Section = Section::one("tenant.codes", &["login", "logout", "toggle", "who", "pin"]);
pub(super) static ATTENDANT: Section = Section::one(
    "tenant.attendant",
    &["language", "first_digit_timeout", "digit_timeout", "tries", "in_band"],
);
pub(super) static EMERGENCY: Section = Section::one(
    "tenant.emergency",
    &[
        "numbers",
        "prefixes",
        "route",
        "routes",
        "trust",
        "username",
        "password",
        "realm",
        "no_answer",
        "hold",
        "call_back",
        "location",
        "notify",
    ],
);
pub(super) static EMERGENCY_PASSWORD: Section = Section::one("tenant.emergency.password", &["file"]);
pub(super) static BASE: Section = Section::one("tenant.base", &["may_call"]);
pub(super) static ABSENT: Section = Section::one("tenant.absent", &["redirect", "last_desk"]);
pub(super) static ROUTE: Section = Section::many(
    "tenant.route",
    &["prefix", "peers", "trust", "username", "password", "realm", "strip", "prepend", "caller", "no_answer"],
);
pub(super) static ROUTE_PASSWORD: Section = Section::one("tenant.route.password", &["file"]);
pub(super) static OUTSIDE: Section = Section::one(
    "tenant.outside",
    &["phone_calls_max", "phone_calls_a_minute_max", "calls_max", "calls_a_minute_max", "barred"],
);
pub(super) static SEATS: Section = Section::one(
    "tenant.seats",
    &[
        "switch",
        "native",
        "native_identify",
        "native_silence",
        "native_logout_grace",
        "on_limit",
        "on_occupied",
        "logout_pin",
        "remember_last",
        "codes_from",
        "idle_timeout",
        "absolute_timeout",
        "logout_at",
        "warn_before",
        "home_phones",
        "hoteling",
        "hoteling_expires",
        "hoteling_challenge",
        "visitors",
        "may_visit",
        "visitor_prefix",
    ],
);
pub(super) static TENANT_PINS: Section =
    Section::one("tenant.pins", &["length_min", "backend", "fallback", "master"]);
pub(super) static PIN_BACKEND: Section =
    Section::many("tenant.pins.backend", &["kind", "path", "context", "spool"]);
pub(super) static PIN_FALLBACK: Section = Section::one("tenant.pins.fallback", &["hash", "must_change"]);
pub(super) static PIN_MASTER: Section = Section::many("tenant.pins.master", &["name", "hash"]);
pub(super) static REGISTRATION: Section = Section::one(
    "tenant.registration",
    &[
        "expires_min",
        "expires_default",
        "expires_max",
        "expires_spread",
        "digest",
        "third_party_contacts",
        "gruu",
    ],
);
pub(super) static SITE: Section = Section::many(
    "tenant.site",
    &[
        "id",
        "name",
        "language",
        "emergency_caller",
        "emergency_route",
        "networks",
        "may_hot_desk",
        "codes",
        "idle_timeout",
        "absolute_timeout",
        "logout_at",
        "force",
        "civic",
    ],
);
/// The elements of a civic address: RFC 4119 §2.2.1 as extended by RFC 5139 §3.
pub(super) static CIVIC: Section = Section::one(
    "tenant.site.civic",
    &[
        "country", "A1", "A2", "A3", "A4", "A5", "A6", "PRM", "PRD", "RD", "STS", "POD", "POM", "RDSEC",
        "RDBR", "RDSUBBR", "HNO", "HNS", "LMK", "LOC", "FLR", "NAM", "PC", "BLD", "UNIT", "ROOM", "SEAT",
        "PLC", "PCN", "POBOX", "ADDCODE",
    ],
);
pub(super) static SITE_CODES: Section = Section::one("tenant.site.codes", CODES.keys);
pub(super) static DEVICE: Section = Section::many(
    "tenant.device",
    &[
        "id",
        "mac",
        "name",
        "site",
        "room",
        "model",
        "reload",
        "enabled",
        "protected",
        "base_extension",
        "codes",
        "idle_timeout",
        "absolute_timeout",
        "logout_at",
        "password",
    ],
);
pub(super) static DEVICE_CODES: Section = Section::one("tenant.device.codes", CODES.keys);
pub(super) static DEVICE_PASSWORD: Section = Section::one("tenant.device.password", &["file"]);
pub(super) static EXTENSION: Section = Section::many(
    "tenant.extension",
    &[
        "number",
        "aliases",
        "name",
        "pin",
        "password",
        "devices_max",
        "own_phones_max",
        "enabled",
        "language",
        "may_hot_desk",
        "sites",
        "devices",
        "may_visit",
        "protected",
        "idle_timeout",
        "absolute_timeout",
        "logout_at",
        "home_phones",
        "numbers",
        "caller",
        "absent",
    ],
);
pub(super) static PIN: Section = Section::one("tenant.extension.pin", &["hash", "sealed", "must_change"]);
pub(super) static EXTENSION_PASSWORD: Section = Section::one("tenant.extension.password", &["file"]);
pub(super) static EXTENSION_ABSENT: Section =
    Section::one("tenant.extension.absent", &["redirect", "last_desk"]);

/// Every table a file may hold, in the order of the documentation.
pub static SECTIONS: [&Section; 44] = [
    &TOP,
    &EDGE,
    &LISTEN,
    &LISTEN_CERTIFICATE,
    &STORE,
    &CONTROL,
    &TOKEN,
    &TIMERS,
    &PINS,
    &PEPPER,
    &SEAL_KEY,
    &MEDIA,
    &AUDIT,
    &HOOK,
    &HOOK_SECRET,
    &LOG,
    &ADMISSION,
    &TENANT,
    &TENANT_CERTIFICATE,
    &CODES,
    &ATTENDANT,
    &EMERGENCY,
    &EMERGENCY_PASSWORD,
    &BASE,
    &ABSENT,
    &ROUTE,
    &ROUTE_PASSWORD,
    &OUTSIDE,
    &SEATS,
    &TENANT_PINS,
    &PIN_BACKEND,
    &PIN_FALLBACK,
    &PIN_MASTER,
    &REGISTRATION,
    &SITE,
    &SITE_CODES,
    &CIVIC,
    &DEVICE,
    &DEVICE_CODES,
    &DEVICE_PASSWORD,
    &EXTENSION,
    &PIN,
    &EXTENSION_PASSWORD,
    &EXTENSION_ABSENT,
];

/// The known name nearest to `given`, if one is near enough to be what was meant.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given, &name.to_lowercase()), name))
        .filter(|&(distance, name)| distance <= name.len().max(3) / 3)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}
