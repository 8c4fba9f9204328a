//! A message as a phone heard it, for assertions: text, read line by line.

use crate::now::Mono;

/// One message that reached a phone; requests that came again are not repeated here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When, on the office's clock.
    pub at: Mono,
    /// All of it.
    pub text: String,
}

impl Heard {
    /// The method of a request; of a response, the method it answers.
    pub fn method(&self) -> &str {
        match self.status() {
            Some(_) => self.header("CSeq").and_then(|cseq| cseq.split(' ').nth(1)).unwrap_or_default(),
            None => self.text.split(' ').next().unwrap_or_default(),
        }
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The Request-URI of a request; empty for a response.
    pub fn uri(&self) -> &str {
        if self.status().is_some() { "" } else { self.text.split(' ').nth(1).unwrap_or_default() }
    }

    /// The first value of a header by its full name, any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        values(&self.text, name).next()
    }

    /// Every line of a header by its full name, any case.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        values(&self.text, name).collect()
    }
}

/// The values of a header, one a line; the edge folds no lines and writes full names.
pub(super) fn values<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    head.split("\r\n").skip(1).filter_map(move |line| {
        let (field, value) = line.split_once(':')?;
        field.trim_end().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub(super) fn value<'a>(text: &'a str, name: &str) -> &'a str {
    values(text, name).next().unwrap_or_default()
}

/// A parameter after `;` or `,`, without its quotes.
pub(super) fn quoted(value: &str, name: &str) -> Option<String> {
    let (_, after) = value
        .match_indices(name)
        .map(|(at, _)| value.split_at(at))
        .find(|(before, after)| before.ends_with([' ', ',', ';']) && after[name.len()..].starts_with('='))?;
    let after = &after[name.len() + 1..];
    Some(match after.strip_prefix('"') {
        Some(text) => text.split('"').next()?.to_owned(),
        None => after.split([',', ';', ' ', '>']).next()?.to_owned(),
    })
}

/// The URI of a name-addr.
pub(super) fn uri_of(value: &str) -> &str {
    let unnamed =
        value.strip_prefix('"').and_then(|rest| rest.split_once('"')).map_or(value, |(_, rest)| rest);
    match unnamed.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => value.split(';').next().unwrap_or_default(),
    }
}

/// The tag of a From or To.
pub(super) fn tag_of(value: &str) -> Option<String> {
    quoted(value.rsplit_once('>').map_or(value, |(_, params)| params), "tag")
}
