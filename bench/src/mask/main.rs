//! What masking costs: how many bytes a second one core searches and rewrites, beside what else could be done with
//! them. `mask [ROUNDS [ROWS [WAY]]]`: only rows and ways whose names contain these
//!
//! Every round runs each way once over the same rows, for about a millisecond, so that what else runs on the machine
//! disturbs all of them alike; medians and their ratios are printed.
#![allow(clippy::print_stdout, reason = "a command-line program talks to its user")]

mod rows;
mod ways;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::rows::Rows;
use self::ways::Way;

fn main() -> Result<()> {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().context("the number of rounds")?,
        None => 100,
    };
    let sets = [rows::heavy(), rows::light(), rows::narrow(), rows::ruled()];
    println!("GB/s on one core, medians of {rounds} interleaved rounds; ÷ touch: of what touching every byte gives\n");
    let named = |number: usize| std::env::args().nth(number).unwrap_or_default();
    let (only_rows, only_way) = (named(2), named(3));
    for rows in sets.iter().filter(|rows| rows.name.contains(&only_rows)) {
        measure(rows, rounds, &only_way);
    }
    Ok(())
}

fn measure(rows: &Rows, rounds: usize, only: &str) {
    let mut ways = ways::all(rows);
    ways.retain(|way| way.name.contains(only));
    let mut times: Vec<Vec<Duration>> = ways.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for _ in 0..rounds {
        for (way, times) in ways.iter_mut().zip(&mut times) {
            let start = Instant::now();
            black_box((way.run)(black_box(rows)));
            times.push(start.elapsed());
        }
    }
    print(rows, &ways, &mut times);
}

fn print(rows: &Rows, ways: &[Way], times: &mut [Vec<Duration>]) {
    println!(
        "{}: {} rows, {:.0} bytes of text a row in {} columns",
        rows.name,
        rows.count,
        rows.text.len() as f64 / rows.count as f64,
        rows.columns.len(),
    );
    let mut base = None;
    for (way, times) in ways.iter().zip(times) {
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64();
        let speed = (way.bytes)(rows) as f64 / median / 1e9;
        let touch = *base.get_or_insert(speed);
        println!(
            "  {:<44} {speed:>7.2}  ÷ touch {:>5.2}  {:>7.0} ns a row",
            way.name,
            speed / touch,
            median * 1e9 / rows.count as f64,
        );
    }
    println!();
}
