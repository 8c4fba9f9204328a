//! Hotdesk: a SIP edge proxy that does hot desking for shared desk phones.

pub mod audit;
pub mod backend;
pub mod cli;
pub mod config;
pub mod control;
pub mod durations;
pub mod instant;
pub mod media;
pub mod panics;
#[cfg(feature = "planted-faults")]
mod planted;
pub mod reasons;
pub mod server;
pub mod telemetry;
pub mod transport;
mod wall_clock;
