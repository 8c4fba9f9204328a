//! A reload that changes anything says so, whatever it is.

use std::collections::BTreeSet;
use std::fs;

use hotdesk::config::Loaded;
use hotdesk::config::keys::SECTIONS;
use hotdesk::server::{Changes, Edge};

use crate::shipped::complete;
use crate::{complete_folder, parse, parse_in, small_with, write};

/// Of sections where [`other`] finds nothing: what stands in the complete file, and what may stand there as well.
const OTHERS: [(&str, &str, &str); 4] = [
    ("listen.certificate", "tls/edge.pem\", key = \"tls/edge.key", "tls/acme.pem\", key = \"tls/acme.key"),
    ("tenant.certificate", "tls/acme.pem\", key = \"tls/acme.key", "tls/edge.pem\", key = \"tls/edge.key"),
    ("log", "level = \"info\"", "level = \"debug\""),
    ("tenant.base", "may_call = []", "may_call = [\"1000\"]"),
];

/// The lines of a file, each with the section it is in; an inline table is one.
fn lines(text: &str) -> Vec<(String, &str)> {
    let mut section = "";
    let of_line = |line| {
        if let Some(header) = str::strip_prefix(line, "[") {
            section = header.trim_start_matches('[').split(']').next().unwrap_or_default();
        }
        match line.split_once(" = {").map(|(key, _)| key) {
            None => (section.to_owned(), line),
            Some(key) if section.is_empty() => (key.to_owned(), line),
            Some(key) => (format!("{section}.{key}"), line),
        }
    };
    text.lines().map(of_line).collect()
}

/// `line` with another value; `None`: it has none that this can change.
fn other(line: &str) -> Option<String> {
    let (key, value) = line.split(" #").next()?.trim_end().split_once(" = ")?;
    match value {
        "true" => return Some(format!("{key} = false")),
        "false" => return Some(format!("{key} = true")),
        _ => {}
    }
    let at = value
        .rfind(|c: char| c.is_ascii_digit())
        .or_else(|| value.rfind(|c: char| c.is_ascii_lowercase()))?;
    let next = match value.as_bytes()[at] {
        b'9' => '0',
        b'z' => 'a',
        octet => char::from(octet + 1),
    };
    Some(format!("{key} = {}{next}{}", &value[..at], &value[at + 1..]))
}

/// True if a reload of `one` over what is in force says that something changed, or that this takes a restart.
fn is_said(edge: &Edge, one: Loaded) -> bool {
    edge.reload(one).map_or(true, |changes| changes != Changes::default())
}

#[test]
fn whatever_a_reload_changes_it_says() {
    let folder = complete_folder();
    let addresses = ["127.0.0.1:5060", "127.0.0.1:5061", "127.0.0.1:8060"];
    let text = addresses.iter().fold(complete(), |text, address| text.replace(address, "127.0.0.1:0"));
    // A sealed PIN would allow of one key alone.
    let text: String =
        text.split_inclusive('\n').filter(|line| !line.starts_with("pin = { sealed")).collect();
    let load = |text: &str| parse_in(folder.path(), text);
    let edge = Edge::start(load(&text).unwrap()).unwrap();
    let lines = lines(&text);
    let (mut said, mut silent, mut count) = (BTreeSet::new(), Vec::new(), 0);

    for (at, (section, line)) in lines.iter().enumerate().filter(|(_, (_, line))| !line.starts_with('#')) {
        let Some(other) = other(line) else { continue };
        let with_other =
            lines.iter().enumerate().map(|(of, (_, line))| if of == at { &other } else { *line });
        // What may not stand there brings no reload.
        let Ok(loaded) = load(&with_other.collect::<Vec<_>>().join("\n")) else { continue };
        if is_said(&edge, loaded) {
            said.insert(section.clone());
            count += 1;
        } else {
            silent.push(other);
        }
        edge.reload(load(&text).unwrap()).unwrap();
    }
    for (section, from, to) in OTHERS {
        assert!(is_said(&edge, load(&text.replacen(from, to, 1)).unwrap()), "{section}");
        said.insert(section.to_owned());
        edge.reload(load(&text).unwrap()).unwrap();
    }
    for secret in fs::read_dir(folder.path().join("secrets")).unwrap() {
        let name = format!("secrets/{}", secret.unwrap().file_name().to_str().unwrap());
        write(&folder, &name, "another-secret-of-36-octets-01234567\n", 0o600);
        assert!(is_said(&edge, load(&text).unwrap()), "{name}");
        let named = lines.iter().filter(|(_, line)| line.contains(&name));
        said.extend(named.map(|(section, _)| section.clone()));
    }

    assert!(!is_said(&edge, load(&text).unwrap()), "nothing has changed");
    assert_eq!(
        silent,
        ["hoteling_expires = \"2h\"", "hoteling_challenge = false", "model = \"yealink-t47\""],
        "without effect"
    );
    let unsaid = SECTIONS.iter().filter(|section| !said.iter().any(|said| said.starts_with(section.name)));
    assert_eq!(unsaid.map(|section| section.name).collect::<Vec<_>>(), [""; 0]);
    assert!(count > 130, "only {count} were changed");
}

#[test]
fn another_order_of_tenants_is_a_change() {
    let tenant = |id: &str| format!("[[tenant]]\nid = \"{id}\"\ndomains = [\"{id}.example\"]\n");
    let load = |ids: [&str; 2]| {
        parse(&small_with(&format!("{}[store]\nkind = \"memory\"\n", ids.map(tenant).concat()))).unwrap()
    };
    let edge = Edge::start(load(["a", "b"])).unwrap();

    let changes = edge.reload(load(["b", "a"])).unwrap();

    assert_eq!(changes, Changes { edge: true, ..Changes::default() });
    assert!(!is_said(&edge, load(["b", "a"])));
}
