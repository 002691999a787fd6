//! Claims whose answer is lost on its way: they get what they were given, or it goes back.

mod neo4j {
    use super::super::calls::{Line, patience};
    use crate::{
        fixture::task,
        proxy::{Fault, RESET_ANSWER, Way},
    };
    use kurultai_core::{
        Kind,
        tasks::{Claim, Status},
    };
    use serde_json::json;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_claim_that_is_cut_off_gets_what_it_was_given() {
        let line = Line::new().await;
        for after in (0..700).step_by(23) {
            for way in [Way::Up, Way::Down] {
                let id = line.team.add(task("one").max_attempts(1).payload(json!({"n": after}))).await;
                line.proxy.set(Fault::Cut(way, after));
                let claimed = line.k.tasks().claim(Claim::new("temujin").max(5)).await.unwrap();
                line.proxy.set(Fault::None);
                let got: Vec<_> =
                    claimed.iter().map(|c| (c.id.as_str(), c.attempt, c.lease.version)).collect();
                assert_eq!(got, [(id.as_str(), 1, 1)], "{way:?} {after}");
                assert_eq!(claimed[0].payload.value(), json!({"n": after}));
                line.k.tasks().complete(&claimed[0].lease, json!(1)).await.unwrap();
                let topics = line.team.topics(&id).await;
                assert_eq!(topics, ["task.enqueued", "task.claimed", "task.completed"], "{way:?} {after}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_answer_that_never_comes_is_looked_for() {
        let line = Line::new().await;
        let ids = [line.team.add(task("one")).await, line.team.add(task("two")).await];
        let tasks = line.k.tasks();
        line.proxy.set(Fault::NoAnswers(RESET_ANSWER));
        let claiming = tokio::spawn(async move { tasks.claim(Claim::new("temujin").max(2)).await });
        sleep(Duration::from_millis(500)).await;
        assert_eq!(line.team.status(&ids[0]).await, Status::InProgress, "the server got it");
        line.proxy.set(Fault::None);
        let claimed = timeout(patience(), claiming).await.unwrap().unwrap().unwrap();
        assert_eq!(claimed.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ids);
    }

    /// The clock stands still, so the lease cannot have run out.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_nobody_was_told_of_goes_back_and_is_no_attempt() {
        let line = Line::new().await;
        let id = line.team.add(task("one").max_attempts(1)).await;
        line.proxy.set(Fault::NoAnswers(RESET_ANSWER));
        let error =
            timeout(patience(), line.k.tasks().claim(Claim::new("temujin"))).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::OutcomeUnknown, "{error:?}");
        assert_eq!(line.team.status(&id).await, Status::InProgress);
        line.proxy.set(Fault::None);
        let back = async {
            while line.team.status(&id).await != Status::Pending {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(20), back).await.expect("it stays with nobody");
        assert_eq!(line.team.get(&id).await.attempts, 0);
        assert_eq!(line.team.claim_one("temujin").await.id, id);
    }
}
