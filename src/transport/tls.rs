//! TLS under SIP (RFC 3261 §26.2.1; RFC 8446, RFC 5246): one accepted session, as a machine of octets.
//!
//! Enters: what the connection has read. Leaves: what the peer said, in clear, and what is to be written. It holds no
//! socket and waits for nothing; [`super::tcp`] does both. [`Acceptor`] is how TLS is spoken on a listener.

mod acceptor;
mod authorities;
mod certificate;
mod subject;

use std::io::{BufRead as _, Write as _};

use rustls::{HandshakeKind, ServerConnection};

pub use acceptor::{Acceptor, Clients};
pub use authorities::{Authorities, AuthoritiesError};
pub use certificate::{Certificate, Chain, ChainError, KeyError};
pub use subject::{MacPattern, PatternError};

/// One session. After the handshake it owns a read buffer of 4 kB, its keys, and what the peer proved.
#[derive(Debug)]
pub struct Session {
    tls: ServerConnection,
    acceptor: Acceptor,
    certified: Option<[u8; 6]>,
}

/// What became of octets that were taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The session goes on.
    Open,
    /// The peer has said that it will send no more (RFC 8446 §6.1).
    Ended,
    /// This is no TLS, or none that we speak, or the peer's certificate is not believed. The alert that says so is
    /// among what is to be written; nothing more can be read.
    Refused,
}

/// How a handshake that is over went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// With certificates.
    Full,
    /// With the ticket of a session before (RFC 8446 §2.2).
    Resumed,
}

impl Session {
    /// The edge's end of a session whose first octet has yet to come.
    ///
    /// # Errors
    /// The acceptor cannot begin sessions; one that was made can.
    pub fn new(acceptor: Acceptor) -> Result<Self, rustls::Error> {
        let mut tls = ServerConnection::new(acceptor.config())?;
        // Whatever is sealed is taken out at once; the connection bounds what waits for the socket.
        tls.set_buffer_limit(None);
        Ok(Self { tls, acceptor, certified: None })
    }

    /// How the handshake went, once it is over.
    pub fn handshake(&self) -> Option<Handshake> {
        if self.tls.is_handshaking() {
            return None;
        }
        Some(match self.tls.handshake_kind() {
            Some(HandshakeKind::Resumed) => Handshake::Resumed,
            _ => Handshake::Full,
        })
    }

    /// Takes what was read and gives out what the peer said, piece by piece, each with the MAC that the peer's
    /// certificate names. What is to be written then is in [`Self::take_out`].
    pub fn take_in(&mut self, mut octets: &[u8], mut on_clear: impl FnMut(Option<[u8; 6]>, &[u8])) -> Taken {
        // Each turn takes up to 4 kB.
        while !octets.is_empty() {
            let was_handshaking = self.tls.is_handshaking();
            match self.tls.read_tls(&mut octets) {
                // After the peer's last word nothing is read.
                Ok(0) => return Taken::Ended,
                Ok(_) => {}
                Err(_) => return Taken::Refused,
            }
            let Ok(state) = self.tls.process_new_packets() else { return Taken::Refused };
            if was_handshaking && !self.tls.is_handshaking() {
                let certificate = self.tls.peer_certificates().and_then(<[_]>::first);
                self.certified = certificate.and_then(|certificate| self.acceptor.mac_of(certificate));
            }
            let mut reader = self.tls.reader();
            // It is an error where nothing is left and more may come.
            while let Ok(clear) = reader.fill_buf() {
                let length = clear.len();
                if length == 0 {
                    break;
                }
                on_clear(self.certified, clear);
                reader.consume(length);
            }
            if state.peer_has_closed() {
                return Taken::Ended;
            }
        }
        Taken::Open
    }

    /// What TLS itself has to say: handshake, tickets, alerts.
    pub fn take_out(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).expect("a Vec takes whatever it is given");
        }
        out
    }

    /// `clear` as it goes over the wire.
    pub fn seal(&mut self, clear: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(clear).expect("what is sealed is not limited");
        self.take_out()
    }

    /// The last word (RFC 8446 §6.1), with whatever else waits.
    pub fn farewell(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        self.take_out()
    }
}

#[cfg(test)]
mod tests;
