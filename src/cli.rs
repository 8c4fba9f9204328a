//! The command line: what `hotdesk` can be asked, and the commands that need no running edge.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::backend::pin::changed::counts;
use crate::backend::pin::desk::BackendPlan;
use crate::backend::pin::hash::{self, PinHashError};
use crate::backend::pin::key::Key;
use crate::backend::pin::rules::PIN_DIGITS;
use crate::backend::pin::seal::{self, SealError};
use crate::backend::store::{ChosenPins, chosen_pins};
use crate::config::{self, Loaded};
use crate::control::client::{AskError, Client};
use crate::instant;
use crate::reasons;

/// What the token of the control API is taken from.
const TOKEN_VARIABLE: &str = "HOTDESK_TOKEN";

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
    /// Seal a PIN for `pin = { sealed = "…" }`: for phones that log in by a guest key of their own (hoteling). It is asked
    /// for without echo, or read from standard input.
    SealPin {
        /// The key: the file that `[pins] seal_key` names.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Lift the lock of somebody's PIN at a running edge, by its control API.
    Unlock(Unlock),
    /// Make the key for sealed PINs in a new file that its owner alone may read: the one that `[pins] seal_key` names.
    MakeSealKey {
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

/// Arguments of `hotdesk unlock`.
#[derive(Debug, Args)]
pub struct Unlock {
    /// The tenant.
    pub tenant: Box<str>,
    /// The extension whose PIN may be tried again.
    pub extension: Box<str>,
    /// At this shared phone alone; else wherever it is locked.
    pub device: Option<Box<str>>,
    /// The tenant of that phone, where it is another: a visitor's PIN is locked there.
    #[arg(long, value_name = "TENANT", requires = "device")]
    pub device_tenant: Option<Box<str>>,
    /// Where the control API is.
    #[arg(long, default_value = "http://127.0.0.1:8060")]
    pub url: String,
    /// A file whose first line is a token of the control API. Else the token is taken from HOTDESK_TOKEN: on the command
    /// line everybody on this machine could read it.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl Unlock {
    /// The body of the request.
    fn body(&self) -> Value {
        let Self { tenant, extension, device, device_tenant, .. } = self;
        let mut body = json!({ "tenant": tenant, "extension": extension });
        for (name, value) in [("device", device), ("device_tenant", device_tenant)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        body
    }
}

/// Why `hotdesk unlock` unlocked nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// The operator gave none.
    #[error("no token: set HOTDESK_TOKEN, or name a file with --token-file")]
    NoToken,
    /// The file with the token.
    #[error("{path} cannot be read")]
    Token {
        /// As it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The edge did not do it.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// `hotdesk unlock TENANT EXTENSION [DEVICE]`.
///
/// # Errors
/// See [`UnlockError`]; whatever was locked still is.
pub fn unlock(arguments: &Unlock) -> Result<(), UnlockError> {
    let Unlock { tenant, extension, device, url, token_file, .. } = arguments;
    let token = match token_file {
        Some(path) => {
            let read = config::first_line(path);
            read.map_err(|source| UnlockError::Token { path: path.clone(), source })?.0
        }
        None => Zeroizing::new(std::env::var(TOKEN_VARIABLE).map_err(|_| UnlockError::NoToken)?),
    };
    Client::new(url, token)?.post("/v1/unlock", &arguments.body())?;
    let at = device.as_deref().map_or("everywhere".to_owned(), |device| format!("at {device}"));
    println!("{tenant}: the PIN of {extension} may be tried again {at}");
    Ok(())
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
            print_pins(&loaded);
            print_chosen_pins(&loaded);
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

/// Where the PINs of each tenant are, how many, and what can be done with them; nothing of a tenant that has none.
fn print_pins(loaded: &Loaded) {
    for tenant in loaded.tenants() {
        let Some(plan) = loaded.pins.get(&tenant.id) else { continue };
        let pins = plan.backends.iter().map(|backend| match backend {
            BackendPlan::File => {
                let pins = tenant.extensions.iter().filter(|extension| extension.pin.is_some()).count();
                format!("{} in file", count(pins, "PIN"))
            }
            BackendPlan::VoicemailConf { file, context } => {
                format!(
                    "{} in {}, context {context}",
                    count(file.pins(context), "PIN"),
                    file.path().display()
                )
            }
        });
        let pins = pins.collect::<Vec<_>>().join("; then ");
        let masters: Vec<_> = plan.masters.iter().map(|master| &*master.operator).collect();
        let masters = if masters.is_empty() {
            String::new()
        } else {
            format!("; master PINs of {}", masters.join(", "))
        };
        println!("{}: {pins}{masters}", tenant.id);
    }
}

/// Who chose a PIN of their own at a phone, as the store has it, and whether it counts (SEC-10).
fn print_chosen_pins(loaded: &Loaded) {
    let pins = match chosen_pins(&loaded.server.store) {
        ChosenPins::Read(pins) => pins,
        ChosenPins::InUse => {
            return println!("PINs chosen at phones: an edge has the store open, ask it: GET /v1/pins");
        }
        ChosenPins::Unreadable(error) => {
            return println!("PINs chosen at phones: the store cannot be read: {}", reasons::of(&error));
        }
    };
    for (extension, pin) in pins {
        let tenant = loaded.tenants().find(|tenant| *tenant.id == *extension.tenant());
        let known = tenant.and_then(|tenant| tenant.extension(extension.name()));
        let note = match known {
            Some(extension) if counts(&pin, extension) => "",
            _ => "; it counts no more, the one in the file is another since",
        };
        let (tenant, name, since) = (extension.tenant(), extension.name(), instant::text(pin.at));
        println!("{tenant}: {name} has a PIN chosen at a phone, since {since}{note}");
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Why `hotdesk hash-pin` printed no hash, or `seal-pin` nothing sealed.
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
    Key {
        /// As it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key is too short to be one.
    #[error("a key of PINs has at least {} octets", Key::OCTETS_MIN)]
    KeyShort,
    /// The hash itself failed.
    #[error(transparent)]
    Hash(#[from] PinHashError),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// `hotdesk hash-pin`: the PHC string for a PIN that a person types twice without seeing it, or that another program
/// writes to standard input as one line.
pub fn hash_pin(arguments: &HashPin) -> Result<String, HashPinError> {
    hash_of(&read_pin()?, arguments)
}

/// `hotdesk seal-pin`: likewise, sealed under the key in the file `key`.
pub fn seal_pin(key: &Path) -> Result<String, HashPinError> {
    let pin = read_pin()?;
    check_digits(&pin)?;
    Ok(seal::seal(pin.as_bytes(), &self::key(key)?)?)
}

fn read_pin() -> Result<Zeroizing<String>, HashPinError> {
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
    Ok(Zeroizing::new(pin.trim_end_matches(['\r', '\n']).to_owned()))
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, HashPinError> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(HashPinError::Read)
}

fn hash_of(pin: &str, HashPin { pepper }: &HashPin) -> Result<String, HashPinError> {
    check_digits(pin)?;
    let Some(path) = pepper else { return Ok(hash::hash_argon2id(pin.as_bytes())?) };
    Ok(hash::hash_hmac(pin.as_bytes(), &key(path)?)?)
}

fn check_digits(pin: &str) -> Result<(), HashPinError> {
    let is_good = PIN_DIGITS.contains(&pin.len()) && pin.bytes().all(|digit| digit.is_ascii_digit());
    if is_good { Ok(()) } else { Err(HashPinError::NotDigits) }
}

/// The key in the file at `path`.
fn key(path: &Path) -> Result<Key, HashPinError> {
    let (line, _) =
        config::first_line(path).map_err(|source| HashPinError::Key { path: path.to_owned(), source })?;
    Key::new(line.as_bytes()).ok_or(HashPinError::KeyShort)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::pin::key as pin_key;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory as _;

        Cli::command().debug_assert();
    }

    #[test]
    fn unlock_asks_for_the_phone_that_is_named_and_a_tenant_of_none_is_refused() {
        let body = |more: &[&str]| {
            let parsed =
                Cli::try_parse_from(["hotdesk", "unlock", "demo", "1001"].iter().chain(more)).ok()?;
            let Command::Unlock(unlock) = parsed.command else { return None };
            Some(unlock.body())
        };

        let everywhere = json!({ "tenant": "demo", "extension": "1001" });
        assert_eq!(body(&[]), Some(everywhere));
        let here = json!({ "tenant": "demo", "extension": "1001", "device": "desk-1" });
        assert_eq!(body(&["desk-1"]), Some(here));
        let elsewhere =
            json!({ "tenant": "demo", "extension": "1001", "device": "desk-1", "device_tenant": "annex" });
        assert_eq!(body(&["desk-1", "--device-tenant", "annex"]), Some(elsewhere));
        assert_eq!(body(&["--device-tenant", "annex"]), None);
    }

    #[test]
    fn pin_is_hashed_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pepper");
        pin_key::make(&file).unwrap();

        let slow = hash_of("7738", &HashPin { pepper: None }).unwrap();
        let keyed = hash_of("7738", &HashPin { pepper: Some(file.clone()) }).unwrap();

        let pepper = key(&file).unwrap();
        assert!(slow.starts_with("$argon2id$") && keyed.starts_with("$hmac-sha256$"), "{slow} {keyed}");
        assert!(hash::verify(&slow, b"7738", None).unwrap());
        assert!(hash::verify(&keyed, b"7738", Some(&pepper)).unwrap());
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

        assert!(matches!(short, Err(HashPinError::KeyShort)), "{short:?}");
        assert!(matches!(missing, Err(HashPinError::Key { .. })), "{missing:?}");
    }
}
