//! Who said what: signed messages between agents, and their keys.

pub mod legacy;
