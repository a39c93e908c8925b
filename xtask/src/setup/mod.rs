//! `cargo xtask setup`: what the demo, the tests and CI need beside Rust.
//!
//! Everything that is not a Debian package goes into the cache outside the checkout
//! ([`sallyport_testbed::cache_dir`]), with pinned versions. A layer that is there is neither fetched nor
//! asked for again, so that the second run needs no network.

mod apt;
mod java;
mod node;
mod python;
mod regress;
mod shell_root;
mod stamp;
mod tools;

use anyhow::{Context, Result};

pub(crate) use regress::regress;
pub(crate) use shell_root::shell_root;
pub(crate) use tools::{deny, nextest};

/// One thing that may have to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// libclang, with which the bindings to PostgreSQL's parser are made when Sallyport is built.
    Clang,
    /// A C++ compiler, with which the fuzzer itself is built.
    Cxx,
    /// The PostgreSQL server, psql, pgbench and pg_dump.
    Postgres,
    /// PgBouncer, against which the benchmark compares.
    PgBouncer,
    /// cargo-nextest.
    Nextest,
    /// cargo-deny.
    Deny,
    /// oidc-provider and node-postgres.
    Node,
    /// psycopg and asyncpg in a virtual environment.
    Python,
    /// The JDBC driver.
    Java,
    /// OpenSSH's server and clients.
    OpenSsh,
    /// The same with rsync, git, expect and the like.
    Ssh,
    /// paramiko, asyncssh, Ansible and pexpect in a virtual environment.
    PythonSsh,
    /// A WebSocket library of Python in a virtual environment.
    PythonWebSocket,
    /// What makes hosts of network namespaces, and tinyproxy.
    Network,
    /// moto in a virtual environment.
    PythonAws,
    /// rvault, a server with Vault's API.
    Vault,
}

/// What `cargo xtask demo` needs.
pub(crate) const FOR_DEMO: &[Layer] = &[Layer::Clang, Layer::Postgres, Layer::OpenSsh];
/// What `cargo xtask test` needs.
pub(crate) const FOR_TESTS: &[Layer] = &[
    Layer::Clang,
    Layer::Postgres,
    Layer::Nextest,
    Layer::Node,
    Layer::Python,
    Layer::Java,
    Layer::Ssh,
    Layer::PythonSsh,
    Layer::PythonWebSocket,
    Layer::Network,
    Layer::PythonAws,
    Layer::Vault,
];
/// What `cargo xtask ci` needs.
pub(crate) const FOR_CI: &[Layer] = &[
    Layer::Clang,
    Layer::Cxx,
    Layer::Postgres,
    Layer::Nextest,
    Layer::Node,
    Layer::Python,
    Layer::Java,
    Layer::Ssh,
    Layer::PythonSsh,
    Layer::PythonWebSocket,
    Layer::Network,
    Layer::PythonAws,
    Layer::Vault,
    Layer::Deny,
];
/// What `cargo xtask fuzz` needs.
pub(crate) const FOR_FUZZING: &[Layer] = &[Layer::Clang, Layer::Cxx];
/// What `cargo xtask bench postgres` needs.
pub(crate) const FOR_BENCH: &[Layer] = &[Layer::Clang, Layer::Postgres, Layer::PgBouncer];

/// Installs the layers that are missing.
pub(crate) fn run(layers: &[Layer]) -> Result<()> {
    for &layer in layers {
        ensure(layer).with_context(|| format!("setting up {}", name(layer)))?;
    }
    Ok(())
}

fn ensure(layer: Layer) -> Result<()> {
    match layer {
        Layer::Clang => apt::clang(),
        Layer::Cxx => apt::program("c++", "--version", &["g++"]),
        Layer::Postgres => apt::postgres(),
        Layer::PgBouncer => apt::program("/usr/sbin/pgbouncer", "--version", &["pgbouncer"]),
        Layer::Nextest => tools::ensure_nextest(),
        Layer::Deny => tools::ensure_deny(),
        Layer::Node => node::ensure(),
        Layer::Python => python::drivers(),
        Layer::Java => java::ensure(),
        Layer::OpenSsh => apt::openssh(),
        Layer::Ssh => apt::ssh(),
        Layer::PythonSsh => python::ssh(),
        Layer::PythonWebSocket => python::websocket(),
        Layer::Network => apt::network(),
        Layer::PythonAws => python::aws(),
        Layer::Vault => {
            tools::try_rvault();
            Ok(())
        }
    }
}

fn name(layer: Layer) -> &'static str {
    match layer {
        Layer::Clang => "libclang",
        Layer::Cxx => "a C++ compiler",
        Layer::Postgres => "PostgreSQL",
        Layer::PgBouncer => "PgBouncer",
        Layer::Nextest => "cargo-nextest",
        Layer::Deny => "cargo-deny",
        Layer::Node => "the Node.js packages",
        Layer::Python => "the Python packages",
        Layer::Java => "the JDBC driver",
        Layer::OpenSsh => "OpenSSH",
        Layer::Ssh => "OpenSSH and what runs over it",
        Layer::PythonSsh => "the SSH clients of Python",
        Layer::PythonWebSocket => "the WebSocket library of Python",
        Layer::Network => "network namespaces",
        Layer::PythonAws => "moto",
        Layer::Vault => "rvault",
    }
}
