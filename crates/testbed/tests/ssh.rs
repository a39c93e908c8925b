//! The throw-away OpenSSH server is what it says, and leaves nothing behind.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use sallyport_testbed::{Account, KeyKind, Ran, SshAuthority, SshConfig, SshKey, Sshd, SshdOptions, What};
use tempfile::TempDir;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A server with one account, whose key is in the directory.
fn with_key(settings: &[&str]) -> Result<(Sshd, SshConfig, TempDir)> {
    let dir = tempfile::tempdir()?;
    let key = SshKey::generate(&dir.path().join("id"), KeyKind::Ed25519)?;
    let sshd = Sshd::start(&SshdOptions {
        accounts: vec![Account::new("deploy").with_key(key.public())],
        settings: settings.iter().map(|&line| line.to_owned()).collect(),
        ..SshdOptions::default()
    })?;
    let config = config(&sshd, dir.path(), &[&identity(&key)])?;
    Ok((sshd, config, dir))
}

fn identity(key: &SshKey) -> String {
    format!("IdentityFile {}", key.path().display())
}

fn config(sshd: &Sshd, dir: &Path, more: &[&str]) -> Result<SshConfig> {
    let more: Vec<String> = more.iter().map(|&line| line.to_owned()).collect();
    let path = dir.join("config");
    Ok(SshConfig::write(
        &path,
        "host",
        sshd.address(),
        "deploy",
        sshd.host_keys(),
        &more,
    )?)
}

fn run(command: &mut Command) -> Result<Output> {
    Ok(command.stdin(Stdio::null()).output()?)
}

fn exec(config: &SshConfig, line: &str) -> Result<(bool, String)> {
    let output = run(&mut config.exec(line))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn ran(line: &str) -> Ran {
    Ran {
        user: "deploy".to_owned(),
        what: What::Exec(line.to_owned()),
    }
}

#[test]
fn a_key_logs_in_and_what_ran_is_known() -> Result {
    let (sshd, config, dir) = with_key(&[])?;
    let line = "id -un; echo \"$SHELL $SHLVL $0\"; pwd\n# two lines, 'quotes'";
    let (ok, said) = exec(&config, line)?;
    assert!(ok, "{said} {}", sshd.log_tail());
    let home = sshd.home("deploy");
    assert_eq!(said, format!("deploy\n/bin/bash 1 bash\n{}\n", home.display()));
    assert_eq!(run(&mut config.exec("exit 7"))?.status.code(), Some(7));

    let mut shell = config.program("ssh");
    let mut shell = shell
        .arg("-T")
        .arg("host")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut shell.stdin.take().ok_or("no input")?, b"echo $0 $SHLVL\n")?;
    assert_eq!(String::from_utf8_lossy(&shell.wait_with_output()?.stdout), "-bash 1\n");

    let batch = dir.path().join("batch");
    std::fs::write(&batch, "mkdir d\nrename d e\n")?;
    let sftp = run(config.program("sftp").arg("-b").arg(&batch).arg("host"))?;
    assert!(sftp.status.success() && home.join("e").is_dir(), "{sftp:?}");
    let operations = sshd.sftp_operations()?;
    assert!(
        operations
            .iter()
            .any(|line| line.contains("rename old") && line.contains("/e\"")),
        "{operations:?}"
    );

    let shell = Ran {
        user: "deploy".to_owned(),
        what: What::Shell,
    };
    let sftp = Ran {
        user: "deploy".to_owned(),
        what: What::Sftp,
    };
    assert_eq!(sshd.ran()?, [ran(line), ran("exit 7"), shell, sftp]);
    Ok(())
}

#[test]
fn the_environment_reaches_the_shell_and_not_the_record_keeper() -> Result {
    let (sshd, config, dir) = with_key(&["AcceptEnv BASH_ENV"])?;
    let hook = dir.path().join("hook");
    std::fs::write(&hook, "echo hooked\n")?;
    for path in [dir.path(), &hook] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let mut ssh = config.program("ssh");
    ssh.args(["-o", "SendEnv=BASH_ENV"]).env("BASH_ENV", &hook);
    // The account's own shell reads it not (sshd started it), one below does.
    let output = run(ssh.args(["host", "bash -c 'echo ran'; true"]))?;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "hooked\nran\n",
        "{}",
        sshd.log_tail()
    );
    Ok(())
}

#[test]
fn passwords_and_questions_take_the_password_and_only_the_password() -> Result {
    let sshd = Sshd::start(&SshdOptions {
        accounts: vec![Account::new("deploy").with_password("right")],
        keyboard_interactive: true,
        ..SshdOptions::default()
    })?;
    let dir = tempfile::tempdir()?;
    for method in ["password", "keyboard-interactive"] {
        let config = config(&sshd, dir.path(), &[&format!("PreferredAuthentications {method}")])?;
        for (password, expected) in [("right", true), ("wrong", false)] {
            let mut sshpass = Command::new("sshpass");
            sshpass.args(["-p", password, "ssh", "-F"]).arg(config.path());
            let output = run(sshpass.args(["-o", "NumberOfPasswordPrompts=1", "host", "true"]))?;
            assert_eq!(
                output.status.success(),
                expected,
                "{method} {password}: {output:?} {}",
                sshd.log_tail()
            );
        }
    }
    let machine = std::fs::read_to_string("/etc/passwd")?;
    assert!(!machine.contains("deploy"), "the machine has no such account");
    Ok(())
}

#[test]
fn certificates_log_in_while_they_are_valid_and_hosts_have_them_too() -> Result {
    let dir = tempfile::tempdir()?;
    let users = SshAuthority::generate(&dir.path().join("users"))?;
    let hosts = SshAuthority::generate(&dir.path().join("hosts"))?;
    let sshd = Sshd::start(&SshdOptions {
        user_authority: Some(users.public().to_owned()),
        host_authority: Some(hosts.clone()),
        ..SshdOptions::default()
    })?;
    let cases = [
        ("+5m", "deploy", true),
        ("-2h:-1h", "deploy", false),
        ("+5m", "other", false),
    ];
    for (number, (validity, accounts, expected)) in cases.into_iter().enumerate() {
        let key = SshKey::generate(&dir.path().join(format!("id{number}")), KeyKind::Ed25519)?;
        let certificate = users.certify_user(&key, &[accounts], validity)?;
        let path = dir.path().join("config");
        let trusted = format!("@cert-authority * {}\n", hosts.public());
        let more = [
            identity(&key),
            format!("CertificateFile {}", certificate.display()),
            "HostKeyAlias 127.0.0.1".into(),
        ];
        let config = SshConfig::write(&path, "host", sshd.address(), "deploy", &[], &more)?;
        std::fs::write(path.with_extension("known_hosts"), &trusted)?;
        let (ok, said) = exec(&config, "true")?;
        assert_eq!(ok, expected, "{validity} {accounts}: {said} {}", sshd.log_tail());
    }
    Ok(())
}

#[test]
fn settings_win_over_what_is_there_without_them() -> Result {
    let (sshd, config, dir) = with_key(&["AllowTcpForwarding no", "MaxSessions 1"])?;
    let refused = run(config.program("ssh").args(["-W", "127.0.0.1:1", "host"]))?;
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("stdio forwarding failed"),
        "{refused:?}"
    );
    assert!(
        sshd.log_tail().contains("refused local port forward"),
        "{}",
        sshd.log_tail()
    );
    let socket = dir.path().join("mux");
    let mut master = config.program("ssh");
    master
        .args(["-M", "-N", "-f", "-o", "ControlPersist=no", "-S"])
        .arg(&socket)
        .arg("host");
    assert!(run(&mut master)?.status.success());
    let over = |line: &str| {
        let mut ssh = config.program("ssh");
        ssh.arg("-S")
            .arg(&socket)
            .args(["-o", "ControlMaster=no", "host", line]);
        ssh
    };
    let mut first = over("echo ready; exec cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(first.stdout.take().ok_or("no output")?),
        &mut line,
    )?;
    let second = run(&mut over("true"))?;
    let refused = String::from_utf8_lossy(&second.stderr).contains("refused");
    assert!(line == "ready\n" && refused, "{second:?}");
    drop(first.stdin.take());
    assert!(first.wait()?.success());
    assert!(
        run(config
            .program("ssh")
            .arg("-S")
            .arg(&socket)
            .args(["-O", "exit", "host"]))?
        .status
        .success()
    );
    Ok(())
}

#[test]
fn dropping_the_handle_ends_its_sessions_and_leaves_no_directory() -> Result {
    let (sshd, config, _keys) = with_key(&[])?;
    let mut session = config.program("ssh");
    let mut session = session
        .args(["host", "echo ready; exec sleep 1000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    let mut output = std::io::BufReader::new(session.stdout.take().ok_or("no output")?);
    std::io::BufRead::read_line(&mut output, &mut line)?;
    assert_eq!(line, "ready\n");
    let dir = sshd.dir().to_owned();
    drop(sshd);
    assert!(!dir.exists(), "the directory is still there");
    // The session's process is gone too, or this would last.
    assert!(!session.wait()?.success());
    Ok(())
}
