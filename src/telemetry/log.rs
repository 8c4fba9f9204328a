//! The log on standard error: one line an event, for people or as JSON.

use std::fmt::{self, Debug};
use std::io::{IsTerminal as _, stderr};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::config::{Log, LogFormat, LogLevel};

/// Writes from now on what `log` wants of what is logged.
pub fn to_stderr(log: Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(stderr).with_target(false);
    match log.format {
        LogFormat::Text => lines.with_ansi(colours).fmt_fields(Text).init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// The fields of a line for people: the message as it is, then `name=value` each. A value is in quotes where it holds a
/// space or what is escaped there, a quote, a backslash or what does not print by itself, and never else. So a line stays one line,
/// and no value passes for a second field, whatever a peer has put into it.
struct Text;

impl<'w> FormatFields<'w> for Text {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_begun: false, outcome: Ok(()) };
        fields.record(&mut line);
        line.outcome
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_begun: bool,
    outcome: fmt::Result,
}

impl Line<'_> {
    fn field(&mut self, name: &str, value: &str) -> fmt::Result {
        if self.is_begun {
            self.writer.write_char(' ')?;
        }
        self.is_begun = true;
        if name == "message" {
            return value.chars().try_for_each(|character| match character {
                control if control.is_control() => write!(self.writer, "{}", control.escape_default()),
                other => self.writer.write_char(other),
            });
        }
        if self.writer.has_ansi_escapes() {
            // The name in italics, the sign faint.
            write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
        } else {
            write!(self.writer, "{name}=")?;
        }
        let quoted = format!("{value:?}");
        // What is escaped becomes longer.
        let is_plain = !value.contains(' ') && quoted.len() == value.len() + "\"\"".len();
        self.writer.write_str(if is_plain { value } else { &quoted })
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.outcome = self.outcome.and_then(|()| self.field(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};
    use std::sync::Arc;

    use tracing::info;

    use super::*;

    /// What is written of what `log` logs, without the time.
    fn written(ansi: bool, log: impl FnOnce()) -> String {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(Text)
            .with_writer(Arc::clone(&file))
            .with_ansi(ansi)
            .with_target(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let mut written = String::new();
        (&*file).rewind().and_then(|()| (&*file).read_to_string(&mut written)).unwrap();
        written
    }

    #[test]
    fn a_value_is_in_quotes_where_it_must_be_and_never_else() {
        for (value, shown) in [
            ("scanner", "scanner"),
            ("203.0.113.7:5060", "203.0.113.7:5060"),
            ("2001:db8::7", "2001:db8::7"),
            ("sip:1001@acme.example;ob=1", "sip:1001@acme.example;ob=1"),
            ("Jürgen's", "Jürgen's"),
            ("", ""),
            ("two words", r#""two words""#),
            ("a\"b", r#""a\"b""#),
            ("a\\b", r#""a\\b""#),
            ("x\nERROR forged=1", r#""x\nERROR forged=1""#),
            ("x\r\0\x1b[2J\u{9b}", r#""x\r\0\u{1b}[2J\u{9b}""#),
            ("right\u{202e}left", r#""right\u{202e}left""#),
        ] {
            let as_text = written(false, || info!(reason = value, seconds = 600, "what happened"));
            let as_displayed = written(false, || info!(reason = %value, seconds = 600, "what happened"));

            assert_eq!(as_text, format!(" INFO what happened reason={shown} seconds=600\n"));
            assert_eq!(as_displayed, as_text, "however it is handed over");
        }
    }

    #[test]
    fn a_message_stays_one_line() {
        let line = written(false, || info!("it said \"{}\"", "a\nb\x1b[2J"));

        assert_eq!(line, " INFO it said \"a\\nb\\u{1b}[2J\"\n");
    }

    #[test]
    fn colours_are_around_names_alone() {
        let line = written(true, || info!(reason = "two words", "what happened"));

        assert!(
            line.ends_with("what happened \x1b[3mreason\x1b[0m\x1b[2m=\x1b[0m\"two words\"\n"),
            "{line:?}"
        );
    }
}
