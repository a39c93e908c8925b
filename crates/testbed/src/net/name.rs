//! Names of namespaces say who made them, so that what a killed run left behind can be told from what is in use.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::TestbedError;
use crate::cache::run;

/// Where `ip netns` keeps its namespaces.
pub(super) const FOLDER: &str = "/run/netns";

const PREFIX: &str = "sallyport-test";

/// What the names of one network's hosts begin with: this process, by its id and the moment it began, since ids come
/// again; and the network.
pub(super) fn stem() -> Result<String, TestbedError> {
    static NETWORKS: AtomicUsize = AtomicUsize::new(0);
    let pid = std::process::id();
    let began = began(pid).ok_or_else(|| super::refusal("`/proc` does not tell when this process began".to_owned()))?;
    let network = NETWORKS.fetch_add(1, Ordering::Relaxed);
    Ok(format!("{PREFIX}.{pid}.{began}.{network}"))
}

/// The namespace of a host.
pub(super) fn of_host(stem: &str, host: &str) -> String {
    format!("{stem}.{host}")
}

/// Removes the namespaces whose process is gone.
pub(super) fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir(FOLDER) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(name) = name.to_str().filter(|name| is_left_over(name)) {
            remove(name);
        }
    }
}

/// Ends what runs in a namespace and takes its name away. With its last process the kernel removes it.
///
/// Somebody else may be about the same leftover, so what fails is left to them, or to the next.
pub(super) fn remove(namespace: &str) {
    if !Path::new(FOLDER).join(namespace).exists() {
        return;
    }
    if let Ok(pids) = run(Command::new("ip").args(["netns", "pids", namespace])) {
        let pids: Vec<&str> = pids.split_whitespace().collect();
        if !pids.is_empty() {
            let _ = run(Command::new("kill").arg("-KILL").args(pids));
        }
    }
    let _ = run(Command::new("ip").args(["netns", "delete", namespace]));
}

fn is_left_over(name: &str) -> bool {
    let mut parts = name.split('.');
    if parts.next() != Some(PREFIX) {
        return false;
    }
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u64>().ok());
    let (Some(pid), Some(at)) = (number(parts.next()), number(parts.next())) else {
        return false;
    };
    u32::try_from(pid).is_ok_and(|pid| began(pid) != Some(at))
}

/// When a process began, in ticks since the machine did: the 22nd field of `/proc/PID/stat`. The second is the program's
/// name in parentheses, in which there may be anything.
fn began(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_living_are_told_from_those_of_the_dead() -> Result<(), TestbedError> {
        let mine = of_host(&stem()?, "client");
        assert!(!is_left_over(&mine), "{mine}");
        let (pid, at) = (std::process::id(), began(std::process::id()).unwrap_or(0));
        // The id came again.
        assert!(is_left_over(&format!("{PREFIX}.{pid}.{}.0.client", at + 1)));
        // Nobody has this id: the kernel's largest is 4,194,304.
        assert!(is_left_over(&format!("{PREFIX}.4194305.1.0.client")));
        for foreign in [
            "",
            "sallyport-test",
            "sallyport-test.x.1.0.a",
            "other.4194305.1.0.a",
            "vpn",
        ] {
            assert!(!is_left_over(foreign), "{foreign}");
        }
        Ok(())
    }
}
