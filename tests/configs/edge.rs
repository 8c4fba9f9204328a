//! Listeners, sound, and what takes a start.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hotdesk::config::keys::SECTIONS;

use crate::{ROOT, SMALL, parse, parse_in, refused, small_with};

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
fn keys_that_need_a_start_are_named_and_no_others() {
    let before = parse(SMALL).unwrap().server;
    let listen = |old: &str, new: &str| SMALL.replace(old, new);
    let second = "[[listen]]\nprotocol = \"tcp\"\naddress = \"127.0.0.1:0\"\n";
    let cases = [
        (small_with("[edge]\nworkers = 7\nname = \"x\"\n"), "edge.workers"),
        (small_with("[edge]\ntransactions_max = 524288\n"), "edge.transactions_max"),
        (listen("\"udp\"", "\"tcp\""), "listen.protocol"),
        (listen("127.0.0.1:0", "127.0.0.2:0"), "listen.address"),
        (listen("[[listen]]", "[[listen]]\ndscp = 40"), "listen.dscp"),
        (small_with(second), "listen"),
        (small_with("[store]\nkind = \"memory\"\n"), "store.kind"),
        (small_with("[store]\npath = \"elsewhere\"\n"), "store.path"),
        (small_with("[control]\naddress = \"127.0.0.1:0\"\ntokens = []\n"), "control.address"),
        (small_with("[media]\nports = \"20000-28999\"\n"), "media.ports"),
        (small_with("[media]\nsessions_max = 100\n"), "media.sessions_max"),
        (small_with("[media]\ndscp = 10\n"), "media.dscp"),
        (small_with("[log]\nlevel = \"warn\"\n"), "log.level"),
        (small_with("[log]\nformat = \"json\"\n"), "log.format"),
    ];
    for (text, key) in &cases {
        let after = parse(text).unwrap().server;

        assert_eq!(before.changed_at_start_only(&after), [*key], "{text}");
    }
    let named: BTreeSet<_> = cases.iter().map(|(_, key)| (*key).to_owned()).collect();
    let mut known = BTreeSet::from(["listen".to_owned()]);
    for section in SECTIONS {
        known.extend(section.at_start.iter().map(|key| format!("{}.{key}", section.name)));
    }
    assert_eq!(named, known, "each of them");
    let name = parse(&small_with("[edge]\nname = \"edge-2\"\n")).unwrap().server;
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
        assert!(report.lines().any(|line| line.contains(finding)), "{media}: {report}");
    }
}

#[test]
fn fewer_ports_mean_fewer_sessions_and_are_underlined_unless_they_are_meant() {
    let loaded = parse(&small_with("[media]\nports = \"20000-20099\"\n")).unwrap();
    let meant = parse(&small_with("[media]\nports = \"20000-20099\"\nsessions_max = 50\n")).unwrap();

    let sessions = [&loaded, &meant].map(|loaded| loaded.server.media.setup.sessions_max);
    assert_eq!(sessions, [50, 50]);
    let warnings: Vec<_> = loaded.warnings.lines().collect();
    assert_eq!(warnings, ["test.toml:11: 50 calls to the attendant at a time, and no more"]);
    assert!(meant.warnings.is_empty(), "{}", meant.warnings);
}

#[test]
fn a_language_that_lacks_prompts_is_a_warning_and_a_broken_prompt_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let french = folder.path().join("prompts/fr");
    fs::create_dir_all(&french).unwrap();
    fs::copy(Path::new(ROOT).join("configs/prompts/en/already-here.wav"), french.join("already-here.wav"))
        .unwrap();
    let text = small_with("[media]\nprompts = \"prompts\"\n");

    let warnings = parse_in(folder.path(), &text).unwrap().warnings;
    fs::write(french.join("already-here.wav"), "no sound").unwrap();
    let report = parse_in(folder.path(), &text).unwrap_err();

    assert_eq!(warnings.warnings(), 1, "{warnings}");
    assert!(
        warnings.lines().any(|line| line.contains("fr lacks ") && line.contains("goodbye")),
        "{warnings}"
    );
    assert!(
        report.lines().any(|line| line.contains("prompts/fr/already-here.wav: no WAV file of PCM")),
        "{report}"
    );
}
