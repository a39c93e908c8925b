//! How the clients of a case reach the host: through the gateway, or straight.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sallyport_testbed::{Gateway, GatewayOptions, Person, SshConfig};

use super::Mode;
use super::host::{Host, PORT, Running};
use crate::process;

/// Who runs every case.
const PERSON: &str = "corpus";
/// The target's name.
const TARGET: &str = "web-1";

/// The way to the host.
pub(crate) struct Door {
    config: SshConfig,
    /// What stands in the client's files instead of the host's, if it is not the same client.
    client: Option<Client>,
    gateway: Option<Gateway>,
}

/// Files by which `ssh` of a script, and what starts `ssh`, go to the gateway.
struct Client {
    dir: PathBuf,
}

/// Where a script sees these files.
const INSIDE: &str = "/opt/client";
/// The program among them that says the password.
const ASKPASS: &str = "askpass";

/// What takes the place of what in the files of a client.
const BINDS: &str = "ssh:/usr/bin/ssh sftp-server:/usr/lib/openssh/sftp-server";

/// `-p`: what a script sets for the shells of the host is no matter of this one.
///
/// `ssh` takes the first value of each option, so that user, port and key of the gateway win over what a script says.
const SSH: &str = r#"#!/bin/bash -p
exec -a /usr/bin/ssh /opt/client/ssh.real -l '{user}' -p {port} -o BatchMode=no -o NumberOfPasswordPrompts=1 \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"
"#;

/// There is no server for files at the client's side: one that a script starts is the host's, by a command.
const SFTP_SERVER: &str = "#!/bin/bash -p\nexec /usr/bin/ssh root@127.0.0.1 /usr/lib/openssh/sftp-server \"$@\"\n";

impl Door {
    /// Straight to the host, as the account's owner.
    pub(super) fn direct(host: &Host) -> Result<Door> {
        let key = format!("IdentityFile {}", host.keys.owner.path().display());
        let keys = [host.keys.host.public().to_owned()];
        let path = host.aside().join("direct");
        let config = SshConfig::write(&path, TARGET, Running::address(), "root", &keys, &[key])?;
        Ok(Door {
            config,
            client: None,
            gateway: None,
        })
    }

    /// Through a gateway that is started for this, with the policy that the corpus assumes.
    pub(super) fn gateway(program: &Path, mode: Mode, host: &Host) -> Result<Door> {
        let shell = match mode {
            Mode::Exec | Mode::Guarded => "guarded",
            Mode::Gated => "gated",
        };
        let tags = match mode {
            Mode::Exec => "[\"no-shell\"]",
            Mode::Guarded | Mode::Gated => "[]",
        };
        let targets = format!(
            "[[target]]\nname = \"{TARGET}\"\nprotocol = \"ssh\"\naddress = \"127.0.0.1:{PORT}\"\n\
             environment = \"production\"\ntags = {tags}\nuser = \"root\"\nprivate_key_file = {:?}\n\
             host_keys = [{:?}]\nshell = \"{shell}\"\n",
            host.keys.gateway.path(),
            host.keys.host.public(),
        );
        let gateway = Gateway::start_with_ssh(&GatewayOptions {
            program: program.to_owned(),
            policy: process::root().join("tests/corpus/shell-policy"),
            targets: Some(targets),
            people: vec![Person::new(PERSON, &["corpus"])],
            settings: String::new(),
        })?;
        let token = gateway.token(PERSON).with_context(|| gateway.log_tail())?;
        let address = gateway.ssh().context("a gateway without SSH")?;
        let client = Client::lay(host.aside(), address, &token)?;
        let more = ["StrictHostKeyChecking no", "BatchMode no", "NumberOfPasswordPrompts 1"].map(str::to_owned);
        let path = host.aside().join("through");
        let user = format!("{PERSON}@{TARGET}");
        let config = SshConfig::write(&path, TARGET, address, &user, &[], &more)?;
        Ok(Door {
            config,
            client: Some(client),
            gateway: Some(gateway),
        })
    }

    /// `ssh`, outside of the host's files. The caller adds options and then [`Door::name`].
    pub(super) fn ssh(&self) -> Command {
        let mut command = self.config.program("ssh");
        if let Some(client) = &self.client {
            command.envs(asking(&client.dir.join(ASKPASS)));
        }
        command
    }

    /// The name of the host for `ssh`.
    pub(super) fn name(&self) -> &str {
        self.config.name()
    }

    /// A client in the host's files, where `ssh` goes to this door.
    pub(super) fn inside(&self, host: &Host, name: &str, words: &[&str]) -> Command {
        let Some(client) = &self.client else {
            return host.enter(name, words, "", "");
        };
        let mut command = host.enter(name, words, &client.dir.display().to_string(), BINDS);
        command.envs(asking(&Path::new(INSIDE).join(ASKPASS)));
        command
    }

    /// Whether there is no gateway.
    pub(super) fn is_direct(&self) -> bool {
        self.gateway.is_none()
    }

    /// The end of the gateway's log.
    pub(super) fn log(&self) -> String {
        self.gateway.as_ref().map(Gateway::log_tail).unwrap_or_default()
    }

    /// What is wrong with the gateway, if it does not run any more.
    pub(super) fn broken(&self) -> Option<String> {
        let gateway = self.gateway.as_ref()?;
        (!gateway.is_running()).then(|| gateway.log_tail())
    }
}

impl Client {
    fn lay(aside: &Path, address: SocketAddr, token: &str) -> Result<Client> {
        let dir = aside.join("client");
        std::fs::create_dir(&dir)?;
        let user = format!("{PERSON}@{TARGET}");
        let ssh = SSH
            .replace("{user}", &user)
            .replace("{port}", &address.port().to_string());
        let askpass = format!("#!/bin/sh\necho '{token}'\n");
        for (name, text) in [("ssh", ssh.as_str()), ("sftp-server", SFTP_SERVER), (ASKPASS, &askpass)] {
            std::fs::write(dir.join(name), text)?;
            std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755))?;
        }
        let real = super::root::base()?.join("usr/bin/ssh");
        std::fs::copy(&real, dir.join("ssh.real")).with_context(|| format!("`{}`", real.display()))?;
        Ok(Client { dir })
    }
}

/// By which a client answers the question for the password: it has no terminal, or one that the case types at.
fn asking(askpass: &Path) -> [(&'static str, OsString); 2] {
    [("SSH_ASKPASS", askpass.into()), ("SSH_ASKPASS_REQUIRE", "force".into())]
}
