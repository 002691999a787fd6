use super::*;

const OWNER: Owner<'_> =
    Owner { namespace: "default", agent: "temujin", key_id: "temujin-001", algorithm: Algorithm::HmacSha256 };

fn code<T>(result: Result<T>) -> Option<&'static str> {
    result.err().map(|e| e.code())
}

#[test]
fn a_secret_comes_back_for_its_owner_alone() {
    let key = WrappingKey::generate().unwrap();
    for secret in [&b"k".repeat(32)[..], b"", &[0; 1000]] {
        let wrapped = key.wrap(&OWNER, secret).unwrap();
        assert_eq!(wrapped.wrapping_key(), key.id());
        assert_eq!(key.unwrap(&OWNER, &wrapped).unwrap().expose_secret(), secret);
        let stored = Wrapped::from_text(wrapped.wrapping_key(), &wrapped.text()).unwrap();
        assert_eq!(stored, wrapped);
        assert_eq!(key.unwrap(&OWNER, &stored).unwrap().expose_secret(), secret);
        for other in [
            Owner { namespace: "other", ..OWNER },
            Owner { agent: "jochi", ..OWNER },
            Owner { key_id: "temujin-002", ..OWNER },
            Owner { algorithm: Algorithm::EdDsa, ..OWNER },
            // The same letters, divided elsewhere.
            Owner { namespace: "defaultt", agent: "emujin", ..OWNER },
            Owner { agent: "temujintemujin", key_id: "-001", ..OWNER },
        ] {
            assert_eq!(code(key.unwrap(&other, &wrapped)), Some("key.unwrap"), "{other:?}");
        }
    }
}

#[test]
fn no_bit_can_be_changed() {
    let key = WrappingKey::generate().unwrap();
    let wrapped = key.wrap(&OWNER, &[7; 32]).unwrap();
    for bit in 0..wrapped.sealed.len() * 8 {
        let mut changed = wrapped.clone();
        changed.sealed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(code(key.unwrap(&OWNER, &changed)), Some("key.unwrap"), "bit {bit}");
    }
    for length in 0..wrapped.sealed.len() {
        let cut = Wrapped { sealed: wrapped.sealed[..length].to_vec(), ..wrapped.clone() };
        assert_eq!(code(key.unwrap(&OWNER, &cut)), Some("key.unwrap"), "{length} bytes");
    }
    assert_eq!(code(Wrapped::from_text(key.id(), "AAAA")), Some("key.unwrap"));
    assert_eq!(code(Wrapped::from_text(key.id(), "?")), Some("key.unwrap"));
}

#[test]
fn another_key_does_not_open_it() {
    let (key, other) = (WrappingKey::generate().unwrap(), WrappingKey::generate().unwrap());
    let wrapped = key.wrap(&OWNER, &[7; 32]).unwrap();
    let error = other.unwrap(&OWNER, &wrapped).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("key.unwrap", Kind::Denied));
    assert!(error.message().contains(key.id()) && error.message().contains(other.id()), "{error}");
    // Nor where the row says that it would.
    let claimed = Wrapped { wrapping_key: other.id().to_owned(), ..wrapped };
    assert_eq!(code(other.unwrap(&OWNER, &claimed)), Some("key.unwrap"));
}

#[test]
fn a_nonce_is_used_once() {
    let key = WrappingKey::generate().unwrap();
    let texts = (0..100).map(|_| key.wrap(&OWNER, &[7; 32]).unwrap().sealed[..NONCE].to_vec());
    assert_eq!(texts.collect::<std::collections::HashSet<_>>().len(), 100);
}

#[test]
fn a_wrapping_key_comes_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrapping.key");
    let key = WrappingKey::generate().unwrap();
    key.write(&path).unwrap();
    let read = WrappingKey::read(&path).unwrap();
    assert_eq!(read.id(), key.id());
    let wrapped = key.wrap(&OWNER, b"secret").unwrap();
    assert_eq!(read.unwrap(&OWNER, &wrapped).unwrap().expose_secret(), b"secret");
    assert_eq!(code(key.write(&path)), Some("config.key"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(code(WrappingKey::read(&path)), Some("key.permissions"));
    }
    assert_eq!(code(WrappingKey::from_text(&"A".repeat(43))), Some("key.weak"));
    assert_eq!(code(WrappingKey::from_text("AAAA")), Some("config.key"));
}

#[test]
fn the_environment_holds_a_wrapping_key() {
    let text = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    let key = WrappingKey::from_value(format!("{text}\n").into()).unwrap();
    assert_eq!(key.id(), WrappingKey::from_text(text).unwrap().id());
    let error = WrappingKey::from_value(format!("{text}=").into()).unwrap_err();
    assert_eq!(error.code(), "config.key");
    assert!(
        error.message().starts_with("KURULTAI_WRAPPING_KEY: ") && !error.message().contains("BwcH"),
        "{error}"
    );
    #[cfg(unix)]
    {
        let value = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
        assert_eq!(code(WrappingKey::from_value(value)), Some("config.env"));
    }
}

#[test]
fn the_environment_names_a_file_or_holds_the_key_but_not_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrapping.key");
    let key = WrappingKey::generate().unwrap();
    key.write(&path).unwrap();
    let text = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    let [value, file] = [Some(OsString::from(text)), Some(path.into_os_string())];
    let empty = Some(OsString::new());
    let id = |values| WrappingKey::from_vars(values).map(|key| key.map(|key| key.id().to_owned()));
    assert_eq!(id([empty.clone(), file.clone()]).unwrap().as_deref(), Some(key.id()));
    assert!(id([value.clone(), empty.clone()]).unwrap().is_some());
    assert_eq!(id([empty, None]).unwrap(), None);
    assert_eq!(code(id([value.clone(), file])), Some("config.env"));
    let error = WrappingKey::from_vars([None, value]).unwrap_err();
    assert!(error.code() == "config.key" && !error.to_string().contains("BwcH"), "{error}");
}

#[test]
fn nothing_shows_a_secret() {
    let key = WrappingKey::from_text("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc").unwrap();
    let wrapped = key.wrap(&OWNER, b"a secret of a legacy agent").unwrap();
    let opened = key.unwrap(&OWNER, &wrapped).unwrap();
    let shown = format!("{key:?} {key:#?} {wrapped:?} {wrapped:#?} {opened:?}");
    for secret in ["BwcH", "7, 7", "0707", "legacy", "97, 32", &wrapped.text()[..8]] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
