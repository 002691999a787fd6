//! Legacy envelopes through the mailbox.

use super::{
    events, inbox,
    team_keys::{SECRET, rows, with, wrapping},
};
use crate::{
    cases,
    fixture::{Team, code},
};
use chrono::{DateTime, TimeDelta, Utc};
use kurultai_core::{
    Json, Kurultai,
    config::Retention,
    messages::{
        Accept, AgentMessage, Inbox, MessageFilter, MessageStatus,
        legacy::{self, LegacyKey},
    },
};
use serde_json::json;
use std::time::Duration;

cases![
    an_envelope_is_admitted_once_and_delivered,
    what_is_forged_or_misdirected_is_refused,
    an_envelope_that_names_nobody_needs_a_recipient,
    what_a_revoked_key_has_signed_is_not_delivered,
    a_message_waits_as_long_as_its_type_may,
    min_version_2_takes_no_envelope,
    who_lacks_the_wrapping_key_spoils_nothing,
    a_replay_is_refused_after_the_row_is_forgotten,
    numbers_and_texts_arrive_as_they_were_signed,
];

fn key() -> LegacyKey {
    LegacyKey::new("Temüjin", "temüjin-001", SECRET)
}

fn signed(team: &Team, message: serde_json::Value) -> String {
    signed_at(team.clock.now(), &message, &key())
}

fn signed_at(at: DateTime<Utc>, message: &serde_json::Value, key: &LegacyKey) -> String {
    legacy::sign_message(&message.to_string(), key, at).unwrap()
}

fn delegation(team: &Team, task: &str) -> String {
    let payload = Json::text(r#"{"pr": 42}"#).unwrap();
    legacy::sign_delegation(task, "Jochi", &payload, &key(), team.clock.now()).unwrap()
}

/// A handle with a wrapping key, and Temüjin's key in the store.
async fn keeping(team: &Team) -> Kurultai {
    let k = team.reopen(with(&wrapping())).await;
    for agent in ["temujin", "jochi"] {
        team.agent(agent, &[]).await;
    }
    let row = json!([{"agent_id": "Temüjin", "key_id": "temüjin-001", "secret_key": SECRET}]);
    assert_eq!(k.keys().import_rows(rows(row)).await.unwrap().imported.len(), 1);
    k
}

async fn jochis(k: &Kurultai) -> Vec<AgentMessage> {
    k.messages().inbox(Inbox { agent: Some("jochi".into()), ..Inbox::default() }).await.unwrap()
}

async fn an_envelope_is_admitted_once_and_delivered(team: Team) {
    let key = wrapping();
    let k = team.reopen(with(&key)).await;
    let other = team.reopen(with(&key)).await;
    let row = json!([{"agent_id": "Temüjin", "key_id": "temüjin-001", "secret_key": SECRET}]);
    k.keys().import_rows(rows(row)).await.unwrap();
    let text = delegation(&team, "t-1");
    // The same message in another spelling.
    let spelled = text.replace("\",\"", "\" , \"").replace("\\u00fc", "ü");
    assert_ne!(spelled, text);
    let accept = |i: usize| {
        let (messages, text) = ([&k, &other][i % 2].messages(), [&text, &spelled][i / 2 % 2].clone());
        async move { messages.accept(text).await }
    };
    let answers = futures::future::join_all((0..50).map(accept)).await;
    let admitted: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    let replayed =
        answers.iter().filter(|answer| matches!(answer, Err(e) if e.code() == "sig.replayed")).count();
    assert_eq!((admitted.len(), replayed), (1, 49));
    let received = events(&k, "message.received").await.remove(0);
    assert_eq!(received.source.as_deref(), Some("temujin"));

    // After a restart.
    let k = team.reopen(with(&key)).await;
    let got = jochis(&k).await.remove(0);
    let AgentMessage { id, sender, to, message_type, task_id, thread, reply_to, verified, .. } = &got;
    assert_eq!(
        [id, sender, to, message_type, thread].map(String::as_str),
        [&admitted[0].id, "temujin", "jochi", "task_delegation", id]
    );
    assert_eq!((task_id.as_deref(), reply_to), (Some("t-1"), &None));
    assert_eq!(
        (verified.agent.as_str(), verified.key_id.as_str(), verified.version),
        ("temujin", "temüjin-001", 1)
    );
    let body = json!({"from": "Temüjin", "payload": {"pr": 42}, "task_id": "t-1", "to": "Jochi", "type": "task_delegation"});
    assert_eq!(got.body.value(), body);
    assert_eq!(got.expires_at, team.clock.now() + TimeDelta::days(1));
    k.messages().ack(&[got.receipt()]).await.unwrap().remove(0).unwrap();
    assert_eq!(code(k.messages().accept(&text).await), "sig.replayed");
    let listed = k.messages().list(MessageFilter::default()).await.unwrap().messages;
    assert_eq!(
        (listed.len(), listed[0].status, listed[0].to.as_str()),
        (1, MessageStatus::Acknowledged, "jochi")
    );
    assert_eq!(k.messages().thread(&got.id).await.unwrap().len(), 1);
}

async fn what_is_forged_or_misdirected_is_refused(team: Team) {
    let k = keeping(&team).await;
    let refuse = async |accept: Accept| code(k.messages().accept(accept).await);
    let good = delegation(&team, "t-1");
    let text = |text: &str| Accept::new(text);
    let now = team.clock.now();
    let note = json!({"type": "note", "to": "jochi"});
    let by = |agent: &str, id: &str, secret: &str| signed_at(now, &note, &LegacyKey::new(agent, id, secret));
    assert_eq!(refuse(text("{}")).await, "sig.missing");
    assert_eq!(refuse(text("{")).await, "sig.malformed");
    assert_eq!(refuse(text(" {\"signature\": 1}")).await, "sig.malformed");
    assert_eq!(refuse(text(&good.replace("{\"", "{\"_sig_ts\":1,\""))).await, "sig.malformed");
    assert_eq!(refuse(text(&good.replace("42", "43"))).await, "sig.mismatch");
    assert_eq!(refuse(text(&by("Temüjin", "temüjin-002", SECRET))).await, "key.unknown");
    assert_eq!(refuse(text(&by("Jochi", "temüjin-001", SECRET))).await, "key.unknown");
    assert_eq!(refuse(text(&by("Temüjin", "temüjin-001", &SECRET.replace('5', "6")))).await, "sig.mismatch");
    assert_eq!(refuse(text(&good.replace("HMAC-SHA256", "none"))).await, "sig.algorithm");
    let at = |seconds| signed_at(now + TimeDelta::seconds(seconds), &note, &key());
    assert_eq!(refuse(text(&at(-301))).await, "sig.expired");
    assert_eq!(refuse(text(&at(301))).await, "sig.from_future");
    assert_eq!(refuse(text(&good).to("kublai")).await, "sig.wrong_audience");
    assert_eq!(refuse(text(&good).to("Not An Id")).await, "input.invalid");
    let both = signed(&team, json!({"to": "jochi", "delegate": "kublai"}));
    assert_eq!(refuse(text(&both)).await, "sig.wrong_audience");
    // A key of tokens signs no envelope, whatever is in its row.
    let own = k.keys().rotate_in_store("temujin").await.unwrap();
    assert_eq!(refuse(text(&by("Temüjin", &own.key_id, SECRET))).await, "sig.algorithm");
    assert!(jochis(&k).await.is_empty());
    k.messages().accept(text(&good).to("jochi")).await.unwrap();
    k.messages().accept(text(&at(-299))).await.unwrap();
    k.messages().accept(text(&at(299))).await.unwrap();
    assert_eq!(jochis(&k).await.len(), 3);
    // What is refused is counted by who it claims to be from.
    for i in 0..11 {
        let forged = delegation(&team, &format!("t-{i}")).replace("42", "43");
        assert_eq!(refuse(text(&forged)).await, "sig.mismatch");
    }
    let alert = events(&k, "alert.raised").await.pop().unwrap().payload.unwrap().value();
    assert_eq!(alert["key"], "security.signature:temujin");
    assert!(alert["text"].as_str().unwrap().ends_with("sig.mismatch"), "{alert}");
}

async fn an_envelope_that_names_nobody_needs_a_recipient(team: Team) {
    let k = keeping(&team).await;
    let nobody = signed(&team, json!({"n": 1}));
    assert_eq!(code(k.messages().accept(&nobody).await), "input.invalid");
    k.messages().accept(Accept::new(&nobody).to("jochi")).await.unwrap();
    assert_eq!(code(k.messages().accept(Accept::new(&nobody).to("kublai")).await), "sig.replayed");
    let several = signed(&team, json!({"to": ["Jochi", "Kublai"], "type": ""}));
    assert_eq!(code(k.messages().accept(&several).await), "input.invalid");
    assert_eq!(code(k.messages().accept(Accept::new(&several).to("ogedei")).await), "sig.wrong_audience");
    k.messages().accept(Accept::new(&several).to("jochi")).await.unwrap();
    let one = signed(&team, json!({"delegate": ["JOCHI"], "task_id": 7}));
    k.messages().accept(&one).await.unwrap();
    let got = jochis(&k).await;
    assert_eq!(got.len(), 3);
    assert!(
        got.iter()
            .all(|message| (message.to.as_str(), message.message_type.as_str()) == ("jochi", "message"))
    );
    assert!(got.iter().all(|message| message.task_id.is_none()));
    assert_eq!(
        code(k.messages().accept(signed(&team, json!({"to": "no such name!"}))).await),
        "input.invalid"
    );
}

async fn what_a_revoked_key_has_signed_is_not_delivered(team: Team) {
    let k = keeping(&team).await;
    let sent = k.messages().accept(delegation(&team, "t-1")).await.unwrap();
    let late = delegation(&team, "t-2");
    team.k.keys().revoke("temujin", "temüjin-001", "it was on a disk").await.unwrap();
    assert!(jochis(&k).await.is_empty());
    let told = events(&k, "message.failed").await.remove(0).payload.unwrap().value();
    assert_eq!((&told["id"], &told["code"]), (&json!(sent.id), &json!("key.revoked")));
    assert_eq!(code(k.messages().accept(&late).await), "key.revoked");
    assert!(k.messages().list(MessageFilter::default()).await.unwrap().messages.is_empty());
}

async fn a_message_waits_as_long_as_its_type_may(team: Team) {
    let k = keeping(&team).await;
    k.messages().accept(delegation(&team, "t-1")).await.unwrap();
    k.messages().accept(signed(&team, json!({"type": "note", "to": "jochi"}))).await.unwrap();
    k.messages().accept(signed(&team, json!({"type": "control.stop", "to": "jochi"}))).await.unwrap();
    team.seconds(301);
    let short = Inbox { agent: Some("jochi".into()), visible: Duration::from_secs(1), ..Inbox::default() };
    let types =
        |got: Vec<AgentMessage>| got.into_iter().map(|message| message.message_type).collect::<Vec<_>>();
    assert_eq!(types(k.messages().inbox(short.clone()).await.unwrap()), ["task_delegation", "note"]);
    team.seconds(86_400);
    assert_eq!(types(k.messages().inbox(short.clone()).await.unwrap()), ["note"]);
    team.seconds(6 * 86_400);
    assert!(k.messages().inbox(short).await.unwrap().is_empty());
    k.maintain().await.unwrap();
    assert_eq!(events(&k, "message.expired").await.len(), 3);
}

async fn min_version_2_takes_no_envelope(team: Team) {
    let key = wrapping();
    let k = team.reopen(with(&key)).await;
    let row = json!([{"agent_id": "Temüjin", "key_id": "temüjin-001", "secret_key": SECRET}]);
    k.keys().import_rows(rows(row)).await.unwrap();
    let strict = team.reopen(|config| with(&key)(config).min_version(2).unwrap()).await;
    let sent = k.messages().accept(delegation(&team, "t-1")).await.unwrap();
    assert_eq!(code(strict.messages().accept(delegation(&team, "t-2")).await), "sig.algorithm");
    assert!(strict.messages().list(MessageFilter::default()).await.unwrap().messages.is_empty());
    assert!(jochis(&strict).await.is_empty());
    let told = events(&k, "message.failed").await.remove(0).payload.unwrap().value();
    assert_eq!((&told["id"], &told["code"]), (&json!(sent.id), &json!("sig.algorithm")));
    for version in [0, 3] {
        let config = Team::config(&team.url, &team.namespace, &team.clock).min_version(version);
        assert_eq!(code(config), "input.invalid");
    }
}

async fn who_lacks_the_wrapping_key_spoils_nothing(team: Team) {
    let k = keeping(&team).await;
    let text = delegation(&team, "t-1");
    assert_eq!(code(team.k.messages().accept(&text).await), "config.wrapping_key");
    k.messages().accept(&text).await.unwrap();
    let jochi = team.k.keys().rotate("jochi").await.unwrap();
    let jochi = team.reopen(|config| config.identity(jochi)).await;
    assert_eq!(code(jochi.messages().inbox(Inbox::default()).await), "config.wrapping_key");
    jochi.messages().send(super::hello("and a token")).await.unwrap();
    team.seconds(60);
    assert_eq!(super::bodies(&inbox(&jochi).await), ["and a token"], "what can be opened is given");
    team.seconds(60);
    let got = jochis(&k).await;
    assert_eq!(got.iter().filter(|message| message.verified.version == 1).count(), 1);
}

async fn a_replay_is_refused_after_the_row_is_forgotten(team: Team) {
    let key = wrapping();
    let retention = || Retention { messages: Some(Duration::ZERO), ..Retention::default() };
    let k = team.reopen(|config| with(&key)(config).retention(retention())).await;
    let row = json!([{"agent_id": "Temüjin", "key_id": "temüjin-001", "secret_key": SECRET}]);
    k.keys().import_rows(rows(row)).await.unwrap();
    // By a clock that is ahead as far as it may be, and of the type that is kept the shortest.
    let ahead = team.clock.now() + TimeDelta::seconds(300);
    let text = signed_at(ahead, &json!({"type": "control.stop", "to": "jochi"}), &self::key());
    k.messages().accept(&text).await.unwrap();
    let got = jochis(&k).await.remove(0);
    k.messages().ack(&[got.receipt()]).await.unwrap().remove(0).unwrap();
    let mut codes = vec![];
    for _ in 0..66 {
        k.maintain().await.unwrap();
        codes.push(code(k.messages().accept(&text).await));
        team.seconds(10);
    }
    codes.dedup();
    assert_eq!(codes, ["sig.replayed", "sig.expired"], "never admitted again");
    assert!(
        k.messages().list(MessageFilter::default()).await.unwrap().messages.is_empty(),
        "it is forgotten"
    );
}

async fn numbers_and_texts_arrive_as_they_were_signed(team: Team) {
    let k = keeping(&team).await;
    let long = "9".repeat(400);
    let text = format!(
        r#"{{"type":"note","to":"jochi","n":1.0,"e":1e-07,"big":9007199254740993,"long":{long},"s":"a/b\u2028"}}"#
    );
    let text = legacy::sign_message(&text, &key(), team.clock.now()).unwrap();
    k.messages().accept(&text).await.unwrap();
    let got = jochis(&k).await.remove(0);
    let body = got.body.as_str();
    for part in ["\"n\":1.0,", "\"e\":1e-07", "9007199254740993", &long, "a/b\\u2028"] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert_eq!(got.message_type, "note");
}

/// Whoever writes to the database can take envelopes away, and make none.
mod tampered {
    use super::*;
    use rusqlite::{Connection, params};

    fn file(team: &Team) -> Connection {
        Connection::open(team.url.trim_start_matches("sqlite:").split('?').next().unwrap()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_bit_of_a_stored_envelope_can_be_changed() {
        let team = Team::sqlite().await;
        let k = keeping(&team).await;
        let text = delegation(&team, "t-1");
        k.messages().accept(&text).await.unwrap();
        let file = file(&team);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        let shown = async || k.messages().list(MessageFilter::default()).await.unwrap().messages.len();
        assert_eq!(shown().await, 1);
        // Of seven bits, as what is no UTF-8 is in no column.
        let mut tried = 0;
        for bit in (0..text.len() * 7).step_by(5) {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 7] ^= 1 << (bit % 7);
            let changed = String::from_utf8(bytes).unwrap();
            // \u00fc and \u00FC are one letter.
            let says_the_same = read(&changed) == read(&text);
            file.execute("update message set token = ?1", params![changed]).unwrap();
            assert_eq!(shown().await, usize::from(says_the_same), "bit {bit}");
            tried += 1;
        }
        assert!(tried > 400);
        file.execute("update message set token = ?1", params![text]).unwrap();
        assert_eq!(shown().await, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_beside_an_envelope_is_not_believed() {
        for (change, expected) in [
            ("update message set payload = '1'", ""),
            ("update message set type = 'payment'", "sig.malformed"),
            ("update message set task_id = 'x'", "sig.malformed"),
            ("update message set reply_to = 'x'", "sig.malformed"),
            ("update message set from_agent = 'jochi'", "key.unknown"),
            ("update message set key_id = 'other'", "key.unknown"),
            ("update message set to_agent = 'kublai'", "sig.wrong_audience"),
            ("update message set id = '019ca000-0000-7000-8000-000000000000'", "sig.malformed"),
            ("update agent_key set algorithm = 'EdDSA'", "sig.algorithm"),
            ("update agent_key set secret = null", "key.unwrap"),
            (
                "update agent_key set secret = (select secret from agent_key where key_id = 'jochi-1') where key_id <> 'jochi-1'",
                "key.unwrap",
            ),
            ("update agent_key set expires_at = 0", "key.expired"),
        ] {
            let team = Team::sqlite().await;
            let k = keeping(&team).await;
            let row = json!([{"agent_id": "Jochi", "key_id": "jochi-1", "secret_key": SECRET}]);
            k.keys().import_rows(rows(row)).await.unwrap();
            k.messages().accept(delegation(&team, "t-1")).await.unwrap();
            file(&team).execute_batch(change).unwrap();
            let of = |agent: &str| Inbox { agent: Some(agent.into()), ..Inbox::default() };
            let mut got = k.messages().inbox(of("jochi")).await.unwrap();
            got.extend(k.messages().inbox(of("kublai")).await.unwrap());
            let told = events(&k, "message.failed").await;
            let code = told
                .first()
                .map(|event| event.payload.as_ref().unwrap().value()["code"].as_str().unwrap().to_owned());
            assert_eq!(code.unwrap_or_default(), expected, "{change}");
            assert_eq!(got.len(), usize::from(expected.is_empty()), "{change}");
            assert!(got.iter().all(|message| message.message_type == "task_delegation"
                && message.task_id.as_deref() == Some("t-1")));
        }
    }
}
