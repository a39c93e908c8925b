//! What the end-to-end tests stand on: a real server, the real gateway before it, and real clients.

mod drivers;
mod endpoint;
pub mod raw;
mod records;
mod stage;

pub use drivers::{asyncpg, jdbc, node_postgres, pgbench, psql, psycopg, run};
pub use endpoint::Endpoint;
pub use records::{commands, transcript, transcripts};
pub use stage::{DATABASE, Plan, ROLE, ROLE_PASSWORD, Stage, TARGET, program, root};
