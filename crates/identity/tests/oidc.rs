//! Logins at a real OpenID provider (npm's oidc-provider), driven as a person with a browser would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod browser;
mod gateway;
mod idp;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;

use browser::Browser;
use gateway::Gateway;
use idp::Idp;
use sallyport_identity::messages::{OidcLogin, SshKeyRequest, TokenRequest};
use sallyport_identity::oidc::flow::{Flow, FlowError};
use sallyport_identity::oidc::{OidcConfig, OidcError, TokenFault};
use sallyport_identity::{Kind, Login, LoginError};
use sallyport_ssh_transport::keys::PublicKey;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tokio::sync::oneshot;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn config(idp: &Idp, client: &str) -> OidcConfig {
    toml::from_str(&format!(
        "issuer = \"{}\"\nclient_id = \"{client}\"\ndevice = true\n",
        idp.issuer
    ))
    .unwrap()
}

/// Logs `user` in at the provider with a browser, up to the ID token, and returns it with its nonce.
async fn id_token(gateway: &Gateway, user: &str) -> (SecretString, String) {
    let offered = gateway.ids.auth_config().unwrap();
    let nonce = offered.nonce;
    let flow = Flow::begin(offered.providers[0].clone(), nonce.clone(), None)
        .await
        .unwrap();
    let (shown, address) = oneshot::channel();
    let flow = tokio::spawn(async move { flow.browser(|url| shown.send(url.clone()).unwrap()).await });
    let page = Browser::new().log_in(&address.await.unwrap(), user).await;
    assert!(page.contains("You are back from logging in"), "{page}");
    (flow.await.unwrap().unwrap(), nonce)
}

async fn present(gateway: &Gateway, token: &SecretString, nonce: &str) -> Result<Login, LoginError> {
    let login = OidcLogin {
        provider: None,
        id_token: token.clone().into(),
        nonce: nonce.to_owned(),
    };
    gateway.ids.login_oidc(&login).await
}

async fn log_in(gateway: &Gateway, user: &str) -> Result<Login, LoginError> {
    let (token, nonce) = id_token(gateway, user).await;
    present(gateway, &token, &nonce).await
}

#[tokio::test]
async fn a_browser_login_gives_a_principal_and_its_tokens() {
    let idp = Idp::start().await;
    for client in ["sallyport", "sallyport-ec", "sallyport-ed"] {
        let gateway = Gateway::with(vec![config(&idp, client)]).await;
        let login = log_in(&gateway, "alice").await.unwrap();
        assert_eq!(login.principal.id, "alice@example.com");
        assert_eq!(login.principal.issuer, idp.issuer);
        assert!(login.principal.is_in("developers") && login.principal.is_in("eng"));

        let caller = gateway.ids.by_api_token(&login.reply.token.0).await.unwrap();
        let issued = gateway
            .ids
            .issue_target_token(&caller, &TokenRequest::default())
            .await
            .unwrap();
        let session = gateway
            .ids
            .by_token(&issued.token, "alice@example.com", "orders")
            .await
            .unwrap();
        assert_eq!(session.principal, login.principal);
        assert!(gateway.ids.by_token(&issued.token, "alice", "orders").await.is_err());
    }
}

#[tokio::test]
async fn a_device_login_works_where_it_is_offered() {
    let idp = Idp::start().await;
    let gateway = Gateway::with(vec![config(&idp, "sallyport")]).await;
    let mut offered = gateway.ids.auth_config().unwrap();
    let provider = offered.providers.remove(0);
    let flow = Flow::begin(provider.clone(), offered.nonce.clone(), None)
        .await
        .unwrap();
    let (shown, code) = oneshot::channel();
    let flow = tokio::spawn(async move { flow.device(|code| shown.send(code.clone()).unwrap()).await });
    let code = code.await.unwrap();
    assert!(code.expires_in.as_secs() <= 300);
    let page = Browser::new().log_in(&code.page_with_code.unwrap(), "dana").await;
    assert!(page.contains("Sign-in Success"), "{page}");
    let token = flow.await.unwrap().unwrap();
    let login = present(&gateway, &token, &offered.nonce).await.unwrap();
    assert_eq!(login.principal.id, "dana@example.com");

    let mut closed = provider;
    closed.device = false;
    let flow = Flow::begin(closed, "n".into(), None).await.unwrap();
    assert!(matches!(
        flow.device(|_| panic!("nothing to show")).await,
        Err(FlowError::NoDevice)
    ));
}

#[tokio::test]
async fn a_client_that_only_shows_text_logs_in_by_device_code() {
    let idp = Idp::start().await;
    let gateway = Gateway::with(vec![config(&idp, "sallyport")]).await;
    let begin = |claimed: &'static str| gateway.ids.begin_device_login(claimed, HERE);
    let login = begin("dana@example.com").await.unwrap();
    let page = login.code().page_with_code.clone().unwrap();
    let finished = tokio::spawn(login.finish());
    Browser::new().log_in(&page, "dana").await;
    let credential = finished.await.unwrap().unwrap();
    assert_eq!(credential.principal.id, "dana@example.com");
    assert!(credential.expires.is_some() && !credential.revocation.is_revoked());
    // It is listed, and ends as other tokens do.
    let listed = gateway.ids.list_tokens(&credential.principal, false).await.unwrap();
    assert_eq!(listed[0].name.as_deref(), Some("device code"));
    gateway.ids.revoke(&credential.principal, &listed[0].id).await.unwrap();
    assert!(credential.revocation.is_revoked());

    // Who sends the link to somebody else does not become them by another name.
    let login = begin("alice@example.com").await.unwrap();
    let page = login.code().page_with_code.clone().unwrap();
    let finished = tokio::spawn(login.finish());
    Browser::new().log_in(&page, "dana").await;
    assert!(matches!(finished.await.unwrap(), Err(LoginError::WrongUser)));
    let written = std::mem::take(&mut *gateway.written.logins.lock().unwrap());
    assert_eq!(written[0], ("dana@example.com".to_owned(), None));
    assert!(
        written[1].0 == "alice@example.com" && written[1].1.is_some(),
        "{written:?}"
    );

    // What cannot be written down does not happen.
    gateway.written.full.store(true, Ordering::SeqCst);
    let login = begin("dana@example.com").await.unwrap();
    let page = login.code().page_with_code.clone().unwrap();
    let finished = tokio::spawn(login.finish());
    Browser::new().log_in(&page, "dana").await;
    assert!(matches!(finished.await.unwrap(), Err(LoginError::Unwitnessed)));
    assert!(
        gateway
            .ids
            .list_tokens(&credential.principal, false)
            .await
            .unwrap()
            .is_empty()
    );

    let none = Gateway::start().await;
    assert!(!none.ids.offers_device_login() && gateway.ids.offers_device_login());
    let refused = none.ids.begin_device_login("dana@example.com", HERE).await;
    assert!(matches!(refused, Err(LoginError::Flow(FlowError::NoDevice))));
}

#[tokio::test]
async fn a_registered_key_carries_what_the_provider_said_last() {
    let idp = Idp::start().await;
    let gateway = Gateway::with(vec![config(&idp, "sallyport")]).await;
    let login = log_in(&gateway, "alice").await.unwrap();
    let caller = gateway.ids.by_api_token(&login.reply.token.0).await.unwrap();
    let (_, line) = gateway.key_pair("laptop", &["-t", "ed25519"]);
    let key: PublicKey = line.parse().unwrap();
    let request = SshKeyRequest {
        public_key: line,
        name: "laptop".to_owned(),
    };
    gateway.ids.add_ssh_key(&caller, &request).await.unwrap();
    let session = gateway.ids.by_ssh_key(&key, "alice@example.com", HERE).await.unwrap();
    assert_eq!(session.principal, login.principal);
    assert!(gateway.ids.by_ssh_key(&key, "alice", HERE).await.is_err());

    // Without the provider nobody vouches for who registered it, and a name of the people file is somebody else's.
    let gateway = gateway.restart_with_providers(Vec::new()).await;
    assert!(gateway.ids.by_ssh_key(&key, "alice@example.com", HERE).await.is_err());
    let gateway = gateway.restart_with_providers(vec![config(&idp, "sallyport")]).await;
    gateway.ids.by_ssh_key(&key, "alice@example.com", HERE).await.unwrap();
    gateway.edit(|people| {
        let now = OffsetDateTime::now_utc();
        people.add("alice@example.com", Kind::User, &[], None, now).unwrap();
    });
    gateway.ids.reload_people().await.unwrap();
    assert!(gateway.ids.by_ssh_key(&key, "alice@example.com", HERE).await.is_err());
}

#[tokio::test]
async fn device_logins_of_one_source_are_bounded() {
    let idp = Idp::start().await;
    let gateway = Gateway::with(vec![config(&idp, "sallyport")]).await;
    let mut begun = Vec::new();
    for n in 0..8 {
        let claimed = format!("u{n}@example.com");
        begun.push(gateway.ids.begin_device_login(&claimed, HERE).await.unwrap());
    }
    let full = gateway.ids.begin_device_login("more@example.com", HERE).await;
    assert!(matches!(full, Err(LoginError::Busy)));
    drop(begun);
    for _ in 0..4 {
        gateway.ids.begin_device_login("more@example.com", HERE).await.unwrap();
    }
    let often = gateway.ids.begin_device_login("more@example.com", HERE).await;
    assert!(matches!(often, Err(LoginError::TooMany { .. })));
}

#[tokio::test]
async fn each_token_and_each_nonce_is_good_once() {
    let idp = Idp::start().await;
    let gateway = Gateway::with(vec![config(&idp, "sallyport")]).await;
    let (token, nonce) = id_token(&gateway, "alice").await;
    present(&gateway, &token, &nonce).await.unwrap();
    assert!(matches!(
        present(&gateway, &token, &nonce).await,
        Err(LoginError::Stale)
    ));

    // Another login's nonce, one that somebody made up, and one of another gateway.
    let (token, nonce) = id_token(&gateway, "alice").await;
    let other = gateway.ids.auth_config().unwrap().nonce;
    let mixed = present(&gateway, &token, &other).await;
    assert!(matches!(
        mixed,
        Err(LoginError::Oidc(OidcError::Token(TokenFault::Nonce)))
    ));
    for foreign in ["", "n", &nonce[1..], &format!("{nonce}A")] {
        assert!(
            matches!(present(&gateway, &token, foreign).await, Err(LoginError::Stale)),
            "{foreign}"
        );
    }
    let elsewhere = Gateway::with(vec![config(&idp, "sallyport")]).await;
    assert!(matches!(
        present(&elsewhere, &token, &nonce).await,
        Err(LoginError::Stale)
    ));
    present(&gateway, &token, &nonce).await.unwrap();
}

#[tokio::test]
async fn a_token_for_another_client_is_refused() {
    let idp = Idp::start().await;
    let ours = Gateway::with(vec![config(&idp, "sallyport")]).await;
    let offered = ours.ids.auth_config().unwrap();
    let mut provider = offered.providers[0].clone();
    provider.client_id = "sallyport-ec".to_owned();
    let flow = Flow::begin(provider, offered.nonce.clone(), None).await.unwrap();
    let (shown, address) = oneshot::channel();
    let flow = tokio::spawn(async move { flow.browser(|url| shown.send(url.clone()).unwrap()).await });
    Browser::new().log_in(&address.await.unwrap(), "alice").await;
    let token = flow.await.unwrap().unwrap();
    let refused = present(&ours, &token, &offered.nonce).await;
    assert!(
        matches!(refused, Err(LoginError::Oidc(OidcError::Token(TokenFault::Audience)))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn keys_rotate_and_a_retired_key_is_out() {
    let idp = Idp::start().await;
    let gateway = Gateway::with(vec![config(&idp, "sallyport")]).await;
    log_in(&gateway, "alice").await.unwrap();
    let (old, old_nonce) = id_token(&gateway, "alice").await;
    let idp = idp.rotate().await;
    log_in(&gateway, "alice").await.unwrap();
    let refused = present(&gateway, &old, &old_nonce).await;
    assert!(
        matches!(refused, Err(LoginError::Oidc(OidcError::Token(TokenFault::UnknownKey)))),
        "{refused:?}"
    );

    // With the provider away, known keys go on to be good, and unknown ones are refused.
    let (known, nonce) = id_token(&gateway, "alice").await;
    let (strange, strange_nonce) = id_token(&gateway, "dana").await;
    idp.stop().await;
    present(&gateway, &known, &nonce).await.unwrap();
    let forged = strange.expose_secret().replacen('.', "A.", 1);
    assert!(present(&gateway, &forged.into(), &strange_nonce).await.is_err());
    let fresh = gateway.restart().await;
    let nonce = fresh.ids.auth_config().unwrap().nonce;
    let refused = present(&fresh, &strange, &nonce).await;
    assert!(
        matches!(refused, Err(LoginError::Oidc(OidcError::Unreachable(_)))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn who_aborts_at_the_provider_is_not_logged_in() {
    let idp = Idp::start().await;
    let gateway = Gateway::with(vec![config(&idp, "sallyport")]).await;
    let offered = gateway.ids.auth_config().unwrap();
    let flow = Flow::begin(offered.providers[0].clone(), offered.nonce, None)
        .await
        .unwrap();
    let (shown, address) = oneshot::channel();
    let flow = tokio::spawn(async move { flow.browser(|url| shown.send(url.clone()).unwrap()).await });
    Browser::new().abort(&address.await.unwrap()).await;
    let refused = flow.await.unwrap();
    assert!(
        matches!(&refused, Err(FlowError::Refused(error)) if error == "access_denied"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn one_person_with_two_identities_is_known_as_one() {
    let idp = Idp::start().await;
    let mut by_name = config(&idp, "sallyport");
    by_name.user_claim = "preferred_username".to_owned();
    let gateway = Gateway::with(vec![by_name]).await;
    gateway.edit(|people| people.set_email("root", "ALICE@example.com").unwrap());
    gateway.ids.reload_people().await.unwrap();
    let root = gateway.ids.local_principal("root").unwrap();
    let twin = log_in(&gateway, "twin").await.unwrap().principal;
    assert_ne!(twin.id, root.id);
    assert!(gateway.ids.same_person(&twin.person, &root.person).await.unwrap());
    // An address that the provider did not verify links nobody.
    let mallory = log_in(&gateway, "mallory").await.unwrap().principal;
    assert!(!gateway.ids.same_person(&mallory.person, &root.person).await.unwrap());
    let dana = log_in(&gateway, "bob").await.unwrap().principal;
    assert!(!gateway.ids.same_person(&dana.person, &mallory.person).await.unwrap());
}

#[tokio::test]
async fn two_persons_that_turn_out_to_be_one_are_one_from_then_on() {
    let idp = Idp::start().await;
    let mut by_name = config(&idp, "sallyport");
    by_name.user_claim = "preferred_username".to_owned();
    let gateway = Gateway::with(vec![by_name]).await;
    let root = gateway.ids.local_principal("root").unwrap();
    let twin = log_in(&gateway, "twin").await.unwrap().principal;
    assert!(!gateway.ids.same_person(&twin.person, &root.person).await.unwrap());
    gateway.edit(|people| people.set_email("root", "alice@example.com").unwrap());
    gateway.ids.reload_people().await.unwrap();
    // Also when it is asked with the keys of before.
    assert!(gateway.ids.same_person(&twin.person, &root.person).await.unwrap());
    assert!(gateway.ids.same_person(&root.person, &twin.person).await.unwrap());
}

#[tokio::test]
async fn a_name_belongs_to_who_had_it_first() {
    let idp = Idp::start().await;
    let mut by_name = config(&idp, "sallyport");
    by_name.user_claim = "preferred_username".to_owned();
    let gateway = Gateway::with(vec![by_name]).await;
    let refused = log_in(&gateway, "dana").await;
    assert!(
        matches!(&refused, Err(LoginError::NameTaken(name)) if name == "dana"),
        "the people file's: {refused:?}"
    );

    // `alice` and `twin` both are alice@example.com at the provider: the first keeps the name.
    let gateway = Gateway::with(vec![config(&idp, "sallyport")]).await;
    log_in(&gateway, "alice").await.unwrap();
    assert!(matches!(log_in(&gateway, "twin").await, Err(LoginError::NameTaken(_))));
    let refused = log_in(&gateway, "mallory").await;
    assert!(
        matches!(
            refused,
            Err(LoginError::Oidc(OidcError::Token(TokenFault::Claim { .. })))
        ),
        "{refused:?}"
    );
    log_in(&gateway, "alice").await.unwrap();
}
