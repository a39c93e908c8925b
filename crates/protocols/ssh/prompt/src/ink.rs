//! Text as a terminal shows it. What cannot be seen, or would move the cursor, is written out and in reverse, so that
//! two different texts never look the same.

use unicode_width::UnicodeWidthChar as _;

/// What stands before each further line of a text.
pub(crate) const CONTINUED: &str = "> ";

/// Marks on one character; more of them are written out.
const MAX_MARKS: usize = 8;

/// One thing in one place of the screen: a character with its marks, or a part of what is written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glyph {
    /// Where its text ends in [`Ink::text`]; it begins where the one before ends.
    pub(crate) end: usize,
    /// Columns: 1 or 2.
    pub(crate) width: usize,
    pub(crate) reverse: bool,
    /// The byte of the line at which it stands; nothing for what is no part of the line.
    pub(crate) from: Option<usize>,
    /// A newline of the line: it has no text, and ends the row.
    pub(crate) breaks: bool,
}

/// A text, written out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ink {
    pub(crate) text: String,
    pub(crate) glyphs: Vec<Glyph>,
}

impl Ink {
    /// A prompt and the line behind it. Without `utf8` the terminal is shown ASCII only.
    pub(crate) fn new(prompt: &str, line: &str, utf8: bool) -> Self {
        let mut ink = Self::default();
        ink.write(prompt, false, utf8);
        ink.write(line, true, utf8);
        ink
    }

    /// A label on its own. Newlines are written out too.
    pub(crate) fn label(text: &str, utf8: bool) -> Self {
        let mut ink = Self::default();
        ink.write(text, false, utf8);
        ink
    }

    /// Columns that it fills.
    pub(crate) fn width(&self) -> usize {
        self.glyphs.iter().map(|glyph| glyph.width).sum()
    }

    /// As much of it as fits into so many columns.
    pub(crate) fn cut(mut self, columns: usize) -> Self {
        let mut width = 0;
        let fits = self.glyphs.iter().take_while(|glyph| {
            width += glyph.width;
            width <= columns
        });
        let fits = fits.count();
        self.glyphs.truncate(fits);
        self
    }

    /// The bytes that show it.
    pub(crate) fn plain(&self) -> String {
        let (mut shown, mut begin, mut reverse) = (String::new(), 0, false);
        for glyph in &self.glyphs {
            if glyph.reverse != reverse {
                reverse = glyph.reverse;
                shown.push_str(if reverse { "\x1b[7m" } else { "\x1b[27m" });
            }
            shown.push_str(self.text.get(begin..glyph.end).unwrap_or_default());
            begin = glyph.end;
        }
        if reverse {
            shown.push_str("\x1b[27m");
        }
        shown
    }

    fn write(&mut self, source: &str, line: bool, utf8: bool) {
        let mut marks = None;
        for (from, c) in source.char_indices() {
            let from = line.then_some(from);
            marks = self.character(c, from, marks, utf8);
        }
    }

    /// Gives how many marks what was written last has, if it can bear marks.
    fn character(&mut self, c: char, from: Option<usize>, marks: Option<usize>, utf8: bool) -> Option<usize> {
        if c == '\n' && from.is_some() {
            self.push(None, 0, false, from);
            for c in CONTINUED.chars() {
                self.push(Some(c), 1, false, None);
            }
        } else if c.is_ascii_graphic() || c == ' ' {
            self.push(Some(c), 1, false, from);
            return Some(0);
        } else if let Some(letter) = caret(c) {
            self.push(Some('^'), 1, true, from);
            self.push(Some(letter), 1, true, from);
        } else if !utf8 || is_hidden(c) {
            self.write_out(c, from);
        } else if attaches(c) {
            return self.mark(c, from, marks);
        } else {
            self.push(Some(c), c.width().unwrap_or(1).clamp(1, 2), false, from);
            return Some(0);
        }
        None
    }

    /// A mark on the character before it, if there is one and it can bear another.
    fn mark(&mut self, c: char, from: Option<usize>, marks: Option<usize>) -> Option<usize> {
        let bears = marks.filter(|marks| *marks < MAX_MARKS);
        match (bears, self.glyphs.last_mut()) {
            (Some(marks), Some(last)) => {
                self.text.push(c);
                last.end = self.text.len();
                Some(marks + 1)
            }
            (_, _) => {
                self.write_out(c, from);
                None
            }
        }
    }

    fn write_out(&mut self, c: char, from: Option<usize>) {
        for c in format!("<U+{:04X}>", u32::from(c)).chars() {
            self.push(Some(c), 1, true, from);
        }
    }

    fn push(&mut self, c: Option<char>, width: usize, reverse: bool, from: Option<usize>) {
        self.text.extend(c);
        self.glyphs.push(Glyph {
            end: self.text.len(),
            width,
            reverse,
            from,
            breaks: c.is_none(),
        });
    }
}

/// Whether a character is drawn onto the one before it, so that both are one to whoever moves or erases.
pub(crate) fn attaches(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(0) && !is_hidden(c)
}

/// The letter of a control character's `^X`.
fn caret(c: char) -> Option<char> {
    match c {
        '\u{7f}' => Some('?'),
        '\0'..='\u{1f}' => u8::try_from(c).ok().map(|byte| char::from(byte ^ 0x40)),
        _ => None,
    }
}

/// Characters that show nothing, look like a space without being one, or turn the direction of what follows:
/// Unicode's `Default_Ignorable_Code_Point`, the controls of C1, spaces, separators, noncharacters.
fn is_hidden(c: char) -> bool {
    matches!(u32::from(c),
        0x80..=0xa0 | 0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x1680 | 0x17b4..=0x17b5 | 0x180b..=0x180f
        | 0x2000..=0x200f | 0x2028..=0x202f | 0x205f..=0x206f | 0x2800 | 0x3000 | 0x3164 | 0xfe00..=0xfe0f
        | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x1bca0..=0x1bca3 | 0x1d159 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
        || u32::from(c) & 0xfffe == 0xfffe
        || (0xfdd0..=0xfdef).contains(&u32::from(c))
}
