//! Logging in to a host.

mod carry;
mod home;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sallyport_credential::{CredentialError, Hold};
use sallyport_identity::HostLogins;
use sallyport_listen::Wire;
use sallyport_session::{DialError as NoLogin, Whom};
use sallyport_ssh_transport::keys::{Certificate, CertificateKind, KeyError, PrivateKey, SignatureAlgorithm};
use sallyport_ssh_transport::wire::{self, Reader};
use sallyport_ssh_transport::{ClientConfig, HostTrust, Preferences, Transport, message};
use sallyport_target::{ConnectError, Signer, SshLease, SshSecret, UnusableKey, dial_tcp};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::exchange::{Exchange, ExchangeError};
use crate::veil;
pub(crate) use home::Homes;

/// How long an agent may take to say that it masks, once it has logged in.
const VEIL: Duration = Duration::from_secs(15);
/// Questions of a host that are answered before it lets us in.
const MAX_QUESTIONS: usize = 8;

/// Why a host was not logged in to. Free of secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the target: {0}")]
    Exchange(#[from] ExchangeError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    PrivateKey(#[from] UnusableKey),
    #[error("what was signed for this session is no certificate for its key and account: {0}")]
    Certificate(String),
    #[error("the key that the target is logged in to with cannot be used: {0}")]
    Key(#[from] KeyError),
    #[error("there is no authority here that signs for logins at hosts")]
    NoAuthority,
    #[error("the target did not let `{user}` in; it takes {methods}")]
    Refused { user: String, methods: String },
    #[error("the login took longer than {seconds} s")]
    Timeout { seconds: u64 },
    #[error("the agent does not mask: it is older than this gateway, or none of ours")]
    Unveiled,
}

/// A host that has let us in.
pub struct Upstream {
    pub(crate) wire: Wire,
    pub(crate) transport: Transport,
    /// Whoever logged in masks what the host says.
    pub(crate) veiled: bool,
}

/// What a session asks of a host beside the login.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// What the host says is to be masked by whoever logs in.
    #[serde(default)]
    pub(crate) veiled: bool,
}

/// What is done at a host beside its sessions: nothing.
#[derive(Debug, Serialize, Deserialize)]
pub enum Errand {}

/// Logs in to hosts.
#[derive(Debug)]
pub struct Dialer {
    /// What signs for logins by certificate.
    authority: Option<Arc<HostLogins>>,
}

impl Dialer {
    /// With the authority that hosts trust, if there is one.
    #[must_use]
    pub fn new(authority: Option<Arc<HostLogins>>) -> Self {
        Self { authority }
    }

    async fn dial(&self, lease: &SshLease, whom: &Whom) -> Result<Upstream, DialError> {
        let wire = dial_tcp(&lease.address, lease.patience.connect).await?;
        let late = DialError::Timeout {
            seconds: lease.patience.login.as_secs(),
        };
        timeout(lease.patience.login, self.authenticate(wire, lease, whom))
            .await
            .map_err(|_| late)?
    }

    async fn authenticate(&self, wire: Wire, lease: &SshLease, whom: &Whom) -> Result<Upstream, DialError> {
        let now = OffsetDateTime::now_utc();
        let trust = HostTrust {
            keys: lease.trust.keys.clone(),
            authorities: lease.trust.authorities.clone(),
            names: vec![lease.trust.name.to_string()],
            now_unix: now.unix_timestamp().unsigned_abs(),
        };
        let config = ClientConfig {
            trust,
            software: crate::SOFTWARE.to_owned(),
            preferences: Preferences::default(),
        };
        let exchange = Exchange::new(wire, |out| Ok(Transport::client(config, out)))?;
        let mut login = Login { exchange, lease };
        login.exchange.become_ready().await?;
        login.service().await?;
        match &lease.secret {
            SshSecret::Password(password) => login.by_password(password.expose_secret()).await?,
            SshSecret::PrivateKey(file) => login.by_key(&file.open()?, None).await?,
            SshSecret::Certificate => {
                let key = PrivateKey::generate_ed25519()?;
                let authority = self.authority.as_ref().ok_or(DialError::NoAuthority)?;
                let name = format!("{} {}", whom.principal, whom.session);
                let certificate = authority.for_host(key.public_key().clone(), &lease.user, &name, now)?;
                login.by_key(&key, Some(&certificate)).await?;
            }
            SshSecret::Signed(signer) => {
                let key = PrivateKey::generate_ed25519()?;
                let certificate = signed(signer, &key, &lease.user).await?;
                login.by_key(&key, Some(&certificate)).await?;
            }
        }
        let (wire, transport) = login.exchange.into_parts();
        Ok(Upstream {
            wire,
            transport,
            veiled: false,
        })
    }
}

/// A certificate that somebody else makes for the key of a session. What is said of it is what it says itself: a host
/// would take one for another account, or with a forced command, as an answer to what policy permitted.
async fn signed(signer: &Signer, key: &PrivateKey, account: &str) -> Result<Certificate, DialError> {
    let line = signer.certificate(&key.public_key().to_string(), account).await?;
    let certificate: Certificate = line
        .expose_secret()
        .parse()
        .map_err(|error: KeyError| DialError::Certificate(error.to_string()))?;
    if certificate.kind() != CertificateKind::User || certificate.key() != key.public_key() {
        return Err(DialError::Certificate("it is for another key".to_owned()));
    }
    Ok(certificate)
}

impl sallyport_session::Login for Dialer {
    type Lease = SshLease;
    type Order = Order;
    type Errand = Errand;
    type Upstream = Upstream;
    const NAME: &'static str = "ssh";

    async fn log_in(&self, lease: SshLease, order: &Order, whom: &Whom) -> Result<Upstream, NoLogin> {
        match self.dial(&lease, whom).await {
            Ok(upstream) => Ok(Upstream {
                veiled: order.veiled,
                ..upstream
            }),
            Err(DialError::Connect(error)) => Err(NoLogin::Unreached(error.to_string())),
            Err(error) => Err(NoLogin::of(error)),
        }
    }

    /// Hosts are logged in to with nothing that is made for one session and must be ended.
    fn hold(_upstream: &mut Upstream) -> Option<Hold> {
        None
    }

    async fn run(&self, _lease: &SshLease, errand: &Errand) -> Result<(), NoLogin> {
        match *errand {}
    }

    async fn hand_over(&self, upstream: Upstream, flow: Wire) -> std::io::Result<()> {
        carry::carry(upstream, flow).await
    }

    async fn take_over(&self, flow: Wire, order: &Order) -> Result<Upstream, NoLogin> {
        let mut exchange = Exchange::resume(flow, Transport::carried());
        if order.veiled {
            let first = timeout(VEIL, exchange.receive()).await;
            let first = first.map_err(|_elapsed| NoLogin::of(DialError::Unveiled))?;
            let first = first.map_err(NoLogin::of)?;
            if exchange.payload(&first) != &*veil::words(&veil::Up::Veiled) {
                return Err(NoLogin::of(DialError::Unveiled));
            }
            exchange.done(&first);
        }
        let (wire, transport) = exchange.into_parts();
        Ok(Upstream {
            wire,
            transport,
            veiled: order.veiled,
        })
    }
}

struct Login<'l> {
    exchange: Exchange,
    lease: &'l SshLease,
}

impl Login<'_> {
    async fn service(&mut self) -> Result<(), DialError> {
        let mut request = BytesMut::new();
        wire::put_u8(&mut request, message::SERVICE_REQUEST);
        wire::put_string(&mut request, b"ssh-userauth");
        self.exchange.send(&request).await?;
        let received = self.exchange.receive().await?;
        let accepted = self.exchange.payload(&received).first() == Some(&message::SERVICE_ACCEPT);
        self.exchange.done(&received);
        if accepted {
            Ok(())
        } else {
            Err(ExchangeError::Unexpected("no acceptance of a login".to_owned()).into())
        }
    }

    fn request(&self, method: &str) -> Zeroizing<Vec<u8>> {
        let mut request = Zeroizing::new(Vec::new());
        wire::put_u8(&mut *request, message::USERAUTH_REQUEST);
        wire::put_string(&mut *request, self.lease.user.as_bytes());
        wire::put_string(&mut *request, b"ssh-connection");
        wire::put_string(&mut *request, method.as_bytes());
        request
    }

    async fn by_password(&mut self, password: &str) -> Result<(), DialError> {
        let mut request = self.request("password");
        wire::put_bool(&mut *request, false);
        wire::put_string(&mut *request, password.as_bytes());
        self.exchange.send(&request).await?;
        match self.answer(None).await? {
            Answer::Yes => return Ok(()),
            // Some hosts ask for passwords only this way.
            Answer::No { methods } if methods.split(',').any(|method| method == "keyboard-interactive") => {}
            Answer::No { methods } => return Err(self.refused(methods)),
        }
        let mut request = self.request("keyboard-interactive");
        wire::put_string(&mut *request, b"");
        wire::put_string(&mut *request, b"");
        self.exchange.send(&request).await?;
        match self.answer(Some(password)).await? {
            Answer::Yes => Ok(()),
            Answer::No { methods } => Err(self.refused(methods)),
        }
    }

    async fn by_key(&mut self, key: &PrivateKey, certificate: Option<&Certificate>) -> Result<(), DialError> {
        let algorithm = self.algorithm(key)?;
        let (name, blob) = match certificate {
            Some(certificate) => (algorithm.certificate_name(), certificate.blob()),
            None => (algorithm.name(), key.public_key().blob()),
        };
        let mut request = self.request("publickey");
        wire::put_bool(&mut *request, true);
        wire::put_string(&mut *request, name.as_bytes());
        wire::put_string(&mut *request, blob);
        let mut message = Vec::new();
        wire::put_string(&mut message, self.exchange.transport.session_id().unwrap_or_default());
        message.extend_from_slice(&request);
        let signature = key.sign(algorithm, &message)?;
        wire::put_string(&mut *request, &signature);
        self.exchange.send(&request).await?;
        match self.answer(None).await? {
            Answer::Yes => Ok(()),
            Answer::No { methods } => Err(self.refused(methods)),
        }
    }

    /// How the key signs: of what it can, the best that the host said it takes (RFC 8308, section 3.1).
    fn algorithm(&self, key: &PrivateKey) -> Result<SignatureAlgorithm, DialError> {
        let can = key.public_key().key_type().signature_algorithms();
        let taken = self.exchange.transport.peer_signature_algorithms();
        let best = can
            .iter()
            .find(|algorithm| taken.is_none_or(|taken| taken.contains(algorithm)));
        best.or(can.first()).copied().ok_or(DialError::Key(KeyError::Library))
    }

    fn refused(&self, methods: String) -> DialError {
        DialError::Refused {
            user: self.lease.user.clone(),
            methods,
        }
    }

    /// The host's answer. Where it asks for one hidden text, that is `password`; anything else it does not get.
    async fn answer(&mut self, password: Option<&str>) -> Result<Answer, DialError> {
        for _ in 0..MAX_QUESTIONS {
            let received = self.exchange.receive().await?;
            let step = Heard::read(self.exchange.payload(&received));
            self.exchange.done(&received);
            match (step?, password) {
                (Heard::Success, _) => return Ok(Answer::Yes),
                (Heard::Failure { methods }, _) => return Ok(Answer::No { methods }),
                (Heard::Banner, _) => {}
                (Heard::Question { hidden }, Some(password)) if hidden.len() <= 1 && hidden.iter().all(|h| *h) => {
                    let mut answer = Zeroizing::new(Vec::new());
                    wire::put_u8(&mut *answer, message::USERAUTH_INFO_RESPONSE);
                    wire::put_u32(&mut *answer, u32::from(!hidden.is_empty()));
                    if !hidden.is_empty() {
                        wire::put_string(&mut *answer, password.as_bytes());
                    }
                    self.exchange.send(&answer).await?;
                }
                (Heard::Question { .. }, _) => {
                    return Err(
                        ExchangeError::Unexpected("a question that only a person can answer".to_owned()).into(),
                    );
                }
            }
        }
        Err(ExchangeError::Unexpected("too many questions".to_owned()).into())
    }
}

enum Answer {
    Yes,
    No { methods: String },
}

/// What a host says during a login.
enum Heard {
    Success,
    /// Also one that wants more than one proof: the gateway has only one.
    Failure {
        methods: String,
    },
    Banner,
    /// `USERAUTH_INFO_REQUEST`: for each prompt whether what is typed is hidden.
    Question {
        hidden: Vec<bool>,
    },
}

impl Heard {
    fn read(payload: &[u8]) -> Result<Self, ExchangeError> {
        let malformed = |error: wire::WireError| ExchangeError::Unexpected(format!("a malformed answer: {error}"));
        let mut reader = Reader::new(payload);
        match reader.u8().map_err(malformed)? {
            message::USERAUTH_SUCCESS => Ok(Self::Success),
            message::USERAUTH_FAILURE => {
                let methods = reader.name_list().map_err(malformed)?;
                let methods = methods.iter().collect::<Vec<_>>().join(",");
                Ok(Self::Failure { methods })
            }
            message::USERAUTH_BANNER => Ok(Self::Banner),
            message::USERAUTH_INFO_REQUEST => Self::question(&mut reader).map_err(malformed),
            other => Err(ExchangeError::Unexpected(format!(
                "a message of type {other}, which has no place here"
            ))),
        }
    }

    fn question(reader: &mut Reader<'_>) -> Result<Self, wire::WireError> {
        let (_name, _instruction, _language) = (reader.string()?, reader.string()?, reader.string()?);
        let mut hidden = Vec::new();
        for _ in 0..reader.u32()?.min(16) {
            let _prompt = reader.string()?;
            hidden.push(!reader.bool()?);
        }
        Ok(Self::Question { hidden })
    }
}
