//! Messages on a stream (RFC 3261 §7.5, §18.3; keep-alives of RFC 5626 §4.4.1).
//!
//! ```text
//!            CRLF                 CRLF CRLF: ping
//!  ┌──────┐ ─────► skipped      ────────────────► answered with one CRLF
//!  │ idle │
//!  └──────┘ ─────► head ─ empty line ─► body ─ Content-Length octets ─► Message ─► idle
//!                    └── doubtful framing ──► Refuse: answer if possible, close, never read on
//! ```

use crate::error::{ErrorKind, ParseError};
use crate::index::{Index, OnFault};
use crate::limits::Limits;
use crate::octets::{self, TOKEN};

/// What the octets at the front of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Not yet a whole message. `total` is its length once the head is there.
    NeedMore {
        /// Octets the message will have.
        total: Option<usize>,
    },
    /// `len` octets of line breaks between messages, to be consumed. A double one is a ping, to be answered
    /// with one CRLF.
    KeepAlive {
        /// Octets to consume.
        len: usize,
        /// Whether it completes a ping.
        ping: bool,
    },
    /// A whole message of `len` octets, to be parsed and consumed.
    Message {
        /// Octets to consume.
        len: usize,
    },
    /// The peer cannot be followed any longer: answer if [`Message::salvage`](crate::Message::salvage) can,
    /// close, and read nothing that follows as a message.
    Refuse {
        /// Why.
        kind: ErrorKind,
        /// Octets of the head, if its end was found.
        head_len: Option<usize>,
    },
}

/// Finds messages on one stream. It remembers how far it has looked, so a peer that sends octet by octet costs
/// no more than one that sends all at once.
///
/// Give [`Framer::frame`] the unconsumed octets again and again, each time with more behind them. After
/// `Message` and `KeepAlive` take the octets named off the front; after `Refuse` close.
#[derive(Debug, Clone, Default)]
pub struct Framer {
    /// Octets that hold no end of head.
    scanned: usize,
    /// The start line has been seen to be SIP.
    is_sip: bool,
    /// Length of the message whose head has been read.
    total: Option<usize>,
    /// The last octets consumed were one CRLF: with another one they are a ping.
    half_ping: bool,
}

impl Framer {
    /// A framer at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { scanned: 0, is_sip: false, total: None, half_ping: false }
    }

    /// Whether a message has begun and is not complete: the time from here on is bounded by a read deadline.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.scanned > 0 || self.total.is_some()
    }

    /// Looks at the unconsumed octets of the stream.
    pub fn frame(&mut self, buf: &[u8], limits: &Limits) -> Frame {
        if self.total.is_none() {
            match self.find_head(buf, limits) {
                Ok(total) => self.total = Some(total),
                Err(frame) => return frame,
            }
        }
        let total = self.total.expect("the head was found");
        if buf.len() < total {
            return Frame::NeedMore { total: Some(total) };
        }
        *self = Self::new();
        Frame::Message { len: total }
    }

    /// The length of the message whose head is at the front, or what to say instead.
    fn find_head(&mut self, buf: &[u8], limits: &Limits) -> Result<usize, Frame> {
        let need_more = Err(Frame::NeedMore { total: None });
        let refuse = |kind, head_len| Err(Frame::Refuse { kind, head_len });
        match *buf {
            [] | [b'\r'] => return need_more,
            [b'\r', b'\n', b'\r', b'\n', ..] if !self.half_ping => {
                return Err(Frame::KeepAlive { len: 4, ping: true });
            }
            [b'\r', b'\n', ..] => {
                let ping = self.half_ping;
                self.half_ping = !ping;
                return Err(Frame::KeepAlive { len: 2, ping });
            }
            // Neither a method nor a version begins so: TLS, HTTP/2, noise.
            [first, ..] if !octets::is(first, TOKEN) => return refuse(ErrorKind::NotSip, None),
            _ => {}
        }
        // The end of the head may have begun in the last three octets looked at.
        let from = self.scanned.saturating_sub(3);
        if !self.is_sip
            && let Some(end) = memchr::memchr(b'\n', &buf[from..])
        {
            if !is_sip(octets::trim_end(&buf[..from + end])) {
                return refuse(ErrorKind::NotSip, None);
            }
            self.is_sip = true;
        }
        let window = &buf[from..buf.len().min(usize::from(limits.head_max))];
        let Some(found) = memchr::memmem::find(window, b"\r\n\r\n") else {
            if buf.len() >= usize::from(limits.head_max) {
                return refuse(ErrorKind::HeadTooLarge, None);
            }
            self.scanned = buf.len();
            return need_more;
        };
        let head_len = from + found + 4;
        match length_of(&buf[..head_len], limits) {
            Ok(total) => Ok(total),
            Err(error) => refuse(error.kind, Some(head_len)),
        }
    }
}

/// The length of the message with this head.
fn length_of(head: &[u8], limits: &Limits) -> Result<usize, ParseError> {
    // Any line that is none puts the framing in doubt: it might have been the Content-Length.
    let mut index = Index::new();
    index.fill(head, limits, OnFault::Refuse, |_| Ok(()))?;
    match index.content_length(head)? {
        // §20.14: on a stream the header must be there.
        None => Err(ParseError::new(ErrorKind::LengthRequired, head.len())),
        Some(length) => match head.len().checked_add(length) {
            Some(total) if total <= limits.message_max => Ok(total),
            _ => Err(ParseError::new(ErrorKind::BodyTooLarge, head.len())),
        },
    }
}

/// Whether a first line is that of a SIP request or response, well formed or not.
fn is_sip(line: &[u8]) -> bool {
    let begins = |text: &[u8]| text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"SIP/"));
    begins(line) || memchr::memrchr(b' ', line).is_some_and(|space| begins(&line[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP b\r\nl: 4\r\n\r\nbody";

    /// Feeds `stream` in pieces of `step` octets and lists what came of it.
    fn frames(stream: &[u8], step: usize) -> Vec<Frame> {
        let limits = Limits::default();
        let (mut framer, mut buf, mut seen) = (Framer::new(), Vec::new(), Vec::new());
        for piece in stream.chunks(step) {
            buf.extend_from_slice(piece);
            loop {
                match framer.frame(&buf, &limits) {
                    Frame::NeedMore { .. } => break,
                    frame @ (Frame::Message { len } | Frame::KeepAlive { len, .. }) => {
                        seen.push(frame);
                        buf.drain(..len);
                    }
                    refused => {
                        seen.push(refused);
                        return seen;
                    }
                }
            }
        }
        seen
    }

    fn refused(stream: &str) -> ErrorKind {
        match frames(stream.as_bytes(), stream.len().max(1)).last() {
            Some(Frame::Refuse { kind, .. }) => *kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let stream = [MESSAGE, b"\r\n\r\n", MESSAGE, MESSAGE].concat();
        let message = Frame::Message { len: MESSAGE.len() };

        for step in 1..stream.len() {
            let seen = frames(&stream, step);

            assert_eq!(seen.iter().filter(|&&frame| frame == message).count(), 3, "step {step}");
            let pings =
                seen.iter().filter(|frame| matches!(frame, Frame::KeepAlive { ping: true, .. })).count();
            assert_eq!(pings, 1, "step {step}");
            assert!(!seen.iter().any(|frame| matches!(frame, Frame::Refuse { .. })), "step {step}");
        }
    }

    #[test]
    fn a_single_line_break_is_skipped_and_not_answered() {
        let stream = [b"\r\n", MESSAGE].concat();

        assert_eq!(
            frames(&stream, stream.len()),
            [Frame::KeepAlive { len: 2, ping: false }, Frame::Message { len: MESSAGE.len() }]
        );
    }

    #[test]
    fn doubtful_framing_is_refused() {
        let with = |line: &str| format!("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP b\r\n{line}\r\n");

        assert_eq!(refused(&with("")), ErrorKind::LengthRequired);
        for bad in ["-1", "+4", "0x4", "", "four", "4294967300", "18446744073709551620"] {
            assert_eq!(
                refused(&with(&format!("Content-Length: {bad}\r\n"))),
                ErrorKind::ContentLength,
                "{bad}"
            );
        }
        assert_eq!(refused(&with("l: 4\r\nContent-Length: 4\r\n")), ErrorKind::ContentLengthRepeated);
        assert_eq!(refused(&with("l: 20000000\r\n")), ErrorKind::BodyTooLarge);
        assert_eq!(refused(&with("l: 0\nX: y\r\n")), ErrorKind::BareLineBreak);
        assert_eq!(refused(&with("Content-Length 0\r\n")), ErrorKind::HeaderName);
        assert_eq!(refused("GET / HTTP/1.1\r\n"), ErrorKind::NotSip);
        assert_eq!(refused("\x16\x03\x01\x02"), ErrorKind::NotSip);
        assert_eq!(refused(&format!("OPTIONS {}", "a".repeat(70_000))), ErrorKind::HeadTooLarge);
    }

    #[test]
    fn a_started_message_is_known_to_be_unfinished() {
        let limits = Limits::default();
        let mut framer = Framer::new();

        assert_eq!(framer.frame(b"", &limits), Frame::NeedMore { total: None });
        assert!(!framer.is_inside());
        assert_eq!(framer.frame(&MESSAGE[..30], &limits), Frame::NeedMore { total: None });
        assert!(framer.is_inside());
        assert_eq!(
            framer.frame(&MESSAGE[..MESSAGE.len() - 1], &limits),
            Frame::NeedMore { total: Some(MESSAGE.len()) }
        );
        assert!(framer.is_inside());
        assert_eq!(framer.frame(MESSAGE, &limits), Frame::Message { len: MESSAGE.len() });
        assert!(!framer.is_inside());
    }
}
