//! What rules compare facts with: the values at which an answer can turn.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{Expr, ExprKind, Literal, Pattern, PatternElem};
use smol_str::SmolStr;
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime};

/// The constants of some expressions, by type.
#[derive(Debug, Clone, Default)]
pub(super) struct Literals {
    /// With texts that fit the patterns of `like`.
    pub(super) strings: BTreeSet<SmolStr>,
    pub(super) longs: BTreeSet<i64>,
    /// Ids by the name of their entity type.
    pub(super) entities: BTreeMap<SmolStr, BTreeSet<SmolStr>>,
    /// Addresses and ranges, as they are written.
    pub(super) addresses: BTreeSet<SmolStr>,
    pub(super) times: BTreeSet<OffsetDateTime>,
    pub(super) durations: BTreeSet<Duration>,
}

impl Literals {
    /// Adds those of one expression.
    pub(super) fn read(&mut self, expr: &Expr) {
        let arguments = self.read_functions(expr);
        for part in expr.subexpressions() {
            #[expect(clippy::wildcard_enum_match_arm, reason = "all others have no constant of their own")]
            match part.expr_kind() {
                ExprKind::Lit(Literal::String(text)) if !arguments.contains(text) => {
                    self.strings.insert(text.clone());
                }
                ExprKind::Lit(Literal::Long(number)) => {
                    self.longs.insert(*number);
                }
                ExprKind::Lit(Literal::EntityUID(uid)) => {
                    let kind = SmolStr::from(uid.entity_type().to_string());
                    let id: &str = uid.eid().as_ref();
                    self.entities.entry(kind).or_default().insert(id.into());
                }
                ExprKind::Like { pattern, .. } => self.strings.extend(fitting(pattern)),
                _ => {}
            }
        }
    }

    /// The constants that functions make of text; gives back the texts.
    fn read_functions(&mut self, expr: &Expr) -> BTreeSet<SmolStr> {
        let mut texts = BTreeSet::new();
        for part in expr.subexpressions() {
            let ExprKind::ExtensionFunctionApp { fn_name, args } = part.expr_kind() else {
                continue;
            };
            let Some(ExprKind::Lit(Literal::String(text))) = args.first().map(Expr::expr_kind) else {
                continue;
            };
            match fn_name.to_string().as_str() {
                "ip" => {
                    self.addresses.insert(text.clone());
                }
                "datetime" => self.times.extend(time(text)),
                "duration" => self.durations.extend(duration(text)),
                _ => continue,
            }
            texts.insert(text.clone());
        }
        texts
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.strings.extend(other.strings.iter().cloned());
        self.longs.extend(&other.longs);
        for (kind, ids) in &other.entities {
            self.entities
                .entry(kind.clone())
                .or_default()
                .extend(ids.iter().cloned());
        }
        self.addresses.extend(other.addresses.iter().cloned());
        self.times.extend(&other.times);
        self.durations.extend(&other.durations);
    }
}

/// The shortest text that fits a pattern, one that has something in each gap, and one that nearly fits.
fn fitting(pattern: &Pattern) -> [SmolStr; 3] {
    let filled = |gap: &str| -> SmolStr {
        let mut text = String::new();
        for part in pattern.iter() {
            match part {
                PatternElem::Char(c) => text.push(*c),
                PatternElem::Wildcard => text.push_str(gap),
            }
        }
        text.into()
    };
    let full = filled("x");
    let near = format!("~{full}~").into();
    [filled(""), full, near]
}

/// `2026-01-01`, `2026-01-01T08:00:00Z`, `2026-01-01T08:00:00.000+0100`.
fn time(text: &str) -> Option<OffsetDateTime> {
    if text.len() == 10 {
        let format = time::macros::format_description!("[year]-[month]-[day]");
        return Some(Date::parse(text, format).ok()?.midnight().assume_utc());
    }
    let spelled = match text.get(text.len().checked_sub(5)?..) {
        Some(zone) if zone.starts_with(['+', '-']) => {
            let (head, minutes) = text.split_at_checked(text.len() - 2)?;
            format!("{head}:{minutes}")
        }
        Some(_) | None => text.to_owned(),
    };
    OffsetDateTime::parse(&spelled, &Rfc3339).ok()
}

/// `8h`, `1d2h3m4s5ms`, `-1h`.
fn duration(text: &str) -> Option<Duration> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, unit) = rest.split_at_checked(digits)?;
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at_checked(end)?;
        let each = match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        sum = sum.checked_add(count.parse::<i64>().ok()?.checked_mul(each)?)?;
        rest = after;
    }
    Some(Duration::milliseconds(sign * sum))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use cedar_policy::Policy;

    #[test]
    fn constants_are_found_by_type() {
        let text = r#"permit (principal in Group::"dba", action, resource) when {
            context.source.isInRange(ip("10.0.0.0/8")) && context.now.toTime() < duration("18h")
            && context.now > datetime("2026-03-01") && context.n > 7 && context.path like "/etc/*" && context.s == "a" };"#;
        let policy = Policy::parse(None, text).unwrap();
        let mut found = Literals::default();
        found.read(&policy.as_ref().condition());
        assert!(found.addresses.iter().eq(["10.0.0.0/8"]));
        assert!(found.durations.iter().eq([&Duration::hours(18)]));
        assert_eq!(found.times.len(), 1);
        assert!(found.longs.iter().eq([&7]));
        assert!(found.strings.iter().eq(["/etc/", "/etc/x", "a", "~/etc/x~"]));
        assert!(found.entities.get("Group").unwrap().iter().eq(["dba"]));
    }

    #[test]
    fn times_are_read_as_cedar_writes_them() {
        let plain = time("2026-03-01T09:00:00Z").unwrap();
        assert_eq!(time("2026-03-01T10:00:00.000+0100").unwrap(), plain);
        assert_eq!(time("2026-03-01").unwrap(), plain - Duration::hours(9));
        assert_eq!(duration("-1d2h").unwrap(), Duration::hours(-26));
        assert_eq!(duration("1x"), None);
    }
}
