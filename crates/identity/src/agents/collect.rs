//! How an agent comes by a proof: from files, or from its platform's metadata service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use serde::Deserialize;
use time::OffsetDateTime;
use url::Url;

use super::enrolment::NewKey;
use super::messages::{Bytes, JoinProof, SpiffeX509};
use super::pin::Pin;
use super::rules::{azure_nonce, bound_audience, signed_message};
use super::token::JoinToken;
use crate::http::{HttpError, send};
use crate::messages::Sealed;

/// Where the metadata services of all three clouds are.
const METADATA: &str = "http://169.254.169.254";
/// How long a metadata service may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, and the largest file, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// How an agent proves that it may join.
#[derive(Clone, Debug)]
pub enum JoinMethod {
    /// With a join token.
    Token(JoinToken),
    /// With a service account's token that Kubernetes projects into the pod.
    Kubernetes {
        /// Its file.
        token: PathBuf,
    },
    /// With the identity document of an instance of Amazon EC2 (IMDSv2).
    Aws {
        /// The metadata service, if it is somewhere else than usual.
        metadata: Option<Url>,
    },
    /// With the identity token of an instance of Google Compute Engine.
    Gcp {
        /// The audience as the gateway's rule has it.
        audience: String,
        /// The metadata service, if it is somewhere else than usual.
        metadata: Option<Url>,
    },
    /// With the attested document of a virtual machine of Microsoft Azure.
    Azure {
        /// The metadata service, if it is somewhere else than usual.
        metadata: Option<Url>,
    },
    /// With an X.509-SVID, as `spiffe-helper` writes it.
    SpiffeX509 {
        /// The certificate and those above it, in PEM.
        certificates: PathBuf,
        /// Its key, in PEM.
        key: PathBuf,
    },
    /// With a JWT-SVID, as `spiffe-helper` writes it.
    SpiffeJwt {
        /// Its file.
        token: PathBuf,
    },
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// A file.
    #[error("`{}`: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The metadata service cannot be asked.
    #[error("the metadata service cannot be asked: {0}")]
    Metadata(#[from] HttpError),
    /// The metadata service refused, or says something else than what was asked for.
    #[error("the metadata service's answer cannot be used: {0}")]
    Answer(String),
}

#[derive(Deserialize)]
struct Attested {
    encoding: String,
    signature: String,
}

impl JoinMethod {
    /// A proof that whoever has `key` may join the gateway with this pin.
    ///
    /// # Errors
    /// When a file cannot be read, or the metadata service does not give one.
    pub async fn collect(&self, key: &NewKey, pin: Pin) -> Result<JoinProof, CollectError> {
        match self {
            Self::Token(token) => Ok(JoinProof::Token {
                token: Sealed(token.text().clone()),
            }),
            Self::Kubernetes { token } => Ok(JoinProof::Kubernetes {
                token: read_token(token).await?,
            }),
            Self::SpiffeJwt { token } => Ok(JoinProof::SpiffeJwt {
                token: read_token(token).await?,
            }),
            Self::SpiffeX509 {
                certificates,
                key: file,
            } => sign(certificates, file, key, pin).await,
            Self::Aws { metadata } => aws(&Metadata::at(metadata.as_ref())?).await,
            Self::Gcp { audience, metadata } => gcp(&Metadata::at(metadata.as_ref())?, audience, key).await,
            Self::Azure { metadata } => azure(&Metadata::at(metadata.as_ref())?, key).await,
        }
    }
}

/// A metadata service. It is on the machine's own link: no proxy is between, and no name is looked up.
struct Metadata {
    http: Client,
    base: Url,
}

impl Metadata {
    fn at(base: Option<&Url>) -> Result<Self, CollectError> {
        let base = match base {
            Some(base) => base.clone(),
            None => Url::parse(METADATA).map_err(|e| CollectError::Answer(e.to_string()))?,
        };
        let http = sallyport_outgoing::client(&base, None)
            .timeout(TIMEOUT)
            .build()
            .map_err(HttpError::from)?;
        Ok(Self { http, base })
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        self.http.request(method, url)
    }
}

async fn answer(request: RequestBuilder) -> Result<String, CollectError> {
    let (status, body) = send(request, MAX_BYTES).await?;
    if status != StatusCode::OK {
        return Err(CollectError::Answer(format!("it was {status}")));
    }
    String::from_utf8(body).map_err(|_| CollectError::Answer("it is not text".to_owned()))
}

async fn aws(metadata: &Metadata) -> Result<JoinProof, CollectError> {
    let session = metadata
        .ask(Method::PUT, "/latest/api/token")
        .header("X-aws-ec2-metadata-token-ttl-seconds", "60");
    let session = answer(session).await?;
    let document = metadata
        .ask(Method::GET, "/latest/dynamic/instance-identity/rsa2048")
        .header("X-aws-ec2-metadata-token", session.trim());
    Ok(JoinProof::Aws {
        document: Sealed(answer(document).await?.into()),
    })
}

async fn gcp(metadata: &Metadata, audience: &str, key: &NewKey) -> Result<JoinProof, CollectError> {
    let path = "/computeMetadata/v1/instance/service-accounts/default/identity";
    let token = metadata
        .ask(Method::GET, path)
        .header("Metadata-Flavor", "Google")
        .query(&[
            ("audience", bound_audience(audience, key.digest()).as_str()),
            ("format", "full"),
        ]);
    let token = answer(token).await?;
    Ok(JoinProof::Gcp {
        token: Sealed(token.trim().into()),
    })
}

async fn azure(metadata: &Metadata, key: &NewKey) -> Result<JoinProof, CollectError> {
    let nonce = azure_nonce(key.digest());
    let attested = metadata
        .ask(Method::GET, "/metadata/attested/document")
        .header("Metadata", "true")
        .query(&[("api-version", "2020-09-01"), ("nonce", nonce.as_str())]);
    let attested = answer(attested).await?;
    let attested: Attested = serde_json::from_str(&attested).map_err(|e| CollectError::Answer(e.to_string()))?;
    if attested.encoding != "pkcs7" {
        return Err(CollectError::Answer("it is not PKCS #7".to_owned()));
    }
    Ok(JoinProof::Azure {
        document: Sealed(attested.signature.into()),
    })
}

async fn sign(certificates: &Path, file: &Path, key: &NewKey, pin: Pin) -> Result<JoinProof, CollectError> {
    let wrong = |path: &Path, why: String| CollectError::File {
        path: path.to_owned(),
        why,
    };
    let chain = CertificateDer::pem_slice_iter(&read(certificates).await?)
        .map(|certificate| certificate.map(|der| Bytes(der.to_vec())))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| wrong(certificates, e.to_string()))?;
    let svid = PrivateKeyDer::from_pem_slice(&read(file).await?).map_err(|e| wrong(file, e.to_string()))?;
    let svid = any_supported_type(&svid).map_err(|e| wrong(file, e.to_string()))?;
    let signer = svid.choose_scheme(&[
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::ED25519,
        SignatureScheme::RSA_PSS_SHA256,
    ]);
    let signer = signer.ok_or_else(|| wrong(file, "it is of a kind that cannot be used".to_owned()))?;
    let at = OffsetDateTime::now_utc().unix_timestamp();
    let signature = signer
        .sign(&signed_message(pin, at, &key.csr().0))
        .map_err(|e| wrong(file, e.to_string()))?;
    Ok(JoinProof::SpiffeX509(SpiffeX509 {
        chain,
        at,
        signature: Bytes(signature),
    }))
}

async fn read_token(path: &Path) -> Result<Sealed, CollectError> {
    let text = String::from_utf8(read(path).await?).map_err(|_| CollectError::File {
        path: path.to_owned(),
        why: "it is not text".to_owned(),
    })?;
    Ok(Sealed(SecretString::from(text.trim())))
}

/// A file that is not too large. It may be replaced while the agent runs, so it is read each time.
async fn read(path: &Path) -> Result<Vec<u8>, CollectError> {
    use tokio::io::AsyncReadExt;
    let wrong = |why: String| CollectError::File {
        path: path.to_owned(),
        why,
    };
    let file = tokio::fs::File::open(path).await.map_err(|e| wrong(e.to_string()))?;
    let mut bytes = Vec::new();
    let mut bounded = file.take(MAX_BYTES as u64 + 1);
    bounded
        .read_to_end(&mut bytes)
        .await
        .map_err(|e| wrong(e.to_string()))?;
    if bytes.len() > MAX_BYTES {
        return Err(wrong("it is too large".to_owned()));
    }
    Ok(bytes)
}
