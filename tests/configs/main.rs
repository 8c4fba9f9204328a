//! The shipped configurations load, the documentation names every key, and what an operator sees of a broken file is
//! worth looking at.

mod drawings;
mod edge;
mod emergency;
mod pins;
mod refused;
mod reload;
mod secrets;
mod shipped;
mod tenants;
mod tls;
mod vain;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bench::certificates::{Authority, Issued};
use hotdesk::backend::pin::key::Key;
use hotdesk::config::{self, Loaded, Report, Source};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file that is as short as can be and has no warning.
const SMALL: &str = r#"
[[listen]]
protocol = "udp"
address = "127.0.0.1:0"

[[tenant]]
id = "acme"
domains = ["Acme.example", "acme.test"]
emergency = { numbers = ["112"], route = "sip:127.0.0.1:5070" }
"#;

fn no_host(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
    Err(io::Error::new(io::ErrorKind::NotFound, "no such host"))
}

fn parse_in(base: &Path, text: &str) -> Result<Loaded, Report> {
    config::parse(&Source { name: "test.toml", text, base, readable_by_others: false, resolve: &no_host })
}

fn parse(text: &str) -> Result<Loaded, Report> {
    parse_in(Path::new("/nonexistent"), text)
}

/// The report about `text`, which has errors.
fn refused(text: &str) -> Report {
    parse(text).expect_err("the file has errors")
}

/// What is drawn, without the spaces at line ends.
fn drawn(report: &Report) -> String {
    report.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn small_with(more: &str) -> String {
    format!("{SMALL}{more}")
}

/// What the secrets of [`complete_folder`] hold.
fn key() -> Key {
    Key::new(b"a-secret-of-32-octets-0123456789").expect("32 are enough")
}

/// Writes a secret into `folder`.
fn write(folder: &TempDir, name: &str, content: &str, mode: u32) {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("the folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

/// A folder with these secrets.
fn folder_with<'a>(secrets: impl IntoIterator<Item = &'a str>) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    for name in ["secrets", "prompts", "tls"] {
        fs::create_dir(folder.path().join(name)).expect("the folder is ours");
    }
    for secret in secrets {
        write(&folder, secret, "a-secret-of-32-octets-0123456789\n", 0o600);
    }
    folder
}

/// The folder of the complete file.
fn complete_folder() -> TempDir {
    let folder = folder_with([
        "secrets/monitoring",
        "secrets/pepper",
        "secrets/seal-key",
        "secrets/hook",
        "secrets/gateway",
        "secrets/desk-2",
        "secrets/1001",
    ]);
    write(&folder, "voicemail.conf", "[default]\n1002 => 2468,Ann Lee\n", 0o600);
    let authority = Authority::new("us");
    write_certificate(&folder, "tls/edge", &authority.host(&["edge.example"]));
    write_certificate(&folder, "tls/acme", &authority.host(&["acme.example"]));
    write(&folder, "tls/makers.pem", authority.pem(), 0o644);
    write(&folder, "tls/portal-ca.pem", authority.pem(), 0o644);
    folder
}

/// Writes `NAME.pem` and `NAME.key`.
fn write_certificate(folder: &TempDir, name: &str, issued: &Issued) {
    write(folder, &format!("{name}.pem"), &issued.chain, 0o644);
    write(folder, &format!("{name}.key"), &issued.key, 0o600);
}
