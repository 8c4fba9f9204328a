//! The ladder: three columns, an arrow for each message, and what holds after it.
//!
//! ```text
//!     desk-1 (UDP)                    edge                  desk-2 (TCP)
//!          │                            │                            │
//!    0.004 ├─ REGISTER ────────────────►│                            │
//!    0.005 │◄──────── 401 Unauthorized ─┤                            │
//! ```

use std::io::{self, Write};
use std::time::Instant;

use crate::deadline::now;
use crate::phone::{Direction, Message, display_name, uri};

/// Columns between two lines of the ladder: room for the longest label and an arrow.
const GAP: usize = 40;
/// Columns of a label on an arrow.
const LABEL: usize = GAP - 6;
/// Columns before the first line: a time.
const MARGIN: usize = 10;

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";
const GREY: &str = "90";

/// Which phone a message is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// What is shown. The first failure to write ends it; [`Ladder::finish`] tells.
pub(super) struct Ladder {
    out: Box<dyn Write + Send>,
    colours: bool,
    begun: Instant,
    acts: usize,
    kept: usize,
    broken: usize,
    failure: Option<io::Error>,
}

impl Ladder {
    pub(super) fn new(out: Box<dyn Write + Send>, colours: bool) -> Self {
        Self { out, colours, begun: now(), acts: 0, kept: 0, broken: 0, failure: None }
    }

    /// Promises that were not kept.
    pub(super) fn broken(&self) -> usize {
        self.broken
    }

    /// The heads of the columns.
    pub(super) fn title(&mut self, left: &str, middle: &str, right: &str) {
        let mut line = String::new();
        for (text, column) in [(left, MARGIN), (middle, MARGIN + GAP), (right, MARGIN + 2 * GAP)] {
            let start = column.saturating_sub(text.chars().count() / 2);
            let gap = start.saturating_sub(line.chars().count());
            line += &" ".repeat(gap);
            line += text;
        }
        let line = self.paint(BOLD, &line);
        self.write(&line);
    }

    /// What happens next.
    pub(super) fn act(&mut self, text: &str) {
        self.acts += 1;
        let text = self.paint(BOLD, &format!("{}. {text}", self.acts));
        self.write(&format!("\n{text}\n"));
    }

    /// One message.
    pub(super) fn message(&mut self, side: Side, direction: Direction, message: &Message) {
        let label = label(direction, message);
        // Sent by the left phone or heard by the right one goes to the right.
        let to_the_right = (side == Side::Left) == (direction == Direction::Sent);
        let arrow = self.paint(colour(message), &arrow(&label, to_the_right));
        let (from_left, empty) = (if to_the_right { '├' } else { '│' }, " ".repeat(GAP - 1));
        let from_right = if to_the_right { '│' } else { '┤' };
        let time = format!("{:>8.3}", (now() - self.begun).as_secs_f64());
        let time = self.paint(GREY, &time);
        let line = match side {
            Side::Left => format!("{time}  {from_left}{arrow}{from_right}{empty}│"),
            Side::Right => format!("{time}  │{empty}{from_left}{arrow}{from_right}"),
        };
        self.write(&line);
    }

    /// Who sits under each phone now, and whether that is as it was promised.
    pub(super) fn seats(&mut self, left: &str, right: &str, is_right: bool) {
        let gap = " ".repeat((2 * GAP).saturating_sub("▲ ".chars().count() + left.chars().count()));
        let line = format!("{}▲ {left}{gap}▲ {right}", " ".repeat(MARGIN));
        let line = self.paint(if is_right { CYAN } else { RED }, &line);
        self.write(&line);
        if is_right {
            self.kept += 1;
        } else {
            self.promise(false, "the right people sit there");
        }
    }

    /// Something beside the play.
    pub(super) fn remark(&mut self, text: &str) {
        let line = self.paint(GREY, text);
        self.write(&line);
    }

    /// Something that was to be shown.
    pub(super) fn promise(&mut self, kept: bool, text: &str) {
        *(if kept { &mut self.kept } else { &mut self.broken }) += 1;
        let line = format!("{}{} {text}", " ".repeat(MARGIN), if kept { "✓" } else { "✗ NOT:" });
        let line = self.paint(if kept { GREEN } else { RED }, &line);
        self.write(&line);
    }

    /// The last line, and what went wrong with writing.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let line = match self.broken {
            0 => self.paint(GREEN, &format!("All {} promises kept.", self.kept)),
            broken => self.paint(RED, &format!("{broken} of {} promises broken.", self.kept + broken)),
        };
        self.write(&format!("\n{line}"));
        self.failure.take().map_or(Ok(()), Err)
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn write(&mut self, line: &str) {
        if self.failure.is_none()
            && let Err(error) = writeln!(self.out, "{line}").and_then(|()| self.out.flush())
        {
            self.failure = Some(error);
        }
    }
}

/// What stands on the arrow: a method and whom it is about, or a status and what it answers.
fn label(direction: Direction, message: &Message) -> String {
    if let Some(status) = message.status() {
        let short = format!("{status} {}", message.reason());
        let long = format!("{short} ({})", message.method());
        return if long.chars().count() > LABEL { short } else { long };
    }
    let method = message.method();
    let about = match (method, direction) {
        ("INVITE", Direction::Sent) => mask(user(message.uri())),
        ("INVITE", Direction::Heard) => {
            let from = message.header("From").unwrap_or_default();
            format!("from {} {}", user(uri(from)), display_name(from))
        }
        ("NOTIFY", _) => {
            message.header("Event").unwrap_or_default().split(';').next().unwrap_or_default().into()
        }
        ("REGISTER", _) if message.header("Expires") == Some("0") => "(leave)".into(),
        _ => String::new(),
    };
    format!("{method} {about}").trim_end().to_owned()
}

fn user(uri: &str) -> &str {
    uri.split_once(':').map_or(uri, |(_, rest)| rest).split('@').next().unwrap_or_default()
}

/// A dialled string without the PIN in it: `*11*1001*••••`.
fn mask(dialled: &str) -> String {
    let fields: Vec<&str> = dialled.split('*').collect();
    match fields[..] {
        ["", code, number, pin] => format!("*{code}*{number}*{}", "•".repeat(pin.chars().count())),
        _ => dialled.to_owned(),
    }
}

/// An arrow with its label, as long as the gap is wide.
fn arrow(label: &str, to_the_right: bool) -> String {
    let label: String = label.chars().take(LABEL).collect();
    let line = "─".repeat(GAP - 5 - label.chars().count());
    if to_the_right { format!("─ {label} {line}►") } else { format!("◄{line} {label} ─") }
}

fn colour(message: &Message) -> &'static str {
    match message.status() {
        None => BOLD,
        Some(..200) => GREY,
        Some(200..300) => GREEN,
        // A challenge is no failure.
        Some(401 | 407) => YELLOW,
        Some(_) => RED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_are_as_long_as_the_gap_whatever_stands_on_them() {
        for label in ["ACK", "INVITE from 1001 John Smith", &"x".repeat(200)] {
            for to_the_right in [true, false] {
                assert_eq!(arrow(label, to_the_right).chars().count(), GAP - 1);
            }
        }
    }

    #[test]
    fn no_pin_is_shown() {
        assert_eq!(mask("*11*1001*7738"), "*11*1001*••••");
        assert_eq!((mask("*12"), mask("1002")), ("*12".into(), "1002".into()));
    }
}
