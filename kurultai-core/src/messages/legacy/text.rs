//! Texts as Python's `json.dumps` writes and sorts them.

use std::cmp::Ordering;

/// A text as it is written: ASCII, in quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let (plain, rest) = text.split_at(plain_run(text.as_bytes()));
    out.push_str(plain);
    rest.chars().for_each(|c| write_char(c, &mut out));
    out.push('"');
    out
}

/// How Python compares two texts, of which each is written between quotes.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    if a.contains('\\') || b.contains('\\') { code_points(a).cmp(code_points(b)) } else { a.cmp(b) }
}

fn code_points(written: &str) -> impl Iterator<Item = u32> {
    let mut rest = written.as_bytes().iter();
    let units = std::iter::from_fn(move || {
        Some(match rest.next()? {
            b'\\' => match rest.next()? {
                b'u' => rest.by_ref().take(4).fold(0, |unit, digit| unit << 4 | hex(*digit).unwrap_or(0)),
                escaped => short(*escaped).unwrap_or(0),
            },
            plain => u16::from(*plain),
        })
    });
    char::decode_utf16(units).map(|c| c.map_or_else(|lone| lone.unpaired_surrogate().into(), u32::from))
}

/// How many of the first bytes are written as they are: from the space to the tilde, but for the quote and the backslash.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let is_plain = |byte: u8| (byte.wrapping_sub(b' ') <= b'~' - b' ') & (byte != b'"') & (byte != b'\\');
    let begins = |bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<8>();
        for (place, word) in words.iter().enumerate() {
            if let Some(first) = first_odd(u64::from_le_bytes(*word)) {
                return 8 * place + first;
            }
        }
        8 * words.len() + rest.iter().take_while(|byte| is_plain(**byte)).count()
    };
    // Most are short.
    let (first, rest) = bytes.split_at(bytes.len().min(16));
    let short = begins(first);
    if short < 16 {
        return short;
    }
    // Thirty-two at once: without a way out in between, the compiler makes a few instructions of them.
    let (chunks, _) = rest.as_chunks::<32>();
    let all_plain = |chunk: &&[u8; 32]| chunk.iter().fold(true, |all, byte| all & is_plain(*byte));
    let whole = 32 * chunks.iter().take_while(all_plain).count();
    16 + whole + begins(&rest[whole..])
}

/// Which of these eight is the first that is not plain.
fn first_odd(word: u64) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    // The highest bit of each byte that is not plain; above the first of them there may be others.
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let odd = (word | below(word, b' ') | is(b'"') | is(b'\\') | is(0x7f)) & (ONES << 7);
    (odd != 0).then(|| odd.trailing_zeros() as usize / 8)
}

pub(super) fn write_char(c: char, out: &mut String) {
    c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write_unit(*unit, out));
}

/// As Python does with `ensure_ascii`: a character beyond 16 bits is two surrogates, and a lone one stays.
pub(super) fn write_unit(unit: u16, out: &mut String) {
    let escaped = match unit {
        0x08 => 'b',
        0x09 => 't',
        0x0a => 'n',
        0x0c => 'f',
        0x0d => 'r',
        0x22 => '"',
        0x5c => '\\',
        0x20..=0x7e => {
            out.push(char::from(unit as u8));
            return;
        }
        _ => {
            out.push_str("\\u");
            let digit = |shift: u16| char::from(b"0123456789abcdef"[usize::from(unit >> shift & 15)]);
            out.extend([digit(12), digit(8), digit(4), digit(0)]);
            return;
        }
    };
    out.extend(['\\', escaped]);
}

/// What a letter after a backslash means.
pub(super) fn short(letter: u8) -> Option<u16> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter.into(),
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => 0x0a,
        b'r' => 0x0d,
        b't' => 0x09,
        _ => return None,
    })
}

pub(super) fn hex(digit: u8) -> Option<u16> {
    char::from(digit).to_digit(16).and_then(|value| u16::try_from(value).ok())
}
