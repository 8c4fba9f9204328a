//! RFC 3261 §18: octets in, octets out. Each file knows one way of it; none decides what a message means.
//!
//! Enters: datagrams ([`udp`]), connections and their octets ([`tcp`], in clear by [`tls`], cut into messages by
//! [`stream`], kept in the table of [`connections`]). Leaves: messages on the same ways. Nothing here waits: sockets are
//! non-blocking, and whoever drives them (`server/`) waits for their readiness.

pub mod connections;
mod counters;
mod dscp;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod udp;

pub use counters::Counters;
pub use dscp::Dscp;
