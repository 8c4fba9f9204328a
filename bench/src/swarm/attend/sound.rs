//! The callers' side of sound: a socket for each call, a packet each 20 ms, keys at random, and what came when.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::deadline::now;
use crate::swarm::histogram::Histogram;

/// Time from packet to packet.
const FRAME: Duration = Duration::from_millis(20);

/// A packet that comes so long after the one before is late: a phone's buffer of 60 ms is empty then.
const LATE: Duration = Duration::from_millis(80);

/// Packets of one key: 100 ms, and its end three times (RFC 4733 §2.5.1.4).
const KEY_PACKETS: u32 = 8;

/// Payload type of telephone events in our offers.
const EVENTS: u8 = 101;

/// Packets read at once.
const EVENTS_MAX: usize = 1_024;

/// One caller.
pub(super) struct Caller {
    socket: UdpSocket,
    to: Option<SocketAddr>,
    sequence: u16,
    timestamp: u32,
    /// Packets left of the key that is pressed.
    pressed: u32,
    /// When the last packet came, and its sequence number.
    last: Option<(Instant, u16)>,
}

/// What was heard.
pub(super) struct Heard {
    pub(super) packets: u64,
    /// Sequence numbers that were left out.
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) keys: u64,
    /// Calls of which nothing at all was heard.
    pub(super) silent: usize,
    /// How far packets were from coming 20 ms after the last, in nanoseconds.
    pub(super) off: Histogram,
}

impl Caller {
    pub(super) fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let random = crate::random::number();
        Ok(Self {
            socket,
            to: None,
            sequence: random as u16,
            timestamp: random as u32,
            pressed: 0,
            last: None,
        })
    }

    /// An offer of G.711 and telephone events.
    pub(super) fn offer(&self) -> io::Result<String> {
        let port = self.socket.local_addr()?.port();
        Ok(format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 {EVENTS}\r\na=rtpmap:{EVENTS} telephone-event/8000\r\na=fmtp:{EVENTS} 0-15\r\n"
        ))
    }

    /// The answer; false if it has no sound for us.
    pub(super) fn answered(&mut self, sdp: &str) -> bool {
        let word = |line: &str, at: usize| line.split_whitespace().nth(at).map(ToOwned::to_owned);
        let line = |start: &str| sdp.lines().find(|line| line.starts_with(start));
        let ip = line("c=IN").and_then(|line| word(line, 2)?.parse().ok());
        let port = line("m=audio ").and_then(|line| word(line, 1)?.parse().ok());
        self.to = ip.zip(port).filter(|(_, port)| *port != 0).map(|(ip, port)| SocketAddr::new(ip, port));
        self.to.is_some()
    }

    /// 20 ms of silence, or of a key. Errors are the network's: what is missing is counted at the other end.
    fn send(&mut self, key: bool) {
        let Some(to) = self.to else { return };
        if key && self.pressed == 0 {
            self.pressed = KEY_PACKETS;
        }
        let mut packet = Vec::with_capacity(172);
        let played = KEY_PACKETS - self.pressed;
        let marker = if self.pressed == KEY_PACKETS { 0x80 } else { 0 };
        let (kind, timestamp) = match self.pressed {
            0 => (0, self.timestamp),
            // All packets of an event have the time of its beginning.
            _ => (EVENTS, self.timestamp.wrapping_sub(160 * played)),
        };
        packet.extend_from_slice(&[0x80, marker | kind]);
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&7_u32.to_be_bytes());
        if self.pressed == 0 {
            packet.resize(172, 0xFF);
        } else {
            let end = if self.pressed <= 3 { 0x80 } else { 0 };
            let duration = 160 * (played + 1).min(KEY_PACKETS - 2) as u16;
            let [d0, d1] = duration.to_be_bytes();
            packet.extend_from_slice(&[(self.sequence % 10) as u8, end | 10, d0, d1]);
            self.pressed -= 1;
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        let _ = self.socket.send_to(&packet, to);
    }

    fn hear(&mut self, heard: &mut Heard) {
        let mut packet = [0; 2_048];
        while let Ok(length) = self.socket.recv(&mut packet) {
            let Some([_, _, s0, s1]) = packet.get(..length).and_then(|packet| packet.first_chunk()) else {
                continue;
            };
            let (arrived, sequence) = (now(), u16::from_be_bytes([*s0, *s1]));
            heard.packets += 1;
            if let Some((before, last)) = self.last {
                let gap = arrived.duration_since(before);
                heard.late += u64::from(gap > LATE);
                heard.lost += u64::from(sequence.wrapping_sub(last).wrapping_sub(1) & 0x7FFF);
                heard.off.record(gap.abs_diff(FRAME).as_nanos() as u64);
            }
            self.last = Some((arrived, sequence));
        }
    }
}

/// Listens and speaks for `time`. A caller presses a key at random, `keys` times a second on average.
pub(super) fn converse(callers: &mut [Caller], time: Duration, keys: f64) -> io::Result<Heard> {
    let mut heard = Heard { packets: 0, lost: 0, late: 0, keys: 0, silent: 0, off: Histogram::new() };
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    for (index, caller) in (0_u64..).zip(callers.iter_mut()) {
        // What waited until now says nothing of its time.
        while caller.socket.recv(&mut [0; 2_048]).is_ok() {}
        caller.last = None;
        epoll.add(caller.socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, index))?;
    }
    let chance = (keys * FRAME.as_secs_f64() * f64::from(u32::MAX)) as u32;
    let began = now();
    // Callers send one after the other, spread over the 20 ms.
    let (mut sent, each) = (0_u64, FRAME / u32::try_from(callers.len()).unwrap_or(u32::MAX).max(1));
    let mut events = vec![EpollEvent::empty(); EVENTS_MAX];
    while began.elapsed() < time {
        let due = (began.elapsed().as_nanos() / each.as_nanos().max(1)) as u64;
        while sent < due {
            let caller = &mut callers[(sent % callers.len() as u64) as usize];
            let key = caller.pressed == 0 && (crate::random::number() as u32) < chance;
            heard.keys += u64::from(key);
            caller.send(key);
            sent += 1;
        }
        let ready = epoll.wait(&mut events, EpollTimeout::from(1_u8))?;
        for event in &events[..ready] {
            callers[event.data() as usize].hear(&mut heard);
        }
    }
    heard.silent = callers.iter().filter(|caller| caller.last.is_none()).count();
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_hear_one_another_and_press_keys() {
        let (mut one, mut other) = (Caller::new().unwrap(), Caller::new().unwrap());
        assert!(one.answered(&other.offer().unwrap()) && other.answered(&one.offer().unwrap()));

        let heard = converse(&mut [one, other], Duration::from_millis(500), 2.0).unwrap();

        assert!((20..=50).contains(&heard.packets), "{}", heard.packets);
        assert_eq!((heard.lost, heard.silent), (0, 0));
    }

    #[test]
    fn an_answer_without_sound_is_none() {
        let mut caller = Caller::new().unwrap();

        assert!(!caller.answered("c=IN IP4 127.0.0.1\r\nm=audio 0 RTP/AVP 0\r\n"));
        assert!(!caller.answered("m=audio 4000 RTP/AVP 0\r\n"));
        assert!(!caller.answered(""));
    }
}
