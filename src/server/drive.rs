//! Drives one worker: its thread, and a task for each way in.
//!
//! A task waits, borrows the [`Worker`], has it put one batch into the dataplane and settle what came out, gives it
//! back, and lets the others have their turn. Nothing is borrowed across an await.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane::flow::{ConnectionId, ListenerId, WorkerId};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet, spawn_local, yield_now};
use tracing::error;

use super::datagrams::Datagrams;
use super::handoff::Ring;
use super::sockets::Sockets;
use super::streams::is_exhausted;
use super::worker::{Shell, Worker};
use crate::transport::udp::BATCH_MAX;

/// How often a tenth of the connections is looked at, so each is within a second of its time.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How often the dataplane is told how long what comes has to wait: often enough to refuse what is too much before anybody
/// repeats himself, seldom enough to have seen some batches in between.
const WAITS_EVERY: Duration = Duration::from_millis(25);

/// How often a worker that is to stop looks whether it can.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Pause after an error that is nobody's message: a socket without memory, a process without descriptors. It
/// keeps an error that stays from taking all of the processor.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// Drives worker `id` until the edge is to stop. A panic outside the dataplane costs its connections; it starts
/// anew on the same sockets.
pub(super) fn run(shell: &Arc<Shell>, id: WorkerId) {
    loop {
        match catch_unwind(AssertUnwindSafe(|| drive(shell, id))) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error!(worker = id.0, reason = %error, "the worker failed and starts anew"),
            Err(_) => error!(worker = id.0, "the worker panicked and starts anew"),
        }
        shell.counts.panicked();
        shell.media.forget(id);
        if shell.stop_at.borrow().is_some_and(|at| at <= shell.clock.mono()) {
            return;
        }
        std::thread::sleep(ERROR_PAUSE);
    }
}

fn drive(shell: &Arc<Shell>, id: WorkerId) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let worker = Rc::new(RefCell::new(Worker::new(shell, id)?));
        let mut ways_in = JoinSet::new();
        for (index, sockets) in (0_u8..).zip(&shell.sockets) {
            let (worker, listener) = (Rc::clone(&worker), ListenerId(index));
            match sockets {
                Sockets::Udp(_) => {
                    if let Some(datagrams) = worker.borrow().datagrams_of(listener) {
                        ways_in.spawn_local(send_what_waits(Rc::clone(&worker), Rc::clone(&datagrams)));
                        ways_in.spawn_local(receive_datagrams(Rc::clone(&worker), listener, datagrams));
                    }
                }
                Sockets::Tcp(sockets) => {
                    let Some(socket) = sockets.get(usize::from(id.0)) else { continue };
                    let socket = tokio::net::TcpListener::from_std(TcpListener::try_clone(socket)?)?;
                    ways_in.spawn_local(accept(worker, listener, socket));
                }
            }
        }
        let ring = Arc::clone(&worker.borrow().ring);
        ways_in.spawn_local(empty_ring(Rc::clone(&worker), ring));
        ways_in.spawn_local(keep_time(Rc::clone(&worker)));
        ways_in.spawn_local(sweep(Rc::clone(&worker)));
        ways_in.spawn_local(serve_opened(Rc::clone(&worker)));
        ways_in.spawn_local(tell_waits(Rc::clone(&worker)));
        let panicked = Rc::clone(&worker.borrow().panicked);
        let mut finished = pin!(finish(shell, &worker));
        loop {
            tokio::select! {
                () = &mut finished => return Ok(()),
                () = panicked.notified() => return Err(io::Error::other("the task of a connection panicked")),
                Some(ended) = ways_in.join_next() => ended?,
            }
        }
    })
}

/// Receives and handles batch after batch.
async fn receive_datagrams(worker: Rc<RefCell<Worker>>, listener: ListenerId, datagrams: Rc<Datagrams>) {
    loop {
        if datagrams.readable().await.is_err() {
            return;
        }
        let received = datagrams.receive(|socket| worker.borrow_mut().receive(listener, socket));
        match received {
            Ok(count) if count < BATCH_MAX => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                worker.borrow_mut().count_socket_error();
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
        yield_now().await;
    }
}

async fn send_what_waits(worker: Rc<RefCell<Worker>>, datagrams: Rc<Datagrams>) {
    datagrams
        .drain(|act| {
            let worker = &mut *worker.borrow_mut();
            act(&mut worker.sender, &mut worker.counters);
        })
        .await;
}

/// Accepts connections, each with a task of its own.
async fn accept(worker: Rc<RefCell<Worker>>, listener: ListenerId, socket: tokio::net::TcpListener) {
    loop {
        match socket.accept().await {
            Ok((io, remote)) => admit(&worker, listener, io, remote),
            Err(error) if is_exhausted(&error) => {
                // The reserve lets this one in; the stalest makes room for it and, once its task has ended, for
                // the reserve.
                worker.borrow_mut().make_room();
                tokio::time::sleep(ERROR_PAUSE).await;
            }
            Err(_) if worker.borrow().shell.stop_at.borrow().is_some() => return,
            // The peer went away before it was accepted, or the system has no memory.
            Err(_) => {
                worker.borrow_mut().count_socket_error();
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
        yield_now().await;
    }
}

fn admit(worker: &Rc<RefCell<Worker>>, listener: ListenerId, io: TcpStream, remote: SocketAddr) {
    let admitted = worker.borrow_mut().admit(listener, io, remote);
    if let Some(id) = admitted {
        spawn_local(serve(Rc::clone(worker), id));
    }
}

/// Gives each connection that the worker opens a task of its own.
async fn serve_opened(worker: Rc<RefCell<Worker>>) {
    let begins = Rc::clone(&worker.borrow().streams.begins);
    loop {
        begins.notified().await;
        let begun = std::mem::take(&mut worker.borrow_mut().streams.begun);
        for id in begun {
            spawn_local(serve(Rc::clone(&worker), id));
        }
    }
}

/// Waits for one connection until it is no more.
async fn serve(worker: Rc<RefCell<Worker>>, id: ConnectionId) {
    loop {
        let Some((io, wake, interest)) = worker.borrow_mut().streams.waiting(id) else { return };
        match interest {
            Some(interest) => tokio::select! {
                ready = io.ready(interest) => if ready.is_ok() {
                    // Nobody joins this task, so it says itself that the worker is not to be trusted any more.
                    if catch_unwind(AssertUnwindSafe(|| worker.borrow_mut().on_ready(id))).is_err() {
                        return worker.borrow().panicked.notify_one();
                    }
                },
                () = wake.notified() => {}
            },
            None => wake.notified().await,
        }
        // One that always has more must not keep the others waiting.
        yield_now().await;
    }
}

/// Takes what other threads handed over.
async fn empty_ring(worker: Rc<RefCell<Worker>>, ring: Arc<Ring>) {
    loop {
        ring.filled().await;
        worker.borrow_mut().empty_ring();
        yield_now().await;
    }
}

/// Calls the dataplane when it is due.
async fn keep_time(worker: Rc<RefCell<Worker>>) {
    let rearm = Rc::clone(&worker.borrow().rearm);
    let clock = worker.borrow().shell.clock;
    loop {
        let due = worker.borrow_mut().arm();
        match due {
            None => rearm.notified().await,
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(clock.instant(due).into()) => worker.borrow_mut().on_timeout(),
                () = rearm.notified() => {}
            },
        }
        yield_now().await;
    }
}

/// Looks after the connections.
async fn sweep(worker: Rc<RefCell<Worker>>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.borrow_mut().sweep();
    }
}

/// Tells how long what comes has to wait: also until it is its turn, as a connection that is ready has to, and this task once it
/// has let the others go first.
async fn tell_waits(worker: Rc<RefCell<Worker>>) {
    let clock = worker.borrow().shell.clock;
    let mut ticks = tokio::time::interval(WAITS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ready = clock.mono();
        yield_now().await;
        let turn = clock.mono().since(ready);
        worker.borrow_mut().tell_waits(turn);
    }
}

/// Waits until the edge is to stop, then until nothing is under way here, or for as long as the worker may.
async fn finish(shell: &Shell, worker: &Rc<RefCell<Worker>>) {
    // It is told by the shell itself, which is there.
    let _ = shell.stop_at.subscribe().wait_for(Option::is_some).await;
    loop {
        if worker.borrow().may_stop() {
            return;
        }
        tokio::time::sleep(DRAIN_LOOK_EVERY).await;
    }
}
