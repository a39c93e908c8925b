//! The throw-away server is what it says, and leaves nothing behind.

use std::path::Path;
use std::process::Command;

use sallyport_testbed::{Auth, Options, Postgres, Role, TestbedError};

fn start(options: &Options) -> Result<Postgres, TestbedError> {
    Postgres::start(options)
}

fn as_app(postgres: &Postgres, password: &str, more: &str) -> std::io::Result<(bool, String)> {
    let text = format!(
        "host=localhost port={} user=app dbname=postgres {more}",
        postgres.port()
    );
    let output = Command::new("psql")
        .args(["-XAtc", "select current_user", &text])
        .env("PGPASSWORD", password)
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn each_login_method_takes_the_password_and_only_the_password() -> Result<(), Box<dyn std::error::Error>> {
    for auth in [Auth::Scram, Auth::Md5, Auth::Password, Auth::Trust] {
        let options = Options {
            auth,
            roles: vec![Role::new("app", "right")],
            ..Options::default()
        };
        let postgres = start(&options)?;
        let (ok, said) = as_app(&postgres, "right", "")?;
        assert!(ok && said.trim() == "app", "{auth:?}: {said}");
        let (ok, said) = as_app(&postgres, "wrong", "")?;
        assert_eq!(ok, auth == Auth::Trust, "{auth:?}: {said}");
    }
    Ok(())
}

#[test]
fn tls_is_served_with_a_certificate_that_verifies() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options {
        tls_only: true,
        roles: vec![Role::new("app", "p")],
        ..Options::default()
    };
    let postgres = start(&options)?;
    let ca = postgres.ca_path().ok_or("no authority")?;
    let verified = format!(
        "sslmode=verify-full channel_binding=require sslrootcert={}",
        ca.display()
    );
    let (ok, said) = as_app(&postgres, "p", &verified)?;
    assert!(ok, "{said}");
    let (ok, said) = as_app(&postgres, "p", "sslmode=disable")?;
    assert!(!ok && said.contains("no encryption"), "{said}");
    Ok(())
}

#[test]
fn statements_are_read_back_from_the_log() -> Result<(), Box<dyn std::error::Error>> {
    let postgres = start(&Options {
        log_statements: true,
        ..Options::default()
    })?;
    postgres.query("postgres", "select 'a\nb'")?;
    let found = postgres.statements()?;
    assert!(
        found
            .iter()
            .any(|s| s.text == "select 'a\nb'" && s.database == "postgres"),
        "{found:?}"
    );
    Ok(())
}

#[test]
fn dropping_the_handle_leaves_neither_process_nor_directory() -> Result<(), Box<dyn std::error::Error>> {
    let postgres = start(&Options::default())?;
    let (pid, dir) = (postgres.pid(), postgres.socket_dir().to_owned());
    assert!(Path::new(&format!("/proc/{pid}")).exists() && dir.exists());
    drop(postgres);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the server still runs");
    assert!(!dir.exists(), "the directory is still there");
    Ok(())
}
