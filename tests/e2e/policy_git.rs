//! A policy that is followed in a git repository, as whole gateways, sessions and auditors see it.
#![allow(
    clippy::indexing_slicing,
    reason = "what is missing in JSON is null, and fails the comparison"
)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_testbed::{
    Api, Gateway, GatewayOptions, GitHttp, GitOrigin, HttpOptions, Options, Person, Postgres, Reply, Role,
};
use sallyport_tests::{DATABASE, Endpoint, ROLE, ROLE_PASSWORD, TARGET, journal, program, transcripts};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "a secret of the git host's";
const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";
const NO_READS: &str = "@id(\"no-reads\") @message(\"nothing is read here\")\n\
                        forbid (principal, action in Sql::Action::\"read\", resource);\n";

/// A server, a repository that another machine serves, and a gateway that follows it.
struct Followed {
    gateway: Gateway,
    origin: GitOrigin,
    host: GitHttp,
    first: String,
    _server: Postgres,
    _files: tempfile::TempDir,
}

impl Followed {
    fn start() -> Result<Self> {
        let mut options = Options::default();
        options.roles.insert(0, Role::new(ROLE, ROLE_PASSWORD));
        options.databases.insert(0, DATABASE.to_owned());
        let server = Postgres::start(&options)?;
        let files = tempfile::tempdir()?;
        std::fs::write(files.path().join("password"), ROLE_PASSWORD)?;
        std::fs::write(files.path().join("hook"), SECRET)?;
        let origin = GitOrigin::new()?;
        origin.write("rules/all.cedar", ALL)?;
        let targets = format!(
            "[[target]]\nname = \"{TARGET}\"\nprotocol = \"postgres\"\naddress = \"localhost:{}\"\n\
             environment = \"production\"\ndatabase = \"{DATABASE}\"\nuser = \"{ROLE}\"\n\
             password_file = \"password\"\ntls = \"disable\"\n",
            server.port()
        );
        origin.write("targets.toml", &targets)?;
        let first = origin.commit("everything is permitted")?;
        let folder = origin
            .bare()
            .parent()
            .context("a repository without a folder")?
            .to_owned();
        let host = GitHttp::start(&folder, HttpOptions::default())?;
        let policy = format!(
            "{{ git = \"{}\", branch = \"main\", poll = \"1h\", files = {:?}, webhook_secret_file = {:?} }}",
            host.address("origin.git"),
            files.path(),
            files.path().join("hook")
        );
        let person = |name: &str, group: &str| Person::new(name, &[group]);
        let gateway = Gateway::start(&GatewayOptions {
            program: program()?,
            policy: policy.into(),
            targets: None,
            people: vec![
                person("alice", "developers"),
                person("audrey", "auditors"),
                person("adam", "admins"),
            ],
            settings: String::new(),
        })?;
        Ok(Self {
            gateway,
            origin,
            host,
            first,
            _server: server,
            _files: files,
        })
    }

    fn merge(&self, rules: &str) -> Result<String> {
        self.origin.write("rules/more.cedar", rules)?;
        Ok(self.origin.commit("a change of the rules")?)
    }

    /// Waits until the policy's status is such.
    fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let token = self.gateway.login("audrey")?;
        let start = Instant::now();
        loop {
            let status = self.gateway.api().get("/v1/policy", Some(&token))?.body;
            if is_so(&status) {
                return Ok(status);
            }
            if start.elapsed() > PATIENCE {
                bail!("{what} did not happen: {status}\n{}", self.gateway.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn until_in_force(&self, commit: &str) -> Result<()> {
        self.until("the merge", |status| status["commit"] == commit).map(drop)
    }

    fn kinds(&self) -> Result<Vec<String>> {
        let kinds = journal(&self.gateway)?.into_iter().map(|entry| entry.kind);
        Ok(kinds.filter(|kind| kind.starts_with("policy.")).collect())
    }
}

/// What GitLab sends when somebody has pushed.
fn tell(api: &Api, token: &str) -> Result<String> {
    let mut stream = std::net::TcpStream::connect(api.address())?;
    let body = "{}";
    let head =
        "POST /v1/policy/webhook HTTP/1.1\r\nhost: gw\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let length = body.len();
    write!(
        stream,
        "{head}x-gitlab-token: {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    Ok(status)
}

/// psql that stays open.
struct Psql {
    child: Child,
    keys: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Psql {
    fn connect(gateway: &Gateway, person: &str) -> Result<Self> {
        let endpoint = Endpoint {
            host: gateway.postgres().ip().to_string(),
            port: gateway.postgres().port(),
            user: person.to_owned(),
            password: gateway.token(person)?,
            database: TARGET.to_owned(),
            tls: false,
        };
        let psql = endpoint.program("psql");
        let mut command = Command::new("sh");
        command.env_clear();
        for (name, value) in psql.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        // What it complains about comes in order with what it prints.
        let mut child = command
            .args(["-c", "exec psql -XAt 2>&1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let keys = child.stdin.take().context("no input")?;
        let said = BufReader::new(child.stdout.take().context("no output")?).lines();
        Ok(Self { child, keys, said })
    }

    /// What comes of a statement, up to the echo behind it.
    fn run(&mut self, statement: &str) -> Result<String> {
        writeln!(self.keys, "{statement}\n\\echo done")?;
        let mut all = Vec::new();
        for line in self.said.by_ref() {
            let line = line?;
            if line == "done" {
                return Ok(all.join("\n"));
            }
            all.push(line);
        }
        bail!("psql ended: {all:?}")
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_merge_decides_the_next_statement_of_a_session_that_stays_open_and_a_revert_the_one_after() -> Result<()> {
    let followed = Followed::start()?;
    let mut psql = Psql::connect(&followed.gateway, "alice")?;
    ensure!(psql.run("SELECT 'first';")? == "first");

    let second = followed.merge(NO_READS)?;
    ensure!(tell(followed.gateway.api(), "not the secret of the host")?.contains("403"));
    ensure!(
        psql.run("SELECT 'still';")? == "still",
        "nobody was told of the merge yet"
    );
    ensure!(tell(followed.gateway.api(), SECRET)?.contains("202"));
    followed.until_in_force(&second)?;
    let said = psql.run("SELECT 'second';")?;
    ensure!(
        said.contains("no-reads") && said.contains("nothing is read here"),
        "{said}"
    );

    followed.origin.git(&["revert", "--no-edit", "HEAD"])?;
    followed.origin.push()?;
    let third = followed.origin.head()?;
    let adam = followed.gateway.login("adam")?;
    let pulled = followed
        .gateway
        .api()
        .post("/v1/policy/pull", Some(&adam), &json!({}))?;
    ensure!(pulled.status == 200 && pulled.body["commit"] == third, "{pulled:?}");
    ensure!(
        psql.run("SELECT 'third';")? == "third",
        "the revert is in force when the pull returns"
    );
    drop(psql);

    let commits = [followed.first.clone(), second, third];
    let entries = journal(&followed.gateway)?;
    let loads = entries.iter().filter(|entry| entry.kind == "policy.load");
    let named: Vec<&str> = loads.filter_map(|entry| entry.details["commit"].as_str()).collect();
    ensure!(named == commits, "{named:?}");
    ensure!(
        entries
            .iter()
            .any(|entry| entry.kind == "policy.pull" && entry.actor == "adam")
    );

    let decisions = decisions(&followed.gateway)?;
    for commit in &commits {
        let digest = decisions.iter().find(|(_, named)| named == commit);
        let (digest, _) = digest.with_context(|| format!("no decision names {commit}: {decisions:?}"))?;
        shown(&followed, digest, commit)?;
    }
    Ok(())
}

/// The digest and the commit that each decision names.
fn decisions(gateway: &Gateway) -> Result<Vec<(String, String)>> {
    let lines = transcripts(gateway, "audrey")?.into_iter().flatten();
    let decisions = lines.filter(|line| line["kind"] == "decision");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(decisions
        .map(|line| (word(&line["policy"]), word(&line["commit"])))
        .collect())
}

/// An auditor sees the policy that a decision names, as it was at that commit.
fn shown(followed: &Followed, digest: &str, commit: &str) -> Result<()> {
    let token = followed.gateway.login("audrey")?;
    let mut show = followed.gateway.command();
    show.args(["policy", "show", digest, "--json", "--api"]);
    show.arg(format!("http://{}", followed.gateway.api().address()))
        .env("SALLYPORT_TOKEN", token);
    let output = show.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bundle: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(
        bundle["loaded"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["commit"] == commit))
    );
    for (path, text) in bundle["files"].as_object().context("no files")? {
        let committed = followed.origin.git(&["show", &format!("{commit}:{path}")])?;
        ensure!(text.as_str() == Some(&committed), "{path} at {commit}");
    }
    Ok(())
}

#[test]
fn a_bad_merge_and_a_host_that_is_away_change_nothing_and_are_told_everywhere_once() -> Result<()> {
    let followed = Followed::start()?;
    let mut psql = Psql::connect(&followed.gateway, "alice")?;
    let bad = followed.merge("permit (")?;
    let adam = followed.gateway.login("adam")?;
    let api = followed.gateway.api();
    let pull = || api.post("/v1/policy/pull", Some(&adam), &json!({}));
    for _ in 0..2 {
        let refused = pull()?;
        ensure!(
            refused.status == 409 && refused.body.to_string().contains("rules/more.cedar:1:"),
            "{refused:?}"
        );
    }
    ensure!(psql.run("SELECT 'goes on';")? == "goes on");
    let status = followed.until("the refusal", |status| status["last_error"]["kind"] == "invalid")?;
    ensure!(
        status["commit"] == followed.first && status["last_error"]["commit"] == bad,
        "{status}"
    );
    ensure!(status["last_error"]["problems"][0]["line"] == 1, "{status}");
    let health = api.get("/healthz", None)?;
    ensure!(
        health.status == 503 && health.body["problems"] == json!(["policy"]),
        "{health:?}"
    );

    let good = followed.merge("")?;
    ensure!(pull()?.status == 200);
    followed.host.refuse(true);
    for _ in 0..2 {
        ensure!(pull()?.status == 409);
    }
    let health = api.get("/healthz", None)?;
    ensure!(
        health.status == 200 && health.body["warnings"] == json!(["policy-source"]),
        "{health:?}"
    );
    let metrics = api.get("/metrics", None)?;
    for line in [
        "sallyport_policy_fetch_failures_total{kind=\"invalid\"} 2",
        "sallyport_policy_fetch_failures_total{kind=\"unreachable\"} 2",
        "sallyport_policy_fetch_timestamp_seconds ",
        "sallyport_policy_commit_timestamp_seconds ",
    ] {
        ensure!(text(&metrics).contains(line), "{line} in {}", text(&metrics));
    }
    let kinds = followed.kinds()?;
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    ensure!(count("policy.pull") == 5, "{kinds:?}");
    ensure!(
        (
            count("policy.reject"),
            count("policy.recovered"),
            count("policy.unreachable")
        ) == (1, 1, 1),
        "{kinds:?}"
    );
    ensure!(psql.run("SELECT 'to the end';")? == "to the end");
    drop(psql);

    starts_without_its_host(followed, &good)
}

/// It starts with what was last in force.
fn starts_without_its_host(followed: Followed, good: &str) -> Result<()> {
    let restarted = Followed {
        gateway: followed.gateway.kill()?.start()?,
        ..followed
    };
    let status = restarted.until("the start", |_| true)?;
    ensure!(
        status["commit"] == *good && status["last_error"]["kind"] == "unreachable",
        "{status}"
    );
    ensure!(status["fetched"].is_null(), "{status}");
    ensure!(Psql::connect(&restarted.gateway, "alice")?.run("SELECT 'away';")? == "away");
    ensure!(
        restarted
            .kinds()?
            .last()
            .is_some_and(|kind| kind == "policy.unreachable")
    );
    Ok(())
}

fn text(reply: &Reply) -> &str {
    reply.body.as_str().unwrap_or_default()
}

#[test]
fn a_gateway_that_is_killed_during_a_fetch_starts_again_and_follows() -> Result<()> {
    let followed = Followed::start()?;
    followed.host.stall(true);
    let second = followed.merge(NO_READS)?;
    ensure!(tell(followed.gateway.api(), SECRET)?.contains("202"));
    ensure!(followed.host.stands_still(), "the fetch did not begin");
    let killed = followed.gateway.kill()?;
    followed.host.stall(false);
    let restarted = Followed {
        gateway: killed.start()?,
        ..followed
    };
    restarted.until_in_force(&second)?;
    let said = Psql::connect(&restarted.gateway, "alice")?.run("SELECT 1;")?;
    ensure!(said.contains("no-reads"), "{said}");
    Ok(())
}
