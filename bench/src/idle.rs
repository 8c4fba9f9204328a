//! T15: what an idle phone over TCP or TLS costs, all included: how much the edge grows while phones connect, register and
//! fall silent.
//!
//! ```text
//! idle-tcp configuration [PHONES [STORE]]   writes a configuration with that many extensions; STORE: memory, embedded
//! idle-tcp connect PID [PHONES]             half of the phones, a look at the edge's memory, the other half, a look
//! ```
//!
//! `idle-tls` does the same over TLS; `configuration` then leaves `idle-tls.pem`, `idle-tls.key` and `idle-tls-authority.pem`
//! beside itself, and `connect` looks for the last of them.
//!
//! Memory is PSS, of the process PID; what the first half costs has what the process allocates once in it, so the second
//! half is the figure. What the kernel holds for the sockets belongs to no process: the growth of its caches is told
//! apart, for both ends of a connection, since the phones are on this machine, too. Phones have addresses of their own
//! from 127.32.0.0 on.

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::certificates::{Authority, phone_believing};
use crate::in_memory::{DOMAIN, Desk, Role, password};
use crate::phone::{Challenge, Message, Transport};

const EDGE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// What the edge's certificate is for.
const NAME: &str = "edge.example";
const FIRST_ADDRESS: u32 = 0x7f20_0000;
/// Unless the command line says otherwise.
const PHONES: u32 = 10_000;
/// As long as the edge lets a connection be idle for a REGISTER of an hour.
const EXPIRES: u32 = 3600;
/// Loopback loses nothing: no answer by then means there is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the edge has for what it does later: the store's writing behind, memory given back.
const SETTLE: Duration = Duration::from_secs(10);

/// Does what the command line says, over TCP or TLS.
pub fn run(transport: Transport) -> ExitCode {
    let name = name(transport);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let phones = |word: Option<&&str>| word.map_or(Some(PHONES), |word| word.parse().ok().filter(|n| *n > 1));
    let done = match words[..] {
        ["configuration", ref rest @ ..] if rest.len() < 3 => {
            let store = rest.get(1).copied().unwrap_or("memory");
            phones(rest.first()).map(|phones| configuration(transport, phones, store))
        }
        ["connect", pid, ref rest @ ..] if rest.len() < 2 => {
            phones(rest.first()).zip(pid.parse().ok()).map(|(phones, pid)| measure(transport, phones, pid))
        }
        _ => None,
    };
    match done {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("{name} configuration [PHONES [memory|embedded]] | connect PID [PHONES]");
            ExitCode::FAILURE
        }
    }
}

fn name(transport: Transport) -> String {
    format!("idle-{}", transport.name().to_lowercase())
}

fn edge(transport: Transport) -> SocketAddrV4 {
    SocketAddrV4::new(EDGE, if transport == Transport::Tls { 5061 } else { 5060 })
}

fn configuration(transport: Transport, phones: u32, store: &str) -> io::Result<()> {
    let (name, address) = (name(transport), edge(transport));
    let path = if store == "embedded" { format!("path = \"{name}.db\"\n") } else { String::new() };
    let certificate = match transport {
        Transport::Tls => {
            let authority = Authority::new("idle-tls");
            let own = authority.host(&[NAME]);
            fs::write("idle-tls.pem", own.chain)?;
            fs::write("idle-tls.key", own.key)?;
            fs::write("idle-tls-authority.pem", authority.pem())?;
            "certificate = { chain = \"idle-tls.pem\", key = \"idle-tls.key\" }\n"
        }
        _ => "",
    };
    let protocol = transport.name().to_lowercase();
    let mut out = io::BufWriter::new(io::stdout().lock());
    write!(
        out,
        "[edge]\nname = \"{name}\"\nworkers = 1\n\n[[listen]]\nprotocol = \"{protocol}\"\naddress = \"{address}\"\n\
         tenant = \"demo\"\n{certificate}\n[store]\nkind = \"{store}\"\n{path}\n[[tenant]]\nid = \"demo\"\n\
         domains = [\"{DOMAIN}\"]\nextension = [\n"
    )?;
    for number in 0..phones {
        let user = Role::Extension(number).user(number);
        writeln!(out, "{{number=\"{user}\",password=\"{}\",own_phones_max=1}},", password(&user))?;
    }
    writeln!(out, "]")?;
    out.flush()
}

fn measure(transport: Transport, phones: u32, pid: u32) -> io::Result<()> {
    let tls = match transport {
        Transport::Tls => {
            let authority = fs::read_to_string("idle-tls-authority.pem")?;
            Some(Arc::new(phone_believing(&authority, None)))
        }
        _ => None,
    };
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let half = phones / 2;
    let mut connections = Vec::with_capacity(phones as usize);
    let empty = Held::by(pid)?;
    for number in 0..half {
        connections.push(register(transport, tls.as_ref(), number)?);
    }
    std::thread::sleep(SETTLE);
    let first = Held::by(pid)?;
    for number in half..phones {
        connections.push(register(transport, tls.as_ref(), number)?);
    }
    std::thread::sleep(SETTLE);
    let second = Held::by(pid)?;
    let each = |after: u64, before: u64, count: u32| (after as f64 - before as f64) / f64::from(count);
    println!("{} phones connected and registered over {}", connections.len(), transport.name());
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

/// A connection of a phone.
enum Connection {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A phone that has registered. It holds no buffer of its own.
fn register(transport: Transport, tls: Option<&Arc<ClientConfig>>, number: u32) -> io::Result<Connection> {
    let address = Ipv4Addr::from(FIRST_ADDRESS + number);
    let mut phone = Desk::new(number, address, std::process::id());
    let socket = connected(address, edge(transport))?;
    let mut connection = match tls {
        None => Connection::Tcp(socket),
        Some(tls) => {
            let name = NAME.try_into().map_err(io::Error::other)?;
            let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
            Connection::Tls(Box::new(StreamOwned::new(session, socket)))
        }
    };
    let role = Role::Extension(number);
    let answer = ask(&mut connection, &over(transport, &phone.register(role, EXPIRES, false)))?;
    phone.keep(role, Challenge::read(&answer));
    expect(&answer, 401)?;
    let answer = ask(&mut connection, &over(transport, &phone.register(role, EXPIRES, true)))?;
    expect(&answer, 200)?;
    Ok(connection)
}

/// A connection from that address.
fn connected(address: Ipv4Addr, edge: SocketAddrV4) -> io::Result<TcpStream> {
    let unbound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(unbound.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, 0)))?;
    connect(unbound.as_raw_fd(), &SockaddrIn::from(edge))?;
    let stream = TcpStream::from(unbound);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The same request for a stream: phones of the bench write `UDP` into their Via, and into their contact nothing.
fn over(transport: Transport, request: &[u8]) -> Vec<u8> {
    let (via, parameter) = match transport {
        Transport::Tls => ("SIP/2.0/TLS", ";transport=tls>;+sip"),
        _ => ("SIP/2.0/TCP", ";transport=tcp>;+sip"),
    };
    let text = String::from_utf8_lossy(request);
    text.replacen("SIP/2.0/UDP", via, 1).replacen(">;+sip", parameter, 1).into_bytes()
}

fn ask(connection: &mut Connection, request: &[u8]) -> io::Result<Message> {
    match connection {
        Connection::Tcp(stream) => asked(stream, request),
        Connection::Tls(stream) => asked(stream, request),
    }
}

fn asked(stream: &mut (impl io::Read + io::Write), request: &[u8]) -> io::Result<Message> {
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
