//! What tests, the demonstration and load tools share: phones and a client of the control API, on real sockets; and
//! what the benchmarks measure: parser and dataplane in memory.
//!
//! [`phone`], [`sound`] and [`control`] know nothing of the edge's own code: messages are read as text and digests are computed
//! here, so that one side checks the other. [`swarm`] is phones by the thousand, and [`comparison`] lets them load
//! Kamailio and the edge in turn.

pub mod certificates;
pub mod comparison;
pub mod control;
pub mod deadline;
pub mod idle;
pub mod in_memory;
pub mod parsing;
pub mod phone;
pub mod picture;
pub mod random;
pub mod shift_change;
pub mod sound;
pub mod swarm;
