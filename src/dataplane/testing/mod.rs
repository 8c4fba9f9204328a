//! The office in memory: edge, phones, wire, store and clock in one thread, for tests, benches and fuzzing.
//!
//! An [`Office`] holds one or more workers over shared tables, phones that behave as phones do, and a wire that may
//! lose, double, delay and reorder datagrams. Hours of its clock pass in milliseconds, and everything that happens
//! follows from its seed.
//!
//! | in | out |
//! |---|---|
//! | what people do: plug in, dial, answer, hang up | what the phones heard ([`Phone::heard`]), how calls ended ([`Office::outcome`]) |
//! | what an operator does: commands, settings, `kill -9` | replies, reports, the seats that stand |
//! | what the world does: time, lost datagrams, a store that is slow or away | |

mod blueprint;
mod call;
mod digest;
mod draft;
mod heard;
mod office;
mod phone;
mod pins;
mod store;
mod wire;

pub use blueprint::{Blueprint, password, pin_hash, tenant};
pub use call::{Call, CallState, Leg};
pub use draft::Draft;
pub use heard::Heard;
pub use office::{Listening, OFFER, Office};
pub use phone::{Door, Manner, Phone};
pub use pins::Pins;
pub use store::{Store, StoreMood};
pub use wire::Quality;
