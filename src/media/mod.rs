//! What the callers of the attendant hear and press: RTP (RFC 3550, RFC 3551), telephone events (RFC 4733), SRTP
//! (RFC 3711), and prompts.
//!
//! ```text
//!  worker ── Order ──► door ──► thread ─┬─ wheel: whose frame is due        1 thread, 20 ms, low priority
//!  worker ◄─ Heard ─── tell ◄──         ├─ session: what is sent and heard  no socket, no clock
//!                                       └─ socket of each session ◄──► phone
//! ```
//!
//! One thread serves all sessions. While there is one it has a turn each millisecond: it takes orders, reads the sockets
//! that have something, and sends the frames that are due. So a key is told within a millisecond, and a thousand calls
//! cost a thousand turns a second, not a hundred thousand. It gives way to workers: sound is best effort, signalling
//! is not.

mod counters;
pub mod g711;
mod keys;
mod pace;
mod ports;
mod prompts;
mod rtp;
mod session;
mod shipped;
mod srtp;
mod thread;
mod tones;

use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crossbeam_queue::SegQueue;
use dataplane::flow::WorkerId;
use dataplane::media::{Heard, Order, SessionId};
use tracing::error;

use crate::transport::Dscp;
pub use counters::Counters;
pub use ports::even;
pub use prompts::{FALLBACK, Fault, FromFolder, PromptError, Prompts, Sound, names};
use thread::Thread;

/// Orders that wait, for each session there may be: one opens it, one connects it, one plays, and one is to spare.
const ORDERS_PER_SESSION: usize = 4;

/// How sound is served; fixed at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// UDP ports of sound; the even ones are used.
    pub ports: RangeInclusive<u16>,
    /// Sessions at the same time.
    pub sessions_max: usize,
    /// What its packets carry for the routers on the way.
    pub dscp: Dscp,
}

/// Serves sound on a thread of its own.
pub struct Media {
    door: Arc<Door>,
    sleeper: std::thread::Thread,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread and everybody else share.
struct Door {
    /// In the order of those who ordered.
    orders: SegQueue<Ordered>,
    /// How many of `orders` are [`Ordered::Do`].
    waiting: AtomicUsize,
    waiting_max: usize,
    prompts: Mutex<Arc<Prompts>>,
    figures: Mutex<Figures>,
    stopping: AtomicBool,
    tell: Box<Tell>,
}

/// Tells a worker what was heard.
type Tell = dyn Fn(SessionId, Heard) + Send + Sync;

/// What the thread is to do. The last two always find room: there is one for each session that was opened, or worker
/// that panicked.
#[derive(Debug)]
enum Ordered {
    Do(SessionId, Order),
    Close(SessionId),
    /// Close all sessions of a worker.
    Forget(WorkerId),
}

/// What is counted and measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sessions that are open.
    pub sessions: u64,
    /// What was counted since start.
    pub counters: Counters,
}

impl Media {
    /// Starts the thread; whatever a session has to say goes to `tell`.
    ///
    /// # Errors
    /// The operating system gives no thread, or nothing to wait for sockets with.
    pub fn start(
        setup: &Setup,
        prompts: Arc<Prompts>,
        tell: impl Fn(SessionId, Heard) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let door = Arc::new(Door {
            orders: SegQueue::new(),
            waiting: AtomicUsize::new(0),
            waiting_max: ORDERS_PER_SESSION * setup.sessions_max,
            prompts: Mutex::new(prompts),
            figures: Mutex::default(),
            stopping: AtomicBool::new(false),
            tell: Box::new(tell),
        });
        let thread = Thread::new(setup, Arc::clone(&door))?;
        let thread = std::thread::Builder::new().name("media".into()).spawn(move || thread.run())?;
        Ok(Self { door, sleeper: thread.thread().clone(), thread: Mutex::new(Some(thread)) })
    }

    /// Has `session` do something. Where too much waits, the session is told to have failed.
    pub fn order(&self, session: SessionId, order: Order) {
        if order == Order::Close {
            self.door.orders.push(Ordered::Close(session));
        } else if self.door.waiting.fetch_add(1, Ordering::Relaxed) < self.door.waiting_max {
            self.door.orders.push(Ordered::Do(session, order));
        } else {
            self.door.waiting.fetch_sub(1, Ordering::Relaxed);
            lock(&self.door.figures).counters.orders_refused += 1;
            (self.door.tell)(session, Heard::Failed);
        }
        self.wake();
    }

    /// Closes all sessions of `worker`, which knows nothing of them any more.
    pub fn forget(&self, worker: WorkerId) {
        self.door.orders.push(Ordered::Forget(worker));
        self.wake();
    }

    /// What is said from now on; what plays is played to its end.
    pub fn use_prompts(&self, prompts: Arc<Prompts>) {
        *lock(&self.door.prompts) = prompts;
    }

    /// What was counted up to the last turn.
    pub fn figures(&self) -> Figures {
        *lock(&self.door.figures)
    }

    /// Ends the thread at once.
    pub fn stop(&self) {
        self.door.stopping.store(true, Ordering::Relaxed);
        self.wake();
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            error!("the media thread ended by a panic");
        }
    }

    fn wake(&self) {
        self.sleeper.unpark();
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

/// What is in these locks is replaced whole, so poison says nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use dataplane::media::{Clip, Codec, Connection};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// The attendant's side of one or more sessions.
    struct Desk {
        media: Media,
        told: Receiver<(SessionId, Heard)>,
    }

    impl Desk {
        /// On ports that no other test of this process uses.
        fn new(ports: RangeInclusive<u16>, sessions_max: usize) -> Self {
            let (tell, told) = channel();
            let setup = Setup { ports, sessions_max, dscp: Dscp::EF };
            let tell = move |session, heard| tell.send((session, heard)).unwrap_or_default();
            Self { media: Media::start(&setup, Prompts::shipped(), tell).unwrap(), told }
        }

        fn heard(&self) -> (u64, Heard) {
            let (session, heard) =
                self.told.recv_timeout(DEADLINE).expect("the session has something to say");
            (session.call, heard)
        }

        fn order(&self, call: u64, order: Order) {
            self.media.order(session(call), order);
        }

        fn open(&self, call: u64, address: IpAddr) -> u16 {
            self.order(call, Order::Open(address));
            match self.heard() {
                (other, Heard::Opened { port }) if other == call => port,
                other => panic!("{other:?}"),
            }
        }
    }

    fn session(call: u64) -> SessionId {
        SessionId { worker: WorkerId((call % 2) as u8), call }
    }

    fn connection(remote: SocketAddr) -> Order {
        Order::Connect(Connection {
            remote,
            codec: Codec::Pcma,
            events: Some(101),
            sends: true,
            in_band: false,
            srtp: None,
        })
    }

    fn play(words: &[&'static str]) -> Order {
        Order::Play { language: "en".into(), clips: words.iter().map(|word| Clip::Word(word)).collect() }
    }

    fn phone(address: IpAddr) -> UdpSocket {
        let phone = UdpSocket::bind((address, 0)).unwrap();
        phone.set_read_timeout(Some(DEADLINE)).unwrap();
        phone
    }

    fn press(phone: &UdpSocket, port: u16, event: u8) {
        let timestamp = 8_000 * u32::from(event) + 8_000;
        let mut packet = vec![0x80, 0x80 | 101, 0, event];
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 7, event, 10, 0, 160]);
        phone.send_to(&packet, (phone.local_addr().unwrap().ip(), port)).unwrap();
    }

    #[test]
    fn a_call_hears_its_prompt_to_the_sample_and_is_heard() {
        let desk = Desk::new(21_000..=21_199, 10);
        for (call, address) in [(1, HERE), (2, IpAddr::V6(Ipv6Addr::LOCALHOST))] {
            let phone = phone(address);
            let port = desk.open(call, address);
            desk.order(call, connection(phone.local_addr().unwrap()));
            desk.order(call, play(&["goodbye"]));

            let prompts = Prompts::shipped();
            let expected = prompts.find("en", "goodbye").unwrap().octets(Codec::Pcma);
            let mut sound = Vec::new();
            let mut numbers = Vec::new();
            while sound.windows(expected.len()).all(|part| part != expected) {
                let mut packet = [0; 2_048];
                let (length, from) = phone.recv_from(&mut packet).expect("sound comes");
                assert_eq!((from.port(), length, packet[0], packet[1] & 0x7F), (port, 172, 0x80, 8));
                numbers.push(u16::from_be_bytes([packet[2], packet[3]]));
                sound.extend_from_slice(&packet[12..length]);
                assert!(sound.len() < 8_000 * 10, "the prompt is over within ten seconds");
            }

            assert!(numbers.is_sorted_by(|a, b| *b == a.wrapping_add(1)));
            assert_eq!(desk.heard(), (call, Heard::Played));
            for (event, key) in [(7, b'7'), (11, b'#')] {
                press(&phone, port, event);
                press(&phone, port, event);
                assert_eq!(desk.heard(), (call, Heard::Key(key)));
            }
        }
        let counters = desk.media.figures().counters;
        assert_eq!((counters.sessions_opened, counters.sessions_refused), (2, 0));
    }

    #[test]
    fn a_closed_session_says_nothing_and_its_port_is_free() {
        let desk = Desk::new(21_200..=21_201, 10);
        let phone = phone(HERE);
        let port = desk.open(1, HERE);
        desk.order(1, connection(phone.local_addr().unwrap()));
        desk.order(1, Order::Close);
        press(&phone, port, 1);

        // It is the only port there is.
        assert_eq!(desk.open(2, HERE), port);

        desk.order(2, connection(phone.local_addr().unwrap()));
        press(&phone, port, 2);
        assert_eq!(desk.heard(), (2, Heard::Key(b'2')));
    }

    #[test]
    fn what_cannot_be_opened_has_failed() {
        let desk = Desk::new(21_300..=21_303, 1);
        // An address that is nobody's here (RFC 5737).
        desk.order(1, Order::Open("192.0.2.1".parse().unwrap()));
        assert_eq!(desk.heard(), (1, Heard::Failed));

        let taken = [21_300, 21_302].map(|port| UdpSocket::bind((HERE, port)).unwrap());
        desk.order(2, Order::Open(HERE));
        assert_eq!(desk.heard(), (2, Heard::Failed), "all ports are in use");
        drop(taken);

        desk.open(3, HERE);
        desk.order(4, Order::Open(HERE));
        assert_eq!(desk.heard(), (4, Heard::Failed), "one session is all there may be");
    }

    #[test]
    fn a_worker_that_forgot_its_calls_leaves_no_session() {
        let desk = Desk::new(21_400..=21_405, 3);
        for call in [1, 2, 3] {
            desk.open(call, HERE);
        }

        desk.media.forget(WorkerId(1));

        desk.open(5, HERE);
        desk.open(7, HERE);
        desk.order(9, Order::Open(HERE));
        assert_eq!(desk.heard(), (9, Heard::Failed), "that of the other worker stays");
    }

    #[test]
    fn a_reload_changes_what_is_said_next() {
        let desk = Desk::new(21_500..=21_509, 3);
        let folder = tempfile::tempdir().unwrap();
        let form = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        std::fs::create_dir(folder.path().join("en")).unwrap();
        let mut writer = hound::WavWriter::create(folder.path().join("en/goodbye.wav"), form).unwrap();
        (0..160).for_each(|_| writer.write_sample(1_000_i16).unwrap());
        writer.finalize().unwrap();
        let phone = phone(HERE);
        desk.open(1, HERE);

        desk.media.use_prompts(Arc::new(Prompts::with_folder(folder.path()).prompts));
        desk.order(1, play(&["goodbye"]));
        desk.order(1, connection(phone.local_addr().unwrap()));

        let mut packet = [0; 2_048];
        phone.recv_from(&mut packet).expect("sound comes");
        assert_eq!(packet[12..172], [g711::encode_a(1_000); 160]);
    }

    #[test]
    fn after_its_end_nothing_is_told() {
        let desk = Desk::new(21_600..=21_601, 1);
        desk.media.stop();

        desk.order(1, Order::Open(HERE));
        desk.order(1, Order::Close);

        assert!(desk.told.try_recv().is_err());
    }
}
