//! The command line: what `hotdesk` can be asked, and the commands that need no running edge.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use zeroize::Zeroizing;

use crate::backend::pin::hash::{self, PinHashError};
use crate::config;

/// Digits of a PIN: fewer are guessed in an afternoon, more are not remembered.
const PIN_DIGITS: RangeInclusive<usize> = 4..=16;

/// A SIP edge proxy that does hot desking for shared desk phones.
#[derive(Debug, Parser)]
#[command(name = "hotdesk", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `hotdesk` can be asked.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Run the edge.
    Run {
        /// The configuration file.
        file: PathBuf,
    },
    /// Check a configuration file: every error and warning in it, underlined. Exits with 1 if there is an error.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// Hash a PIN for `pin = { hash = "…" }`. It is asked for without echo, or read from standard input.
    HashPin(HashPin),
}

/// Arguments of `hotdesk hash-pin`.
#[derive(Debug, Args)]
pub struct HashPin {
    /// How to hash it.
    #[arg(long, value_enum, default_value_t = HashAlgorithm::Argon2id)]
    pub algorithm: HashAlgorithm,
    /// The file whose first line is the key of hmac-sha256: the one that `[pins] pepper` names.
    #[arg(long, value_name = "FILE", required_if_eq("algorithm", "hmac-sha256"))]
    pub pepper: Option<PathBuf>,
}

/// How a PIN is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HashAlgorithm {
    /// Slow on purpose: some 20 ms and 19 MiB a log-in.
    Argon2id,
    /// Costs nothing at a log-in; worth nothing to a thief without the key.
    HmacSha256,
}

/// `hotdesk check FILE`: the report goes to standard error, one line that sums up to standard output.
pub fn check(file: &Path) -> ExitCode {
    let name = file.display();
    match config::load(file) {
        Ok(loaded) => {
            eprint!("{}", loaded.warnings.for_terminal());
            let (tenants, devices, extensions) = loaded.tenants().fold((0, 0, 0), |(t, d, e), tenant| {
                (t + 1, d + tenant.devices.len(), e + tenant.extensions.len())
            });
            println!(
                "{name}: good, {}; {}, {}, {}",
                count(loaded.warnings.warnings(), "warning"),
                count(tenants, "tenant"),
                count(devices, "device"),
                count(extensions, "extension"),
            );
            ExitCode::SUCCESS
        }
        Err(report) => {
            eprint!("{}", report.for_terminal());
            let (errors, warnings) = (report.errors(), report.warnings());
            println!("{name}: refused, {}, {}", count(errors, "error"), count(warnings, "warning"));
            ExitCode::FAILURE
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Why `hotdesk hash-pin` printed no hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashPinError {
    /// Neither terminal nor standard input gave a line.
    #[error("the PIN cannot be read")]
    Read(#[source] io::Error),
    /// The two entries differ.
    #[error("these were two different PINs")]
    Differ,
    /// Nobody could type it at a phone.
    #[error("a PIN has {} to {} digits and nothing else", PIN_DIGITS.start(), PIN_DIGITS.end())]
    NotDigits,
    /// The file with the key.
    #[error("{path} cannot be read")]
    Pepper {
        /// As it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The hash itself failed.
    #[error(transparent)]
    Hash(#[from] PinHashError),
}

/// `hotdesk hash-pin`: the PHC string for a PIN that a person types twice without seeing it, or that another program
/// writes to standard input as one line.
pub fn hash_pin(arguments: &HashPin) -> Result<String, HashPinError> {
    let pin = if io::stdin().is_terminal() {
        let first = ask("PIN: ")?;
        if *first != *ask("Again: ")? {
            return Err(HashPinError::Differ);
        }
        first
    } else {
        let mut line = Zeroizing::new(String::new());
        io::stdin().lock().read_line(&mut line).map_err(HashPinError::Read)?;
        line
    };
    hash_of(pin.trim_end_matches(['\r', '\n']), arguments)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, HashPinError> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(HashPinError::Read)
}

fn hash_of(pin: &str, arguments: &HashPin) -> Result<String, HashPinError> {
    if !PIN_DIGITS.contains(&pin.len()) || !pin.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(HashPinError::NotDigits);
    }
    Ok(match (arguments.algorithm, &arguments.pepper) {
        (HashAlgorithm::Argon2id, _) => hash::hash_argon2id(pin.as_bytes())?,
        (HashAlgorithm::HmacSha256, None) => return Err(PinHashError::PepperMissing.into()),
        (HashAlgorithm::HmacSha256, Some(path)) => {
            let (pepper, _) = config::first_line(path)
                .map_err(|source| HashPinError::Pepper { path: path.clone(), source })?;
            hash::hash_hmac(pin.as_bytes(), pepper.as_bytes())?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory as _;

        Cli::command().debug_assert();
    }

    #[test]
    fn pin_is_hashed_as_asked() {
        let arguments = HashPin { algorithm: HashAlgorithm::Argon2id, pepper: None };

        let hash = hash_of("7738", &arguments).unwrap();

        assert!(hash::verify(&hash, b"7738", None).unwrap());
    }

    #[test]
    fn what_no_phone_can_type_is_no_pin() {
        let arguments = HashPin { algorithm: HashAlgorithm::Argon2id, pepper: None };
        for pin in ["", "773", "77a8", "7738 ", "12345678901234567", "٧٧٣٨"] {
            assert!(matches!(hash_of(pin, &arguments), Err(HashPinError::NotDigits)), "{pin}");
        }
    }

    #[test]
    fn keyed_hash_is_refused_without_its_key() {
        let command = ["hotdesk", "hash-pin", "--algorithm", "hmac-sha256"];

        assert!(Cli::try_parse_from(command).is_err());
    }
}
