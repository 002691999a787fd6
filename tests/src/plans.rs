//! The hot statements find what they need through indexes, and in their order.

mod bolt;

mod neo4j {
    use super::bolt::{Bolt, NO_ROWS, NULL, ONE, text};
    use crate::fixture::{Team, neo4j_url, task};
    use serde_json::Value;

    /// Each operator's name, and whether it is a leaf. Returns whether one of them reads from an index.
    fn operators(plan: &Value, found: &mut Vec<(String, bool)>) -> bool {
        let below = plan["children"].as_array().cloned().unwrap_or_default();
        let name = plan["operatorType"].as_str().unwrap().trim_end_matches("@neo4j");
        let place = found.len();
        found.push((name.to_owned(), below.is_empty()));
        let reads = below.iter().fold(name.contains("Index"), |reads, plan| operators(plan, found) || reads);
        if name == "Sort" && !reads {
            "A sort of what is given".clone_into(&mut found[place].0);
        }
        reads
    }

    #[tokio::test]
    async fn the_hot_statements_seek_and_never_sort() {
        // Its opening makes the indexes, and the server has not sampled what is in them. Then a scan seems as cheap as a
        // seek, and a plan of that moment stays.
        let team = Team::neo4j().await;
        team.k.tasks().enqueue_many(vec![task("one of many"); 200]).await.unwrap();
        // Their types have a part in the plan.
        let numbers = ["n", "catalog", "count", "limit", "pass", "most", "looks", "unread", "term", "ttl"]
            .map(|name| (name, ONE.to_vec()));
        let lists = [
            "groups",
            "routes",
            "rows",
            "claims",
            "kinds",
            "beats",
            "ids",
            "dedupe_keys",
            "keys",
            "inboxes",
            "ticks",
            "tasks",
            "causes",
        ]
        .map(|name| (name, NO_ROWS.to_vec()));
        let words = ["made", "role", "agent"].map(|name| (name, text("")));
        let others = [("ns", text(&team.namespace)), ("now", NULL.to_vec())].into_iter().chain(words);
        let parameters: Vec<_> = others.chain(numbers).chain(lists).collect();
        let mut bolt = Bolt::connect(&neo4j_url().parse().unwrap()).unwrap();
        for (name, statement) in kurultai_core::neo4j_statements() {
            let explained = statement.replacen('\n', " EXPLAIN\n", 1);
            let mut found = Vec::new();
            operators(&bolt.plan(&explained, &parameters).unwrap(), &mut found);
            for (operator, is_leaf) in &found {
                let slow = ["Scan", "Sort", "Union"].iter().any(|word| operator.contains(word));
                // The others start from parameters.
                let seeks = operator.contains("IndexSeek")
                    || ["Argument", "Projection", "Unwind"].contains(&operator.as_str());
                assert!(!slow && (seeks || !is_leaf), "{name}: {operator} in {found:?}");
            }
            assert!(found.iter().any(|(operator, _)| operator.contains("IndexSeek")), "{name}: {found:?}");
        }
    }
}
