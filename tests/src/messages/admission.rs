use super::{body, events, hello, identities, inbox, two};
use crate::{
    cases,
    fixture::{Team, code},
};
use kurultai_core::messages::{
    Ed25519Key, NewMessage,
    token::{self, Draft},
};
use std::time::Duration;

cases![
    a_token_is_admitted_once,
    what_is_forged_or_misdirected_is_refused,
    what_is_refused_is_counted,
    who_has_no_identity_says_nothing,
    a_handle_may_speak_for_several,
    a_token_that_was_sent_here_is_not_admitted_again,
];

fn draft(team: &Team) -> Draft {
    Draft::new("kublai", "jochi", "greeting", team.clock.now())
        .namespace(&team.namespace)
        .body(serde_json::json!("from outside"))
}

async fn a_token_is_admitted_once(team: Team) {
    let [_, jochi] = two(&team).await;
    let key = team.k.keys().rotate("kublai").await.unwrap();
    let text = token::sign(&draft(&team), &key).unwrap();
    let other = team.reopen(|config| config).await;
    let accept = |i: usize| {
        let messages = [&team.k, &other][i % 2].messages();
        let text = text.clone();
        async move { messages.accept(&text).await }
    };
    let answers = futures::future::join_all((0..50).map(accept)).await;
    let admitted = answers.iter().filter(|answer| answer.is_ok()).count();
    let replayed =
        answers.iter().filter(|answer| matches!(answer, Err(e) if e.code() == "sig.replayed")).count();
    assert_eq!((admitted, replayed), (1, 49));
    let got = inbox(&jochi).await;
    assert_eq!((got.len(), body(&got[0]).as_str(), got[0].sender.as_str()), (1, "from outside", "kublai"));
    jochi.messages().ack(&[got[0].receipt()]).await.unwrap().remove(0).unwrap();
    team.seconds(60);
    assert_eq!(code(team.k.messages().accept(&text).await), "sig.replayed");
}

async fn what_is_forged_or_misdirected_is_refused(team: Team) {
    let [_, jochi] = two(&team).await;
    let key = team.k.keys().rotate("kublai").await.unwrap();
    let mallory = Ed25519Key::generate("kublai").unwrap();
    let refuse = async |text: &str| code(team.k.messages().accept(text).await);
    let good = token::sign(&draft(&team), &key).unwrap();
    assert_eq!(refuse("").await, "sig.missing");
    assert_eq!(refuse("a.b").await, "sig.malformed");
    assert_eq!(refuse(&token::sign(&draft(&team), &mallory).unwrap()).await, "key.unknown");
    let elsewhere = token::sign(&draft(&team).namespace("elsewhere"), &key).unwrap();
    assert_eq!(refuse(&elsewhere).await, "sig.wrong_namespace");
    let mut broken = good.clone().into_bytes();
    let last = broken.len() - 8;
    broken[last] = if broken[last] == b'A' { b'B' } else { b'A' };
    assert_eq!(refuse(&String::from_utf8(broken).unwrap()).await, "sig.mismatch");
    let mut early = draft(&team);
    early.issued_at = team.clock.now() + chrono::TimeDelta::seconds(120);
    assert_eq!(refuse(&token::sign(&early, &key).unwrap()).await, "sig.from_future");
    let brief = token::sign(&draft(&team).lifetime(Duration::from_secs(10)), &key).unwrap();
    team.seconds(11);
    assert_eq!(refuse(&brief).await, "sig.expired");
    assert!(inbox(&jochi).await.is_empty());
    team.k.messages().accept(&good).await.unwrap();
    assert_eq!(inbox(&jochi).await.len(), 1);
}

async fn what_is_refused_is_counted(team: Team) {
    two(&team).await;
    let mallory = Ed25519Key::generate("kublai").unwrap();
    for _ in 0..10 {
        let forged = token::sign(&draft(&team), &mallory).unwrap();
        assert_eq!(code(team.k.messages().accept(&forged).await), "key.unknown");
    }
    assert!(events(&team.k, "alert.raised").await.is_empty());
    for _ in 0..5 {
        let forged = token::sign(&draft(&team), &mallory).unwrap();
        assert_eq!(code(team.k.messages().accept(&forged).await), "key.unknown");
    }
    let alerts = events(&team.k, "alert.raised").await;
    assert_eq!(alerts.len(), 1, "once");
    let told = alerts[0].payload.as_ref().unwrap().value();
    assert_eq!((&told["key"], &told["severity"]), (&"security.signature:kublai".into(), &"critical".into()));
    assert!(told["text"].as_str().unwrap().ends_with("key.unknown"), "{told}");
}

async fn who_has_no_identity_says_nothing(team: Team) {
    assert_eq!(code(team.k.messages().send(hello("hi")).await), "config.identity");
    assert_eq!(code(team.k.messages().unread(None).await), "config.identity");
    let stranger = team.reopen(identities([Ed25519Key::generate("kublai").unwrap()])).await;
    assert_eq!(code(stranger.messages().send(hello("hi")).await), "key.unknown");
    let other = NewMessage { sender: Some("jochi".into()), ..hello("hi") };
    assert_eq!(code(stranger.messages().send(other).await), "config.identity");
}

async fn a_handle_may_speak_for_several(team: Team) {
    let mut keys = vec![];
    for agent in ["kublai", "jochi"] {
        team.agent(agent, &[]).await;
        keys.push(team.k.keys().rotate(agent).await.unwrap());
    }
    let both = team.reopen(identities(keys)).await;
    assert_eq!(code(both.messages().send(hello("hi")).await), "config.identity");
    let sender = |sender: &str| NewMessage { sender: Some(sender.into()), ..hello(sender) };
    both.messages().send_many(vec![sender("jochi"), sender("kublai")]).await.unwrap();
    let request = kurultai_core::messages::Inbox { agent: Some("jochi".into()), ..Default::default() };
    let senders: Vec<_> =
        both.messages().inbox(request).await.unwrap().into_iter().map(|m| m.sender).collect();
    assert_eq!(senders, ["jochi", "kublai"]);
}

async fn a_token_that_was_sent_here_is_not_admitted_again(team: Team) {
    let key = team.k.keys().rotate("kublai").await.unwrap();
    let text = token::sign(&draft(&team), &key).unwrap();
    team.k.messages().accept(&text).await.unwrap();
    let other = team.reopen(|config| config).await;
    assert_eq!(code(other.messages().accept(&text).await), "sig.replayed");
}

/// Whoever writes to the database can take messages away, and make none.
mod tampered {
    use super::super::{bodies, events, hello, inbox, two};
    use crate::fixture::Team;
    use rusqlite::Connection;

    async fn after(change: &str) -> (Vec<String>, Vec<String>) {
        let team = Team::sqlite().await;
        let [kublai, jochi] = two(&team).await;
        kublai.messages().send(hello("one")).await.unwrap();
        kublai.messages().send(hello("two")).await.unwrap();
        let path = team.url.trim_start_matches("sqlite:").split('?').next().unwrap().to_owned();
        Connection::open(path).unwrap().execute_batch(change).unwrap();
        let got = inbox(&jochi).await;
        assert!(got.iter().all(|message| message.sender == "kublai"
            && message.to == "jochi"
            && message.message_type == "greeting"));
        let told = events(&team.k, "message.failed").await;
        let codes =
            told.into_iter().map(|event| event.payload.unwrap().value()["code"].as_str().unwrap().to_owned());
        (bodies(&got), codes.collect())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_changed_is_not_believed() {
        let both = || vec!["one".to_owned(), "two".to_owned()];
        // What nothing is found by is not read.
        assert_eq!(
            after("update message set payload = '\"pay\"', expires_at = expires_at - 1").await,
            (both(), vec![])
        );
        let one = vec!["two".to_owned()];
        let first = "where n = (select min(n) from message)";
        for (change, code) in [
            ("from_agent = 'jochi'", "key.unknown"),
            ("type = 'payment'", "sig.malformed"),
            ("task_id = 'x'", "sig.malformed"),
            ("reply_to = 'y'", "sig.malformed"),
            ("thread = 'z'", "sig.malformed"),
            ("token = token || 'A'", "sig.mismatch"),
            ("token = (select token from message order by n desc limit 1)", "sig.malformed"),
            ("token = ''", "sig.missing"),
        ] {
            let change = format!("update message set {change} {first}");
            assert_eq!(after(&change).await, (one.clone(), vec![code.to_owned()]), "{change}");
        }
        let other_key =
            "update agent_key set public_key = (select public_key from agent_key where agent_id = 'jochi')";
        assert_eq!(after(other_key).await, (vec![], vec!["sig.mismatch".to_owned(); 2]));
    }
}
