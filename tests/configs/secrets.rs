//! Secrets that others may read.

use std::path::Path;

use hotdesk::config::{self, Source};

use crate::{complete_folder, no_host, parse_in, small_with, write};

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
