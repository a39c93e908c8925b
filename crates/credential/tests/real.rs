//! Against servers that others wrote: moto for AWS, AWS's own library for signatures, rvault for Vault.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod played;

use std::{
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use played::{Played, Said, credentials, source};
use sallyport_credential::{Credentials, Leased, Need};
use sallyport_testbed::{Supervised, cache_dir, skipped};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

async fn lease(credentials: &Credentials, text: &str) -> Result<Leased, String> {
    let leased = credentials.lease(&source(text), &Need::password()).await;
    leased.map_err(|error| error.to_string())
}

async fn secret(credentials: &Credentials, text: &str) -> Result<String, String> {
    lease(credentials, text)
        .await
        .map(|leased| leased.secret().expose_secret().to_owned())
}

/// A program of the Python packages for AWS, which `cargo xtask setup` installs.
fn python(program: &str) -> PathBuf {
    let path = cache_dir().join("python-aws/venv/bin").join(program);
    assert!(path.exists(), "no {}: run `cargo xtask setup`", path.display());
    path
}

/// Starts a server on a free port and waits until it takes connections.
async fn start(command: impl Fn(u16, &std::path::Path) -> Command) -> (Supervised, String) {
    for _ in 0..3 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let dir = tempfile::tempdir().unwrap().keep();
        let server = Supervised::start(&command(port, &dir), "KILL", &dir).unwrap();
        for _ in 0..600 {
            if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .is_ok()
            {
                return (server, format!("http://127.0.0.1:{port}"));
            }
            if !server.is_running() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Somebody else may have taken the port.
        eprintln!("{}", server.log_tail());
    }
    panic!("the server does not start");
}

async fn moto() -> (Supervised, String) {
    let program = python("moto_server");
    start(|port, _| {
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    })
    .await
}

/// A request to Secrets Manager, as an administrator. moto looks at no signature.
async fn administer(url: &str, action: &str, body: Value) {
    let request = reqwest::Client::new()
        .post(url)
        .header("x-amz-target", format!("secretsmanager.{action}"));
    let scope = "Credential=AKIA/20240101/eu-central-1/secretsmanager/aws4_request";
    let request = request.header(
        "authorization",
        format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"),
    );
    let request = request
        .header("content-type", "application/x-amz-json-1.1")
        .body(body.to_string());
    let status = request.send().await.unwrap().status();
    assert!(status.is_success(), "{action}: {status}");
}

#[tokio::test]
async fn moto_gives_secrets_and_a_rotated_one_at_the_next_lease() {
    let (_server, url) = moto().await;
    let text = json!({"username": "app", "password": "CANARY-1"}).to_string();
    administer(
        &url,
        "CreateSecret",
        json!({"Name": "prod/orders", "SecretString": text}),
    )
    .await;
    administer(
        &url,
        "CreateSecret",
        json!({"Name": "bin", "SecretBinary": "Q0FOQVJZLWI="}),
    )
    .await;
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("credentials");
    std::fs::write(
        &keys,
        "[default]\naws_access_key_id = AKIA\naws_secret_access_key = sk\n",
    )
    .unwrap();
    let store = format!(
        "[[aws]]\nname = 'main'\nregion = 'eu-central-1'\nendpoint = '{url}'\nlogin = {{ method = 'file', path = {keys:?} }}"
    );
    let credentials = credentials(&store, &[]);
    let whole = "source = 'aws-secret', store = 'main', secret = 'prod/orders'";
    let field = format!("{whole}, field = 'password', user_field = 'username'");
    let leased = lease(&credentials, &field).await.unwrap();
    assert_eq!(
        (leased.user(), leased.secret().expose_secret()),
        (Some("app"), "CANARY-1")
    );
    assert_eq!(secret(&credentials, whole).await.unwrap(), text);
    let text = text.replace("CANARY-1", "CANARY-2");
    administer(
        &url,
        "PutSecretValue",
        json!({"SecretId": "prod/orders", "SecretString": text}),
    )
    .await;
    assert_eq!(secret(&credentials, &field).await.unwrap(), "CANARY-2");
    let previous = format!("{field}, version_stage = 'AWSPREVIOUS'");
    assert_eq!(secret(&credentials, &previous).await.unwrap(), "CANARY-1");
    let binary = "source = 'aws-secret', store = 'main', secret = 'bin'";
    assert_eq!(secret(&credentials, binary).await.unwrap(), "CANARY-b");
    let absent = "source = 'aws-secret', store = 'main', secret = 'absent'";
    let said = secret(&credentials, absent).await.unwrap_err();
    assert!(said.contains("no such secret"), "{said}");
    administer(&url, "DeleteSecret", json!({"SecretId": "prod/orders"})).await;
    assert!(secret(&credentials, whole).await.is_err());
}

#[tokio::test]
async fn moto_gives_a_role_for_a_token_of_somebody_elses() {
    let (_server, url) = moto().await;
    administer(&url, "CreateSecret", json!({"Name": "x", "SecretString": "CANARY"})).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "eyJ.eyJ.sig\n").unwrap();
    let store = format!(
        "[[aws]]\nname = 'main'\nregion = 'eu-central-1'\nendpoint = '{url}'\nsts_endpoint = '{url}'\n\
         login = {{ method = 'web-identity', role_arn = 'arn:aws:iam::123456789012:role/reader', token_file = {token:?} }}"
    );
    let credentials = credentials(&store, &[]);
    let text = "source = 'aws-secret', store = 'main', secret = 'x'";
    assert_eq!(secret(&credentials, text).await.unwrap(), "CANARY");
    // The role's keys are kept: the token is not needed for the next.
    std::fs::remove_file(&token).unwrap();
    assert_eq!(secret(&credentials, text).await.unwrap(), "CANARY");
}

/// What AWS's own library signs.
fn oracle(case: &Value) -> Value {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle.py");
    let mut command = Command::new(python("python"));
    let mut child = command
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(format!("{case}\n").as_bytes())
        .unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

/// `20240102T030405Z` as ISO 8601 has it.
fn iso(date: &str) -> String {
    let part = |from: usize, to: usize| date.get(from..to).unwrap();
    let (day, time) = (
        (part(0, 4), part(4, 6), part(6, 8)),
        (part(9, 11), part(11, 13), part(13, 15)),
    );
    format!("{}-{}-{}T{}:{}:{}", day.0, day.1, day.2, time.0, time.1, time.2)
}

const KEYS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "s+/="),
    ("AWS_SESSION_TOKEN", "t/+==token"),
];

#[tokio::test]
async fn awss_own_library_signs_requests_for_secrets_the_same() {
    let played = Played::start(|_| Said::ok(&json!({"SecretString": "x"}))).await;
    let store = format!(
        "[[aws]]\nname = 'main'\nregion = 'eu-central-1'\nendpoint = '{}'\nlogin = {{ method = 'environment' }}",
        played.url()
    );
    let text = "source = 'aws-secret', store = 'main', secret = 'prod/ü \"x\"', version_stage = 'AWSPENDING'";
    secret(&credentials(&store, KEYS), text).await.unwrap();
    let seen = played.seen();
    let seen = seen.first().unwrap();
    let case = json!({
        "id": "AKIAEXAMPLE", "secret": "s+/=", "session": "t/+==token", "service": "secretsmanager", "region": "eu-central-1",
        "time": iso(seen.header("x-amz-date")), "method": "POST", "url": format!("{}/", played.url()),
        "headers": {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"},
        "body": str::from_utf8(&seen.body).unwrap(),
    });
    let signed = oracle(&case);
    assert_eq!(
        signed.get("authorization").and_then(Value::as_str),
        Some(seen.header("authorization"))
    );
}

#[tokio::test]
async fn awss_own_library_signs_tokens_for_rds_the_same() {
    let store = "[[aws]]\nname = 'main'\nregion = 'eu-central-1'\nlogin = { method = 'environment' }";
    let credentials = credentials(store, KEYS);
    for user in ["app", "a b&c=d+é/"] {
        let need = Need::password().as_user(user).at("db.example.com", 5432);
        let leased = credentials
            .lease(&source("source = 'aws-rds-token', store = 'main'"), &need)
            .await
            .unwrap();
        let ours = Url::parse(&format!("https://{}", leased.secret().expose_secret())).unwrap();
        let part = |url: &Url, name: &str| url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
        let mut url = Url::parse("https://db.example.com:5432/?Action=connect").unwrap();
        url.query_pairs_mut().append_pair("DBUser", user);
        let case = json!({
            "id": "AKIAEXAMPLE", "secret": "s+/=", "session": "t/+==token", "service": "rds-db", "region": "eu-central-1",
            "time": iso(&part(&ours, "X-Amz-Date")), "method": "GET", "url": url.as_str(), "expires": 900,
        });
        let signed = oracle(&case);
        let theirs = Url::parse(signed.get("url").and_then(Value::as_str).unwrap()).unwrap();
        let sorted = |url: &Url| {
            let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
            pairs.sort();
            pairs
        };
        assert_eq!(sorted(&ours), sorted(&theirs), "{user}");
    }
}

#[tokio::test]
async fn rvault_gives_secrets_of_kv_version_1_for_a_token() {
    let program = cache_dir().join("tools/bin/rvault");
    if !program.exists() {
        let test = "rvault_gives_secrets_of_kv_version_1_for_a_token";
        return skipped(&format!("skipped: {test}: no rvault, see `cargo xtask setup`\n")).unwrap();
    }
    let (_server, url) = start(|port, dir| {
        let config = format!(
            "storage \"file\" {{\n  path = \"{0}/data\"\n}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  \
             tls_disable = \"true\"\n}}\napi_addr = \"http://127.0.0.1:{port}\"\nlog_level = \"info\"\npid_file = \"{0}/pid\"\n",
            dir.display()
        );
        std::fs::write(dir.join("config.hcl"), config).unwrap();
        let mut command = Command::new(&program);
        command.args(["server", "--config"]).arg(dir.join("config.hcl"));
        command
    })
    .await;
    let client = reqwest::Client::new();
    let init = client
        .put(format!("{url}/v1/sys/init"))
        .json(&json!({"secret_shares": 1, "secret_threshold": 1}));
    let init: Value = init.send().await.unwrap().json().await.unwrap();
    let (token, key) = (
        init.get("root_token").unwrap().as_str().unwrap(),
        init.pointer("/keys/0").unwrap(),
    );
    let store =
        format!("[[vault]]\nname = 'prod'\naddress = '{url}'\nlogin = {{ method = 'token', token_env = 'TOKEN' }}");
    let text =
        "source = 'vault-kv', store = 'prod', mount = 'kv', path = 'db/orders', version = 1, user_field = 'login'";
    let good = credentials(&store, &[("TOKEN", token)]);
    assert!(secret(&good, text).await.is_err(), "it is sealed");
    let unseal = client.put(format!("{url}/v1/sys/unseal")).json(&json!({"key": key}));
    assert!(unseal.send().await.unwrap().status().is_success());
    let post = async |path: &str, body: Value| {
        let request = client
            .post(format!("{url}/v1/{path}"))
            .header("X-Vault-Token", token)
            .json(&body);
        let status = request.send().await.unwrap().status();
        assert!(status.is_success(), "{path}: {status}");
    };
    post("sys/mounts/kv", json!({"type": "kv"})).await;
    for password in ["CANARY-1", "CANARY-2"] {
        post("kv/db/orders", json!({"login": "app", "password": password})).await;
        let leased = lease(&good, text).await.unwrap();
        assert_eq!(
            (leased.user(), leased.secret().expose_secret()),
            (Some("app"), password)
        );
    }
    let said = secret(&good, &text.replace("db/orders", "absent")).await.unwrap_err();
    assert!(said.contains("no such secret"), "{said}");
    let said = secret(&credentials(&store, &[("TOKEN", "s.wrong")]), text)
        .await
        .unwrap_err();
    assert!(said.contains("HTTP 403") && !said.contains("CANARY"), "{said}");
}
