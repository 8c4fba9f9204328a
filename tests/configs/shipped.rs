//! The shipped files load, and they and the documentation name every key.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use dataplane::audit::Kind;
use dataplane::hotdesk::{Cause, Surface};
use dataplane::refusal::Refusal;
use hotdesk::backend::pin::hash;
use hotdesk::backend::store::StoreKind;
use hotdesk::config;
use hotdesk::config::keys::SECTIONS;
use toml::de::{DeTable, DeValue};

use crate::{ROOT, SMALL, complete_folder, folder_with, parse, parse_in, small_with};

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
pub(crate) fn complete() -> String {
    let text = fs::read_to_string(Path::new(ROOT).join("configs/hotdesk.toml")).expect("a shipped file");
    let key = |line: &str| {
        let commented =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_alphabetic()));
        commented.unwrap_or(line).to_owned()
    };
    text.lines().map(key).collect::<Vec<_>>().join("\n")
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

/// What the documentation says is the default of each key, where it is a value of TOML.
fn documented_defaults() -> HashMap<(String, String), String> {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/configuration.md")).expect("a page");
    let (mut header, mut defaults) = (String::new(), HashMap::new());
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            header = heading.trim_matches('`').to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<_> = row.split(" | ").collect();
            let default = cells.get(2).map_or("", |cell| cell.trim_matches('`'));
            if DeTable::parse(&format!("key = {default}")).is_ok() {
                defaults
                    .insert((header.clone(), cells[0].trim_end_matches('`').to_owned()), default.to_owned());
            }
        }
    }
    defaults
}

#[test]
fn documentation_and_the_complete_file_have_the_same_defaults() {
    let documented = documented_defaults();
    let text = complete();
    let (mut header, mut compared) = ("", 0);
    for line in text.lines() {
        let (content, comment) = line.split_once(" #").unwrap_or((line, ""));
        if content.starts_with('[') {
            header = content.trim();
        }
        // What is no default says so.
        let is_example = comment.contains("default") || comment.contains("example");
        let Some((key, value)) = content.split_once(" = ").filter(|_| !is_example) else { continue };
        if let Some(default) = documented.get(&(header.to_owned(), key.to_owned())) {
            assert_eq!(value.trim(), default, "{header} {key}");
            compared += 1;
        }
    }

    assert!(compared > 70, "only {compared} were compared");
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
