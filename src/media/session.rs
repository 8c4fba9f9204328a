//! One session: what is sent at each tick, and what a packet of the phone means. It holds no socket and knows no time but
//! what it is told.
//!
//! ```text
//!          Connect                             first packet that fits
//!  opened ─────────► sends to the address of ──────────────────────────► sends to where that came from, and hears it
//!                    the SDP                                             and the address of the SDP, which takes
//!                       ▲                                                the place back with its first packet
//!                       │                                                     │
//!                       └──────────────────────── Connect ────────────────────┘
//! ```
//!
//! With SRTP every packet that proves that it is the phone's is heard, and sound goes to where the last one came from.

use std::net::SocketAddr;
use std::sync::Arc;

use dataplane::media::{CLIPS_MAX, Clip, Codec, Connection, Heard, SessionId};

use super::counters::Counters;
use super::g711;
use super::keys::Keys;
use super::prompts::{Prompts, Sound};
use super::rtp::{FRAME_SAMPLES, Header, Numbering};
use super::srtp;
use super::tones::Tones;

/// A phone that sends sound sends fifty packets a second; one that sends none for this long, in milliseconds, is most
/// likely gone. It is told once for each such time.
pub(super) const SILENT_MILLIS: u64 = 30_000;

/// Keys of one session in a second: a phone that dials a stored number sends fewer than ten, and what a hostile one sends
/// must not fill the way to its worker.
const KEYS_PER_SECOND_MAX: u32 = 32;

/// A session of sound.
pub(super) struct Session {
    pub(super) id: SessionId,
    connected: Option<Connected>,
    numbering: Numbering,
    playing: Option<Playing>,
    /// When the phone's last packet came, milliseconds.
    heard_at: u64,
    pace: KeyPace,
}

/// How many keys were told in the second that runs.
#[derive(Debug, Default)]
struct KeyPace {
    second: u64,
    keys: u32,
}

impl KeyPace {
    fn admits(&mut self, now: u64) -> bool {
        if now / 1_000 != self.second {
            *self = Self { second: now / 1_000, keys: 0 };
        }
        self.keys += 1;
        self.keys <= KEYS_PER_SECOND_MAX
    }
}

/// What holds from the agreement of offer and answer on.
struct Connected {
    agreed: Connection,
    /// Where the phone's sound comes from.
    locked: Option<SocketAddr>,
    keys: Keys,
    tones: Option<Tones>,
    /// To protect what is sent, and to unprotect what comes.
    srtp: Option<(srtp::Context, srtp::Context)>,
}

impl Session {
    pub(super) fn new(id: SessionId, random: [u8; 10], now: u64) -> Self {
        Self {
            id,
            connected: None,
            numbering: Numbering::new(random),
            playing: None,
            heard_at: now,
            pace: KeyPace::default(),
        }
    }

    pub(super) fn connect(&mut self, agreed: Connection) {
        let before = self.connected.take();
        // What the phone did not change goes on: its presses, how far its SRTP has come. Its place is found anew: a
        // stranger who was first loses it.
        let (mut keys, mut srtp) = (Keys::default(), None);
        if let Some(before) = before {
            srtp = before.srtp.filter(|_| before.agreed.srtp == agreed.srtp);
            keys = before.keys;
        }
        if srtp.is_none() {
            let contexts = |(ours, theirs): &_| (srtp::Context::new(ours), srtp::Context::new(theirs));
            srtp = agreed.srtp.as_ref().map(contexts);
        }
        let tones = agreed.in_band.then(Tones::new);
        self.connected = Some(Connected { agreed, locked: None, keys, tones, srtp });
    }

    pub(super) fn play(
        &mut self,
        prompts: &Prompts,
        language: &str,
        clips: &[Clip],
        counters: &mut Counters,
    ) {
        let mut parts = Vec::with_capacity(clips.len().min(CLIPS_MAX));
        for clip in clips.iter().take(CLIPS_MAX) {
            match Part::of(*clip, prompts, language) {
                Some(part) => parts.push(part),
                None => counters.prompts_missing += 1,
            }
        }
        self.playing = Some(Playing { parts, part: 0, at: 0 });
    }

    pub(super) fn stop(&mut self) {
        self.playing = None;
    }

    /// Whether a packet to this address leaves with the next frame.
    fn destination(&self) -> Option<SocketAddr> {
        let connected = self.connected.as_ref().filter(|connected| connected.agreed.sends)?;
        let to = connected.locked.unwrap_or(connected.agreed.remote);
        (to.port() != 0 && !to.ip().is_unspecified()).then_some(to)
    }

    /// Time passes for `frames` frames that are not sent.
    pub(super) fn skip(&mut self, frames: u32) {
        self.numbering.skip(frames);
    }

    /// The next 20 ms, written to `packet`, and where they go. While the phone holds, nothing goes and what plays
    /// waits.
    pub(super) fn frame(
        &mut self,
        now: u64,
        packet: &mut Vec<u8>,
        mut tell: impl FnMut(Heard),
    ) -> Option<SocketAddr> {
        if now.saturating_sub(self.heard_at) >= SILENT_MILLIS {
            self.heard_at = now;
            tell(Heard::Silent);
        }
        let Some(to) = self.destination() else {
            self.numbering.skip(1);
            return None;
        };
        let connected = self.connected.as_mut()?;
        packet.clear();
        self.numbering.write(connected.agreed.codec.payload_type(), packet);
        let mut left = FRAME_SAMPLES;
        if let Some(playing) = &mut self.playing {
            left -= playing.write(connected.agreed.codec, left, packet);
            if playing.is_over() {
                self.playing = None;
                tell(Heard::Played);
            }
        }
        packet.resize(packet.len() + left, silence(connected.agreed.codec));
        if let Some((ours, _)) = &mut connected.srtp {
            ours.protect(packet);
        }
        Some(to)
    }

    /// What a packet that came from `from` says. It may be decrypted in place.
    pub(super) fn receive(
        &mut self,
        now: u64,
        from: SocketAddr,
        packet: &mut [u8],
        counters: &mut Counters,
        mut tell: impl FnMut(Heard),
    ) {
        let Some(connected) = &mut self.connected else {
            counters.dropped_early += 1;
            return;
        };
        // Without SRTP an address is all that tells the phone from a stranger, and the one it named is its own.
        let is_proved = connected.srtp.is_some() || from == connected.agreed.remote;
        if !is_proved && connected.locked.is_some_and(|locked| locked != from) {
            counters.dropped_stranger += 1;
            return;
        }
        let fits = |packet: &[u8]| {
            let header = Header::parse(packet)?;
            let agreed = &connected.agreed;
            let known =
                [Some(agreed.codec.payload_type()), agreed.events].contains(&Some(header.payload_type));
            known.then_some(header)
        };
        let Some(header) = fits(packet) else {
            counters.dropped_unfit += 1;
            return;
        };
        let packet = match &mut connected.srtp {
            None => packet,
            Some((_, theirs)) => {
                let length = theirs.unprotect(packet);
                let Some(packet) = length.and_then(|length| packet.get(..length)) else {
                    counters.dropped_forged += 1;
                    return;
                };
                packet
            }
        };
        let Some(payload) = header.payload(packet).and_then(|payload| packet.get(payload)) else {
            counters.dropped_unfit += 1;
            return;
        };
        counters.packets_received += 1;
        self.heard_at = now;
        connected.locked = Some(from);
        let pace = &mut self.pace;
        let mut key = |key| {
            if pace.admits(now) {
                counters.keys += 1;
                tell(Heard::Key(key));
            } else {
                counters.keys_dropped += 1;
            }
        };
        if connected.agreed.events == Some(header.payload_type) {
            // A phone that sends events may leave the tones in its sound: they are the same keys.
            connected.tones = None;
            if let Some(press) = connected.keys.hear(header.marker, header.ssrc, header.timestamp, payload) {
                key(press);
            }
        } else if let Some(tones) = &mut connected.tones {
            let table = match connected.agreed.codec {
                Codec::Pcmu => &g711::MU,
                Codec::Pcma => &g711::A,
            };
            tones.hear(payload.iter().filter_map(|octet| table.get(usize::from(*octet)).copied()), key);
        }
    }
}

fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => g711::SILENCE_MU,
        Codec::Pcma => g711::SILENCE_A,
    }
}

/// Clips one after the other, sample by sample: a frame may end one and begin the next.
struct Playing {
    parts: Vec<Part>,
    part: usize,
    /// Samples of the part that were sent.
    at: usize,
}

enum Part {
    Sound(Arc<Sound>),
    /// Silence of so many samples.
    Pause(usize),
}

impl Part {
    fn of(clip: Clip, prompts: &Prompts, language: &str) -> Option<Self> {
        let find = |name: &str| prompts.find(language, name).cloned().map(Self::Sound);
        match clip {
            Clip::Word(name) => find(name),
            Clip::Digit(b'*') => find("star"),
            Clip::Digit(b'#') => find("hash"),
            Clip::Digit(digit) => find(&format!("digit-{}", char::from(digit))),
            Clip::Pause(millis) => Some(Self::Pause(usize::from(millis) * 8)),
        }
    }

    fn samples(&self) -> usize {
        match self {
            // Both codecs have an octet for each sample.
            Self::Sound(sound) => sound.octets(Codec::Pcmu).len(),
            Self::Pause(samples) => *samples,
        }
    }
}

impl Playing {
    /// Writes at most `samples` samples; says how many.
    fn write(&mut self, codec: Codec, samples: usize, packet: &mut Vec<u8>) -> usize {
        let mut left = samples;
        while let Some(part) = self.parts.get(self.part) {
            let count = left.min(part.samples() - self.at);
            match part {
                Part::Sound(sound) => {
                    let octets = sound.octets(codec).get(self.at..self.at + count);
                    packet.extend_from_slice(octets.unwrap_or_default());
                }
                Part::Pause(_) => packet.resize(packet.len() + count, silence(codec)),
            }
            left -= count;
            self.at += count;
            if self.at < part.samples() {
                break;
            }
            (self.part, self.at) = (self.part + 1, 0);
        }
        samples - left
    }

    fn is_over(&self) -> bool {
        self.part >= self.parts.len()
    }
}

#[cfg(test)]
mod tests;
