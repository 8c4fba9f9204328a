//! Keys under which Record-Route parameters are sealed: made here, kept in the store, a new one every day. An old
//! one is kept as long as a call may last, so a BYE finds its way after a restart and after the change. And the one key of
//! temporary GRUUs, which are good for as long as their phone is registered.

use std::time::Duration;

use dataplane::return_path::RoutingKeys;

use super::random;
use crate::backend::store::{GruuKey, RoutingKey, Secrets};

/// How long a key seals. A day keeps what one key has sealed small and the list of keys short.
pub(super) const SEALS_FOR: Duration = Duration::from_secs(24 * 3600);

/// The keys, as the dataplane takes them.
pub(super) fn routing_keys(secrets: &Secrets) -> RoutingKeys {
    let keys: Vec<_> = secrets.routing_keys.iter().map(|key| (key.id, key.key)).collect();
    let gruu = secrets.gruu_key.as_ref().expect("renew makes one");
    RoutingKeys::new(&keys, gruu.0)
}

/// Brings `secrets` up to date at wall clock `wall` (milliseconds since 1970): a new key in front if there is
/// none or it has sealed for a day, none that no call of at most `call_max` can still need, and one for GRUUs. True:
/// something changed and has to be stored.
pub(super) fn renew(secrets: &mut Secrets, wall: u64, call_max: Duration) -> bool {
    let keys = &mut secrets.routing_keys;
    let before = keys.len();
    let opens_for = millis(SEALS_FOR + call_max);
    // The first has sealed until now. A clock by which even that is too old was set ahead, and would take their way from calls
    // that are up: the first counts as made now, and the others before it as they were.
    let age = keys.first().map_or(0, |key| wall.saturating_sub(key.made_at));
    let is_set_ahead = age > opens_for;
    if is_set_ahead {
        keys.iter_mut().for_each(|key| key.made_at += age);
    }
    // A key of the future was made before the clock was set back: it is as good as one of now.
    keys.retain(|key| wall.saturating_sub(key.made_at) <= opens_for);
    let fresh = keys.first().is_some_and(|key| wall.abs_diff(key.made_at) < millis(SEALS_FOR));
    if !fresh {
        let id = keys.first().map_or(0, |key| key.id.wrapping_add(1));
        // With one a day and calls of days at most, an id comes round long after its key has gone.
        keys.retain(|key| key.id != id);
        keys.insert(0, RoutingKey { id, made_at: wall, key: random() });
    }
    let has_all = secrets.gruu_key.is_some();
    secrets.gruu_key.get_or_insert_with(|| GruuKey(random()));
    is_set_ahead || !fresh || !has_all || secrets.routing_keys.len() != before
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;
    const CALL_MAX: Duration = Duration::from_secs(4 * 3600);

    fn ids(secrets: &Secrets) -> Vec<u8> {
        secrets.routing_keys.iter().map(|key| key.id).collect()
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_next_keeps_it() {
        let mut secrets = Secrets::default();

        assert!(renew(&mut secrets, 10 * DAY, CALL_MAX));
        let first = secrets.clone();
        assert!(!renew(&mut secrets, 10 * DAY + DAY / 2, CALL_MAX));

        assert_eq!(ids(&secrets), [0]);
        assert_eq!(secrets, first);
    }

    #[test]
    fn a_new_key_seals_every_day_and_the_old_one_opens_as_long_as_a_call_lasts() {
        let mut secrets = Secrets::default();
        renew(&mut secrets, 10 * DAY, CALL_MAX);
        let of_gruus = secrets.gruu_key.clone();

        assert!(renew(&mut secrets, 11 * DAY, CALL_MAX));
        assert_eq!(ids(&secrets), [1, 0]);
        assert_eq!(secrets.gruu_key, of_gruus, "that one stays");

        assert!(renew(&mut secrets, 11 * DAY + DAY / 4, CALL_MAX));
        assert_eq!(ids(&secrets), [1]);
    }

    #[test]
    fn ids_go_round() {
        let mut secrets = Secrets {
            routing_keys: vec![RoutingKey { id: 255, made_at: 10 * DAY, key: [1; 32] }],
            gruu_key: None,
        };

        renew(&mut secrets, 11 * DAY, CALL_MAX);

        assert_eq!(ids(&secrets), [0, 255]);
    }

    #[test]
    fn a_clock_set_years_ahead_forgets_none_and_from_then_on_they_grow_old_as_before() {
        let mut secrets = Secrets::default();
        renew(&mut secrets, 10 * DAY, CALL_MAX);
        renew(&mut secrets, 11 * DAY, CALL_MAX);
        let ahead = 11 * DAY + DAY / 24 + 1000 * DAY;

        assert!(renew(&mut secrets, ahead, CALL_MAX));
        assert_eq!(ids(&secrets), [1, 0]);

        assert!(renew(&mut secrets, ahead + DAY / 4, CALL_MAX));
        assert_eq!(ids(&secrets), [1]);
        assert!(renew(&mut secrets, ahead + DAY, CALL_MAX));
        assert_eq!(ids(&secrets), [2, 1]);
    }

    #[test]
    fn a_clock_set_back_makes_a_new_key_and_forgets_none() {
        let mut secrets = Secrets::default();
        renew(&mut secrets, 10 * DAY, CALL_MAX);

        assert!(renew(&mut secrets, 5 * DAY, CALL_MAX));

        assert_eq!(ids(&secrets), [1, 0]);
    }
}
