//! The hot statements find what they need through indexes, and in their order.

mod bolt;

mod neo4j {
    use super::bolt::Bolt;
    use crate::fixture::{Team, neo4j_url};
    use serde_json::Value;

    fn operators(plan: &Value, found: &mut Vec<(String, bool)>) {
        let below = plan["children"].as_array().cloned().unwrap_or_default();
        let name = plan["operatorType"].as_str().unwrap().trim_end_matches("@neo4j");
        found.push((name.to_owned(), below.is_empty()));
        below.iter().for_each(|plan| operators(plan, found));
    }

    #[tokio::test]
    async fn the_hot_statements_seek_and_never_sort() {
        // Its opening makes the indexes.
        let _team = Team::neo4j().await;
        let mut bolt = Bolt::connect(&neo4j_url().parse().unwrap()).unwrap();
        for (name, statement) in kurultai_core::neo4j_statements() {
            let explained = statement.replacen('\n', " EXPLAIN\n", 1);
            let mut found = Vec::new();
            operators(&bolt.plan(&explained).unwrap(), &mut found);
            for (operator, is_leaf) in &found {
                let slow = operator.contains("Scan") || operator.contains("Sort");
                let seeks = operator.contains("IndexSeek") || operator == "Argument";
                assert!(!slow && (seeks || !is_leaf), "{name}: {operator} in {found:?}");
            }
            assert!(found.iter().any(|(operator, _)| operator.contains("IndexSeek")), "{name}: {found:?}");
        }
    }
}
