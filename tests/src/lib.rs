//! What the end-to-end tests stand on: a real server, the real gateway before it, and real clients.

mod behind;
mod bundle;
mod drivers;
mod endpoint;
pub mod raw;
mod records;
mod sqlx_driver;
mod ssh;
mod stage;
mod vault;
mod wire;

pub use behind::{AGENT, Behind, BehindPlan, Places, through_agents};
pub use bundle::{bundle, mask};
pub use drivers::{
    asyncpg, jdbc, node_postgres, pgbench, psql, psycopg, psycopg_lines, psycopg_refusal, run, slow_reader,
};
pub use endpoint::Endpoint;
pub use records::{commands, journal, transcript, transcripts};
pub use sqlx_driver::sqlx;
pub use ssh::{ACCOUNT, HOST, SshBed, SshPlan, ssh_python, ssh_script};
pub use stage::{DATABASE, Plan, ROLE, ROLE_PASSWORD, Stage, TARGET, program, root};
pub use vault::{PlayedVault, rvault};
pub use wire::{Said, Wire, copied, rows, text};
