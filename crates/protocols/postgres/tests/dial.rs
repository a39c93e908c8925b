//! Logins at real PostgreSQL servers: every way to log in, every TLS mode.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    reason = "tests"
)]

use std::{fs, path::Path};

use sallyport_postgres::{
    dial::{DialError, Dialer, Order, Upstream, cancel},
    greet::Startup,
    wire::{
        HEADER_LEN, Limits,
        backend::{Message, Tag},
        frontend, next_frame,
        startup::{StartupPacket, Version},
    },
};
use sallyport_target::{Broker, Catalogue, PostgresLease};
use sallyport_testbed::{Auth, Options, Postgres, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PASSWORD: &str = "correct horse & battery";

fn server(auth: Auth, tls: bool, tls_only: bool) -> Postgres {
    let settings = match auth {
        Auth::Md5 => vec![("password_encryption".to_owned(), "md5".to_owned())],
        _ => vec![],
    };
    let roles = vec![Role::new("app", PASSWORD)];
    let databases = vec!["orders".to_owned()];
    Postgres::start(&Options {
        auth,
        tls,
        tls_only,
        roles,
        databases,
        settings,
        ..Options::default()
    })
    .unwrap()
}

/// A lease for `server` with the rest of its table in `targets.toml` as given.
async fn lease(server: &Postgres, host: &str, rest: &str) -> PostgresLease {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pw"), format!("{PASSWORD}\n")).unwrap();
    let ca = server
        .ca_path()
        .map(|path| format!("ca_file = '{}'", path.display()))
        .unwrap_or_default();
    let text = format!(
        "[[target]]\nname = 'orders'\nprotocol = 'postgres'\naddress = '{host}:{}'\nuser = 'app'\n{ca}\n{rest}\n",
        server.port()
    );
    let catalogue = Catalogue::parse(&text, "targets.toml", dir.path(), &Broker::default()).unwrap();
    let target = catalogue.get("orders").unwrap();
    target.lease(target.place()).await.unwrap().try_into().unwrap()
}

fn startup(parameters: &[(&str, &str)]) -> Startup {
    let mut all = vec![(&b"user"[..], &b"alice"[..])];
    all.extend(
        parameters
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    Startup::read(&StartupPacket {
        version: Version::V3_0,
        parameters: all,
    })
    .unwrap()
}

async fn dial(lease: &PostgresLease) -> Result<Upstream, DialError> {
    Dialer::default().dial(lease, &Order::default()).await
}

/// The first column of the first row of a query's result.
async fn ask(upstream: &mut Upstream, text: &str) -> String {
    let mut out = Vec::new();
    frontend::Query { text: text.as_bytes() }.encode(&mut out);
    upstream.wire.write_all(&out).await.unwrap();
    upstream.wire.flush().await.unwrap();
    let mut buf = bytes::BytesMut::new();
    let mut value = String::new();
    loop {
        if let Some(frame) = next_frame::<Tag>(&buf, &Limits::default()).unwrap() {
            let whole = buf.split_to(frame.total_len);
            match Message::decode(frame.tag, whole.get(HEADER_LEN..).unwrap()).unwrap() {
                Message::DataRow(row) => {
                    let first = row.columns().next().unwrap().unwrap().unwrap_or_default();
                    value = String::from_utf8(first.to_vec()).unwrap();
                }
                Message::ErrorResponse(error) => value = error.sqlstate().into_owned(),
                Message::ReadyForQuery(_) => return value,
                _ => {}
            }
            continue;
        }
        assert_ne!(upstream.wire.read_buf(&mut buf).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn each_way_to_log_in_works_where_it_is_allowed_and_only_there() {
    let ways = [
        (Auth::Scram, "scram-sha-256"),
        (Auth::Md5, "md5"),
        (Auth::Password, "password"),
        (Auth::Trust, "trust"),
    ];
    for (auth, name) in ways {
        let server = server(auth, false, false);
        for (_, allowed) in ways {
            let rest = format!("tls = 'disable'\npassword_file = 'pw'\nauth = ['{allowed}']");
            let dialled = dial(&lease(&server, "127.0.0.1", &rest).await).await;
            match (dialled, name == allowed) {
                (Ok(mut upstream), true) => {
                    assert_eq!(ask(&mut upstream, "select current_user").await, "app");
                }
                (Err(DialError::Unproven { .. }), false) => assert_eq!(name, "trust"),
                (Err(DialError::Method { asked }), false) => assert_eq!(asked, name),
                (other, _) => panic!("{name} with {allowed} allowed: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn each_tls_mode_verifies_as_far_as_it_says() {
    let server = server(Auth::Scram, true, true);
    let stranger = sallyport_testbed::Authority::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let strange = dir.path().join("ca.crt");
    fs::write(&strange, stranger.certificate()).unwrap();
    let cases = [
        ("verify-full", "localhost", None, true),
        (
            "verify-full",
            "localhost",
            Some("server_name = 'other.internal'"),
            false,
        ),
        ("verify-ca", "localhost", Some("server_name = 'other.internal'"), true),
        ("require", "127.0.0.1", Some("server_name = 'other.internal'"), true),
    ];
    for (mode, host, name, expected) in cases {
        let rest = format!("tls = '{mode}'\npassword_file = 'pw'\n{}", name.unwrap_or_default());
        let dialled = dial(&lease(&server, host, &rest).await).await;
        match (dialled, expected) {
            (Ok(mut upstream), true) => {
                assert_eq!(upstream.wire.tls().unwrap().verified, mode != "require");
                let ssl = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
                assert_eq!(ask(&mut upstream, ssl).await, "t");
            }
            (Err(DialError::Tls(_)), false) => {}
            (other, _) => panic!("{mode} {name:?}: {other:?}"),
        }
    }
    for mode in ["verify-ca", "verify-full"] {
        let mut lease = lease(&server, "localhost", &format!("tls = '{mode}'\npassword_file = 'pw'")).await;
        let text = format!("tls = '{mode}'\nca_file = '{}'", strange.display());
        lease.tls = other_tls(&text).await;
        assert!(matches!(dial(&lease).await, Err(DialError::Tls(_))), "{mode}");
    }
    let clear = dial(&lease(&server, "127.0.0.1", "tls = 'disable'\npassword_file = 'pw'").await)
        .await
        .unwrap_err();
    assert!(
        matches!(&clear, DialError::Refused(error) if error.sqlstate() == "28000"),
        "{clear}"
    );
}

async fn other_tls(rest: &str) -> sallyport_target::Tls {
    let text = format!(
        "[[target]]\nname = 't'\nprotocol = 'postgres'\naddress = 'localhost:1'\nuser = 'app'\nauth = ['trust']\n{rest}\n"
    );
    let catalogue = Catalogue::parse(&text, "targets.toml", Path::new("/"), &Broker::default()).unwrap();
    let lease = PostgresLease::try_from(catalogue.get("t").unwrap().lease("t").await.unwrap());
    lease.unwrap().tls
}

#[tokio::test]
async fn scram_is_bound_to_the_channel_when_asked() {
    let tls = server(Auth::Scram, true, false);
    let clear = server(Auth::Scram, false, false);
    for (mode, works) in [("prefer", true), ("require", true), ("disable", true)] {
        let rest = format!("tls = 'verify-full'\npassword_file = 'pw'\nchannel_binding = '{mode}'");
        assert_eq!(
            dial(&lease(&tls, "localhost", &rest).await).await.is_ok(),
            works,
            "{mode}"
        );
    }
    let rest = "tls = 'disable'\npassword_file = 'pw'";
    let mut unbound = lease(&clear, "127.0.0.1", rest).await;
    unbound.channel_binding = sallyport_target::ChannelBinding::Require;
    assert!(matches!(dial(&unbound).await, Err(DialError::ChannelBinding)));
    let rest = "tls = 'require'\npassword_file = 'pw'";
    assert!(matches!(
        dial(&lease(&clear, "127.0.0.1", rest).await).await,
        Err(DialError::NoTls)
    ));
}

#[tokio::test]
async fn keys_are_remembered_and_a_changed_password_is_noticed() {
    let server = server(Auth::Scram, false, false);
    let dialer = Dialer::default();
    let mut lease = lease(&server, "127.0.0.1", "tls = 'disable'\npassword_file = 'pw'").await;
    for _ in 0..3 {
        dialer.dial(&lease, &Order::default()).await.unwrap();
    }
    lease.secret = Some("wrong".to_owned().into());
    let wrong = dialer.dial(&lease, &Order::default()).await.unwrap_err();
    assert!(
        matches!(&wrong, DialError::Refused(error) if error.sqlstate() == "28P01"),
        "{wrong}"
    );
    server.query("postgres", "alter role app password 'wrong'").unwrap();
    dialer.dial(&lease, &Order::default()).await.unwrap();
}

#[tokio::test]
async fn the_target_says_what_it_is_and_settings_arrive() {
    let server = server(Auth::Scram, false, false);
    let lease = lease(&server, "127.0.0.1", "tls = 'disable'\npassword_file = 'pw'").await;
    let wanted = startup(&[
        ("application_name", "psql"),
        ("TimeZone", "Asia/Tokyo"),
        (
            "options",
            r"-c statement_timeout=7s -c work_mem=8MB -c sallyport.task=OPS-42",
        ),
    ]);
    let wanted = Order::new(&wanted, &["work_mem".into()]).unwrap();
    let mut upstream = Dialer::default().dial(&lease, &wanted).await.unwrap();
    let parameter = |name: &str| {
        upstream
            .parameters
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(parameter("TimeZone"), Some("Asia/Tokyo"));
    assert_eq!(parameter("application_name"), Some("psql"));
    assert_eq!(parameter("standard_conforming_strings"), Some("on"));
    assert!(upstream.backend_key.is_some());
    assert_eq!(ask(&mut upstream, "show statement_timeout").await, "7s");
    assert_eq!(ask(&mut upstream, "show work_mem").await, "8MB");
    assert_eq!(ask(&mut upstream, "select current_database()").await, "orders");
}

/// pa-006, pa-007.
#[tokio::test]
async fn settings_and_replication_that_nobody_permitted_do_not_reach_the_target() {
    let server = server(Auth::Scram, false, false);
    let lease = lease(&server, "127.0.0.1", "tls = 'disable'\npassword_file = 'pw'").await;
    for wanted in [
        startup(&[("role", "postgres")]),
        startup(&[("options", "-c role=postgres")]),
        startup(&[("search_path", "demo")]),
        startup(&[("options", "--session-preload-libraries=x")]),
    ] {
        let error = Order::new(&wanted, &[]).unwrap_err();
        assert!(matches!(error, DialError::Setting(_)), "{error}");
        assert!(error.told().is_some_and(|told| told.contains("startup_settings")));
    }
    let mut replication = startup(&[("replication", "database")]);
    let error = Order::new(&replication, &[]).unwrap_err();
    assert!(matches!(error, DialError::Replication), "{error}");
    replication.permit_replication();
    let replication = Order::new(&replication, &[]).unwrap();
    // The target has its own say; `app` may not replicate.
    let error = Dialer::default().dial(&lease, &replication).await.unwrap_err();
    assert!(
        matches!(&error, DialError::Refused(error) if error.sqlstate() == "42501"),
        "{error}"
    );
}

/// Whoever is at the other end of a flow cannot choose another account or database by naming it again.
#[tokio::test]
async fn an_order_names_nothing_that_the_lease_does() {
    let server = server(Auth::Scram, false, false);
    let lease = lease(&server, "127.0.0.1", "tls = 'disable'\npassword_file = 'pw'").await;
    for bad in [
        r#"[["user","postgres"]]"#,
        r#"[["database","postgres"]]"#,
        r#"[["datestyle","ISO"],["datestyle","ISO"]]"#,
        r#"[["options","-c role=postgres"]]"#,
        r#"[["","x"]]"#,
        r#"[["a\u0000user","x"]]"#,
        r#"[["datestyle","ISO\u0000user\u0000postgres"]]"#,
    ] {
        let order: Order = serde_json::from_str(&format!(r#"{{"parameters":{bad}}}"#)).unwrap();
        let error = Dialer::default().dial(&lease, &order).await.unwrap_err();
        assert!(matches!(error, DialError::Setting(_)), "{bad}: {error}");
    }
}

#[tokio::test]
async fn what_the_target_refuses_is_told_without_the_credential() {
    let server = server(Auth::Scram, false, false);
    let mut lease = lease(
        &server,
        "127.0.0.1",
        "tls = 'disable'\npassword_file = 'pw'\ndatabase = 'nowhere'",
    )
    .await;
    let error = dial(&lease).await.unwrap_err();
    assert_eq!(error.told().unwrap(), "database \"nowhere\" does not exist");
    lease.secret = Some("hunter2".to_owned().into());
    let error = dial(&lease).await.unwrap_err();
    assert_eq!(
        error.told(),
        None,
        "whom the gateway is there is not the client's to know"
    );
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hunter2") && !text.contains(PASSWORD), "{text}");
    lease.secret = None;
    assert!(matches!(dial(&lease).await, Err(DialError::NoPassword)));
}

#[tokio::test]
async fn a_cancel_request_reaches_the_session_it_is_for() {
    for tls in ["disable", "verify-full"] {
        let server = server(Auth::Scram, tls != "disable", tls != "disable");
        let lease = lease(&server, "localhost", &format!("tls = '{tls}'\npassword_file = 'pw'")).await;
        let (mut sleeping, mut other) = (dial(&lease).await.unwrap(), dial(&lease).await.unwrap());
        let pid = ask(&mut sleeping, "select pg_backend_pid()").await;
        let key = sleeping.backend_key.clone().unwrap();
        let sleep = ask(&mut sleeping, "select pg_sleep(600)");
        let cancelling = async {
            let asleep = format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'");
            while ask(&mut other, &asleep).await != "1" {}
            cancel(&lease, &key).await.unwrap();
        };
        let (answer, ()) = tokio::join!(sleep, cancelling);
        assert_eq!(answer, "57014");
        assert_eq!(ask(&mut other, "select 1").await, "1");
    }
}
