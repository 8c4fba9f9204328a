//! What the audit trail is told: everything that happens once, with who, where, by which way and why.

use dataplane::audit::{Event, Kind, of_change};
use dataplane::output::Report;
use dataplane::settings::Peer;
use dataplane::testing::{Manner, Office};

use crate::{SEED, seconds, three_desks};

/// All events so far: kind, device, extension, reason, surface.
pub(crate) fn told(office: &Office) -> Vec<[String; 5]> {
    let row = |event: &Event<'_>| {
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let surface = event.surface.map_or("-".into(), |surface| format!("{surface:?}"));
        let (device, extension) = (text(event.device.as_deref()), text(event.extension.as_deref()));
        [event.kind.code().into(), device, extension, event.reason.to_string(), surface]
    };
    let settings = office.settings();
    let events = office.reports.iter().flat_map(|report| match report {
        Report::SeatsChanged(change) => of_change(change, settings).map(|event| row(&event)).collect(),
        Report::Event(event) => vec![row(event)],
        _ => Vec::new(),
    });
    events.collect()
}

/// The last event of all, whole.
fn last(office: &Office) -> Event<'static> {
    let settings = office.settings();
    let event = office.reports.iter().rev().find_map(|report| match report {
        Report::SeatsChanged(change) => of_change(change, settings).last().map(Event::into_owned),
        Report::Event(event) => Some((**event).clone()),
        _ => None,
    });
    event.expect("something was told")
}

#[test]
fn a_shift_is_told_event_by_event() {
    let mut office = three_desks();

    office.log_in("1001", "desk-1");
    office.log_in("1001", "desk-2");
    office.log_in("1002", "desk-2");
    office.native_log_in("desk-3", "1003");
    office.unregister("desk-3");
    office.log_out("desk-2");
    office.log_out("desk-2");

    let row = |row: [&str; 5]| row.map(String::from);
    let expected = [
        ["log-in", "desk-1", "1001", "log-in", "Dialled"],
        ["displacement", "desk-1", "1001", "moved", "Dialled"],
        ["log-in", "desk-2", "1001", "log-in", "Dialled"],
        ["displacement", "desk-2", "1001", "taken-over", "Dialled"],
        ["log-in", "desk-2", "1002", "log-in", "Dialled"],
        ["log-in", "desk-3", "1003", "log-in", "Native"],
        ["log-out", "desk-3", "1003", "log-out", "Native"],
        ["log-out", "desk-2", "1002", "log-out", "Dialled"],
        ["refusal", "desk-2", "-", "nobody-sits", "Dialled"],
    ];
    assert_eq!(told(&office), expected.map(row));
}

#[test]
fn a_refusal_names_where_it_came_from_and_only_an_extension_that_there_is() {
    let mut office = three_desks();

    office.call("desk-1", "*11*1001*0000");
    let refused = last(&office);
    let mistaken = office.call("desk-1", "*11*7738*1001");
    office.outcome(mistaken);
    let swapped = last(&office);

    assert_eq!((refused.kind, &*refused.reason), (Kind::Refusal, "credentials"));
    assert_eq!((refused.tenant.as_ref(), refused.extension.as_deref()), ("demo", Some("1001")));
    assert!(refused.source.is_some() && refused.call_id.is_some_and(|call_id| !call_id.is_empty()));
    assert_eq!(swapped.kind, Kind::Refusal);
    assert_eq!(swapped.extension, None, "what was typed there was the PIN");
}

#[test]
fn an_operator_is_named_also_where_the_end_had_to_wait() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");
    office.log_in("1002", "desk-2");

    office.force_out("desk-2", true);
    let at_once = last(&office);
    office.log_in("1002", "desk-2");
    let call = office.call("desk-1", "1002");
    office.force_out("desk-1", false);
    office.hang_up(call);
    office.advance(seconds(2));
    let later = last(&office);

    for (event, device) in [(at_once, "desk-2"), (later, "desk-1")] {
        assert_eq!((event.kind, event.device.as_deref()), (Kind::Force, Some(device)));
        assert_eq!(event.by.as_deref(), Some("console"));
    }
    assert!(matches!(office.force_out("desk-1", true), Some(Err(_))));
    assert_eq!((last(&office).kind, last(&office).by.as_deref()), (Kind::Refusal, Some("console")));
}

#[test]
fn a_seat_that_the_configuration_ends_is_told_as_such() {
    let mut office = three_desks();
    office.log_in("1001", "desk-1");

    office.reconfigure(|blueprint| blueprint.extension("1001").enabled = false);
    office.advance(seconds(2));

    let event = last(&office);
    assert_eq!((event.kind, &*event.reason), (Kind::AutomaticEnd, "removed"));
    assert_eq!((event.device.as_deref(), event.by), (Some("desk-1"), None));
}

#[test]
fn an_emergency_call_is_told_with_its_place() {
    let mut office = Office::with(SEED, |blueprint| {
        let site = u32::try_from(blueprint.tenants[0].sites.len() - 1).expect("few sites");
        blueprint.device("desk-1").site = Some(site);
    });
    office.plug_in("desk-1");

    let call = office.call("desk-1", "112");
    office.outcome(call);

    let event = last(&office);
    assert_eq!((event.kind, &*event.reason), (Kind::EmergencyCall, "no-route"));
    assert_eq!((event.device.as_deref(), event.site.is_some()), (Some("desk-1"), true));
    let details: Vec<_> = event.details.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        details,
        [
            ("number", "112"),
            ("site_name", "Headquarters"),
            ("shown", "+12125550100"),
            ("device_name", "Open Desk 1"),
            ("room", "Desk 1"),
        ]
    );
}

#[test]
fn emergency_call_of_an_ordinary_phone_is_told_with_its_person() {
    let mut office = Office::new(SEED);
    office.own_phone("soft-1", "1001");

    office.call("soft-1", "112");

    let event = last(&office);
    assert_eq!((event.extension.as_deref(), event.device.as_deref()), (Some("1001"), None));
    assert_eq!(event.extension_tenant, None, "it is that of the event");
}

#[test]
fn details_of_a_call_for_help_that_nobody_knows_are_not_told() {
    let mut office = Office::with(SEED, |blueprint| blueprint.device("desk-1").room = "".into());
    office.plug_in("desk-1");

    let call = office.call("desk-1", "112");
    office.outcome(call);

    let event = last(&office);
    assert!(event.details.iter().all(|(_, value)| !value.is_empty()), "{:?}", event.details);
    assert!(event.details.iter().any(|(name, _)| name == "device_name"));
}

#[test]
fn call_for_help_that_reached_nobody_is_told_with_the_status_the_phone_got() {
    for (manner, reason, status) in [
        (Manner::Silent, "unreachable", 500),
        (Manner::Refuses(503), "refused", 500),
        (Manner::Refuses(408), "refused", 500),
        (Manner::Refuses(480), "refused", 480),
        (Manner::Refuses(603), "refused", 603),
    ] {
        let address = "198.51.100.112:5060";
        let mut office = Office::with(SEED, |blueprint| {
            let addresses = vec![address.parse().expect("an address")];
            let uri = "sip:psap.example".into();
            blueprint.tenants[0].emergency.routes = vec![Peer { uri, addresses }];
        });
        office.peer("psap", address).plug_in("desk-1");
        office["psap"].manner = manner;

        let call = office.call("desk-1", "112");
        office.advance(seconds(60));

        assert_eq!(office.outcome(call), Some(status), "{manner:?}");
        let events = office.events(Kind::EmergencyCall);
        let failed = events.iter().find(|event| event.reason == reason).expect(reason);
        let told = failed.details.iter().find(|(name, _)| name == "status");
        assert_eq!(told.map(|(_, value)| &**value), Some(&*status.to_string()), "{manner:?}");
    }
}
