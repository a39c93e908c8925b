//! SSH certificates and keys, with keys that OpenSSH makes and certificates that it reads and writes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod gateway;

use std::net::{IpAddr, Ipv4Addr};

use gateway::{Gateway, PASSWORD, ssh_keygen};
use sallyport_identity::messages::{SshCertificateReply, SshKeyRequest};
use sallyport_identity::people::{EditError, PeopleError};
use sallyport_identity::{Credential, Kind, Refusal, SshAuthorities, SshCertificateError, SshKeyError};
use sallyport_ssh_transport::keys::{Certificate, CertificateKind, PrivateKey, PublicKey};
use time::{Duration, OffsetDateTime};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ED25519: &[&str] = &["-t", "ed25519"];

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn certificate(line: &str) -> Certificate {
    line.trim().parse().unwrap()
}

async fn issue(gateway: &Gateway, by: &Credential, line: &str) -> SshCertificateReply {
    gateway.ids.issue_ssh_certificate(by, line, now()).await.unwrap()
}

async fn connect(gateway: &Gateway, line: &str, user: &str) -> Result<Credential, Refusal> {
    let certificate = certificate(line);
    gateway
        .ids
        .by_ssh_certificate(&certificate, user, "web-1", HERE, now())
        .await
}

async fn register(gateway: &Gateway, by: &Credential, line: &str) -> Result<(), SshKeyError> {
    let request = SshKeyRequest {
        public_key: line.to_owned(),
        name: "laptop".to_owned(),
    };
    gateway.ids.add_ssh_key(by, &request).await.map(drop)
}

async fn by_key(gateway: &Gateway, line: &str, user: &str) -> Result<Credential, Refusal> {
    let key: PublicKey = line.parse().unwrap();
    gateway.ids.by_ssh_key(&key, user, HERE).await
}

#[tokio::test]
async fn a_certificate_is_for_one_person_and_ends_with_the_login() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    for (name, options) in [
        ("ed25519", ED25519),
        ("ecdsa", &["-t", "ecdsa", "-b", "384"]),
        ("rsa", &["-t", "rsa", "-b", "3072"]),
    ] {
        let (file, line) = gateway.key_pair(name, options);
        let reply = issue(&gateway, &alice, &line).await;
        assert_eq!(reply.user, "alice");
        // OpenSSH reads it as it was meant.
        let path = format!("{file}-cert.pub");
        std::fs::write(&path, &reply.certificate).unwrap();
        let shown = ssh_keygen(&["-L", "-f", &path]);
        assert!(shown.contains("user certificate"), "{shown}");
        assert!(shown.contains(&format!("Key ID: \"alice {}\"", reply.id)), "{shown}");
        assert!(
            shown.contains("Extensions: (none)") && shown.contains("force-command"),
            "{shown}"
        );
        let credential = connect(&gateway, &reply.certificate, "alice").await.unwrap();
        assert_eq!(credential.principal, alice.principal);
        assert_eq!(credential.token, Some(reply.id));
        let minutes = credential.expires.unwrap() - now();
        assert!(
            minutes > Duration::minutes(14) && minutes <= Duration::minutes(15),
            "{minutes}"
        );

        assert!(matches!(
            connect(&gateway, &reply.certificate, "root").await,
            Err(Refusal::UnknownSshCertificate)
        ));
    }
    let (_, line) = gateway.key_pair("other", ED25519);
    let reply = issue(&gateway, &alice, &line).await;
    let session = connect(&gateway, &reply.certificate, "alice").await.unwrap();
    gateway
        .ids
        .revoke(&alice.principal, alice.token.as_ref().unwrap())
        .await
        .unwrap();
    assert!(session.revocation.is_revoked());
    assert!(matches!(
        connect(&gateway, &reply.certificate, "alice").await,
        Err(Refusal::SshCertificateRevoked)
    ));
    // A login that has ended gets no certificate.
    let late = gateway.ids.issue_ssh_certificate(&alice, &line, now()).await;
    assert!(matches!(late, Err(SshCertificateError::Issue(_))), "{late:?}");
}

#[tokio::test]
async fn a_certificate_is_listed_and_revoked_like_a_token_and_is_none() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let (_, line) = gateway.key_pair("key", ED25519);
    let reply = issue(&gateway, &alice, &line).await;
    let session = connect(&gateway, &reply.certificate, "alice").await.unwrap();
    let listed = gateway.ids.list_tokens(&alice.principal, false).await.unwrap();
    let row = listed.iter().find(|row| row.id == reply.id).unwrap();
    let fingerprint = line.parse::<PublicKey>().unwrap().fingerprint();
    assert_eq!(row.name, Some(format!("SSH certificate {fingerprint}")));
    // What is written on it is no password.
    for guess in [reply.certificate.clone(), reply.id.to_string()] {
        assert!(gateway.ids.by_token(&guess.into(), "alice", "web-1").await.is_err());
    }
    gateway.ids.revoke(&alice.principal, &reply.id).await.unwrap();
    assert!(session.revocation.is_revoked() && !alice.revocation.is_revoked());
    let gateway = gateway.restart().await;
    assert!(matches!(
        connect(&gateway, &reply.certificate, "alice").await,
        Err(Refusal::SshCertificateRevoked)
    ));
}

#[tokio::test]
async fn who_is_removed_or_has_a_new_password_has_no_certificate() {
    let gateway = Gateway::start().await;
    let (_, line) = gateway.key_pair("key", ED25519);
    let of = async |user: &str| issue(&gateway, &gateway.login(user).await, &line).await.certificate;
    let (alice, dana) = (of("alice").await, of("dana").await);
    let session = connect(&gateway, &alice, "alice").await.unwrap();
    let other = connect(&gateway, &dana, "dana").await.unwrap();
    gateway.edit(|people| people.remove("alice").unwrap());
    gateway.edit(|people| people.set_password("dana", &"other horse".into(), now()).unwrap());
    gateway.ids.reload_people().await.unwrap();
    assert!(session.revocation.is_revoked() && other.revocation.is_revoked());
    for (line, user) in [(&alice, "alice"), (&dana, "dana")] {
        assert!(connect(&gateway, line, user).await.is_err(), "{user}");
    }
}

#[tokio::test]
async fn it_ends_by_the_clock() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let (_, line) = gateway.key_pair("key", ED25519);
    let reply = issue(&gateway, &alice, &line).await;
    let certificate = certificate(&reply.certificate);
    let at = async |time| {
        gateway
            .ids
            .by_ssh_certificate(&certificate, "alice", "web-1", HERE, time)
            .await
    };
    assert!(at(reply.expires - Duration::seconds(1)).await.is_ok());
    assert!(matches!(at(reply.expires).await, Err(Refusal::SshCertificateExpired)));
    assert!(matches!(
        at(now() - Duration::minutes(5)).await,
        Err(Refusal::SshCertificateExpired)
    ));

    // It does not outlive the login.
    let gateway = gateway
        .restart_with(|c| (c.session_ttl_s, c.ssh_certificate_ttl_s) = (60, 3600))
        .await;
    let login = gateway.login("alice").await;
    assert_eq!(Some(issue(&gateway, &login, &line).await.expires), login.expires);
}

/// Whoever gets at the authority's key, or has a certificate of another, has not been let in by the gateway.
#[tokio::test]
async fn what_the_gateway_did_not_enter_opens_nothing() {
    let gateway = Gateway::start().await;
    gateway.login("alice").await;
    let (file, line) = gateway.key_pair("key", ED25519);
    gateway.key_pair("foreign_ca", ED25519);
    let sign = |authority: &str, options: &[&str]| {
        let authority = gateway.folder.path().join(authority);
        let public = format!("{file}.pub");
        let fixed = ["-q", "-s", authority.to_str().unwrap(), "-I", "alice", "-n", "alice"];
        ssh_keygen(&[&fixed, options, &[&public]].concat());
        std::fs::read_to_string(format!("{file}-cert.pub")).unwrap()
    };
    for (authority, options) in [
        ("foreign_ca", &["-V", "+10m"][..]),
        ("people_ca", &["-V", "+10m"]),
        ("people_ca", &["-V", "+10m", "-O", "force-command=id"]),
        ("people_ca", &["-V", "-10m:-5m"]),
        ("people_ca", &["-V", "+10m", "-h"]),
        ("hosts_ca", &["-V", "+10m"]),
    ] {
        let forged = sign(authority, options);
        let refused = connect(&gateway, &forged, "alice").await;
        assert!(
            matches!(refused, Err(Refusal::UnknownSshCertificate)),
            "{authority} {options:?}"
        );
    }
    // Also when it looks exactly as ours do, and is signed with our key.
    let alice = gateway.login("alice").await;
    let real = issue(&gateway, &alice, &line).await.certificate;
    std::fs::write(format!("{file}-cert.pub"), &real).unwrap();
    let shown = ssh_keygen(&["-L", "-f", &format!("{file}-cert.pub")]);
    let (_, ours) = shown.split_once("force-command ").unwrap();
    let option = format!("force-command={}", ours.lines().next().unwrap());
    let twin = sign("people_ca", &["-V", "+10m", "-O", "clear", "-O", &option]);
    assert!(matches!(
        connect(&gateway, &twin, "alice").await,
        Err(Refusal::UnknownSshCertificate)
    ));
    connect(&gateway, &real, "alice").await.unwrap();

    // One of this gateway for a host is none for the gateway.
    let host = gateway
        .ids
        .ssh()
        .unwrap()
        .hosts()
        .for_host(line.parse().unwrap(), "alice", "session", now())
        .unwrap();
    let refused = connect(&gateway, &host.to_string(), "alice").await;
    assert!(matches!(refused, Err(Refusal::UnknownSshCertificate)));
}

#[tokio::test]
async fn the_two_authorities_are_two() {
    let gateway = Gateway::start().await;
    let ssh = gateway.ids.ssh().unwrap();
    assert_ne!(ssh.people(), ssh.hosts().public_key());
    let read = |name: &str| {
        let text = std::fs::read_to_string(gateway.folder.path().join(name)).unwrap();
        PrivateKey::from_pem(&text, None).unwrap()
    };
    assert!(SshAuthorities::new(read("people_ca"), read("people_ca")).is_none());
    let key = PrivateKey::generate_ed25519().unwrap();
    let made = ssh
        .hosts()
        .for_host(key.public_key().clone(), "deploy", "alice 0199", now())
        .unwrap();
    let unix = u64::try_from(now().unix_timestamp()).unwrap();
    let by = |authority: &PublicKey, login: &str| {
        let good = made.check(
            std::slice::from_ref(authority),
            CertificateKind::User,
            login,
            unix,
            None,
        );
        good.is_ok()
    };
    assert!(
        by(ssh.hosts().public_key(), "deploy") && !by(ssh.hosts().public_key(), "root") && !by(ssh.people(), "deploy")
    );
    assert!(made.valid_before() <= unix + 300 && made.extension("permit-X11-forwarding").is_none());
    assert!(!format!("{ssh:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn a_key_of_the_people_file_is_good_as_long_as_it_is_there() {
    let gateway = Gateway::start().await;
    let (_, line) = gateway.key_pair("laptop", ED25519);
    let (_, second) = gateway.key_pair("second", ED25519);
    assert!(matches!(
        by_key(&gateway, &line, "alice").await,
        Err(Refusal::UnknownSshKey)
    ));
    gateway.edit(|people| people.add_ssh_key("alice", &line).unwrap());
    gateway.edit(|people| people.add_ssh_key("alice", &second).unwrap());
    gateway.ids.reload_people().await.unwrap();
    let session = by_key(&gateway, &line, "alice").await.unwrap();
    let stays = by_key(&gateway, &second, "alice").await.unwrap();
    assert!(session.principal.is_in("developers") && session.expires.is_none());
    for user in ["dana", "nobody", "", "al ice"] {
        assert!(
            matches!(by_key(&gateway, &line, user).await, Err(Refusal::UnknownSshKey)),
            "{user}"
        );
    }
    let alice = gateway.login("alice").await;
    let listed = gateway.ids.list_ssh_keys(&alice).await.unwrap();
    assert!(listed.len() == 2 && listed.iter().all(|key| key.added.is_none()));

    let people = gateway.folder.path().join("people.toml");
    let text = std::fs::read_to_string(&people).unwrap();
    let without = text.replace(line.trim(), second.trim());
    assert_ne!(text, without);
    std::fs::write(&people, without).unwrap();
    gateway.ids.reload_people().await.unwrap();
    assert!(session.revocation.is_revoked() && !stays.revocation.is_revoked());
    assert!(by_key(&gateway, &line, "alice").await.is_err());
    gateway.edit(|people| people.set_groups("alice", &["dba".to_owned()]).unwrap());
    gateway.ids.reload_people().await.unwrap();
    assert!(stays.revocation.is_revoked(), "somebody else to policy now");
}

#[tokio::test]
async fn a_people_file_with_weak_or_shared_keys_is_refused() {
    let gateway = Gateway::start().await;
    let (_, line) = gateway.key_pair("laptop", ED25519);
    let (_, weak) = gateway.key_pair("weak", &["-t", "rsa", "-b", "1024"]);
    let file = gateway.folder.path().join("people.toml");
    let mut people = sallyport_identity::people::PeopleEditor::open(&file).unwrap();
    people.add_ssh_key("alice", &weak).unwrap();
    assert!(matches!(
        people.save(),
        Err(EditError::File(PeopleError::SshKey { .. }))
    ));
    let mut people = sallyport_identity::people::PeopleEditor::open(&file).unwrap();
    people.add_ssh_key("alice", &line).unwrap();
    people.add_ssh_key("dana", &line).unwrap();
    assert!(matches!(
        people.save(),
        Err(EditError::File(PeopleError::SharedSshKey(..)))
    ));
}

#[tokio::test]
async fn a_registered_key_is_good_until_it_is_removed() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let (_, line) = gateway.key_pair("laptop", ED25519);
    let (_, weak) = gateway.key_pair("weak", &["-t", "rsa", "-b", "1024"]);
    assert!(matches!(
        register(&gateway, &alice, &weak).await,
        Err(SshKeyError::Key(_))
    ));
    register(&gateway, &alice, &line).await.unwrap();
    assert!(matches!(
        register(&gateway, &alice, &line).await,
        Err(SshKeyError::Known)
    ));
    let session = by_key(&gateway, &line, "alice").await.unwrap();
    assert_eq!(session.principal, alice.principal);
    assert!(session.expires.unwrap() > now() + Duration::hours(23));
    assert!(by_key(&gateway, &line, "dana").await.is_err());

    // Nobody else can see or remove it.
    let dana = gateway.login("dana").await;
    assert!(gateway.ids.list_ssh_keys(&dana).await.unwrap().is_empty());
    let listed = gateway.ids.list_ssh_keys(&alice).await.unwrap();
    let fingerprint = &listed[0].id;
    assert_eq!((listed.len(), listed[0].name.as_deref()), (1, Some("laptop")));
    let foreign = gateway.ids.remove_ssh_key(&dana, fingerprint).await;
    assert!(matches!(foreign, Err(SshKeyError::Unknown)) && !session.revocation.is_revoked());

    let gateway = gateway.restart().await;
    let session = by_key(&gateway, &line, "alice").await.unwrap();
    gateway.ids.remove_ssh_key(&alice, fingerprint).await.unwrap();
    assert!(session.revocation.is_revoked());
    assert!(by_key(&gateway, &line, "alice").await.is_err());
    assert!(matches!(
        gateway.ids.remove_ssh_key(&alice, fingerprint).await,
        Err(SshKeyError::Unknown)
    ));
}

/// A token that was stolen must not become a key that is good for ever.
#[tokio::test]
async fn a_registered_key_needs_a_login_of_late() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let (_, line) = gateway.key_pair("laptop", ED25519);
    register(&gateway, &alice, &line).await.unwrap();
    let session = by_key(&gateway, &line, "alice").await.unwrap();
    let root = gateway.login("root").await;
    gateway.ids.revoke_all(&root.principal, "alice").await.unwrap();
    assert!(session.revocation.is_revoked());
    assert!(by_key(&gateway, &line, "alice").await.is_err());
    gateway.login("alice").await;
    by_key(&gateway, &line, "alice").await.unwrap();

    let gateway = gateway.restart_with(|config| config.ssh_key_ttl_s = 1).await;
    gateway.login("alice").await;
    let session = by_key(&gateway, &line, "alice").await.unwrap();
    let left = session.expires.unwrap() - now();
    tokio::time::sleep(left.try_into().unwrap_or_default()).await;
    assert!(
        by_key(&gateway, &line, "alice").await.is_err(),
        "the login is too long ago"
    );
}

#[tokio::test]
async fn a_name_that_changes_hands_keeps_no_keys() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let (_, line) = gateway.key_pair("laptop", ED25519);
    register(&gateway, &alice, &line).await.unwrap();
    let session = by_key(&gateway, &line, "alice").await.unwrap();
    let again = |gateway: &Gateway| {
        gateway.edit(|people| people.remove("alice").unwrap());
        gateway.edit(|people| {
            let password = Some(PASSWORD.into());
            people.add("alice", Kind::User, &[], password.as_ref(), now()).unwrap();
        });
    };
    again(&gateway);
    gateway.ids.reload_people().await.unwrap();
    assert!(session.revocation.is_revoked());
    let heir = gateway.login("alice").await;
    assert!(by_key(&gateway, &line, "alice").await.is_err());
    assert!(gateway.ids.list_ssh_keys(&heir).await.unwrap().is_empty());

    // Also when nobody was there to see it.
    register(&gateway, &heir, &line).await.unwrap();
    by_key(&gateway, &line, "alice").await.unwrap();
    again(&gateway);
    let gateway = gateway.restart().await;
    gateway.login("alice").await;
    assert!(by_key(&gateway, &line, "alice").await.is_err());
}

#[tokio::test]
async fn trying_out_names_is_bounded_and_tells_nothing() {
    let gateway = Gateway::start().await;
    let (_, line) = gateway.key_pair("laptop", ED25519);
    for user in ["alice", "nobody"] {
        for _ in 0..32 {
            assert!(matches!(
                by_key(&gateway, &line, user).await,
                Err(Refusal::UnknownSshKey)
            ));
        }
        assert!(
            matches!(by_key(&gateway, &line, user).await, Err(Refusal::TooMany { .. })),
            "{user}"
        );
    }
}

#[tokio::test]
async fn a_person_has_so_many_keys_and_no_more() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    for _ in 0..16 {
        let key = PrivateKey::generate_ed25519().unwrap().public_key().to_string();
        register(&gateway, &alice, &key).await.unwrap();
    }
    let key = PrivateKey::generate_ed25519().unwrap().public_key().to_string();
    assert!(matches!(
        register(&gateway, &alice, &key).await,
        Err(SshKeyError::Full { most: 16 })
    ));
    for name in ["", "a\nb", &"x".repeat(129)] {
        let request = SshKeyRequest {
            public_key: key.clone(),
            name: name.to_owned(),
        };
        assert!(matches!(
            gateway.ids.add_ssh_key(&alice, &request).await,
            Err(SshKeyError::Name)
        ));
    }
}
