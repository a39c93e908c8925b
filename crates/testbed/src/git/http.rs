//! `git http-backend` behind as much of an HTTP server as git needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::TestbedError;

/// How the server behaves.
#[derive(Debug, Default)]
pub struct HttpOptions {
    /// The value that the header `Authorization` must have.
    pub authorization: Option<String>,
    /// Another server, to which everything is redirected.
    pub redirect: Option<String>,
}

struct Shared {
    folder: PathBuf,
    options: HttpOptions,
    stalls: AtomicBool,
    refuses: AtomicBool,
    requests: AtomicUsize,
    /// Requests for packs that stand still.
    standing: Mutex<Vec<TcpStream>>,
}

/// A server of the repositories in a folder. It ends with the process.
pub struct GitHttp {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl GitHttp {
    /// Serves the repositories in `folder` on loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(folder: &Path, options: HttpOptions) -> Result<GitHttp, TestbedError> {
        let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(TestbedError::file("127.0.0.1"))?;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            options,
            stalls: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            standing: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // A client that breaks off is its own business.
                thread::spawn(move || shared.answer(stream));
            }
        });
        Ok(GitHttp { address, shared })
    }

    /// The address of a repository, for a policy.
    pub fn address(&self, repository: &str) -> String {
        format!("git+http://{}/{repository}", self.address)
    }

    /// From now on, packs are asked for and not sent: a fetch stands still.
    pub fn stall(&self, stalls: bool) {
        self.shared.stalls.store(stalls, Ordering::SeqCst);
    }

    /// From now on, every connection is closed at once.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// How many requests were answered or stand still.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Waits until a fetch stands still, or for a while.
    pub fn stands_still(&self) -> bool {
        for _ in 0..600 {
            let standing = self.shared.standing.lock().unwrap_or_else(PoisonError::into_inner);
            if !standing.is_empty() {
                return true;
            }
            drop(standing);
            thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        if self.refuses.load(Ordering::SeqCst) {
            return Ok(());
        }
        let Some(request) = Request::read(&stream)? else {
            return Ok(());
        };
        self.requests.fetch_add(1, Ordering::SeqCst);
        if let Some(other) = &self.options.redirect {
            let head = format!("HTTP/1.1 302 Found\r\nlocation: {other}{}\r\n", request.target);
            return stream.write_all(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes());
        }
        if self.options.authorization.is_some() && self.options.authorization != request.header("authorization") {
            let head = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"git\"\r\n";
            return stream.write_all(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes());
        }
        if self.stalls.load(Ordering::SeqCst) && request.body.windows(4).any(|part| part == b"want") {
            let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
            standing.push(stream);
            return Ok(());
        }
        let output = self.backend(&request)?;
        let end = output
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .unwrap_or(output.len());
        let (head, body) = output.split_at(end);
        let head = String::from_utf8_lossy(head);
        let status = head
            .lines()
            .find_map(|line| line.strip_prefix("Status: "))
            .unwrap_or("200 OK");
        let headers: Vec<&str> = head.lines().filter(|line| !line.starts_with("Status: ")).collect();
        let start = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{}", headers.join("\r\n"));
        stream.write_all(start.as_bytes())?;
        stream.write_all(body)
    }

    fn backend(&self, request: &Request) -> std::io::Result<Vec<u8>> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", &request.method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env(
                "HTTP_CONTENT_ENCODING",
                request.header("content-encoding").unwrap_or_default(),
            )
            .env("GIT_PROTOCOL", request.header("git-protocol").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&request.body)?;
        }
        Ok(child.wait_with_output()?.stdout)
    }
}

struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &TcpStream) -> std::io::Result<Option<Request>> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let mut request = Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            request
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = request.header("content-length").and_then(|length| length.parse().ok());
        reader.take(length.unwrap_or(0)).read_to_end(&mut request.body)?;
        Ok(Some(request))
    }

    fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.headers.iter();
        headers.find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}
