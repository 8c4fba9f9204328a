//! A client of the control API: one request, one connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::deadline::Deadline;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than any page of the API has in a test or demonstration.
const ANSWER_OCTETS_MAX: usize = 16 * 1024 * 1024;

/// The control API of an edge, as the holder of a token sees it.
#[derive(Clone, Debug)]
pub struct Control {
    address: SocketAddr,
    token: Option<String>,
}

/// What the API said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Who sits at a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sitting {
    /// The device.
    pub device: String,
    /// The extension.
    pub extension: String,
    /// The person's name; empty where it has none.
    pub name: String,
    /// How the seat was taken.
    pub surface: String,
    /// The seat's epoch.
    pub epoch: u64,
}

impl Control {
    /// The API at `address`, asked with `token`.
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: Some(token.into()) }
    }

    /// The same API, asked without a token.
    pub fn without_token(&self) -> Self {
        Self { token: None, ..*self }
    }

    /// Sends a GET.
    ///
    /// # Errors
    /// The connection fails, or what comes back is no HTTP.
    pub fn get(&self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, "")
    }

    /// Sends a POST with a JSON body.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn post(&self, path: &str, body: &str) -> io::Result<Answer> {
        self.ask("POST", path, body)
    }

    /// Logs `extension` in at `device`.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn log_in(&self, tenant: &str, device: &str, extension: &str) -> io::Result<Answer> {
        let body = format!(r#"{{"tenant":"{tenant}","device":"{device}","extension":"{extension}"}}"#);
        self.post("/v1/login", &body)
    }

    /// Logs out whoever sits at `device`.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn log_out(&self, tenant: &str, device: &str) -> io::Result<Answer> {
        self.post("/v1/logout", &format!(r#"{{"tenant":"{tenant}","device":"{device}"}}"#))
    }

    /// Who sits where, by device.
    ///
    /// # Errors
    /// The API cannot be asked, refuses, or says what is no list of seats.
    pub fn seats(&self) -> io::Result<Vec<Sitting>> {
        let answer = self.get("/v1/seats")?;
        let no_seats = || io::Error::other(format!("no list of seats: {} {}", answer.status, answer.body));
        let page: Value = serde_json::from_str(&answer.body).map_err(|_| no_seats())?;
        let seats = page.get("seats").and_then(Value::as_array).ok_or_else(no_seats)?;
        seats.iter().map(|seat| sitting(seat).ok_or_else(no_seats)).collect()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let deadline = Deadline::after(PATIENCE);
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some(token) = &self.token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes())?;
        let mut octets = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            stream.set_read_timeout(Some(deadline.left().ok_or(io::ErrorKind::TimedOut)?))?;
            match stream.read(&mut chunk)? {
                0 => break,
                _ if octets.len() > ANSWER_OCTETS_MAX => return Err(io::ErrorKind::FileTooLarge.into()),
                length => octets.extend_from_slice(&chunk[..length]),
            }
        }
        read(&String::from_utf8_lossy(&octets)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn read(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, head: head.into(), body: body.into() })
}

fn sitting(seat: &Value) -> Option<Sitting> {
    let text = |name: &str| Some(seat.get(name)?.as_str()?.to_owned());
    Some(Sitting {
        device: text("device")?,
        extension: text("extension")?,
        name: text("name")?,
        surface: text("surface")?,
        epoch: seat.get("epoch")?.as_u64()?,
    })
}
