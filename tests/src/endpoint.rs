use std::process::Command;

/// Where a client connects, and as whom.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The host.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password, or the token.
    pub password: String,
    /// The database, or the target.
    pub database: String,
    /// Whether to ask for TLS and insist on it.
    pub tls: bool,
}

impl Endpoint {
    /// libpq's connection string without the password.
    pub fn words(&self) -> String {
        format!(
            "host={} port={} user={} dbname={} sslmode={}",
            self.host,
            self.port,
            self.user,
            self.database,
            self.sslmode()
        )
    }

    fn sslmode(&self) -> &'static str {
        if self.tls { "require" } else { "disable" }
    }

    /// libpq's connection string with the password.
    pub fn dsn(&self) -> String {
        format!("{} password={}", self.words(), self.password)
    }

    /// A program of libpq with the connection in its environment.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("PGHOST", &self.host).env("PGPORT", self.port.to_string());
        command.env("PGUSER", &self.user).env("PGPASSWORD", &self.password);
        command
            .env("PGDATABASE", &self.database)
            .env("PGSSLMODE", self.sslmode());
        command.env("LC_ALL", "C.UTF-8");
        command
    }
}
