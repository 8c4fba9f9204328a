//! The seat table and what may happen to it. Knows no SIP message.

mod change;

pub use change::{Cause, Place, Seat, SeatChange, Surface};
