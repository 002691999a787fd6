use super::*;

/// Base64url of 32 times 7.
const SECRET: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

fn file(secret: &str) -> String {
    format!(r#"{{"agent":"temujin","key_id":"temujin-001","algorithm":"EdDSA","secret":"{secret}"}}"#)
}

fn vars(pairs: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
    let owned = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    owned.collect::<Vec<(OsString, OsString)>>().into_iter()
}

fn code<T>(result: Result<T>) -> Option<&'static str> {
    result.err().map(|e| e.code())
}

#[test]
fn a_new_key_is_another_one_each_time() {
    let (one, other) = (Ed25519Key::generate("temujin").unwrap(), Ed25519Key::generate("temujin").unwrap());
    assert_ne!(one.public_key(), other.public_key());
    let digits = one.key_id().strip_prefix("temujin-").unwrap();
    assert!(digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
    assert_eq!(one.key_id(), one.public_key().key_id("temujin"));
    assert_eq!(code(Ed25519Key::generate("Temüjin")), Some("input.invalid"));
}

#[test]
fn a_key_comes_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("temujin.key");
    let key = Ed25519Key::generate("temujin").unwrap();
    key.write(&path).unwrap();
    let read = Ed25519Key::read(&path).unwrap();
    assert_eq!((read.agent(), read.key_id()), ("temujin", key.key_id()));
    assert_eq!(read.public_key(), key.public_key());
    assert_eq!(read.sign(b"x").unwrap(), key.sign(b"x").unwrap());
    // Never over another.
    let before = std::fs::read(&path).unwrap();
    let error = Ed25519Key::generate("temujin").unwrap().write(&path).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("config.key", Kind::Config));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_use_is_refused() {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("temujin.key");
    Ed25519Key::generate("temujin").unwrap().write(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    for mode in [0o640, 0o604, 0o660, 0o610, 0o602, 0o777] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = Ed25519Key::read(&path).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("key.permissions", Kind::Config));
        assert!(error.message().contains(&format!("{mode:04o}")), "{error}");
        assert!(error.message().contains("chmod 600"), "{error}");
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    Ed25519Key::read(&path).unwrap();
}

#[test]
fn what_is_no_key_file_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let wrong = [
        String::new(),
        SECRET.to_owned(),
        format!("\"{SECRET}\""),
        format!("[\"{SECRET}\"]"),
        file(SECRET).replace("EdDSA", "HMAC-SHA256"),
        file(SECRET).replace("EdDSA", SECRET),
        file(SECRET).replace("temujin\"", "Temüjin\""),
        file(SECRET).replace("temujin-001", ""),
        file(SECRET).replace("\"temujin\"", &format!("\"{SECRET}!\"")),
        file(SECRET).replace("\"agent\"", &format!("\"{SECRET}\"")),
        file(SECRET).replace('}', &format!(",\"secret\":\"{SECRET}\"}}")),
        file(SECRET).replace('}', ",\"more\":1}"),
        file(SECRET).replace('}', ""),
        file(&format!("{SECRET}=")),
        file(&SECRET[1..]),
        file(&format!("{SECRET}BwcH")),
        file(&"07".repeat(32)),
        file(SECRET).replace(&format!("\"{SECRET}\""), &SECRET.replace(|c: char| !c.is_ascii_digit(), "7")),
        format!("{}{}", file(SECRET), " ".repeat(5_000)),
    ];
    for text in wrong {
        let _ = std::fs::remove_file(&path);
        private::write(&path, text.as_bytes()).unwrap();
        let error = Ed25519Key::read(&path).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("config.key", Kind::Config), "{text}");
        let said = format!("{error} {error:?} {:?}", error.cause());
        assert!(!said.contains(&SECRET[..12]) && !said.contains("0707"), "{said}");
    }
    let error = Ed25519Key::read(folder.path().join("none")).unwrap_err();
    assert_eq!(error.code(), "config.key");
    assert!(error.cause().is_some());
    assert!(Ed25519Key::read(folder.path()).is_err());
}

#[test]
fn zeros_are_no_secret() {
    let zeros = "A".repeat(43);
    assert_eq!(code(Ed25519Key::from_text("temujin", &zeros)), Some("key.weak"));
    assert_eq!(code(Ed25519Key::from_text("temujin", &file(&zeros))), Some("key.weak"));
}

#[test]
fn a_bare_secret_has_the_id_that_follows_from_it() {
    let key = Ed25519Key::from_text("temujin", &format!("{SECRET}\n")).unwrap();
    assert_eq!(key.key_id(), key.public_key().key_id("temujin"));
    assert_eq!(Ed25519Key::from_text("temujin", &file(SECRET)).unwrap().key_id(), "temujin-001");
    assert_eq!(code(Ed25519Key::from_text("jochi", &file(SECRET))), Some("config.key"));
    let legacy = Ed25519Key::from_text("temujin", &"07".repeat(32)).unwrap_err();
    assert!(legacy.message().contains("legacy"), "{legacy}");
}

#[test]
fn the_environment_names_a_key_by_id_or_display_name() {
    for name in ["AGENT_KEY_TEMUJIN", "AGENT_KEY_TEMÜJIN", "AGENT_KEY_TEMU\u{308}JIN"] {
        let key = Ed25519Key::from_vars("temujin", vars(&[("PATH", "/bin"), (name, SECRET)])).unwrap();
        assert_eq!(key.agent(), "temujin", "{name}");
    }
    let dashed = Ed25519Key::from_vars("night-watch", vars(&[("AGENT_KEY_NIGHT_WATCH", SECRET)])).unwrap();
    assert_eq!(dashed.agent(), "night-watch");
    let json = Ed25519Key::from_vars("temujin", vars(&[("AGENT_KEY_TEMUJIN", &file(SECRET))])).unwrap();
    assert_eq!(json.key_id(), "temujin-001");

    let same = [("AGENT_KEY_TEMUJIN", SECRET), ("AGENT_KEY_TEMÜJIN", SECRET), ("AGENT_KEY_JOCHI", "x")];
    Ed25519Key::from_vars("temujin", vars(&same)).unwrap();
    let other = SECRET.replace("BwcHBwc", "CwcHBwc");
    let two = [("AGENT_KEY_TEMUJIN", SECRET), ("AGENT_KEY_TEMÜJIN", &*other)];
    let error = Ed25519Key::from_vars("temujin", vars(&two)).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("config.env", Kind::Config));
    assert!(error.message().contains("AGENT_KEY_TEMUJIN and AGENT_KEY_TEMÜJIN"), "{error}");

    let none = [("AGENT_KEY_TEMUJIN", ""), ("AGENT_KEY_TEMUJIN2", SECRET), ("AGENT_KEY_", SECRET)];
    let error = Ed25519Key::from_vars("temujin", vars(&none)).unwrap_err();
    assert_eq!(error.code(), "config.env");
    assert!(error.message().contains("set AGENT_KEY_TEMUJIN"), "{error}");
    let error = Ed25519Key::from_vars("temujin", vars(&[("AGENT_KEY_TEMUJIN", "?")])).unwrap_err();
    assert!(error.code() == "config.key" && error.message().starts_with("AGENT_KEY_TEMUJIN: "), "{error}");
}

#[test]
fn a_key_never_shows_its_secret() {
    let key = Ed25519Key::from_text("temujin", SECRET).unwrap();
    let shown = format!("{key:?} {key:#?}");
    assert!(shown.contains("temujin"));
    for secret in [SECRET, "BwcH", "7, 7", "0707"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
