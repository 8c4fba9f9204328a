//! The `hotdesk` program.

fn main() {}
