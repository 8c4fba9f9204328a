use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::*;
use crate::auth::NonceId;
use crate::flow::{ConnectionId, ListenerId, WorkerId};

mod model;
mod store;
mod ways_back;

const START: Now = Now { mono: Mono(1_000_000_000), wall: 1_700_000_000_000 };

fn after(seconds: u64) -> Now {
    Now { mono: START.mono + Duration::from_secs(seconds), wall: START.wall + seconds * 1000 }
}

fn upkeep() -> Upkeep {
    Upkeep::new(WorkerId(0), true)
}

fn udp(port: u16) -> Flow {
    Flow::datagram(ListenerId(0), ([192, 0, 2, 1], port).into())
}

fn tcp(slot: u32) -> Flow {
    Flow { connection: Some(ConnectionId::new(WorkerId(0), 1, slot)), ..udp(5060) }
}

fn binding(uri: &str, flow: Flow, expires_at: Mono) -> Binding<'static> {
    Binding {
        uri: Cow::Owned(uri.as_bytes().to_vec()),
        instance: Cow::Borrowed(b""),
        reg_id: 0,
        q: 1000,
        expires_at,
        call_id: 7,
        cseq: 1,
        branch: 3,
        flow: Some(flow),
        holder: None,
    }
}

/// Adds `new`, or refreshes the binding with its URI.
fn register(location: &Location, upkeep: &mut Upkeep, user: &str, now: Now, new: Binding<'static>) -> bool {
    location.update("t", user.as_bytes(), now.mono, upkeep, |draft| {
        match draft.bindings().iter().position(|old| old.uri == new.uri) {
            Some(index) => draft.refresh(index, new),
            None => draft.add(new),
        }
    })
}

fn register_device(location: &Location, upkeep: &mut Upkeep, user: &str, now: Now, new: Binding<'static>) {
    location.update("t", user.as_bytes(), now.mono, upkeep, |draft| draft.set_device_account(true));
    location.update("t", user.as_bytes(), now.mono, upkeep, |draft| {
        draft.set_device_account(true);
        assert!(draft.add(new));
    });
}

fn uris(location: &Location, user: &str, now: Now) -> Vec<String> {
    let contacts = location.contacts("t", user.as_bytes(), now.mono);
    contacts.iter().map(|contact| String::from_utf8(contact.uri.to_vec()).unwrap()).collect()
}

fn aor(user: &str) -> Aor {
    Aor { tenant: "t".into(), user: user.into() }
}

#[test]
fn a_binding_is_read_as_it_was_written() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    let remote = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 5061, 0, 3);
    let flow = Flow {
        listener: ListenerId(4),
        remote: remote.into(),
        connection: Some(ConnectionId::new(WorkerId(2), 9, 8)),
    };
    let new = Binding {
        instance: Cow::Borrowed(b"\"<urn:uuid:1>\""),
        reg_id: 2,
        q: 300,
        holder: Some(Holder { device: 5, epoch: 6 }),
        ..binding("sip:a@192.0.2.9;line=x", flow, after(60).mono)
    };

    register(&location, &mut upkeep, "1001", START, new.clone());

    location.read("t", b"1001", START.mono, |read| assert_eq!(*read, new));
    let contacts = location.contacts("t", b"1001", START.mono);
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0].flow, Some(flow));
    assert_eq!(contacts[0].holder, new.holder);
    assert_ne!(contacts[0].instance, 0);
    assert!(location.contacts("u", b"1001", START.mono).is_empty());
    assert!(location.contacts("t", b"100", START.mono).is_empty());
}

#[test]
fn a_binding_is_gone_to_readers_at_the_instant_it_expires() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&location, &mut upkeep, "1001", START, binding("sip:a", udp(1), after(60).mono));

    let just_before = Mono(after(60).mono.0 - 1);
    assert_eq!(location.contacts("t", b"1001", just_before).len(), 1);
    assert!(location.account_has_flow("t", b"1001", &udp(1), just_before));
    assert!(location.contacts("t", b"1001", after(60).mono).is_empty());
    assert!(!location.account_has_flow("t", b"1001", &udp(1), after(60).mono));
}

#[test]
fn the_wheel_removes_what_expired_and_says_what_is_left() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&location, &mut upkeep, "1001", START, binding("sip:a", udp(1), after(60).mono));
    register(&location, &mut upkeep, "1001", START, binding("sip:b", udp(2), after(90).mono));

    assert_eq!(upkeep.next_due(), Some(after(60).mono));
    let mut saved = Vec::new();
    assert_eq!(location.expire(after(60), &mut upkeep, 256, |record| saved.push(record)), 1);
    assert_eq!(location.expire(after(89), &mut upkeep, 256, |record| saved.push(record)), 0);
    assert_eq!(location.census(), Census { aors: 1, bindings: 1 });
    assert_eq!(location.expire(after(90), &mut upkeep, 256, |record| saved.push(record)), 1);

    assert_eq!(saved.len(), 2);
    assert!(matches!(&saved[0], Record::Bindings { aor, record: Some(_) } if &**aor == "t/1001"));
    assert!(matches!(&saved[1], Record::Bindings { record: None, .. }));
    assert_eq!(location.census(), Census::default());
    assert!(location.records.is_empty());
    assert_eq!(upkeep.next_due(), None);
}

#[test]
fn a_refresh_is_written_in_place_and_leaves_the_wheel_alone() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&location, &mut upkeep, "1001", START, binding("sip:a", udp(1), after(60).mono));
    let address = || location.records.iter().next().map(|entry| entry.value().as_ptr());
    let before = address();

    for turn in 1..10 {
        let flow = udp(turn as u16);
        register(&location, &mut upkeep, "1001", after(turn), binding("sip:a", flow, after(turn + 60).mono));
    }

    assert_eq!(address(), before);
    let mut removed = 0;
    location.expire(after(60), &mut upkeep, 256, |_| removed += 1);
    assert_eq!(removed, 0);
    assert_eq!(upkeep.next_due(), Some(after(5).mono.min(after(69).mono)));
    location.write_behind(after(60), &mut upkeep, 256, |_| removed += 1);
    assert_eq!(removed, 1);
    assert_eq!(upkeep.next_due(), Some(after(69).mono));
    assert_eq!(location.expire(after(69), &mut upkeep, 256, |_| removed += 1), 1);
}

#[test]
fn a_change_that_panics_was_none_and_locks_nobody_out() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&location, &mut upkeep, "1001", START, binding("sip:a", udp(1), after(60).mono));

    for user in ["1001", "1002"] {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            location.update("t", user.as_bytes(), START.mono, &mut upkeep, |draft| {
                draft.add(binding("sip:b", udp(2), after(60).mono));
                draft.retain(|_| false);
                panic!("on purpose");
            })
        }));
        assert!(panicked.is_err());
    }
    let panicked =
        catch_unwind(AssertUnwindSafe(|| location.read("t", b"1001", START.mono, |_| panic!("here too"))));
    assert!(panicked.is_err());

    assert_eq!(uris(&location, "1001", START), ["sip:a"]);
    assert!(uris(&location, "1002", START).is_empty());
    assert_eq!(location.census(), Census { aors: 1, bindings: 1 });
    assert!(register(&location, &mut upkeep, "1001", START, binding("sip:c", udp(3), after(60).mono)));
}

#[test]
fn accounts_with_the_same_hash_live_side_by_side() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    let mut change = |user: &[u8], at: Now, change: &dyn Fn(&mut Draft<'_>)| {
        location.update_at(7, "t", user, at.mono, Some(&mut upkeep), |draft| change(draft));
    };
    let read = |user: &[u8], at: Now| {
        location.read_at(7, "t", user, at.mono, |draft| {
            draft.bindings().iter().map(|b| b.uri.to_vec()).collect::<Vec<_>>()
        })
    };

    change(b"a", START, &|draft| assert!(draft.add(binding("sip:a", udp(1), after(60).mono))));
    change(b"bb", START, &|draft| assert!(draft.add(binding("sip:bb", udp(2), after(90).mono))));
    change(b"a", START, &|draft| assert!(draft.add(binding("sip:longer", udp(1), after(60).mono))));

    assert_eq!(location.records.len(), 1);
    assert_eq!(read(b"a", START), Some(vec![b"sip:a".to_vec(), b"sip:longer".to_vec()]));
    assert_eq!(read(b"bb", START), Some(vec![b"sip:bb".to_vec()]));
    assert_eq!(read(b"c", START), None);
    assert_eq!(location.expire(after(60), &mut upkeep, 256, |_| {}), 2);
    assert_eq!(read(b"bb", after(60)), Some(vec![b"sip:bb".to_vec()]));
    assert_eq!(location.expire(after(90), &mut upkeep, 256, |_| {}), 1);
    assert!(location.records.is_empty());
}

#[test]
fn there_is_room_for_eight_contacts_of_bounded_length() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    for port in 0..8 {
        assert!(register(
            &location,
            &mut upkeep,
            "1",
            START,
            binding(&format!("sip:{port}"), udp(port), after(60).mono)
        ));
    }

    assert!(!register(&location, &mut upkeep, "1", START, binding("sip:9", udp(9), after(60).mono)));
    assert!(register(&location, &mut upkeep, "1", START, binding("sip:7", udp(9), after(70).mono)));
    let long = "x".repeat(URI_LENGTH_MAX + 1);
    assert!(!register(&location, &mut upkeep, "2", START, binding(&long, udp(9), after(60).mono)));
    let long = "n".repeat(NAME_LENGTH_MAX + 1);
    register(&location, &mut upkeep, &long, START, binding("sip:a", udp(9), after(60).mono));
    assert!(uris(&location, &long, START).is_empty());
    assert_eq!(location.census(), Census { aors: 1, bindings: 8 });
}

#[test]
fn the_device_of_a_flow_is_known_as_long_as_its_binding_and_that_of_an_instance_for_longer() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    let instance = Cow::Borrowed(&b"<urn:uuid:1>"[..]);
    let new = Binding { instance, ..binding("sip:d", udp(1), after(60).mono) };
    register_device(&location, &mut upkeep, "desk-1", START, new.clone());
    register(&location, &mut upkeep, "1001", START, binding("sip:p", udp(2), after(60).mono));

    assert_eq!(location.device_of_flow(&udp(1), START.mono), Some(aor("desk-1")));
    assert_eq!(location.device_of_flow(&udp(2), START.mono), None);
    assert_eq!(location.device_of_instance("t", b"<urn:uuid:1>", START.mono), Some(aor("desk-1")));
    assert_eq!(location.device_of_instance("u", b"<urn:uuid:1>", START.mono), None);
    assert_eq!(location.device_of_flow(&udp(1), after(60).mono), None);
    assert_eq!(location.device_of_instance("t", b"<urn:uuid:1>", after(60).mono), Some(aor("desk-1")));

    // Its address changed: another port of the NAT.
    register(
        &location,
        &mut upkeep,
        "desk-1",
        after(30),
        Binding { flow: Some(udp(9)), expires_at: after(90).mono, ..new },
    );
    assert_eq!(location.device_of_flow(&udp(1), after(30).mono), None);
    assert_eq!(location.device_of_flow(&udp(9), after(30).mono), Some(aor("desk-1")));

    location.retain("t", b"desk-1", after(31).mono, &mut upkeep, |_| false);
    assert_eq!((location.flows.len(), location.instances.len()), (0, 0));
    assert_eq!(location.device_of_instance("t", b"<urn:uuid:1>", after(31).mono), Some(aor("desk-1")));
    assert_eq!(location.device_of_instance("u", b"<urn:uuid:1>", after(31).mono), None);
}

#[test]
fn a_flow_of_two_devices_is_nobodys_until_one_is_gone() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register_device(&location, &mut upkeep, "desk-1", START, binding("sip:1", udp(1), after(60).mono));
    register_device(&location, &mut upkeep, "desk-2", START, binding("sip:2", udp(1), after(90).mono));

    assert_eq!(location.device_of_flow(&udp(1), START.mono), None);
    assert_eq!(location.device_of_flow(&udp(1), after(60).mono), Some(aor("desk-2")));
    location.expire(after(200), &mut upkeep, 256, |_| {});
    assert_eq!(location.flows.len(), 0);
}

#[test]
fn a_lost_connection_leaves_the_bindings_without_a_flow() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&location, &mut upkeep, "1001", START, binding("sip:a", tcp(1), after(60).mono));
    register(&location, &mut upkeep, "1002", START, binding("sip:b", tcp(1), after(60).mono));
    register(&location, &mut upkeep, "1002", START, binding("sip:c", tcp(2), after(60).mono));

    assert_eq!(location.lose(&tcp(1), START.mono, &mut upkeep), 2);
    assert_eq!(location.lose(&tcp(1), START.mono, &mut upkeep), 0);

    let flows = |user: &[u8]| -> Vec<_> {
        location.contacts("t", user, START.mono).iter().map(|contact| contact.flow).collect()
    };
    assert_eq!(flows(b"1001"), [None]);
    assert_eq!(flows(b"1002"), [None, Some(tcp(2))]);
    // The phone is back, over datagrams this time.
    register(&location, &mut upkeep, "1002", START, binding("sip:c", udp(2), after(60).mono));
    assert_eq!(location.flows.len(), 0);
}

#[test]
fn eviction_takes_the_bindings_of_other_holders_only() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    let held = |uri, epoch| Binding {
        holder: Some(Holder { device: device_hash("t", "desk-1"), epoch }),
        ..binding(uri, udp(1), after(60).mono)
    };
    for new in [held("sip:old", 1), held("sip:new", 2), binding("sip:own", udp(2), after(60).mono)] {
        register(&location, &mut upkeep, "1001", START, new);
    }

    let seat = Holder { device: device_hash("t", "desk-1"), epoch: 2 };
    let removed = location.retain("t", b"1001", START.mono, &mut upkeep, |binding| {
        binding.holder.is_none_or(|holder| holder == seat)
    });

    assert_eq!(removed.iter().map(|contact| &*contact.uri).collect::<Vec<_>>(), [b"sip:old"]);
    assert_eq!(uris(&location, "1001", START), ["sip:new", "sip:own"]);
}

#[test]
fn a_nonce_is_remembered_without_a_binding_and_forgotten_when_it_is_over() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    let proof = Proof { nonce: NonceId(1 << 32), count: Some(1) };
    let mut accept = |at: Now, print| location.accept_nonce("t", b"1001", proof, print, at.mono, &mut upkeep);

    assert_eq!(accept(START, 1), NonceUse::Fresh);
    assert_eq!(accept(START, 1), NonceUse::Repeated);
    assert_eq!(accept(after(3599), 2), NonceUse::Replayed);

    assert_eq!(location.census(), Census::default());
    assert_eq!(location.records.len(), 1);
    location.expire(after(3605), &mut upkeep, 256, |_| panic!("no binding was there"));
    assert_eq!(location.records.len(), 1);
    location.expire(after(3640), &mut upkeep, 256, |_| panic!("no binding was there"));
    assert!(location.records.is_empty());
}

#[test]
fn the_store_gives_back_what_it_got() {
    let (old, new) = (Location::new([1; 16]), Location::new([2; 16]));
    let mut upkeep = upkeep();
    let instance = Cow::Borrowed(&b"<urn:uuid:1>"[..]);
    let device = Binding { instance, ..binding("sip:d", udp(1), after(60).mono) };
    register_device(&old, &mut upkeep, "desk-1", START, device);
    register(&old, &mut upkeep, "1001", START, binding("sip:p", tcp(1), after(600).mono));
    register(&old, &mut upkeep, "1001", START, binding("sip:q", udp(3), after(100).mono));
    let stored: Vec<_> = ["desk-1", "1001"].map(|user| old.snapshot("t", user.as_bytes(), START)).into();

    // Ten seconds later another process starts: its monotonic clock begins anew.
    let start = Now { mono: Mono(0), wall: START.wall + 10_000 };
    let at = |seconds: u64| Mono(0) + Duration::from_secs(seconds);
    for record in stored {
        let Record::Bindings { aor, record: Some(bytes) } = record else { panic!("{record:?}") };
        assert!(new.import(&aor, &bytes, start, 120).is_ok());
    }
    new.adopt(start.mono, &mut upkeep, (0, 1));

    assert_eq!(new.device_of_flow(&udp(1), start.mono), Some(aor("desk-1")));
    assert_eq!(new.device_of_instance("t", b"<urn:uuid:1>", start.mono), Some(aor("desk-1")));
    let contacts = new.contacts("t", b"1001", start.mono);
    assert_eq!(contacts.len(), 2);
    // A stream has no flow, and nothing outlives the longest expiry.
    assert_eq!((contacts[0].flow, contacts[0].expires_at), (None, at(120)));
    assert_eq!(contacts[1].flow, Some(udp(3)));
    assert!((at(95)..=at(97)).contains(&contacts[1].expires_at), "{:?}", contacts[1]);
    let mut removed = 0;
    for second in 0..200 {
        new.expire(Now { mono: at(second), wall: start.wall }, &mut upkeep, 256, |_| removed += 1);
    }
    assert_eq!((removed, new.census()), (3, Census::default()));
}

#[test]
fn a_clock_that_stepped_makes_no_binding_immortal() {
    let (old, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&old, &mut upkeep, "1001", START, binding("sip:p", udp(1), after(600).mono));
    let bytes = old.export("t", b"1001", START).unwrap();

    let hour = 3_600_000;
    for (wall, longest) in [(START.wall - hour, 900), (START.wall, 607), (0, 900), (START.wall + 599_000, 8)]
    {
        let new = Location::new([2; 16]);
        let start = Now { mono: Mono(0), wall };
        assert_eq!(new.import("t/1001", &bytes, start, 900), Ok(1), "{wall}");
        assert!(new.contacts("t", b"1001", Mono(0) + Duration::from_secs(longest)).is_empty(), "{wall}");
    }
    let late = Now { mono: Mono(0), wall: START.wall + hour };
    assert_eq!(Location::new([2; 16]).import("t/1001", &bytes, late, 900), Ok(0));
}

#[test]
fn stored_nonsense_is_an_error() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&location, &mut upkeep, "1001", START, binding("sip:p", tcp(1), after(600).mono));
    let good = location.export("t", b"1001", START).unwrap();
    let other = Location::new([2; 16]);

    assert_eq!(other.import("no-slash", &good, START, 900), Err(ImportError::Key));
    for length in 0..good.len() {
        assert_eq!(other.import("t/1", &good[..length], START, 900), Err(ImportError::Record), "{length}");
    }
    for at in 0..good.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let _ = other.import(&format!("t/{at}-{flip}"), &bad, START, 900);
        }
    }
    assert_eq!(other.import("t/1", &[&good[..], b"x"].concat(), START, 900), Err(ImportError::Record));
    for version in [0, 3, u8::MAX] {
        let bad = [&[version], &good[1..]].concat();
        assert_eq!(other.import("t/1", &bad, START, 900), Err(ImportError::Record), "{version}");
    }
}

#[test]
fn as_many_bindings_as_an_account_may_have_come_back_and_no_more() {
    let (old, mut upkeep) = (Location::new([1; 16]), upkeep());
    register(&old, &mut upkeep, "1001", START, binding("sip:p", udp(1), after(600).mono));
    let one = old.export("t", b"1001", START).unwrap();
    let stored = |count: usize| [&one[..2], &[count as u8], &one[3..].repeat(count)].concat();
    let new = Location::new([2; 16]);

    let most = CONTACTS_PER_AOR_MAX;
    assert_eq!(new.import("t/1", &stored(most), START, 900), Ok(most));
    assert_eq!(new.import("t/2", &stored(most + 1), START, 900), Err(ImportError::Record));
}

#[test]
fn keys_of_the_store_are_unambiguous() {
    for (tenant, user) in [("t", "1001"), ("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("%", ""), ("", "/")] {
        let aor = Aor { tenant: tenant.into(), user: user.into() };
        assert_eq!(Aor::from_key(&aor.key()), Some(aor));
    }
}

#[test]
fn a_new_worker_takes_over_the_wheel_of_a_lost_one() {
    let (location, mut lost) = (Location::new([1; 16]), Upkeep::new(WorkerId(3), false));
    for user in ["1", "2", "3"] {
        register(&location, &mut lost, user, START, binding("sip:a", udp(1), after(60).mono));
    }
    drop(lost);
    let mut new = Upkeep::new(WorkerId(3), false);

    location.adopt(after(10).mono, &mut new, (3, 4));

    let mut removed = 0;
    assert_eq!(location.expire(after(61), &mut new, 256, |_| removed += 1), 3);
    assert_eq!(removed, 3);
}

#[test]
fn one_turn_of_the_wheel_is_bounded() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    for user in 0..300 {
        register(&location, &mut upkeep, &user.to_string(), START, binding("sip:a", udp(1), after(60).mono));
    }

    assert_eq!(location.expire(after(60), &mut upkeep, 256, |_| {}), 256);
    assert_eq!(upkeep.next_due(), Some(after(60).mono));
    assert_eq!(location.expire(after(60), &mut upkeep, 256, |_| {}), 44);
}

/// Octets a binding takes in the table, without what the allocator and the free room of the shards add.
#[test]
fn a_desk_phones_record_is_small() {
    let (location, mut upkeep) = (Location::new([1; 16]), upkeep());
    let new = Binding {
        instance: Cow::Borrowed(b"\"<urn:uuid:00000000-0000-1000-8000-000413250000>\""),
        ..binding("sip:1001@192.168.100.100:5060;transport=udp;line=abcdef12", udp(5060), after(600).mono)
    };
    register(&location, &mut upkeep, "1001", START, new);
    let proof = |nonce: u64| Proof { nonce: NonceId(nonce << 32), count: Some(1) };
    location.accept_nonce("t", b"1001", proof(1), 1, START.mono, &mut upkeep);

    let size = location.records.iter().next().map(|entry| entry.value().len()).unwrap();

    assert!(size <= 240, "{size}");
}
