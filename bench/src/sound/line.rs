//! The socket of a call's sound: PCMU and telephone events (RFC 3550, RFC 3551, RFC 4733).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::Ear;
use super::ear::Hearing;
use crate::deadline::Deadline;
use crate::phone::Message;

/// The payload type we offer for keys.
const EVENTS: u8 = 101;

/// Samples in a packet of 20 ms.
const FRAME: u32 = 160;

/// A key lasts five packets; its end is sent three times (RFC 4733 §2.5.1.4).
const PRESSED: u16 = 5;
const ENDS: usize = 3;

/// Samples that are listened to at once: a tenth of a second.
const NEWS: usize = 800;

/// Sound that comes and keys that go.
#[derive(Debug)]
pub struct Line {
    socket: UdpSocket,
    address: SocketAddr,
    remote: Option<SocketAddr>,
    sequence: u16,
    timestamp: u32,
    source: u32,
    /// The number of the packet that is to come next.
    expected: Option<u16>,
    hearing: Hearing,
}

impl Line {
    /// A socket at `host`.
    ///
    /// # Errors
    /// The operating system has none.
    pub fn open(host: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(host, 0))?;
        let random = crate::random::number();
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            remote: None,
            sequence: random as u16,
            timestamp: (random >> 16) as u32,
            source: (random >> 32) as u32,
            expected: None,
            hearing: Hearing::default(),
        })
    }

    /// The offer: PCMU, and events where `events` says so.
    pub fn offer(&self, events: bool) -> String {
        let (family, ip) = (if self.address.is_ipv4() { "IP4" } else { "IP6" }, self.address.ip());
        let (types, lines) = match events {
            true => (" 101", "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"),
            false => ("", ""),
        };
        format!(
            "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 0{types}\r\na=rtpmap:0 PCMU/8000\r\n{lines}",
            self.address.port()
        )
    }

    /// Takes the answer to the offer: from here on sound is sent there.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it names no place for it.
    pub fn connect(&mut self, answer: &Message) -> io::Result<()> {
        let line = |start: &str| answer.body().lines().find_map(|line| line.strip_prefix(start));
        let address = line("c=").and_then(|line| line.rsplit(' ').next()?.parse().ok());
        let port = line("m=audio ").and_then(|line| line.split(' ').next()?.parse().ok());
        let (Some(address), Some(port)) = (address, port) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.remote = Some(SocketAddr::new(address, port));
        Ok(())
    }

    /// Presses keys, one after the other, as events.
    ///
    /// # Errors
    /// The socket failed.
    pub fn press(&mut self, keys: &str) -> io::Result<()> {
        for key in keys.bytes() {
            let event = match key {
                b'0'..=b'9' => key - b'0',
                b'*' => 10,
                b'#' => 11,
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
            for packet in 1..=PRESSED {
                self.send(EVENTS, packet == 1, &payload(event, false, packet * FRAME as u16))?;
            }
            for _ in 0..ENDS {
                self.send(EVENTS, false, &payload(event, true, PRESSED * FRAME as u16))?;
            }
            // All packets of a key have its timestamp (RFC 4733 §2.5.1.2); the next begins when this one has ended.
            self.timestamp = self.timestamp.wrapping_add(u32::from(PRESSED + 1) * FRAME);
        }
        Ok(())
    }

    fn send(&mut self, kind: u8, marker: bool, payload: &[u8]) -> io::Result<()> {
        let mut packet = vec![0x80, kind | u8::from(marker) << 7];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.source.to_be_bytes());
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        let remote = self.remote.ok_or(io::ErrorKind::NotConnected)?;
        self.socket.send_to(&packet, remote).map(drop)
    }

    /// Listens until `until` says that enough was said, or for `patience`. All that was said since the line was opened,
    /// by the names of the clips.
    ///
    /// # Errors
    /// The socket failed; [`io::ErrorKind::TimedOut`], with what was heard, if it was not enough.
    pub fn listen(
        &mut self,
        ear: &Ear,
        patience: Duration,
        until: impl Fn(&str) -> bool,
    ) -> io::Result<String> {
        let deadline = Deadline::after(patience);
        let mut packet = [0; 2_048];
        loop {
            // Not for every packet: it is work.
            if self.hearing.news() >= NEWS {
                self.hearing.understand(ear, false);
            }
            let said = self.hearing.said().to_string();
            if until(&said) {
                return Ok(said);
            }
            let Some(left) = deadline.left() else {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("heard only {said:?}")));
            };
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.recv(&mut packet) {
                Ok(length) => self.hear(&packet[..length]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// All that came until now, once the call is over.
    ///
    /// # Errors
    /// The socket failed.
    pub fn all(mut self, ear: &Ear) -> io::Result<String> {
        self.socket.set_nonblocking(true)?;
        let mut packet = [0; 2_048];
        loop {
            match self.socket.recv(&mut packet) {
                Ok(length) => self.hear(&packet[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.hearing.understand(ear, true);
        Ok(self.hearing.said().to_string())
    }

    /// Takes in a packet of sound. What was lost before it is silence; time that the edge let pass without sound is not.
    fn hear(&mut self, packet: &[u8]) {
        let Some((head, payload)) = packet.split_at_checked(12) else { return };
        if head[0] != 0x80 || head[1] & 0x7f != 0 {
            return;
        }
        let number = u16::from_be_bytes([head[2], head[3]]);
        let lost = number.wrapping_sub(self.expected.unwrap_or(number));
        // What comes late was silence.
        if lost > u16::MAX / 2 {
            return;
        }
        self.hearing.push((0..usize::from(lost) * payload.len()).map(|_| 0));
        self.hearing.push(payload.iter().map(|octet| decode(*octet)));
        self.expected = Some(number.wrapping_add(1));
    }
}

/// RFC 4733 §2.3: the event, its end and volume, its duration.
fn payload(event: u8, is_end: bool, duration: u16) -> [u8; 4] {
    let [high, low] = duration.to_be_bytes();
    [event, u8::from(is_end) << 7 | 10, high, low]
}

/// µ-law (ITU-T G.711): sign, exponent and mantissa, all inverted.
fn decode(octet: u8) -> i16 {
    let octet = !octet;
    let magnitude = (((i16::from(octet & 0x0f) << 3) + 132) << (octet >> 4 & 7)) - 132;
    if octet & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_is_that_of_the_standard() {
        assert_eq!([0xff, 0x7f, 0x80, 0x00, 0xf0].map(decode), [0, 0, 32_124, -32_124, 120]);
    }
}
