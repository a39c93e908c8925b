//! A provider that somebody tampered with, or that is unwell: nothing it says moves us elsewhere, fills our memory, or
//! makes us hammer it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod gateway;

use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::Gateway;
use sallyport_identity::LoginError;
use sallyport_identity::messages::{OidcLogin, ProviderInfo};
use sallyport_identity::oidc::flow::Flow;
use sallyport_identity::oidc::{OidcError, TokenFault};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// What the provider answers to a path: status, extra header lines, body.
type Answers = Arc<Mutex<Box<dyn Fn(&str, &str) -> (u16, String, String) + Send>>>;

struct Provider {
    issuer: String,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    async fn start(answer: impl Fn(&str, &str) -> (u16, String, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let answers: Answers = Arc::new(Mutex::new(Box::new(answer)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let provider = Self {
            issuer: issuer.clone(),
            answers: Arc::clone(&answers),
            asked: Arc::clone(&asked),
        };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !whole(&head) && stream.read_buf(&mut head).await.unwrap() > 0 {}
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                asked.lock().unwrap().push(path.clone());
                let (status, headers, body) = answers.lock().unwrap()(&issuer, &path);
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
                    body.len()
                );
                // A client that has read enough hangs up.
                let _enough = stream.write_all(answer.as_bytes()).await;
            }
        });
        provider
    }

    fn now_answers(&self, answer: impl Fn(&str, &str) -> (u16, String, String) + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answer);
    }

    fn times_asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|p| *p == path).count()
    }

    async fn begin(&self) -> Result<Flow, String> {
        let info = ProviderInfo {
            name: "default".into(),
            issuer: self.issuer.clone(),
            client_id: "sallyport".into(),
            scopes: vec!["openid".into()],
            hosts: vec![],
            device: false,
            acr: vec![],
            max_age_s: None,
        };
        Flow::begin(info, "n".into(), None).await.map_err(|e| e.to_string())
    }

    async fn gateway(&self) -> Gateway {
        let config = format!("issuer = \"{}\"\nclient_id = \"sallyport\"\n", self.issuer);
        Gateway::with(vec![toml::from_str(&config).unwrap()]).await
    }
}

/// Whether a request has come to its end, with its form if it has one.
fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest);
    let length = length.split("\r\n").next().unwrap();
    body.len() >= length.parse().unwrap()
}

fn document(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
    })
}

fn ok(body: &impl ToString) -> (u16, String, String) {
    (200, String::new(), body.to_string())
}

fn well(keys: Value) -> impl Fn(&str, &str) -> (u16, String, String) + Send {
    move |issuer, path| match path {
        "/.well-known/openid-configuration" => ok(&document(issuer)),
        "/jwks" => ok(&keys),
        _ => (404, String::new(), String::new()),
    }
}

fn keys(kid: &str) -> Value {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = key.public_key().as_ref();
    let (x, y) = (
        URL_SAFE_NO_PAD.encode(&point[1..33]),
        URL_SAFE_NO_PAD.encode(&point[33..65]),
    );
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y }] })
}

/// Presents a token that nobody signed: with a known key the signature is what is wrong with it.
async fn present(gateway: &Gateway, kid: &str) -> LoginError {
    let header = json!({ "alg": "ES256", "kid": kid }).to_string();
    let token = format!(
        "{}.e30.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode([1; 64])
    );
    let nonce = gateway.ids.auth_config().unwrap().nonce;
    let id_token = SecretString::from(token).into();
    gateway
        .ids
        .login_oidc(&OidcLogin {
            provider: None,
            id_token,
            nonce,
        })
        .await
        .unwrap_err()
}

fn fault(error: &LoginError) -> Option<&TokenFault> {
    if let LoginError::Oidc(OidcError::Token(fault)) = error {
        Some(fault)
    } else {
        None
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let provider = Provider::start(|issuer, path| match path {
        "/elsewhere" => ok(&document(issuer)),
        _ => (302, format!("Location: {issuer}/elsewhere\r\n"), String::new()),
    })
    .await;
    let error = provider.begin().await.unwrap_err();
    assert!(error.contains("302"), "{error}");
    assert_eq!(provider.times_asked("/elsewhere"), 0);
}

#[tokio::test]
async fn documents_have_a_largest_size() {
    let long = "x".repeat(1 << 20);
    let provider = Provider::start(move |issuer, _| {
        let mut document = document(issuer);
        document["more"] = json!(long);
        ok(&document)
    })
    .await;
    let error = provider.begin().await.unwrap_err();
    assert!(error.contains("longer than"), "{error}");

    let many = json!({ "keys": [], "more": "x".repeat(1 << 20) });
    provider.now_answers(well(many));
    let error = present(&provider.gateway().await, "k").await.to_string();
    assert!(error.contains("longer than"), "{error}");
}

#[tokio::test]
async fn a_document_cannot_send_us_to_another_host() {
    let provider = Provider::start(|issuer, _| {
        let mut document = document(issuer);
        document["token_endpoint"] = json!("http://127.0.0.2:1/token");
        ok(&document)
    })
    .await;
    let error = provider.begin().await.unwrap_err();
    assert!(error.contains("`127.0.0.2`"), "{error}");
}

#[tokio::test]
async fn made_up_keys_do_not_make_us_hammer_the_provider() {
    let provider = Provider::start(well(keys("known"))).await;
    let gateway = provider.gateway().await;
    assert_eq!(fault(&present(&gateway, "known").await), Some(&TokenFault::Signature));
    for n in 0..30 {
        let error = present(&gateway, &format!("made-up-{n}")).await;
        assert_eq!(fault(&error), Some(&TokenFault::UnknownKey), "{error}");
    }
    assert_eq!(provider.times_asked("/jwks"), 5);
    assert_eq!(fault(&present(&gateway, "known").await), Some(&TokenFault::Signature));
}

#[tokio::test]
async fn many_logins_at_once_ask_once() {
    let provider = Provider::start(well(keys("known"))).await;
    let gateway = Arc::new(provider.gateway().await);
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let gateway = Arc::clone(&gateway);
        logins.spawn(async move { present(&gateway, "known").await });
    }
    while let Some(error) = logins.join_next().await {
        assert_eq!(fault(&error.unwrap()), Some(&TokenFault::Signature));
    }
    assert_eq!(provider.times_asked("/jwks"), 1);
}

#[tokio::test]
async fn an_error_page_does_not_replace_the_keys() {
    let provider = Provider::start(well(keys("known"))).await;
    let gateway = provider.gateway().await;
    assert_eq!(fault(&present(&gateway, "known").await), Some(&TokenFault::Signature));
    for poison in [(200, "<html>unwell</html>"), (503, "{\"keys\":[]}"), (200, "{}")] {
        provider.now_answers(move |issuer, path| match path {
            "/jwks" => (poison.0, String::new(), poison.1.to_owned()),
            _ => ok(&document(issuer)),
        });
        // The unknown key makes us ask; the known one goes on to be known.
        assert_eq!(
            fault(&present(&gateway, "unknown").await),
            Some(&TokenFault::UnknownKey)
        );
        assert_eq!(fault(&present(&gateway, "known").await), Some(&TokenFault::Signature));
    }
    // A gateway that has no keys yet has nothing to go on with.
    let error = present(&provider.gateway().await, "known").await;
    assert!(matches!(error, LoginError::Oidc(OidcError::Provider { .. })), "{error}");
}

#[tokio::test]
async fn keys_outlive_an_outage_of_the_provider_for_an_hour_and_no_longer() {
    let provider = Provider::start(well(keys("known"))).await;
    let gateway = provider.gateway().await;
    assert_eq!(fault(&present(&gateway, "known").await), Some(&TokenFault::Signature));
    provider.now_answers(|_, _| (503, String::new(), String::new()));
    for (minutes, known) in [(30, true), (29, true), (2, false)] {
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(minutes * 60)).await;
        tokio::time::resume();
        let error = present(&gateway, "known").await;
        assert_eq!(fault(&error), known.then_some(&TokenFault::Signature), "{error}");
    }
}

/// Logs in by browser; `answers` are the parameters, beside `state`, with which the browser comes back, one after the
/// other. What the page said to each, and how it ended.
async fn browse(provider: &Provider, answers: &[&[(&str, &str)]]) -> (Vec<String>, String) {
    let flow = provider.begin().await.unwrap();
    let (shown, address) = tokio::sync::oneshot::channel();
    let login = tokio::spawn(async move {
        let result = flow.browser(|url| shown.send(url.clone()).unwrap()).await;
        result.map(drop).unwrap_err().to_string()
    });
    let address: Url = address.await.unwrap();
    let sent = |name: &str| {
        let mut pairs = address.query_pairs().filter(|(key, _)| key == name);
        let value = pairs.next().unwrap().1.into_owned();
        assert!(pairs.next().is_none(), "{name} is there once");
        value
    };
    assert_eq!(
        (sent("code_challenge_method"), sent("response_type")),
        ("S256".to_owned(), "code".to_owned())
    );
    assert_eq!(sent("code_challenge").len(), 43);
    let page = Url::parse(&sent("redirect_uri")).unwrap();
    assert_eq!(page.host_str(), Some("127.0.0.1"));
    let host = format!("127.0.0.1:{}", page.port().unwrap());
    let mut pages = Vec::new();
    for answer in answers {
        let mut url = page.clone();
        url.query_pairs_mut()
            .append_pair("state", &sent("state"))
            .extend_pairs(*answer);
        let target = &url[url::Position::BeforePath..];
        let mut stream = TcpStream::connect(&host).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        pages.push(page);
    }
    (pages, login.await.unwrap())
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_not_redeemed() {
    let names_issuer = |yes: bool| {
        move |issuer: &str, path: &str| match path {
            "/.well-known/openid-configuration" => {
                let mut document = document(issuer);
                document["authorization_response_iss_parameter_supported"] = json!(yes);
                ok(&document)
            }
            _ => (400, String::new(), json!({ "error": "invalid_grant" }).to_string()),
        }
    };
    let provider = Provider::start(names_issuer(true)).await;
    let issuer = provider.issuer.clone();
    let slash = format!("{issuer}/");
    let foreign: [&[(&str, &str)]; 5] = [
        &[("code", "c")],
        &[("code", "c"), ("iss", "https://evil.test")],
        &[("code", "c"), ("iss", &slash)],
        &[("code", "c"), ("iss", "")],
        &[("error", "access_denied"), ("iss", "https://evil.test")],
    ];
    for answer in foreign {
        let (_, error) = browse(&provider, &[answer]).await;
        assert!(error.contains("does not belong to this login"), "{answer:?}: {error}");
    }
    // A provider that does not promise to name itself must still not name another.
    provider.now_answers(names_issuer(false));
    let (_, error) = browse(&provider, &[foreign[1]]).await;
    assert!(error.contains("another issuer"), "{error}");
    assert_eq!(provider.times_asked("/token"), 0, "no code was redeemed");

    provider.now_answers(names_issuer(true));
    let (_, error) = browse(&provider, &[&[("code", "c"), ("iss", &issuer)]]).await;
    assert!(error.contains("invalid_grant"), "{error}");
    assert_eq!(provider.times_asked("/token"), 1);
}

#[tokio::test]
async fn nothing_that_comes_back_is_shown_on_the_page_or_draws_on_the_terminal() {
    let provider = Provider::start(|issuer, _| ok(&document(issuer))).await;
    let markup = "<script>alert(1)</script>\u{1b}[2J\u{202e}\r\nSet-Cookie: a=b";
    let hints = [
        ("error", markup),
        ("error_description", markup),
        ("error_uri", "javascript:alert(1)"),
        ("ui_locales", markup),
        ("login_hint", markup),
        ("id_token_hint", markup),
    ];
    // Without the code or an error it is no answer, and the page says that there is none.
    let (pages, error) = browse(&provider, &[&hints[3..], &hints]).await;
    assert_eq!(pages.len(), 2);
    let (none, page) = (&pages[0], &pages[1]);
    assert!(none.starts_with("HTTP/1.1 404 "), "{none}");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    for page in [none, page] {
        for part in ["script", "alert", "Set-Cookie", "\u{1b}"] {
            assert!(!page.contains(part), "{page}");
        }
        assert!(
            page.contains("Content-Security-Policy: default-src 'none'\r\n"),
            "{page}"
        );
    }
    assert!(error.contains("refused the login: <script>"), "{error}");
    assert!(error.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{error:?}");
}
