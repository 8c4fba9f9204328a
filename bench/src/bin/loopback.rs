//! Registrations at a running edge over UDP on loopback: so many phones, so many refreshes, then it ends.
//!
//! ```text
//! loopback configuration PHONES [STORE]    writes a configuration with that many extensions; STORE: memory, embedded
//! loopback register PHONES [REFRESHES]     registers each of them at 127.0.0.1:5060, then refreshes it so often
//! ```
//!
//! Phones have addresses of their own from 127.16.0.0 on. 32 at a time send, then all of them wait for their answers,
//! so an edge that is slow (under callgrind) is loaded and never flooded.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench::in_memory::{DOMAIN, Desk, Role, password};
use bench::phone::{Challenge, Message};

const EDGE: &str = "127.0.0.1:5060";
const FIRST_ADDRESS: u32 = 0x7f10_0000;
/// Phones that wait for an answer at a time: half a receive batch of the edge.
const AT_ONCE: u32 = 32;
/// Loopback loses nothing that an edge has room for: no answer by then means there is none.
const PATIENCE: Duration = Duration::from_secs(10);
const EXPIRES: u32 = 3600;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["configuration", phones] => phones.parse().ok().map(|phones| configuration(phones, "memory")),
        ["configuration", phones, store] => phones.parse().ok().map(|phones| configuration(phones, store)),
        ["register", phones] => phones.parse().ok().map(|phones| register(phones, 0)),
        ["register", phones, refreshes] => phones
            .parse()
            .ok()
            .zip(refreshes.parse().ok())
            .map(|(phones, refreshes)| register(phones, refreshes)),
        _ => None,
    };
    match done {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("loopback: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("loopback configuration PHONES [memory|embedded] | register PHONES [REFRESHES]");
            ExitCode::FAILURE
        }
    }
}

fn configuration(phones: u32, store: &str) -> io::Result<()> {
    let path = if store == "embedded" { "path = \"loopback.db\"\n" } else { "" };
    let mut out = io::BufWriter::new(io::stdout().lock());
    write!(
        out,
        "[edge]\nname = \"loopback\"\nworkers = 1\n\n[[listen]]\nprotocol = \"udp\"\naddress = \"{EDGE}\"\n\
         tenant = \"demo\"\n\n[store]\nkind = \"{store}\"\n{path}\n[[tenant]]\nid = \"demo\"\ndomains = [\"{DOMAIN}\"]\n"
    )?;
    for number in 0..phones {
        let user = Role::Extension(number).user(number);
        write!(
            out,
            "\n[[tenant.extension]]\nnumber = \"{user}\"\nname = \"Ann Lee\"\npassword = \"{}\"\nown_phones_max = 1\n",
            password(&user)
        )?;
    }
    out.flush()
}

fn register(phones: u32, refreshes: u32) -> io::Result<()> {
    let (mut registering, mut refreshing) = (Duration::ZERO, Duration::ZERO);
    for first in (0..phones).step_by(AT_ONCE as usize) {
        let group = first..phones.min(first + AT_ONCE);
        let mut phones = group.map(Phone::new).collect::<io::Result<Vec<_>>>()?;
        registering += round(&mut phones, false)?;
        registering += round(&mut phones, true)?;
        for _ in 0..refreshes {
            refreshing += round(&mut phones, true)?;
        }
    }
    let rate = |count: u32, spent: Duration| f64::from(count) / spent.as_secs_f64().max(f64::EPSILON);
    println!("{phones} phones registered, {:.0} a second", rate(phones, registering));
    if refreshes > 0 {
        println!("{refreshes} refreshes each, {:.0} a second", rate(phones * refreshes, refreshing));
    }
    Ok(())
}

struct Phone {
    desk: Desk,
    socket: UdpSocket,
}

impl Phone {
    fn new(number: u32) -> io::Result<Self> {
        // An earlier run may have registered it.
        let desk = Desk::new(number, Ipv4Addr::from(FIRST_ADDRESS + number), std::process::id());
        let socket = UdpSocket::bind(desk.flow().remote)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(EDGE.parse::<SocketAddr>().expect("an address"))?;
        Ok(Self { desk, socket })
    }

    fn role(&self) -> Role {
        Role::Extension(self.desk.number)
    }
}

/// All phones send a REGISTER, then all are answered: 401 to one without credentials, 200 to one with. Returns how long
/// the edge had something to do.
#[expect(clippy::disallowed_methods, reason = "a load generator reads the clock")]
fn round(phones: &mut [Phone], proven: bool) -> io::Result<Duration> {
    let requests: Vec<_> =
        phones.iter_mut().map(|phone| phone.desk.register(phone.role(), EXPIRES, proven)).collect();
    let begun = Instant::now();
    for (phone, request) in phones.iter().zip(&requests) {
        phone.socket.send(request)?;
    }
    let mut answers = vec![[0; 2048]; phones.len()];
    let mut lengths = Vec::with_capacity(phones.len());
    for (phone, answer) in phones.iter().zip(&mut answers) {
        lengths.push(phone.socket.recv(answer)?);
    }
    let spent = begun.elapsed();
    for ((phone, answer), length) in phones.iter_mut().zip(&answers).zip(lengths) {
        let answer = Message::new(String::from_utf8_lossy(&answer[..length]));
        if !proven {
            phone.desk.keep(phone.role(), Challenge::read(&answer));
        }
        let expected = if proven { 200 } else { 401 };
        if answer.status() != Some(expected) {
            return Err(io::Error::other(format!("{expected} expected: {}", answer.start_line())));
        }
    }
    Ok(spent)
}
