//! The person's side of identity with the real binary: people file, login, tokens, logout.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod gateway;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use gateway::{Gateway, PASSWORD, bad, good};
use serde_json::Value;

/// What a PostgreSQL client hears that gives `token` as alice's password, up to the authentication's result.
fn knock(gateway: &Gateway, token: &str) -> Vec<u8> {
    let mut startup = 196_608_u32.to_be_bytes().to_vec();
    startup.extend(b"user\0alice\0database\0nowhere\0\0");
    let mut stream = TcpStream::connect(&gateway.postgres).unwrap();
    stream
        .write_all(&u32::try_from(startup.len() + 4).unwrap().to_be_bytes())
        .unwrap();
    stream.write_all(&startup).unwrap();
    let mut asked = [0; 9];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(asked, *b"R\0\0\0\x08\0\0\0\x03", "a password is asked for");
    stream.write_all(b"p").unwrap();
    stream
        .write_all(&u32::try_from(token.len() + 5).unwrap().to_be_bytes())
        .unwrap();
    stream.write_all(token.as_bytes()).unwrap();
    stream.write_all(b"\0").unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard
}

#[test]
fn from_the_people_file_to_a_revoked_token() {
    let gateway = Gateway::start();
    let at = gateway.folder.path();
    let password = format!("{PASSWORD}\n");
    assert!(bad(at, &["token"], "").contains("log in first"));
    let error = bad(
        at,
        &["login", "--api", &gateway.api, "--user", "alice"],
        "wrong horse\n",
    );
    assert!(error.contains("user name or the password is wrong"), "{error}");
    assert!(bad(at, &["login", "--api", &gateway.api], "").contains("--user NAME"));
    good(at, &["login", "--api", &gateway.api, "--user", "alice"], &password);
    let kept = at.join("config/sallyport/credentials");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    // The bare token, fit for PGPASSWORD=$(sallyport token).
    let token = good(at, &["token", "--name", "psql", "--ttl", "5m"], "");
    let token = token.trim_end();
    assert!(token.starts_with("spt_") && token.len() == 47, "{token}");
    let listed: Value = serde_json::from_str(&good(at, &["token", "list", "--json"], "")).unwrap();
    let row = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "psql")
        .unwrap();
    assert_eq!((&row["user"], &row["scope"]), (&"alice".into(), &"target".into()));
    let scoped: Value = serde_json::from_str(&good(at, &["token", "--target", "orders", "--json"], "")).unwrap();
    assert_eq!(scoped["target"], "orders");
    assert!(bad(at, &["token", "--ttl", "13h"], "").contains("43200 seconds"));

    let heard = String::from_utf8_lossy(&knock(&gateway, token)).into_owned();
    assert!(
        heard.contains("there is no target"),
        "the token was taken, the target is unknown: {heard:?}"
    );
    good(at, &["token", "revoke", row["id"].as_str().unwrap()], "");
    let heard = String::from_utf8_lossy(&knock(&gateway, token)).into_owned();
    assert!(heard.contains("revoked"), "{heard:?}");

    good(at, &["logout"], "");
    assert!(bad(at, &["token"], "").contains("log in first"));
    let scoped = scoped["token"].as_str().unwrap();
    let heard = String::from_utf8_lossy(&knock(&gateway, scoped)).into_owned();
    assert!(heard.contains("revoked"), "logging out ends the tokens: {heard:?}");
}

#[test]
fn the_people_file_is_kept_by_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let password = format!("{PASSWORD}\n");
    good(
        at,
        &["people", "add", "alice", "--group", "developers", "--group", "oncall"],
        &password,
    );
    good(at, &["people", "add", "ci", "--machine", "--no-password"], "");
    assert!(bad(at, &["people", "add", "alice"], &password).contains("already"));
    assert!(bad(at, &["people", "add", "al ice"], &password).contains("principal's name"));
    assert!(bad(at, &["people", "add", "eve"], "short\n").contains("at least 8"));
    assert!(bad(at, &["people", "passwd", "nobody"], &password).contains("not in the people file"));
    good(at, &["people", "groups", "alice", "dba"], "");
    good(at, &["people", "passwd", "alice"], "another horse battery\n");
    let listed: Value = serde_json::from_str(&good(at, &["people", "list", "--json"], "")).unwrap();
    assert_eq!(
        listed[0],
        serde_json::json!({ "id": "alice", "kind": "user", "groups": ["dba"], "password": true })
    );
    assert_eq!(
        listed[1],
        serde_json::json!({ "id": "ci", "kind": "machine", "groups": [], "password": false })
    );
    let text = std::fs::read_to_string(at.join("people.toml")).unwrap();
    assert!(!text.contains("horse") && text.contains("$argon2id$"), "{text}");
    good(at, &["people", "remove", "ci"], "");
    assert!(!good(at, &["people", "list"], "").contains("ci"));
}
