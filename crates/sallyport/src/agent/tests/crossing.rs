//! No credential crosses, and nothing from which one could be made.

use std::process::Command;

use bytes::{Buf, BytesMut};
use sallyport_ssh_transport::{Step, Transport, message, wire};
use sallyport_testbed::{Account, Auth, KeyKind, Options, Postgres, Role, SshKey, Sshd, SshdOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{LONG, Pair, login};

const PASSWORD: &str = "the-password-that-stays-4711";

/// Everything that a login by SCRAM or md5 computes from the password, in hexadecimal: what was said in between could be
/// used in place of it.
const DERIVED: &str = r#"
import base64, hashlib, hmac, sys
password, stored = sys.argv[1].encode(), sys.argv[2]
print(password.hex())
print(hashlib.sha256(password).hexdigest())
print(hashlib.md5(password + b'app').digest().hex())
print(hashlib.md5(password + b'app').hexdigest().encode().hex())
if stored.startswith('SCRAM'):
    _, salting, keys = stored.split('$')
    count, salt = salting.split(':')
    salted = hashlib.pbkdf2_hmac('sha256', password, base64.b64decode(salt), int(count))
    client = hmac.digest(salted, b'Client Key', 'sha256')
    server = hmac.digest(salted, b'Server Key', 'sha256')
    for key in [salted, client, server, hashlib.sha256(client).digest()]:
        print(key.hex())
        print(base64.b64encode(key).hex())
    print(salt.encode().hex())
"#;

/// The secret part of an Ed25519 key in OpenSSH's format: it stands before the last copy of the public one.
const SEED: &str = r#"
import base64, sys
lines = open(sys.argv[1]).read().split('\n')
blob = base64.b64decode(''.join(line for line in lines if not line.startswith('-')))
public = base64.b64decode(open(sys.argv[1] + '.pub').read().split()[1])[-32:]
at = blob.rindex(public)
print(blob[at - 32:at].hex())
print(lines[2].encode().hex())
"#;

fn python(script: &str, arguments: &[&str]) -> Vec<Vec<u8>> {
    let output = Command::new("python3")
        .args(["-c", script])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| hex::decode(line).unwrap()).collect()
}

fn has(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// Logs in through an agent, runs a statement, and gives back every byte that went between.
async fn session_of_postgres(auth: Auth, tls: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
    let server = Postgres::start(&Options {
        auth,
        tls,
        tls_only: tls,
        roles: vec![Role::new("app", PASSWORD)],
        ..Options::default()
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
    let secured = match server.ca_path().filter(|_| tls) {
        Some(ca) => format!("tls = 'verify-full'\nca_file = {ca:?}\n"),
        None => "tls = 'disable'\n".to_owned(),
    };
    // A password in clear is given only where the owner says so.
    let clear = if auth == Auth::Password {
        "auth = ['password']\n"
    } else {
        ""
    };
    let clear = if auth == Auth::Md5 { "auth = ['md5']\n" } else { clear };
    let targets = format!(
        "[[target]]\nname = 'orders'\nprotocol = 'postgres'\naddress = 'localhost:{}'\nuser = 'app'\n\
         password_file = 'password'\n{secured}{clear}",
        server.port()
    );
    let pair = Pair::of(dir.path(), &targets).await;
    let (answer, mut flow) = pair
        .ask(&login("orders", "postgres", "postgres", &json!({ "parameters": [] })))
        .await;
    assert_eq!(answer, json!("done"));
    let statement = b"SELECT current_user || ' is in'\0";
    let length = u32::try_from(statement.len() + 4).unwrap().to_be_bytes();
    flow.write_all(&[b"Q", &length[..], statement].concat()).await.unwrap();
    let mut heard = BytesMut::new();
    while !has(&heard, b"app is in") {
        assert!(
            timeout(LONG, flow.read_buf(&mut heard)).await.unwrap().unwrap() > 0,
            "{heard:?}"
        );
    }
    let stored = server
        .query("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
        .unwrap();
    let mut secrets = python(DERIVED, &[PASSWORD, &stored]);
    secrets.push(stored.into_bytes());
    secrets.extend([
        b"c=biws".to_vec(),
        b"SCRAM-SHA-256".to_vec(),
        b"p=tls-".to_vec(),
        b",i=4096".to_vec(),
    ]);
    let seen = pair.seen.lock().unwrap().clone();
    (seen, secrets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_of_postgres_crosses_and_nothing_that_is_made_of_it() {
    for (auth, tls) in [
        (Auth::Scram, false),
        (Auth::Scram, true),
        (Auth::Md5, false),
        (Auth::Password, true),
    ] {
        let (seen, secrets) = Box::pin(session_of_postgres(auth, tls)).await;
        // What was looked through is what was said.
        assert!(
            has(&seen, b"app is in") && has(&seen, b"\"target\":\"orders\""),
            "{auth:?}"
        );
        for secret in secrets {
            assert!(
                !has(&seen, &secret),
                "{auth:?}, tls {tls}: {}",
                String::from_utf8_lossy(&secret)
            );
        }
    }
}

/// Runs a command over packets without encryption; what it said.
async fn exec(flow: &mut sallyport_tunnel::Flow, line: &str, until: &[u8]) {
    let mut transport = Transport::carried();
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut open = BytesMut::new();
    wire::put_u8(&mut open, message::CHANNEL_OPEN);
    wire::put_string(&mut open, b"session");
    for number in [0, 1 << 20, 1 << 15] {
        wire::put_u32(&mut open, number);
    }
    transport.send(&[&open], &mut output).unwrap();
    let mut said = Vec::new();
    while !has(&said, until) {
        flow.write_all(&output).await.unwrap();
        output.clear();
        let step = transport.read(&mut input, &mut output).unwrap();
        match step {
            Step::Packet { payload, whole } => {
                let packet = input[payload].to_vec();
                input.advance(whole);
                if packet[0] == message::CHANNEL_OPEN_CONFIRMATION {
                    let mut request = BytesMut::new();
                    wire::put_u8(&mut request, message::CHANNEL_REQUEST);
                    request.extend_from_slice(&packet[5..9]);
                    wire::put_string(&mut request, b"exec");
                    wire::put_bool(&mut request, true);
                    wire::put_string(&mut request, line.as_bytes());
                    transport.send(&[&request], &mut output).unwrap();
                }
                said.extend(packet);
            }
            Step::Ready => {}
            Step::More => {
                assert!(
                    timeout(LONG, flow.read_buf(&mut input)).await.unwrap().unwrap() > 0,
                    "{said:?}"
                );
            }
            Step::Disconnected { reason, text } => panic!("{reason}: {text}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_and_no_key_of_a_host_crosses() {
    let dir = tempfile::tempdir().unwrap();
    let key = SshKey::generate(&dir.path().join("key"), KeyKind::Ed25519).unwrap();
    let sshd = Sshd::start(&SshdOptions {
        accounts: vec![Account::new("deploy").with_password(PASSWORD).with_key(key.public())],
        ..SshdOptions::default()
    })
    .unwrap();
    std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
    let entry = |name: &str, how: &str| {
        format!(
            "[[target]]\nname = '{name}'\nprotocol = 'ssh'\naddress = '{}'\nuser = 'deploy'\nhost_keys = ['{}']\n{how}\n",
            sshd.address(),
            sshd.host_keys()[0]
        )
    };
    let targets = entry("by-password", "password_file = 'password'") + &entry("by-key", "private_key_file = 'key'");
    let pair = Pair::of(dir.path(), &targets).await;
    for target in ["by-password", "by-key"] {
        let (answer, mut flow) = pair.ask(&login(target, "ssh", "deploy", &json!({}))).await;
        assert_eq!(answer, json!("done"), "{target}: {}", sshd.log_tail());
        timeout(LONG, exec(&mut flow, "echo $((40 + 2)) is said", b"42 is said"))
            .await
            .unwrap();
    }
    let mut secrets = python(SEED, &[&key.path().display().to_string()]);
    secrets.extend([
        PASSWORD.as_bytes().to_vec(),
        b"ssh-userauth".to_vec(),
        b"publickey".to_vec(),
        b"OPENSSH PRIVATE KEY".to_vec(),
    ]);
    let seen = pair.seen.lock().unwrap().clone();
    assert!(has(&seen, b"42 is said") && has(&seen, b"echo $((40 + 2))"));
    for secret in secrets {
        assert!(!has(&seen, &secret), "{}", String::from_utf8_lossy(&secret));
    }
}
