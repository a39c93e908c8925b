//! The machine against a server that behaves as PostgreSQL does, with the gate played by the tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::redundant_closure,
    reason = "tests"
)]

mod fresh;
mod names;
mod order;
mod oversize;
mod play;
mod recorded;
mod replication;
mod server;
mod values;
mod waiting;
