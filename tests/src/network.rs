//! A network that fails between a process and its Neo4j. Every call ends in time and says truly what it knows; what was
//! acknowledged is there, what is repeated happens once.

mod calls;
mod lost_claims;

mod neo4j {
    use super::calls::{Line, patience};
    use crate::{
        fixture::{Team, code, task},
        proxy::{Fault, RESET_ANSWER, Way},
    };
    use futures::future::join_all;
    use kurultai_core::{Kind, tasks::Status};
    use serde_json::json;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    /// Each of them at once, the first time over connections that were in use a moment ago.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_call_ends_in_time_and_may_be_repeated() {
        for fault in
            [Fault::Swallow, Fault::NoAnswers(0), Fault::NoAnswers(RESET_ANSWER), Fault::Stall, Fault::Reset]
        {
            let line = Line::new().await;
            let calls = line.prepare().await;
            line.proxy.set(fault);
            let answers = join_all(calls.iter().map(|call| timeout(patience(), line.run(call)))).await;
            for (call, answer) in calls.iter().zip(answers) {
                let answer = answer.unwrap_or_else(|_| panic!("{fault:?}: {call:?} hangs"));
                // A reset is repaired where a repetition is safe, but this network stays as it is.
                let error = answer.expect_err(&format!("{fault:?}: {call:?} cannot have been answered"));
                let told = error.kind();
                assert!(
                    matches!(told, Kind::Unavailable | Kind::OutcomeUnknown),
                    "{fault:?}: {call:?}: {error:?}"
                );
                assert!(!call.is_read() || told == Kind::Unavailable, "{fault:?}: {call:?}: {error:?}");
            }
            line.proxy.set(Fault::None);
            for call in &calls {
                line.run(call).await.unwrap_or_else(|error| panic!("after {fault:?}: {call:?}: {error:?}"));
            }
            line.happened_once(&calls, &format!("{fault:?}")).await;
        }
    }

    /// Those that wait for the process's turn at the namespace do not wait one after the other.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crowd_behind_a_dead_route_ends_in_time() {
        let line = Line::new().await;
        let ids = join_all((0..60).map(|i| line.team.add(task(&i.to_string())))).await;
        line.k.tasks().get(&ids[0]).await.unwrap();
        line.proxy.set(Fault::Swallow);
        let (tasks, agents) = (line.k.tasks(), line.k.agents());
        let cancels = ids.iter().map(|id| timeout(patience(), tasks.cancel(id, None)));
        let enqueues = (0..60).map(|_| timeout(patience(), tasks.enqueue(task("more"))));
        let beats = (0..20).map(|_| timeout(patience(), agents.beat("temujin")));
        let (cancels, enqueues, beats) =
            futures::join!(join_all(cancels), join_all(enqueues), join_all(beats));
        assert!(cancels.into_iter().all(|answer| answer.expect("in time").is_err()));
        assert!(enqueues.into_iter().all(|answer| answer.expect("in time").is_err()));
        assert!(beats.into_iter().all(|answer| answer.expect("in time").is_err()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_close_behind_a_dead_route_ends_in_time() {
        let line = Line::new().await;
        line.proxy.set(Fault::Swallow);
        let (tasks, closing) = (line.k.tasks(), line.k.clone());
        let waits =
            tokio::spawn(async move { join_all((0..20).map(|i| tasks.enqueue(task(&i.to_string())))).await });
        sleep(Duration::from_millis(100)).await;
        timeout(patience(), closing.close()).await.expect("a close that ends");
        assert!(timeout(patience(), waits).await.expect("in time").unwrap().iter().all(Result::is_err));
        assert_eq!(code(line.k.tasks().get("x").await), "store.closed");
    }

    /// Wherever the connection is cut, on the way there or back.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_may_be_cut_at_any_byte() {
        let line = Line::new().await;
        for after in (0..700).step_by(11) {
            for way in [Way::Up, Way::Down] {
                let new = task("one");
                line.proxy.set(Fault::Cut(way, after));
                let first = line.k.tasks().enqueue(new.clone()).await;
                line.proxy.set(Fault::None);
                if let Err(error) = &first {
                    assert!(error.retryable(), "{way:?} {after}: {error:?}");
                    line.k.tasks().enqueue(new.clone()).await.unwrap();
                }
                let held = line.team.claim_one("temujin").await;
                assert_eq!(held.id, new.id, "{way:?} {after}");
                line.proxy.set(Fault::Cut(way, after));
                let ended = line.k.tasks().complete(&held.lease, json!(after)).await;
                line.proxy.set(Fault::None);
                if let Err(error) = &ended {
                    assert!(error.retryable(), "{way:?} {after}: {error:?}");
                    line.k.tasks().complete(&held.lease, json!(after)).await.unwrap();
                }
                let topics = line.team.topics(&new.id).await;
                assert_eq!(topics, ["task.enqueued", "task.claimed", "task.completed"], "{way:?} {after}");
            }
        }
    }

    /// Sixteen of them, silent long enough to be tried first.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn connections_that_a_firewall_forgot_cost_one_short_trial() {
        let line = Line::new().await;
        let tasks = line.k.tasks();
        join_all((0..40).map(|_| tasks.get("x"))).await;
        assert!(line.proxy.connections() > 8, "{}", line.proxy.connections());
        line.proxy.forget();
        sleep(Duration::from_secs(11)).await;
        let three = async {
            for i in 0..3 {
                tasks.enqueue(task(&i.to_string())).await.unwrap();
            }
        };
        timeout(Duration::from_secs(8), three).await.expect("one short trial");
        // And with no route at all nothing was sent, so that nothing can have happened.
        join_all((0..40).map(|_| tasks.get("x"))).await;
        line.proxy.forget();
        sleep(Duration::from_secs(11)).await;
        line.proxy.set(Fault::Swallow);
        assert_eq!(code(tasks.enqueue(task("late")).await), "store.unavailable");
    }

    /// In use a moment ago, and forgotten.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_dies_between_two_calls_is_replaced() {
        let team = Team::neo4j().await;
        let line = Line::of(team, Duration::from_secs(20)).await;
        line.k.tasks().enqueue(task("one")).await.unwrap();
        line.proxy.forget();
        let id = line.k.tasks().enqueue(task("two")).await.unwrap().id;
        assert_eq!(line.team.status(&id).await, Status::Pending);
    }
}
