//! Streams: every cut gives the same text, and nothing but values changes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use sallyport_mask::{Detector, MaskKey, Medium, Rule, Scanner, Strategy, TextStream};
use secrecy::SecretSlice;

const BOTH: [Medium; 2] = [Medium::Bytes, Medium::Terminal];

fn scanner(strategy: Strategy) -> Arc<Scanner> {
    let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
    Arc::new(Scanner::new(&Detector::ALL.map(|detector| (detector, strategy)), &key))
}

fn stream(medium: Medium) -> TextStream {
    let mut stream = TextStream::new(scanner(Strategy::Partial), medium);
    stream.resize(80);
    stream
}

fn through<'p>(mut stream: TextStream, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    out
}

/// What comes out wherever the text is cut.
#[track_caller]
fn masked(medium: Medium, text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    let whole = through(stream(medium), [text]);
    for cut in 0..text.len() {
        let (left, right) = text.split_at(cut);
        let cut = through(stream(medium), [left, right]);
        assert_eq!(cut.escape_ascii().to_string(), whole.escape_ascii().to_string());
    }
    let bytes = through(stream(medium), text.chunks(1));
    assert_eq!(bytes.escape_ascii().to_string(), whole.escape_ascii().to_string());
    String::from_utf8_lossy(&whole).into_owned()
}

/// What is shown before anything else comes.
fn at_once(medium: Medium, text: impl AsRef<[u8]>) -> String {
    let mut out = Vec::new();
    stream(medium).push(text.as_ref(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_cut_gives_the_same_text() {
    let text = "$ cat k\r\n-----BEGIN RSA PRIVATE KEY-----\r\nAA\r\n-----END RSA PRIVATE KEY-----\r\n\
        pay 4111 1111 1111 1111 by ada@example.com\r\n$ aws_secret_access_key = \
        wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYab and DE89 3704 0044 0532 0130 00 or +49 (0)30 123456\r\n$ ";
    for medium in BOTH {
        assert_eq!(
            masked(medium, text),
            "$ cat k\r\n[REDACTED:private_key]\r\npay **** **** **** 1111 by a***@example.com\r\n\
             $ aws_secret_access_key = [REDACTED:aws_secret_key] and DE89 **** **** **** **30 00 or +** (*)** ****56\r\n$ "
        );
    }
}

#[test]
fn what_no_value_has_a_part_in_is_shown_at_once() {
    for medium in BOTH {
        for text in [
            "ada@web:~$ ",
            "root@web:/srv# ",
            "Password: ",
            "Continue? [y/N] ",
            "one  two\tthree\n",
            "\x1b[01;34mbin\x1b[0m  \x1b[01;34metc\x1b[0m\r\n",
            "\x1b[1m$\x1b[0m \x1b[K",
            "\x1b]0;title\x07$ ",
            "100 files (",
        ] {
            let shown = at_once(medium, text);
            let held = text.trim_end_matches('(').len();
            assert_eq!(shown, text[..held], "{text:?}");
        }
        assert_eq!(at_once(medium, "[===>  ] to 4111 1111 "), "[===>  ] to ");
    }
    assert_eq!(at_once(Medium::Terminal, "\rloading [==>   ] "), "\rloading [==>   ] ");
}

#[test]
fn colours_within_a_value_do_not_hide_it() {
    for medium in BOTH {
        for (text, want) in [
            (
                "a \x1b[1m4111 1111\x1b[0m 1111 1111\n",
                "a \x1b[1m**** ****\x1b[0m **** 1111\n",
            ),
            (
                "\x1b[31mada\x1b[m\x1b[K@example.com\n",
                "\x1b[31ma***@example.com\x1b[m\x1b[K\n",
            ),
            (
                "\x1b(B\x1b[mAKIA\x1b[1mIOSFODNN7EXAMPLE\x1b[m\n",
                "\x1b(B\x1b[m[REDACTED:aws_access_key]\x1b[1m\x1b[m\n",
            ),
            (
                "4111\x1b[C1111\x1b[C1111\x1b[C1111 \n",
                "4111\x1b[C1111\x1b[C1111\x1b[C1111 \n",
            ),
        ]
        .into_iter()
        .take(if medium == Medium::Bytes { 3 } else { 4 })
        {
            let want = if text.contains("[C") {
                "****\x1b[C****\x1b[C****\x1b[C1111 \n"
            } else {
                want
            };
            assert_eq!(masked(medium, text), want);
        }
    }
}

#[test]
fn what_a_terminal_does_within_a_line_does_not_hide_a_value() {
    for (text, want) in [
        ("4111\x0f 1111\x07 1111 1111\r\n", "****\x0f ****\x07 **** 1111\r\n"),
        ("4111 1111\r 1111 1111\r\n", "**** ****\r **** 1111\r\n"),
        (
            "4\u{8}41\u{8}11\u{8}11\u{8}1 1111 1111 1111\r\n",
            "*\u{8}**\u{8}**\u{8}**\u{8}* **** **** ****\r\n",
        ),
        ("4111 1112\u{8}1 1111 1111\r\n", "**** ****\u{8}* **** ****\r\n"),
        ("4111 1112\x1b[D1 1111 1111\r\n", "**** ****\x1b[D* **** ****\r\n"),
        ("41\x1b[13b1 \r\n", "**\x1b[13b1 \r\n"),
        ("ada\u{8}a@example.com\r\n", "***\u{8}*@***********\r\n"),
    ] {
        let shown = masked(Medium::Terminal, text);
        assert!(
            !shown.contains("1112") && !shown.contains("1111 1111") && !shown.contains("ada"),
            "{shown:?}"
        );
        if !text.contains("ada") {
            assert_eq!(shown, want);
        }
    }
}

#[test]
fn digits_that_are_taken_back_do_not_hide_a_number() {
    let shown = masked(Medium::Terminal, "4111 1111 1111 11117 \u{8}\u{8}fe80::1\r\n");
    assert!(shown.starts_with("**** **** **** ****7 \u{8}\u{8}"), "{shown:?}");
}

#[test]
fn a_line_that_is_wrapped_does_not_hide_a_value() {
    for end in ["\r\n", " \r", "\r"] {
        for before in [60, 61, 65, 72, 75, 79] {
            let mut line = "x".repeat(before - 1) + " 4111 1111 1111 1111 paid";
            line.insert_str(80, end);
            let shown = masked(Medium::Terminal, line.clone() + "\r\n");
            let seen: String = shown.chars().filter(|c| *c == '1').collect();
            assert_eq!(seen, "1111", "{line:?} {shown:?}");
            assert!(shown.contains(end) && shown.ends_with("paid\r\n"), "{shown:?}");
        }
    }
    // A line that just ends does not join the next.
    assert_eq!(
        masked(Medium::Terminal, "4111 1111\r\n1111 1111\r\n"),
        "4111 1111\r\n1111 1111\r\n"
    );
    // Without a width any long line may go on.
    let mut line = "x".repeat(60) + " 4111 1111 1111 1111 paid";
    line.insert_str(70, "\r\n");
    let wide = TextStream::new(scanner(Strategy::Partial), Medium::Terminal);
    let shown = String::from_utf8(through(wide, [line.as_bytes()])).unwrap();
    assert_eq!(shown, "x".repeat(60) + " **** ****\r\n **** 1111 paid");
}

#[test]
fn titles_are_masked_and_clipboards_with_values_are_left_out() {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    for medium in BOTH {
        assert_eq!(
            masked(medium, "\x1b]0;mail ada@example.com\x07$ "),
            "\x1b]0;mail a***@example.com\x07$ "
        );
        let harmless = format!("a\x1b]52;c;{}\x1b\\b ", encode("hello"));
        assert_eq!(masked(medium, &harmless), harmless);
        let card = format!("a\x1b]52;c;{}\x07b ", encode("to 4111111111111111."));
        assert_eq!(masked(medium, &card), "ab ");
        let endless = format!("a\x1b]52;c;{}", encode("to 4111111111111111."));
        assert_eq!(masked(medium, &endless), "a");
        let long = format!("a\x1b]52;c;{}\x07b ", encode("4111111111111111 ").repeat(4000));
        assert_eq!(through(stream(medium), [long.as_bytes()]), b"ab ");
    }
}

#[test]
fn what_is_no_sequence_passes_as_bytes() {
    for medium in BOTH {
        for text in [
            b"\x1b\x1b[0mx ".to_vec(),
            b"\x1b[1;\x00m x \x1b".to_vec(),
            [b"\x1b]0;".as_slice(), &[b'a'; 70_000]].concat(),
            [b"\x1bP".as_slice(), &[b'a'; 100], b"\x1b[0m"].concat(),
            b"\x1b]0;abc".to_vec(),
        ] {
            assert_eq!(through(stream(medium), [text.as_slice()]), text);
            assert_eq!(through(stream(medium), text.chunks(1)), text);
        }
        assert_eq!(
            masked(medium, "\x1b]0;4111 1111 1111 1111\x18\n"),
            "\x1b]0;**** **** **** 1111\x18\n"
        );
    }
}

#[test]
fn characters_are_not_cut() {
    for medium in BOTH {
        let mut stream = stream(medium);
        let mut out = Vec::new();
        let text = "gr\u{fc}\u{df}e \u{1F600}";
        for byte in text.bytes() {
            stream.push(&[byte], &mut out);
            stream.flush(&mut out);
            assert!(std::str::from_utf8(&out).is_ok(), "{out:?}");
        }
        assert_eq!(out, text.as_bytes());
        // Half of one that nothing follows is shown after a while.
        stream.push(b"\xe2\x82", &mut out);
        stream.flush(&mut out);
        assert!(stream.is_holding());
        stream.flush(&mut out);
        assert!(!stream.is_holding() && out.ends_with(b"\xe2\x82"));
    }
}

#[test]
fn a_value_that_goes_on_behind_a_pause_stays_hidden() {
    for medium in BOTH {
        let mut stream = stream(medium);
        let mut out = Vec::new();
        stream.push(b"pay 4111 1111 ", &mut out);
        stream.flush(&mut out);
        stream.push(b"1111 1111\n", &mut out);
        assert_eq!(out, b"pay 4111 1111 **** ****\n");
    }
    // What was typed is seen as it is typed.
    let mut stream = stream(Medium::Terminal);
    let mut out = Vec::new();
    for byte in b"ada@example.com" {
        stream.push(&[*byte], &mut out);
        stream.flush_echo(&mut out);
    }
    assert_eq!(out, b"ada@example.com");
}

#[test]
fn a_key_that_pauses_stays_hidden() {
    for medium in BOTH {
        let mut stream = stream(medium);
        let mut out = Vec::new();
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\r\n";
        for piece in ["$ cat k\r\n-----BEGIN PRIV", "ATE KEY-----\r\n", line, line, "AA==\r\n"] {
            stream.push(piece.as_bytes(), &mut out);
            if !piece.ends_with('V') {
                stream.flush(&mut out);
            }
        }
        stream.push(b"-----END PRIVATE KEY-----\r\n$ ", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "$ cat k\r\n[REDACTED:private_key]\r\n$ "
        );
    }
}

#[test]
fn an_endless_key_is_not_held_for_ever() {
    for medium in BOTH {
        let line = [b'A'; 64].as_slice();
        let mut text = b"-----BEGIN PRIVATE KEY-----\n".to_vec();
        for _ in 0..2000 {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        let mut stream = stream(medium);
        let mut out = Vec::new();
        stream.push(&text, &mut out);
        assert_eq!(out, b"[REDACTED:private_key]");
        assert!(stream.held().len() <= 40_000);
        stream.push(b"-----END PRIVATE KEY-----\nafter\n", &mut out);
        assert_eq!(out, b"[REDACTED:private_key]\nafter\n");
    }
    // What only speaks of keys does not hide what follows.
    let source =
        "let begin = \"-----BEGIN PRIVATE KEY-----\";\nlet x = f(1);\n".to_owned() + &"let y = g(2);\n".repeat(3000);
    let shown = masked_pieces(Medium::Bytes, source.as_bytes());
    assert!(
        shown.ends_with("let y = g(2);\n") && shown.len() > source.len() - 60,
        "{}",
        shown.len()
    );
}

fn masked_pieces(medium: Medium, text: &[u8]) -> String {
    let whole = through(stream(medium), [text]);
    for size in [1, 7, 100, 4096, 32 * 1024] {
        let pieces = through(stream(medium), text.chunks(size));
        assert!(pieces == whole, "pieces of {size}");
    }
    String::from_utf8_lossy(&whole).into_owned()
}

#[test]
fn long_lines_hide_nothing() {
    let card = "{\"card\":\"4111111111111111\",\"mail\":\"ada@example.com\",\"n\":[1,2,3]},";
    for medium in BOTH {
        for offset in 0..70 {
            let text = "x".repeat(offset) + "\"" + &card.repeat(1000);
            let shown = through(stream(medium), text.as_bytes().chunks(32 * 1024));
            let shown = String::from_utf8(shown).unwrap();
            assert!(
                !shown.contains("4111111111111111") && !shown.contains("ada@"),
                "{offset}"
            );
            assert_eq!(shown.matches("************1111").count(), 1000);
        }
        let text = "seventeen".repeat(9000) + " 4111111111111111\n";
        assert!(masked_pieces(medium, text.as_bytes()).ends_with("n ************1111\n"));
    }
}

#[test]
fn a_value_longer_than_a_window_is_hidden_to_its_end() {
    let token = "sk-ant-api03-".to_owned() + &"aB3".repeat(20_000);
    for medium in BOTH {
        let text = format!("key=\"{token}\" and more\n");
        assert_eq!(
            masked_pieces(medium, text.as_bytes()),
            "key=\"[REDACTED:anthropic_key]\" and more\n"
        );
    }
}

#[test]
fn a_token_across_the_edge_of_a_window_is_found() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.".to_owned() + &"eyJzdWIiOiIxIn0x".repeat(200) + ".c2ln";
    for before in (12_000..17_000).step_by(97) {
        let text = "[1],".repeat(before / 4) + "\"" + &jwt + "\"," + &"[1],".repeat(5000);
        let shown = through(stream(Medium::Bytes), text.as_bytes().chunks(8192));
        let shown = String::from_utf8(shown).unwrap();
        assert!(
            shown.contains("\"[REDACTED:jwt]\"") && !shown.contains("eyJ"),
            "{before}"
        );
    }
}

#[test]
fn sequences_without_end_are_not_held_for_ever() {
    for medium in BOTH {
        let text = "4111 1111".to_owned() + &"\x1b[1m".repeat(20_000) + " 1111 1111\n";
        let shown = masked_pieces(medium, text.as_bytes());
        assert!(shown.starts_with("4111 1111\x1b") && shown.ends_with("m **** ****\n"));
    }
}

#[test]
fn an_archive_keeps_its_length() {
    let mut header = vec![0; 512];
    header[..8].copy_from_slice(b"card.txt");
    let file = format!(
        "{:512}",
        "pay 4111 1111 1111 1111 to ada@example.com AKIAIOSFODNN7EXAMPLE\n"
    );
    let archive = [&header, file.as_bytes(), &[0; 1024]].concat();
    let want = file
        .replace("4111 1111 1111 1111", "**** **** **** 1111")
        .replace("AKIAIOSFODNN7EXAMPLE", &"*".repeat(20))
        .replace("ada@example.com", "a***@example.com");
    assert_eq!(want.len(), 513);
    let want = want.replace("a***@example.com", &"*".repeat(15));
    let want = [&header, want.as_bytes(), &[0; 1024]].concat();
    assert_eq!(masked(Medium::Bytes, &archive), String::from_utf8(want).unwrap());
    // Before the first zero nobody counts bytes.
    assert_eq!(masked(Medium::Bytes, "ada@example.com\n\0\n"), "a***@example.com\n\0\n");
}

#[test]
fn nothing_makes_it_hold_much() {
    let size = 300_000;
    let texts = [
        vec![b'7'; size],
        vec![0xFF; size],
        vec![0; size],
        vec![b' '; size],
        b"4 ".repeat(size / 2),
        b"a\x08".repeat(size / 2),
        b"a\r".repeat(size / 2),
        b"\x0f".repeat(size),
        b"\x1b[".repeat(size / 2),
        b"\x1b[1m".repeat(size / 4),
        b"\x1b[C".repeat(size / 3),
        b"\x1b[64D".repeat(size / 5),
        b"\x1b]0;".repeat(size / 4),
        b"a\x1b]52;".repeat(size / 6),
        b"-----BEGIN ".repeat(size / 11),
        b"-----BEGIN PRIVATE KEY-----".repeat(size / 27),
        b"aws_secret_access_key = ".repeat(size / 24),
        b"a@".repeat(size / 2),
        b"://a:".repeat(size / 5),
        b"eyJ.".repeat(size / 4),
        "\u{661}\u{200B} ".as_bytes().repeat(size / 6),
    ];
    for medium in BOTH {
        for text in &texts {
            let mut stream = stream(medium);
            let mut out = Vec::new();
            let mut given = 0;
            for piece in text.chunks(1000) {
                stream.push(piece, &mut out);
                given += piece.len();
                assert!(stream.held().len() <= 52 * 1024, "{}", stream.held().len());
                let hidden = text.starts_with(b"-----BEGIN PRIVATE");
                assert!(
                    hidden || out.len() + 160 * 1024 >= given,
                    "{}",
                    text[..9].escape_ascii()
                );
            }
            stream.flush(&mut out);
            assert!(stream.held().len() <= 3);
        }
    }
}

#[test]
fn users_expressions_see_lines() {
    let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
    let rule = Rule::Custom {
        name: "staff".to_owned(),
        regex: r"(?s)staff +\d+.?".to_owned(),
    };
    let scanner = Arc::new(Scanner::with_rules(&[(rule, Strategy::Partial)], &key).unwrap());
    let text = b"a staff   12\nb staff 7 x\n";
    for medium in BOTH {
        for cut in 0..text.len() {
            let (left, right) = text.split_at(cut);
            let shown = through(TextStream::new(Arc::clone(&scanner), medium), [left, right]);
            assert_eq!(shown, b"a [REDACTED:staff]b [REDACTED:staff]x\n");
        }
    }
}

fn fragment() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"4111 1111 1111 1111",
        b"4111111111111111",
        b"ada@example.com",
        b"219-09-9932",
        b"+1 415 555 0132",
        b"\r\n",
        b"DE89 3704 0044 0532 0130 00",
        b"AKIAIOSFODNN7EXAMPLE",
        b"ghp_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
        b"\n",
        b" ",
        b" ",
        b"\t",
        b"\r",
        b" \r",
        b"\x08",
        b"\x1b[1m",
        b"\x1b[0m",
        b"\x1b[C",
        b"\x1b[2D",
        b"\x1b[3;4H",
        b"\x1b]0;",
        b"\x07",
        b"\x1b\\",
        b"\x1b",
        b"\x1b[3b",
        b"\x0f",
        b"\0",
        b"\xc3",
        b"\xe2\x82\xac",
        b"\xff",
        b"0123",
        b"4",
        b"7 ",
        b"postgres://bob:secret@db/x",
        b"-----BEGIN PRIVATE KEY-----",
        b"-----END PRIVATE KEY-----",
        b"AA==",
        b"x",
        b"@",
        b".",
        b"aws_secret_access_key",
        b" = ",
        b"wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYab",
        b"10.0.0.1",
        b"fe80::1",
        b"\"",
        b"word",
        b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        b"\xd9\xa4\xd9\xa1",
        b"ABC ",
        b"(415)",
    ];
    proptest::sample::select(known).prop_map(<[u8]>::to_vec)
}

fn text() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    proptest::collection::vec(
        prop_oneof![9 => fragment(), 1 => proptest::collection::vec(any::<u8>(), 0..4)],
        0..40,
    )
    .prop_map(|parts| parts.concat())
}

/// So many texts are tried; `PROPTEST_CASES` says otherwise.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn random_cuts_give_the_same_text(text in text(), cuts in proptest::collection::vec(1..60_usize, 0..40)) {
        for medium in BOTH {
            let whole = through(stream(medium), [text.as_slice()]);
            let mut rest = text.as_slice();
            let mut pieces = Vec::new();
            for cut in &cuts {
                let (piece, later) = rest.split_at(rest.len().min(*cut));
                pieces.push(piece);
                rest = later;
            }
            pieces.push(rest);
            let cut = through(stream(medium), pieces.iter().copied());
            prop_assert_eq!(cut.escape_ascii().to_string(), whole.escape_ascii().to_string());
            let bytes = through(stream(medium), text.chunks(1));
            prop_assert_eq!(bytes.escape_ascii().to_string(), whole.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_stream_of_bytes_finds_what_the_scanner_finds(text in text()) {
        let text: Vec<u8> = text.into_iter().filter(|byte| !b"\0\x1b".contains(byte)).collect();
        // A key without an end is judged by its lines in a stream.
        if memchr::memmem::find(&text, b"BEGIN").is_some() {
            return Ok(());
        }
        let mut want = Vec::new();
        if !scanner(Strategy::Partial).scan(&text, &mut want) {
            want.clone_from(&text);
        }
        let shown = through(stream(Medium::Bytes), text.chunks(5));
        prop_assert_eq!(shown.escape_ascii().to_string(), want.escape_ascii().to_string());
    }

    #[test]
    fn pauses_and_finding_nothing_change_no_byte(text in text(), size in 1..20_usize) {
        let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
        let npm = Arc::new(Scanner::new(&[(Detector::NpmToken, Strategy::Partial)], &key));
        for medium in BOTH {
            let mut stream = TextStream::new(Arc::clone(&npm), medium);
            let mut out = Vec::new();
            for piece in text.chunks(size) {
                stream.push(piece, &mut out);
                stream.flush(&mut out);
            }
            stream.finish(&mut out);
            prop_assert_eq!(out.escape_ascii().to_string(), text.escape_ascii().to_string());
        }
    }
}
