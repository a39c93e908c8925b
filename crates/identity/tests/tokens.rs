//! Tokens: what they open, for whom, how long, and how they end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod gateway;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gateway::Gateway;
use sallyport_identity::messages::{PasswordLogin, TokenRequest};
use sallyport_identity::{IssueError, LoginError, Refusal, RevokeError};
use secrecy::{ExposeSecret, SecretString};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_token_opens_its_target_for_its_owner_only() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let request = TokenRequest {
        target: Some("orders".into()),
        name: None,
        ttl_s: Some(60),
    };
    let issued = gateway.ids.issue_target_token(&alice, &request).await.unwrap();

    let credential = gateway.ids.by_token(&issued.token, "alice", "orders").await.unwrap();
    assert_eq!(credential.principal.id, "alice");
    assert!(credential.principal.is_in("developers"));
    assert_eq!(credential.token.as_ref(), Some(&issued.info.id));

    let wrong_user = gateway.ids.by_token(&issued.token, "dana", "orders").await.unwrap_err();
    assert!(matches!(wrong_user, Refusal::WrongUser));
    let wrong_case = gateway
        .ids
        .by_token(&issued.token, "Alice", "orders")
        .await
        .unwrap_err();
    assert!(matches!(wrong_case, Refusal::WrongUser));
    let wrong_target = gateway
        .ids
        .by_token(&issued.token, "alice", "billing")
        .await
        .unwrap_err();
    assert!(matches!(wrong_target, Refusal::WrongTarget));
}

#[tokio::test]
async fn tokens_of_one_kind_do_not_open_the_other() {
    let gateway = Gateway::start().await;
    let login = gateway.login_token("alice").await;
    let alice = gateway.ids.by_api_token(&login).await.unwrap();
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();

    assert!(gateway.ids.by_token(&login, "alice", "orders").await.is_err());
    assert!(gateway.ids.by_api_token(&issued.token).await.is_err());
    // Nor does a changed prefix: it is part of what is hashed.
    let turned: SecretString = issued.token.expose_secret().replacen("spt_", "sps_", 1).into();
    assert!(matches!(
        gateway.ids.by_api_token(&turned).await.unwrap_err(),
        Refusal::UnknownToken
    ));
}

#[tokio::test]
async fn who_runs_the_gateway_can_make_a_token_for_everything() {
    let gateway = Gateway::start().await;
    let alice = gateway.ids.local_principal("alice").unwrap();
    let hour = Duration::from_secs(3600);
    let all = gateway.ids.issue_token(&alice, None, hour).await.unwrap();
    for _ in 0..2 {
        gateway.ids.by_token(&all.token, "alice", "orders").await.unwrap();
        gateway.ids.by_api_token(&all.token).await.unwrap();
    }
    let one = gateway.ids.issue_token(&alice, Some("orders"), hour).await.unwrap();
    for _ in 0..2 {
        gateway.ids.by_token(&one.token, "alice", "orders").await.unwrap();
        let refused = gateway.ids.by_api_token(&one.token).await.unwrap_err();
        assert!(matches!(refused, Refusal::UnknownToken));
    }
}

#[tokio::test]
async fn what_has_not_the_form_of_a_token_is_unknown() {
    let gateway = Gateway::start().await;
    for text in ["", "spt_", "password", "spt_' OR 1=1 --", &"spt_".repeat(100_000)] {
        let refusal = gateway
            .ids
            .by_token(&text.to_owned().into(), "alice", "orders")
            .await
            .unwrap_err();
        assert!(matches!(refusal, Refusal::UnknownToken));
    }
}

#[tokio::test]
async fn revoking_ends_the_open_sessions_and_refuses_new_ones() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    let other = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    let first = gateway.ids.by_token(&issued.token, "alice", "orders").await.unwrap();
    let second = gateway.ids.by_token(&issued.token, "alice", "orders").await.unwrap();
    let spared = gateway.ids.by_token(&other.token, "alice", "orders").await.unwrap();
    assert!(!first.revocation.is_revoked());

    let waiting = tokio::spawn(async move { first.revocation.revoked().await });
    gateway.ids.revoke(&alice.principal, &issued.info.id).await.unwrap();
    waiting.await.unwrap();
    assert!(second.revocation.is_revoked());
    assert!(!spared.revocation.is_revoked());
    let refusal = gateway
        .ids
        .by_token(&issued.token, "alice", "orders")
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Revoked));
}

#[tokio::test]
async fn ending_a_login_ends_the_tokens_it_asked_for() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    let session = gateway.ids.by_token(&issued.token, "alice", "orders").await.unwrap();
    gateway
        .ids
        .revoke(&alice.principal, alice.token.as_ref().unwrap())
        .await
        .unwrap();
    assert!(session.revocation.is_revoked());
    assert!(alice.revocation.is_revoked());
    let again = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap_err();
    assert!(matches!(again, IssueError::Ended));
}

#[tokio::test]
async fn only_the_owner_and_admins_see_and_revoke_a_token() {
    let gateway = Gateway::start().await;
    let (alice, dana, root) = (
        gateway.login("alice").await,
        gateway.login("dana").await,
        gateway.login("root").await,
    );
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    let refused = gateway.ids.revoke(&dana.principal, &issued.info.id).await.unwrap_err();
    assert!(matches!(refused, RevokeError::Unknown));
    let seen = gateway.ids.list_tokens(&dana.principal, true).await.unwrap();
    assert!(seen.iter().all(|t| t.user == "dana"), "{seen:?}");
    let seen = gateway.ids.list_tokens(&root.principal, true).await.unwrap();
    assert!(seen.iter().any(|t| t.id == issued.info.id));
    gateway.ids.revoke(&root.principal, &issued.info.id).await.unwrap();
    assert!(gateway.ids.by_token(&issued.token, "alice", "orders").await.is_err());
}

#[tokio::test]
async fn lifetimes_are_bounded_and_end_with_the_login() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    for ttl_s in [Some(0), Some(12 * 3600 + 1), Some(u64::MAX)] {
        let refused = gateway
            .ids
            .issue_target_token(
                &alice,
                &TokenRequest {
                    ttl_s,
                    ..Default::default()
                },
            )
            .await;
        assert!(matches!(refused, Err(IssueError::Lifetime { .. })), "{ttl_s:?}");
    }
    let request = TokenRequest {
        ttl_s: Some(12 * 3600),
        ..Default::default()
    };
    let issued = gateway.ids.issue_target_token(&alice, &request).await.unwrap();
    assert_eq!(
        issued.info.expires.unix_timestamp(),
        alice.expires.unwrap().unix_timestamp()
    );
}

#[tokio::test]
async fn an_expired_token_says_so_also_when_it_is_in_memory() {
    let gateway = Gateway::start().await;
    let principal = gateway.ids.local_principal("alice").unwrap();
    let issued = gateway
        .ids
        .issue_token(&principal, None, Duration::from_secs(1))
        .await
        .unwrap();
    gateway.ids.by_token(&issued.token, "alice", "orders").await.unwrap();
    let end = issued.info.expires - time::OffsetDateTime::now_utc();
    tokio::time::sleep(end.unsigned_abs() + Duration::from_millis(2)).await;
    let refusal = gateway
        .ids
        .by_token(&issued.token, "alice", "orders")
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Expired));
}

#[tokio::test]
async fn a_restart_keeps_tokens_and_revocations() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let kept = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    let ended = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    gateway.ids.revoke(&alice.principal, &ended.info.id).await.unwrap();
    let gateway = gateway.restart().await;
    gateway.ids.by_token(&kept.token, "alice", "orders").await.unwrap();
    assert!(gateway.ids.by_token(&ended.token, "alice", "orders").await.is_err());
}

#[tokio::test]
async fn the_store_and_the_messages_never_hold_a_secret() {
    let gateway = Gateway::start().await;
    let login = gateway.login_token("alice").await;
    let alice = gateway.ids.by_api_token(&login).await.unwrap();
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    let shown = format!("{alice:?} {issued:?} {:?}", gateway.ids);
    let password = PasswordLogin {
        user: "alice".into(),
        password: SecretString::from("correct horse").into(),
    };
    let shown = format!("{shown} {password:?}");
    gateway.store.close().await;
    let file = std::fs::read(gateway.folder.path().join("store.db")).unwrap();
    for secret in [login.expose_secret(), issued.token.expose_secret(), "correct horse"] {
        assert!(!shown.contains(secret));
        assert!(!file.windows(secret.len()).any(|w| w == secret.as_bytes()));
    }
}

#[tokio::test]
async fn guessing_a_password_soon_has_to_wait() {
    let gateway = Gateway::start().await;
    let guess = |user: &str, password: &str| PasswordLogin {
        user: user.into(),
        password: SecretString::from(password).into(),
    };
    for _ in 0..5 {
        let refused = gateway
            .ids
            .login_password(&guess("alice", "wrong horse"), HERE)
            .await
            .unwrap_err();
        assert!(matches!(refused, LoginError::WrongPassword));
    }
    let refused = gateway
        .ids
        .login_password(&guess("alice", "correct horse"), HERE)
        .await
        .unwrap_err();
    assert!(matches!(refused, LoginError::TooMany { .. }));
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    gateway
        .ids
        .login_password(&guess("alice", "correct horse"), elsewhere)
        .await
        .unwrap();
    for user in ["nobody", "", "alice\0", &"a".repeat(1000)] {
        let refused = gateway
            .ids
            .login_password(&guess(user, "correct horse"), elsewhere)
            .await
            .unwrap_err();
        assert!(matches!(refused, LoginError::WrongPassword), "{user}");
    }
}
