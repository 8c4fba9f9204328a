//! A request that is about to be sent: its lines may still be changed.

/// A request without Via and credentials, which are put in each time it is sent.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The method.
    pub method: String,
    /// The Request-URI.
    pub uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Draft {
    /// A request with nothing in it.
    pub fn new(method: &str, uri: &str) -> Self {
        Self { method: method.into(), uri: uri.into(), headers: Vec::new(), body: String::new() }
    }

    /// One more line.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Every line of `values` in order.
    #[must_use]
    pub fn with_all(self, name: &str, values: &[String]) -> Self {
        values.iter().fold(self, |draft, value| draft.with(name, value))
    }

    /// `value` in place of all lines of a header.
    #[must_use]
    pub fn replace(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    /// No line of this header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// This body.
    #[must_use]
    pub fn with_body(mut self, kind: &str, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self.replace("Content-Type", kind)
    }

    /// The first line of a header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// The number of CSeq, and the next one put in its place.
    pub(super) fn raise_cseq(&mut self) {
        let next = self.cseq() + 1;
        let value = format!("{next} {}", self.method);
        *self = std::mem::replace(self, Self::new("", "")).replace("CSeq", &value);
    }

    pub(super) fn cseq(&self) -> u32 {
        self.header("CSeq").split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    /// As it goes out, the lines of `first` before all others.
    pub fn write(&self, first: &[(&str, &str)]) -> String {
        self.write_after(&format!("{} {} SIP/2.0", self.method, self.uri), first)
    }

    /// The same lines as a response.
    pub(super) fn write_response(&self, code: u16) -> String {
        self.write_after(&format!("SIP/2.0 {code} {}", reason(code)), &[])
    }

    fn write_after(&self, start_line: &str, first: &[(&str, &str)]) -> String {
        let own = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let mut text = format!("{start_line}\r\n");
        for (name, value) in first.iter().copied().chain(own) {
            text += &format!("{name}: {value}\r\n");
        }
        text + &format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

/// What this phone says beside a status.
fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        603 => "Decline",
        _ => "Because",
    }
}
