//! AWS: Secrets Manager, and tokens for databases of RDS. No SDK: three requests and a signature.

mod keys;
mod login;
mod rds;
mod secrets;
mod sigv4;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;
use time::OffsetDateTime;

pub use login::AwsLogin;
pub use rds::RdsSource;
pub use secrets::AwsSecretSource;

use self::{keys::Keys, login::Logins};
use crate::{
    CredentialError, Environment,
    http::Service,
    login::Cached,
    names::{self, Checked},
};

/// An account of AWS in a region, and whose keys are used there.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct AwsStore {
    /// What sources call it.
    pub name: String,
    /// The region; `AWS_REGION` or `AWS_DEFAULT_REGION` when absent.
    pub region: Option<String>,
    /// Where the keys come from.
    pub login: AwsLogin,
    /// Secrets Manager's address, for an endpoint in a private network; AWS's own when absent.
    pub endpoint: Option<String>,
    /// STS's address, likewise.
    pub sts_endpoint: Option<String>,
    /// The metadata service's address. For tests: on loopback only.
    pub metadata_endpoint: Option<String>,
    /// Authorities to trust at `endpoint` and `sts_endpoint`, PEM; the operating system's when absent.
    pub ca_file: Option<PathBuf>,
}

impl AwsStore {
    pub(crate) fn check(&self) -> Checked {
        names::plain("name", &self.name)?;
        if let Some(region) = &self.region {
            region_name("region", region)?;
        }
        for (option, endpoint) in [("endpoint", &self.endpoint), ("sts_endpoint", &self.sts_endpoint)] {
            if let Some(endpoint) = endpoint
                && names::address(option, endpoint)?.path() != "/"
            {
                return Err(format!("`{option}`: it must not have a path"));
            }
        }
        if let Some(endpoint) = &self.metadata_endpoint {
            names::local_address("metadata_endpoint", endpoint)?;
        }
        self.login.check()
    }

    fn region(&self, environment: &Environment) -> Checked<String> {
        let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        let region = self.region.clone();
        let region = region.or_else(|| variables.iter().find_map(|name| environment.get(name)));
        let region = region.ok_or_else(|| "`region` must be given, here or as `AWS_REGION`".to_owned())?;
        region_name("region", &region)?;
        Ok(region)
    }
}

/// A region's name goes into host names.
pub(crate) fn region_name(option: &str, text: &str) -> Checked {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 32 || !text.chars().all(good) {
        return Err(format!("`{option}` is no region of AWS, such as `eu-central-1`"));
    }
    Ok(())
}

/// One account in one region.
pub(crate) struct Aws {
    store: String,
    region: String,
    secrets: Service,
    logins: Logins,
    cached: Cached<Keys>,
}

impl Aws {
    pub(crate) fn new(store: &AwsStore, environment: &Environment, within: Duration) -> Checked<Self> {
        store.check()?;
        let region = store.region(environment)?;
        let what = format!("AWS `{}`", store.name);
        let service = |name: &str, shown: &str, endpoint: Option<&str>| {
            let standard = format!("https://{name}.{region}.{}", domain(&region));
            let url = names::address("endpoint", endpoint.unwrap_or(&standard))?;
            let what = format!("{shown} of {what}");
            Ok::<_, String>(Service::new(&what, &url, store.ca_file.as_deref(), within))
        };
        let secrets = service("secretsmanager", "Secrets Manager", store.endpoint.as_deref())?;
        let sts = service("sts", "STS", store.sts_endpoint.as_deref())?;
        let logins = Logins::new(store, &what, sts, environment, within)?;
        Ok(Self {
            store: what,
            region,
            secrets,
            logins,
            cached: Cached::new(),
        })
    }

    async fn keys(&self, refused: Option<&Arc<Keys>>) -> Result<Arc<Keys>, CredentialError> {
        if self.logins.are_read_anew() {
            return Ok(Arc::new(self.logins.log_in().await?));
        }
        self.cached.get(refused, self.logins.log_in()).await
    }
}

/// The domain that a region's services are in.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
