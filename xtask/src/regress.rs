//! `cargo xtask regress`: PostgreSQL's own regression tests, through a gateway that permits everything and
//! without it. The two must give the same results, right or wrong.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use sallyport_testbed::{Auth, Gateway, GatewayOptions, Options, Person, Postgres};

use crate::{demo, process, setup};

/// The database, the target and both sides' user have the names that the tests print.
const DATABASE: &str = "regression";
const USER: &str = "postgres";

/// What PostgreSQL's own driver sets for the database of its tests.
const DATABASE_SETTINGS: &str = "
    CREATE DATABASE regression TEMPLATE template0;
    ALTER DATABASE regression SET lc_messages TO 'C';
    ALTER DATABASE regression SET lc_monetary TO 'C';
    ALTER DATABASE regression SET lc_numeric TO 'C';
    ALTER DATABASE regression SET lc_time TO 'C';
    ALTER DATABASE regression SET bytea_output TO 'hex';
    ALTER DATABASE regression SET timezone_abbreviations TO 'Default';";

/// How to run them.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these tests, after those that every test needs
    tests: Vec<String>,
    /// Tests at a time
    #[arg(long, default_value_t = 4)]
    jobs: u32,
    /// Use this program instead of building it
    #[arg(long)]
    program: Option<PathBuf>,
    /// Keep the two folders of results here
    #[arg(long)]
    keep: Option<PathBuf>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            tests: Vec::new(),
            jobs: 4,
            program: None,
            keep: None,
        }
    }
}

/// Where psql connects.
struct Way {
    port: u16,
    password: String,
}

/// Runs the tests both ways and compares; whether all results are the same.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    setup::run(setup::FOR_DEMO)?;
    let cached = setup::regress()?;
    let program = arguments.program.clone().map_or_else(demo::build, Ok)?;
    let work = tempfile::Builder::new().prefix("sallyport-regress-").tempdir()?;
    // The server reads and writes files there, as another user.
    let suite = work.path().join("suite");
    process::capture(Command::new("cp").arg("-r").arg(&cached).arg(&suite))?;
    process::capture(Command::new("chmod").args(["-R", "a+rwX"]).arg(work.path()))?;
    let (direct, through) = (work.path().join("direct"), work.path().join("through"));
    {
        let server = start_server()?;
        let way = Way {
            port: server.port(),
            password: String::new(),
        };
        play(arguments, &suite, &server, &way, &direct)?;
    }
    {
        let server = start_server()?;
        let gateway = start_gateway(&program, &server)?;
        let way = Way {
            port: gateway.postgres().port(),
            password: gateway.token(USER)?,
        };
        play(arguments, &suite, &server, &way, &through)?;
        if !gateway.is_running() {
            bail!("the gateway ended: {}", gateway.log_tail());
        }
    }
    let same = compare(&direct.join("results"), &through.join("results"))?;
    if let Some(keep) = &arguments.keep {
        process::capture(Command::new("cp").arg("-r").arg(work.path()).arg(keep))?;
    }
    Ok(same)
}

fn start_server() -> Result<Postgres> {
    let settings = [
        ("max_prepared_transactions", "2"),
        ("max_connections", "60"),
        ("timezone", "PST8PDT"),
    ];
    let server = Postgres::start(&Options {
        auth: Auth::Trust,
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..Options::default()
    })?;
    server.script("postgres", DATABASE_SETTINGS)?;
    Ok(server)
}

fn start_gateway(program: &Path, server: &Postgres) -> Result<Gateway> {
    let targets = format!(
        "[[target]]\nname = \"{DATABASE}\"\nprotocol = \"postgres\"\naddress = \"127.0.0.1:{}\"\nuser = \"{USER}\"\n\
         tls = \"disable\"\nauth = [\"trust\"]\nstartup_settings = [\"intervalstyle\", \"datestyle\", \"timezone\"]\n",
        server.port()
    );
    let gateway = Gateway::start(&GatewayOptions {
        program: program.to_owned(),
        policy: process::root().join("tests").join("policies").join("permit-all"),
        targets: Some(targets),
        people: vec![Person::new(USER, &["developers"])],
        settings: String::new(),
    })?;
    Ok(gateway)
}

/// Runs PostgreSQL's driver; results go to `output`.
fn play(arguments: &Arguments, suite: &Path, server: &Postgres, way: &Way, output: &Path) -> Result<()> {
    let driver = server.bin_dir().join("../lib/pgxs/src/test/regress/pg_regress");
    std::fs::create_dir_all(output.join("results"))?;
    process::capture(Command::new("chmod").args(["-R", "a+rwX"]).arg(output))?;
    let input = suite.join("regress");
    let mut command = Command::new(driver);
    command
        .arg("--use-existing")
        .arg("--bindir=")
        .arg(format!("--dbname={DATABASE}"));
    command
        .arg(format!("--inputdir={}", input.display()))
        .arg(format!("--outputdir={}", output.display()));
    command
        .arg(format!("--dlpath={}", suite.display()))
        .arg(format!("--max-concurrent-tests={}", 20));
    command.arg(format!("--max-connections={}", arguments.jobs.max(1)));
    command.args([
        "--host=127.0.0.1",
        &format!("--port={}", way.port),
        &format!("--user={USER}"),
    ]);
    if arguments.tests.is_empty() {
        command.arg(format!("--schedule={}", input.join("parallel_schedule").display()));
    } else {
        command.arg("test_setup").args(&arguments.tests);
    }
    command
        .env("PGPASSWORD", &way.password)
        .env("PGSSLMODE", "disable")
        .current_dir(output);
    let said = command
        .output()
        .context("PostgreSQL's regression driver could not be started")?;
    // Some tests fail without the gateway too (they expect another locale); what counts is the comparison.
    let text = String::from_utf8_lossy(&said.stdout);
    if said.status.code().is_none_or(|code| code > 1) {
        bail!(
            "the regression tests could not be run: {text}{}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
    let count = |word: &str| text.lines().filter(|line| line.contains(word)).count();
    let name = output.file_name().unwrap_or_default().display();
    println!(
        "{name}: {} as PostgreSQL expects, {} not",
        count(" ... ok "),
        count(" ... FAILED ")
    );
    Ok(())
}

fn compare(direct: &Path, through: &Path) -> Result<bool> {
    let mut names: Vec<_> = std::fs::read_dir(direct)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    names.sort();
    let mut differing = 0;
    for name in &names {
        let (expected, got) = (direct.join(name), through.join(name));
        if got.exists() && normal(&expected)? == normal(&got)? {
            continue;
        }
        differing += 1;
        let diff = Command::new("diff").args(["-U2"]).arg(&expected).arg(&got).output()?;
        println!("DIFFERS {}", name.display());
        for line in String::from_utf8_lossy(&diff.stdout).lines().skip(2).take(40) {
            println!("    {line}");
        }
    }
    println!("{} results the same, {differing} differ", names.len() - differing);
    Ok(differing == 0 && !names.is_empty())
}

/// A result without the folders of this run.
fn normal(path: &Path) -> Result<String> {
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    Ok(text.replace("/through/", "/direct/"))
}
