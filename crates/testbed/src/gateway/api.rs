//! A client of the gateway's HTTP API, as small as loopback permits.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::TestbedError;
use crate::net::Host;

/// The HTTP API of a gateway.
#[derive(Debug, Clone)]
pub struct Api {
    address: SocketAddr,
    host: Option<Host>,
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body as JSON; a string when it is none.
    pub body: Value,
}

impl Api {
    /// The API at this address, without TLS.
    pub fn at(address: SocketAddr) -> Api {
        Api { address, host: None }
    }

    /// The API at this address in a host, asked from within that host.
    pub fn within(host: Host, address: SocketAddr) -> Api {
        let host = Some(host);
        Api { address, host }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for a resource.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn get(&self, path: &str, token: Option<&str>) -> Result<Reply, TestbedError> {
        self.call("GET", path, token, None)
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Reply, TestbedError> {
        self.call("POST", path, token, Some(body))
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn delete(&self, path: &str, token: Option<&str>) -> Result<Reply, TestbedError> {
        self.call("DELETE", path, token, None)
    }

    fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Result<Reply, TestbedError> {
        let text = self
            .exchange(method, path, token, body)
            .map_err(TestbedError::file(format!("{method} {path}")))?;
        parse(&text).ok_or_else(|| TestbedError::Failed {
            program: format!("{method} {path}"),
            output: format!("not an HTTP answer: {text}"),
        })
    }

    fn exchange(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> std::io::Result<String> {
        let connect = || TcpStream::connect_timeout(&self.address, Duration::from_secs(10));
        let mut stream = match &self.host {
            Some(host) => host.enter(connect).map_err(std::io::Error::other)??,
            None => connect()?,
        };
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.address
        );
        if let Some(token) = token {
            request.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            request.push_str("content-type: application/json\r\n");
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn parse(text: &str) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Some(Reply {
        status,
        body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
    })
}

/// The chunks of a body put together; what cannot be read ends it.
fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Some(size) = usize::from_str_radix(size.trim(), 16).ok().filter(|&size| size > 0) else {
            break;
        };
        let Some((chunk, after)) = rest.split_at_checked(size) else {
            break;
        };
        whole.push_str(chunk);
        body = after.strip_prefix("\r\n").unwrap_or(after);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_and_chunked_answers() {
        let plain =
            parse("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}").map(|r| (r.status, r.body.to_string()));
        assert_eq!(plain, Some((200, "{\"a\":1}".to_owned())));
        let text = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";
        assert_eq!(
            parse(text).map(|r| (r.status, r.body.to_string())),
            Some((404, "[1,2]".to_owned()))
        );
        assert!(parse("nonsense").is_none());
    }
}
