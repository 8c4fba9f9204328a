//! A day in an office in memory by what people and the world do, and octets in between: whatever the order, nobody sits at two
//! desks, no desk has two people, and the store gives back what stands.

#![no_main]

use std::time::Duration;

use dataplane::testing::{Office, StoreMood};
use libfuzzer_sys::fuzz_target;

const DESKS: [&str; 3] = ["desk-1", "desk-2", "desk-3"];
const PEOPLE: [&str; 3] = ["1001", "1002", "1003"];
const STEPS_MAX: usize = 48;

fn one_place_each(office: &Office) {
    for person in PEOPLE {
        let desks = office.devices_of(person);
        assert!(desks.len() <= 1, "{person} sits at {desks:?}");
        for desk in desks {
            let seat = office.seat_at(&desk).expect("both sides of a seat are seen");
            assert_eq!(seat.extension.name(), person);
        }
    }
}

fuzz_target!(|octets: &[u8]| {
    let mut office = Office::new(1);
    office.plug_in("desk-1").plug_in("desk-2").plug_in_stream("desk-3").own_phone("soft", "1003");
    office.always = Some(one_place_each);

    let mut left = octets;
    for _ in 0..STEPS_MAX {
        let [what, which, rest @ ..] = left else { break };
        left = rest;
        let desk = DESKS[usize::from(which & 3) % DESKS.len()];
        let person = PEOPLE[usize::from(which >> 2 & 3) % PEOPLE.len()];
        match what & 15 {
            0 | 1 => drop(office.try_log_in(person, desk)),
            2 => drop(office.log_out(desk)),
            3 => drop(office.native_log_in(desk, person)),
            4 => drop(office.unregister(desk)),
            5 => drop(office.call(desk, person)),
            6 => drop(office.dial("soft", person)),
            7 => match which >> 4 & 3 {
                2 => office.finish("desk-3"),
                3 => office.lose("desk-3"),
                _ => drop(office.reboot(desk)),
            },
            8 => drop(office.force_out(desk, which & 16 == 0)),
            9 => office.advance(Duration::from_secs(u64::from(*which) * 20)),
            10 => office.step_wall(i64::from(*which as i8) * 60_000),
            11 => match which % 3 {
                0 => office.store.mood = StoreMood::Fails,
                1 => office.store.mood = StoreMood::Holds,
                _ => office.release_store(),
            },
            12 => {
                office.release_store();
                office.kill_and_restart();
            }
            13 => office.reconfigure(|blueprint| blueprint.extension(person).enabled = which & 32 != 0),
            // Octets as they are, or the phone's last message with some of them changed.
            14 => {
                let (noise, rest) = left.split_at(usize::from(*which).min(left.len()));
                left = rest;
                office.throw(desk, noise);
            }
            _ => {
                let mut text = office[desk]
                    .last_sent(["REGISTER", "INVITE", "BYE"][usize::from(which >> 4) % 3])
                    .to_owned()
                    .into_bytes();
                let (changes, rest) = left.split_at(usize::from(which & 15).min(left.len()) & !1);
                left = rest;
                let (changes, _) = changes.as_chunks::<2>();
                for [at, octet] in changes {
                    let place = usize::from(*at) * text.len() / 256;
                    if let Some(changed) = text.get_mut(place) {
                        *changed = *octet;
                    }
                }
                office.throw(desk, &text);
            }
        }
    }
});
