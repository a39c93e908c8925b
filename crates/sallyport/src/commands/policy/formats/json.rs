//! For programs.

use std::io::Write;

use sallyport_policy::{Problem, Severity};
use serde_json::{Value, json};

use super::Report;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let of = |severity| {
        let found = report.checked.findings.iter();
        found
            .filter(|found| found.severity() == severity)
            .map(finding)
            .collect::<Vec<_>>()
    };
    let bundle = report.checked.bundle.as_ref();
    let document = json!({
        "valid": report.checked.count(Severity::Error) == 0,
        "digest": bundle.map(sallyport_policy::Bundle::digest),
        "commit": bundle.and_then(sallyport_policy::Bundle::commit),
        "targets": report.targets,
        "observing": bundle.map(|bundle| bundle.observing()).map(|o| json!({ "rules": o.rules, "targets": o.targets })),
        "problems": of(Severity::Error),
        "warnings": of(Severity::Warning),
    });
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?)
}

/// One finding.
pub(in crate::commands::policy) fn finding(found: &Problem) -> Value {
    let (line, column) = found.position.unzip();
    json!({
        "code": found.code.slug(),
        "severity": found.severity().as_str(),
        "rule": found.rule().map(sallyport_policy::RuleId::as_str),
        "file": found.file,
        "line": line,
        "column": column,
        "message": found.message,
        "help": found.advice(),
    })
}
