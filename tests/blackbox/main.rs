//! The edge from outside: real processes, files and sockets. Every test has an edge of its own.

#![expect(clippy::unwrap_used, reason = "this is all tests")]

mod attendant;
mod audit;
mod calls;
mod control;
mod datagrams;
mod demonstration;
mod edge;
mod faults;
mod flood;
mod gateways;
mod hostile;
mod hoteling;
mod kill;
mod mutations;
mod native;
mod probe;
mod program;
mod seats;
mod secrets;
mod streams;
mod swarm;
mod time;
mod tls;
mod torture;
