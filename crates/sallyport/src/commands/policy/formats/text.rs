//! For people. What the files say is shown without anything that could draw on a terminal.

use std::fmt;
use std::io::{IsTerminal, Write, stderr};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use sallyport_policy::{Problem, Severity};

use super::super::super::terminal::safe;
use super::Report;

/// How wide a report is in a pipe.
const WIDTH: usize = 120;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write, notes: &mut dyn Write) -> anyhow::Result<()> {
    for finding in &report.checked.findings {
        let mut text = safe(&render(&plain(), finding)?);
        // A finding that would draw is shown plain, so that its colours are all ours.
        if colours() && text == render(&plain(), finding)? {
            text = render(&GraphicalReportHandler::new(), finding)?;
        }
        writeln!(notes, "{text}")?;
    }
    let dir = report.dir.display();
    let Some(bundle) = report.checked.bundle.as_ref().filter(|_| !report.fails()) else {
        return Ok(());
    };
    let noun = if report.targets == 1 { "target" } else { "targets" };
    let commit = bundle
        .commit()
        .map(|commit| format!(", commit {commit}"))
        .unwrap_or_default();
    let (targets, digest) = (report.targets, bundle.digest());
    let warnings = match report.checked.count(Severity::Warning) {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        count => format!(", {count} warnings"),
    };
    Ok(writeln!(
        out,
        "`{dir}` is valid: {targets} {noun}, digest {digest}{commit}{warnings}"
    )?)
}

fn colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn render(handler: &GraphicalReportHandler, finding: &Problem) -> anyhow::Result<String> {
    let mut text = String::new();
    let shown = handler.render_report(&mut text, finding as &dyn Diagnostic);
    shown.map_err(|fmt::Error| anyhow::anyhow!("a finding could not be shown: {finding}"))?;
    Ok(text)
}

fn plain() -> GraphicalReportHandler {
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(WIDTH)
        .with_links(false)
}
