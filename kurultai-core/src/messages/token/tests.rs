use super::*;
use crate::messages::{AgentKey, Ed25519Key, KeyList, KeyState, Signature, strict};
use std::time::Duration;

mod form;
mod order;
mod random;

const ID: &str = "019a1b2c-3d4e-7f00-8a1b-2c3d4e5f6071";
const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn key_of(agent: &str, byte: u8) -> Ed25519Key {
    Ed25519Key::from_text(agent, &strict::to_base64url(&[byte; 32])).unwrap()
}

fn row(key: &Ed25519Key) -> AgentKey {
    AgentKey::new(key.agent(), key.key_id(), key.public_key(), at(NOW - 1_000), at(NOW - 970))
}

/// Temüjin and Jochi, with a key each.
fn team() -> (Ed25519Key, Ed25519Key, KeyList) {
    let (temujin, jochi) = (key_of("temujin", 7), key_of("jochi", 8));
    let keys = vec![row(&temujin), row(&jochi)];
    (temujin, jochi, KeyList { namespace: "default".to_owned(), keys })
}

fn expect(audiences: &[&str]) -> Expect {
    let audiences = audiences.iter().map(|&audience| audience.to_owned()).collect();
    Expect { namespace: "default".to_owned(), audiences, now: at(NOW) }
}

fn draft() -> Draft {
    let draft = Draft::new("temujin", "kublai", "task_delegation", at(NOW)).task("123").reply_to("m-1");
    Draft { id: ID.to_owned(), body: Json::text(r#"{"b": 1e2, "a": [true]}"#).unwrap(), ..draft }
}

fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("ok", |e| e.code())
}

/// A token of any header and payload with a signature that holds.
fn forge(header: &str, payload: &str) -> String {
    jws::compact(header, payload, &key_of("temujin", 7)).unwrap()
}

fn header() -> String {
    jws::header(key_of("temujin", 7).key_id()).unwrap()
}

fn payload() -> String {
    claims::write(&draft()).unwrap()
}

fn verdict(header: &str, payload: &str) -> &'static str {
    code(verify(&forge(header, payload), &team().2, &expect(&["kublai"])))
}

#[test]
fn what_is_signed_is_verified() {
    let (temujin, _, keys) = team();
    let text = sign(&draft(), &temujin).unwrap();
    let token = verify(&text, &keys, &expect(&["kublai"])).unwrap();
    let expected = Token {
        id: ID.to_owned(),
        namespace: "default".to_owned(),
        sender: "temujin".to_owned(),
        key_id: temujin.key_id().to_owned(),
        audience: "kublai".to_owned(),
        message_type: "task_delegation".to_owned(),
        body: draft().body,
        task: Some("123".to_owned()),
        reply_to: Some("m-1".to_owned()),
        issued_at: at(NOW),
        expires_at: at(NOW + 86_400),
    };
    assert_eq!(*token, expected);
    assert_eq!(token.into_inner(), expected);
}

#[test]
fn a_token_has_this_form() {
    let (temujin, ..) = team();
    let text = sign(&draft(), &temujin).unwrap();
    let jws = Jws::read(&text, MAX_BYTES).unwrap();
    let kid = temujin.key_id();
    let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"kurultai-msg+jwt"}}"#);
    assert_eq!(String::from_utf8(jws.header).unwrap(), header);
    let payload = format!(
        r#"{{"aud":"kublai","body":{{"b": 1e2, "a": [true]}},"exp":1800086400,"iat":1800000000,"iss":"temujin","jti":"{ID}","mt":"task_delegation","reply_to":"m-1","task":"123","tid":"default"}}"#
    );
    assert_eq!(String::from_utf8(jws.payload).unwrap(), payload);
    let plain = Draft { task: None, reply_to: None, ..draft() };
    let said = claims::write(&plain).unwrap();
    assert!(!said.contains("task\":") && !said.contains("reply_to"), "{said}");
}

#[test]
fn a_key_proves_only_its_own_agent() {
    let (temujin, jochi, mut keys) = team();
    // Jochi signs as Temüjin with a key that is good, and his own.
    let text = sign(&draft(), &jochi).unwrap();
    assert_eq!(code(verify(&text, &keys, &expect(&[]))), "key.unknown");
    // Under the id of Temüjin's key.
    struct Renamed<'a>(&'a Ed25519Key, &'a str);
    impl MessageSigner for Renamed<'_> {
        fn key_id(&self) -> &str {
            self.1
        }
        fn algorithm(&self) -> Algorithm {
            Algorithm::EdDsa
        }
        fn sign(&self, input: &[u8]) -> Result<Signature> {
            self.0.sign(input)
        }
    }
    let text = sign(&draft(), &Renamed(&jochi, temujin.key_id())).unwrap();
    assert_eq!(code(verify(&text, &keys, &expect(&[]))), "sig.mismatch");
    // Where both have keys of one id, each has his own.
    keys.keys[1].key_id = temujin.key_id().to_owned();
    assert_eq!(code(verify(&text, &keys, &expect(&[]))), "sig.mismatch");
    let own = Draft { sender: "jochi".to_owned(), ..draft() };
    let text = sign(&own, &Renamed(&jochi, temujin.key_id())).unwrap();
    assert_eq!(verify(&text, &keys, &expect(&[])).unwrap().sender, "jochi");
    // A look-up that answers with anybody's key is not believed.
    struct Careless(AgentKey);
    impl KeyLookup for Careless {
        fn key(&self, _: &str, _: &str, _: &str) -> Option<AgentKey> {
            Some(self.0.clone())
        }
    }
    let text = sign(&draft(), &jochi).unwrap();
    assert_eq!(code(verify(&text, &Careless(row(&jochi)), &expect(&[]))), "key.unknown");
}

#[test]
fn another_team_has_other_keys() {
    let (temujin, _, mut keys) = team();
    let text = sign(&draft().namespace("other"), &temujin).unwrap();
    assert_eq!(code(verify(&text, &keys, &expect(&[]))), "key.unknown");
    keys.namespace = "other".to_owned();
    assert_eq!(code(verify(&text, &keys, &expect(&[]))), "sig.wrong_namespace");
}

#[test]
fn a_message_is_for_whom_it_names() {
    let (temujin, _, keys) = team();
    let to = |audience: &str| sign(&Draft { audience: audience.to_owned(), ..draft() }, &temujin);
    let verdict = |to: &str, expect: &Expect| code(verify(to, &keys, expect));
    let (kublai, router) = (to("kublai").unwrap(), to("role:router").unwrap());
    assert_eq!(verdict(&kublai, &expect(&["ogedei", "role:router"])), "sig.wrong_audience");
    assert_eq!(verdict(&router, &expect(&["ogedei", "role:router"])), "ok");
    assert_eq!(verdict(&router, &expect(&["ogedei"])), "sig.wrong_audience");
    assert_eq!(verdict(&router, &expect(&["router"])), "sig.wrong_audience");
    assert_eq!(verdict(&kublai, &expect(&[])), "ok");
    for audience in ["", "role:", "Kublai", "router:x", "*"] {
        assert_eq!(code(to(audience)), "input.invalid", "{audience:?}");
    }
}

#[test]
fn a_token_lives_from_its_first_second_to_its_last() {
    let (temujin, _, keys) = team();
    let text = sign(&draft().lifetime(Duration::from_secs(10)), &temujin).unwrap();
    let verdict = |milliseconds: i64| {
        let now = DateTime::from_timestamp_millis(NOW * 1000 + milliseconds).unwrap();
        code(verify(&text, &keys, &Expect { now, ..expect(&[]) }))
    };
    assert_eq!(verdict(-60_001), "sig.from_future");
    assert_eq!(verdict(-60_000), "ok");
    assert_eq!(verdict(9_999), "ok");
    assert_eq!(verdict(10_000), "sig.expired");
    let never = Expect { now: DateTime::<Utc>::MAX_UTC, ..expect(&[]) };
    assert_eq!(code(verify(&text, &keys, &never)), "key.expired");
}

#[test]
fn what_is_of_a_kind_lives_no_longer_than_the_kind() {
    let (temujin, _, keys) = team();
    for (message_type, longest) in [
        ("agent.stop", 300),
        ("control.pause", 300),
        ("task_delegation", 86_400),
        ("improvement_proposal", 604_800),
        ("agents", 604_800),
        ("task", 604_800),
    ] {
        let draft = Draft { message_type: message_type.to_owned(), ..draft() };
        let lifetime = |seconds| draft.clone().lifetime(Duration::from_secs(seconds));
        let token = verify(&sign(&draft, &temujin).unwrap(), &keys, &expect(&[])).unwrap();
        assert_eq!((token.expires_at - token.issued_at).num_seconds(), longest);
        assert_eq!(code(sign(&lifetime(0), &temujin)), "input.invalid");
        assert_eq!(code(sign(&lifetime(1), &temujin)), "ok");
        assert_eq!(code(sign(&lifetime(longest as u64 + 1), &temujin)), "input.invalid");
        // Whoever signs without asking us is refused by whoever verifies.
        let said = claims::write(&draft).unwrap();
        let expiry = |seconds| said.replace(&format!("{}", NOW + longest), &format!("{}", NOW + seconds));
        assert_eq!(verdict(&header(), &expiry(longest + 1)), "sig.malformed", "{message_type}");
        assert_eq!(verdict(&header(), &expiry(longest)), "ok", "{message_type}");
    }
    let flagged = draft().control();
    let token = verify(&sign(&flagged, &temujin).unwrap(), &keys, &expect(&[])).unwrap();
    assert_eq!((token.expires_at - token.issued_at).num_seconds(), 300);
    assert_eq!(code(sign(&flagged.lifetime(Duration::from_secs(301)), &temujin)), "input.invalid");
    // Even where it was over before it began.
    let early = payload().replace("1800000000", "1800000050").replace("1800086400", "1800000050");
    assert_eq!(verdict(&header(), &early), "sig.malformed");
}

#[test]
fn the_state_of_the_key_counts() {
    let (temujin, _, keys) = team();
    let text = sign(&draft(), &temujin).unwrap();
    let verdict = |change: &dyn Fn(&mut AgentKey)| {
        let mut keys = keys.clone();
        change(&mut keys.keys[0]);
        code(verify(&text, &keys, &expect(&[])))
    };
    assert_eq!(verdict(&|key| key.activated_at = Some(at(NOW + 5))), "ok");
    assert_eq!(verdict(&|key| key.replace(at(NOW - 5))), "ok");
    assert_eq!(verdict(&|key| key.replace(at(NOW - 7 * 86_400))), "key.expired");
    assert_eq!(verdict(&|key| key.expires_at = at(NOW)), "key.expired");
    assert_eq!(verdict(&|key| key.state = KeyState::Expired), "key.expired");
    assert_eq!(verdict(&|key| key.revoke("stolen")), "key.revoked");
    assert_eq!(verdict(&|key| key.public_key = None), "sig.algorithm");
    assert_eq!(verdict(&|key| key.algorithm = Algorithm::HmacSha256), "sig.algorithm");
}

#[test]
fn an_unsigned_message_is_missing_its_signature() {
    assert_eq!(code(verify("", &team().2, &expect(&[]))), "sig.missing");
    let text = forge(&header(), &payload());
    let (signed, _) = text.rsplit_once('.').unwrap();
    assert_eq!(code(verify(&format!("{signed}."), &team().2, &expect(&[]))), "sig.mismatch");
    assert_eq!(code(verify(signed, &team().2, &expect(&[]))), "sig.malformed");
}

#[test]
fn what_cannot_be_read_alike_is_not_signed() {
    let (temujin, ..) = team();
    let body = |text: &str| sign(&draft().body(Json::stored(text)), &temujin).map_err(|e| e.to_string());
    for (text, says) in [
        (r#"{"a":1,"a":2}"#, "twice in an object"),
        (r#"["\ud800"]"#, "surrogate"),
        ("{", "body at $"),
        ("1 2", "body at $"),
        (&"[".repeat(65), "body at $"),
        (&format!("{}{}", "[".repeat(65), "]".repeat(65)), "64 levels"),
        (&format!("{:?}", "x".repeat(MAX_BYTES)), "at most 262144"),
    ] {
        let error = body(text).unwrap_err();
        assert!(error.contains(says) && error.contains("[input.payload]"), "{error}");
    }
    for draft in [
        Draft { sender: "Temüjin".to_owned(), ..draft() },
        Draft { namespace: String::new(), ..draft() },
        Draft { id: "1".to_owned(), ..draft() },
        Draft { message_type: String::new(), ..draft() },
        Draft { task: Some(String::new()), ..draft() },
        Draft { reply_to: Some("m".repeat(129)), ..draft() },
        Draft { issued_at: at(-1), ..draft() },
        Draft { issued_at: DateTime::<Utc>::MAX_UTC, ..draft() },
    ] {
        assert_eq!(code(sign(&draft, &temujin)), "input.invalid", "{draft:?}");
    }
}

#[test]
fn a_signer_that_answers_something_else_is_refused() {
    struct Short;
    impl MessageSigner for Short {
        fn key_id(&self) -> &str {
            "temujin-001"
        }
        fn algorithm(&self) -> Algorithm {
            Algorithm::EdDsa
        }
        fn sign(&self, _: &[u8]) -> Result<Signature> {
            Ok(Signature(vec![0x30; 70]))
        }
    }
    assert_eq!(code(sign(&draft(), &Short)), "sig.malformed");
}

#[test]
fn only_ed25519_signs_tokens() {
    struct Hmac;
    impl MessageSigner for Hmac {
        fn key_id(&self) -> &str {
            "temujin-001"
        }
        fn algorithm(&self) -> Algorithm {
            Algorithm::HmacSha256
        }
        fn sign(&self, _: &[u8]) -> Result<Signature> {
            panic!("it is not asked")
        }
    }
    assert_eq!(code(sign(&draft(), &Hmac)), "sig.algorithm");
}
