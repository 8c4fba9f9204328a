//! A request as a phone is about to send it: a start line and headers that a test may change.

/// A request that can still be changed. Via, CSeq and credentials are put in each time it is sent.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The method.
    pub method: String,
    /// The Request-URI.
    pub uri: String,
    /// The body; its length is written with it.
    pub body: String,
    headers: Vec<(String, String)>,
}

impl Draft {
    pub(super) fn new(method: &str, uri: &str) -> Self {
        Self { method: method.into(), uri: uri.into(), body: String::new(), headers: Vec::new() }
    }

    /// Puts `value` in place of all values of a header.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.remove(name).add(name, value)
    }

    /// Adds one more line.
    pub fn add(&mut self, name: &str, value: &str) -> &mut Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Takes a header out.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// The first value of a header.
    pub fn get(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// As it goes out, the given lines first.
    pub(super) fn write(&self, first: &[(&str, &str)]) -> String {
        let mut text = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        let own = self.headers.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in first.iter().copied().chain(own) {
            text += &format!("{name}: {value}\r\n");
        }
        text + &format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}
