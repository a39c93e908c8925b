//! OpenSSH's `scp -O` on both ends with the machine between them.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::{Bytes, BytesMut};
use sallyport_sftp::Direction;
use sallyport_sftp::scp::{Scp, ScpAsk, ScpCommand, ScpOut, ScpTransfer, ScpVerdict};

struct Places {
    _root: tempfile::TempDir,
    root: PathBuf,
}

impl Places {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(root.path()).unwrap();
        for dir in ["local", "remote", "pipes"] {
            fs::create_dir(real.join(dir)).unwrap();
        }
        Self {
            _root: root,
            root: real,
        }
    }

    fn local(&self, name: &str) -> PathBuf {
        self.root.join("local").join(name)
    }

    fn remote(&self, name: &str) -> PathBuf {
        self.root.join("remote").join(name)
    }
}

struct Log {
    command: ScpCommand,
    asks: Vec<ScpAsk>,
    done: Vec<ScpTransfer>,
}

impl Log {
    fn texts(&self) -> Vec<&str> {
        self.asks.iter().map(|ask| ask.text.as_str()).collect()
    }
}

/// Runs `scp -O` with `args` in `local`; `host:` is `remote`. Whatever a name in `refuse` is part of is refused.
fn scp(places: &Places, args: &[&str], refuse: &[&str]) -> (Output, Log) {
    let pipe = |name: &str| places.root.join("pipes").join(name);
    if !pipe("ssh").exists() {
        assert!(
            Command::new("mkfifo")
                .args(["command", "up", "down"].map(pipe))
                .status()
                .unwrap()
                .success()
        );
        let script = format!(
            // As `ssh` does, it ends when the program on the other side has ended.
            "#!/bin/sh\nfor last; do :; done\nprintf %s \"$last\" > {0}/command\nexec 3<&0\n\
             cat <&3 > {0}/up &\ncat {0}/down\nkill $! 2>/dev/null\nexit 0\n",
            places.root.join("pipes").display()
        );
        fs::write(pipe("ssh"), script).unwrap();
        fs::set_permissions(pipe("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let client = Command::new("scp")
        .current_dir(places.root.join("local"))
        .args(["-O", "-S"])
        .arg(pipe("ssh"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("OpenSSH's scp is installed");
    let line = fs::read_to_string(pipe("command")).unwrap();
    let (up, down) = (
        File::open(pipe("up")).unwrap(),
        File::options().write(true).open(pipe("down")).unwrap(),
    );
    let log = pump(&line, &places.root.join("remote"), up, down, refuse);
    (client.wait_with_output().unwrap(), log)
}

fn pump(line: &str, remote: &Path, up: File, down: File, refuse: &[&str]) -> Log {
    let words: Vec<&str> = line.split(' ').collect();
    let args: Vec<Bytes> = words[1..]
        .iter()
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect();
    let command = ScpCommand::parse(&args).unwrap();
    let mut server = Command::new("scp")
        .current_dir(remote)
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (events, inbox) = channel();
    pour(up, events.clone(), true);
    pour(server.stdout.take().unwrap(), events, false);
    let (mut to_client, mut to_target) = (Some(down), server.stdin.take());
    let (mut scp, mut out) = (Scp::new(command.direction), ScpOut::default());
    let (mut client, mut target) = (BytesMut::new(), BytesMut::new());
    let mut asks = Vec::new();
    while let Ok((of_client, bytes)) = inbox.recv() {
        match (of_client, bytes.is_empty()) {
            (true, true) => to_target = None,
            (false, true) => {
                to_client = None;
                break;
            }
            (true, false) => client.extend_from_slice(&bytes),
            (false, false) => target.extend_from_slice(&bytes),
        }
        loop {
            let before = (client.len(), target.len());
            scp.from_client(&mut client, &mut out).unwrap();
            scp.from_target(&mut target, &mut out).unwrap();
            let asked = !out.asks.is_empty();
            while let Some(ask) = out.asks.pop_front() {
                let refused = refuse.iter().any(|name| ask.item.name == *name);
                let message = "no-secrets: not this one".to_owned();
                let verdict = if refused {
                    ScpVerdict::Refused { message }
                } else {
                    ScpVerdict::Permitted
                };
                scp.answer(ask.id, &verdict, &mut out).unwrap();
                asks.push(ask);
            }
            if !asked && before == (client.len(), target.len()) {
                break;
            }
        }
        assert_eq!(
            out.spans.drain(..).map(|span| span.len).sum::<usize>(),
            out.to_target.len()
        );
        if let Some(client) = &mut to_client {
            let _ = client.write_all(&out.to_client.split());
        }
        if let Some(target) = &mut to_target {
            let _ = target.write_all(&out.to_target.split());
        }
    }
    drop((to_client, to_target));
    scp.over(&mut out);
    server.wait().unwrap();
    let mut ended: Vec<_> = out.ended.iter().map(|ended| ended.ask).collect();
    ended.sort();
    let permitted = |ask: &&ScpAsk| !refuse.iter().any(|name| ask.item.name == *name);
    let permitted: Vec<_> = asks.iter().filter(permitted).map(|ask| ask.id).collect();
    assert_eq!(ended, permitted, "what is permitted ends once");
    Log {
        command,
        asks,
        done: out.done,
    }
}

fn pour(mut from: impl Read + Send + 'static, to: std::sync::mpsc::Sender<(bool, Vec<u8>)>, client: bool) {
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(len) = from.read(&mut buffer) {
            if to.send((client, buffer[..len].to_vec())).is_err() || len == 0 {
                return;
            }
        }
        let _ = to.send((client, Vec::new()));
    });
}

fn content(len: usize) -> Vec<u8> {
    (0..len)
        .map(|nth| (nth.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect()
}

fn whole(done: &ScpTransfer, content: &[u8]) {
    assert!(done.complete && done.bytes == content.len() as u64, "{done:?}");
    assert_eq!(done.sha256.unwrap().as_slice(), digest(&SHA256, content).as_ref());
}

#[test]
fn files_go_both_ways() {
    let places = Places::new();
    let big = content(5_000_000);
    fs::write(places.local("big"), &big).unwrap();
    fs::write(places.local("empty"), "").unwrap();
    let (output, log) = scp(&places, &["-p", "big", "empty", "host:."], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(log.command.preserve && log.command.directory && log.command.direction == Direction::Upload);
    assert!(fs::read(places.remote("big")).unwrap() == big && fs::read(places.remote("empty")).unwrap().is_empty());
    whole(&log.done[0], &big);
    whole(&log.done[1], &[]);
    assert_eq!(
        log.texts(),
        [
            "scp put big (5000000 bytes, mode 0644)",
            "scp put empty (0 bytes, mode 0644)"
        ]
    );
    let modified = |path: PathBuf| {
        fs::metadata(path)
            .unwrap()
            .modified()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
    };
    let seconds = |path: PathBuf| modified(path).unwrap().as_secs();
    assert_eq!(seconds(places.local("big")), seconds(places.remote("big")));
    let (output, log) = scp(&places, &["-p", "host:big", "back"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(places.local("back")).unwrap() == big);
    whole(&log.done[0], &big);
    assert_eq!(log.texts(), ["scp get big (5000000 bytes, mode 0644)"]);
}

#[test]
fn directories_go_both_ways_but_for_what_is_refused() {
    let places = Places::new();
    for dir in ["tree", "tree/a", "tree/a/b", "tree/secret"] {
        fs::create_dir(places.local(dir)).unwrap();
    }
    for file in ["tree/one", "tree/a/key", "tree/a/b/two", "tree/secret/three"] {
        fs::write(places.local(file), file).unwrap();
    }
    let (output, log) = scp(&places, &["-rp", "tree", "host:up"], &["key", "secret"]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("no-secrets: not this one").count(), 2, "{told}");
    assert_eq!(fs::read(places.remote("up/one")).unwrap(), b"tree/one");
    assert_eq!(fs::read(places.remote("up/a/b/two")).unwrap(), b"tree/a/b/two");
    assert!(!places.remote("up/a/key").exists() && !places.remote("up/secret").exists());
    assert!(
        log.texts().contains(&"scp put tree/a/b/two (12 bytes, mode 0644)"),
        "{:?}",
        log.texts()
    );
    assert!(!log.texts().iter().any(|asked| asked.contains("three")));
    fs::write(places.remote("up/a/key"), "key").unwrap();
    let (output, log) = scp(&places, &["-r", "host:up", "down"], &["key"]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("no-secrets: not this one").count(), 1, "{told}");
    assert!(places.local("down/one").is_file() && places.local("down/a/b/two").is_file());
    assert!(!places.local("down/a/key").exists());
    assert_eq!(log.done.len(), 2);
    assert!(
        log.done
            .iter()
            .all(|done| done.complete && done.item.direction == Direction::Download)
    );
}

#[test]
fn what_fails_at_an_end_is_told_and_not_complete() {
    let places = Places::new();
    fs::write(places.local("file"), "content").unwrap();
    fs::create_dir(places.remote("file")).unwrap();
    fs::create_dir(places.remote("file/file")).unwrap();
    let (output, log) = scp(&places, &["file", "host:file"], &[]);
    assert!(!output.status.success() && log.done.is_empty() && log.asks.len() == 1);
    let (output, log) = scp(&places, &["host:none", "here"], &[]);
    assert!(!output.status.success() && log.asks.is_empty());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("No such file"),
        "the target's own words come through"
    );
}
