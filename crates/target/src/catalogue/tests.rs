#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{fs, path::Path};

use sallyport_testbed::Authority;
use secrecy::ExposeSecret;

use super::{AuthMethod, Catalogue, Tls};

fn parse(text: &str) -> Result<Catalogue, super::CatalogueError> {
    Catalogue::parse(text, "targets.toml", Path::new("/nowhere"))
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

const ORDERS: &str = r#"
[[target]]
name = "orders"
protocol = "postgres"
address = "127.0.0.1:5432"
tls = "disable"
user = "app"
password_file = "pw"
"#;

#[test]
fn a_target_is_read_with_its_defaults() {
    let catalogue = parse(ORDERS).unwrap();
    let target = catalogue.get("orders").unwrap();
    assert_eq!(target.database, "orders");
    assert_eq!(target.auth, [AuthMethod::ScramSha256]);
    assert!(matches!(target.tls, Tls::Disable));
    assert_eq!(catalogue.targets().len(), 1);
    assert!(catalogue.get("other").is_none());
    assert!(parse("").unwrap().targets().is_empty());
}

#[test]
fn mistakes_name_their_line() {
    let twice = format!("{ORDERS}{ORDERS}");
    assert_eq!(error(&twice), "targets.toml:11: there is already a target `orders`");
    let case = |from: &str, to: &str| error(&ORDERS.replace(from, to));
    assert!(case("127.0.0.1:5432", "127.0.0.1").starts_with("targets.toml:5: `127.0.0.1` is not"));
    assert!(case("\"disable\"", "\"prefer\"").starts_with("targets.toml:6: `prefer` is no TLS mode"));
    assert!(case("user =", "usr =").contains("unknown field `usr`"));
    assert!(case("password_file = \"pw\"", "").starts_with("targets.toml:2: `orders` needs"));
    assert!(case("name = \"orders\"", "name = \"or ders\"").contains("is not a name"));
    let auth = |list: &str| error(&format!("{ORDERS}auth = {list}\n"));
    assert!(auth("[\"kerberos\"]").starts_with("targets.toml:9: `kerberos` is no way"));
    assert!(auth("[]").contains("`auth` is empty"));
    assert!(error(&format!("{ORDERS}startup_settings = [\"ROLE\"]\n")).contains("`role` would change"));
    assert!(error(&format!("{ORDERS}connect_timeout_s = 0\n")).contains("between 1 and"));
    assert!(error(&format!("{ORDERS}channel_binding = \"require\"\n")).contains("without TLS"));
    assert!(
        error(&format!("{ORDERS}client_key = \"k\"\n").replace("\"disable\"", "\"require\""))
            .contains("belong together")
    );
    assert!(error("[[target]\n").starts_with("targets.toml:1: "));
}

#[test]
fn cleartext_passwords_need_a_verified_peer() {
    let far = ORDERS.replace("127.0.0.1", "10.1.2.3") + "auth = [\"password\"]\n";
    assert!(error(&far).contains("in clear"));
    assert!(error(&far.replace("\"disable\"", "\"require\"")).contains("in clear"));
    parse(&(ORDERS.to_owned() + "auth = [\"password\"]\n")).unwrap();
}

#[test]
fn a_lease_has_the_secret_of_now_and_does_not_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::parse(ORDERS, "targets.toml", dir.path()).unwrap();
    let target = catalogue.get("orders").unwrap();
    assert!(
        target
            .lease()
            .unwrap_err()
            .to_string()
            .contains("cannot read the password file")
    );
    fs::write(dir.path().join("pw"), "hunter2\nrest\n").unwrap();
    let lease = target.lease().unwrap();
    assert_eq!(lease.secret.as_ref().unwrap().expose_secret(), "hunter2");
    assert!(!format!("{lease:?} {target:?}").contains("hunter2"));
    fs::write(dir.path().join("pw"), "changed").unwrap();
    assert_eq!(target.lease().unwrap().secret.unwrap().expose_secret(), "changed");
    fs::write(dir.path().join("pw"), "\n").unwrap();
    assert!(target.lease().unwrap_err().to_string().contains("holds no password"));
}

#[test]
fn authorities_are_read_with_the_catalogue() {
    let dir = tempfile::tempdir().unwrap();
    let text = ORDERS.replace("\"disable\"", "\"verify-full\"\nca_file = \"ca.crt\"");
    let missing = Catalogue::parse(&text, "targets.toml", dir.path())
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("targets.toml:2: TLS of `orders`: cannot use"),
        "{missing}"
    );
    fs::write(dir.path().join("ca.crt"), "not a certificate").unwrap();
    let empty = Catalogue::parse(&text, "targets.toml", dir.path())
        .unwrap_err()
        .to_string();
    assert!(empty.contains("holds no certificate"), "{empty}");
    fs::write(dir.path().join("ca.crt"), Authority::new().unwrap().certificate()).unwrap();
    let catalogue = Catalogue::parse(&text, "targets.toml", dir.path()).unwrap();
    assert!(matches!(catalogue.targets()[0].tls, Tls::Require(_)));
}

/// The example in the book has every option, and no other.
#[test]
fn every_option_is_in_the_book_and_every_option_of_the_book_exists() {
    let book = include_str!("../../../../docs/src/operating.md");
    let (_, rest) = book.split_once("## Targets").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    let example = rest.split_once("```").unwrap().0;
    let file: crate::file::File = toml::from_str(example).unwrap();
    assert_eq!(file.target.len(), 1);
    let wrong = toml::from_str::<crate::file::File>("[[target]]\nno-such-key = 1\n")
        .err()
        .unwrap();
    let (_, options) = wrong.message().split_once("expected").unwrap();
    let mut options = options.split('`').skip(1).step_by(2).peekable();
    assert!(options.peek().is_some());
    for option in options {
        assert!(
            example.contains(&format!("{option} = ")),
            "the book does not say what `{option}` is"
        );
    }
}
