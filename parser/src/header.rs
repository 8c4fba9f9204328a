//! The header fields, one grammar a file.

pub(crate) mod contact;
pub(crate) mod credentials;
pub(crate) mod cseq;
pub(crate) mod event;
pub(crate) mod name;
pub(crate) mod name_addr;
pub(crate) mod numbers;
pub(crate) mod tokens;
pub(crate) mod via;
