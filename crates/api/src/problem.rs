//! Errors as problem details (RFC 9457).

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sallyport_identity::{IssueError, LoginError, Refusal, RevokeError, SshCertificateError, SshKeyError};
use sallyport_review::ReviewError;
use serde::{Deserialize, Serialize};

/// Why a call failed, on its way to the client.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    retry_after: Option<Duration>,
}

/// The body of an error, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemBody {
    /// What kind of problem: `urn:sallyport:problem:` and a word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and what to do.
    pub detail: String,
}

impl Problem {
    /// A problem of `kind`, a word that clients may compare.
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(crate) fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the gateway failed; its log says why",
        )
    }

    fn after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: format!("urn:sallyport:problem:{}", self.kind),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"sallyport\""),
            );
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not told apart is a failure of the gateway, or must not be told apart"
)]
impl From<ReviewError> for Problem {
    fn from(error: ReviewError) -> Self {
        let detail = error.to_string();
        match error {
            ReviewError::NotFound(_) => Self::not_found(detail),
            ReviewError::OwnRequest { .. } => Self::new(StatusCode::FORBIDDEN, "own-request", detail),
            ReviewError::NotAReviewer { .. } | ReviewError::NotAPerson(_) | ReviewError::NotYours(_) => {
                Self::forbidden(detail)
            }
            ReviewError::AlreadyApproved { .. } => Self::conflict("already-approved", detail),
            ReviewError::ToBeWatched { .. } => Self::conflict("to-be-watched", detail),
            ReviewError::NotNeeded { .. } => Self::conflict("not-needed", detail),
            ReviewError::Over { .. } => Self::conflict("over", detail),
            ReviewError::ReasonTooLong { .. } => Self::bad_request(detail),
            ReviewError::Witness(_) | ReviewError::Store(_) => {
                tracing::error!(error = detail, "a review could not be done");
                Self::unavailable("this cannot be done at the moment; the gateway's log says why")
            }
            other => {
                tracing::error!(error = %other, "a review failed");
                Self::internal()
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not told apart is a failure of the gateway, or must not be told apart"
)]
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unavailable(error) => {
                tracing::error!(%error, "tokens cannot be checked");
                Self::unavailable("the token cannot be checked at the moment")
            }
            Refusal::Expired => Self::unauthorized("the login has expired: log in again with `sallyport login`"),
            Refusal::Revoked => Self::unauthorized("the login was revoked: log in again with `sallyport login`"),
            // Which of them it is helps only who guesses.
            _ => Self::unauthorized("the token is not valid: log in with `sallyport login`"),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not told apart is a failure of the gateway, or must not be told apart"
)]
impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let detail = error.to_string();
        match error {
            LoginError::TooMany { wait } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", detail).after(wait)
            }
            LoginError::UnknownProvider(_) => Self::bad_request(detail),
            LoginError::Unavailable(source) => {
                tracing::error!(error = %source, "a login could not be done");
                Self::unavailable(detail)
            }
            LoginError::NoRandom(source) => {
                tracing::error!(error = %source, "a login could not be done");
                Self::internal()
            }
            LoginError::NameTaken(_) | LoginError::Name(_) => Self::forbidden(detail),
            // A wrong password, a bad ID token, a stale login, and what may be added.
            _ => Self::new(StatusCode::UNAUTHORIZED, "login-failed", detail),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not told apart is a failure of the gateway, or must not be told apart"
)]
impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        let detail = error.to_string();
        match error {
            IssueError::Lifetime { .. } | IssueError::Label { .. } => Self::bad_request(detail),
            IssueError::Ended => Self::unauthorized(detail),
            other => {
                tracing::error!(error = %other, "a token could not be issued");
                Self::unavailable("tokens cannot be issued at the moment")
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not told apart is a failure of the gateway, or must not be told apart"
)]
impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Unknown => Self::not_found(error.to_string()),
            other => {
                tracing::error!(error = %other, "a token could not be revoked");
                Self::unavailable("tokens cannot be revoked at the moment")
            }
        }
    }
}

impl From<SshCertificateError> for Problem {
    fn from(error: SshCertificateError) -> Self {
        let detail = error.to_string();
        match error {
            SshCertificateError::NoSsh => Self::not_found(detail),
            SshCertificateError::Key(_) => Self::bad_request(detail),
            SshCertificateError::Issue(error) => error.into(),
            other => {
                tracing::error!(error = %other, "an SSH certificate could not be issued");
                Self::internal()
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not told apart is a failure of the gateway, or must not be told apart"
)]
impl From<SshKeyError> for Problem {
    fn from(error: SshKeyError) -> Self {
        let detail = error.to_string();
        match error {
            SshKeyError::Key(_) | SshKeyError::Name => Self::bad_request(detail),
            SshKeyError::Known => Self::conflict("known", detail),
            SshKeyError::Full { .. } => Self::conflict("full", detail),
            SshKeyError::Unknown => Self::not_found(detail),
            other => {
                tracing::error!(error = %other, "SSH keys could not be kept");
                Self::unavailable("keys cannot be kept at the moment")
            }
        }
    }
}
