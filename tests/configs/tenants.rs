//! Tenants: networks they trust, visits, and what they give their phones.

use hotdesk::backend::pin::hash;

use crate::{complete_folder, drawn, key, parse, parse_in, small_with};

#[test]
fn trust_in_a_network_that_is_not_private_is_warned_of() {
    for (network, warnings) in
        [("10.1.0.0/16", 0), ("fd00:1::/32", 0), ("198.51.100.0/24", 1), ("0.0.0.0/0", 1), ("10.0.0.0/7", 1)]
    {
        let loaded = parse(&small_with(&format!("trusted_networks = [\"{network}\"]\n"))).unwrap();

        assert_eq!(loaded.warnings.warnings(), warnings, "{network}");
    }
}

#[test]
fn uris_of_one_phone_are_given_where_the_tenant_says_so() {
    let gruu = |registration: &str| {
        let text = small_with(&format!("[tenant.registration]\n{registration}\n"));
        parse(&text).map(|loaded| loaded.tenants().next().unwrap().registrar.gruu)
    };

    assert_eq!([gruu("").unwrap(), gruu("gruu = true").unwrap()], [false, true]);
    assert!(gruu("gruu = \"yes\"").is_err());
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
