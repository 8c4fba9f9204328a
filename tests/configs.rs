//! The shipped configurations load, the documentation names every key, and what an operator sees of a broken file is
//! worth looking at.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bench::certificates::{Authority, Issued};
use dataplane::audit::Kind;
use dataplane::hotdesk::{Cause, Surface};
use dataplane::refusal::Refusal;
use dataplane::settings::{LocationForm, Peer, Told};
use hotdesk::backend::pin::hash;
use hotdesk::backend::pin::key::Key;
use hotdesk::backend::pin::seal;
use hotdesk::backend::store::StoreKind;
use hotdesk::config::keys::SECTIONS;
use hotdesk::config::{self, Loaded, Report, Source};
use tempfile::TempDir;
use toml::de::{DeTable, DeValue};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file that is as short as can be and has no warning.
const SMALL: &str = r#"
[[listen]]
protocol = "udp"
address = "127.0.0.1:0"

[[tenant]]
id = "acme"
domains = ["Acme.example", "acme.test"]
emergency = { numbers = ["112"], route = "sip:127.0.0.1:5070" }
"#;

fn no_host(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
    Err(io::Error::new(io::ErrorKind::NotFound, "no such host"))
}

fn parse_in(base: &Path, text: &str) -> Result<Loaded, Report> {
    config::parse(&Source { name: "test.toml", text, base, readable_by_others: false, resolve: &no_host })
}

fn parse(text: &str) -> Result<Loaded, Report> {
    parse_in(Path::new("/nonexistent"), text)
}

/// The report about `text`, which has errors.
fn refused(text: &str) -> Report {
    parse(text).expect_err("the file has errors")
}

/// What is drawn, without the spaces at line ends.
fn drawn(report: &Report) -> String {
    report.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn small_with(more: &str) -> String {
    format!("{SMALL}{more}")
}

/// Writes a secret into `folder`.
fn write(folder: &TempDir, name: &str, content: &str, mode: u32) {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("the folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

#[test]
fn quick_start_loads_and_warns_of_emergency_calls_alone() {
    let loaded = config::load(&Path::new(ROOT).join("configs/quickstart.toml")).unwrap();

    let lines: Vec<_> = loaded.warnings.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("emergency calls of demo go nowhere: 112, 911 will get 500"), "{lines:?}");
    let StoreKind::Embedded { path } = &loaded.server.store else {
        panic!("the quick start survives a restart")
    };
    assert_eq!(*path, Path::new(ROOT).join("configs/var/hotdesk.db"));
    let control = loaded.server.control.as_ref().unwrap();
    assert_eq!(control.bearer(b"demo-token"), Some("demo"));
    assert_eq!(control.bearer(b"demo-toke"), None);

    let bound = ["127.0.0.1:5060".parse().unwrap(), "127.0.0.1:5060".parse().unwrap()];
    let settings = loaded.settings(1, &bound, None);
    assert!(settings.durable);
    let tenant = settings.tenant_of_domain(b"demo.hotdesk").unwrap();
    assert!(tenant.seats.native);
    for (number, pin) in [("1001", "7738"), ("1002", "2468"), ("1003", "1357")] {
        let extension = tenant.extension(number).unwrap();
        let hash = extension.pin.as_ref().unwrap();
        assert!(hash::verify(&hash.phc, pin.as_bytes(), None).unwrap(), "{number}");
        assert_eq!(extension.own_phones_max, 2);
        assert!(extension.secret.ha1_md5.is_some() && extension.secret.ha1_sha256.is_some());
    }
    assert_eq!(tenant.device("desk-3").unwrap().mac, Some([0x00, 0x11, 0x22, 0x33, 0x44, 0x53]));
}

#[test]
fn every_shipped_file_loads() {
    for entry in fs::read_dir(Path::new(ROOT).join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let folder = folder_with(text.split("file = \"").skip(1).filter_map(|rest| rest.split('"').next()));

        let loaded = parse_in(folder.path(), &text).unwrap();

        let warnings: Vec<_> = loaded.warnings.lines().collect();
        assert!(warnings.iter().all(|line| line.contains("emergency calls of")), "{warnings:?}");
    }
}

/// `configs/hotdesk.toml` with its commented keys in force.
fn complete() -> String {
    let text = fs::read_to_string(Path::new(ROOT).join("configs/hotdesk.toml")).expect("a shipped file");
    let key = |line: &str| {
        let commented =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_alphabetic()));
        commented.unwrap_or(line).to_owned()
    };
    text.lines().map(key).collect::<Vec<_>>().join("\n")
}

/// What the secrets of [`complete_folder`] hold.
fn key() -> Key {
    Key::new(b"a-secret-of-32-octets-0123456789").expect("32 are enough")
}

/// A folder with these secrets.
fn folder_with<'a>(secrets: impl IntoIterator<Item = &'a str>) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    for name in ["secrets", "prompts", "tls"] {
        fs::create_dir(folder.path().join(name)).expect("the folder is ours");
    }
    for secret in secrets {
        write(&folder, secret, "a-secret-of-32-octets-0123456789\n", 0o600);
    }
    folder
}

/// The folder of the complete file.
fn complete_folder() -> TempDir {
    let folder = folder_with([
        "secrets/monitoring",
        "secrets/pepper",
        "secrets/seal-key",
        "secrets/hook",
        "secrets/gateway",
        "secrets/desk-2",
        "secrets/1001",
    ]);
    write(&folder, "voicemail.conf", "[default]\n1002 => 2468,Ann Lee\n", 0o600);
    let authority = Authority::new("us");
    write_certificate(&folder, "tls/edge", &authority.host(&["edge.example"]));
    write_certificate(&folder, "tls/acme", &authority.host(&["acme.example"]));
    write(&folder, "tls/makers.pem", authority.pem(), 0o644);
    write(&folder, "tls/portal-ca.pem", authority.pem(), 0o644);
    folder
}

/// Writes `NAME.pem` and `NAME.key`.
fn write_certificate(folder: &TempDir, name: &str, issued: &Issued) {
    write(folder, &format!("{name}.pem"), &issued.chain, 0o644);
    write(folder, &format!("{name}.key"), &issued.key, 0o600);
}

/// Every key of a parsed file as `section.key`, the tables of a list all as one.
fn keys_of(table: &DeTable<'_>, section: &str, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        let name = if section.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{section}.{}", key.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(table) => keys_of(table, &name, keys),
            DeValue::Array(array) => {
                for table in array.iter().filter_map(|value| value.get_ref().as_table()) {
                    keys_of(table, &name, keys);
                }
            }
            _ => {}
        }
        keys.insert(name);
    }
}

fn known_keys() -> BTreeSet<String> {
    let name =
        |section: &str, key: &str| if section.is_empty() { key.into() } else { format!("{section}.{key}") };
    SECTIONS.iter().flat_map(|section| section.keys.iter().map(|key| name(section.name, key))).collect()
}

#[test]
fn complete_file_names_every_key_and_loads() {
    let folder = complete_folder();
    let text = complete();

    let loaded = parse_in(folder.path(), &text).unwrap();

    let mut keys = BTreeSet::new();
    keys_of(DeTable::parse(&text).unwrap().get_ref(), "", &mut keys);
    // A list of texts or a secret in clear stands for its key as much as a table does.
    assert_eq!(keys, known_keys());
    // An example of each form of PIN stands in one tenant.
    let warnings: Vec<_> = loaded.warnings.lines().collect();
    let of_examples = ["PINs are stored in more than one way", "whoever knows the fallback PIN"];
    let others = warnings.iter().filter(|line| !of_examples.iter().any(|example| line.contains(example)));
    assert_eq!(others.count(), 0, "{}", loaded.warnings);
}

#[test]
fn complete_file_shows_the_defaults() {
    let folder = complete_folder();
    let complete = parse_in(folder.path(), &complete()).unwrap();
    let small = parse(SMALL).unwrap();

    assert_eq!(complete.server.name, small.server.name);
    assert_eq!(complete.server.log, small.server.log);
    assert_eq!(complete.server.media.setup, small.server.media.setup);
    assert_eq!(complete.server.media.prompts, small.server.media.prompts);
    assert_eq!(complete.server.listeners[0].dscp, small.server.listeners[0].dscp);
    assert_eq!(complete.server.audit.retention(), small.server.audit.retention());
    let (complete_store, small_store) = (&complete.server.store, &small.server.store);
    assert_eq!(*complete_store, StoreKind::Embedded { path: folder.path().join("var/hotdesk.db") });
    assert_eq!(*small_store, StoreKind::Embedded { path: "/nonexistent/var/hotdesk.db".into() });
    let bound = ["127.0.0.1:5060".parse().unwrap()];
    let complete = complete.settings(1, &[bound[0], "127.0.0.1:5061".parse().unwrap()], None);
    let small = small.settings(1, &bound, None);
    assert_eq!(complete.timers, small.timers);
    assert_eq!(complete.admission, small.admission);
    assert_eq!(complete.listeners[0].networks, small.listeners[0].networks);
    let (complete, small) = (&complete.tenants[0], &small.tenants[0]);
    assert_eq!(complete.customer, small.customer);
    assert_eq!(complete.seats, small.seats);
    assert_eq!(complete.registrar, small.registrar);
    assert_eq!((&complete.base, &complete.outside), (&small.base, &small.outside));
    assert_eq!(complete.trusted_networks, small.trusted_networks);
    assert_eq!(complete.emergency.prefixes, small.emergency.prefixes);
    assert_eq!(complete.emergency.hold, small.emergency.hold);
    assert_eq!(complete.emergency.call_back, small.emergency.call_back);
    assert_eq!(complete.emergency.no_answer, small.emergency.no_answer);
    assert_eq!(complete.emergency.location, small.emergency.location);
    assert_eq!(complete.emergency.notify, small.emergency.notify);
    // An extension and a device of nothing but what is required.
    let bare = parse(&small_with(
        "[[tenant.device]]\nid = \"desk-1\"\npassword = \"x\"\n[[tenant.extension]]\nnumber = \"1001\"\n",
    ));
    let bare = bare.unwrap().settings(1, &bound, None);
    let (device, bare_device) = (&complete.devices[0], &bare.tenants[0].devices[0]);
    assert_eq!((device.reload, device.enabled), (bare_device.reload, bare_device.enabled));
    let (extension, bare) = (&complete.extensions[0], &bare.tenants[0].extensions[0]);
    assert_eq!(
        (extension.devices_max, extension.own_phones_max, extension.enabled),
        (bare.devices_max, bare.own_phones_max, bare.enabled)
    );
}

#[test]
fn every_key_is_read() {
    let folder = complete_folder();
    let text = complete();
    for (at, line) in text.lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains('#')) else { continue };
        let broken: Vec<_> = text
            .lines()
            .enumerate()
            .map(|(other, line)| if other == at { format!("{key} = 1979-05-27") } else { line.to_owned() })
            .collect();

        // No key takes a date, so each must complain at its own line.
        let report = parse_in(folder.path(), &broken.join("\n")).expect_err(line);
        let place = format!("test.toml:{}: ", at + 1);
        assert!(report.lines().any(|line| line.starts_with(&place)), "{line}: {report}");
    }
}

#[test]
fn documentation_describes_every_key() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/configuration.md")).unwrap();
    let mut section = None;
    let mut documented = BTreeSet::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let header = heading.trim_matches('`');
            section = SECTIONS.iter().find(|section| section.header() == header);
            assert!(section.is_some(), "{header} is no table of the file");
        } else if let Some((section, row)) = section.zip(line.strip_prefix("| `")) {
            let cells: Vec<_> = row.split(" | ").collect();
            let key = cells[0].trim_end_matches('`');
            assert!(section.keys.contains(&key), "{key} is no key of {}", section.header());
            let applies = if section.at_start.contains(&key) { "start" } else { "reload" };
            assert_eq!(cells[3], applies, "{} {key}", section.header());
            documented.insert(format!("{}.{key}", section.name));
        }
    }

    let known = SECTIONS.iter().filter(|section| !section.name.is_empty());
    let known: BTreeSet<_> =
        known.flat_map(|section| section.keys.iter().map(|key| format!("{}.{key}", section.name))).collect();
    assert_eq!(documented, known);
}

#[test]
fn documentation_of_the_trail_names_every_kind_surface_cause_and_refusal() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/audit.md")).unwrap();
    let kinds = Kind::ALL.map(Kind::code);
    let (surfaces, causes) = (Surface::ALL.map(Surface::code), Cause::ALL.map(Cause::code));

    assert!(
        kinds.iter().all(|kind| text.contains(&format!("\"kind\":\"{kind}\""))),
        "an example of each kind"
    );
    assert_eq!(serde_json::json!(Surface::ALL), serde_json::json!(surfaces), "records have the same codes");
    let refusals = Refusal::ALL.iter().map(|refusal| refusal.code());
    for code in surfaces.into_iter().chain(causes).chain(refusals) {
        assert!(text.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn all_errors_are_shown_at_once_in_the_order_of_the_file() {
    let report = refused(
        "[edge]\nnmae = \"x\"\nworkers = 65\n[[listen]]\nprotocol = \"wss\"\naddress = \"0.0.0.0:5060\"\n\
         tenant = \"acne\"\n[[tenant]]\nid = \"acme\"\ndomains = []\n[tenant.seats]\nswitch = \"reprovision\"\n",
    );

    assert_eq!(
        report.lines().collect::<Vec<_>>(),
        [
            "test.toml:2: unknown key `nmae`",
            "test.toml:3: `workers` is out of bounds",
            "test.toml:5: \"wss\" is not available in this version",
            "test.toml:6: peers cannot be told to come back to 0.0.0.0",
            "test.toml:7: there is no tenant acne",
            "test.toml:8: acme has no emergency numbers: nobody there can call for help",
            "test.toml:10: a tenant has at least one domain",
            "test.toml:12: \"reprovision\" is not available in this version",
        ]
    );
    assert_eq!((report.errors(), report.warnings()), (7, 1));
    assert_eq!(report.error_lines().count(), 7, "a reload says no more than why it failed");
}

#[test]
fn misspelt_key_is_underlined_with_what_was_meant() {
    let report = refused(&small_with("[tenant.seats]\non_ocupied = \"refuse\"\n"));

    assert_eq!(
        drawn(&report),
        "  × unknown key `on_ocupied`
    ╭─[test.toml:11:1]
 10 │ [tenant.seats]
 11 │ on_ocupied = \"refuse\"
    · ─────┬────
    ·      ╰── not in [tenant.seats]
    ╰────
  help: did you mean `on_occupied`?"
    );
}

#[test]
fn key_of_another_table_is_sent_there() {
    let report = refused(&small_with("on_limit = \"refuse\"\n"));

    assert_eq!(
        drawn(&report),
        "  × unknown key `on_limit`
    ╭─[test.toml:10:1]
  9 │ emergency = { numbers = [\"112\"], route = \"sip:127.0.0.1:5070\" }
 10 │ on_limit = \"refuse\"
    · ────┬───
    ·     ╰── not in [[tenant]]
    ╰────
  help: `on_limit` belongs in [tenant.seats]"
    );
}

#[test]
fn broken_toml_shows_every_broken_place_and_no_secret() {
    let report = refused("[[tenant.extension]]\npassword = \"not closed\n[[listen]]\nprotocol = udp\n");

    let drawing = drawn(&report);
    assert!(report.errors() >= 2, "{drawing}");
    assert!(drawing.contains("× not TOML: "), "{drawing}");
    assert!(drawing.contains("password = \"*"), "{drawing}");
    assert!(!drawing.contains("not closed"), "{drawing}");
}

#[test]
fn wrong_digit_of_a_mac_address_is_underlined() {
    let report =
        refused(&small_with("[[tenant.device]]\nid = \"d\"\nmac = \"0004f23ld871\"\npassword = \"p\"\n"));

    assert_eq!(
        drawn(&report).lines().take(7).collect::<Vec<_>>().join("\n"),
        "  ⚠ no site: emergency calls from d show no place
    ╭─[test.toml:11:6]
 10 │ [[tenant.device]]
 11 │ id = \"d\"
    ·      ─┬─
    ·       ╰── this
 12 │ mac = \"0004f23ld871\""
    );
    let drawing = drawn(&report);
    let mac = drawing.find("  × ").map(|at| &drawing[at..]).unwrap();
    assert_eq!(
        mac,
        "  × 'l' is not possible in a MAC address
    ╭─[test.toml:12:15]
 11 │ id = \"d\"
 12 │ mac = \"0004f23ld871\"
    ·               ┬
    ·               ╰── this
 13 │ password = \"*\"
    ╰────
  help: a MAC address has 12 hexadecimal digits, with or without : - . between them"
    );
}

#[test]
fn both_places_of_a_collision_are_underlined() {
    let report = refused(&small_with(
        "[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"+12125550100\"\n\n\
         [[tenant.device]]\nid = \"1001\"\nsite = \"hq\"\npassword = \"p\"\n\n[[tenant.extension]]\nnumber = \"1001\"\n",
    ));

    assert_eq!(
        drawn(&report),
        "  × 1001 is a device and an extension
    ╭─[test.toml:15:6]
 14 │ [[tenant.device]]
 15 │ id = \"1001\"
    ·      ───┬──
    ·         ╰── here
 16 │ site = \"hq\"
 17 │ password = \"*\"
 18 │
 19 │ [[tenant.extension]]
 20 │ number = \"1001\"
    ·          ───┬──
    ·             ╰── and here
    ╰────"
    );
}

#[test]
fn clear_pin_is_refused_and_not_shown() {
    let report = refused(&small_with("[[tenant.extension]]\nnumber = \"1001\"\npin = \"7738\"\n"));

    assert_eq!(
        drawn(&report),
        "  × a PIN does not stand in the file in clear
    ╭─[test.toml:12:7]
 11 │ number = \"1001\"
 12 │ pin = \"****\"
    ·       ───┬──
    ·          ╰── this
    ╰────
  help: pin = { hash = \"…\" }, from: hotdesk hash-pin"
    );
}

#[test]
fn missing_key_is_reported_at_its_table() {
    let report = refused(&small_with("[[tenant.extension]]\nname = \"John Smith\"\n"));

    assert_eq!(
        drawn(&report),
        "  × `number` is missing in [[tenant.extension]]
    ╭─[test.toml:10:1]
  9 │ emergency = { numbers = [\"112\"], route = \"sip:127.0.0.1:5070\" }
 10 │ [[tenant.extension]]
    · ──────────┬─────────
    ·           ╰── in this table
 11 │ name = \"John Smith\"
    ╰────
  help: add number = \"…\": what others dial"
    );
}

#[test]
fn extension_behind_an_outside_line_prefix_of_an_emergency_number_is_refused() {
    let report = refused(&small_with("[[tenant.extension]]\nnumber = \"9112\"\n"));

    assert_eq!(
        drawn(&report),
        "  × 9112 is an emergency call and an extension
    ╭─[test.toml:9:26]
  8 │ domains = [\"Acme.example\", \"acme.test\"]
  9 │ emergency = { numbers = [\"112\"], route = \"sip:127.0.0.1:5070\" }
    ·                          ──┬──
    ·                            ╰── emergency
 10 │ [[tenant.extension]]
 11 │ number = \"9112\"
    ·          ───┬──
    ·             ╰── extension
    ╰────
  help: emergency numbers are recognised first, with separators and behind each of `prefixes`: this
        extension could never be called"
    );
}

#[test]
fn trust_in_a_network_that_is_not_private_is_warned_of() {
    for (network, warnings) in
        [("10.1.0.0/16", 0), ("fd00:1::/32", 0), ("198.51.100.0/24", 1), ("0.0.0.0/0", 1), ("10.0.0.0/7", 1)]
    {
        let loaded = parse(&small_with(&format!("trusted_networks = [\"{network}\"]\n"))).unwrap();

        assert_eq!(loaded.warnings.warnings(), warnings, "{network}");
    }
}

/// Two tenants, `acme` and `b`, with what is said of each.
fn two_tenants(acme: &str, b: &str) -> String {
    small_with(&format!("{acme}\n[[tenant]]\nid = \"b\"\ndomains = [\"b.example\"]\n{b}\n"))
}

#[test]
fn tenants_visit_one_another_where_the_customer_is_named_unless_they_say_otherwise() {
    let bound = ["127.0.0.1:5060".parse().unwrap()];
    for (said, visits) in [
        ("", [false, false]),
        ("customer = \"acme\"", [true, true]),
        ("customer = \"acme\"\nseats = { visitors = false }", [false, true]),
        ("customer = \"acme\"\nseats = { may_visit = false }", [true, false]),
        ("seats = { visitors = true, may_visit = true, visitor_prefix = \"72\" }", [true, true]),
    ] {
        let settings = parse(&two_tenants("", said)).unwrap().settings(1, &bound, None);

        let seats = &settings.tenants[1].seats;
        assert_eq!([seats.visitors, seats.may_visit], visits, "{said}");
        assert_eq!(&*seats.visitor_prefix, if said.contains("72") { "72" } else { "" });
    }
}

#[test]
fn what_visitors_type_means_one_person_wherever_they_type_it() {
    let prefixed = "customer = \"acme\"\nseats = { visitor_prefix = \"72\" }\n";
    for (acme, b, reason) in [
        ("[[tenant.extension]]\nnumber = \"1001\"", "", None),
        (
            "[[tenant.extension]]\nnumber = \"7201\"",
            "",
            Some("7201 begins with 72, which visitors type first"),
        ),
        (
            "[[tenant.extension]]\nnumber = \"1001\"\naliases = [\"725\"]",
            "",
            Some("725 begins with 72, which visitors type first"),
        ),
        ("codes = { login = \"72\" }", "", Some("72 begins with 72, which visitors type first")),
        (
            "[[tenant.site]]\nid = \"hq\"\ncodes = { login = \"729\" }",
            "",
            Some("729 begins with 72, which visitors type first"),
        ),
        ("", "[[tenant.extension]]\nnumber = \"720\"", Some("720 begins with 72, which visitors type first")),
        ("seats = { visitor_prefix = \"7\" }", "", Some("the visitor prefixes 7 and 72 begin alike")),
        ("seats = { visitor_prefix = \"73\" }", "", None),
        ("seats = { visitor_prefix = \"*7\" }", "", Some("\"*7\" cannot be dialled")),
    ] {
        let outcome = parse(&two_tenants(&format!("customer = \"acme\"\n{acme}"), &format!("{prefixed}{b}")));

        let found = outcome.err().map(|report| drawn(&report));
        match reason {
            Some(reason) => {
                assert!(found.as_ref().is_some_and(|it| it.contains(reason)), "{acme} {b} {found:?}")
            }
            None => assert_eq!(found, None, "{acme} {b}"),
        }
    }
    // Of another customer nobody comes.
    let apart = prefixed.replace("\"acme\"", "\"b\"");
    assert!(parse(&two_tenants("[[tenant.extension]]\nnumber = \"7201\"", &apart)).is_ok());
}

#[test]
fn pins_of_tenants_that_visit_one_another_are_best_stored_alike() {
    let extension = |hash: &str| {
        format!("customer = \"acme\"\n[[tenant.extension]]\nnumber = \"1\"\npin = {{ hash = \"{hash}\" }}\n")
    };
    let pepper = "[pins]\npepper = { file = \"secrets/pepper\" }\n";
    let (keyed, slow) = (hash::hash_hmac(b"7738", &key()).unwrap(), hash::hash_argon2id(b"7738").unwrap());
    let folder = complete_folder();
    for (other, warns) in [(&keyed, false), (&slow, true)] {
        let text = two_tenants(&extension(&keyed), &extension(other)) + pepper;

        let warnings = parse_in(folder.path(), &text).unwrap().warnings.to_string();

        assert_eq!(warnings.contains("two tenants that visit one another store PINs"), warns, "{warnings}");
    }
}

#[test]
fn network_is_trusted_by_one_customer_alone() {
    for (first, second, customer, clashes) in [
        ("10.1.0.0/16", "10.2.0.0/16", "b", false),
        ("10.1.0.0/16", "10.1.7.0/24", "b", true),
        ("10.1.7.0/24", "10.1.0.0/16", "b", true),
        ("10.1.0.0/16", "10.1.0.0/16", "b", true),
        ("10.1.0.0/16", "10.1.0.0/16", "acme", false),
        ("fd00:1::/32", "10.1.0.0/16", "b", false),
    ] {
        let outcome = parse(&small_with(&format!(
            "trusted_networks = [\"192.168.0.0/16\", \"{first}\"]\n[[tenant]]\nid = \"b\"\n\
             customer = \"{customer}\"\ndomains = [\"b.example\"]\ntrusted_networks = [\"{second}\"]\n"
        )));

        let found = outcome.err().map(|report| drawn(&report));
        assert_eq!(found.is_some(), clashes, "{first} {second} {customer}: {found:?}");
        assert!(found.is_none_or(|text| text.contains("two customers trust 10.1.")));
    }
}

#[test]
fn each_of_these_is_refused_for_its_reason() {
    for (more, reason) in [
        ("codes = { login = \"*11\", logout = \"*1\" }", "*11 and *1 begin alike"),
        ("codes = { login = \"112\" }", "112 is an emergency call and a code"),
        (
            "codes = { login = \"11\" }\n[[tenant.extension]]\nnumber = \"11\"",
            "11 is a code and an extension",
        ),
        ("codes = { login = \"*11 \" }", "\"*11 \" cannot be dialled"),
        ("registrar = \"upstream\"", "\"upstream\" is not available in this version"),
        ("codes = { login = \"*11\", toggle = \"*1\" }", "*11 and *1 begin alike"),
        ("codes = { who = \"*13\", toggle = \"*13\" }", "*13 and *13 begin alike"),
        ("codes = { login = \"*14\", pin = \"*14\" }", "*14 and *14 begin alike"),
        ("codes = { who = \"112\" }", "112 is an emergency call and a code"),
        ("attendant = { language = \"../en\" }", "\"../en\" is no language"),
        ("attendant = { language = \"English\" }", "\"English\" is no language"),
        ("attendant = { tries = 0 }", "`tries`"),
        ("attendant = { digit_timeout = \"2m\" }", "`digit_timeout`"),
        ("[tenant.seats]\ncodes_from = \"all\"", "\"all\""),
        ("[tenant.seats]\nlogout_at = [\"24:00\"]", "\"24:00\" is no time of day"),
        ("[tenant.seats]\nidle_timeout = \"5s\"", "`idle_timeout` is out of bounds"),
        ("[tenant.seats]\nhoteling_expires = \"59s\"", "`hoteling_expires` is out of bounds"),
        ("[tenant.seats]\nhoteling_expires = \"90500ms\"", "an expiry has whole seconds"),
        ("time_zone = \"Mars/Olympus\"", "there is no time zone Mars/Olympus"),
        (
            "[[tenant.site]]\nid = \"a\"\ncodes = { login = \"*1\", logout = \"*12\" }",
            "*1 and *12 begin alike",
        ),
        (
            "[[tenant.extension]]\nnumber = \"11\"\n[[tenant.device]]\nid = \"d\"\npassword = \"x\"\ncodes = { login = \"11\" }",
            "11 is a code and an extension",
        ),
        (
            "[[tenant.device]]\nid = \"d\"\npassword = \"x\"\nbase_extension = \"9999\"",
            "there is no extension 9999",
        ),
        ("[[tenant.extension]]\nnumber = \"11\"\nsites = [\"nowhere\"]", "`sites`: there is no nowhere"),
        (
            "[[tenant.extension]]\nnumber = \"11\"\naliases = [\"12\"]\n[[tenant.extension]]\nnumber = \"12\"",
            "12 names two extensions, or one twice",
        ),
        (
            "[[tenant.extension]]\nnumber = \"11\"\naliases = [\"0112\"]",
            "0112 is an emergency call and an alias",
        ),
        ("base = { may_call = [\"2…\"] }", "\"2…\" is no number"),
        ("absent = \"voicemail\"", "\"voicemail\" is not possible here"),
        ("absent = { last_desk = \"30s\" }", "`last_desk` is out of bounds"),
        ("absent = { redirect = \"0301234\" }", "nobody can be sent to \"0301234\""),
        ("absent = { redirect = \"sip:a@b.example;x=1\" }", "nobody can be sent to"),
        ("route = [{ peers = [] }]", "a route leads somewhere"),
        ("route = [{}]", "`peers` is missing in [[tenant.route]]"),
        ("route = [{ peers = [\"tel:+1\"] }]", "is no SIP URI"),
        ("route = [{ peers = [\"sip:127.0.0.1\"], trust = \"tls\" }]", "\"tls\" is not possible here"),
        ("route = [{ peers = [\"sip:127.0.0.1\"], trust = \"digest\" }]", "`username` is missing"),
        (
            "route = [{ peers = [\"sip:127.0.0.1\"], trust = \"digest\", username = \"a\" }]",
            "`password` is missing in [[tenant.route]]",
        ),
        (
            "route = [{ peers = [\"sip:127.0.0.1\"], password = \"x\" }]",
            "`password` is for peers that ask for it",
        ),
        (
            "route = [{ peers = [\"sip:127.0.0.1\"], trust = \"digest\", username = 'a\"b', password = \"x\" }]",
            "no peer can be told this",
        ),
        ("route = [{ peers = [\"sip:127.0.0.1\"], prefix = \"0x\" }]", "no number begins with \"0x\""),
        (
            "route = [{ peers = [\"sip:127.0.0.1\"] }, { peers = [\"sip:127.0.0.2\"] }]",
            "two routes are for all numbers",
        ),
        (
            "route = [{ prefix = \"0\", peers = [\"sip:127.0.0.1\"] }, { prefix = \"0\", peers = [\"sip:127.0.0.2\"] }]",
            "two routes are for what begins with \"0\"",
        ),
        (
            "route = [{ prefix = \"0\", peers = [\"sip:127.0.0.1\"], trust = \"digest\", username = \"a\", password = \"x\" }, \
             { prefix = \"1\", peers = [\"sip:127.0.0.2\", \"sip:127.0.0.1\"], trust = \"digest\", username = \"b\", password = \"x\" }]",
            "the edge has two accounts at 127.0.0.1:5060",
        ),
        ("outside = { barred = [\"\"] }", "this bars every number"),
        ("outside = { calls_max = 200000 }", "`calls_max` is out of bounds"),
        (
            "[[tenant.extension]]\nnumber = \"1\"\nnumbers = [\"+12\"]\n[[tenant.extension]]\nnumber = \"2\"\nnumbers = [\"12\"]",
            "two extensions have the number 12",
        ),
        (
            "[[tenant.extension]]\nnumber = \"1\"\nnumbers = [\"22\"]\n[[tenant.extension]]\nnumber = \"22\"",
            "22 is an extension, and a number of 1",
        ),
        ("absent = {}", "`redirect` is missing in [tenant.absent]"),
        ("[tenant.registration]\nexpires_min = \"20m\"", "expiries are not in order"),
        ("[tenant.registration]\nexpires_min = \"1500ms\"", "an expiry has whole seconds"),
        ("[tenant.registration]\ndigest = []", "without a digest algorithm no phone can register"),
        ("[tenant.registration]\nexpires_max = 7200", "`expires_max` has no unit"),
        ("[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"911\"", "\"911\" is no E.164 number"),
        ("[[tenant.site]]\nid = \"hq\"\nemergency_route = \"psap\"", "the route is no SIP URI"),
        ("[[tenant.site]]\nid = \"hq\"\nnetworks = [\"10.2.0.1/16\"]", "bits outside of its prefix"),
        ("trusted_networks = [\"10.1.0.1/16\"]", "bits outside of its prefix"),
        ("[[tenant.site]]\nid = \"hq\"\ncivic = { country = \"USA\" }", "\"USA\" is no country code"),
        (
            "[[tenant.site]]\nid = \"hq\"\ncivic = { STREET = \"x\", country = \"US\" }",
            "unknown key `STREET`",
        ),
        ("[[tenant.site]]\nid = \"hq\"\n[[tenant.site]]\nid = \"hq\"", "two sites are called hq"),
        ("[[tenant.device]]\nid = \"a b\"\npassword = \"p\"", "' ' is not possible in a name"),
        ("[[tenant.device]]\nid = \"d\"\nsite = \"hq\"\npassword = \"p\"", "there is no site hq"),
        ("[[tenant.device]]\nid = \"d\"", "`password` is missing in [[tenant.device]]"),
        ("[[tenant.device]]\nid = \"d\"\npassword = \"\"", "the secret is empty"),
        ("[[tenant.device]]\nid = \"d\"\npassword = { file = \"x\" }", "/nonexistent/x cannot be read"),
        ("[[tenant.extension]]\nnumber = \"1-1-2\"", "1-1-2 is an emergency call and an extension"),
        ("[[tenant.extension]]\nnumber = \"1\"\nown_phones_max = 2", "ordinary phones of 1 cannot register"),
        (
            "[[tenant.extension]]\nnumber = \"1\"\npassword = \"p\"\ndevices_max = 4\nown_phones_max = 5",
            "1 could ring at 9 places",
        ),
        ("[[tenant.extension]]\nnumber = \"1\"\ndevices_max = 0", "`devices_max` is out of bounds"),
        ("[[tenant.extension]]\nnumber = \"1\"\npin = { hash = \"$2b$x\" }", "this PIN hash cannot be used"),
        ("[[tenant]]\nid = \"acme\"\ndomains = [\"b.example\"]", "two tenants are called acme"),
        ("[[tenant]]\nid = \"b\"\ndomains = [\"ACME.example\"]", "the domain acme.example is given twice"),
        ("[timers]\ntimer_c = \"3m\"", "`timer_c` is out of bounds"),
        ("[timers]\nt1 = \"5s\"", "`t1` is longer than `t2`"),
        ("[audit]\nkeep = \"10m\"", "`keep` is out of bounds"),
        ("[audit]\nrecords_max = 10", "`records_max` is out of bounds"),
        ("[audit]\nfile = \"\"", "`file` is empty"),
        ("[[hook]]\nname = \"a\"", "`url` is missing in [[hook]]"),
        ("[[hook]]\nname = \"a\"\nurl = \"https://a..b/\"", "no certificate can be for this host"),
        (
            "[[hook]]\nname = \"a\"\nurl = \"https://127.0.0.1/\"\nca = \"x.pem\"",
            "/nonexistent/x.pem cannot be read",
        ),
        ("[[hook]]\nname = \"a\"\nurl = \"ftp://127.0.0.1/\"", "not an http URL"),
        ("[[hook]]\nname = \"a\"\nurl = \"/hotdesk\"", "not a URL"),
        (
            "[[hook]]\nname = \"a\"\nurl = \"http://u:p@127.0.0.1/\"",
            "a user and a password in a URL are not sent",
        ),
        (
            "[[hook]]\nname = \"a\"\nurl = \"http://127.0.0.1/\"\nevents = [\"login\"]",
            "no record is of the kind \"login\"",
        ),
        (
            "[[hook]]\nname = \"a\"\nurl = \"http://127.0.0.1/\"\n[[hook]]\nname = \"a\"\nurl = \"http://127.0.0.1/\"",
            "two hooks are called a",
        ),
        ("[tenant.registration]\nexpires_spread = 51", "`expires_spread` is out of bounds"),
        ("[admission]\nsource_rate = 0", "`source_rate` is out of bounds"),
        ("[admission]\nban = \"2d\"", "`ban` is out of bounds"),
        ("[admission]\nscanners = [\"sip\", \"x\"]", "\"x\" is no beginning of a User-Agent"),
        ("[admission]\nnever_limited = [\"10.1.0.1/16\"]", "bits outside of its prefix"),
        ("allow = [\"10.1.0.0/16\"]\ndeny = [\"10.0.0.0/8\"]", "nobody may speak here"),
        ("[store]\nkind = \"redis\"", "\"redis\" is not available in this version"),
        ("[[listen]]\nprotocol = \"udp\"\naddress = \"localhost:5060\"", "is no address with a port"),
        ("[[listen]]\nprotocol = \"udp\"\naddress = \"127.0.0.1:0\"\ndscp = 64", "`dscp` is out of bounds"),
        (
            "[[listen]]\nprotocol = \"tls\"\naddress = \"127.0.0.1:0\"",
            "`certificate` is missing in [[listen]]",
        ),
        (
            "[[listen]]\nprotocol = \"tcp\"\naddress = \"127.0.0.1:0\"\nclient_ca = \"a.pem\"",
            "`client_ca` is for a listener that speaks TLS",
        ),
        (
            "[control]\naddress = \"127.0.0.1:1\"\ntokens = [{ name = \"a\" }]",
            "exactly one of `token`, `hash` and",
        ),
    ] {
        let report = refused(&small_with(more));

        assert!(report.lines().any(|line| line.contains(reason)), "{more}\n{report}");
    }
}

#[test]
fn route_that_cannot_be_reached_over_udp_is_refused() {
    for (route, reason) in [
        ("sips:psap.example", "sips: is not available in this version"),
        ("sip:psap.example;transport=tcp", "the route has parameters"),
        ("sip:112@psap.example", "the route names a user"),
        ("tel:112", "the route is no SIP URI"),
        ("sip:psap.example:0", "the route has no valid host"),
    ] {
        let report = refused(&SMALL.replace("sip:127.0.0.1:5070", route));

        assert!(report.lines().any(|line| line.contains(reason)), "{route}\n{report}");
    }
}

#[test]
fn keyed_pin_hash_needs_the_pepper() {
    let keyed = hash::hash_hmac(b"7738", &key()).unwrap();
    let extension = format!("[[tenant.extension]]\nnumber = \"1001\"\npin = {{ hash = \"{keyed}\" }}\n");
    let folder = complete_folder();

    let without = refused(&small_with(&extension));
    let with = parse_in(
        folder.path(),
        &small_with(&format!("{extension}[pins]\npepper = {{ file = \"secrets/pepper\" }}")),
    );

    assert!(without.to_string().contains("there is no usable pepper"), "{without}");
    let loaded = with.unwrap();
    assert!(hash::verify(&keyed, b"7738", loaded.server.keys.pepper.as_ref()).unwrap());
}

#[test]
fn pepper_that_is_too_short_is_refused() {
    let folder = complete_folder();
    write(&folder, "secrets/pepper", "0123456789abcdef0123456789abcde\n", 0o600);

    let report = parse_in(folder.path(), &small_with("[pins]\npepper = { file = \"secrets/pepper\" }"))
        .expect_err("31 octets are too few");

    assert_eq!(
        drawn(&report),
        "  × a key of PINs has at least 32 octets
    ╭─[test.toml:11:19]
 10 │ [pins]
 11 │ pepper = { file = \"secrets/pepper\" }
    ·                   ────────┬───────
    ·                           ╰── this one has fewer
    ╰────
  help: make one: hotdesk make-pepper FILE"
    );
}

#[test]
fn pin_hashes_of_two_kinds_are_a_warning() {
    let keyed = hash::hash_hmac(b"7738", &key()).unwrap();
    let cheap = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$YfEHzMkdKdzgQr2M+KZdvnh2m3w9vSw2zROjiY70IxI";
    let dear = hash::hash_argon2id(b"7738").unwrap();
    let folder = complete_folder();
    let warnings = |hashes: [&str; 3]| -> Vec<String> {
        let extensions = hashes.iter().zip(1..).map(|(hash, number)| {
            format!("[[tenant.extension]]\nnumber = \"100{number}\"\npin = {{ hash = \"{hash}\" }}\n")
        });
        let pins = "[pins]\npepper = { file = \"secrets/pepper\" }\n";
        let text = small_with(&format!("{}{pins}", extensions.collect::<String>()));
        parse_in(folder.path(), &text).unwrap().warnings.lines().collect()
    };

    let alike = warnings([&keyed, &keyed, &keyed]);
    let mixed = warnings([&keyed, &dear, &keyed]);
    let uneven = warnings([cheap, &dear, &dear]);

    assert!(alike.is_empty(), "{alike:?}");
    let exists = "PINs are stored in more than one way: the time a wrong one takes tells that 1002";
    assert_eq!(mixed, [format!("test.toml:14: {exists} exists")]);
    assert_eq!(uneven, [format!("test.toml:14: {exists} (and 1 more) exists")]);
}

#[test]
fn one_emergency_caller_at_two_sites_is_a_warning() {
    let loaded = parse(&small_with(
        "[[tenant.site]]\nid = \"a\"\nemergency_caller = \"+12125550100\"\n\
         [[tenant.site]]\nid = \"b\"\nemergency_caller = \"+12125550100\"\n",
    ));

    let warnings = loaded.unwrap().warnings;
    assert_eq!(
        warnings.lines().collect::<Vec<_>>(),
        ["test.toml:12: two sites show the emergency caller +12125550100"]
    );
}

#[test]
fn number_of_a_person_that_emergency_calls_show_is_a_warning() {
    let site = "[[tenant.site]]\nid = \"a\"\nemergency_caller = \"+12125550100\"\n";
    let with = |number: &str| {
        let person = format!("[[tenant.extension]]\nnumber = \"4001\"\nnumbers = [\"{number}\"]\n");
        parse(&small_with(&format!("{site}{person}"))).unwrap().warnings
    };
    let fault = "emergency calls from a show +12125550100, a number of 4001";

    let shared = [with("+12125550100"), with("12125550100")];
    let own = with("+12125550101");

    assert!(shared.iter().all(|warnings| warnings.lines().any(|line| line.contains(fault))), "{shared:?}");
    assert!(!own.lines().any(|line| line.contains("emergency calls from a")), "{own}");
}

#[test]
fn secrets_that_others_may_read_are_a_warning() {
    let folder = complete_folder();
    write(&folder, "secrets/desk-1", "one-two-three\nand a comment\n", 0o644);
    let device = "[[tenant.device]]\nid = \"d\"\nsite = \"hq\"\npassword = { file = \"secrets/desk-1\" }\n\
                  [[tenant.site]]\nid = \"hq\"\nemergency_caller = \"+12125550100\"\n";

    let loaded = parse_in(folder.path(), &small_with(device)).unwrap();

    let lines: Vec<_> = loaded.warnings.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].ends_with("secrets/desk-1 is a secret that everybody on this machine may read"),
        "{lines:?}"
    );
}

#[test]
fn clear_secrets_are_a_warning_outside_of_a_demonstration() {
    let text = small_with("[[tenant.extension]]\nnumber = \"1001\"\npassword = \"p\"\n");
    let source = |text| {
        let base = Path::new("/nonexistent");
        config::parse(&Source { name: "test.toml", text, base, readable_by_others: true, resolve: &no_host })
    };

    let demonstration = source(&text).unwrap();
    let office = text.replace("127.0.0.1:0", "192.0.2.1:5060");
    let office = source(&office).unwrap();

    assert!(demonstration.warnings.is_empty(), "{}", demonstration.warnings);
    let lines: Vec<_> = office.warnings.lines().collect();
    assert_eq!(
        lines,
        ["test.toml:12: secrets stand in clear in a file that everybody on this machine may read"]
    );
}

#[test]
fn route_whose_host_is_lost_keeps_the_addresses_of_before() {
    let text = SMALL.replace("sip:127.0.0.1:5070", "sip:psap.example");
    let found = |host: &str, port: u16| {
        assert_eq!((host, port), ("psap.example", 5060));
        Ok(vec!["192.0.2.7:5060".parse().unwrap(), "192.0.2.7:5060".parse().unwrap()])
    };
    let bound = ["127.0.0.1:5060".parse().unwrap()];
    let base = Path::new("/nonexistent");
    let source = Source { name: "test.toml", text: &text, base, readable_by_others: false, resolve: &found };

    let first = config::parse(&source).unwrap().settings(1, &bound, None);
    let lost = parse(&text).unwrap();
    assert_eq!(lost.warnings.warnings(), 1);
    let second = lost.settings(2, &bound, Some(&first));
    let other = parse(&text.replace("psap.example", "psap.test")).unwrap().settings(3, &bound, Some(&second));

    let addresses =
        |settings: &dataplane::settings::Settings| settings.tenants[0].emergency.routes[0].addresses.clone();
    assert_eq!(addresses(&first), ["192.0.2.7:5060".parse().unwrap()]);
    assert_eq!(addresses(&second), addresses(&first));
    assert!(addresses(&other).is_empty());
}

#[test]
fn emergency_calls_are_read_as_they_are_written() {
    let text = SMALL.replace(
        "route = \"sip:127.0.0.1:5070\"",
        "route = \"sip:127.0.0.1:5070\", routes = [\"sip:[::1]\"], trust = \"digest\", username = \"acme\", \
         password = \"secret\", realm = \"psap\", no_answer = \"2s\", hold = \"30m\", \
         location = \"pidf-lo\", notify = [\"1001\", \"sip:guard@127.0.0.9\"]",
    );
    let text = format!(
        "{text}\n[[tenant.extension]]\nnumber = \"1001\"\n[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"+12125550100\"\n\
         emergency_route = \"sip:127.0.0.2\"\ncivic = {{ RD = \"46th\", country = \"US\", FLR = \"2\" }}\n"
    );
    let bound = ["127.0.0.1:5060".parse().unwrap()];

    let settings = parse(&text).unwrap().settings(1, &bound, None);

    let (tenant, route) = (&settings.tenants[0], |uri: &str, address: &str| Peer {
        uri: uri.into(),
        addresses: vec![address.parse().unwrap()],
    });
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert_eq!(
        tenant.emergency.routes,
        [route("sip:127.0.0.1:5070", "127.0.0.1:5070"), route("sip:[::1]", "[::1]:5060")]
    );
    let account = tenant.emergency.account.as_ref().unwrap();
    let (username, password, realm) =
        (&*account.username, account.password.as_str(), account.realm.as_deref());
    assert_eq!((username, password, realm), ("acme", "secret", Some("psap")));
    assert!(!format!("{settings:?}").contains("secret\""), "what is printed holds no password");
    assert_eq!(tenant.emergency.no_answer, Duration::from_secs(2));
    assert_eq!((tenant.emergency.hold, tenant.emergency.call_back), (minutes(30), minutes(30)));
    assert_eq!(tenant.emergency.location, LocationForm::PidfLo);
    let guard = route("sip:guard@127.0.0.9", "127.0.0.9:5060");
    assert_eq!(tenant.emergency.notify, [Told::Extension("1001".into()), Told::Peer(guard)]);
    assert_eq!(tenant.sites[0].emergency_routes, [route("sip:127.0.0.2", "127.0.0.2:5060")]);
    let civic: Vec<_> = tenant.sites[0].civic.iter().map(|(name, text)| (&**name, &**text)).collect();
    assert_eq!(civic, [("country", "US"), ("RD", "46th"), ("FLR", "2")], "in the order of the schema");
}

#[test]
fn emergency_calls_without_a_way_or_a_place_are_warned_of() {
    let warnings = |text: &str| parse(text).unwrap().warnings.lines().collect::<Vec<_>>();
    let without = SMALL.replace(", route = \"sip:127.0.0.1:5070\"", "");
    let site = "[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"+12125550100\"\n";
    let with_site = |more: &str| format!("{without}{site}{more}");

    assert_eq!(warnings(&with_site("emergency_route = \"sip:127.0.0.2\"\n")), [""; 0]);
    assert!(warnings(&with_site(""))[0].ends_with("emergency calls of acme go nowhere: 112 will get 500"));
    assert!(
        warnings(&with_site("emergency_route = \"sip:nowhere.example\"\n"))[0]
            .ends_with("nowhere.example was not found: emergency calls of hq do not go there")
    );
    let located = SMALL.replace("numbers =", "location = \"pidf-lo\", numbers =");
    assert!(
        warnings(&format!("{located}{site}"))[0]
            .ends_with("no civic address: emergency calls from hq carry no location")
    );
}

#[test]
fn listeners_are_told_what_they_were_bound_to() {
    let text = small_with(
        "[[listen]]\nprotocol = \"tcp\"\naddress = \"[::1]:0\"\ntenant = \"acme\"\n\
         [[listen]]\nprotocol = \"udp\"\naddress = \"0.0.0.0:0\"\nadvertise = \"Edge.Example\"\n",
    );
    let bound = ["127.0.0.1:40001", "[::1]:40002", "0.0.0.0:40003"].map(|address| address.parse().unwrap());

    let settings = parse(&text).unwrap().settings(7, &bound, None);

    let told: Vec<_> = settings
        .listeners
        .iter()
        .map(|listener| (&*listener.advertise_host, listener.advertise_port, listener.tenant.as_deref()))
        .collect();
    assert_eq!(
        told,
        [("127.0.0.1", 40001, None), ("[::1]", 40002, Some("acme")), ("edge.example", 40003, None)]
    );
    assert_eq!(settings.generation, 7);
    assert_eq!(settings.tenants[0].realm(), "acme.example");
}

#[test]
fn keys_that_need_a_start_are_named() {
    let before = parse(SMALL).unwrap().server;
    let workers =
        parse(&small_with("[edge]\nworkers = 7\nname = \"x\"\n[store]\nkind = \"memory\"\n")).unwrap().server;
    let address = parse(&SMALL.replace("127.0.0.1:0", "127.0.0.2:0")).unwrap().server;
    let dscp = parse(&SMALL.replace("[[listen]]", "[[listen]]\ndscp = 40")).unwrap().server;
    let name = parse(&small_with("[edge]\nname = \"edge-2\"\n")).unwrap().server;

    assert_eq!(before.changed_at_start_only(&workers), ["edge.workers", "store"]);
    assert_eq!(before.changed_at_start_only(&address), ["listen.protocol, listen.address, listen.dscp"]);
    assert_eq!(before.changed_at_start_only(&dscp), ["listen.protocol, listen.address, listen.dscp"]);
    assert!(before.changed_at_start_only(&name).is_empty());
}

#[test]
fn media_that_cannot_work_is_underlined() {
    for (media, finding) in [
        ("ports = \"20000\"", "\"20000\" is no range of ports"),
        ("ports = \"80-90\"", "\"80-90\" is no range of ports"),
        ("ports = \"30000-20000\"", "\"30000-20000\" is no range of ports"),
        ("ports = \"20001-20001\"", "\"20001-20001\" is no range of ports"),
        ("ports = \"20000-20009\"\nsessions_max = 6", "6 sessions need as many even ports"),
        ("sessions_max = 5001", "5001 sessions need as many even ports"),
        ("dscp = 64", "`dscp` is out of bounds"),
        ("address = \"edge.example\"", "\"edge.example\" is no address"),
        ("address = \"0.0.0.0\"", "phones cannot be told to send sound to 0.0.0.0"),
        ("advertise = \"a b\"", "\"a b\" is no host"),
        (
            "prompts = \"nowhere\"",
            "/nonexistent/nowhere cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let report = refused(&small_with(&format!("[media]\n{media}\n")));

        assert_eq!(report.errors(), 1, "{report}");
        assert!(report.lines().any(|line| line.ends_with(finding)), "{media}: {report}");
    }
}

#[test]
fn fewer_ports_mean_fewer_sessions() {
    let loaded = parse(&small_with("[media]\nports = \"20000-20099\"\n")).unwrap();

    assert_eq!(loaded.server.media.setup.sessions_max, 50);
}

#[test]
fn a_language_that_lacks_prompts_is_a_warning_and_a_broken_prompt_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let french = folder.path().join("prompts/fr");
    fs::create_dir_all(&french).unwrap();
    fs::copy(Path::new(ROOT).join("configs/prompts/en/busy.wav"), french.join("busy.wav")).unwrap();
    let text = small_with("[media]\nprompts = \"prompts\"\n");

    let warnings = parse_in(folder.path(), &text).unwrap().warnings;
    fs::write(french.join("busy.wav"), "no sound").unwrap();
    let report = parse_in(folder.path(), &text).unwrap_err();

    assert_eq!(warnings.warnings(), 1, "{warnings}");
    assert!(
        warnings.lines().any(|line| line.contains("fr lacks ") && line.contains("goodbye")),
        "{warnings}"
    );
    assert!(report.lines().any(|line| line.contains("prompts/fr/busy.wav: no WAV file of PCM")), "{report}");
}

/// A tenant with extension 1001, without a PIN of its own, and what `pins` adds.
fn with_pins(pins: &str) -> String {
    small_with(&format!(
        "codes = {{ login = \"*11\" }}\n[[tenant.device]]\nid = \"desk-1\"\npassword = \"x\"\nsite = \"hq\"\n[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"+12125550100\"\n[[tenant.extension]]\nnumber = \"1001\"\n{pins}"
    ))
}

#[test]
fn extensions_whose_pin_is_in_voicemail_conf_have_one() {
    let folder = complete_folder();
    write(&folder, "voicemail.conf", "[default]\n1001 => 7738\n[annex]\n1001 => ,Nobody\n", 0o600);
    let backend = |more: &str| {
        let backend =
            format!("[[tenant.pins.backend]]\nkind = \"voicemail_conf\"\npath = \"voicemail.conf\"\n{more}");
        let loaded = parse_in(folder.path(), &with_pins(&backend)).unwrap();
        loaded.warnings.lines().collect::<Vec<_>>().join("\n")
    };

    assert_eq!(backend(""), "");
    assert!(backend("context = \"annex\"\n").contains("no PIN: 1001"));
    let misspelt = backend("context = \"defualt\"\n");
    assert!(misspelt.contains("the file has no context defualt"), "{misspelt}");
    fs::remove_file(folder.path().join("voicemail.conf")).unwrap();
    assert!(backend("").contains("cannot be read: no PIN of it can be checked until it can"));
}

#[test]
fn fallback_pin_is_warned_of_with_how_many_it_opens() {
    let hash = hash::hash_argon2id(b"7738").unwrap();
    let (fallback, own) =
        (format!("fallback = {{ hash = \"{hash}\""), format!("pin = {{ hash = \"{hash}\" }}"));
    let warnings = |more: &str, second: &str| {
        let text = small_with(&format!(
            "[tenant.codes]\nlogin = \"*11\"\n[[tenant.device]]\nid = \"desk-1\"\npassword = \"x\"\n\
            [[tenant.extension]]\nnumber = \"1001\"\n[[tenant.extension]]\nnumber = \"1002\"\n{second}\n\
            [tenant.pins]\n{fallback}{more} }}\n"
        ));
        parse(&text).unwrap().warnings.to_string()
    };

    let both = warnings("", "");
    assert!(
        both.contains("whoever knows the fallback PIN can choose the PIN of each of the 2 extensions"),
        "{both}"
    );
    assert!(!both.contains("no PIN: 1001"), "they can log in: {both}");
    let one = warnings(", must_change = false", &own);
    assert!(one.contains("the fallback PIN can log in as the one extension that has no PIN"), "{one}");
    assert!(!one.contains(&hash), "{one}");
}

#[test]
fn pins_that_cannot_be_used_are_refused() {
    let hash = hash::hash_argon2id(b"7738").unwrap();
    let sealed = seal::seal(b"7738", &key()).unwrap();
    let extension = |pin: &str| format!("[[tenant.extension]]\nnumber = \"1\"\npin = {{ {pin} }}\n");
    let pins = |text: &str| format!("[tenant.pins]\n{text}\n");
    for (text, reason) in [
        (extension(&format!("sealed = \"{sealed}\"")), "this PIN is sealed, and there is no usable key"),
        (extension(&format!("sealed = \"{hash}\"")), "this is no sealed PIN"),
        (extension(&format!("hash = \"{hash}\", sealed = \"{sealed}\"")), "a PIN is hashed or sealed"),
        (extension("must_change = true"), "`hash` is missing in [tenant.extension.pin]"),
        (pins("length_min = 3"), "`length_min` is out of bounds"),
        (pins("backend = [{ kind = \"sql\" }]"), "\"sql\" is not available in this version"),
        (pins("backend = [{ kind = \"voicemail_conf\" }]"), "`path` is missing"),
        (pins("fallback = { must_change = true }"), "`hash` is missing"),
        (pins("fallback = { hash = \"7738\" }"), "this PIN hash cannot be used"),
        (pins("master = [{ name = \"a\", hash = \"7738\" }]"), "this PIN hash cannot be used"),
        (pins(&format!("master = [{{ hash = \"{hash}\" }}]")), "`name` is missing"),
        (
            pins(&format!(
                "master = [{{ name = \"a\", hash = \"{hash}\" }}, {{ name = \"a\", hash = \"{hash}\" }}]"
            )),
            "two master PINs are called a",
        ),
    ] {
        let report = refused(&small_with(&text));

        assert!(report.lines().any(|line| line.contains(reason)), "{text}\n{report}");
        assert!(!report.to_string().contains(&hash) && !report.to_string().contains(&sealed), "{report}");
    }
}

#[test]
fn sealed_pin_is_read_under_its_key() {
    let folder = complete_folder();
    let sealed = seal::seal(b"7738", &key()).unwrap();
    let pin = format!("pin = {{ sealed = \"{sealed}\", must_change = true }}\n");
    let pins = "[pins]\nseal_key = { file = \"secrets/seal-key\" }\n";
    let text = small_with(&format!("[[tenant.extension]]\nnumber = \"1001\"\n{pin}{pins}"));

    let loaded = parse_in(folder.path(), &text).unwrap();

    let seal_key = loaded.server.keys.seal.clone().unwrap();
    let tenant = loaded.tenants().next().unwrap();
    let stored = tenant.extension("1001").unwrap().pin.clone().unwrap();
    assert_eq!(*seal::open(&stored.phc, &seal_key).unwrap(), b"7738");
    assert!(stored.must_change);
}

#[test]
fn guest_keys_take_pins_that_they_can_prove() {
    let folder = complete_folder();
    let sealed = format!("sealed = \"{}\"", seal::seal(b"7738", &key()).unwrap());
    let hashed = format!("hash = \"{}\"", hash::hash_argon2id(b"7738").unwrap());
    let with = |seats: &str, pins: &str, [first, second]: [&str; 2]| {
        let extensions = [(1001, first), (1002, second)]
            .map(|(number, pin)| format!("[[tenant.extension]]\nnumber = \"{number}\"\npin = {{ {pin} }}\n"));
        let keys = "[pins]\nseal_key = { file = \"secrets/seal-key\" }\n";
        let seats = format!("[tenant.seats]\n{seats}\n");
        parse_in(folder.path(), &small_with(&format!("{seats}{pins}{}{keys}", extensions.concat())))
    };
    let on = "hoteling = true";
    let fallback = format!("[tenant.pins.fallback]\n{hashed}\n");
    let warnings = |loaded: Loaded| loaded.warnings.lines().collect::<Vec<_>>();

    let served = with("hoteling = true\nhoteling_expires = \"10m\"", "", [&sealed, &sealed]).unwrap();
    let policy = served.tenants().next().unwrap().seats.hoteling.unwrap();
    assert_eq!((policy.expires_max, policy.challenge), (600, true));
    assert!(warnings(served).concat().contains("guest keys cross the network unencrypted"));
    let over_tls = small_with("[tenant.seats]\nhoteling = true\n").replacen(
        "[[listen]]\nprotocol = \"udp\"\naddress = \"127.0.0.1:0\"\n",
        &tls_listener("edge.pem", "edge.key", ""),
        1,
    );
    assert_eq!(warnings(parse_in(folder.path(), &over_tls).unwrap()), <[String; 0]>::default());
    let refused = with(on, "", [&sealed, &hashed]).unwrap_err();
    assert!(refused.lines().any(|line| line.contains("the PIN of 1002 is hashed: with the backend `file`")));
    let refused = with(on, "", [&hashed, &hashed]).unwrap_err();
    assert!(refused.lines().any(|line| line.contains("the PIN of 1001 (and 1 more) is hashed")));
    let elsewhere = "[[tenant.pins.backend]]\nkind = \"voicemail_conf\"\npath = \"voicemail.conf\"\n";
    assert!(with(on, elsewhere, [&hashed, &hashed]).is_ok(), "no PIN of this file counts");
    let fallen = warnings(with(on, &fallback, [&sealed, &sealed]).unwrap());
    assert!(fallen.iter().any(|line| line.contains("no PIN but the fallback cannot log in by a guest key")));
    let open = warnings(with("hoteling = true\nhoteling_challenge = false", "", [&hashed, &hashed]).unwrap());
    assert!(open.iter().any(|line| line.contains("guest keys take no PIN")), "{open:?}");
    let off = with("hoteling_challenge = false", "", [&hashed, &hashed]).unwrap();
    assert_eq!(off.tenants().next().unwrap().seats.hoteling, None);
    assert!(off.warnings.lines().next().is_none());
}

fn hook(url: &str, ca: &str) -> String {
    format!("[[hook]]\nname = \"a\"\nurl = \"{url}\"\nca = \"tls/{ca}\"\n")
}

/// A listener that speaks TLS, with a certificate out of these files and more lines.
fn tls_listener(chain: &str, key: &str, more: &str) -> String {
    let certificate = format!("certificate = {{ chain = \"tls/{chain}\", key = \"tls/{key}\" }}");
    format!("[[listen]]\nprotocol = \"tls\"\naddress = \"127.0.0.1:0\"\n{certificate}\n{more}\n")
}

#[test]
fn certificate_that_cannot_be_used_is_refused_with_its_file_and_the_reason() {
    let folder = complete_folder();
    let authority = Authority::new("another");
    write_certificate(&folder, "tls/nameless", &authority.phone("a phone"));
    write(&folder, "tls/cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n", 0o600);
    let optional = |more: &str| tls_listener("edge.pem", "edge.key", more);
    let of_tenant = |name: &str| {
        format!("certificate = {{ chain = \"tls/{name}.pem\", key = \"tls/{name}.key\" }}\n{}", optional(""))
    };
    let twin = "[[tenant]]\nid = \"b\"\ndomains = [\"b\"]\n\
                certificate = { chain = \"tls/acme.pem\", key = \"tls/acme.key\" }\n";

    for (more, reason) in [
        (tls_listener("no.pem", "edge.key", ""), "tls/no.pem cannot be read"),
        (tls_listener("edge.key", "edge.key", ""), "tls/edge.key: there is no certificate in it"),
        (tls_listener("cut.pem", "edge.key", ""), "tls/cut.pem: it is not PEM"),
        (tls_listener("edge.pem", "edge.pem", ""), "tls/edge.pem: there is no private key in it"),
        (tls_listener("edge.pem", "acme.key", ""), "tls/acme.key: it is the key of another certificate"),
        (hook("https://127.0.0.1/", "edge.key"), "tls/edge.key: there is no certificate in it"),
        (hook("https://127.0.0.1/", "cut.pem"), "tls/cut.pem: it is not PEM"),
        (of_tenant("nameless"), "the certificate names no host"),
        (format!("{}{twin}", of_tenant("acme")), "two tenants have a certificate for acme.example"),
        (optional("client_certificates = \"required\""), "`client_ca` is missing"),
        (
            optional("client_certificates = \"optional\"\nclient_ca = \"tls/edge.key\""),
            "tls/edge.key: there is no certificate in it",
        ),
        (
            optional("client_certificates = \"optional\"\nclient_mac = [\"{mac}\"]"),
            "\"{mac}\" is no pattern: it begins with none of CN=",
        ),
    ] {
        let report = parse_in(folder.path(), &small_with(&more)).expect_err(&more);

        assert!(report.lines().any(|line| line.contains(reason)), "{more}\n{report}");
    }
}

#[test]
fn certificate_that_expires_and_a_key_that_others_may_read_are_warnings() {
    let folder = complete_folder();
    let authority = Authority::new("us");
    write_certificate(&folder, "tls/old", &authority.expired_host(&["edge.example"]));
    write(&folder, "tls/old.key", &fs::read_to_string(folder.path().join("tls/old.key")).unwrap(), 0o604);
    let listener = tls_listener("old.pem", "old.key", "client_ca = \"tls/makers.pem\"");
    let secret = "secret = { file = \"secrets/hook\" }\n";
    let text = small_with(&format!("{listener}{}{secret}", hook("http://127.0.0.1/", "makers.pem")));

    let loaded = parse_in(folder.path(), &text).unwrap();

    let warnings: Vec<_> = loaded.warnings.lines().collect();
    let says = |text: &str| warnings.iter().any(|line| line.contains(text));
    assert!(says("tls/old.pem has expired: phones refuse it"), "{warnings:?}");
    assert!(says("tls/old.key is a secret that everybody on this machine may read"), "{warnings:?}");
    assert!(says("`client_ca` has no effect where phones show no certificates"), "{warnings:?}");
    assert!(says("`ca` has no effect without TLS"), "{warnings:?}");
    assert_eq!(warnings.len(), 4, "{warnings:?}");
}

#[test]
fn account_for_emergency_calls_is_the_one_that_a_route_has_at_their_address() {
    let emergency =
        "route = \"sip:127.0.0.1:5070\", trust = \"digest\", username = \"acme\", password = \"x\"";
    let with = |username: &str, port: u16| {
        let text = SMALL.replace("route = \"sip:127.0.0.1:5070\"", emergency);
        let route =
            format!("peers = [\"sip:127.0.0.1:{port}\"]\ntrust = \"digest\"\nusername = \"{username}\"\n");
        parse(&format!("{text}\n[[tenant.route]]\n{route}password = \"x\"\n"))
            .err()
            .map(|report| drawn(&report))
    };

    let found = with("sales", 5070).expect("refused");

    assert!(found.contains("the edge has two accounts at 127.0.0.1:5070"), "{found}");
    assert!(found.contains("give one of them another address"), "{found}");
    assert_eq!((with("acme", 5070), with("sales", 5071)), (None, None));
}
