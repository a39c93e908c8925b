//! Both roles against OpenSSH: the client role logs in to a real `sshd`, the server role serves a real `ssh`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BytesMut};
use sallyport_ssh_transport::keys::{
    Certificate, CertificateKind, CertificateRequest, Curve, PrivateKey, PublicKey, SignatureAlgorithm,
};
use sallyport_ssh_transport::message::*;
use sallyport_ssh_transport::wire::{self, Reader};
use sallyport_ssh_transport::{
    Cipher, ClientConfig, HostError, HostKey, HostTrust, Kex, Mac, Preferences, ServerConfig, Step, Transport,
    TransportError,
};
use tempfile::TempDir;

/// What goes through a channel in each direction.
const DATA: usize = 1 << 20;

/// A transport on a blocking stream.
struct Connection<S> {
    stream: S,
    transport: Transport,
    input: BytesMut,
    out: BytesMut,
}

impl<S: Read + Write> Connection<S> {
    /// The next message, or `None` at the end of the connection.
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        loop {
            let step = self.transport.read(&mut self.input, &mut self.out);
            self.flush();
            match step? {
                Step::More => {
                    let mut chunk = [0; 32 * 1024];
                    match self.stream.read(&mut chunk) {
                        Ok(0) => return Ok(None),
                        Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                        Err(error) => panic!("nothing came: {error}"),
                    }
                }
                Step::Ready => return Ok(Some(Vec::new())),
                Step::Packet { payload, whole } => {
                    let message = self.input[payload].to_vec();
                    self.input.advance(whole);
                    return Ok(Some(message));
                }
                Step::Disconnected { .. } => return Ok(None),
            }
        }
    }

    fn send(&mut self, payload: &[u8]) {
        self.transport.send(&[payload], &mut self.out).unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        // A peer that is gone already shows when reading.
        let _ = self.stream.write_all(&self.out);
        self.out.clear();
    }
}

fn message(number: u8, build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut payload = vec![number];
    build(&mut payload);
    payload
}

fn channel_message(number: u8, channel: u32, build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    message(number, |out| {
        wire::put_u32(out, channel);
        build(out);
    })
}

/// A server that lets everybody in and whose one command is `cat`.
fn serve(stream: TcpStream, config: Arc<ServerConfig>) -> Result<(), TransportError> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut out = BytesMut::new();
    let transport = Transport::server(config, &mut out).unwrap();
    let mut connection = Connection {
        stream,
        transport,
        input: BytesMut::new(),
        out,
    };
    let mut received = Vec::new();
    while let Some(payload) = connection.next()? {
        let mut reader = Reader::new(&payload);
        let Ok(number) = reader.u8() else { continue };
        match number {
            SERVICE_REQUEST => {
                let name = reader.string().unwrap();
                connection.send(&message(SERVICE_ACCEPT, |out| wire::put_string(out, name)));
            }
            USERAUTH_REQUEST => {
                connection.transport.set_authenticated();
                connection.send(&[USERAUTH_SUCCESS]);
            }
            CHANNEL_OPEN => connection.send(&channel_message(CHANNEL_OPEN_CONFIRMATION, 0, |out| {
                wire::put_u32(out, 0);
                wire::put_u32(out, 2 * DATA as u32);
                wire::put_u32(out, 32 * 1024);
            })),
            CHANNEL_REQUEST => {
                let (_, _) = (reader.u32().unwrap(), reader.string().unwrap());
                if reader.bool().unwrap() {
                    connection.send(&channel_message(CHANNEL_SUCCESS, 0, |_| {}));
                }
            }
            CHANNEL_DATA => {
                reader.u32().unwrap();
                received.extend_from_slice(reader.string().unwrap());
            }
            CHANNEL_EOF => {
                for part in received.chunks(16_000) {
                    connection.send(&channel_message(CHANNEL_DATA, 0, |out| wire::put_string(out, part)));
                }
                connection.send(&channel_message(CHANNEL_REQUEST, 0, |out| {
                    wire::put_string(out, b"exit-status");
                    wire::put_bool(out, false);
                    wire::put_u32(out, 0);
                }));
                connection.send(&channel_message(CHANNEL_EOF, 0, |_| {}));
                connection.send(&channel_message(CHANNEL_CLOSE, 0, |_| {}));
            }
            CHANNEL_CLOSE | CHANNEL_WINDOW_ADJUST | GLOBAL_REQUEST => {}
            other => panic!("message {other}"),
        }
    }
    Ok(())
}

/// What became of one run of `ssh`.
struct Ran {
    ok: bool,
    stdout: Vec<u8>,
    log: String,
    server: Result<(), TransportError>,
}

fn data() -> Vec<u8> {
    (0..DATA).map(|at| (at % 251) as u8).collect()
}

/// Runs `ssh` against [`serve`]. `known` is the line of `known_hosts` after the name `web-1`, or the whole line if it
/// starts with `@`.
fn run_ssh(keys: Vec<HostKey>, known: &str, preferences: Preferences, options: &[String]) -> Ran {
    let folder = TempDir::new().unwrap();
    let known = if known.starts_with('@') {
        known.to_owned()
    } else {
        format!("web-1 {known}")
    };
    let known_hosts = folder.path().join("known_hosts");
    std::fs::write(&known_hosts, known).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(ServerConfig {
        keys,
        software: "Sallyport_test".to_owned(),
        preferences,
    });
    let server: JoinHandle<_> = std::thread::spawn(move || serve(listener.accept().unwrap().0, config));
    let mut ssh = Command::new("ssh")
        .args([
            "-v",
            "-F",
            "none",
            "-p",
            &port.to_string(),
            "-o",
            "BatchMode=yes",
            "-o",
            "HostKeyAlias=web-1",
        ])
        .args([
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "IdentityFile=none",
        ])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
        .args(options.iter().flat_map(|option| ["-o", option.as_str()]))
        .args(["alice@127.0.0.1", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ssh.stdin.take().unwrap();
    // It may refuse the host and be gone; the exit status shows that.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&data())));
    let done = ssh.wait_with_output().unwrap();
    feeder.join().unwrap();
    Ran {
        ok: done.status.success(),
        stdout: done.stdout,
        log: String::from_utf8_lossy(&done.stderr).into_owned(),
        server: server.join().unwrap(),
    }
}

fn host_key() -> (HostKey, String) {
    let key = PrivateKey::generate_ed25519().unwrap();
    let line = key.public_key().to_string();
    (HostKey::new(key), line)
}

fn works(ran: &Ran) {
    assert!(ran.ok, "{:?}\n{}", ran.server, ran.log);
    assert!(
        ran.stdout == data(),
        "other data came back: {} bytes\n{}",
        ran.stdout.len(),
        ran.log
    );
    ran.server.as_ref().unwrap();
}

fn supported(what: &str, name: &str) -> bool {
    let listed = Command::new("ssh").args(["-Q", what]).output().unwrap();
    String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .any(|line| line == name)
}

/// For each algorithm that both have, the option that makes OpenSSH use no other. All but the hybrid key exchange,
/// which came with OpenSSH 9.9, must be among them.
fn each_algorithm() -> Vec<String> {
    let mut options = Vec::new();
    for kex in Kex::ALL {
        if supported("kex", kex.name()) {
            options.push(format!("KexAlgorithms={}", kex.name()));
        } else {
            assert_eq!(kex, Kex::MlKem768X25519);
        }
    }
    for cipher in Cipher::ALL {
        assert!(supported("cipher", cipher.name()));
        options.push(format!("Ciphers={}", cipher.name()));
    }
    for mac in Mac::ALL {
        assert!(supported("mac", mac.name()));
        options.push(format!("Ciphers=aes128-ctr,aes256-ctr MACs={}", mac.name()));
    }
    options
}

#[test]
fn ssh_works_with_every_algorithm_and_new_keys_all_the_time() {
    for option in each_algorithm() {
        let (key, known) = host_key();
        let mut options: Vec<String> = option.split(' ').map(str::to_owned).collect();
        options.push("RekeyLimit=200K".to_owned());
        let ran = run_ssh(vec![key], &known, Preferences::default(), &options);
        works(&ran);
        let exchanges = ran.log.matches("SSH2_MSG_NEWKEYS received").count();
        assert!(exchanges >= 4, "{option}: {exchanges} key exchanges\n{}", ran.log);
        for word in option
            .split([' ', '=', ','])
            .filter(|word| word.contains("mac-") || word.contains("gcm"))
        {
            assert!(ran.log.contains(word), "{option}\n{}", ran.log);
        }
    }
}

#[test]
fn the_server_replaces_keys_by_itself() {
    let (key, known) = host_key();
    let preferences = Preferences {
        rekey_bytes: 150_000,
        ..Preferences::default()
    };
    let ran = run_ssh(vec![key], &known, preferences, &[]);
    works(&ran);
    // How often depends on how much is under way meanwhile.
    assert!(ran.log.matches("SSH2_MSG_NEWKEYS received").count() >= 2, "{}", ran.log);
    assert!(
        ran.log.contains("resetting read seqnr"),
        "strict key exchange\n{}",
        ran.log
    );
}

#[test]
fn ssh_takes_host_keys_of_every_kind() {
    let folder = TempDir::new().unwrap();
    let keygen = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(keygen.success());
    let rsa = std::fs::read_to_string(folder.path().join("rsa")).unwrap();
    let key = |algorithm: SignatureAlgorithm| match algorithm {
        SignatureAlgorithm::Ed25519 => PrivateKey::generate_ed25519().unwrap(),
        SignatureAlgorithm::Ecdsa(curve) => PrivateKey::generate_ecdsa(curve).unwrap(),
        SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaSha512 => PrivateKey::from_pem(&rsa, None).unwrap(),
        SignatureAlgorithm::SkEd25519 | SignatureAlgorithm::SkEcdsa => panic!("not a host's"),
    };
    let authority = PrivateKey::generate_ecdsa(Curve::P256).unwrap();
    for algorithm in SignatureAlgorithm::HOST {
        let plain = key(algorithm);
        let known = plain.public_key().to_string();
        let option = format!("HostKeyAlgorithms={}", algorithm.name());
        works(&run_ssh(
            vec![HostKey::new(plain)],
            &known,
            Preferences::default(),
            &[option],
        ));
        let certified = key(algorithm);
        let certificate = certify(certified.public_key(), "web-1", &authority);
        let known = format!("@cert-authority web-1 {}", authority.public_key());
        let option = format!("HostKeyAlgorithms={}", algorithm.certificate_name());
        let host = HostKey::with_certificate(certified, certificate).unwrap();
        works(&run_ssh(vec![host], &known, Preferences::default(), &[option]));
    }
}

#[test]
fn ssh_refuses_another_host() {
    let (key, _) = host_key();
    let (_, other) = host_key();
    let ran = run_ssh(vec![key], &other, Preferences::default(), &[]);
    assert!(
        !ran.ok && ran.log.contains("HOST IDENTIFICATION HAS CHANGED"),
        "{}",
        ran.log
    );
}

#[test]
fn ssh_with_nothing_in_common_is_told_why() {
    let (key, known) = host_key();
    let ran = run_ssh(
        vec![key],
        &known,
        Preferences::default(),
        &["Ciphers=aes256-cbc".to_owned()],
    );
    let expected = TransportError::NoneInCommon {
        what: "cipher",
        offered: "aes256-cbc".to_owned(),
    };
    assert_eq!(ran.server, Err(expected));
    assert!(!ran.ok);
}

fn certify(key: &PublicKey, name: &str, authority: &PrivateKey) -> Certificate {
    let request = CertificateRequest {
        key: key.clone(),
        kind: CertificateKind::Host,
        serial: 1,
        key_id: name.to_owned(),
        principals: vec![name.to_owned()],
        valid_after: now() - 60,
        valid_before: now() + 3600,
        force_command: None,
        source_addresses: Vec::new(),
        extensions: Default::default(),
    };
    Certificate::issue(&request, authority).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// One connection of a real `sshd` that lets one key in, over a pair of sockets.
struct Sshd {
    folder: TempDir,
    user: PrivateKey,
    user_certificate_authority: PrivateKey,
    host: PrivateKey,
}

impl Sshd {
    fn new() -> Self {
        let sshd = Self {
            folder: TempDir::new().unwrap(),
            user: PrivateKey::generate_ed25519().unwrap(),
            user_certificate_authority: PrivateKey::generate_ed25519().unwrap(),
            host: PrivateKey::generate_ed25519().unwrap(),
        };
        sshd.write("authorized_keys", &sshd.user.public_key().to_string());
        sshd.write("authorities", &sshd.user_certificate_authority.public_key().to_string());
        sshd.write("host", &sshd.host.to_openssh_pem("").unwrap());
        sshd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(self.path(name), format!("{text}\n")).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn start(&self, options: &[&str], trust: HostTrust, preferences: Preferences) -> (Child, Connection<UnixStream>) {
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nTrustedUserCAKeys {}\nStrictModes no\nPermitRootLogin yes\nPidFile \
             none\nUsePAM no\nPasswordAuthentication no\nLogLevel DEBUG1\n{}\n",
            self.path("host").display(),
            self.path("authorized_keys").display(),
            self.path("authorities").display(),
            options.join("\n"),
        );
        self.write("sshd_config", &config);
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-i", "-e", "-f"])
            .arg(self.path("sshd_config"))
            .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
            .stdout(OwnedFd::from(theirs))
            .stderr(std::fs::File::create(self.path("log")).unwrap())
            .spawn()
            .unwrap();
        let mut out = BytesMut::new();
        let config = ClientConfig {
            trust,
            software: "Sallyport_test".to_owned(),
            preferences,
        };
        let transport = Transport::client(config, &mut out);
        (
            child,
            Connection {
                stream: ours,
                transport,
                input: BytesMut::new(),
                out,
            },
        )
    }

    fn pinned(&self) -> HostTrust {
        HostTrust {
            keys: vec![self.host.public_key().clone()],
            ..HostTrust::default()
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// Logs in with the key, or with a certificate for it, and sends data through `cat`.
    fn converse(&self, options: &[&str], trust: HostTrust, preferences: Preferences, certificate: bool) -> String {
        let (mut child, mut connection) = self.start(options, trust, preferences);
        let received = converse(&mut connection, |id| self.login(id, certificate))
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        drop(connection);
        child.wait().unwrap();
        assert!(
            received == data(),
            "other data came back: {} bytes\n{}",
            received.len(),
            self.log()
        );
        self.log()
    }

    /// A request to log in by public key (RFC 4252 section 7).
    fn login(&self, session_id: &[u8], certificate: bool) -> Vec<u8> {
        let user = whoami();
        let (algorithm, blob) = if certificate {
            let mut request = CertificateRequest {
                key: self.user.public_key().clone(),
                kind: CertificateKind::User,
                serial: 7,
                key_id: "alice for one session".to_owned(),
                principals: vec![user.clone()],
                valid_after: now() - 60,
                valid_before: now() + 60,
                force_command: None,
                source_addresses: Vec::new(),
                extensions: Default::default(),
            };
            request.extensions.insert("permit-pty".to_owned(), String::new());
            let certificate = Certificate::issue(&request, &self.user_certificate_authority).unwrap();
            (
                SignatureAlgorithm::Ed25519.certificate_name(),
                certificate.blob().to_vec(),
            )
        } else {
            (
                SignatureAlgorithm::Ed25519.name(),
                self.user.public_key().blob().to_vec(),
            )
        };
        let mut request = vec![USERAUTH_REQUEST];
        wire::put_string(&mut request, user.as_bytes());
        wire::put_string(&mut request, b"ssh-connection");
        wire::put_string(&mut request, b"publickey");
        wire::put_bool(&mut request, true);
        wire::put_string(&mut request, algorithm.as_bytes());
        wire::put_string(&mut request, &blob);
        let mut signed = Vec::new();
        wire::put_string(&mut signed, session_id);
        signed.extend_from_slice(&request);
        let signature = self.user.sign(SignatureAlgorithm::Ed25519, &signed).unwrap();
        wire::put_string(&mut request, &signature);
        request
    }
}

fn whoami() -> String {
    let done = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn converse<S: Read + Write>(
    connection: &mut Connection<S>,
    login: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Result<Vec<u8>, TransportError> {
    assert_eq!(connection.next()?, Some(Vec::new()), "ready");
    connection.send(&message(SERVICE_REQUEST, |out| wire::put_string(out, b"ssh-userauth")));
    assert_eq!(connection.next()?.unwrap()[0], SERVICE_ACCEPT);
    assert!(
        connection
            .transport
            .peer_signature_algorithms()
            .unwrap()
            .contains(&SignatureAlgorithm::RsaSha512)
    );
    let request = login(connection.transport.session_id().unwrap());
    connection.send(&request);
    assert_eq!(connection.next()?, Some(vec![USERAUTH_SUCCESS]));
    connection.transport.set_authenticated();
    connection.send(&message(CHANNEL_OPEN, |out| {
        wire::put_string(out, b"session");
        wire::put_u32(out, 0);
        wire::put_u32(out, 2 * DATA as u32);
        wire::put_u32(out, 32 * 1024);
    }));
    let data = data();
    let (mut received, mut sent, mut window) = (Vec::new(), 0, 0);
    while let Some(payload) = connection.next()? {
        let mut reader = Reader::new(&payload);
        match reader.u8().unwrap() {
            CHANNEL_OPEN_CONFIRMATION => {
                let (_, _) = (reader.u32().unwrap(), reader.u32().unwrap());
                window = reader.u32().unwrap() as usize;
                connection.send(&channel_message(CHANNEL_REQUEST, 0, |out| {
                    wire::put_string(out, b"exec");
                    wire::put_bool(out, true);
                    wire::put_string(out, b"cat");
                }));
            }
            CHANNEL_WINDOW_ADJUST => {
                reader.u32().unwrap();
                window += reader.u32().unwrap() as usize;
            }
            CHANNEL_DATA => {
                reader.u32().unwrap();
                received.extend_from_slice(reader.string().unwrap());
            }
            CHANNEL_CLOSE => break,
            CHANNEL_SUCCESS | CHANNEL_EOF | CHANNEL_REQUEST | CHANNEL_EXTENDED_DATA | GLOBAL_REQUEST => {}
            other => panic!("message {other}"),
        }
        while sent < data.len() && window > 0 {
            let part = window.min(30_000).min(data.len() - sent);
            connection.send(&channel_message(CHANNEL_DATA, 0, |out| {
                wire::put_string(out, &data[sent..sent + part]);
            }));
            sent += part;
            window -= part;
            if sent == data.len() {
                connection.send(&channel_message(CHANNEL_EOF, 0, |_| {}));
            }
        }
    }
    Ok(received)
}

#[test]
fn sshd_works_with_every_algorithm_and_new_keys_all_the_time() {
    for option in each_algorithm() {
        let sshd = Sshd::new();
        let mut options: Vec<String> = option.split(' ').map(|option| option.replace('=', " ")).collect();
        options.push("RekeyLimit 200K".to_owned());
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let log = sshd.converse(&options, sshd.pinned(), Preferences::default(), false);
        let exchanges = log.matches("SSH2_MSG_NEWKEYS received").count();
        assert!(exchanges >= 4, "{option}: {exchanges} key exchanges\n{log}");
    }
}

#[test]
fn the_client_replaces_keys_by_itself() {
    let sshd = Sshd::new();
    let preferences = Preferences {
        rekey_bytes: 150_000,
        ..Preferences::default()
    };
    let log = sshd.converse(&[], sshd.pinned(), preferences, false);
    assert!(log.matches("SSH2_MSG_NEWKEYS received").count() >= 2, "{log}");
}

#[test]
fn sshd_takes_a_certificate_that_is_made_here() {
    let sshd = Sshd::new();
    std::fs::write(sshd.path("authorized_keys"), "").unwrap();
    let log = sshd.converse(&[], sshd.pinned(), Preferences::default(), true);
    assert!(log.contains("alice for one session"), "{log}");
}

#[test]
fn the_client_takes_a_host_by_its_authority_and_name() {
    let sshd = Sshd::new();
    let authority = PrivateKey::generate_ecdsa(Curve::P384).unwrap();
    sshd.write(
        "host-cert.pub",
        &certify(sshd.host.public_key(), "web-1", &authority).to_string(),
    );
    let option = format!("HostCertificate {}", sshd.path("host-cert.pub").display());
    let trust = |name: &str, now_unix| HostTrust {
        keys: Vec::new(),
        authorities: vec![authority.public_key().clone()],
        names: vec![name.to_owned()],
        now_unix,
    };
    sshd.converse(&[&option], trust("web-1", now()), Preferences::default(), false);
    for refused in [trust("web-2", now()), trust("web-1", now() + 7200), trust("web-1", 0)] {
        let (mut child, mut connection) = sshd.start(&[&option], refused, Preferences::default());
        let error = connection.next().unwrap_err();
        assert!(
            matches!(error, TransportError::Host(HostError::Certificate(_))),
            "{error}"
        );
        drop(connection);
        child.wait().unwrap();
    }
}

#[test]
fn the_client_refuses_another_host_and_tells_it_nothing_more() {
    let sshd = Sshd::new();
    let other = PrivateKey::generate_ed25519().unwrap();
    let trust = HostTrust {
        keys: vec![other.public_key().clone()],
        ..HostTrust::default()
    };
    let (mut child, mut connection) = sshd.start(&[], trust, Preferences::default());
    let expected = HostError::NotPinned(sshd.host.public_key().fingerprint());
    assert_eq!(connection.next(), Err(TransportError::Host(expected)));
    assert!(!connection.transport.is_ready());
    assert_eq!(
        connection.transport.send(&[b"\x05"], &mut BytesMut::new()),
        Err(TransportError::Closed)
    );
    drop(connection);
    child.wait().unwrap();
    assert!(!sshd.log().contains("SSH2_MSG_NEWKEYS received"), "{}", sshd.log());
}
