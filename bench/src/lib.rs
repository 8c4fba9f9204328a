//! What tests, the demonstration and load tools share: phones and a client of the control API, on real sockets.

pub mod control;
pub mod deadline;
pub mod phone;
pub mod random;
