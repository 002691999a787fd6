//! Many secrets in every form at once.

use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// How many bytes of a secret are looked for, so that what has most of it is found too.
const PART: usize = 18;
/// By how many bytes a form is found before it is compared.
const HEAD: usize = 8;

/// Every form of some secrets.
pub(super) struct Needles {
    /// Each with its secret.
    all: Vec<(Vec<u8>, usize)>,
    by_head: HashMap<[u8; HEAD], Vec<usize>>,
    /// Which two bytes any of them begins with.
    begins: Vec<bool>,
}

impl Needles {
    pub(super) fn of(secrets: &[Vec<u8>]) -> Self {
        let mut needles = Needles { all: vec![], by_head: HashMap::new(), begins: vec![false; 1 << 16] };
        for (secret, bytes) in secrets.iter().enumerate() {
            for form in forms(bytes) {
                let Some(head) = form.first_chunk::<HEAD>() else { continue };
                needles.begins[begin(head)] = true;
                needles.by_head.entry(*head).or_default().push(needles.all.len());
                needles.all.push((form, secret));
            }
        }
        needles
    }

    /// The secrets that a text has.
    pub(super) fn hits(&self, text: &[u8]) -> Vec<usize> {
        let mut hits = vec![];
        for (at, head) in text.windows(HEAD).enumerate() {
            if !self.begins[begin(head)] {
                continue;
            }
            let Some(needles) = head.first_chunk().and_then(|head| self.by_head.get(head)) else { continue };
            for (form, secret) in needles.iter().map(|needle| &self.all[*needle]) {
                if text[at..].starts_with(form) && !hits.contains(secret) {
                    hits.push(*secret);
                }
            }
        }
        hits
    }
}

#[cfg(test)]
impl Needles {
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        !self.hits(text).is_empty()
    }
}

fn begin(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// As it is, in hexadecimal digits, and in both alphabets of base64.
pub(super) fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    // A whole number of three bytes, so that its base64 is the beginning of the whole one.
    let part = &secret[..PART.min(secret.len())];
    let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
    let url = base64url(part);
    let texts = [hex.to_uppercase(), hex, url.replace('-', "+").replace('_', "/"), url];
    let mut forms: Vec<Vec<u8>> = texts.map(String::into_bytes).into();
    forms.push(part.to_vec());
    forms.sort();
    forms.dedup();
    forms
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn base64url(bytes: &[u8]) -> String {
    let letters = |three: &[u8]| {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let letter = move |place: usize| char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]);
        (0..=three.len()).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(letters).collect()
}

/// The 32 bytes of a key file: an agent's is an object with a `secret`, a wrapping key stands alone.
pub(super) fn secret_of(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    match serde_json::from_str::<Value>(text) {
        Ok(file) => decoded(file.get("secret")?.as_str()?),
        Err(_) => decoded(text),
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let value = |letter: u8| LETTERS.iter().position(|one| *one == letter);
    if text.len() != 43 {
        return None;
    }
    let (mut bytes, mut bits) = (vec![], 0_usize);
    for (place, letter) in text.bytes().enumerate() {
        bits = bits << 6 | value(letter)?;
        if place % 4 > 0 {
            bytes.push((bits >> (6 - place % 4 * 2) & 255) as u8);
        }
    }
    // A test's [7; 32] is in any database.
    (bytes.iter().collect::<HashSet<_>>().len() > 8).then_some(bytes)
}
