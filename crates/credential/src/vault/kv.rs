//! Secrets that somebody wrote: the [KV engine](https://developer.hashicorp.com/vault/api-docs/secret/kv), in both versions.

use reqwest::Method;
use serde::Deserialize;

use super::{Asked, Reply, Vault};
use crate::{
    CredentialError, Leased, Need,
    http::Answer,
    names::{self, Checked, escape_path},
    pick::Pick,
    text::Fields,
};

/// A secret in a KV engine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct KvSource {
    /// The name of a `[[vault]]`.
    pub store: String,
    /// Where the engine is mounted; `secret` when absent.
    pub mount: Option<String>,
    /// The secret's path below the mount, without `data/`.
    pub path: String,
    /// The field with the secret; `password` when absent.
    pub field: Option<String>,
    /// The field with the user to log in as; the target's `user` when absent.
    pub user_field: Option<String>,
    /// The engine's version: 1 or 2 (the default).
    #[serde(default)]
    pub version: KvVersion,
}

/// The version of a KV engine.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(try_from = "u8")]
pub enum KvVersion {
    /// Without versions of secrets.
    One,
    /// With versions of secrets; the newest is read.
    #[default]
    Two,
}

impl TryFrom<u8> for KvVersion {
    type Error = &'static str;

    fn try_from(version: u8) -> Result<Self, Self::Error> {
        match version {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err("`version` of a KV engine is 1 or 2"),
        }
    }
}

impl KvSource {
    pub(crate) fn check(&self) -> Checked {
        names::path("path", &self.path)?;
        if let Some(mount) = &self.mount {
            names::path("mount", mount)?;
        }
        let fields = [("field", &self.field), ("user_field", &self.user_field)];
        for (option, field) in fields {
            if let Some(field) = field {
                names::printable(option, field)?;
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Versioned {
    data: Option<Fields>,
}

impl Vault {
    pub(crate) async fn kv(&self, source: &KvSource, need: &Need) -> Result<Leased, CredentialError> {
        let mount = source.mount.as_deref().unwrap_or("secret");
        let path = match source.version {
            KvVersion::One => escape_path(&[mount, &source.path]),
            KvVersion::Two => escape_path(&[mount, "data", &source.path]),
        };
        let asked = Asked {
            method: Method::GET,
            path,
            body: None,
            doing: "the secret",
            advice,
            leases: false,
        };
        let (_, answer) = self.ask(&asked).await?;
        let fields = fields(source.version, &answer)?;
        let place = || format!("`{}/{}` in {}", mount, source.path, self.store);
        let pick = Pick {
            field: None,
            user_field: source.user_field.as_deref(),
        };
        pick.of(source.field.as_deref().unwrap_or("password"), &fields, need, place)
    }
}

fn fields(version: KvVersion, answer: &Answer) -> Result<Fields, CredentialError> {
    let fields = match version {
        KvVersion::One => answer.json::<Reply>()?.data,
        KvVersion::Two => answer
            .json::<Reply<Versioned>>()?
            .data
            .and_then(|versioned| versioned.data),
    };
    fields.ok_or_else(|| answer.odd("there is no secret in it"))
}

fn advice(status: u16) -> &'static str {
    match status {
        403 => "the login's policies need `read` on the path (with `data/` in it for version 2)",
        404 => "there is no such secret, or its newest version is deleted: check `mount`, `path` and `version`",
        other => super::advice(other),
    }
}
