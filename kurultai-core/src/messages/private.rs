//! Files that only their owner can read, and the secrets in them.

use super::strict;
use crate::error::{Error, Kind, Result};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};
use zeroize::Zeroizing;

/// More than any file of ours has.
const MOST_BYTES: usize = 4096;

/// More than is shown of what may be no path: a secret has 43 characters.
const MOST_SHOWN: usize = 32;

/// 32 bytes of a secret.
pub(super) type Secret = Zeroizing<[u8; 32]>;

pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Config, "config.key", message)
}

/// The same, with where it was.
pub(super) fn within(what: impl fmt::Display, error: &Error) -> Error {
    Error::new(error.kind(), error.code(), format!("{what}: {}", error.message()))
}

pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes)
        .map_err(|e| Error::internal(format!("the system gives no random bytes: {e}")))?;
    Ok(bytes)
}

/// From base64url. No refusal shows any of it.
pub(super) fn secret(text: &str) -> Result<Secret> {
    let decoded = strict::base64url(text).map(Zeroizing::new).ok();
    let Some(decoded) = decoded.filter(|bytes| bytes.len() == 32) else {
        let hexadecimal = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hint =
            if hexadecimal { "; 64 hexadecimal digits are a secret of the legacy envelope" } else { "" };
        return Err(wrong(format!(
            "a secret is 32 bytes in base64url without padding, which are 43 characters; this one has {}{hint}",
            text.len()
        )));
    };
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(&decoded);
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(Error::new(Kind::Denied, "key.weak", "a secret of nothing but zeros is none"));
    }
    Ok(bytes)
}

pub(super) fn to_text(secret: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(strict::to_base64url(secret))
}

/// A path for an error. What leads nowhere may be a secret that stands at the wrong place, and is shown only where it is too
/// short for one.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let name = path.file_name().map_or(0, |name| name.len());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let leads = path.symlink_metadata().is_ok() || (name <= MOST_SHOWN && folder.is_some_and(Path::is_dir));
    if leads || text.len() <= MOST_SHOWN {
        return text;
    }
    format!("(a path of {} characters that leads nowhere)", text.chars().count())
}

pub(super) fn read(path: &Path) -> Result<Zeroizing<String>> {
    let failed = |e: io::Error| wrong(format!("the key file {} cannot be read", shown(path))).caused_by(e);
    // Before it is opened, which of a FIFO would wait for whoever writes.
    check_file(path, &path.metadata().map_err(failed)?)?;
    let mut file = File::open(path).map_err(failed)?;
    // Of what was opened, so that it cannot be exchanged in between.
    let opened = file.metadata().map_err(failed)?;
    check_file(path, &opened)?;
    check_permissions(path, &opened)?;
    // No growth, which would leave a part behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    (&mut file).take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MOST_BYTES {
        return Err(wrong(format!("the key file {} has more than {MOST_BYTES} bytes", path.display())));
    }
    let text = std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.trim().to_owned()));
    text.map_err(|_| wrong(format!("the key file {} is no UTF-8", path.display())))
}

fn check_file(path: &Path, file: &fs::Metadata) -> Result<()> {
    if file.is_file() {
        return Ok(());
    }
    let is = if file.is_dir() { "a folder" } else { "no regular file" };
    Err(wrong(format!("the key file {} is {is}", path.display())))
}

#[cfg(unix)]
fn check_permissions(path: &Path, file: &fs::Metadata) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let mode = file.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    let message = format!("others may use the key file {path}: its mode is {mode:04o}; run chmod 600 {path}");
    Err(Error::new(Kind::Config, "key.permissions", message))
}

#[cfg(not(unix))]
fn check_permissions(_: &Path, _: &fs::Metadata) -> Result<()> {
    Ok(())
}

/// Makes the file; one that is there stays as it is. It is on the disk when this returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |e: io::Error| {
        let there = e.kind() == io::ErrorKind::AlreadyExists;
        let why = if there { "exists already and is not overwritten" } else { "cannot be written" };
        wrong(format!("the key file {} {why}", shown(path))).caused_by(e)
    };
    let mut file = options.open(path).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    written.map_err(|e| {
        // Half a key is of no use to anybody.
        let _ = fs::remove_file(path);
        failed(e)
    })
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn only_a_file_is_a_key_file() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&pipe, folder.path(), Path::new("/dev/null"), Path::new("/dev/zero")] {
            let error = read(path).unwrap_err();
            assert_eq!(error.code(), "config.key");
            assert!(
                error.message().contains("is no regular file") || error.message().contains("is a folder"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_secret_that_stands_for_a_path_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let within = folder.path().join("jochi.key");
        for secret in [
            "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
            "Bwc/BwcHBwcHBwcHB+cHBwcHBwcHBwcHBwcHBwcHBwc=",
            "0707070707070707070707070707070707070707070707070707070707070707",
            r#"{"agent":"jochi","key_id":"j","algorithm":"EdDSA","secret":"BwcHBwcHBwc"}"#,
        ] {
            for error in [
                read(Path::new(secret)).unwrap_err(),
                write(&folder.path().join(secret).join("x"), b"").unwrap_err(),
            ] {
                let said = format!("{error} {error:?}");
                assert!(!said.contains("BwcH") && !said.contains("0707"), "{said}");
            }
        }
        for path in [Path::new("jochi.key"), &within] {
            let error = read(path).unwrap_err();
            assert!(error.message().contains(&path.display().to_string()), "{error}");
        }
    }
}
