//! Who may log in as a visitor, by which words and which ways.

use dataplane::audit::Kind;
use dataplane::hotdesk::Surface;
use dataplane::input::Command;
use dataplane::output::Done;
use dataplane::refusal::Refusal;
use dataplane::settings::{Codes, HotelingPolicy, OnLimit, OnOccupied};
use dataplane::testing::{Blueprint, Office};

use super::{
    LOG_IN, dial, last_refusal, office, office_that, places_of_wanda, plan, visit_natively, wanda, who_at,
};
use crate::hoteling::GuestKey;
use crate::{SEED, last_answer, last_heard, seconds};

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
fn visitor_whose_account_is_in_the_phone_dials_the_codes_of_the_place() {
    let mut office = office_that(|it| it.tenants[1].codes.logout = "*92".into());
    assert_eq!(visit_natively(&mut office), Some(200));

    assert_eq!(dial(&mut office, "desk-1", "*92"), Some(404), "a code of home");
    assert_eq!(dial(&mut office, "desk-1", "*12"), Some(200));

    assert_eq!(who_at(&office, "desk-1"), None);
}

// ---- the phone's own wizard -------------------------------------------------------------------------------

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
fn wizard_takes_a_visitor_whose_tenant_has_no_shared_phones() {
    let mut office = Office::with(SEED, |it| {
        plan(it);
        it.tenants[1].devices.clear();
    });
    office.plug_in("desk-1");

    assert_eq!(visit_natively(&mut office), Some(200));

    assert_eq!(who_at(&office, "desk-1"), wanda());
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
