//! Random documents, in every spelling that JSON allows. No key is twice in an object.

use fastrand::Rng;

/// An object.
pub(super) fn message(rng: &mut Rng) -> String {
    let mut text = String::new();
    space(rng, &mut text);
    object(rng, 3, &mut text);
    space(rng, &mut text);
    text
}

pub(super) fn document(rng: &mut Rng) -> String {
    let mut text = String::new();
    space(rng, &mut text);
    value(rng, 4, &mut text);
    space(rng, &mut text);
    text
}

fn value(rng: &mut Rng, depth: usize, out: &mut String) {
    match rng.u8(0..if depth == 0 { 5 } else { 8 }) {
        0 => out.push_str(["null", "true", "false"][rng.usize(..3)]),
        1 | 2 => out.push_str(&number(rng)),
        3 | 4 => string(rng, "", out),
        5 | 6 => object(rng, depth - 1, out),
        _ => {
            out.push('[');
            for i in 0..rng.usize(..4) {
                if i > 0 {
                    out.push(',');
                }
                space(rng, out);
                value(rng, depth - 1, out);
                space(rng, out);
            }
            out.push(']');
        }
    }
}

fn object(rng: &mut Rng, depth: usize, out: &mut String) {
    out.push('{');
    for i in 0..rng.usize(..6) {
        if i > 0 {
            out.push(',');
        }
        space(rng, out);
        // The number keeps two keys of one object apart, wherever they are sorted to.
        let place = if rng.bool() { i.to_string() } else { format!("k{i}") };
        if rng.bool() {
            string(rng, &place, out);
        } else {
            out.push_str(&format!("\"{place}\""));
        }
        space(rng, out);
        out.push(':');
        space(rng, out);
        value(rng, depth, out);
        space(rng, out);
    }
    out.push('}');
}

fn space(rng: &mut Rng, out: &mut String) {
    while rng.u8(..6) == 0 {
        out.push([' ', '\t', '\n', '\r'][rng.usize(..4)]);
    }
}

/// Ends with `end`, after a character that no key ends with by itself.
fn string(rng: &mut Rng, end: &str, out: &mut String) {
    out.push('"');
    for _ in 0..rng.usize(..8) {
        character(rng, out);
    }
    if !end.is_empty() {
        out.push('#');
        out.push_str(end);
    }
    out.push('"');
}

fn character(rng: &mut Rng, out: &mut String) {
    let raw = |c: char, out: &mut String| {
        if c >= ' ' && c != '"' && c != '\\' {
            out.push(c);
        }
    };
    match rng.u8(..10) {
        0..4 => raw(rng.char(' '..'\u{7f}'), out),
        4 => raw(rng.char('\u{7f}'..='\u{7ff}'), out),
        5 => raw(rng.char('\u{800}'..='\u{ffff}'), out),
        6 => raw(rng.char('\u{10000}'..=char::MAX), out),
        7 => out.push_str(["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t"][rng.usize(..8)]),
        8 => {
            let any = if rng.bool() { rng.u16(..0x100) } else { rng.u16(..) };
            unit(rng, any, out);
        }
        // Surrogates, of which few make a pair.
        _ => {
            let (any, low) = (0xd800 + rng.u16(..0x800), 0xdc00 + rng.u16(..0x400));
            unit(rng, any, out);
            if rng.bool() {
                unit(rng, low, out);
            }
        }
    }
}

fn unit(rng: &mut Rng, unit: u16, out: &mut String) {
    out.push_str(&if rng.bool() { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") });
}

/// A number's token; none is beyond the largest double.
pub(super) fn number(rng: &mut Rng) -> String {
    let sign = if rng.u8(..4) == 0 { "-" } else { "" };
    let whole = match rng.u8(..4) {
        0 => "0".to_owned(),
        1 => rng.u8(..).to_string(),
        2 => rng.u64(..).to_string(),
        _ => format!("{}{:0>2$}", rng.u64(1..), rng.u128(..), rng.usize(40..50)),
    };
    if rng.u8(..3) == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = match rng.u8(..4) {
        0 => String::new(),
        1 => format!(".{}", rng.u8(..100)),
        2 => format!(".{:0>1$}", rng.u32(..), rng.usize(..20)),
        _ => format!(".{}", "0".repeat(rng.usize(1..5))),
    };
    let exponent = match rng.u8(..4) {
        0 | 1 if !fraction.is_empty() => String::new(),
        2 => format!("E{}{:02}", ["", "+", "-"][rng.usize(..3)], rng.u8(..24)),
        _ => format!("e{}", rng.i16(-400..220)),
    };
    format!("{sign}{whole}{fraction}{exponent}")
}
