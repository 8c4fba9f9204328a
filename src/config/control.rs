//! `[control]`: where the control API listens and whose tokens it takes.

use std::fmt;
use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::keys;
use super::name;
use super::read::{Table, Text};
use super::report::{Problem, Span};
use super::secret::Secrets;
use super::server::{Listen, socket_address};

/// Most tokens of the control API; every request is compared with all of them.
pub const TOKENS_MAX: usize = 64;

/// The control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// What to bind.
    pub address: SocketAddr,
    /// Who may use it; at most [`TOKENS_MAX`].
    pub tokens: Vec<Token>,
}

impl Control {
    /// The name of the token `presented`. All tokens are compared, in constant time.
    pub fn bearer(&self, presented: &[u8]) -> Option<&str> {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        self.tokens.iter().fold(None, |found, token| {
            if bool::from(token.sha256.ct_eq(&digest)) { Some(&*token.name) } else { found }
        })
    }
}

/// A bearer token of the control API, kept as its SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, for the log.
    pub name: Box<str>,
    sha256: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, …)", self.name)
    }
}

/// Reads it; `listeners` may not listen at the same place.
pub(super) fn read(
    table: &Table<'_>,
    secrets: &Secrets<'_>,
    listeners: &[(Listen, Span)],
) -> Option<Control> {
    let text = table.required("address", "add address = \"127.0.0.1:8060\"");
    let tokens: Vec<_> = table.tables("tokens", &keys::TOKEN, TOKENS_MAX);
    let address = text.as_ref().and_then(|text| socket_address(text, table));
    let local = address.is_none_or(|address| address.ip().is_loopback());
    let tokens: Vec<_> = tokens.iter().filter_map(|entry| token(entry, secrets, local)).collect();
    for (at, (token, span)) in tokens.iter().enumerate() {
        if let Some((_, first)) = tokens[..at].iter().find(|(other, _)| other.name == token.name) {
            let problem = Problem::error(format!("two tokens are called {}", token.name));
            table
                .add(problem.at(first, "here").at(span, "and here").help("the log tells them apart by name"));
        }
    }
    let (address, span) = (address?, text?.span);
    if tokens.is_empty() && table.entry("tokens").is_none() {
        let problem = Problem::warning("the control API has no token: only health and metrics can be asked");
        table.add(problem.at(&span, "here").help("add tokens = [{ name = \"…\", hash = \"sha256:…\" }]"));
    }
    if !local {
        let problem = Problem::warning("tokens and seats cross the network unencrypted");
        table.add(
            problem.at(&span, "not a loopback address").help("put a proxy that speaks TLS in front of it"),
        );
    }
    let same = |(listen, _): &&(Listen, Span)| {
        listen.protocol.is_stream() && listen.address == address && address.port() != 0
    };
    if let Some((_, first)) = listeners.iter().find(same) {
        let problem = Problem::error(format!("{address} is listened on twice"));
        table.add(problem.at(first, "for SIP").at(&span, "and for the control API"));
    }
    Some(Control { address, tokens: tokens.into_iter().map(|(token, _)| token).collect() })
}

fn token(table: &Table<'_>, secrets: &Secrets<'_>, local: bool) -> Option<(Token, Span)> {
    let name = table.required("name", "add name = \"…\": it says in the log who asked");
    let name = name.and_then(|text| Some((name::name(&text, table.findings())?, text.span)));
    let given: Vec<_> =
        ["token", "hash", "file"].into_iter().filter(|key| table.entry(key).is_some()).collect();
    let sha256 = match given[..] {
        ["token"] => table.text("token").and_then(|text| {
            if !local {
                let problem = Problem::warning("a token stands in clear").at(&text.span, "this");
                table.add(problem.help("hash = \"sha256:…\", from: printf %s TOKEN | sha256sum"));
            }
            Some(Sha256::digest(secrets.clear(&text)?.as_bytes()).into())
        }),
        ["hash"] => table.text("hash").and_then(|text| token_hash(&text, table)),
        ["file"] => secrets.file(table).map(|token| Sha256::digest(token.as_bytes()).into()),
        _ => {
            let problem = Problem::error("a token is given by exactly one of `token`, `hash` and `file`");
            table.add(problem.at(&table.span, "in this table").help("`hash` outside of a demonstration"));
            None
        }
    };
    let (name, span) = name?;
    Some((Token { name, sha256: sha256? }, span))
}

fn token_hash(text: &Text<'_>, table: &Table<'_>) -> Option<[u8; 32]> {
    let digits = text.value.strip_prefix("sha256:").filter(|digits| digits.len() == 64);
    let hash = digits.and_then(|digits| {
        let mut hash = [0; 32];
        for (octet, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let (high, low) = (char::from(pair[0]).to_digit(16)?, char::from(pair[1]).to_digit(16)?);
            *octet = (high << 4 | low) as u8;
        }
        Some(hash)
    });
    if hash.is_none() {
        let problem = Problem::error("not the SHA-256 of a token").at(&text.span, "this");
        table.add(problem.help("sha256: and 64 hexadecimal digits, from: printf %s TOKEN | sha256sum"));
    }
    hash
}
