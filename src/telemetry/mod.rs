//! What the edge tells its operator about itself.

pub mod log;
pub mod metrics;
