//! Messages on a stream (RFC 3261 §18.3): octets in as they come, whole messages out.
//!
//! Whatever is whole is lent out from where it was read; only an unfinished rest is kept, so a connection on
//! which nothing is under way owns no buffer. Once the framing is in doubt nothing that follows is read.

use sip::{ErrorKind, Frame, Framer, Limits};

/// What stands on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// One whole message.
    Message(&'a [u8]),
    /// A double CRLF, to be answered with a single one (RFC 5626 §3.5.1).
    Ping,
    /// The peer cannot be followed any longer; there is no piece after this one.
    Misframed {
        /// Why.
        kind: ErrorKind,
        /// The head of the message, as far as it was found.
        head: &'a [u8],
    },
}

/// One stream, as far as it is not yet used up.
#[derive(Debug, Default)]
pub struct Stream {
    framer: Framer,
    /// The beginning of a message; less than the longest message.
    rest: Vec<u8>,
    misframed: bool,
}

impl Stream {
    /// A stream at its start.
    pub fn new() -> Self {
        Self::default()
    }

    /// True while a message or line break has begun and is not whole.
    pub fn is_inside(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Takes what was `read` and gives out what has become whole. After [`Piece::Misframed`] everything is
    /// ignored.
    pub fn feed(&mut self, read: &[u8], mut on_piece: impl FnMut(Piece<'_>)) {
        if self.misframed {
            return;
        }
        if self.rest.is_empty() {
            let (used, wanted) = self.give_out(read, &mut on_piece);
            let rest = &read[used..];
            if !rest.is_empty() {
                self.rest.reserve_exact(wanted.unwrap_or(rest.len()).max(rest.len()));
                self.rest.extend_from_slice(rest);
            }
        } else {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(read);
            let (used, wanted) = self.give_out(&all, &mut on_piece);
            if used < all.len() {
                all.drain(..used);
                all.reserve_exact(wanted.unwrap_or(0).saturating_sub(all.len()));
                self.rest = all;
            }
        }
    }

    /// Gives out the pieces at the front of `octets`. Returns how many octets they were, and how long the message
    /// is that follows, if that is known.
    fn give_out(&mut self, octets: &[u8], on_piece: &mut impl FnMut(Piece<'_>)) -> (usize, Option<usize>) {
        let mut used = 0;
        // Every turn uses up octets or is the last.
        loop {
            let left = &octets[used..];
            match self.framer.frame(left, &Limits::liberal()) {
                Frame::Message { len } => {
                    on_piece(Piece::Message(&left[..len]));
                    used += len;
                }
                Frame::KeepAlive { len, ping } => {
                    if ping {
                        on_piece(Piece::Ping);
                    }
                    used += len;
                }
                Frame::NeedMore { total } => return (used, total),
                Frame::Refuse { kind, head_len } => {
                    self.misframed = true;
                    on_piece(Piece::Misframed { kind, head: &left[..head_len.unwrap_or(left.len())] });
                    return (octets.len(), None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] =
        b"OPTIONS sip:edge SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nTo: <sip:edge>\r\n\
        From: <sip:a>;tag=1\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 4\r\n\r\nbody";

    /// What `pieces` of a stream come to, as text.
    fn read(pieces: &[&[u8]]) -> (Stream, Vec<String>) {
        let mut stream = Stream::new();
        let mut seen = Vec::new();
        for piece in pieces {
            stream.feed(piece, |piece| {
                seen.push(match piece {
                    Piece::Message(octets) => String::from_utf8_lossy(octets).into_owned(),
                    Piece::Ping => "ping".into(),
                    Piece::Misframed { kind, head } => format!("{kind:?} {}", head.len()),
                });
            });
        }
        (stream, seen)
    }

    fn text(octets: &[u8]) -> String {
        String::from_utf8_lossy(octets).into_owned()
    }

    #[test]
    fn a_message_comes_whole_however_it_was_cut() {
        for cut in 1..OPTIONS.len() {
            let (stream, seen) = read(&[&OPTIONS[..cut], &OPTIONS[cut..]]);

            assert_eq!(seen, [text(OPTIONS)], "cut at {cut}");
            assert!(!stream.is_inside());
        }
    }

    #[test]
    fn a_message_comes_whole_octet_by_octet() {
        let octets: Vec<&[u8]> = OPTIONS.chunks(1).collect();

        let (stream, seen) = read(&octets);

        assert_eq!(seen, [text(OPTIONS)]);
        assert_eq!(stream.rest.capacity(), 0);
    }

    #[test]
    fn messages_in_one_segment_come_one_by_one() {
        let segment = [OPTIONS, b"\r\n", OPTIONS, OPTIONS, &OPTIONS[..30]].concat();

        let (stream, seen) = read(&[&segment]);

        assert_eq!(seen, [text(OPTIONS), text(OPTIONS), text(OPTIONS)]);
        assert!(stream.is_inside());
        assert_eq!(stream.rest, &OPTIONS[..30]);
    }

    #[test]
    fn a_double_line_break_is_a_ping_and_a_single_one_is_nothing() {
        assert_eq!(read(&[b"\r\n\r\n"]).1, ["ping"]);
        assert_eq!(read(&[b"\r", b"\n", b"\r", b"\n"]).1, ["ping"]);
        assert_eq!(read(&[b"\r\n", OPTIONS, b"\r\n"]).1, [text(OPTIONS)]);
    }

    #[test]
    fn nothing_after_a_doubtful_length_is_read() {
        let doubtful = text(OPTIONS).replace("Content-Length: 4", "Content-Length: -4");
        let segment = [doubtful.as_bytes(), OPTIONS].concat();

        let (stream, seen) = read(&[&segment, OPTIONS]);

        let head_len = doubtful.len() - "body".len();
        assert_eq!(seen, [format!("ContentLength {head_len}")]);
        assert!(!stream.is_inside());
        assert_eq!(stream.rest.capacity(), 0);
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_line() {
        assert_eq!(read(&[b"GET / HTTP/1.1\r\n"]).1, ["NotSip 16"]);
        assert_eq!(read(&[b"\x16\x03\x01"]).1, ["NotSip 3"]);
    }

    #[test]
    fn an_endless_head_is_refused_at_its_limit() {
        let mut stream = Stream::new();
        let mut refused = false;
        stream.feed(b"OPTIONS sip:edge SIP/2.0\r\n", |_| ());

        for _ in 0..4_000 {
            stream
                .feed(b"Subject: on and on\r\n", |piece| refused |= matches!(piece, Piece::Misframed { .. }));
            assert!(stream.rest.len() <= usize::from(u16::MAX));
        }

        assert!(refused);
    }
}
