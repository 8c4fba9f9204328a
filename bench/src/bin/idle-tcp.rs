//! T15: what an idle phone over TCP costs, all included: how much the edge grows while phones connect, register and fall
//! silent.
//!
//! ```text
//! idle-tcp configuration [PHONES [STORE]]   writes a configuration with that many extensions; STORE: memory, embedded
//! idle-tcp connect PID [PHONES]             half of the phones, a look at the edge's memory, the other half, a look
//! ```
//!
//! Memory is PSS, of the process PID; what the first half costs has what the process allocates once in it, so the second
//! half is the figure. What the kernel holds for the sockets belongs to no process: the growth of its caches is told
//! apart, for both ends of a connection, since the phones are on this machine, too. Phones have addresses of their own
//! from 127.32.0.0 on.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::time::Duration;

use bench::in_memory::{DOMAIN, Desk, Role, password};
use bench::phone::{Challenge, Message};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

const EDGE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5060);
const FIRST_ADDRESS: u32 = 0x7f20_0000;
/// Unless the command line says otherwise.
const PHONES: u32 = 10_000;
/// As long as the edge lets a connection be idle for a REGISTER of an hour.
const EXPIRES: u32 = 3600;
/// Loopback loses nothing: no answer by then means there is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the edge has for what it does later: the store's writing behind, memory given back.
const SETTLE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let phones = |word: Option<&&str>| word.map_or(Some(PHONES), |word| word.parse().ok().filter(|n| *n > 1));
    let done = match words[..] {
        ["configuration", ref rest @ ..] if rest.len() < 3 => {
            phones(rest.first()).map(|phones| configuration(phones, rest.get(1).copied().unwrap_or("memory")))
        }
        ["connect", pid, ref rest @ ..] if rest.len() < 2 => {
            phones(rest.first()).zip(pid.parse().ok()).map(|(phones, pid)| measure(phones, pid))
        }
        _ => None,
    };
    match done {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("idle-tcp: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("idle-tcp configuration [PHONES [memory|embedded]] | connect PID [PHONES]");
            ExitCode::FAILURE
        }
    }
}

fn configuration(phones: u32, store: &str) -> io::Result<()> {
    let path = if store == "embedded" { "path = \"idle-tcp.db\"\n" } else { "" };
    let mut out = io::BufWriter::new(io::stdout().lock());
    write!(
        out,
        "[edge]\nname = \"idle-tcp\"\nworkers = 1\n\n[[listen]]\nprotocol = \"tcp\"\naddress = \"{EDGE}\"\n\
         tenant = \"demo\"\n\n[store]\nkind = \"{store}\"\n{path}\n[[tenant]]\nid = \"demo\"\ndomains = [\"{DOMAIN}\"]\n\
         extension = [\n"
    )?;
    for number in 0..phones {
        let user = Role::Extension(number).user(number);
        writeln!(out, "{{number=\"{user}\",password=\"{}\",own_phones_max=1}},", password(&user))?;
    }
    writeln!(out, "]")?;
    out.flush()
}

fn measure(phones: u32, pid: u32) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let half = phones / 2;
    let mut connections = Vec::with_capacity(phones as usize);
    let empty = Held::by(pid)?;
    for number in 0..half {
        connections.push(register(number)?);
    }
    std::thread::sleep(SETTLE);
    let first = Held::by(pid)?;
    for number in half..phones {
        connections.push(register(number)?);
    }
    std::thread::sleep(SETTLE);
    let second = Held::by(pid)?;
    let each = |after: u64, before: u64, count: u32| (after as f64 - before as f64) / f64::from(count);
    println!("{} phones connected and registered over TCP", connections.len());
    println!("the first half, each    {:>7.0} octets", each(first.process, empty.process, half));
    println!("the second half, each   {:>7.0} octets", each(second.process, first.process, phones - half));
    println!("the kernel, both ends   {:>7.0} octets", each(second.kernel, first.kernel, phones - half));
    Ok(())
}

/// Memory in octets.
struct Held {
    /// The process's own, and its part of what is shared (PSS).
    process: u64,
    /// The kernel's caches of structures, and its socket buffers.
    kernel: u64,
}

impl Held {
    fn by(pid: u32) -> io::Result<Self> {
        let kibibytes = |path: &str, name: &str| -> io::Result<u64> {
            let text = fs::read_to_string(path)?;
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let number = line.trim().trim_end_matches(" kB").parse::<u64>();
            Ok(number.map_err(|_| io::Error::other(format!("{path} has no line {name}")))? * 1024)
        };
        Ok(Self {
            process: kibibytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")?,
            kernel: kibibytes("/proc/meminfo", "Slab:")?,
        })
    }
}

/// A phone that has registered. It holds no buffer.
fn register(number: u32) -> io::Result<TcpStream> {
    let address = Ipv4Addr::from(FIRST_ADDRESS + number);
    let mut phone = Desk::new(number, address, std::process::id());
    let mut stream = connected(address)?;
    let role = Role::Extension(number);
    let answer = ask(&mut stream, &over_tcp(&phone.register(role, EXPIRES, false)))?;
    phone.keep(role, Challenge::read(&answer));
    expect(&answer, 401)?;
    let answer = ask(&mut stream, &over_tcp(&phone.register(role, EXPIRES, true)))?;
    expect(&answer, 200)?;
    Ok(stream)
}

/// A connection from that address.
fn connected(address: Ipv4Addr) -> io::Result<TcpStream> {
    let unbound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(unbound.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, 0)))?;
    connect(unbound.as_raw_fd(), &SockaddrIn::from(EDGE))?;
    let stream = TcpStream::from(unbound);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The same request for a stream: phones of the bench write `UDP` into their Via, and into their contact nothing.
fn over_tcp(request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    text.replacen("SIP/2.0/UDP", "SIP/2.0/TCP", 1).replacen(">;+sip", ";transport=tcp>;+sip", 1).into_bytes()
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> io::Result<Message> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    // An answer to a REGISTER has no body.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut octets = [0; 2048];
        match stream.read(&mut octets)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&octets[..read]),
        }
    }
    Ok(Message::new(String::from_utf8_lossy(&answer)))
}

fn expect(answer: &Message, status: u16) -> io::Result<()> {
    if answer.status() == Some(status) {
        Ok(())
    } else {
        Err(io::Error::other(format!("{status} expected: {}", answer.start_line())))
    }
}
