//! How many bytes a second the scanner reads on one core, every built-in detector on:
//! `cargo run --release -p sallyport-mask --example throughput`.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use sallyport_mask::{Detector, MaskKey, Scanner, Scratch, Strategy};
use secrecy::SecretSlice;

/// Each measurement runs at least so long; the best of several counts.
const RUN: Duration = Duration::from_millis(200);
const RUNS: usize = 5;
const ROWS: usize = 4096;

fn main() {
    let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
    let scanner = Scanner::new(&Detector::ALL.map(|kind| (kind, Strategy::Partial)), &key);
    let heavy: Vec<String> = (0..ROWS).map(heavy).collect();
    let light: Vec<String> = (0..ROWS).map(light).collect();
    let prose: Vec<String> = (0..ROWS).map(prose).collect();
    for (name, rows) in [("heavy", &heavy), ("light", &light), ("prose", &prose)] {
        let cells: Vec<&str> = rows.iter().flat_map(|row| row.split('\t')).collect();
        let lines: Vec<&str> = rows.iter().map(String::as_str).collect();
        let whole = rows.join("\n");
        report(name, "a cell at a time", &scanner, &cells);
        report(name, "a row at a time", &scanner, &lines);
        report(name, "all at once", &scanner, &[&whole]);
    }
}

fn report(name: &str, way: &str, scanner: &Scanner, texts: &[&str]) {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let mut scratch = Scratch::default();
    let mut out = Vec::with_capacity(bytes * 2);
    let mut hits = 0;
    let mut best = 0.0_f64;
    for _ in 0..RUNS {
        let (start, busy) = (Instant::now(), busy());
        let mut rounds = 0;
        while start.elapsed() < RUN {
            hits = 0;
            out.clear();
            for text in texts {
                let found = scanner.scan_with(black_box(text.as_bytes()), &mut scratch, &mut out);
                hits += usize::from(found);
            }
            black_box(&out);
            rounds += 1;
        }
        let spent = self::busy().zip(busy).map_or(start.elapsed(), |(now, then)| now - then);
        let rate = (bytes * rounds) as f64 / spent.as_secs_f64() / 1e9;
        best = best.max(rate);
    }
    let count = texts.len();
    println!("{name:6} {way:17} {best:6.2} GB/s   {hits} of {count} texts hold something");
}

/// The time that this thread has run on a processor, where Linux tells: other programs do not count.
fn busy() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

/// A customer: six values to mask among twelve columns.
fn heavy(number: usize) -> String {
    let (a, b) = (100 + number % 500, 1000 + number % 9000);
    let card = [
        "4111111111111111",
        "5500005555555559",
        "340000000000009",
        "6011000000000004",
    ];
    let card = card.get(number % card.len()).copied().unwrap_or_default();
    format!(
        "{number}\tAda Byron {number}\tada.byron{number}@mail.example.com\t{card}\t{a}-12-{b}\tGB\t\
         12 Analytical Row, Marylebone, London\tt\t2026-01-{:02} 11:55:00.123456+00\t\
         prefers to be called in the evening, ordered {} times\t203.0.113.{}\t+44 20 7946 {b}",
        1 + number % 28,
        number % 17,
        number % 256,
    )
}

/// An order: numbers and dates, a value to mask in one row of fifty.
fn light(number: usize) -> String {
    let note = if number.is_multiple_of(50) {
        "ask ada@example.com"
    } else {
        "leave at the door"
    };
    format!(
        "{number}\t{}\tshipped\t{}.{:02}\t2026-02-{:02}\t2026-02-{:02} 08:30:12.5+00\t{note}\t\
         a1b2c3d4-0000-4000-8000-{number:012}\tstandard delivery within five working days",
        number * 7,
        number % 1000,
        number % 100,
        1 + number % 28,
        1 + number % 28,
    )
}

/// Sentences without anything.
fn prose(number: usize) -> String {
    format!(
        "The engine weaves algebraic patterns just as the loom weaves flowers and leaves; note {number} \
         goes on to say that it has no pretensions whatever to originate anything\tand the next \
         column says that it can do whatever we know how to order it to perform, as before"
    )
}
