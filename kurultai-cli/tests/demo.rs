//! Both real plans run to their end on both stores, and the sums add up.

use serde_json::{Value, json};
use std::process::Command;

fn demo(plan: &str, url: Option<&str>) -> Value {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kurultai"));
    program.args(["demo", "--json", "--plan", plan]).env_remove("KURULTAI_URL").env_remove("NEO4J_URI");
    if let Some(url) = url {
        program.args(["--url", url]);
    }
    let ran = program.output().expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    assert_eq!(out.lines().count(), 1, "nothing but the sums: {out}");
    serde_json::from_str(&out).expect("one line of JSON")
}

fn adds_up(sums: &Value, store: &str, tasks: u64) {
    let expected = json!([store, tasks, tasks, 0, 0, 0]);
    let got = json!([
        sums["store"],
        sums["tasks"],
        sums["completed"],
        sums["completed_twice"],
        sums["lost"],
        sums["order_violations"]
    ]);
    assert_eq!(got, expected, "{sums}");
    for fault in ["retries", "takeovers", "dead_letters_replayed"] {
        assert!(sums[fault].as_u64() >= Some(1), "{fault} of {sums}");
    }
}

#[test]
fn sqlite_runs_both_plans() {
    adds_up(&demo("gap", None), "sqlite", 40);
    adds_up(&demo("coditect", None), "sqlite", 365);
}

mod neo4j {
    #[test]
    fn runs_both_plans() {
        let url =
            std::env::var("KURULTAI_TEST_NEO4J").expect("set KURULTAI_TEST_NEO4J, or run `cargo xtask test`");
        super::adds_up(&super::demo("gap", Some(&url)), "neo4j", 40);
        super::adds_up(&super::demo("coditect", Some(&url)), "neo4j", 365);
    }
}
