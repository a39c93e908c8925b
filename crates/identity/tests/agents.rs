//! Agents join with tokens, are told by their certificates, get new ones, and are revoked.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod enrol;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use enrol::{Gateway, by_token, peers, request, shake};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType,
};
use rustls_pki_types::CertificateDer;
use sallyport_identity::agents::{
    AdministerError, AgentAuthority, Agents, AgentsConfig, Bytes, Enrolment, EnrolmentError, IdentifyError, JoinError,
    JoinReply, JoinToken, NewKey, Pin, ProofFault, RequestFault, join_client_config,
};
use secrecy::ExposeSecret;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

const ALPN: &[&[u8]] = &[b"h2"];

fn proof_fault(result: Result<sallyport_identity::agents::Joined, JoinError>) -> ProofFault {
    match result {
        Err(JoinError::Proof(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_joins_with_a_token_and_is_told_by_its_certificate() {
    let gateway = Gateway::start().await;
    let (joined, enrolment) = gateway.enrol("eu-west").await;
    assert_eq!(joined.identity.name, "eu-west");
    let (client, server) = shake(
        enrolment.client_config(ALPN).unwrap(),
        gateway.agents.authority().server_config(ALPN).unwrap(),
    )
    .unwrap();
    assert_eq!(client.alpn_protocol(), Some(b"h2".as_slice()));
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let identity = gateway.agents.identify(&peers(&server)).unwrap();
    assert_eq!(identity, joined.identity);
    let life = identity.expires - OffsetDateTime::now_utc();
    assert!(
        life > time::Duration::hours(23) && life <= time::Duration::hours(24),
        "{life}"
    );

    let listed = gateway.agents.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].instance, listed[0].method.as_str()),
        (identity.instance, "token")
    );
    assert_eq!(listed[0].proof["issued_by"], "root");
    let seen = OffsetDateTime::from_unix_timestamp(1_900_000_000).unwrap();
    gateway.agents.touch(identity.instance, seen).await.unwrap();
    assert_eq!(gateway.agents.list().await.unwrap()[0].seen, Some(seen));
    assert!(gateway.written.has(&["TokenIssued", "eu-west", "root"]));
    assert!(
        gateway
            .written
            .has(&["Joined", "eu-west", &identity.instance.to_string()])
    );
}

#[tokio::test]
async fn what_an_agent_keeps_reads_back_and_is_its_owner_s_alone() {
    let gateway = Gateway::start().await;
    assert!(Enrolment::open(&gateway.dir("a")).unwrap().is_none());
    let (joined, kept) = gateway.enrol("a").await;
    let read = Enrolment::open(&gateway.dir("a")).unwrap().unwrap();
    assert_eq!(
        (read.name(), read.instance(), read.gateway()),
        (kept.name(), kept.instance(), "https://gw")
    );
    assert_eq!(
        (read.expires(), read.pin()),
        (joined.identity.expires, gateway.agents.authority().pin())
    );
    assert!(!read.is_due(OffsetDateTime::now_utc()));
    assert!(read.is_due(OffsetDateTime::now_utc() + time::Duration::hours(17)));
    shake(
        read.client_config(ALPN).unwrap(),
        gateway.agents.authority().server_config(ALPN).unwrap(),
    )
    .unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = gateway.dir("a").join("enrolment.json");
    assert_eq!((mode(&gateway.dir("a")), mode(&file)), (0o700, 0o600));
    assert_eq!(mode(&gateway.folder.path().join("agents/authority.pem")), 0o600);
    assert!(!format!("{read:?}").contains("PRIVATE"));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(matches!(
        Enrolment::open(&gateway.dir("a")),
        Err(EnrolmentError::File { .. })
    ));
}

#[tokio::test]
async fn the_authority_is_made_once_and_kept_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("agents");
    let made = AgentAuthority::load_or_create(&dir).unwrap();
    let read = AgentAuthority::load_or_create(&dir).unwrap();
    assert_eq!(made.root(), read.root());
    assert_eq!(made.pin().to_string().parse::<Pin>().unwrap(), read.pin());
    let (_, root) = X509Certificate::from_der(made.root()).unwrap();
    assert!(root.is_ca());
    let file = dir.join("authority.pem");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(AgentAuthority::load_or_create(&dir).is_err());
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    // A key with somebody else's root is no authority.
    let other = KeyPair::generate().unwrap().serialize_pem();
    let kept = std::fs::read_to_string(&file).unwrap();
    let (_, root) = kept.split_once("-----END PRIVATE KEY-----\n").unwrap();
    std::fs::write(&file, format!("{other}{root}")).unwrap();
    assert!(AgentAuthority::load_or_create(&dir).is_err());
}

#[tokio::test]
async fn a_token_is_good_once() {
    let gateway = Gateway::start().await;
    let token = gateway.token("a").await;
    assert_eq!(gateway.agents.list_join_tokens().await.unwrap().len(), 1);
    let key = NewKey::generate().unwrap();
    gateway.join(by_token(&token), &key).await.unwrap();
    assert!(matches!(
        proof_fault(gateway.join(by_token(&token), &key).await),
        ProofFault::Used
    ));
    assert!(gateway.agents.list_join_tokens().await.unwrap().is_empty());
    assert_eq!(gateway.agents.list().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_race_with_one_token_one_joins() {
    let gateway = Arc::new(Gateway::start().await);
    for _ in 0..8 {
        let token = gateway.token("a").await;
        let mut racers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (gateway, token) = (Arc::clone(&gateway), token.clone());
            racers.spawn(async move {
                let key = NewKey::generate().unwrap();
                gateway.join(by_token(&token), &key).await
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.into_iter().all(|r| matches!(proof_fault(r), ProofFault::Used)));
    }
    assert_eq!(gateway.agents.list().await.unwrap().len(), 8);
}

#[tokio::test]
async fn tokens_that_are_forged_expired_revoked_or_foreign_open_nothing() {
    let gateway = Gateway::start().await;
    let elsewhere = Gateway::start().await;
    let key = NewKey::generate().unwrap();
    let foreign = elsewhere.token("a").await;
    assert!(matches!(
        proof_fault(gateway.join(by_token(&foreign), &key).await),
        ProofFault::OtherAuthority
    ));
    // Id and pin are right, the secret is not.
    let token = gateway.token("a").await;
    let mut text = token.text().expose_secret().to_owned().into_bytes();
    text[40] = if text[40] == b'A' { b'B' } else { b'A' };
    let forged = JoinToken::parse(&String::from_utf8(text).unwrap().into()).unwrap();
    assert_eq!((forged.id(), forged.pin()), (token.id(), token.pin()));
    assert!(matches!(
        proof_fault(gateway.join(by_token(&forged), &key).await),
        ProofFault::UnknownToken
    ));
    gateway.agents.revoke_join_token(&token.id(), "root").await.unwrap();
    assert!(matches!(
        proof_fault(gateway.join(by_token(&token), &key).await),
        ProofFault::Revoked
    ));
    assert!(matches!(
        gateway.agents.revoke_join_token(&token.id(), "root").await,
        Err(AdministerError::Unknown(_))
    ));
    let issued = gateway
        .agents
        .issue_join_token("a", Some(Duration::from_secs(1)), "root");
    let short = issued.await.unwrap();
    tokio::time::sleep((short.info.expires - OffsetDateTime::now_utc()).unsigned_abs()).await;
    assert!(matches!(
        proof_fault(gateway.join(by_token(&short.token), &key).await),
        ProofFault::Expired
    ));
    // A name that the token is not for.
    let token = gateway.token("a").await;
    let mut other = request(by_token(&token), &key);
    other.agent = Some("b".into());
    assert!(matches!(
        proof_fault(gateway.agents.join(&other).await),
        ProofFault::NoRule
    ));
    other.agent = Some("a".into());
    gateway.agents.join(&other).await.unwrap();
}

#[tokio::test]
async fn token_lives_and_names_have_bounds() {
    let gateway = Gateway::start().await;
    for ttl in [Duration::ZERO, Duration::from_secs(24 * 3600 + 1)] {
        let refused = gateway.agents.issue_join_token("a", Some(ttl), "root").await;
        assert!(matches!(refused, Err(AdministerError::Lifetime { .. })));
    }
    for name in ["", "a/b", "-", &"x".repeat(64)] {
        let refused = gateway.agents.issue_join_token(name, None, "root").await;
        assert!(matches!(refused, Err(AdministerError::Name(_))), "{name}");
    }
    let token = gateway.token("a").await;
    let key = NewKey::generate().unwrap();
    let mut long = request(by_token(&token), &key);
    long.host.hostname = "h\nh".to_owned();
    assert!(matches!(
        gateway.agents.join(&long).await,
        Err(JoinError::Host("hostname"))
    ));
    // Nothing was used up by that.
    gateway.join(by_token(&token), &key).await.unwrap();
}

fn csr_with(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Bytes {
    let mut params = CertificateParams::default();
    change(&mut params);
    Bytes(params.serialize_request(key).unwrap().der().to_vec())
}

#[tokio::test]
async fn of_a_request_only_the_key_counts() {
    let gateway = Gateway::start().await;
    for key in [
        KeyPair::generate().unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
    ] {
        let token = gateway.token("a").await;
        let mut wanted = request(by_token(&token), &NewKey::generate().unwrap());
        wanted.csr = csr_with(&key, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, "root");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names = vec![
                SanType::DnsName("gateway.agents.sallyport.internal".try_into().unwrap()),
                SanType::URI("sallyport://agent/other/0".try_into().unwrap()),
            ];
        });
        let joined = gateway.agents.join(&wanted).await.unwrap();
        let (_, made) = X509Certificate::from_der(&joined.certificate).unwrap();
        assert!(!made.is_ca());
        // Clocks of agents may be behind by some minutes.
        let from = made.validity().not_before.timestamp();
        assert!(from <= OffsetDateTime::now_utc().unix_timestamp() - 240, "{from}");
        let usage = made.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        let names = made.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(names.general_names.len(), 1);
        assert!(!made.key_usage().unwrap().unwrap().value.key_cert_sign());
        assert_eq!(
            gateway
                .agents
                .identify(std::slice::from_ref(&joined.certificate))
                .unwrap()
                .name,
            "a"
        );
    }
}

#[tokio::test]
async fn requests_by_who_has_not_the_key_or_with_other_keys_are_refused() {
    let gateway = Gateway::start().await;
    let token = gateway.token("a").await;
    let good = csr_with(&KeyPair::generate().unwrap(), |_| {}).0;
    let mut cases = vec![
        (Vec::new(), RequestFault::Malformed),
        (vec![0x30; 9000], RequestFault::Malformed),
        ([good.clone(), vec![0]].concat(), RequestFault::Malformed),
    ];
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    cases.push((csr_with(&p384, |_| {}).0, RequestFault::Key));
    // The signature of another request, and another's key in this one.
    let mut broken = good.clone();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    cases.push((broken, RequestFault::Signature));
    let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut stolen = csr_with(&one, |_| {}).0;
    let from = one.public_key_raw();
    let at = stolen.windows(from.len()).position(|w| w == from).unwrap();
    stolen.splice(at..at + from.len(), other.public_key_raw().iter().copied());
    cases.push((stolen, RequestFault::Signature));
    for (csr, fault) in cases {
        let mut wanted = request(by_token(&token), &NewKey::generate().unwrap());
        wanted.csr = Bytes(csr);
        match gateway.agents.join(&wanted).await {
            Err(JoinError::Request(found)) => assert_eq!(found, fault),
            other => panic!("{other:?}"),
        }
    }
    gateway
        .join(by_token(&token), &NewKey::generate().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_revoked_instance_is_out_at_once_and_gets_nothing_new() {
    let gateway = Gateway::start().await;
    let (joined, enrolment) = gateway.enrol("a").await;
    let (other, _) = gateway.enrol("a").await;
    let revocation = gateway.agents.revocation(&joined.identity).unwrap();
    let others = gateway.agents.revocation(&other.identity).unwrap();
    assert!(!revocation.is_revoked());
    let waits = tokio::spawn(async move { revocation.revoked().await });
    gateway
        .agents
        .revoke_instance(joined.identity.instance, "root")
        .await
        .unwrap();
    waits.await.unwrap();
    assert!(!others.is_revoked());
    // The handshake still succeeds, since the certificate is the authority's; nobody is behind it any more.
    let (_, server) = shake(
        enrolment.client_config(ALPN).unwrap(),
        gateway.agents.authority().server_config(ALPN).unwrap(),
    )
    .unwrap();
    assert_eq!(gateway.agents.identify(&peers(&server)), Err(IdentifyError::Revoked));
    assert!(gateway.agents.revocation(&joined.identity).is_err());
    let renewed = gateway
        .agents
        .renew(&joined.identity, &NewKey::generate().unwrap().csr().0)
        .await;
    assert!(matches!(renewed, Err(JoinError::Revoked)));
    assert!(
        gateway
            .agents
            .identify(std::slice::from_ref(&other.certificate))
            .is_ok()
    );
    assert!(
        gateway
            .written
            .has(&["Revoked", &joined.identity.instance.to_string(), "root"])
    );
    let again = gateway.agents.revoke_instance(joined.identity.instance, "root").await;
    assert!(matches!(again, Err(AdministerError::Unknown(_))));
    // Nor after the gateway was started again.
    let authority = gateway.agents.authority().clone();
    let witness = Arc::clone(&gateway.written) as Arc<_>;
    let later = Agents::open(AgentsConfig::default(), authority, gateway.store.clone(), witness)
        .await
        .unwrap();
    assert_eq!(later.identify(&[joined.certificate]), Err(IdentifyError::Revoked));
    assert!(later.identify(&[other.certificate]).is_ok());
}

#[tokio::test]
async fn a_revoked_name_loses_its_instances_and_its_tokens() {
    let gateway = Gateway::start().await;
    let (one, _) = gateway.enrol("a").await;
    let (two, _) = gateway.enrol("a").await;
    let (other, _) = gateway.enrol("b").await;
    let (open, of_b) = (gateway.token("a").await, gateway.token("b").await);
    assert_eq!(gateway.agents.revoke_name("a", "root").await.unwrap(), 2);
    for gone in [one, two] {
        assert_eq!(
            gateway.agents.identify(&[gone.certificate]),
            Err(IdentifyError::Revoked)
        );
    }
    assert!(gateway.agents.identify(&[other.certificate]).is_ok());
    let key = NewKey::generate().unwrap();
    assert!(matches!(
        proof_fault(gateway.join(by_token(&open), &key).await),
        ProofFault::Revoked
    ));
    gateway.join(by_token(&of_b), &key).await.unwrap();
    assert!(gateway.agents.revoke_name("a", "root").await.is_err());
    gateway.enrol("a").await;
}

#[tokio::test]
async fn what_another_process_revoked_ends_here_too() {
    let gateway = Gateway::start().await;
    let (joined, _) = gateway.enrol("a").await;
    let authority = gateway.agents.authority().clone();
    let witness = Arc::clone(&gateway.written) as Arc<_>;
    let other = Agents::open(AgentsConfig::default(), authority, gateway.store.clone(), witness)
        .await
        .unwrap();
    let revocation = gateway.agents.revocation(&joined.identity).unwrap();
    other.revoke_name("a", "root").await.unwrap();
    let agents = Arc::clone(&gateway.agents);
    let maintains = tokio::spawn(async move { agents.maintain().await });
    revocation.revoked().await;
    assert_eq!(
        gateway.agents.identify(&[joined.certificate]),
        Err(IdentifyError::Revoked)
    );
    maintains.abort();
}

#[tokio::test]
async fn renewal_keeps_the_instance_and_changes_the_key() {
    let gateway = Gateway::start().await;
    let (joined, enrolment) = gateway.enrol("a").await;
    let key = NewKey::generate().unwrap();
    let renewed = gateway.agents.renew(&joined.identity, &key.csr().0).await.unwrap();
    assert_eq!(
        (&renewed.identity.name, renewed.identity.instance),
        (&joined.identity.name, joined.identity.instance)
    );
    let reply = JoinReply::from(renewed.clone());
    let fresh = enrolment.renew(&key, &reply).unwrap();
    let read = Enrolment::open(&gateway.dir("a")).unwrap().unwrap();
    for enrolment in [&enrolment, &fresh, &read] {
        let server = gateway.agents.authority().server_config(ALPN).unwrap();
        let (_, server) = shake(enrolment.client_config(ALPN).unwrap(), server).unwrap();
        assert_eq!(
            gateway.agents.identify(&peers(&server)).unwrap().instance,
            joined.identity.instance
        );
    }
    assert_eq!(gateway.agents.list().await.unwrap().len(), 1);
    assert!(gateway.written.has(&["Renewed", &joined.identity.instance.to_string()]));
    // A connection that is older than the certificate renews, too.
    let mut older = joined.identity.clone();
    older.expires = OffsetDateTime::now_utc();
    gateway.agents.renew(&older, &key.csr().0).await.unwrap();
    // An instance that never was, and one under another name.
    let mut unknown = joined.identity.clone();
    unknown.instance = uuid::Uuid::now_v7();
    let mut renamed = joined.identity.clone();
    renamed.name = "b".into();
    for identity in [unknown, renamed] {
        let refused = gateway.agents.renew(&identity, &key.csr().0).await;
        assert!(matches!(refused, Err(JoinError::Revoked)), "{identity:?}");
    }
}

#[tokio::test]
async fn an_agent_takes_no_answer_that_is_not_for_it() {
    let gateway = Gateway::start().await;
    let elsewhere = Gateway::start().await;
    let (joined, enrolment) = gateway.enrol("a").await;
    let (foreign, _) = elsewhere.enrol("a").await;
    let (neighbour, _) = gateway.enrol("b").await;
    let key = NewKey::generate().unwrap();
    let renewed = gateway.agents.renew(&joined.identity, &key.csr().0).await.unwrap();
    let good = JoinReply::from(renewed);
    let mut wrong_key = good.clone();
    wrong_key.certificate = Bytes(joined.certificate.to_vec());
    let mut wrong_root = good.clone();
    wrong_root.root = Bytes(foreign.root.to_vec());
    let mut wrong_authority = good.clone();
    wrong_authority.certificate = Bytes(foreign.certificate.to_vec());
    let mut wrong_name = good.clone();
    wrong_name.certificate = Bytes(neighbour.certificate.to_vec());
    let mut lies = good.clone();
    lies.name = "b".into();
    let mut garbage = good.clone();
    garbage.certificate = Bytes(vec![1, 2, 3]);
    let before = std::fs::read(gateway.dir("a").join("enrolment.json")).unwrap();
    for reply in [wrong_key, wrong_root, wrong_authority, wrong_name, lies, garbage] {
        assert!(
            matches!(enrolment.renew(&key, &reply), Err(EnrolmentError::Reply(_))),
            "{reply:?}"
        );
    }
    let pin = elsewhere.agents.authority().pin();
    let joined = Enrolment::join(&gateway.dir("c"), "https://gw", pin, &key, &good);
    assert!(matches!(joined, Err(EnrolmentError::Reply(_))));
    assert_eq!(std::fs::read(gateway.dir("a").join("enrolment.json")).unwrap(), before);
    enrolment.renew(&key, &good).unwrap();
}

#[tokio::test]
async fn the_first_contact_trusts_the_pin_alone() {
    let gateway = Gateway::start().await;
    let elsewhere = Gateway::start().await;
    let authority = gateway.agents.authority();
    let pin = authority.pin();
    let (_, server) = shake(
        join_client_config(pin, ALPN).unwrap(),
        authority.join_server_config(ALPN).unwrap(),
    )
    .unwrap();
    assert!(server.peer_certificates().is_none());
    // Somebody else's gateway, and one that shows our root behind a certificate of its own.
    let foreign = elsewhere.agents.authority();
    assert!(
        shake(
            join_client_config(pin, ALPN).unwrap(),
            foreign.join_server_config(ALPN).unwrap()
        )
        .is_err()
    );
    for (issuer_is_ours, name) in [(false, "gateway.agents.sallyport.internal"), (true, "other.example")] {
        let server = impostor(&gateway, issuer_is_ours, name);
        assert!(shake(join_client_config(pin, ALPN).unwrap(), server).is_err(), "{name}");
    }
    let control = impostor(&gateway, true, "gateway.agents.sallyport.internal");
    shake(join_client_config(pin, ALPN).unwrap(), control).unwrap();
    // An agent's certificate of the right authority is not a gateway's.
    let (joined, _) = gateway.enrol("a").await;
    let (_, made) = X509Certificate::from_der(&joined.certificate).unwrap();
    assert!(!made.extended_key_usage().unwrap().unwrap().value.server_auth);
}

/// A server with a certificate for `name`, of the gateway's authority or of nobody, that shows the gateway's root.
fn impostor(gateway: &Gateway, issuer_is_ours: bool, name: &str) -> rustls::ServerConfig {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let pem = std::fs::read_to_string(gateway.folder.path().join("agents/authority.pem")).unwrap();
    let authority = KeyPair::from_pem(&pem).unwrap();
    let root = gateway.agents.authority().root().clone();
    let (_, parsed) = X509Certificate::from_der(&root).unwrap();
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = rcgen::DistinguishedName::new();
    let common = parsed.subject().iter_common_name().next().unwrap().as_str().unwrap();
    issuer.distinguished_name.push(DnType::CommonName, common);
    let signer = if issuer_is_ours {
        authority
    } else {
        KeyPair::generate().unwrap()
    };
    let leaf = params.signed_by(&key, &Issuer::new(issuer, signer)).unwrap();
    let der = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone(), root], der)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

#[tokio::test]
async fn the_tunnel_takes_agents_of_its_authority_and_nobody_else() {
    let gateway = Gateway::start().await;
    let elsewhere = Gateway::start().await;
    let server = || gateway.agents.authority().server_config(ALPN).unwrap();
    let pin = gateway.agents.authority().pin();
    // No certificate; that of another authority, by an agent that trusts this one.
    assert!(shake(join_client_config(pin, ALPN).unwrap(), server()).is_err());
    let (_, foreign) = elsewhere.enrol("a").await;
    assert!(shake(foreign.client_config(ALPN).unwrap(), server()).is_err());
    let (foreign, _) = elsewhere.enrol("a").await;
    assert_eq!(
        gateway.agents.identify(&[foreign.certificate]),
        Err(IdentifyError::Revoked)
    );
    // TLS 1.2 is not spoken.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    assert!(shake(old, gateway.agents.authority().join_server_config(ALPN).unwrap()).is_err());
}

#[tokio::test]
async fn certificates_that_are_not_an_agent_s_name_nobody() {
    let gateway = Gateway::start().await;
    let (joined, _) = gateway.enrol("a").await;
    let instance = joined.identity.instance;
    let ours = format!("sallyport://agent/a/{instance}");
    let make = |change: &dyn Fn(&mut CertificateParams)| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let now = OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::HOUR;
        params.not_after = now + time::Duration::HOUR;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(ours.as_str().try_into().unwrap())];
        change(&mut params);
        params.self_signed(&key).unwrap().der().clone()
    };
    // The control: whether the chain is the authority's is for the handshake to see.
    assert!(gateway.agents.identify(&[make(&|_| {})]).is_ok());
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let strange: Vec<CertificateDer<'_>> = vec![
        make(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        make(&|p| p.extended_key_usages.clear()),
        make(&|p| p.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth)),
        make(&|p| p.extended_key_usages.push(ExtendedKeyUsagePurpose::Any)),
        make(&|p| p.subject_alt_names.clear()),
        make(&|p| p.subject_alt_names.push(uri(&ours))),
        make(&|p| p.subject_alt_names = vec![uri(&format!("spiffe://agent/a/{instance}"))]),
        make(&|p| p.subject_alt_names = vec![SanType::DnsName(ours.as_str().try_into().unwrap())]),
        make(&|p| p.not_before = OffsetDateTime::now_utc() + time::Duration::minutes(1)),
        CertificateDer::from(vec![0x30, 0]),
    ];
    for (at, certificate) in strange.into_iter().enumerate() {
        let found = gateway.agents.identify(&[certificate]);
        assert!(matches!(found, Err(IdentifyError::NotAnAgent(_))), "{at}: {found:?}");
    }
    assert_eq!(gateway.agents.identify(&[]), Err(IdentifyError::NoCertificate));
    let ended = make(&|p| p.not_after = OffsetDateTime::now_utc() - time::Duration::SECOND);
    assert_eq!(gateway.agents.identify(&[ended]), Err(IdentifyError::Expired));
    let renamed = make(&|p| p.subject_alt_names = vec![uri(&format!("sallyport://agent/b/{instance}"))]);
    assert_eq!(gateway.agents.identify(&[renamed]), Err(IdentifyError::Revoked));
}

#[tokio::test]
async fn what_gives_power_and_cannot_be_written_down_does_not_happen() {
    let gateway = Gateway::start().await;
    let (joined, _) = gateway.enrol("a").await;
    let token = gateway.token("a").await;
    let key = NewKey::generate().unwrap();
    gateway.written.full.store(true, Ordering::SeqCst);
    let issued = gateway.agents.issue_join_token("a", None, "root").await;
    assert!(matches!(issued, Err(AdministerError::Unwitnessed(_))));
    assert!(matches!(
        gateway.join(by_token(&token), &key).await,
        Err(JoinError::Unwitnessed)
    ));
    let renewed = gateway.agents.renew(&joined.identity, &key.csr().0).await;
    assert!(matches!(renewed, Err(JoinError::Unwitnessed)));
    // What takes power away happens, and says that it is not in the journal.
    let revoked = gateway.agents.revoke_name("a", "root").await;
    assert!(matches!(revoked, Err(AdministerError::DoneUnwitnessed(_))));
    assert_eq!(
        gateway.agents.identify(&[joined.certificate]),
        Err(IdentifyError::Revoked)
    );
    gateway.written.full.store(false, Ordering::SeqCst);
    let other = gateway.token("a").await;
    gateway.written.full.store(true, Ordering::SeqCst);
    assert!(gateway.join(by_token(&other), &key).await.is_err());
    gateway.written.full.store(false, Ordering::SeqCst);
    // The token was not used up by the join that did not happen.
    gateway.join(by_token(&other), &key).await.unwrap();
}

#[tokio::test]
async fn configurations_that_make_no_sense_are_refused() {
    for ttl in [0, 3599, 30 * 24 * 3600 + 1] {
        let gateway = Gateway::start().await;
        let config = AgentsConfig {
            certificate_ttl_s: ttl,
            ..AgentsConfig::default()
        };
        let authority = gateway.agents.authority().clone();
        let witness = Arc::clone(&gateway.written) as Arc<_>;
        assert!(
            Agents::open(config, authority, gateway.store.clone(), witness)
                .await
                .is_err()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_join_slips_past_a_revocation_of_its_name() {
    let gateway = Arc::new(Gateway::start().await);
    for _ in 0..20 {
        let token = gateway.token("a").await;
        let joins = tokio::spawn({
            let gateway = Arc::clone(&gateway);
            async move { gateway.join(by_token(&token), &NewKey::generate().unwrap()).await }
        });
        let revokes = tokio::spawn({
            let gateway = Arc::clone(&gateway);
            async move { gateway.agents.revoke_name("a", "root").await }
        });
        let joined = joins.await.unwrap();
        revokes.await.unwrap().unwrap();
        if let Ok(joined) = joined {
            assert_eq!(
                gateway.agents.identify(&[joined.certificate]),
                Err(IdentifyError::Revoked)
            );
        }
        assert!(gateway.agents.list().await.unwrap().is_empty());
    }
}
