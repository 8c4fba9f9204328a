//! What is written and has no effect: nobody is reached, nothing is called, nothing is said.

use std::path::Path;
use std::{fs, iter};

use crate::{ROOT, drawn, parse, parse_in, small_with};

/// The only warning about `more`, drawn; `None`: there is none.
fn warning(more: &str) -> Option<String> {
    let warnings = parse(&small_with(more)).expect("no error").warnings;
    assert!(warnings.warnings() <= 1, "{warnings}");
    (!warnings.is_empty()).then(|| drawn(&warnings))
}

#[test]
fn redirect_that_no_route_carries_is_underlined() {
    let route = "[[tenant.route]]\nprefix = \"+1\"\npeers = [\"sip:127.0.0.1\"]\n";
    let redirect = |place: &str| format!("[tenant.absent]\nredirect = \"{place}\"\n");

    assert_eq!(
        warning(&redirect("+12125551001")).unwrap(),
        "  ⚠ nothing leads to +12125551001: phones that are sent there do not get through
    ╭─[test.toml:11:12]
 10 │ [tenant.absent]
 11 │ redirect = \"+12125551001\"
    ·            ───────┬──────
    ·                   ╰── this
    ╰────
  help: add a [[tenant.route]] whose `prefix` it begins with, and see that [tenant.outside] does not bar it"
    );
    for (place, more, is_reached) in [
        ("+12125551001", route, true),
        ("+442071234567", route, false),
        ("+12125551001", &format!("{route}strip = 12\n"), false),
        ("+19005551001", &format!("{route}[tenant.outside]\nbarred = [\"+1900\"]\n"), false),
        ("+12125551001", "[[tenant.extension]]\nnumber = \"1\"\nnumbers = [\"12125551001\"]\n", true),
        ("sip:1000@pbx.example", "", true),
        ("sip:1000@acme.test", "", false),
        ("sip:1000@ACME.test:5060", "[[tenant.extension]]\nnumber = \"1000\"\n", true),
        ("sip:+12125551001@acme.example", route, true),
    ] {
        let found = warning(&format!("{}{more}", redirect(place)));
        assert_eq!(found.is_none(), is_reached, "{place} {more} {found:?}");
    }
    let extensions: String = [("1", "+12"), ("2", "+13"), ("3", "+12")]
        .map(|(number, place)| {
            format!(
                "[[tenant.extension]]\nnumber = \"{number}\"\nabsent = {{ redirect = \"{place}5551001\" }}\n"
            )
        })
        .concat();
    let all = warning(&extensions).unwrap();
    assert!(all.contains("nothing leads to +125551001 (and 1 more):"), "one for all, each once: {all}");
}

#[test]
fn pattern_that_nothing_fits_is_underlined() {
    let may_call = |patterns: &str| format!("[tenant.base]\nmay_call = [{patterns}]\n");
    let reception = "[[tenant.extension]]\nnumber = \"reception\"\n";

    let found = warning(&may_call("\"2xx\", \"2XX\", \"_1XX.\"")).unwrap();

    assert!(found.starts_with("  ⚠ nothing that can be called fits 2XX (and 1 more)\n"), "{found}");
    assert!(found.contains("test.toml:11:20]") && found.contains("a small `x` for any of them"), "{found}");
    assert_eq!(warning(&may_call("\"2xx\", \"00.\", \"+49.\", \"1000\"")), None);
    assert!(warning(&may_call("\"reception\"")).unwrap().contains("fits reception"));
    assert_eq!(warning(&format!("{}{reception}", may_call("\"reception\""))), None);
}

#[test]
fn language_without_prompts_is_underlined_wherever_it_is_said() {
    let site = "[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"+12125550100\"\n";
    let holders = ["[tenant.attendant]\n", site, "[[tenant.extension]]\nnumber = \"1\"\n"];
    let says = |holder: &str, language: &str| warning(&format!("{holder}language = \"{language}\"\n"));

    for holder in holders {
        let found = says(holder, "fr-CA").unwrap();
        assert!(found.contains("there are no prompts in fr-CA: \"en\" is spoken"), "{found}");
        assert!(found.contains("help: there are de, en; a folder of `prompts` in [media]"), "{found}");
        assert_eq!((says(holder, "de"), says(holder, "de-AT")), (None, None), "its region has no own");
    }
    let folder = tempfile::tempdir().unwrap();
    let french = folder.path().join("prompts/fr");
    fs::create_dir_all(&french).unwrap();
    for clip in fs::read_dir(Path::new(ROOT).join("configs/prompts/en")).unwrap().map(Result::unwrap) {
        fs::copy(clip.path(), french.join(clip.file_name())).unwrap();
    }
    let own = "[tenant.attendant]\nlanguage = \"fr-CA\"\n[media]\nprompts = \"prompts\"\n";
    assert!(parse_in(folder.path(), &small_with(own)).unwrap().warnings.is_empty());
}

#[test]
fn audit_file_that_can_never_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a file"), "").unwrap();
    fs::create_dir(folder.path().join("a folder")).unwrap();
    let with = |file: &str| parse_in(folder.path(), &small_with(&format!("[audit]\nfile = \"{file}\"\n")));

    for (file, fault) in [("a folder", "a folder is a folder"), ("a file/audit.jsonl", "a file is no folder")]
    {
        let report = with(file).unwrap_err();
        assert!(report.lines().any(|line| line.contains(":11: ") && line.ends_with(fault)), "{report}");
    }
    for file in ["audit.jsonl", "not/there/audit.jsonl", "a file"] {
        assert!(with(file).unwrap().warnings.is_empty(), "{file}: its folder is made");
    }
}

#[test]
fn lines_of_a_large_file_are_those_of_what_is_wrong() {
    const TENANTS: usize = 1_000;

    let tenant = |index: usize| {
        let (caller, hash) = (12_120_000_000 + index, "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$");
        format!(
            "[[tenant]]\nid = \"t{index}\"\ndomains = [\"t{index}.example\"]\n\n[tenant.emergency]\nnumbers = [\"112\"]\n\
             route = \"sip:127.0.0.1:5070\"\n\n[[tenant.site]]\nid = \"hq\"\nname = \"Zürich — № {index}\"\n\
             emergency_caller = \"+{caller}\"\n\n[[tenant.device]]\nid = \"desk-1\"\nsite = \"hq\"\npassword = \"p\"\n\n\
             [[tenant.extension]]\nnumber = \"1001\"\nname = \"Jürgen Groß\"\npin = {{ hash = \"{hash}YfEHzMkdKdzgQr2M+KZdvnh2m3w9vSw2zROjiY70IxI\" }}\n"
        )
    };
    let listen = "[[listen]]\nprotocol = \"udp\"\naddress = \"127.0.0.1:0\"\n";
    let all: String = iter::once(listen.to_owned()).chain((0..TENANTS).map(tenant)).collect();
    for (wrong, fault, others) in [
        ("[tenant.seats]\nhotelling = true\n", "unknown key `hotelling`", ""),
        ("[tenant.seats]\nwarn_before = \"9h\"\n", "`warn_before` is out of bounds", ""),
        ("[tenant.base]\nmay_call = [\"2XX\"]\n", "nothing that can be called fits 2XX", ""),
        ("[[tenant.device]]\nid = \"desk-2\"\npassword = \"p\"\nsite = \"hg\"\n", "there is no site hg", ""),
        (
            "[tenant.seats]\nvisitors = true\n[[tenant]]\nid = \"b\"\ncustomer = \"t700\"\ndomains = [\"b\"]\n\
             seats = { visitor_prefix = \"10\" }\n",
            "1001 begins with 10, which visitors type first",
            "earlier",
        ),
        (
            "[[tenant]]\nid = \"b\"\ndomains = [\"t3.example\"]\n",
            "the domain t3.example is given twice",
            "earlier",
        ),
        ("[[tenant.extension]]\nnumber = \"desk-1\"\n", "desk-1 is a device and an extension", "earlier"),
    ] {
        let at = all.find("[[tenant]]\nid = \"t701\"").unwrap();
        let text = [&all[..at], wrong, &all[at..]].concat();
        let line = all[..at].lines().count() + wrong.lines().count();

        let outcome = parse(&text);

        let report = outcome.map_or_else(|report| report, |loaded| loaded.warnings);
        let found = report.lines().find(|line| line.contains(fault)).unwrap_or_else(|| panic!("{report}"));
        let place = if others.is_empty() { format!(":{line}: ") } else { format!("(and line {line})") };
        assert!(found.contains(&place), "{found}: {line}");
    }
}

#[test]
fn key_of_another_kind_and_signature_that_is_missing_are_warned_of_by_name() {
    for (more, fault) in [
        ("[[hook]]\nname = \"pager\"\nurl = \"http://127.0.0.1/\"\n", "requests to pager are not signed"),
        (
            "[[tenant.pins.backend]]\nkind = \"file\"\ncontext = \"default\"\n",
            "`context` has no effect where PINs are in this file",
        ),
    ] {
        let found = warning(more).unwrap();
        assert!(found.contains(fault), "{found}");
    }
}
