//! Flipped bits and random documents.

use super::*;
use proptest::prelude::*;

#[test]
fn no_bit_of_a_hundred_tokens_can_be_flipped() {
    let (temujin, _, keys) = team();
    let expect = expect(&[]);
    let tokens: Vec<String> = (0..100u32)
        .map(|i| {
            let body = Json::of(&format!("{i}{}", "x".repeat(i as usize % 7))).unwrap();
            let draft = Draft::new("temujin", "kublai", "note", at(NOW - 1)).body(body);
            sign(&draft, &temujin).unwrap()
        })
        .collect();
    let flipped = |token: &String| {
        verify(token, &keys, &expect).unwrap();
        let mut refused = 0;
        for bit in 0..token.len() * 8 {
            let mut bytes = token.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // What is no UTF-8 is no text to begin with.
            let accepted = String::from_utf8(bytes).is_ok_and(|text| verify(&text, &keys, &expect).is_ok());
            assert!(!accepted, "bit {bit} of {token}");
            refused += 1;
        }
        refused
    };
    let count = |part: &[String]| part.iter().map(flipped).sum::<usize>();
    let (one, other) = tokens.split_at(50);
    let refused = std::thread::scope(|threads| {
        let other = threads.spawn(|| count(other));
        count(one) + other.join().unwrap()
    });
    assert_eq!(refused, tokens.iter().map(|token| token.len() * 8).sum::<usize>());
}

/// JSON as anybody might write it: with white space, escapes and numbers in any form.
fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z ]{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\\PC{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\ud83d\uDE00\/\u2028\"\\{}[]:,""#.to_owned()),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        text,
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let entry = ("[a-z\"\\\\]{0,3}", inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[ {}\n]", items.join(" ,"))),
            prop::collection::vec(entry, 0..6).prop_map(|entries| {
                let entry = |(i, (key, value)): (usize, &(String, String))| {
                    format!("{} :\t{value}", serde_json::to_string(&format!("{key}{i}")).unwrap())
                };
                let entries: Vec<String> = entries.iter().enumerate().map(entry).collect();
                format!("{{{}}}", entries.join(",\r\n"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_body_comes_back_as_it_was_written(
        body in json(),
        audience in "(role:[a-zA-Zü ]{1,9}|[a-z0-9][a-z0-9_-]{0,30})",
        message_type in "\\PC{1,40}",
        task in proptest::option::of("\\PC{1,40}"),
        issued in 0i64..200_000_000_000,
    ) {
        let (temujin, _, mut keys) = team();
        keys.keys[0].expires_at = at(250_000_000_000);
        let issued = at(issued);
        let draft = Draft { audience, message_type, task, issued_at: issued, ..draft() };
        let draft = draft.body(Json::stored(body.as_str()));
        let text = sign(&draft, &temujin).unwrap();
        let expect = Expect { audiences: vec![draft.audience.clone()], now: issued, ..expect(&[]) };
        let token = verify(&text, &keys, &expect).unwrap();
        prop_assert_eq!(token.body.as_str(), body);
        let Token { id, namespace, sender, audience, message_type, task, reply_to, issued_at, .. } = token.into_inner();
        let body = draft.body.clone();
        let again =
            Draft { id, namespace, sender, audience, message_type, task, reply_to, issued_at, body, ..draft.clone() };
        prop_assert_eq!(again, draft);
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "\\PC{0,200}", payload in "\\PC{0,100}", header in "\\PC{0,100}") {
        let (_, _, keys) = team();
        prop_assert!(verify(&text, &keys, &expect(&[])).is_err());
        prop_assert!(verify(&forge(&header, &payload), &keys, &expect(&[])).is_err());
        prop_assert!(verify(&forge(&self::header(), &payload), &keys, &expect(&[])).is_err());
        let body = self::payload().replace("[true]", &payload);
        if let Ok(token) = verify(&forge(&self::header(), &body), &keys, &expect(&[])) {
            prop_assert!(token.body.get::<serde::de::IgnoredAny>().is_ok());
        }
    }
}
