//! Other clients than OpenSSH's, which must not notice the gateway either.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use sallyport_testbed::SshConfig;
use sallyport_tests::{SshBed, SshPlan, run, ssh_python, ssh_script};

fn python(script: &str, config: &SshConfig) -> Result<String> {
    run(Command::new(ssh_python())
        .arg(ssh_script(script))
        .arg(config.path())
        .arg(config.name()))
}

#[test]
fn paramiko_notices_nothing() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    bed.notices_nothing(|config| python("paramiko_driver.py", config), "done")
}

#[test]
fn asyncssh_notices_nothing() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    bed.notices_nothing(|config| python("asyncssh_driver.py", config), "done")
}

/// curl, which speaks SSH by libssh2.
fn curl(config: &SshConfig, words: &[&str]) -> Result<String> {
    let mut curl = Command::new("curl");
    let key = config.identity().context("no key")?;
    curl.args(["-sS", "--fail", "-u", &format!("{}:", config.user())])
        .arg("--key")
        .arg(key);
    curl.arg("--pubkey").arg(key.with_extension("pub")).arg("--insecure");
    run(curl.args(words))
}

#[test]
fn libssh2_notices_nothing() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let file = bed.dir().join("file");
    std::fs::write(&file, "words\n".repeat(100_000))?;
    let home = bed.sshd.home("deploy");
    let scenario = |config: &SshConfig| -> Result<String> {
        let mut transcript = String::new();
        for scheme in ["sftp", "scp"] {
            let url = |path: &str| format!("{scheme}://{}{}/{path}", config.address(), home.display());
            let name = format!("by-{scheme}");
            curl(config, &["-T", &file.display().to_string(), &url(&name)])?;
            ensure!(
                std::fs::read(home.join(&name))? == std::fs::read(&file)?,
                "{scheme} wrote something else"
            );
            transcript.push_str(&curl(config, &[&url(&name)])?);
            std::fs::remove_file(home.join(&name))?;
        }
        let listing = format!("sftp://{}{}/", config.address(), home.display());
        transcript.push_str(&curl(config, &["--list-only", &listing])?);
        Ok(transcript + "done\n")
    };
    bed.notices_nothing(scenario, "done")
}

#[test]
fn ansible_runs_a_playbook() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let home = bed.dir().join("ansible");
    std::fs::create_dir(&home)?;
    let scenario = |config: &SshConfig| -> Result<String> {
        let inventory = home.join("inventory");
        let host = format!(
            "{} ansible_ssh_common_args='-F {}' ansible_python_interpreter=/usr/bin/python3\n",
            config.name(),
            config.path().display()
        );
        std::fs::write(&inventory, host)?;
        // What the last run left would change what this one has to do.
        super::exec(config, "rm -rf managed .ansible")?;
        let mut ansible = Command::new(ssh_python().with_file_name("ansible-playbook"));
        ansible
            .arg("-i")
            .arg(&inventory)
            .arg(ssh_script("ansible_playbook.yml"));
        ansible
            .env("ANSIBLE_HOME", &home)
            .env("ANSIBLE_NOCOLOR", "1")
            .env("ANSIBLE_LOCALHOST_WARNING", "0");
        ansible.env(
            "ANSIBLE_SSH_CONTROL_PATH_DIR",
            home.join(config.path().file_name().context("no name")?),
        );
        ansible.env("HOME", &home).env("ANSIBLE_FORCE_COLOR", "0");
        run(&mut ansible)
    };
    let expected = scenario(&bed.direct()?).context("without the gateway")?;
    ensure!(
        expected.contains("failed=0") && expected.contains("changed=5"),
        "{expected}"
    );
    let got = scenario(&bed.through("alice")?).with_context(|| bed.logs())?;
    ensure!(expected == got, "{got}\ninstead of\n{expected}");
    let made = std::fs::read_to_string(bed.sshd.home("deploy").join("managed/app.conf"))?;
    ensure!(made == "host = web-1\nworkers = 4\n", "{made}");
    Ok(())
}
