//! How answers and errors leave the program: lines, JSON, tables.

use crate::text::{clean, short, width, wrap};
use kurultai_core::{Error, Kind};
use serde::Serialize;
use std::io::{self, Write};

/// No table is wider.
pub(crate) const WIDTH: usize = 100;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(Error),
    /// Whoever read our output has gone.
    Unread,
    /// All is said; end with this code.
    Exit(u8),
}

pub(crate) type Done<T = ()> = Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Unread,
            _ => Stop::Failed(Error::new(
                Kind::Storage,
                "output.failed",
                format!("the output failed: {error}"),
            )),
        }
    }
}

/// Text on stdout as it is.
pub(crate) fn write(text: &str) -> Done {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

pub(crate) fn say(line: impl AsRef<str>) -> Done {
    write(&format!("{}\n", line.as_ref()))
}

pub(crate) fn say_all(lines: &[String]) -> Done {
    lines.iter().try_for_each(say)
}

/// One document on one line.
pub(crate) fn say_json(value: &impl Serialize) -> Done {
    let text =
        serde_json::to_string(value).map_err(|e| Error::internal(format!("an answer is no JSON: {e}")))?;
    say(text)
}

/// The error on one line of stderr.
pub(crate) fn failure(error: &Error, json: bool) {
    let (kind, code, message, hint) = (error.kind(), error.code(), clean(error.message()), hint(error));
    let line = if json {
        let retryable = error.retryable();
        serde_json::json!({"error": {
            "code": code, "kind": kind.as_str(), "message": message, "retryable": retryable, "hint": hint}})
        .to_string()
    } else {
        format!("error: {message} [{code}]; {hint}")
    };
    drop(writeln!(io::stderr(), "{line}"));
}

/// A remark beside the answer, for people.
pub(crate) fn remark(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

fn hint(error: &Error) -> &'static str {
    match (error.code(), error.kind()) {
        ("input.usage", _) => "see --help",
        ("agent.not_found", _) => "see `kurultai agents list`",
        ("schedule.not_found", _) => "see `kurultai schedules list`",
        ("task.not_found", _) => "see `kurultai tasks list`; is --namespace right?",
        ("task.state", _) => "see `kurultai tasks explain ID`",
        ("task.conflict", _) => "take another key or id, or give the same type and payload",
        ("message.conflict", _) => "take another dedupe key, or say the same",
        ("store.schema_older", _) => "run `kurultai migrate`",
        ("store.schema_newer", _) => "install the newer kurultai",
        ("key.unknown", _) => "see `kurultai keys list`; `kurultai keys add` tells the team a key",
        ("key.revoked" | "key.expired", _) => {
            "see `kurultai keys list`; `kurultai keys rotate` makes the next key"
        }
        (code, Kind::Denied) if code.starts_with("sig.") || code.starts_with("key.") => "trust nothing of it",
        ("config.identity", _) => "open the team with a key: --key FILE",
        ("key.permissions", _) => "look at the key file",
        ("config.key", _) => "mend what it names: the file, or the variable of the environment",
        ("config.wrapping_key", _) => "set KURULTAI_WRAPPING_KEY_FILE to the file of the team's wrapping key",
        ("limit.inbox", _) => "its recipient has to read first; repeat it later",
        (_, Kind::Input) => "mend the call and repeat it",
        ("config.env", _) => "mend the variable, or unset it",
        ("config.invalid", _) => "mend the options",
        ("config.log_file", _) => "name a file that can be written",
        (_, Kind::Config) => "give --url or set KURULTAI_URL",
        (_, Kind::NotFound) => "look it up first",
        (_, Kind::Conflict) => "look at it again and decide",
        (_, Kind::Closed) => "open the store again",
        (_, Kind::Limited) => "wait and repeat it",
        (_, Kind::TimedOut) => "nothing was cancelled; wait again",
        (_, Kind::LeaseLost) => "stop working on it and claim again",
        (_, Kind::Unavailable) => "nothing was changed; repeat it",
        (_, Kind::OutcomeUnknown) => "it may have happened: look, or repeat it with the same key or lease",
        (_, Kind::Storage) => "look at the disk, the rights and the schema",
        (_, Kind::Denied) => "look at the user and the password in the URL",
        _ => "this is a defect; please report it",
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    head: &'static str,
    right: bool,
    whole: bool,
    wraps: bool,
}

/// Shortened where the table is too wide.
pub(crate) const fn text(head: &'static str) -> Column {
    Column { head, right: false, whole: false, wraps: false }
}

/// On several lines where the table is too wide.
pub(crate) const fn wrapped(head: &'static str) -> Column {
    Column { head, right: false, whole: false, wraps: true }
}

/// Never shortened.
pub(crate) const fn whole(head: &'static str) -> Column {
    Column { head, right: false, whole: true, wraps: false }
}

/// To the right, never shortened.
pub(crate) const fn number(head: &'static str) -> Column {
    Column { head, right: true, whole: true, wraps: false }
}

/// What wraps is made no narrower than that as long as another column can give way.
const WRAPPED: usize = 30;

/// Lines of at most [`WIDTH`] columns: the widest texts give way.
pub(crate) fn table(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let head = columns.iter().map(|c| c.head.to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()))
        .collect();
    let widest =
        |i: usize| rows.iter().map(|row| row.get(i).map_or(0, |cell| width(cell))).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let gaps = 2 * columns.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > WIDTH {
        // What wraps loses nothing.
        let wraps = (0..columns.len()).find(|i| columns[*i].wraps && widths[*i] > WRAPPED);
        let widest = wraps.or_else(|| {
            (0..columns.len()).filter(|i| !columns[*i].whole && widths[*i] > 3).max_by_key(|i| widths[*i])
        });
        match widest {
            Some(i) => widths[i] -= 1,
            None => break,
        }
    }
    let lines = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).zip(&widths).map(|((cell, column), most)| {
            if column.wraps { wrap(cell, *most) } else { vec![short(cell, *most)] }
        });
        let cells: Vec<Vec<String>> = cells.collect();
        let line = |n: usize| {
            let cells = cells.iter().zip(columns).zip(&widths).map(|((cell, column), most)| {
                let cell = cell.get(n).map_or("", String::as_str);
                let pad = " ".repeat(most.saturating_sub(width(cell)));
                if column.right { pad + cell } else { cell.to_owned() + &pad }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        (0..height).map(line).collect::<Vec<_>>()
    };
    rows.iter().flat_map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits() {
        let row = |name: &str| vec!["id".to_owned(), name.to_owned(), "12".to_owned()];
        let lines = table(&[whole("ID"), text("NAME"), number("N")], &[row("Möngke"), row(&"蒙".repeat(90))]);
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
        assert_eq!(width(&lines[1]), width(&lines[2]));
    }

    #[test]
    fn what_wraps_is_whole() {
        let why = "the handler of task 0193aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee (review) is silent for 11 min";
        let row = |why: &str| vec!["a".repeat(30), why.to_owned()];
        let lines = table(&[whole("AGENT"), wrapped("WHY")], &[row(why), row("short")]);
        assert!(lines.len() == 4 && lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
        let words = lines[1..3].iter().flat_map(|line| line[30..].split_whitespace());
        assert_eq!(words.collect::<Vec<_>>().join(" "), why);
    }
}
