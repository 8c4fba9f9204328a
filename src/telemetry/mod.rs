//! What the edge tells its operator about itself.

pub mod metrics;
