//! The machine's `python3` as the measure.

use super::{random, *};
use crate::json::MAX_DIGITS;
use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
};

/// Reads a document as strictly as we do, and writes it.
const CANONICAL: &str = r#"
import json, math, sys, hmac, hashlib

def once(pairs):
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)

def finite(token):
    if math.isinf(number := float(token)):
        raise ValueError("an infinity")
    return number

def no_word(word):
    raise ValueError(word)

decoder = json.JSONDecoder(object_pairs_hook=once, parse_float=finite, parse_constant=no_word)

def canonical(x):
    return json.dumps(x, sort_keys=True, separators=(",", ":"))

def sign(message):
    return hmac.new(b"k" * 32, canonical(message).encode(), hashlib.sha256).hexdigest()

TIME = "2026-02-09T12:00:00.123456+00:00"
seal = {"_sig_ts": TIME, "_sig_agent": "Kublai", "_sig_key_id": "kublai-001"}
metadata = {"agent_id": "Kublai", "key_id": "kublai-001", "timestamp": TIME, "algorithm": "HMAC-SHA256"}
"#;

/// What python3 prints when it is given these lines; one for each.
fn python(program: &str, lines: Vec<String>) -> Vec<String> {
    let count = lines.len();
    let mut command = Command::new("python3");
    command.args(["-X", "utf8", "-c", &format!("{CANONICAL}{program}")]);
    let mut python =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("these tests need python3");
    let mut input = python.stdin.take().unwrap();
    let writer = thread::spawn(move || input.write_all((lines.join("\n") + "\n").as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let printed: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(printed.len(), count);
    printed
}

/// A document as one line.
fn line(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn documents_are_canonical_as_python_has_them() {
    let mut rng = fastrand::Rng::with_seed(19);
    let documents: Vec<String> = (0..100_000).map(|_| random::document(&mut rng)).collect();
    let program = "for line in sys.stdin: print(canonical(json.loads(json.loads(line))))";
    let theirs = python(program, documents.iter().map(|text| line(text)).collect());
    for (document, theirs) in documents.iter().zip(&theirs) {
        assert_eq!(&canonical_text(document).unwrap(), theirs, "{document}");
    }
}

#[test]
fn messages_are_signed_as_python_does() {
    let mut rng = fastrand::Rng::with_seed(20);
    let messages: Vec<String> = (0..100_000).map(|_| random::message(&mut rng)).collect();
    let program = "for line in sys.stdin: print(sign(json.loads(json.loads(line)) | seal))";
    let theirs = python(program, messages.iter().map(|text| line(text)).collect());
    for (message, theirs) in messages.iter().zip(&theirs) {
        assert_eq!(&seal(message, &kublai(), noon()).unwrap().signature, theirs, "{message}");
    }
}

#[test]
fn each_verifies_what_the_other_signed() {
    let mut rng = fastrand::Rng::with_seed(21);
    let messages: Vec<String> = (0..5_000).map(|_| random::message(&mut rng)).collect();
    // As the old program sends it, with and without escapes.
    let program = r#"
for i, line in enumerate(sys.stdin):
    message = json.loads(json.loads(line))
    envelope = message | {"signature": sign(message | seal), "sig_metadata": metadata}
    text = json.dumps(envelope, ensure_ascii=i % 2 == 0, indent=[None, 2][i % 3 == 0])
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(envelope)
    print(json.dumps(text))"#;
    let theirs = python(program, messages.iter().map(|text| line(text)).collect());
    for (message, theirs) in messages.iter().zip(&theirs) {
        let envelope: String = serde_json::from_str(theirs).unwrap();
        let body = verified(&envelope).unwrap().body;
        assert_eq!(body.as_str(), canonical_text(message).unwrap());
    }

    // By the rules of the old program.
    let program = r#"
from datetime import datetime, timezone
for line in sys.stdin:
    message = json.loads(json.loads(line))
    signature, m = message.pop("signature"), message.pop("sig_metadata")
    signed = message | {"_sig_ts": m["timestamp"], "_sig_agent": m["agent_id"], "_sig_key_id": m["key_id"]}
    aware = datetime.fromisoformat(m["timestamp"])
    right = m == metadata and hmac.compare_digest(sign(signed), signature) and aware.tzinfo == timezone.utc
    print(right and aware.isoformat() == TIME)"#;
    let ours = messages.iter().map(|text| line(&sign_message(text, &kublai(), noon()).unwrap()));
    assert!(python(program, ours.collect()).iter().all(|answer| answer == "True"));
}

#[test]
fn what_python_refuses_is_refused_and_nothing_else() {
    let mut rng = fastrand::Rng::with_seed(22);
    let others: Vec<char> = "{}[]\",:\\eE+-.019utfnINa \u{1}\u{a0}é".chars().collect();
    let mutated = |_: u32| {
        let mut text = random::document(&mut rng);
        for _ in 0..rng.usize(1..4) {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let at = rng.choice(places).unwrap_or(0);
            match rng.u8(..3) {
                0 if !text.is_empty() => drop(text.remove(at)),
                1 => text.insert(at, rng.choice(others.iter().copied()).unwrap()),
                _ => {
                    let again = text[at..].chars().take(5).collect::<String>();
                    text.insert_str(at, &again);
                }
            }
        }
        text
    };
    let documents: Vec<String> = (0..100_000).map(mutated).collect();
    let program = r#"
for line in sys.stdin:
    try:
        print(canonical(decoder.decode(json.loads(line))))
    except ValueError:
        print("refused")"#;
    let theirs = python(program, documents.iter().map(|text| line(text)).collect());
    for (document, theirs) in documents.iter().zip(&theirs) {
        assert_eq!(&canonical_text(document).unwrap_or_else(|_| "refused".into()), theirs, "{document}");
    }
    let refused = theirs.iter().filter(|answer| *answer == "refused").count();
    assert!((20_000..90_000).contains(&refused), "{refused} of 100,000 were refused");
}

#[test]
fn doubles_are_written_as_pythons_repr() {
    let mut rng = fastrand::Rng::with_seed(23);
    let mut tokens = Vec::new();
    // Around the powers of two, where the neighbours of a double are not equally far.
    for power in 0..=2046u64 {
        let bits = power << 52;
        tokens.extend(
            [bits, bits + 1, bits.saturating_sub(1)].map(|bits| format!("{:.17e}", f64::from_bits(bits))),
        );
    }
    for power in -330..309 {
        tokens.extend(
            [format!("1e{power}"), format!("9.5e{power}"), format!("-1.25E{power:+}")]
                .into_iter()
                .filter(|t| t != "9.5e308"),
        );
    }
    // Half-way between two doubles, and a little more: all digits count.
    for _ in 0..1000 {
        let half = (1u64 << 53 | rng.u64(..1 << 53)) * 2 + 1;
        tokens.extend([format!("{half}.0"), format!("{half}.{}1", "0".repeat(400)), format!("{half}e-20")]);
    }
    while tokens.len() < 500_000 {
        let double = f64::from_bits(rng.u64(..));
        if double.is_finite() {
            tokens.push(if rng.bool() { format!("{double:.16e}") } else { format!("{double:e}") });
        }
    }
    while tokens.len() < 1_000_000 {
        // As people write them.
        let (most, places) = (10i64.pow(rng.u32(..10)), rng.u32(1..7));
        let (whole, fraction) = (rng.i64(-most..=most), rng.u32(..10u32.pow(places)));
        tokens.push(format!("{whole}.{fraction}"));
    }
    let program = "for line in sys.stdin: print(repr(float(line)))";
    let theirs = python(program, tokens.clone());
    for (token, theirs) in tokens.iter().zip(&theirs) {
        assert_eq!(&canonical_text(token).unwrap(), theirs, "{token}");
    }
}

#[test]
fn the_longest_integer_is_pythons() {
    let program = r#"
for line in sys.stdin:
    try:
        print(len(canonical(json.loads("9" * int(line)))))
    except ValueError:
        print("refused")"#;
    let lengths = [1, MAX_DIGITS, MAX_DIGITS + 1];
    let theirs = python(program, lengths.map(|length| length.to_string()).to_vec());
    let ours = lengths.map(|length| {
        let canonical = canonical_text(&"9".repeat(length));
        canonical.map_or("refused".to_owned(), |text| text.len().to_string())
    });
    assert_eq!(theirs, ours);
}
