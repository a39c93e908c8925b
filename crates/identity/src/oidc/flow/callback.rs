//! The page on loopback to which the provider sends the browser back. It says the same whatever is asked, and what
//! does not belong to this login changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use super::FlowError;

/// The path of the page.
pub(super) const PATH: &str = "/callback";

/// The longest request, in bytes.
const MAX_REQUEST_BYTES: usize = 16 << 10;
/// How long a connection has to ask.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most connections at the same time.
const MAX_CONNECTIONS: usize = 16;

const DONE: &str = "<!doctype html><title>Sallyport</title><p>You are back from logging in. \
    This window can be closed; the terminal says how it went.";
const NOT_HERE: &str = "<!doctype html><title>Sallyport</title><p>There is nothing here.";

/// What the provider told the browser to tell us.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Redirected {
    /// The code, or an error code.
    pub(super) code: Result<String, String>,
    /// The issuer, if it was named.
    pub(super) issuer: Option<String>,
}

/// Serves the page until a request with `state` comes.
///
/// # Cancel safety
/// Dropping the future closes the page.
pub(super) async fn wait_for(listener: TcpListener, port: u16, state: String) -> Result<Redirected, FlowError> {
    let (found, mut first) = mpsc::channel(1);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            while open.len() >= MAX_CONNECTIONS {
                open.join_next().await;
            }
            let (state, found) = (state.clone(), found.clone());
            open.spawn(async move {
                if let Ok(Some(redirected)) = tokio::time::timeout(PATIENCE, serve(stream, port, &state)).await {
                    // Only the first counts; later ones find the channel full or closed.
                    let _late = found.try_send(redirected);
                }
            });
        }
    });
    first.recv().await.ok_or(FlowError::Foreign("the page closed"))
}

/// Answers one request, and returns what it brought if it belongs to this login.
async fn serve(mut stream: TcpStream, port: u16, state: &str) -> Option<Redirected> {
    let head = read_head(&mut stream).await?;
    let redirected = redirected(&head, port, state);
    let (status, page) = if redirected.is_some() {
        ("200 OK", DONE)
    } else {
        ("404 Not Found", NOT_HERE)
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\n\r\n{page}",
        page.len(),
    );
    // The browser may be gone; what it brought counts all the same.
    let _gone = stream.write_all(answer.as_bytes()).await;
    let _gone = stream.shutdown().await;
    redirected
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if head.len() > MAX_REQUEST_BYTES || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

/// Reads a request. The `Host` must be this page's, or a name that resolves to loopback could stand in for it.
fn redirected(head: &str, port: u16, state: &str) -> Option<Redirected> {
    let mut lines = head.split("\r\n");
    let target = lines.next()?.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    let mut hosts = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = hosts.next()?.1.trim();
    if hosts.next().is_some() || host != format!("127.0.0.1:{port}") || !target.starts_with('/') {
        return None;
    }
    let url = Url::parse(&format!("http://{host}{target}")).ok()?;
    if url.path() != PATH {
        return None;
    }
    let mut values: HashMap<String, String> = HashMap::new();
    for (name, value) in url.query_pairs() {
        if values.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    let ours = values.remove("state")?;
    verify_slices_are_equal(ours.as_bytes(), state.as_bytes()).ok()?;
    let code = match (values.remove("code"), values.remove("error")) {
        (Some(code), None) => Ok(code),
        (None, Some(error)) => Err(error),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    Some(Redirected {
        code,
        issuer: values.remove("iss"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(target: &str, host: &str) -> Option<Redirected> {
        redirected(
            &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"),
            4711,
            "st",
        )
    }

    #[test]
    fn only_the_answer_to_this_login_counts() {
        let good = ask("/callback?code=c%2B1&state=st&iss=https%3A%2F%2Fid", "127.0.0.1:4711");
        assert_eq!(
            good,
            Some(Redirected {
                code: Ok("c+1".into()),
                issuer: Some("https://id".into())
            })
        );
        let refused = ask("/callback?error=access_denied&state=st", "127.0.0.1:4711");
        assert_eq!(
            refused,
            Some(Redirected {
                code: Err("access_denied".into()),
                issuer: None
            })
        );
        for (target, host) in [
            ("/callback?code=c&state=other", "127.0.0.1:4711"),
            ("/callback?code=c", "127.0.0.1:4711"),
            ("/callback?state=st", "127.0.0.1:4711"),
            ("/callback?code=c&state=st&state=st", "127.0.0.1:4711"),
            ("/callback?code=c&code=d&state=st", "127.0.0.1:4711"),
            ("/callback?code=c&error=e&state=st", "127.0.0.1:4711"),
            ("/callback/?code=c&state=st", "127.0.0.1:4711"),
            ("/?code=c&state=st", "127.0.0.1:4711"),
            ("@evil.test/callback?code=c&state=st", "127.0.0.1:4711"),
            ("/callback?code=c&state=st", "127.0.0.1:4712"),
            ("/callback?code=c&state=st", "evil.test"),
            ("/callback?code=c&state=st", "127.0.0.1:4711\r\nHost: evil.test"),
        ] {
            assert_eq!(ask(target, host), None, "{target} {host}");
        }
        assert_eq!(
            redirected(
                "POST /callback?code=c&state=st HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\n",
                4711,
                "st"
            ),
            None
        );
    }
}
