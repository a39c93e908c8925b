//! The line editor of the guarded shell, and what reads lines from programs: the same however the keys were cut, and a line
//! holds nothing that its terminal did not show.

use sallyport_prompt::{Editor, Event, LineReader, Size};

/// One input: the size of the terminal, where the keys are cut, then the keys.
pub fn run(data: &[u8]) {
    let Some((&[columns, cut], keys)) = data.split_first_chunk::<2>() else { return };
    let size = Size {
        columns: u32::from(columns),
        rows: 24,
    };
    let whole = lines(size, &[keys]);
    let (first, second) = keys.split_at(usize::from(cut).min(keys.len()));
    assert_eq!(whole, lines(size, &[first, second]));
    for line in &whole {
        assert!(line.len() <= sallyport_prompt::MAX_LINE);
    }
    let mut reader = LineReader::new(sallyport_shell::is_incomplete);
    let mut rest = keys;
    while let Ok((taken, line)) = reader.read(rest) {
        rest = &rest[taken.min(rest.len())..];
        if line.is_none() {
            let _ = reader.end();
            break;
        }
    }
}

/// What is submitted when the keys come in these pieces.
fn lines(size: Size, pieces: &[&[u8]]) -> Vec<String> {
    let mut editor = Editor::new(size, true, sallyport_shell::is_incomplete);
    let (mut out, mut lines) = (Vec::new(), Vec::new());
    editor.begin("$ ", &mut out);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (taken, event) = editor.keys(rest, &mut out);
            rest = &rest[taken.min(rest.len())..];
            match event {
                Some(Event::Line(line)) => lines.push(line),
                Some(Event::Interrupt | Event::Unfinished | Event::EndOfInput) => {}
                Some(Event::Complete { .. }) => continue,
                None if taken == 0 => break,
                None => continue,
            }
            editor.begin("$ ", &mut out);
        }
    }
    lines
}
