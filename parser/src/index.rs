//! The header index: one pass over the head that finds its lines, names them, and proves them clean.

use core::ops::{Deref, DerefMut};

use crate::error::{ErrorKind, ParseError};
use crate::header::name::{COUNT, Name};
use crate::header::numbers::decimal;
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

/// How many lines each header has, up to 255.
#[derive(Debug, Clone)]
pub(crate) struct Counts([u8; COUNT]);

impl Counts {
    pub(crate) const fn new() -> Self {
        Self([0; COUNT])
    }

    /// Counts a line; says whether it is the first of its name.
    #[inline(always)]
    pub(crate) const fn add(&mut self, name: Name) -> bool {
        let count = &mut self.0[name as usize];
        *count = count.saturating_add(1);
        *count == 1
    }

    #[inline(always)]
    pub(crate) const fn has(&self, name: Name) -> bool {
        self.0[name as usize] > 0
    }

    #[inline(always)]
    pub(crate) const fn repeats(&self, name: Name) -> bool {
        self.0[name as usize] > 1
    }
}

/// The lines of a head in their order. An array that is a `Vec` once it is full: its filling is the hottest
/// loop of the crate, and a plain array makes it a third shorter than `SmallVec`.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    inline: [Line; LINES_INLINE],
    len: usize,
    /// All lines, once there are more than `inline` holds.
    spilled: Vec<Line>,
}

impl Lines {
    pub(crate) const fn new() -> Self {
        Self { inline: [Line::unread(0); LINES_INLINE], len: 0, spilled: Vec::new() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn push(&mut self, line: Line) {
        match self.inline.get_mut(self.len) {
            Some(place) => *place = line,
            None => self.spill(line),
        }
        self.len += 1;
    }

    #[cold]
    fn spill(&mut self, line: Line) {
        if self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline);
        }
        self.spilled.push(line);
    }
}

impl Deref for Lines {
    type Target = [Line];

    #[inline(always)]
    fn deref(&self) -> &[Line] {
        self.inline.get(..self.len).unwrap_or(&self.spilled)
    }
}

impl DerefMut for Lines {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [Line] {
        self.inline.get_mut(..self.len).unwrap_or(&mut self.spilled)
    }
}

/// The index of one head.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) lines: Lines,
    pub(crate) counts: Counts,
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
    pub(crate) const fn new() -> Self {
        Index { lines: Lines::new(), counts: Counts::new(), start_line: 0, fields_end: 0, head_end: 0 }
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
        let first = match breaks.next() {
            Some(Break::Line(next)) => next,
            Some(Break::Bare(at)) => return Err(ParseError::new(ErrorKind::BareLineBreak, at)),
            None => return Err(ParseError::new(ErrorKind::NotSip, 0)),
        };
        start_line(first - 2)?;
        self.start_line = first - 2;
        self.fields_end = first;
        let ended = self.find_lines(octets, &mut breaks, limits);
        match ended {
            Ok(()) => {}
            Err(_) if on_fault == OnFault::Keep => self.head_end = self.fields_end,
            Err(error) => return Err(error),
        }
        self.read_lines(octets, on_fault)
    }

    /// Finds where the lines begin and where the head ends. On a fault the lines before it are found and
    /// `fields_end` is where the one with the fault begins.
    #[inline(never)]
    fn find_lines(
        &mut self,
        octets: &[u8],
        breaks: &mut Breaks<'_>,
        limits: &Limits,
    ) -> Result<(), ParseError> {
        let unterminated = |at: usize| {
            let too_large = octets.len() > usize::from(limits.head_max);
            let kind = if too_large { ErrorKind::HeadTooLarge } else { ErrorKind::HeadUnterminated };
            ParseError::new(kind, at)
        };
        loop {
            let start = self.fields_end;
            let mut next = match breaks.next() {
                Some(Break::Line(next)) => next,
                Some(Break::Bare(bad)) => return Err(ParseError::new(ErrorKind::BareLineBreak, bad)),
                None => return Err(unterminated(start)),
            };
            if next == start + 2 {
                self.head_end = next;
                return Ok(());
            }
            // A line that begins with white space continues the one before it (§7.3.1).
            while let Some(b' ' | b'\t') = octets.get(next) {
                match breaks.next() {
                    Some(Break::Line(after)) => next = after,
                    Some(Break::Bare(bad)) => return Err(ParseError::new(ErrorKind::BareLineBreak, bad)),
                    None => return Err(unterminated(start)),
                }
            }
            if self.lines.len() == limits.headers_max {
                return Err(ParseError::new(ErrorKind::TooManyHeaders, start));
            }
            self.lines.push(Line::unread(start as u16));
            self.fields_end = next;
        }
    }

    /// Reads name and value of each line found.
    fn read_lines(&mut self, octets: &[u8], on_fault: OnFault) -> Result<(), ParseError> {
        // Backwards, because a line ends where the next one begins.
        let mut end = self.fields_end;
        for line in self.lines.iter_mut().rev() {
            let start = usize::from(line.start);
            match line.read(&octets[start..end]) {
                Ok(()) => {}
                Err(_) if on_fault == OnFault::Keep => {}
                Err(kind) => return Err(ParseError::new(kind, start)),
            }
            self.counts.add(line.name);
            end = start;
        }
        Ok(())
    }

    /// The lines of one header, in their order.
    #[inline]
    pub(crate) fn of(&self, name: Name) -> impl Iterator<Item = &Line> + Clone {
        let lines: &[Line] = if self.counts.has(name) { &self.lines } else { &[] };
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
        if self.counts.repeats(Name::ContentLength) {
            return Err(ParseError::new(ErrorKind::ContentLengthRepeated, at));
        }
        // Digits and nothing else: whoever wraps, signs or guesses here reads the next message elsewhere.
        decimal::<u32>(line.value_in(octets))
            .map(|length| Some(length as usize))
            .ok_or(ParseError::new(ErrorKind::ContentLength, at))
    }
}

impl Line {
    /// A line of which only the start is known: an unknown header without value.
    const fn unread(start: u16) -> Self {
        Line { start, value: start, value_end: start, name: Name::Other }
    }

    /// Reads name and value of this line, given with its last CRLF.
    #[inline(always)]
    fn read(&mut self, line: &[u8]) -> Result<(), ErrorKind> {
        let Some(colon) = colon(line) else { return Err(ErrorKind::HeaderName) };
        let mut name_len = colon;
        if colon > 0 && line[colon - 1] <= b' ' {
            name_len = trim_blanks_end(&line[..colon]).len();
        }
        let name = Name::at(line, name_len);
        if name == Name::Other && !octets::all(&line[..name_len], TOKEN) {
            return Err(ErrorKind::HeaderName);
        }
        let after = &line[colon + 1..line.len() - 2];
        // One space is what everybody writes.
        let value = match after {
            [b' ', visible, ..] if *visible > b' ' => &after[1..],
            _ => octets::trim_start(after),
        };
        let value_start = line.len() - 2 - value.len();
        let value_end = value_start + octets::trim_end(value).len();
        *self = Line {
            start: self.start,
            value: self.start + value_start as u16,
            value_end: self.start + value_end as u16,
            name,
        };
        Ok(())
    }

    #[inline]
    pub(crate) fn value_in<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        &octets[usize::from(self.value)..usize::from(self.value_end)]
    }
}

/// A name without the blanks before its colon. A line break there is part of the name, and so a fault.
#[cold]
fn trim_blanks_end(mut name: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = name {
        name = rest;
    }
    name
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
