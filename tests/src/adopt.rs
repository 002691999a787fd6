//! What other programs wrote under the contract's names is taken over when asked for, and then works.

mod neo4j {
    use crate::fixture::{Team, graph};
    use kurultai_core::{Priority, Status};
    use neo4rs::query;
    use tokio::sync::Mutex;

    /// Adoption takes whatever belongs to nobody, so one case at a time.
    static TURN: Mutex<()> = Mutex::const_new(());

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
        let _turn = TURN.lock().await;
        let team = Team::neo4j().await;
        let graph = graph();
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

    const FAMILY: &str = "
        CREATE (:Task {id: $tag + 'parent', type: 'plan', status: 'ready'})
        CREATE (:Task {id: $tag + 'child', type: 'code', status: 'ready', parent_id: $tag + 'parent'})
        CREATE (:Task {id: $tag + 'done', type: 'code', status: 'completed', parent_id: $tag + 'parent'})
        CREATE (:Task {id: $tag + 'orphan', type: 'code', status: 'aborted', parent_id: $tag + 'nobody'})";

    #[tokio::test]
    async fn a_child_that_only_names_its_parent_holds_it_up() {
        let _turn = TURN.lock().await;
        let team = Team::neo4j().await;
        let tag = format!("{}-", team.namespace);
        graph().run(query(FAMILY).param("tag", tag.as_str())).await.unwrap();
        let [parent, child, orphan] = ["parent", "child", "orphan"].map(|name| format!("{tag}{name}"));
        team.k.tasks().adopt().await.unwrap();
        assert_eq!(team.status(&parent).await, Status::Blocked);
        assert_eq!(team.get(&child).await.parent_id, Some(parent.clone()));
        assert_eq!(team.status(&orphan).await, Status::Cancelled);
        team.agent("temujin", &[]).await;
        let claimed = team.claim_one("temujin").await;
        assert_eq!(claimed.id, child);
        team.complete(&claimed).await;
        assert_eq!(team.status(&parent).await, Status::Completed, "its last child is done");
    }

    const TWINS: &str = "
        CREATE (:Task {id: $tag + 'a', type: 'code', status: 'ready', unique_key: 'nightly'})
        CREATE (:Task {id: $tag + 'b', type: 'code', status: 'ready', unique_key: 'nightly'})
        CREATE (:Task {id: $tag + 'c', type: 'code', status: 'ready', unique_key: 'ours'})
        CREATE (:Task {id: $tag + 'd', type: 'code', status: 'ready', unique_key: 'theirs'})";

    #[tokio::test]
    async fn of_two_tasks_with_one_unique_key_one_keeps_it() {
        let _turn = TURN.lock().await;
        let team = Team::neo4j().await;
        let ours = team.add(crate::fixture::task("ours").unique_key("ours")).await;
        let tag = format!("{}-", team.namespace);
        let graph = graph();
        graph.run(query(TWINS).param("tag", tag.as_str())).await.unwrap();
        assert_eq!(team.k.tasks().adopt().await.unwrap(), 4);
        let key = async |name: &str| team.get(&format!("{tag}{name}")).await.unique_key;
        let twins = [key("a").await, key("b").await];
        assert_eq!(twins.iter().flatten().collect::<Vec<_>>(), ["nightly"]);
        assert_eq!((key("c").await, key("d").await), (None, Some("theirs".to_owned())));
        assert_eq!(team.get(&ours).await.unique_key.as_deref(), Some("ours"));
        let duplicate =
            query("MATCH (t:Task {id: $id}) RETURN t.duplicate_of AS of").param("id", format!("{tag}c"));
        let of: String =
            graph.execute(duplicate).await.unwrap().next().await.unwrap().unwrap().get("of").unwrap();
        assert_eq!(of, ours);
    }
}
