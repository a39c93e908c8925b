//! Calls of the gateway's API from the command line.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::credentials::{Credentials, CredentialsError, SavedLogin};
use crate::http::{HttpError, checked_url, client, send};
use crate::messages::{
    AuthConfig, LoginReply, OidcLogin, PasswordLogin, SshCertificateReply, SshCertificateRequest, SshInfo, SshKeyInfo,
    SshKeyRequest, TokenInfo, TokenReply, TokenRequest,
};
use crate::secret::TokenId;

/// The largest answer that is read.
const MAX_BYTES: usize = 16 << 20;
/// The longest line that is read of an answer that comes line by line.
const MAX_LINE_BYTES: usize = 64 << 20;
/// How long an answer may take that comes line by line.
const LINES_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// How long an answer may take that comes for as long as it likes.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long the gateway may be silent within such an answer.
const SILENCE: Duration = Duration::from_secs(60);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No address was given, and there is no login that has one.
    #[error("no gateway is known: give its API's address (--api or SALLYPORT_API), or log in first")]
    NoGateway,
    /// Nobody is logged in there.
    #[error("nobody is logged in at `{0}`: run `sallyport login`")]
    NotLoggedIn(String),
    /// The login ended.
    #[error("the login at `{0}` has ended: run `sallyport login`")]
    Ended(String),
    /// The logins cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The gateway cannot be reached.
    #[error("the gateway cannot be asked: {0}")]
    Http(#[from] HttpError),
    /// It said no.
    #[error("{message}")]
    Answered {
        /// The HTTP status.
        status: u16,
        /// What the gateway says.
        message: String,
    },
    /// Its answer is not what was expected.
    #[error("the gateway's answer is not understood: {0}")]
    Answer(String),
}

/// The gateway's API, as one caller sees it.
#[derive(Debug)]
pub struct GatewayClient {
    http: Client,
    base: Url,
    token: Option<SecretString>,
}

impl GatewayClient {
    /// For the API at `base`: `https`, or `http` on loopback. `authorities` (PEM) are trusted instead of the system's.
    ///
    /// # Errors
    /// When the address or the authorities cannot be used.
    pub fn new(base: &str, token: Option<SecretString>, authorities: Option<&Path>) -> Result<Self, ClientError> {
        let base = checked_url(&format!("{}/", base.trim_end_matches('/')))?;
        Ok(Self {
            http: client(&base, authorities)?,
            base,
            token,
        })
    }

    /// With the token of a login: `token` if given (from `SALLYPORT_TOKEN`; then `api` is needed), else the saved
    /// login at `api`, or the last one.
    ///
    /// # Errors
    /// When nobody is logged in, or the login has ended.
    pub fn logged_in(api: Option<&str>, token: Option<SecretString>) -> Result<Self, ClientError> {
        if let Some(token) = token {
            return Self::new(api.ok_or(ClientError::NoGateway)?, Some(token), None);
        }
        let credentials = Credentials::load(&Credentials::default_path()?)?;
        let Some((api, login)) = credentials.login(api) else {
            return Err(api.map_or(ClientError::NoGateway, |api| ClientError::NotLoggedIn(api.to_owned())));
        };
        let SavedLogin {
            token,
            expires,
            ca_file,
            ..
        } = login;
        if *expires <= time::OffsetDateTime::now_utc() {
            return Err(ClientError::Ended(api.to_owned()));
        }
        Self::new(api, Some(token.0.clone()), ca_file.as_deref())
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When the gateway cannot be reached, says no, or is not understood.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call::<(), T>(Method::GET, path, None).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// When the gateway cannot be reached, says no, or is not understood.
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// When the gateway cannot be reached or says no.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.ask::<()>(Method::DELETE, path, None).await.map(drop)
    }

    /// `GET path`, whose answer comes line by line, however long it is. Each line, without its end, is given to `line`.
    ///
    /// # Errors
    /// When the gateway cannot be reached or says no, when a line is too long, or with what `line` says.
    pub async fn get_lines<E: From<ClientError>>(
        &self,
        path: &str,
        line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read_lines(path, false, line).await
    }

    /// `GET path`, whose answer comes line by line for as long as it likes, but is never silent for long. Each line, without
    /// its end, is given to `line`, and an empty one after those that came together.
    ///
    /// # Errors
    /// As [`Self::get_lines`].
    pub async fn follow_lines<E: From<ClientError>>(
        &self,
        path: &str,
        line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read_lines(path, true, line).await
    }

    async fn read_lines<E: From<ClientError>>(
        &self,
        path: &str,
        following: bool,
        mut line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (timeout, silence) = if following {
            (FOLLOW_TIMEOUT, SILENCE)
        } else {
            (LINES_TIMEOUT, LINES_TIMEOUT)
        };
        let silent = || ClientError::Answer("the gateway has not been heard of for a while".to_owned());
        let request = self.request(Method::GET, path)?.timeout(timeout);
        let failed = |error: reqwest::Error| ClientError::from(HttpError::from(error));
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut buffer: Vec<u8> = Vec::new();
        loop {
            let chunk = tokio::time::timeout(silence, response.chunk()).await;
            let Some(chunk) = chunk.map_err(|_| silent())?.map_err(failed)? else {
                break;
            };
            let searched = buffer.len();
            buffer.extend_from_slice(&chunk);
            if !status.is_success() {
                buffer.truncate(MAX_BYTES);
                continue;
            }
            let ends = buffer.iter().skip(searched).rposition(|b| *b == b'\n');
            if let Some(end) = ends.map(|end| searched + end) {
                let rest = buffer.split_off(end + 1);
                buffer.truncate(end);
                for text in buffer.split(|b| *b == b'\n') {
                    line(text)?;
                }
                if following {
                    line(b"")?;
                }
                buffer = rest;
            }
            if buffer.len() > MAX_LINE_BYTES {
                return Err(E::from(ClientError::Answer("a line is too long".to_owned())));
            }
        }
        if !status.is_success() {
            return Err(E::from(answered(status, &buffer)));
        }
        if buffer.is_empty() { Ok(()) } else { line(&buffer) }
    }

    /// `GET /v1/auth/config`.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn auth_config(&self) -> Result<AuthConfig, ClientError> {
        self.get("v1/auth/config").await
    }

    /// `POST /v1/auth/password`.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub async fn login_password(&self, login: &PasswordLogin) -> Result<LoginReply, ClientError> {
        self.post("v1/auth/password", login).await
    }

    /// `POST /v1/auth/oidc`.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub async fn login_oidc(&self, login: &OidcLogin) -> Result<LoginReply, ClientError> {
        self.post("v1/auth/oidc", login).await
    }

    /// `POST /v1/auth/logout`: ends the login and the tokens it was used to get.
    ///
    /// # Errors
    /// When the gateway cannot be reached or says no.
    pub async fn logout(&self) -> Result<(), ClientError> {
        self.ask::<()>(Method::POST, "v1/auth/logout", None).await.map(drop)
    }

    /// `POST /v1/tokens`.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub async fn issue_token(&self, request: &TokenRequest) -> Result<TokenReply, ClientError> {
        self.post("v1/tokens", request).await
    }

    /// `GET /v1/tokens`, with `?all=true` for everybody's.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn list_tokens(&self, all: bool) -> Result<Vec<TokenInfo>, ClientError> {
        self.get(if all { "v1/tokens?all=true" } else { "v1/tokens" }).await
    }

    /// `DELETE /v1/tokens/{id}`.
    ///
    /// # Errors
    /// As for [`Self::delete`].
    pub async fn revoke_token(&self, id: &TokenId) -> Result<(), ClientError> {
        if !id.0.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(ClientError::Answered {
                status: 404,
                message: "there is no such token".to_owned(),
            });
        }
        self.delete(&format!("v1/tokens/{id}")).await
    }

    /// `GET /v1/ssh`; `None` when the gateway has no SSH.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn ssh(&self) -> Result<Option<SshInfo>, ClientError> {
        match self.get("v1/ssh").await {
            Ok(info) => Ok(Some(info)),
            Err(ClientError::Answered { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST /v1/ssh/certificate`.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub async fn ssh_certificate(&self, request: &SshCertificateRequest) -> Result<SshCertificateReply, ClientError> {
        self.post("v1/ssh/certificate", request).await
    }

    /// `GET /v1/ssh/keys`.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn ssh_keys(&self) -> Result<Vec<SshKeyInfo>, ClientError> {
        self.get("v1/ssh/keys").await
    }

    /// `POST /v1/ssh/keys`.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub async fn add_ssh_key(&self, request: &SshKeyRequest) -> Result<SshKeyInfo, ClientError> {
        self.post("v1/ssh/keys", request).await
    }

    /// `DELETE /v1/ssh/keys/{id}`. `key` comes from [`Self::ssh_keys`].
    ///
    /// # Errors
    /// As for [`Self::delete`].
    pub async fn remove_ssh_key(&self, key: &SshKeyInfo) -> Result<(), ClientError> {
        if !key.id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ClientError::Answer("the id of a key is not in hexadecimal".to_owned()));
        }
        self.delete(&format!("v1/ssh/keys/{}", key.id)).await
    }

    async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let answer = self.ask(method, path, body).await?;
        // Where it went wrong, never the text: it may hold a token.
        serde_json::from_slice(&answer)
            .map_err(|e| ClientError::Answer(format!("line {}, column {}", e.line(), e.column())))
    }

    async fn ask<B: Serialize>(&self, method: Method, path: &str, body: Option<&B>) -> Result<Vec<u8>, ClientError> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, answer) = send(request, MAX_BYTES).await?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(answered(status, &answer))
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let url = self.base.join(path).map_err(|e| ClientError::Answer(e.to_string()))?;
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        })
    }
}

fn answered(status: StatusCode, answer: &[u8]) -> ClientError {
    ClientError::Answered {
        status: status.as_u16(),
        message: reason(status, answer),
    }
}

/// What an error answer says: the `detail` of its problem details (RFC 9457), else its `title`.
fn reason(status: StatusCode, answer: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let said = ["detail", "title"].into_iter().find_map(|key| body.get(key)?.as_str());
    said.map_or_else(
        || format!("the gateway answered {status}"),
        |text| text.chars().filter(|c| !c.is_control()).take(1000).collect(),
    )
}
