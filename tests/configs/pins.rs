//! PINs: where they are kept, under which keys, and who can use them.

use std::fs;

use hotdesk::backend::pin::{hash, seal};
use hotdesk::config::Loaded;

use crate::tls::tls_listener;
use crate::{complete_folder, drawn, key, parse, parse_in, refused, small_with, write};

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
    assert_eq!(uneven, [format!("test.toml:14: {exists} (and 1 more) exists (and line 17)")]);
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
