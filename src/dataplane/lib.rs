//! All that a SIP message meets inside Hotdesk: it decides, does no I/O and reads no clock.

pub mod counters;
pub mod flow;
pub mod hotdesk;
pub mod input;
pub mod now;
pub mod output;
pub mod query;
pub mod refusal;
pub mod return_path;
pub mod settings;
