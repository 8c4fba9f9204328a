//! What the edge is to peers. To those that ask who it is it answers their challenges (RFC 3261 §22.2, §22.3), sends
//! credentials ahead, and numbers the requests of a dialog anew, because every answer takes a CSeq of its own. To those that
//! are sent long requests it is a client of streams (§18.1.1).
//!
//! In: what a peer asked, a request on its way there. Out: credentials, numbers, and connections.

mod attempts;
mod challenge;
mod cseq;
mod streams;

pub(crate) use attempts::{Attempt, Attempts, InviteTo};
pub(crate) use challenge::{Challenges, Credentials};
pub(crate) use cseq::ATTEMPT_LAST;
pub use cseq::{Numbering, Renumbered};
pub(crate) use streams::{DATAGRAM_MAX, PeerStream, PeerStreams};
