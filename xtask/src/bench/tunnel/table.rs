//! What was measured, as tables and as JSON. In both there are medians; tables have ratios to TLS beside.

use serde_json::{Map, Value, json};

use super::super::table::median;

/// All samples, in the order in which they were first taken.
#[derive(Default)]
pub(super) struct Sheet {
    rows: Vec<Row>,
}

struct Row {
    load: String,
    way: String,
    columns: Vec<(&'static str, Vec<f64>)>,
}

impl Sheet {
    pub(super) fn add(&mut self, load: &str, way: &str, what: &'static str, value: f64) {
        let at = self.rows.iter().position(|row| row.load == load && row.way == way);
        let row = match at.and_then(|at| self.rows.get_mut(at)) {
            Some(row) => row,
            None => self.rows.push_mut(Row {
                load: load.to_owned(),
                way: way.to_owned(),
                columns: Vec::new(),
            }),
        };
        match row.columns.iter_mut().find(|(name, _)| *name == what) {
            Some((_, samples)) => samples.push(value),
            None => row.columns.push((what, vec![value])),
        }
    }

    fn loads(&self) -> Vec<&str> {
        let mut loads: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !loads.contains(&row.load.as_str()) {
                loads.push(&row.load);
            }
        }
        loads
    }

    fn of(&self, load: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.load == load)
    }

    pub(super) fn print(&self) {
        for load in self.loads() {
            let names: Vec<&str> = self
                .of(load)
                .max_by_key(|row| row.columns.len())
                .map(|row| row.columns.iter().map(|(name, _)| *name).collect())
                .unwrap_or_default();
            println!("\n| {load} | {} |", names.join(" | "));
            println!("|---|{}", "---|".repeat(names.len()));
            let base = self.of(load).find(|row| row.way == "TLS");
            for row in self.of(load) {
                let cells: Vec<String> = row
                    .columns
                    .iter()
                    .map(|(name, samples)| cell(name, samples, base))
                    .collect();
                println!("| {} | {} |", row.way, cells.join(" | "));
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        let loads = self.loads().into_iter().map(|load| {
            let ways: Map<String, Value> = self.of(load).map(|row| (row.way.clone(), row.json())).collect();
            json!({ "load": load, "ways": ways })
        });
        Value::Array(loads.collect())
    }
}

impl Row {
    fn json(&self) -> Value {
        let columns = self.columns.iter().map(|(name, samples)| {
            let name = name.trim().to_owned();
            (
                name,
                json!({ "median": median(&mut samples.clone()), "samples": samples }),
            )
        });
        Value::Object(columns.collect())
    }
}

/// A median, and its ratio to that of TLS where there is one and it is not memory.
fn cell(name: &str, samples: &[f64], base: Option<&Row>) -> String {
    let value = median(&mut samples.to_vec());
    let shown = if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    };
    let base = base.and_then(|row| row.columns.iter().find(|(known, _)| *known == name));
    match base {
        Some((_, base)) if name.contains('/') => format!("{shown} ({:.2})", value / median(&mut base.clone())),
        Some(_) | None => shown,
    }
}
