//! What an idle phone over TLS costs: see [`bench::idle`].

use std::process::ExitCode;

use bench::phone::Transport;

fn main() -> ExitCode {
    bench::idle::run(Transport::Tls)
}
