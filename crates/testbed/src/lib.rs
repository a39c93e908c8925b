//! Real servers in throw-away directories: started on a free port, ended by process id.
//!
//! A server that is started here ends when its handle is dropped, and also when the process that started
//! it is killed: a small supervisor waits for the end of a pipe that only the parent holds open, then ends
//! the server and removes its directory.

mod agent;
mod cache;
mod error;
mod gateway;
mod git;
mod net;
mod noise;
mod postgres;
mod proxy;
mod ssh;
mod supervisor;
mod tls;

pub use agent::{Agent, AgentOptions, connected, join_token};
pub use cache::cache_dir;
pub use error::TestbedError;
pub use gateway::{Api, Gateway, GatewayOptions, Killed, PASSWORD, Person, Reply};
pub use git::{GitHttp, GitOrigin, HttpOptions};
pub use net::{Host, Link, LinkQuality, Network, SKIPPED, skipped};
pub use noise::noise;
pub use postgres::{Auth, LoggedStatement, Options, Postgres, Role, Template, find_postgres};
pub use proxy::{Proxy, ProxyOptions};
pub use ssh::{Account, Audit, KeyKind, Ran, SshAuthority, SshConfig, SshKey, Sshd, SshdOptions, What};
pub use supervisor::Supervised;
pub use tls::{Authority, Issued};
