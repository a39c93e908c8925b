//! What the prompts of a shell look like.

/// Prompts that are remembered.
const MAX_PROMPTS: usize = 8;

/// The prompts at which lines were typed that came back.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    known: Vec<Shape>,
}

/// A prompt without what changes from one to the next, such as the directory: how it begins, and how it ends.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    head: String,
    tail: String,
}

impl Prompts {
    /// A line was typed behind this text.
    pub(crate) fn learn(&mut self, prompt: &str) {
        let Some(shape) = Shape::of(prompt) else { return };
        if self.known.contains(&shape) {
            return;
        }
        if self.known.len() >= MAX_PROMPTS {
            self.known.remove(0);
        }
        self.known.push(shape);
    }

    /// Where a row's prompt ends, if it begins with one that is known.
    pub(crate) fn end_in(&self, row: &str) -> Option<usize> {
        self.known.iter().filter_map(|shape| shape.end_in(row)).min()
    }

    /// Whether a text is a shell's prompt: a known one, or one that ends as they do.
    pub(crate) fn is_shell(&self, prompt: &str) -> bool {
        self.end_in(prompt).is_some() || prompt.trim_end().ends_with(['$', '#', '%', '>', '❯', '➜', 'λ'])
    }
}

impl Shape {
    fn of(prompt: &str) -> Option<Self> {
        let text = prompt.trim_end();
        let last = text.char_indices().next_back().map(|(at, _)| at)?;
        let head = text.split([' ', ':', '~', '/']).next().unwrap_or_default();
        Some(Self {
            head: head.to_owned(),
            tail: prompt.get(last..)?.to_owned(),
        })
    }

    fn end_in(&self, row: &str) -> Option<usize> {
        let rest = row.strip_prefix(self.head.as_str())?;
        if self.tail.starts_with(|c| self.head.ends_with(c)) && rest.starts_with(' ') {
            let sign = self.tail.trim_end().len();
            let from = self.head.len().checked_sub(sign)?;
            if row.get(from..)?.starts_with(self.tail.as_str()) {
                return Some(from + self.tail.len());
            }
        }
        let at = rest.find(self.tail.as_str())?;
        Some(self.head.len() + at + self.tail.len())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::string_slice, reason = "tests")]
    use super::Prompts;

    #[test]
    fn a_prompt_is_known_again_in_another_directory() {
        for (prompt, row, line) in [
            ("deploy@web-1:~$ ", "deploy@web-1:/tmp$ ls -l", "ls -l"),
            ("$ ", "$ ls", "ls"),
            ("bash-5.2$ ", "bash-5.2$ id", "id"),
            ("[deploy@web-1 ~]$ ", "[deploy@web-1 tmp]$ id", "id"),
            ("P# ", "P# echo $ x", "echo $ x"),
            ("READY:~$ ", "READY:~$ y alphabet ", "y alphabet "),
        ] {
            let mut prompts = Prompts::default();
            prompts.learn(prompt);
            let end = prompts.end_in(row).unwrap();
            assert_eq!(&row[end..], line);
        }
        let mut prompts = Prompts::default();
        prompts.learn("deploy@web-1:~$ ");
        assert_eq!(prompts.end_in("password for deploy: "), None);
        assert!(!prompts.is_shell("[sudo] password for deploy: "));
        assert!(prompts.is_shell("root@web-1:/etc# "));
    }
}
