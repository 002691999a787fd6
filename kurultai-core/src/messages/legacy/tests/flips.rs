use super::{random, *};

/// What a bit more or less leaves as it was: white space, the case of a hexadecimal digit, digits of a number that no
/// double has room for.
#[test]
fn no_flipped_bit_changes_what_is_accepted() {
    let mut rng = fastrand::Rng::with_seed(4231);
    let (mut refused, mut same) = (0, 0);
    for _ in 0..100 {
        let message = random::message(&mut rng);
        // As it was spelled, with more than one way to write a number, and white space.
        let members = &message[..message.rfind('}').unwrap()];
        let comma = if canonical_text(&message).unwrap() == "{}" { "" } else { "," };
        let members = format!("{members}{comma}\"n\":0.1000000000000000055");
        let message = format!("{members}}}");
        let Seal { signature, timestamp } = seal(&message, &kublai(), noon()).unwrap();
        let metadata = format!(
            r#"{{"agent_id":"Kublai","key_id":"kublai-001","timestamp":"{timestamp}","algorithm":"HMAC-SHA256"}}"#
        );
        let envelope =
            format!("{members},\t\"sig_metadata\": {metadata},\r\n\"signature\":\"{signature}\"}}");
        let whole = verified(&envelope).unwrap();
        assert_eq!(whole.body().as_str(), canonical_text(&message).unwrap());
        let mut bytes = envelope.into_bytes();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            match std::str::from_utf8(&bytes).map(verified) {
                Err(_) | Ok(Err(_)) => refused += 1,
                Ok(Ok(verified)) => {
                    same += 1;
                    assert_eq!(format!("{verified:?}"), format!("{whole:?}"));
                }
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert!(refused > 200_000 && same > 100 && same < refused / 20, "{refused} refused, {same} the same");
}
