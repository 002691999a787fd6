//! G12: secrets that can be recognised, used in every way there is, and then looked for: in the log, in what is printed of
//! any type, in errors and in everything that the database has.
#![allow(clippy::unwrap_used, reason = "a test file: the helpers fail their test")]

use futures::future::join_all;
use kurultai_core::{
    Config, Error, Kurultai, ids,
    messages::{
        Algorithm, Ed25519Key, Identity, Inbox, KeyList, MessageFilter, MessageSigner, NewMessage, PublicKey,
        legacy::{self, LegacyKey},
        token::{self, Draft, Expect},
        wrap::{ExposeSecret, Owner, Wrapped, WrappingKey},
    },
};
use kurultai_tests::chaos::neo4j_url;
use std::{
    fmt::{Debug, Write as _},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Mutex, MutexGuard, Once, PoisonError},
};
use tempfile::TempDir;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// 32 bytes each.
const AGENT: &[u8; 32] = b"CANARY<agent>key*0123456789?~ABC";
const WRAPPING: &[u8; 32] = b"CANARY<wrap>key**0123456789?~DEF";
const WRAPPED: &[u8; 32] = b"CANARY<inside>it*0123456789?~GHI";
const LEGACY: &str = "CANARY<legacy>k**0123456789?~JKL";

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let letters = |three: &[u8]| {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let letter = move |place: usize| LETTERS[(bits >> (18 - 6 * place)) as usize & 63] as char;
        (0..=three.len()).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(letters).collect()
}

fn base64url(bytes: &[u8]) -> String {
    base64(bytes).replace('+', "-").replace('/', "_")
}

/// Every form of it, and of its first half, which no accident has.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    // A whole number of three bytes, so that the text is the beginning of the whole one.
    [&secret[..18], &secret[3..21]]
        .into_iter()
        .flat_map(|part| {
            let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
            let list = format!("{part:?}").trim_matches(['[', ']']).to_owned();
            let hex_list = format!("{part:x?}").trim_matches(['[', ']']).to_owned();
            let escaped = part.escape_ascii().to_string();
            let texts = [hex.to_uppercase(), hex, base64url(part), base64(part), list, hex_list, escaped];
            texts.into_iter().map(String::into_bytes).chain([part.to_vec()]).collect::<Vec<_>>()
        })
        .collect()
}

fn has(text: &[u8], form: &[u8]) -> bool {
    text.windows(form.len()).any(|part| part == form)
}

#[track_caller]
fn has_none(what: &str, text: &[u8], secrets: &[Vec<u8>]) {
    for form in secrets.iter().flat_map(|secret| forms(secret)) {
        assert!(!has(text, &form), "{what} has the secret as {}", form.escape_ascii());
    }
}

#[test]
fn what_is_looked_for_is_found() {
    for text in [
        format!("{AGENT:?}"),
        format!("{AGENT:x?}"),
        base64url(AGENT),
        base64(AGENT),
        String::from_utf8_lossy(AGENT).into_owned(),
        AGENT.iter().map(|byte| format!("{byte:02X}")).collect(),
        format!("{:?}", String::from_utf8_lossy(AGENT)),
    ] {
        let found = forms(AGENT).iter().any(|form| has(format!("x{text}y").as_bytes(), form));
        assert!(found, "{text}");
    }
    assert_eq!(base64(b"foob"), "Zm9vYg");
}

/// All that anybody says, at TRACE.
struct Log;

static SAID: Mutex<String> = Mutex::new(String::new());

fn said() -> MutexGuard<'static, String> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line(format!("\n{} {}", span.metadata().target(), span.metadata().name()));
        span.record(&mut line);
        said().push_str(&line.0);
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        said().push_str(&line.0);
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("\n{}", event.metadata().target()));
        event.record(&mut line);
        said().push_str(&line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What a program may print.
#[derive(Default)]
struct Shown(String);

impl Shown {
    fn thing(&mut self, thing: &dyn Debug) {
        write!(self.0, "{thing:?}\n{thing:#?}\n").unwrap();
    }

    fn error<T: Debug>(&mut self, code: &str, result: Result<T, Error>) {
        let error = result.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        write!(self.0, "{error}\n{error:?}\n{}\n", error.message()).unwrap();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(error) = cause {
            write!(self.0, "{error}\n{error:?}\n").unwrap();
            cause = error.source();
        }
    }
}

struct File(TempDir);

impl File {
    fn of(text: &str, mode: u32) -> Self {
        let file = File(tempfile::tempdir().unwrap());
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("key")
    }
}

/// Each wrong way to give a secret.
fn mistakes(shown: &mut Shown) {
    let secret = base64url(AGENT);
    let file = |secret: &str| {
        format!(r#"{{"agent":"kublai","key_id":"k","algorithm":"EdDSA","secret":"{secret}"}}"#)
    };
    let read = |text: &str, mode| Ed25519Key::read(File::of(text, mode).path());
    shown.error("key.permissions", read(&file(&secret), 0o644));
    for text in [
        file(&format!("{secret}=")),
        file(&secret).replace("EdDSA", &secret),
        file(&secret).replace("kublai", &format!("kublai {secret}")),
        file(&secret).replace("\"k\"", &format!("\"{}\"", secret.repeat(4))),
        file(&secret).replace("\"secret\"", &format!("\"{secret}\"")),
        format!("{{\"{secret}\":1,\"{secret}\":2}}"),
        format!("[\"{secret}\"]"),
        format!("\"{secret}\""),
        format!("{secret}{secret}"),
        secret.chars().rev().collect::<String>() + &secret,
        String::from_utf8_lossy(AGENT).into_owned(),
        AGENT.iter().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        shown.error("config.key", read(&text, 0o600));
        shown.error("config.key", Ed25519Key::from_text("kublai", &text));
        shown.error("config.key", WrappingKey::from_text(&text));
        shown.error("config.key", WrappingKey::read(File::of(&text, 0o600).path()));
        shown.error("input.invalid", PublicKey::from_text(&text));
    }
    shown.error("config.key", Ed25519Key::from_text("jochi", &file(&secret)));
    let wrapping = base64url(WRAPPING);
    shown.error("key.permissions", WrappingKey::read(File::of(&wrapping, 0o640).path()));
    shown.error("key.unwrap", Wrapped::from_text("wrap-1", &wrapping[..40]));
}

/// What needs no store.
fn pure(shown: &mut Shown) {
    let key = Ed25519Key::from_text("kublai", &base64url(AGENT)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    key.write(folder.path().join("key")).unwrap();
    shown.error("config.key", key.write(folder.path().join("key")));
    shown.thing(&key);
    shown.thing(&key.public_key());
    let draft = Draft::new("kublai", "jochi", "note", "2026-03-01T09:07:05Z".parse().unwrap());
    let text = token::sign(&draft, &key).unwrap();
    let keys = KeyList { namespace: "default".to_owned(), keys: vec![] };
    let expect = Expect { namespace: "default".to_owned(), audiences: vec![], now: draft.issued_at };
    shown.error("key.unknown", token::verify(&text, &keys, &expect));
    shown.error("input.invalid", token::sign(&Draft { sender: "No One".to_owned(), ..draft.clone() }, &key));
    shown.0.push_str(&text);
    let identity = Identity::from(key);
    shown.thing(&identity);
    shown.thing(&Config::new("memory:").unwrap().identity(identity));

    let wrapping = WrappingKey::from_text(&base64url(WRAPPING)).unwrap();
    let owner = Owner { namespace: "default", agent: "kublai", key_id: "k", algorithm: Algorithm::EdDsa };
    let wrapped = wrapping.wrap(&owner, WRAPPED).unwrap();
    let opened = wrapping.unwrap(&owner, &wrapped).unwrap();
    assert_eq!(opened.expose_secret(), WRAPPED);
    shown.thing(&opened);
    shown.thing(&wrapping);
    shown.thing(&wrapped);
    shown.error("key.unwrap", wrapping.unwrap(&Owner { agent: "jochi", ..owner }, &wrapped));
    shown.error("key.unwrap", WrappingKey::generate().unwrap().unwrap(&owner, &wrapped));

    let key = LegacyKey::new("Kublai", "kublai-001", LEGACY);
    let noon = "2026-02-09T12:00:00Z".parse().unwrap();
    let envelope = legacy::sign_message(r#"{"to":"jochi"}"#, &key, noon).unwrap();
    shown.thing(&key);
    shown.0.push_str(&envelope);
    let expect = legacy::Expect { audiences: vec![], now: noon };
    shown.thing(&legacy::verify(&envelope, &vec![key.clone()], &expect).unwrap());
    shown.error("sig.mismatch", legacy::verify(&envelope.replace("jochi", "x"), &vec![key.clone()], &expect));
    let revoked = LegacyKey { revoked: true, ..key.clone() };
    shown.error("key.revoked", legacy::verify(&envelope, &vec![revoked], &expect));
    let weak = LegacyKey::new("Kublai", "kublai-001", &LEGACY[..30]);
    shown.error("key.weak", legacy::sign_message("{}", &weak, noon));
    shown.error("input.payload", legacy::sign_message("[]", &key, noon));
}

/// A team's life with these keys. Returns the secrets of keys that were made meanwhile.
async fn team(url: &str, namespace: &str, shown: &mut Shown) -> Vec<Vec<u8>> {
    let open = async |key: Option<Ed25519Key>| {
        let config = Config::new(url).unwrap().namespace(namespace).unwrap();
        Kurultai::open_with(key.into_iter().fold(config, Config::identity)).await.unwrap()
    };
    let k = open(None).await;
    let key = || Ed25519Key::from_text("kublai", &base64url(AGENT)).unwrap();
    let kublai = open(Some(key())).await;
    shown.thing(&kublai);
    shown.thing(&kublai.messages());
    shown.thing(&kublai.keys());
    let hello = |body: &str| NewMessage::new("jochi", "note", serde_json::json!(body));
    shown.error("key.unknown", kublai.messages().send(hello("early")).await);
    let public = key().public_key().to_string();
    shown.thing(&k.keys().add("kublai", &public).await.unwrap());
    shown.error("key.conflict", k.keys().add("kublai", &public).await);
    shown.error("input.invalid", k.keys().add("kublai", &base64(AGENT)[..42]).await);
    let sent = kublai.messages().send_many(vec![hello("one"), hello("two"), hello("three")]).await.unwrap();
    shown.thing(&sent);
    let draft = Draft::new("kublai", "jochi", "note", chrono_now()).namespace(namespace);
    let text = token::sign(&draft, &key()).unwrap();
    shown.thing(&k.messages().accept(&text).await.unwrap());
    shown.error("sig.replayed", k.messages().accept(&text).await);
    shown.error("sig.malformed", k.messages().accept(&base64url(AGENT)).await);
    let stranger = Ed25519Key::from_text("ogedei", &base64url(AGENT)).unwrap();
    shown.error("key.unknown", k.messages().accept(&token::sign(&draft, &stranger).unwrap()).await);
    let got =
        k.messages().inbox(Inbox { agent: Some("jochi".into()), max: 2, ..Inbox::default() }).await.unwrap();
    shown.thing(&got);
    shown.thing(&k.messages().ack(&[got[0].receipt()]).await.unwrap());
    shown.thing(&k.messages().reject(&got[1].receipt(), "no").await.unwrap());
    // Keys that the team makes, some of them at once.
    let mut secrets = vec![];
    let folder = tempfile::tempdir().unwrap();
    let made = join_all(["kublai", "jochi", "ogedei"].map(|agent| {
        let keys = k.keys();
        async move { keys.rotate(agent).await.unwrap() }
    }));
    for key in made.await {
        shown.thing(&key);
        let path = folder.path().join(key.key_id());
        key.write(&path).unwrap();
        secrets.push(secret_of(&path));
    }
    let old = key().key_id().to_owned();
    shown.thing(&k.keys().revoke("kublai", &old, "lost").await.unwrap());
    shown.error("key.revoked", kublai.messages().send(hello("late")).await);
    shown.error("key.revoked", k.messages().accept(&text).await);
    let rest = k.messages().inbox(Inbox { agent: Some("jochi".into()), ..Inbox::default() }).await.unwrap();
    assert!(rest.is_empty(), "the key is revoked");
    shown.thing(&k.messages().list(MessageFilter::default()).await.unwrap());
    shown.thing(&k.messages().thread(&sent[0].id).await.unwrap());
    shown.thing(&k.keys().list(None).await.unwrap());
    shown.0.push_str(&serde_json::to_string(&k.keys().list(None).await.unwrap()).unwrap());
    k.maintain().await.unwrap();
    kublai.clone().close().await;
    k.close().await;
    shown.error("store.closed", kublai.messages().send(hello("closed")).await);
    secrets
}

fn secret_of(path: &Path) -> Vec<u8> {
    let file: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let text = file["secret"].as_str().unwrap().replace('-', "+").replace('_', "/");
    let place = |letter: u8| LETTERS.iter().position(|one| *one == letter).unwrap() as u32;
    let bytes = |four: &[u8]| {
        let bits = four.iter().fold(0, |bits, letter| bits << 6 | place(*letter)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    let secret = text.as_bytes().chunks(4).flat_map(bytes).collect::<Vec<_>>();
    assert_eq!((secret.len(), base64url(&secret)), (32, file["secret"].as_str().unwrap().to_owned()));
    secret
}

#[expect(clippy::disallowed_methods, reason = "the team lives by the machine's clock")]
fn chrono_now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// `stored` gives all that the database has of the team.
async fn nothing_leaks(url: &str, stored: impl AsyncFn(&str) -> Vec<u8>) {
    static LOG: Once = Once::new();
    LOG.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
    let mut shown = Shown::default();
    mistakes(&mut shown);
    pure(&mut shown);
    let namespace = format!("canary-{}", ids::new_id());
    let mut secrets = team(url, &namespace, &mut shown).await;
    secrets.extend([&AGENT[..], WRAPPING, WRAPPED, LEGACY.as_bytes()].map(<[u8]>::to_vec));
    let stored = stored(&namespace).await;
    let log = said().clone();
    // What is public is there, so the look would find a secret.
    let public = Ed25519Key::from_text("kublai", &base64url(AGENT)).unwrap();
    assert!(has(&stored, public.public_key().to_string().as_bytes()), "the public key is in the store");
    assert!(shown.0.contains(public.key_id()) && log.contains("kurultai_core"), "{} bytes of log", log.len());
    has_none("what is printed", shown.0.as_bytes(), &secrets);
    has_none("the log", log.as_bytes(), &secrets);
    has_none("the database", &stored, &secrets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_leaks_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("team.db").display());
    // Somebody has it open to the end, so that the log is still there.
    let open = Kurultai::open(&url).await.unwrap();
    let files = async |_: &str| {
        let mut all = vec![];
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(names.iter().any(|name| name.to_string_lossy().ends_with("-wal")), "{names:?}");
        names.iter().for_each(|name| all.extend(fs::read(name).unwrap()));
        all
    };
    nothing_leaks(&url, files).await;
    open.close().await;
}

mod neo4j {
    use super::*;
    use neo4rs::{BoltMap, ConfigBuilder, Graph, query};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_secret_leaks() {
        nothing_leaks(&neo4j_url(), everything).await;
    }

    /// Every property of every node and edge of the namespace.
    async fn everything(namespace: &str) -> Vec<u8> {
        let url = url::Url::parse(&neo4j_url()).unwrap();
        let address = format!("bolt://{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let config =
            ConfigBuilder::default().uri(address).user(url.username()).password(url.password().unwrap());
        let graph = Graph::connect(config.db(url.path().trim_matches('/')).build().unwrap()).unwrap();
        let all = query(
            "MATCH (n) WHERE n.namespace = $ns RETURN properties(n) AS p
             UNION ALL MATCH (n)-[r]->() WHERE n.namespace = $ns RETURN properties(r) AS p",
        );
        let mut rows = graph.execute(all.param("ns", namespace)).await.unwrap();
        let (mut text, mut count) = (String::new(), 0);
        while let Some(row) = rows.next().await.unwrap() {
            writeln!(text, "{:?}", row.get::<BoltMap>("p").unwrap()).unwrap();
            count += 1;
        }
        assert!(count > 10, "{count} nodes");
        text.into_bytes()
    }
}
