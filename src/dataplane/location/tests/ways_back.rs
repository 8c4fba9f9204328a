//! From an instance or a flow to the device.

use super::*;

fn with(instance: &'static str, flow: Flow) -> Binding<'static> {
    Binding { instance: Cow::Borrowed(instance.as_bytes()), ..binding("sip:d", flow, after(60).mono) }
}

fn device_of(location: &Location, instance: &str) -> Option<Aor> {
    location.device_of_instance("t", instance.as_bytes(), START.mono)
}

/// Registers again over the same Contact, with whatever else is in `new`.
fn refresh_device(location: &Location, upkeep: &mut Upkeep, user: &str, new: Binding<'static>) {
    location.update("t", user.as_bytes(), START.mono, upkeep, |draft| assert!(draft.refresh(0, new)));
}

#[test]
fn each_instance_leads_to_its_own_device_also_when_that_is_gone() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register_device(&location, &mut upkeep, "desk-1", START, with("one", udp(1)));
    register_device(&location, &mut upkeep, "desk-2", START, with("two", udp(2)));

    assert_eq!(device_of(&location, "one"), Some(aor("desk-1")));
    assert_eq!(device_of(&location, "two"), Some(aor("desk-2")));

    for device in ["desk-1", "desk-2"] {
        location.retain("t", device.as_bytes(), START.mono, &mut upkeep, |_| false);
    }
    assert_eq!(device_of(&location, "one"), Some(aor("desk-1")));
    assert_eq!(device_of(&location, "two"), Some(aor("desk-2")));
    assert_eq!(device_of(&location, "three"), None);
}

#[test]
fn an_instance_that_an_ordinary_phone_claims_stays_that_of_the_device() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register_device(&location, &mut upkeep, "desk-1", START, with("one", udp(1)));

    register(&location, &mut upkeep, "1001", START, with("one", tcp(1)));

    assert_eq!(device_of(&location, "one"), Some(aor("desk-1")));
}

#[test]
fn an_instance_leads_to_the_device_beside_accounts_with_the_same_hash() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    for (user, is_device, instance) in
        [("desk-1", true, "one"), ("desk-2", true, "two"), ("1001", false, "one")]
    {
        location.update_at(7, "t", user.as_bytes(), START.mono, Some(&mut upkeep), |draft| {
            draft.set_device_account(is_device);
            assert!(draft.add(with(instance, udp(1))));
        });
    }

    assert_eq!(device_of(&location, "one"), Some(aor("desk-1")));
}

#[test]
fn a_device_is_known_by_the_instance_that_it_has_now() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register_device(&location, &mut upkeep, "desk-1", START, with("one", udp(1)));

    refresh_device(&location, &mut upkeep, "desk-1", with("one", udp(9)));
    assert_eq!(device_of(&location, "one"), Some(aor("desk-1")), "its address changed");

    refresh_device(&location, &mut upkeep, "desk-1", with("two", udp(9)));
    assert_eq!(device_of(&location, "two"), Some(aor("desk-1")), "another phone was put on the desk");
    assert_eq!(device_of(&location, "one"), None);
}

#[test]
fn a_device_that_comes_back_as_another_phone_has_left_the_old_ones_instance() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register_device(&location, &mut upkeep, "desk-1", START, with("one", udp(1)));
    location.retain("t", b"desk-1", START.mono, &mut upkeep, |_| false);

    register_device(&location, &mut upkeep, "desk-1", START, with("two", udp(1)));

    assert_eq!(device_of(&location, "one"), None);
    assert_eq!(device_of(&location, "two"), Some(aor("desk-1")));
}

#[test]
fn a_flow_leads_to_an_account_from_when_it_is_a_devices_until_it_is_none() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&location, &mut upkeep, "1001", START, with("one", udp(1)));
    let mut set = |is_device| {
        location.update("t", b"1001", START.mono, &mut upkeep, |draft| {
            draft.set_device_account(is_device);
            assert!(draft.refresh(0, with("one", udp(1))));
        });
        (location.device_of_flow(&udp(1), START.mono), device_of(&location, "one"))
    };

    assert_eq!(set(true), (Some(aor("1001")), Some(aor("1001"))));
    assert_eq!(set(false).0, None);
    assert_eq!((location.flows.len(), location.instances.len()), (0, 0));
}
