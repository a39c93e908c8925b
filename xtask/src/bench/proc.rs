//! What a process has used, from `/proc`.

use anyhow::{Context, Result};

/// Linux counts in hundredths of a second for every architecture that it speaks of in `/proc`.
const TICK_US: u64 = 10_000;

/// User and system time of a process with all its threads, in microseconds.
pub(super) fn cpu_us(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("an unknown form of `/proc/PID/stat`")?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || {
        fields
            .next()
            .context("`/proc/PID/stat` is too short")?
            .context("not a number")
    };
    let ticks: u64 = next()? + next()?;
    Ok(ticks * TICK_US)
}

/// The same to the nanosecond, for a process whose threads have all stayed: from what the scheduler counts.
pub(super) fn cpu_ns(pid: u32) -> Result<u64> {
    let mut all = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let ran = text
            .split_whitespace()
            .next()
            .context("an unknown form of `schedstat`")?;
        all += ran.parse::<u64>()?;
    }
    Ok(all)
}

/// Resident memory of a process, in bytes.
pub(super) fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no resident size")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}
