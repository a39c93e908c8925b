//! The gateway's side of a connection: it opens flows.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{Method, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::driver::{KeepAlive, Line};
use crate::flow::Flow;
use crate::{CONNECTION_WINDOW, CONTROL, FLOW, FLOW_WINDOW, MAX_FLOWS, MAX_FRAME, MAX_HEADERS, SEND_BUFFER};

/// How long an agent may take to take note of a flow; what it does for it comes after.
const PATIENCE: Duration = Duration::from_secs(15);

/// A flow was not opened. Nothing was done for it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The tunnel is over.
    #[error("{0}")]
    Lost(String),
    /// It has as many flows as it has room for.
    #[error("the agent serves {MAX_FLOWS} flows over this connection, and takes no more")]
    Full,
    /// The agent does not take it.
    #[error("the agent takes no flow: {0}")]
    Refused(StatusCode),
}

/// A connection that an agent has dialled. Clones share it.
#[derive(Clone)]
pub struct Tunnel {
    requests: SendRequest<Bytes>,
    line: Arc<Line>,
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel")
            .field("flows", &self.flows())
            .field("lost", &self.line.lost())
            .finish_non_exhaustive()
    }
}

impl Tunnel {
    /// Begins over `stream`, which the agent called `name` dialled. The future runs the connection until it is over and says why; it
    /// must be polled for anything to happen.
    ///
    /// # Errors
    /// When the other side does not speak HTTP/2.
    pub async fn begin<S>(
        stream: S,
        keep_alive: KeepAlive,
        name: &str,
    ) -> Result<(Self, impl Future<Output = String> + Send + use<S>), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, mut connection) = client::Builder::new()
            .initial_window_size(FLOW_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .max_header_list_size(MAX_HEADERS)
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_streams(0)
            .enable_push(false)
            .handshake::<S, Bytes>(stream)
            .await?;
        let line = Arc::new(Line::to(format!("the agent `{name}`")));
        let pings = connection.ping_pong();
        let driven = Arc::clone(&line);
        let run = async move { driven.run(connection, pings, keep_alive).await };
        Ok((Self { requests, line }, run))
    }

    /// Opens the flow over which both sides talk about themselves.
    ///
    /// # Errors
    /// As [`Tunnel::open`].
    pub async fn control(&self) -> Result<Flow, OpenError> {
        self.request(CONTROL).await
    }

    /// Opens a flow.
    ///
    /// # Errors
    /// When the agent does not take it; nothing was done for it then.
    pub async fn open(&self) -> Result<Flow, OpenError> {
        self.request(FLOW).await
    }

    async fn request(&self, path: &'static str) -> Result<Flow, OpenError> {
        if let Some(why) = self.line.lost() {
            return Err(OpenError::Lost(why.to_owned()));
        }
        if self.is_full() {
            return Err(OpenError::Full);
        }
        let broken = |error: h2::Error| match self.line.lost() {
            Some(why) => OpenError::Lost(why.to_owned()),
            None => OpenError::Lost(format!("{}: {error}", self.line.broke())),
        };
        let late = |_| OpenError::Lost("the agent does not answer".to_owned());
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static(path);
        let ready = timeout(PATIENCE, self.requests.clone().ready()).await;
        let mut requests = ready.map_err(late)?.map_err(broken)?;
        let (response, send) = requests.send_request(request, false).map_err(broken)?;
        let response = timeout(PATIENCE, response).await.map_err(late)?.map_err(broken)?;
        if response.status() != StatusCode::OK {
            return Err(OpenError::Refused(response.status()));
        }
        Ok(Flow::new(send, response.into_body(), Arc::clone(&self.line)))
    }

    /// Flows that are open.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.line.flows()
    }

    /// Whether it has no room for another flow, or is over.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.line.lost().is_some() || self.flows() >= usize::try_from(MAX_FLOWS).unwrap_or(usize::MAX)
    }

    /// How long the newest question whether the agent is there took to be answered.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.line.latency()
    }

    /// Ends it with all its flows, which say why.
    pub fn end(&self, why: &str) {
        self.line.lose(why);
    }
}
