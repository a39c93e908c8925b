//! Programs that expect a shell, against a target whose shells are guarded: they work as far as policy lets them, and are
//! told why where it does not.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::SshConfig;
use sallyport_tests::{SshBed, SshPlan, run, ssh_python, ssh_script};

use super::shells::guarded;
use super::{feed, said};

/// What cannot be known is refused, but for what `unless` says.
fn strict(unless: &str) -> SshPlan {
    let mut plan = guarded();
    plan.rules.push_str(&format!(
        "@id(\"nothing-unseen\") @message(\"what this runs cannot be known\") \
         forbid (principal, action == Ssh::Action::\"exec\", resource) when {{ !context.opaque.isEmpty() }} {unless};\n"
    ));
    plan
}

/// Modules are files that Ansible has put there a moment before.
const FOR_ANSIBLE: &str = "unless { context.opaque == [\"code-from-file\"] && \
     context.command like \"*/.ansible/tmp/ansible-tmp-*/AnsiballZ_*.py*\" }";

fn playbook(bed: &SshBed, config: &SshConfig) -> Result<Output> {
    let home = bed.dir().join("ansible");
    std::fs::create_dir_all(&home)?;
    let inventory = home.join("inventory");
    let host = format!(
        "{} ansible_ssh_common_args='-F {}' ansible_python_interpreter=/usr/bin/python3\n",
        config.name(),
        config.path().display()
    );
    std::fs::write(&inventory, host)?;
    let mut ansible = Command::new(ssh_python().with_file_name("ansible-playbook"));
    ansible.arg("-i").arg(&inventory).arg(ssh_script("ansible_guarded.yml"));
    ansible
        .env("ANSIBLE_HOME", &home)
        .env("HOME", &home)
        .env("ANSIBLE_SSH_CONTROL_PATH_DIR", home.join("cp"));
    ansible.env("ANSIBLE_NOCOLOR", "1").env("ANSIBLE_FORCE_COLOR", "0");
    Ok(ansible.output()?)
}

#[test]
fn ansible_works_where_a_rule_lets_its_modules_run() -> Result<()> {
    let bed = SshBed::start(&strict(FOR_ANSIBLE))?;
    let output = playbook(&bed, &bed.through("alice")?)?;
    let text = said(&output);
    ensure!(
        text.contains("failed=0") && text.contains("changed=3"),
        "{text}\n{}",
        bed.logs()
    );
    let made = std::fs::read_to_string(bed.sshd.home("deploy").join("guarded/app.conf"))?;
    ensure!(made == "host = web-1\nworkers = 4\n", "{made}");
    Ok(())
}

#[test]
fn ansible_is_told_which_rule_stops_its_modules() -> Result<()> {
    let bed = SshBed::start(&strict(""))?;
    let output = playbook(&bed, &bed.through("alice")?)?;
    let text = said(&output);
    ensure!(!output.status.success() && !text.contains("failed=0"), "{text}");
    ensure!(
        text.contains("what this runs cannot be known") && text.contains("nothing-unseen"),
        "{text}"
    );
    ensure!(!bed.sshd.home("deploy").join("guarded").exists(), "a module ran");
    Ok(())
}

#[test]
fn paramiko_drives_a_guarded_shell() -> Result<()> {
    let bed = SshBed::start(&guarded())?;
    let through = bed.through("alice")?;
    let said = run(Command::new(ssh_python())
        .arg(ssh_script("paramiko_shell.py"))
        .arg(through.path())
        .arg(through.name()))
    .with_context(|| bed.logs())?;
    ensure!(said == "status 7\ndone\n", "{said}");
    Ok(())
}

/// How editors begin: a shell that reads a script, with markers around what it says, and a forward beside it.
const EDITOR: &str = "echo begin-7f3a\nuname -rsv\nif [ -d ~/.vscode-server ]; then echo found; else echo missing; fi\n\
                      printf 'port==%s==\\n' 4711\necho end-7f3a\n";

#[test]
fn a_script_for_a_shell_at_the_host_runs_by_rule_alone() -> Result<()> {
    let lines: [&[&str]; 2] = [&["bash", "-s"], &["bash"]];
    let permitted = SshBed::start(&strict(
        "unless { context.command == \"bash -s\" || context.command == \"bash\" }",
    ))?;
    let refused = SshBed::start(&strict(""))?;
    for line in lines {
        let through = permitted.through("alice")?;
        let port = format!("127.0.0.1:{}", free_port()?);
        let mut ssh = through.program("ssh");
        ssh.args(["-T", "-D", &port]).arg(through.name()).args(line);
        let text = said(&feed(&mut ssh, EDITOR.as_bytes())?);
        ensure!(
            text.contains("begin-7f3a\n") && text.contains("missing\nport==4711==\nend-7f3a\n"),
            "{text}"
        );

        let through = refused.through("alice")?;
        let mut ssh = through.program("ssh");
        ssh.arg("-T").arg(through.name()).args(line);
        let output = feed(&mut ssh, EDITOR.as_bytes())?;
        let text = said(&output);
        ensure!(
            output.status.code() == Some(126) && text.contains("nothing-unseen"),
            "{text}"
        );
        ensure!(!text.contains("7f3a"), "{text}");
    }
    Ok(())
}

/// Without a command the lines go to the guarded shell, which judges each.
#[test]
fn a_script_for_the_guarded_shell_is_judged_line_by_line() -> Result<()> {
    let bed = SshBed::start(&strict(""))?;
    let through = bed.through("alice")?;
    let script = format!("{EDITOR}eval \"$(cat /etc/hostname)\"\necho after\n");
    let text = said(&feed(
        through.program("ssh").arg("-T").arg(through.name()),
        script.as_bytes(),
    )?);
    ensure!(text.contains("missing\nport==4711==\nend-7f3a\n"), "{text}");
    ensure!(text.contains("nothing-unseen") && text.contains("after\n"), "{text}");
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
