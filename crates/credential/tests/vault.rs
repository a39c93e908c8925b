//! Vault, played after its API documentation (KV version 2, leases, SSH, logins). `real.rs` has what runs against a real server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod played;

use std::{sync::Arc, time::Duration};

use played::{
    Played, Said, Seen, credentials, source,
    vault::{ENVIRONMENT, PlayedVault},
    with,
};
use sallyport_credential::{Credentials, Leased, Need};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::timeout;

const ORDERS: &str = "source = 'vault-database', store = 'prod', role = 'orders-ro'";

fn is_login(seen: &Seen) -> bool {
    seen.path.ends_with("/login")
}

fn is_revocation(seen: &Seen) -> bool {
    seen.is("PUT", "/v1/sys/leases/revoke")
}

fn is_renewal(seen: &Seen) -> bool {
    seen.is("PUT", "/v1/sys/leases/renew")
}

fn is_token_renewal(seen: &Seen) -> bool {
    seen.is("POST", "/v1/auth/token/renew-self")
}

async fn lease(credentials: &Credentials, text: &str) -> Result<Leased, String> {
    let leased = credentials.lease(&source(text), &Need::password()).await;
    leased.map_err(|error| error.to_string())
}

async fn secret(credentials: &Credentials, text: &str) -> Result<String, String> {
    lease(credentials, text)
        .await
        .map(|leased| leased.secret().expose_secret().to_owned())
}

#[tokio::test]
async fn a_secret_of_a_kv_engine_is_read_at_each_lease() {
    let vault = PlayedVault::start().await;
    let put = |path: &str, secret: serde_json::Value| vault.set(|state| state.secrets.insert(path.to_owned(), secret));
    let two = |password: &str| {
        json!({"lease_id": "", "renewable": false, "lease_duration": 0,
        "data": {"data": {"password": password, "login": "app"}, "metadata": {"version": 3, "destroyed": false}}})
    };
    put("/v1/secret/data/db/orders", two("CANARY-1"));
    put(
        "/v1/team/kv/old/a%20b",
        json!({"lease_id": "", "lease_duration": 2764800, "data": {"pw": "CANARY-kv1\n"}}),
    );
    let credentials = credentials(&vault.store(), ENVIRONMENT);
    let new = "source = 'vault-kv', store = 'prod', path = 'db/orders', user_field = 'login'";
    let first = lease(&credentials, new).await.unwrap();
    assert_eq!(
        (first.user(), first.secret().expose_secret()),
        (Some("app"), "CANARY-1")
    );
    assert!(first.expires().is_none());
    // It is rotated, and the next lease has it.
    put("/v1/secret/data/db/orders", two("CANARY-2"));
    assert_eq!(secret(&credentials, new).await.unwrap(), "CANARY-2");
    let old = "source = 'vault-kv', store = 'prod', mount = 'team/kv', path = 'old/a b', field = 'pw', version = 1";
    assert_eq!(secret(&credentials, old).await.unwrap(), "CANARY-kv1");
    // Deleted versions have metadata and no data.
    put(
        "/v1/secret/data/db/orders",
        json!({"data": {"data": null, "metadata": {"version": 4}}}),
    );
    assert!(secret(&credentials, new).await.is_err());
    assert_eq!(vault.http.count(is_login), 1);
}

#[tokio::test]
async fn a_vault_that_is_away_is_an_error_and_never_an_older_secret() {
    let vault = PlayedVault::start().await;
    let path = "/v1/secret/data/x".to_owned();
    vault.set(|state| {
        state
            .secrets
            .insert(path, json!({"data": {"data": {"password": "CANARY-old"}}}))
    });
    let credentials = credentials(&vault.store(), ENVIRONMENT);
    let text = "source = 'vault-kv', store = 'prod', path = 'x'";
    assert!(secret(&credentials, text).await.is_ok());
    for (status, hint) in [
        (503, "unseal"),
        (429, "limits"),
        (500, "log"),
        (404, "deleted"),
        (403, "used up"),
    ] {
        vault.set(|state| state.broken = status);
        let said = secret(&credentials, text).await.unwrap_err();
        assert!(said.contains(hint) && said.contains(&status.to_string()), "{said}");
        assert!(said.contains("Vault `prod`") && !said.contains("CANARY"), "{said}");
    }
    drop(vault);
    let said = secret(&credentials, text).await.unwrap_err();
    assert!(said.contains("cannot be reached"), "{said}");
}

#[tokio::test]
async fn logins_are_shared_by_a_crowd_and_made_anew_when_refused() {
    let vault = PlayedVault::start().await;
    // What a Vault gives if nobody says otherwise: 32 days.
    vault.set(|state| state.token_life = 2_764_800);
    let credentials = Arc::new(credentials(&vault.store(), ENVIRONMENT));
    let crowd: Vec<_> = (0..40)
        .map(|_| {
            let credentials = Arc::clone(&credentials);
            tokio::spawn(async move { lease(&credentials, ORDERS).await.map(Leased::into_parts) })
        })
        .collect();
    let mut users = std::collections::BTreeSet::new();
    let mut held = Vec::new();
    for one in crowd {
        let (user, _, hold) = one.await.unwrap().unwrap();
        users.insert(user.unwrap());
        held.push(hold);
    }
    assert_eq!((users.len(), vault.http.count(is_login)), (40, 1));
    // Somebody revokes the login.
    vault.set(|state| state.tokens.clear());
    assert!(lease(&credentials, ORDERS).await.is_ok());
    assert_eq!(vault.http.count(is_login), 2);
    // Nobody tries for ever: what the new login may not do either is an error.
    vault.set(|state| state.broken = 403);
    let asks = |seen: &Seen| is_login(seen) || seen.path.contains("/creds/");
    let before = vault.http.count(asks);
    assert!(lease(&credentials, ORDERS).await.is_err());
    assert_eq!(vault.http.count(asks) - before, 2);
}

#[tokio::test]
async fn a_rotated_secret_of_the_login_is_used_at_the_next_login() {
    let vault = PlayedVault::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret-id");
    std::fs::write(&file, "wrong\n").unwrap();
    let store = vault
        .store()
        .replace("secret_id_env = \"SECRET_ID\"", &format!("secret_id_file = {file:?}"));
    let credentials = credentials(&store, &[]);
    let said = lease(&credentials, ORDERS).await.unwrap_err();
    assert!(
        said.contains("the login") && said.contains("wrong, used up or expired"),
        "{said}"
    );
    std::fs::write(&file, "CANARY-secret-id\n").unwrap();
    assert!(lease(&credentials, ORDERS).await.is_ok());
}

#[tokio::test]
async fn every_way_to_log_in_works_and_a_namespace_is_named() {
    let vault = PlayedVault::start().await;
    vault.set(|state| {
        state.namespace = "team/a".to_owned();
        state.tokens.insert("CANARY-given".to_owned());
    });
    let dir = tempfile::tempdir().unwrap();
    let pod = dir.path().join("pod");
    std::fs::write(&pod, "CANARY-pod-jwt").unwrap();
    let url = vault.http.url();
    let head = |name: &str, login: &str| {
        format!("[[vault]]\nname = '{name}'\naddress = '{url}'\nnamespace = 'team/a'\nlogin = {{ {login} }}\n")
    };
    let stores = [
        head("a", "method = 'approle', role_id = 'r1', secret_id_env = 'SECRET_ID'"),
        head(
            "k",
            &format!("method = 'kubernetes', role = 'k1', token_file = {pod:?}"),
        ),
        head(
            "j",
            "method = 'jwt', mount = 'some/jwt', role = 'j1', token_env = 'JWT'",
        ),
        head("t", "method = 'token', token_env = 'TOKEN'"),
    ];
    let environment = [
        ("SECRET_ID", "CANARY-secret-id"),
        ("JWT", "CANARY-jwt"),
        ("TOKEN", "CANARY-given"),
    ];
    let credentials = credentials(&stores.concat(), &environment);
    for name in ["a", "k", "j", "t"] {
        let text = ORDERS.replace("prod", name);
        assert!(lease(&credentials, &text).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_given_token_is_read_for_each_lease_and_left_alone() {
    let vault = PlayedVault::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let store = format!(
        "[[vault]]\nname = 'prod'\naddress = '{}'\nlogin = {{ method = 'token', token_file = {file:?} }}",
        vault.http.url()
    );
    let credentials = credentials(&store, &[]);
    assert!(lease(&credentials, ORDERS).await.unwrap_err().contains("cannot read"));
    for token in ["CANARY-one", "CANARY-two"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        assert!(lease(&credentials, ORDERS).await.unwrap_err().contains("403"));
        vault.set(|state| state.tokens.insert(token.to_owned()));
        drop(lease(&credentials, ORDERS).await.unwrap());
        vault.set(|state| state.tokens.remove(token));
    }
    vault.http.until(2, is_revocation).await;
    assert_eq!(credentials.background().drained(Duration::from_secs(20)).await, 0);
    assert_eq!(vault.http.count(|seen| seen.path.contains("-self")), 0);
}

#[tokio::test]
async fn a_user_is_renewed_while_held_and_ended_when_released() {
    let vault = PlayedVault::start().await;
    vault.set(|state| {
        state.lease_life = 2;
        // Whatever is in an id, it goes back as it came.
        state.odd = "../../sys/seal?x=\"é\\ \u{1}#".to_owned();
    });
    let credentials = credentials(&vault.store(), ENVIRONMENT);
    let (user, password, mut hold) = lease(&credentials, ORDERS).await.unwrap().into_parts();
    assert!(user.unwrap().starts_with("v-approle-orders-"));
    assert!(password.expose_secret().starts_with("CANARY-password-"));
    let first = hold.expires().unwrap();
    vault.http.until(2, is_renewal).await;
    assert!(hold.expires().unwrap() > first);
    assert!(timeout(Duration::from_millis(10), hold.lost()).await.is_err());
    assert_eq!(vault.http.count(is_revocation), 0);
    drop(hold);
    vault.http.until(1, is_revocation).await;
    assert_eq!(vault.set(|state| state.leases.len()), 0);
    // And the login goes with the last who needs it.
    let background = credentials.background().clone();
    drop(credentials);
    vault
        .http
        .until(1, |seen| seen.is("POST", "/v1/auth/token/revoke-self"))
        .await;
    assert_eq!(background.drained(Duration::from_secs(20)).await, 0);
    assert_eq!(vault.set(|state| state.tokens.len()), 0);
}

#[tokio::test]
async fn ending_a_user_is_tried_again_and_given_up_when_its_time_is_over() {
    let vault = PlayedVault::start().await;
    let credentials = credentials(&vault.store(), ENVIRONMENT);
    let leased = lease(&credentials, ORDERS).await.unwrap();
    vault.set(|state| state.broken = 503);
    drop(leased);
    vault.http.until(2, is_revocation).await;
    vault.set(|state| state.broken = 0);
    vault.http.until(3, is_revocation).await;
    assert_eq!(credentials.background().drained(Duration::from_secs(20)).await, 0);
    assert_eq!(vault.set(|state| state.leases.len()), 0);
    // A lease of a second, at a Vault that stays away.
    vault.set(|state| state.lease_life = 1);
    let leased = lease(&credentials, ORDERS).await.unwrap();
    vault.set(|state| state.broken = 500);
    drop(leased);
    assert_eq!(credentials.background().drained(Duration::from_secs(20)).await, 0);
    assert!(vault.http.count(is_revocation) <= 6);
}

#[tokio::test]
async fn who_holds_a_user_is_told_when_it_is_lost() {
    let vault = PlayedVault::start().await;
    vault.set(|state| state.lease_life = 2);
    let credentials = credentials(&vault.store(), ENVIRONMENT);
    // Somebody ends it at the Vault.
    let (_, _, mut hold) = lease(&credentials, ORDERS).await.unwrap().into_parts();
    vault.set(|state| state.leases.clear());
    timeout(Duration::from_secs(20), hold.lost()).await.unwrap();
    // It cannot be renewed.
    vault.set(|state| state.lease_renewable = false);
    let (_, _, mut hold) = lease(&credentials, ORDERS).await.unwrap().into_parts();
    timeout(Duration::from_secs(20), hold.lost()).await.unwrap();
    // The Vault stays away.
    vault.set(|state| state.lease_renewable = true);
    let (_, _, mut hold) = lease(&credentials, ORDERS).await.unwrap().into_parts();
    vault.set(|state| state.broken = 503);
    timeout(Duration::from_secs(20), hold.lost()).await.unwrap();
    // What a Vault does not know any more is ended all the same; what is over is not.
    assert_eq!(vault.http.count(is_revocation), 1);
}

#[tokio::test]
async fn a_login_is_renewed_for_whoever_holds_a_user() {
    let vault = PlayedVault::start().await;
    vault.set(|state| state.token_life = 3);
    let credentials = credentials(&vault.store(), ENVIRONMENT);
    let held = lease(&credentials, ORDERS).await.unwrap();
    vault.http.until(3, is_token_renewal).await;
    let more = lease(&credentials, ORDERS).await.unwrap();
    assert_eq!(vault.http.count(is_login), 1);
    // One that cannot be renewed is replaced before a user would end with it.
    drop((held, more));
    vault.set(|state| {
        state.token_renewable = false;
        state.tokens.clear();
        state.leases.clear();
    });
    let _held = lease(&credentials, ORDERS).await.unwrap();
    let logins = vault.http.count(is_login);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    let _more = lease(&credentials, ORDERS).await.unwrap();
    assert_eq!(vault.http.count(is_login), logins + 1);
    assert_eq!(vault.set(|state| state.leases.len()), 2);
}

#[tokio::test]
async fn a_user_that_nobody_waits_for_any_more_is_ended() {
    let vault = PlayedVault::start().await;
    let credentials = Arc::new(credentials(&vault.store(), ENVIRONMENT));
    let caller = {
        let credentials = Arc::clone(&credentials);
        tokio::spawn(async move { lease(&credentials, ORDERS).await.map(drop) })
    };
    // The caller goes while the Vault is at work.
    vault.http.until(1, is_login).await;
    caller.abort();
    let _ = caller.await;
    vault
        .http
        .until(1, |seen| seen.path.ends_with("/creds/orders-ro"))
        .await;
    vault.http.until(1, is_revocation).await;
    assert_eq!(credentials.background().drained(Duration::from_secs(20)).await, 0);
    assert_eq!(vault.set(|state| state.leases.len()), 0);
}

#[tokio::test]
async fn a_static_role_has_no_lease() {
    let vault = PlayedVault::start().await;
    let credentials = credentials(&vault.store(), ENVIRONMENT);
    let text = "source = 'vault-database', store = 'prod', role = 'orders', static_role = true";
    let leased = lease(&credentials, text).await.unwrap();
    assert_eq!(
        (leased.user(), leased.secret().expose_secret()),
        (Some("orders"), "CANARY-static")
    );
    assert!(leased.expires().is_some());
    drop(leased);
    assert_eq!(vault.http.count(is_revocation), 0);
}

#[tokio::test]
async fn a_key_is_signed_for_whom_the_session_logs_in_as() {
    let vault = PlayedVault::start().await;
    let dir = tempfile::tempdir().unwrap();
    let key = sallyport_testbed::SshKey::generate(&dir.path().join("id"), sallyport_testbed::KeyKind::Ed25519).unwrap();
    let authority = sallyport_testbed::SshAuthority::generate(&dir.path().join("ca")).unwrap();
    vault.set(|state| state.authority = Some((authority, dir)));
    let credentials = credentials(&vault.store(), ENVIRONMENT);
    let sign = source("source = 'vault-ssh', store = 'prod', role = 'deploy', ttl_s = 120");
    let need = Need::certificate(key.public());
    let leased = credentials.lease(&sign, &need.clone().as_user("deploy")).await.unwrap();
    let certificate = leased.secret().expose_secret();
    assert!(
        certificate.starts_with("ssh-ed25519-cert-v01@openssh.com "),
        "{certificate}"
    );
    let left = leased.expires().unwrap() - tokio::time::Instant::now();
    assert!(left <= Duration::from_secs(120));
    let asked = vault
        .http
        .seen()
        .into_iter()
        .find(|seen| seen.path == "/v1/ssh/sign/deploy")
        .unwrap();
    assert_eq!(asked.json().get("valid_principals"), Some(&json!("deploy")));
    // Two for the price of one, everybody, nobody, and something that is no certificate.
    for need in [
        need.clone().as_user("deploy,root"),
        need.clone().as_user("*"),
        need.clone(),
        Need::password(),
    ] {
        assert!(credentials.lease(&sign, &need).await.is_err(), "{need:?}");
    }
    assert_eq!(vault.http.count(|seen| seen.path == "/v1/ssh/sign/deploy"), 1);
}

#[tokio::test]
async fn a_hostile_vault_is_endured() {
    let within = Duration::from_millis(500);
    let good = json!({"auth": {"client_token": "CANARY-t", "lease_duration": u64::MAX, "renewable": true}});
    type Case = (&'static str, fn() -> Said);
    let answers: [Case; 11] = [
        ("more than", || Said::Endless),
        ("did not answer", || Said::Nothing),
        ("redirect", || Said::To("http://127.0.0.1:1/steal".to_owned())),
        ("not understood", || {
            Said::Status(200, "{\"data\": \"CANARY\"".to_owned())
        }),
        ("not understood", || Said::Status(200, "[".repeat(100_000))),
        ("not understood", || {
            Said::ok(&json!({"data": {"username": "u", "password": "CANARY"}}))
        }),
        ("not understood", || {
            Said::ok(
                &json!({"lease_id": "x".repeat(5000), "lease_duration": 1, "data": {"username": "u", "password": "p"}}),
            )
        }),
        ("not understood", || {
            Said::ok(&json!({"lease_id": "l", "lease_duration": 60, "data": {"username": "u"}}))
        }),
        ("ends at once", || {
            Said::ok(&json!({"lease_id": "l", "lease_duration": 0, "data": {"username": "u", "password": "CANARY"}}))
        }),
        ("several lines", || {
            Said::ok(&json!({"lease_id": "l", "lease_duration": 60, "data": {"username": "u", "password": "a\nb"}}))
        }),
        ("HTTP 418", || Said::no(418)),
    ];
    for (hint, say) in answers {
        let good = good.clone();
        let played = Played::start(move |seen| if is_login(seen) { Said::ok(&good) } else { say() }).await;
        let store = format!(
            "[[vault]]\nname = 'prod'\naddress = '{}'\nlogin = {{ method = 'approle', role_id = 'r', secret_id_env = 'SECRET_ID' }}",
            played.url()
        );
        let credentials = with(&store, ENVIRONMENT, |options| options.within = within);
        let said = timeout(Duration::from_secs(10), lease(&credentials, ORDERS))
            .await
            .unwrap()
            .unwrap_err();
        assert!(said.contains(hint), "{hint}: {said}");
        assert!(!said.contains("CANARY"), "{said}");
        // The login itself may be hostile, too.
        let played = Played::start(move |_| say()).await;
        let store = store.replace(&credentials_address(&store), &played.url());
        let credentials = with(&store, ENVIRONMENT, |options| options.within = within);
        let said = timeout(Duration::from_secs(10), lease(&credentials, ORDERS))
            .await
            .unwrap()
            .unwrap_err();
        assert!(!said.contains("CANARY"), "{said}");
    }
}

fn credentials_address(store: &str) -> String {
    store.split('\'').nth(3).unwrap().to_owned()
}

#[tokio::test]
async fn a_user_that_came_without_a_password_or_time_is_ended() {
    for (life, data) in [
        (60, json!({"username": "u"})),
        (0, json!({"username": "u", "password": "p"})),
    ] {
        without(life, data).await;
    }
}

async fn without(life: u64, data: serde_json::Value) {
    let played = Played::start(move |seen| {
        if is_login(seen) {
            Said::ok(&json!({"auth": {"client_token": "t", "lease_duration": 60, "renewable": false}}))
        } else if is_revocation(seen) {
            Said::Status(204, String::new())
        } else {
            Said::ok(&json!({"lease_id": "l", "lease_duration": life, "data": data}))
        }
    })
    .await;
    let store = format!(
        "[[vault]]\nname = 'prod'\naddress = '{}'\nlogin = {{ method = 'approle', role_id = 'r', secret_id_env = 'SECRET_ID' }}",
        played.url()
    );
    let credentials = credentials(&store, ENVIRONMENT);
    assert!(lease(&credentials, ORDERS).await.is_err());
    played.until(1, is_revocation).await;
}

#[tokio::test]
async fn only_the_authorities_of_the_file_are_trusted_and_the_file_is_read_again() {
    let authority = sallyport_testbed::Authority::new().unwrap();
    let other = sallyport_testbed::Authority::new().unwrap();
    let issued = authority.server(&["localhost"]).unwrap();
    let (address, _) = played::start_tls(&issued, |_| {
        Said::ok(&json!({"data": {"data": {"password": "CANARY"}}}))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let store = format!(
        "[[vault]]\nname = 'prod'\naddress = 'https://localhost:{}'\nca_file = {file:?}\n\
         login = {{ method = 'token', token_env = 'TOKEN' }}",
        address.port()
    );
    let text = "source = 'vault-kv', store = 'prod', path = 'x'";
    let made = credentials(&store, &[("TOKEN", "t")]);
    assert!(secret(&made, text).await.unwrap_err().contains("authorities"));
    std::fs::write(&file, other.certificate()).unwrap();
    assert!(secret(&made, text).await.unwrap_err().contains("cannot be reached"));
    std::fs::write(&file, authority.certificate()).unwrap();
    assert_eq!(secret(&made, text).await.unwrap(), "CANARY");
    // The system does not trust it, and neither do we without the file.
    let without = store.replace(&format!("ca_file = {file:?}\n"), "");
    let made = credentials(&without, &[("TOKEN", "t")]);
    assert!(secret(&made, text).await.unwrap_err().contains("cannot be reached"));
}
