//! What carries a phone's messages: a UDP socket, or a connection, with TLS or without, that is cut into messages by
//! Content-Length.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::message::Message;
use crate::deadline::Deadline;

/// The longest message: a UDP datagram's limit, for both.
const MESSAGE_OCTETS_MAX: usize = 65_535;

/// How long a TCP connection may take to stand, or to take a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a phone reaches its edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// One connection.
    Tcp,
    /// One connection that nobody can read along.
    Tls,
}

impl Transport {
    /// As Via names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// An open socket.
#[derive(Debug)]
pub struct Wire {
    edge: SocketAddr,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Datagrams(UdpSocket),
    Stream { stream: Stream, unread: Vec<u8> },
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(socket) => socket,
            Self::Tls(session) => &session.sock,
        }
    }

    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(octets),
            Self::Tls(session) => session.read(octets),
        }
    }

    fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.write_all(octets),
            Self::Tls(session) => {
                session.write_all(octets)?;
                session.flush()
            }
        }
    }
}

impl Wire {
    /// Ends a connection so that the edge hears of it at once, whatever either side had still to say. Datagrams end by
    /// themselves.
    pub fn reset(self) -> io::Result<()> {
        match &self.socket {
            Socket::Stream { stream, .. } => {
                socket2::SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO))
            }
            Socket::Datagrams(_) => Ok(()),
        }
    }

    /// A socket of its own port on loopback, in the family of `edge`.
    ///
    /// # Errors
    /// The operating system has none, or nobody listens at `edge`. For TLS there is [`Self::open_tls`].
    pub fn open(transport: Transport, edge: SocketAddr) -> io::Result<Self> {
        match transport {
            Transport::Udp if edge.is_ipv4() => Self::open_udp(edge, Ipv4Addr::LOCALHOST.into()),
            Transport::Udp => Self::open_udp(edge, Ipv6Addr::LOCALHOST.into()),
            Transport::Tcp => Self::over_tcp(connect(edge)?),
            Transport::Tls => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// A UDP socket at another address of this machine.
    ///
    /// # Errors
    /// The operating system has none there.
    pub fn open_udp(edge: SocketAddr, own: IpAddr) -> io::Result<Self> {
        Ok(Self { edge, socket: Socket::Datagrams(UdpSocket::bind((own, 0))?) })
    }

    /// A TCP connection that stands already.
    ///
    /// # Errors
    /// The operating system does not say who is at its other end.
    pub fn over_tcp(stream: TcpStream) -> io::Result<Self> {
        let edge = stream.peer_addr()?;
        Ok(Self { edge, socket: Socket::Stream { stream: Stream::Tcp(stream), unread: Vec::new() } })
    }

    /// A TLS connection to whoever is called `name` and listens at `edge`, with the handshake behind it. `tls` says whom
    /// the phone believes and what certificate it shows.
    ///
    /// # Errors
    /// Nobody listens there, or the handshake fails; a refused certificate of a client shows only when it reads (RFC 8446
    /// §4.4.2).
    pub fn open_tls(edge: SocketAddr, name: &str, tls: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut socket = connect(edge)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut session = ClientConnection::new(tls, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let stream = Stream::Tls(Box::new(StreamOwned::new(session, socket)));
        Ok(Self { edge, socket: Socket::Stream { stream, unread: Vec::new() } })
    }

    /// The TLS session, if this is one.
    pub fn tls(&self) -> Option<&ClientConnection> {
        match &self.socket {
            Socket::Stream { stream: Stream::Tls(session), .. } => Some(&session.conn),
            _ => None,
        }
    }

    pub(super) fn transport(&self) -> Transport {
        match &self.socket {
            Socket::Datagrams(_) => Transport::Udp,
            Socket::Stream { stream: Stream::Tcp(_), .. } => Transport::Tcp,
            Socket::Stream { stream: Stream::Tls(_), .. } => Transport::Tls,
        }
    }

    /// This end's address.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Datagrams(socket) => socket.local_addr(),
            Socket::Stream { stream, .. } => stream.socket().local_addr(),
        }
    }

    /// Sends octets as they are: a datagram, or a piece of the stream.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Datagrams(socket) => socket.send_to(octets, self.edge).map(drop),
            Socket::Stream { stream, .. } => stream.write_all(octets),
        }
    }

    /// Says that nothing more will be sent; what comes is still read. Datagrams have no end.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn finish(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Datagrams(_) => Ok(()),
            Socket::Stream { stream, .. } => stream.socket().shutdown(std::net::Shutdown::Write),
        }
    }

    /// The next message; `None` if none came by `deadline`. Line breaks between messages of a stream are skipped
    /// (RFC 3261 §7.5).
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the edge has closed the connection, else what the socket says.
    pub fn receive(&mut self, deadline: Deadline) -> io::Result<Option<Message>> {
        loop {
            if let Socket::Stream { unread, .. } = &mut self.socket
                && let Some(message) = cut(unread)?
            {
                return Ok(Some(message));
            }
            let mut octets = vec![0; MESSAGE_OCTETS_MAX];
            let Some(length) = self.read(&mut octets, deadline)? else { return Ok(None) };
            match &mut self.socket {
                Socket::Datagrams(_) => {
                    return Ok(Some(Message::new(String::from_utf8_lossy(&octets[..length]))));
                }
                Socket::Stream { .. } if length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Socket::Stream { unread, .. } => unread.extend_from_slice(&octets[..length]),
            }
        }
    }

    /// The next octets as they come, a datagram or a piece of the stream: 0 at the end of a connection, `None`
    /// after `deadline`.
    ///
    /// # Errors
    /// What the socket says.
    pub fn read(&mut self, octets: &mut [u8], deadline: Deadline) -> io::Result<Option<usize>> {
        loop {
            let Some(left) = deadline.left() else { return Ok(None) };
            let read = match &mut self.socket {
                Socket::Datagrams(socket) => {
                    socket.set_read_timeout(Some(left))?;
                    socket.recv(octets)
                }
                Socket::Stream { stream, .. } => {
                    stream.socket().set_read_timeout(Some(left))?;
                    stream.read(octets)
                }
            };
            match read {
                Ok(length) => return Ok(Some(length)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

fn connect(edge: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&edge, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Takes the first whole message off `unread`.
fn cut(unread: &mut Vec<u8>) -> io::Result<Option<Message>> {
    let blank = unread.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
    unread.drain(..blank);
    let Some(head) = unread.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match unread.len() {
            0..=MESSAGE_OCTETS_MAX => Ok(None),
            _ => Err(io::ErrorKind::InvalidData.into()),
        };
    };
    let text = String::from_utf8_lossy(&unread[..head + 4]);
    let length = Message::new(text).header("Content-Length").and_then(|length| length.parse().ok());
    let Some(length) = length.filter(|length: &usize| *length <= MESSAGE_OCTETS_MAX) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let end = head + 4 + length;
    if unread.len() < end {
        return Ok(None);
    }
    let message = Message::new(String::from_utf8_lossy(&unread[..end]));
    unread.drain(..end);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_messages() {
        let one = "OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";
        let mut unread = format!("\r\n\r\n{one}{one}").into_bytes();
        unread.pop();

        assert_eq!(cut(&mut unread).unwrap(), Some(Message::new(one)));
        assert_eq!(cut(&mut unread).unwrap(), None);
        unread.push(b'c');
        assert_eq!(cut(&mut unread).unwrap(), Some(Message::new(one)));
        assert!(unread.is_empty());
    }
}
