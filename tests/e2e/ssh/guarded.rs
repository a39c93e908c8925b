//! What makes a guarded shell feel like a shell: names that Tab completes, and what one line leaves to the next.

use std::fs;

use anyhow::{Result, ensure};
use sallyport_tests::{SshBed, SshPlan, commands, transcripts};

use super::eventually;
use super::shells::{Terminal, guarded};

/// What stands between a line that was entered and what it says.
const RUNS: &str = "\x1b[?2004l";

/// Directories of the class `secret` are listed by nobody.
fn secretive(dir: &std::path::Path) -> SshPlan {
    let plan = guarded();
    SshPlan {
        rules: format!(
            "{}@id(\"no-looking\") @message(\"nobody looks there\") forbid (principal, action == Ssh::Action::\"run\", resource) \
             when {{ context.lists_classes.contains(Classification::\"secret\") }};\n",
            plan.rules
        ),
        classify: format!("[[paths]]\npath = \"{}/**\"\nclass = \"secret\"\n", dir.display()),
        ..plan
    }
}

fn lines(bed: &SshBed) -> Result<Vec<String>> {
    let transcripts = transcripts(&bed.gateway, "audrey")?;
    Ok(commands(&transcripts)
        .into_iter()
        .map(|command| format!("{command:?}"))
        .collect())
}

#[test]
fn tab_completes_names_of_the_host_whatever_is_in_them() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let home = bed.sshd.home("deploy");
    for name in [
        "odd name's $(id) \"x\".txt",
        "new\nline",
        "plain-one",
        "plain-two",
        ".hidden",
        "-rf",
        "ünder",
    ] {
        fs::write(home.join(name), "")?;
    }
    fs::create_dir(home.join("sub dir"))?;
    fs::write(home.join("sub dir/inner"), "")?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    for (typed, expected) in [
        ("odd\t", "<odd name's $(id) \"x\".txt>"),
        ("'odd\t", "<odd name's $(id) \"x\".txt>"),
        ("\"odd\t", "<odd name's $(id) \"x\".txt>"),
        // As far as the names are alike, then one more character.
        ("pl\to\t", "<plain-one>"),
        ("su\tin\t", "<sub dir/inner>"),
        ("~/su\ti\t", "<~/sub dir/inner>"),
        ("$HOME/.h\t", "</.hidden>"),
        ("ü\t", "<ünder>"),
        // No name with a newline is inserted: the word stays as it is.
        ("new\t", "<new>"),
    ] {
        // Typed at once: what follows Tab waits for the host.
        terminal.press(&format!("printf '<%s>\\n' {typed}\r"))?;
        let home = home.display().to_string();
        let expected = expected.replace('~', &home).replace("</.h", &format!("<{home}/.h"));
        terminal
            .wait(&format!("{RUNS}{expected}"))
            .map_err(|error| error.context(typed.replace('\t', "<Tab>")))?;
        terminal.wait("$ ")?;
    }
    // Once more when nothing changes: what there is, but no hidden name.
    terminal.press("cat pl\t\t\t")?;
    terminal.wait("plain-one  plain-two")?;
    terminal.wait("cat plain-")?;
    terminal.press("\x15cat \t\t")?;
    terminal.wait("-rf")?;
    terminal.press("\x15exit\r")?;
    terminal.child.wait()?;
    let asked = eventually("the recording", || {
        let lines = lines(&bed)?;
        let listings: Vec<_> = lines.into_iter().filter(|line| line.contains("ls -1apb")).collect();
        Ok((listings.len() >= 10).then_some(listings))
    })?;
    // Two Tabs in one line are one question.
    ensure!(asked.len() == 12, "{asked:#?}");
    Ok(())
}

#[test]
fn tab_completes_programs_builtins_and_variables() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    terminal.press("whoam\t> /dev/null; echo it is $?\r")?;
    terminal.wait(&format!("{RUNS}it is 0"))?;
    terminal.wait("$ ")?;
    terminal.press("expor\tTHEWORD=found\r")?;
    terminal.wait("$ ")?;
    terminal.press("echo [$THEW\t]\r")?;
    terminal.wait(&format!("{RUNS}[found ]"))?;
    terminal.press("echo \"[${THEW\t]\"\r")?;
    terminal.wait(&format!("{RUNS}[found]"))?;
    terminal.press("exit\r")?;
    terminal.child.wait()?;
    eventually("the recording", || {
        let asked = lines(&bed)?.into_iter().filter(|line| line.contains("ls -1pb")).count();
        // Once for the session.
        Ok((asked == 1).then_some(()))
    })
}

#[test]
fn a_listing_that_is_refused_or_would_be_held_is_a_bell_and_nothing_else() -> Result<()> {
    let outside = tempfile::tempdir()?;
    let hidden = outside.path().join("hidden");
    fs::create_dir(&hidden)?;
    fs::write(hidden.join("whistleblower"), "")?;
    fs::set_permissions(outside.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let held = outside.path().join("held");
    fs::create_dir(&held)?;
    fs::write(held.join("whistleblower"), "")?;
    let mut plan = secretive(&hidden);
    plan.rules.push_str(
        "@id(\"look-with-somebody\") @hold(\"dba\") forbid (principal, action == Ssh::Action::\"run\", resource) \
         when { context.lists_classes.contains(Classification::\"held\") } \
         unless { context.approved_by.contains(Group::\"dba\") };\n",
    );
    plan.classify.push_str(&format!(
        "[[paths]]\npath = \"{}/**\"\nclass = \"held\"\n",
        held.display()
    ));
    let bed = SshBed::start(&plan)?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    for dir in [&hidden, &held] {
        terminal.press(&format!("cat {}/w\t", dir.display()))?;
        terminal.wait("\x07")?;
        // A second one shows nothing either.
        terminal.press("\t")?;
        terminal.wait("\x07")?;
        // The way round.
        terminal.press(&format!(
            "\x15cat {0}/../{1}/w\t",
            dir.display(),
            dir.file_name().unwrap_or_default().display()
        ))?;
        terminal.wait("\x07")?;
        terminal.press("\x15echo on we go\r")?;
        terminal.wait(&format!("{RUNS}on we go"))?;
        terminal.wait("$ ")?;
    }
    let shown = format!("{:?}{:?}", bed.ran()?, lines(&bed)?);
    ensure!(!shown.contains("whistleblower"), "{shown}");
    ensure!(
        !format!("{:?}", bed.ran()?).contains("ls -1apb"),
        "a listing that was refused ran"
    );
    let dana = bed.gateway.login("dana")?;
    let requests = bed.gateway.api().get("/v1/requests?state=open", Some(&dana))?;
    ensure!(
        requests.body.as_array().is_some_and(Vec::is_empty),
        "{:?}",
        requests.body
    );
    Ok(())
}

#[test]
fn a_name_that_masks_would_change_is_not_offered() -> Result<()> {
    let mut plan = guarded();
    plan.rules.push_str(
        "@id(\"cards\") @mask(\"keep-last(4)\") forbid (principal, action == Action::\"reveal\", \
         resource in Classification::\"pci\");\n",
    );
    plan.classify = "[[detectors]]\nkind = \"credit_card\"\nclass = \"pci\"\n".to_owned();
    let bed = SshBed::start(&plan)?;
    let home = bed.sshd.home("deploy");
    fs::write(home.join("pay 4111 1111 1111 1111"), "")?;
    fs::write(home.join("pay day"), "")?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    terminal.press("printf '<%s>\\n' pay\t\r")?;
    terminal.wait(&format!("{RUNS}<pay day>"))
}

#[test]
fn what_is_typed_while_the_host_is_asked_waits_and_an_interrupt_gives_up() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let home = bed.sshd.home("deploy");
    fs::write(home.join("completed"), "")?;
    // The host answers no question as long as this is there.
    let slow = home.join("slow");
    fs::write(&slow, "")?;
    fs::write(
        home.join(".bashrc"),
        "case $BASH_EXECUTION_STRING in ls\\ -1apb*) touch ~/asked; while [ -e ~/slow ]; do sleep 0.02; done;; esac\n",
    )?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    terminal.press("echo comp\t")?;
    eventually("the question", || Ok(home.join("asked").exists().then_some(())))?;
    terminal.press(" and more\r\x03")?;
    // What was typed behind Tab is gone with the line.
    terminal.wait("^C")?;
    terminal.press("echo still here\r")?;
    terminal.wait(&format!("{RUNS}still here"))?;
    terminal.wait("$ ")?;
    fs::remove_file(&slow)?;
    terminal.press("echo comp\tmore\r")?;
    terminal.wait("more\r\n")?;
    terminal.wait("$ ")?;
    terminal.press("exit\r")?;
    terminal.child.wait()?;
    Ok(())
}

#[test]
fn what_is_typed_ahead_is_for_whoever_reads_it_first() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let mut terminal = Terminal::open(&bed)?;
    terminal.wait("$ ")?;
    // The program reads one line; the others are the shell's.
    terminal.press("read a\rone\recho \"two $a\"\rrm -f /nowhere\recho three\r")?;
    terminal.wait("\ntwo one\r\n")?;
    terminal.wait("nothing is removed")?;
    terminal.wait(&format!("{RUNS}three"))?;
    terminal.wait("$ ")?;
    // A line that is not complete yet goes on behind the prompt.
    terminal.press("true\recho half")?;
    terminal.wait(":~$ echo half")?;
    terminal.press("-and-half\r")?;
    terminal.wait(&format!("{RUNS}half-and-half"))
}

#[test]
fn variables_and_options_outlive_their_line() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let home = bed.sshd.home("deploy");
    let script = "x=5 y='a  b'\necho \"[$x][$y]\"\nbash -c 'echo \"child [$x]\"'\nexport x\nbash -c 'echo \"child [$x]\"'\n\
                  lines=$(printf 'one\\ntwo')\nfor l in $lines; do echo \"- $l\"; done\nx=6\nx=$((x + 1))\necho \"[$x]\"\n\
                  unset y\necho \"[${y-none}]\"\nIFS=/\nset -f\necho *\nset +f\numask 077\ntouch private\ncd /usr\ntmp=~\n\
                  cd $tmp\npwd\nset -o pipefail\nfalse | true\necho status $?\n";
    let through = bed.through("alice")?;
    let output = super::feed(through.program("ssh").arg("-T").arg(through.name()), script.as_bytes())?;
    let expected = format!(
        "[5][a  b]\nchild []\nchild [5]\n- one\n- two\n[7]\n[none]\n*\n{}\nstatus 1\n",
        home.display()
    );
    ensure!(
        String::from_utf8_lossy(&output.stdout) == expected,
        "{}",
        super::said(&output)
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(home.join("private"))?.permissions());
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    Ok(())
}

/// A program can read what its line is wrapped in, and say the end of the line before it has come.
#[test]
fn forged_variables_are_judged_for_what_they_say_and_run_nothing() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let home = bed.sshd.home("deploy");
    let victim = bed.dir().join("victim");
    fs::write(&victim, "still here")?;
    let forge = format!(
        "#!/bin/bash\nnonce=$(tr '\\0' '\\n' < /proc/$PPID/cmdline | grep -o '7777;[0-9a-f]*' | head -n1)\n\
         printf '\\033]%s;/\\n0022\\n-\\n' \"$nonce\"\n\
         printf 'declare -- %s\\n' 'x=\"rm\"' 'y=\"$(touch {0}/ran)\"' 'IFS=\"/\"' 'BASH_ENV=\"{0}/env\"' 'a;touch {0}/ran=\"\"' \
         'z=\"a[$(touch {0}/ran)]\"'\nprintf 'declare -x %s\\n' 'LD_PRELOAD=\"{0}/x\"' 'PATH=\"{0}\"'\nprintf '\\033\\\\'\n",
        home.display()
    );
    let path = home.join("forge");
    fs::write(&path, forge)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let script = format!(
        "./forge\npwd\n$x -f {0}\necho \"y is $y\"\neval \"$x -f {0}\"\nls -d /usr/bin\n",
        victim.display()
    );
    let through = bed.through("alice")?;
    let output = super::feed(through.program("ssh").arg("-T").arg(through.name()), script.as_bytes())?;
    let text = super::said(&output);
    // It was believed, and so judged.
    ensure!(text.contains("/\ny is $(touch"), "{text}");
    ensure!(text.matches("nothing is removed").count() == 2, "{text}");
    ensure!(text.contains("/usr/bin\n"), "{text}");
    ensure!(victim.exists() && !home.join("ran").exists(), "{text}");
    Ok(())
}
