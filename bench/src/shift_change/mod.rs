//! A shift change at a running quick start: two phones, three people, on real sockets, with every message shown as it
//! goes by and every promise checked.
//!
//! In: where the edge is. Out: the ladder, and how many promises were broken.

mod ladder;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::control::Control;
use crate::phone::{
    Account, Direction, Message, Phone, PhoneError, Transport, connect, display_name, hang_up,
};
use ladder::{Ladder, Side};

/// How long anything may take. The first wait in vain ends the demonstration, so it lasts no longer than fifteen
/// seconds even where the edge dies in the middle of it.
const PATIENCE: Duration = Duration::from_secs(4);

const TENANT: &str = "demo";
const DOMAIN: &str = "demo.hotdesk";

/// Where the quick start listens for SIP.
pub const SIP: &str = "127.0.0.1:5060";
/// Where its control API is.
pub const CONTROL: &str = "127.0.0.1:8060";
/// The token of its control API.
pub const TOKEN: &str = "demo-token";

/// A person of the quick start.
struct Person {
    name: &'static str,
    number: &'static str,
    pin: &'static str,
}

const JOHN: Person = Person { name: "John Smith", number: "1001", pin: "7738" };
const ANN: Person = Person { name: "Ann Lee", number: "1002", pin: "2468" };
const MAX: Person = Person { name: "Max Weber", number: "1003", pin: "1357" };

impl Person {
    /// What this person dials to sit down.
    fn code(&self) -> String {
        format!("*11*{}*{}", self.number, self.pin)
    }
}

/// Why the demonstration came to no end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlayError {
    /// Nobody is there.
    #[error("no edge at {address}")]
    NoEdge {
        /// Where it was looked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A phone waited in vain.
    #[error(transparent)]
    Phone(#[from] PhoneError),
    /// The control API cannot be asked any more.
    #[error("the control API does not answer")]
    Control(#[source] io::Error),
    /// What is shown cannot be written.
    #[error("the ladder cannot be shown")]
    Show(#[source] io::Error),
}

/// Where an edge is that runs the quick start.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its UDP listener.
    pub udp: SocketAddr,
    /// Its TCP listener.
    pub tcp: SocketAddr,
    /// Its control API.
    pub control: SocketAddr,
}

/// Plays the shift change and shows it on `out`, with colours or without. Returns how many promises were broken.
///
/// # Errors
/// See [`PlayError`]. What was shown until then stands.
pub fn play(place: &Place, out: Box<dyn Write + Send>, colours: bool) -> Result<usize, PlayError> {
    let control = Control::new(place.control, TOKEN);
    control.get("/ready").map_err(|source| PlayError::NoEdge { address: place.control, source })?;
    let ladder = Arc::new(Mutex::new(Ladder::new(out, colours)));
    let open = |side: Side, transport, edge, user: &str| {
        let account = Account::new(user, &format!("demo-{user}"), DOMAIN);
        let mut phone = Phone::open(transport, edge, account)
            .map_err(|source| PlayError::NoEdge { address: edge, source })?;
        phone.set_patience(PATIENCE);
        let ladder = Arc::clone(&ladder);
        phone.observe(Box::new(move |direction: Direction, message: &Message| {
            lock(&ladder).message(side, direction, message);
        }));
        Ok::<_, PlayError>(phone)
    };
    let desk_1 = open(Side::Left, Transport::Udp, place.udp, "desk-1")?;
    let desk_2 = open(Side::Right, Transport::Tcp, place.tcp, "desk-2")?;
    let mut stage = Stage { desk_1, desk_2, control, ladder: Arc::clone(&ladder) };
    stage.play()?;
    let mut ladder = lock(&ladder);
    ladder.finish().map_err(PlayError::Show)?;
    Ok(ladder.broken())
}

fn lock(ladder: &Mutex<Ladder>) -> MutexGuard<'_, Ladder> {
    ladder.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Stage {
    desk_1: Phone,
    desk_2: Phone,
    control: Control,
    ladder: Arc<Mutex<Ladder>>,
}

impl Stage {
    fn play(&mut self) -> Result<(), PlayError> {
        self.clear()?;
        lock(&self.ladder).title("desk-1 (UDP)", "edge", "desk-2 (TCP)");
        self.phones_register()?;
        self.morning()?;
        self.a_call()?;
        self.shift_change()?;
        self.a_move()?;
        self.evening()
    }

    /// Whoever sits at the two desks is logged out, so that every run begins alike.
    fn clear(&self) -> Result<(), PlayError> {
        for device in ["desk-1", "desk-2"] {
            // 409 where nobody sits.
            if self.control.log_out(TENANT, device).map_err(PlayError::Control)?.status == 200 {
                lock(&self.ladder).remark(&format!("Whoever sat at {device} has been logged out first."));
            }
        }
        Ok(())
    }

    fn phones_register(&mut self) -> Result<(), PlayError> {
        self.act(
            "Two phones register, each with an account of its own that it keeps for ever. Nobody sits there.",
        );
        let statuses = [self.desk_1.register(600)?.status(), self.desk_2.register(600)?.status()];
        self.promise(statuses == [Some(200); 2], "both phones are registered");
        let outcome = self.call_in_vain("1002")?;
        self.promise(outcome == Some(403), "a phone without a person calls nobody but emergency services");
        self.seats(&[])
    }

    fn morning(&mut self) -> Result<(), PlayError> {
        self.act(
            "Morning: John Smith sits down at desk 1 and Ann Lee at desk 2. Number and PIN go in one string.",
        );
        let john = self.desk_1.dial_code(&JOHN.code())?.status();
        self.desk_1.expect("NOTIFY")?;
        let ann = self.desk_2.dial_code(&ANN.code())?.status();
        self.desk_2.expect("NOTIFY")?;
        self.promise(
            [john, ann] == [Some(200); 2],
            "both are logged in, and their phones told to look again",
        );
        self.seats(&[("desk-1", &JOHN), ("desk-2", &ANN)])
    }

    fn a_call(&mut self) -> Result<(), PlayError> {
        self.act("John calls Ann.");
        let shown = call(&mut self.desk_1, &mut self.desk_2, ANN.number)?;
        self.promise(shown == JOHN.name, "the call shows John Smith, not the desk he sits at");
        self.seats(&[("desk-1", &JOHN), ("desk-2", &ANN)])
    }

    fn shift_change(&mut self) -> Result<(), PlayError> {
        self.act("Shift change: Max Weber takes desk 2. First he mistypes his PIN. Ann need not log out.");
        let wrong = self.desk_2.dial_code(&format!("*11*{}*0000", MAX.number))?;
        self.promise(wrong.status() == Some(403), "a wrong PIN is refused, and Ann still sits there");
        self.seats(&[("desk-1", &JOHN), ("desk-2", &ANN)])?;
        let right = self.desk_2.dial_code(&MAX.code())?;
        self.desk_2.expect("NOTIFY")?;
        self.promise(right.status() == Some(200), "the right one puts Ann out and Max in, at once");
        self.seats(&[("desk-1", &JOHN), ("desk-2", &MAX)])?;
        let outcome = self.call_in_vain(ANN.number)?;
        self.promise(outcome == Some(480), "Ann sits nowhere, so nothing rings for her");
        let shown = call(&mut self.desk_1, &mut self.desk_2, MAX.number)?;
        self.promise(shown == JOHN.name, "whoever calls Max reaches him at desk 2");
        Ok(())
    }

    fn a_move(&mut self) -> Result<(), PlayError> {
        self.act("John moves to desk 2 without leaving desk 1 first; Max goes over to desk 1.");
        let john = self.desk_2.dial_code(&JOHN.code())?.status();
        self.desk_2.expect("NOTIFY")?;
        self.desk_1.expect("NOTIFY")?;
        self.promise(john == Some(200), "desk 1, which John left behind, is told in the same breath");
        self.seats(&[("desk-2", &JOHN)])?;
        let max = self.desk_1.dial_code(&MAX.code())?.status();
        self.desk_1.expect("NOTIFY")?;
        self.promise(max == Some(200), "desk 1 takes the next person");
        let shown = call(&mut self.desk_1, &mut self.desk_2, JOHN.number)?;
        self.promise(shown == MAX.name, "a call to John rings at desk 2 now, and shows Max Weber");
        self.seats(&[("desk-1", &MAX), ("desk-2", &JOHN)])
    }

    fn evening(&mut self) -> Result<(), PlayError> {
        self.act("Evening: both log out, and the phones leave.");
        let max = self.desk_1.dial_code("*12")?.status();
        self.desk_1.expect("NOTIFY")?;
        let john = self.desk_2.dial_code("*12")?.status();
        self.desk_2.expect("NOTIFY")?;
        self.promise([max, john] == [Some(200); 2], "nobody is left");
        let statuses = [self.desk_1.register(0)?.status(), self.desk_2.register(0)?.status()];
        self.promise(statuses == [Some(200); 2], "both phones have un-registered");
        self.seats(&[])
    }

    fn act(&self, text: &str) {
        lock(&self.ladder).act(text);
    }

    fn promise(&self, kept: bool, text: &str) {
        lock(&self.ladder).promise(kept, text);
    }

    /// Shows who sits at the two desks, and that they are these.
    fn seats(&self, expected: &[(&str, &Person)]) -> Result<(), PlayError> {
        let seats = self.control.seats().map_err(PlayError::Control)?;
        let sitting = ["desk-1", "desk-2"].map(|desk| seats.iter().find(|seat| seat.device == desk));
        let wanted = ["desk-1", "desk-2"]
            .map(|desk| expected.iter().find(|(device, _)| *device == desk).map(|(_, person)| person.number));
        let is_right = sitting.map(|seat| seat.map(|seat| &*seat.extension)) == wanted;
        let [left, right] = sitting.map(|seat| seat.map_or("nobody", |seat| &*seat.name));
        lock(&self.ladder).seats(left, right, is_right);
        Ok(())
    }

    /// Desk 1 calls, and nothing comes of it.
    fn call_in_vain(&mut self, number: &str) -> Result<Option<u16>, PlayError> {
        let mut call = self.desk_1.dial(number)?;
        Ok(self.desk_1.outcome(&mut call)?.status())
    }
}

/// A call from ringing to hanging up; returns the name that the called phone showed.
fn call(caller: &mut Phone, callee: &mut Phone, number: &str) -> Result<String, PlayError> {
    let (mut outgoing, incoming) = connect(caller, callee, number)?;
    hang_up(caller, &mut outgoing, callee)?;
    Ok(display_name(incoming.remote()).to_owned())
}
