//! Checking PINs. A check costs tens of milliseconds of a core: `server` gives it threads of its own.

pub mod hash;
