//! What `diff` and `prove` have in common when they answer.

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use sallyport_policy::{ActionName, Answer, Budget, Effort, Outcome, Resource, Reveal, Subject, SubjectKind};
use serde_json::Value;
use smol_str::SmolStr;

use super::super::terminal::safe;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a terminal.
    Text,
    /// For a comment at a pull request.
    Markdown,
    /// For programs.
    Json,
}

/// `10s`, `2m`, `500ms`.
pub(super) fn budget(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number with `ms`, `s` or `m` behind it: `10s`".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (count, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let count: u64 = count.parse().map_err(|_| wrong())?;
    let each = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    count.checked_mul(each).map(Duration::from_millis).ok_or_else(wrong)
}

/// A budget with this time.
pub(super) fn within(time: Duration) -> Budget {
    Budget {
        time,
        ..Budget::default()
    }
}

/// A request as people read it: who does what where, one line.
pub(super) fn request(who: &Subject, target: &Resource, action: &ActionName, class: Option<&SmolStr>) -> String {
    let kind = match who.kind {
        SubjectKind::User => "user",
        SubjectKind::Machine => "machine",
    };
    let groups = if who.groups.is_empty() {
        "no group".to_owned()
    } else {
        who.groups.join(", ")
    };
    let class = class.map(|class| format!(" of `{class}`")).unwrap_or_default();
    format!("{kind} `{}` ({groups}), {action}{class} on {}", who.id, place(target))
}

/// A target with what rules know of it.
pub(super) fn place(target: &Resource) -> String {
    let environment = target.environment.as_deref().unwrap_or("no environment");
    let tags = if target.tags.is_empty() {
        String::new()
    } else {
        format!(", tagged {}", target.tags.join(", "))
    };
    format!("`{}` ({environment}{tags})", target.name)
}

/// Facts as `name = value`.
pub(super) fn facts<'a>(facts: impl IntoIterator<Item = (&'a SmolStr, &'a Value)>) -> String {
    let fact = |(name, value): (&SmolStr, &Value)| {
        if value.is_null() {
            format!("no {name}")
        } else {
            format!("{name} = {value}")
        }
    };
    let list: Vec<String> = facts.into_iter().map(fact).collect();
    list.join(", ")
}

/// What a bundle answers, and the rules that made it so.
pub(super) fn answer(answer: &Answer) -> String {
    let mut observes = false;
    let (mut text, rules) = match answer {
        Answer::Decision(decision) => {
            let word = match decision.outcome {
                Outcome::Allow => "allowed",
                Outcome::Hold => "held",
                Outcome::Deny => "refused",
            };
            observes = decision.outcome == Outcome::Allow && decision.observed.is_some();
            (word.to_owned(), &decision.rules)
        }
        Answer::Disclosure(disclosure) => {
            let word = match &disclosure.reveal {
                Reveal::Clear => "shown in the clear".to_owned(),
                Reveal::Mask(mask) => format!("masked: {mask}"),
                Reveal::Withhold => "withheld".to_owned(),
            };
            (word, &disclosure.rules)
        }
    };
    let names: Vec<String> = rules.iter().map(|rule| format!("`{rule}`")).collect();
    // Writing to a string does not fail.
    let _ = if names.is_empty() && observes {
        write!(text, ", since rules only observe there")
    } else if names.is_empty() {
        write!(text, ", as no rule permits it")
    } else {
        write!(text, " by {}", names.join(", "))
    };
    text
}

/// What was done, and that it proves nothing.
pub(super) fn effort(effort: &Effort) -> String {
    let mut text = format!("searched {}, found none; not proven", requests(effort));
    text.push_str(cut(effort));
    text
}

/// Why nothing is proven where there is no solver.
pub(super) const NO_SOLVER: &str =
    "No solver is at hand (`cvc5` on the path, or named by `CVC5`), so nothing was proven.";

/// How much was searched.
pub(super) fn requests(effort: &Effort) -> String {
    let noun = if effort.requests == 1 { "request" } else { "requests" };
    format!("{} {noun}", effort.requests)
}

/// That time ran out, if it did.
pub(super) fn cut(effort: &Effort) -> &'static str {
    if effort.cut_short {
        " (time ran out; give it more with `--budget`)"
    } else {
        ""
    }
}

/// Text of a bundle as one line, in which nothing begins another one: what reads lines, as systems of continuous
/// integration do, might take it for a command.
pub(super) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in safe(text).chars() {
        match c {
            '\n' | '\t' => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Text of a bundle in a comment, one line: what stands in backticks is code, and nothing else in it becomes markup,
/// links or notifies anybody.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (inside, after))) = rest
        .split_once('`')
        .and_then(|(before, behind)| Some((before, behind.split_once('`')?)))
    {
        escape(&mut out, before, false);
        out.push_str(&code(inside));
        rest = after;
    }
    escape(&mut out, rest, false);
    out
}

/// Text of others as code in a comment, one line.
pub(super) fn code(text: &str) -> String {
    let mut out = String::from("<code>");
    escape(&mut out, text, true);
    out + "</code>"
}

fn escape(out: &mut String, text: &str, in_code: bool) {
    for c in safe(text).chars() {
        // Writing to a string does not fail.
        let _ = match c {
            '\n' | '\t' => out.write_char(' '),
            // Mentions and references are looked for in what is shown, but not in code.
            '@' | '#' if !in_code => write!(out, "<code>&#{};</code>", u32::from(c)),
            '&' | '<' | '>' | '[' | ']' | '(' | ')' | '!' | '*' | '_' | '|' | '#' | '@' | '\\' | '`' | '~' | '$'
            | ':' => {
                write!(out, "&#{};", u32::from(c))
            }
            // Without this, `www.` begins a link.
            '.' if out.ends_with(['w', 'W']) => write!(out, "&#{};", u32::from(c)),
            c => out.write_char(c),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sallyport_policy::{Decision, Lifetime, Observed};

    #[test]
    fn text_of_a_bundle_is_no_markup_but_code_in_backticks() {
        assert_eq!(
            markdown("a*b `c_d*` <img> x@y #1"),
            "a&#42;b <code>c&#95;d&#42;</code> &#60;img&#62; x<code>&#64;</code>y <code>&#35;</code>1"
        );
        // One backtick too many, wherever it stands, makes nothing of the rest alive.
        let alive =
            "@team ![x](https://evil/y) [z](http://w) <a href=x> www.evil.example *b* \\ $x$ \u{202e}\r\n# title";
        for text in [
            format!("`{alive}"),
            format!("`a`{alive}` `b`"),
            format!("``` {alive}"),
            alive.to_owned(),
        ] {
            let shown = markdown(&text);
            let bare = shown.replace("<code>", "").replace("</code>", "");
            let live = bare.find([
                '<', '>', '[', ']', '(', '@', '!', '*', '`', '\\', ':', '$', '\n', '\u{202e}',
            ]);
            assert_eq!(live, None, "{shown}");
            assert!(!bare.contains("www."), "{shown}");
            assert_eq!(shown.matches("<code>").count(), shown.matches("</code>").count());
        }
        assert_eq!(code("a`b|@c"), "<code>a&#96;b&#124;&#64;c</code>");
    }

    #[test]
    fn text_of_a_bundle_begins_no_line() {
        assert_eq!(line("z\n::add-mask::x\r\t\u{1b}"), "z\\n::add-mask::x\\u{d}\\t\\u{1b}");
    }

    #[test]
    fn what_no_rule_allowed_and_none_enforced_refused_is_said_so() {
        let refused = Decision::refused("no", Lifetime::Never);
        assert_eq!(
            answer(&Answer::Decision(refused.clone())),
            "refused, as no rule permits it"
        );
        let observed = Observed {
            outcome: Outcome::Deny,
            rules: Vec::new(),
            message: None,
            hold: None,
            ends_session: false,
        };
        let allowed = Decision {
            outcome: Outcome::Allow,
            observed: Some(Box::new(observed)),
            ..refused
        };
        assert_eq!(
            answer(&Answer::Decision(allowed)),
            "allowed, since rules only observe there"
        );
    }

    #[test]
    fn budgets_have_units() {
        assert_eq!(budget("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(budget("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(budget("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "10", "s", "10h", "99999999999999999999s"] {
            assert!(budget(wrong).is_err(), "{wrong}");
        }
    }
}
