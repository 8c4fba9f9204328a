//! What the benchmarks do over and over.

use std::time::Duration;

/// One unit of work of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// REGISTER, 200: a binding is refreshed, the nonce in use for the next count.
    Refresh,
    /// REGISTER, 200: an ordinary phone in a trusted network refreshes its binding without credentials.
    RefreshTrusted,
    /// REGISTER without credentials, 401.
    Challenge,
    /// REGISTER, 200: an account without a binding gets one, the nonce in use.
    NewBinding,
    /// T8: native REGISTER from another desk, 200, NOTIFY to the displaced phone, its 200. The nonce in use.
    Swap,
    /// Log-in by dialled string: INVITE, 100, 200, ACK, BYE, 200, and to each of both phones a NOTIFY and its 200. The
    /// PIN is believed; its hash is not computed.
    DialledLogIn,
    /// A call between two seats: INVITE (100) INVITE 180 180 200 200 ACK ACK BYE BYE 200 200, digest on the INVITE.
    Call,
    /// INVITE of a stranger in the greatest overload: what decides is looked for in its head, and nothing is said.
    RefusedCall,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Refresh,
        Self::RefreshTrusted,
        Self::Challenge,
        Self::NewBinding,
        Self::Swap,
        Self::DialledLogIn,
        Self::Call,
        Self::RefusedCall,
    ];

    /// Its name on a command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::RefreshTrusted => "refresh-trusted",
            Self::Challenge => "challenge",
            Self::NewBinding => "new-binding",
            Self::Swap => "swap",
            Self::DialledLogIn => "dialled-log-in",
            Self::Call => "call",
            Self::RefusedCall => "refused-call",
        }
    }

    /// The operation of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Messages that enter the edge and messages that leave it.
    pub fn messages(self) -> (u32, u32) {
        match self {
            Self::Refresh | Self::RefreshTrusted | Self::Challenge | Self::NewBinding => (1, 1),
            Self::Swap => (2, 2),
            Self::DialledLogIn => (5, 5),
            Self::Call => (6, 7),
            Self::RefusedCall => (1, 0),
        }
    }

    /// How much time passes with each. Transactions live up to 32 s, so a worker holds at most 64,000 at a time.
    pub fn pace(self) -> Duration {
        match self {
            Self::Refresh | Self::RefreshTrusted | Self::Challenge | Self::NewBinding | Self::RefusedCall => {
                Duration::from_micros(50)
            }
            Self::Swap => Duration::from_micros(250),
            Self::DialledLogIn | Self::Call => Duration::from_millis(2),
        }
    }
}
