//! What a provider says about itself (OpenID Connect Discovery 1.0, RFC 8414).

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use url::Url;

use super::OidcError;
use crate::http::{checked_url, send};

/// The largest discovery document.
const MAX_BYTES: usize = 64 << 10;

/// The part of the discovery document that Sallyport uses, checked.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) device_authorization_endpoint: Option<Url>,
    pub(crate) jwks_uri: Url,
    /// Whether answers of the authorization endpoint name the issuer (RFC 9207).
    pub(crate) names_issuer: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
    jwks_uri: String,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Asks the provider. Its endpoints must be on the issuer's host or one of `hosts`, so that a document that somebody
/// tampered with cannot send us (and secrets) elsewhere.
pub(crate) async fn discover(http: &Client, issuer: &str, hosts: &[String]) -> Result<Metadata, OidcError> {
    let base = checked_url(issuer)?;
    let url = checked_url(&format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    ))?;
    let (status, body) = send(http.get(url), MAX_BYTES).await?;
    if status != StatusCode::OK {
        return Err(refused(format!("the answer was {status}")));
    }
    check(&body, issuer, &base, hosts)
}

pub(super) fn check(body: &[u8], issuer: &str, base: &Url, hosts: &[String]) -> Result<Metadata, OidcError> {
    let document: Document = serde_json::from_slice(body).map_err(|e| refused(e.to_string()))?;
    if document.issuer != issuer {
        return Err(refused(format!(
            "it is of the issuer `{}`, not `{issuer}`",
            document.issuer
        )));
    }
    if document
        .code_challenge_methods_supported
        .is_some_and(|m| !m.iter().any(|m| m == "S256"))
    {
        return Err(refused("it does not support PKCE with S256".to_owned()));
    }
    let endpoint = |text: &str| -> Result<Url, OidcError> {
        let url = checked_url(text)?;
        if base.scheme() == "https" && url.scheme() != "https" {
            return Err(refused(format!("`{text}` is not https")));
        }
        let host = url.host_str().unwrap_or_default();
        if Some(host) != base.host_str() && !hosts.iter().any(|known| known == host) {
            return Err(refused(format!(
                "it points to `{host}`, which is not among the provider's `hosts`"
            )));
        }
        Ok(url)
    };
    Ok(Metadata {
        authorization_endpoint: endpoint(&document.authorization_endpoint)?,
        token_endpoint: endpoint(&document.token_endpoint)?,
        device_authorization_endpoint: document
            .device_authorization_endpoint
            .as_deref()
            .map(endpoint)
            .transpose()?,
        jwks_uri: endpoint(&document.jwks_uri)?,
        names_issuer: document.authorization_response_iss_parameter_supported,
    })
}

fn refused(why: String) -> OidcError {
    OidcError::Provider {
        what: "discovery document",
        why,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://id.example.com/realm";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.com/auth",
            "token_endpoint": "https://id.example.com/token",
            "jwks_uri": "https://keys.example.net/jwks",
            "code_challenge_methods_supported": ["plain", "S256"],
        })
    }

    fn checked(document: &Value) -> Result<Metadata, OidcError> {
        let hosts = ["keys.example.net".to_owned()];
        check(
            document.to_string().as_bytes(),
            ISSUER,
            &checked_url(ISSUER).unwrap(),
            &hosts,
        )
    }

    #[test]
    fn a_good_document_is_taken() {
        assert_eq!(
            checked(&document()).unwrap().jwks_uri.as_str(),
            "https://keys.example.net/jwks"
        );
    }

    #[test]
    fn the_issuer_is_compared_exactly() {
        for other in [
            "https://id.example.com/realm/",
            "https://ID.example.com/realm",
            "http://id.example.com/realm",
            "https://id.example.com/{tenantid}",
            "https://id.example.com:443/realm",
        ] {
            let mut document = document();
            document["issuer"] = json!(other);
            assert!(checked(&document).is_err(), "{other}");
        }
    }

    #[test]
    fn endpoints_stay_on_known_hosts_and_on_tls() {
        for (key, url) in [
            ("token_endpoint", "http://id.example.com/token"),
            ("token_endpoint", "http://127.0.0.1/token"),
            ("token_endpoint", "https://169.254.169.254/latest"),
            ("jwks_uri", "https://id.example.com.evil.test/jwks"),
            ("jwks_uri", "https://id.example.com@evil.test/jwks"),
            ("jwks_uri", "file:///etc/passwd"),
            ("authorization_endpoint", "javascript:alert(1)"),
            ("device_authorization_endpoint", "https://evil.test/device"),
        ] {
            let mut document = document();
            document[key] = json!(url);
            assert!(checked(&document).is_err(), "{url}");
        }
    }

    #[test]
    fn a_provider_without_s256_is_refused() {
        let mut document = document();
        document["code_challenge_methods_supported"] = json!(["plain"]);
        assert!(checked(&document).is_err());
    }
}
