//! Visitors: people of one tenant at the devices of another of the same customer (LOG-26). Where they sit, codes, place and
//! emergency calls are the visited tenant's; number, dial plan, routes and limits stay those of their own.

use std::time::Duration;

use dataplane::audit::Kind;
use dataplane::hotdesk::{Cause, Surface};
use dataplane::input::Command;
use dataplane::output::{Done, Report};
use dataplane::refusal::Refusal;
use dataplane::settings::{Codes, Ends, HotelingPolicy, Limit, OnLimit, OnOccupied, Peer, Route, Site};
use dataplane::testing::{Blueprint, CallState, Manner, Office, pin_hash, tenant};

use crate::hoteling::GuestKey;
use crate::{SEED, last_answer, last_heard, seconds};

/// What a visitor dials whose number is another's here: `7` is the prefix of his tenant.
const LOG_IN: &str = "*11*71001*4321";

/// Two tenants of one customer, `demo` where the desks stand and `west` where the visitors are at home, and one of another
/// customer. Everybody has a 1001.
fn plan(blueprint: &mut Blueprint) {
    let mut west = tenant("west", "west.hotdesk");
    west.seats.visitor_prefix = "7".into();
    west.sites[0].networks.clear();
    let people = [("Wanda West", "4321"), ("Wim West", "5432"), ("Willa West", "6543")];
    for (extension, (name, pin)) in west.extensions.iter_mut().zip(people) {
        (extension.name, extension.pin) = (name.into(), Some(pin_hash(pin)));
    }
    // The only 2003 of the customer.
    let mut willa = west.extensions[2].clone();
    (willa.number, willa.aliases) = ("2003".into(), vec!["2099".into()]);
    west.extensions.push(willa);
    blueprint.tenants.push(west);
    for tenant in &mut blueprint.tenants {
        tenant.customer = "acme".into();
        (tenant.seats.visitors, tenant.seats.may_visit) = (true, true);
    }
    let mut other = tenant("other", "other.hotdesk");
    other.extensions[0].pin = Some(pin_hash("1212"));
    other.extensions[0].aliases = vec!["5005".into()];
    (other.seats.visitors, other.seats.may_visit) = (true, true);
    blueprint.tenants.push(other);
}

/// The desks of `demo`, phones of 1002 in both tenants, and a desk of `west`.
fn office_that(change: impl FnOnce(&mut Blueprint)) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        plan(blueprint);
        change(blueprint);
    });
    office.plug_in("desk-1").plug_in("desk-2").own_phone("soft-2", "1002");
    for (phone, account) in [("west-desk", "desk-1"), ("west-2", "1002")] {
        office.unbox(phone, account).in_domain(phone, "west.hotdesk");
        assert_eq!(office.register(phone), Some(200), "{phone}");
    }
    office
}

fn office() -> Office {
    office_that(|_| {})
}

fn dial(office: &mut Office, phone: &str, string: &str) -> Option<u16> {
    let call = office.call(phone, string);
    office.outcome(call)
}

/// 1001 of `west` sits at desk-1 of `demo`.
fn visited() -> Office {
    let mut office = office();
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
    office
}

/// Tenant and number of who sits at a desk of `demo`.
fn who_at(office: &Office, device: &str) -> Option<(String, String)> {
    let seat = office.seat_at(device)?;
    Some((seat.extension.tenant().to_owned(), seat.extension.name().to_owned()))
}

fn wanda() -> Option<(String, String)> {
    Some(("west".to_owned(), "1001".to_owned()))
}

/// Where 1001 of `west` sits: tenant and device.
fn places_of_wanda(office: &Office) -> Vec<(String, String)> {
    let seats = office.tables().seats.seats_of("acme", &("west", "1001"));
    seats.iter().map(|seat| (seat.device.tenant().to_owned(), seat.device.name().to_owned())).collect()
}

/// The code of the last refusal.
fn last_refusal(office: &Office) -> String {
    let refused = office.events(Kind::Refusal);
    refused.last().map(|event| event.reason.to_string()).unwrap_or_default()
}

fn last_end(office: &Office) -> Option<(Cause, Surface)> {
    office.reports.iter().rev().find_map(|report| match report {
        Report::SeatsChanged(change) if change.begun.is_none() => Some((change.cause, change.surface)),
        _ => None,
    })
}

// ---- who is meant -----------------------------------------------------------------------------------------

#[test]
fn number_of_the_visited_tenant_comes_first_and_the_prefix_leads_to_the_visitor() {
    let mut office = office();

    assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738"), Some(200));
    assert_eq!(who_at(&office, "desk-1"), Some(("demo".into(), "1001".into())));
    assert_eq!(dial(&mut office, "desk-2", LOG_IN), Some(200));

    assert_eq!(who_at(&office, "desk-2"), wanda());
    assert_eq!(office.device_of("1001").as_deref(), Some("desk-1"), "namesakes are two people");
    assert_eq!(dial(&mut office, "desk-2", "*11*1001*4321"), Some(403), "nor does one's PIN open the other");
}

#[test]
fn number_or_alias_that_only_one_of_the_customer_has_needs_no_prefix() {
    for typed in ["2003", "2099", "72003", "72099"] {
        let mut office = office();

        assert_eq!(dial(&mut office, "desk-1", &format!("*11*{typed}*6543")), Some(200), "{typed}");

        assert_eq!(who_at(&office, "desk-1"), Some(("west".into(), "2003".into())));
    }
}

#[test]
fn person_may_type_the_prefix_of_his_tenant_at_home_too() {
    let mut office = office();

    assert_eq!(dial(&mut office, "west-desk", LOG_IN), Some(200));

    assert_eq!(places_of_wanda(&office), [("west".to_owned(), "desk-1".to_owned())]);
}

#[test]
fn stranger_of_another_customer_is_refused_as_somebody_who_does_not_exist() {
    let mut office = office();
    let mut heard = Vec::new();

    for dialled in ["*11*5005*1212", "*11*5006*1212"] {
        office["desk-1"].forget();
        let began = office.clock();
        let call = office.call("desk-1", dialled);
        assert_eq!(office.outcome(call), Some(403), "{dialled}");
        let answer = last_answer(&office, "desk-1", "INVITE");
        let line = answer.text.lines().next().unwrap_or_default().to_owned();
        heard.push((line, answer.at.since(began)));
    }

    assert_eq!(heard[0], heard[1], "word and time are the same");
    assert_eq!(last_refusal(&office), Refusal::UnknownExtension.code());
    let named = office.events(Kind::Refusal).iter().any(|event| event.extension.is_some());
    assert!(!named, "what was typed may have been a PIN");
}

#[test]
fn attendant_takes_the_same_words_and_says_who_sits_here() {
    let mut office = office();

    office.talk("desk-1", "*11");
    office.press("71001#");
    office.press("4321#");

    assert_eq!(who_at(&office, "desk-1"), wanda());
    let (said, _) = office.said();
    assert!(said.starts_with("logged-in 1 0 0 1"), "{said}");
    office.listen_to_end();
    office.settle();
    office.talk("desk-1", "*13");
    assert!(office.said().0.starts_with("you-are 1 0 0 1"), "{}", office.said().0);
}

#[test]
fn attendant_speaks_the_language_of_the_place_and_then_that_of_the_visitor() {
    let mut office = office_that(|it| {
        it.tenants[0].sites[0].language = Some("en".into());
        it.tenants[1].attendant.language = "fr".into();
        it.tenants[1].extensions[0].language = Some("de".into());
    });

    office.talk("desk-1", "*11*71001");
    assert_eq!(office.said().1, "en");
    office.press("4321#");

    assert_eq!(office.said().1, "de");
}

// ---- who may ----------------------------------------------------------------------------------------------

#[test]
fn neither_tenant_is_visited_unless_both_say_so() {
    for (visitors, may_visit) in [(false, true), (true, false)] {
        let mut office = office_that(|it| {
            it.seats().visitors = visitors;
            it.tenants[1].seats.may_visit = may_visit;
        });

        for typed in [LOG_IN, "*11*2003*6543"] {
            assert_eq!(dial(&mut office, "desk-1", typed), Some(403), "{visitors} {may_visit}");
            assert_eq!(last_refusal(&office), Refusal::UnknownExtension.code());
        }
    }
}

#[test]
fn person_who_may_not_visit_is_told_so_and_only_after_the_pin() {
    let mut office = office_that(|it| {
        it.tenants[1].extensions[0].may_visit = Some(false);
        it.tenants[1].extensions[1].may_hot_desk = false;
    });

    assert_eq!(dial(&mut office, "desk-1", "*11*71001*0000"), Some(403));
    assert_eq!(last_refusal(&office), Refusal::Credentials.code());
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(403));
    assert_eq!(last_refusal(&office), Refusal::NotPermittedHere.code());
    assert_eq!(dial(&mut office, "desk-1", "*11*71002*5432"), Some(403));
    assert_eq!(last_refusal(&office), Refusal::NotPermitted.code());
    assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(200), "at home she may");
}

#[test]
fn one_person_may_visit_where_the_tenant_at_large_may_not() {
    let mut office = office_that(|it| {
        it.tenants[1].seats.may_visit = false;
        it.tenants[1].extensions[0].may_visit = Some(true);
    });

    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
    assert_eq!(dial(&mut office, "desk-2", "*11*2003*6543"), Some(403));
    assert_eq!(last_refusal(&office), Refusal::UnknownExtension.code());
}

#[test]
fn extension_that_is_bound_to_places_of_its_own_tenant_visits_none() {
    let mut office = office_that(|it| it.tenants[1].extensions[0].devices = vec!["desk-1".into()]);

    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(403), "desk-1 of another tenant is another device");
    assert_eq!(last_refusal(&office), Refusal::NotPermittedHere.code());
}

#[test]
fn locked_is_the_visitor_at_this_device_and_nobody_else() {
    let mut office = office();
    for _ in 0..3 {
        assert_eq!(dial(&mut office, "desk-1", "*11*71001*0000"), Some(403));
    }

    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(603));
    assert_eq!(dial(&mut office, "desk-1", "*11*1001*7738"), Some(200), "the namesake is not locked");
    assert_eq!(dial(&mut office, "desk-2", LOG_IN), Some(200), "nor is she elsewhere");
    let locked = office.events(Kind::LockOut);
    let pair: Vec<_> = locked.iter().filter(|event| event.reason == "pair").collect();
    assert_eq!(pair.len(), 1);
    assert_eq!((&*pair[0].tenant, pair[0].extension_tenant.as_deref()), ("demo", Some("west")));
    office.command(Command::Unlock {
        tenant: "west".into(),
        extension: "1001".into(),
        device: None,
        device_tenant: None,
    });
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200), "her own administrator lets her in");
}

#[test]
fn seats_are_limited_where_the_person_is_at_home_and_desks_guarded_where_they_stand() {
    let mut office = office_that(|it| it.tenants[1].seats.on_limit = OnLimit::Refuse);
    assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(200));

    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(403));
    assert_eq!(last_refusal(&office), Refusal::SeatLimit.code());

    let mut office = office_that(|it| it.seats().on_occupied = OnOccupied::Refuse);
    office.log_in("1003", "desk-1");
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(403));
    assert_eq!(last_refusal(&office), Refusal::DeviceOccupied.code());
}

// ---- calls ------------------------------------------------------------------------------------------------

#[test]
fn call_from_a_colleague_at_home_rings_the_visited_desk_and_either_side_ends_it() {
    for by_visitor in [false, true] {
        let mut office = visited();

        let call = office.call("west-2", "1001");

        assert_eq!(office.outcome(call), Some(200));
        assert_eq!((office["desk-1"].up(), office["west-desk"].requests("INVITE").len()), (1, 0));
        let there = office.last_call("desk-1");
        assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
        assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
        assert_eq!(office.invite_again(call, |_| {}), Some(200));
        assert_eq!(office.invite_again(there, |_| {}), Some(200));
        office.hang_up(if by_visitor { there } else { call });
        assert_eq!((office["desk-1"].up(), office["west-2"].up()), (0, 0));
        assert!(office.tables().calls.is_idle(
            &("demo", "desk-1"),
            office.now().mono,
            Duration::from_secs(4 * 3600)
        ));
    }
}

#[test]
fn visitor_calls_by_the_dial_plan_and_under_the_name_of_home() {
    for by_visitor in [false, true] {
        let mut office = visited();

        let call = office.call("desk-1", "1002");

        assert_eq!(office.outcome(call), Some(200));
        assert_eq!((office["west-2"].up(), office["soft-2"].up()), (1, 0), "1002 of home, not the one here");
        let invite = last_heard(&office, "west-2", "INVITE");
        let from = invite.header("From").expect("a From");
        assert!(from.starts_with("\"Wanda West\" <sip:1001@west.hotdesk>;tag="), "{from}");
        let heard = last_answer(&office, "desk-1", "INVITE");
        let own = heard.header("From").expect("a From");
        assert!(own.contains("sip:desk-1@demo.hotdesk"), "the phone gets back what it wrote: {own}");

        let there = office.last_call("west-2");
        assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
        let info = last_heard(&office, "west-2", "INFO");
        assert!(info.header("From").is_some_and(|from| from.contains("<sip:1001@west.hotdesk>")));
        assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
        let info = last_heard(&office, "desk-1", "INFO");
        assert!(info.header("To").is_some_and(|to| to.contains("sip:desk-1@demo.hotdesk")), "{}", info.text);
        assert_eq!(office.invite_again(there, |_| {}), Some(200));
        office.hang_up(if by_visitor { call } else { there });
        assert_eq!((office["desk-1"].up(), office["west-2"].up()), (0, 0));
    }
}

#[test]
fn within_a_call_the_visited_phone_is_known_by_its_own_account_also_from_another_address() {
    let mut office = visited();
    let call = office.call("desk-1", "1002");

    office.seen_at("desk-1", "203.0.113.77:7777");
    office.register("desk-1");
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(200));
    let there = office.last_call("west-2");
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200), "and it is found there");

    // The desk of the same name at home is another phone.
    office.seen_at("desk-1", "203.0.113.78:7778");
    assert_eq!(office.ask_within(call, "INFO", |_| {}), Some(403));
}

/// A gateway whose host is called so, at the last octet of its address.
fn gateway(name: &str, octet: u8) -> Peer {
    let address = format!("198.51.100.{octet}:5060").parse().expect("an address");
    Peer { uri: format!("sip:{name}.example").into(), addresses: vec![address] }
}

/// A route by such a gateway for all numbers.
fn route(name: &str, octet: u8, caller: &str) -> Route {
    Route {
        prefix: "0".into(),
        peers: vec![gateway(name, octet)],
        strip: 1,
        prepend: "+1".into(),
        caller: Some(caller.into()),
        account: None,
        no_answer: seconds(4),
    }
}

#[test]
fn visitor_calls_outside_by_the_routes_the_number_and_within_the_limits_of_home() {
    let mut office = office_that(|it| {
        it.tenants[0].routes = vec![route("here", 1, "+12125550100")];
        it.tenants[1].routes = vec![route("home", 2, "+13105550100")];
        it.tenants[1].extensions[0].numbers = vec!["+13105551001".into()];
        it.tenants[1].extensions[0].caller = Some("+13105551001".into());
        it.tenants[1].outside.phone_calls_max = 1;
    });
    office.peer("here", "198.51.100.1:5060").peer("home", "198.51.100.2:5060");
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
    assert_eq!(dial(&mut office, "west-desk", "*11*1002*5432"), Some(200));

    let call = office.call("desk-1", "03105557000");

    assert_eq!(office.outcome(call), Some(200));
    assert!(office["here"].heard().is_empty());
    let invite = last_heard(&office, "home", "INVITE");
    assert_eq!(invite.uri(), "sip:+13105557000@home.example;user=phone");
    let from = invite.header("From").expect("a From");
    assert!(from.starts_with("\"Wanda West\" <sip:+13105551001@west.hotdesk>;tag="), "{from}");
    assert_eq!(invite.header("P-Asserted-Identity"), Some("<sip:+13105551001@west.hotdesk>"));
    assert_eq!(dial(&mut office, "desk-1", "03105557000"), Some(403), "one call at a time, says home");
    let namesake = office.call("west-desk", "03105557000");
    assert_eq!(office.outcome(namesake), Some(200), "the desk of the same name there counts for itself");
    let there = office["home"].calls().len();
    assert_eq!(there, 2);
    office.hang_up(call);
    assert_eq!(dial(&mut office, "desk-1", "03105557000"), Some(200));

    let inbound = office.call("home", "sip:+13105551001@west.hotdesk");
    assert_eq!(office.outcome(inbound), Some(200), "and her number outside rings where she sits");
    assert_eq!(last_heard(&office, "desk-1", "INVITE").uri(), office["desk-1"].contact("desk-1"));
}

#[test]
fn call_that_rings_follows_the_person_to_the_other_tenant_and_back() {
    for workers in [1, 2] {
        let mut office = office_that(|it| it.workers = workers);
        office.at_worker("desk-1", workers - 1).at_worker("west-desk", 0).at_worker("west-2", 0);
        assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(200));
        for phone in ["desk-1", "west-desk"] {
            office[phone].manner = Manner::Rings;
        }
        let call = office.call("west-2", "1001");
        assert_eq!((office["west-desk"].ringing(), office["desk-1"].ringing()), (1, 0));

        assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
        assert_eq!((office["west-desk"].ringing(), office["desk-1"].ringing()), (0, 1), "{workers}");
        assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(200));
        assert_eq!((office["west-desk"].ringing(), office["desk-1"].ringing()), (1, 0), "{workers}");
        assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));

        office.pick_up("desk-1");
        office.settle();
        assert_eq!(office.leg(call).state, CallState::Up);
        office.hang_up(call);
        assert_eq!(office["desk-1"].up(), 0);
    }
}

#[test]
fn nobody_at_the_visited_tenant_reaches_the_visitor_by_a_number_of_their_own() {
    let mut office = visited();

    assert_eq!(dial(&mut office, "soft-2", "1001"), Some(480), "their 1001 sits nowhere");
    assert!(office["desk-1"].requests("INVITE").is_empty());
}

// ---- codes, ends ------------------------------------------------------------------------------------------

#[test]
fn codes_are_those_of_the_device() {
    let mut office = office_that(|it| {
        let codes = Codes { login: "*81".into(), logout: "*82".into(), ..it.tenants[0].codes.clone() };
        it.device("desk-1").codes = Some(codes);
    });

    assert_eq!(dial(&mut office, "desk-1", "*81*71001*4321"), Some(200));
    assert_eq!(dial(&mut office, "desk-1", "*12"), Some(404), "that of home is a number like any other");
    assert_eq!(dial(&mut office, "desk-1", "*82"), Some(200));
    assert_eq!(who_at(&office, "desk-1"), None);
}

#[test]
fn visitor_logs_out_by_code_by_toggle_and_from_a_phone_at_home() {
    let mut office = visited();
    assert_eq!(office.log_out("desk-1"), Some(200));
    assert_eq!(who_at(&office, "desk-1"), None);

    assert_eq!(dial(&mut office, "desk-1", "*10*71001*4321"), Some(200));
    assert_eq!(who_at(&office, "desk-1"), wanda());
    office.talk("desk-1", "*10");
    assert_eq!(who_at(&office, "desk-1"), None, "and the toggle leads out again");
    office.listen_to_end();
    office.settle();

    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
    assert_eq!(dial(&mut office, "desk-1", "*12*1001*4321"), Some(403), "1001 is somebody else here");
    assert_eq!(dial(&mut office, "west-2", "*12*1001*4321"), Some(200), "and she herself at home");
    assert_eq!(who_at(&office, "desk-1"), None);
}

#[test]
fn log_out_that_needs_a_pin_takes_the_visitors_and_not_that_of_her_namesake() {
    let mut office = office_that(|it| it.seats().logout_pin = true);
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));

    office.talk("desk-1", "*12");
    office.press("7738#");
    assert_eq!(who_at(&office, "desk-1"), wanda());
    office.press("4321#");

    assert_eq!(who_at(&office, "desk-1"), None);
}

#[test]
fn code_with_the_number_of_a_namesake_does_not_log_the_visitor_out() {
    let mut office = visited();

    office.talk("desk-1", "*12*1001");

    assert_eq!(who_at(&office, "desk-1"), wanda());
    assert!(office.said().0.ends_with("enter-pin"), "the PIN of whom it names is asked for");
}

#[test]
fn log_in_elsewhere_displaces_the_visitor_and_back_again() {
    let mut office = visited();

    assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(200));
    assert_eq!(places_of_wanda(&office), [("west".to_owned(), "desk-1".to_owned())]);
    assert_eq!(dial(&mut office, "desk-1", "1002"), Some(403), "nobody sits there any more");
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
    assert_eq!(places_of_wanda(&office), [("demo".to_owned(), "desk-1".to_owned())]);
    office.log_in("1003", "desk-1");

    assert!(places_of_wanda(&office).is_empty(), "put out by somebody of the place");
}

#[test]
fn device_and_site_say_when_the_visit_ends_and_only_then_the_extension() {
    let idle = |span| Ends { idle: Some(Limit::After(seconds(span))), ..Ends::default() };
    for (device, site, extension, tenant, ends_after) in [
        (Some(600), Some(1200), Some(1800), Some(2400), 600),
        (None, Some(1200), Some(1800), None, 1800),
        (None, Some(1200), None, Some(2400), 1200),
        (None, None, None, Some(2400), 2400),
    ] {
        let mut office = office_that(|it| {
            if let Some(span) = device {
                it.device("desk-1").ends = idle(span);
            }
            if let Some(span) = site {
                it.tenants[0].sites[0].ends = idle(span);
            }
            if let Some(span) = extension {
                it.tenants[1].extensions[0].ends = idle(span);
            }
            if let Some(span) = tenant {
                it.tenants[0].seats.ends.idle = Some(Limit::After(seconds(span)));
            }
            // What holds at the desks of home counts nowhere else.
            it.tenants[1].seats.ends.idle = Some(Limit::After(seconds(60)));
            it.tenants[1].sites[0].ends = idle(60);
        });
        assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));

        office.advance(seconds(ends_after - 10));
        assert_eq!(who_at(&office, "desk-1"), wanda(), "{ends_after}");
        office.advance(seconds(20));

        assert_eq!(who_at(&office, "desk-1"), None, "{ends_after}");
        assert_eq!(last_end(&office), Some((Cause::Idle, Surface::Clock)));
    }
}

#[test]
fn visit_ends_when_either_tenant_takes_away_what_it_needs() {
    let changes: [fn(&mut Blueprint); 6] = [
        |it| it.tenants[0].devices.retain(|device| *device.id != *"desk-1"),
        |it| it.device("desk-1").enabled = false,
        |it| it.tenants[1].extensions.retain(|extension| *extension.number != *"1001"),
        |it| it.tenants[1].extensions[0].enabled = false,
        |it| it.tenants[0].customer = "".into(),
        |it| it.tenants[1].customer = "".into(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut office = visited();

        office.reconfigure(change);
        office.advance(seconds(2));

        assert!(office.tables().seats.is_empty(), "{index}");
        assert_eq!(last_end(&office), Some((Cause::Removed, Surface::Configuration)), "{index}");
        office.kill_and_restart();
        assert!(office.tables().seats.is_empty(), "{index}: nor does a restart bring it back");
    }
}

#[test]
fn visit_outlives_a_restart_and_a_reload_that_welcomes_nobody_any_more() {
    let mut office = visited();

    office.reconfigure(|it| it.seats().visitors = false);
    office.kill_and_restart();

    assert_eq!(who_at(&office, "desk-1"), wanda());
    assert_eq!(dial(&mut office, "west-2", "1001"), Some(200));
    assert_eq!(office["desk-1"].up(), 1);
    assert_eq!(dial(&mut office, "desk-2", LOG_IN), Some(403), "but nobody comes");
}

// ---- operators --------------------------------------------------------------------------------------------

#[test]
fn operator_seats_a_visitor_and_operators_of_both_tenants_end_the_visit() {
    let mut office = office();
    let order = |office: &mut Office, home: &str| {
        let command = Command::LogIn {
            tenant: "demo".into(),
            device: "desk-1".into(),
            extension: "1001".into(),
            extension_tenant: Some(home.into()),
            force: false,
            until: None,
        };
        office.command(command).expect("there is an answer").map(|_| ())
    };
    let out = |office: &mut Office, extension: &str| {
        let (tenant, extension) = ("west".into(), extension.into());
        office
            .command(Command::LogOutExtension { tenant, extension, now: false })
            .expect("there is an answer")
    };

    assert_eq!(order(&mut office, "other"), Err(Refusal::UnknownExtension));
    assert_eq!(order(&mut office, "west"), Ok(()));
    assert_eq!(who_at(&office, "desk-1"), wanda());
    assert!(office.force_out("desk-1", false).is_some_and(|done| done.is_ok()));
    assert_eq!(who_at(&office, "desk-1"), None);
    assert_eq!(order(&mut office, "west"), Ok(()));
    assert_eq!(out(&mut office, "1001"), Ok(Done::Ending(1)));
    office.advance(seconds(1));
    assert_eq!(who_at(&office, "desk-1"), None);
    assert_eq!(last_end(&office), Some((Cause::Forced, Surface::Api)));
    assert_eq!(out(&mut office, "1001"), Err(Refusal::NotLoggedIn));
    assert_eq!(out(&mut office, "4711"), Err(Refusal::UnknownExtension));
}

#[test]
fn audit_trail_names_both_tenants() {
    let mut office = office();
    office.log_in("1003", "desk-1");
    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
    assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(200));

    let settings = office.settings();
    let changes = office.reports.iter().filter_map(|report| match report {
        Report::SeatsChanged(change) => Some(change),
        _ => None,
    });
    let told: Vec<String> = changes
        .flat_map(|change| dataplane::audit::of_change(change, settings))
        .map(|event| {
            let details: Vec<_> =
                event.details.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            let extension = event.extension.as_deref().unwrap_or_default();
            let home = event.extension_tenant.as_deref().unwrap_or("-");
            format!("{} {} {extension} {home}{}", event.kind.code(), event.tenant, details.concat())
        })
        .collect();
    assert_eq!(
        told,
        [
            "log-in demo 1003 -",
            "displacement demo 1003 - by_extension=1001 by_extension_tenant=west",
            "log-in demo 1001 west",
            "displacement demo 1001 west to_device=desk-1 to_device_tenant=west",
            "log-in west 1001 -",
        ]
    );

    assert_eq!(dial(&mut office, "desk-1", "*11*71001*0000"), Some(403));
    let refused = office.events(Kind::Refusal);
    let refused = refused.last().expect("it is on record");
    assert_eq!((&*refused.tenant, refused.extension.as_deref()), ("demo", Some("1001")));
    assert_eq!(refused.extension_tenant.as_deref(), Some("west"));
}

// ---- the phone's own wizard -------------------------------------------------------------------------------

/// The wizard of desk-1 of `demo` puts in 1001 of `west`; the final answer.
fn visit_natively(office: &mut Office) -> Option<u16> {
    office.in_domain("desk-1", "west.hotdesk").native_log_in("desk-1", "1001")
}

#[test]
fn wizard_of_a_phone_that_is_known_by_its_flow_takes_the_visitor_in_and_out() {
    let mut office = office();

    assert_eq!(visit_natively(&mut office), Some(200));

    assert_eq!(who_at(&office, "desk-1"), wanda());
    assert_eq!(office.seat_at("desk-1").map(|seat| seat.surface), Some(Surface::Native));
    let call = office.call("west-2", "1001");
    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(last_heard(&office, "desk-1", "INVITE").uri(), office["desk-1"].contact("1001"));
    let there = office.last_call("desk-1");
    assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
    office.hang_up(there);
    let call = office.call("desk-1", "1002");
    assert_eq!((office.outcome(call), office["west-2"].up()), (Some(200), 1));
    office.hang_up(call);
    assert!(office.tables().calls.is_idle(&("demo", "desk-1"), office.now().mono, seconds(4 * 3600)));
    assert_eq!(dial(&mut office, "desk-1", "*12"), Some(200), "a code of the place");
    assert_eq!(who_at(&office, "desk-1"), None);

    assert_eq!(office.register("desk-1"), Some(403), "a refresh never takes a seat");
    assert_eq!(dial(&mut office, "desk-1", "1002"), Some(403), "nor does a loser call as whom it lost");
    office.unregister("desk-1");
    assert_eq!(office.register("desk-1"), Some(200));
    assert_eq!(who_at(&office, "desk-1"), wanda());
    office.unregister("desk-1");
    assert_eq!(who_at(&office, "desk-1"), None, "its own un-REGISTER is the log-out");
}

#[test]
fn wizard_is_refused_where_visitors_or_wizards_are_not_welcome() {
    let policies: [fn(&mut Blueprint); 3] = [
        |it| it.seats().visitors = false,
        |it| it.tenants[1].seats.may_visit = false,
        |it| it.seats().native = false,
    ];
    for (index, policy) in policies.into_iter().enumerate() {
        let mut office = office_that(policy);

        assert_eq!(visit_natively(&mut office), Some(403), "{index}");

        assert_eq!(who_at(&office, "desk-1"), None);
    }
}

#[test]
fn guest_key_takes_a_visitor_who_proves_the_pin_unless_both_tenants_waive_it() {
    let policy = |challenge| HotelingPolicy { challenge, ..HotelingPolicy::default() };
    for (here, home, pin, sits) in [
        (policy(true), None, "4321", wanda()),
        (policy(true), None, "0000", None),
        (policy(false), None, "0000", None),
        (policy(false), Some(policy(true)), "0000", None),
        (policy(false), Some(policy(false)), "0000", wanda()),
    ] {
        let mut office = office_that(|it| {
            it.seats().hoteling = Some(here);
            it.tenants[1].seats.hoteling = home;
        });

        GuestKey::of("desk-1").press(&mut office, "71001", pin);

        assert_eq!(who_at(&office, "desk-1"), sits, "{here:?} {home:?} {pin}");
    }
}

// ---- emergency --------------------------------------------------------------------------------------------

#[test]
fn call_for_help_leaves_from_where_the_visitor_is_and_is_called_back_there() {
    for native in [false, true] {
        let mut office = office_that(|it| {
            it.tenants[0].emergency.routes = vec![gateway("psap", 112)];
            let west = &mut it.tenants[1];
            west.emergency.routes = vec![gateway("far", 113)];
            west.emergency.numbers = vec!["999".into()];
            west.sites[0] = Site { emergency_caller: Some("+13105550100".into()), ..west.sites[0].clone() };
        });
        office.peer("psap", "198.51.100.112:5060").peer("far", "198.51.100.113:5060");
        if native {
            assert_eq!(visit_natively(&mut office), Some(200));
        } else {
            assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
        }

        let call = office.call("desk-1", "112");

        assert_eq!(office.outcome(call), Some(200), "{native}");
        let invite = last_heard(&office, "psap", "INVITE");
        let from = invite.header("From").expect("a From");
        assert!(from.starts_with("\"Open Desk 1\" <sip:+12125550100@"), "{from}");
        assert!(!invite.text.contains("Wanda"), "{}", invite.text);
        assert!(office["far"].heard().is_empty(), "the service of home is far away");
        let there = office.last_call("psap");
        assert_eq!(office.ask_within(there, "INFO", |_| {}), Some(200));
        office.hang_up(there);
        assert_eq!(office["desk-1"].up(), 0);

        // Nobody takes the seat while the service may call back, and it rings here whatever has become of her.
        assert_eq!(dial(&mut office, "west-desk", "*11*1001*4321"), Some(603), "the seat is held");
        let before = office["desk-1"].requests("INVITE").len();
        let back = office.call("psap", "+12125550100");
        assert_eq!(office.outcome(back), Some(200));
        assert_eq!(office["desk-1"].requests("INVITE").len(), before + 1);
        office.hang_up(back);
        let events = office.events(Kind::EmergencyCall);
        let routed = events.iter().find(|event| event.reason == "routed").expect("it is on record");
        assert_eq!((&*routed.tenant, routed.device.as_deref()), ("demo", Some("desk-1")));
        assert_eq!(
            (routed.extension.as_deref(), routed.extension_tenant.as_deref()),
            (Some("1001"), Some("west"))
        );
    }
}

#[test]
fn phone_of_home_that_is_carried_along_is_no_device_of_the_place() {
    let mut office = office_that(|it| it.tenants[0].emergency.routes = vec![gateway("psap", 112)]);
    office.peer("psap", "198.51.100.112:5060");
    office
        .unbox("carried", "desk-2")
        .in_domain("carried", "west.hotdesk")
        .seen_at("carried", "10.2.7.7:5060");

    assert_eq!(dial(&mut office, "carried", "112"), Some(200));

    let from = last_heard(&office, "psap", "INVITE").header("From").unwrap_or_default().to_owned();
    assert!(from.contains("<sip:+12125550100@") && !from.contains("Open Desk 2"), "{from}");
    let events = office.events(Kind::EmergencyCall);
    assert_eq!(events.first().and_then(|event| event.device.as_deref()), None);
}

/// While an old call keeps a seat that is to end, nobody is called from there on the account of where its person was at home.
#[test]
fn visitor_whose_seat_waits_for_a_call_to_end_makes_no_new_calls() {
    let changes: [fn(&mut Blueprint); 3] = [
        |it| it.tenants[1].extensions[0].enabled = false,
        |it| it.tenants[1].customer = "".into(),
        |it| it.tenants[1].extensions.retain(|extension| *extension.number != *"1001"),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut office = office_that(|it| {
            it.tenants[0].base.may_call = vec![dataplane::settings::Pattern::new("0.").unwrap()];
            it.tenants[0].routes = vec![route("here", 1, "+12125550100")];
            it.tenants[1].routes = vec![route("home", 2, "+13105550100")];
        });
        office.peer("here", "198.51.100.1:5060").peer("home", "198.51.100.2:5060");
        assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
        let call = office.call("desk-1", "03105557000");
        assert_eq!(office.outcome(call), Some(200));

        office.reconfigure(change);
        office.advance(seconds(5));
        let refused = office.call("desk-1", "03105557001");

        assert_eq!(office.outcome(refused), Some(403), "change {index}");
        assert_eq!(office["home"].calls().len(), 1, "change {index}");
    }
}

#[test]
fn lock_of_a_visitor_is_lifted_at_the_device_where_it_is() {
    let mut office = office();
    for _ in 0..3 {
        assert_eq!(dial(&mut office, "desk-1", "*11*71001*0000"), Some(403));
    }
    let unlock = |device_tenant: Option<&str>| Command::Unlock {
        tenant: "west".into(),
        extension: "1001".into(),
        device: Some("desk-1".into()),
        device_tenant: device_tenant.map(Into::into),
    };

    assert!(matches!(office.command(unlock(None)), Some(Err(_))), "it is not locked at home");
    assert_eq!(office.command(unlock(Some("nobody"))), Some(Err(Refusal::UnknownTenant)));
    assert_ne!(dial(&mut office, "desk-1", LOG_IN), Some(200), "locked");
    assert_eq!(office.command(unlock(Some("demo"))), Some(Ok(Done::Unlocked)));

    assert_eq!(dial(&mut office, "desk-1", LOG_IN), Some(200));
}
