//! Listeners, sound, and what takes a start.

use std::fs;
use std::path::Path;

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
