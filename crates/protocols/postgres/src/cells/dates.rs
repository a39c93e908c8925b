//! Dates of the proleptic Gregorian calendar, as PostgreSQL counts and writes them.

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's counting starts.
const EPOCH_DAYS: i64 = 10_957;
const DAY_MICROS: i64 = 86_400_000_000;

/// The first day of the year of a binary `date`; `None` for infinity.
pub(super) fn year_start(days: i32) -> Option<i32> {
    if days == i32::MAX || days == i32::MIN {
        return None;
    }
    let year = year_of(i64::from(days) + EPOCH_DAYS);
    i32::try_from(first_of(year) - EPOCH_DAYS).ok()
}

/// The first microsecond of the year of a binary `timestamp`; `None` for infinity.
pub(super) fn year_start_micros(micros: i64) -> Option<i64> {
    if micros == i64::MAX || micros == i64::MIN {
        return None;
    }
    let year = year_of(micros.div_euclid(DAY_MICROS) + EPOCH_DAYS);
    (first_of(year) - EPOCH_DAYS).checked_mul(DAY_MICROS)
}

/// A day of the hundred years from 1970 on, as a binary `date`.
pub(super) fn some_day(number: u64) -> i32 {
    i32::try_from(number % 36_524).unwrap_or_default() - EPOCH_DAYS as i32
}

/// That day as a binary `timestamp`; `None` for a `date` that no timestamp can be.
pub(super) fn midnight(days: i32) -> Option<i64> {
    i64::from(days).checked_mul(DAY_MICROS)
}

/// `yyyy-mm-dd` of a binary `date` after the year 0.
pub(super) fn iso(days: i32) -> String {
    let days = i64::from(days) + EPOCH_DAYS;
    let year = year_of(days);
    let mut rest = days - first_of(year);
    let leap = first_of(year + 1) - first_of(year) == 366;
    let mut month = 1;
    for length in month_lengths(leap) {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", rest + 1)
}

/// Days from 1970-01-01 to the first of January.
fn first_of(year: i64) -> i64 {
    let before = year - 1;
    before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 719_162
}

/// The year of a day counted from 1970-01-01.
fn year_of(days: i64) -> i64 {
    let mut year = (days * 400).div_euclid(146_097) + 1970;
    while first_of(year) > days {
        year -= 1;
    }
    while first_of(year + 1) <= days {
        year += 1;
    }
    year
}

/// A date or time in ISO style (`DateStyle = ISO`) in its parts.
pub(super) struct IsoParts<'a> {
    /// As many digits as the year has.
    pub(super) year: &'a str,
    /// There is a time behind the date.
    pub(super) time: bool,
    /// `+02` and the like, or nothing.
    pub(super) zone: &'a str,
    /// ` BC`, or nothing.
    pub(super) era: &'a str,
}

/// Takes an ISO date or time apart; `None` for every other style and for infinity.
pub(super) fn iso_parts(text: &str) -> Option<IsoParts<'_>> {
    let (text, era) = match text.strip_suffix(" BC") {
        Some(rest) => (rest, " BC"),
        None => (text, ""),
    };
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, least: usize, most: usize| {
        (least..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.next().is_some() || !digits(year, 4, 7) || !digits(month, 2, 2) || !digits(day, 2, 2) {
        return None;
    }
    let zone = time.find(['+', '-']).and_then(|at| time.get(at..)).unwrap_or_default();
    Some(IsoParts {
        year,
        time: !time.is_empty(),
        zone,
        era,
    })
}

/// Microseconds of an ISO date or time, counted as a binary `timestamp` is; `None` for what [`iso_parts`] does not know.
pub(super) fn iso_micros(text: &str) -> Option<i64> {
    let parts = iso_parts(text)?;
    let bare = text.strip_suffix(parts.era)?.strip_suffix(parts.zone)?;
    let (date, time) = bare.split_once([' ', 'T']).unwrap_or((bare, ""));
    let mut numbers = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let year = if parts.era.is_empty() { year } else { 1 - year };
    let leap = first_of(year + 1) - first_of(year) == 366;
    let before = month_lengths(leap)
        .iter()
        .take(usize::try_from(month - 1).ok()?)
        .sum::<i64>();
    let days = first_of(year) - EPOCH_DAYS + before + day - 1;
    let offset = match parts.zone.split_at_checked(1) {
        Some(("-", zone)) => -clock(zone)?,
        Some((_, zone)) => clock(zone)?,
        None => 0,
    };
    days.checked_mul(DAY_MICROS)?.checked_add(clock(time)? - offset)
}

/// Microseconds of `hh`, `hh:mm`, `hh:mm:ss` or `hh:mm:ss.ffffff`; none of nothing.
fn clock(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut seconds = 0;
    for (part, unit) in whole.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<u16>().ok().map(i64::from)? * unit;
    }
    let micros = format!("{fraction:0<6}").parse::<u32>().ok()?;
    Some(seconds * 1_000_000 + i64::from(micros))
}

fn month_lengths(leap: bool) -> [i64; 12] {
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{EPOCH_DAYS, iso, iso_micros, year_start, year_start_micros};

    #[test]
    fn years_start_where_the_calendar_says() {
        assert_eq!(year_start(-7168), Some(-7305), "1980-05-17");
        assert_eq!(year_start(0), Some(0));
        assert_eq!(year_start(365), Some(0), "2000 has 366 days");
        assert_eq!(year_start(366), Some(366));
        assert_eq!(year_start(-1), Some(-365));
        assert_eq!(year_start(i32::MAX), None);
        let noon = -7168 * 86_400_000_000 + 43_200_000_000;
        assert_eq!(year_start_micros(noon), Some(-7305 * 86_400_000_000));
    }

    #[test]
    fn a_moment_is_the_same_however_it_is_written() {
        let day = 86_400_000_000;
        assert_eq!(iso_micros("2000-01-01"), Some(0));
        assert_eq!(iso_micros("2000-03-01 00:00:00"), Some(60 * day), "a leap year");
        assert_eq!(iso_micros("1999-12-31 23:59:59.5"), Some(-500_000));
        let noon = iso_micros("2020-06-01 12:00:00+00");
        assert!(noon.is_some());
        assert_eq!(iso_micros("2020-06-01 17:45:00+05:45"), noon);
        assert_eq!(iso_micros("2020-06-01 08:30:00-03:30"), noon);
        assert_eq!(
            iso_micros("0001-12-31 BC"),
            iso_micros("0001-01-01").map(|next| next - day)
        );
        for text in ["infinity", "01/02/2003", "2000-01-01 aa:00:00", ""] {
            assert_eq!(iso_micros(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_written_after_the_one_before() {
        let from = -i32::try_from(EPOCH_DAYS).unwrap();
        let mut last = iso(from);
        assert_eq!(last, "1970-01-01");
        for days in from + 1..from + 146_097 {
            let next = iso(days);
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        assert_eq!(last, "2369-12-31");
    }
}
