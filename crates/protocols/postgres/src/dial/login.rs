//! The login at a target, from the startup packet until it is ready for commands.

use bytes::{Buf, Bytes, BytesMut};
use sallyport_listen::Wire;
use sallyport_target::{AuthMethod, ChannelBinding, PostgresLease};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::spawn_blocking,
};

use super::{
    DialError, Upstream,
    end_point::end_point_hash,
    keys::KeyCache,
    scram::{Binding, Challenge, Final, First, Keys, PLAIN, PLUS},
};
use crate::{
    cancel_key::CancelKey,
    veil,
    wire::{
        Diagnostic, Limits,
        backend::{Authentication, Message, Tag, TransactionStatus},
        frontend::{Password, SaslInitialResponse, SaslResponse},
        next_frame,
    },
};

/// What a target may send during login.
const LIMITS: Limits = Limits {
    control: 64 * 1024,
    statement: 256 * 1024,
    data: 4,
};
const MAX_MESSAGES: usize = 1000;

/// A connection on which messages are read one by one.
pub(super) struct Settling {
    wire: Wire,
    buf: BytesMut,
    messages: usize,
}

/// A login under way.
pub(super) struct Login<'a> {
    line: Settling,
    lease: &'a PostgresLease,
    /// Where keys are remembered, if they are.
    cache: Option<&'a KeyCache>,
}

impl<'a> Login<'a> {
    pub(super) fn new(wire: Wire, lease: &'a PostgresLease, cache: Option<&'a KeyCache>) -> Self {
        let line = Settling::new(wire);
        Self { line, lease, cache }
    }

    /// Sends the startup packet and logs in.
    pub(super) async fn run(mut self, packet: &[u8]) -> Result<Upstream, DialError> {
        self.send(packet).await?;
        self.authenticate().await?;
        self.line.finish().await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), DialError> {
        self.line.wire.write_all(bytes).await?;
        self.line.wire.flush().await?;
        Ok(())
    }

    /// The next request of the login.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`name` classifies the rest, each by name")]
    async fn request<T>(&mut self, take: impl Fn(&Authentication<'_>) -> Result<T, DialError>) -> Result<T, DialError> {
        loop {
            let (tag, body) = self.line.message().await?;
            match Message::decode(tag, &body)? {
                Message::Authentication(request) => return take(&request),
                Message::ErrorResponse(error) => return Err(refused(error)),
                // Older servers say so of versions and options that they do not know; none are asked for.
                Message::NoticeResponse(_) | Message::NegotiateProtocolVersion(_) => {}
                other => return Err(DialError::Unexpected(name(&other))),
            }
        }
    }

    async fn authenticate(&mut self) -> Result<(), DialError> {
        match self.request(Asked::read).await? {
            Asked::Nothing => self.trusted(),
            Asked::Password => {
                self.check(AuthMethod::Password)?;
                if !self.line.wire.is_loopback() && !self.line.wire.tls().is_some_and(|tls| tls.verified) {
                    return Err(DialError::ClearPassword);
                }
                let password = self.password()?.clone();
                self.answer_password(password.expose_secret()).await
            }
            Asked::Md5(salt) => {
                self.check(AuthMethod::Md5)?;
                let password = self.password()?.expose_secret().as_bytes();
                let user = self.lease.user.as_bytes();
                let hash = postgres_protocol::authentication::md5_hash(user, password, salt);
                self.answer_password(&hash).await
            }
            Asked::Sasl { plain, plus } => {
                self.check(AuthMethod::ScramSha256)?;
                self.scram(plain, plus).await
            }
            Asked::Other(asked) => Err(DialError::Method {
                asked: asked.to_owned(),
            }),
        }
    }

    fn check(&self, method: AuthMethod) -> Result<(), DialError> {
        if self.lease.channel_binding == ChannelBinding::Require && method != AuthMethod::ScramSha256 {
            return Err(DialError::ChannelBinding);
        }
        if self.lease.allows(method) {
            return Ok(());
        }
        Err(DialError::Method {
            asked: method.as_str().to_owned(),
        })
    }

    /// The target asks for nothing. That is good enough only where the settings say so: a stranger in the
    /// target's place would do the same.
    fn trusted(&self) -> Result<(), DialError> {
        if self.lease.channel_binding == ChannelBinding::Require {
            return Err(DialError::ChannelBinding);
        }
        if self.lease.allows(AuthMethod::Trust) {
            return Ok(());
        }
        let pinned = self.lease.auth.first().copied().unwrap_or(AuthMethod::ScramSha256);
        Err(DialError::Unproven { pinned })
    }

    fn password(&self) -> Result<&'a SecretString, DialError> {
        self.lease.secret.as_ref().ok_or(DialError::NoPassword)
    }

    async fn answer_password(&mut self, password: &str) -> Result<(), DialError> {
        let mut out = Vec::with_capacity(password.len().saturating_add(8));
        Password::encode(&mut out, password.as_bytes());
        let sent = self.send(&out).await;
        out.zeroize();
        sent?;
        self.request(expect_ok).await
    }

    async fn scram(&mut self, plain: bool, plus: bool) -> Result<(), DialError> {
        let password = self.password()?;
        let binding = self.binding(plain, plus)?;
        let mechanism = binding.mechanism();
        let first = First::new(binding)?;
        let mut out = Vec::new();
        let message = first.message();
        SaslInitialResponse {
            mechanism,
            data: message.as_bytes(),
        }
        .encode(&mut out);
        self.send(&out).await?;
        let server_first = self
            .request(|request| {
                let Authentication::SaslContinue { data } = request else {
                    return Err(out_of_turn(request));
                };
                Ok(data.to_vec())
            })
            .await?;
        let challenge = first.challenge(&server_first)?;
        let salt = challenge.salt.clone();
        let (keys, known) = self.keys(password, &challenge).await?;
        let (message, last) = challenge.answer(&keys);
        let mut out = Vec::new();
        SaslResponse {
            data: message.as_bytes(),
        }
        .encode(&mut out);
        self.send(&out).await?;
        self.scram_final(last).await?;
        if let Some(cache) = self.cache.filter(|_| !known) {
            cache.put(&self.lease.target, &self.lease.user, password, salt, keys);
        }
        Ok(())
    }

    async fn scram_final(&mut self, last: Final) -> Result<(), DialError> {
        let server_final = self
            .request(|request| {
                let Authentication::SaslFinal { data } = request else {
                    return Err(out_of_turn(request));
                };
                Ok(data.to_vec())
            })
            .await?;
        last.verify(&server_final)?;
        self.request(expect_ok).await
    }

    /// The SCRAM keys, and whether they were known. Deriving them takes milliseconds, so that is done where
    /// it holds nobody up.
    async fn keys(&self, password: &SecretString, challenge: &Challenge) -> Result<(Keys, bool), DialError> {
        let (target, user) = (&self.lease.target, &self.lease.user);
        let known = self
            .cache
            .and_then(|cache| cache.get(target, user, password, &challenge.salt));
        if let Some(keys) = known {
            return Ok((keys, true));
        }
        let (password, salt) = (password.clone(), challenge.salt.clone());
        let derived = spawn_blocking(move || Keys::derive(password.expose_secret(), &salt)).await;
        Ok((derived.map_err(std::io::Error::other)?, false))
    }

    /// Binds to the channel when that is possible.
    fn binding(&self, plain: bool, plus: bool) -> Result<Binding, DialError> {
        let certificate = self.line.wire.tls().and_then(|tls| tls.peer_certificates.first());
        let hash = match self.lease.channel_binding {
            ChannelBinding::Disable => None,
            ChannelBinding::Prefer | ChannelBinding::Require => {
                certificate.and_then(|certificate| end_point_hash(certificate))
            }
        };
        match (hash, self.lease.channel_binding) {
            (Some(hash), _) if plus => Ok(Binding::EndPoint(hash)),
            (_, ChannelBinding::Require) => Err(DialError::ChannelBinding),
            _ if !plain => Err(DialError::Method { asked: PLUS.to_owned() }),
            (Some(_), _) => Ok(Binding::Unoffered),
            (None, _) => Ok(Binding::Unsupported),
        }
    }
}

impl Settling {
    /// On `wire`, where nothing was said yet.
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            buf: BytesMut::with_capacity(1024),
            messages: 0,
        }
    }

    /// The first word of an agent that masks. One that does not know how says something else.
    pub(super) async fn expect_veil(&mut self) -> Result<(), DialError> {
        loop {
            if self.buf.first().is_some_and(|kind| *kind != veil::TYPE) {
                return Err(DialError::Unveiled);
            }
            match veil::decode::<veil::Up>(&self.buf) {
                Ok(Some((len, veil::Up::Veiled))) => {
                    self.buf.advance(len);
                    return Ok(());
                }
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Err(DialError::Unveiled),
            }
            if self.wire.read_buf(&mut self.buf).await? == 0 {
                return Err(DialError::Closed);
            }
        }
    }

    async fn message(&mut self) -> Result<(Tag, Bytes), DialError> {
        self.messages = self.messages.saturating_add(1);
        if self.messages > MAX_MESSAGES {
            return Err(DialError::Unexpected("messages without end"));
        }
        loop {
            if let Some(frame) = next_frame::<Tag>(&self.buf, &LIMITS)? {
                let whole = self.buf.split_to(frame.total_len).freeze();
                return Ok((frame.tag, whole.slice(crate::wire::HEADER_LEN..)));
            }
            if self.wire.read_buf(&mut self.buf).await? == 0 {
                return Err(DialError::Closed);
            }
        }
    }

    /// Takes what the target says of itself until it is ready for commands.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`name` classifies the rest, each by name")]
    pub(super) async fn finish(mut self) -> Result<Upstream, DialError> {
        let mut parameters = Vec::new();
        let mut notices = Vec::new();
        let mut key = None;
        let status = loop {
            let (tag, body) = self.message().await?;
            match Message::decode(tag, &body)? {
                Message::ParameterStatus(status) => parameters.push((
                    String::from_utf8_lossy(status.name).into_owned(),
                    String::from_utf8_lossy(status.value).into_owned(),
                )),
                Message::BackendKeyData(data) => key = Some(CancelKey::from(data)),
                Message::NoticeResponse(notice) => notices.push(notice.into_owned()),
                Message::NegotiateProtocolVersion(_) => {}
                Message::ErrorResponse(error) => return Err(refused(error)),
                Message::ReadyForQuery(ready) => break ready.status,
                other => return Err(DialError::Unexpected(name(&other))),
            }
        };
        if status != TransactionStatus::Idle {
            return Err(DialError::Unexpected("an open transaction"));
        }
        if !self.buf.is_empty() {
            self.wire.unread(self.buf.freeze());
        }
        Ok(Upstream {
            wire: self.wire,
            parameters,
            backend_key: key,
            notices,
            veiled: false,
            hold: None,
        })
    }
}

/// What the target asks for first.
enum Asked {
    Nothing,
    Password,
    Md5([u8; 4]),
    Sasl { plain: bool, plus: bool },
    Other(&'static str),
}

impl Asked {
    fn read(request: &Authentication<'_>) -> Result<Self, DialError> {
        Ok(match request {
            Authentication::Ok => Self::Nothing,
            Authentication::CleartextPassword => Self::Password,
            Authentication::Md5Password { salt } => Self::Md5(*salt),
            Authentication::Sasl { mechanisms } => {
                let offered = |name: &str| mechanisms.contains(&name.as_bytes());
                match (offered(PLAIN), offered(PLUS)) {
                    (false, false) => Self::Other("an unknown SASL mechanism"),
                    (plain, plus) => Self::Sasl { plain, plus },
                }
            }
            Authentication::KerberosV5 => Self::Other("Kerberos"),
            Authentication::Gss => Self::Other("GSSAPI"),
            Authentication::Sspi => Self::Other("SSPI"),
            Authentication::GssContinue { .. }
            | Authentication::SaslContinue { .. }
            | Authentication::SaslFinal { .. } => return Err(out_of_turn(request)),
        })
    }
}

fn expect_ok(request: &Authentication<'_>) -> Result<(), DialError> {
    if *request == Authentication::Ok {
        Ok(())
    } else {
        Err(out_of_turn(request))
    }
}

/// A step of the login that does not follow from the one before: an `AuthenticationOk` instead of the
/// target's proof, or a second request for a password in a weaker form.
fn out_of_turn(request: &Authentication<'_>) -> DialError {
    match request {
        Authentication::Ok => DialError::Unproven {
            pinned: AuthMethod::ScramSha256,
        },
        Authentication::CleartextPassword => DialError::Method {
            asked: "password".to_owned(),
        },
        Authentication::Md5Password { .. } => DialError::Method {
            asked: "md5".to_owned(),
        },
        Authentication::KerberosV5
        | Authentication::Gss
        | Authentication::GssContinue { .. }
        | Authentication::Sspi
        | Authentication::Sasl { .. }
        | Authentication::SaslContinue { .. }
        | Authentication::SaslFinal { .. } => DialError::Unexpected("a login step out of turn"),
    }
}

fn refused(error: Diagnostic<'_>) -> DialError {
    DialError::Refused(Box::new(error.into_owned()))
}

/// What a message is called that has no place in a login.
fn name(message: &Message<'_>) -> &'static str {
    match message {
        Message::Authentication(_) => "a second login",
        Message::DataRow(_) | Message::RowDescription(_) => "rows",
        Message::CopyBothResponse(_)
        | Message::CopyData(_)
        | Message::CopyDone
        | Message::CopyInResponse(_)
        | Message::CopyOutResponse(_) => "COPY messages",
        Message::BackendKeyData(_)
        | Message::ErrorResponse(_)
        | Message::NegotiateProtocolVersion(_)
        | Message::NoticeResponse(_)
        | Message::ParameterStatus(_)
        | Message::ReadyForQuery(_) => "messages out of turn",
        Message::BindComplete
        | Message::CloseComplete
        | Message::CommandComplete(_)
        | Message::EmptyQueryResponse
        | Message::FunctionCallResponse(_)
        | Message::NoData
        | Message::NotificationResponse(_)
        | Message::ParameterDescription(_)
        | Message::ParseComplete
        | Message::PortalSuspended => "answers to commands",
    }
}
