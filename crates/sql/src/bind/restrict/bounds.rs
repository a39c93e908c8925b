//! Bounds of intervals: whether they leave something out that a column is likely to hold.

use pg_raw_parse::{ConstValue, Node, nodes};

use super::forms::is_constant;
use crate::bind::literal::{Literals, cast_type, keeps_text};
use crate::bind::strings;
use crate::catalog::TypeId;

/// Types by their numbers in `pg_type`.
const TEXT: TypeId = 25;
const INTERVAL: TypeId = 1186;

/// Rows are not older than this year; nor are they from later than the server's own.
const FIRST_YEAR: i32 = 1971;
/// The longest time back, in years, that is taken for a part of a table's life.
const LIFE: f64 = 30.0;

/// What a bound is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    /// The type of a plain column: an uncast parameter takes it.
    pub(super) near: Option<TypeId>,
    pub(super) kind: Kind,
}

/// Types by how their values are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// Dates and timestamps.
    Time,
    Text,
    Bytes,
    /// Any other, among them those that users made.
    Other,
}

impl Kind {
    pub(super) fn of(ty: TypeId) -> Kind {
        match ty {
            // int8, int2, int4, oid, float4, float8, money, numeric
            20 | 21 | 23 | 26 | 700 | 701 | 790 | 1700 => Kind::Number,
            // date, timestamp, timestamptz
            1082 | 1114 | 1184 => Kind::Time,
            // "char", name, text, bpchar, varchar
            18 | 19 | TEXT | 1042 | 1043 => Kind::Text,
            17 => Kind::Bytes,
            _ => Kind::Other,
        }
    }
}

pub(super) fn flipped(symbol: &str) -> &'static str {
    match symbol {
        "<" => ">",
        ">" => "<",
        "<=" => ">=",
        ">=" => "<=",
        _ => "",
    }
}

impl Literals {
    /// Whether `column <symbol> value` leaves something out that a column is likely to hold. Bounds at
    /// the edge of a type, or at the start of what counters and dates begin with, do not; nor does a value whose place
    /// among others is not known. How values are ordered depends on what is compared.
    pub(super) fn is_bound(&self, symbol: &str, value: Node<'_>, column: Compared) -> bool {
        let lower = matches!(symbol, ">" | ">=");
        if !(lower || matches!(symbol, "<" | "<=")) || !is_constant(value) {
            return false;
        }
        if self.is_open(value) {
            return true;
        }
        let number = || {
            self.number(value, column.near, 0)
                .is_some_and(|n| is_bounding_number(lower, n))
        };
        match column.kind {
            Kind::Number => number(),
            Kind::Time => match self.signed_text(value, column.near) {
                Some(text) => self.is_bounding_text(lower, &text),
                None => self.is_bounding_time(lower, value),
            },
            Kind::Text => self
                .value_of_cast(value, column.near)
                .is_some_and(|w| is_bounding_word(lower, &w)),
            // a domain of numbers takes numbers; how a text is ordered there nobody knows
            Kind::Other => is_written_number(value) && number(),
            Kind::Bytes => false,
        }
    }

    /// The text of a literal or a parameter, under casts that keep it.
    fn value_of_cast(&self, node: Node<'_>, near: Option<TypeId>) -> Option<String> {
        match node {
            Node::TypeCast(c) if keeps_text(c) => self.value_of_cast(c.arg(), cast_type(c)),
            other => self.value(other, near),
        }
    }

    /// Whether a pattern of `LIKE` asks for more than wildcards do.
    pub(super) fn is_telling_pattern(&self, pattern: Node<'_>) -> bool {
        if self.is_open(pattern) {
            return true;
        }
        let text = match pattern {
            Node::ParamRef(_) => self.value(pattern, Some(TEXT)),
            Node::TypeCast(c) if keeps_text(c) && matches!(c.arg(), Node::ParamRef(_)) => {
                self.value(c.arg(), cast_type(c))
            }
            other => self.text(other),
        };
        text.is_some_and(|text| is_telling(&text))
    }

    /// A time that the server computes: now, so long before it, a date by its parts.
    fn is_bounding_time(&self, lower: bool, value: Node<'_>) -> bool {
        match value {
            Node::SQLValueFunction(_) => true,
            Node::TypeCast(c) => self.is_bounding_time(lower, c.arg()),
            Node::FuncCall(f) => self.is_bounding_call(lower, f),
            Node::A_Expr(e) if e.kind == nodes::A_Expr_Kind::AEXPR_OP => {
                let base = match self.signed_text(e.lexpr(), None) {
                    Some(text) => self.is_bounding_text(lower, &text),
                    None => self.is_bounding_time(lower, e.lexpr()),
                };
                base && self.is_bounding_distance(lower, strings(e.name()).as_slice(), e.rexpr())
            }
            _ => false,
        }
    }

    fn is_bounding_call(&self, lower: bool, call: &nodes::FuncCall) -> bool {
        let name = strings(call.funcname());
        let (first, second) = (call.args().get(0), call.args().get(1));
        match name.last().copied().unwrap_or_default() {
            "now" | "transaction_timestamp" | "statement_timestamp" | "clock_timestamp" => true,
            "date_trunc" => {
                let narrow = first
                    .and_then(|part| self.text(part))
                    .is_some_and(|part| per_year(&part).is_some());
                narrow && second.is_some_and(|time| self.is_bounding_time(lower, time))
            }
            "date" | "timezone" => call
                .args()
                .iter()
                .next_back()
                .is_some_and(|t| self.is_bound_of(lower, t)),
            "to_timestamp" | "to_date" if second.is_some() => {
                let format = second.and_then(|format| self.text(format)).unwrap_or_default();
                let text = first.and_then(|t| self.text(t)).filter(|_| begins_with_year(&format));
                text.and_then(|t| year_of(&t))
                    .is_some_and(|year| self.is_bounding_year(lower, f64::from(year)))
            }
            // seconds since 1970
            "to_timestamp" => first
                .and_then(|n| self.number(n, None, 0))
                .is_some_and(|n| self.is_bounding_year(lower, 1970.0 + (n / (365.25 * 86_400.0)).floor())),
            "make_date" | "make_timestamp" | "make_timestamptz" => {
                let year = first.and_then(|n| self.number(n, None, 0));
                year.is_some_and(|year| self.is_bounding_year(lower, year))
            }
            _ => false,
        }
    }

    fn is_bounding_year(&self, lower: bool, year: f64) -> bool {
        if lower {
            year >= f64::from(FIRST_YEAR)
        } else {
            year <= f64::from(self.year())
        }
    }

    /// A date that is written with its year first, or a word for today. What else a server may read as a date, and which,
    /// it alone knows.
    fn is_bounding_text(&self, lower: bool, text: &str) -> bool {
        match year_of(text) {
            Some(year) => self.is_bounding_year(lower, f64::from(year)),
            None => matches!(text.trim().to_ascii_lowercase().as_str(), "now" | "today" | "yesterday"),
        }
    }

    fn is_bound_of(&self, lower: bool, value: Node<'_>) -> bool {
        let column = Compared {
            near: None,
            kind: Kind::Time,
        };
        self.is_bound(if lower { ">" } else { "<" }, value, column)
    }

    /// `… - interval '30 days'`, `… + 7`. After now there is nothing yet, and longer ago than a life nothing either.
    fn is_bounding_distance(&self, lower: bool, operator: &[&str], distance: Node<'_>) -> bool {
        match operator {
            ["-"] | ["pg_catalog", "-"] => !lower || self.years(distance).is_some_and(|y| y < LIFE),
            ["+"] | ["pg_catalog", "+"] => lower,
            _ => false,
        }
    }

    /// How long an interval, or a number of days, is in years, about; none when it is not known.
    fn years(&self, distance: Node<'_>) -> Option<f64> {
        if let Some(days) = self.number(distance, None, 0) {
            return Some(days / 365.0);
        }
        if self.is_open(distance) {
            return Some(0.0);
        }
        if let Node::FuncCall(call) = distance {
            return self.years_of_parts(call);
        }
        if let Some((count, unit)) = self.counted(distance) {
            return Some(count.abs() * per_year(unit)?);
        }
        if let Node::A_Expr(e) = distance {
            // so many times an interval
            return match (self.number(e.lexpr(), None, 0), self.number(e.rexpr(), None, 0)) {
                (Some(times), None) => Some(times * self.years(e.rexpr())?),
                (None, Some(times)) => Some(times * self.years(e.lexpr())?),
                _ => None,
            };
        }
        let text = self.signed_text(distance, None)?;
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let mut all = 0.0;
        for pair in words.chunks(2) {
            let (count, unit) = match pair {
                [count, unit] => (count.parse::<f64>().ok()?, *unit),
                [clock] if clock.contains(':') => continue,
                _ => return None,
            };
            all += count.abs() * per_year(unit)?;
        }
        Some(all)
    }

    /// `interval '30' day`: a number of what is named behind it.
    fn counted(&self, distance: Node<'_>) -> Option<(f64, &'static str)> {
        let Node::TypeCast(cast) = distance else { return None };
        let name = cast.type_name().filter(|_| cast_type(cast) == Some(INTERVAL))?;
        // `INTERVAL_MASK` of `timestamp.h`: one bit for each field
        let unit = match self.integer(name.typmods().first()?)? {
            4 => "year",
            2 => "month",
            8 => "day",
            1024 => "hour",
            2048 => "minute",
            4096 => "second",
            _ => return None,
        };
        let text = self.signed_text(cast.arg(), Some(INTERVAL))?;
        Some((text.trim().parse().ok()?, unit))
    }

    /// `make_interval(days => 30)`.
    fn years_of_parts(&self, call: &nodes::FuncCall) -> Option<f64> {
        const PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
        let (["make_interval"] | ["pg_catalog", "make_interval"]) = strings(call.funcname()).as_slice() else {
            return None;
        };
        let mut all = 0.0;
        for (index, arg) in call.args().iter().enumerate() {
            let (part, value) = match arg {
                Node::NamedArgExpr(named) => (named.name()?, named.arg()),
                other => (*PARTS.get(index)?, other),
            };
            let unit = PARTS.contains(&part).then(|| per_year(part))??;
            if !self.is_open(value) {
                all += self.number(value, None, 0)?.abs() * unit;
            }
        }
        Some(all)
    }

    /// The number that a constant expression is, if it is a plain one.
    fn number(&self, node: Node<'_>, near: Option<TypeId>, depth: usize) -> Option<f64> {
        if depth > 32 {
            return None;
        }
        match node {
            Node::A_Const(_) | Node::ParamRef(_) => self.value(node, near)?.trim().parse().ok(),
            Node::TypeCast(c) => {
                let name = c.type_name().and_then(|t| t.names().iter().next_back()?.sval())?;
                matches!(name, "int2" | "int4" | "int8" | "numeric" | "float4" | "float8")
                    .then(|| self.number(c.arg(), cast_type(c), depth + 1))
                    .flatten()
            }
            Node::A_Expr(e) if e.kind == nodes::A_Expr_Kind::AEXPR_OP => {
                let right = self.number(e.rexpr(), None, depth + 1)?;
                let left = match e.lexpr() {
                    Node::None => 0.0,
                    left => self.number(left, None, depth + 1)?,
                };
                match strings(e.name()).last().copied().unwrap_or_default() {
                    "+" => Some(left + right),
                    "-" => Some(left - right),
                    "*" => Some(left * right),
                    "/" if right != 0.0 => Some(left / right),
                    "^" => Some(left.powf(right)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The text of a literal, a minus before it included.
    fn signed_text(&self, node: Node<'_>, near: Option<TypeId>) -> Option<String> {
        match node {
            Node::A_Expr(e) if matches!(e.lexpr(), Node::None) => {
                let sign = strings(e.name()).last().copied().unwrap_or_default();
                Some(format!("{sign}{}", self.signed_text(e.rexpr(), None)?))
            }
            Node::TypeCast(c) => self.signed_text(c.arg(), cast_type(c)),
            other => self.value(other, near),
        }
    }
}

fn is_bounding_number(lower: bool, number: f64) -> bool {
    let inside = if lower { number > 1.0 } else { number < 1e9 };
    inside && number.is_finite()
}

/// A word whose first letter has others before it, or behind it, in every order of words. Digits and signs come before
/// all letters in some.
fn is_bounding_word(lower: bool, word: &str) -> bool {
    let first = word.chars().next().map(|c| c.to_ascii_lowercase());
    first.is_some_and(|c| {
        if lower {
            ('b'..='z').contains(&c)
        } else {
            ('1'..='9').contains(&c) || ('a'..='y').contains(&c)
        }
    })
}

/// Whether a pattern has more than wildcards, also where it is one of bytes, written `\x25` or `\045`.
fn is_telling(pattern: &str) -> bool {
    if pattern.starts_with("\\x") {
        return false;
    }
    let mut pieces = pattern.split('\\');
    let plain = |piece: &str| piece.chars().any(|c| !matches!(c, '%' | '_'));
    let first = pieces.next().is_some_and(plain);
    first || pieces.any(|piece| plain(piece.trim_start_matches(|c: char| c.is_ascii_digit())))
}

/// A number that is written as one: no text, and no parameter.
fn is_written_number(node: Node<'_>) -> bool {
    match node {
        Node::A_Const(c) => matches!(c.val(), Some(ConstValue::Integer(_) | ConstValue::Float(_))),
        Node::A_Expr(e) => {
            is_written_number(e.rexpr()) && (matches!(e.lexpr(), Node::None) || is_written_number(e.lexpr()))
        }
        _ => false,
    }
}

/// Whether a format reads the year, then the month, and nothing before them.
fn begins_with_year(format: &str) -> bool {
    let format = format.to_ascii_uppercase();
    format.starts_with("YYYY-MM") || format.starts_with("YYYYMM")
}

/// The year of `2024-01-31` or `20240131`, with or without a time behind it.
fn year_of(text: &str) -> Option<i32> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (start, rest) = text.split_at_checked(digits)?;
    let year = match rest.as_bytes().first() {
        Some(b'-') if digits >= 4 => start,
        None | Some(b' ' | b'T') if digits == 8 => start.get(..4)?,
        _ => return None,
    };
    // letters may say that it is before Christ
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | '+' | ' ' | 'T' | 'Z');
    rest.chars().all(plain).then(|| year.parse().ok())?
}

fn per_year(unit: &str) -> Option<f64> {
    let unit = unit.to_ascii_lowercase();
    Some(match unit.trim_end_matches('s') {
        "second" | "sec" | "minute" | "min" | "hour" | "hr" | "h" | "m" => 1.0 / 8760.0,
        "day" | "d" => 1.0 / 365.0,
        "week" | "w" => 7.0 / 365.0,
        "month" | "mon" => 1.0 / 12.0,
        "quarter" => 0.25,
        "year" | "yr" | "y" => 1.0,
        _ => return None,
    })
}
