//! A small real phone on a real socket: it registers, answers challenges, calls, is called, and says what it heard.
//!
//! Whoever holds a [`Phone`] is its user, and its only thread: the phone reads its socket while its user waits for
//! something, never longer than its [`patience`](Phone::set_patience). Meanwhile it is polite: it answers NOTIFY,
//! OPTIONS, CANCEL and the BYE of a known call, repeats its own requests over datagrams (RFC 3261 §17.1), and takes
//! repetitions of the edge for what they are. What nobody waits for is kept until somebody does.
//!
//! Nothing here is the edge's own code: messages are read as text and digests computed anew, so that one side checks
//! the other.

mod call;
mod calling;
mod digest;
mod draft;
mod listening;
mod message;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use call::Call;
pub use calling::{connect, exchange, hang_up};
pub use digest::{Algorithm, Challenge};
pub use draft::Draft;
pub use message::{Message, display_name, parameter, uri};
pub use wire::{Transport, Wire};

use listening::{Acknowledged, Served};

/// How long a phone waits unless it is told otherwise: some datagrams may be lost on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Times a request is sent again with other credentials: once for a challenge, once for a nonce that went stale,
/// once more for both over a restart.
const ATTEMPTS_MAX: u8 = 3;

/// An account: what a phone's menu asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The SIP user.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Its domain.
    pub domain: String,
}

impl Account {
    /// An account of `domain`.
    pub fn new(user: &str, password: &str, domain: &str) -> Self {
        Self { user: user.into(), password: password.into(), domain: domain.into() }
    }
}

/// Why a phone's user did not get what was waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    /// It did not come in time.
    #[error("{user} waited for {what} in vain; heard meanwhile: {heard:?}")]
    Silence {
        /// Who waited.
        user: String,
        /// For what.
        what: String,
        /// Start lines of all that came and that nobody asked for.
        heard: Vec<String>,
    },
    /// The socket failed, or the edge closed the connection.
    #[error("{user} cannot wait for {what}")]
    Wire {
        /// Who.
        user: String,
        /// For what.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a phone's user gets.
pub type Result<T> = std::result::Result<T, PhoneError>;

/// Which way a message went, as the phone sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the edge.
    Sent,
    /// From the edge.
    Heard,
}

/// Is shown every message of a phone as it goes by.
pub type Observer = Box<dyn FnMut(Direction, &Message) + Send>;

/// A registration of one account at one phone: its REGISTERs share Call-ID and CSeq space (§10.2).
#[derive(Debug)]
struct Registration {
    call_id: String,
    tag: String,
    cseq: u32,
    challenge: Option<Challenge>,
}

/// A phone.
pub struct Phone {
    account: Account,
    transport: Transport,
    wire: Wire,
    address: SocketAddr,
    patience: Duration,
    registrations: HashMap<String, Registration>,
    /// What came and nobody has asked for yet.
    inbox: VecDeque<Message>,
    /// Requests that came, and what they were answered.
    served: VecDeque<Served>,
    /// Final answers to INVITEs and their ACKs.
    acknowledged: VecDeque<Acknowledged>,
    /// Call-ID and own tag of dialogs, for BYE.
    dialogs: VecDeque<(String, String)>,
    observer: Option<Observer>,
}

impl Phone {
    /// A phone with `account` whose outbound proxy is `edge`.
    ///
    /// # Errors
    /// See [`Wire::open`].
    pub fn open(transport: Transport, edge: SocketAddr, account: Account) -> io::Result<Self> {
        Self::over(Wire::open(transport, edge)?, account)
    }

    /// A phone with `account` that has found its outbound proxy already.
    ///
    /// # Errors
    /// The operating system does not say where the phone is.
    pub fn over(wire: Wire, account: Account) -> io::Result<Self> {
        Ok(Self {
            account,
            transport: wire.transport(),
            address: wire.address()?,
            wire,
            patience: PATIENCE,
            registrations: HashMap::new(),
            inbox: VecDeque::new(),
            served: VecDeque::new(),
            acknowledged: VecDeque::new(),
            dialogs: VecDeque::new(),
            observer: None,
        })
    }

    /// The phone's own account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Where the phone is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its socket, for what no phone would send.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// How long its user waits for anything.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Has every message shown to `observer` from now on.
    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// The contact URI it registers for `user`.
    pub fn contact(&self, user: &str) -> String {
        let transport = match self.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        format!("sip:{user}@{}{transport}", self.address)
    }

    /// Start lines of what came and nobody has asked for yet.
    pub fn unasked(&self) -> Vec<String> {
        self.inbox.iter().map(|message| message.start_line().to_owned()).collect()
    }

    // ---- registering -----------------------------------------------------------------------------------

    /// Registers its own account for `expires` seconds; 0 un-registers. The answer is the last one: challenges have
    /// been met.
    ///
    /// # Errors
    /// No answer.
    pub fn register(&mut self, expires: u32) -> Result<Message> {
        let account = self.account.clone();
        self.register_as(&account, expires)
    }

    /// Registers another account from this phone: a native log-in where the account is an extension's.
    ///
    /// # Errors
    /// No answer.
    pub fn register_as(&mut self, account: &Account, expires: u32) -> Result<Message> {
        let draft = self.draft_register(account, expires);
        self.ask(account, draft)
    }

    /// The next REGISTER of `account`, to be changed before it is sent by [`Self::ask`].
    pub fn draft_register(&mut self, account: &Account, expires: u32) -> Draft {
        let contact = self.contact(&account.user);
        let registration = self.registrations.entry(account.user.clone()).or_insert_with(|| Registration {
            call_id: token(),
            tag: token(),
            cseq: 0,
            challenge: None,
        });
        registration.cseq += 1;
        let own = format!("<sip:{}@{}>", account.user, account.domain);
        Draft::new("REGISTER", &format!("sip:{}", account.domain))
            .with("Max-Forwards", "70")
            .with("From", &format!("{own};tag={}", registration.tag))
            .with("To", &own)
            .with("Call-ID", &registration.call_id)
            .with("CSeq", &format!("{} REGISTER", registration.cseq))
            .with("Contact", &format!("<{contact}>"))
            .with("Expires", &expires.to_string())
    }

    /// Forgets the nonces it was given, as a phone does that was without power.
    pub fn forget_challenges(&mut self) {
        self.registrations.values_mut().for_each(|registration| registration.challenge = None);
    }

    // ---- asking ----------------------------------------------------------------------------------------

    /// A request outside any dialog, to a number or URI.
    pub fn draft(&self, method: &str, target: &str) -> Draft {
        let Account { user, domain, .. } = &self.account;
        let uri = if target.contains(':') { target.to_owned() } else { format!("sip:{target}@{domain}") };
        Draft::new(method, &uri)
            .with("Max-Forwards", "70")
            .with("From", &format!("<sip:{user}@{domain}>;tag={}", token()))
            .with("To", &format!("<{uri}>"))
            .with("Call-ID", &token())
            .with("CSeq", &format!("1 {method}"))
            .with("Contact", &format!("<{}>", self.contact(user)))
    }

    /// Sends a request other than INVITE and waits for its final answer. A challenge is answered as `account`.
    ///
    /// # Errors
    /// No answer.
    pub fn ask(&mut self, account: &Account, mut draft: Draft) -> Result<Message> {
        let (known, mut challenge) = match self.registrations.get(&account.user) {
            Some(registration) if draft.method == "REGISTER" => (true, registration.challenge.clone()),
            _ => (false, None),
        };
        let mut attempts = 0;
        let answer = loop {
            attempts += 1;
            let sent = self.send(&draft, account, challenge.as_mut())?;
            let answer = self.final_answer(&sent)?;
            match Challenge::read(&answer) {
                Some(asked) if matches!(answer.status(), Some(401 | 407)) && attempts < ATTEMPTS_MAX => {
                    // The same nonce again means that the password is wrong.
                    if challenge.replace(asked.clone()).is_some_and(|last| last.nonce == asked.nonce) {
                        break answer;
                    }
                    draft.raise_cseq();
                }
                _ => break answer,
            }
        };
        if known && let Some(registration) = self.registrations.get_mut(&account.user) {
            (registration.cseq, registration.challenge) = (draft.cseq(), challenge);
        }
        Ok(answer)
    }

    /// Sends a request of its own account; see [`Self::ask`].
    ///
    /// # Errors
    /// No answer.
    pub fn ask_as_itself(&mut self, draft: Draft) -> Result<Message> {
        let account = self.account.clone();
        self.ask(&account, draft)
    }

    /// Sends a request and waits for nothing. What was sent is returned.
    ///
    /// # Errors
    /// The socket fails.
    pub fn send(
        &mut self,
        draft: &Draft,
        account: &Account,
        challenge: Option<&mut Challenge>,
    ) -> Result<Message> {
        let via = self.via(&format!("z9hG4bK{}", token()));
        let Some(challenge) = challenge else { return self.transmit(draft.write(&[("Via", &via)])) };
        let Account { user, password, .. } = account;
        let credentials = challenge.answer(user, password, &draft.method, &draft.uri, &token());
        self.transmit(draft.write(&[("Via", &via), (challenge.header(), &credentials)]))
    }

    /// A Via of this phone.
    pub fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/{} {};rport;branch={branch}", self.transport.name(), self.address)
    }

    /// Waits for the final answer to `request`, and repeats it meanwhile.
    ///
    /// # Errors
    /// It did not come.
    pub fn final_answer(&mut self, request: &Message) -> Result<Message> {
        let what = format!("the answer to {}", request.start_line());
        self.wait(&what, Some(request), |message| message.answers(request) && message.status() >= Some(200))
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phone")
            .field("user", &self.account.user)
            .field("address", &self.address)
            .field("unasked", &self.unasked())
            .finish_non_exhaustive()
    }
}

/// A fresh tag, Call-ID, cnonce or end of a branch.
fn token() -> String {
    format!("{:016x}", crate::random::number())
}

/// An offer or answer of one audio stream; nobody ever sends any.
fn sdp(address: SocketAddr) -> String {
    let (family, ip) = (if address.is_ipv4() { "IP4" } else { "IP6" }, address.ip());
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8 0\r\n"
    )
}
