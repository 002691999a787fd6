//! Arguments that are too long for a command line: `-` stands for what stdin holds.

use kurultai_core::{Error, Kind, json::MAX_BYTES, messages::wrap::SecretString};
use std::io::{self, Read};

/// The argument itself, or stdin's text without the line's end. Read while the arguments are, before anything else
/// runs, so that an interrupt ends a program whose stdin never ends.
pub(crate) fn text(argument: &str) -> Result<String, String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    all()
}

/// What stdin holds and nobody else is to see.
pub(crate) fn secret() -> kurultai_core::Result<SecretString> {
    all().map(Into::into).map_err(|why| Error::new(Kind::Input, "input.invalid", why))
}

fn all() -> Result<String, String> {
    let mut bytes = Vec::new();
    // One more than is allowed shows that there is more.
    io::stdin()
        .lock()
        .take(MAX_BYTES as u64 + 2)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("stdin cannot be read: {e}"))?;
    let mut text = String::from_utf8(bytes).map_err(|e| match e.utf8_error().error_len() {
        None if e.as_bytes().len() > MAX_BYTES => too_long(),
        _ => "stdin is not UTF-8".to_owned(),
    })?;
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    if text.len() > MAX_BYTES { Err(too_long()) } else { Ok(text) }
}

fn too_long() -> String {
    format!("stdin holds more than {MAX_BYTES} bytes; store it elsewhere and name the place")
}
