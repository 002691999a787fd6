//! What SQLite's errors mean to a caller.

use crate::error::{Error, Kind};
use rusqlite::{ErrorCode, ffi};
use std::{fs::File, io};

pub(super) const FULL: &str = "store.full";

pub(super) fn failed(error: rusqlite::Error) -> Error {
    let text = error.to_string();
    let storage = |code, hint: &str| Error::new(Kind::Storage, code, format!("{hint}: {text}"));
    let mapped = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::unavailable("another process has written to the file for too long")
        }
        _ if cannot_grow(&error) => storage(
            FULL,
            "the file cannot grow: the disk, a quota or the limit of a file's size is reached; free space and repeat",
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) if no_descriptors() => Error::unavailable(
            "this process has as many files open as it may (ulimit -n); raise the limit, or repeat when some are closed",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            storage("store.read_only", "the file cannot be written; check its rights and its folder's")
        }
        Some(ErrorCode::CannotOpen) => {
            storage("store.read_only", "the file cannot be opened; check the path and its rights")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            storage("store.corrupt", "the file is no intact SQLite database; restore a copy")
        }
        _ => Error::internal(format!("SQLite failed: {text}")),
    };
    mapped.caused_by(error)
}

/// Of a commit. The log may hold it already when the disk refuses to confirm it, or when the index cannot be extended;
/// after a crash it would count.
pub(super) fn commit_failed(error: rusqlite::Error) -> Error {
    let refused = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull))
        || error.sqlite_extended_error_code() == Some(ffi::SQLITE_IOERR_WRITE);
    if refused { failed(error) } else { unknown(&format!("the commit failed ({error})")).caused_by(error) }
}

/// `store.outcome_unknown`
pub(super) fn unknown(what: &str) -> Error {
    let message = format!(
        "{what}; the change may have been made or not: repeat it with the same id, unique key or lease, or look"
    );
    Error::new(Kind::OutcomeUnknown, "store.outcome_unknown", message)
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// SQLite knows a full disk by its name, a quota or a limit (EDQUOT, EFBIG) only as a refused write. A write to the
/// system's cache is refused for hardly anything else.
fn cannot_grow(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || matches!(
            error.sqlite_extended_error_code(),
            Some(ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE)
        )
}

/// SQLite does not say why a file cannot be opened.
fn no_descriptors() -> bool {
    /// EMFILE and ENFILE, of this process and of the system.
    const TOO_MANY: [i32; 2] = [24, 23];
    let probe: io::Result<File> = File::open("/");
    cfg!(unix) && probe.is_err_and(|error| error.raw_os_error().is_some_and(|code| TOO_MANY.contains(&code)))
}
