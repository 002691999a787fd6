use super::{super::mac::Signature, *};

/// The message of the contract, spelled in another way than it is signed.
const MESSAGE: &str = r#"{
    "type": "task_delegation", "task_id": "123", "to": "Ögedei",
    "s": "a\/b\u2028", "big": 9007199254740993, "n": 1.00, "e": 1E-7, "z": null
}"#;

#[test]
fn the_contracts_vectors_hold() {
    let text = r#"{"_sig_agent":"Kublai","_sig_key_id":"kublai-001","_sig_ts":"2026-02-09T12:00:00.123456+00:00","big":9007199254740993,"e":1e-07,"n":1.0,"s":"a/b\u2028","task_id":"123","to":"\u00d6gedei","type":"task_delegation","z":null}"#;
    for (secret, signature) in [
        (SECRET.to_owned(), "924149d3d66261b6038c0e1a3c0f49aa786a815a1b5681448828e0ee849d17f0"),
        ("6b".repeat(32), "d383f6c9c8783d0b55f8790b0dc22df8f1db9aa295c390379d7c3b2cac6bd791"),
    ] {
        assert_eq!(Signature::of(secret.as_bytes(), &[text]).unwrap().digits(), signature);
        let key = LegacyKey::new("Kublai", "kublai-001", secret);
        let seal = seal(MESSAGE, &key, noon()).unwrap();
        assert_eq!(seal.signature, signature);
        assert_eq!(seal.timestamp, "2026-02-09T12:00:00.123456+00:00");

        let envelope = sign_message(MESSAGE, &key, noon()).unwrap();
        let body = r#"{"big":9007199254740993,"e":1e-07,"n":1.0,"s":"a/b\u2028","task_id":"123","to":"\u00d6gedei","type":"task_delegation","z":null}"#;
        assert_eq!(
            envelope,
            format!(
                r#"{},"sig_metadata":{{"agent_id":"Kublai","key_id":"kublai-001","timestamp":"2026-02-09T12:00:00.123456+00:00","algorithm":"HMAC-SHA256"}},"signature":"{signature}"}}"#,
                &body[..body.len() - 1],
            )
        );
        let expect = Expect { audiences: vec!["ogedei".into()], now: noon() };
        let verified = verify(&envelope, &vec![key], &expect).unwrap();
        assert_eq!((verified.agent(), verified.agent_as_sent()), ("kublai", "Kublai"));
        assert_eq!((verified.key_id(), verified.timestamp()), ("kublai-001", noon()));
        assert_eq!(verified.body().as_str(), body);
        assert_eq!(verified.replay_until(), seconds_later(300));
    }
}

#[test]
fn replays_are_known_by_the_signature_alone() {
    let signed = sign_message(MESSAGE, &kublai(), noon()).unwrap();
    let respelled = signed.replace(",\"", " ,\n\"").replace("1e-07", "0.0000001");
    assert_ne!(signed, respelled);
    let ids = [&signed, &respelled].map(|text| verified(text).unwrap().replay_id().to_owned());
    assert_eq!(ids[0], ids[1]);
    // Of the 32 bytes of the first vector.
    assert_eq!(ids[0], "ef1ab2ffd6ffe94359840160466ff20374ada17e3cce7e380daf450844289ed3");
    let later = sign_message(MESSAGE, &kublai(), seconds_later(1)).unwrap();
    assert_ne!(verified(&later).unwrap().replay_id(), ids[0]);
}

#[test]
fn the_rfcs_vectors_hold() {
    // RFC 4231, 4.2 to 4.8; the fifth is truncated to 128 bits.
    let counted: Vec<u8> = (1..=25).collect();
    let large = b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.";
    let cases: [(&[u8], &[u8], &str); 7] = [
        (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (&counted, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (&[0xaa; 131], large, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ];
    for (key, data, digits) in cases {
        let signature = Signature::of(key, &[data]).unwrap();
        assert_eq!(&signature.digits()[..digits.len()], digits);
        assert!(signature.is_of(key, &[data]).unwrap());
        assert!(!signature.is_of(b"another", &[data]).unwrap());
    }
}

#[test]
fn a_delegation_is_a_message_of_five_fields() {
    let payload = crate::Json::text(r#"{"b": 1.0, "a": "日"}"#).unwrap();
    let envelope = sign_delegation("t-1", "Temüjin", &payload, &kublai(), noon()).unwrap();
    let expect = Expect { audiences: vec!["temujin".into()], now: noon() };
    let body = verify(&envelope, &vec![kublai()], &expect).unwrap().body;
    let said = r#"{"from":"Kublai","payload":{"a":"\u65e5","b":1.0},"task_id":"t-1","to":"Tem\u00fcjin","type":"task_delegation"}"#;
    assert_eq!(body.as_str(), said);

    // Text that is more than one document adds no field.
    let two = crate::Json::stored(r#"1,"to":"jochi""#);
    let error = sign_delegation("t-1", "Temüjin", &two, &kublai(), noon()).unwrap_err();
    assert_eq!(error.code(), "input.payload");
}
