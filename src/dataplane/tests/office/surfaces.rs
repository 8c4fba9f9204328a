//! By whichever way a person logs in, it is the same log-in: the same seats, the same calls, the same audit trail.

use dataplane::hotdesk::Surface;
use dataplane::settings::HotelingPolicy;
use dataplane::testing::Office;

use crate::audit::told;
use crate::hoteling::GuestKey;
use crate::{SEED, log_in_by_order, seconds};

/// The ways by which people and administrators log in and out: all but those by which nobody does.
fn surfaces() -> impl Iterator<Item = Surface> {
    let by_itself = [Surface::Configuration, Surface::Clock];
    Surface::ALL.into_iter().filter(move |surface| !by_itself.contains(surface))
}

/// PINs of the office, by extension.
fn pin_of(extension: &str) -> &'static str {
    match extension {
        "1001" => "7738",
        "1002" => "2468",
        "1003" => "1357",
        _ => unreachable!("nobody else works here"),
    }
}

/// The person logs in at the device, or tries to; the call he did it with is over when this returns.
fn log_in(office: &mut Office, surface: Surface, extension: &str, device: &str) {
    match surface {
        Surface::Dialled => drop(office.try_log_in(extension, device)),
        Surface::Attendant => {
            office.talk(device, "*11");
            office.press(&format!("{extension}#"));
            office.press(&format!("{}#", pin_of(extension)));
            office.advance(seconds(10));
        }
        Surface::Native => drop(office.native_log_in(device, extension)),
        Surface::Hoteling => GuestKey::of(device).press(office, extension, pin_of(extension)),
        Surface::Api => drop(log_in_by_order(office, extension, device)),
        _ => unreachable!("nobody logs in by {surface:?}"),
    }
    office.settle();
}

/// Whoever sits at the device logs out.
fn log_out(office: &mut Office, surface: Surface, device: &str) {
    match surface {
        Surface::Dialled => drop(office.log_out(device)),
        Surface::Attendant => {
            office.talk(device, "*10");
            office.advance(seconds(10));
        }
        Surface::Native => drop(office.unregister(device)),
        Surface::Hoteling => GuestKey::of(device).leave(office),
        Surface::Api => drop(office.force_out(device, true)),
        _ => unreachable!("nobody logs out by {surface:?}"),
    }
    office.settle();
}

/// Which phone a colleague's call to `extension` rings, if any.
fn rings(office: &mut Office, extension: &str) -> Option<String> {
    let heard = |office: &Office, phone: &str| office[phone].requests("INVITE").len();
    let before = ["desk-1", "desk-2"].map(|phone| heard(office, phone));
    let call = office.call("colleague", extension);
    let rung = ["desk-1", "desk-2"].into_iter().zip(before);
    let rung =
        rung.filter(|(phone, before)| heard(office, phone) > *before).map(|(phone, _)| phone.to_owned());
    let rung: Vec<_> = rung.collect();
    office.hang_up(call);
    assert!(rung.len() <= 1, "{extension} rings at {rung:?}");
    rung.into_iter().next()
}

#[test]
fn a_log_in_is_the_same_by_every_way() {
    for surface in surfaces() {
        let mut office = Office::with(SEED, |blueprint| {
            blueprint.device("desk-3").enabled = false;
            blueprint.seats().hoteling = Some(HotelingPolicy::default());
        });
        office.plug_in("desk-1").plug_in("desk-2").plug_in("desk-3").own_phone("colleague", "1003");
        let sits = |office: &Office| ["1001", "1002"].map(|extension| office.device_of(extension));
        let at = |device: &str| Some(device.to_owned());

        log_in(&mut office, surface, "1001", "desk-1");
        assert_eq!(sits(&office), [at("desk-1"), None], "{surface:?}: takes a seat");
        assert_eq!(rings(&mut office, "1001"), at("desk-1"), "{surface:?}");
        log_in(&mut office, surface, "1001", "desk-2");
        assert_eq!(sits(&office), [at("desk-2"), None], "{surface:?}: moves");
        assert_eq!(rings(&mut office, "1001"), at("desk-2"), "{surface:?}");
        log_in(&mut office, surface, "1002", "desk-2");
        assert_eq!(sits(&office), [None, at("desk-2")], "{surface:?}: takes over");
        assert_eq!(rings(&mut office, "1001"), None, "{surface:?}");
        log_in(&mut office, surface, "1002", "desk-3");
        assert_eq!(sits(&office), [None, at("desk-2")], "{surface:?}: and not where nobody may");
        log_out(&mut office, surface, "desk-2");
        assert_eq!(sits(&office), [None, None], "{surface:?}: leaves");
        assert_eq!(rings(&mut office, "1002"), None, "{surface:?}");

        let left = if surface == Surface::Api { ["force", "forced"] } else { ["log-out", "log-out"] };
        let expected = [
            ["log-in", "desk-1", "1001", "log-in"],
            ["displacement", "desk-1", "1001", "moved"],
            ["log-in", "desk-2", "1001", "log-in"],
            ["displacement", "desk-2", "1001", "taken-over"],
            ["log-in", "desk-2", "1002", "log-in"],
            ["refusal", "desk-3", "1002", "device-disabled"],
            [left[0], "desk-2", "1002", left[1]],
        ];
        let by = format!("{surface:?}");
        let expected = expected.map(|[kind, device, extension, reason]| {
            [kind, device, extension, reason, &by].map(String::from)
        });
        assert_eq!(told(&office), expected, "{surface:?}");
        assert!(office.store.seat_at("demo", "desk-2").is_none(), "{surface:?}: and so the store has it");
    }
}
