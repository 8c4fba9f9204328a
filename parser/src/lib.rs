//! SIP messages as RFC 3261 writes them: read without copying, forwarded byte for byte, answered from
//! their own octets.
//!
//! Parsing has two stages. [`Message::parse`] makes one pass over the head and leaves an index: where each
//! header line lies and which header it is. Everything else is a *view* made on demand from the octets of
//! one header ([`Message::top_via`], [`Message::cseq`], [`Message::contacts`] …), so a caller pays for what
//! it reads. Up to 64 header lines nothing is allocated.
//!
//! | in | out |
//! |---|---|
//! | a datagram, or a message framed by [`Framer`] on a stream | [`Message`], or a [`ParseError`] that names the response to give |
//! | a [`Message`] and edits | the forwarded message, by [`Rewrite`] |
//! | a request and a status code | the response, by [`Compose`] |
//!
//! The crate does no I/O, reads no clock and keeps no state besides the scan position of a [`Framer`].
//! Whatever the input, it never panics, and its cost grows linearly with the octets it is given.

pub mod compose;
mod error;
mod frame;
mod grammar;
mod header;
mod header_lines;
mod host;
mod index;
mod limits;
mod list;
mod message;
mod method;
mod octets;
mod params;
mod rewrite;
mod salvage;
mod scan;
mod start_line;
mod status;
mod uri;
mod validate;

pub use compose::{Compose, ResponseOptions};
pub use error::{ErrorKind, ParseError};
pub use frame::{Frame, Framer};
pub use header::contact::{Contact, ContactValue};
pub use header::credentials::{Challenge, Credentials};
pub use header::cseq::CSeq;
pub use header::event::{Event, SubscriptionState};
pub use header::name::Name;
pub use header::name_addr::NameAddr;
pub use header::tokens::Tokens;
pub use header::via::Via;
pub use header_lines::HeaderLines;
pub use host::Host;
pub use limits::Limits;
pub use list::{List, Values};
pub use message::{Field, Message};
pub use method::Method;
pub use octets::unquote;
pub use params::Params;
pub use rewrite::Rewrite;
pub use start_line::StartLine;
pub use status::reason_phrase;
pub use uri::{Scheme, Uri, unescape};
pub use validate::Mandatory;
