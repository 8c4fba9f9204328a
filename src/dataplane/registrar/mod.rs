//! The registrar (RFC 3261 §10.3): REGISTER requests that have been proved, against the location service; and what a
//! REGISTER from a hot-desk device means for the seats.

mod answer;
mod native;
mod request;
mod update;

pub(crate) use answer::{Granted, write_granted};
pub(crate) use native::{Native, Wish, meaning};
pub(crate) use request::Register;
pub(crate) use update::{Outcome, OwnMax, Registration, Role, update};
