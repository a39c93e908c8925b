//! Watching sessions while they go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sallyport_tests::{SshBed, SshPlan, program, transcript};
use serde_json::{Value, json};

use super::{PATIENCE, eventually, said};

/// A program whose output is read while it runs.
struct Running {
    child: Child,
    keys: Option<ChildStdin>,
    output: Arc<Mutex<Vec<u8>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let keys = child.stdin.take();
        let mut stdout = child.stdout.take().context("no output")?;
        let output = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&output);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut piece) {
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.extend_from_slice(piece.get(..count).unwrap_or_default());
            }
        });
        Ok(Self {
            child,
            keys,
            output,
            reader: Some(reader),
        })
    }

    fn keys(&mut self, keys: &str) -> Result<()> {
        let stdin = self.keys.as_mut().context("no input")?;
        stdin.write_all(keys.as_bytes())?;
        Ok(stdin.flush()?)
    }

    fn bytes(&self) -> Vec<u8> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn shows(&self, words: &str) -> Result<()> {
        let shown = eventually(words, || Ok(self.text().contains(words).then_some(())));
        shown.with_context(|| self.text())
    }

    /// Waits for its end: whether it was a good one, and all that it said.
    fn end(mut self) -> Result<(bool, String)> {
        self.keys = None;
        let status = eventually("the end of a program", || Ok(self.child.try_wait()?))?;
        if let Some(reader) = self.reader.take() {
            let _read = reader.join();
        }
        Ok((status.success(), self.text()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The command line, as this person.
fn cli(bed: &SshBed, person: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program()?);
    command
        .args(arguments)
        .env("HOME", bed.dir())
        .env("XDG_CONFIG_HOME", bed.dir())
        .env("SALLYPORT_API", format!("http://{}", bed.gateway.api().address()))
        .env("SALLYPORT_TOKEN", bed.gateway.login(person)?);
    Ok(command)
}

/// The same on a terminal.
fn on_a_terminal(bed: &SshBed, person: &str, arguments: &[&str]) -> Result<Command> {
    let plain = cli(bed, person, &[])?;
    let mut words = vec![plain.get_program().to_string_lossy().into_owned()];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    let mut command = Command::new("script");
    command.args([
        "-qefc",
        &format!("stty cols 90 rows 30; exec {}", words.join(" ")),
        "/dev/null",
    ]);
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("TERM", "xterm-256color");
    Ok(command)
}

/// A session of alice's at the host, on a terminal.
fn session(bed: &SshBed, line: &str) -> Result<Running> {
    let through = bed.through("alice")?;
    let mut ssh = through.program("ssh");
    ssh.args(["-tt", through.name()]);
    if !line.is_empty() {
        ssh.arg(line);
    }
    // What the gateway says beside the terminal is of interest too.
    let mut both = Command::new("sh");
    both.args(["-c", "exec \"$@\" 2>&1", "sh"]);
    both.arg(ssh.get_program()).args(ssh.get_args());
    Running::start(&mut both)
}

/// The one session that goes on.
fn live(bed: &SshBed) -> Result<String> {
    let token = bed.gateway.login("audrey")?;
    eventually("a session", || {
        let reply = bed.gateway.api().get("/v1/sessions?live=true", Some(&token))?;
        let id = reply.body.pointer("/0/id").and_then(Value::as_str);
        Ok(id.map(str::to_owned))
    })
}

#[test]
fn who_watches_sees_what_is_said_while_it_is_said_and_can_end_it() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let mut alice = session(&bed, "echo it begins; exec cat")?;
    alice.shows("it begins")?;
    let id = live(&bed)?;

    let stranger = cli(&bed, "dana", &["sessions", "watch", &id])?
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        !stranger.status.success() && said(&stranger).contains("no session"),
        "{}",
        said(&stranger)
    );

    let first = Running::start(&mut cli(&bed, "audrey", &["sessions", "watch", &id, "--json"])?)?;
    first.shows("it begins")?;
    let late = Running::start(&mut cli(&bed, "audrey", &["sessions", "watch", &id, "--from-now"])?)?;
    late.shows("alice")?;
    alice.keys("while it is watched\n")?;
    first.shows("while it is watched")?;
    late.shows("while it is watched")?;
    ensure!(!late.text().contains("it begins"), "{}", late.text());
    drop(late);
    first.shows(r#"\"watching\":\"ended\""#)?;

    let kill = cli(&bed, "adam", &["sessions", "kill", &id, "--reason", "enough"])?.output()?;
    ensure!(kill.status.success(), "{}", said(&kill));
    alice.end()?;
    let (good, watched) = first.end()?;
    ensure!(good, "{watched}");
    let last: Value = serde_json::from_str(watched.lines().last().context("no lines")?)?;
    ensure!(
        last.get("kind").is_some_and(|kind| kind == "end")
            && last.get("state").is_some_and(|state| state == "sealed")
            && last.get("journal").is_some_and(|journal| journal == "same_root"),
        "{last}"
    );
    ensure!(watched.contains("enough"), "why it ended is said: {watched}");
    // What was watched is what the recording holds, who watched among it.
    let token = bed.gateway.login("audrey")?;
    let replayed = transcript(&bed.gateway, &token, &id)?;
    let lines: Vec<Value> = watched.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(lines.get(1..) == replayed.get(1..), "{lines:?}\n{replayed:?}");
    let notices = format!("{replayed:?}");
    ensure!(
        notices.contains("audrey") && notices.matches("watching").count() >= 3,
        "{notices}"
    );

    let over = cli(&bed, "audrey", &["sessions", "watch", &id])?
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        !over.status.success() && said(&over).contains("is over"),
        "{}",
        said(&over)
    );
    Ok(())
}

/// What none of our drawings holds.
const FOREIGN: &[&str] = &[
    "\x1b]",
    "\x1bP",
    "\x1b_",
    "\x1bc",
    "\x07",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[?1000h",
    "\x1b[5i",
];

#[test]
fn no_escape_sequence_of_the_session_reaches_whoever_watches() -> Result<()> {
    const PRINTS: &str = r"printf 'visible \033]0;title\007\033]52;c;ZXZpbA==\007\033P+q544e\033\\\033_x\033\\\033[6n\033[c\033[?1000h\033[5i\033[31mred\033[m \033c\007after\r\n'; exec cat";
    let bed = SshBed::start(&SshPlan::default())?;
    let mut alice = session(&bed, PRINTS)?;
    alice.shows("after")?;
    let id = live(&bed)?;
    let mut drawn = Running::start(&mut on_a_terminal(&bed, "audrey", &["sessions", "watch", &id])?)?;
    drawn.shows("after")?;
    drawn.shows("watching alice on web-1")?;
    let listed = Running::start(&mut cli(&bed, "audrey", &["sessions", "watch", &id])?)?;
    listed.shows("after")?;
    alice.keys("typed later\n")?;
    drawn.shows("typed later")?;
    listed.shows("typed later")?;
    for view in [&drawn, &listed] {
        let text = view.text();
        for foreign in FOREIGN {
            ensure!(!text.contains(foreign), "{foreign:?} is in {text:?}");
        }
    }
    ensure!(!listed.text().contains('\x1b'), "{:?}", listed.text());
    // Ctrl-C leaves, and gives the terminal back; the session goes on.
    drawn.keys("\x03")?;
    let (good, text) = drawn.end()?;
    ensure!(good && text.contains("\x1b[?1049l"), "{text:?}");
    alice.keys("still here\n")?;
    alice.shows("still here")
}

#[test]
fn who_does_not_read_what_they_watch_holds_nothing_up() -> Result<()> {
    const MIB: u64 = 64;
    let bed = SshBed::start(&SshPlan::default())?;
    let mut alice = session(
        &bed,
        "stty -echo; read go; head -c 67108864 /dev/zero | tr '\\0' x; echo; echo whole; exec cat",
    )?;
    let id = live(&bed)?;
    let mut sleepers = Vec::new();
    for _ in 0..4 {
        let mut sleeper = TcpStream::connect(bed.gateway.api().address())?;
        let request = format!(
            "GET /v1/sessions/{id}/watch HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\r\n",
            bed.gateway.login("audrey")?
        );
        sleeper.write_all(request.as_bytes())?;
        let mut head = [0; 15];
        sleeper.read_exact(&mut head)?;
        ensure!(&head == b"HTTP/1.1 200 OK", "{}", String::from_utf8_lossy(&head));
        sleepers.push(sleeper);
    }
    let before = memory(bed.gateway.pid())?;
    let start = Instant::now();
    alice.keys("go\n")?;
    alice.shows("whole")?;
    ensure!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let after = memory(bed.gateway.pid())?;
    ensure!(
        after < before + MIB * 1024 / 2,
        "the gateway took {} KiB more for what nobody read",
        after.saturating_sub(before)
    );
    drop(sleepers);
    Ok(())
}

/// The memory of a process, in KiB.
fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line
        .and_then(|line| line.split_whitespace().next())
        .context("no size")?;
    Ok(number.parse()?)
}

fn moderated_by(group: &str) -> SshPlan {
    SshPlan::with_rules(&format!(
        "@id(\"shells-are-moderated\") @moderate(\"{group}\") @message(\"shells here are moderated\")
         forbid (principal, action == Ssh::Action::\"shell\", resource)
         unless {{ context.watched_by.contains(Group::\"{group}\") }};"
    ))
}

/// The request of a session, as this person sees it.
fn request(bed: &SshBed, person: &str) -> Result<Value> {
    let token = bed.gateway.login(person)?;
    eventually("a request", || {
        let reply = bed.gateway.api().get("/v1/requests?wait=5", Some(&token))?;
        Ok(reply.body.pointer("/0").cloned())
    })
}

#[test]
fn a_moderated_shell_begins_and_goes_on_only_while_it_is_watched() -> Result<()> {
    let bed = SshBed::start(&moderated_by("dba"))?;
    let mut alice = session(&bed, "")?;
    alice.shows("shells here are moderated")?;
    alice.shows("sallyport sessions watch")?;
    let id = live(&bed)?;
    let open = request(&bed, "dana")?;
    ensure!(
        open.get("watch") == Some(&json!(["dba"])) && open.get("needs") == Some(&json!([])),
        "{open}"
    );
    let request_id = open.get("id").and_then(Value::as_str).context("no id")?;
    let listed = cli(&bed, "dana", &["requests"])?.output()?;
    ensure!(said(&listed).contains("dba to watch"), "{}", said(&listed));
    let approve = cli(&bed, "dana", &["approve", request_id])?
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        !approve.status.success(),
        "a shell that must be watched is not approved"
    );

    // Somebody who is not asked watches: that is not enough.
    let auditor = Running::start(&mut cli(&bed, "audrey", &["sessions", "watch", &id, "--json"])?)?;
    auditor.shows(r#"\"watching\":\"began\""#)?;
    ensure!(request(&bed, "dana")?.get("state") == Some(&json!("open")));
    ensure!(bed.ran()?.is_empty(), "{:?}", bed.ran()?);

    let dana = Running::start(&mut cli(&bed, "dana", &["sessions", "watch", &id])?)?;
    alice.keys("echo it is $((6 * 7))\n")?;
    alice.shows("it is 42")?;
    dana.shows("it is 42")?;
    let used = request(&bed, "dana")?;
    ensure!(
        used.get("state") == Some(&json!("used")) && used.pointer("/conclusion/by") == Some(&json!("dana")),
        "{used}"
    );

    // She leaves and comes back: what is typed meanwhile waits.
    drop(dana);
    auditor.shows(r#"\"watching\":\"ended\""#)?;
    alice.keys("echo once $((1 + 1)) more\n")?;
    let dana = Running::start(&mut cli(&bed, "dana", &["sessions", "watch", &id, "--from-now"])?)?;
    dana.shows("once 2 more")?;

    // She leaves for good.
    drop(dana);
    eventually("her leaving", || {
        Ok((auditor.text().matches(r#"\"watching\":\"ended\""#).count() == 2).then_some(()))
    })?;
    let left = Instant::now();
    alice.keys("touch unwatched\n")?;
    let (_, text) = alice.end()?;
    ensure!(text.contains("nobody of `dba` watches this session"), "{text}");
    ensure!(
        !bed.sshd.home("deploy").join("unwatched").exists(),
        "{:?}",
        left.elapsed()
    );
    Ok(())
}

#[test]
fn nobody_moderates_their_own_shell() -> Result<()> {
    let bed = SshBed::start(&moderated_by("developers"))?;
    let alice = session(&bed, "")?;
    alice.shows("shells here are moderated")?;
    let id = live(&bed)?;
    let own = Running::start(&mut cli(&bed, "alice", &["sessions", "watch", &id, "--json"])?)?;
    own.shows(r#"\"watching\":\"began\""#)?;
    ensure!(request(&bed, "alice")?.get("state") == Some(&json!("open")));
    ensure!(bed.ran()?.is_empty(), "{:?}", bed.ran()?);
    // Ctrl-C gives it up.
    drop(alice);
    let (_, watched) = own.end()?;
    ensure!(watched.contains(r#""state":"sealed""#), "{watched}");
    ensure!(bed.ran()?.is_empty(), "{:?}", bed.ran()?);
    Ok(())
}

#[test]
fn a_recorded_terminal_is_shown_as_it_stood_and_played_as_it_went() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let mut alice = session(
        &bed,
        "stty -echo; printf '\\033]0;title\\007first\\r\\n'; cat; printf 'gone\\033[2K\\r\\033]52;c;ZXZpbA==\\007last\\r\\n'",
    )?;
    alice.shows("first")?;
    let id = live(&bed)?;
    alice.keys("second\n")?;
    alice.shows("second")?;
    alice.keys("\x04")?;
    alice.end()?;
    let token = bed.gateway.login("audrey")?;
    let lines = eventually("the seal", || {
        let lines = transcript(&bed.gateway, &token, &id)?;
        let sealed = lines
            .last()
            .is_some_and(|line| line.get("state") == Some(&json!("sealed")));
        Ok(sealed.then_some(lines))
    })?;
    let first = lines.iter().find(|line| {
        let text = line.get("text").and_then(Value::as_str);
        line.get("kind") == Some(&json!("output")) && text.is_some_and(|text| text.contains("first"))
    });
    let micros = first
        .and_then(|line| line.get("at_micros")?.as_u64())
        .context("no first output")?;
    let at = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);

    let screen = |more: &[&str]| -> Result<String> {
        let arguments = [&["replay", id.as_str(), "--screen"], more].concat();
        let output = cli(&bed, "audrey", &arguments)?.output()?;
        ensure!(output.status.success(), "{}", said(&output));
        Ok(String::from_utf8(output.stdout)?)
    };
    let end = screen(&[])?;
    ensure!(end == "first\nsecond\nlast\n", "{end:?}");
    let began = screen(&["--at", &at])?;
    ensure!(began == "first\n", "{began:?}");
    let none = screen(&["--command", "1"])?;
    ensure!(none.is_empty(), "{none:?}");

    let start = Instant::now();
    let arguments = ["replay", &id, "--play", "--idle-limit", "0.2", "--speed", "2"];
    let played = Running::start(&mut on_a_terminal(&bed, "audrey", &arguments)?)?;
    let (good, text) = played.end()?;
    ensure!(good && text.contains("alice on web-1"), "{text:?}");
    ensure!(start.elapsed() < PATIENCE);
    for foreign in FOREIGN {
        ensure!(!text.contains(foreign), "{foreign:?} is in {text:?}");
    }
    let drawn = ["first", "second", "last"].map(|word| text.find(word));
    ensure!(drawn.is_sorted() && drawn.iter().all(Option::is_some), "{text:?}");
    let piped = cli(&bed, "audrey", &arguments)?.output()?;
    ensure!(
        !piped.status.success() && said(&piped).contains("--cast"),
        "{}",
        said(&piped)
    );
    Ok(())
}

#[test]
fn what_may_be_seen_only_while_somebody_watches_is_masked_as_soon_as_they_leave() -> Result<()> {
    let card = "4111 1111 1111 1111";
    let bed = SshBed::start(&SshPlan {
        classify: "[[detectors]]\nkind = \"credit_card\"\nclass = \"pci\"\n".to_owned(),
        ..SshPlan::with_rules(
            "@id(\"cards\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", resource) \
             unless { context.watched_by.contains(Group::\"auditors\") };\n",
        )
    })?;
    let mut alice = session(&bed, "stty -echo; echo ready; cat")?;
    alice.shows("ready")?;
    let id = live(&bed)?;
    let mut count = 0;
    let mut is_shown = |alice: &mut Running| -> Result<bool> {
        count += 1;
        alice.keys(&format!("card {card} {count}.\n"))?;
        alice.shows(&format!(" {count}."))?;
        Ok(alice.text().contains(&format!("card {card} {count}.")))
    };
    ensure!(!is_shown(&mut alice)?, "nobody watches yet");
    let audrey = Running::start(&mut cli(&bed, "audrey", &["sessions", "watch", &id])?)?;
    eventually("her coming", || Ok(is_shown(&mut alice)?.then_some(())))?;
    drop(audrey);
    eventually("her leaving", || Ok((!is_shown(&mut alice)?).then_some(())))
}
