//! Where ids are made and names compared.

use crate::{
    check,
    error::{Error, Result},
};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// A new UUIDv7: sortable by the time it was made.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).to_owned()
}

/// The form in which names and aliases are compared: lower case, and Latin, Greek and Cyrillic letters without their
/// accents (`Temüjin` = `temujin`). The marks of other scripts make other letters: ハン is not バン.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let mut plain = false;
    let kept = name.nfkd().filter(|c| {
        let mark = is_combining_mark(*c);
        plain = if mark { plain } else { has_accents(*c) };
        !(mark && plain)
    });
    kept.nfc().collect::<String>().to_lowercase()
}

/// The id of the agent that a sidecar calls so: the name's folded form. Errors: `input.invalid`.
pub fn agent(name: &str) -> Result<String> {
    let id = fold(name);
    match check::agent("agent", &id) {
        Ok(()) => Ok(id),
        Err(_) => Err(Error::invalid("agent", name, "a name that folds to [a-z0-9][a-z0-9_-]{0,63}")),
    }
}

/// What a name that is unknown may have meant: of `known`, names with what they stand for, the one that is most like it.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    let folded = fold(name);
    let likeness = known.map(|(known, stands_for)| (strsim::jaro_winkler(&fold(known), &folded), stands_for));
    let alike = likeness.filter(|(score, _)| *score > 0.8);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, stands_for)| stands_for)
}

/// Whether two names are the same but for how their accents are encoded.
pub(crate) fn is_same_name(a: &str, b: &str) -> bool {
    a == b || a.nfc().eq(b.nfc())
}

/// Letters of the Latin, Greek and Cyrillic scripts.
fn has_accents(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{2af}' | '\u{370}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}')
        || matches!(c, '\u{1e00}'..='\u{1fff}' | '\u{2c60}'..='\u{2c7f}' | '\u{a640}'..='\u{a69f}' | '\u{a720}'..='\u{a7ff}')
}
