//! Certificates and their keys.

use std::fs;

use bench::certificates::Authority;

use crate::{complete_folder, parse_in, small_with, write, write_certificate};

fn hook(url: &str, ca: &str) -> String {
    format!("[[hook]]\nname = \"a\"\nurl = \"{url}\"\nca = \"tls/{ca}\"\n")
}

/// A listener that speaks TLS, with a certificate out of these files and more lines.
pub(crate) fn tls_listener(chain: &str, key: &str, more: &str) -> String {
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
