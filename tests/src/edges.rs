//! Who claimed and who completed a task, as edges for people who look at the graph.

mod neo4j {
    use crate::fixture::{Team, graph, steady, task};
    use kurultai_core::tasks::{Expiry, Failure};
    use neo4rs::query;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    /// Type, agent, task's title, claim id and time, by time.
    type Edge = (String, String, String, Option<String>, String);

    async fn edges(team: &Team) -> Vec<Edge> {
        let text =
            "MATCH (a:Agent)-[e:CLAIMED|COMPLETED]->(t:Task) WHERE t.namespace = $ns AND a.namespace = $ns
            RETURN type(e) AS type, a.id AS agent, t.title AS title, e.claim_id AS claim, toString(e.at) AS at
            ORDER BY at, type";
        let mut rows = graph().execute(query(text).param("ns", team.namespace.as_str())).await.unwrap();
        let mut edges = Vec::new();
        while let Some(row) = rows.next().await.unwrap() {
            let text = |name| row.get::<String>(name).unwrap();
            edges.push((text("type"), text("agent"), text("title"), row.get("claim").unwrap(), text("at")));
        }
        edges
    }

    #[tokio::test]
    async fn maintenance_draws_who_claimed_and_who_completed() {
        let team = Team::neo4j().await;
        team.agent("temujin", &[]).await;
        team.agent("jochi", &[]).await;
        team.add(task("one").retry(steady()).expiry(Expiry::Never)).await;
        let failed = team.claim_one("temujin").await;
        team.k.tasks().fail(&failed.lease, Failure::new("no network")).await.unwrap();
        team.seconds(61);
        let done = team.claim_one("jochi").await;
        team.complete(&done).await;
        team.seconds(1);
        team.add(task("two")).await;
        team.claim_one("jochi").await;
        team.k.agents().deregister("jochi", true).await.unwrap();
        team.agent("jochi", &[]).await;
        assert!(edges(&team).await.is_empty(), "nothing on the way of a claim");

        for _ in 0..2 {
            team.k.maintain().await.unwrap();
            let drawn = edges(&team).await;
            let short: Vec<_> =
                drawn.iter().map(|(kind, agent, title, ..)| format!("{agent} {kind} {title}")).collect();
            let expected =
                ["temujin CLAIMED one", "jochi CLAIMED one", "jochi COMPLETED one", "jochi CLAIMED two"];
            assert_eq!(short, expected);
            let claims: Vec<_> = drawn.iter().map(|edge| edge.3.as_deref()).collect();
            assert_eq!(
                claims[..2],
                [None, Some(done.lease.claim_id.as_str())],
                "the task knows its last claim only"
            );
            assert_eq!(drawn[1].4, drawn[2].4, "claimed and completed at one moment");
        }
        team.k.agents().deregister("jochi", true).await.unwrap();
        assert_eq!(edges(&team).await.len(), 1, "an agent that goes takes its edges along");
    }

    #[tokio::test]
    async fn the_background_draws_them_by_itself() {
        let team = Team::neo4j().await;
        team.agent("temujin", &[]).await;
        team.add(task("one")).await;
        team.claim_one("temujin").await;
        let _working = team.reopen(|config| config.background(true)).await;
        let drawn = async {
            while edges(&team).await.is_empty() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(60), drawn).await.unwrap();
    }
}
