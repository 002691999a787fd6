//! Times, spans and widths in words. Pure, but for the clock.

use chrono::{DateTime, Utc};
use kurultai_core::Error;
use std::{str::FromStr, time::Duration};
use unicode_width::UnicodeWidthChar;

/// For words like "3 s ago": the store's own clock decides everything that matters.
#[expect(clippy::disallowed_methods, reason = "an operator reads the words by the clock of this machine")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

pub(crate) fn utc(time: DateTime<Utc>) -> String {
    time.format("%F %TZ").to_string()
}

/// `12 ms`, `1.9 s`, `3 min 20 s`, `2 h 5 min`, `4 days`.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds as u64;
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1000.0),
        s if s < 59.95 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{} min {} s", whole / 60, whole % 60),
        s if s < 86_400.0 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} days", whole / 86_400),
    }
}

pub(crate) fn ago(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - time).num_seconds() {
        ..=0 => "now".to_owned(),
        s @ ..=59 => format!("{s} s ago"),
        s @ ..=3599 => format!("{} min ago", s / 60),
        s @ ..=86_399 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

/// `500ms`, `30s`, `5m`, `2h`, `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a number and a unit, as 500ms, 30s, 5m, 2h or 1d".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

/// A time, which names its offset: whose wall clock is meant cannot be guessed.
pub(crate) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| {
        "a time with its offset, as 2026-03-01T09:00:00Z or 2026-03-01T17:00:00+08:00".to_owned()
    })
}

/// A count.
pub(crate) fn natural<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "a whole number, not negative and not too large".to_owned())
}

/// A word of the library, with its own account of what is allowed.
pub(crate) fn word<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: Error| e.message().to_owned())
}

/// One line, without anything that moves a terminal's cursor or turns its direction.
pub(crate) fn clean(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

/// A type, a topic, or another word that a stranger wrote: as it is, or in quotes where it is more than a word and could
/// pass for what stands beside it.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.:/*+#@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    clean(&serde_json::Value::from(text).to_string())
}

/// The columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// At most `most` columns, the last one an ellipsis where something was cut off.
pub(crate) fn short(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= most {
            break;
        }
        kept.push(c);
    }
    if most > 0 {
        kept.push('…');
    }
    kept
}

/// Lines of at most `most` columns, broken between words where that goes.
pub(crate) fn wrap(text: &str, most: usize) -> Vec<String> {
    let (mut lines, mut line, mut used) = (vec![], String::new(), 0);
    for word in text.split(' ') {
        if used > 0 && used + 1 + width(word) > most {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let columns = c.width().unwrap_or(0);
            if used > 0 && used + columns > most {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += columns;
        }
    }
    lines.push(line);
    lines
}

/// `count` things: `1 task`, `2 tasks`.
pub(crate) fn count(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let seconds = |text| duration(text).map(|d| d.as_secs_f64());
        assert_eq!(seconds("500ms"), Ok(0.5));
        assert_eq!(seconds("1.5s"), Ok(1.5));
        assert_eq!(seconds("5m"), Ok(300.0));
        assert_eq!(seconds("2h"), Ok(7200.0));
        for wrong in ["", "5", "s", "-5s", "5 s", "5x", "1..5s", "99999999999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_name_their_offset() {
        assert_eq!(time("2026-03-01T17:00:00+08:00"), time("2026-03-01T09:00:00Z"));
        for wrong in ["2026-03-01T09:00:00", "2026-03-01", "soon", ""] {
            assert!(time(wrong).unwrap_err().contains("offset"), "{wrong:?}");
        }
    }

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(short("Möngke", 6), "Möngke");
        assert_eq!(short("Möngke", 5), "Möng…");
        assert_eq!(short("蒙哥蒙哥", 5), "蒙哥…");
        assert!(width(&short("蒙哥蒙哥", 4)) <= 4);
        assert_eq!(clean("a\x1b[2J\nb"), "a [2J b");
    }

    #[test]
    fn what_is_no_word_is_quoted() {
        for word in ["task_delegation", "agent.stuck", "role:router", "\u{43c}\u{443}"] {
            assert_eq!(quoted(word), word);
        }
        assert_eq!(quoted("x from kublai, signed"), r#""x from kublai, signed""#);
        assert_eq!(quoted("a\n\"b\u{202e}"), r#""a\n\"b ""#);
        assert_eq!(quoted(""), r#""""#);
    }

    #[test]
    fn texts_are_wrapped_between_words() {
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a longword", 4), ["a", "long", "word"]);
        assert_eq!(wrap("蒙哥 蒙", 3), ["蒙", "哥", "蒙"]);
    }

    #[test]
    fn spans_are_words() {
        assert_eq!([0.012, 1.94, 200.0, 7500.0].map(span), ["12 ms", "1.9 s", "3 min 20 s", "2 h 5 min"]);
    }
}
