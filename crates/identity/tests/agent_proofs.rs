//! Agents join by what their platform says of them: tokens of Kubernetes and Google, documents of Amazon and Azure, and
//! SVIDs, one thing wrong with each.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod enrol;
mod platform;

use std::path::Path;

use enrol::{Gateway, request};
use platform::{
    Authority, Documents, Svid, Tokens, aws_document, azure_document, gcp_claims, kubernetes_claims, lines, now,
    write_keys,
};
use rcgen::{
    BasicConstraints, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SanType,
};
use sallyport_identity::agents::{
    AdministerError, AgentsConfig, Bytes, JoinError, JoinMethod, JoinProof, Joined, NewKey, ProofFault,
};
use sallyport_identity::messages::Sealed;
use sallyport_identity::oidc::TokenFault;
use serde_json::{Value, json};
use tempfile::TempDir;

const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
const AUDIENCE: &str = "https://gw.example.com";

async fn gateway(rules: &str) -> Gateway {
    let config: AgentsConfig = toml::from_str(rules).unwrap();
    Gateway::with(config).await
}

fn fault(result: Result<Joined, JoinError>) -> ProofFault {
    match result {
        Err(JoinError::Proof(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

async fn try_proof(gateway: &Gateway, proof: JoinProof) -> Result<Joined, JoinError> {
    gateway.join(proof, &NewKey::generate().unwrap()).await
}

fn sealed(token: &str) -> Sealed {
    Sealed(token.into())
}

fn with(mut value: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut value);
    value
}

// --- Kubernetes

struct Cluster {
    folder: TempDir,
    tokens: Tokens,
}

impl Cluster {
    fn new() -> Self {
        let (folder, tokens) = (tempfile::tempdir().unwrap(), Tokens::new("k1"));
        write_keys(
            &folder.path().join("jwks.json"),
            &[Tokens::new("k0").jwk("sig"), tokens.jwk("sig")],
        );
        Self { folder, tokens }
    }

    fn rule(&self, agent: &str, accounts: &[&str]) -> String {
        format!(
            "[[join]]\nmethod = \"kubernetes\"\nagent = \"{agent}\"\nissuer = \"{CLUSTER}\"\naudience = \"{AUDIENCE}\"\n\
             keys = {:?}\nservice_accounts = {accounts:?}\n",
            self.folder.path().join("jwks.json")
        )
    }

    fn claims(&self) -> Value {
        kubernetes_claims(CLUSTER, AUDIENCE, ("sallyport", "agent"))
    }
}

fn pod(token: String) -> JoinProof {
    JoinProof::Kubernetes { token: sealed(&token) }
}

#[tokio::test]
async fn a_pod_joins_once_with_its_token() {
    let cluster = Cluster::new();
    let gateway = gateway(&cluster.rule("eu-west", &["sallyport/agent"])).await;
    let token = cluster.tokens.sign(&cluster.claims());
    let file = cluster.folder.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let key = NewKey::generate().unwrap();
    let method = JoinMethod::Kubernetes { token: file };
    let proof = method.collect(&key, gateway.agents.authority().pin()).await.unwrap();
    let joined = gateway.join(proof, &key).await.unwrap();
    assert_eq!(joined.identity.name, "eu-west");
    let listed = gateway.agents.list().await.unwrap();
    assert_eq!(listed[0].method, "kubernetes");
    assert_eq!(listed[0].proof["service_account"], "sallyport/agent");
    assert_eq!(listed[0].proof["pod"], "agent-7d9f");
    assert!(!listed[0].proof.to_string().contains(&token));
    assert!(gateway.written.has(&["Joined", "kubernetes", "sallyport/agent"]));
    assert!(matches!(
        fault(try_proof(&gateway, pod(token)).await),
        ProofFault::Spent
    ));
    // Another token of the same pod is another proof.
    let later = with(cluster.claims(), |c| c["jti"] = json!("other"));
    try_proof(&gateway, pod(cluster.tokens.sign(&later))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_race_with_one_proof_one_joins() {
    let cluster = Cluster::new();
    let gateway = std::sync::Arc::new(gateway(&cluster.rule("a", &["sallyport/agent"])).await);
    let token = cluster.tokens.sign(&cluster.claims());
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (gateway, token) = (std::sync::Arc::clone(&gateway), token.clone());
        racers.spawn(async move { try_proof(&gateway, pod(token)).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.into_iter().all(|r| matches!(fault(r), ProofFault::Spent)));
}

#[tokio::test]
async fn tokens_of_a_cluster_with_one_thing_wrong_open_nothing() {
    let cluster = Cluster::new();
    let gateway = gateway(&cluster.rule("a", &["sallyport/agent"])).await;
    type Wrong = (fn(&mut Value), fn(&ProofFault) -> bool);
    let cases: Vec<Wrong> = vec![
        (
            |c| c["iss"] = json!("https://other"),
            |f| matches!(f, ProofFault::Token(TokenFault::Issuer)),
        ),
        (
            |c| drop(c.as_object_mut().unwrap().remove("iss")),
            |f| matches!(f, ProofFault::Token(TokenFault::Issuer)),
        ),
        (
            |c| c["aud"] = json!(["https://other"]),
            |f| matches!(f, ProofFault::Token(TokenFault::Audience)),
        ),
        (
            |c| c["aud"] = json!([]),
            |f| matches!(f, ProofFault::Token(TokenFault::Audience)),
        ),
        (
            |c| c["aud"] = json!([AUDIENCE, CLUSTER]),
            |f| matches!(f, ProofFault::Token(TokenFault::Audience)),
        ),
        (
            |c| c["exp"] = json!(now() - 61),
            |f| matches!(f, ProofFault::Token(TokenFault::Expired)),
        ),
        (
            |c| c["nbf"] = json!(now() + 120),
            |f| matches!(f, ProofFault::Token(TokenFault::NotYet)),
        ),
        (
            |c| c["iat"] = json!(now() + 120),
            |f| matches!(f, ProofFault::Token(TokenFault::NotYet)),
        ),
        (
            |c| c["exp"] = json!(now() + 100_000),
            |f| matches!(f, ProofFault::Token(TokenFault::Claim { .. })),
        ),
        (
            |c| drop(c.as_object_mut().unwrap().remove("exp")),
            |f| matches!(f, ProofFault::Token(TokenFault::Malformed(_))),
        ),
        (
            |c| drop(c.as_object_mut().unwrap().remove("kubernetes.io")),
            |f| matches!(f, ProofFault::Token(TokenFault::Malformed(_))),
        ),
        (
            |c| c["kubernetes.io"]["pod"] = Value::Null,
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |c| c["sub"] = json!("system:serviceaccount:sallyport:other"),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |c| c["kubernetes.io"]["namespace"] = json!("default"),
            |f| matches!(f, ProofFault::Said(_)),
        ),
    ];
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let token = cluster.tokens.sign(&with(cluster.claims(), change));
        let found = fault(try_proof(&gateway, pod(token)).await);
        assert!(expected(&found), "{at}: {found:?}");
    }
    let others = kubernetes_claims(CLUSTER, AUDIENCE, ("default", "agent"));
    let found = fault(try_proof(&gateway, pod(cluster.tokens.sign(&others))).await);
    assert!(matches!(found, ProofFault::NotListed(_)));
    // A clock that is a little off is not a reason.
    let skewed = with(cluster.claims(), |c| {
        c["exp"] = json!(now() - 30);
        c["iat"] = json!(now() - 90);
    });
    try_proof(&gateway, pod(cluster.tokens.sign(&skewed))).await.unwrap();
}

#[tokio::test]
async fn signatures_that_are_not_the_cluster_s_open_nothing() {
    let cluster = Cluster::new();
    let gateway = gateway(&cluster.rule("a", &["sallyport/agent"])).await;
    let (tokens, claims) = (&cluster.tokens, cluster.claims());
    let good = tokens.sign(&claims);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let foreign = Tokens::new("k1");
    let stolen = foreign.sign(&claims);
    let (_, foreign_signature) = stolen.rsplit_once('.').unwrap();
    let tampered = {
        let other = tokens.sign(&with(claims.clone(), |c| c["jti"] = json!("x")));
        let (other_signed, _) = other.rsplit_once('.').unwrap();
        format!("{other_signed}.{}", good.rsplit_once('.').unwrap().1)
    };
    let header = |header: Value| tokens.sign_with(&header, &claims);
    for bad in [
        foreign.sign(&claims),
        Tokens::new("k0").sign(&claims),
        format!("{signed}."),
        format!("{signed}.{foreign_signature}"),
        tampered,
        tokens.sign_symmetric(&claims),
        header(json!({ "alg": "none", "kid": "k1" })),
        header(json!({ "alg": "RS256", "kid": "k1" })),
        header(json!({ "alg": "EdDSA", "kid": "k1" })),
        header(json!({ "alg": "ES256" })),
        header(json!({ "alg": "ES256", "kid": "k9" })),
        header(json!({ "alg": "ES256", "kid": "k0" })),
        header(json!({ "alg": "ES256", "kid": "k1", "crit": ["x"] })),
        header(json!({ "alg": "ES256", "kid": "k1", "jwk": tokens.jwk("sig") })),
        header(json!({ "alg": "ES256", "kid": "k1", "typ": "at+jwt" })),
        String::new(),
        "a.b.c".to_owned(),
        "x".repeat(40_000),
    ] {
        let found = fault(try_proof(&gateway, pod(bad.clone())).await);
        assert!(matches!(found, ProofFault::Token(_)), "{bad}: {found:?}");
    }
    assert!(gateway.agents.list().await.unwrap().is_empty());
    try_proof(&gateway, pod(good)).await.unwrap();
}

#[tokio::test]
async fn keys_are_those_of_the_file_as_it_is_now() {
    let cluster = Cluster::new();
    let gateway = gateway(&cluster.rule("a", &["sallyport/agent"])).await;
    let file = cluster.folder.path().join("jwks.json");
    let next = Tokens::new("k2");
    let found = fault(try_proof(&gateway, pod(next.sign(&cluster.claims()))).await);
    assert!(matches!(found, ProofFault::Token(TokenFault::UnknownKey)));
    write_keys(&file, &[next.jwk("sig")]);
    try_proof(&gateway, pod(next.sign(&cluster.claims()))).await.unwrap();
    let found = fault(try_proof(&gateway, pod(cluster.tokens.sign(&cluster.claims()))).await);
    assert!(matches!(found, ProofFault::Token(TokenFault::UnknownKey)));
    // Two keys of one name, keys that are for something else, and no keys at all.
    for keys in [
        vec![next.jwk("sig"), next.jwk("sig")],
        vec![next.jwk("enc")],
        Vec::new(),
    ] {
        write_keys(&file, &keys);
        let claims = with(cluster.claims(), |c| c["jti"] = json!(keys.len()));
        assert!(try_proof(&gateway, pod(next.sign(&claims))).await.is_err());
    }
    std::fs::remove_file(&file).unwrap();
    let found = fault(try_proof(&gateway, pod(next.sign(&cluster.claims()))).await);
    assert!(matches!(found, ProofFault::Keys));
}

#[tokio::test]
async fn who_may_join_as_several_says_as_whom() {
    let cluster = Cluster::new();
    let rules = [
        cluster.rule("a", &["sallyport/agent", "x/y"]),
        cluster.rule("b", &["sallyport/agent"]),
    ]
    .concat();
    let gateway = gateway(&rules).await;
    let token = cluster.tokens.sign(&cluster.claims());
    assert!(matches!(
        fault(try_proof(&gateway, pod(token.clone())).await),
        ProofFault::Ambiguous
    ));
    let mut wanted = request(pod(token), &NewKey::generate().unwrap());
    wanted.agent = Some("c".into());
    assert!(matches!(fault(gateway.agents.join(&wanted).await), ProofFault::NoRule));
    wanted.agent = Some("b".into());
    assert_eq!(gateway.agents.join(&wanted).await.unwrap().identity.name, "b");
    // One that a single rule names needs not say it; one that the other rule names cannot be what it wants.
    let other = kubernetes_claims(CLUSTER, AUDIENCE, ("x", "y"));
    let mut wanted = request(pod(cluster.tokens.sign(&other)), &NewKey::generate().unwrap());
    wanted.agent = Some("b".into());
    assert!(matches!(
        fault(gateway.agents.join(&wanted).await),
        ProofFault::NotListed(_)
    ));
    wanted.agent = None;
    assert_eq!(gateway.agents.join(&wanted).await.unwrap().identity.name, "a");
    // A proof of a method that no rule has.
    let found = fault(try_proof(&gateway, JoinProof::Gcp { token: sealed("a.b.c") }).await);
    assert!(matches!(found, ProofFault::NoRule));
}

// --- Google

fn google(folder: &Path) -> String {
    format!(
        "[[join]]\nmethod = \"gcp\"\nagent = \"gcp\"\naudience = \"{AUDIENCE}\"\nkeys = {:?}\nprojects = [\"shop\"]\n\
         zones = [\"europe-west1-b\"]\nservice_accounts = [\"agent@shop.iam.gserviceaccount.com\"]\n",
        folder.join("jwks.json")
    )
}

/// Asks as an agent does; what the metadata service was asked for is given to `tokens`.
fn audience_of(key: &NewKey) -> String {
    let (_, parsed) = x509_parser::prelude::FromDer::from_der(&key.csr().0)
        .map(
            |(rest, csr): (_, x509_parser::certification_request::X509CertificationRequest<'_>)| {
                (rest.len(), csr.certification_request_info.subject_pki.raw.to_vec())
            },
        )
        .unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &parsed);
    format!("{AUDIENCE}/{}", hex::encode(digest))
}

#[tokio::test]
async fn an_instance_at_google_joins_with_a_token_for_its_key() {
    let (folder, tokens) = (tempfile::tempdir().unwrap(), Tokens::new("g1"));
    write_keys(&folder.path().join("jwks.json"), &[tokens.jwk("sig")]);
    let gateway = gateway(&google(folder.path())).await;
    let key = NewKey::generate().unwrap();
    let audience = audience_of(&key);
    let proof = |claims: &Value| JoinProof::Gcp {
        token: sealed(&tokens.sign(claims)),
    };
    // Whoever sees the token cannot join with it.
    let found = fault(try_proof(&gateway, proof(&gcp_claims(&audience))).await);
    assert!(matches!(found, ProofFault::Token(TokenFault::Audience)));
    type Wrong = (fn(&mut Value), fn(&ProofFault) -> bool);
    let cases: Vec<Wrong> = vec![
        (
            |c| c["aud"] = json!(AUDIENCE),
            |f| matches!(f, ProofFault::Token(TokenFault::Audience)),
        ),
        (
            |c| c["iss"] = json!("accounts.google.com"),
            |f| matches!(f, ProofFault::Token(TokenFault::Issuer)),
        ),
        (
            |c| drop(c.as_object_mut().unwrap().remove("google")),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |c| c["email_verified"] = json!(false),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |c| c["google"]["compute_engine"]["project_id"] = json!("other"),
            |f| matches!(f, ProofFault::NotListed(_)),
        ),
        (
            |c| c["google"]["compute_engine"]["zone"] = json!("other"),
            |f| matches!(f, ProofFault::NotListed(_)),
        ),
        (
            |c| c["email"] = json!("other@shop.iam.gserviceaccount.com"),
            |f| matches!(f, ProofFault::NotListed(_)),
        ),
    ];
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let found = fault(gateway.join(proof(&with(gcp_claims(&audience), change)), &key).await);
        assert!(expected(&found), "{at}: {found:?}");
    }
    let good = proof(&gcp_claims(&audience));
    gateway.join(good.clone(), &key).await.unwrap();
    assert!(matches!(fault(gateway.join(good, &key).await), ProofFault::Spent));
    let listed = gateway.agents.list().await.unwrap();
    assert_eq!(
        (listed.len(), &listed[0].proof["instance_name"]),
        (1, &json!("agent-1"))
    );
}

// --- Amazon

fn amazon(signer: &Documents, more: &str) -> String {
    format!(
        "[[join]]\nmethod = \"aws\"\nagent = \"aws\"\ncertificates = {:?}\naccounts = [\"123456789012\"]\n{more}\n",
        signer.file()
    )
}

fn ec2(document: String) -> JoinProof {
    JoinProof::Aws {
        document: sealed(&document),
    }
}

#[tokio::test]
async fn an_instance_at_amazon_joins_once_until_it_is_forgotten() {
    let amazon_itself = Documents::new();
    let gateway = gateway(&amazon(&amazon_itself, "regions = [\"eu-west-1\"]\nmax_age_s = 600")).await;
    // As OpenSSL writes it: with and without attributes, without certificates, and with lengths that are not said.
    for (at, options) in [
        &["-nocerts"][..],
        &["-noattr"],
        &["-nocerts", "-stream"],
        &["-noattr", "-nocerts", "-stream"],
    ]
    .into_iter()
    .enumerate()
    {
        let document = amazon_itself.sign(&aws_document(&format!("i-0{at}")), options);
        assert_eq!(options.contains(&"-stream"), document[1] == 0x80);
        try_proof(&gateway, ec2(lines(&document))).await.unwrap();
    }
    // The document is the same for the whole of an instance's life.
    let again = amazon_itself.text(&aws_document("i-00"), &["-nocerts"]);
    assert!(matches!(
        fault(try_proof(&gateway, ec2(again.clone())).await),
        ProofFault::Spent
    ));
    let machine = gateway.agents.list().await.unwrap()[0].proof["machine"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(machine, "aws/123456789012/i-00");
    assert!(matches!(
        gateway.agents.forget_machine("aws/123456789012/i-99", "root").await,
        Err(AdministerError::Unknown(_))
    ));
    gateway.agents.forget_machine(&machine, "root").await.unwrap();
    try_proof(&gateway, ec2(again)).await.unwrap();
    assert!(gateway.written.has(&["MachineForgotten", "i-00"]));
}

#[tokio::test]
async fn documents_of_amazon_with_one_thing_wrong_open_nothing() {
    let amazon_itself = Documents::new();
    let gateway = gateway(&amazon(&amazon_itself, "regions = [\"eu-west-1\"]\nmax_age_s = 600")).await;
    type Wrong = (fn(&mut Value), fn(&ProofFault) -> bool);
    let cases: Vec<Wrong> = vec![
        (
            |d| d["accountId"] = json!("999999999999"),
            |f| matches!(f, ProofFault::NotListed("account")),
        ),
        (
            |d| d["region"] = json!("us-east-1"),
            |f| matches!(f, ProofFault::NotListed("region")),
        ),
        (
            |d| d["pendingTime"] = json!("2020-01-01T00:00:00Z"),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |d| d["pendingTime"] = json!("2090-01-01T00:00:00Z"),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |d| d["pendingTime"] = json!("yesterday"),
            |f| matches!(f, ProofFault::Malformed),
        ),
        (
            |d| d["instanceId"] = json!("i-0/../x"),
            |f| matches!(f, ProofFault::Malformed),
        ),
        (|d| d["instanceId"] = json!(""), |f| matches!(f, ProofFault::Malformed)),
        (
            |d| drop(d.as_object_mut().unwrap().remove("accountId")),
            |f| matches!(f, ProofFault::Malformed),
        ),
    ];
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let text = amazon_itself.text(&with(aws_document("i-01"), change), &["-nocerts"]);
        let found = fault(try_proof(&gateway, ec2(text)).await);
        assert!(expected(&found), "{at}: {found:?}");
    }
    // Somebody with a certificate that has the same names, and who sends it along; weaker digests; two signers.
    let foreign = Documents::new();
    for options in [&["-nocerts"][..], &[], &["-noattr"]] {
        let found = fault(try_proof(&gateway, ec2(foreign.text(&aws_document("i-01"), options))).await);
        assert!(matches!(found, ProofFault::Signature), "{found:?}");
    }
    let path = |signer: &Documents, name: &str| signer.folder.path().join(name).display().to_string();
    let (certificate, key) = (path(&foreign, "signer.pem"), path(&foreign, "key.pem"));
    let (ours, our_key) = (path(&amazon_itself, "signer.pem"), path(&amazon_itself, "key.pem"));
    let two = [
        "-nocerts",
        "-signer",
        &ours,
        "-inkey",
        &our_key,
        "-signer",
        &certificate,
        "-inkey",
        &key,
    ];
    let two = amazon_itself.text(&aws_document("i-01"), &two);
    assert!(matches!(
        fault(try_proof(&gateway, ec2(two)).await),
        ProofFault::Malformed
    ));
    let weak = amazon_itself.text(&aws_document("i-01"), &["-nocerts", "-md", "sha1"]);
    assert!(matches!(
        fault(try_proof(&gateway, ec2(weak)).await),
        ProofFault::Malformed
    ));
    for bad in ["", "====", "AAAA", "MIAG", &"A".repeat(100_000)] {
        assert!(matches!(
            fault(try_proof(&gateway, ec2(bad.to_owned())).await),
            ProofFault::Malformed
        ));
    }
    assert!(gateway.agents.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn no_byte_of_a_document_can_be_changed() {
    let amazon_itself = Documents::new();
    let gateway = gateway(&amazon(&amazon_itself, "")).await;
    let rules: AgentsConfig = toml::from_str(&amazon(&amazon_itself, "")).unwrap();
    assert_eq!(rules.join.len(), 1);
    for options in [&["-nocerts"][..], &["-nocerts", "-noattr", "-stream"]] {
        let good = amazon_itself.sign(&aws_document("i-01"), options);
        let text = aws_document("i-01").to_string();
        let content = good.windows(text.len()).position(|w| w == text.as_bytes()).unwrap();
        // Every byte of what it says, of the attributes and of the signature; of the frame around them, what does not
        // change what is read may be changed.
        for at in content..content + text.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let found = try_proof(&gateway, ec2(lines(&bad))).await;
            assert!(found.is_err(), "{at}");
        }
        for at in good.len() - 280..good.len() - 20 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(try_proof(&gateway, ec2(lines(&bad))).await.is_err(), "{at}");
        }
        for cut in [1, 10, good.len() / 2, good.len() - 1] {
            assert!(try_proof(&gateway, ec2(lines(&good[..cut]))).await.is_err());
        }
        assert!(
            try_proof(&gateway, ec2(lines(&[good.clone(), vec![0]].concat())))
                .await
                .is_err()
        );
    }
    let good = amazon_itself.text(&aws_document("i-01"), &["-nocerts"]);
    try_proof(&gateway, ec2(good)).await.unwrap();
}

// --- Azure

fn azure(folder: &Path, more: &str) -> String {
    format!(
        "[[join]]\nmethod = \"azure\"\nagent = \"azure\"\nauthorities = {:?}\n\
         subscriptions = [\"8D10DA13-8125-4ba9-a717-bf7490507b3d\"]\n{more}\n",
        folder.join("roots.pem")
    )
}

/// What an agent with this key asks for.
fn nonce_of(key: &NewKey) -> String {
    let digest = audience_of(key);
    let digest = hex::decode(digest.rsplit_once('/').unwrap().1).unwrap();
    let number = u64::from_be_bytes(digest[..8].try_into().unwrap());
    (1_000_000_000 + number % 9_000_000_000).to_string()
}

#[tokio::test]
async fn a_machine_at_azure_joins_with_a_document_for_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let microsoft = Authority::new("microsoft");
    microsoft.write(&folder.path().join("roots.pem"));
    let gateway = gateway(&azure(
        folder.path(),
        "vms = [\"02aab8a4-74ef-476e-8182-f6d2ba4166a6\"]",
    ))
    .await;
    let key = NewKey::generate().unwrap();
    let good = azure_document(&nonce_of(&key));
    let proof = |signer: &Documents, document: &Value| JoinProof::Azure {
        document: sealed(&signer.text(document, &["-noattr"])),
    };
    for host in ["metadata.azure.com", "eu.metadata.azure.com", "*.metadata.azure.com"] {
        let service = Documents::under(&microsoft, host);
        let proof = proof(&service, &with(good.clone(), |d| d["sku"] = json!(host)));
        gateway.join(proof.clone(), &key).await.unwrap();
        assert!(matches!(fault(gateway.join(proof, &key).await), ProofFault::Spent));
    }
    let service = Documents::under(&microsoft, "metadata.azure.com");
    let found = fault(try_proof(&gateway, proof(&service, &good)).await);
    assert!(matches!(found, ProofFault::OtherKey));
    // Azure names the signature's algorithm where the digest's belongs.
    let mut der = service.sign(&with(good.clone(), |d| d["sku"] = json!("as at Azure")), &["-noattr"]);
    let sha256 = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    let at = der.windows(9).rposition(|w| w == sha256).unwrap();
    der[at..at + 9].copy_from_slice(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b]);
    let quirk = JoinProof::Azure {
        document: sealed(&lines(&der)),
    };
    assert!(!format!("{quirk:?}").contains("MII"));
    gateway.join(quirk, &key).await.unwrap();
    type Wrong = (fn(&mut Value), fn(&ProofFault) -> bool);
    let cases: Vec<Wrong> = vec![
        (|d| d["nonce"] = json!(""), |f| matches!(f, ProofFault::OtherKey)),
        (
            |d| d["subscriptionId"] = json!("x"),
            |f| matches!(f, ProofFault::NotListed("subscription")),
        ),
        (
            |d| d["vmId"] = json!("x"),
            |f| matches!(f, ProofFault::NotListed("machine")),
        ),
        (
            |d| d["timeStamp"]["expiresOn"] = json!("11/28/18 00:16:17 -0000"),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |d| d["timeStamp"]["createdOn"] = json!("11/28/90 00:16:17 -0000"),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |d| d["timeStamp"]["expiresOn"] = json!("11/28/90 00:16:17 -0000"),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |d| d["timeStamp"]["createdOn"] = json!("today"),
            |f| matches!(f, ProofFault::Malformed),
        ),
    ];
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let found = fault(gateway.join(proof(&service, &with(good.clone(), change)), &key).await);
        assert!(expected(&found), "{at}: {found:?}");
    }
    // Hosts of others, under the same authority; the right host under another one; a certificate that is nobody's.
    for host in [
        "example.com",
        "evilmetadata.azure.com",
        "metadata.azure.com.example.com",
        "*.azure.com",
    ] {
        let found = fault(
            gateway
                .join(proof(&Documents::under(&microsoft, host), &good), &key)
                .await,
        );
        assert!(matches!(found, ProofFault::Signature), "{host}: {found:?}");
    }
    let other = Documents::under(&Authority::new("microsoft"), "metadata.azure.com");
    for signer in [other, Documents::new()] {
        assert!(matches!(
            fault(gateway.join(proof(&signer, &good), &key).await),
            ProofFault::Signature
        ));
    }
    let bare = JoinProof::Azure {
        document: sealed(&service.text(&good, &["-noattr", "-nocerts"])),
    };
    assert!(matches!(fault(gateway.join(bare, &key).await), ProofFault::Signature));
}

// --- SPIFFE

fn spiffe(bundle: &Path, more: &str) -> String {
    format!(
        "[[join]]\nmethod = \"spiffe\"\nagent = \"spiffe\"\ntrust_domain = \"example.org\"\nbundle = {bundle:?}\n\
         ids = [\"spiffe://example.org/agent\"]\npath_prefixes = [\"/agents/\"]\n{more}\n"
    )
}

fn id(id: &str) -> SanType {
    SanType::URI(id.try_into().unwrap())
}

async fn svid_proof(gateway: &Gateway, svid: &Svid, key: &NewKey) -> JoinProof {
    let method = JoinMethod::SpiffeX509 {
        certificates: svid.certificates(),
        key: svid.key(),
    };
    method.collect(key, gateway.agents.authority().pin()).await.unwrap()
}

#[tokio::test]
async fn a_workload_joins_with_its_certificate_and_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let spire = Authority::new("spire");
    let bundle = folder.path().join("bundle.pem");
    spire.write(&bundle);
    let gateway = gateway(&spiffe(&bundle, "")).await;
    for (kind, path) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "agent"),
        (&PKCS_ECDSA_P384_SHA384, "agents/eu"),
        (&PKCS_ED25519, "agents/a/b"),
        (&PKCS_RSA_SHA256, "agent"),
    ] {
        let svid_key = KeyPair::generate_for(kind).unwrap();
        let svid = Svid::new(&spire, &svid_key, |p| {
            p.subject_alt_names = vec![id(&format!("spiffe://example.org/{path}"))];
        });
        let key = NewKey::generate().unwrap();
        let proof = svid_proof(&gateway, &svid, &key).await;
        // It is for this key, and once.
        assert!(matches!(
            fault(try_proof(&gateway, proof.clone()).await),
            ProofFault::Signature
        ));
        gateway.join(proof.clone(), &key).await.unwrap();
        assert!(matches!(fault(gateway.join(proof, &key).await), ProofFault::Spent));
    }
    let listed = gateway.agents.list().await.unwrap();
    assert!(
        listed
            .iter()
            .any(|a| a.proof["spiffe_id"] == "spiffe://example.org/agents/a/b")
    );
}

#[tokio::test]
async fn certificates_of_workloads_with_one_thing_wrong_open_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spire = Authority::new("spire");
    let bundle = folder.path().join("bundle.json");
    let x5c = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, spire.certificate.der());
    write_keys(&bundle, &[json!({ "use": "x509-svid", "kty": "EC", "x5c": [x5c] })]);
    let gateway = gateway(&spiffe(&bundle, "")).await;
    let good = || vec![id("spiffe://example.org/agent")];
    let key = NewKey::generate().unwrap();
    let svid_key = KeyPair::generate().unwrap();
    type Wrong = (fn(&mut rcgen::CertificateParams), fn(&ProofFault) -> bool);
    let cases: Vec<Wrong> = vec![
        (
            |p| p.subject_alt_names = vec![id("spiffe://example.org/other")],
            |f| matches!(f, ProofFault::NotListed(_)),
        ),
        (
            |p| p.subject_alt_names = vec![id("spiffe://example.org/agents")],
            |f| matches!(f, ProofFault::NotListed(_)),
        ),
        (
            |p| p.subject_alt_names = vec![id("spiffe://example.org.evil/agent")],
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |p| p.subject_alt_names = vec![id("spiffe://evil.org/agent")],
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |p| p.subject_alt_names = vec![id("spiffe://example.org/agents/../agent")],
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |p| p.subject_alt_names = vec![id("spiffe://example.org/agent/")],
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |p| p.subject_alt_names = vec![id("spiffe://example.org/a%67ent")],
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |p| p.subject_alt_names.push(id("spiffe://example.org/other")),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (|p| p.subject_alt_names.clear(), |f| matches!(f, ProofFault::Said(_))),
        (
            |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            |f| matches!(f, ProofFault::Signature),
        ),
        (
            |p| p.not_after = time::OffsetDateTime::now_utc() - time::Duration::SECOND,
            |f| matches!(f, ProofFault::Signature),
        ),
    ];
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let svid = Svid::new(&spire, &svid_key, |p| {
            p.subject_alt_names = good();
            change(p);
        });
        let found = fault(gateway.join(svid_proof(&gateway, &svid, &key).await, &key).await);
        assert!(expected(&found), "{at}: {found:?}");
    }
    let named = |p: &mut rcgen::CertificateParams| p.subject_alt_names = good();
    // Another authority of the same name, and somebody who shows a certificate without having its key.
    let foreign = Svid::new(&Authority::new("spire"), &svid_key, named);
    let found = fault(gateway.join(svid_proof(&gateway, &foreign, &key).await, &key).await);
    assert!(matches!(found, ProofFault::Signature));
    let svid = Svid::new(&spire, &svid_key, named);
    std::fs::write(svid.key(), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let found = fault(gateway.join(svid_proof(&gateway, &svid, &key).await, &key).await);
    assert!(matches!(found, ProofFault::Signature));
    // One that was made for another gateway, an old one, and one whose time was changed.
    let svid = Svid::new(&spire, &svid_key, named);
    let elsewhere = Gateway::start().await;
    let found = fault(gateway.join(svid_proof(&elsewhere, &svid, &key).await, &key).await);
    assert!(matches!(found, ProofFault::Signature));
    let proof = svid_proof(&gateway, &svid, &key).await;
    let JoinProof::SpiffeX509(shown) = &proof else {
        panic!("{proof:?}")
    };
    for (seconds, stale) in [(-301, true), (1, false), (302, true)] {
        let mut moved = shown.clone();
        moved.at += seconds;
        let found = fault(gateway.join(JoinProof::SpiffeX509(moved), &key).await);
        assert_eq!(matches!(found, ProofFault::Said(_)), stale, "{found:?}");
    }
    let mut empty = shown.clone();
    empty.chain = Vec::new();
    assert!(gateway.join(JoinProof::SpiffeX509(empty), &key).await.is_err());
    let mut many = shown.clone();
    many.chain = vec![shown.chain[0].clone(); 9];
    assert!(gateway.join(JoinProof::SpiffeX509(many), &key).await.is_err());
    let mut garbage = shown.clone();
    garbage.chain = vec![Bytes(vec![1, 2, 3])];
    assert!(gateway.join(JoinProof::SpiffeX509(garbage), &key).await.is_err());
    gateway.join(proof, &key).await.unwrap();
}

#[tokio::test]
async fn a_workload_joins_with_its_token() {
    let (folder, tokens) = (tempfile::tempdir().unwrap(), Tokens::new("s1"));
    let bundle = folder.path().join("bundle.json");
    let signing = Tokens::new("s2");
    write_keys(&bundle, &[tokens.jwk("jwt-svid"), signing.jwk("sig")]);
    let gateway = gateway(&spiffe(&bundle, &format!("audience = \"{AUDIENCE}\""))).await;
    let claims = json!({ "sub": "spiffe://example.org/agent", "aud": [AUDIENCE], "exp": now() + 300, "iat": now() });
    let proof = |token: String| JoinProof::SpiffeJwt { token: sealed(&token) };
    type Wrong = (fn(&mut Value), fn(&ProofFault) -> bool);
    let cases: Vec<Wrong> = vec![
        (
            |c| c["sub"] = json!("spiffe://evil.org/agent"),
            |f| matches!(f, ProofFault::Said(_)),
        ),
        (
            |c| c["sub"] = json!("spiffe://example.org/x"),
            |f| matches!(f, ProofFault::NotListed(_)),
        ),
        (|c| c["sub"] = json!("agent"), |f| matches!(f, ProofFault::Said(_))),
        (
            |c| c["aud"] = json!(["x"]),
            |f| matches!(f, ProofFault::Token(TokenFault::Audience)),
        ),
        (
            |c| c["aud"] = json!([AUDIENCE, "x"]),
            |f| matches!(f, ProofFault::Token(TokenFault::Audience)),
        ),
        (
            |c| c["exp"] = json!(now() - 100),
            |f| matches!(f, ProofFault::Token(TokenFault::Expired)),
        ),
    ];
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let found = fault(try_proof(&gateway, proof(tokens.sign(&with(claims.clone(), change)))).await);
        assert!(expected(&found), "{at}: {found:?}");
    }
    // A key of the bundle that is not for SVIDs.
    let found = fault(try_proof(&gateway, proof(signing.sign(&claims))).await);
    assert!(matches!(found, ProofFault::Token(TokenFault::UnknownKey)));
    let file = folder.path().join("svid.jwt");
    std::fs::write(&file, tokens.sign(&claims)).unwrap();
    let method = JoinMethod::SpiffeJwt { token: file };
    let key = NewKey::generate().unwrap();
    let collected = method.collect(&key, gateway.agents.authority().pin()).await.unwrap();
    gateway.join(collected.clone(), &key).await.unwrap();
    assert!(matches!(fault(gateway.join(collected, &key).await), ProofFault::Spent));
}

// --- Configuration

#[test]
fn the_rules_that_the_book_shows_are_understood() {
    let book = include_str!("../../../docs/src/agents.md");
    let mut shown = book.split("```toml").map(|block| block.split("```").next().unwrap());
    let shown = shown.find(|block| block.contains("[[agents.join]]")).unwrap();
    let table: toml::Table = toml::from_str(shown).unwrap();
    let mut config: AgentsConfig = table["agents"].clone().try_into().unwrap();
    assert_eq!(config.certificate_ttl_s, AgentsConfig::default().certificate_ttl_s);
    let files: Vec<_> = config
        .join
        .iter_mut()
        .map(|rule| rule.file_mut().display().to_string())
        .collect();
    let named = [
        "cluster-jwks.json",
        "aws-rsa2048.pem",
        "google-jwks.json",
        "azure-authorities.pem",
        "bundle.json",
    ];
    assert_eq!(files, named);
}

#[tokio::test]
async fn rules_that_would_let_anybody_in_are_refused() {
    let cluster = Cluster::new();
    let signer = Documents::new();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    Authority::new("root").write(&roots);
    let good = [
        cluster.rule("a", &["x/y"]),
        amazon(&signer, ""),
        azure(folder.path(), ""),
        spiffe(&roots, ""),
    ];
    for rule in &good {
        gateway(rule).await;
    }
    let bad = [
        cluster.rule("a", &[]),
        cluster.rule("a", &["y"]),
        cluster.rule("a/b", &["x/y"]),
        cluster.rule("a", &["x/y"]).replace(AUDIENCE, ""),
        cluster.rule("a", &["x/y"]).replace("jwks.json", "none.json"),
        amazon(&signer, "").replace("\"123456789012\"", ""),
        amazon(&signer, "").replace("signer.pem", "key.pem"),
        azure(folder.path(), "host = \"not a host\""),
        azure(folder.path(), "").replace("8D10DA13-8125-4ba9-a717-bf7490507b3d", ""),
        spiffe(&roots, "").replace(
            "ids = [\"spiffe://example.org/agent\"]\npath_prefixes = [\"/agents/\"]",
            "",
        ),
        spiffe(&roots, "").replace("/agents/", "/agents"),
        spiffe(&roots, "").replace("spiffe://example.org/agent", "spiffe://other.org/agent"),
        spiffe(&roots, "").replace("\"example.org\"", "\"Example.org\""),
        spiffe(&roots, "audience = \"x\""),
    ];
    for rule in bad {
        let config: AgentsConfig = toml::from_str(&rule).unwrap();
        let other = Gateway::start().await;
        let authority = other.agents.authority().clone();
        let witness = std::sync::Arc::clone(&other.written) as std::sync::Arc<_>;
        let opened = sallyport_identity::agents::Agents::open(config, authority, other.store.clone(), witness).await;
        assert!(opened.is_err(), "{rule}");
    }
    for unknown in [
        "[[join]]\nmethod = \"token\"\nagent = \"a\"",
        &format!("{}colour = 1\n", good[0]),
    ] {
        assert!(toml::from_str::<AgentsConfig>(unknown).is_err(), "{unknown}");
    }
}
