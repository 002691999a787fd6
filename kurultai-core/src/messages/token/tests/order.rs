//! Every step of the verification, and its place.

use super::*;

/// What can be wrong with a token, in the order in which it is found.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Fault {
    Size,
    Parts,
    Base64,
    Header,
    Type,
    NoAlgorithm,
    UnreadablePayload,
    UnknownKey,
    Revoked,
    Expired,
    KeyAlgorithm,
    Mismatch,
    Member,
    Namespace,
    Audience,
    Future,
    Over,
    Lifetime,
    MessageType,
    Body,
}

use Fault::*;

const FAULTS: [(Fault, &str); 20] = [
    (Size, "sig.malformed"),
    (Parts, "sig.malformed"),
    (Base64, "sig.malformed"),
    (Header, "sig.malformed"),
    (Type, "sig.malformed"),
    (NoAlgorithm, "sig.algorithm"),
    (UnreadablePayload, "sig.malformed"),
    (UnknownKey, "key.unknown"),
    (Revoked, "key.revoked"),
    (Expired, "key.expired"),
    (KeyAlgorithm, "sig.algorithm"),
    (Mismatch, "sig.mismatch"),
    (Member, "sig.malformed"),
    (Namespace, "sig.wrong_namespace"),
    (Audience, "sig.wrong_audience"),
    (Future, "sig.from_future"),
    (Over, "sig.expired"),
    (Lifetime, "sig.malformed"),
    (MessageType, "sig.malformed"),
    (Body, "sig.malformed"),
];

/// What the refusal of a fault speaks of, so that one `sig.malformed` is told from another.
fn speaks_of(fault: Fault) -> &'static str {
    match fault {
        Size => "bytes; at most",
        Parts => "three parts",
        Base64 => "base64url",
        Header => "jku",
        Type => "typ is",
        UnreadablePayload => "no JSON at",
        Member => "\"nbf\"",
        Lifetime => "lives for",
        MessageType => "message type",
        Body => "twice in an object",
        _ => "",
    }
}

/// A token with these faults, and how it is refused.
fn refusal(faults: &[Fault]) -> Error {
    let has = |fault| faults.contains(&fault);
    let (temujin, _, mut keys) = team();
    let mut header = header();
    for (fault, from, to) in [
        (Header, "}", r#","jku":"x"}"#),
        (Type, "kurultai-msg+jwt", "JWT"),
        (NoAlgorithm, "EdDSA", "none"),
        (UnknownKey, temujin.key_id(), "temujin-000"),
    ] {
        if has(fault) {
            header = header.replace(from, to);
        }
    }
    let issued = match () {
        () if has(Future) => NOW + 61,
        () if has(Over) && has(Lifetime) => NOW - 9 * 86_400,
        () => NOW - 100,
    };
    let expires = match () {
        () if has(Over) => NOW,
        () if has(Lifetime) => issued + 8 * 86_400,
        () => issued + 200,
    };
    let body = if has(Body) { r#"[{"x":1,"x":2}]"# } else { "null" };
    let body = if has(Size) { format!("[{body},\"{}\"]", "x".repeat(MAX_BYTES)) } else { body.to_owned() };
    let audience = if has(Audience) { "jochi" } else { "kublai" };
    let mt = if has(MessageType) { "" } else { "note" };
    let extra = if has(Member) { ",\"nbf\":0" } else { "" };
    let mut payload = format!(
        r#"{{"aud":"{audience}","body":{body},"exp":{expires},"iat":{issued},"iss":"temujin","jti":"{ID}","mt":"{mt}"{extra},"tid":"default"}}"#
    );
    if has(UnreadablePayload) {
        payload.insert(1, ',');
    }
    let mut token = forge(&header, &payload);
    if has(Mismatch) {
        let (signed, _) = token.rsplit_once('.').unwrap();
        token =
            format!("{signed}.{}", strict::to_base64url(temujin.sign(b"another text").unwrap().as_bytes()));
    }
    if has(Base64) {
        token = token.replacen('.', "=.", 1);
    }
    if has(Parts) {
        token.push_str(".YQ");
    }
    let key = &mut keys.keys[0];
    if has(Expired) {
        key.expires_at = at(NOW);
    }
    if has(Revoked) {
        key.revoke("stolen");
    }
    if has(KeyAlgorithm) {
        key.algorithm = Algorithm::HmacSha256;
    }
    let mut expect = expect(&["kublai", "role:router"]);
    if has(Namespace) {
        expect.namespace = "other".to_owned();
    }
    verify(&token, &keys, &expect).unwrap_err()
}

#[test]
fn of_two_faults_the_earlier_one_is_named() {
    for (i, (first, code)) in FAULTS.iter().enumerate() {
        let alone = refusal(&[*first]);
        assert_eq!(alone.code(), *code, "{first:?}: {alone}");
        assert_eq!(alone.kind(), Kind::Denied);
        assert!(alone.message().contains(speaks_of(*first)), "{first:?}: {alone}");
        for (second, _) in &FAULTS[i + 1..] {
            let both = refusal(&[*first, *second]);
            assert_eq!(both.code(), *code, "{first:?} and {second:?}: {both}");
            assert!(both.message().contains(speaks_of(*first)), "{first:?} and {second:?}: {both}");
        }
    }
}
