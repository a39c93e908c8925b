//! `sallyport people`: the people file of a gateway without an identity provider.

use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sallyport_identity::Kind;
use sallyport_identity::people::{PeopleEditor, fingerprint};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

use super::login::ask_password;

/// Change the people file. A running gateway takes changes over within a second.
#[derive(Debug, Args)]
pub(crate) struct PeopleArgs {
    #[command(subcommand)]
    action: Action,
    /// The people file.
    #[arg(
        long,
        global = true,
        env = "SALLYPORT_PEOPLE",
        default_value = "people.toml",
        value_name = "FILE"
    )]
    file: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a person or a machine. The password is asked for, or read from standard input.
    Add {
        /// The name to log in with.
        id: String,
        /// Its groups; may be given several times.
        #[arg(long = "group", value_name = "NAME")]
        groups: Vec<String>,
        /// It is a program, not a person.
        #[arg(long)]
        machine: bool,
        /// The address by which an identity provider's user is known to be the same person.
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// It cannot log in with a password.
        #[arg(long)]
        no_password: bool,
    },
    /// Set a new password: logins and tokens from before end.
    Passwd {
        /// Whose.
        id: String,
    },
    /// Set the groups.
    Groups {
        /// Whose.
        id: String,
        /// All groups it shall be in.
        groups: Vec<String>,
    },
    /// Let a client certificate in.
    Certificate {
        /// Whose.
        id: String,
        /// The certificate (PEM).
        certificate: PathBuf,
    },
    /// Let an SSH key in, for as long as it is in the file.
    SshKey {
        /// Whose.
        id: String,
        /// The public key (a `.pub` file).
        key: PathBuf,
    },
    /// Remove somebody: logins, tokens and sessions end.
    Remove {
        /// Whom.
        id: String,
    },
    /// List everybody.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl PeopleArgs {
    /// Changes or lists the people file.
    ///
    /// # Errors
    /// When the file or the change makes no sense; then it stays as it was.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut people = PeopleEditor::open(&self.file)?;
        let now = OffsetDateTime::now_utc();
        match self.action {
            Action::Add {
                id,
                groups,
                machine,
                email,
                no_password,
            } => {
                let kind = if machine { Kind::Machine } else { Kind::User };
                let password = if no_password { None } else { Some(new_password(&id)?) };
                people.add(&id, kind, &groups, password.as_ref(), now)?;
                if let Some(email) = email {
                    people.set_email(&id, &email)?;
                }
            }
            Action::Passwd { id } => people.set_password(&id, &new_password(&id)?, now)?,
            Action::Groups { id, groups } => people.set_groups(&id, &groups)?,
            Action::Certificate { id, certificate } => {
                let der = CertificateDer::from_pem_file(&certificate)
                    .with_context(|| format!("`{}` is not a certificate in PEM", certificate.display()))?;
                people.add_certificate(&id, fingerprint(&der))?;
            }
            Action::SshKey { id, key } => {
                let line = std::fs::read_to_string(&key);
                let line = line.with_context(|| format!("`{}` cannot be read", key.display()))?;
                people.add_ssh_key(&id, &line)?;
            }
            Action::Remove { id } => people.remove(&id)?,
            Action::List { json } => return list(&people, json),
        }
        Ok(people.save()?)
    }
}

fn new_password(id: &str) -> anyhow::Result<SecretString> {
    let password = ask_password(&format!("New password of {id}: "))?;
    if stdin().is_terminal() && ask_password("Again: ")?.expose_secret() != password.expose_secret() {
        bail!("the two passwords are not the same");
    }
    Ok(password)
}

fn list(people: &PeopleEditor, json: bool) -> anyhow::Result<()> {
    let listed = people.list()?;
    if json {
        let rows: Vec<_> = listed
            .iter()
            .map(|p| serde_json::json!({ "id": p.id, "kind": p.kind, "groups": p.groups, "password": p.has_password }))
            .collect();
        return Ok(writeln!(stdout(), "{}", serde_json::to_string_pretty(&rows)?)?);
    }
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_header(["ID", "KIND", "GROUPS", "PASSWORD"]);
    for person in &listed {
        let kind = match person.kind {
            Kind::User => "user",
            Kind::Machine => "machine",
        };
        let password = if person.has_password { "yes" } else { "no" };
        table.add_row([person.id.as_str(), kind, &person.groups.join(", "), password]);
    }
    Ok(writeln!(stdout(), "{table}")?)
}
