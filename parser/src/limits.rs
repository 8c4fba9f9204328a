//! How much of a message is read, and how literally.

/// Bounds on one message, and whether the parser reads to the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Header lines in one message. Above 64 the index moves to the heap; a request through a long chain of
    /// proxies shows some 60, so 256 is generous and still bounds the work a header bomb can cause.
    pub headers_max: usize,
    /// Octets from the start line to the empty line, both included. At most 65,535, which is also the
    /// default: RFC 3261 §18.1.1 wants messages of that size understood.
    pub head_max: u16,
    /// Octets of a whole message. On a datagram the transport bounds it already; on a stream it bounds what
    /// one peer can make us hold.
    pub message_max: usize,
    /// Refuse what RFC 4475 §3.1.2 calls invalid even where a liberal element may read it: headers in a
    /// Request-URI, spaces inside angle brackets, display names that should be quoted, a Contact URI with
    /// headers but without brackets, dates in another zone than GMT, CSeq numbers of 2³¹ and more.
    pub strict: bool,
}

impl Limits {
    /// The limits of the edge: generous, and liberal where a mistake is harmless.
    #[must_use]
    pub const fn liberal() -> Self {
        Self { headers_max: 256, head_max: u16::MAX, message_max: 65_535, strict: false }
    }

    /// The same bounds, read to the letter.
    #[must_use]
    pub const fn strict() -> Self {
        Self { strict: true, ..Self::liberal() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::liberal()
    }
}
