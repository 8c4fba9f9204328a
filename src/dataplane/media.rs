//! What the dataplane and whoever plays and hears sound tell each other: one session for each call to the attendant.
//!
//! ```text
//!  Open ─────────► socket bound ───────► Opened { port } | Failed      the port goes into the SDP
//!  Connect ──────► what the SDPs agreed on; again after a re-INVITE
//!  Play ─────────► clips one after the other; a later Play takes their place
//!                  all played ──────────► Played
//!                  a key of the phone ──► Key                          any number of times
//!                  nothing for a while ─► Silent                       the phone sends no RTP
//!  Close ────────► socket closed; nothing more is heard of this session
//! ```
//!
//! Sound is best effort: a session that fails is told as [`Heard::Failed`] and the call ends, no call waits for sound.

use std::net::{IpAddr, SocketAddr};

use crate::flow::WorkerId;
use crate::settings::Listener;

/// Names a session: whose worker, and which of its calls. Never used twice within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    /// The worker to be told.
    pub worker: WorkerId,
    /// The call, as that worker names it.
    pub call: u64,
}

/// What a session is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Bind a socket on this address. Answered by [`Heard::Opened`] or [`Heard::Failed`].
    Open(IpAddr),
    /// The offer and answer agree; sound may go both ways from now on.
    Connect(Connection),
    /// Play these clips in this order, now, instead of whatever plays. Answered by [`Heard::Played`] unless a later
    /// [`Self::Play`] or [`Self::Stop`] comes first.
    Play {
        /// The folder of prompts, such as `en`.
        language: Box<str>,
        /// At most [`CLIPS_MAX`].
        clips: Vec<Clip>,
    },
    /// Be silent.
    Stop,
    /// The call is over. What was ordered to play is cut off.
    Close,
}

/// Longest announcement: a number of 32 digits and what stands around it.
pub const CLIPS_MAX: usize = 48;

/// What offer and answer agreed on (RFC 3264).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where the phone wants to hear it. Sound goes to where the phone's comes from once it has sent some (RFC 4961).
    pub remote: SocketAddr,
    /// The codec of both directions.
    pub codec: Codec,
    /// Payload type of RFC 4733 telephone events, if agreed on.
    pub events: Option<u8>,
    /// False while the phone has put us on hold: nothing is sent, keys are still heard.
    pub sends: bool,
    /// Listen for tones in the sound itself.
    pub in_band: bool,
    /// Keys of SDES (RFC 4568): of what we send, of what we receive.
    pub srtp: Option<(SrtpKey, SrtpKey)>,
}

/// G.711, what every desk phone speaks (RFC 3551 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// µ-law, payload type 0.
    Pcmu,
    /// A-law, payload type 8.
    Pcma,
}

impl Codec {
    /// Its static payload type (RFC 3551 Table 4).
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }
}

/// Master key and salt of one direction of `AES_CM_128_HMAC_SHA1_80` or `_32` (RFC 4568 §6.2). Wiped when dropped,
/// never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKey {
    octets: zeroize::Zeroizing<[u8; 30]>,
    short_tag: bool,
}

impl SrtpKey {
    /// 16 octets of key, 14 of salt; `short_tag` for `AES_CM_128_HMAC_SHA1_32`.
    pub fn new(octets: [u8; 30], short_tag: bool) -> Self {
        Self { octets: zeroize::Zeroizing::new(octets), short_tag }
    }

    /// The master key and the master salt.
    pub fn reveal(&self) -> (&[u8], &[u8]) {
        self.octets.split_at(16)
    }

    /// True if RTP packets carry four octets of tag instead of ten.
    pub fn short_tag(&self) -> bool {
        self.short_tag
    }
}

impl std::fmt::Debug for SrtpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SrtpKey(…)")
    }
}

/// Where the attendant's sound comes from; without either, from the address of the listener that the call came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaAddress {
    /// What is bound, where the listener is of the same family.
    pub bind: Option<IpAddr>,
    /// What phones are told in SDP; IPv6 in brackets.
    pub advertise: Option<Box<str>>,
}

impl MediaAddress {
    /// The address to bind for a call that came to `listener`, and the host to write into its SDP: an address, IPv6
    /// without brackets, or a name if the operator advertises one.
    pub fn of(&self, listener: &Listener) -> (IpAddr, Box<str>) {
        let local = listener.local.ip();
        let bound = self.bind.filter(|address| address.is_ipv4() == local.is_ipv4());
        let told = match (&self.advertise, bound) {
            (Some(host), _) => host.clone(),
            (None, Some(address)) => address.to_string().into(),
            (None, None) => listener.advertise_host.clone(),
        };
        let bare = told.strip_prefix('[').and_then(|told| told.strip_suffix(']'));
        (bound.unwrap_or(local), bare.map_or(told.clone(), Box::from))
    }
}

/// One recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clip {
    /// A sentence or word: the file `<name>.wav` of the language's folder.
    Word(&'static str),
    /// A digit, `*` or `#` said aloud: `digit-0.wav` …, `star.wav`, `hash.wav`.
    Digit(u8),
    /// Nothing for so many milliseconds.
    Pause(u16),
}

/// What a session has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The socket is bound to this port.
    Opened {
        /// An even port (RFC 3550 §11).
        port: u16,
    },
    /// There is no socket, or none any more.
    Failed,
    /// The phone's person pressed a key: `0`–`9`, `*`, `#`, `A`–`D`.
    Key(u8),
    /// All clips of the last [`Order::Play`] were played.
    Played,
    /// The phone has sent nothing for so long that it is most likely gone.
    Silent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Protocol;

    #[test]
    fn sound_comes_from_the_listeners_address_unless_the_operator_says_otherwise() {
        let listener = |local: &str, advertise: &str| Listener {
            protocol: Protocol::Udp,
            local: local.parse().unwrap(),
            advertise_host: advertise.into(),
            advertise_port: 5060,
            tenant: None,
            networks: crate::settings::Networks::default(),
        };
        let (four, six) = (listener("10.0.0.1:5060", "203.0.113.7"), listener("[::1]:5060", "[2001:db8::7]"));
        let place = |bind: Option<&str>, advertise: Option<&str>, listener: &Listener| {
            let address = MediaAddress {
                bind: bind.map(|bind| bind.parse().unwrap()),
                advertise: advertise.map(Box::from),
            };
            let (bound, told) = address.of(listener);
            format!("{bound} {told}")
        };

        assert_eq!(place(None, None, &four), "10.0.0.1 203.0.113.7");
        assert_eq!(place(None, None, &six), "::1 2001:db8::7");
        assert_eq!(place(Some("10.0.0.2"), None, &four), "10.0.0.2 10.0.0.2");
        assert_eq!(place(Some("10.0.0.2"), None, &six), "::1 2001:db8::7", "another family");
        assert_eq!(place(Some("10.0.0.2"), Some("198.51.100.9"), &four), "10.0.0.2 198.51.100.9");
        assert_eq!(place(None, Some("[2001:db8::8]"), &six), "::1 2001:db8::8");
    }

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", SrtpKey::new([7; 30], true)), "SrtpKey(…)");
    }
}
