//! What is found in the text that is held, in each of its readings.

use super::reading::Backspace;
use super::show::{Form, Hidden, Writer};
use super::{TextStream, reading, show};

impl TextStream {
    /// Finds the values in the text up to `end`, and in what else it reads as.
    pub(super) fn find(&mut self, end: usize) {
        let text = self.held.text.get(..end).unwrap_or_default();
        self.values.clear();
        let spans = self.scanner.find_by_line(text, &mut self.scratch);
        self.values.extend(spans.iter().map(|span| Hidden {
            span: *span,
            form: Form::Mask,
        }));
        let mut merge = false;
        let (mut from, mut line) = (0, 0);
        while let Some(unseen) = reading::next_unseen(text, from, line, &self.parting) {
            let (joint, joins) = reading::joint(text, unseen);
            if !joins {
                from = joint;
                continue;
            }
            // The stretch between two breaks is read alone.
            let start = self.parting.last(text, from, unseen).unwrap_or(from);
            let end = self.parting.next(text, joint - 1).unwrap_or(text.len());
            let stretch = text.get(start..end).unwrap_or_default();
            let mut parting = self.parting;
            parting.column = self.parting.column_at(text, start);
            for backspace in [Backspace::Keeps, Backspace::Overwrites] {
                if backspace == Backspace::Overwrites && memchr::memchr(0x08, stretch).is_none() {
                    continue;
                }
                self.reading.read(stretch, &parting, backspace);
                for span in self.scanner.find_by_line(&self.reading.text, &mut self.scratch) {
                    let mut span = *span;
                    let Some(range) = self.reading.place(span.start..span.end) else {
                        continue;
                    };
                    (span.start, span.end) = (start + range.start, start + range.end);
                    self.values.push(Hidden {
                        span,
                        form: backspace.form(),
                    });
                    merge = true;
                }
            }
            line = memchr::memrchr(b'\n', stretch).map_or(line, |at| start + at + 1);
            from = end;
        }
        if merge {
            show::merge(&mut self.values);
        }
    }

    /// Writes what was found in its masked form, and all else up to `end` as it is.
    pub(super) fn write(&self, end: usize, out: &mut Vec<u8>) {
        let shown = self.held.shown;
        let mut writer = Writer::new(&self.held, out);
        for value in &self.values {
            if value.span.start >= end {
                break;
            }
            if value.span.end <= shown {
                continue;
            }
            let mut value = if value.span.start < shown {
                show::rest(value, shown)
            } else {
                *value
            };
            value.span.end = value.span.end.min(end);
            writer.value(&self.scanner, &value);
        }
        writer.copy(end);
        writer.finish();
    }
}
