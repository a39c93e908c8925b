//! Lines from a program.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use sallyport_prompt::{LineReader, MAX_LINE, MAX_ROWS, ReadError};

/// An open quote, a backslash at the end, a here-document that ends with `X`.
fn incomplete(text: &str) -> bool {
    let here = text.contains("<<X") && !text.lines().skip(1).any(|line| line == "X");
    text.ends_with('\\') || text.matches('\'').count() % 2 == 1 || here
}

/// All commands of an input that comes in pieces of this length.
fn commands(input: &[u8], piece: usize) -> Result<Vec<String>, ReadError> {
    let mut reader = LineReader::new(incomplete);
    let mut commands = Vec::new();
    for piece in input.chunks(piece) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (taken, command) = reader.read(rest)?;
            commands.extend(command);
            rest = rest.get(taken..).unwrap();
        }
    }
    commands.extend(reader.end()?);
    Ok(commands)
}

#[test]
fn commands_end_where_the_shell_s_do() {
    let input = b"ls -l\ncat <<X\nb\nX\necho 'a\nb'\nca\\\nt x\n\necho last";
    for piece in 1..input.len() {
        let commands = commands(input, piece).unwrap();
        let expected = ["ls -l", "cat <<X\nb\nX", "echo 'a\nb'", "ca\\\nt x", "", "echo last"];
        assert_eq!(commands, expected);
    }
}

#[test]
fn the_input_of_a_command_is_left() {
    let mut reader = LineReader::new(incomplete);
    assert_eq!(reader.read(b"cat\nfor cat\n").unwrap(), (4, Some("cat".to_owned())));
    assert_eq!(reader.read(b"half").unwrap(), (4, None));
    assert_eq!(
        reader.read(b" and half\nrest").unwrap(),
        (10, Some("half and half".to_owned()))
    );
}

#[test]
fn what_is_no_command_ends_the_reading_for_good() {
    let long = vec![b'x'; MAX_LINE + 1];
    let rows = "\\\n".repeat(MAX_ROWS);
    let bad: &[(&[u8], ReadError)] = &[
        (&long, ReadError::TooLong),
        (rows.as_bytes(), ReadError::TooLong),
        (b"ls \xff\n", ReadError::NotText),
        (b"ls \0\n", ReadError::NotText),
    ];
    for (input, error) in bad {
        for piece in [1, 7, input.len()] {
            let mut reader = LineReader::new(incomplete);
            let mut last = Ok((0, None));
            for piece in input.chunks(piece) {
                last = reader.read(piece);
            }
            assert_eq!(last, Err(*error));
            // Nothing that follows is a command of its own.
            assert_eq!(reader.read(b"\nrm -r x\n"), Err(*error));
            assert_eq!(reader.end(), Err(*error));
        }
    }
    assert_eq!(commands(b"echo 'a\nb", 3), Err(ReadError::Unfinished));
}

proptest! {
    #[test]
    fn no_byte_is_lost_or_read_twice(
        lines in proptest::collection::vec("[a-zé\\\\' ]{0,9}", 0..9),
        piece in 1_usize..20,
    ) {
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        match commands(input.as_bytes(), piece) {
            Ok(commands) => {
                let again: String = commands.iter().map(|line| format!("{line}\n")).collect();
                prop_assert_eq!(again, input);
                prop_assert!(commands.iter().all(|command| !incomplete(command)));
            }
            Err(error) => prop_assert_eq!(error, ReadError::Unfinished),
        }
    }
}
