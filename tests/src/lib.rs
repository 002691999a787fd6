//! Cases that every store must pass.
