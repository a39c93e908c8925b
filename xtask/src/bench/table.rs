//! Ratios of medians.

use super::load::{Load, Sample};

/// What one load gave, by contender.
pub(super) struct Table {
    load: Load,
    samples: Vec<(&'static str, Vec<Sample>)>,
}

impl Table {
    pub(super) fn new(load: Load) -> Table {
        Table {
            load,
            samples: Vec::new(),
        }
    }

    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    pub(super) fn add(&mut self, name: &'static str, sample: Sample) {
        match self.samples.iter_mut().find(|(known, _)| *known == name) {
            Some((_, samples)) => samples.push(sample),
            None => self.samples.push((name, vec![sample])),
        }
    }

    /// The median of something for one contender.
    fn median(&self, name: &str, what: impl Fn(&Sample) -> f64) -> f64 {
        let samples = self.samples.iter().find(|(known, _)| *known == name);
        let mut values: Vec<f64> = samples
            .map(|(_, samples)| samples.iter().map(what).collect())
            .unwrap_or_default();
        median(&mut values)
    }

    pub(super) fn print(&self) {
        println!("\n{}", self.load.name());
        let unit = self.load.unit();
        println!(
            "{:<12} {:>12} {:>10} {:>12} {:>16} {:>8} {:>12}",
            "",
            unit,
            "÷ direct",
            "÷ PgBouncer",
            self.load.cost(),
            "÷ relay",
            "p50 added µs"
        );
        let value = |sample: &Sample| sample.value;
        let latency = |sample: &Sample| sample.latency_us;
        let per_unit = |sample: &Sample| {
            if sample.units > 0.0 {
                sample.proxy_us as f64 / sample.units
            } else {
                0.0
            }
        };
        let (direct, pgbouncer) = (self.median("direct", value), self.median("PgBouncer", value));
        let relay = self.median("relay", per_unit);
        for (name, _) in &self.samples {
            let own = self.median(name, value);
            let added = self.median(name, latency) - self.median("direct", latency);
            let cost = self.median(name, per_unit);
            println!(
                "{name:<12} {:>12.1} {:>10} {:>12} {:>16.2} {:>8} {:>12.1}",
                self.load.shown(own),
                ratio(own, direct),
                ratio(own, pgbouncer),
                cost,
                ratio(cost, relay),
                added,
            );
        }
    }
}

fn ratio(value: f64, base: f64) -> String {
    if base > 0.0 {
        format!("{:.2}", value / base)
    } else {
        "–".to_owned()
    }
}

/// The middle value; zero of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (
        values.get(middle),
        middle.checked_sub(1).and_then(|low| values.get(low)),
    ) {
        (Some(high), Some(low)) if values.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (Some(high), _) => *high,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&mut [4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&mut []).abs() < 1e-9);
    }
}
