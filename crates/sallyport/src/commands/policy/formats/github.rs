//! For GitHub Actions: [workflow commands](https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions).

use std::io::Write;

use sallyport_policy::Problem;

use super::Report;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    for finding in &report.checked.findings {
        writeln!(out, "{}", command(finding, &report.path(&finding.file)))?;
    }
    Ok(())
}

/// The command for one finding.
pub(super) fn command(finding: &Problem, path: &str) -> String {
    let mut properties = vec![("file", path.to_owned())];
    if let Some((line, column)) = finding.position {
        properties.push(("line", line.to_string()));
        properties.push(("col", column.to_string()));
    }
    if let (Some((line, _)), Some((end, column))) = (finding.position, finding.end()) {
        properties.push(("endLine", end.to_string()));
        // GitHub takes a column of an end only within one line.
        if line == end {
            properties.push(("endColumn", column.to_string()));
        }
    }
    properties.push(("title", finding.code.slug().to_owned()));
    let properties: Vec<String> = properties
        .into_iter()
        .map(|(name, value)| format!("{name}={}", property(&value)))
        .collect();
    let text = data(&format!("{}\n{}", finding.message, finding.advice()));
    format!("::{} {}::{text}", finding.severity().as_str(), properties.join(","))
}

/// A command's text: it ends with its line.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value: it ends before a comma or a colon, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
