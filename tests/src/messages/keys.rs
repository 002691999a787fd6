use super::{bodies, events, hello, inbox, two};
use crate::{
    cases,
    fixture::{Team, code},
};
use kurultai_core::messages::{Ed25519Key, KeyState};

cases![
    a_rotation_overlaps,
    what_a_revoked_key_has_signed_is_not_delivered,
    a_key_expires,
    a_public_key_is_added,
    two_who_rotate_at_once_leave_one_that_signs,
];

async fn states(team: &Team, agent: &str) -> Vec<KeyState> {
    let mut keys = team.k.keys().list(Some(agent)).await.unwrap();
    keys.sort_by_key(|key| key.created_at);
    keys.iter().map(|key| key.state_at(team.clock.now())).collect()
}

async fn a_rotation_overlaps(team: Team) {
    let [old, jochi] = two(&team).await;
    old.messages().send(hello("before")).await.unwrap();
    team.seconds(1);
    let key = team.k.keys().rotate("kublai").await.unwrap();
    assert_eq!(states(&team, "kublai").await, [KeyState::VerifyOnly, KeyState::Pending]);
    let new = team.reopen(|config| config.identity(key)).await;
    old.messages().send(hello("with the old one")).await.unwrap();
    new.messages().send(hello("with the new one")).await.unwrap();
    assert_eq!(bodies(&inbox(&jochi).await), ["before", "with the old one", "with the new one"]);
    team.seconds(30);
    assert_eq!(states(&team, "kublai").await, [KeyState::VerifyOnly, KeyState::Active]);
    team.seconds(7 * 86_400);
    assert_eq!(states(&team, "kublai").await, [KeyState::Expired, KeyState::Active]);
    assert_eq!(code(old.messages().send(hello("too late")).await), "key.expired");
    new.messages().send(hello("in time")).await.unwrap();
}

async fn what_a_revoked_key_has_signed_is_not_delivered(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let sent = kublai.messages().send(hello("stolen")).await.unwrap();
    let key = team.k.keys().list(Some("kublai")).await.unwrap().remove(0);
    let revoked = team.k.keys().revoke("kublai", &key.key_id, "the laptop is gone").await.unwrap();
    assert_eq!((revoked.state, revoked.reason.as_deref()), (KeyState::Revoked, Some("the laptop is gone")));
    team.k.keys().revoke("kublai", &key.key_id, "again").await.unwrap();
    assert!(inbox(&jochi).await.is_empty());
    let told = events(&team.k, "message.failed").await.remove(0).payload.unwrap().value();
    assert_eq!((&told["id"], &told["code"]), (&sent.id.into(), &"key.revoked".into()));
    assert_eq!(jochi.messages().unread(None).await.unwrap().count, 0);
    assert_eq!(code(kublai.messages().send(hello("stolen too")).await), "key.revoked");
    assert_eq!(code(team.k.keys().revoke("kublai", "nothing", "no").await), "key.unknown");
}

async fn a_key_expires(team: Team) {
    let [kublai, _] = two(&team).await;
    team.seconds(90 * 86_400);
    assert_eq!(states(&team, "kublai").await, [KeyState::Expired]);
    assert_eq!(code(kublai.messages().send(hello("hi")).await), "key.expired");
}

async fn a_public_key_is_added(team: Team) {
    team.agent("kublai", &[]).await;
    let mine = Ed25519Key::generate("kublai").unwrap();
    let key = team.k.keys().add("kublai", &mine.public_key().to_string()).await.unwrap();
    assert_eq!((key.agent_id.as_str(), key.state_at(team.clock.now())), ("kublai", KeyState::Active));
    let public = mine.public_key().to_string();
    assert_eq!(code(team.k.keys().add("kublai", &public).await), "key.conflict");
    for weak in ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert_eq!(code(team.k.keys().add("kublai", weak).await), "key.weak");
    }
    let kublai = team.reopen(|config| config.identity(mine)).await;
    kublai.messages().send(hello("hi")).await.unwrap();
}

async fn two_who_rotate_at_once_leave_one_that_signs(team: Team) {
    team.agent("kublai", &[]).await;
    team.k.keys().rotate("kublai").await.unwrap();
    let other = team.reopen(|config| config).await;
    let rotate = |i: usize| {
        let keys = [&team.k, &other][i % 2].keys();
        async move { keys.rotate("kublai").await }
    };
    let answers = futures::future::join_all((0..8).map(rotate)).await;
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(
        answers.iter().all(|answer| !matches!(answer, Err(e) if e.code() != "key.conflict")),
        "{answers:?}"
    );
    assert!(made >= 1);
    team.seconds(31);
    let active = states(&team, "kublai").await.into_iter().filter(|state| *state == KeyState::Active).count();
    assert_eq!(active, 1);
}
