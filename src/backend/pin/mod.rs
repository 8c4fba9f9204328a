//! Checking PINs. A check may cost tens of milliseconds of a core: `server` gives it threads of its own.

pub mod hash;
pub mod pepper;
