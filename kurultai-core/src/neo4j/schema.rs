//! The schema, brought up to date by whoever opens the database first.

use super::{Neo4jStore, statement::Statement, verdict::SCHEMA};
use crate::error::{Error, Kind, Result};
use kurultai_migrations::{NEO4J, Step};
use std::time::Duration;
use tokio::time::sleep;

/// The steps may look at every task of a large database.
const LONGEST: Duration = Duration::from_secs(1_800);
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

const STEPS: Statement =
    Statement::plain("CYPHER 5 OPTIONAL MATCH (s:KurultaiSchema) RETURN [collect(s.version)] AS row");
/// Of each step one, as processes without the constraint that follows may have written several.
const ONE_EACH: Statement = Statement::plain(
    "CYPHER 5 MATCH (s:KurultaiSchema) WITH s.version AS version, collect(s) AS all
UNWIND all[1..] AS more DETACH DELETE more RETURN [] AS row",
);
const ONCE: &str =
    "CREATE CONSTRAINT kurultai_schema IF NOT EXISTS FOR (s:KurultaiSchema) REQUIRE s.version IS UNIQUE";
const STEP_DONE: Statement = Statement::plain(
    "CYPHER 5 MERGE (s:KurultaiSchema {version: $version})
ON CREATE SET s.name = $name, s.applied_at = datetime.realtime() RETURN [] AS row",
);
/// As the end of our own statements names what an index is on, without brackets.
const RANGE_INDEXES: Statement = Statement::plain(
    "CYPHER 5 SHOW INDEXES YIELD name, type, labelsOrTypes, properties, owningConstraint
WHERE type = 'RANGE' AND owningConstraint IS NULL
RETURN [name, 'FOR ' + toLower(left(labelsOrTypes[0], 1)) + ':' + labelsOrTypes[0] + ' REQUIRE '
  + reduce(all = '', p IN properties | all + CASE all WHEN '' THEN '' ELSE ', ' END
  + toLower(left(labelsOrTypes[0], 1)) + '.' + p) + ' IS UNIQUE'] AS row",
);

/// Those that answer queries; a constraint has an index of its own name.
const READY: Statement =
    Statement::plain("CYPHER 5 SHOW INDEXES YIELD name, state WHERE state = 'ONLINE' RETURN [name] AS row");

impl Neo4jStore {
    /// What a step has made and is not there, or not ready.
    pub(super) async fn missing(&self) -> Result<Vec<String>> {
        let mut ready = vec![];
        for mut row in self.exec(self.query(READY)).await? {
            ready.push(row.next::<String>()?);
        }
        let mut names: Vec<&str> = vec!["kurultai_schema"];
        for (_, _, statements) in NEO4J {
            let made = statements.lines().filter(|line| line.starts_with("CREATE "));
            names.extend(made.filter_map(|line| line.split_whitespace().nth(2)));
        }
        Ok(names.into_iter().filter(|name| !ready.iter().any(|r| r == name)).map(str::to_owned).collect())
    }

    pub(super) async fn migrate(&self, allowed: bool) -> Result<()> {
        let newest = NEO4J.last().map_or(0, |(version, ..)| *version);
        let all: Vec<u32> = self.one(self.query(STEPS)).await?.next()?;
        let done = all.iter().copied().max().unwrap_or(0);
        let lacks: Vec<&Step> = NEO4J.iter().filter(|(version, ..)| !all.contains(version)).collect();
        let refuse = |code, what: &str| {
            let message =
                format!("the schema of {} is {what}: step {done}, this program knows {newest}", self.server);
            Err(Error::new(Kind::Storage, code, message))
        };
        if done > newest {
            return refuse("store.schema_newer", "newer than this program");
        }
        if lacks.is_empty() {
            return Ok(());
        }
        if !allowed {
            return refuse("store.schema_older", "older than this program");
        }
        self.within(LONGEST, self.take(lacks)).await
    }

    async fn take(&self, steps: Vec<&Step>) -> Result<()> {
        self.exec(self.query(ONE_EACH)).await?;
        self.define(ONCE).await?;
        for (version, name, statements) in steps {
            for statement in statements.split(";\n").filter(|s| !s.trim().is_empty()) {
                self.define(statement.trim().trim_end_matches(';')).await?;
            }
            let done = self.query(STEP_DONE).param("version", i64::from(*version)).param("name", *name);
            self.exec(done).await?;
        }
        Ok(())
    }

    /// `IF NOT EXISTS` and `IF EXISTS` fail where another process does the same at this moment, and then succeed. An
    /// index in the way of a constraint stays.
    async fn define(&self, statement: &'static str) -> Result<()> {
        let mut tries = 0;
        let error = loop {
            tries += 1;
            match self.exec(self.query(Statement::plain(statement))).await {
                Err(error) if error.code() == SCHEMA && tries < TRIES => sleep(PAUSE * tries).await,
                Err(error) if error.code() == SCHEMA => break error,
                done => return done.map(drop),
            }
        };
        let mut drops = String::new();
        for mut row in self.exec(self.query(RANGE_INDEXES)).await? {
            let (name, on): (String, String) = (row.next()?, row.next()?);
            if statement.replace(['(', ')'], "").contains(&on) {
                drops = format!(" It does the same and more, so let go of the index: DROP INDEX `{name}`");
            }
        }
        Err(Error::new(Kind::Storage, SCHEMA, format!("{}{drops}", error.message())))
    }
}
