//! What a phone offers or answers, as far as it matters to us.

use std::net::IpAddr;

use super::crypto::Crypto;
use super::{Direction, MEDIA_MAX, lines};
use crate::media::Codec;

/// Lines of `a=crypto` that are looked at: two suites, each in a few variants.
const CRYPTO_MAX: usize = 16;

/// The stream of a description that can be taken.
#[derive(Debug)]
pub(in super::super) struct Offer {
    /// Which of the media lines it is.
    pub(super) index: usize,
    /// Where the phone takes sound; `None`: it names a host.
    pub(super) address: Option<IpAddr>,
    /// The port there; 0: it takes none.
    pub(super) port: u16,
    pub(super) codec: Codec,
    pub(super) events: Option<u8>,
    pub(super) direction: Direction,
    /// The stream is encrypted (RFC 4568).
    pub(super) crypto: Option<Crypto>,
}

impl Offer {
    /// True if the phone listens to us.
    pub(in super::super) fn listens(&self) -> bool {
        self.direction.listens() && !self.address.is_some_and(|address| address.is_unspecified())
    }

    /// How its sound is encrypted, and the phone's key.
    pub(in super::super) fn crypto(&self) -> Option<&Crypto> {
        self.crypto.as_ref()
    }

    /// The family of its address, if it names one.
    pub(in super::super) fn is_ipv4(&self) -> Option<bool> {
        self.address.map(|address| address.is_ipv4())
    }
}

/// Why a description cannot be taken: a warn-code of RFC 3261 §20.43.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Unusable {
    /// Another family of addresses than the listener's.
    Address,
    /// No RTP, or not as we speak it.
    Transport,
    /// No audio.
    Media,
    /// Audio without G.711.
    Format,
}

impl Unusable {
    /// The value of a Warning, but for the host that gives it.
    pub(in super::super) fn warning(self) -> (u16, &'static str) {
        match self {
            Self::Address => (301, "Incompatible network address formats"),
            Self::Transport => (302, "Incompatible transport protocol"),
            Self::Media => (304, "Media type not available"),
            Self::Format => (305, "Incompatible media format"),
        }
    }
}

/// A media line and what belongs to it.
#[derive(Debug)]
struct Stream {
    index: usize,
    port: u16,
    encrypted: Option<bool>,
    codec: Option<Codec>,
    /// Dynamic payload types it lists, a bit each from 96 on.
    dynamic: u32,
    address: Option<Option<IpAddr>>,
    events: Option<u8>,
    direction: Option<Direction>,
    crypto: Option<Crypto>,
    cryptos: usize,
}

/// Reads a description and finds the stream to take: G.711 in the order of its own preference, unencrypted where the
/// phone leaves the choice (RFC 3264 §6.1).
///
/// # Errors
/// No stream can be taken: what the first audio stream, if there is one, has against it.
pub(in super::super) fn read(sdp: &[u8]) -> Result<Offer, Unusable> {
    let (mut address, mut direction) = (None, Direction::Both);
    let mut streams = 0;
    let mut current: Option<Stream> = None;
    let mut best: Option<Offer> = None;
    let mut fault = Unusable::Media;
    for line in lines(sdp) {
        let Some((kind, value)) = line.split_once('=') else { continue };
        match (kind, &mut current) {
            ("m", _) => {
                let before = current.take();
                close(before, address, direction, &mut best, &mut fault);
                if streams == MEDIA_MAX {
                    break;
                }
                current = Stream::of(streams, value);
                streams += 1;
            }
            ("c", Some(stream)) => stream.address = Some(connection(value)),
            // An audio stream that is none of ours is passed over with all that belongs to it.
            ("c", None) if streams == 0 => address = connection(value),
            ("a", Some(stream)) => stream.attribute(value),
            ("a", None) if streams == 0 => direction = direction_of(value).unwrap_or(direction),
            _ => {}
        }
    }
    close(current, address, direction, &mut best, &mut fault);
    best.ok_or(fault)
}

/// A stream is read to its end: it is taken where it is the first that can be, or the first without encryption.
fn close(
    stream: Option<Stream>,
    address: Option<IpAddr>,
    direction: Direction,
    best: &mut Option<Offer>,
    fault: &mut Unusable,
) {
    let Some(stream) = stream else { return };
    let offer = match stream.into_offer(address, direction) {
        Ok(offer) => offer,
        Err(reason) => {
            if *fault == Unusable::Media {
                *fault = reason;
            }
            return;
        }
    };
    if best.as_ref().is_none_or(|best| best.crypto.is_some() && offer.crypto.is_none()) {
        *best = Some(offer);
    }
}

impl Stream {
    /// An audio stream that is offered, and not refused with port 0.
    fn of(index: usize, value: &str) -> Option<Self> {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        if words.next()? != "audio" {
            return None;
        }
        // `4000/2`: the second port is for a layer we do not speak.
        let port = words.next()?.split('/').next()?.parse().ok().filter(|port| *port != 0)?;
        let encrypted = match words.next()? {
            "RTP/AVP" => Some(false),
            "RTP/SAVP" => Some(true),
            _ => None,
        };
        let mut codec = None;
        let mut dynamic = 0;
        for format in words.take(128).filter_map(|word| word.parse::<u8>().ok()) {
            match format {
                0 => codec = codec.or(Some(Codec::Pcmu)),
                8 => codec = codec.or(Some(Codec::Pcma)),
                96..=127 => dynamic |= 1 << (format - 96),
                _ => {}
            }
        }
        Some(Self {
            index,
            port,
            encrypted,
            codec,
            dynamic,
            address: None,
            events: None,
            direction: None,
            crypto: None,
            cryptos: 0,
        })
    }

    fn attribute(&mut self, value: &str) {
        if let Some(direction) = direction_of(value) {
            self.direction = Some(direction);
        } else if let Some(map) = value.strip_prefix("rtpmap:") {
            let Some((format, encoding)) = map.split_once(' ') else { return };
            let is_events = encoding.trim().eq_ignore_ascii_case("telephone-event/8000");
            let format = format.parse::<u8>().ok().filter(|format| (96..=127).contains(format));
            if let Some(format) = format.filter(|format| is_events && self.dynamic & 1 << (format - 96) != 0)
            {
                self.events = self.events.or(Some(format));
            }
        } else if let Some(crypto) = value.strip_prefix("crypto:")
            && self.cryptos < CRYPTO_MAX
        {
            self.cryptos += 1;
            if self.crypto.is_none() {
                self.crypto = Crypto::read(crypto);
            }
        }
    }

    fn into_offer(self, address: Option<IpAddr>, direction: Direction) -> Result<Offer, Unusable> {
        let encrypted = self.encrypted.ok_or(Unusable::Transport)?;
        // RFC 4568 §5.1.1: keys count only under the secure profile.
        let crypto = self.crypto.filter(|_| encrypted);
        if encrypted && crypto.is_none() {
            return Err(Unusable::Transport);
        }
        Ok(Offer {
            index: self.index,
            address: self.address.unwrap_or(address),
            port: self.port,
            codec: self.codec.ok_or(Unusable::Format)?,
            events: self.events,
            direction: self.direction.unwrap_or(direction),
            crypto,
        })
    }
}

fn direction_of(attribute: &str) -> Option<Direction> {
    Some(match attribute {
        "sendrecv" => Direction::Both,
        "sendonly" => Direction::SendOnly,
        "recvonly" => Direction::ReceiveOnly,
        "inactive" => Direction::Neither,
        _ => return None,
    })
}

/// The address of a `c=` line; `None`: a host, or an address we cannot send to.
fn connection(value: &str) -> Option<IpAddr> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let (_network, _family) = (words.next()?, words.next()?);
    let address: IpAddr = words.next()?.split('/').next()?.parse().ok()?;
    (!address.is_multicast()).then_some(address)
}
