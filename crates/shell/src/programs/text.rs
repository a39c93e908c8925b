//! `sed` and `awk`: little languages that can run programs and open files. What they do is read from their text, as
//! far as it is plain; otherwise the text counts as code that is not followed.

use super::options::{Options, Order, parse};
use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Code, Opaque, Run};
use crate::paths::field::Field;

const SED: &str = "-n,--quiet,--silent -e,--expression=_ -f,--file=f -i,--in-place?_ -E,-r,--regexp-extended \
    -s,--separate -u,--unbuffered -z,--null-data -l,--line-length=_ --posix --debug --follow-symlinks --sandbox \
    --help --version -b,--binary";
const AWK: &str = "-F,--field-separator=_ -v,--assign=_ -f,--file=f --version --help --posix";

/// What a script of `sed` opens.
#[derive(Default, Debug, PartialEq, Eq)]
struct Script {
    reads: Vec<String>,
    writes: Vec<String>,
}

impl Evaluator<'_> {
    /// `sed`, `awk`.
    pub(crate) fn text_tool(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        match run.program.as_str() {
            "sed" | "gsed" => self.sed(run.clone(), arguments, state, context),
            "awk" | "gawk" | "mawk" | "nawk" | "original-awk" => self.awk(run.clone(), arguments, state, context),
            _ => return false,
        }
        true
    }

    fn sed(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        run.known = true;
        let parsed = parse(&Options::of(SED), arguments, Order::Anywhere);
        self.little_options(&parsed);
        let mut scripts: Vec<Field> = parsed.values("-e").cloned().collect();
        let mut files = parsed.operands.clone();
        if scripts.is_empty() && !parsed.has("-f") && !files.is_empty() {
            scripts.push(files.remove(0));
        }
        for value in parsed.values("-f") {
            self.role("f", value, &mut run, state, context);
        }
        for script in scripts {
            match script.exact().as_deref().and_then(sed_script) {
                Some(found) => {
                    for file in found.reads {
                        self.path(&mut run, &Field::constant(&file), Uses::READ, state);
                    }
                    for file in found.writes {
                        self.path(&mut run, &Field::constant(&file), Uses::WRITE, state);
                    }
                }
                None => {
                    run.interprets = Some(Code::Text);
                    self.opaque(Opaque::CodeText);
                }
            }
        }
        // The suffix of a copy may name another directory.
        let in_place = parsed.has("-i");
        if parsed.values("-i").any(|suffix| suffix.contains('/')) {
            self.opaque(Opaque::UnknownOption);
        }
        for file in &files {
            self.path(&mut run, file, Uses::only(true, in_place, false), state);
        }
        self.list(run);
    }

    fn little_options(&mut self, parsed: &super::options::Parsed) {
        if !parsed.unknown.is_empty() {
            self.opaque(Opaque::UnknownOption);
        }
        if parsed.dynamic || parsed.wild {
            self.opaque(Opaque::DynamicArgument);
        }
    }

    fn awk(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        run.known = true;
        let parsed = parse(&Options::of(AWK), arguments, Order::First);
        self.little_options(&parsed);
        for value in parsed.values("-f") {
            self.role("f", value, &mut run, state, context);
        }
        let mut operands = parsed.operands.iter();
        if !parsed.has("-f") {
            let program = operands.next();
            if !program.and_then(Field::exact).is_some_and(|text| awk_is_plain(&text)) {
                run.interprets = Some(Code::Text);
                self.opaque(Opaque::CodeText);
            }
        }
        for file in operands {
            self.path(&mut run, file, Uses::READ, state);
        }
        self.list(run);
    }
}

/// Reads a script; `None`: it runs something, or it is not plain.
fn sed_script(text: &str) -> Option<Script> {
    let mut script = Script::default();
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < characters.len() {
        at = skip(&characters, at, |c| {
            c.is_ascii_whitespace() || matches!(c, ';' | '{' | '}')
        });
        at = address(&characters, at)?;
        let Some(command) = characters.get(at).copied() else {
            break;
        };
        at += 1;
        match command {
            'p' | 'P' | 'd' | 'D' | 'n' | 'N' | 'h' | 'H' | 'g' | 'G' | 'x' | '=' | 'z' | 'F' | '{' | '}' | 'q'
            | 'Q' | 'l' => {
                at = skip(&characters, at, |c| c.is_ascii_digit() || c == ' ');
                if !matches!(characters.get(at), None | Some(';' | '\n' | '}' | '#')) && !matches!(command, '{' | '}') {
                    return None;
                }
            }
            's' => at = substitution(&characters, at)?,
            'y' => {
                let delimiter = *characters.get(at)?;
                at = part(&characters, at + 1, delimiter)?;
                at = part(&characters, at, delimiter)?;
            }
            'a' | 'i' | 'c' | 'b' | 't' | 'T' | ':' | '#' => at = line(&characters, at, command)?,
            'r' | 'R' | 'w' | 'W' => {
                let end = skip(&characters, at, |c| c != '\n');
                let name: String = characters.get(at..end)?.iter().collect();
                let name = name.trim().to_owned();
                if matches!(command, 'r' | 'R') {
                    script.reads.push(name);
                } else {
                    script.writes.push(name);
                }
                at = end;
            }
            _ => return None,
        }
    }
    Some(script)
}

fn skip(characters: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    from + characters.iter().skip(from).take_while(|c| wanted(**c)).count()
}

/// To the end of the line, or of a label: behind a blank another command may stand. Text that goes on in the next line
/// is not followed.
fn line(characters: &[char], from: usize, command: char) -> Option<usize> {
    let label = matches!(command, 'b' | 't' | 'T' | ':');
    let from = if label {
        skip(characters, from, |c| c == ' ')
    } else {
        from
    };
    let ends = |c: char| label && (c.is_ascii_whitespace() || matches!(c, ';' | '}'));
    let end = skip(characters, from, |c| c != '\n' && !ends(c));
    let text = characters.get(from..end)?;
    (!text.contains(&'\\')).then_some(end)
}

/// Behind an address or two, with what may stand between them and the command.
fn address(characters: &[char], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match characters.get(at) {
            Some('0'..='9' | '$' | ',' | '~' | '+' | '!' | ' ') => at += 1,
            Some('/') => {
                at = part(characters, at + 1, '/')?;
                at = skip(characters, at, |c| matches!(c, 'I' | 'M'));
            }
            Some('\\') => return None,
            _ => return Some(at),
        }
    }
}

/// Behind the delimiter that ends a part.
fn part(characters: &[char], from: usize, delimiter: char) -> Option<usize> {
    if matches!(delimiter, '\\' | '\n' | ' ') || delimiter.is_ascii_alphanumeric() {
        return None;
    }
    let mut at = from;
    let mut bracket = false;
    while let Some(c) = characters.get(at).copied() {
        at += 1;
        match c {
            '\\' => at += 1,
            // Within brackets a delimiter may or may not end the part: versions differ.
            '[' => bracket = true,
            ']' => bracket = false,
            '\n' => return None,
            _ if c == delimiter && bracket => return None,
            _ if c == delimiter => return Some(at),
            _ => {}
        }
    }
    None
}

/// Behind `s/…/…/flags`.
fn substitution(characters: &[char], from: usize) -> Option<usize> {
    let delimiter = *characters.get(from)?;
    let at = part(characters, from + 1, delimiter)?;
    let at = part(characters, at, delimiter)?;
    // `e` runs the result, `w` writes to a file, `M` changes nothing of that.
    let end = skip(characters, at, |c| {
        matches!(c, 'g' | 'p' | 'i' | 'I' | 'm' | 'M') || c.is_ascii_digit()
    });
    matches!(characters.get(end), None | Some(';' | '\n' | '}' | ' ' | '#')).then_some(end)
}

/// Whether a program neither runs anything nor opens files beside its operands.
fn awk_is_plain(text: &str) -> bool {
    let Some(code) = awk_code(text) else { return false };
    let words: Vec<&str> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let runs = [
        "system", "getline", "ARGV", "ARGC", "close", "fflush", "ENVIRON", "PROCINFO", "nextfile", "SYMTAB", "FUNCTAB",
    ];
    if words.iter().any(|word| runs.contains(word)) || code.contains('@') {
        return false;
    }
    // `>=` is one operator wherever it stands.
    let joined = code.replace("||", "  ").replace(">=", "  ");
    if joined.contains('|') {
        return false;
    }
    // Behind a `print`, `>` names a file, also in a line below: a statement goes on behind a comma.
    joined
        .split(['{', '}', ';'])
        .all(|statement| !(statement.contains("print") && statement.contains('>')))
}

/// The program with strings and expressions taken out; `None` if it cannot be told what they are.
fn awk_code(text: &str) -> Option<String> {
    let mut code = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' => {
                quoted(&mut characters, '"')?;
                code.push_str(" 0 ");
            }
            '/' => {
                let before = code.trim_end().chars().last();
                let starts = before.is_none_or(|c| "(,{};!~&|=\n".contains(c));
                let divides = |rest: &str| !rest.contains('/') || !is_before_expression(&code);
                if starts {
                    quoted(&mut characters, '/')?;
                    code.push_str(" 0 ");
                } else if !divides(&characters.clone().collect::<String>()) {
                    return None;
                } else {
                    // A division, then; if it were not, the rest would be read wrongly.
                    if !before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, ')' | '_' | ']')) {
                        return None;
                    }
                    code.push(c);
                }
            }
            '\\' | '#' => return None,
            _ => code.push(c),
        }
    }
    Some(code)
}

/// Whether what stands behind may be an expression, so that a slash begins a regular one: behind a word of the language,
/// or behind the parentheses of a condition.
fn is_before_expression(code: &str) -> bool {
    let code = code.trim_end();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let last = code.rsplit(|c| !word(c)).next().unwrap_or_default();
    let words = [
        "print", "printf", "return", "exit", "in", "else", "do", "case", "delete", "getline",
    ];
    let condition = |text: &str| {
        text.split(|c| !word(c))
            .any(|word| matches!(word, "if" | "while" | "for"))
    };
    words.contains(&last) || (code.ends_with(')') && condition(code))
}

fn quoted(characters: &mut impl Iterator<Item = char>, end: char) -> Option<()> {
    let mut bracket = false;
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                characters.next();
            }
            '[' if end == '/' => bracket = true,
            ']' => bracket = false,
            // Versions differ in whether this ends the expression.
            _ if c == end && bracket => return None,
            _ if c == end => return Some(()),
            '\n' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scripts_of_sed_are_read() {
        for script in [
            "p",
            "s/a/b/g",
            "1,5p",
            "/x/d",
            "s|/a|/b|; s/c/d/2p",
            "$!N;P;D",
            "y/abc/xyz/",
            "/a/,/b/p",
            "s/rm -rf/echo/",
            "s/[^0-9]//g",
        ] {
            assert_eq!(sed_script(script), Some(Script::default()), "{script}");
        }
        assert_eq!(
            sed_script("w /tmp/x").map(|script| script.writes),
            Some(vec!["/tmp/x".to_owned()])
        );
        assert_eq!(
            sed_script("$r /etc/shadow").map(|script| script.reads),
            Some(vec!["/etc/shadow".to_owned()])
        );
        for script in [
            "e",
            "1e id",
            "s/x/id/e",
            "s/a/b/w f",
            "s/a/b/ge",
            "s/[/]x/e/e",
            "v",
            "1!e",
            "a\\\nx",
            ":a e id",
            "t x e id",
            "b\te id",
        ] {
            assert_eq!(sed_script(script), None, "{script}");
        }
    }

    #[test]
    fn plain_programs_of_awk_are_told_from_those_that_open_or_run() {
        for program in [
            "{print $1}",
            "$3 > 100",
            "/a|b/ {n++} END {print n}",
            "NR==2 || $1 == \"x\"",
            "{print ($1 + $2) / 2, $3 / $4}",
            "/x/ {print $1 / 2}",
            "{s += $1 / 2} END {printf \"%d\\n\", s}",
        ] {
            assert!(awk_is_plain(program), "{program}");
        }
        for program in [
            "BEGIN{system(\"id\")}",
            "{print > \"/tmp/x\"}",
            "{print | \"sh\"}",
            "BEGIN{while((getline l < \"/etc/shadow\")>0)print l}",
            "BEGIN{ARGV[1]=\"/etc/shadow\";ARGC=2}{print}",
            "@load \"x\"",
            "BEGIN{print /\"/; system(\"id\"); x = /\"/}",
            "{if (1) /a,/; system(\"id\"); y = /b/}",
            "BEGIN{print \"a\",\n\"b\" > \"/tmp/x\"}",
            "BEGIN{print \"a\",\n\n\"b\" > \"/tmp/x\"}",
            "{print $1 ||\n2 > \"/tmp/x\"}",
        ] {
            assert!(!awk_is_plain(program), "{program}");
        }
    }
}
