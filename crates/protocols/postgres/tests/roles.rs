//! Roles for one session at a real server, asked for by somebody who has taken a gateway over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use sallyport_postgres::dial::{Dialer, Order, Upstream};
use sallyport_session::{DialError, Login, Whom};
use sallyport_target::{Broker, Catalogue, PostgresLease, Target};
use sallyport_testbed::{Options, Postgres, Role};
use serde_json::json;

const PASSWORD: &str = "correct horse & battery";
const ROLES: &str = "SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tmp_')";

struct Bed {
    server: Postgres,
    target: Arc<Target>,
    dialer: Dialer,
    broker: Broker,
    dir: tempfile::TempDir,
}

fn bed() -> Bed {
    let maker = Role {
        attributes: "CREATEROLE".to_owned(),
        ..Role::new("maker", PASSWORD)
    };
    let others = ["reader", "wri\"ter", "left_by_sessions"].map(|name| Role::new(name, "x"));
    let server = Postgres::start(&Options {
        roles: std::iter::once(maker).chain(others).collect(),
        databases: vec!["orders".to_owned()],
        ..Options::default()
    })
    .unwrap();
    let setup = "GRANT left_by_sessions TO maker; CREATE ROLE x; GRANT CREATE ON SCHEMA public TO left_by_sessions";
    server.query("orders", setup).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pw"), PASSWORD).unwrap();
    let broker = Broker::default();
    let target = target(&server, dir.path(), &broker, OWNER);
    let dialer = dialer(dir.path(), &broker);
    Bed {
        server,
        target,
        dialer,
        broker,
        dir,
    }
}

fn dialer(dir: &Path, broker: &Broker) -> Dialer {
    Dialer::default()
        .with_roles(&dir.join("state"), broker.background())
        .unwrap()
}

const OWNER: &str = "owner = 'left_by_sessions', ";

fn target(server: &Postgres, dir: &Path, broker: &Broker, owner: &str) -> Arc<Target> {
    let text = format!(
        "[[target]]\nname = 'orders'\nprotocol = 'postgres'\naddress = '127.0.0.1:{}'\nuser = 'maker'\ntls = 'disable'\n\
         password_file = 'pw'\nephemeral = {{ grantable = ['reader', 'wri\"ter'], {owner}prefix = 'tmp' }}\n",
        server.port()
    );
    let catalogue = Catalogue::parse_for_agent(&text, "targets.toml", dir, broker).unwrap();
    Arc::clone(catalogue.get("orders").unwrap())
}

impl Bed {
    /// A login as an agent is asked for it.
    async fn log_in(&self, principal: &str, order: serde_json::Value) -> Result<Upstream, DialError> {
        let lease = self.target.lease("orders").await.unwrap();
        let order: Order = serde_json::from_value(order).unwrap();
        let whom = Whom {
            session: uuid::Uuid::nil(),
            principal: principal.to_owned(),
        };
        self.dialer
            .log_in(PostgresLease::try_from(lease).unwrap(), &order, &whom)
            .await
    }

    fn ask(&self, text: &str) -> String {
        self.server.query("orders", text).unwrap().trim().to_owned()
    }

    /// Everything that was begun is done.
    async fn nothing_is_left(&self) {
        assert_eq!(self.broker.background().drained(Duration::from_secs(30)).await, 0);
        assert_eq!(self.ask(ROLES), "0");
        assert_eq!(fs::read_dir(self.dir.path().join("state/roles")).unwrap().count(), 0);
    }
}

fn session(grants: &[&str]) -> serde_json::Value {
    json!({ "parameters": [], "grants": grants })
}

#[tokio::test]
async fn names_of_all_kinds_are_only_names() {
    let bed = bed();
    for person in [
        "\"; drop role x; --",
        "'; DROP ROLE x; --\\",
        "\0\n\u{202e}é",
        "",
        &"a".repeat(5000),
    ] {
        let upstream = bed.log_in(person, session(&["reader", "wri\"ter"])).await.unwrap();
        assert_eq!(bed.ask(ROLES), "1", "{person}");
        assert_eq!(
            bed.ask("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'tmp%'"),
            "1"
        );
        drop(upstream);
        bed.nothing_is_left().await;
    }
    assert_eq!(bed.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'x'"), "1");
}

#[tokio::test]
async fn nothing_is_made_for_what_must_not_be_granted() {
    let bed = bed();
    for order in [
        session(&[]),
        session(&["postgres"]),
        session(&["reader", "pg_read_all_data"]),
        session(&["READER"]),
        session(&["reader TO x; --"]),
        json!({ "parameters": [], "grants": ["reader"], "purpose": "plan" }),
        // The administrator is nobody's to be.
        json!({ "parameters": [["user", "maker"]], "grants": ["reader"] }),
        json!({ "parameters": [["role", "maker"]], "grants": ["reader"] }),
    ] {
        let said = bed.log_in("mallory", order.clone()).await;
        let error = said.err().unwrap_or_else(|| panic!("{order} is let in"));
        assert!(!error.to_string().contains(PASSWORD), "{error}");
        bed.nothing_is_left().await;
    }
    // What reads names gets nothing, whatever is asked for it.
    let names = json!({ "parameters": [], "grants": ["reader"], "purpose": "names" });
    let upstream = bed.log_in("mallory", names).await.unwrap();
    let grants = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE rolname LIKE 'tmp%'";
    assert_eq!((bed.ask(ROLES).as_str(), bed.ask(grants).as_str()), ("1", "0"));
    drop(upstream);
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn what_a_session_made_lends_nobody_rights() {
    let bed = bed();
    for (rights, none, why) in [
        (
            "ALTER ROLE left_by_sessions BYPASSRLS",
            "ALTER ROLE left_by_sessions NOBYPASSRLS",
            "attributes",
        ),
        (
            "GRANT x TO left_by_sessions",
            "REVOKE x FROM left_by_sessions",
            "member",
        ),
        (
            "CREATE TABLE pay (a int); GRANT SELECT ON pay TO left_by_sessions",
            "DROP TABLE pay",
            "granted more",
        ),
        (
            "ALTER ROLE left_by_sessions RENAME TO other",
            "ALTER ROLE other RENAME TO left_by_sessions",
            "not exist",
        ),
    ] {
        bed.ask(rights);
        let said = bed.log_in("mallory", session(&["reader"])).await;
        let error = said.err().unwrap_or_else(|| panic!("{rights}: let in")).to_string();
        assert!(error.contains(why) && error.contains("`left_by_sessions`"), "{error}");
        bed.nothing_is_left().await;
        bed.ask(none);
    }
    let made =
        "GRANT CREATE ON SCHEMA public TO reader; CREATE SCHEMA s; GRANT ALL ON SCHEMA s TO reader, left_by_sessions";
    bed.ask(made);
    let upstream = bed.log_in("mallory", session(&["reader"])).await.unwrap();
    let role = bed.ask("SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'tmp_')");
    bed.ask(&format!(
        "SET ROLE \"{role}\"; CREATE FUNCTION s.\"F \"\"1\"(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; \
         CREATE PROCEDURE p() LANGUAGE sql SECURITY DEFINER AS ''; CREATE VIEW s.v AS SELECT 1 AS a"
    ));
    drop(upstream);
    bed.nothing_is_left().await;
    let theirs = "SELECT string_agg(prosecdef::text, ' ') FROM pg_proc WHERE proowner = 'left_by_sessions'::regrole";
    assert_eq!(bed.ask(theirs), "false false");
    let view = "SELECT reloptions FROM pg_class WHERE relname = 'v' AND relowner = 'left_by_sessions'::regrole";
    let newer = bed.ask("SELECT current_setting('server_version_num')::int >= 150000");
    assert_eq!(bed.ask(view) == "{security_invoker=true}", newer == "t");
}

#[tokio::test]
async fn without_an_owner_nothing_outlives_the_session() {
    let mut bed = bed();
    bed.target = target(&bed.server, bed.dir.path(), &bed.broker, "");
    bed.ask("GRANT CREATE ON SCHEMA public TO reader");
    let upstream = bed.log_in("alice", session(&["reader"])).await.unwrap();
    let role = bed.ask("SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'tmp_')");
    bed.ask(&format!("SET ROLE \"{role}\"; CREATE TABLE made (a int)"));
    drop(upstream);
    bed.nothing_is_left().await;
    assert_eq!(bed.ask("SELECT count(*) FROM pg_tables WHERE tablename = 'made'"), "0");
}

#[tokio::test]
async fn a_caller_that_does_not_wait_leaves_nothing() {
    let bed = bed();
    for micros in [0, 500, 2_000, 5_000, 20_000, 50_000] {
        let login = bed.log_in("alice", session(&["reader"]));
        drop(tokio::time::timeout(Duration::from_micros(micros), login).await);
    }
    bed.nothing_is_left().await;
}

#[tokio::test]
async fn what_cannot_be_ended_at_once_is_ended_later_and_by_whoever_comes_next() {
    let bed = bed();
    let upstream = bed.log_in("alice", session(&["reader"])).await.unwrap();
    // The owner cannot be given anything: the role stays.
    bed.ask("REVOKE left_by_sessions FROM maker; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader");
    let role = bed.ask("SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'tmp_')");
    bed.ask(&format!("SET ROLE \"{role}\"; CREATE TEMP TABLE t (a int)"));
    drop(upstream);
    let refused = "SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tmp_') AND NOT rolcanlogin";
    while bed.ask(refused) != "1" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Another process with the same state.
    bed.ask("GRANT left_by_sessions TO maker");
    let next = dialer(bed.dir.path(), &bed.broker);
    next.sweep(std::slice::from_ref(&bed.target)).await;
    assert_eq!(bed.ask(ROLES), "0");
    bed.nothing_is_left().await;
}
