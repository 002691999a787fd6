//! What other programs wrote under the contract's names is taken over when asked for, and then works.

mod neo4j {
    use crate::fixture::{Team, neo4j_url};
    use kurultai_core::{Priority, Status};
    use neo4rs::{ConfigBuilder, Graph, query};

    /// The nodes as an older client wrote them: no namespace, old words, ISO times, a payload of another language.
    const FOREIGN: &str = "
        CREATE (a:Task {id: $tag + 'ready', type: 'code', description: 'fix it', status: 'ready', priority: 'high',
          created_at: '2026-01-05T10:00:00', delegated_by: 'kublai', colour: 'red'})
        CREATE (b:Task {id: $tag + 'held', type: 'code', status: 'assigned', assigned_to: 'temujin', priority: 'low',
          created_at: datetime('2026-01-06T10:00:00Z'), claimed_by: 'temujin'})
        CREATE (c:Task {id: $tag + 'dead', type: 'code', status: 'failed', created_at: '2026-01-07T10:00:00+02:00'})
        CREATE (d:Task {id: $tag + 'next', type: 'code', status: 'delegated', created_at: '2026-01-08T10:00:00Z'})
        CREATE (e:Task {id: $tag + 'gone', type: 'code', status: 'aborted'})
        CREATE (d)-[:DEPENDS_ON]->(a)
        CREATE (:Agent {name: 'Temüjin', status: 'active', capabilities: ['coding'], tag: $tag})";

    #[tokio::test]
    async fn tasks_and_agents_of_older_clients_are_taken_over() {
        let team = Team::neo4j().await;
        let url = neo4j_url();
        let address = url.rsplit_once('@').unwrap().1.trim_end_matches("/neo4j");
        let config =
            ConfigBuilder::default().uri(format!("bolt://{address}")).user("neo4j").password("password");
        let graph = Graph::connect(config.db("neo4j").build().unwrap()).unwrap();
        let tag = format!("{}-", team.namespace);
        graph.run(query(FOREIGN).param("tag", tag.as_str())).await.unwrap();
        let id = |name: &str| format!("{tag}{name}");

        assert!(team.k.tasks().get_many(&[&id("ready")]).await.unwrap()[0].is_none(), "unseen before");
        assert_eq!(team.k.tasks().adopt().await.unwrap(), 6);
        assert_eq!(team.k.tasks().adopt().await.unwrap(), 0);

        let ready = team.get(&id("ready")).await;
        assert_eq!((ready.status, ready.priority), (Status::Pending, Priority::P1));
        assert_eq!(ready.created_at.to_rfc3339(), "2026-01-05T10:00:00+00:00");
        assert_eq!(team.status(&id("held")).await, Status::InProgress);
        assert_eq!(team.status(&id("dead")).await, Status::DeadLetter);
        assert_eq!(team.get(&id("dead")).await.created_at.to_rfc3339(), "2026-01-07T08:00:00+00:00");
        assert_eq!(team.status(&id("next")).await, Status::Blocked);
        assert_eq!(team.status(&id("gone")).await, Status::Cancelled);
        assert_eq!(team.k.agents().get("Temüjin").await.unwrap().id, "temujin");

        let claimed = team.claim_one("temujin").await;
        assert_eq!(claimed.id, id("ready"));
        team.complete(&claimed).await;
        assert_eq!(team.claim_one("temujin").await.id, id("next"));
        team.seconds(31);
        team.k.tasks().maintain().await.unwrap();
        assert_eq!(team.status(&id("held")).await, Status::Pending, "nobody renewed what it held");
        assert_eq!(team.k.tasks().requeue(&id("dead")).await.unwrap(), Status::Pending);
        let mut kept = graph
            .execute(query("MATCH (t:Task {id: $id}) RETURN t.colour AS colour").param("id", id("ready")))
            .await
            .unwrap();
        let colour: String = kept.next().await.unwrap().unwrap().get("colour").unwrap();
        assert_eq!(colour, "red", "what we do not know stays");
    }
}
