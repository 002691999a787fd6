//! What fails in the midst of a tick: all of it is undone, and the next look does it once.

use super::{hourly, put, times};
use crate::{
    fixture::Team,
    proxy::{Fault, Proxy, Way},
};
use chrono::TimeDelta;
use kurultai_core::{
    Kind, Kurultai,
    schedules::{CatchUp, NewSchedule, Schedule},
    tasks::NewTask,
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// Two schedules of one moment, one of which has three times to catch up.
async fn due(team: &Team) -> Vec<Schedule> {
    let often = NewSchedule::new("often", NewTask::new("look")).every(HOUR / 3).catch_up(CatchUp::All);
    put(&team.k, hourly("hourly")).await;
    put(&team.k, often).await;
    team.clock.advance(HOUR);
    team.k.schedules().list().await.unwrap()
}

async fn is_done_once(k: &Kurultai, team: &Team) {
    let now = team.clock.now();
    assert_eq!(times(k, "hourly").await, [now]);
    let thirds = [now - TimeDelta::minutes(40), now - TimeDelta::minutes(20), now];
    assert_eq!(times(k, "often").await, thirds);
    let newest = k.events().last_seq().await.unwrap();
    let events = k.events().read(Default::default()).await.unwrap().events;
    assert_eq!((events.len(), newest), (4, 4), "each is told once, without a gap");
}

mod sqlite {
    use super::*;

    /// Each write of the transaction fails once: before it, and after it for the first of several rows.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_that_fails_undoes_the_others() {
        for (write, table) in [
            ("update", "schedule"),
            ("insert", "task"),
            ("insert", "task_data"),
            ("insert", "expiry"),
            ("update", "namespace"),
            ("insert", "event"),
        ] {
            for when in ["before", "after"] {
                let team = Team::sqlite().await;
                let before = due(&team).await;
                let path = team.url.strip_prefix("sqlite:").unwrap().split('?').next().unwrap();
                let file = rusqlite::Connection::open(path).unwrap();
                file.execute_batch(&format!(
                    "create trigger broken {when} {write} on {table} begin select raise(abort, 'broken'); end"
                ))
                .unwrap();
                let here = format!("{when} {write} of {table}");
                let failed = team.k.maintain().await.expect_err(&here);
                assert!(failed.to_string().contains("broken"), "{here}: {failed}");
                assert_eq!(team.k.schedules().list().await.unwrap(), before, "{here}");
                assert!(
                    times(&team.k, "often").await.is_empty() && times(&team.k, "hourly").await.is_empty()
                );
                assert_eq!(team.k.events().last_seq().await.unwrap(), 0, "{here}");
                file.execute_batch("drop trigger broken").unwrap();
                team.k.maintain().await.unwrap();
                is_done_once(&team.k, &team).await;
            }
        }
    }
}

mod neo4j {
    use super::*;

    /// Wherever the connection is cut, on the way there or back: what was sent was done whole or not at all.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_may_be_cut_at_any_byte() {
        let team = Team::neo4j().await;
        let proxy = Proxy::before(&team.url).await;
        let config = Team::config(proxy.url(), &team.namespace, &team.clock);
        let k = Kurultai::open_with(config.call_timeout(Duration::from_secs(4))).await.unwrap();
        let start = team.clock.now();
        put(&k, hourly("hourly").catch_up(CatchUp::All)).await;
        let mut due = vec![];
        for after in (0..2_400).step_by(75) {
            for way in [Way::Up, Way::Down] {
                team.clock.advance(HOUR);
                due.push(start + TimeDelta::hours(due.len() as i64 + 1));
                proxy.set(Fault::Cut(way, after));
                let looked = k.maintain().await;
                proxy.set(Fault::None);
                if let Err(error) = looked {
                    let told = error.kind();
                    assert!(
                        matches!(told, Kind::Unavailable | Kind::OutcomeUnknown),
                        "{way:?} {after}: {error:?}"
                    );
                    k.maintain().await.unwrap();
                }
                assert_eq!(times(&team.k, "hourly").await, due, "{way:?} {after}");
            }
        }
        let newest = team.k.events().last_seq().await.unwrap();
        assert!(newest >= due.len() as i64);
    }
}
