//! The parsers of the envelope against inputs that nobody thought of.

use super::*;
use crate::messages::fuzz::engine::fuzz;
use serde_json::Value;

const MESSAGES: [&str; 5] = [
    r#"{"big":9007199254740993,"e":1e-07,"n":1.0,"s":"a/b\u2028","task_id":"123","to":"\u00d6gedei","z":null}"#,
    r#"{"type":"task_delegation","payload":{"b":[1,-0.0,{"":"\ud83d\ude00"}],"a":[]}}"#,
    r#"{"\ud800":1,"a":{"a":{"a":"\"_sig_ts\":"}}}"#,
    "{ \"k\" :\t[ true,false , 1E+16 ] }",
    "{}",
];

/// What serde_json reads of JSON that Python reads otherwise.
fn is_python_alone(why: &serde_json::Error) -> bool {
    let why = why.to_string();
    ["surrogate", "hex escape", "out of range"].iter().any(|one| why.contains(one))
}

/// Whether both read the same: Python has no integer -0, and serde_json reads the last digit of a double as it likes.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => {
            let (one, other) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
            ours == theirs || (one - other).abs() <= other.abs() * 1e-14
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            let other = |(name, ours)| theirs.get(name).is_some_and(|theirs| same(ours, theirs));
            ours.len() == theirs.len() && ours.iter().all(other)
        }
        (ours, theirs) => ours == theirs,
    }
}

/// Signed by us, or refused.
#[test]
fn envelopes() {
    let signed = MESSAGES.map(|message| sign_message(message, &kublai(), noon()).unwrap());
    let bodies: Vec<String> =
        signed.iter().map(|text| verified(text).unwrap().body().as_str().to_owned()).collect();
    fuzz(&signed, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        match verified(text) {
            Ok(message) => {
                // Another spelling of the same, and nothing else.
                assert!(bodies.iter().any(|body| body == message.body().as_str()), "nobody has signed this");
                assert_eq!(
                    (message.agent(), message.key_id(), message.timestamp()),
                    ("kublai", "kublai-001", noon())
                );
                let again = sign_message(message.body().as_str(), &kublai(), noon()).unwrap();
                assert_eq!(verified(&again).unwrap().replay_id(), message.replay_id());
                "accepted".to_owned()
            }
            Err(error) => {
                let words = error.message().split('"').step_by(2);
                format!("{} {}", error.code(), words.collect::<String>())
            }
        }
    });
}

/// Canonical text is its own canonical text, and says the same to another parser. Numbers are among it.
#[test]
fn canonical_texts() {
    let numbers = ["[1e-07,1E16,-0,0.1e1,9007199254740993,123456789.125e-3]", "-0.0", "1e400"];
    fuzz(&[&MESSAGES[..], &numbers].concat(), |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let theirs = serde_json::from_str::<Value>(text);
        match (canonical_text(text), theirs) {
            (Ok(written), theirs) => {
                assert!(written.is_ascii());
                assert_eq!(canonical_text(&written).unwrap(), written);
                match theirs {
                    Ok(theirs) => {
                        let ours = serde_json::from_str(&written).unwrap();
                        assert!(same(&ours, &theirs), "{ours} is not {theirs}");
                    }
                    Err(why) => assert!(is_python_alone(&why), "{why}"),
                }
                "read".to_owned()
            }
            (Err(error), theirs) => {
                let why = error.message();
                let known = ["a key twice", "64 levels", "4,300 digits"].iter().any(|one| why.contains(one));
                assert!(theirs.is_err() || known, "{why}");
                why.split(" at byte").next().unwrap_or_default().to_owned()
            }
        }
    });
}

/// A time that is read is written again as Python writes it, and read as the same to the microsecond.
#[test]
fn timestamps() {
    let seeds = [
        "2026-02-09T12:00:00.123456+00:00",
        "2026-02-09T12:00:00Z",
        "2016-12-31T23:59:60+00:00",
        "0001-01-01T00:00:00+08:00",
        "9999-12-31T23:59:59-08:00",
    ];
    fuzz(&seeds, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let Some(time) = timestamp::read(text) else { return "no time".to_owned() };
        let written = timestamp::write(time);
        let again = timestamp::read(&written).unwrap_or_else(|| panic!("{text:?} is written as {written:?}"));
        assert_eq!(again.timestamp_micros(), time.timestamp_micros());
        assert_eq!(timestamp::write(again), written);
        assert!(matches!(written.len(), 25 | 32), "{written}");
        format!("time {}", written.len() == 25)
    });
}
