//! The table against a simple model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Register { user: u8, contact: u8, flow: u8, seconds: u16, held: Option<u8> },
    Remove { user: u8, contact: u8 },
    Evict { user: u8, epoch: u8 },
    Lose { connection: u8 },
    Wait { seconds: u16 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 0..10_u8, 0..6_u8, 1..2000_u16, prop::option::of(0..2_u8)).prop_map(
            |(user, contact, flow, seconds, held)| Step::Register { user, contact, flow, seconds, held }
        ),
        2 => (0..4_u8, 0..10_u8).prop_map(|(user, contact)| Step::Remove { user, contact }),
        1 => (0..4_u8, 0..2_u8).prop_map(|(user, epoch)| Step::Evict { user, epoch }),
        1 => (3..6_u8).prop_map(|connection| Step::Lose { connection }),
        3 => (0..1500_u16).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Restart),
    ]
}

/// Flows 0 to 2 are datagrams, 3 to 5 connections.
fn flow(number: u8) -> Flow {
    if number < 3 { udp(number.into()) } else { tcp(number.into()) }
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    contact: u8,
    flow: Option<u8>,
    ends: u64,
    held: Option<u8>,
}

/// Users 0 and 1 are devices.
fn is_device(user: u8) -> bool {
    user < 2
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_a_list_would(steps in prop::collection::vec(step(), 1..60)) {
        let mut location = Location::new([1; 16]);
        let mut upkeep = upkeep();
        let mut model = BTreeMap::<u8, Vec<Known>>::new();
        let mut clock = 0_u64;
        let name = |user: u8| format!("user-{user}");

        for step in steps {
            let now = after(clock);
            for known in model.values_mut() {
                known.retain(|known| known.ends > clock);
            }
            match step {
                Step::Register { user, contact, flow: over, seconds, held } => {
                    let ends = clock + u64::from(seconds);
                    let new = Known { contact, flow: Some(over), ends, held };
                    let list = model.entry(user).or_default();
                    match list.iter().position(|known| known.contact == contact) {
                        Some(index) => list[index] = new,
                        None if list.len() < CONTACTS_PER_AOR_MAX => list.push(new),
                        None => {}
                    }
                    let holder = held.map(|epoch| Holder { device: 1, epoch: epoch.into() });
                    let new = Binding { holder, ..binding(&format!("sip:{contact}"), flow(over), after(ends).mono) };
                    location.update("t", name(user).as_bytes(), now.mono, &mut upkeep, |draft| {
                        draft.set_device_account(is_device(user));
                        match draft.bindings().iter().position(|old| old.uri == new.uri) {
                            Some(index) => draft.refresh(index, new),
                            None => draft.add(new),
                        }
                    });
                }
                Step::Remove { user, contact } => {
                    model.entry(user).or_default().retain(|known| known.contact != contact);
                    let uri = format!("sip:{contact}");
                    location.retain("t", name(user).as_bytes(), now.mono, &mut upkeep, |binding| {
                        *binding.uri != *uri.as_bytes()
                    });
                }
                Step::Evict { user, epoch } => {
                    model.entry(user).or_default().retain(|known| known.held.is_none_or(|held| held == epoch));
                    location.retain("t", name(user).as_bytes(), now.mono, &mut upkeep, |binding| {
                        binding.holder.is_none_or(|holder| holder.epoch == u64::from(epoch))
                    });
                }
                Step::Lose { connection } => {
                    let mut lost = 0;
                    for known in model.values_mut().flatten().filter(|known| known.flow == Some(connection)) {
                        known.flow = None;
                        lost += 1;
                    }
                    prop_assert_eq!(location.lose(&flow(connection), now.mono, &mut upkeep), lost);
                }
                Step::Wait { seconds } => {
                    clock += u64::from(seconds);
                    let now = after(clock);
                    location.expire(now, &mut upkeep, usize::MAX, |_| {});
                    location.write_behind(now, &mut upkeep, usize::MAX, |_| {});
                }
                Step::Restart => {
                    let next = Location::new([2; 16]);
                    for user in 0..4 {
                        if let Record::Bindings { aor, record: Some(bytes) } =
                            location.snapshot("t", name(user).as_bytes(), now)
                        {
                            prop_assert!(next.import(&aor, &bytes, now, 5000).is_ok());
                        }
                    }
                    location = next;
                    upkeep = Upkeep::new(WorkerId(0), true);
                    location.adopt(now.mono, &mut upkeep, (0, 1));
                    for known in model.values_mut().flatten() {
                        known.ends += 6; // The slack, and the second that is rounded up.
                        known.flow = known.flow.filter(|flow| *flow < 3);
                    }
                }
            }

            let now = after(clock);
            let mut devices = BTreeMap::<u8, BTreeSet<u8>>::new();
            let mut bindings = 0;
            for user in 0..4 {
                let live: Vec<&Known> =
                    model.get(&user).into_iter().flatten().filter(|known| known.ends > clock).collect();
                bindings += live.len();
                let contacts = location.contacts("t", name(user).as_bytes(), now.mono);
                let found: Vec<_> = contacts.iter().map(|contact| {
                    (contact.uri.to_vec(), contact.flow, contact.expires_at, contact.holder.map(|holder| holder.epoch))
                }).collect();
                let wanted: Vec<_> = live.iter().map(|known| {
                    let uri = format!("sip:{}", known.contact).into_bytes();
                    (uri, known.flow.map(flow), after(known.ends).mono, known.held.map(u64::from))
                }).collect();
                prop_assert_eq!(found, wanted);
                for over in live.iter().filter_map(|known| known.flow).filter(|_| is_device(user)) {
                    devices.entry(over).or_default().insert(user);
                }
            }
            for over in 0..6 {
                let wanted = devices.get(&over).filter(|users| users.len() == 1).and_then(|users| users.first());
                let found = location.device_of_flow(&flow(over), now.mono);
                prop_assert_eq!(found.map(|aor| aor.user), wanted.map(|user| name(*user).into()));
            }
            prop_assert!(location.census().bindings >= bindings);
        }

        clock += 100_000;
        for second in [0, 5000, 10_000] {
            location.expire(after(clock + second), &mut upkeep, usize::MAX, |_| {});
        }
        prop_assert_eq!(location.census(), Census::default());
        prop_assert!(location.records.is_empty());
        prop_assert_eq!(location.flows.len(), 0);
        prop_assert_eq!(location.instances.len(), 0);
    }
}
