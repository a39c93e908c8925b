//! PostgreSQL from Debian's packages, one throw-away cluster each.

mod answer;
mod log;
mod template;

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{copy_tree, run};
use crate::net::{Host, RANGE_CIDR, place, within};
use crate::supervisor::Supervised;
use crate::tls::{Issued, write_private};
use crate::{Authority, TestbedError};

pub use log::LoggedStatement;
pub use template::Template;

/// How the server asks who connects over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// SCRAM-SHA-256, with channel binding when TLS is on.
    #[default]
    Scram,
    /// The old md5 challenge.
    Md5,
    /// Nobody is asked.
    Trust,
    /// The password in clear.
    Password,
}

impl Auth {
    fn method(self) -> &'static str {
        match self {
            Auth::Scram => "scram-sha-256",
            Auth::Md5 => "md5",
            Auth::Trust => "trust",
            Auth::Password => "password",
        }
    }
}

/// A role that the server has from the start.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// What follows `CREATE ROLE name LOGIN PASSWORD …`, such as `SUPERUSER`; may be empty.
    pub attributes: String,
}

impl Role {
    /// An ordinary role.
    pub fn new(name: &str, password: &str) -> Role {
        Role {
            name: name.to_owned(),
            password: password.to_owned(),
            attributes: String::new(),
        }
    }
}

/// What the server should be like. The default asks for SCRAM over cleartext TCP and has no role but the
/// superuser.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How TCP clients log in. The superuser gets in by the Unix socket without a password.
    pub auth: Auth,
    /// Serve TLS for `localhost` and 127.0.0.1 with a certificate of [`Postgres::authority`].
    pub tls: bool,
    /// Refuse TCP connections without TLS.
    pub tls_only: bool,
    /// Log every statement; [`Postgres::statements`] reads them back.
    pub log_statements: bool,
    /// Keep fsync on.
    pub durable: bool,
    /// Further settings of `postgresql.conf`, value unquoted.
    pub settings: Vec<(String, String)>,
    /// Roles to make.
    pub roles: Vec<Role>,
    /// Databases to make, each owned by the first role if there is one.
    pub databases: Vec<String>,
    /// The TCP port; a free one when absent.
    pub port: Option<u16>,
    /// The host in which it runs, bound to that host's address; 127.0.0.1 of this machine when absent.
    pub host: Option<Host>,
    /// Where the directory is made, such as a RAM disk; the system's temporary directory when absent.
    pub parent: Option<PathBuf>,
}

/// A running PostgreSQL server. Dropping it ends it and removes its directory.
pub struct Postgres {
    server: Supervised,
    address: Ipv4Addr,
    port: u16,
    superuser: String,
    authority: Option<Authority>,
    bin: PathBuf,
}

/// Debian's newest PostgreSQL server programs: the directory with `initdb` and `postgres`.
pub fn find_postgres() -> Option<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            (bin.join("initdb").exists() && bin.join("postgres").exists()).then_some((version, bin))
        })
        .max()
        .map(|(_, bin)| bin)
}

impl Postgres {
    /// Starts a server from an empty cluster whose superuser is `postgres`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start.
    pub fn start(options: &Options) -> Result<Postgres, TestbedError> {
        Postgres::from_template(&Template::empty("postgres")?, options)
    }

    /// Starts a server from a copy of `template`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start.
    pub fn from_template(template: &Template, options: &Options) -> Result<Postgres, TestbedError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Postgres::launch(template, options) {
                // Another program may take the free port between the look and the use.
                Err(TestbedError::Failed { output, .. })
                    if options.port.is_none() && attempts < 5 && output.contains("Address already in use") => {}
                other => return other,
            }
        }
    }

    fn launch(template: &Template, options: &Options) -> Result<Postgres, TestbedError> {
        let bin = find_postgres().ok_or(TestbedError::NoPostgres)?;
        let dir = new_dir(options.parent.as_deref())?;
        let started = Postgres::launch_in(&dir, bin, template, options);
        if started.is_err() {
            // The supervisor removes it as well, if it came that far.
            let _ = std::fs::remove_dir_all(&dir);
        }
        started
    }

    fn launch_in(dir: &Path, bin: PathBuf, template: &Template, options: &Options) -> Result<Postgres, TestbedError> {
        let data = dir.join("data");
        copy_tree(template.data(), &data)?;
        let (address, port) = place(options.host.as_ref(), options.port)?;
        let authority = if options.tls || options.tls_only {
            Some(Authority::new()?)
        } else {
            None
        };
        if let Some(authority) = &authority {
            let issued = authority.server(&["localhost", "127.0.0.1", &address.to_string()])?;
            write_tls(&issued, authority, &data)?;
        }
        write_config(
            &data,
            dir,
            SocketAddrV4::new(address, port),
            options,
            authority.is_some(),
        )?;
        write_hba(&data, options, template.superuser())?;
        give_to_server_user(dir)?;

        let mut command = as_server_user(&bin.join("postgres"));
        command.arg("-D").arg(&data);
        let server = Supervised::start(&within(options.host.as_ref(), command), "QUIT", dir)?;
        let postgres = Postgres {
            server,
            address,
            port,
            superuser: template.superuser().to_owned(),
            authority,
            bin,
        };
        postgres.wait_until_ready()?;
        postgres.prepare(options)?;
        Ok(postgres)
    }

    fn wait_until_ready(&self) -> Result<(), TestbedError> {
        let socket = self.socket_dir().join(format!(".s.PGSQL.{}", self.port));
        self.server
            .wait_until("postgres", || Ok(answer::accepts(&socket, &self.superuser)))
    }

    fn prepare(&self, options: &Options) -> Result<(), TestbedError> {
        let mut sql = String::new();
        for role in &options.roles {
            let name = quote_name(&role.name);
            let password = quote_text(&role.password);
            sql.push_str(&format!(
                "CREATE ROLE {name} LOGIN PASSWORD {password} {};\n",
                role.attributes
            ));
        }
        for database in &options.databases {
            let name = quote_name(database);
            let owner = options
                .roles
                .first()
                .map_or("CURRENT_USER".to_owned(), |role| quote_name(&role.name));
            sql.push_str(&format!("CREATE DATABASE {name} OWNER {owner};\n"));
        }
        if sql.is_empty() {
            return Ok(());
        }
        self.script("postgres", &sql)
    }

    /// The address to which it is bound: 127.0.0.1, or that of its host (the certificate also names `localhost`).
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's name.
    pub fn superuser(&self) -> &str {
        &self.superuser
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The directory of the Unix socket, by which the superuser needs no password.
    pub fn socket_dir(&self) -> &Path {
        self.server.dir()
    }

    /// The server's log.
    pub fn log_path(&self) -> PathBuf {
        self.server.dir().join("log")
    }

    /// The server's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.server.dir().join("data")
    }

    /// The directory of the server's programs and of those that come with it, such as `pgbench`.
    pub fn bin_dir(&self) -> &Path {
        &self.bin
    }

    /// Who signed the server's certificate, when TLS is on.
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// The file with the authority's certificate (PEM), when TLS is on.
    pub fn ca_path(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(|_| self.data_dir().join("ca.crt"))
    }

    /// `psql` as the superuser, by the Unix socket; add arguments as needed.
    pub fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
        command.arg("-U").arg(&self.superuser).arg("-h").arg(self.socket_dir());
        command.args(["-p", &self.port.to_string()]);
        command
            .env_remove("PGPASSWORD")
            .env("PGOPTIONS", "")
            .env("PGAPPNAME", "testbed");
        command
    }

    /// Runs one query as the superuser and returns what psql prints: rows by line, columns by `|`.
    ///
    /// # Errors
    /// When psql is missing or the query fails.
    pub fn query(&self, database: &str, sql: &str) -> Result<String, TestbedError> {
        let output = self
            .psql(database)
            .args(["-c", sql])
            .output()
            .map_err(|source| TestbedError::Spawn {
                program: "psql".to_owned(),
                source,
            })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(TestbedError::Failed {
                program: "psql".to_owned(),
                output: said,
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Runs a script (several statements, psql's commands too) as the superuser.
    ///
    /// # Errors
    /// When psql is missing or a statement fails.
    pub fn script(&self, database: &str, text: &str) -> Result<(), TestbedError> {
        let file = tempfile::NamedTempFile::new().map_err(TestbedError::file("/tmp"))?;
        std::fs::write(file.path(), text).map_err(TestbedError::file(file.path()))?;
        run(self.psql(database).arg("-f").arg(file.path())).map(drop)
    }

    /// Every statement that the server says it began to execute, in the order of the log. Needs
    /// [`Options::log_statements`].
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn statements(&self) -> Result<Vec<LoggedStatement>, TestbedError> {
        let path = self.log_path();
        let bytes = std::fs::read(&path).map_err(TestbedError::file(path))?;
        Ok(log::statements(&String::from_utf8_lossy(&bytes)))
    }

    /// Shuts the server down cleanly and copies its cluster to `target`, which must not exist.
    pub(crate) fn freeze(self, target: &Path) -> Result<(), TestbedError> {
        let data = self.data_dir();
        run(as_server_user(&self.bin.join("pg_ctl"))
            .arg("-D")
            .arg(&data)
            .args(["-m", "fast", "-w", "stop"]))?;
        copy_tree(&data, target)
    }
}

fn new_dir(parent: Option<&Path>) -> Result<PathBuf, TestbedError> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    let dir = tempfile::Builder::new()
        .prefix("sallyport-pg-")
        .tempdir_in(&parent)
        .map_err(TestbedError::file(&parent))?;
    Ok(dir.keep())
}

pub(crate) fn free_port() -> Result<u16, TestbedError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(TestbedError::file("127.0.0.1:0"))?;
    Ok(listener.local_addr().map_err(TestbedError::file("127.0.0.1:0"))?.port())
}

fn write_tls(issued: &Issued, authority: &Authority, data: &Path) -> Result<(), TestbedError> {
    issued.write(data, "server")?;
    write_private(&data.join("ca.crt"), &authority.certificate())
}

fn write_config(data: &Path, dir: &Path, at: SocketAddrV4, options: &Options, tls: bool) -> Result<(), TestbedError> {
    let mut text = format!(
        "listen_addresses = '{}'\nport = {}\nunix_socket_directories = '{}'\n",
        at.ip(),
        at.port(),
        dir.display()
    );
    let on_off = |on: bool| if on { "on" } else { "off" };
    text.push_str(&format!(
        "fsync = {0}\nfull_page_writes = {0}\n",
        on_off(options.durable)
    ));
    text.push_str(&format!("ssl = {}\n", on_off(tls)));
    text.push_str("shared_buffers = 32MB\nlc_messages = 'C'\n");
    if options.auth == Auth::Md5 {
        text.push_str("password_encryption = 'md5'\n");
    }
    if options.log_statements {
        text.push_str("log_statement = 'all'\n");
    }
    text.push_str(&format!("log_line_prefix = '{}'\n", log::PREFIX));
    for (name, value) in &options.settings {
        text.push_str(&format!("{name} = {}\n", quote_text(value)));
    }
    let path = data.join("postgresql.conf");
    std::fs::write(&path, text).map_err(TestbedError::file(path))
}

fn write_hba(data: &Path, options: &Options, superuser: &str) -> Result<(), TestbedError> {
    let kind = if options.tls_only { "hostssl" } else { "host" };
    let method = options.auth.method();
    let peers = match options.host {
        Some(_) => RANGE_CIDR,
        None => "127.0.0.1/32",
    };
    let text = format!(
        "local all \"{superuser}\" trust\nlocal all all {method}\n\
         {kind} all all {peers} {method}\n{kind} replication all {peers} {method}\n"
    );
    let path = data.join("pg_hba.conf");
    std::fs::write(&path, text).map_err(TestbedError::file(path))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// The server refuses to run as root, so root runs it as the user that Debian's package makes.
fn as_server_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"])
        .arg(program);
    command
}

fn give_to_server_user(dir: &Path) -> Result<(), TestbedError> {
    if !is_root() {
        return Ok(());
    }
    run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(dir)).map(drop)
}

/// A name as an SQL identifier.
fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal; the rule of `postgresql.conf` is the same.
fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
