//! The header index: one pass over the head that finds its lines, names them, and proves them clean.

use smallvec::SmallVec;

use crate::error::{ErrorKind, ParseError};
use crate::header::name::Name;
use crate::host::decimal;
use crate::limits::Limits;
use crate::octets::{self, TOKEN};
use crate::scan::{Break, Breaks, colon};

/// Header lines an index holds without allocating.
pub(crate) const LINES_INLINE: usize = 64;

/// One header line with its folds. It ends where the next one begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) start: u16,
    /// The value without white space around it.
    pub(crate) value: u16,
    pub(crate) value_end: u16,
    pub(crate) name: Name,
}

/// A set of header names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Names(u128);

impl Names {
    pub(crate) const fn of(names: &[Name]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < names.len() {
            set |= 1 << names[at] as u8;
            at += 1;
        }
        Self(set)
    }

    #[inline(always)]
    pub(crate) const fn has(self, name: Name) -> bool {
        self.0 & (1 << name as u8) != 0
    }

    /// Adds a name; says whether it is new.
    #[inline(always)]
    pub(crate) const fn insert(&mut self, name: Name) -> bool {
        let new = !self.has(name);
        self.0 |= 1 << name as u8;
        new
    }

    /// Some name that is in both.
    pub(crate) fn first_of(self, names: &[Name]) -> Option<Name> {
        names.iter().copied().find(|&name| self.has(name))
    }

    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The index of one head.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) lines: SmallVec<[Line; LINES_INLINE]>,
    pub(crate) present: Names,
    /// Names that are there more than once.
    pub(crate) repeated: Names,
    /// Length of the start line without its CRLF.
    pub(crate) start_line: usize,
    /// Where the empty line begins.
    pub(crate) fields_end: usize,
    /// Where the body begins.
    pub(crate) head_end: usize,
}

/// What to do at a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFault {
    /// Refuse the message.
    Refuse,
    /// Keep what is readable, so that a refusal can be addressed. A bad line becomes an unknown header
    /// without value; where lines can no longer be told apart, the head ends.
    Keep,
}

impl Index {
    pub(crate) fn new() -> Self {
        Index {
            lines: SmallVec::new(),
            present: Names(0),
            repeated: Names(0),
            start_line: 0,
            fields_end: 0,
            head_end: 0,
        }
    }

    /// Indexes the head at the start of `octets` into this new index.
    ///
    /// `start_line` sees the first line as soon as it is found, so that noise costs no more than that.
    pub(crate) fn fill(
        &mut self,
        octets: &[u8],
        limits: &Limits,
        on_fault: OnFault,
        start_line: impl FnOnce(usize) -> Result<(), ParseError>,
    ) -> Result<(), ParseError> {
        let head_max = usize::from(limits.head_max);
        let mut breaks = Breaks::new(&octets[..octets.len().min(head_max)]);
        let unterminated = |at: usize| {
            let kind =
                if octets.len() > head_max { ErrorKind::HeadTooLarge } else { ErrorKind::HeadUnterminated };
            ParseError::new(kind, at)
        };
        let first = match breaks.next() {
            Some(Break::Line(next)) => next,
            Some(Break::Bare(at)) => return Err(ParseError::new(ErrorKind::BareLineBreak, at)),
            None => return Err(ParseError::new(ErrorKind::NotSip, 0)),
        };
        start_line(first - 2)?;
        self.start_line = first - 2;
        let mut at = first;
        let ended = 'head: loop {
            let mut next = match breaks.next() {
                Some(Break::Line(next)) => next,
                Some(Break::Bare(bad)) => break Err(ParseError::new(ErrorKind::BareLineBreak, bad)),
                None => break Err(unterminated(at)),
            };
            if next == at + 2 {
                break Ok(next);
            }
            // A line that begins with white space continues the one before it (§7.3.1).
            while let Some(b' ' | b'\t') = octets.get(next) {
                match breaks.next() {
                    Some(Break::Line(after)) => next = after,
                    Some(Break::Bare(bad)) => {
                        break 'head Err(ParseError::new(ErrorKind::BareLineBreak, bad));
                    }
                    None => break 'head Err(unterminated(at)),
                }
            }
            if self.lines.len() == limits.headers_max {
                break Err(ParseError::new(ErrorKind::TooManyHeaders, at));
            }
            let line = match Line::read(octets, at, next - 2) {
                Ok(line) => line,
                Err(_) if on_fault == OnFault::Keep => Line::unreadable(at, next - 2),
                Err(error) => return Err(error),
            };
            self.note(line);
            at = next;
        };
        self.fields_end = at;
        match ended {
            Ok(head_end) => self.head_end = head_end,
            Err(_) if on_fault == OnFault::Keep => self.head_end = at,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    #[inline(always)]
    fn note(&mut self, line: Line) {
        if !self.present.insert(line.name) {
            self.repeated.insert(line.name);
        }
        self.lines.push(line);
    }

    /// The lines of one header, in their order.
    #[inline]
    pub(crate) fn of(&self, name: Name) -> impl Iterator<Item = &Line> + Clone {
        let lines = if self.present.has(name) { self.lines.as_slice() } else { &[] };
        lines.iter().filter(move |line| line.name == name)
    }

    /// Where line `number` ends: where the next one begins.
    pub(crate) fn line_end(&self, number: usize) -> usize {
        self.lines.get(number + 1).map_or(self.fields_end, |next| usize::from(next.start))
    }

    /// The length of the body as the head states it.
    pub(crate) fn content_length(&self, octets: &[u8]) -> Result<Option<usize>, ParseError> {
        let Some(line) = self.of(Name::ContentLength).next() else { return Ok(None) };
        let at = usize::from(line.value);
        if self.repeated.has(Name::ContentLength) {
            return Err(ParseError::new(ErrorKind::ContentLengthRepeated, at));
        }
        // Digits and nothing else: whoever wraps, signs or guesses here reads the next message elsewhere.
        decimal(line.value_in(octets), u64::from(u32::MAX))
            .map(|length| Some(length as usize))
            .ok_or(ParseError::new(ErrorKind::ContentLength, at))
    }
}

impl Line {
    /// Reads the line from `start` to `end`, its CRLF not included. Both lie within the first 64 KiB.
    #[inline(always)]
    fn read(octets: &[u8], start: usize, end: usize) -> Result<Self, ParseError> {
        let fail = Err(ParseError::new(ErrorKind::HeaderName, start));
        let Some(colon) = colon(octets, start, end) else { return fail };
        let mut name_end = colon;
        while name_end > start && matches!(octets[name_end - 1], b' ' | b'\t') {
            name_end -= 1;
        }
        let name = Name::at(octets, start, name_end - start);
        if name == Name::Other && !octets::all(&octets[start..name_end], TOKEN) {
            return fail;
        }
        let after = &octets[colon + 1..end];
        let value = octets::trim_start(after);
        let value_start = end - value.len();
        let value_end = value_start + octets::trim_end(value).len();
        Ok(Line { start: start as u16, value: value_start as u16, value_end: value_end as u16, name })
    }

    const fn unreadable(start: usize, end: usize) -> Self {
        Line { start: start as u16, value: end as u16, value_end: end as u16, name: Name::Other }
    }

    #[inline]
    pub(crate) fn value_in<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        &octets[usize::from(self.value)..usize::from(self.value_end)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(head: &[u8], limits: &Limits) -> Result<Index, ErrorKind> {
        let mut index = Index::new();
        index.fill(head, limits, OnFault::Refuse, |_| Ok(())).map(|()| index).map_err(|error| error.kind)
    }

    fn refused(head: &[u8]) -> ErrorKind {
        build(head, &Limits::default()).expect_err("the head is bad")
    }

    #[test]
    fn lines_are_named_and_their_values_trimmed() {
        let head = b"x\r\nVia  :  a \r\n b\t \r\nSubject:\r\nX-Mine:1\r\n\r\nbody";

        let index = build(head, &Limits::default()).expect("good");

        let lines: Vec<_> = index.lines.iter().map(|line| (line.name, line.value_in(head))).collect();
        assert_eq!(lines, [(Name::Via, &b"a \r\n b"[..]), (Name::Subject, b""), (Name::Other, b"1")]);
        assert_eq!(&head[index.head_end..], b"body");
        assert_eq!(index.line_end(2), index.fields_end);
    }

    #[test]
    fn what_is_no_header_line_is_refused() {
        assert_eq!(refused(b"x\r\nno colon\r\n\r\n"), ErrorKind::HeaderName);
        assert_eq!(refused(b"x\r\n: empty\r\n\r\n"), ErrorKind::HeaderName);
        assert_eq!(refused(b"x\r\nTo\x01: a\r\n\r\n"), ErrorKind::HeaderName);
        assert_eq!(refused(b"x\r\nTo\0: a\r\n\r\n"), ErrorKind::HeaderName);
        assert_eq!(refused(b"x\r\nTo\r\n : a\r\n\r\n"), ErrorKind::HeaderName);
        assert_eq!(refused(b"x\r\n folded: a\r\n\r\n"), ErrorKind::HeaderName);
        assert_eq!(refused(b"x\r\nTo: a\nFrom: b\r\n\r\n"), ErrorKind::BareLineBreak);
        assert_eq!(refused(b"x\r\nTo: a\rb\r\n\r\n"), ErrorKind::BareLineBreak);
        assert_eq!(refused(b"x\r\nTo: a\r\n b\nc\r\n\r\n"), ErrorKind::BareLineBreak);
        assert_eq!(refused(b"x\r\nTo: a\r\n"), ErrorKind::HeadUnterminated);
        assert_eq!(refused(b"x\r\nTo: a\r\n b"), ErrorKind::HeadUnterminated);
        assert_eq!(refused(b"no line"), ErrorKind::NotSip);
    }

    #[test]
    fn the_head_is_bounded() {
        let mut head = b"x\r\n".to_vec();
        for _ in 0..20_000 {
            head.extend_from_slice(b"a:b\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let limits = Limits { headers_max: 1_000_000, ..Limits::default() };

        assert_eq!(refused(&head), ErrorKind::TooManyHeaders);
        assert_eq!(build(&head, &limits).expect_err("too long"), ErrorKind::HeadTooLarge);
        let limits = Limits { headers_max: 2, head_max: 15, ..limits };
        assert!(build(b"x\r\na:b\r\na:b\r\n\r\n", &limits).is_ok());
        assert!(build(b"x\r\na:b\r\na: b\r\n\r\n", &limits).is_err());
    }

    #[test]
    fn a_length_is_digits_only() {
        let length = |value: &str| {
            let head = format!("x\r\nContent-Length: {value}\r\n\r\n");
            let index = build(head.as_bytes(), &Limits::default()).expect("good");
            index.content_length(head.as_bytes()).map_err(|error| error.kind)
        };

        assert_eq!(length("0150"), Ok(Some(150)));
        for bad in ["-1", "+1", "0x10", "", "ten", "1 0", "4294967297", "18446744073709551617", "1,1", "1;x"]
        {
            assert_eq!(length(bad), Err(ErrorKind::ContentLength), "{bad}");
        }
        assert_eq!(length("1\r\nl: 1"), Err(ErrorKind::ContentLengthRepeated));
    }
}
