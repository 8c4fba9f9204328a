//! The locks of the seat table. The shuttle model puts its own in their place by another module of this name.

pub(super) use std::sync::RwLock;
