//! Emergency calls: what is read, and what is warned of.

use std::path::Path;
use std::time::Duration;

use dataplane::settings::{LocationForm, Peer, Told};
use hotdesk::config::{self, Source};

use crate::{SMALL, drawn, parse, small_with};

#[test]
fn one_emergency_caller_at_two_sites_is_a_warning() {
    let loaded = parse(&small_with(
        "[[tenant.site]]\nid = \"a\"\nemergency_caller = \"+12125550100\"\n\
         [[tenant.site]]\nid = \"b\"\nemergency_caller = \"+12125550100\"\n",
    ));

    let warnings = loaded.unwrap().warnings;
    assert_eq!(
        warnings.lines().collect::<Vec<_>>(),
        ["test.toml:12: two sites show the emergency caller +12125550100 (and line 15)"]
    );
}

#[test]
fn number_of_a_person_that_emergency_calls_show_is_a_warning() {
    let site = "[[tenant.site]]\nid = \"a\"\nemergency_caller = \"+12125550100\"\n";
    let with = |number: &str| {
        let person = format!("[[tenant.extension]]\nnumber = \"4001\"\nnumbers = [\"{number}\"]\n");
        parse(&small_with(&format!("{site}{person}"))).unwrap().warnings
    };
    let fault = "emergency calls from a show +12125550100, a number of 4001";

    let shared = [with("+12125550100"), with("12125550100")];
    let own = with("+12125550101");

    assert!(shared.iter().all(|warnings| warnings.lines().any(|line| line.contains(fault))), "{shared:?}");
    assert!(!own.lines().any(|line| line.contains("emergency calls from a")), "{own}");
}

#[test]
fn route_whose_host_is_lost_keeps_the_addresses_of_before() {
    let text = SMALL.replace("sip:127.0.0.1:5070", "sip:psap.example");
    let found = |host: &str, port: u16| {
        assert_eq!((host, port), ("psap.example", 5060));
        Ok(vec!["192.0.2.7:5060".parse().unwrap(), "192.0.2.7:5060".parse().unwrap()])
    };
    let bound = ["127.0.0.1:5060".parse().unwrap()];
    let base = Path::new("/nonexistent");
    let source = Source { name: "test.toml", text: &text, base, readable_by_others: false, resolve: &found };

    let first = config::parse(&source).unwrap().settings(1, &bound, None);
    let lost = parse(&text).unwrap();
    assert_eq!(lost.warnings.warnings(), 1);
    let second = lost.settings(2, &bound, Some(&first));
    let other = parse(&text.replace("psap.example", "psap.test")).unwrap().settings(3, &bound, Some(&second));

    let addresses =
        |settings: &dataplane::settings::Settings| settings.tenants[0].emergency.routes[0].addresses.clone();
    assert_eq!(addresses(&first), ["192.0.2.7:5060".parse().unwrap()]);
    assert_eq!(addresses(&second), addresses(&first));
    assert!(addresses(&other).is_empty());
}

#[test]
fn emergency_calls_are_read_as_they_are_written() {
    let text = SMALL.replace(
        "route = \"sip:127.0.0.1:5070\"",
        "route = \"sip:127.0.0.1:5070\", routes = [\"sip:[::1];transport=UDP\"], trust = \"digest\", username = \"acme\", \
         password = \"secret\", realm = \"psap\", no_answer = \"2s\", hold = \"30m\", \
         location = \"pidf-lo\", notify = [\"1001\", \"sip:guard@127.0.0.9\"]",
    );
    let text = format!(
        "{text}\n[[tenant.extension]]\nnumber = \"1001\"\n[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"+12125550100\"\n\
         emergency_route = \"sip:127.0.0.2\"\ncivic = {{ RD = \"46th\", country = \"US\", FLR = \"2\" }}\n"
    );
    let bound = ["127.0.0.1:5060".parse().unwrap()];

    let settings = parse(&text).unwrap().settings(1, &bound, None);

    let (tenant, route) = (&settings.tenants[0], |uri: &str, address: &str| Peer {
        uri: uri.into(),
        addresses: vec![address.parse().unwrap()],
    });
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert_eq!(
        tenant.emergency.routes,
        [route("sip:127.0.0.1:5070", "127.0.0.1:5070"), route("sip:[::1];transport=UDP", "[::1]:5060")]
    );
    let takes_streams = |address: &str| settings.takes_streams(address.parse().unwrap());
    assert!(
        takes_streams("127.0.0.1:5070") && !takes_streams("[::1]:5060") && !takes_streams("127.0.0.1:5060")
    );
    let account = tenant.emergency.account.as_ref().unwrap();
    let (username, password, realm) =
        (&*account.username, account.password.as_str(), account.realm.as_deref());
    assert_eq!((username, password, realm), ("acme", "secret", Some("psap")));
    assert!(!format!("{settings:?}").contains("secret\""), "what is printed holds no password");
    assert_eq!(tenant.emergency.no_answer, Duration::from_secs(2));
    assert_eq!((tenant.emergency.hold, tenant.emergency.call_back), (minutes(30), minutes(30)));
    assert_eq!(tenant.emergency.location, LocationForm::PidfLo);
    let guard = route("sip:guard@127.0.0.9", "127.0.0.9:5060");
    assert_eq!(tenant.emergency.notify, [Told::Extension("1001".into()), Told::Peer(guard)]);
    assert_eq!(tenant.sites[0].emergency_routes, [route("sip:127.0.0.2", "127.0.0.2:5060")]);
    let civic: Vec<_> = tenant.sites[0].civic.iter().map(|(name, text)| (&**name, &**text)).collect();
    assert_eq!(civic, [("country", "US"), ("RD", "46th"), ("FLR", "2")], "in the order of the schema");
}

#[test]
fn emergency_calls_without_a_way_or_a_place_are_warned_of() {
    let warnings = |text: &str| parse(text).unwrap().warnings.lines().collect::<Vec<_>>();
    let without = SMALL.replace(", route = \"sip:127.0.0.1:5070\"", "");
    let site = "[[tenant.site]]\nid = \"hq\"\nemergency_caller = \"+12125550100\"\n";
    let with_site = |more: &str| format!("{without}{site}{more}");

    assert_eq!(warnings(&with_site("emergency_route = \"sip:127.0.0.2\"\n")), [""; 0]);
    assert!(warnings(&with_site(""))[0].ends_with("emergency calls of acme go nowhere: 112 will get 500"));
    assert!(
        warnings(&with_site("emergency_route = \"sip:nowhere.example\"\n"))[0]
            .ends_with("nowhere.example was not found: emergency calls of hq do not go there")
    );
    let located = SMALL.replace("numbers =", "location = \"pidf-lo\", numbers =");
    assert!(
        warnings(&format!("{located}{site}"))[0]
            .ends_with("no civic address: emergency calls from hq carry no location")
    );
}

#[test]
fn account_for_emergency_calls_is_the_one_that_a_route_has_at_their_address() {
    let emergency =
        "route = \"sip:127.0.0.1:5070\", trust = \"digest\", username = \"acme\", password = \"x\"";
    let with = |username: &str, port: u16| {
        let text = SMALL.replace("route = \"sip:127.0.0.1:5070\"", emergency);
        let route =
            format!("peers = [\"sip:127.0.0.1:{port}\"]\ntrust = \"digest\"\nusername = \"{username}\"\n");
        parse(&format!("{text}\n[[tenant.route]]\n{route}password = \"x\"\n"))
            .err()
            .map(|report| drawn(&report))
    };

    let found = with("sales", 5070).expect("refused");

    assert!(found.contains("the edge has two accounts at 127.0.0.1:5070"), "{found}");
    assert!(found.contains("give one of them another address"), "{found}");
    assert_eq!((with("acme", 5070), with("sales", 5071)), (None, None));
}
