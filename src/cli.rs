//! The command line: what `hotdesk` can be asked, and the commands that need no running edge.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
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
    /// Make the key for keyed PIN hashes in a new file that its owner alone may read: the one that `[pins] pepper` names.
    MakePepper {
        /// The file. It must not exist.
        file: PathBuf,
    },
}

/// Arguments of `hotdesk hash-pin`.
#[derive(Debug, Args)]
pub struct HashPin {
    /// Hash it with HMAC-SHA-256 under the first line of this file, the one that `[pins] pepper` names: costs a log-in
    /// nothing, and is worth nothing to a thief without the file. Else it is hashed with Argon2id, which needs no file
    /// and costs every log-in some 20 ms and 19 MiB.
    #[arg(long, value_name = "FILE")]
    pub pepper: Option<PathBuf>,
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

fn hash_of(pin: &str, HashPin { pepper }: &HashPin) -> Result<String, HashPinError> {
    if !PIN_DIGITS.contains(&pin.len()) || !pin.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(HashPinError::NotDigits);
    }
    let Some(path) = pepper else { return Ok(hash::hash_argon2id(pin.as_bytes())?) };
    let (pepper, _) =
        config::first_line(path).map_err(|source| HashPinError::Pepper { path: path.clone(), source })?;
    Ok(hash::hash_hmac(pin.as_bytes(), pepper.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::pin::pepper;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory as _;

        Cli::command().debug_assert();
    }

    #[test]
    fn pin_is_hashed_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pepper");
        pepper::make(&file).unwrap();

        let slow = hash_of("7738", &HashPin { pepper: None }).unwrap();
        let keyed = hash_of("7738", &HashPin { pepper: Some(file.clone()) }).unwrap();

        let (pepper, _) = config::first_line(&file).unwrap();
        assert!(slow.starts_with("$argon2id$") && keyed.starts_with("$hmac-sha256$"), "{slow} {keyed}");
        assert!(hash::verify(&slow, b"7738", None).unwrap());
        assert!(hash::verify(&keyed, b"7738", Some(pepper.as_bytes())).unwrap());
    }

    #[test]
    fn what_no_phone_can_type_is_no_pin() {
        let arguments = HashPin { pepper: None };
        for pin in ["", "773", "77a8", "7738 ", "12345678901234567", "٧٧٣٨"] {
            assert!(matches!(hash_of(pin, &arguments), Err(HashPinError::NotDigits)), "{pin}");
        }
    }

    #[test]
    fn pin_is_not_hashed_under_a_pepper_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("short");
        std::fs::write(&short, "0123456789abcdef\n").unwrap();

        let short = hash_of("7738", &HashPin { pepper: Some(short) });
        let missing = hash_of("7738", &HashPin { pepper: Some(folder.path().join("missing")) });

        assert!(matches!(short, Err(HashPinError::Hash(PinHashError::PepperShort))), "{short:?}");
        assert!(matches!(missing, Err(HashPinError::Pepper { .. })), "{missing:?}");
    }
}
