//! Instants as people and programs read them: RFC 3339.

/// `2026-01-31T08:15:00.250Z` (RFC 3339 §5.6) for milliseconds since 1970-01-01 UTC, in the proleptic
/// Gregorian calendar.
pub fn text(millis: u64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin on 1 March end with the leap day, so every month has its length whatever the year.
    let days = days + 719_468; // From 0000-03-01.
    let (era, day) = (days / 146_097, days % 146_097); // The calendar repeats after 400 years.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0: March; months in fives have 153 days.
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Reads what [`text`] writes, with or without a fraction of a second; in UTC alone.
pub fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| number(part, if part.len() == 4 { 4 } else { 2 }));
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(|part| number(part, 2));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let fraction = fraction.get(..3).unwrap_or(fraction);
    let millis = number(fraction, fraction.len())? * 10_u64.pow(3 - u32::try_from(fraction.len()).ok()?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
        || year < 1970
    {
        return None;
    }
    // Years that begin on 1 March, as above.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + millis)
}

/// The value of exactly `length` digits, of which there are few.
fn number(text: &str, length: usize) -> Option<u64> {
    let is_number =
        text.len() == length && !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_of_the_calendar() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(text(seconds * 1000), written);
            assert_eq!(parse(written), Some(seconds * 1000));
        }
        assert_eq!(text(1_769_847_300_250), "2026-01-31T08:15:00.250Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = text(0);
        for day in 1..200_000 {
            let next = text(day * 86_400_000);
            assert!(last < next, "{last} {next}");
            last = next;
        }
    }

    #[test]
    fn what_is_written_is_read_and_anything_else_is_not() {
        for millis in (0..4_000_000_000_000).step_by(86_399_999_777) {
            assert_eq!(parse(&text(millis)), Some(millis));
        }
        assert_eq!(parse("2026-01-31T08:15:00Z"), Some(1_769_847_300_000));
        assert_eq!(parse("2026-01-31T08:15:00.25Z"), Some(1_769_847_300_250));
        for other in [
            "",
            "2026-01-31",
            "2026-01-31T08:15:00",
            "2026-01-31T08:15:00+01:00",
            "26-01-31T08:15:00Z",
            "2026-13-31T08:15:00Z",
            "2026-01-31T08:15Z",
            "1969-12-31T23:59:59Z",
            "2026-01-31T08:15:00.Z",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
