//! Times as Python's `datetime.now(timezone.utc).isoformat()` writes them.

use chrono::{DateTime, Datelike, Timelike, Utc};

/// `2026-02-09T12:00:00.123456+00:00`; no fraction where the microseconds are 0. What is below them is cut off.
pub(super) fn write(time: DateTime<Utc>) -> String {
    // Not by chrono's format, which reads its pattern each time.
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let seconds = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    match time.timestamp_subsec_micros() {
        0 => format!("{seconds}+00:00"),
        micros => format!("{seconds}.{micros:06}+00:00"),
    }
}

/// A date, `T`, a time and an offset, `Z` or as `+08:00`. `None` for anything else, so where the offset is missing too.
pub(super) fn read(text: &str) -> Option<DateTime<Utc>> {
    let is_plain = text.is_ascii() && text.as_bytes().get(10) == Some(&b'T');
    let time = DateTime::parse_from_rfc3339(text).ok().filter(|_| is_plain)?.to_utc();
    // Python knows no leap second and no year but these.
    let is_python = time.nanosecond() < 1_000_000_000 && (1..=9999).contains(&time.year());
    is_python.then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_python_does() {
        for text in [
            "2026-02-09T12:00:00.123456+00:00",
            "2026-02-09T12:00:00.000001+00:00",
            "2026-02-09T12:00:00.120000+00:00",
            "2026-02-09T12:00:00+00:00",
        ] {
            assert_eq!(write(read(text).unwrap()), text);
        }
        let below = read("2026-02-09T12:00:00.000000999Z").unwrap();
        assert_eq!(write(below), "2026-02-09T12:00:00+00:00");
    }

    #[test]
    fn an_offset_is_required() {
        let noon = read("2026-02-09T12:00:00Z").unwrap();
        assert_eq!(read("2026-02-09T20:00:00+08:00"), Some(noon));
        assert_eq!(read("2026-02-09T12:00:00.000-00:00"), Some(noon));
        for text in [
            "2026-02-09T12:00:00",
            "2026-02-09T12:00:00.123456",
            "2026-02-09 12:00:00+00:00",
            "2026-02-09t12:00:00+00:00",
            "2026-02-09T12:00+00:00",
            "2026-02-09",
            "2026-02-09T12:00:00\u{2212}08:00",
            "2026-02-30T12:00:00+00:00",
            "2016-12-31T23:59:60+00:00",
            "0001-01-01T00:00:00+08:00",
            "9999-12-31T23:59:59-08:00",
            "2026-02-09T12:00:00+00:00 ",
            "1770638400",
            "now",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
