//! Times as the file writes them: a whole number and its unit.

use std::time::Duration;

/// Units in milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `500ms`, `8s`, `15m`, `4h`, `1d`.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*milliseconds)?))
}

/// Writes what [`parse`] reads, in the longest unit that holds it whole.
pub(super) fn text(time: Duration) -> String {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match UNITS.iter().find(|(_, unit)| milliseconds != 0 && milliseconds % unit == 0) {
        Some((name, unit)) => format!("{}{name}", milliseconds / unit),
        None => "0s".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (written, milliseconds) in
            [("0s", 0), ("500ms", 500), ("8s", 8000), ("90s", 90_000), ("15m", 900_000), ("4h", 14_400_000)]
        {
            let time = Duration::from_millis(milliseconds);

            assert_eq!(parse(written), Some(time));
            assert_eq!(text(time), written);
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for written in ["", "5", "s", "5 s", "-5s", "1.5s", "5S", "1h30m", "99999999999999999999d", "٣s"] {
            assert_eq!(parse(written), None, "{written}");
        }
    }
}
