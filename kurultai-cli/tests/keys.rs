//! `kurultai keys`: what is public is told, and a secret goes to a file alone.

mod shell;

use serde_json::{Value, json};
use shell::Shell;
use std::{fs, path::Path};

/// The secret half that a key file holds.
fn secret(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a key file");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    file["secret"].as_str().expect("a secret").to_owned()
}

#[test]
fn a_secret_goes_to_its_file_and_nowhere_else() {
    let shell = Shell::new();
    let said = shell.out(&["keys", "rotate", "temujin"]);
    let path = shell.path("temujin.key");
    let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let key_id = file["key_id"].as_str().unwrap();
    assert_eq!(said, format!("{key_id}  active, in temujin.key\n"));
    assert_eq!((&file["agent"], &file["algorithm"]), (&"temujin".into(), &"EdDSA".into()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    let next = shell.run(&["keys", "rotate", "temujin", "--out", "next.key", "--json"]);
    assert!(next.status.success(), "{next:?}");
    let shown: Value = serde_json::from_slice(&next.stdout).unwrap();
    assert_eq!((&shown["agent_id"], &shown["state"]), (&"temujin".into(), &"pending".into()));
    let secrets = [secret(&path), secret(&shell.path("next.key"))];
    let listed = shell.run(&["keys", "list", "temujin"]);
    let as_json = shell.run(&["keys", "list", "--json"]);
    for output in [&next, &listed, &as_json] {
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(secrets.iter().all(|secret| !said.contains(secret)), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(
        listed.lines().skip(1).map(|line| line.split_whitespace().count()).collect::<Vec<_>>(),
        [5, 5]
    );
    assert!(listed.contains("verify_only") && listed.contains("pending"), "{listed}");
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let shell = Shell::new();
    fs::write(shell.path("temujin.key"), "precious").unwrap();
    assert_eq!(shell.error(&["keys", "rotate", "temujin"]), (2, "input.invalid".to_owned()));
    assert_eq!(fs::read_to_string(shell.path("temujin.key")).unwrap(), "precious");
    assert_eq!(shell.json(&["keys", "list"]), json!([]), "no key that nobody has");
    assert_eq!(shell.out(&["keys", "list"]), "no key is known\n");
    let nowhere = ["keys", "rotate", "temujin", "--out", "no/such/folder/key"];
    assert_eq!(shell.error(&nowhere), (7, "config.key".to_owned()));
    assert_eq!(shell.json(&["keys", "list"]), json!([]));
}

#[test]
fn a_key_that_was_made_elsewhere_is_added_by_its_public_half() {
    let (shell, elsewhere) = (Shell::new(), Shell::new());
    let made = elsewhere.json(&["keys", "rotate", "jochi"]);
    let public = made["public_key"].as_str().unwrap();
    let added = shell.json(&["keys", "add", "jochi", public]);
    assert_eq!((&added["key_id"], &added["state"]), (&made["key_id"], &"active".into()));
    assert_eq!(shell.error(&["keys", "add", "jochi", public]), (4, "key.conflict".to_owned()));
    // Of a key file its public half alone.
    let other = elsewhere.json(&["keys", "rotate", "ogedei"]);
    let file = elsewhere.path("ogedei.key").display().to_string();
    let said = shell.out(&["keys", "add", "ogedei", &file]);
    assert_eq!(said, format!("{}  active\n", other["key_id"].as_str().unwrap()));
    let weak = "A".repeat(43);
    assert_eq!(shell.error(&["keys", "add", "temujin", &weak]), (7, "key.weak".to_owned()));
    assert_eq!(shell.error(&["keys", "add", "temujin", "no-such-file"]), (7, "config.key".to_owned()));
    assert_eq!(shell.error(&["keys", "add", "Temüjin", public]), (2, "input.invalid".to_owned()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let (code, said) = shell.complaint(&["keys", "add", "temujin", &file]);
        assert_eq!(code, 7, "{said}");
        assert!(said.contains("[key.permissions]") && said.contains("chmod 600"), "{said}");
        assert!(!said.contains(&secret(Path::new(&file))), "{said}");
    }
}

/// Whoever gives a secret where a public key belongs has a typing error, and no leak.
#[test]
fn a_secret_in_the_place_of_a_public_key_is_not_shown() {
    let shell = Shell::new();
    shell.out(&["keys", "rotate", "temujin"]);
    let secret = secret(&shell.path("temujin.key"));
    for wrong in [format!("{secret}="), format!("\"{secret}\""), format!("{{\"secret\":\"{secret}\"}}")] {
        let (code, said) = shell.complaint(&["keys", "add", "jochi", &wrong]);
        assert_eq!(code, 7, "{said}");
        assert!(!said.contains(&secret), "{said}");
    }
    let broken = shell.path("broken.key");
    fs::write(
        &broken,
        format!("{{\"agent\":\"jochi\",\"key_id\":\"k\",\"algorithm\":\"EdDSA\",\"secret\":\"{secret}=\"}}"),
    )
    .unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&broken, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let (code, said) = shell.complaint(&["keys", "add", "jochi", &broken.display().to_string()]);
    assert!(code == 7 && said.contains("[config.key]") && !said.contains(&secret), "{said}");
}

#[test]
fn a_revoked_key_counts_no_more() {
    let shell = Shell::new();
    let key = shell.json(&["keys", "rotate", "temujin"]);
    let id = key["key_id"].as_str().unwrap();
    assert_eq!(shell.error(&["keys", "revoke", "temujin", id]), (2, "input.usage".to_owned()), "no reason");
    let unknown = ["keys", "revoke", "temujin", "nothing", "--reason", "lost"];
    assert_eq!(shell.error(&unknown), (7, "key.unknown".to_owned()));
    assert_eq!(
        shell.out(&["keys", "revoke", "temujin", id, "--reason", "lost"]),
        format!("{id} is revoked\n")
    );
    let again = shell.json(&["keys", "revoke", "temujin", id, "--reason", "twice"]);
    assert_eq!((&again["state"], &again["reason"]), (&"revoked".into(), &"lost".into()));
    let send = ["messages", "send", "jochi", "note", "--key", "temujin.key"];
    assert_eq!(shell.error(&send), (7, "key.revoked".to_owned()));
    let (_, said) = shell.complaint(&send);
    assert!(said.contains("kurultai keys rotate"), "{said}");
}

#[test]
fn wrong_calls_are_refused() {
    let shell = Shell::new();
    for (args, code) in [
        (&["keys"][..], "input.usage"),
        (&["keys", "rotate"], "input.usage"),
        (&["keys", "add", "temujin"], "input.usage"),
        (&["keys", "rotate", "No Such Id", "--out", "x.key"], "input.invalid"),
        (&["keys", "list", "No Such Id"], "input.invalid"),
        (&["keys", "revoke", "temujin", "k", "--reason", ""], "input.invalid"),
    ] {
        let output = shell.run(&[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(args.len() == 1 || said.contains(code), "{args:?}: {said}");
    }
    assert!(!shell.path("x.key").exists());
}
