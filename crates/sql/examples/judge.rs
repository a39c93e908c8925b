//! scratch
#![allow(clippy::all, clippy::pedantic, clippy::restriction)]
use sallyport_sql::*;
use std::collections::BTreeSet;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a.len() == 2 {
        for q in Catalog::QUERIES {
            println!("{}", serde_json::to_string(&(q.name, q.sql)).unwrap());
        }
        return;
    }
    let mut b = Catalog::builder();
    for line in std::fs::read_to_string(&a[1]).unwrap().lines() {
        let cells: Vec<Option<String>> = serde_json::from_str(line).unwrap();
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        b.feed(cells[0].unwrap(), &cells[1..]).unwrap();
    }
    let cat = b
        .build()
        .with_declassified(BTreeSet::from([RelName::new("public", "customers_masked")]));
    let prot = |c: &ColumnName| {
        matches!(
            c.to_string().as_str(),
            "public.customers.ssn" | "public.customers.card_number"
        )
    };
    for line in std::fs::read_to_string(&a[2]).unwrap().lines() {
        let v: serde_json::Value = serde_json::from_str(line).unwrap();
        let simple = v.get("setup").is_none() && v.get("startup").is_none();
        let mut texts: Vec<String> = Vec::new();
        if let Some(steps) = v.get("steps").and_then(|s| s.as_array()) {
            for s in steps {
                if let Some(t) = s.get("sql").and_then(|t| t.as_str()) {
                    texts.push(t.to_owned());
                }
            }
        } else {
            texts.push(v["sql"].as_str().unwrap().to_owned());
        }
        if !simple || texts.len() != 1 {
            continue;
        }
        let mut why: BTreeSet<String> = BTreeSet::new();
        let mut masked = false;
        match parse(&texts[0]) {
            Err(e) => {
                why.insert(format!("unparsed {e}"));
            }
            Ok(p) => {
                let state = SessionState {
                    user: "app".into(),
                    session_user: "app".into(),
                    ..SessionState::default()
                };
                for s in analyse(&p, &cat, &state, &NoNames).statements {
                    for act in &s.actions {
                        let g = act.group().name();
                        if g == "destroy"
                            || g == "privilege"
                            || (g == "code" && act.name() != "call")
                            || act.name() == "unknown"
                            || matches!(
                                act.name(),
                                "alter_system"
                                    | "alter_database"
                                    | "create_tablespace"
                                    | "create_foreign"
                                    | "create_publication"
                                    | "create_subscription"
                            )
                        {
                            why.insert(act.name().into());
                        }
                    }
                    for h in &s.hazards {
                        if !matches!(h.name(), "temporary_shadow" | "notify" | "setting_write") {
                            why.insert(format!("{h:?}"));
                        }
                    }
                    if s.writes.iter().any(|r| !r.is_temporary()) && !s.unrestricted.is_empty() {
                        why.insert("unrestricted".into());
                    }
                    for u in &s.uses {
                        if prot(&u.column) {
                            match u.how {
                                How::Shown => masked = true,
                                How::Written => {}
                                h => {
                                    why.insert(format!("{h:?}"));
                                }
                            }
                        }
                    }
                    for c in &s.code {
                        if !matches!(c.as_str(), "public.order_total(integer)" | "public.fmt_money(numeric)") {
                            why.insert(c.to_string());
                        }
                    }
                }
            }
        }
        let block = v["verdict"] == "must_block";
        let refused = !why.is_empty();
        let bad = (block && !refused && !masked) || (!block && (refused || masked));
        if bad || a.len() > 3 {
            println!(
                "{} {} {:?} {} | {}",
                if bad { "BAD" } else { "ok" },
                v["id"].as_str().unwrap(),
                why,
                if masked { "masked" } else { "" },
                texts[0].chars().take(230).collect::<String>().replace('\n', " ")
            );
        }
    }
}
