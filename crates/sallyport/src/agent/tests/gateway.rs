//! A gateway that somebody else has taken over, or that is of another version.

use sallyport_testbed::{Options, Postgres, Role};
use sallyport_tunnel::{Answer, FromAgent, FromGateway, Hello, head};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{LONG, Pair, login};

fn postgres() -> Postgres {
    Postgres::start(&Options {
        roles: vec![Role::new("app", "x"), Role::new("admin", "y")],
        ..Options::default()
    })
    .unwrap()
}

async fn beside(server: &Postgres, dir: &tempfile::TempDir) -> Pair {
    std::fs::write(dir.path().join("password"), "x").unwrap();
    let targets = format!(
        "[[target]]\nname = 'orders'\nprotocol = 'postgres'\naddress = 'localhost:{}'\nuser = 'app'\n\
         password_file = 'password'\ntls = 'disable'\n\
         [[target]]\nname = 'web-1'\nprotocol = 'ssh'\naddress = 'localhost:1'\nuser = 'deploy'\nlogins = ['backup']\n\
         password_file = 'password'\nhost_keys = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxUO2wLe2ujtZFSmFAYDmMlJGTNYGJTVELdWFJCBQEi']\n",
        server.port()
    );
    Pair::of(dir.path(), &targets).await
}

fn why(answer: &Value) -> String {
    let told = answer.get("unable").or_else(|| answer.get("failed"));
    let why = told.and_then(|told| told.get("why")).and_then(Value::as_str);
    why.unwrap_or_else(|| panic!("it was done: {answer}")).to_owned()
}

/// The agent's own file says which targets there are and who logs in, whatever a gateway asks for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_gets_what_the_agents_own_file_names_and_nothing_else() {
    let (server, dir) = (postgres(), tempfile::tempdir().unwrap());
    let pair = beside(&server, &dir).await;
    let parameters = |name: &str, value: &str| json!({ "parameters": [[name, value]] });
    let empty = json!({ "parameters": [] });
    for (opening, words) in [
        // Targets that it does not have, whatever they look like.
        (login("other", "postgres", "postgres", &empty), "has no target `other`"),
        (login("../orders", "postgres", "postgres", &empty), "has no target"),
        (login("/etc/passwd", "postgres", "postgres", &empty), "has no target"),
        (login("", "postgres", "postgres", &empty), "has no target"),
        (login("orders\n", "postgres", "postgres", &empty), "has no target"),
        // One that it has, as another protocol.
        (
            login("orders", "ssh", "root", &json!({})),
            "has no target `orders` that speaks ssh",
        ),
        (
            login("web-1", "postgres", "postgres", &empty),
            "has no target `web-1` that speaks postgres",
        ),
        // Another account than its owner lets anybody in as.
        (login("web-1", "ssh", "root", &json!({})), "root"),
        (login("web-1", "ssh", "deploy backup", &json!({})), "deploy backup"),
        // Another role, by whatever the startup packet could say of it.
        (
            login("orders", "postgres", "postgres", &parameters("user", "admin")),
            "user",
        ),
        (
            login(
                "orders",
                "postgres",
                "postgres",
                &parameters("options", "-c role=admin"),
            ),
            "options",
        ),
        (
            login("orders", "postgres", "postgres", &parameters("database", "x")),
            "database",
        ),
        (
            login("orders", "postgres", "postgres", &parameters("USER", "admin")),
            "USER",
        ),
        (login("orders", "postgres", "postgres", &parameters("", "admin")), ""),
        (
            login(
                "orders",
                "postgres",
                "postgres",
                &parameters("application_name", "a\0user\0admin"),
            ),
            "application_name",
        ),
        (login("orders", "postgres", "postgres\0user\0admin", &empty), ""),
        // Things that are none.
        (
            json!({ "target": "orders", "protocol": "postgres", "place": "postgres" }),
            "does not understand",
        ),
        (
            json!({ "target": "orders", "protocol": "postgres", "place": "postgres",
                    "whom": { "session": uuid::Uuid::nil(), "principal": "alice" }, "what": { "shell": "id" } }),
            "does not understand",
        ),
    ] {
        let (answer, mut flow) = pair.ask(&opening).await;
        let told = why(&answer);
        assert!(told.contains(words), "{opening}: {told}");
        // Nothing follows.
        let mut rest = Vec::new();
        let _ = timeout(LONG, flow.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    }
    let logged = server.query(
        "postgres",
        "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('app', 'admin')",
    );
    assert_eq!(logged.unwrap(), "0");
    let (answer, _flow) = pair.ask(&login("orders", "postgres", "postgres", &empty)).await;
    assert_eq!(answer, json!("done"), "and what it has works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_too_long_or_nonsense_end_their_flow_and_no_other() {
    let (server, dir) = (postgres(), tempfile::tempdir().unwrap());
    let pair = beside(&server, &dir).await;
    let long = u32::try_from(head::MAX_HEAD + 1).unwrap().to_be_bytes();
    for bytes in [
        u32::MAX.to_be_bytes().to_vec(),
        long.to_vec(),
        b"\0\0\0\x02{]".to_vec(),
        b"\0\0\0\x04null".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        [&[0, 0, 1, 0][..], &[b'['; 256]].concat(),
    ] {
        let mut flow = pair.tunnel.open().await.unwrap();
        flow.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(LONG, flow.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty(), "{bytes:?}: {rest:?}");
    }
    // A head of the greatest length is one, and so is one with fields that only a newer gateway knows.
    let mut opening = login(
        "orders",
        "postgres",
        "postgres",
        &json!({ "parameters": [], "mask": {} }),
    );
    opening["since"] = json!("the next version");
    opening["whom"]["name"] = json!("Alice");
    let shorter = serde_json::to_vec(&opening).unwrap().len();
    opening["since"] = json!("x".repeat(head::MAX_HEAD - shorter));
    let (answer, _flow) = pair.ask(&opening).await;
    assert_eq!(answer, json!("done"));
}

/// Versions one apart say what the other does not know.
#[test]
fn what_another_version_says_is_passed_over() {
    let hello = json!({
        "say": "hello", "version": "9", "host": "h", "zone": "b",
        "targets": [{ "name": "orders", "protocol": "postgres", "mask_at": "agent" }],
    });
    let heard: FromAgent = serde_json::from_value(hello).unwrap();
    let FromAgent::Hello(Hello { targets, .. }) = heard else {
        panic!("{heard:?}")
    };
    assert_eq!(targets[0].name, "orders");
    let new = json!({ "say": "dance", "with": { "whom": [1] } });
    assert_eq!(
        serde_json::from_value::<FromAgent>(new.clone()).unwrap(),
        FromAgent::Unknown
    );
    assert_eq!(
        serde_json::from_value::<FromGateway>(new).unwrap(),
        FromGateway::Unknown
    );
    let welcome = json!({ "say": "welcome", "version": "9", "motd": "hi" });
    assert!(matches!(
        serde_json::from_value(welcome).unwrap(),
        FromGateway::Welcome { .. }
    ));
    let answer: Answer = serde_json::from_value(json!({ "unable": { "why": "no", "retry_s": 3 } })).unwrap();
    assert_eq!(answer, Answer::Unable { why: "no".to_owned() });
}
