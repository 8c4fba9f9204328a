//! A message forwarded with edits: one pass, everything that is not named stays octet for octet.

use core::cmp::Reverse;
use core::net::SocketAddr;
use core::ops::Range;

use smallvec::SmallVec;

use crate::header::name::Name;
use crate::header::via::{Received, Via};
use crate::list::split_value;
use crate::message::Message;
use crate::octets::{self, push_decimal, push_uri, push_value};

/// Edits a forwarding makes without allocating: a proxy makes some eight.
const EDITS_INLINE: usize = 16;

/// A list of edits to a message, and the writing of the outcome.
///
/// Edits speak of the message as it came, in any order; best in the order of its lines. New text is borrowed and
/// copied once, where it belongs. It is cleaned as in [`Compose`](crate::Compose): no value can begin a new line.
/// Content-Length is the rewrite's own business: it is kept right, added where it is missing, and edits to it are
/// ignored. Of two edits of the same octets the later counts; one that lies wholly inside another is lost; of two
/// that overlap otherwise the one that begins first is made whole and the other loses the octets they share.
#[derive(Debug, Clone)]
pub struct Rewrite<'e, 'a> {
    message: &'e Message<'a>,
    edits: SmallVec<[Edit<'e>; EDITS_INLINE]>,
    /// What [`Text::Received`] stands for.
    received: Option<Received<'a>>,
    /// A new body.
    body: Option<&'e [u8]>,
    /// How many edits were made so far.
    made: u16,
    /// Some of them are [`Place::Added`].
    added: bool,
}

/// Octets `from..to` of the head give way to a text, or to a line.
#[derive(Debug, Clone)]
struct Edit<'e> {
    from: u16,
    to: u16,
    place: Place,
    line: Line<'e>,
    text: Text<'e>,
}

/// What an edit is, and in which order those at the same octet are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A line above what stands there. The later goes above the earlier.
    Above(Reverse<u16>),
    /// A line at the end of the head. The later goes below.
    Below(u16),
    /// A header that was set and was not there: as `Below`, and to be set again.
    Added(u16, Name),
    /// Something in its stead. The longer counts, then the later.
    Instead(Reverse<u16>, Reverse<u16>),
}

/// The header line that a text is the value of.
#[derive(Debug, Clone, Copy)]
enum Line<'e> {
    /// None: a part of a line.
    None,
    /// One of this name.
    Of(Name),
    /// One of a name that [`Name`] does not know.
    Called(&'e [u8]),
    /// The one that gives way, its name as written.
    Same,
}

#[derive(Debug, Clone, Copy)]
enum Text<'e> {
    Nothing,
    Uri(&'e [u8]),
    Value(&'e [u8]),
    Parts(&'e [&'e [u8]]),
    Decimal(u64),
    /// The topmost Via, corrected.
    Received,
}

impl<'e, 'a> Rewrite<'e, 'a> {
    /// A rewrite that changes nothing yet.
    #[must_use]
    pub fn new(message: &'e Message<'a>) -> Self {
        Self { message, edits: SmallVec::new(), received: None, body: None, made: 0, added: false }
    }

    /// Replaces the Request-URI; does nothing to a response. Blanks and control characters are escaped.
    pub fn set_request_uri(&mut self, uri: &'e [u8]) -> &mut Self {
        if self.message.is_request() {
            let span = self.span(self.message.request_uri()).expect("the Request-URI is in the head");
            self.instead(span, Line::None, Text::Uri(uri));
        }
        self
    }

    /// Adds a line above the first line of that header, or right behind the start line if there is none.
    pub fn prepend(&mut self, name: Name, value: &'e [u8]) -> &mut Self {
        self.above(name, Text::Value(value))
    }

    /// As [`Rewrite::prepend`], for a value that is the parts one after the other.
    pub fn prepend_parts(&mut self, name: Name, parts: &'e [&'e [u8]]) -> &mut Self {
        self.above(name, Text::Parts(parts))
    }

    /// Adds a line at the end of the head.
    pub fn append(&mut self, name: Name, value: &'e [u8]) -> &mut Self {
        if name != Name::ContentLength {
            let place = Place::Below(self.number());
            self.at_end(place, Line::Of(name), Text::Value(value));
        }
        self
    }

    /// Adds a line at the end of the head, under a name that [`Name`] does not know. The caller sees to it
    /// that the name is a token.
    pub fn append_raw(&mut self, name: &'e [u8], value: &'e [u8]) -> &mut Self {
        debug_assert!(octets::all(name, octets::TOKEN), "a header name is a token");
        let place = Place::Below(self.number());
        self.at_end(place, Line::Called(name), Text::Value(value));
        self
    }

    /// Makes this the only line of that header: the first one gets the value, others go, and if there is none
    /// one is added at the end.
    pub fn set(&mut self, name: Name, value: &'e [u8]) -> &mut Self {
        if name != Name::ContentLength {
            self.put(name, Text::Value(value));
        }
        self
    }

    /// As [`Rewrite::set`], for a number.
    pub fn set_decimal(&mut self, name: Name, value: u64) -> &mut Self {
        if name != Name::ContentLength {
            self.put(name, Text::Decimal(value));
        }
        self
    }

    /// Removes all lines of that header.
    pub fn remove_all(&mut self, name: Name) -> &mut Self {
        if !self.message.has(name) {
            self.take_back(name);
        } else if name != Name::ContentLength {
            let message = self.message;
            for (number, _) in message.index.lines.iter().enumerate().filter(|(_, line)| line.name == name) {
                self.remove_line(number);
            }
        }
        self
    }

    /// Removes all lines whose name, as written, `matches`: for headers that [`Name`] does not know.
    pub fn remove_matching(&mut self, mut matches: impl FnMut(&[u8]) -> bool) -> &mut Self {
        let message = self.message;
        for (number, field) in message.fields().enumerate() {
            if field.name != Name::ContentLength && matches(field.raw_name) {
                self.remove_line(number);
            }
        }
        self
    }

    /// Removes the topmost value of that header, be it alone on its line or the first of a list; called again,
    /// the next one. Empty lines above it, which are no values, go with it. Says whether there was one.
    pub fn remove_first_value(&mut self, name: Name) -> bool {
        for (number, line) in self.message.index.lines.iter().enumerate() {
            if line.name != name || name == Name::ContentLength {
                continue;
            }
            let whole = line.start..self.message.index.line_end(number) as u16;
            if self.edits.iter().any(|edit| edit.from == whole.start && edit.to == whole.end) {
                continue;
            }
            if line.value == line.value_end {
                self.remove(whole);
                continue;
            }
            // Values of this line that are gone already.
            let gone = self.edits.iter().filter(|edit| edit.from == line.value).map(|edit| edit.to).max();
            let from = usize::from(gone.unwrap_or(line.value));
            let (_, rest) = split_value(&self.message.bytes[from..usize::from(line.value_end)]);
            let next =
                rest.map(octets::trim_start).and_then(|rest| octets::offset_in(self.message.bytes, rest));
            match next {
                Some(next) => self.remove(line.value..next as u16),
                None => self.remove(whole),
            }
            return true;
        }
        false
    }

    /// Replaces octets of the head by others. `span` is a slice of the message as its views give them: a URI,
    /// an [`addr_raw`](crate::NameAddr::addr_raw), a value. Says whether it is; if not, nothing is changed.
    pub fn replace_span(&mut self, span: &[u8], with: &'e [u8]) -> bool {
        let Some(span) = self.span(span) else { return false };
        self.instead(span, Line::None, Text::Value(with));
        true
    }

    /// Writes `via`, the topmost Via of this message, as the hop that took it from `source` has to: see
    /// [`Via::write_received`](crate::Via::write_received).
    pub fn set_received(&mut self, via: &Via<'a>, source: SocketAddr) -> &mut Self {
        if let Some(span) = self.span(via.raw) {
            self.received = Some(via.received_from(source));
            self.instead(span, Line::None, Text::Received);
        }
        self
    }

    /// Replaces the body and its Content-Type. An empty body goes without Content-Type. Content-Encoding spoke
    /// of the old body and is removed.
    pub fn set_body(&mut self, content_type: &'e [u8], body: &'e [u8]) -> &mut Self {
        self.remove_all(Name::ContentEncoding);
        if body.is_empty() {
            self.remove_all(Name::ContentType);
        } else {
            self.set(Name::ContentType, content_type);
        }
        self.body = Some(body);
        if self.message.has(Name::ContentLength) {
            self.put(Name::ContentLength, Text::Decimal(body.len() as u64));
        }
        self
    }

    /// Appends the outcome to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        /// What a proxy adds: a Via, Record-Routes, a longer Request-URI. More only costs another growth.
        const ADDED: usize = 1024;
        let bytes = self.message.bytes;
        let mut order: SmallVec<[&Edit<'e>; EDITS_INLINE]> = self.edits.iter().collect();
        order.sort_unstable_by_key(|edit| (edit.from, edit.place));
        out.reserve(bytes.len() + ADDED);
        let mut at = 0;
        let mut replaced_at = None;
        for edit in order {
            let (from, to) = (usize::from(edit.from), usize::from(edit.to));
            if matches!(edit.place, Place::Instead(..)) {
                let inside = from < at && to <= at;
                if inside || replaced_at == Some(from) {
                    continue;
                }
                replaced_at = Some(from);
            }
            if from > at {
                out.extend_from_slice(&bytes[at..from]);
            }
            self.write_new(edit, out);
            at = at.max(to);
        }
        let fields_end = self.message.index.fields_end;
        out.extend_from_slice(&bytes[at..fields_end]);
        let body = self.body.unwrap_or(self.message.body());
        if !self.message.has(Name::ContentLength) {
            out.extend_from_slice(b"Content-Length: ");
            push_decimal(out, body.len() as u64);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
    }

    fn write_new(&self, edit: &Edit<'_>, out: &mut Vec<u8>) {
        let name = match edit.line {
            Line::None => None,
            Line::Of(name) => Some(name.as_str().as_bytes()),
            Line::Called(name) => Some(name),
            Line::Same => {
                let line = &self.message.bytes[usize::from(edit.from)..usize::from(edit.to)];
                let name_end = memchr::memchr(b':', line).expect("a line has a colon");
                Some(octets::trim_end(&line[..name_end]))
            }
        };
        if let Some(name) = name {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
        }
        match edit.text {
            Text::Nothing => {}
            Text::Uri(uri) => push_uri(out, uri),
            Text::Value(value) => push_value(out, value),
            Text::Parts(parts) => parts.iter().for_each(|part| push_value(out, part)),
            Text::Decimal(number) => push_decimal(out, number),
            Text::Received => self.received.expect("it was kept with the edit").write(out),
        }
        if name.is_some() {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Where `span` lies, if it lies in the head and ends no line.
    fn span(&self, span: &[u8]) -> Option<Range<u16>> {
        let from = octets::offset_in(&self.message.bytes[..self.message.index.fields_end], span)?;
        (span.last() != Some(&b'\n')).then_some(from as u16..(from + span.len()) as u16)
    }

    /// A number greater than that of all edits before, those taken back included. There are fewer than 65,536: each
    /// line of the message is removed by at most as many calls as its caller writes down.
    fn number(&mut self) -> u16 {
        self.made = self.made.saturating_add(1);
        self.made
    }

    fn above(&mut self, name: Name, text: Text<'e>) -> &mut Self {
        if name != Name::ContentLength {
            let first = self.message.index.of(name).next();
            let at = first.map_or(self.message.index.start_line as u16 + 2, |line| line.start);
            let place = Place::Above(Reverse(self.number()));
            self.edits.push(Edit { from: at, to: at, place, line: Line::Of(name), text });
        }
        self
    }

    fn instead(&mut self, span: Range<u16>, line: Line<'e>, text: Text<'e>) {
        let place = Place::Instead(Reverse(span.end), Reverse(self.number()));
        self.edits.push(Edit { from: span.start, to: span.end, place, line, text });
    }

    fn remove(&mut self, span: Range<u16>) {
        self.instead(span, Line::None, Text::Nothing);
    }

    /// Forgets that a header was set which the message does not have.
    fn take_back(&mut self, name: Name) {
        if self.added {
            self.edits.retain(|edit| !matches!(edit.place, Place::Added(_, added) if added == name));
        }
    }

    fn remove_line(&mut self, number: usize) {
        let index = &self.message.index;
        self.remove(index.lines[number].start..index.line_end(number) as u16);
    }

    fn at_end(&mut self, place: Place, line: Line<'e>, text: Text<'e>) {
        let at = self.message.index.fields_end as u16;
        self.edits.push(Edit { from: at, to: at, place, line, text });
    }

    fn put(&mut self, name: Name, text: Text<'e>) {
        let message = self.message;
        let mut lines = message.index.lines.iter().enumerate().filter(|(_, line)| line.name == name);
        let Some((number, first)) = lines.next() else {
            self.take_back(name);
            self.added = true;
            let place = Place::Added(self.number(), name);
            return self.at_end(place, Line::Of(name), text);
        };
        self.instead(first.start..message.index.line_end(number) as u16, Line::Same, text);
        for (number, _) in lines {
            self.remove_line(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    const MESSAGE: &str = "INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b\r\nv:SIP/2.0/UDP c\r\n\
                           Max-Forwards : 70\r\nRoute: <sip:r1;lr>,\r\n <sip:r2;lr>\r\nFrom: \"A\" <sip:a@a>;tag=1\r\n\
                           Proxy-Authorization: Digest a=b\r\nX-Mine: x\r\nContent-Type: text/plain\r\nl: 3\r\n\r\noldsurplus";

    fn rewritten(text: &str, edit: impl for<'a> FnOnce(&mut Rewrite<'_, 'a>, &Message<'a>)) -> String {
        let message = Message::parse(text.as_bytes(), &Limits::default()).expect("good");
        let mut rewrite = Rewrite::new(&message);
        edit(&mut rewrite, &message);
        let mut out = Vec::new();
        rewrite.write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_later_body_counts_also_where_the_earlier_brought_its_own_type() {
        let text =
            b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n";
        let message = Message::parse(text, &Limits::default()).expect("good");
        let mut out = Vec::new();

        Rewrite::new(&message).set_body(b"text/plain", b"x").set_body(b"text/plain", b"").write(&mut out);

        assert_eq!(out, text);
    }

    #[test]
    fn nothing_named_nothing_changed() {
        assert_eq!(rewritten(MESSAGE, |_, _| {}), MESSAGE.strip_suffix("surplus").expect("there"));
    }

    #[test]
    fn a_proxy_forwards_a_request() {
        let text = rewritten(MESSAGE, |rewrite, message| {
            rewrite.set_request_uri(b"sip:b@192.0.2.9");
            rewrite.set_received(
                &message.top_via().expect("good"),
                "192.0.2.1:5060".parse().expect("an address"),
            );
            rewrite.prepend(Name::RecordRoute, b"<sip:us;lr>");
            rewrite.prepend(Name::Via, b"SIP/2.0/UDP us");
            rewrite.remove_first_value(Name::Route);
            rewrite.set_decimal(Name::MaxForwards, 69);
            rewrite.remove_all(Name::ProxyAuthorization);
            rewrite.remove_matching(|name| name.eq_ignore_ascii_case(b"x-mine"));
            rewrite.append_raw(b"X-Ours", b"y\r\nEvil: z");
        });

        assert_eq!(
            text,
            "INVITE sip:b@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP us\r\nRecord-Route: <sip:us;lr>\r\n\
             Via: SIP/2.0/UDP a;received=192.0.2.1;branch=1, SIP/2.0/UDP b\r\nv:SIP/2.0/UDP c\r\nMax-Forwards: 69\r\n\
             Route: <sip:r2;lr>\r\nFrom: \"A\" <sip:a@a>;tag=1\r\nContent-Type: text/plain\r\nl: 3\r\n\
             X-Ours: y  Evil: z\r\n\r\nold"
        );
    }

    #[test]
    fn the_topmost_value_goes_though_a_line_above_it_is_empty() {
        let response = "SIP/2.0 200 OK\r\nVia:\r\nVia: SIP/2.0/UDP us\r\nv: \r\nVia: SIP/2.0/UDP a\r\n\r\n";

        let text = rewritten(response, |rewrite, message| {
            assert_eq!(message.top_via().expect("good").host.raw(), b"us");
            assert!(rewrite.remove_first_value(Name::Via));
        });

        assert!(text.starts_with("SIP/2.0 200 OK\r\nv: \r\nVia: SIP/2.0/UDP a\r\n"), "{text}");
    }

    #[test]
    fn topmost_values_go_one_by_one() {
        let once = rewritten(MESSAGE, |rewrite, _| {
            rewrite.remove_first_value(Name::Via);
        });
        let twice = rewritten(MESSAGE, |rewrite, _| {
            rewrite.remove_first_value(Name::Via);
            rewrite.remove_first_value(Name::Via);
        });
        let all = rewritten(MESSAGE, |rewrite, _| {
            assert!((0..3).all(|_| rewrite.remove_first_value(Name::Via)));
            assert!(!rewrite.remove_first_value(Name::Via));
        });

        assert!(once.contains("SIP/2.0\r\nVia: SIP/2.0/UDP b\r\nv:SIP/2.0/UDP c\r\n"));
        assert!(twice.contains("SIP/2.0\r\nv:SIP/2.0/UDP c\r\n"));
        assert!(all.contains("SIP/2.0\r\nMax-Forwards"));
    }

    #[test]
    fn what_is_set_is_there_once() {
        let text = rewritten(MESSAGE, |rewrite, _| {
            rewrite.set(Name::Via, b"SIP/2.0/UDP first");
            rewrite.set(Name::Via, b"SIP/2.0/UDP only");
            rewrite.set(Name::Subject, b"first");
            rewrite.set(Name::Subject, b"only");
            rewrite.set(Name::Expires, b"1").remove_all(Name::Expires);
        });

        assert_eq!(text.matches("UDP").count(), 1);
        assert!(text.contains("Via: SIP/2.0/UDP only\r\n"));
        assert!(text.contains("Subject: only\r\n") && !text.contains("first") && !text.contains("Expires"));
    }

    #[test]
    fn an_identity_is_replaced_in_place() {
        let text = rewritten(MESSAGE, |rewrite, message| {
            let from = message.from().expect("good");
            assert!(rewrite.replace_span(from.addr_raw, b"\"Ann\r\nLee\" <sip:1002@demo>"));
            assert!(!rewrite.replace_span(message.body(), b"new"));
            assert!(!rewrite.replace_span(message.fields().next().expect("there").line, b""));
        });

        assert!(text.contains("From: \"Ann  Lee\" <sip:1002@demo>;tag=1\r\n"));
    }

    #[test]
    fn the_length_follows_the_body() {
        let longer = rewritten(MESSAGE, |rewrite, _| {
            rewrite
                .set_body(b"application/sdp", b"v=0\r\n")
                .set(Name::ContentLength, b"99")
                .append(Name::ContentLength, b"98");
        });
        let none = rewritten("OPTIONS sip:a SIP/2.0\r\nc: text/plain\r\n\r\nbody", |rewrite, _| {
            rewrite.set_body(b"", b"");
        });

        assert!(longer.ends_with("Content-Type: application/sdp\r\nl: 5\r\n\r\nv=0\r\n"));
        assert_eq!(none, "OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(
            rewritten("OPTIONS sip:a SIP/2.0\r\n\r\nbody", |_, _| {}),
            "OPTIONS sip:a SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"
        );
    }

    #[test]
    fn overlapping_edits_have_one_outcome() {
        let text = rewritten(MESSAGE, |rewrite, message| {
            let from = message.from().expect("good");
            rewrite.replace_span(from.uri_raw, b"sip:lost");
            rewrite.replace_span(from.addr_raw, b"<sip:kept>");
            rewrite.replace_span(from.uri_raw, b"sip:lost");
        });

        assert!(text.contains("From: <sip:kept>;tag=1\r\n"));
    }
}
