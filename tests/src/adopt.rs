//! What other programs wrote under the contract's names is taken over when asked for, and then works.

mod neo4j;
