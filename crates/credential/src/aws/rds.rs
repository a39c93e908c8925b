//! Passwords for databases of RDS and Aurora that IAM lets in: an
//! [address that is signed](https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html)
//! on this machine, good for a quarter of an hour.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Aws, region_name,
    sigv4::{Request, Scope, presign},
};
use crate::{
    CredentialError, Leased, Need,
    names::{self, Checked},
};

/// How long a token is good, in seconds: what RDS takes.
const LIFE_S: u32 = 900;

/// A token for a database of RDS.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RdsSource {
    /// The name of an `[[aws]]`.
    pub store: String,
    /// The database's own host name, if the target's `address` is another one.
    pub host: Option<String>,
    /// Its port, likewise.
    pub port: Option<u16>,
    /// Its region; the store's when absent.
    pub region: Option<String>,
}

impl RdsSource {
    pub(crate) fn check(&self) -> Checked {
        if let Some(host) = &self.host {
            names::plain("host", host)?;
        }
        self.region
            .as_deref()
            .map_or(Ok(()), |region| region_name("region", region))
    }
}

impl Aws {
    pub(crate) async fn rds_token(&self, source: &RdsSource, need: &Need) -> Result<Leased, CredentialError> {
        let missing = |what: &str| CredentialError::Setting(format!("a token for RDS needs {what}"));
        let user = need.user.as_deref().ok_or_else(|| missing("a `user`"))?;
        let address = need.address.as_ref();
        let host = source.host.as_deref().or(address.map(|(host, _)| host.as_str()));
        let host = host.ok_or_else(|| missing("a `host`"))?;
        let port = source
            .port
            .or(address.map(|(_, port)| *port))
            .ok_or_else(|| missing("a `port`"))?;
        names::plain("host", host).map_err(CredentialError::Setting)?;
        let keys = self.keys(None).await?;
        let place = format!("{host}:{port}");
        let request = Request {
            method: "GET",
            path: "/",
            query: vec![
                ("Action".to_owned(), "connect".to_owned()),
                ("DBUser".to_owned(), user.to_owned()),
            ],
            headers: vec![("host", place.clone())],
            body: b"",
        };
        let scope = Scope {
            region: source.region.as_deref().unwrap_or(&self.region),
            service: "rds-db",
            time: super::now(),
        };
        let query = presign(request, &keys.signing(), &scope, LIFE_S);
        let query = query.ok_or_else(|| CredentialError::Setting("this machine's clock gives no date".to_owned()))?;
        let token = SecretString::from(format!("{place}/?{}", query.expose_secret()));
        // Keys of a role end earlier, perhaps, and what they signed with them.
        let end = Instant::now() + Duration::from_secs(LIFE_S.into());
        let end = keys.expiry.map_or(end, |expiry| expiry.at.min(end));
        Ok(Leased::fixed(None, token, Some(end)))
    }
}
