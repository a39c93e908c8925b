#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{fs, path::Path};

use sallyport_testbed::Authority;
use secrecy::ExposeSecret;

use super::{Access, Catalogue, Target, Way};
use crate::{
    AuthMethod, Broker, FileRecording, Lease, LoginShell, MaskAt, Postgres, PostgresLease, PostgresLogin, ShellMode,
    Ssh, SshCredential, SshLease, SshLogin, SshSecret, Tls,
};

fn parse(text: &str) -> Result<Catalogue, super::CatalogueError> {
    Catalogue::parse(text, "targets.toml", Path::new("/nowhere"), &Broker::default())
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

fn postgres(target: &Target) -> &Postgres {
    match &target.access {
        Access::Postgres(postgres) => postgres,
        Access::Ssh(_) => panic!("{target:?}"),
    }
}

fn login(target: &Target) -> &PostgresLogin {
    match &postgres(target).login {
        Way::Here(login) => login,
        Way::Agent(_) => panic!("{target:?}"),
    }
}

fn ssh_login(target: &Target) -> &SshLogin {
    match &ssh(target).login {
        Way::Here(login) => login,
        Way::Agent(_) => panic!("{target:?}"),
    }
}

fn ssh(target: &Target) -> &Ssh {
    match &target.access {
        Access::Ssh(ssh) => ssh,
        Access::Postgres(_) => panic!("{target:?}"),
    }
}

async fn lease(target: &Target) -> PostgresLease {
    target.lease(target.place()).await.unwrap().try_into().unwrap()
}

#[test]
fn a_target_is_read_with_its_defaults() {
    let catalogue = parse(ORDERS).unwrap();
    let target = catalogue.get("orders").unwrap();
    assert_eq!((target.protocol(), target.place()), ("postgres", "orders"));
    assert_eq!(login(target).auth, [AuthMethod::ScramSha256]);
    assert!(matches!(login(target).tls, Tls::Disable));
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

#[tokio::test]
async fn a_lease_has_the_secret_of_now_and_does_not_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::parse(ORDERS, "targets.toml", dir.path(), &Broker::default()).unwrap();
    let target = catalogue.get("orders").unwrap();
    assert!(
        target
            .lease("orders")
            .await
            .unwrap_err()
            .to_string()
            .contains("cannot read the password file")
    );
    fs::write(dir.path().join("pw"), "hunter2\nrest\n").unwrap();
    let leased = lease(target).await;
    assert_eq!(leased.secret.as_ref().unwrap().expose_secret(), "hunter2");
    assert!(!format!("{leased:?} {target:?}").contains("hunter2"));
    fs::write(dir.path().join("pw"), "changed").unwrap();
    assert_eq!(lease(target).await.secret.unwrap().expose_secret(), "changed");
    fs::write(dir.path().join("pw"), "\n").unwrap();
    assert!(
        target
            .lease("orders")
            .await
            .unwrap_err()
            .to_string()
            .contains("holds no password")
    );
}

#[test]
fn authorities_are_read_with_the_catalogue() {
    let dir = tempfile::tempdir().unwrap();
    let text = ORDERS.replace("\"disable\"", "\"verify-full\"\nca_file = \"ca.crt\"");
    let missing = Catalogue::parse(&text, "targets.toml", dir.path(), &Broker::default())
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("targets.toml:2: TLS of `orders`: cannot use"),
        "{missing}"
    );
    fs::write(dir.path().join("ca.crt"), "not a certificate").unwrap();
    let empty = Catalogue::parse(&text, "targets.toml", dir.path(), &Broker::default())
        .unwrap_err()
        .to_string();
    assert!(empty.contains("holds no certificate"), "{empty}");
    fs::write(dir.path().join("ca.crt"), Authority::new().unwrap().certificate()).unwrap();
    let catalogue = Catalogue::parse(&text, "targets.toml", dir.path(), &Broker::default()).unwrap();
    assert!(matches!(login(&catalogue.targets()[0]).tls, Tls::Require(_)));
}

#[test]
fn what_is_the_gateways_own_is_no_targets_credential() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("key"), "k").unwrap();
    let broker = Broker::keeping(false, [state]);
    let read = |text: &str| Catalogue::parse(text, "targets.toml", dir.path(), &broker);
    read(ORDERS).unwrap();
    let own = |text: &str| {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("the gateway's own"), "{text}: {error}");
        parse(text).err().map(|error| error.to_string())
    };
    for way in [
        "password_file = \"state/key\"",
        "password_file = \"/proc/self/environ\"",
        "password_env = \"SALLYPORT_TOKEN\"",
        "credential = { source = \"file\", path = \"state/key\" }",
        "credential = { source = \"environment\", variable = \"SALLYPORT_TOKEN\" }",
    ] {
        let elsewhere = own(&ORDERS.replace("password_file = \"pw\"", way));
        assert_eq!(elsewhere, None, "it is the gateway's file that is looked at so");
    }
    for option in ["ca_file", "client_key", "client_certificate"] {
        own(&format!("{ORDERS}{option} = \"state/key\"\n").replace("\"disable\"", "\"require\""));
    }
    own(&web("certificate = true", "private_key_file = \"state/key\""));
    let passphrase = "private_key_file = \"k\"\nprivate_key_passphrase_file = \"state/key\"";
    own(&web("certificate = true", passphrase));
    let vault = VAULT.replace("token_env = 'T'", "token_file = 'state/key'");
    assert_ne!(vault, VAULT);
    own(&format!("{vault}{ORDERS}"));
}

const WEB: &str = r#"
[[target]]
name = "web-1"
protocol = "ssh"
address = "web1.internal:22"
user = "deploy"
certificate = true
host_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYQp1mS0Z3cS5s8OQbSYjTCyUwCsR3b4Nm0EIuNXVfP"]
"#;

fn web(from: &str, to: &str) -> String {
    assert!(WEB.contains(from), "{from}");
    WEB.replace(from, to)
}

#[tokio::test]
async fn a_host_is_read_with_its_defaults() {
    let catalogue = parse(WEB).unwrap();
    let target = catalogue.get("web-1").unwrap();
    assert_eq!((target.protocol(), target.place()), ("ssh", "deploy"));
    assert_eq!(ssh_login(target).trust.name, "web1.internal");
    let ssh = ssh(target);
    assert_eq!((ssh.shell, ssh.files), (ShellMode::Guarded, FileRecording::Digest));
    assert_eq!(ssh.login_shell, LoginShell::Bash);
    assert!(ssh.accept_env.accepts("LC_ALL") && ssh.accept_env.accepts("LANG"));
    assert!(!ssh.accept_env.accepts("EDITOR") && !ssh.accept_env.accepts("COLORTERM"));
    assert!(PostgresLease::try_from(target.lease("deploy").await.unwrap()).is_err());
}

#[tokio::test]
async fn an_account_that_the_target_does_not_list_gets_no_lease() {
    let catalogue = parse(&format!("{WEB}logins = [\"root\"]\n")).unwrap();
    let target = catalogue.get("web-1").unwrap();
    for login in ["deploy", "root"] {
        let lease = SshLease::try_from(target.lease(login).await.unwrap()).unwrap();
        assert_eq!(lease.user, login);
        assert!(matches!(lease.secret, SshSecret::Certificate));
    }
    for login in ["", "Root", "root ", "admin", "*"] {
        let error = target.lease(login).await.unwrap_err().to_string();
        assert!(error.starts_with("nobody can log in to `web-1`"), "{error}");
    }
}

#[test]
fn a_host_that_nothing_vouches_for_is_refused() {
    let line = WEB.lines().find(|line| line.starts_with("host_keys")).unwrap();
    let unpinned = error(&web(line, ""));
    assert!(
        unpinned.starts_with("targets.toml:2: `web-1` needs `host_keys` or `host_ca`"),
        "{unpinned}"
    );
    assert!(error(&web(line, "host_keys = []")).contains("`host_keys` is empty"));
    assert!(error(&web(line, "host_ca = []")).contains("`host_ca` is empty"));
    assert!(error(&web(line, "host_name = \"web\"")).contains("needs `host_keys`"));
    let named = error(&format!("{WEB}host_name = \"web\"\n"));
    assert!(named.contains("there is no `host_ca`"), "{named}");
    let signed = web("host_keys", "host_name = \"web\"\nhost_ca");
    let catalogue = parse(&signed).unwrap();
    let trust = &ssh_login(catalogue.get("web-1").unwrap()).trust;
    assert_eq!(
        (trust.keys.len(), trust.authorities.len(), trust.name.as_str()),
        (0, 1, "web")
    );
}

#[test]
fn mistakes_of_hosts_name_their_line() {
    let add = |line: &str| error(&format!("{WEB}{line}\n"));
    assert!(add("shell = \"open\"").starts_with("targets.toml:9: `open` is no mode of a shell; there are `guarded`"));
    assert!(add("files = \"all\"").contains("`all` is no way to record files"));
    assert!(add("login_shell = \"fish\"").contains("`fish` is no shell"));
    assert!(add("logins = [\"root\", \"a@b\"]").contains("`a@b` is no account's name"));
    assert!(add("logins = [\"-oProxyCommand=x\"]").contains("is no account's name"));
    assert!(error(&web("user = \"deploy\"", "user = \"de\\tploy\"")).contains("is no account's name"));
    assert!(add("accept_env = [\"LD_PRELOAD\"]").contains("would change which code"));
    assert!(add("accept_env = [\"A=B\"]").contains("is no variable's name"));
    assert!(add("password_file = \"pw\"").contains("has two ways to log in"));
    assert!(error(&web("certificate = true\n", "")).contains("needs a way to log in"));
    assert!(error(&web("certificate = true", "certificate = false")).contains("leave it out"));
    assert!(add("private_key_passphrase_env = \"P\"").contains("no `private_key_file`"));
    let many = format!("logins = [{}]", "\"a\",".repeat(65));
    assert!(add(&many).contains("there can be 64"));
    assert!(error(&web("\"ssh\"", "\"telnet\"")).starts_with("targets.toml:4: `telnet` is no protocol"));
}

#[tokio::test]
async fn a_target_of_agents_says_nothing_of_how_to_log_in_and_an_agents_file_nothing_else() {
    let behind = "[[target]]\nname = 'orders'\nprotocol = 'postgres'\nagent = 'eu-west'\nenvironment = 'production'\n\
                  startup_settings = ['search_path']\n";
    let catalogue = parse(behind).unwrap();
    let target = catalogue.get("orders").unwrap();
    assert_eq!(target.agent().unwrap(), "eu-west");
    assert!(target.address().is_none());
    let elsewhere = target.lease("orders").await.unwrap_err().to_string();
    assert_eq!(elsewhere, "only an agent `eu-west` can log in to `orders`");
    for line in [
        "address = 'a:1'",
        "user = 'app'",
        "password_env = 'P'",
        "tls = 'disable'",
        "auth = ['trust']",
        "login_timeout_s = 3",
    ] {
        let error = error(&format!("{behind}{line}\n"));
        let option = line.split(' ').next().unwrap();
        assert_eq!(
            error,
            format!("targets.toml:7: `{option}` belongs in the targets.toml of the agents `eu-west`, who log in")
        );
    }
    for name in ["", "-eu", "é", "e u", "e/u"] {
        let error = error(&behind.replace("eu-west", name));
        assert!(error.starts_with("targets.toml:4: "), "{error}");
    }
    let web = "[[target]]\nname = 'web-1'\nprotocol = 'ssh'\nagent = 'eu-west'\nuser = 'deploy'\nlogins = ['root']\n";
    let catalogue = parse(web).unwrap();
    assert!(ssh(catalogue.get("web-1").unwrap()).has_login("root"));
    assert!(error(&format!("{web}certificate = true\n")).contains("`certificate` belongs in"));
    assert!(error(&web.replace("user = 'deploy'\n", "")).contains("needs a `user`"));

    let masked = format!("{web}mask_at = 'agent'\n");
    assert!(error(&masked).contains("needs `shell = \"recorded\"`"));
    let catalogue = parse(&format!("{masked}shell = 'recorded'\n")).unwrap();
    assert_eq!(ssh(catalogue.get("web-1").unwrap()).mask_at, MaskAt::Agent);
    assert!(error(&format!("{WEB}mask_at = 'agent'\nshell = 'recorded'\n")).contains("there is no `agent`"));

    let agents =
        |text: &str| Catalogue::parse_for_agent(text, "targets.toml", Path::new("/nowhere"), &Broker::default());
    agents(&format!("{ORDERS}{WEB}logins = ['root']\n")).unwrap();
    for line in [
        "environment = 'x'",
        "tags = []",
        "enforce = true",
        "agent = 'x'",
        "database = 'x'",
    ] {
        let error = agents(&format!("{ORDERS}{line}\n")).unwrap_err().to_string();
        assert!(error.contains("belongs in the gateway's targets.toml"), "{error}");
    }
    assert!(agents(behind).is_err());
}

const VAULT: &str = "[[vault]]\nname = 'prod'\naddress = 'https://vault.internal:8200'\n\
                     login = { method = 'token', token_env = 'T' }\n";

#[test]
fn a_credential_is_somewhere_and_mistakes_about_it_have_their_line() {
    let with = |line: &str| format!("{VAULT}{}", ORDERS.replace("password_file = \"pw\"", line));
    let source = |source: &str| with(&format!("credential = {{ {source} }}"));
    for good in [
        "source = 'file', path = 'pw'",
        "source = 'command', argv = ['/bin/show', 'orders']",
        "source = 'vault-kv', store = 'prod', path = 'db/orders'",
        "source = 'vault-database', store = 'prod', role = 'ro'",
    ] {
        parse(&source(good)).unwrap();
        Catalogue::parse_for_agent(&source(good), "t", Path::new("/"), &Broker::default()).unwrap();
    }
    for (bad, says) in [
        (
            "source = 'vault-kv', store = 'other', path = 'x'",
            "there is no `[[vault]]` called `other`",
        ),
        ("source = 'vault-kv', store = 'prod', path = '../x'", "`path`"),
        ("source = 'command', argv = ['show']", "its whole path"),
        ("source = 'vault-ssh', store = 'prod', role = 'x'", "gives certificates"),
        ("source = 'paper'", "paper"),
        ("source = 'file', path = 'pw', store = 'prod'", "store"),
    ] {
        let said = error(&source(bad));
        assert!(said.starts_with("targets.toml:12: ") && said.contains(says), "{said}");
    }
    let twice = error(&with(
        "password_file = 'pw'\ncredential = { source = 'file', path = 'pw' }",
    ));
    assert!(twice.contains("`orders` has two ways to log in"), "{twice}");
    let again = error(&format!("{VAULT}{VAULT}"));
    assert_eq!(again, "targets.toml:5: there is already a `[[vault]]` `prod`");
    let open = error(&VAULT.replace("https", "http"));
    assert!(
        open.starts_with("targets.toml:1: ") && open.contains("`http` is for loopback only"),
        "{open}"
    );
    let behind = "[[target]]\nname = 'orders'\nprotocol = 'postgres'\nagent = 'eu'\n\
                  credential = { source = 'file', path = 'pw' }\n";
    assert_eq!(
        error(behind),
        "targets.toml:5: `credential` belongs in the targets.toml of the agents `eu`, who log in"
    );
}

#[test]
fn a_user_is_needed_unless_the_credential_says_it() {
    let without = |source: &str| {
        let text = ORDERS.replace("user = \"app\"\n", "");
        parse(&format!(
            "{VAULT}{}",
            text.replace("password_file = \"pw\"", &format!("credential = {{ {source} }}"))
        ))
    };
    without("source = 'vault-database', store = 'prod', role = 'ro'").unwrap();
    without("source = 'vault-kv', store = 'prod', path = 'x', user_field = 'u'").unwrap();
    for silent in [
        "source = 'vault-kv', store = 'prod', path = 'x'",
        "source = 'file', path = 'pw'",
    ] {
        let said = without(silent).unwrap_err().to_string();
        assert!(said.contains("`orders` needs a `user`"), "{said}");
    }
}

#[test]
fn hosts_take_passwords_keys_and_certificates_but_no_logins_of_databases() {
    let with = |line: &str| parse(&format!("{VAULT}{}", web("certificate = true", line)));
    let login = |line: &str| ssh_login(with(line).unwrap().get("web-1").unwrap()).credential.clone();
    let kv = "{ source = 'vault-kv', store = 'prod', path = 'x' }";
    let sign = "{ source = 'vault-ssh', store = 'prod', role = 'deploy' }";
    assert!(matches!(
        login(&format!("credential = {kv}")),
        SshCredential::Password(_)
    ));
    assert!(matches!(
        login(&format!("credential = {sign}")),
        SshCredential::Signed(_)
    ));
    assert!(matches!(
        login(&format!("private_key = {kv}")),
        SshCredential::PrivateKey { .. }
    ));
    for (bad, says) in [
        (
            "credential = { source = 'vault-database', store = 'prod', role = 'x' }".to_owned(),
            "logins at databases",
        ),
        (format!("private_key = {sign}"), "no private keys"),
        (
            format!("private_key = {kv}\nprivate_key_file = 'k'"),
            "`private_key_file` already",
        ),
        (format!("credential = {kv}\ncertificate = true"), "has two ways"),
        (
            format!("private_key = {}", kv.replace("prod", "other")),
            "no `[[vault]]` called",
        ),
    ] {
        let said = with(&bad).unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn roles_for_sessions_are_bounded_by_what_the_file_says() {
    let with = |options: &str| parse(&format!("{ORDERS}ephemeral = {{ {options} }}\n"));
    let good = "grantable = ['reader', 'writer'], owner = 'app'";
    let catalogue = with(good).unwrap();
    let administrator = catalogue.get("orders").unwrap().administrator().unwrap();
    assert_eq!(administrator.ephemeral.grantable, ["reader", "writer"]);
    assert_eq!(
        (administrator.ephemeral.prefix.as_str(), administrator.target().as_str()),
        ("sp", "orders")
    );
    assert!(parse(ORDERS).unwrap().get("orders").unwrap().administrator().is_none());
    for (bad, says) in [
        (good.replace("'reader', 'writer'", ""), "`grantable` is empty"),
        (good.replace("writer", &"w".repeat(64)), "is no role's name"),
        (good.replace("'app'", "''"), "is no role's name"),
        (format!("{good}, prefix = 'pg'"), "a prefix is"),
        (format!("{good}, prefix = 'a_b'"), "a prefix is"),
        (format!("{good}, prefix = ''"), "a prefix is"),
        (format!("{good}, superuser = true"), "superuser"),
    ] {
        let said = with(&bad).unwrap_err().to_string();
        assert!(said.starts_with("targets.toml:9: ") && said.contains(says), "{said}");
    }
    let made = format!(
        "{VAULT}{}ephemeral = {{ {good} }}\n",
        ORDERS.replace(
            "password_file = \"pw\"",
            "credential = { source = 'vault-database', store = 'prod', role = 'x' }",
        )
    );
    assert!(error(&made).contains("made by one `user`"), "{}", error(&made));
    assert!(error(&format!("{ORDERS}auth = ['md5']\nephemeral = {{ {good} }}\n")).contains("scram-sha-256"));
    assert!(error(&format!("{WEB}ephemeral = {{ {good} }}\n")).contains("has no `ephemeral`"));
}

/// Whoever may write the file of targets would otherwise run programs where it is read.
#[tokio::test]
async fn commands_run_where_they_may_and_change_their_answer_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("said"), "one\n").unwrap();
    let said = dir.path().join("said");
    let command = format!(
        "credential = {{ source = 'command', argv = ['/bin/cat', '{}'] }}",
        said.display()
    );
    let text = ORDERS.replace("password_file = \"pw\"", &command);
    let parse = |broker: &Broker| Catalogue::parse(&text, "targets.toml", dir.path(), broker).unwrap();
    let refused = parse(&Broker::default()).get("orders").unwrap().lease("orders").await;
    assert!(refused.unwrap_err().to_string().contains("not permitted"));
    let catalogue = parse(&Broker::new(true));
    let target = catalogue.get("orders").unwrap();
    let found = lease(target).await;
    assert_eq!(found.secret.as_ref().unwrap().expose_secret(), "one");
    assert!(!found.is_for_one_session());
    fs::write(&said, "two\n").unwrap();
    assert_eq!(lease(target).await.secret.unwrap().expose_secret(), "two");
    let Lease::Postgres(route) = target.route("orders").unwrap() else {
        panic!("{target:?}");
    };
    assert!(route.secret.is_none());
}

/// Logins at stores outlive a file that says the same of them.
#[test]
fn the_same_stores_are_spoken_to_by_the_same_logins() {
    let broker = Broker::default();
    let read = |text: &str| Catalogue::parse(text, "t", Path::new("/"), &broker).unwrap();
    let of = |catalogue: &Catalogue| std::sync::Arc::as_ptr(&catalogue.get("orders").unwrap().credentials);
    let (one, two) = (
        read(&format!("{VAULT}{ORDERS}")),
        read(&format!("{VAULT}{ORDERS}auth = ['md5']\n")),
    );
    assert_eq!(of(&one), of(&two));
    let three = read(&format!("{}{ORDERS}", VAULT.replace("8200", "8300")));
    assert_ne!(of(&one), of(&three));
}

/// Whoever writes an option of another protocol believes that it does something.
#[test]
fn options_of_another_protocol_are_mistakes() {
    let tls = error(&format!("{WEB}tls = \"disable\"\n"));
    assert_eq!(tls, "targets.toml:9: a target with `protocol = \"ssh\"` has no `tls`");
    let shell = error(&format!("{ORDERS}shell = \"guarded\"\n"));
    assert_eq!(
        shell,
        "targets.toml:9: a target with `protocol = \"postgres\"` has no `shell`"
    );
}

/// A key made by OpenSSH, with the line that a target's `host_keys` has.
fn keygen(dir: &Path, name: &str, arguments: &[&str]) -> String {
    let file = dir.join(name);
    let mut command = std::process::Command::new("ssh-keygen");
    command.args(["-q", "-f"]).arg(&file).args(arguments);
    assert!(command.status().unwrap().success());
    fs::read_to_string(file.with_extension("pub"))
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn keys_that_protect_nothing_pin_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let line = WEB.lines().find(|line| line.starts_with("host_keys")).unwrap();
    let pinned = |key: &str| parse(&web(line, &format!("host_keys = [\"{key}\"]")));
    let good = keygen(dir.path(), "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    pinned(&good).unwrap();
    let weak = keygen(dir.path(), "weak", &["-t", "rsa", "-b", "1024", "-N", ""]);
    let weak = pinned(&weak).unwrap_err().to_string();
    assert!(
        weak.starts_with("targets.toml:8: `host_keys`: an RSA key has 1024 bits"),
        "{weak}"
    );
    let (_, blob) = good.split_once(' ').unwrap();
    for nonsense in [
        "",
        "ssh-ed25519",
        "ssh-dss AAAAB3NzaC1kc3M=",
        &format!("ssh-ed25519 {blob}"),
        "web1 ssh-rsa AAAA",
    ] {
        assert!(pinned(nonsense).is_err(), "{nonsense}");
    }
}

#[tokio::test]
async fn secrets_of_hosts_are_fetched_for_each_session_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let with = async |credential: &str| {
        let text = web("certificate = true", credential);
        let catalogue = Catalogue::parse(&text, "targets.toml", dir.path(), &Broker::default()).unwrap();
        let lease = catalogue.get("web-1").unwrap().lease("deploy").await?;
        Ok::<_, crate::LeaseError>(SshLease::try_from(lease).unwrap())
    };
    let missing = with("private_key_file = \"key\"").await.unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the private key file"), "{missing}");
    fs::write(dir.path().join("pw"), "hunter2-pw\n").unwrap();
    let public = keygen(dir.path(), "key", &["-t", "ed25519", "-C", "", "-N", "hunter2-pw"]);
    let lease = with("private_key_file = \"key\"\nprivate_key_passphrase_file = \"pw\"")
        .await
        .unwrap();
    let text = fs::read_to_string(dir.path().join("key")).unwrap();
    let shown = format!("{lease:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains(text.lines().nth(1).unwrap()),
        "{shown}"
    );
    let SshSecret::PrivateKey(key) = lease.secret else {
        panic!("a private key was configured");
    };
    assert_eq!(key.open().unwrap().public_key().to_string(), public);

    let open = |lease: SshLease| match lease.secret {
        SshSecret::PrivateKey(key) => key.open().unwrap_err().to_string(),
        SshSecret::Password(_) | SshSecret::Certificate | SshSecret::Signed(_) => {
            panic!("a private key was configured")
        }
    };
    let locked = open(with("private_key_file = \"key\"").await.unwrap());
    assert!(locked.contains("a passphrase is needed"), "{locked}");
    fs::write(dir.path().join("pw"), "hunter3").unwrap();
    let wrong = open(
        with("private_key_file = \"key\"\nprivate_key_passphrase_file = \"pw\"")
            .await
            .unwrap(),
    );
    assert!(
        wrong.contains("does not open the private key") && !wrong.contains("hunter3"),
        "{wrong}"
    );

    let lease = with("password_file = \"pw\"").await.unwrap();
    assert!(!format!("{lease:?}").contains("hunter3"));
    let SshSecret::Password(password) = lease.secret else {
        panic!("a password was configured");
    };
    assert_eq!(password.expose_secret(), "hunter3");
}

/// The example in the book has every option, and no other.
#[test]
fn every_option_is_in_the_book_and_every_option_of_the_book_exists() {
    let book = include_str!("../../../../docs/src/operating.md");
    let (_, rest) = book.split_once("## Targets").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    let example = rest.split_once("```").unwrap().0;
    let file: crate::file::File = toml::from_str(example).unwrap();
    let protocols: Vec<_> = file
        .target
        .iter()
        .map(|t| t.get_ref().protocol.get_ref().as_str())
        .collect();
    assert_eq!(protocols, ["postgres", "ssh"]);
    let wrong = toml::from_str::<crate::file::File>("[[target]]\nno-such-key = 1\n")
        .err()
        .unwrap();
    let (_, options) = wrong.message().split_once("expected").unwrap();
    let mut options = options.split('`').skip(1).step_by(2).peekable();
    assert!(options.peek().is_some());
    let (postgres, ssh) = example.rsplit_once("[[target]]").unwrap();
    let entry = file.target[0].get_ref();
    let (of_postgres, of_ssh) = (entry.of_postgres().map(|o| o.0), entry.of_ssh().map(|o| o.0));
    for (options, its, others) in [(&of_postgres[..], postgres, ssh), (&of_ssh[..], ssh, postgres)] {
        for option in options {
            let given = |text: &str| {
                ["\n", " "]
                    .iter()
                    .any(|before| text.contains(&format!("{before}{option} = ")))
            };
            assert!(given(its) && !given(others), "{option}");
        }
    }
    for option in options {
        assert!(
            example.contains(&format!("{option} = ")),
            "the book does not say what `{option}` is"
        );
    }
}
