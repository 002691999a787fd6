//! What the old program let through.

use super::{super::mac::Signature, *};

const BODY: &str = r#"{"to":"Jochi","type":"note"}"#;
const TIME: &str = "2026-02-09T12:00:00.123456+00:00";

fn envelope() -> String {
    sign_message(BODY, &kublai(), noon()).unwrap()
}

/// An envelope whose `sig_metadata` is given, signed by the rules of the old program.
fn with_metadata(metadata: &str, time: &str) -> String {
    let text = format!(
        r#"{{"_sig_agent":"Kublai","_sig_key_id":"kublai-001","_sig_ts":"{time}","to":"Jochi","type":"note"}}"#
    );
    let signature = Signature::of(SECRET.as_bytes(), &[text]).unwrap().digits();
    format!(r#"{{"to":"Jochi","type":"note","signature":"{signature}","sig_metadata":{metadata}}}"#)
}

fn with_time(time: &str) -> String {
    let metadata = format!(
        r#"{{"agent_id":"Kublai","key_id":"kublai-001","timestamp":"{time}","algorithm":"HMAC-SHA256"}}"#
    );
    with_metadata(&metadata, time)
}

#[test]
fn keys_that_the_seal_adds_are_refused_in_the_body() {
    assert_eq!(code(verified(&with_time(TIME))), "accepted");
    // The same signed text, with its time moved out of the reach of the window.
    let moved = with_time(TIME).replacen('{', &format!(r#"{{"_sig_ts":"{TIME}","#), 1);
    for text in [moved.clone(), moved.replace("_sig_ts", r"\u005fsig_ts"), moved.replace("_sig_ts", "_sig_x")]
    {
        assert_eq!(code(verified(&text)), "sig.malformed");
    }
    for key in ["_sig_ts", "_sig_agent", "_sig_key_id", "_sig_", r"_sig_\u00e4"] {
        let message = format!(r#"{{"{key}":"x"}}"#);
        assert_eq!(sign_message(&message, &kublai(), noon()).unwrap_err().code(), "input.payload");
    }
    // Elsewhere they are the sender's own.
    for message in
        [r#"{"inner":{"_sig_ts":"x","signature":"y"}}"#, r#"{"_sig":1,"sig_ts":2,"_siG_":3,"_sif_":4}"#]
    {
        let verified = verified(&sign_message(message, &kublai(), noon()).unwrap());
        assert_eq!(verified.unwrap().body().as_str(), canonical_text(message).unwrap());
    }
}

#[test]
fn both_parts_of_the_seal_are_required() {
    assert_eq!(code(verified(BODY)), "sig.missing");
    let metadata = envelope().split_once(r#","signature""#).unwrap().0.to_owned() + "}";
    assert_eq!(code(verified(&metadata)), "sig.missing");

    // What `include_metadata=False` made: the message alone is signed, by whomever, whenever.
    let signature = Signature::of(SECRET.as_bytes(), &[BODY]).unwrap().digits();
    let bare = BODY.replacen('{', &format!(r#"{{"signature":"{signature}","#), 1);
    assert_eq!(code(verified(&bare)), "sig.malformed");

    let digits = seal(BODY, &kublai(), noon()).unwrap().signature;
    for other in
        ["", "none", &digits[1..], &digits.to_uppercase(), &format!("{digits}0"), &format!(" {digits}")]
    {
        assert_eq!(code(verified(&envelope().replace(&digits, other))), "sig.malformed", "{other}");
    }
    for other in ["null", "0", "true", "[]", "{}"] {
        let text = envelope().replace(&format!("\"{digits}\""), other);
        assert_eq!(code(verified(&text)), "sig.malformed", "{other}");
    }
    let other = envelope().replace(&digits, &"0".repeat(64));
    assert_eq!(code(verified(&other)), "sig.mismatch");
}

#[test]
fn the_metadata_is_four_texts_and_no_more() {
    for metadata in [
        "null",
        "[]",
        "{}",
        r#""Kublai""#,
        &format!(r#"{{"agent_id":"Kublai","key_id":"kublai-001","timestamp":"{TIME}"}}"#),
        r#"{"agent_id":"Kublai","key_id":"kublai-001","algorithm":"HMAC-SHA256"}"#,
        &format!(r#"{{"agent_id":"Kublai","timestamp":"{TIME}","algorithm":"HMAC-SHA256"}}"#),
        &format!(r#"{{"key_id":"kublai-001","timestamp":"{TIME}","algorithm":"HMAC-SHA256"}}"#),
        &format!(r#"{{"agent_id":"","key_id":"kublai-001","timestamp":"{TIME}","algorithm":"HMAC-SHA256"}}"#),
        &format!(r#"{{"agent_id":7,"key_id":"kublai-001","timestamp":"{TIME}","algorithm":"HMAC-SHA256"}}"#),
        &format!(
            r#"{{"agent_id":"\ud800","key_id":"kublai-001","timestamp":"{TIME}","algorithm":"HMAC-SHA256"}}"#
        ),
        &format!(
            r#"{{"agent_id":"Kublai","key_id":"kublai-001","timestamp":"{TIME}","algorithm":"HMAC-SHA256","to":"Jochi"}}"#
        ),
        &format!(
            r#"{{"agent_id":"Kublai","key_id":"kublai-001","timestamp":"{TIME}","timestamp":"{TIME}","algorithm":"HMAC-SHA256"}}"#
        ),
    ] {
        assert_eq!(code(verified(&with_metadata(metadata, TIME))), "sig.malformed", "{metadata}");
    }
}

#[test]
fn the_time_has_an_offset_and_lies_in_the_window() {
    for time in ["2026-02-09T12:00:00.123456", "2026-02-09T12:00:00", "2026-02-09", "1770638400", "None", ""]
    {
        assert_eq!(code(verified(&with_time(time))), "sig.malformed", "{time}");
    }
    for time in ["2026-02-09T20:00:00.123456+08:00", "2026-02-09T12:00:00Z", "2026-02-09T12:00:00.123+00:00"]
    {
        assert_eq!(code(verified(&with_time(time))), "accepted", "{time}");
    }
    let at = |now| code(verify(&envelope(), &vec![kublai()], &anyone(now)));
    assert_eq!(at(seconds_later(300)), "accepted");
    assert_eq!(at(seconds_later(300) + TimeDelta::microseconds(1)), "sig.expired");
    assert_eq!(at(seconds_later(-300)), "accepted");
    assert_eq!(at(seconds_later(-300) - TimeDelta::microseconds(1)), "sig.from_future");
    // To be remembered as long as it would be admitted.
    let ahead = verify(&envelope(), &vec![kublai()], &anyone(seconds_later(-300))).unwrap();
    assert_eq!(ahead.replay_until(), seconds_later(300));
    // A forgery is one whenever it was made.
    let forged = envelope().replace("note", "nota");
    assert_eq!(code(verify(&forged, &vec![kublai()], &anyone(seconds_later(900)))), "sig.mismatch");
}

#[test]
fn the_algorithm_is_the_one() {
    for other in ["none", "hmac-sha256", "HMAC-SHA512", "HMAC-SHA1", "EdDSA", "HMAC-SHA256 "] {
        assert_eq!(code(verified(&envelope().replace("HMAC-SHA256", other))), "sig.algorithm", "{other}");
    }
}

/// Answers with what it has, whoever is asked for.
struct Careless(LegacyKey);

impl LegacyKeys for Careless {
    fn key(&self, _agent: &str, _key_id: &str) -> Option<LegacyKey> {
        Some(self.0.clone())
    }
}

#[test]
fn the_key_belongs_to_the_agent() {
    let jochi = LegacyKey::new("Jochi", "jochi-001", "j".repeat(32));
    let keys = vec![jochi.clone(), kublai()];
    let by = |text: &str| code(verify(text, &keys, &anyone(noon())));
    assert_eq!(by(&envelope()), "accepted");
    // Jochi signs as Kublai: with his own key, or with his secret under Kublai's name for it.
    let posing = LegacyKey { agent_id: "Kublai".into(), ..jochi.clone() };
    assert_eq!(by(&sign_message(BODY, &posing, noon()).unwrap()), "key.unknown");
    let posing = LegacyKey { key_id: "kublai-001".into(), ..posing };
    assert_eq!(by(&sign_message(BODY, &posing, noon()).unwrap()), "sig.mismatch");
    let unknown = LegacyKey::new("Kublai", "kublai-002", SECRET);
    assert_eq!(by(&sign_message(BODY, &unknown, noon()).unwrap()), "key.unknown");

    // Whatever the store answers.
    for posing in [
        LegacyKey { agent_id: "Kublai".into(), ..jochi.clone() },
        LegacyKey { key_id: "kublai-001".into(), ..jochi.clone() },
    ] {
        let text = sign_message(BODY, &posing, noon()).unwrap();
        assert_eq!(code(verify(&text, &Careless(jochi.clone()), &anyone(noon()))), "key.unknown");
    }
}

#[test]
fn a_name_is_looked_up_folded_and_verified_as_sent() {
    // In the two forms that Unicode has for it, and without its dots.
    for name in ["Temüjin", "Temu\u{308}jin", "temujin", "TEMÜJIN"] {
        let sender = LegacyKey::new(name, "temüjin-001", SECRET);
        let known = LegacyKey::new("Temüjin", "temüjin-001", SECRET);
        let text = sign_message(BODY, &sender, noon()).unwrap();
        let verified = verify(&text, &vec![known.clone()], &anyone(noon())).unwrap();
        assert_eq!((verified.agent(), verified.agent_as_sent()), ("temujin", name));
    }
    let text = sign_message(BODY, &LegacyKey::new("Temüjin", "temüjin-001", SECRET), noon()).unwrap();
    let renamed = text.replace(r"Tem\u00fcjin", "Temujin");
    assert_ne!(text, renamed);
    let known = vec![LegacyKey::new("Temüjin", "temüjin-001", SECRET)];
    assert_eq!(code(verify(&renamed, &known, &anyone(noon()))), "sig.mismatch");
}

#[test]
fn keys_that_are_revoked_expired_or_weak_neither_sign_nor_verify() {
    let good = kublai();
    for (key, refused) in [
        (LegacyKey { revoked: true, ..good.clone() }, "key.revoked"),
        (LegacyKey { revoked: true, expires_at: Some(noon()), ..good.clone() }, "key.revoked"),
        (LegacyKey { expires_at: Some(noon()), ..good.clone() }, "key.expired"),
        (LegacyKey { expires_at: Some(seconds_later(1)), ..good.clone() }, "accepted"),
        (LegacyKey::new("Kublai", "kublai-001", "k".repeat(31)), "key.weak"),
        (LegacyKey::new("Kublai", "kublai-001", ""), "key.weak"),
        // Characters, not bytes.
        (LegacyKey::new("Kublai", "kublai-001", "ö".repeat(31)), "key.weak"),
    ] {
        let signed = sign_message(BODY, &key, noon()).err().map_or("accepted", |error| error.code());
        assert_eq!(signed, refused);
        assert_eq!(code(verify(&envelope(), &vec![key], &anyone(noon()))), refused);
    }
    for nameless in [LegacyKey::new("", "x-001", SECRET), LegacyKey::new("x", "", SECRET)] {
        assert_eq!(sign_message(BODY, &nameless, noon()).unwrap_err().code(), "input.invalid");
    }
}

#[test]
fn a_message_for_another_is_refused() {
    let to = |message: &str, audiences: &[&str]| {
        let audiences = audiences.iter().map(|name| (*name).to_owned()).collect();
        let text = sign_message(message, &kublai(), noon()).unwrap();
        code(verify(&text, &vec![kublai()], &Expect { audiences, now: noon() }))
    };
    const NO: &str = "sig.wrong_audience";
    let cases: &[(&str, &[&str], &str)] = &[
        (r#"{"to":"Ögedei"}"#, &["ogedei"], "accepted"),
        (r#"{"to":"ogedei"}"#, &["Ögedei"], "accepted"),
        (r#"{"to":"Ögedei"}"#, &["jochi", "ogedei"], "accepted"),
        (r#"{"to":"role:router"}"#, &["kublai", "role:router"], "accepted"),
        (r#"{"to":"Ögedei"}"#, &[], "accepted"),
        (r#"{"to":"\ud800"}"#, &[], "accepted"),
        (r#"{"to":"Ögedei"}"#, &["jochi"], NO),
        (r#"{"to":"role:router"}"#, &["router"], NO),
        (r#"{"to":""}"#, &["jochi"], NO),
        (r#"{"to":"\ud800"}"#, &["jochi"], NO),
        (r#"{"delegate":"Jochi"}"#, &["jochi"], "accepted"),
        (r#"{"delegate":"Ögedei"}"#, &["jochi"], NO),
        (r#"{"delegate":"Jochi","to":"Jochi"}"#, &["jochi"], "accepted"),
        (r#"{"delegate":"Jochi","to":"Ögedei"}"#, &["jochi"], NO),
        (r#"{"delegate":"Ögedei","to":"Jochi"}"#, &["jochi"], NO),
        (r#"{"\u0074o":"Ögedei"}"#, &["jochi"], NO),
        (r#"{"to":["Ögedei","Jochi"]}"#, &["jochi"], "accepted"),
        (r#"{"to":["Ögedei"]}"#, &["jochi"], NO),
        (r#"{"to":[]}"#, &["jochi"], NO),
        (r#"{"to":null}"#, &["jochi"], "accepted"),
        (r#"{"type":"note"}"#, &["jochi"], "accepted"),
    ];
    for (message, audiences, answer) in cases {
        assert_eq!(to(message, audiences), *answer, "{message} for {audiences:?}");
    }
}

#[test]
fn a_seal_is_replaced() {
    let again =
        sign_message(&envelope(), &LegacyKey::new("Jochi", "jochi-001", "j".repeat(32)), noon()).unwrap();
    let keys = vec![LegacyKey::new("Jochi", "jochi-001", "j".repeat(32))];
    let verified = verify(&again, &keys, &anyone(noon())).unwrap();
    assert_eq!((verified.agent(), verified.body().as_str()), ("jochi", BODY));
}

#[test]
fn no_secret_is_shown() {
    let canary = "canary-7f3a9d2e5b8c1f4a6d0e9b2c5f8a";
    let key = LegacyKey::new("Kublai", "kublai-001", canary);
    let mut shown = format!("{key:?}");
    for now in [noon(), seconds_later(600)] {
        let text = sign_message(BODY, &key, noon()).unwrap();
        shown += &text;
        for text in [&text, &text.replace("note", "nota"), &text.replace("HMAC", "none")] {
            shown += &format!("{:?}", verify(text, &vec![key.clone()], &anyone(now)));
        }
    }
    assert!(!shown.contains("canary"), "{shown}");
}
