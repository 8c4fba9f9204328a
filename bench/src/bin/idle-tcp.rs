//! What an idle phone over TCP costs: see [`bench::idle`].

use std::process::ExitCode;

use bench::phone::Transport;

fn main() -> ExitCode {
    bench::idle::run(Transport::Tcp)
}
