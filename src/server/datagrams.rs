//! The datagrams of one worker and listener: its socket, and what the socket would not take at once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{self, SocketAddr};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tracing::warn;

use crate::transport::Counters;
use crate::transport::udp::{self, BATCH_MAX, Sender, leave_unread};

/// Datagrams that wait for the socket: a burst of sixteen full batches. What comes on top is dropped, as the
/// network would.
const WAITING_MAX: usize = 16 * BATCH_MAX;

/// How long they wait. A card that takes nothing for so long is down, and SIP retransmits after 500 ms.
const WRITABLE_WITHIN: Duration = Duration::from_millis(50);

/// One socket and its way out.
pub(super) struct Datagrams {
    socket: UdpSocket,
    takes_filter: bool,
    /// The share that the system was told last.
    left_unread: Cell<u32>,
    waiting: RefCell<VecDeque<(SocketAddr, Box<[u8]>)>>,
    blocked: Notify,
}

impl Datagrams {
    /// Registers `socket` with the worker's runtime. The socket stays open when this is dropped.
    pub(super) fn new(socket: &net::UdpSocket) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket.try_clone()?)?;
        // What a worker before this one left unread is read again.
        let tried = leave_unread(&socket, 1).and_then(|()| leave_unread(&socket, 0));
        if let Err(error) = &tried {
            warn!(%error, "the system takes no filter: in an overload a full socket drops whatever comes");
        }
        let (takes_filter, left_unread) = (tried.is_ok(), Cell::new(0));
        Ok(Self { socket, takes_filter, left_unread, waiting: RefCell::default(), blocked: Notify::new() })
    }

    /// True if the system drops what is to be left unread.
    pub(super) fn takes_filter(&self) -> bool {
        self.takes_filter
    }

    /// See [`leave_unread`]. What the system does not do now it is told again the next time.
    pub(super) fn leave_unread(&self, share: u32) {
        if self.takes_filter && share != self.left_unread.get() && leave_unread(&self.socket, share).is_ok() {
            self.left_unread.set(share);
        }
    }

    /// See [`udp::dropped`].
    pub(super) fn dropped(&self) -> io::Result<u32> {
        udp::dropped(&self.socket)
    }

    /// Waits until there is something to receive.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Has `receive` take one batch off the socket; it says how many datagrams there were.
    pub(super) fn receive(&self, receive: impl FnOnce(&UdpSocket) -> io::Result<usize>) -> io::Result<usize> {
        let mut received = Ok(0);
        let tried = self.socket.try_io(Interest::READABLE, || {
            received = receive(&self.socket);
            match received {
                // A socket that gave less than a batch is empty: it need not be asked again to find that out.
                // What comes later makes it readable again, because the system reports every arrival.
                Ok(count) if count < BATCH_MAX => Err(io::ErrorKind::WouldBlock.into()),
                Err(ref error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                _ => Ok(()),
            }
        });
        match tried {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => received,
        }
    }

    /// Sends what `messages` gives, each time the same, or lets it wait for the socket.
    pub(super) fn send<'m, I: Iterator<Item = (SocketAddr, &'m [u8])>>(
        &self,
        sender: &mut Sender,
        messages: impl Fn() -> I,
        counters: &mut Counters,
    ) {
        let mut waiting = self.waiting.borrow_mut();
        let mut done = 0;
        if waiting.is_empty() {
            let sent = sender.send(&self.socket, messages());
            counters.datagrams_sent += (sent.done - sent.refused) as u64;
            counters.datagrams_refused += sent.refused as u64;
            if !sent.blocked {
                return;
            }
            done = sent.done;
        }
        for (to, octets) in messages().skip(done) {
            if waiting.len() < WAITING_MAX {
                waiting.push_back((to, octets.into()));
            } else {
                counters.datagrams_dropped += 1;
            }
        }
        self.blocked.notify_one();
    }

    /// Sends what waits whenever the socket takes it again. `with` lends the worker's send headers and counters.
    pub(super) async fn drain(&self, mut with: impl FnMut(&mut dyn FnMut(&mut Sender, &mut Counters))) {
        loop {
            self.blocked.notified().await;
            while !self.waiting.borrow().is_empty() {
                if let Ok(Ok(())) = tokio::time::timeout(WRITABLE_WITHIN, self.socket.writable()).await {
                    with(&mut |sender, counters| self.send_waiting(sender, counters));
                } else {
                    with(&mut |_, counters| {
                        counters.datagrams_dropped += self.waiting.borrow_mut().drain(..).count() as u64;
                    });
                }
            }
        }
    }

    fn send_waiting(&self, sender: &mut Sender, counters: &mut Counters) {
        let mut waiting = self.waiting.borrow_mut();
        // The outcome only tells the runtime whether to wait again.
        let _ = self.socket.try_io(Interest::WRITABLE, || {
            let sent = sender.send(&self.socket, waiting.iter().map(|(to, octets)| (*to, &**octets)));
            waiting.drain(..sent.done);
            counters.datagrams_sent += (sent.done - sent.refused) as u64;
            counters.datagrams_refused += sent.refused as u64;
            if sent.blocked { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
    }
}
