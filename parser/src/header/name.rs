//! Header field names: which header a line is, told by length and a word compare.

use core::fmt;

/// Declares the names once: the enum, the spellings, and the sentences of errors about them.
macro_rules! names {
    ($($variant:ident $spelling:literal $source:literal)*) => {
        /// A header field name, whatever its case and whether written long or compact (RFC 3261 §7.3.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Name {
            /// A name that is not in this list. It comes first so that a line not yet read is all zeros.
            Other,
            $(#[doc = concat!("`", $spelling, "`, ", $source, ".")] $variant,)*
        }

        /// All names but [`Name::Other`], in the order of the enum.
        const ALL: &[Name] = &[$(Name::$variant),*];

        /// How many names there are, [`Name::Other`] included.
        pub(crate) const COUNT: usize = ALL.len() + 1;

        impl Name {
            /// The name as RFCs spell it; empty for [`Name::Other`].
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $spelling,)*
                    Self::Other => "",
                }
            }

            /// Reason phrases for: the header is missing, is there again, is malformed.
            pub(crate) const fn reasons(self) -> (&'static str, &'static str, &'static str) {
                match self {
                    $(Self::$variant => (
                        concat!("Missing ", $spelling),
                        concat!("Repeated ", $spelling),
                        concat!("Malformed ", $spelling),
                    ),)*
                    Self::Other => ("Missing Header Field", "Repeated Header Field", "Malformed Header Field"),
                }
            }
        }
    };
}

names! {
    Via "Via" "RFC 3261"
    From "From" "RFC 3261"
    To "To" "RFC 3261"
    CallId "Call-ID" "RFC 3261"
    CSeq "CSeq" "RFC 3261"
    Contact "Contact" "RFC 3261"
    MaxForwards "Max-Forwards" "RFC 3261"
    Route "Route" "RFC 3261"
    RecordRoute "Record-Route" "RFC 3261"
    ContentLength "Content-Length" "RFC 3261"
    ContentType "Content-Type" "RFC 3261"
    Expires "Expires" "RFC 3261"
    MinExpires "Min-Expires" "RFC 3261"
    Authorization "Authorization" "RFC 3261"
    ProxyAuthorization "Proxy-Authorization" "RFC 3261"
    WwwAuthenticate "WWW-Authenticate" "RFC 3261"
    ProxyAuthenticate "Proxy-Authenticate" "RFC 3261"
    AuthenticationInfo "Authentication-Info" "RFC 3261"
    Supported "Supported" "RFC 3261"
    Require "Require" "RFC 3261"
    ProxyRequire "Proxy-Require" "RFC 3261"
    Unsupported "Unsupported" "RFC 3261"
    Allow "Allow" "RFC 3261"
    AllowEvents "Allow-Events" "RFC 6665"
    Event "Event" "RFC 6665"
    SubscriptionState "Subscription-State" "RFC 6665"
    UserAgent "User-Agent" "RFC 3261"
    Server "Server" "RFC 3261"
    Accept "Accept" "RFC 3261"
    AcceptEncoding "Accept-Encoding" "RFC 3261"
    AcceptLanguage "Accept-Language" "RFC 3261"
    AcceptContact "Accept-Contact" "RFC 3841"
    RejectContact "Reject-Contact" "RFC 3841"
    RequestDisposition "Request-Disposition" "RFC 3841"
    AlertInfo "Alert-Info" "RFC 3261"
    CallInfo "Call-Info" "RFC 3261"
    ContentDisposition "Content-Disposition" "RFC 3261"
    ContentEncoding "Content-Encoding" "RFC 3261"
    ContentLanguage "Content-Language" "RFC 3261"
    Date "Date" "RFC 3261"
    ErrorInfo "Error-Info" "RFC 3261"
    InReplyTo "In-Reply-To" "RFC 3261"
    MimeVersion "MIME-Version" "RFC 3261"
    Organization "Organization" "RFC 3261"
    Priority "Priority" "RFC 3261"
    ReplyTo "Reply-To" "RFC 3261"
    RetryAfter "Retry-After" "RFC 3261"
    Subject "Subject" "RFC 3261"
    Timestamp "Timestamp" "RFC 3261"
    Warning "Warning" "RFC 3261"
    Path "Path" "RFC 3327"
    ServiceRoute "Service-Route" "RFC 3608"
    PAssertedIdentity "P-Asserted-Identity" "RFC 3325"
    PPreferredIdentity "P-Preferred-Identity" "RFC 3325"
    PAssociatedUri "P-Associated-URI" "RFC 7315"
    PCalledPartyId "P-Called-Party-ID" "RFC 7315"
    PAccessNetworkInfo "P-Access-Network-Info" "RFC 7315"
    RemotePartyId "Remote-Party-ID" "the draft that phones still speak"
    Privacy "Privacy" "RFC 3323"
    Diversion "Diversion" "RFC 5806"
    HistoryInfo "History-Info" "RFC 7044"
    ReferTo "Refer-To" "RFC 3515"
    ReferredBy "Referred-By" "RFC 3892"
    ReferSub "Refer-Sub" "RFC 4488"
    Replaces "Replaces" "RFC 3891"
    Join "Join" "RFC 3911"
    SessionExpires "Session-Expires" "RFC 4028"
    MinSe "Min-SE" "RFC 4028"
    RAck "RAck" "RFC 3262"
    RSeq "RSeq" "RFC 3262"
    SipEtag "SIP-ETag" "RFC 3903"
    SipIfMatch "SIP-If-Match" "RFC 3903"
    Identity "Identity" "RFC 8224"
    IdentityInfo "Identity-Info" "RFC 4474"
    Geolocation "Geolocation" "RFC 6442"
    GeolocationRouting "Geolocation-Routing" "RFC 6442"
    GeolocationError "Geolocation-Error" "RFC 6442"
    FlowTimer "Flow-Timer" "RFC 5626"
    Reason "Reason" "RFC 3326"
    TargetDialog "Target-Dialog" "RFC 4538"
    MaxBreadth "Max-Breadth" "RFC 5393"
    SecurityClient "Security-Client" "RFC 3329"
    SecurityServer "Security-Server" "RFC 3329"
    SecurityVerify "Security-Verify" "RFC 3329"
    UserToUser "User-to-User" "RFC 7433"
    SessionId "Session-ID" "RFC 7989"
}

impl Name {
    /// The name these octets spell, in any case, long or compact.
    #[must_use]
    pub fn from_bytes(name: &[u8]) -> Self {
        match name {
            [letter] => compact(*letter),
            [] => Self::Other,
            _ if name.len() > LENGTH_MAX => Self::Other,
            _ => {
                let words = words_of(name);
                let candidate = SLOTS[slot(words)];
                if KNOWN[candidate as usize] == [words[0], words[1]] && LAST[candidate as usize] == words[2] {
                    candidate
                } else {
                    Self::Other
                }
            }
        }
    }

    /// The name that `window` begins with, `length` octets of it.
    #[inline(always)]
    pub(crate) fn in_window(window: &[u8; WINDOW], length: usize) -> Self {
        if length == 1 {
            return compact(window[0]);
        }
        let [first, second] = words_in(window, length);
        let candidate = SLOTS[slot([first, second, 0])];
        // A name with a third word fills the first two; none that has its colon in the window does.
        if KNOWN[candidate as usize] == [first, second] { candidate } else { Self::Other }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The compact forms of RFC 3261 §20, 3515, 3841, 3892, 4028, 6665 and 8224.
const fn compact(letter: u8) -> Name {
    match letter | 0x20 {
        b'a' => Name::AcceptContact,
        b'b' => Name::ReferredBy,
        b'c' => Name::ContentType,
        b'd' => Name::RequestDisposition,
        b'e' => Name::ContentEncoding,
        b'f' => Name::From,
        b'i' => Name::CallId,
        b'j' => Name::RejectContact,
        b'k' => Name::Supported,
        b'l' => Name::ContentLength,
        b'm' => Name::Contact,
        b'n' => Name::IdentityInfo,
        b'o' => Name::Event,
        b'r' => Name::ReferTo,
        b's' => Name::Subject,
        b't' => Name::To,
        b'u' => Name::AllowEvents,
        b'v' => Name::Via,
        b'x' => Name::SessionExpires,
        b'y' => Name::Identity,
        _ => Name::Other,
    }
}

/// `P-Access-Network-Info` is the longest name of the list.
const LENGTH_MAX: usize = 21;

/// Octets among which all names but the longest are, together with the colon behind them.
pub(crate) const WINDOW: usize = 16;

/// Sets bit 5 of every octet: makes letters small, and maps no other octet of a line onto a letter or a hyphen. CR,
/// which would become a hyphen, ends a line.
const LOWER: u64 = 0x2020_2020_2020_2020;

/// A name of at most [`LENGTH_MAX`] octets in small letters, in words of eight octets, first octet lowest; zeros behind
/// it. No octet of a name is zero once it is small, so names of different lengths differ.
pub(super) const fn words_of(name: &[u8]) -> [u64; 3] {
    let mut words = [0; 3];
    let mut at = 0;
    while at < name.len() {
        words[at / 8] |= ((name[at] | 0x20) as u64) << (at % 8 * 8);
        at += 1;
    }
    words
}

/// The first two words of the name that `window` begins with, `length` octets of it, less than [`WINDOW`]; of a longer
/// one none.
#[inline(always)]
pub(super) fn words_in(window: &[u8; WINDOW], length: usize) -> [u64; 2] {
    let (words, _) = window.as_chunks::<8>();
    let masks = MASKS[length % WINDOW];
    let word = |at: usize| (u64::from_le_bytes(words[at]) | LOWER) & masks[at];
    [word(0), word(1)]
}

/// For each length the bits of the first two words that belong to the name.
static MASKS: [[u64; 2]; WINDOW] = {
    let mut masks = [[0; 2]; WINDOW];
    let mut length = 0;
    while length < WINDOW {
        let mask = (1_u128 << (length * 8)) - 1;
        masks[length] = [mask as u64, (mask >> 64) as u64];
        length += 1;
    }
    masks
};

/// The first two words of each name by its number; of [`Name::Other`] such as no name has.
static KNOWN: [[u64; 2]; COUNT] = {
    let mut known = [[0; 2]; COUNT];
    let mut i = 0;
    while i < ALL.len() {
        let name = ALL[i].as_str().as_bytes();
        assert!(name.len() <= LENGTH_MAX, "LENGTH_MAX is the longest name");
        let [first, second, _] = words_of(name);
        known[ALL[i] as usize] = [first, second];
        i += 1;
    }
    known
};

/// The third word of each name.
static LAST: [u64; COUNT] = {
    let mut last = [0; COUNT];
    let mut i = 0;
    while i < ALL.len() {
        last[ALL[i] as usize] = words_of(ALL[i].as_str().as_bytes())[2];
        i += 1;
    }
    last
};

const SLOTS_LOG2: u32 = 9;

/// A perfect hash of the names above; the factor was found by trial.
#[inline(always)]
const fn slot([first, second, third]: [u64; 3]) -> usize {
    const FACTOR: u64 = 0x021f_40df_ef82_d1a3;
    let mixed = (first ^ second.rotate_left(32) ^ third).wrapping_mul(FACTOR);
    (mixed >> (64 - SLOTS_LOG2)) as usize
}

/// Each name has a slot of its own; the compiler checks that no two share one.
static SLOTS: [Name; 1 << SLOTS_LOG2] = {
    let mut slots = [Name::Other; 1 << SLOTS_LOG2];
    let mut i = 0;
    while i < ALL.len() {
        let slot = slot(words_of(ALL[i].as_str().as_bytes()));
        assert!(matches!(slots[slot], Name::Other), "two names share a slot: choose another factor");
        slots[slot] = ALL[i];
        i += 1;
    }
    slots
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_in_any_case() {
        for &name in ALL {
            assert_eq!(Name::from_bytes(name.as_str().as_bytes()), name);
            assert_eq!(Name::from_bytes(name.as_str().to_lowercase().as_bytes()), name);
            assert_eq!(Name::from_bytes(name.as_str().to_uppercase().as_bytes()), name);
        }
    }

    #[test]
    fn compact_forms_are_known_in_any_case() {
        assert_eq!(Name::from_bytes(b"v"), Name::Via);
        assert_eq!(Name::from_bytes(b"L"), Name::ContentLength);
        assert_eq!(Name::from_bytes(b"o"), Name::Event);
        assert_eq!(Name::from_bytes(b"z"), Name::Other);
    }

    #[test]
    fn a_name_that_differs_in_one_octet_is_another() {
        for &name in ALL {
            let spelling = name.as_str().as_bytes();
            for at in 0..spelling.len() {
                for octet in (0..=255).filter(|octet| !matches!(octet, b'\r' | b'\n' | b':')) {
                    let mut other = spelling.to_vec();
                    other[at] = octet;
                    let same = other.eq_ignore_ascii_case(spelling);

                    assert_eq!(Name::from_bytes(&other) == name, same, "{}", other.escape_ascii());
                }
            }
        }
        assert_eq!(Name::from_bytes(b"P-Access-Network-Infos"), Name::Other);
        assert_eq!(Name::from_bytes(b"Content-Content-Encoding"), Name::Other);
        assert_eq!(Name::from_bytes(b""), Name::Other);
    }
}
