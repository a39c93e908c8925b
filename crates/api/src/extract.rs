//! What is taken from a request, with problem details instead of axum's own rejections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use sallyport_identity::{Credential, Principal};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::state::Api;

/// The other end's address, put into each request by the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for Source {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().ok_or_else(Problem::internal)?;
        Ok(Self(peer.0.ip()))
    }
}

/// Who calls: the holder of the API token in `Authorization: Bearer …`.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) credential: Credential,
    pub(crate) source: IpAddr,
}

impl Caller {
    pub(crate) fn principal(&self) -> &Principal {
        &self.credential.principal
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Source(source) = Source::from_request_parts(parts, api).await?;
        let token = bearer(parts).ok_or_else(|| Problem::unauthorized("log in with `sallyport login`"))?;
        let credential = api.identities.by_api_token(&token).await?;
        Ok(Self { credential, source })
    }
}

fn bearer(parts: &Parts) -> Option<SecretString> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().into())
}

/// A body of JSON.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = axum::Json::<T>::from_request(request, state).await;
        json.map(|axum::Json(value)| Self(value))
            .map_err(|rejection| unreadable(&rejection))
    }
}

/// A body of JSON, or none at all.
#[derive(Debug)]
pub(crate) struct MaybeJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), "bad-request", rejection.body_text()))?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let request = Request::from_parts(parts, bytes.into());
        Json::from_request(request, state).await.map(|Json(value)| Self(value))
    }
}

/// A body may hold a password, and a parser's message may quote it: only the place of the mistake is told.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's enum grows; each is a body that cannot be read"
)]
fn unreadable(rejection: &JsonRejection) -> Problem {
    let detail = match rejection {
        JsonRejection::JsonDataError(_) => "the body is JSON, but not what this route takes; see /v1/openapi.json",
        JsonRejection::JsonSyntaxError(_) => "the body is not JSON",
        JsonRejection::MissingJsonContentType(_) => "the body must have the type `application/json`",
        _ => "the body cannot be read",
    };
    Problem::new(rejection.status(), "bad-request", detail)
}

/// The parameters after the `?`.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

/// The identifier in a path. What cannot be one is not looked for.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) String);

/// The longest identifier, in bytes.
const MAX_ID_BYTES: usize = 64;

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let good = |id: &String| {
            id.len() <= MAX_ID_BYTES && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        let id = path.ok().map(|Path(id)| id).filter(good);
        id.map(Self)
            .ok_or_else(|| Problem::not_found("that cannot be the name of anything here"))
    }
}
