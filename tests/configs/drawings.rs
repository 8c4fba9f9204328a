//! How findings look: the place underlined, what is meant, and no secret.

use crate::{drawn, refused, small_with};

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
