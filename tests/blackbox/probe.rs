//! Octets to the edge as they stand, and all that is answered to them.

use std::io::ErrorKind;

use bench::deadline::Deadline;
use bench::phone::{Message, Transport, Wire};

use crate::edge::{Edge, PATIENCE};

/// A sender that says what it likes. The edge serves one source in the order it speaks, so an answer to a question behind
/// the octets shows that nothing more will be answered to them.
pub(crate) struct Probe {
    pub(crate) wire: Wire,
    asked: u32,
}

impl Probe {
    pub(crate) fn new(edge: &Edge, transport: Transport) -> Self {
        Self { wire: Wire::open(transport, edge.address(transport)).unwrap(), asked: 0 }
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.wire.send(octets).unwrap();
    }

    /// The statuses of all that is answered to `octets`.
    pub(crate) fn statuses(&mut self, octets: &[u8]) -> Vec<u16> {
        self.answers(octets).iter().filter_map(Message::status).collect()
    }

    /// All that is answered to `octets`, or until the edge ends the connection for them.
    pub(crate) fn answers(&mut self, octets: &[u8]) -> Vec<Message> {
        self.asked += 1;
        let call_id = format!("question-{}", self.asked);
        // It may be closed while there is more to send; what it answered is still to be read.
        let _ = self.wire.send(octets).and_then(|()| self.wire.send(question(&call_id).as_bytes()));
        let (answers, end) = self.until(|message| message.header("Call-ID") == Some(&call_id));
        assert!(end != End::Silence, "nothing is answered behind {:?}", String::from_utf8_lossy(octets));
        answers
    }

    /// All that comes until the connection ends, and whether it does.
    pub(crate) fn read_to_the_end(&mut self) -> (Vec<Message>, bool) {
        let (answers, end) = self.until(|_| false);
        (answers, end == End::Closed)
    }

    fn until(&mut self, is_last: impl Fn(&Message) -> bool) -> (Vec<Message>, End) {
        let deadline = Deadline::after(PATIENCE);
        let mut answers = Vec::new();
        loop {
            match self.wire.receive(deadline) {
                Ok(Some(message)) if is_last(&message) => return (answers, End::Heard),
                Ok(Some(message)) => answers.push(message),
                Ok(None) => return (answers, End::Silence),
                Err(error) => {
                    let gone = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
                    assert!(gone.contains(&error.kind()), "{error}");
                    return (answers, End::Closed);
                }
            }
        }
    }
}

/// Why nothing more was read.
#[derive(PartialEq, Eq)]
enum End {
    Heard,
    Closed,
    Silence,
}

/// A question to the edge itself, which it answers to anybody.
fn question(call_id: &str) -> String {
    format!(
        "OPTIONS sip:demo.hotdesk SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{call_id}\r\nFrom: <sip:a@a>;tag=1\r\n\
         To: <sip:demo.hotdesk>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}
