//! Secrets that the team keeps in its store, wrapped.

use super::{bodies, hello, inbox, two};
use crate::{
    cases,
    fixture::{Team, code, graph},
};
use kurultai_core::{
    Config, Kurultai,
    messages::{AgentKey, KeyImport, KeyState, NewMessage, wrap::WrappingKey},
};
use std::sync::Arc;

cases![
    who_has_the_wrapping_key_sends_as_the_agent,
    an_own_key_ends_what_the_team_signs,
    a_rewrap_is_for_all_secrets,
    what_does_not_open_is_not_rewrapped,
    two_who_rewrap_at_once_leave_one_wrapping_key,
    a_rewrap_does_not_miss_a_key_that_is_made_meanwhile,
    given_rows_are_imported_once,
    what_is_no_key_is_skipped_and_told,
    nothing_in_the_database_is_a_secret,
];

pub(super) const SECRET: &str = "5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2";

pub(super) fn wrapping() -> Arc<WrappingKey> {
    Arc::new(WrappingKey::generate().unwrap())
}

pub(super) fn with(key: &Arc<WrappingKey>) -> impl FnOnce(Config) -> Config {
    let key = key.clone();
    |config| config.wrapping_key(key)
}

pub(super) fn rows(rows: serde_json::Value) -> KeyImport {
    KeyImport { rows: Some(rows.to_string().into()), ..KeyImport::default() }
}

fn from(sender: &str, text: &str) -> NewMessage {
    NewMessage { sender: Some(sender.into()), ..hello(text) }
}

/// What each stored secret is wrapped with.
async fn wrapped(k: &Kurultai) -> Vec<String> {
    let keys = k.keys().list(None).await.unwrap();
    keys.iter().filter_map(|key| Some(key.secret.as_ref()?.wrapping_key().to_owned())).collect()
}

async fn who_has_the_wrapping_key_sends_as_the_agent(team: Team) {
    let [_, jochi] = two(&team).await;
    team.agent("ogedei", &[]).await;
    let key = wrapping();
    let (first, second) = (team.reopen(with(&key)).await, team.reopen(with(&key)).await);
    let made = first.keys().rotate_in_store("ogedei").await.unwrap();
    assert_eq!((made.state, made.secret.unwrap().wrapping_key()), (KeyState::Active, key.id()));
    second.messages().send(from("ogedei", "one")).await.unwrap();
    team.seconds(1);
    first.keys().rotate_in_store("ogedei").await.unwrap();
    second.messages().send_many(vec![from("ogedei", "two"), from("ogedei", "three")]).await.unwrap();
    let got = inbox(&jochi).await;
    assert_eq!(bodies(&got), ["one", "two", "three"]);
    assert!(got.iter().all(|message| message.sender == "ogedei"));
    assert_ne!(got[0].verified.key_id, got[1].verified.key_id);
    assert_eq!(got[1].verified.key_id, got[2].verified.key_id);

    assert_eq!(code(second.messages().send(from("kublai", "not kept")).await), "config.identity");
    assert_eq!(code(team.k.messages().send(from("ogedei", "no key")).await), "config.identity");
    assert_eq!(code(team.k.keys().rotate_in_store("ogedei").await), "config.wrapping_key");
    let stranger = team.reopen(with(&wrapping())).await;
    assert_eq!(code(stranger.messages().send(from("ogedei", "other key")).await), "config.wrapping_key");
}

async fn an_own_key_ends_what_the_team_signs(team: Team) {
    two(&team).await;
    let k = team.reopen(with(&wrapping())).await;
    let kept = k.keys().rotate_in_store("ogedei").await.unwrap();
    k.messages().send(from("ogedei", "for it")).await.unwrap();
    team.seconds(1);
    let own = k.keys().rotate("ogedei").await.unwrap();
    assert_eq!(code(k.messages().send(from("ogedei", "for it")).await), "config.identity");
    let ogedei = team.reopen(|config| config.identity(own)).await;
    ogedei.messages().send(hello("myself")).await.unwrap();
    k.keys().rotate_in_store("jochi").await.unwrap();
    k.messages().send(from("jochi", "hi")).await.unwrap();
    for key in k.keys().list(None).await.unwrap() {
        k.keys().revoke(&key.agent_id, &key.key_id, "the host is gone").await.unwrap();
    }
    assert_eq!(code(k.messages().send(from("jochi", "hi")).await), "config.identity");
    assert!(k.keys().list(Some("ogedei")).await.unwrap().iter().any(|key| key.key_id == kept.key_id));
}

/// A team that keeps an Ed25519 secret and one of the legacy envelope.
async fn keeping(team: &Team) -> (Kurultai, Arc<WrappingKey>) {
    let key = wrapping();
    let k = team.reopen(with(&key)).await;
    k.keys().rotate_in_store("ogedei").await.unwrap();
    let row = serde_json::json!([{"agent_id": "Temüjin", "key_id": "temüjin-001", "secret_key": SECRET}]);
    assert_eq!(k.keys().import_rows(rows(row)).await.unwrap().imported.len(), 1);
    (k, key)
}

async fn a_rewrap_is_for_all_secrets(team: Team) {
    let [_, jochi] = two(&team).await;
    let (k, old) = keeping(&team).await;
    let new = wrapping();
    let both = team.reopen(|config| config.wrapping_key(old.clone()).wrapping_key(new.clone())).await;
    both.messages().send(from("ogedei", "before")).await.unwrap();
    assert_eq!(code(team.k.keys().rewrap(WrappingKey::generate().unwrap()).await), "config.wrapping_key");
    let stranger = team.reopen(with(&wrapping())).await;
    assert_eq!(code(stranger.keys().rewrap(WrappingKey::generate().unwrap()).await), "config.wrapping_key");
    assert_eq!(wrapped(&k).await, [old.id(), old.id()], "nothing was changed");

    let again = || copy(&new);
    assert_eq!(k.keys().rewrap(again()).await.unwrap(), 2);
    assert_eq!(wrapped(&k).await, [new.id(), new.id()]);
    assert_eq!(k.keys().rewrap(again()).await.unwrap(), 0, "a second time there is nothing to do");
    k.messages().send(from("ogedei", "by who did it")).await.unwrap();
    both.messages().send(from("ogedei", "by who has both")).await.unwrap();
    team.reopen(with(&new)).await.messages().send(from("ogedei", "with the new one")).await.unwrap();
    let late = team.reopen(with(&old)).await;
    assert_eq!(code(late.messages().send(from("ogedei", "with the old one")).await), "config.wrapping_key");
    assert_eq!(
        bodies(&inbox(&jochi).await),
        ["before", "by who did it", "by who has both", "with the new one"]
    );
    assert_eq!(k.keys().rotate_in_store("chagatai").await.unwrap().secret.unwrap().wrapping_key(), new.id());
}

/// The same key once more, by its file.
fn copy(key: &WrappingKey) -> WrappingKey {
    let folder = tempfile::tempdir().unwrap();
    key.write(folder.path().join("key")).unwrap();
    WrappingKey::read(folder.path().join("key")).unwrap()
}

/// Changes stored keys past the library: the same in both languages.
async fn change(team: &Team, sql: &str, cypher: &str) {
    if team.k.store_name() == "sqlite" {
        let path = team.url.trim_start_matches("sqlite:").split('?').next().unwrap().to_owned();
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
        return;
    }
    let cypher = format!("MATCH (k:AgentKey {{namespace: $ns}}) {cypher}");
    let mut rows =
        graph().execute(neo4rs::query(&cypher).param("ns", team.namespace.as_str())).await.unwrap();
    while rows.next().await.unwrap().is_some() {}
}

async fn what_does_not_open_is_not_rewrapped(team: Team) {
    let (k, old) = keeping(&team).await;
    // The secret of one key under the name of another.
    change(
        &team,
        "update agent_key set secret = (select secret from agent_key where agent_id = 'ogedei') where agent_id = 'temujin'",
        "WHERE k.agent_id = 'ogedei' MATCH (o:AgentKey {namespace: $ns, agent_id: 'temujin'}) SET o.secret = k.secret",
    )
    .await;
    assert_eq!(code(k.keys().rewrap(WrappingKey::generate().unwrap()).await), "key.unwrap");
    assert_eq!(wrapped(&k).await, [old.id(), old.id()], "nothing was changed");
    k.messages().send(from("ogedei", "still")).await.unwrap();
}

async fn two_who_rewrap_at_once_leave_one_wrapping_key(team: Team) {
    let (a, old) = keeping(&team).await;
    let mut old = old;
    for round in 0..4 {
        let b = team.reopen(with(&old)).await;
        let a = if round == 0 { a.clone() } else { team.reopen(with(&old)).await };
        let (one, other) = (wrapping(), wrapping());
        let (keys_a, keys_b) = (a.keys(), b.keys());
        let (rewrap_a, rewrap_b) = tokio::join!(keys_a.rewrap(copy(&one)), keys_b.rewrap(copy(&other)));
        let winner = match (&rewrap_a, &rewrap_b) {
            (Ok(2), Err(lost)) | (Err(lost), Ok(2)) => {
                assert!(["key.conflict", "config.wrapping_key"].contains(&lost.code()), "{lost}");
                if rewrap_a.is_ok() { one } else { other }
            }
            both => panic!("{both:?}"),
        };
        assert_eq!(wrapped(&team.k).await, [winner.id(), winner.id()]);
        team.reopen(with(&winner)).await.messages().send(from("ogedei", "it opens")).await.unwrap();
        old = winner;
    }
}

async fn a_rewrap_does_not_miss_a_key_that_is_made_meanwhile(team: Team) {
    let (k, mut old) = keeping(&team).await;
    drop(k);
    for round in 0..8 {
        let (a, b) = (team.reopen(with(&old)).await, team.reopen(with(&old)).await);
        let (new, agent) = (wrapping(), format!("agent-{round}"));
        let (keys_a, keys_b) = (a.keys(), b.keys());
        let (rewrapped, made) = tokio::join!(keys_a.rewrap(copy(&new)), keys_b.rotate_in_store(&agent));
        made.unwrap();
        let count = 3 + round;
        let wrapped = wrapped(&team.k).await;
        let moved = wrapped.iter().filter(|id| *id == new.id()).count();
        match rewrapped {
            // One that is made after it is wrapped with the key of its maker.
            Ok(all) => assert!(all as usize == moved && moved >= count - 1, "{moved} of {count}"),
            Err(error) => assert_eq!((error.code(), moved), ("key.conflict", 0)),
        }
        let both = team.reopen(|config| config.wrapping_key(old.clone()).wrapping_key(new.clone())).await;
        both.keys().rewrap(copy(&new)).await.unwrap();
        old = new;
    }
}

async fn given_rows_are_imported_once(team: Team) {
    let k = team.reopen(with(&wrapping())).await;
    team.agent("temujin", &[]).await;
    let given = serde_json::json!([
        {"agent_id": "Temüjin", "key_id": "temüjin-001", "secret_key": SECRET},
        {"agent": "Kublai", "id": "kublai-7", "key_hash": SECRET, "is_active": true, "created_at": "2026-01-05T10:00:00",
         "expires_at": "2026-04-01T00:00:00+00:00", "name": "whatever"},
        {"agent_id": "Kublai", "key_id": "kublai-8", "secret_key": SECRET, "revoked": true},
        {"agent_id": "Kublai", "key_id": "kublai-9", "secret_key": SECRET, "is_active": false},
    ]);
    let look = k.keys().import_rows(KeyImport { dry_run: true, ..rows(given.clone()) }).await.unwrap();
    assert_eq!((look.dry_run, look.imported.len(), look.skipped.len()), (true, 4, 0));
    assert!(k.keys().list(None).await.unwrap().is_empty());
    let one = KeyImport { agents: Some(vec!["TEMUJIN".into()]), ..rows(given.clone()) };
    assert_eq!(k.keys().import_rows(one).await.unwrap().imported.len(), 1);
    let rest = k.keys().import_rows(rows(given.clone())).await.unwrap();
    assert_eq!((rest.imported.len(), rest.skipped.len(), rest.skipped[0].code.as_str()), (3, 1, "key.known"));
    let again = k.keys().import_rows(rows(given)).await.unwrap();
    assert_eq!((again.imported.len(), again.skipped.len()), (0, 4));
    let keys = k.keys().list(None).await.unwrap();
    let named = |id: &str| keys.iter().find(|key| key.key_id == id).unwrap();
    assert_eq!(keys.len(), 4);
    let AgentKey { agent_id, state, expires_at, public_key, .. } = named("temüjin-001");
    assert_eq!((agent_id.as_str(), *state, *public_key), ("temujin", KeyState::Active, None));
    assert_eq!(*expires_at, team.clock.now() + chrono::TimeDelta::days(90));
    let kublai = named("kublai-7");
    assert_eq!(kublai.created_at.to_rfc3339(), "2026-01-05T10:00:00+00:00");
    assert_eq!(kublai.expires_at.to_rfc3339(), "2026-04-01T00:00:00+00:00");
    assert_eq!([named("kublai-8").state, named("kublai-9").state], [KeyState::Revoked; 2]);
    // A key of another kind is none of theirs.
    team.seconds(1);
    k.keys().rotate("temujin").await.unwrap();
    let keys = k.keys().list(Some("temujin")).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.state).collect::<Vec<_>>(), [KeyState::Active; 2]);
}

async fn what_is_no_key_is_skipped_and_told(team: Team) {
    let k = team.reopen(with(&wrapping())).await;
    let given = serde_json::json!([
        {"agent_id": "Kublai", "key_id": "good", "secret_key": SECRET},
        {"agent_id": "Kublai", "key_id": "good", "secret_key": SECRET.replace('5', "6")},
        {"agent_id": "Kublai", "key_id": "weak", "secret_key": "0123456789abcdef0123456789abcde"},
        {"agent_id": "Kublai", "key_id": "none"},
        {"agent_id": "Kublai", "key_id": "empty", "secret_key": ""},
        {"agent_id": "Kublai", "secret_key": SECRET},
        {"key_id": "nobody's", "secret_key": SECRET},
        {"agent_id": "../../etc", "key_id": "odd", "secret_key": SECRET},
        {"agent_id": "Kublai", "key_id": "when", "secret_key": SECRET, "expires_at": "soon"},
        {"agent_id": "Kublai", "key_id": "maybe", "secret_key": SECRET, "revoked": SECRET},
        {"agent_id": "Kublai", "key_id": "k".repeat(129), "secret_key": SECRET},
    ]);
    let report = k.keys().import_rows(rows(given)).await.unwrap();
    assert_eq!(report.imported.iter().map(|key| key.key_id.as_str()).collect::<Vec<_>>(), ["good"]);
    let codes: Vec<&str> = report.skipped.iter().map(|row| row.code.as_str()).collect();
    let invalid = ["input.invalid"; 8];
    assert_eq!(codes, [&["key.conflict", "key.weak"], &invalid[..]].concat());
    assert!(!format!("{report:?}").contains("c0ffee"), "{report:?}");
    for text in ["", "{}", "[1]", "[\"5ec2e7c0ffee\"]", "5ec2e7c0ffee"] {
        let import = KeyImport { rows: Some(text.into()), ..KeyImport::default() };
        let error = k.keys().import_rows(import).await.unwrap_err();
        assert!(error.code() == "input.invalid" && !error.to_string().contains("c0ffee"), "{error}");
    }
    let nobody =
        k.keys().import_rows(KeyImport { agents: Some(vec![]), ..KeyImport::default() }).await.unwrap();
    assert_eq!((nobody.imported.len(), nobody.skipped.len()), (0, 0));
    assert_eq!(code(team.k.keys().import_rows(rows(serde_json::json!([]))).await), "config.wrapping_key");
}

async fn nothing_in_the_database_is_a_secret(team: Team) {
    let (k, key) = keeping(&team).await;
    assert_eq!(k.keys().rewrap(WrappingKey::generate().unwrap()).await.unwrap(), 2);
    let folder = tempfile::tempdir().unwrap();
    key.write(folder.path().join("key")).unwrap();
    let wrapping_key = std::fs::read_to_string(folder.path().join("key")).unwrap();
    let secrets = [SECRET, wrapping_key.trim()];
    let stored = if team.k.store_name() == "sqlite" {
        let path = team.url.trim_start_matches("sqlite:").split('?').next().unwrap();
        let folder = std::path::Path::new(path).parent().unwrap();
        let files = std::fs::read_dir(folder).unwrap();
        let bytes: Vec<u8> =
            files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        let all = neo4rs::query("MATCH (n {namespace: $ns}) RETURN properties(n) AS row");
        let mut rows = graph().execute(all.param("ns", team.namespace.as_str())).await.unwrap();
        let mut text = String::new();
        while let Some(row) = rows.next().await.unwrap() {
            text += &format!("{:?}", row.get::<neo4rs::BoltType>("row").unwrap());
        }
        text
    };
    assert!(stored.contains("temüjin-001"), "the row is there");
    for secret in secrets {
        assert!(!stored.contains(secret), "{secret}");
    }
}

/// A failure in the midst of the transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_that_fails_half_way_changes_nothing() {
    let team = Team::sqlite().await;
    let (k, old) = keeping(&team).await;
    let fail = "create trigger injected before update of secret on agent_key when old.agent_id = 'temujin'
        begin select raise(abort, 'injected'); end";
    change(&team, fail, "").await;
    k.keys().rewrap(WrappingKey::generate().unwrap()).await.unwrap_err();
    assert_eq!(wrapped(&k).await, [old.id(), old.id()]);
    change(&team, "drop trigger injected", "").await;
    k.messages().send(from("ogedei", "still")).await.unwrap();
    assert_eq!(k.keys().rewrap(WrappingKey::generate().unwrap()).await.unwrap(), 2);
}

/// What an older program has in its graph.
mod in_the_graph {
    use super::*;
    use neo4rs::query;

    async fn write(cypher: &str, mark: &str) {
        let mut rows =
            graph().execute(query(cypher).param("mark", mark).param("secret", SECRET)).await.unwrap();
        while rows.next().await.unwrap().is_some() {}
    }

    /// The keys' properties, sorted.
    async fn left(mark: &str) -> Vec<String> {
        let all = query(
            "MATCH (k:AgentKey {mark: $mark}) RETURN coalesce(k.key_id, k.id) + ' ' + coalesce(k.secret_key, k.key_hash, '-') AS row",
        );
        let mut rows = graph().execute(all.param("mark", mark)).await.unwrap();
        let mut found = vec![];
        while let Some(row) = rows.next().await.unwrap() {
            found.push(row.get::<String>("row").unwrap());
        }
        found.sort();
        found
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_shape_of_a_row_is_read() {
        let team = Team::neo4j().await;
        let mark = team.namespace.trim_start_matches("t-").replace('-', "");
        let k = team.reopen(with(&wrapping())).await;
        let names = ["Ögedei", "Temüjin", "Jochi", "Möngke"].map(|name| format!("{name}{mark}"));
        team.agent(&kurultai_core::ids::fold(&names[0]), &[]).await;
        write(
            "CREATE (:AgentKey {mark: $mark, agent_id: 'Ögedei' + $mark, key_id: 'by-property', secret_key: $secret,
               created_at: datetime('2026-02-01T00:00:00Z'), expires_at: datetime('2026-05-01T00:00:00Z'), revoked: false})
             CREATE (:Agent {mark: $mark, name: 'Temüjin' + $mark})-[:HAS_KEY]->
               (:AgentKey {mark: $mark, id: 'by-edge', key_id: null, key_hash: $secret, is_active: true,
                 created_at: '2026-02-01T00:00:00'})
             CREATE (:Agent {mark: $mark, id: 'jochi-main', display_name: 'Jochi' + $mark})-[:HAS_KEY]->
               (:AgentKey {mark: $mark, id: 'off', key_hash: $secret, is_active: false, created_at: localdatetime('2026-02-01T00:00:00')})
             CREATE (:AgentKey {mark: $mark, agent_id: 'Möngke' + $mark, key_id: 'revoked', secret_key: $secret, revoked: true})
             CREATE (:AgentKey {mark: $mark, agent_id: 'Möngke' + $mark, key_id: 'weak', secret_key: 'short'})
             CREATE (:AgentKey {mark: $mark, agent_id: 'Möngke' + $mark, key_id: 'revoked', key_hash: $secret})
             CREATE (:AgentKey {mark: $mark, agent_id: 'Möngke' + $mark, key_id: 'other team', secret_key: $secret, namespace: 'another'})
             CREATE (a:Agent {mark: $mark, name: 'A'}), (b:Agent {mark: $mark, name: 'B'}),
               (k:AgentKey {mark: $mark, id: 'both' + $mark, key_hash: $secret}), (a)-[:HAS_KEY]->(k), (b)-[:HAS_KEY]->(k)",
            &mark,
        )
        .await;
        let before = left(&mark).await;
        let import = |dry_run| KeyImport { rows: None, agents: Some(names.to_vec()), dry_run };
        let look = k.keys().import_rows(import(true)).await.unwrap();
        assert_eq!((look.imported.len(), left(&mark).await), (4, before));
        let report = k.keys().import_rows(import(false)).await.unwrap();
        let mut imported: Vec<_> =
            report.imported.iter().map(|key| (key.key_id.as_str(), key.state)).collect();
        imported.sort();
        let (active, revoked) = (KeyState::Active, KeyState::Revoked);
        let expected = [("by-edge", active), ("by-property", active), ("off", revoked), ("revoked", revoked)];
        assert_eq!(imported, expected);
        let mut skipped: Vec<_> = report
            .skipped
            .iter()
            .map(|row| (row.key_id.as_deref().unwrap_or("-"), row.code.as_str()))
            .collect();
        skipped.sort();
        assert_eq!(skipped, [("revoked", "key.known"), ("weak", "key.weak")]);
        // Whose edges do not agree; others may be there as well.
        let all = k.keys().import_rows(KeyImport { dry_run: true, ..KeyImport::default() }).await.unwrap();
        let both = format!("both{mark}");
        let told = all.skipped.iter().find(|row| row.key_id.as_deref() == Some(&both)).unwrap();
        assert_eq!((told.agent_id.as_deref(), told.code.as_str()), (None, "input.invalid"));
        // By the edge's agent, and beside the older program's own things.
        let keys = k.keys().list(Some(&format!("temujin{mark}"))).await.unwrap();
        assert_eq!((keys.len(), keys[0].key_id.as_str()), (1, "by-edge"));
        let ogedei = k.keys().list(Some(&format!("ogedei{mark}"))).await.unwrap().remove(0);
        assert_eq!(ogedei.expires_at.to_rfc3339(), "2026-05-01T00:00:00+00:00");
        let left = left(&mark).await;
        let plain: Vec<&str> = left
            .iter()
            .filter(|row| !row.ends_with(" -"))
            .map(|row| row.split_once(' ').unwrap().0)
            .collect();
        assert_eq!(plain, [&both, "other", "weak"], "{left:?}");
        let again = k.keys().import_rows(import(false)).await.unwrap();
        assert_eq!((again.imported.len(), again.skipped.len()), (0, 1));
        // The agent that is registered has its key as the contract's edges say it.
        let edges = query(
            "MATCH (a:Agent {namespace: $ns})-[:HAS_KEY]->(k:AgentKey {namespace: $ns}) RETURN k.key_id AS row",
        );
        let mut rows = graph().execute(edges.param("ns", team.namespace.as_str())).await.unwrap();
        assert_eq!(rows.next().await.unwrap().unwrap().get::<String>("row").unwrap(), "by-property");
        write("MATCH (n {mark: $mark}) DETACH DELETE n", &mark).await;
    }
}
