//! The dataplane without its shells: octets in, octets out, a clock of the bench's own, the store `memory`.
//!
//! [`Edge`] is what is measured; a [`Floor`] is an office floor of desk phones that work on it, one [`Operation`] at a
//! time. What the phones do to write and read messages is not measured.

mod desk;
mod edge;
mod floor;
mod operation;

pub use desk::{DOMAIN, Desk, Role, password};
pub use edge::Edge;
pub use floor::{Floor, settings};
pub use operation::Operation;
