//! AWS, Azure, Google and Kubernetes, played after their documentation. `real.rs` has moto.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, reason = "tests")]

mod played;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use played::{Played, Said, Seen, credentials, source};
use sallyport_credential::{Credentials, Leased, Need};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

async fn lease(credentials: &Credentials, text: &str, need: &Need) -> Result<Leased, String> {
    credentials
        .lease(&source(text), need)
        .await
        .map_err(|error| error.to_string())
}

async fn secret(credentials: &Credentials, text: &str) -> Result<String, String> {
    let leased = lease(credentials, text, &Need::password()).await;
    leased.map(|leased| leased.secret().expose_secret().to_owned())
}

/// Something that a test changes while a service is played.
fn shared<T>(value: T) -> (Arc<Mutex<T>>, Arc<Mutex<T>>) {
    let one = Arc::new(Mutex::new(value));
    (Arc::clone(&one), one)
}

const AWS_SECRET: &str =
    "source = 'aws-secret', store = 'main', secret = 'prod/orders', field = 'password', user_field = 'username'";

/// Secrets Manager and the metadata services of machines and containers.
fn aws(keys: &Arc<Mutex<&'static str>>) -> impl Fn(&Seen) -> Said + Send + Sync + use<> {
    let keys = Arc::clone(keys);
    move |seen| {
        let key = *keys.lock().unwrap();
        let from_metadata = json!({"Code": "Success", "AccessKeyId": key, "SecretAccessKey": "CANARY-sk", "Token": "CANARY-st",
            "Expiration": "2999-01-01T00:00:00Z"});
        match (seen.method.as_str(), seen.path.as_str()) {
            ("PUT", "/latest/api/token") if seen.header("x-aws-ec2-metadata-token-ttl-seconds") == "60" => {
                Said::Status(200, "imds-token".to_owned())
            }
            ("GET", path) if path.starts_with("/latest/meta-data/iam/security-credentials/") => {
                if seen.header("x-aws-ec2-metadata-token") != "imds-token" {
                    return Said::no(401);
                }
                match path.rsplit('/').next() {
                    Some("") => Said::Status(200, "my role\n".to_owned()),
                    Some("my%20role") => Said::ok(&from_metadata),
                    _ => Said::no(404),
                }
            }
            ("GET", "/v1/credentials?x=1") if seen.header("authorization") == "CANARY-pod" => Said::ok(&from_metadata),
            ("POST", "/") => secrets_manager(seen, key),
            _ => Said::no(404),
        }
    }
}

fn secrets_manager(seen: &Seen, key: &str) -> Said {
    let date = seen.header("x-amz-date");
    let (day, _) = date.split_once('T').unwrap();
    let scope = format!("Credential={key}/{day}/eu-central-1/secretsmanager/aws4_request, ");
    let signed = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, ";
    let start = format!("AWS4-HMAC-SHA256 {scope}{signed}Signature=");
    let signature = seen.header("authorization").strip_prefix(&start);
    let fault = |kind: &str| Said::Status(400, json!({"__type": kind, "Message": "CANARY-message"}).to_string());
    if signature.is_none_or(|hex| hex.len() != 64) || seen.header("x-amz-security-token") != "CANARY-st" {
        return fault("com.amazonaws.secretsmanager#UnrecognizedClientException");
    }
    if seen.header("x-amz-target") != "secretsmanager.GetSecretValue"
        || seen.json() != json!({"SecretId": "prod/orders"})
    {
        return fault("ResourceNotFoundException");
    }
    let text = json!({"username": "app", "password": "CANARY-aws", "port": 5432}).to_string();
    Said::ok(&json!({"ARN": "arn:x", "Name": "prod/orders", "VersionId": "v", "SecretString": text}))
}

#[tokio::test]
async fn keys_of_a_machine_sign_and_are_replaced_when_refused() {
    let (keys, set) = shared("ASIAONE");
    let played = Played::start(aws(&keys)).await;
    let store = format!(
        "[[aws]]\nname = 'main'\nregion = 'eu-central-1'\nendpoint = '{0}'\nmetadata_endpoint = '{0}'\n\
         login = {{ method = 'instance' }}",
        played.url()
    );
    let credentials = credentials(&store, &[]);
    for _ in 0..3 {
        let leased = lease(&credentials, AWS_SECRET, &Need::password()).await.unwrap();
        assert_eq!(
            (leased.user(), leased.secret().expose_secret()),
            (Some("app"), "CANARY-aws")
        );
    }
    let logins = |seen: &Seen| seen.path == "/latest/api/token";
    assert_eq!(played.count(logins), 1);
    *set.lock().unwrap() = "ASIATWO";
    assert_eq!(secret(&credentials, AWS_SECRET).await.unwrap(), "CANARY-aws");
    assert_eq!(played.count(logins), 2);
    let said = secret(&credentials, &AWS_SECRET.replace("prod/orders", "other"))
        .await
        .unwrap_err();
    assert!(said.contains("no such secret") && !said.contains("CANARY"), "{said}");
    let said = secret(&credentials, &AWS_SECRET.replace("'password'", "'absent'"))
        .await
        .unwrap_err();
    assert!(
        said.contains("the field `absent`") && !said.contains("CANARY"),
        "{said}"
    );
}

#[tokio::test]
async fn keys_of_a_container_sign() {
    let (keys, _) = shared("ASIAONE");
    let played = Played::start(aws(&keys)).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "CANARY-pod").unwrap();
    let store = format!(
        "[[aws]]\nname = 'main'\nregion = 'eu-central-1'\nendpoint = '{}'\nlogin = {{ method = 'container' }}",
        played.url()
    );
    let full = format!("{}/v1/credentials?x=1", played.url());
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
    ];
    assert_eq!(
        secret(&credentials(&store, &environment), AWS_SECRET).await.unwrap(),
        "CANARY-aws"
    );
    let elsewhere = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/x")];
    let said = secret(&credentials(&store, &elsewhere), AWS_SECRET).await.unwrap_err();
    assert!(said.contains("neither AWS's"), "{said}");
    assert!(secret(&credentials(&store, &[]), AWS_SECRET).await.is_err());
}

#[tokio::test]
async fn a_clock_that_is_off_is_said_to_be() {
    let fault = json!({"__type": "InvalidSignatureException", "message": "Signature expired: CANARY"}).to_string();
    let played = Played::start(move |_| Said::Status(400, fault.clone())).await;
    let store = format!(
        "[[aws]]\nname = 'main'\nregion = 'eu-central-1'\nendpoint = '{}'\nlogin = {{ method = 'environment' }}",
        played.url()
    );
    let environment = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "CANARY-sk")];
    let said = secret(&credentials(&store, &environment), AWS_SECRET)
        .await
        .unwrap_err();
    assert!(said.contains("clock") && !said.contains("CANARY"), "{said}");
    assert!(
        secret(&credentials(&store, &[]), AWS_SECRET)
            .await
            .unwrap_err()
            .contains("AWS_ACCESS_KEY_ID")
    );
}

#[tokio::test]
async fn keys_that_have_expired_by_our_clock_are_not_kept() {
    let played = Played::start(|seen| match seen.path.as_str() {
        "/latest/api/token" => Said::Status(200, "t".to_owned()),
        "/latest/meta-data/iam/security-credentials/" => Said::Status(200, "r".to_owned()),
        "/" => Said::ok(&json!({"SecretString": "CANARY"})),
        _ => Said::ok(&json!({"AccessKeyId": "A", "SecretAccessKey": "s", "Expiration": "2001-01-01T00:00:00Z"})),
    })
    .await;
    let store = format!(
        "[[aws]]\nname = 'main'\nregion = 'eu-central-1'\nendpoint = '{0}'\nmetadata_endpoint = '{0}'\n\
         login = {{ method = 'instance' }}",
        played.url()
    );
    let credentials = credentials(&store, &[]);
    let text = "source = 'aws-secret', store = 'main', secret = 'x'";
    for _ in 0..2 {
        assert_eq!(secret(&credentials, text).await.unwrap(), "CANARY");
    }
    assert_eq!(played.count(|seen| seen.path == "/latest/api/token"), 2);
}

#[tokio::test]
async fn a_token_for_rds_is_for_one_user_at_one_database() {
    let store = "[[aws]]\nname = 'main'\nlogin = { method = 'environment' }";
    let environment = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "CANARY-sk"),
        ("AWS_SESSION_TOKEN", "CANARY+st="),
    ];
    let credentials = credentials(store, &environment);
    let need = Need::password().as_user("app&Action=x").at("db.example.com", 5432);
    let text = "source = 'aws-rds-token', store = 'main'";
    let leased = lease(&credentials, text, &need).await.unwrap();
    let token = leased.secret().expose_secret();
    assert!(
        token.starts_with("db.example.com:5432/?Action=connect&DBUser=app%26Action%3Dx&X-Amz-"),
        "{token}"
    );
    assert!(token.contains("%2Feu-central-1%2Frds-db%2Faws4_request&") && token.contains("X-Amz-Expires=900"));
    assert!(token.contains("X-Amz-Security-Token=CANARY%2Bst%3D&"), "{token}");
    assert!(leased.expires().unwrap() <= tokio::time::Instant::now() + Duration::from_secs(900));
    let other =
        "source = 'aws-rds-token', store = 'main', host = 'other.example.com', port = 3306, region = 'us-east-1'";
    let leased = lease(&credentials, other, &need).await.unwrap();
    let token = leased.secret().expose_secret();
    assert!(
        token.starts_with("other.example.com:3306/?") && token.contains("us-east-1"),
        "{token}"
    );
    for need in [Need::password(), Need::password().as_user("app"), need.at("a/b", 1)] {
        assert!(lease(&credentials, text, &need).await.is_err(), "{need:?}");
    }
}

const AZURE_SECRET: &str = "source = 'azure-secret', store = 'kv', secret = 'orders'";

fn azure(
    token: &Arc<Mutex<&'static str>>,
    value: &Arc<Mutex<&'static str>>,
) -> impl Fn(&Seen) -> Said + Send + Sync + use<> {
    let (token, value) = (Arc::clone(token), Arc::clone(value));
    move |seen| {
        let token = *token.lock().unwrap();
        let machine = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";
        let form = seen.form();
        let has = |name: &str, value: &str| form.iter().any(|(n, v)| n == name && v == value);
        let scoped = has("grant_type", "client_credentials")
            && has("scope", "https://vault.azure.net/.default")
            && has("client_id", "app-1");
        let given = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3599});
        match (seen.method.as_str(), seen.path.as_str()) {
            ("GET", path) if path == machine && seen.header("metadata") == "true" => Said::ok(
                &json!({"access_token": token, "expires_in": "3599", "expires_on": "1700000000", "resource": "x"}),
            ),
            ("POST", "/tenant-1/oauth2/v2.0/token") if scoped && has("client_secret", "CANARY-cs") => Said::ok(&given),
            ("POST", "/tenant-1/oauth2/v2.0/token")
                if scoped
                    && has("client_assertion", "CANARY-jwt")
                    && has(
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ) =>
            {
                Said::ok(&given)
            }
            ("GET", "/secrets/orders?api-version=7.4" | "/secrets/orders/abc123?api-version=7.4") => {
                if seen.header("authorization") != format!("Bearer {token}") {
                    return Said::no(401);
                }
                Said::ok(&json!({"value": *value.lock().unwrap(), "id": "x", "attributes": {"enabled": true}}))
            }
            ("GET", "/secrets/forbidden?api-version=7.4") => Said::no(403),
            _ => Said::no(400),
        }
    }
}

#[tokio::test]
async fn a_key_vault_is_read_with_each_kind_of_identity() {
    let (token, set_token) = shared("CANARY-t1");
    let (value, set_value) = shared("CANARY-v1");
    let played = Played::start(azure(&token, &value)).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwt");
    std::fs::write(&file, "CANARY-jwt\n").unwrap();
    let environment = [
        ("AZURE_TENANT_ID", "tenant-1"),
        ("AZURE_CLIENT_ID", "app-1"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ("CS", "CANARY-cs"),
    ];
    for login in [
        "method = 'managed-identity'",
        "method = 'workload-identity'",
        "method = 'client-secret', tenant = 'tenant-1', client_id = 'app-1', client_secret_env = 'CS'",
    ] {
        *set_token.lock().unwrap() = "CANARY-t1";
        *set_value.lock().unwrap() = "CANARY-v1";
        let store = format!(
            "[[azure]]\nname = 'kv'\nvault = '{0}'\nauthority = '{0}'\nmetadata_endpoint = '{0}'\nlogin = {{ {login} }}",
            played.url()
        );
        let credentials = credentials(&store, &environment);
        assert_eq!(
            secret(&credentials, AZURE_SECRET).await.unwrap(),
            "CANARY-v1",
            "{login}"
        );
        *set_value.lock().unwrap() = "CANARY-v2";
        let logins = played.count(|seen| seen.path.contains("oauth2"));
        assert_eq!(
            secret(&credentials, AZURE_SECRET).await.unwrap(),
            "CANARY-v2",
            "{login}"
        );
        assert_eq!(played.count(|seen| seen.path.contains("oauth2")), logins);
        // The token is taken back.
        *set_token.lock().unwrap() = "CANARY-t2";
        let versioned = format!("{AZURE_SECRET}, version = 'abc123'");
        assert_eq!(secret(&credentials, &versioned).await.unwrap(), "CANARY-v2", "{login}");
        let said = secret(&credentials, &AZURE_SECRET.replace("orders", "forbidden"))
            .await
            .unwrap_err();
        assert!(
            said.contains("Key Vault Secrets User") && !said.contains("CANARY"),
            "{said}"
        );
    }
}

const GOOGLE_SECRET: &str = "source = 'google-secret', store = 'g', project = 'p-1', secret = 'orders', field = 'pw'";

#[tokio::test]
async fn secret_manager_is_read_with_the_identity_of_a_machine_or_a_key() {
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&key).as_ref().to_vec();
    let private = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let lines = STANDARD.encode(private.as_ref());
    let lines: Vec<&str> = lines
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    );
    let (sum, set_sum) = shared("");
    let played = Played::start(move |seen| google(seen, &public, *sum.lock().unwrap())).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.json");
    let token_uri = format!("{}/token", played.url());
    let text = json!({"type": "service_account", "client_email": "sa@p-1.example", "private_key": pem,
        "private_key_id": "k1", "token_uri": token_uri});
    std::fs::write(&file, text.to_string()).unwrap();
    for login in [
        "method = 'metadata'".to_owned(),
        format!("method = 'key', key_file = {file:?}"),
    ] {
        *set_sum.lock().unwrap() = "";
        let store = format!(
            "[[google]]\nname = 'g'\nendpoint = '{0}'\nmetadata_endpoint = '{0}'\nlogin = {{ {login} }}",
            played.url()
        );
        let credentials = credentials(&store, &[]);
        for _ in 0..2 {
            assert_eq!(
                secret(&credentials, GOOGLE_SECRET).await.unwrap(),
                "CANARY-g",
                "{login}"
            );
        }
        let regional = format!("{GOOGLE_SECRET}, location = 'europe-west3', version = '7'");
        assert_eq!(secret(&credentials, &regional).await.unwrap(), "CANARY-g", "{login}");
        *set_sum.lock().unwrap() = "12345";
        let said = secret(&credentials, GOOGLE_SECRET).await.unwrap_err();
        assert!(said.contains("checksum") && !said.contains("CANARY"), "{said}");
    }
    assert_eq!(played.count(|seen| seen.path.ends_with("/token")), 2);
    // A key's file does not send what it signed elsewhere.
    std::fs::write(
        &file,
        text.to_string().replace(&token_uri, "https://evil.example/token"),
    )
    .unwrap();
    let store = format!("[[google]]\nname = 'g'\nlogin = {{ method = 'key', key_file = {file:?} }}");
    let said = secret(&credentials(&store, &[]), GOOGLE_SECRET).await.unwrap_err();
    assert!(said.contains("googleapis.com") && !said.contains("PRIVATE"), "{said}");
}

fn google(seen: &Seen, public: &[u8], sum: &str) -> Said {
    let given = json!({"access_token": "CANARY-gt", "expires_in": 3599, "token_type": "Bearer"});
    let secret = b"{\"pw\": \"CANARY-g\"}";
    let good = "2211714607";
    let sum = if sum.is_empty() { good } else { sum };
    match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/computeMetadata/v1/instance/service-accounts/default/token")
            if seen.header("metadata-flavor") == "Google" =>
        {
            Said::ok(&given)
        }
        ("POST", "/token") => {
            let form = seen.form();
            let field = |name: &str| {
                form.iter()
                    .find(|(n, _)| n == name)
                    .map(|(_, v)| v.clone())
                    .unwrap_or_default()
            };
            let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
            rules.set_audience(&[format!("http://{}/token", seen.header("host"))]);
            rules.set_issuer(&["sa@p-1.example"]);
            rules.set_required_spec_claims(&["exp", "aud", "iss"]);
            let key = jsonwebtoken::DecodingKey::from_rsa_der(public);
            let claims = jsonwebtoken::decode::<Value>(field("assertion"), &key, &rules);
            let scope = "https://www.googleapis.com/auth/cloud-platform";
            let right = |claims: &Value| claims.get("scope").is_some_and(|found| found == scope);
            let kind = field("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer";
            match claims {
                Ok(token) if kind && right(&token.claims) && token.header.kid.as_deref() == Some("k1") => {
                    Said::ok(&given)
                }
                _ => Said::no(400),
            }
        }
        (
            "GET",
            "/v1/projects/p-1/secrets/orders/versions/latest:access"
            | "/v1/projects/p-1/locations/europe-west3/secrets/orders/versions/7:access",
        ) if seen.header("authorization") == "Bearer CANARY-gt" => Said::ok(&json!({
            "name": "projects/1/secrets/orders/versions/7",
            "payload": {"data": STANDARD.encode(secret), "dataCrc32c": sum},
        })),
        _ => Said::no(404),
    }
}

#[tokio::test]
async fn a_secret_of_kubernetes_is_read_with_the_token_of_the_moment() {
    let authority = sallyport_testbed::Authority::new().unwrap();
    let issued = authority.server(&["localhost"]).unwrap();
    let (token, set_token) = shared("CANARY-k1");
    let (address, _) = played::start_tls(&issued, move |seen| {
        if seen.header("authorization") != format!("Bearer {}", *token.lock().unwrap()) {
            return Said::no(401);
        }
        if !seen.is("GET", "/api/v1/namespaces/shop/secrets/orders-db") {
            return Said::no(404);
        }
        Said::ok(
            &json!({"kind": "Secret", "apiVersion": "v1", "type": "Opaque", "data": {
                "password": STANDARD.encode("CANARY-kp\n"), "user": STANDARD.encode("app"),
                "binary": STANDARD.encode([0xff, 0xfe]), "odd": "%%%",
            }}),
        )
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (ca, file) = (dir.path().join("ca.crt"), dir.path().join("token"));
    std::fs::write(&ca, authority.certificate()).unwrap();
    std::fs::write(&file, "CANARY-k1").unwrap();
    let port = address.port().to_string();
    // As in a pod, but for the files.
    let store = format!("[[kubernetes]]\nname = 'here'\nca_file = {ca:?}\ntoken_file = {file:?}");
    let environment = [
        ("KUBERNETES_SERVICE_HOST", "localhost"),
        ("KUBERNETES_SERVICE_PORT", port.as_str()),
    ];
    let credentials = credentials(&store, &environment);
    let text =
        "source = 'kubernetes-secret', store = 'here', namespace = 'shop', secret = 'orders-db', user_key = 'user'";
    let leased = lease(&credentials, text, &Need::password()).await.unwrap();
    assert_eq!(
        (leased.user(), leased.secret().expose_secret()),
        (Some("app"), "CANARY-kp")
    );
    *set_token.lock().unwrap() = "CANARY-k2";
    assert!(secret(&credentials, text).await.unwrap_err().contains("401"));
    std::fs::write(&file, "CANARY-k2\n").unwrap();
    assert_eq!(secret(&credentials, text).await.unwrap(), "CANARY-kp");
    for (key, hint) in [("binary", "not text"), ("odd", "not base64"), ("absent", "no such key")] {
        let said = secret(&credentials, &format!("{text}, key = '{key}'"))
            .await
            .unwrap_err();
        assert!(said.contains(hint) && !said.contains("CANARY"), "{said}");
    }
}
