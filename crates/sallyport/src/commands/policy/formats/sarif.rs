//! For code scanning: [SARIF 2.1.0](https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html).

use std::collections::BTreeSet;
use std::io::Write;

use sallyport_policy::{Code, Problem, Severity};
use serde_json::{Value, json};

use super::Report;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let findings = &report.checked.findings;
    let used: BTreeSet<&str> = findings.iter().map(|found| found.code.slug()).collect();
    let codes: Vec<Code> = Code::ALL
        .iter()
        .copied()
        .filter(|code| used.contains(code.slug()))
        .collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|found| result(found, &codes, &report.path(&found.file)))
        .collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "sallyport policy check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().copied().map(kind).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?)
}

/// A kind of finding: SARIF calls it a rule.
fn kind(code: Code) -> Value {
    json!({
        "id": code.slug(),
        "shortDescription": { "text": code.summary() },
        "help": { "text": sentence(code.help()) },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn result(found: &Problem, codes: &[Code], path: &str) -> Value {
    let mut location = json!({ "artifactLocation": { "uri": uri(path) } });
    if let (Some((line, column)), Some(place)) = (found.position, location.as_object_mut()) {
        let mut region = json!({ "startLine": line, "startColumn": column });
        if let (Some((end, behind)), Some(region)) = (found.end(), region.as_object_mut()) {
            region.insert("endLine".to_owned(), end.into());
            region.insert("endColumn".to_owned(), behind.into());
        }
        place.insert("region".to_owned(), region);
    }
    let mut result = json!({
        "ruleId": found.code.slug(),
        "ruleIndex": codes.iter().position(|code| *code == found.code),
        "level": level(found.severity()),
        "message": { "text": format!("{} {}", sentence(&found.message), sentence(found.advice())) },
        "locations": [{ "physicalLocation": location }],
    });
    if let (Some(rule), Some(result)) = (found.rule(), result.as_object_mut()) {
        result.insert("properties".to_owned(), json!({ "rule": rule.as_str() }));
    }
    result
}

fn level(severity: Severity) -> &'static str {
    severity.as_str()
}

/// With a capital letter, unless it begins with a name, and a full stop.
fn sentence(text: &str) -> String {
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    let word = text.split(' ').next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next().filter(|_| word.chars().all(char::is_alphabetic)) {
        Some(first) => format!("{}{}{end}", first.to_uppercase(), chars.as_str()),
        None => format!("{text}{end}"),
    }
}

/// A relative path as a reference: everything that is not plain is escaped.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
