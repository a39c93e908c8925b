//! The book and the README tell the truth: their stories are played on a demo, and what they name exists.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sallyport_tests::{program, root};
use serde_json::Value;

use crate::demo::{Demo, start, text};

/// A command that a page shows, and what it prints.
#[derive(Debug)]
struct Shown {
    who: String,
    command: String,
    output: Vec<String>,
}

/// The commands in a page's `console` blocks. Who runs them is said before each block, where readers do not see it.
fn shown(page: &str) -> Result<Vec<Shown>> {
    let mut found: Vec<Shown> = Vec::new();
    let (mut who, mut inside) = (String::new(), false);
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("<!-- run by ") {
            rest.trim_end_matches(" -->").clone_into(&mut who);
        } else if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            ensure!(!who.is_empty(), "nobody is said to run `{command}`");
            found.push(Shown {
                who: who.clone(),
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if inside {
            let last = found.last_mut().context("output without a command")?;
            // A command goes on in the next line after a backslash.
            match last.command.strip_suffix('\\').filter(|_| last.output.is_empty()) {
                Some(first) => last.command = format!("{first} {}", line.trim()),
                None => last.output.push(line.to_owned()),
            }
        }
    }
    Ok(found)
}

/// A running demo on which pages are played.
struct Stage {
    ready: Value,
    _demo: Demo,
    /// What is still waiting for somebody, and the lines that it is to print after that.
    waiting: Option<(Child, BufReader<std::process::ChildStdout>)>,
    request: Option<String>,
}

impl Stage {
    fn play(&mut self, shown: &Shown) -> Result<()> {
        let mut child = self.command(shown)?.spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        // Whoever waits says so, and then says nothing until somebody decides.
        let waits = shown.output.iter().any(|line| line.contains("; waiting for "));
        let mut said = Vec::new();
        let mut line = String::new();
        while (!waits || said.len() < shown.output.len()) && output.read_line(&mut line)? > 0 {
            said.push(line.trim_end_matches('\n').to_owned());
            line.clear();
        }
        if let Some(request) = said.iter().find_map(|line| word(line, "req_")) {
            self.request = Some(request);
        }
        compare(shown, &said)?;
        if waits {
            self.waiting = Some((child, output));
        } else {
            child.wait()?;
        }
        Ok(())
    }

    /// The command as it is, with what belongs to this run in it.
    fn command(&self, shown: &Shown) -> Result<Command> {
        let mut text = shown.command.clone();
        if let Some(rest) = text.strip_prefix("psql ") {
            // The connection is this demo's.
            let rest = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').context("an open quote")?.1,
                None => rest.strip_prefix('…').context("no connection")?,
            };
            text = format!("psql{rest}");
        }
        if let Some(rest) = text.strip_prefix("ssh -F … ") {
            let config = self::text(&self.ready, &format!("/people/{}/ssh_config", shown.who))?;
            text = format!("ssh -F {config} {rest}");
        }
        if let (Some(old), Some(new)) = (word(&text, "req_"), &self.request) {
            text = text.replace(&old, new);
        }
        if text.starts_with("sallyport replay ") {
            text = format!("sallyport replay {}", self.last_session()?);
        }
        let program = program()?;
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("{{ {text}; }} 2>&1")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env(
            "PATH",
            format!(
                "{}:{path}",
                program.parent().context("a program without a folder")?.display()
            ),
        );
        let token = self.token(&shown.who)?;
        command
            .env("SALLYPORT_API", self::text(&self.ready, "/api")?)
            .env("SALLYPORT_TOKEN", token);
        command.env("PGHOST", self::text(&self.ready, "/postgres/host")?);
        command.env(
            "PGPORT",
            self.ready.pointer("/postgres/port").context("no port")?.to_string(),
        );
        command
            .env("PGDATABASE", "orders")
            .env("PGUSER", &shown.who)
            .env("PGPASSWORD", token);
        command
            .env("PGSSLMODE", "require")
            .env("PGOPTIONS", "-c sallyport.task=OPS-42");
        command.env("PSQLRC", "/dev/null").env("PAGER", "cat");
        Ok(command)
    }

    fn token(&self, who: &str) -> Result<&str> {
        text(&self.ready, &format!("/people/{who}/token"))
    }

    /// The session that alice had last.
    fn last_session(&self) -> Result<String> {
        let output = Command::new(program()?)
            .args(["sessions", "--principal", "alice", "--json"])
            .env("SALLYPORT_API", text(&self.ready, "/api")?)
            .env("SALLYPORT_TOKEN", self.token("audrey")?)
            .output()?;
        let sessions: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(text(&sessions, "/0/id")?.to_owned())
    }

    /// What waited goes on.
    fn go_on(&mut self) -> Result<()> {
        let Some((mut child, mut output)) = self.waiting.take() else {
            return Ok(());
        };
        let mut rest = String::new();
        output.read_to_string(&mut rest)?;
        ensure!(child.wait()?.success(), "what was approved did not succeed: {rest}");
        ensure!(rest.trim() == "ALTER TABLE", "{rest:?}");
        Ok(())
    }
}

/// The first word of a line that begins so.
fn word(line: &str, start: &str) -> Option<String> {
    let at = line.find(start)?;
    let rest = line.get(at + start.len()..)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    Some(format!("{start}{}", rest.get(..end)?))
}

/// The two have the same lines, but for what differs from run to run. A line of `…` stands for any lines.
fn compare(shown: &Shown, said: &[String]) -> Result<()> {
    let mut said_lines = said.iter().map(|line| shape(line)).filter(|line| !line.is_empty());
    let mut any = false;
    for line in shown
        .output
        .iter()
        .map(|line| shape(line))
        .filter(|line| !line.is_empty())
    {
        if line == "…" {
            any = true;
            continue;
        }
        let found = if any {
            said_lines.any(|said| said == line)
        } else {
            said_lines.next().as_ref() == Some(&line)
        };
        any = false;
        ensure!(
            found,
            "`{}` does not print\n    {line}\nit prints\n{}",
            shown.command,
            said.join("\n")
        );
    }
    if let Some(more) = said_lines.next().filter(|_| !any) {
        bail!("`{}` also prints\n    {more}", shown.command);
    }
    Ok(())
}

/// A line without what differs from run to run: times, numbers, identifiers, and blanks at its end.
fn shape(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '*');
        let id =
            core.starts_with("req_") || (core.len() >= 12 && core.chars().all(|c| c.is_ascii_hexdigit() || c == '-'));
        let shaped = if id {
            word.replace(core, "ID")
        } else {
            word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
        };
        words.push(shaped);
    }
    // How long ago something was comes in milliseconds, seconds, minutes.
    for at in 2..words.len() {
        if words.get(at).is_some_and(|word| word.starts_with("ago")) {
            let sign = if words.get(at - 2).is_some_and(|word| word.starts_with('(')) {
                "("
            } else {
                ""
            };
            words.splice(at - 2..at, [format!("{sign}0"), "s".to_owned()]);
        }
    }
    words.join(" ")
}

fn plays(page: &str) -> Result<()> {
    let commands = shown(&std::fs::read_to_string(root().join(page))?)?;
    ensure!(commands.len() >= 5, "{page} has only {} commands", commands.len());
    let (demo, ready) = start()?;
    let mut stage = Stage {
        ready,
        _demo: demo,
        waiting: None,
        request: None,
    };
    for command in &commands {
        stage.play(command).with_context(|| format!("in {page}"))?;
        if command.command.starts_with("sallyport approve ") {
            stage.go_on().with_context(|| format!("in {page}"))?;
        }
    }
    ensure!(stage.waiting.is_none(), "nobody approved what waits");
    Ok(())
}

#[test]
fn the_readme_tells_what_happens() -> Result<()> {
    plays("README.md")
}

#[test]
fn the_quick_start_tells_what_happens() -> Result<()> {
    plays("docs/src/quick-start.md")
}

/// What `sallyport … --help` says.
fn help(words: &[&str]) -> Result<String> {
    let output = Command::new(program()?).args(words).arg("--help").output()?;
    ensure!(
        output.status.success(),
        "`sallyport {}` does not exist",
        words.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The subcommands that a help lists.
fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = lines.take_while(|line| line.starts_with("  "));
    listed
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}

fn pages() -> Result<Vec<(String, String)>> {
    let mut pages = vec![(
        "README.md".to_owned(),
        std::fs::read_to_string(root().join("README.md"))?,
    )];
    for entry in std::fs::read_dir(root().join("docs/src"))? {
        let path = entry?.path();
        pages.push((path.display().to_string(), std::fs::read_to_string(&path)?));
    }
    Ok(pages)
}

#[test]
fn every_command_is_in_the_book_and_what_the_book_says_of_commands_exists() -> Result<()> {
    let top = help(&[])?;
    let mut named = BTreeSet::new();
    for (page, text) in pages()? {
        for call in text.split("sallyport ").skip(1) {
            let call = call.split(['`', '\n', ')', '|', '"', '#']).next().unwrap_or_default();
            let words: Vec<&str> = call.split_whitespace().collect();
            let Some(&command) = words.first().filter(|word| subcommands(&top).contains(word)) else {
                continue;
            };
            let mut path = vec![command];
            let mut said = help(&path)?;
            if let Some(sub) = words.get(1).filter(|sub| subcommands(&said).contains(sub)) {
                path.push(sub);
                said = help(&path)?;
            }
            for flag in words.iter().filter_map(|word| word.strip_prefix("--")) {
                let flag = flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
                let known = said.contains(&format!("--{flag} ")) || said.contains(&format!("--{flag}\n"));
                ensure!(known, "{page}: `sallyport {}` has no `--{flag}`", path.join(" "));
            }
            named.insert(path.join(" "));
        }
    }
    for command in subcommands(&top) {
        let said = help(&[command])?;
        let subs = subcommands(&said);
        let whole = subs.iter().map(|sub| format!("{command} {sub}"));
        let missing = whole.chain(subs.is_empty().then(|| command.to_owned())).find(|path| {
            let word = path.split(' ').next_back().unwrap_or_default();
            // Some are listed by their own word beside their group's.
            !(named.contains(path) || named.contains(command) && listed(word))
        });
        if let Some(path) = missing {
            bail!("the book does not say what `sallyport {path}` does");
        }
    }
    Ok(())
}

/// Whether the book has a subcommand's word by itself.
fn listed(word: &str) -> bool {
    pages().is_ok_and(|pages| pages.iter().any(|(_, text)| text.contains(&format!("`{word}`"))))
}
