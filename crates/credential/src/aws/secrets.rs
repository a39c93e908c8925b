//! [GetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html) of Secrets Manager.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{
    Aws,
    keys::Keys,
    sigv4::{Request, Scope, sign},
};
use crate::{
    CredentialError, Leased, Need,
    http::{Answer, LONG, sensitive},
    names::{self, Checked},
    pick::Pick,
    text::utf8,
};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const TARGET: &str = "secretsmanager.GetSecretValue";

/// A secret in Secrets Manager.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct AwsSecretSource {
    /// The name of an `[[aws]]`.
    pub store: String,
    /// The secret's name or ARN.
    pub secret: String,
    /// Which version: `AWSCURRENT` when absent.
    pub version_stage: Option<String>,
    /// The field with the secret, if it is a JSON object.
    pub field: Option<String>,
    /// The field with the user to log in as; the target's `user` when absent.
    pub user_field: Option<String>,
}

impl AwsSecretSource {
    pub(crate) fn check(&self) -> Checked {
        names::printable("secret", &self.secret)?;
        if let Some(stage) = &self.version_stage {
            names::printable("version_stage", stage)?;
        }
        self.pick().check()
    }

    fn pick(&self) -> Pick<'_> {
        Pick {
            field: self.field.as_deref(),
            user_field: self.user_field.as_deref(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    secret_string: Option<SecretString>,
    secret_binary: Option<SecretString>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "__type")]
    kind: String,
}

impl Aws {
    pub(crate) async fn secret(&self, source: &AwsSecretSource, need: &Need) -> Result<Leased, CredentialError> {
        let mut keys = self.keys(None).await?;
        let mut answer = self.ask(&keys, source).await?;
        if !self.logins.are_read_anew() && is_about_keys(code(&answer).as_deref()) {
            keys = self.keys(Some(&keys)).await?;
            answer = self.ask(&keys, source).await?;
        }
        if !answer.status.is_success() {
            return Err(answer.refused(advice(code(&answer).as_deref())));
        }
        let found = answer.json::<Found>()?;
        let binary = |text: SecretString| STANDARD.decode(text.expose_secret()).ok().and_then(utf8);
        let value = found.secret_string.or_else(|| found.secret_binary.and_then(binary));
        let value = value.ok_or_else(|| answer.odd("there is no text in it"))?;
        let place = || format!("`{}` in {}", source.secret, self.store);
        source.pick().lease(need, &value, place)
    }

    async fn ask(&self, keys: &Arc<Keys>, source: &AwsSecretSource) -> Result<Answer, CredentialError> {
        let mut body = json!({"SecretId": source.secret});
        if let (Some(stage), Some(body)) = (&source.version_stage, body.as_object_mut()) {
            body.insert("VersionStage".to_owned(), stage.as_str().into());
        }
        let body = body.to_string();
        let mut request = self.secrets.request(Method::POST, "/")?;
        let host = host(self.secrets.url());
        let to_sign = Request {
            method: "POST",
            path: "/",
            query: Vec::new(),
            headers: vec![
                ("content-type", CONTENT_TYPE.to_owned()),
                ("host", host),
                ("x-amz-target", TARGET.to_owned()),
            ],
            body: body.as_bytes(),
        };
        let scope = Scope {
            region: &self.region,
            service: "secretsmanager",
            time: super::now(),
        };
        let unsigned = || CredentialError::Setting("this machine's clock gives no date".to_owned());
        let signed = sign(to_sign, &keys.signing(), &scope).ok_or_else(unsigned)?;
        request = request
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", TARGET);
        request = request
            .header("x-amz-date", signed.date)
            .header("authorization", signed.authorization);
        if let Some(session) = keys.session() {
            let value = sensitive(session).map_err(|_| unsigned())?;
            request = request.header("x-amz-security-token", value);
        }
        self.secrets.send("the secret", request.body(body), LONG).await
    }
}

/// As it is in the header `Host`: without the scheme's own port.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// The kind of an error; what else is in it is not looked at.
fn code(answer: &Answer) -> Option<String> {
    if answer.status.is_success() {
        return None;
    }
    let kind = answer.json::<Fault>().ok()?.kind;
    kind.rsplit('#').next().map(str::to_owned)
}

/// Whether other keys may help.
fn is_about_keys(code: Option<&str>) -> bool {
    matches!(
        code,
        Some(
            "ExpiredTokenException"
                | "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "InvalidSignatureException"
        )
    )
}

fn advice(code: Option<&str>) -> &'static str {
    match code {
        Some("ResourceNotFoundException") => "there is no such secret in this account and region, or no such version",
        Some("AccessDeniedException") => {
            "the keys need `secretsmanager:GetSecretValue` on it (and `kms:Decrypt` on its key)"
        }
        Some("DecryptionFailure") => "the keys need `kms:Decrypt` on the secret's key",
        Some("InvalidRequestException") => "the secret is being deleted",
        Some("ExpiredTokenException" | "UnrecognizedClientException" | "InvalidClientTokenId") => {
            "the keys are expired or unknown"
        }
        Some("InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestExpired" | "RequestTimeTooSkewed") => {
            "the secret key is wrong, or this machine's clock is more than five minutes off"
        }
        Some("ThrottlingException") => "it limits how often it is asked",
        Some(_) | None => "see CloudTrail for what it says",
    }
}
