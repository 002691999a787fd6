//! The README's shell blocks run as they stand.

use std::{path::Path, process::Command};

#[test]
fn the_shell_blocks_of_the_readme_run() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```bash\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert!(!blocks.is_empty());
    let programs = Path::new(env!("CARGO_BIN_EXE_kurultai")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    for block in blocks {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("set -euo pipefail\n{block}\n");
        let ran = Command::new("bash")
            .args(["-c", &script])
            .env("PATH", &path)
            .current_dir(&folder)
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{block}\n--- stdout\n{out}\n--- stderr\n{err}");
        assert!(out.contains("completed"), "the status shows the completed task:\n{out}");
    }
}
