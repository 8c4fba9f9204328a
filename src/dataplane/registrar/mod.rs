//! The registrar (RFC 3261 §10.3): REGISTER requests that have been proved, against the location service; and what a
//! REGISTER from a hot-desk device means for the seats.

mod answer;
mod native;
mod request;
mod update;

pub(crate) use answer::write_granted;
pub(crate) use native::{Native, Wish, decide};
pub(crate) use request::check;
pub(crate) use update::{Outcome, Registration, Sender, update};

/// What a REGISTER wants, as far as it can be read.
pub(crate) fn wish(request: &sip::Message<'_>) -> Wish {
    match request::removes_all(request) {
        None => Wish::Ask,
        Some(true) => Wish::Remove,
        Some(false) => Wish::Bind,
    }
}
