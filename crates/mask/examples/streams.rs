//! How many bytes a second a stream is masked on one core, in pieces of 32 KiB, every built-in detector on:
//! `cargo run --release -p sallyport-mask --example streams`.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_mask::{Detector, MaskKey, Medium, Scanner, Scratch, Strategy, TextStream};
use secrecy::SecretSlice;

/// Each measurement runs at least so long; the best of several counts.
const RUN: Duration = Duration::from_millis(150);
const RUNS: usize = 4;
const SIZE: usize = 4 << 20;
const PIECE: usize = 32 * 1024;

fn main() {
    let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
    let scanner = Arc::new(Scanner::new(&Detector::ALL.map(|kind| (kind, Strategy::Partial)), &key));
    let only = std::env::args().nth(1);
    for (name, text) in texts() {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let [bytes, terminal] = [Medium::Bytes, Medium::Terminal].map(|medium| {
            rate(&text, || {
                let mut stream = TextStream::new(Arc::clone(&scanner), medium);
                stream.resize(120);
                move |piece, out| stream.push(piece, out)
            })
        });
        let alone = rate(&text, || {
            let (mut scratch, scanner) = (Scratch::default(), &scanner);
            move |piece, out| {
                if !scanner.scan_with(piece, &mut scratch, out) {
                    out.extend_from_slice(piece);
                }
            }
        });
        println!("{name:12} bytes {bytes:5.2}   terminal {terminal:5.2}   the scanner alone {alone:5.2} GB/s");
    }
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let noise: Vec<u8> = (0..SIZE / 8).flat_map(|_| next().to_le_bytes()).collect();
    let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters: Vec<u8> = noise
        .iter()
        .filter_map(|byte| base64.get(usize::from(byte % 64)).copied())
        .collect();
    vec![
        (
            "light log",
            lines(|n, out| {
                writeln!(
                    out,
                    "2026-02-{:02}T08:30:12.{:03}Z INFO web: served /orders/{n} in {} ms with status 200 for agent curl",
                    n % 28 + 1,
                    n % 1000,
                    n % 97
                )
            }),
        ),
        (
            "heavy log",
            lines(|n, out| {
                writeln!(
                    out,
                    "{n} user ada.byron{n}@mail.example.com paid with 4111 1111 1111 1111 from 203.0.113.{} by +44 20 7946 {:04}",
                    n % 256,
                    n % 10_000
                )
            }),
        ),
        (
            "terminal log",
            lines(|n, out| {
                writeln!(
                    out,
                    "Feb {:02} 08:30:12 web-1 systemd[1]: Started session {n} of user deploy on the second seat.\r",
                    n % 28 + 1
                )
            }),
        ),
        (
            "coloured ls",
            lines(|n, out| {
                writeln!(
                    out,
                    "-rw-r--r-- 1 root root {} Feb  1 08:30 \x1b[01;34mdirectory-{n}\x1b[0m\r",
                    n * 17 % 99_999
                )
            }),
        ),
        (
            "prose",
            lines(|n, out| {
                writeln!(
                    out,
                    "The engine weaves algebraic patterns just as the loom weaves flowers and leaves; note {n}."
                )
            }),
        ),
        (
            "umlauts",
            lines(|n, out| {
                writeln!(
                    out,
                    "Die Maschine webt algebraische Muster, wie der Webstuhl Blüten und Blätter webt; {n} größer."
                )
            }),
        ),
        (
            "one line",
            lines(|n, out| {
                write!(
                    out,
                    "{{\"id\":{n},\"name\":\"item\",\"tags\":[\"a\",\"b\"],\"price\":{}.99}},",
                    n % 100
                )
            }),
        ),
        ("seq", lines(|n, out| writeln!(out, "{n}"))),
        ("seq -s ' '", lines(|n, out| write!(out, "{n} "))),
        ("digits", vec![b'7'; SIZE]),
        ("zeros", vec![0; SIZE]),
        ("0xff", vec![0xFF; SIZE]),
        ("letters", vec![b'a'; SIZE]),
        ("spaces", vec![b' '; SIZE]),
        ("escapes", b"\x1b[1m".repeat(SIZE / 4)),
        ("backspaces", b"a\x08".repeat(SIZE / 2)),
        ("returns", lines(|n, out| write!(out, "\r{}% of {n}", n % 100))),
        (
            "unseen runs",
            [b"a".as_slice(), &[0x0F; 250]].concat().repeat(SIZE / 251),
        ),
        ("base64", letters),
        ("random", noise),
    ]
}

fn lines(line: impl Fn(usize, &mut String) -> std::fmt::Result) -> Vec<u8> {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < SIZE && line(number, &mut text).is_ok() {
        number += 1;
    }
    text.into_bytes()
}

fn rate<P: FnMut(&[u8], &mut Vec<u8>)>(text: &[u8], begin: impl Fn() -> P) -> f64 {
    let mut out = Vec::with_capacity(2 * PIECE);
    let mut best = 0.0_f64;
    for _ in 0..RUNS {
        let (start, busy) = (Instant::now(), busy());
        let mut bytes = 0;
        while start.elapsed() < RUN {
            let mut push = begin();
            for piece in text.chunks(PIECE) {
                out.clear();
                push(black_box(piece), &mut out);
                black_box(&out);
            }
            bytes += text.len();
        }
        let spent = self::busy().zip(busy).map_or(start.elapsed(), |(now, then)| now - then);
        best = best.max(bytes as f64 / spent.as_secs_f64() / 1e9);
    }
    best
}

/// The time that this thread has run on a processor, where Linux tells: other programs do not count.
fn busy() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}
