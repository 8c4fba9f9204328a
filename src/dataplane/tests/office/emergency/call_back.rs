//! The service calls back: which phones ring, for how long, and for whom else.

use dataplane::testing::{Manner, Office, StoreMood, tenant};

use super::{office_with_two_routes, reasons};
use crate::{SEED, gateway, last_heard, seconds};

#[test]
fn call_of_a_colleague_is_no_call_back_and_holds_no_phone() {
    let mut office = office_with_two_routes();
    office.log_in("1001", "desk-1");
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    office.advance(seconds(3500));
    let colleague = office.call("soft-2", "+12125550100");
    assert_eq!(office.outcome(colleague), Some(200));
    assert_eq!(office["desk-1"].up(), 1);
    office.hang_up(colleague);

    assert!(!reasons(&office).contains(&"called-back"));
    assert_eq!(office.counters().emergency_call_backs, 0);
    office.advance(seconds(200));
    assert_eq!(office.try_log_in("1003", "desk-1"), Some(200), "the hold was that of the call for help");
    let late = office.call("soft-2", "+12125550100");
    assert_ne!(office.outcome(late), Some(200), "and so was its time");
}

/// Two customers behind one gateway, each with a phone that called for help and showed the number given.
fn two_customers_behind_one_gateway(numbers: [&str; 2]) -> Office {
    let mut office = Office::with(SEED, |blueprint| {
        blueprint.tenants.push(tenant("other", "other.example"));
        for (tenant, number) in blueprint.tenants.iter_mut().zip(numbers) {
            tenant.emergency.routes = vec![gateway("psap", 112)];
            tenant.sites[0].emergency_caller = Some(number.into());
            tenant.sites[0].networks.clear();
        }
    });
    office.peer("psap", "198.51.100.112:5060").plug_in("desk-1");
    office.unbox("theirs", "desk-1").in_domain("theirs", "other.example");
    assert_eq!(office.register("theirs"), Some(200));
    for phone in ["desk-1", "theirs"] {
        let call = office.call(phone, "112");
        assert_eq!(office.outcome(call), Some(200), "{phone}");
        office.hang_up(call);
        office[phone].manner = Manner::Rings;
    }
    office
}

#[test]
fn call_back_over_a_shared_gateway_rings_the_customer_whose_domain_is_called() {
    for (domain, rings) in [("demo.hotdesk", (1, 0)), ("other.example", (0, 1)), ("192.0.2.1", (1, 1))] {
        let mut office = two_customers_behind_one_gateway(["+12125550100", "+12125550100"]);

        office.dial("psap", &format!("sip:2125550100@{domain}"));
        office.settle();

        assert_eq!((office["desk-1"].ringing(), office["theirs"].ringing()), rings, "{domain}");
    }
}

#[test]
fn phone_that_showed_exactly_the_number_called_comes_before_those_that_showed_one_like_it() {
    let mut office = two_customers_behind_one_gateway(["5550100", "+12125550100"]);

    office.dial("psap", "sip:+12125550100@192.0.2.1");
    office.settle();

    assert_eq!((office["desk-1"].ringing(), office["theirs"].ringing()), (0, 1));
    office.pick_up("theirs");
    office.settle();
    let there = office.last_call("psap");
    office.hang_up(there);
    assert_eq!(office["theirs"].up(), 0, "the phone of the other tenant hears the end");
}

#[test]
fn visitor_from_the_tenant_its_customer_is_named_after_dials_the_number_on_the_wall() {
    let mut office = Office::with(SEED, |blueprint| {
        let mut branch = tenant("branch", "branch.hotdesk");
        branch.customer = "demo".into();
        branch.sites[0].networks = vec!["10.9.0.0/16".parse().expect("a network")];
        branch.emergency.numbers = vec!["999".into()];
        branch.emergency.routes = vec![gateway("far", 200)];
        blueprint.tenants.push(branch);
    });
    office.peer("far", "198.51.100.200:5060").unbox("guest", "1001").seen_at("guest", "10.9.7.7:5060");
    assert_eq!(office.register("guest"), Some(200));

    let call = office.call("guest", "999");

    assert_eq!(office.outcome(call), Some(200));
    assert_eq!(last_heard(&office, "far", "INVITE").uri(), "sip:999@far.example");
}

/// What befalls a phone that calls for help, or the edge meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plight {
    BaseState,
    Seated,
    MidSwap,
    LockedPin,
    StoreDown,
    FirstRouteDown,
    NoRouteLeft,
    DeviceDisabled,
    ExtensionDisabled,
    Visitor,
    Native,
    DeletedItsOwnAccount,
}

impl Plight {
    const ALL: [Self; 12] = [
        Self::BaseState,
        Self::Seated,
        Self::MidSwap,
        Self::LockedPin,
        Self::StoreDown,
        Self::FirstRouteDown,
        Self::NoRouteLeft,
        Self::DeviceDisabled,
        Self::ExtensionDisabled,
        Self::Visitor,
        Self::Native,
        Self::DeletedItsOwnAccount,
    ];

    /// Brings it about. Gives the phone that will call.
    fn strike(self, office: &mut Office) -> &'static str {
        const PHONE: &str = "desk-1";
        match self {
            Self::BaseState => {}
            Self::Seated => office.log_in("1001", PHONE),
            Self::MidSwap => {
                office.log_in("1001", PHONE);
                office.store.mood = StoreMood::Holds;
                let dialled = office.log_in_string("1003");
                office.call(PHONE, &dialled);
                assert_eq!(office.store.held(), 1, "the log-in is on its way to the store");
            }
            Self::LockedPin => {
                for _ in 0..4 {
                    office.call(PHONE, "*11*1001*0000");
                }
                assert_eq!(office.try_log_in("1001", PHONE), Some(603));
            }
            Self::StoreDown => {
                office.log_in("1001", PHONE);
                office.store.mood = StoreMood::Fails;
            }
            Self::FirstRouteDown => office["psap"].manner = Manner::Silent,
            Self::NoRouteLeft => {
                office["psap"].manner = Manner::Silent;
                office["psap-2"].manner = Manner::Silent;
            }
            Self::DeviceDisabled => {
                office.log_in("1001", PHONE);
                office.reconfigure(|blueprint| blueprint.device(PHONE).enabled = false);
            }
            Self::ExtensionDisabled => {
                office.log_in("1001", PHONE);
                office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);
            }
            Self::Visitor => {
                // Its home is far away; the network it is in, and the numbers on the wall, are those of the site here.
                office.unbox("guest", "1001").in_domain("guest", "branch.hotdesk");
                office.seen_at("guest", "10.2.7.7:5060");
                assert_eq!(office.register("guest"), Some(200));
                return "guest";
            }
            Self::Native => assert_eq!(office.native_log_in(PHONE, "1001"), Some(200)),
            Self::DeletedItsOwnAccount => {
                office[PHONE].show_instance("urn:uuid:00000000-0000-1000-8000-001122334451");
                office.register(PHONE);
                office.unregister(PHONE);
                assert_eq!(office.native_log_in(PHONE, "1001"), Some(200));
            }
        }
        PHONE
    }
}

#[test]
fn in_every_plight_the_call_leaves_with_its_place_and_is_called_back() {
    for plight in Plight::ALL {
        let mut office = office_with_two_routes();
        let phone = plight.strike(&mut office);
        office[phone].forget();

        let call = office.call(phone, "112");
        office.advance(seconds(10));

        if plight == Plight::NoRouteLeft {
            assert_eq!(office.outcome(call), Some(500), "{plight:?}");
            assert!(reasons(&office).contains(&"unreachable"), "{plight:?}: {:?}", reasons(&office));
            // Who has heard the call ring may know the number all the same.
        } else {
            assert_eq!(office.outcome(call), Some(200), "{plight:?}");
            let psap = if plight == Plight::FirstRouteDown { "psap-2" } else { "psap" };
            let invite = last_heard(&office, psap, "INVITE");
            let from = invite.header("From").unwrap_or_default();
            assert!(from.contains("<sip:+12125550100@"), "{plight:?}: {from}");
            assert!(invite.text.contains("<ca:RD>46th</ca:RD>"), "{plight:?}: {}", invite.text);
            let has_room = invite.text.contains("<ca:ROOM>Desk 1</ca:ROOM>");
            assert_eq!(has_room, phone == "desk-1", "{plight:?}: {}", invite.text);
            office.hang_up(call);
        }
        let before = office[phone].requests("INVITE").len();

        let back = office.call("psap-2", "+12125550100");

        assert_eq!(office.outcome(back), Some(200), "{plight:?}");
        assert_eq!(office[phone].requests("INVITE").len(), before + 1, "{plight:?}");
        office.hang_up(back);
        assert!(office.counters().emergency_call_backs > 0, "{plight:?}");
    }
}

#[test]
fn call_back_rings_only_the_phone_that_called_and_only_for_its_time() {
    let mut office = office_with_two_routes();
    office.log_in("1001", "desk-1");
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    for called in
        ["+12125550100", "12125550100", "2125550100", "sip:+12125550100@192.0.2.1", "tel:+1-212-555-0100"]
    {
        let back = office.call("psap", called);
        assert_eq!(office.outcome(back), Some(200), "{called}");
        office.hang_up(back);
    }
    assert_eq!(office["desk-1"].requests("INVITE").len(), 5);
    assert!(office["desk-2"].requests("INVITE").is_empty());

    office.advance(seconds(3601));
    let late = office.call("psap", "+12125550100");
    assert_ne!(office.outcome(late), Some(200));
    assert_eq!(office.store.called_for_help(), 0, "the store has forgotten it");
}

#[test]
fn call_back_rings_of_all_phones_of_a_person_the_one_that_called() {
    let mut office = office_with_two_routes();
    office.own_phone("desk-at-home", "1002");
    let call = office.call("soft-2", "112");
    office.hang_up(call);

    let back = office.call("psap", "+12125550100");

    assert_eq!(office.outcome(back), Some(200));
    assert_eq!(["soft-2", "desk-at-home"].map(|phone| office[phone].requests("INVITE").len()), [1, 0]);
}

#[test]
fn each_of_two_calls_for_help_of_one_phone_ends_for_itself() {
    let mut office = office_with_two_routes();
    let [first, second] = ["112", "911"].map(|number| office.call("desk-1", number));

    office.hang_up(second);
    office.advance(seconds(3601));
    let back = office.call("psap", "+12125550100");
    assert_eq!(office.outcome(back), Some(200), "the first is up, however long ago the second was");
    office.hang_up(back);
    office.hang_up(first);

    assert_eq!(reasons(&office).iter().filter(|reason| **reason == "ended").count(), 2);
    office.advance(seconds(3601));
    assert_eq!(office.store.called_for_help(), 0);
    assert_eq!(office.try_log_in("1001", "desk-1"), Some(200), "no call holds the phone any more");
}

#[test]
fn two_phones_that_showed_one_number_ring_together() {
    let mut office = office_with_two_routes();
    for phone in ["desk-1", "desk-2"] {
        let call = office.call(phone, "112");
        office.hang_up(call);
        office[phone].manner = Manner::Rings;
    }

    office.dial("psap", "+12125550100");
    office.settle();

    assert_eq!((office["desk-1"].ringing(), office["desk-2"].ringing()), (1, 1));
    office.pick_up("desk-2");
    office.settle();
    assert_eq!((office["desk-1"].ringing(), office["desk-2"].up()), (0, 1));
}

#[test]
fn nobody_else_outside_reaches_a_phone_by_its_emergency_number_and_a_colleague_does() {
    let mut office = office_with_two_routes();
    office.peer("stranger", "198.51.100.66:5060");
    let call = office.call("desk-1", "112");
    office.hang_up(call);

    let stranger = office.call("stranger", "+12125550100");
    let colleague = office.call("soft-2", "+12125550100");

    assert_eq!(office.outcome(stranger), Some(407));
    assert_eq!(office.outcome(colleague), Some(200));
    assert_eq!(office["desk-1"].requests("INVITE").len(), 1);
    assert_eq!(office.ask("soft-2", "MESSAGE", "+12125550100", |_| {}), Some(404), "it is no call");
}

#[test]
fn phone_that_registered_nothing_is_called_back_the_way_it_called() {
    let mut office = office_with_two_routes();
    office.unbox("inside", "1003").seen_at("inside", "10.2.7.7:5060");
    let call = office.call("inside", "112");
    assert_eq!(office.outcome(call), Some(200));
    office.hang_up(call);

    let back = office.call("psap", "+12125550100");

    assert_eq!(office.outcome(back), Some(200));
    assert_eq!(office["inside"].requests("INVITE").len(), 1);
}

#[test]
fn phone_that_called_twice_is_rung_once() {
    let mut office = office_with_two_routes();
    office.unbox("inside", "1003").seen_at("inside", "10.2.7.7:5060");
    for is_known in [false, false, true] {
        if is_known {
            assert_eq!(office.register("inside"), Some(200));
        }
        let call = office.call("inside", "112");
        assert_eq!(office.outcome(call), Some(200));
        office.hang_up(call);
    }

    let back = office.call("psap", "+12125550100");

    assert_eq!(office.outcome(back), Some(200));
    assert_eq!(office["inside"].requests("INVITE").len(), 1);
}
