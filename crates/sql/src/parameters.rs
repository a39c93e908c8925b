//! The values that a client bound to parameters, as far as conditions are judged by them.

use crate::catalog::TypeId;

/// A value as it was bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// In the text format.
    Text(String),
    /// In the binary format of its type.
    Binary(Box<[u8]>),
    /// NULL, or a text that cannot be read: nothing is known of it.
    Unknown,
}

/// The values of a statement's parameters, and the types that the client named for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// By number, the first one being `$1`. What is missing is unknown.
    pub values: Vec<Bound>,
    /// The types by their numbers in `pg_type`, as far as they are named; 0 leaves the type to the server.
    pub types: Vec<u32>,
}

impl Parameters {
    /// The value of `$number` as the text of a literal. `near` is the type that its place gives it, if the client
    /// named none: the same bytes are another value in another type, so without a type they are unknown.
    pub(crate) fn text(&self, number: i32, near: Option<TypeId>) -> Option<String> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let named = self.types.get(index).copied().filter(|ty| *ty != 0);
        match self.values.get(index)? {
            Bound::Text(text) => Some(text.clone()),
            Bound::Binary(bytes) => decoded(bytes, named.or(near)?),
            Bound::Unknown => None,
        }
    }
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Reads the binary format of the types that intervals of rows are commonly named in.
fn decoded(bytes: &[u8], ty: TypeId) -> Option<String> {
    Some(match ty {
        // int2, int4, int8
        21 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        23 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        20 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        // float4, float8
        700 => f32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        701 => f64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        1700 => numeric(bytes)?.to_string(),
        // text, varchar, bpchar
        25 | 1042 | 1043 => std::str::from_utf8(bytes).ok()?.to_owned(),
        1082 => match i32::from_be_bytes(bytes.try_into().ok()?) {
            i32::MIN | i32::MAX => "infinity".to_owned(),
            days => day(i64::from(days)),
        },
        // timestamp, timestamptz
        1114 | 1184 => match i64::from_be_bytes(bytes.try_into().ok()?) {
            i64::MIN | i64::MAX => "infinity".to_owned(),
            micros => day(micros.div_euclid(DAY)),
        },
        1186 => interval(bytes)?,
        2950 if bytes.len() == 16 => bytes.iter().map(|b| format!("{b:02x}")).collect(),
        _ => return None,
    })
}

/// A day, counted from 2000-01-01, about: a bound is judged by its year.
fn day(days: i64) -> String {
    // 146097 days are 400 years
    let year = 2000 + (days * 400).div_euclid(146_097);
    format!("{year:04}-01-01")
}

/// An interval in days, about.
fn interval(bytes: &[u8]) -> Option<String> {
    let (micros, rest) = bytes.split_at_checked(8)?;
    let (days, months) = rest.split_at_checked(4)?;
    let micros = i64::from_be_bytes(micros.try_into().ok()?);
    let days = i64::from(i32::from_be_bytes(days.try_into().ok()?));
    let months = i64::from(i32::from_be_bytes(months.try_into().ok()?));
    // what its parts take away from each other is not taken for a long time
    let all = (micros / DAY).checked_abs()? + days.abs() + months.abs() * 30;
    Some(format!("{all} days"))
}

/// A number of any length: digits to the base of 10000, the first one's weight, a sign.
fn numeric(bytes: &[u8]) -> Option<f64> {
    let mut words = bytes.chunks_exact(2).map(|w| w.try_into().map(i16::from_be_bytes));
    let mut word = || words.next()?.ok();
    let (count, weight, sign, _scale) = (word()?, word()?, word()?, word()?);
    let mut value = 0.0;
    for index in 0..i32::from(count) {
        value += f64::from(word()?) * 10_000_f64.powi(i32::from(weight) - index);
    }
    match sign {
        0 => Some(value),
        0x4000 => Some(-value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Parameters, decoded};

    #[test]
    fn the_same_bytes_are_judged_by_their_type() {
        let half = 0.5_f64.to_be_bytes();
        assert_eq!(decoded(&half, 701).as_deref(), Some("0.5"));
        assert_ne!(decoded(&half, 20).as_deref(), Some("0.5"));
        assert_eq!(decoded(&0_i32.to_be_bytes(), 23).as_deref(), Some("0"));
        assert_eq!(decoded(&0_i32.to_be_bytes(), 1082).as_deref(), Some("2000-01-01"));
        assert_eq!(
            decoded(&(-10_957_i32).to_be_bytes(), 1082).as_deref(),
            Some("1970-01-01")
        );
        assert_eq!(decoded(&i64::MAX.to_be_bytes(), 1184).as_deref(), Some("infinity"));
        assert_eq!(
            decoded(&[0, 2, 0, 1, 0x40, 0, 0, 0, 0, 1, 0, 2], 1700).as_deref(),
            Some("-10002")
        );
        assert_eq!(decoded(&0_i32.to_be_bytes(), 20), None, "not eight bytes");
    }

    #[test]
    fn bytes_without_a_type_are_unknown() {
        let parameters = |types: &[u32]| Parameters {
            values: vec![Bound::Binary(9_i32.to_be_bytes().into())],
            types: types.to_vec(),
        };
        assert_eq!(parameters(&[]).text(1, None), None);
        assert_eq!(parameters(&[0]).text(1, Some(23)).as_deref(), Some("9"));
        assert_eq!(parameters(&[23]).text(1, Some(1082)).as_deref(), Some("9"));
        assert_eq!(parameters(&[]).text(2, Some(23)), None);
    }
}
