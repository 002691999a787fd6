//! Header and payload in every form but the one.

use super::*;

#[test]
fn the_header_leaves_nothing_to_choose() {
    let good = header();
    let with = |members: &str| good.replace('}', &format!(",{members}}}"));
    let without = |member: &str| {
        let value: serde_json::Value = serde_json::from_str(&good).unwrap();
        let mut object = value.as_object().unwrap().clone();
        object.remove(member);
        serde_json::to_string(&object).unwrap()
    };
    assert_eq!(verdict(&good, &payload()), "ok");
    // Other libraries write it in another order, or with white space.
    let kid = key_of("temujin", 7).key_id().to_owned();
    let other = format!("{{\"typ\": \"kurultai-msg+jwt\",\n \"kid\": \"{kid}\", \"alg\": \"Ed\\u0044SA\"}}");
    assert_eq!(verdict(&other, &payload()), "ok");

    for alg in ["none", "None", "", "HS256", "HMAC-SHA256", "RS256", "ES256", "Ed25519", "eddsa"] {
        assert_eq!(verdict(&good.replace("EdDSA", alg), &payload()), "sig.algorithm", "{alg}");
    }
    for name in ["crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"] {
        let token = forge(&with(&format!(r#""{name}":"x""#)), &payload());
        let error = verify(&token, &team().2, &expect(&[])).unwrap_err();
        assert_eq!(error.code(), "sig.malformed");
        assert!(error.message().contains(&format!("{name}, which is refused")), "{error}");
    }
    let wrong = [
        with(r#""crit":["b64"],"b64":false"#),
        with(r#""cty":"JWT""#),
        with(r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#),
        with(r#""alg":"EdDSA""#),
        with(r#""\u0061lg":"none""#),
        with(r#""kid":"other""#),
        without("alg"),
        without("kid"),
        without("typ"),
        good.replace("kurultai-msg+jwt", "JWT"),
        good.replace("kurultai-msg+jwt", "Kurultai-msg+jwt"),
        good.replace("\"EdDSA\"", "null"),
        good.replace("\"EdDSA\"", "[\"EdDSA\"]"),
        good.replace(&kid, ""),
        good.replace(&kid, &"k".repeat(129)),
        good.replace(&format!("\"{kid}\""), "7"),
        format!("[{good}]"),
        format!("{good} x"),
        String::new(),
        "null".to_owned(),
        "\u{feff}".to_owned() + &good,
    ];
    for header in wrong {
        assert_eq!(verdict(&header, &payload()), "sig.malformed", "{header}");
    }
}

#[test]
fn the_payload_says_what_it_must_and_nothing_else() {
    let good = payload();
    let with = |members: &str| format!("{{{members},{}", &good[1..]);
    assert_eq!(verdict(&header(), &good), "ok");
    for name in ["aud", "body", "exp", "iat", "iss", "jti", "mt", "tid"] {
        let gone = good.replace(&format!("\"{name}\":"), "\"x\":");
        assert_eq!(verdict(&header(), &gone), "sig.malformed", "{name}");
        assert_eq!(verdict(&header(), &with(&format!("\"{name}\":0"))), "sig.malformed", "{name} twice");
    }
    let wrong = [
        with(r#""nbf":0"#),
        with(r#""sub":"temujin""#),
        good.replace("\"kublai\"", "[\"kublai\"]"),
        good.replace("\"kublai\"", "null"),
        good.replace("\"123\"", "null"),
        good.replace("\"123\"", "123"),
        good.replace("\"123\"", "\"\""),
        good.replace("\"m-1\"", "\"\""),
        good.replace("\"m-1\"", &format!("{:?}", "m".repeat(129))),
        good.replace("1800000000", "1800000000.0"),
        good.replace("1800000000", "18e8"),
        good.replace("1800000000", "\"1800000000\""),
        good.replace("1800000000", "-1800000000"),
        good.replace("1800086400", "253402300800"),
        good.replace("1800086400", "99999999999999999999"),
        good.replace(ID, ""),
        good.replace(ID, &ID.to_uppercase()),
        good.replace(ID, &ID.replace('-', "")),
        good.replace(ID, &ID.replace("-7f00", "-4f00")),
        good.replace("task_delegation", ""),
        good.replace("task_delegation", &"t".repeat(129)),
        good.replace("\"temujin\"", "\"Temüjin\""),
        good.replace("\"default\"", "\"\""),
        good.replace("[true]", "[tru]"),
        good.replace("[true]", "{\"x\":1,\"x\":2}"),
        good.replace("[true]", "\"\\ud800\""),
        good.replace("[true]", &format!("{}{}", "[".repeat(64), "]".repeat(64))),
        good.replace("[true]", &"9".repeat(4301)),
        good.replace("1e2", "01"),
        format!("{good}{good}"),
        format!("[{good}]"),
        String::new(),
    ];
    for payload in wrong {
        assert_ne!(payload, good);
        assert_eq!(verdict(&header(), &payload), "sig.malformed", "{payload}");
    }
    // What every language reads is allowed, however it is written.
    for body in ["1e400", "-0", "9007199254740993", "\"\\ud83d\\ude00\\u0000\"", "{\"a\":{\"a\":1}}"] {
        assert_eq!(verdict(&header(), &good.replace("[true]", body)), "ok", "{body}");
    }
    let not_utf8 = {
        let mut token = strict::to_base64url(header().as_bytes()) + ".";
        token += &strict::to_base64url(b"{\"tid\":\"\xff\"}");
        let signature = key_of("temujin", 7).sign(token.as_bytes()).unwrap();
        token + "." + &strict::to_base64url(signature.as_bytes())
    };
    assert_eq!(code(verify(&not_utf8, &team().2, &expect(&[]))), "sig.malformed");
}
