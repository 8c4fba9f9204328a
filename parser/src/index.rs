//! The header index: one pass over the head that finds its lines, names them, and proves them clean.

use core::ops::Deref;

use crate::error::{ErrorKind, ParseError};
use crate::header::name::{COUNT, Name, WINDOW};
use crate::header::numbers::decimal;
use crate::limits::Limits;
use crate::octets::{self, TOKEN};
use crate::scan::{Break, Breaks, first_of, window_of};

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
    /// Octets of the name as written; [`u8::MAX`] says only that there are so many or more.
    name_len: u8,
}

/// Where each header is: one octet a name, so that asking for a header costs no walk over the lines.
///
/// The low bits hold the number of the first line, counted from one, or 127 for any from there on; the high bit
/// says that there is another. Zero is a header that is not there.
#[derive(Debug, Clone)]
pub(crate) struct Places([u8; COUNT]);

/// The bit of a place that says: the header is repeated.
const REPEATED: u8 = 0x80;
/// The greatest line number a place can hold.
const FAR: u8 = 0x7f;

impl Places {
    pub(crate) const fn new() -> Self {
        Self([0; COUNT])
    }

    /// Notes that line `number`, counted from zero, is called `name`.
    #[inline(always)]
    fn note(&mut self, name: Name, number: usize) {
        let place = &mut self.0[name as usize];
        *place = match *place {
            0 => (number + 1).min(usize::from(FAR)) as u8,
            first => first | REPEATED,
        };
    }

    #[inline(always)]
    pub(crate) const fn has(&self, name: Name) -> bool {
        self.0[name as usize] != 0
    }

    #[inline(always)]
    pub(crate) const fn repeats(&self, name: Name) -> bool {
        self.0[name as usize] & REPEATED != 0
    }

    /// The number of the first line of that name, counted from zero, or one from which to search.
    #[inline(always)]
    fn first(&self, name: Name) -> Option<usize> {
        usize::from(self.0[name as usize] & FAR).checked_sub(1)
    }

    /// Whether the first line of that name is its only one, and its number exact.
    #[inline(always)]
    const fn is_single(&self, name: Name) -> bool {
        self.0[name as usize] < FAR
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

/// The index of one head.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) lines: Lines,
    pub(crate) places: Places,
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
        Index { lines: Lines::new(), places: Places::new(), start_line: 0, fields_end: 0, head_end: 0 }
    }

    /// Indexes the head at the start of `octets` into this new index.
    ///
    /// `start_line` sees the first line as soon as it is found, so that noise costs no more than that.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        octets: &[u8],
        limits: &Limits,
        on_fault: OnFault,
        start_line: impl FnOnce(usize) -> Result<(), ParseError>,
    ) -> Result<(), ParseError> {
        let head = &octets[..octets.len().min(usize::from(limits.head_max))];
        self.fields_end = match Breaks::new(head, 0).next() {
            Some(Break::Line(next)) => next,
            Some(Break::Bare(at)) => return Err(ParseError::new(ErrorKind::BareLineBreak, at)),
            None => return Err(ParseError::new(ErrorKind::NotSip, 0)),
        };
        self.start_line = self.fields_end - 2;
        start_line(self.start_line)?;
        match self.read_lines(head, limits.headers_max, on_fault) {
            Ok(()) => Ok(()),
            Err(_) if on_fault == OnFault::Keep => {
                self.head_end = self.fields_end;
                Ok(())
            }
            Err(error) if error.kind == ErrorKind::HeadUnterminated && head.len() < octets.len() => {
                Err(ParseError::new(ErrorKind::HeadTooLarge, error.at))
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the lines behind the start line and reads name and value of each, up to the empty line. On a fault the
    /// lines before it are read and `fields_end` is where the one with the fault begins.
    #[inline(never)]
    fn read_lines(&mut self, head: &[u8], headers_max: usize, on_fault: OnFault) -> Result<(), ParseError> {
        let mut breaks = Breaks::new(head, self.fields_end);
        loop {
            let start = self.fields_end;
            let fault = |kind, at| Err(ParseError::new(kind, at));
            let mut end = match breaks.next() {
                Some(Break::Line(next)) => next,
                Some(Break::Bare(at)) => return fault(ErrorKind::BareLineBreak, at),
                None => return fault(ErrorKind::HeadUnterminated, start),
            };
            if end == start + 2 {
                self.head_end = end;
                return Ok(());
            }
            // A line that begins with white space continues the one before it (§7.3.1).
            while head.get(end).is_some_and(|&octet| octets::is_blank(octet)) {
                match breaks.next() {
                    Some(Break::Line(after)) => end = after,
                    Some(Break::Bare(at)) => return fault(ErrorKind::BareLineBreak, at),
                    None => return fault(ErrorKind::HeadUnterminated, start),
                }
            }
            if self.lines.len() == headers_max {
                return fault(ErrorKind::TooManyHeaders, start);
            }
            let line = match Line::read(head, start, end) {
                Ok(line) => line,
                Err(_) if on_fault == OnFault::Keep => Line::unread(start as u16),
                Err(kind) => return fault(kind, start),
            };
            self.places.note(line.name, self.lines.len());
            self.lines.push(line);
            self.fields_end = end;
        }
    }

    /// The first line of a header.
    #[inline]
    pub(crate) fn first(&self, name: Name) -> Option<&Line> {
        let from = self.places.first(name)?;
        match self.lines.get(from) {
            Some(line) if line.name == name => Some(line),
            // Far down, a place says only where to begin.
            _ => self.lines.iter().skip(from).find(|line| line.name == name),
        }
    }

    /// The lines among which those of one header are, in their order; none are others unless there are several.
    #[inline]
    pub(crate) fn around(&self, name: Name) -> &[Line] {
        let Some(from) = self.places.first(name) else { return &[] };
        let lines = self.lines.get(from..).unwrap_or_default();
        match lines {
            [first, ..] if self.places.is_single(name) => core::slice::from_ref(first),
            _ => lines,
        }
    }

    /// The lines of one header, in their order.
    #[inline]
    pub(crate) fn of(&self, name: Name) -> impl Iterator<Item = &Line> + Clone {
        self.around(name).iter().filter(move |line| line.name == name)
    }

    /// Where line `number` ends: where the next one begins.
    pub(crate) fn line_end(&self, number: usize) -> usize {
        self.lines.get(number + 1).map_or(self.fields_end, |next| usize::from(next.start))
    }

    /// The length of the body as the head states it.
    pub(crate) fn content_length(&self, octets: &[u8]) -> Result<Option<usize>, ParseError> {
        let Some(line) = self.first(Name::ContentLength) else { return Ok(None) };
        let at = usize::from(line.value);
        if self.places.repeats(Name::ContentLength) {
            return Err(ParseError::new(ErrorKind::ContentLengthRepeated, at));
        }
        // Digits and nothing else: whoever wraps, signs or guesses here reads the next message elsewhere.
        decimal::<u32>(line.value_in(octets))
            .map(|length| Some(length as usize))
            .ok_or(ParseError::new(ErrorKind::ContentLength, at))
    }
}

impl Line {
    /// A line of which only the start is known: an unknown header without name and value.
    const fn unread(start: u16) -> Self {
        Line { start, value: start, value_end: start, name: Name::Other, name_len: 0 }
    }

    /// Reads the line of `head` from `start` to `end`, its last CRLF included.
    #[inline(always)]
    fn read(head: &[u8], start: usize, end: usize) -> Result<Self, ErrorKind> {
        let line = &head[start..end];
        // What follows a short line is looked at too, which does no harm: the colon has to be within the line.
        let window = window_of(&head[start..]);
        let mut colon = first_of([b':'], &window);
        let mut name_len = colon as u8;
        let mut name = Name::in_window(&window, colon);
        if name == Name::Other || colon >= line.len() {
            (name, name_len, colon) = unusual_name(line)?;
        }
        let (value, value_end) = match line[colon + 1..line.len() - 2] {
            // One space before the value and none behind is what everybody writes.
            [b' ', first, .., last] if first > b' ' && last > b' ' => (colon + 2, line.len() - 2),
            _ => unusual_value(line, colon + 1),
        };
        let [start, value, value_end] = [start, start + value, start + value_end].map(|at| at as u16);
        Ok(Line { start, value, value_end, name, name_len })
    }

    #[inline]
    pub(crate) fn value_in<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        &octets[usize::from(self.value)..usize::from(self.value_end)]
    }

    /// The name as written; empty if the line has no colon.
    #[inline]
    pub(crate) fn name_in<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        let start = usize::from(self.start);
        match self.name_len {
            u8::MAX => {
                let line = &octets[start..usize::from(self.value)];
                octets::trim_end(&line[..memchr::memchr(b':', line).unwrap_or(line.len())])
            }
            length => &octets[start..start + usize::from(length)],
        }
    }
}

/// The name of a line where it is not known at first sight, its length and where its colon is: it is long, or not in
/// the list, or blanks stand before the colon. A line break there is part of the name, and so a fault.
#[inline(never)]
fn unusual_name(line: &[u8]) -> Result<(Name, u8, usize), ErrorKind> {
    let colon = memchr::memchr(b':', line).ok_or(ErrorKind::HeaderName)?;
    let mut name = &line[..colon];
    while let [rest @ .., last] = name
        && octets::is_blank(*last)
    {
        name = rest;
    }
    if !octets::all(name, TOKEN) {
        return Err(ErrorKind::HeaderName);
    }
    // Others have been looked for in the window.
    let is_new = name.len() < colon || name.len() >= WINDOW;
    let known = if is_new { Name::from_bytes(name) } else { Name::Other };
    Ok((known, name.len().min(usize::from(u8::MAX)) as u8, colon))
}

/// Where the value of a line is that has white space around it, or none, behind the colon before `from`.
#[inline(never)]
fn unusual_value(line: &[u8], from: usize) -> (usize, usize) {
    let end = line.len() - 2;
    let value = octets::trim_start(&line[from..end]);
    let start = end - value.len();
    (start, start + octets::trim_end(value).len())
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
    fn a_header_is_found_however_far_down() {
        for above in [0, 62, 63, 64, 125, 126, 127, 128, 200] {
            let head = format!(
                "x\r\n{}To: a\r\nVia: b\r\nVia: c\r\nX: y\r\nVia: d\r\n\r\n",
                "X: y\r\n".repeat(above)
            );
            let index = build(head.as_bytes(), &Limits::default()).expect("good");
            let values =
                |name| -> Vec<_> { index.of(name).map(|line| line.value_in(head.as_bytes())).collect() };

            assert_eq!(values(Name::To), [b"a"], "{above}");
            assert_eq!(values(Name::Via), [b"b", b"c", b"d"], "{above}");
            assert_eq!(
                index.first(Name::Via).map(|line| line.value_in(head.as_bytes())),
                Some(&b"b"[..]),
                "{above}"
            );
            assert_eq!(values(Name::From), [b""; 0], "{above}");
            assert!(index.first(Name::From).is_none());
            assert!(index.places.repeats(Name::Via) && !index.places.repeats(Name::To), "{above}");
        }
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
