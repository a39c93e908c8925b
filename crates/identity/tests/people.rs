//! The people file: changes take effect on who is logged in and on who is connected.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod gateway;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gateway::{Gateway, PASSWORD};
use rustls_pki_types::CertificateDer;
use sallyport_identity::messages::TokenRequest;
use sallyport_identity::people::{Listed, PeopleEditor, fingerprint};
use sallyport_identity::{Kind, Refusal};
use time::OffsetDateTime;

#[tokio::test]
async fn who_is_removed_is_out_at_once() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let dana = gateway.login("dana").await;
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    let session = gateway.ids.by_token(&issued.token, "alice", "orders").await.unwrap();
    gateway.edit(|people| people.remove("alice").unwrap());
    assert!(gateway.ids.reload_people().await.unwrap());
    assert!(session.revocation.is_revoked());
    assert!(alice.revocation.is_revoked());
    assert!(!dana.revocation.is_revoked());
    assert!(gateway.ids.by_token(&issued.token, "alice", "orders").await.is_err());

    // Somebody else who gets the name gets none of its tokens, also after a restart.
    gateway.edit(|people| {
        people
            .add(
                "alice",
                Kind::User,
                &["dba".into()],
                Some(&PASSWORD.into()),
                OffsetDateTime::now_utc(),
            )
            .unwrap();
    });
    assert!(gateway.ids.reload_people().await.unwrap());
    assert!(gateway.ids.by_token(&issued.token, "alice", "orders").await.is_err());
    let gateway = gateway.restart().await;
    assert!(gateway.ids.by_token(&issued.token, "alice", "orders").await.is_err());
}

#[tokio::test]
async fn a_name_that_changed_hands_while_the_gateway_was_down_keeps_no_tokens() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    gateway.edit(|people| {
        people.remove("alice").unwrap();
        people
            .add(
                "alice",
                Kind::User,
                &[],
                Some(&PASSWORD.into()),
                OffsetDateTime::now_utc(),
            )
            .unwrap();
    });
    let gateway = gateway.restart().await;
    let refusal = gateway
        .ids
        .by_token(&issued.token, "alice", "orders")
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Revoked));
}

#[tokio::test]
async fn other_groups_end_sessions_but_not_tokens() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    let session = gateway.ids.by_token(&issued.token, "alice", "orders").await.unwrap();
    gateway.edit(|people| people.set_groups("alice", &["interns".into()]).unwrap());
    assert!(gateway.ids.reload_people().await.unwrap());
    assert!(session.revocation.is_revoked());
    let session = gateway.ids.by_token(&issued.token, "alice", "orders").await.unwrap();
    assert!(session.principal.is_in("interns") && !session.principal.is_in("developers"));
}

#[tokio::test]
async fn a_new_password_ends_logins_and_tokens() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let issued = gateway
        .ids
        .issue_target_token(&alice, &TokenRequest::default())
        .await
        .unwrap();
    gateway.edit(|people| {
        people
            .set_password("alice", &"another horse".into(), OffsetDateTime::now_utc())
            .unwrap();
    });
    assert!(gateway.ids.reload_people().await.unwrap());
    assert!(alice.revocation.is_revoked());
    assert!(gateway.ids.by_token(&issued.token, "alice", "orders").await.is_err());
}

#[tokio::test]
async fn a_file_that_makes_no_sense_changes_nothing() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let path = gateway.folder.path().join("people.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let bad = [
        "[[person]]\nid = ".to_owned(),
        format!("{good}\n[[person]]\nid = \"alice\"\n"),
        "[[person]]\nid = \"al ice\"\n".to_owned(),
        "[[person]]\nid = \"alice\"\npassword = \"hunter22\"\n".to_owned(),
        "[[person]]\nid = \"alice\"\nadmin = true\n".to_owned(),
        "[[person]]\nid = \"alice\"\ncertificates = [{ name = \"alice\", authority = \"none\" }]\n".to_owned(),
    ];
    for text in bad {
        std::fs::write(&path, &text).unwrap();
        let error = gateway.ids.reload_people().await.unwrap_err().to_string();
        assert!(error.contains("people file"), "{error}");
        assert!(!error.contains("hunter22"), "{error}");
        assert!(!gateway.ids.reload_people().await.unwrap(), "one error per change");
        assert!(!alice.revocation.is_revoked());
    }
    std::fs::remove_file(&path).unwrap();
    assert!(gateway.ids.reload_people().await.is_err());
    std::fs::write(&path, &good).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = gateway.ids.reload_people().await.unwrap_err().to_string();
    assert!(error.contains("can be written by others"), "{error}");
    assert!(!alice.revocation.is_revoked());
}

#[test]
fn editing_keeps_comments_and_makes_a_private_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.toml");
    std::fs::write(&path, "# who may come in\n[[person]]\nid = \"bob\" # since 2019\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut people = PeopleEditor::open(&path).unwrap();
    people
        .add("ci", Kind::Machine, &["jobs".into()], None, OffsetDateTime::now_utc())
        .unwrap();
    assert!(
        people
            .add("ci", Kind::Machine, &[], None, OffsetDateTime::now_utc())
            .is_err()
    );
    assert!(
        people
            .add("eve", Kind::User, &[], Some(&"short".into()), OffsetDateTime::now_utc())
            .is_err()
    );
    people.save().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("# who may come in") && text.contains("# since 2019"),
        "{text}"
    );
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = PeopleEditor::open(&path).unwrap().list().unwrap();
    let ci = Listed {
        id: "ci".into(),
        kind: Kind::Machine,
        groups: vec!["jobs".into()],
        has_password: false,
    };
    assert_eq!(listed[1], ci);
}

#[tokio::test]
async fn a_pinned_certificate_is_its_owner_until_it_is_taken_out() {
    let gateway = Gateway::start().await;
    let (leaf, _) = certificate(gateway.folder.path(), "anything", None, &[]);
    let chain = [leaf];
    assert!(gateway.ids.by_certificate(&chain, "alice").is_err());
    gateway.edit(|people| {
        people.add_certificate("alice", fingerprint(&chain[0])).unwrap();
    });
    assert!(gateway.ids.reload_people().await.unwrap());
    let session = gateway.ids.by_certificate(&chain, "alice").unwrap();
    assert_eq!(session.principal.id, "alice");
    assert!(matches!(
        gateway.ids.by_certificate(&chain, "dana"),
        Err(Refusal::WrongCertificate)
    ));
    assert!(gateway.ids.by_certificate(&[], "alice").is_err());
    gateway.edit(|people| people.remove("alice").unwrap());
    assert!(gateway.ids.reload_people().await.unwrap());
    assert!(session.revocation.is_revoked());
    assert!(gateway.ids.by_certificate(&chain, "alice").is_err());
}

#[tokio::test]
async fn a_named_certificate_needs_a_valid_path_to_its_authority() {
    let gateway = Gateway::start().await;
    let folder = gateway.folder.path();
    let (_, corp) = certificate(folder, "corp", None, &["-addext", "basicConstraints=critical,CA:TRUE"]);
    let (_, other) = certificate(folder, "other", None, &["-addext", "basicConstraints=critical,CA:TRUE"]);
    let client = ["-addext", "extendedKeyUsage=clientAuth"];
    let (good, _) = certificate(folder, "alice.laptop", Some(&corp), &client);
    let (foreign, _) = certificate(folder, "alice.laptop", Some(&other), &client);
    let (unnamed, _) = certificate(folder, "somebody", Some(&corp), &client);
    let (server, _) = certificate(
        folder,
        "alice.laptop",
        Some(&corp),
        &["-addext", "extendedKeyUsage=serverAuth"],
    );
    let people = folder.join("people.toml");
    let text = std::fs::read_to_string(&people).unwrap();
    let entry = "id = \"alice\"\ncertificates = [{ name = \"alice.laptop\", authority = \"corp\" }]";
    let text = text.replace("id = \"alice\"", entry) + "\n[[authority]]\nname = \"corp\"\nfile = \"corp.pem\"\n";
    std::fs::write(&people, text).unwrap();
    assert!(gateway.ids.reload_people().await.unwrap());
    assert_eq!(
        gateway.ids.by_certificate(&[good], "alice").unwrap().principal.id,
        "alice"
    );
    for (why, bad) in [("authority", foreign), ("name", unnamed), ("purpose", server)] {
        assert!(
            matches!(
                gateway.ids.by_certificate(&[bad], "alice"),
                Err(Refusal::UnknownCertificate)
            ),
            "{why}"
        );
    }
}

/// Makes `NAME.pem` and `NAME.key` with OpenSSL, self-signed or signed by another of these.
fn certificate(folder: &Path, name: &str, by: Option<&str>, more: &[&str]) -> (CertificateDer<'static>, String) {
    use rustls_pki_types::pem::PemObject;
    let at = |suffix: &str| folder.join(format!("{name}.{suffix}"));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    openssl.args(["-subj", &format!("/CN={name}")]).args(more);
    openssl.arg("-keyout").arg(at("key")).arg("-out").arg(at("pem"));
    if let Some(by) = by {
        openssl.arg("-CA").arg(folder.join(format!("{by}.pem")));
        openssl.arg("-CAkey").arg(folder.join(format!("{by}.key")));
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    }
    let done = openssl.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    (CertificateDer::from_pem_file(at("pem")).unwrap(), name.to_owned())
}

#[tokio::test]
async fn a_running_gateway_notices_by_itself() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let ids = std::sync::Arc::clone(&gateway.ids);
    let maintaining = tokio::spawn(async move { ids.maintain().await });
    gateway.edit(|people| people.remove("alice").unwrap());
    let noticed = alice.revocation.revoked();
    tokio::time::timeout(std::time::Duration::from_secs(30), noticed)
        .await
        .unwrap();
    assert!(gateway.ids.local_principal("alice").is_none());
    maintaining.abort();
}
