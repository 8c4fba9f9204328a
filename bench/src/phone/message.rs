//! A SIP message, read as text: by lines, commas and semicolons.

/// A message as it was sent or heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    text: String,
}

impl Message {
    /// Takes `text` as a message.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Request-Line or Status-Line.
    pub fn start_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// The status code; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        self.start_line().strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The reason phrase of a response.
    pub fn reason(&self) -> &str {
        self.start_line().splitn(3, ' ').nth(2).unwrap_or_default()
    }

    /// The method of a request, or the one that a response answers.
    pub fn method(&self) -> &str {
        match self.status() {
            None => self.start_line().split(' ').next().unwrap_or_default(),
            Some(_) => self.header("CSeq").and_then(|cseq| cseq.split(' ').nth(1)).unwrap_or_default(),
        }
    }

    /// True for a request of this method.
    pub fn is_request(&self, method: &str) -> bool {
        self.status().is_none() && self.method() == method
    }

    /// True for a response to `request` (§17.1.3).
    pub fn answers(&self, request: &Self) -> bool {
        self.status().is_some() && self.branch() == request.branch() && self.method() == request.method()
    }

    /// The Request-URI.
    pub fn uri(&self) -> &str {
        self.start_line().split(' ').nth(1).unwrap_or_default()
    }

    /// The first line of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines_of(name).next()
    }

    /// The values of a header that may list several, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.lines_of(name).flat_map(|line| line.split(',')).map(str::trim).collect()
    }

    /// The body.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// The number of CSeq.
    pub fn cseq(&self) -> u32 {
        self.header("CSeq").and_then(|cseq| cseq.split(' ').next()?.parse().ok()).unwrap_or_default()
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> &str {
        self.values("Via").first().and_then(|via| parameter(via, "branch")).unwrap_or_default()
    }

    /// The tag of From.
    pub fn from_tag(&self) -> Option<&str> {
        tag(self.header("From")?)
    }

    /// The tag of To.
    pub fn to_tag(&self) -> Option<&str> {
        tag(self.header("To")?)
    }

    /// The URI of the first Contact.
    pub fn contact(&self) -> Option<&str> {
        self.values("Contact").first().map(|contact| uri(contact))
    }

    fn lines_of<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines
            .filter(move |(known, _)| known.trim_end().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// The URI of a name-addr or addr-spec.
pub fn uri(addr: &str) -> &str {
    let inner = addr.split_once('<').and_then(|(_, rest)| rest.split('>').next());
    inner.unwrap_or_else(|| addr.split(';').next().unwrap_or_default().trim())
}

/// The display name of a name-addr, without quotes.
pub fn display_name(addr: &str) -> &str {
    addr.split_once('<').map_or("", |(name, _)| name.trim().trim_matches('"'))
}

/// A parameter that follows a value, without quotes.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let parameters = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    parameters.split(';').skip(1).find_map(|parameter| {
        let (known, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

fn tag(addr: &str) -> Option<&str> {
    parameter(addr, "tag")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_apart() {
        let message = Message::new(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b\r\nFrom: <sip:a@b;x=y>;tag=1\r\n\
             To: \"A, B\" <sip:c@d>;tag=2\r\nCSeq: 7 INVITE\r\nContact: <sip:c@e:5060;ob>;expires=60\r\n\r\nbody",
        );

        assert_eq!((message.status(), message.method(), message.cseq()), (Some(200), "INVITE", 7));
        assert_eq!(
            (message.branch(), message.from_tag(), message.to_tag()),
            ("z9hG4bK1", Some("1"), Some("2"))
        );
        assert_eq!(message.contact(), Some("sip:c@e:5060;ob"));
        assert_eq!(message.values("Via").len(), 2);
        assert_eq!(display_name(message.header("To").unwrap()), "A, B");
        assert_eq!(message.body(), "body");
    }
}
