//! Where the keys come from: variables, a file, the metadata service of a container or machine, or
//! [a token of somebody else's](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::{
    AwsStore,
    keys::{FromMetadata, Keys, from_file, from_sts, sts_code},
};
use crate::{
    CredentialError, Environment, SecretKind, file,
    http::{SHORT, Service, sensitive},
    names::{self, Checked, escape},
    place::Place,
};

/// The metadata service of a machine.
const MACHINE: &str = "http://169.254.169.254";
/// Those of containers: of ECS, and of EKS by both protocols.
const CONTAINERS: &[&str] = &["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
/// How long metadata services may take, which are on this machine.
const METADATA: Duration = Duration::from_secs(5);

/// Where the keys come from.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AwsLogin {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and perhaps `AWS_SESSION_TOKEN`.
    Environment {},
    /// A file of keys, as AWS's own programs have it.
    File {
        /// The file.
        path: PathBuf,
        /// The profile in it; `default` when absent.
        profile: Option<String>,
    },
    /// The role of a container, in ECS or EKS.
    Container {},
    /// The role of a machine, by version 2 of its metadata service.
    Instance {},
    /// A role that a token of somebody else's gives, such as a pod's.
    WebIdentity {
        /// The role; `AWS_ROLE_ARN` when absent.
        role_arn: Option<String>,
        /// A file with the token; the one that `AWS_WEB_IDENTITY_TOKEN_FILE` names when absent.
        token_file: Option<PathBuf>,
        /// What the session is called in CloudTrail; `sallyport` when absent.
        session_name: Option<String>,
    },
}

impl AwsLogin {
    pub(super) fn check(&self) -> Checked {
        match self {
            Self::Environment {} | Self::Container {} | Self::Instance {} => Ok(()),
            Self::File { profile, .. } => check(profile.as_deref(), "profile"),
            Self::WebIdentity {
                role_arn, session_name, ..
            } => {
                check(role_arn.as_deref(), "role_arn")?;
                check(session_name.as_deref(), "session_name")
            }
        }
    }

    /// The file that it names.
    pub(crate) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Environment {} | Self::Container {} | Self::Instance {} => None,
            Self::File { path, .. } => Some(path),
            Self::WebIdentity { token_file, .. } => token_file.as_mut(),
        }
    }
}

fn check(text: Option<&str>, option: &str) -> Checked {
    text.map_or(Ok(()), |text| names::printable(option, text))
}

/// The ways to keys at one store.
pub(super) struct Logins {
    login: AwsLogin,
    store: String,
    sts: Service,
    metadata: Service,
    environment: Environment,
    within: Duration,
}

impl Logins {
    pub(super) fn new(
        store: &AwsStore,
        what: &str,
        sts: Service,
        environment: &Environment,
        within: Duration,
    ) -> Checked<Self> {
        let address = store.metadata_endpoint.as_deref().unwrap_or(MACHINE);
        let url = Url::parse(address).map_err(|_| "`metadata_endpoint` is not a URL".to_owned())?;
        let shown = format!("the metadata service of {what}");
        Ok(Self {
            login: store.login.clone(),
            store: what.to_owned(),
            sts,
            metadata: Service::new(&shown, &url, None, within.min(METADATA)),
            environment: environment.clone(),
            within,
        })
    }

    /// Keys that cost no request are read for each lease.
    pub(super) fn are_read_anew(&self) -> bool {
        match self.login {
            AwsLogin::Environment {} | AwsLogin::File { .. } => true,
            AwsLogin::Container {} | AwsLogin::Instance {} | AwsLogin::WebIdentity { .. } => false,
        }
    }

    pub(super) async fn log_in(&self) -> Result<Keys, CredentialError> {
        match &self.login {
            AwsLogin::Environment {} => self.by_environment(),
            AwsLogin::File { path, profile } => self.by_file(path, profile.as_deref().unwrap_or("default")).await,
            AwsLogin::Container {} => self.by_container().await,
            AwsLogin::Instance {} => self.by_machine().await,
            AwsLogin::WebIdentity {
                role_arn,
                token_file,
                session_name,
            } => {
                let session = session_name.as_deref().unwrap_or("sallyport");
                self.by_web_identity(role_arn.as_deref(), token_file.as_deref(), session)
                    .await
            }
        }
    }

    fn away(&self, why: impl Into<String>) -> CredentialError {
        CredentialError::Login {
            store: self.store.clone(),
            why: why.into(),
        }
    }

    fn by_environment(&self) -> Result<Keys, CredentialError> {
        let id = self.environment.get("AWS_ACCESS_KEY_ID");
        let secret = self.environment.secret("AWS_SECRET_ACCESS_KEY");
        let session = self.environment.secret("AWS_SESSION_TOKEN");
        let keys = id
            .zip(secret)
            .and_then(|(id, secret)| Keys::new(id, secret, session, None));
        keys.ok_or_else(|| self.away("`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` hold no keys"))
    }

    async fn by_file(&self, path: &Path, profile: &str) -> Result<Keys, CredentialError> {
        let text = file::read(SecretKind::Password, path, self.within).await;
        let text = text.map_err(|_| self.away(format!("cannot read the file `{}`", path.display())))?;
        let absent = || self.away(format!("`{}` has no keys for the profile `{profile}`", path.display()));
        from_file(&text, profile).ok_or_else(absent)
    }

    /// [ECS](https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html) and EKS say where to ask.
    async fn by_container(&self) -> Result<Keys, CredentialError> {
        let relative = self.environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let full = self.environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let url = match (relative, full) {
            (Some(path), _) if path.starts_with('/') => format!("http://169.254.170.2{path}"),
            (None, Some(url)) => url,
            _ => return Err(self.away("the environment names no metadata service of a container")),
        };
        let url = container_address(&url).map_err(|why| self.away(why))?;
        let mut origin = url.clone();
        origin.set_path("");
        origin.set_query(None);
        let shown = format!("the container's metadata service of {}", self.store);
        let service = Service::new(&shown, &origin, None, self.within.min(METADATA));
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = service.request(Method::GET, &format!("{}{query}", url.path()))?;
        if let Some(place) = self.container_token() {
            let token = place.read(&self.store, &self.environment, self.within).await?;
            let token = sensitive(&token).map_err(|_| self.away("the container's token is none"))?;
            request = request.header("Authorization", token);
        }
        let answer = service
            .send("the container's keys", request, SHORT)
            .await?
            .good(metadata_advice)?;
        let keys = answer.json::<FromMetadata>()?.keys();
        keys.ok_or_else(|| answer.odd("there are no keys in it"))
    }

    fn container_token(&self) -> Option<OwnedPlace> {
        let file = self.environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let variable = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
        match file {
            Some(file) => Some(OwnedPlace::File(file.into())),
            None => self.environment.get(variable).map(|_| OwnedPlace::Variable(variable)),
        }
    }

    /// [Version 2 of the metadata service](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html)
    /// wants a token of its own, so that nobody is made to ask by accident.
    async fn by_machine(&self) -> Result<Keys, CredentialError> {
        let doing = "the machine's keys";
        let request = self.metadata.request(Method::PUT, "/latest/api/token")?;
        let request = request.header("X-aws-ec2-metadata-token-ttl-seconds", "60");
        let answer = self.metadata.send(doing, request, SHORT).await?.good(metadata_advice)?;
        let token = sensitive(&answer.text()?.into()).map_err(|_| answer.odd("its token is none"))?;
        let ask = async |path: String| {
            let request = self.metadata.request(Method::GET, &path)?;
            let request = request.header("X-aws-ec2-metadata-token", token.clone());
            self.metadata.send(doing, request, SHORT).await?.good(metadata_advice)
        };
        let roles = "/latest/meta-data/iam/security-credentials/";
        let answer = ask(roles.to_owned()).await?;
        let role = answer.text()?.lines().next().unwrap_or_default();
        names::segment("role", role).map_err(|_| answer.odd("the machine has no role"))?;
        let answer = ask(format!("{roles}{}", escape(role))).await?;
        let keys = answer.json::<FromMetadata>()?.keys();
        keys.ok_or_else(|| answer.odd("there are no keys in it"))
    }

    async fn by_web_identity(
        &self,
        role_arn: Option<&str>,
        token_file: Option<&Path>,
        session: &str,
    ) -> Result<Keys, CredentialError> {
        let role = role_arn
            .map(str::to_owned)
            .or_else(|| self.environment.get("AWS_ROLE_ARN"));
        let role = role.ok_or_else(|| self.away("neither `role_arn` nor `AWS_ROLE_ARN` names a role"))?;
        let named = self.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE").map(PathBuf::from);
        let file = token_file.map(Path::to_owned).or(named);
        let file =
            file.ok_or_else(|| self.away("neither `token_file` nor `AWS_WEB_IDENTITY_TOKEN_FILE` names a file"))?;
        let token = Place::File(&file)
            .read(&self.store, &self.environment, self.within)
            .await?;
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &role),
            ("RoleSessionName", session),
            ("WebIdentityToken", token.expose_secret()),
        ];
        let request = self.sts.request(Method::POST, "/")?.form(&form);
        let answer = self.sts.send("a role", request, SHORT).await?;
        if !answer.status.is_success() {
            return Err(answer.refused(sts_advice(answer.text().ok().and_then(sts_code))));
        }
        from_sts(answer.text()?).ok_or_else(|| answer.odd("there are no keys in it"))
    }
}

enum OwnedPlace {
    File(PathBuf),
    Variable(&'static str),
}

impl OwnedPlace {
    async fn read(
        &self,
        store: &str,
        environment: &Environment,
        within: Duration,
    ) -> Result<secrecy::SecretString, CredentialError> {
        let place = match self {
            Self::File(path) => Place::File(path),
            Self::Variable(name) => Place::Variable(name),
        };
        place.read(store, environment, within).await
    }
}

/// Where a container may be told to ask: at its own metadata service, on loopback, or over TLS.
fn container_address(text: &str) -> Checked<Url> {
    let url = Url::parse(text).map_err(|_| "the address of the container's metadata service is no URL".to_owned())?;
    let known = url.host_str().is_some_and(|host| CONTAINERS.contains(&host));
    let clear = url.scheme() == "http" && (known || sallyport_outgoing::is_loopback(&url));
    let bare = url.username().is_empty() && url.password().is_none();
    if bare && (clear || url.scheme() == "https") {
        Ok(url)
    } else {
        Err("the address of the container's metadata service is neither AWS's, nor on loopback, nor `https`".to_owned())
    }
}

fn metadata_advice(status: u16) -> &'static str {
    match status {
        401 | 403 => "it is switched off, or its token is not good",
        404 => "no role is attached to this machine or container",
        _ => "see what the metadata service of this machine says",
    }
}

fn sts_advice(code: Option<&str>) -> &'static str {
    match code {
        Some("ExpiredTokenException") => "the token has expired, or this machine's clock is wrong",
        Some("InvalidIdentityToken") => "AWS does not trust who made the token: check the identity provider in IAM",
        Some("AccessDenied") => "the role's trust policy does not let this token assume it",
        Some("IDPRejectedClaim") => "the provider rejected the token",
        Some(_) | None => "check the role, its trust policy and the token",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_not_sent_elsewhere_in_the_clear() {
        for good in [
            "http://169.254.170.2/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1",
            "http://127.0.0.1:9/x",
            "https://example.com/x",
        ] {
            assert!(container_address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com/x",
            "http://169.254.169.254/x",
            "http://169.254.170.2.example.com/",
            "http://u:p@127.0.0.1/",
            "file:///x",
            "",
        ] {
            assert!(container_address(bad).is_err(), "{bad}");
        }
    }
}
