//! Files, variables and commands; what is refused as it is written; and that no secret is shown.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, reason = "tests")]

mod played;

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use played::{credentials, source, with};
use sallyport_credential::{Credentials, Need, SecretKind, Source, Stores};
use secrecy::ExposeSecret;

async fn get(credentials: &Credentials, source: &Source, kind: SecretKind) -> Result<String, String> {
    let leased = credentials.lease(source, &Need::of(kind)).await;
    leased
        .map(|leased| leased.secret().expose_secret().to_owned())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_file_gives_its_first_line_as_it_is_now() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let (made, file) = (credentials("", &[]), Source::file(&path));
    let password = SecretKind::Password;
    assert!(
        get(&made, &file, password)
            .await
            .unwrap_err()
            .contains("cannot read the password file")
    );
    for (content, expected) in [("one\ntwo\n", "one"), ("rotated", "rotated"), (" x \r\n", " x ")] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(get(&made, &file, password).await.unwrap(), expected);
    }
    std::fs::write(&path, "-----BEGIN\nx\n").unwrap();
    assert_eq!(
        get(&made, &file, SecretKind::PrivateKey).await.unwrap(),
        "-----BEGIN\nx\n"
    );
    let long = "x".repeat(70_000);
    for bad in ["", "\nsecond", &long] {
        std::fs::write(&path, bad).unwrap();
        assert!(get(&made, &file, password).await.is_err());
    }
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(get(&made, &file, password).await.is_err());
    assert!(
        get(&made, &Source::file(dir.path()), password)
            .await
            .unwrap_err()
            .contains("not a regular file")
    );
}

#[tokio::test]
async fn a_pipe_that_nobody_writes_to_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let said = get(&credentials("", &[]), &Source::file(&path), SecretKind::Password)
        .await
        .unwrap_err();
    assert!(said.contains("not a regular file"), "{said}");
}

#[tokio::test]
async fn a_variable_is_set_and_not_empty() {
    let made = credentials("", &[("A", "CANARY"), ("EMPTY", "")]);
    let variable = |name: &str| Source::environment(name);
    assert_eq!(
        get(&made, &variable("A"), SecretKind::Password).await.unwrap(),
        "CANARY"
    );
    for name in ["EMPTY", "ABSENT", "", "A=B"] {
        assert!(
            get(&made, &variable(name), SecretKind::Password).await.is_err(),
            "{name}"
        );
    }
}

fn commands(environment: &[(&str, &str)]) -> Credentials {
    with("", environment, |options| options.commands = true)
}

fn script(dir: &Path, text: &str) -> String {
    let path = dir.join("script");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(file);
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_command_gets_its_words_and_little_else() {
    let dir = tempfile::tempdir().unwrap();
    let show = script(dir.path(), "printf '%s|' \"$@\"; pwd; env | sort");
    let made = commands(&[
        ("HOME", "/home/x"),
        ("AWS_SECRET_ACCESS_KEY", "CANARY-env"),
        ("WANTED", "yes"),
        ("LD_PRELOAD", "x"),
    ]);
    let text =
        format!("source = 'command', argv = ['{show}', '$(id)', '; rm -rf /', '`x`', 'a b'], environment = ['WANTED']");
    let said = get(&made, &source(&text), SecretKind::PrivateKey).await.unwrap();
    assert!(said.starts_with("$(id)|; rm -rf /|`x`|a b|/\n"), "{said}");
    assert!(
        said.contains("WANTED=yes") && said.contains("HOME=/home/x") && said.contains("PATH=/usr/local/sbin"),
        "{said}"
    );
    assert!(!said.contains("CANARY") && !said.contains("LD_PRELOAD"), "{said}");
    assert_eq!(
        get(&made, &source(&text), SecretKind::Password).await.unwrap(),
        "$(id)|; rm -rf /|`x`|a b|/"
    );
}

#[tokio::test]
async fn a_command_that_fails_gives_no_secret_and_its_words_are_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let made = commands(&[]);
    for (text, hint) in [
        ("echo CANARY; echo CANARY-err >&2; exit 3", "exit status: 3"),
        ("echo CANARY; kill -9 $$", "signal"),
        ("yes CANARY", "more than"),
        ("echo CANARY-err >&2", "empty"),
        ("printf '\\377\\376'", "not text"),
    ] {
        let path = script(dir.path(), text);
        let run = source(&format!("source = 'command', argv = ['{path}', 'CANARY-arg']"));
        let said = get(&made, &run, SecretKind::Password).await.unwrap_err();
        assert!(said.contains(hint) && !said.contains("CANARY"), "{said}");
    }
    let absent = source("source = 'command', argv = ['/nowhere/program']");
    assert!(
        get(&made, &absent, SecretKind::Password)
            .await
            .unwrap_err()
            .contains("cannot be started")
    );
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_all_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let path = script(
        dir.path(),
        &format!("sleep 1000 & echo $! >>{0}; echo $$ >>{0}; wait", pids.display()),
    );
    let text = format!("source = 'command', argv = ['{path}'], timeout_s = 1");
    let began = Instant::now();
    let said = get(&commands(&[]), &source(&text), SecretKind::Password)
        .await
        .unwrap_err();
    assert!(
        said.contains("did not end within 1 s") && began.elapsed() < Duration::from_secs(8),
        "{said}"
    );
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        // Dead, or dead and not yet taken away by whoever is its parent now.
        for _ in 0..100 {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if status.is_empty() || status.contains(") Z ") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(status.is_empty() || status.contains(") Z "), "{status}");
    }
}

#[tokio::test]
async fn commands_run_only_where_they_may() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let path = script(dir.path(), &format!("touch {}", mark.display()));
    let run = source(&format!("source = 'command', argv = ['{path}']"));
    let made = credentials("", &[]);
    assert!(made.check(&run).is_err());
    assert!(
        get(&made, &run, SecretKind::Password)
            .await
            .unwrap_err()
            .contains("not permitted")
    );
    assert!(!mark.exists());
}

fn refused(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Target {
        credential: Source,
    }
    let read = toml::from_str::<Target>(&format!("credential = {{ {text} }}"));
    read.map_or(true, |target| target.credential.check().is_err())
}

#[test]
fn sources_that_make_no_sense_are_refused() {
    for good in [
        "source = 'file', path = '/x'",
        "source = 'command', argv = ['/bin/x', '']",
        "source = 'vault-kv', store = 'p', path = 'a/b'",
        "source = 'google-secret', store = 'p', project = 'example.com:x', secret = 's'",
    ] {
        assert!(!refused(good), "{good}");
    }
    for bad in [
        "source = 'file'",
        "source = 'file', path = ''",
        "source = 'file', path = '/x', store = 'p'",
        "source = 'nothing', path = '/x'",
        "path = '/x'",
        "source = 'environment', variable = ''",
        "source = 'command', argv = []",
        "source = 'command', argv = 'x'",
        "source = 'command', argv = ['sh', '-c', 'x']",
        "source = 'command', argv = ['./x']",
        "source = 'command', argv = ['/x'], timeout_s = 0",
        "source = 'command', argv = ['/x'], timeout_s = 100000",
        "source = 'command', argv = [\"/x\", \"a\\u0000b\"]",
        "source = 'command', argv = ['/x'], environment = ['A=B']",
        "source = 'vault-kv', store = 'p', path = '../sys/seal'",
        "source = 'vault-kv', store = 'p', path = 'a/../../sys/raw'",
        "source = 'vault-kv', store = 'p', path = '/a'",
        "source = 'vault-kv', store = 'p', path = 'a?list=true'",
        "source = 'vault-kv', store = 'p', path = 'a%2f..'",
        "source = 'vault-kv', store = 'p', path = 'a', mount = '..'",
        "source = 'vault-kv', store = 'p', path = 'a', version = 3",
        "source = 'vault-kv', store = 'p', path = 'a', fild = 'x'",
        "source = 'vault-database', store = 'p', role = 'a/b'",
        "source = 'vault-database', store = 'p', role = '..'",
        "source = 'vault-ssh', store = 'p', role = 'a', principals = ['a,b']",
        "source = 'vault-ssh', store = 'p', role = 'a', principals = ['*']",
        "source = 'vault-ssh', store = 'p', role = 'a', ttl_s = 1000000",
        "source = 'aws-secret', store = 'p', secret = ''",
        "source = 'aws-secret', store = 'p', secret = 'x', user_field = 'u'",
        "source = 'aws-rds-token', store = 'p', host = 'a/b'",
        "source = 'aws-rds-token', store = 'p', region = 'evil.example/'",
        "source = 'azure-secret', store = 'p', secret = 'a/b'",
        "source = 'azure-secret', store = 'p', secret = '..'",
        "source = 'google-secret', store = 'p', project = 'a/b', secret = 's'",
        "source = 'google-secret', store = 'p', project = 'a', secret = 's', location = 'evil.example'",
        "source = 'kubernetes-secret', store = 'p', namespace = '..', secret = 's'",
        "source = 'kubernetes-secret', store = 'p', secret = 's'",
    ] {
        assert!(refused(bad), "{bad}");
    }
}

#[test]
fn stores_that_would_send_secrets_elsewhere_are_refused() {
    let made = |text: &str| match toml::from_str::<Stores>(text) {
        Ok(stores) => Credentials::new(&stores, sallyport_credential::Options::default()).map(drop),
        Err(error) => Err(error.to_string()),
    };
    let vault = |rest: &str| format!("[[vault]]\nname = 'v'\n{rest}");
    let token = "login = { method = 'token', token_env = 'T' }";
    let good = vault(&format!("address = 'https://vault.example.com:8200'\n{token}"));
    assert!(made(&good).is_ok());
    assert!(
        made(&format!("{good}\n{good}"))
            .unwrap_err()
            .contains("two `[[vault]]` are called `v`")
    );
    let aws = "[[aws]]\nname = 'a'\nregion = 'eu-central-1'\nlogin = { method = 'instance' }\n";
    let azure = "[[azure]]\nname = 'a'\nlogin = { method = 'managed-identity' }\n";
    let google = "[[google]]\nname = 'g'\nlogin = { method = 'metadata' }\n";
    for good in [
        aws.to_owned(),
        format!("{azure}vault = 'https://x.vault.azure.net'"),
        google.to_owned(),
    ] {
        assert_eq!(made(&good), Ok(()));
    }
    for bad in [
        vault(&format!("address = 'http://vault.example.com:8200'\n{token}")),
        vault(&format!("address = 'http://169.254.169.254'\n{token}")),
        vault(&format!("address = 'https://u:p@vault.example.com'\n{token}")),
        vault(&format!(
            "address = 'https://vault.example.com'\nnamespace = '../x'\n{token}"
        )),
        vault("address = 'https://vault.example.com'\nlogin = { method = 'token' }"),
        vault(
            "address = 'https://vault.example.com'\nlogin = { method = 'token', token_env = 'T', token_file = '/t' }",
        ),
        vault("address = 'https://vault.example.com'\nlogin = { method = 'token', token_env = 'T', token = 'CANARY' }"),
        vault("address = 'https://vault.example.com'\nlogin = { method = 'approle', role_id = 'r' }"),
        vault(
            "address = 'https://vault.example.com'\nlogin = { method = 'kubernetes', role = 'r', mount = '../token' }",
        ),
        vault("address = 'https://vault.example.com'\nlogin = { method = 'guess' }"),
        format!("{aws}endpoint = 'http://example.com'"),
        format!("{aws}endpoint = 'https://example.com/path'"),
        format!("{aws}sts_endpoint = 'http://example.com'"),
        format!("{aws}metadata_endpoint = 'https://example.com'"),
        aws.replace("eu-central-1", "evil.example/"),
        format!("{azure}vault = 'https://evil.example'"),
        format!("{azure}vault = 'https://evilvault.azure.net'"),
        format!("{azure}vault = 'https://x.vault.azure.net'\nauthority = 'https://evil.example'"),
        format!("{azure}vault = 'https://x.vault.azure.net'\nmetadata_endpoint = 'http://10.0.0.1'"),
        format!("{google}endpoint = 'https://evil.example'"),
        format!("{google}token_endpoint = 'https://googleapis.com.evil.example'"),
        "[[kubernetes]]\nname = 'k'\naddress = 'http://10.0.0.1'".to_owned(),
        "[[kubernetes]]\nname = 'k'".to_owned(),
        "[[kubernetes]]\nname = 'k'\naddress = 'https://elsewhere.example'".to_owned(),
    ] {
        let said = made(&bad);
        assert!(said.is_err(), "{bad}");
    }
}

#[test]
fn a_source_can_say_where_it_is_written() {
    #[derive(serde::Deserialize)]
    struct Target {
        credential: toml::Spanned<Source>,
    }
    let text = "credential = { source = 'file', path = '/x' }";
    let target: Target = toml::from_str(text).unwrap();
    assert_eq!(
        (target.credential.span(), target.credential.get_ref()),
        (13..text.len(), &Source::file("/x"))
    );
    let table = "[credential]\nsource = 'environment'\nvariable = 'X'\n";
    let target: Target = toml::from_str(table).unwrap();
    assert_eq!(target.credential.get_ref(), &Source::environment("X"));
}

#[test]
fn a_source_without_its_store_is_refused() {
    let made = credentials("", &[]);
    let said = made
        .check(&source("source = 'vault-kv', store = 'gone', path = 'x'"))
        .unwrap_err();
    assert_eq!(said, "there is no `[[vault]]` called `gone`");
}

#[test]
fn relative_paths_are_relative_to_their_file() {
    let mut file = source("source = 'file', path = 'pw'");
    file.anchor(Path::new("/etc/x"));
    assert_eq!(file, Source::file("/etc/x/pw"));
    let mut stores: Stores = toml::from_str(
        "[[vault]]\nname = 'v'\naddress = 'https://v.example'\nca_file = 'ca.pem'\nlogin = { method = 'token', token_file = '/t' }",
    )
    .unwrap();
    stores.anchor(Path::new("/etc/x"));
    assert_eq!(stores.files(), [Path::new("/t"), Path::new("/etc/x/ca.pem")]);
    let shown = format!("{stores:?}");
    assert!(
        shown.contains("\"/etc/x/ca.pem\"") && shown.contains("\"/t\""),
        "{shown}"
    );
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything is logged while all of a life of a lease happens, its failures too.
#[tokio::test]
async fn no_secret_is_in_logs_or_shown_for_debugging() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let vault = played::vault::PlayedVault::start().await;
    vault.set(|state| state.lease_life = 2);
    let made = credentials(&vault.store(), played::vault::ENVIRONMENT);
    let orders = source("source = 'vault-database', store = 'prod', role = 'orders-ro'");
    let leased = made.lease(&orders, &Need::password()).await.unwrap();
    let mut shown = format!("{leased:?} {orders:?} {:?}", made.background());
    let (user, secret, hold) = leased.into_parts();
    shown.push_str(&format!("{secret:?} {hold:?}"));
    assert!(user.is_some() && secret.expose_secret().contains("CANARY"));
    vault.http.until(1, |seen| seen.path == "/v1/sys/leases/renew").await;
    vault.set(|state| state.broken = 403);
    drop(hold);
    shown.push_str(&format!(
        "{:?}",
        made.lease(&orders, &Need::password()).await.unwrap_err()
    ));
    assert_eq!(made.background().drained(Duration::from_secs(20)).await, 0);
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("logged in") && log.contains("could not be ended"), "{log}");
    assert!(!log.contains("CANARY") && !shown.contains("CANARY"), "{shown}\n{log}");
}
