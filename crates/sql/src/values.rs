//! Texts of definitions without the values in them.

/// A definition as the server writes it (`pg_get_viewdef`), where each string is empty and each long number is 0: what is shown
/// to people who may not see data.
#[must_use]
pub fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push(c);
                // A doubled quote ends one and begins another: it comes to the same.
                for inside in chars.by_ref() {
                    out.push(inside);
                    if inside == '"' {
                        break;
                    }
                }
            }
            '\'' => {
                let escapes = before.eq_ignore_ascii_case(&'e');
                while let Some(inside) = chars.next() {
                    match inside {
                        '\\' if escapes => drop(chars.next()),
                        '\'' if chars.peek() == Some(&'\'') => drop(chars.next()),
                        '\'' => break,
                        _ => {}
                    }
                }
                out.push_str("''");
            }
            digit if digit.is_ascii_digit() && !is_of_word(before) => {
                let mut number = String::from(digit);
                while let Some(more) = chars.next_if(|c| c.is_ascii_digit() || *c == '.') {
                    number.push(more);
                }
                out.push_str(if number.len() > SHORT { "0" } else { &number });
            }
            other => out.push(other),
        }
        before = out.chars().next_back().unwrap_or(' ');
    }
    out
}

/// Numbers of as many digits say nothing about anybody.
const SHORT: usize = 5;

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn values_are_left_out_and_names_are_not() {
        for (text, left) in [
            (
                "SELECT a FROM t WHERE k = 'sk_live_1'::text",
                "SELECT a FROM t WHERE k = ''::text",
            ),
            ("SELECT 'it''s' || E'a\\'b' || 'c'", "SELECT '' || E'' || ''"),
            (
                "SELECT \"it's 123456\" FROM \"a\"\"b'\"",
                "SELECT \"it's 123456\" FROM \"a\"\"b'\"",
            ),
            ("SELECT t1.c2 FROM t1 LIMIT 100", "SELECT t1.c2 FROM t1 LIMIT 100"),
            ("SELECT 4111111111111111 = n", "SELECT 0 = n"),
            ("SELECT a1234567 FROM t", "SELECT a1234567 FROM t"),
            ("SELECT '", "SELECT ''"),
        ] {
            assert_eq!(without_values(text), left);
        }
    }
}
