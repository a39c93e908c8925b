//! What policy costs. `policy [ROUNDS]`
#![allow(clippy::print_stdout, reason = "a command-line program talks to its user")]

mod decisions;
mod gate;
mod rules;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().context("the number of rounds")?,
        None => 101,
    };
    decisions::measure(rounds)
}
