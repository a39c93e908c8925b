//! Clients that mean harm, and a host that is not the one it should be.

use std::process::Command;

use anyhow::{Result, ensure};
use sallyport_tests::{SshBed, SshPlan, run, ssh_python, ssh_script};

use super::{exec, peak, said};

/// Plays one scenario; what it printed. The gateway must serve others afterwards.
fn hostile(what: &str) -> Result<(SshBed, String)> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let printed = run(Command::new(ssh_python())
        .arg(ssh_script("paramiko_hostile.py"))
        .arg(through.path())
        .arg(through.name())
        .arg(what))?;
    let output = exec(&through, "echo others are served")?;
    ensure!(
        output.stdout == b"others are served\n",
        "{} {}",
        said(&output),
        bed.logs()
    );
    Ok((bed, printed))
}

#[test]
fn a_flood_of_environment_variables_is_cut_short() -> Result<()> {
    let (bed, printed) = hostile("environment")?;
    ensure!(printed == "variables True\n", "{printed} {}", bed.logs());
    let peak = peak(&bed)?;
    ensure!(peak < 200, "the gateway took {peak} MiB");
    Ok(())
}

#[test]
fn a_flood_of_channels_is_refused_from_some_point_on_and_those_before_it_work() -> Result<()> {
    let (bed, printed) = hostile("channels")?;
    ensure!(
        printed == "channels True True\nb'works\\n'\n",
        "{printed} {}",
        bed.logs()
    );
    Ok(())
}

#[test]
fn data_beyond_the_window_ends_the_connection() -> Result<()> {
    let (bed, printed) = hostile("windows")?;
    ensure!(printed == "beyond the window ended\n", "{printed} {}", bed.logs());
    Ok(())
}

#[test]
fn packets_out_of_bounds_end_the_connection() -> Result<()> {
    let (bed, printed) = hostile("packets")?;
    let expected = "an oversized packet ended\nan unknown channel ended\nan unknown kind answered\n";
    ensure!(printed == expected, "{printed} {}", bed.logs());
    Ok(())
}

#[test]
fn what_is_no_greeting_ends_the_connection() -> Result<()> {
    let (bed, printed) = hostile("greetings")?;
    let ended = printed.lines().filter(|line| line.ends_with(" ended")).count();
    ensure!(ended == 4 && printed.lines().count() == 4, "{printed} {}", bed.logs());
    Ok(())
}

#[test]
fn a_host_with_another_key_is_told_nothing() -> Result<()> {
    let plain = SshBed::start(&SshPlan::default())?;
    let address = plain.sshd.address();
    let login = plain.dir().join("login");
    // A key that is not the host's.
    let bed = SshBed::start(&SshPlan {
        target: format!(
            "[[target]]\nname = \"impostor\"\nprotocol = \"ssh\"\naddress = \"{address}\"\nenvironment = \"production\"\n\
             user = \"deploy\"\nprivate_key_file = {login:?}\n\
             host_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxUO2wLe2ujtZFSmFAYDmMlJGTNYGJTVELdWFJCBQEi\"]\n",
        ),
        ..SshPlan::default()
    })?;
    let through = bed.through("alice")?;
    let mut ssh = through.program("ssh");
    ssh.args(["-l", "alice@impostor"]).arg(through.name()).arg("true");
    let output = ssh.output()?;
    ensure!(!output.status.success(), "{}", said(&output));
    ensure!(said(&output).contains("not available"), "{}", said(&output));
    ensure!(
        plain.ran()?.is_empty() && !plain.sshd.log_tail().contains("Accepted"),
        "the impostor was logged in to: {}",
        plain.sshd.log_tail()
    );
    let log = bed.gateway.log_tail();
    ensure!(log.contains("is not the one that is meant"), "{log}");
    Ok(())
}
