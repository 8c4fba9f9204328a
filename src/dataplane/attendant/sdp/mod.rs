//! Offer and answer of a call the edge answers itself (RFC 3264 over RFC 4566): one stream of G.711 and keys.
//!
//! In comes what a phone offers or answers, read by [`read`]; out goes what the edge says, written by [`answer`] and
//! [`offer`]. A call that is over before anything could be said needs no sound: [`silent`].
//!
//! Six kinds of lines are read and all others passed over, in one pass and without keeping any text, so a hostile
//! description costs no more than its octets, which the transport bounds.

mod crypto;
mod offer;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::media::{Codec, Connection, SrtpKey};
pub(super) use offer::{Offer, Unusable, read};

/// Media lines of an offer that are answered; more are a bomb, and get no answer at all.
const MEDIA_MAX: usize = 16;

/// The payload type of telephone events in our own offers: what nearly every phone uses (RFC 4733 leaves it open).
const EVENTS: u8 = 101;

/// What one side of a call says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speaker {
    /// What peers are told.
    pub(super) address: IpAddr,
    /// Names the call for as long as it lasts.
    pub(super) session: u64,
    /// Rises with every description of the call.
    pub(super) version: u32,
    /// Where sound is taken; 0: nowhere.
    pub(super) port: u16,
}

impl Speaker {
    fn begin(self) -> String {
        let Self { address, session, version, .. } = self;
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        let mut sdp = String::with_capacity(320);
        let _ = write!(
            sdp,
            "v=0\r\no=hotdesk {session} {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n"
        );
        sdp
    }
}

/// Which way sound goes, as the phone says it (RFC 3264 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Both,
    /// The phone sends and does not listen: it has put us on hold.
    SendOnly,
    /// The phone listens only.
    ReceiveOnly,
    Neither,
}

impl Direction {
    /// The line that answers it.
    fn answered(self) -> &'static str {
        match self {
            Self::Both => "sendrecv",
            Self::SendOnly => "recvonly",
            Self::ReceiveOnly => "sendonly",
            Self::Neither => "inactive",
        }
    }

    /// True if the phone listens.
    pub(super) fn listens(self) -> bool {
        matches!(self, Self::Both | Self::ReceiveOnly)
    }
}

/// Keys of both directions of an encrypted call, and what the answer says of them.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) ours: SrtpKey,
    pub(super) theirs: SrtpKey,
}

/// Answers `sdp`, of which `chosen` is the stream that was taken: every other stream is refused with port 0, in its
/// place (RFC 3264 §6). `key` is our key where the stream is encrypted.
pub(super) fn answer(sdp: &[u8], chosen: &Offer, speaker: Speaker, key: Option<&SrtpKey>) -> String {
    let mut text = speaker.begin();
    for (index, media) in media_lines(sdp).take(MEDIA_MAX).enumerate() {
        if index == chosen.index {
            write_stream(&mut text, chosen, speaker.port, key);
        } else {
            refuse_stream(&mut text, media);
        }
    }
    text
}

/// An offer of our own, for an INVITE that brought none (RFC 3261 §13.2.1).
pub(super) fn offer(speaker: Speaker) -> String {
    let mut text = speaker.begin();
    let port = speaker.port;
    let _ = write!(text, "m=audio {port} RTP/AVP 0 8 {EVENTS}\r\n");
    text.push_str("a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n");
    write_events(&mut text, EVENTS);
    text.push_str("a=ptime:20\r\na=sendrecv\r\n");
    text
}

fn write_stream(text: &mut String, chosen: &Offer, port: u16, key: Option<&SrtpKey>) {
    let profile = if key.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let (format, name) = match chosen.codec {
        Codec::Pcmu => (0, "PCMU"),
        Codec::Pcma => (8, "PCMA"),
    };
    let _ = write!(text, "m=audio {port} {profile} {format}");
    if let Some(events) = chosen.events {
        let _ = write!(text, " {events}");
    }
    let _ = write!(text, "\r\na=rtpmap:{format} {name}/8000\r\n");
    if let Some(events) = chosen.events {
        write_events(text, events);
    }
    if let (Some(key), Some(crypto)) = (key, &chosen.crypto) {
        crypto.write(key, text);
    }
    let _ = write!(text, "a=ptime:20\r\na={}\r\n", chosen.direction.answered());
}

/// The sixteen keys of a telephone (RFC 4733 §3.2).
fn write_events(text: &mut String, events: u8) {
    let _ = write!(text, "a=rtpmap:{events} telephone-event/8000\r\na=fmtp:{events} 0-15\r\n");
}

fn refuse_stream(text: &mut String, media: &str) {
    let mut words = media.split(' ');
    let (kind, _port, protocol) =
        (words.next().unwrap_or("audio"), words.next(), words.next().unwrap_or("RTP/AVP"));
    let _ = write!(text, "m={kind} 0 {protocol} {}\r\n", words.next().unwrap_or("0"));
}

/// The description of a 200 to a call that ends at once: the answer to `offer`, or an offer where there was none. The
/// first audio stream with G.711 is accepted and nothing is sent either way: the phone shows a short call.
pub(super) fn silent(offer: Option<&[u8]>, speaker: Speaker) -> String {
    let mut text = speaker.begin();
    let Some(offer) = offer else {
        text.push_str("m=audio 9 RTP/AVP 0 8\r\na=inactive\r\n");
        return text;
    };
    let mut audio = false;
    for media in media_lines(offer).take(MEDIA_MAX) {
        let mut words = media.split(' ');
        let (kind, _port, protocol) = (words.next(), words.next(), words.next());
        match words.find(|format| matches!(*format, "0" | "8")) {
            Some(format) if !audio && kind == Some("audio") && protocol == Some("RTP/AVP") => {
                audio = true;
                let _ = write!(text, "m=audio 9 RTP/AVP {format}\r\na=inactive\r\n");
            }
            _ => refuse_stream(&mut text, media),
        }
    }
    text
}

/// What both sides agree on once each has said its word. `source` is where the call's signalling came from: where the
/// phone names a host and no address, its sound is looked for there.
pub(super) fn agreed(theirs: &Offer, keys: Option<Keys>, source: IpAddr, in_band: bool) -> Connection {
    let held = theirs.address.is_some_and(|address| address.is_unspecified());
    Connection {
        remote: SocketAddr::new(theirs.address.unwrap_or(source), theirs.port),
        codec: theirs.codec,
        events: theirs.events,
        // `c=IN IP4 0.0.0.0` is how RFC 2543 said hold (RFC 3264 §8.4).
        sends: theirs.direction.listens() && !held,
        in_band,
        srtp: keys.map(|keys| (keys.ours, keys.theirs)),
    }
}

/// The values of the `m=` lines that are plain text.
fn media_lines(sdp: &[u8]) -> impl Iterator<Item = &str> {
    lines(sdp).filter_map(|line| line.strip_prefix("m="))
}

/// The lines that are plain text, without their ends.
fn lines(sdp: &[u8]) -> impl Iterator<Item = &str> {
    sdp.split(|byte| matches!(*byte, b'\n' | b'\r'))
        .filter_map(|line| std::str::from_utf8(line.trim_ascii_end()).ok())
        .filter(|line| line.bytes().all(|byte| (b' '..0x7f).contains(&byte)))
}

#[cfg(test)]
mod tests;
