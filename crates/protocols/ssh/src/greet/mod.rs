//! Clients that connect: key exchange, then who they are (RFC 4252).

mod name;
mod request;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sallyport_identity::{Credential, DeviceLogin, Identities, Refusal};
use sallyport_listen::Wire;
use sallyport_session::{Claim, HoldInfo, Proof};
use sallyport_ssh_transport::wire::{self, Reader};
use sallyport_ssh_transport::{ServerConfig, Transport, message};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

use crate::exchange::{Exchange, ExchangeError};
use crate::refuse;
use name::Name;
use request::{Method, Request, Shown};

/// Attempts that may fail, as with OpenSSH's `MaxAuthTries`.
const MAX_FAILURES: u32 = 6;
/// Requests of any kind, those that only ask whether a key would do included.
const MAX_REQUESTS: u32 = 64;
/// How long a refusal takes at least, whatever it is for.
const REFUSAL_TAKES: Duration = Duration::from_millis(100);

/// The methods that can go on, as they are told to a client.
const METHODS: &str = "publickey,keyboard-interactive,password";

/// A client that is known and waits to be let in.
#[derive(Debug)]
pub struct Caller {
    exchange: Exchange,
    claim: Claim,
    elsewhere: Option<DeviceLogin>,
}

/// What a login ends with.
enum Outcome {
    Known(Box<Credential>, Name),
    /// Somebody has to complete it with a browser.
    Elsewhere(Box<DeviceLogin>, Name),
    Failed,
}

/// Reads who connects. The client is not told that it is known before policy lets it in.
pub(crate) async fn greet(
    wire: Wire,
    config: Arc<ServerConfig>,
    identities: &Arc<Identities>,
) -> Result<Caller, ExchangeError> {
    let exchange = Exchange::new(wire, |out| Transport::server(config, out))?;
    let mut login = Login {
        exchange,
        identities,
        failures: 0,
        told: false,
    };
    login.exchange.become_ready().await?;
    login.service().await?;
    for _ in 0..MAX_REQUESTS {
        let (proof, elsewhere, name) = match login.request().await? {
            Outcome::Known(credential, name) => (Proof::Shown(credential), None, name),
            Outcome::Elsewhere(elsewhere, name) => (Proof::Elsewhere, Some(*elsewhere), name),
            Outcome::Failed if login.failures >= MAX_FAILURES => break,
            Outcome::Failed => continue,
        };
        let claim = Claim {
            user: name.person,
            proof,
            target: name.target,
            database: name.account,
            task: None,
            tool: None,
            replication: false,
        };
        return Ok(Caller {
            exchange: login.exchange,
            claim,
            elsewhere,
        });
    }
    login
        .exchange
        .end(refuse::NO_MORE_METHODS, "too many attempts to log in")
        .await;
    Err(ExchangeError::Unexpected("too many attempts to log in".to_owned()))
}

/// A login on its way.
struct Login<'i> {
    exchange: Exchange,
    identities: &'i Arc<Identities>,
    failures: u32,
    /// The client was told how to name a target.
    told: bool,
}

impl Login<'_> {
    /// The service of authentication is all there is before it (RFC 4253, section 10).
    async fn service(&mut self) -> Result<(), ExchangeError> {
        let received = self.exchange.receive().await?;
        let mut reader = Reader::new(self.exchange.payload(&received));
        let wanted =
            reader.u8().ok() == Some(message::SERVICE_REQUEST) && reader.string().ok() == Some(b"ssh-userauth");
        self.exchange.done(&received);
        if !wanted {
            return Err(ExchangeError::Unexpected("no request to log in".to_owned()));
        }
        let mut accept = BytesMut::new();
        wire::put_u8(&mut accept, message::SERVICE_ACCEPT);
        wire::put_string(&mut accept, b"ssh-userauth");
        self.exchange.send(&accept).await
    }

    async fn request(&mut self) -> Result<Outcome, ExchangeError> {
        let received = self.exchange.receive().await?;
        let session = self.exchange.transport.session_id().unwrap_or_default().to_vec();
        let request = Request::read(self.exchange.payload(&received), &session);
        self.exchange.done(&received);
        let request = request.map_err(|error| ExchangeError::Unexpected(error.to_string()))?;
        let Some(name) = Name::read(&request.user) else {
            self.tell_form(&request.user).await?;
            return self.failed(request.method.counts()).await;
        };
        let counts = request.method.counts();
        let known = match request.method {
            Method::None | Method::Unknown => return self.failed(false).await,
            Method::Offer { algorithm, blob, shown } => {
                return self.offered(&name, &algorithm, &blob, shown.as_ref()).await;
            }
            Method::Key(shown) => self.by_key(&name, &shown).await,
            Method::Password(password) => self.by_token(&name, &password).await,
            Method::Interactive => {
                let token = self.ask_for_token().await?;
                if token.expose_secret().is_empty() && self.identities.offers_device_login() {
                    return self.elsewhere(name).await;
                }
                self.by_token(&name, &token).await
            }
        };
        match known {
            Ok(credential) => Ok(Outcome::Known(Box::new(credential), name)),
            Err(refusal) => {
                tracing::info!(user = %name.person, target = %name.target, %refusal, "a login failed");
                self.failed(counts).await
            }
        }
    }

    /// Would this key do? Said yes to only for one that would let the client in, if it has the private half.
    async fn offered(
        &mut self,
        name: &Name,
        algorithm: &str,
        blob: &[u8],
        shown: Option<&Shown>,
    ) -> Result<Outcome, ExchangeError> {
        let would_do = match shown {
            Some(shown) => self.by_key(name, shown).await.is_ok(),
            None => false,
        };
        if !would_do {
            return self.failed(true).await;
        }
        let mut answer = BytesMut::new();
        wire::put_u8(&mut answer, message::USERAUTH_PK_OK);
        wire::put_string(&mut answer, algorithm.as_bytes());
        wire::put_string(&mut answer, blob);
        self.exchange.send(&answer).await?;
        Ok(Outcome::Failed)
    }

    async fn by_key(&self, name: &Name, shown: &Shown) -> Result<Credential, Refusal> {
        let source = self.exchange.wire.peer().ip();
        match shown {
            Shown::Key(key) => self.identities.by_ssh_key(key, &name.person, source).await,
            Shown::Certificate(certificate) => {
                let now = OffsetDateTime::now_utc();
                let (person, target) = (&name.person, &name.target);
                self.identities
                    .by_ssh_certificate(certificate, person, target, source, now)
                    .await
            }
        }
    }

    async fn by_token(&self, name: &Name, token: &SecretString) -> Result<Credential, Refusal> {
        self.identities.by_token(token, &name.person, &name.target).await
    }

    /// Asks for a token, for clients that take passwords only this way, or for nothing (RFC 4256).
    async fn ask_for_token(&mut self) -> Result<SecretString, ExchangeError> {
        let prompt = if self.identities.offers_device_login() {
            "Token, or nothing to log in with a browser: "
        } else {
            "Token: "
        };
        let words = "`sallyport token` gives a token for this login.";
        self.exchange.send(&question(words, Some(prompt))).await?;
        let received = self.exchange.receive().await?;
        let token = request::single_response(self.exchange.payload(&received));
        self.exchange.done(&received);
        token.map_err(|error| ExchangeError::Unexpected(error.to_string()))
    }

    /// Has somebody log in with a browser. The client answers a question without prompts by itself, and waits then.
    async fn elsewhere(&mut self, name: Name) -> Result<Outcome, ExchangeError> {
        let source = self.exchange.wire.peer().ip();
        let login = match self.identities.begin_device_login(&name.person, source).await {
            Ok(login) => login,
            Err(error) => {
                tracing::info!(user = %name.person, %error, "no login with a browser can be begun");
                self.exchange.send(&banner(&format!("sallyport: {error}\n"))).await?;
                return self.failed(true).await;
            }
        };
        self.exchange
            .send(&question(&refuse::browse(&name.person, login.code()), None))
            .await?;
        let received = self.exchange.receive().await?;
        let answered = request::no_response(self.exchange.payload(&received));
        self.exchange.done(&received);
        answered.map_err(|error| ExchangeError::Unexpected(error.to_string()))?;
        Ok(Outcome::Elsewhere(Box::new(login), name))
    }

    /// The request did not do. What can go on is told after a time that says nothing of why.
    async fn failed(&mut self, counts: bool) -> Result<Outcome, ExchangeError> {
        if counts {
            self.failures += 1;
            tokio::time::sleep(REFUSAL_TAKES).await;
        }
        let mut answer = BytesMut::new();
        wire::put_u8(&mut answer, message::USERAUTH_FAILURE);
        wire::put_string(&mut answer, METHODS.as_bytes());
        wire::put_bool(&mut answer, false);
        self.exchange.send(&answer).await?;
        Ok(Outcome::Failed)
    }

    /// A user without a target can go nowhere: it is said once how a name is written.
    async fn tell_form(&mut self, user: &str) -> Result<(), ExchangeError> {
        if self.told {
            return Ok(());
        }
        self.told = true;
        let words = format!(
            "sallyport: `{}` names no target; log in as PERSON@TARGET, or PERSON@ACCOUNT@TARGET\n",
            refuse::printable(user)
        );
        self.exchange.send(&banner(&words)).await
    }
}

/// A question with one prompt whose answer is not shown, or with none (RFC 4256, section 3.2).
fn question(words: &str, prompt: Option<&str>) -> BytesMut {
    let mut question = BytesMut::new();
    wire::put_u8(&mut question, message::USERAUTH_INFO_REQUEST);
    wire::put_string(&mut question, b"");
    wire::put_string(&mut question, words.as_bytes());
    wire::put_string(&mut question, b"");
    wire::put_u32(&mut question, u32::from(prompt.is_some()));
    if let Some(prompt) = prompt {
        wire::put_string(&mut question, prompt.as_bytes());
        wire::put_bool(&mut question, false);
    }
    question
}

fn banner(words: &str) -> BytesMut {
    let mut banner = BytesMut::new();
    wire::put_u8(&mut banner, message::USERAUTH_BANNER);
    wire::put_string(&mut banner, words.replace('\n', "\r\n").as_bytes());
    wire::put_string(&mut banner, b"");
    banner
}

impl Caller {
    /// Lets the client in.
    pub(crate) async fn welcome(mut self) -> Result<(Wire, Transport), ExchangeError> {
        self.exchange.send(&[message::USERAUTH_SUCCESS]).await?;
        Ok(self.exchange.into_parts())
    }
}

impl sallyport_session::Caller for Caller {
    fn claim(&self) -> &Claim {
        &self.claim
    }

    fn wire(&self) -> &Wire {
        &self.exchange.wire
    }

    fn elsewhere(&mut self) -> Option<DeviceLogin> {
        self.elsewhere.take()
    }

    async fn tell(&mut self, words: &HoldInfo) {
        // A client that cannot be told will be found gone.
        let _ = self.exchange.send(&banner(&refuse::held(words))).await;
    }

    async fn refuse(mut self, refusal: &sallyport_session::Refusal) {
        let _ = self.exchange.send(&banner(&refuse::words(refusal))).await;
        self.exchange.end(refuse::BY_APPLICATION, &refusal.message).await;
    }

    async fn gone(&mut self) {
        self.exchange.gone().await;
    }

    async fn left(&mut self) {
        self.exchange.left().await;
    }
}
