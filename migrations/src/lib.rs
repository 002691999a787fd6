//! The schema, step by step. A released step is never edited; a number means the same on both stores, and a store that
//! has nothing to do for it leaves it out.

/// One step: its number, its name and the statements, separated by `;` at a line's end.
pub type Step = (u32, &'static str, &'static str);

pub const SQLITE: &[Step] = &[
    (1, "tasks", include_str!("../sqlite/0001_tasks.sql")),
    (2, "messages", include_str!("../sqlite/0002_messages.sql")),
    (3, "roles", include_str!("../sqlite/0003_roles.sql")),
    (4, "schedules", include_str!("../sqlite/0004_schedules.sql")),
    (5, "alerts", include_str!("../sqlite/0005_alerts.sql")),
    (6, "subscriptions", include_str!("../sqlite/0006_subscriptions.sql")),
];

pub const NEO4J: &[Step] = &[
    (1, "tasks", include_str!("../neo4j/0001_tasks.cypher")),
    (2, "messages", include_str!("../neo4j/0002_messages.cypher")),
    (3, "roles", include_str!("../neo4j/0003_roles.cypher")),
    (4, "schedules", include_str!("../neo4j/0004_schedules.cypher")),
    (5, "alerts", include_str!("../neo4j/0005_alerts.cypher")),
    (6, "subscriptions", include_str!("../neo4j/0006_subscriptions.cypher")),
];
