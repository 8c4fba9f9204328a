//! Every end of a visit, and what the trail says of one.

use dataplane::audit::Kind;
use dataplane::hotdesk::{Cause, Surface};
use dataplane::input::Command;
use dataplane::output::{Done, Report};
use dataplane::refusal::Refusal;
use dataplane::settings::{Ends, Limit};
use dataplane::testing::{Blueprint, Office};

use super::{LOG_IN, dial, last_end, office, office_that, places_of_wanda, visited, wanda, who_at};
use crate::seconds;

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
