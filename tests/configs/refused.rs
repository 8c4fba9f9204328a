//! What is refused, and the reason that is told.

use std::fs;

use hotdesk::config;

use crate::{SMALL, drawn, refused, small_with};

#[test]
fn each_of_these_is_refused_for_its_reason() {
    for (more, reason) in [
        ("codes = { login = \"*11\", logout = \"*1\" }", "*11 and *1 begin alike"),
        ("codes = { login = \"112\" }", "112 is an emergency call and a code"),
        (
            "codes = { login = \"11\" }\n[[tenant.extension]]\nnumber = \"11\"",
            "11 is a code and an extension",
        ),
        ("codes = { login = \"*11 \" }", "\"*11 \" cannot be dialled"),
        ("registrar = \"upstream\"", "\"upstream\" is not available in this version"),
        ("codes = { login = \"*11\", toggle = \"*1\" }", "*11 and *1 begin alike"),
        ("codes = { who = \"*13\", toggle = \"*13\" }", "*13 and *13 begin alike"),
        ("codes = { login = \"*14\", pin = \"*14\" }", "*14 and *14 begin alike"),
        ("codes = { who = \"112\" }", "112 is an emergency call and a code"),
        ("attendant = { language = \"../en\" }", "\"../en\" is no language"),
        ("attendant = { language = \"English\" }", "\"English\" is no language"),
        ("attendant = { tries = 0 }", "`tries`"),
        ("attendant = { digit_timeout = \"2m\" }", "`digit_timeout`"),
        ("[tenant.seats]\ncodes_from = \"all\"", "\"all\""),
        ("[tenant.seats]\nlogout_at = [\"24:00\"]", "\"24:00\" is no time of day"),
        ("[tenant.seats]\nidle_timeout = \"5s\"", "`idle_timeout` is out of bounds"),
        ("[tenant.seats]\nhoteling_expires = \"59s\"", "`hoteling_expires` is out of bounds"),
        ("[tenant.seats]\nhoteling_expires = \"90500ms\"", "an expiry has whole seconds"),
        ("time_zone = \"Mars/Olympus\"", "there is no time zone Mars/Olympus"),
        (
            "[[tenant.site]]\nid = \"a\"\ncodes = { login = \"*1\", logout = \"*12\" }",
            "*1 and *12 begin alike",
        ),
        (
            "[[tenant.extension]]\nnumber = \"11\"\n[[tenant.device]]\nid = \"d\"\npassword = \"x\"\ncodes = { login = \"11\" }",
            "11 is a code and an extension",
        ),
        (
            "[[tenant.device]]\nid = \"d\"\npassword = \"x\"\nbase_extension = \"9999\"",
            "there is no extension 9999",
        ),
        ("[[tenant.extension]]\nnumber = \"11\"\nsites = [\"nowhere\"]", "`sites`: there is no nowhere"),
        (
            "[[tenant.extension]]\nnumber = \"11\"\naliases = [\"12\"]\n[[tenant.extension]]\nnumber = \"12\"",
            "12 names two extensions, or one twice",
        ),
        (
            "[[tenant.extension]]\nnumber = \"11\"\naliases = [\"0112\"]",
            "0112 is an emergency call and an alias",
        ),
        ("base = { may_call = [\"2…\"] }", "\"2…\" is no number"),
        ("absent = \"voicemail\"", "\"voicemail\" is not possible here"),
        ("absent = { last_desk = \"30s\" }", "`last_desk` is out of bounds"),
        ("absent = { redirect = \"0301234\" }", "nobody can be sent to \"0301234\""),
        ("absent = { redirect = \"sip:a@b.example;x=1\" }", "nobody can be sent to"),
        ("route = [{ peers = [] }]", "a route leads somewhere"),
        ("route = [{}]", "`peers` is missing in [[tenant.route]]"),
        ("route = [{ peers = [\"tel:+1\"] }]", "is no SIP URI"),
        ("route = [{ peers = [\"sip:127.0.0.1\"], trust = \"tls\" }]", "\"tls\" is not possible here"),
        ("route = [{ peers = [\"sip:127.0.0.1\"], trust = \"digest\" }]", "`username` is missing"),
        (
            "route = [{ peers = [\"sip:127.0.0.1\"], trust = \"digest\", username = \"a\" }]",
            "`password` is missing in [[tenant.route]]",
        ),
        (
            "route = [{ peers = [\"sip:127.0.0.1\"], password = \"x\" }]",
            "`password` is for peers that ask for it",
        ),
        (
            "route = [{ peers = [\"sip:127.0.0.1\"], trust = \"digest\", username = 'a\"b', password = \"x\" }]",
            "no peer can be told this",
        ),
        ("route = [{ peers = [\"sip:127.0.0.1\"], prefix = \"0x\" }]", "no number begins with \"0x\""),
        (
            "route = [{ peers = [\"sip:127.0.0.1\"] }, { peers = [\"sip:127.0.0.2\"] }]",
            "two routes are for all numbers",
        ),
        (
            "route = [{ prefix = \"0\", peers = [\"sip:127.0.0.1\"] }, { prefix = \"0\", peers = [\"sip:127.0.0.2\"] }]",
            "two routes are for what begins with \"0\"",
        ),
        (
            "route = [{ prefix = \"0\", peers = [\"sip:127.0.0.1\"], trust = \"digest\", username = \"a\", password = \"x\" }, \
             { prefix = \"1\", peers = [\"sip:127.0.0.2\", \"sip:127.0.0.1\"], trust = \"digest\", username = \"b\", password = \"x\" }]",
            "the edge has two accounts at 127.0.0.1:5060",
        ),
        ("outside = { barred = [\"\"] }", "this bars every number"),
        ("outside = { calls_max = 200000 }", "`calls_max` is out of bounds"),
        (
            "[[tenant.extension]]\nnumber = \"1\"\nnumbers = [\"+12\"]\n[[tenant.extension]]\nnumber = \"2\"\nnumbers = [\"12\"]",
            "two extensions have the number 12",
        ),
        (
            "[[tenant.extension]]\nnumber = \"1\"\nnumbers = [\"22\"]\n[[tenant.extension]]\nnumber = \"22\"",
            "22 is an extension, and a number of 1",
        ),
        ("absent = {}", "`redirect` is missing in [tenant.absent]"),
        ("[tenant.registration]\nexpires_min = \"20m\"", "expiries are not in order"),
        ("[tenant.registration]\nexpires_min = \"1500ms\"", "an expiry has whole seconds"),
        ("[tenant.registration]\ndigest = []", "without a digest algorithm no phone can register"),
        ("[tenant.registration]\nexpires_max = 7200", "`expires_max` has no unit"),
        ("[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"911\"", "\"911\" is no E.164 number"),
        ("[[tenant.site]]\nid = \"hq\"\nemergency_route = \"psap\"", "the route is no SIP URI"),
        ("[[tenant.site]]\nid = \"hq\"\nnetworks = [\"10.2.0.1/16\"]", "bits outside of its prefix"),
        ("trusted_networks = [\"10.1.0.1/16\"]", "bits outside of its prefix"),
        ("[[tenant.site]]\nid = \"hq\"\ncivic = { country = \"USA\" }", "\"USA\" is no country code"),
        (
            "[[tenant.site]]\nid = \"hq\"\ncivic = { STREET = \"x\", country = \"US\" }",
            "unknown key `STREET`",
        ),
        ("[[tenant.site]]\nid = \"hq\"\n[[tenant.site]]\nid = \"hq\"", "two sites are called hq"),
        ("[[tenant.device]]\nid = \"a b\"\npassword = \"p\"", "' ' is not possible in a name"),
        ("[[tenant.device]]\nid = \"d\"\nsite = \"hq\"\npassword = \"p\"", "there is no site hq"),
        ("[[tenant.device]]\nid = \"d\"", "`password` is missing in [[tenant.device]]"),
        ("[[tenant.device]]\nid = \"d\"\npassword = \"\"", "the secret is empty"),
        ("[[tenant.device]]\nid = \"d\"\npassword = { file = \"x\" }", "/nonexistent/x cannot be read"),
        ("[[tenant.extension]]\nnumber = \"1-1-2\"", "1-1-2 is an emergency call and an extension"),
        ("[[tenant.extension]]\nnumber = \"1\"\nown_phones_max = 2", "ordinary phones of 1 cannot register"),
        (
            "[[tenant.extension]]\nnumber = \"1\"\npassword = \"p\"\ndevices_max = 4\nown_phones_max = 5",
            "1 could ring at 9 places",
        ),
        ("[[tenant.extension]]\nnumber = \"1\"\ndevices_max = 0", "`devices_max` is out of bounds"),
        ("[[tenant.extension]]\nnumber = \"1\"\npin = { hash = \"$2b$x\" }", "this PIN hash cannot be used"),
        ("[[tenant]]\nid = \"acme\"\ndomains = [\"b.example\"]", "two tenants are called acme"),
        ("[[tenant]]\nid = \"b\"\ndomains = [\"ACME.example\"]", "the domain acme.example is given twice"),
        ("[timers]\ntimer_c = \"3m\"", "`timer_c` is out of bounds"),
        ("[timers]\nt1 = \"5s\"", "`t1` is longer than `t2`"),
        ("[audit]\nkeep = \"10m\"", "`keep` is out of bounds"),
        ("[audit]\nrecords_max = 10", "`records_max` is out of bounds"),
        ("[audit]\nfile = \"\"", "`file` is empty"),
        ("[[hook]]\nname = \"a\"", "`url` is missing in [[hook]]"),
        ("[[hook]]\nname = \"a\"\nurl = \"https://a..b/\"", "no certificate can be for this host"),
        (
            "[[hook]]\nname = \"a\"\nurl = \"https://127.0.0.1/\"\nca = \"x.pem\"",
            "/nonexistent/x.pem cannot be read",
        ),
        ("[[hook]]\nname = \"a\"\nurl = \"ftp://127.0.0.1/\"", "not an http URL"),
        ("[[hook]]\nname = \"a\"\nurl = \"/hotdesk\"", "not a URL"),
        (
            "[[hook]]\nname = \"a\"\nurl = \"http://u:p@127.0.0.1/\"",
            "a user and a password in a URL are not sent",
        ),
        (
            "[[hook]]\nname = \"a\"\nurl = \"http://127.0.0.1/\"\nevents = [\"login\"]",
            "no record is of the kind \"login\"",
        ),
        (
            "[[hook]]\nname = \"a\"\nurl = \"http://127.0.0.1/\"\n[[hook]]\nname = \"a\"\nurl = \"http://127.0.0.1/\"",
            "two hooks are called a",
        ),
        ("[tenant.registration]\nexpires_spread = 51", "`expires_spread` is out of bounds"),
        ("[admission]\nsource_rate = 0", "`source_rate` is out of bounds"),
        ("[admission]\nban = \"2d\"", "`ban` is out of bounds"),
        ("[admission]\nscanners = [\"sip\", \"x\"]", "\"x\" is no beginning of a User-Agent"),
        ("[admission]\nnever_limited = [\"10.1.0.1/16\"]", "bits outside of its prefix"),
        ("allow = [\"10.1.0.0/16\"]\ndeny = [\"10.0.0.0/8\"]", "nobody may speak here"),
        ("[store]\nkind = \"redis\"", "\"redis\" is not available in this version"),
        ("[[listen]]\nprotocol = \"udp\"\naddress = \"localhost:5060\"", "is no address with a port"),
        ("[[listen]]\nprotocol = \"udp\"\naddress = \"127.0.0.1:0\"\ndscp = 64", "`dscp` is out of bounds"),
        (
            "[[listen]]\nprotocol = \"tls\"\naddress = \"127.0.0.1:0\"",
            "`certificate` is missing in [[listen]]",
        ),
        (
            "[[listen]]\nprotocol = \"tcp\"\naddress = \"127.0.0.1:0\"\nclient_ca = \"a.pem\"",
            "`client_ca` is for a listener that speaks TLS",
        ),
        (
            "[control]\naddress = \"127.0.0.1:1\"\ntokens = [{ name = \"a\" }]",
            "exactly one of `token`, `hash` and",
        ),
    ] {
        let report = refused(&small_with(more));

        assert!(report.lines().any(|line| line.contains(reason)), "{more}\n{report}");
    }
}

#[test]
fn route_that_cannot_be_reached_in_clear_by_its_address_is_refused() {
    for (route, reason) in [
        ("sips:psap.example", "sips: is not available in this version"),
        ("sip:psap.example;transport=tcp", "the route has parameters"),
        ("sip:psap.example;transport=udp;lr", "the route has parameters"),
        ("sip:psap.example?x=y", "the route has parameters"),
        ("sip:112@psap.example", "the route names a user"),
        ("tel:112", "the route is no SIP URI"),
        ("sip:psap.example:0", "the route has no valid host"),
    ] {
        let report = refused(&SMALL.replace("sip:127.0.0.1:5070", route));

        assert!(report.lines().any(|line| line.contains(reason)), "{route}\n{report}");
    }
}

#[test]
fn file_is_named_once_where_nothing_in_it_can_be_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latin.toml"), b"[edge]\nname = \"caf\xe9\"\n").unwrap();
    fs::create_dir(folder.path().join("folder.toml")).unwrap();
    for (name, fault) in [
        ("missing.toml", "cannot be read: No such file or directory (os error 2)"),
        ("folder.toml", "cannot be read: Is a directory (os error 21)"),
        ("latin.toml", "not UTF-8 in line 2"),
    ] {
        let path = folder.path().join(name);

        let report = config::load(&path).unwrap_err();

        assert_eq!(report.lines().collect::<Vec<_>>(), [format!("{}: {fault}", path.display())]);
        assert_eq!(drawn(&report).matches(name).count(), 1, "{report}");
    }
    assert_eq!(refused("").lines().next().unwrap(), "test.toml: no [[listen]]: nobody can reach the edge");
    assert!(drawn(&refused("")).contains("test.toml: no [[listen]]: nobody can reach the edge"));
}
