//! The words of an old line, as readline's history counts them: what the shell's quotes hold together is one, and
//! operators stand alone.

/// The words of a line, first to last.
pub(crate) fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start_matches(is_gap);
    while !rest.is_empty() {
        let length = operator(rest).unwrap_or_else(|| word(rest)).max(1);
        let (word, more) = rest.split_at_checked(length).unwrap_or((rest, ""));
        words.push(word);
        rest = more.trim_start_matches(is_gap);
    }
    words
}

fn is_gap(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n')
}

fn operator(text: &str) -> Option<usize> {
    const OPERATORS: &[&str] = &[
        "<<<", "<<-", "&>>", "<<", ">>", "<&", ">&", "<>", ">|", "&&", "||", ";;", "|&", "&>", "<", ">", "&", "|", ";",
        "(", ")",
    ];
    // Process substitution is a word.
    if text.starts_with("<(") || text.starts_with(">(") {
        return None;
    }
    OPERATORS
        .iter()
        .find(|operator| text.starts_with(**operator))
        .map(|operator| operator.len())
}

/// The length of a word, which may hold quotes and substitutions.
fn word(text: &str) -> usize {
    let mut quote = None;
    let mut depth = 0_usize;
    let mut escaped = false;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let opens = c == '(' && (depth > 0 || matches!(before, '$' | '<' | '>'));
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"' | '`'), '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') if opens => depth += 1,
            (None, ')') if depth > 0 => depth -= 1,
            (None, ' ' | '\t' | '\n' | ';' | '&' | '(' | ')' | '|' | '<' | '>')
                if depth == 0 && (at > 0 || !opens_with(text)) =>
            {
                return at;
            }
            (None, _) => {}
        }
        before = c;
    }
    text.len()
}

fn opens_with(text: &str) -> bool {
    text.starts_with("<(") || text.starts_with(">(")
}
