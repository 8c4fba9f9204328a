//! The sound of a call as a phone has it: what is heard, told by the prompts it is made of, and keys that are sent.
//!
//! As in [`phone`](crate::phone), nothing here is the edge's own code: RTP, telephone events, G.711 and recordings are
//! read anew, so that one side checks the other.

mod ear;
mod line;
mod wav;

pub use ear::{Ear, Said};
pub use line::Line;
pub use wav::samples;
