//! Keys of a phone as RFC 4733 tells them: named events, each in many packets of which any may be lost, doubled or
//! late.
//!
//! ```text
//!  ts=800 dur=160 ──► told at once        the first packet of it that arrives, whichever that is
//!  ts=800 dur=320     the same press      as are its three end packets
//!  ts=4000 dur=160 ─► told at once        the same key again, or another
//!  ts=800 end         late: older than the last press
//! ```

/// A press whose packets are this much older than the last one's is no late packet: the phone began to count anew.
/// Ten seconds, far longer than a packet is under way.
const LATE_MAX: u32 = 10 * 8_000;

/// Two presses of a key are further apart than this: 20 ms. What is nearer goes on with the last one: an event longer
/// than its field of 65,535 samples (RFC 4733 §2.5.1.3), or a phone that dates every packet of an event anew.
const PRESSES_APART: u32 = 160;

/// Keys in the order of their event codes (RFC 4733 §3.2).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// Tells presses from packets.
#[derive(Debug, Default)]
pub(super) struct Keys {
    last: Option<Press>,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    ssrc: u32,
    timestamp: u32,
    event: u8,
    duration: u16,
}

impl Keys {
    /// A key that was not told before. `payload` is that of a packet whose payload type is that of events.
    pub(super) fn hear(&mut self, marker: bool, ssrc: u32, timestamp: u32, payload: &[u8]) -> Option<u8> {
        let &[event, _, d0, d1] = payload.first_chunk()?;
        let key = *KEYS.get(usize::from(event))?;
        let press = Press { ssrc, timestamp, event, duration: u16::from_be_bytes([d0, d1]) };
        let last = self.last.filter(|last| last.ssrc == ssrc);
        if last.is_some_and(|last| press.is_late_after(last)) {
            return None;
        }
        let told = last.is_some_and(|last| press.goes_on_with(last, marker));
        // The longest duration stands, should the packets of a press come in another order.
        let longest = last.filter(|last| last.timestamp == timestamp).map_or(0, |last| last.duration);
        self.last = Some(Press { duration: press.duration.max(longest), ..press });
        (!told).then_some(key)
    }
}

impl Press {
    fn is_late_after(self, last: Self) -> bool {
        let behind = last.timestamp.wrapping_sub(self.timestamp);
        behind != 0 && behind <= LATE_MAX
    }

    fn goes_on_with(self, last: Self, marker: bool) -> bool {
        let ahead = self.timestamp.wrapping_sub(last.timestamp);
        ahead == 0
            || (!marker && self.event == last.event && ahead <= u32::from(last.duration) + PRESSES_APART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `marker`, timestamp, event, end, duration.
    type Event = (bool, u32, u8, bool, u16);

    fn payload((_, _, event, end, duration): Event) -> [u8; 4] {
        let [d0, d1] = duration.to_be_bytes();
        [event, if end { 0x8A } else { 0x0A }, d0, d1]
    }

    fn heard(events: &[Event]) -> String {
        let mut keys = Keys::default();
        let hear = |event: &Event| keys.hear(event.0, 7, event.1, &payload(*event));
        events.iter().filter_map(hear).map(char::from).collect()
    }

    /// A press as phones send it: a packet each 20 ms, the end three times.
    fn press(timestamp: u32, event: u8, packets: u16) -> Vec<Event> {
        let mut events: Vec<Event> =
            (1..=packets).map(|n| (n == 1, timestamp, event, false, 160 * n)).collect();
        events.extend([(false, timestamp, event, true, 160 * (packets + 1)); 3]);
        events
    }

    #[test]
    fn a_press_is_one_key_whatever_of_it_is_lost() {
        let press = press(800, 5, 4);
        // All losses of seven packets but that of all.
        for kept in 1..1 << press.len() {
            let events: Vec<Event> =
                (0..press.len()).filter(|n| kept & (1 << n) != 0).map(|n| press[n]).collect();

            assert_eq!(heard(&events), "5", "{events:?}");
        }
    }

    #[test]
    fn a_key_is_told_with_its_first_packet() {
        let mut keys = Keys::default();

        assert_eq!(keys.hear(true, 7, 800, &payload((true, 800, 11, false, 160))), Some(b'#'));
        assert_eq!(keys.hear(false, 7, 800, &payload((false, 800, 11, false, 320))), None);
    }

    #[test]
    fn the_same_key_twice_is_two_also_where_the_marker_is_lost() {
        let mut events = press(800, 1, 3);
        events.extend(press(800 + 4 * 160 + 320, 1, 3).into_iter().skip(1));

        assert_eq!(heard(&events), "11");
    }

    #[test]
    fn packets_out_of_order_tell_no_key_twice() {
        let (first, second) = (press(800, 1, 3), press(2_400, 2, 3));
        let mut events = vec![first[1], first[0], first[2], second[0], first[5], second[1], first[4]];
        events.extend(&second[2..]);

        assert_eq!(heard(&events), "12");
    }

    #[test]
    fn a_key_held_down_is_one() {
        let mut events = press(800, 9, 408);
        let mut next = 800 + u32::from(u16::MAX);
        events.truncate(408);
        events.push((false, 800, 9, false, u16::MAX));
        for _ in 0..2 {
            events.extend((1..=409).map(|n: u16| (false, next, 9, false, n.saturating_mul(160))));
            events.push((false, next, 9, false, u16::MAX));
            next += u32::from(u16::MAX);
        }

        assert_eq!(heard(&events), "9");
    }

    #[test]
    fn a_phone_that_dates_every_packet_anew_presses_once() {
        let events: Vec<Event> =
            (0..8).map(|n| (n == 0, 800 + 160 * u32::from(n), 4, n > 4, 160 * n)).collect();

        assert_eq!(heard(&events), "4");
    }

    #[test]
    fn a_phone_that_counts_anew_is_heard() {
        let mut keys = Keys::default();
        let press = |n| payload((true, 0, n, false, 160));
        assert_eq!(keys.hear(true, 7, 4_000_000, &press(1)), Some(b'1'));

        // The same source with another clock, and another source with an older one.
        assert_eq!(keys.hear(true, 7, 800, &press(2)), Some(b'2'));
        assert_eq!(keys.hear(true, 8, 400, &press(3)), Some(b'3'));
    }

    #[test]
    fn the_clock_may_wrap() {
        let mut events = press(u32::MAX - 100, 1, 3);
        events.extend(press(2_000, 2, 3));

        assert_eq!(heard(&events), "12");
    }

    #[test]
    fn what_is_no_key_is_not_told() {
        // A hook flash, an unknown event, and a packet that is cut off.
        assert_eq!(heard(&[(true, 800, 16, false, 160), (true, 1_600, 255, false, 160)]), "");
        assert_eq!(Keys::default().hear(true, 7, 800, &[1, 10, 0]), None);
    }
}
