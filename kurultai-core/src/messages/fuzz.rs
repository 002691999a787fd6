//! Every parser of the room against inputs that nobody thought of. Whatever is read is read in one way: what a parser
//! takes, it writes again as it was, and another parser reads the same from it.

pub(super) mod engine;

use super::{
    AgentKey, Algorithm, Ed25519Key, KeyList, MessageSigner, PublicKey, Receipt, jws,
    strict::{self, Members},
    token::{self, Draft, Expect},
    wrap::{ExposeSecret, Owner, Wrapped, WrappingKey},
};
use crate::{Error, json::MAX_DEPTH};
use chrono::{DateTime, Utc};
use engine::fuzz;
use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::{Value, value::RawValue};
use std::{collections::HashSet, fmt};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn key() -> Ed25519Key {
    Ed25519Key::from_text("temujin", &strict::to_base64url(&[7; 32])).unwrap()
}

fn keys() -> KeyList {
    let (key, before) = (key(), now() - chrono::TimeDelta::seconds(1_000));
    let row = AgentKey::new("temujin", key.key_id(), key.public_key(), before, before);
    KeyList { namespace: "default".to_owned(), keys: vec![row] }
}

fn expect() -> Expect {
    Expect { namespace: "default".to_owned(), audiences: vec![], now: now() }
}

fn draft(body: &str) -> Draft {
    Draft::new("temujin", "jochi", "note", now()).body(crate::Json::stored(body)).task("t-1")
}

/// The refusal, without what it quotes.
fn said(error: &Error) -> String {
    let words = error.message().split('"').step_by(2);
    format!("{} {}", error.code(), words.collect::<String>())
}

const DOCUMENTS: [&str; 6] = [
    r#"{"a":{"a":1},"b":[{"a":1},{"a":2}],"c":"a"}"#,
    r#"{"a":"\"a\":1,\"a\":","b":"}\\"}"#,
    r#"["\ud83d\ude00",null,true,-0.0,1e-7,"\u2028\/"]"#,
    "{\"a\"\n:1,\"b\"\t:\"ü\u{1f40e}\"}",
    "[[[[[[[[{}]]]]]]]]",
    "-12345678901234567890.5e+10",
];

/// Reads any JSON, and fails on a key that is twice in an object.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Once;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Once, E> {
                Ok(Once)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
                Ok(Once)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
                Ok(Once)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
                Ok(Once)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
                Ok(Once)
            }
            fn visit_str<E>(self, _: &str) -> Result<Once, E> {
                Ok(Once)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut all: A) -> Result<Once, A::Error> {
                while all.next_element::<Once>()?.is_some() {}
                Ok(Once)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut all: A) -> Result<Once, A::Error> {
                let mut keys = HashSet::new();
                while let Some((key, _)) = all.next_entry::<String, Once>()? {
                    if !keys.insert(key) {
                        return Err(serde::de::Error::custom("twice"));
                    }
                }
                Ok(Once)
            }
        }
        from.deserialize_any(Each)
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Signed by us, or refused: whatever somebody else has changed is no message.
#[test]
fn tokens() {
    let key = key();
    let signed: Vec<String> = DOCUMENTS.iter().map(|body| token::sign(&draft(body), &key).unwrap()).collect();
    let keys = keys();
    fuzz(&signed, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        match token::verify(text, &keys, &expect()) {
            Ok(_) => {
                assert!(signed.iter().any(|one| one == text), "a token that nobody has signed");
                "accepted".to_owned()
            }
            Err(error) => said(&error),
        }
    });
}

/// Any header and payload, with a signature that holds: what is taken says the same once it is signed again.
#[test]
fn payloads() {
    let (key, keys) = (key(), keys());
    let header = jws::header(key.key_id()).unwrap();
    let payload = |body: &str| {
        let text = token::sign(&draft(body), &key).unwrap();
        let payload = text.split('.').nth(1).map(strict::base64url).unwrap().unwrap();
        format!("{header}\n{}", String::from_utf8(payload).unwrap())
    };
    fuzz(&DOCUMENTS.map(payload), |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let (header, payload) = text.split_once('\n').unwrap_or((text, ""));
        let token = match token::verify(&jws::compact(header, payload, &key).unwrap(), &keys, &expect()) {
            Ok(token) => token.into_inner(),
            Err(error) => return said(&error),
        };
        let other: Value = serde_json::from_str::<Value>(payload).unwrap_or_default();
        if !other.is_null() {
            // Numbers that no double reaches are ours alone.
            assert_eq!(
                (&other["iss"], &other["aud"]),
                (&token.sender.as_str().into(), &token.audience.as_str().into())
            );
            assert_eq!(
                (&other["jti"], &other["mt"]),
                (&token.id.as_str().into(), &token.message_type.as_str().into())
            );
            assert_eq!(other["body"], token.body.value());
        }
        let again = Draft {
            id: token.id.clone(),
            namespace: token.namespace.clone(),
            sender: token.sender.clone(),
            audience: token.audience.clone(),
            message_type: token.message_type.clone(),
            body: token.body.clone(),
            task: token.task.clone(),
            reply_to: token.reply_to.clone(),
            control: false,
            issued_at: token.issued_at,
            lifetime: Some((token.expires_at - token.issued_at).to_std().unwrap()),
        };
        let text = token::sign(&again, &key).expect("what was read can be written");
        assert_eq!(*token::verify(&text, &keys, &expect()).unwrap(), token);
        "accepted".to_owned()
    });
}

/// An object of different members, as serde_json reads it.
#[test]
fn members() {
    let seeds =
        [r#"{"alg":"EdDSA","kid":"k","typ":"x"}"#, r#"{"a":1,"\u0061":2}"#, r#" {"exp":12 , "iat":0}"#];
    fuzz(&[&seeds[..], &DOCUMENTS].concat(), |input| {
        let other = serde_json::from_slice::<serde_json::Map<String, Value>>(input);
        match (Members::read(input), other) {
            (Ok(members), Ok(other)) => {
                let names: Vec<&str> = other.keys().map(String::as_str).collect();
                assert_eq!(members.other_than(&names), None);
                for (name, value) in &other {
                    assert_eq!(members.text(name).ok().as_deref(), value.as_str(), "{name}");
                    if let Ok(seconds) = members.seconds(name) {
                        assert_eq!(value.as_i64(), Some(seconds));
                    }
                }
                format!("{} members", "x".repeat(other.len()))
            }
            // Values are not looked into.
            (Ok(_), Err(_)) => "read by us alone".to_owned(),
            (Err(why), Ok(other)) => {
                let known =
                    why.contains("is there twice") || why.contains("more than 16") && other.len() > 15;
                assert!(known, "{why}: {other:?}");
                why.split('"').step_by(2).collect()
            }
            (Err(why), Err(_)) => why.split('"').step_by(2).collect(),
        }
    });
}

/// A body, beside a parser that looks for keys that are twice in its own way.
#[test]
fn documents() {
    fuzz(&DOCUMENTS, |input| {
        let Ok(raw) = serde_json::from_slice::<&RawValue>(input) else { return "no JSON".to_owned() };
        let (ours, theirs) = (strict::document(raw), serde_json::from_str::<Once>(raw.get()));
        match (&ours, &theirs) {
            (Ok(document), Ok(_)) => {
                assert_eq!(document.as_str(), raw.get());
                assert!(depth(&document.value()) <= MAX_DEPTH);
            }
            (Ok(_), Err(why)) => {
                assert!(why.to_string().contains("out of range"), "{why}");
            }
            (Err(why), Ok(_)) => {
                assert!(why.contains("deeper than") || why.contains("digits"), "{why}");
            }
            (Err(_), Err(_)) => {}
        }
        ours.err().map_or("read".to_owned(), |why| why.split('"').step_by(2).collect())
    });
}

/// One spelling for any bytes.
#[test]
fn base64url() {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    fuzz(&["", "Zg", "Zm8", "Zm9v", "A-z_4ME", "Zg==", "Zh", "Z"], |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let places: Option<Vec<usize>> =
            input.iter().map(|letter| LETTERS.iter().position(|one| one == letter)).collect();
        let unused = match input.len() % 4 {
            2 => 15,
            3 => 3,
            _ => 0,
        };
        let last = places.as_ref().and_then(|places| places.last().copied()).unwrap_or(0);
        let is_one = places.is_some() && input.len() % 4 != 1 && last & unused == 0;
        let read = strict::base64url(text);
        assert_eq!(read.is_ok(), is_one, "{text:?}");
        match read {
            Ok(bytes) => {
                assert_eq!(strict::to_base64url(&bytes), text);
                format!("read {}", "x".repeat(bytes.len() % 3))
            }
            Err(why) => why.chars().filter(char::is_ascii_alphabetic).collect(),
        }
    });
}

#[test]
fn receipts() {
    let id = "019a1b2c-3d4e-7f00-8a1b-2c3d4e5f6071";
    fuzz(&[format!("{id}/1"), format!("{id}/4294967295"), "a/b/3".to_owned(), "/0".to_owned()], |input| {
        let text = String::from_utf8_lossy(input);
        match text.parse::<Receipt>() {
            Ok(receipt) => {
                assert_eq!(receipt.to_string().parse::<Receipt>().unwrap(), receipt);
                assert!(text.starts_with(&format!("{}/", receipt.id)));
                "read".to_owned()
            }
            Err(error) => error.code().to_owned(),
        }
    });
}

/// Public keys have one text; secrets are read or refused, and never quoted.
#[test]
fn keys_as_text() {
    let secret = strict::to_base64url(&[7; 32]);
    let file = format!(r#"{{"agent":"temujin","key_id":"k","algorithm":"EdDSA","secret":"{secret}"}}"#);
    let seeds = [secret.clone(), file, key().public_key().to_string(), "07".repeat(32), "A".repeat(43)];
    fuzz(&seeds, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let public = PublicKey::from_text(text);
        if let Ok(key) = &public {
            assert_eq!(key.to_string(), text);
            assert_eq!(PublicKey::from_bytes(key.as_bytes()).unwrap(), *key);
        }
        let own = Ed25519Key::from_text("temujin", text);
        if let Ok(key) = &own {
            let draft = draft("1");
            token::verify(
                &token::sign(&draft, key).unwrap(),
                &KeyList {
                    namespace: "default".to_owned(),
                    keys: vec![AgentKey::new("temujin", key.key_id(), key.public_key(), now(), now())],
                },
                &expect(),
            )
            .expect("a key that was read signs");
        }
        let wrapping = WrappingKey::from_text(text).map(drop);
        let errors = [public.err(), own.err(), wrapping.err()];
        // What is shorter than a secret is shown where it is no public key.
        for error in errors.iter().flatten().filter(|_| text.chars().count() >= 32) {
            // 12 characters are more than an accident.
            let quoted = secret.as_bytes().windows(12).any(|part| {
                text.contains(std::str::from_utf8(part).unwrap_or("?"))
                    && error.to_string().contains(std::str::from_utf8(part).unwrap_or("?"))
            });
            assert!(!quoted, "a secret is quoted: {error}");
        }
        errors.iter().map(|error| error.as_ref().map_or("read".to_owned(), said)).collect()
    });
}

/// What the store keeps opens as it was wrapped, and in no other form.
#[test]
fn wrapped_secrets() {
    let kek = WrappingKey::from_text(&strict::to_base64url(&[9; 32])).unwrap();
    let owner = Owner { namespace: "default", agent: "temujin", key_id: "k", algorithm: Algorithm::EdDsa };
    let wrapped = kek.wrap(&owner, &[7; 32]).unwrap();
    let seeds = [wrapped.text(), kek.wrap(&owner, b"").unwrap().text()];
    fuzz(&seeds, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        match Wrapped::from_text(kek.id(), text) {
            Ok(read) => {
                assert_eq!(read.text(), text);
                match kek.unwrap(&owner, &read) {
                    Ok(secret) => {
                        assert!(seeds.iter().any(|seed| seed == text), "a secret that nobody has wrapped");
                        format!("opened {}", secret.expose_secret().is_empty())
                    }
                    Err(error) => said(&error),
                }
            }
            Err(error) => said(&error),
        }
    });
}
