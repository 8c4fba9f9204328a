//! What the edge asks and waits for outside the dataplane: the store and the check of PINs.

pub mod pin;
pub mod store;
