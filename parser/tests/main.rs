//! The parser against the torture messages of RFC 4475 and RFC 5118, against hostile input, and against itself.

mod bombs;
mod hostile;
mod phones;
mod round_trip;
mod samples;
mod torture;
