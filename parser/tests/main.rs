//! The parser against the torture messages of RFC 4475 and RFC 5118, and against itself.

mod torture;
