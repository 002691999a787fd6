//! `kurultai migrate --adopt` as its users run it.

mod shell;

use serde_json::Value;
use shell::Shell;

#[test]
fn its_options_need_it() {
    let shell = Shell::new();
    for args in [&["migrate", "--dry-run"][..], &["migrate", "--yes"], &["migrate", "--type", "x"]] {
        assert_eq!(shell.error(args), (2, "input.usage".to_owned()), "{args:?}");
    }
    assert_eq!(shell.error(&["migrate", "--adopt", "--dry-run", "--yes"]).1, "input.usage");
    assert!(shell.out(&["migrate", "--adopt"]).contains("0 tasks and 0 agents would be taken over"));
    assert_eq!(shell.json(&["migrate", "--adopt", "--yes"])["adopted"]["tasks"], 0);
    assert_eq!(shell.json(&["migrate"])["adopted"], Value::Null);
}

mod neo4j {
    use super::*;
    use std::process::{Command, Stdio};

    fn url() -> String {
        std::env::var("KURULTAI_TEST_NEO4J").expect("set KURULTAI_TEST_NEO4J, or run `cargo xtask test`")
    }

    /// Writes a graph as another program would.
    fn write(cypher: &str) {
        let url = url::Url::parse(&url()).expect("a URL");
        let address = format!("bolt://{}", &url[url::Position::BeforeHost..url::Position::AfterPort]);
        let config = neo4rs::ConfigBuilder::default().uri(address).db(url.path().trim_matches('/'));
        let config = config.user(url.username()).password(url.password().unwrap_or_default()).build();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let graph = neo4rs::Graph::connect(config.expect("a configuration")).expect("a server");
            let mut rows = graph.execute(neo4rs::query(cypher)).await.expect("an answer");
            while rows.next().await.expect("a row").is_some() {}
        });
    }

    /// Without a terminal: prints, changes nothing, says what to do.
    #[test]
    fn it_shows_first_and_asks() {
        let shell = Shell::new();
        let namespace = format!("cli-{}", std::process::id());
        write("MATCH (n:Task|Agent) WHERE n.namespace IS NULL DETACH DELETE n");
        write(
            "CREATE (:Task {id: 'a', type: 'cli', status: 'ready'}) CREATE (:Task {id: 'b', type: 'cli', status: 'Done'})
            CREATE (:Task {id: 'c', type: 'cli', status: 'escalated', title: 'a\\u001b[2J'})
            CREATE (:Task {id: 'd', type: 'other', status: 'ready'})",
        );
        let url = url();
        let args = ["--url", &url, "--namespace", &namespace, "migrate", "--adopt", "--type", "cli"];
        let with = |more: &[&'static str]| -> Vec<String> {
            args.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
        };
        let run = |more: &[&'static str]| {
            shell.command(&with(more)).stdin(Stdio::null()).output().expect("the program starts")
        };
        let shown = run(&["--dry-run"]);
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.status.success() && shown.stderr.is_empty(), "{text}");
        for line in
            ["3 tasks and 0 agents would be taken over", "1  status \"Done\" as completed: b", "escalated"]
        {
            assert!(text.contains(line), "{line}: {text}");
        }
        let unasked = run(&[]);
        let said = String::from_utf8_lossy(&unasked.stderr);
        assert_eq!(unasked.status.code(), Some(2), "{said}");
        assert!(said.contains("--yes") && said.lines().count() == 1, "{said}");
        assert_eq!(String::from_utf8(unasked.stdout).unwrap(), text, "the same list");
        let json = run(&["--json"]);
        let plan: Value = serde_json::from_slice(&json.stdout).expect("one document");
        assert_eq!((json.status.code(), &plan["adopted"]["dry_run"]), (Some(2), &true.into()));

        // At a terminal it asks, and only yes is yes.
        let at_terminal = |answer: &str| {
            let program = env!("CARGO_BIN_EXE_kurultai");
            let line = std::iter::once(program.to_owned()).chain(with(&[]));
            let line = line.map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
            let mut command = Command::new("script");
            command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().expect("script, of util-linux");
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let no = at_terminal("n\n");
        assert!(no.contains("[y/N]") && no.contains("nothing was taken over"), "{no}");
        let yes = at_terminal("y\n");
        assert!(yes.contains("3 tasks and 0 agents were taken over"), "{yes}");
        let again = run(&[]);
        assert!(again.status.success(), "nothing is left to ask about");
        write("MATCH (n:Task|Agent) WHERE n.namespace IS NULL DETACH DELETE n");
    }
}
