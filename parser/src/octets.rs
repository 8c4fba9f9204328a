//! Octet classes of the SIP grammar (RFC 3261 §25.1), one table for all of them, and white space.

use crate::error::Parsed;
use crate::header::name::WINDOW;
use crate::scan::{first_of, window_of};
use nom::Parser;
use nom::bytes::complete::take_while;

/// `token`: methods, header names, tags, parameter names.
pub(crate) const TOKEN: u8 = 1;
/// Letters, digits, `-`, `.`, and `_`, which networks use although the grammar has it not.
pub(crate) const HOST: u8 = 1 << 1;
/// What may stand before the `@` of a SIP URI, or behind its port: liberally all that cannot end a URI or its
/// brackets, but `@`.
pub(crate) const USERINFO: u8 = 1 << 2;
/// The same without the colon that ends a user where a password follows.
pub(crate) const USER: u8 = 1 << 3;
/// An unquoted parameter value of a header. Liberally all that does not end it: phones write `@` and `=`
/// there, and RFC 5118 §4.5 wants IPv6 without brackets read.
pub(crate) const VALUE: u8 = 1 << 4;
/// What may stand in a URI of any scheme.
pub(crate) const URI: u8 = 1 << 5;
/// `word`, and what else may stand in a Call-ID: anything visible.
pub(crate) const VISIBLE: u8 = 1 << 6;
/// Space, tab, and the CR and LF of a fold (a lone CR or LF never gets past the index).
pub(crate) const LWS: u8 = 1 << 7;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let c = octet as u8;
        let visible = c > b' ' && c != 0x7f;
        let mut class = 0;
        if c.is_ascii_alphanumeric()
            || matches!(c, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
        {
            class |= TOKEN;
        }
        if c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_') {
            class |= HOST;
        }
        if visible {
            class |= VISIBLE;
        }
        if visible && !matches!(c, b'<' | b'>' | b'"') {
            class |= URI;
        }
        if visible && !matches!(c, b'<' | b'>' | b'"' | b'@') {
            class |= USERINFO;
        }
        if class & USERINFO != 0 && c != b':' {
            class |= USER;
        }
        if visible && !matches!(c, b'<' | b'>' | b'"' | b';' | b',') {
            class |= VALUE;
        }
        if matches!(c, b' ' | b'\t' | b'\r' | b'\n') {
            class |= LWS;
        }
        table[octet] = class;
        octet += 1;
    }
    table
}

/// Whether `octet` is in one of the classes.
#[inline(always)]
pub(crate) fn is(octet: u8, class: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// Whether `octet` is a space or a tab.
#[inline(always)]
pub(crate) const fn is_blank(octet: u8) -> bool {
    // Both are below the visible characters: the usual case takes one comparison.
    octet <= b' ' && matches!(octet, b' ' | b'\t')
}

/// How many octets of `class` stand at the start of `text`.
#[inline]
pub(crate) fn span(text: &[u8], class: u8) -> usize {
    let ends = |octet: &u8| !is(*octet, class);
    // Four to a turn of the loop: much of what a parser does is this.
    let (fours, rest) = text.as_chunks::<4>();
    for (turn, four) in fours.iter().enumerate() {
        if let Some(end) = four.iter().position(ends) {
            return turn * 4 + end;
        }
    }
    fours.len() * 4 + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Whether all octets are of `class`, a single one, and there is at least one.
#[inline]
pub(crate) fn all(text: &[u8], class: u8) -> bool {
    // Eight are looked up for one branch.
    let (eights, rest) = text.as_chunks::<8>();
    let common = |part: &[u8]| part.iter().fold(class, |left, &octet| left & CLASSES[octet as usize]);
    !text.is_empty()
        && eights.iter().all(|eight| common(eight) != 0)
        && rest.iter().all(|&octet| is(octet, class))
}

/// One or more octets of `class`.
#[inline]
pub(crate) fn run<'a>(class: u8) -> impl Parser<&'a [u8], Output = &'a [u8], Error = crate::error::Fault> {
    move |input: &'a [u8]| match span(input, class) {
        0 => crate::error::fault(input),
        length => {
            let (run, rest) = input.split_at(length);
            Ok((rest, run))
        }
    }
}

/// Optional white space, folds included.
#[inline]
pub(crate) fn lws(input: &[u8]) -> Parsed<'_, ()> {
    if input.first().is_some_and(|&octet| is(octet, LWS)) {
        take_while(|octet| is(octet, LWS)).map(|_| ()).parse(input)
    } else {
        Ok((input, ()))
    }
}

/// One octet, white space around it skipped.
#[inline]
pub(crate) fn separator(octet: u8) -> impl Fn(&[u8]) -> Parsed<'_, ()> {
    move |input| {
        let (input, ()) = lws(input)?;
        match input.split_first() {
            Some((&first, rest)) if first == octet => lws(rest),
            _ => crate::error::fault(input),
        }
    }
}

/// A quoted string with its quotes. A backslash takes the next octet with it, whatever it is.
pub(crate) fn quoted(input: &[u8]) -> Parsed<'_, &[u8]> {
    if input.first() != Some(&b'"') {
        return crate::error::fault(input);
    }
    let mut at = 1;
    while let Some(found) = find_any(&input[at.min(input.len())..], [b'"', b'\\']) {
        at += found;
        if input[at] == b'"' {
            let (string, rest) = input.split_at(at + 1);
            return Ok((rest, string));
        }
        at += 2;
    }
    crate::error::fault(&input[input.len()..])
}

/// Where the first of these octets stands, none of them NUL. What is searched here is short, and a call of `memchr`
/// costs more than it saves.
#[inline]
pub(crate) fn find_any<const N: usize>(text: &[u8], wanted: [u8; N]) -> Option<usize> {
    let mut from = 0;
    while from < text.len() {
        match first_of(wanted, &window_of(&text[from..])) {
            WINDOW => from += WINDOW,
            at => return Some(from + at),
        }
    }
    None
}

/// The first eight octets of a token as one number in which letters of either case are alike. Of tokens of the same
/// length up to eight, only those that are equal but for case have the same.
#[inline(always)]
pub(crate) const fn lower_word(token: &[u8]) -> u64 {
    // The bit that makes a letter lower case is set in every other octet of a token but `_`, and no letter becomes one.
    const LOWER: u64 = u64::MAX / 0xff * 0x20;
    let length = token.len();
    let word = if let Some(word) = token.first_chunk() {
        u64::from_le_bytes(*word)
    } else if let (Some(head), Some(tail)) = (token.first_chunk(), token.last_chunk()) {
        // Both may hold the same octets in the middle.
        u32::from_le_bytes(*head) as u64 | (u32::from_le_bytes(*tail) as u64) << (8 * (length - 4))
    } else if let (Some(head), Some(tail)) = (token.first_chunk(), token.last_chunk()) {
        u16::from_le_bytes(*head) as u64 | (u16::from_le_bytes(*tail) as u64) << (8 * (length - 2))
    } else if let [octet] = token {
        *octet as u64
    } else {
        0
    };
    word | LOWER
}

/// Whether a token is this word of up to eight letters, in any case.
#[inline(always)]
pub(crate) const fn is_word(token: &[u8], word: &[u8]) -> bool {
    token.len() == word.len() && lower_word(token) == lower_word(word)
}

/// `text` without white space before it.
#[inline(always)]
pub(crate) fn trim_start(text: &[u8]) -> &[u8] {
    // All white space is below the visible characters: the usual cases, none and one space, take a comparison or two.
    match text {
        [b' ', rest @ ..] if rest.first().is_some_and(|&octet| octet > b' ') => rest,
        [..=b' ', ..] => trimmed_start(text),
        _ => text,
    }
}

/// `text` without white space after it.
#[inline(always)]
pub(crate) fn trim_end(text: &[u8]) -> &[u8] {
    match text {
        [.., ..=b' '] => trimmed_end(text),
        _ => text,
    }
}

#[inline(never)]
fn trimmed_start(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|&octet| !is(octet, LWS)).unwrap_or(text.len())..]
}

#[inline(never)]
fn trimmed_end(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|&octet| !is(octet, LWS)).map_or(0, |last| last + 1)]
}

/// `text` without white space around it.
#[inline]
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// A parameter value without its quotes, if it has them. Backslash escapes inside stay as they are.
#[must_use]
pub fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// Where `part` begins inside `whole`, or `None` when it is not a part of it.
pub(crate) fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (offset + part.len() <= whole.len()).then_some(offset)
}

/// Appends a header value. What would end the line or hide what follows becomes a space, so no value can
/// bring a header of its own.
#[inline]
pub(crate) fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    let from = out.len();
    out.extend_from_slice(value);
    clean(&mut out[from..]);
}

/// Blanks out CR, LF and NUL.
pub(crate) fn clean(text: &mut [u8]) {
    if has_control(text) {
        for octet in text.iter_mut().filter(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            *octet = b' ';
        }
    }
}

/// Whether an octet below the space is among them. A word at a time: most text is shorter than what `memchr` is for.
fn has_control(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let below_space = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        word.wrapping_sub(ONES * 0x20) & !word & (ONES << 7)
    };
    // What is left behind the last whole word is looked at with octets before it.
    let Some(last) = text.last_chunk() else { return text.iter().any(|&octet| octet < b' ') };
    text.as_chunks().0.iter().fold(below_space(last), |found, word| found | below_space(word)) != 0
}

/// Appends a URI. Blanks and control characters are escaped: they would end it.
pub(crate) fn push_uri(out: &mut Vec<u8>, uri: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for part in uri.split_inclusive(|&octet| !is(octet, VISIBLE)) {
        match part.split_last() {
            Some((&octet, before)) if !is(octet, VISIBLE) => {
                out.extend_from_slice(before);
                out.extend_from_slice(&[b'%', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]);
            }
            _ => out.extend_from_slice(part),
        }
    }
}

/// Appends a whole header line.
#[inline]
pub(crate) fn push_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    push_value(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends `number` in decimal.
#[inline]
pub(crate) fn push_decimal(out: &mut Vec<u8>, number: u64) {
    /// 2⁶⁴ has twenty digits.
    const DIGITS_MAX: usize = 20;
    let mut digits = [0; DIGITS_MAX];
    let mut at = DIGITS_MAX;
    let mut left = number;
    while left > 9 {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    at -= 1;
    digits[at] = b'0' + left as u8;
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_string_ends_at_the_first_bare_quote() {
        assert_eq!(quoted(br#""a \" b" rest"#), Ok((&b" rest"[..], &br#""a \" b""#[..])));
        assert!(quoted(br#""never closed"#).is_err());
        assert!(quoted(br#""ends in a backslash\"#).is_err());
        assert!(quoted(br#""ends in an escape\""#).is_err());
    }

    #[test]
    fn an_octet_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                let mut text = vec![b'!'; length];
                text[at..].fill(b'#');
                assert_eq!(find_any(&text, [b'#', b'"']), Some(at));
                assert_eq!(find_any(&text, [b'\xff', b'#']), Some(at));
                assert_eq!(find_any(&text, [b'#']), Some(at));
                assert_eq!(find_any(&text, [b'"', b'\xff']), None);
            }
        }
    }

    #[test]
    fn words_differ_by_more_than_case() {
        assert_eq!(lower_word(b"CNonce"), lower_word(b"cnoncE"));
        for (a, b) in [("nonce", "nance"), ("uri", "ur1"), ("nc", "nd"), ("", "a"), ("username", "userhash")]
        {
            assert_ne!(lower_word(a.as_bytes()), lower_word(b.as_bytes()));
        }
        for length in 1..=8 {
            let word = vec![b'a'; length];
            for at in 0..length {
                let mut other = word.clone();
                other[at] = b'b';
                assert_ne!(lower_word(&word), lower_word(&other));
            }
        }
    }

    #[test]
    fn white_space_is_trimmed_with_its_folds() {
        assert_eq!(trim(b" \t\r\n value \r\n\t"), b"value");
        assert_eq!(trim(b" \t"), b"");
    }

    #[test]
    fn decimals_are_written_whole() {
        let mut out = Vec::new();
        push_decimal(&mut out, 0);
        out.push(b' ');
        push_decimal(&mut out, u64::MAX);

        assert_eq!(out, b"0 18446744073709551615");
    }

    #[test]
    fn a_part_knows_its_place() {
        let whole = b"abcdef";

        assert_eq!(offset_in(whole, &whole[2..4]), Some(2));
        assert_eq!(offset_in(&whole[..3], &whole[2..5]), None);
    }
}
