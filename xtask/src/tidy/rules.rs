//! The rules. `STYLE`'s limits: functions of 70 lines, files of 500, one `select!` per path, pure folders.

use super::Finding;
use super::source::Source;

const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 500;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["common", "utils", "util", "helpers", "helper", "misc"];

/// Folders without sockets, clocks or async: protocols' bytes and machines, and what is told apart from them.
const PURE: &[&str] = &[
    "crates/mask/src/",
    "crates/protocols/ssh/prompt/src/",
    "crates/protocols/ssh/sftp/src/",
    "crates/protocols/ssh/transport/src/",
    "crates/protocols/ssh/typed/src/",
    "crates/shell/src/",
    "crates/sql/src/",
];
const PURE_IN_PROTOCOLS: &[&str] = &["wire", "cells", "connection", "conversation"];

/// What a pure folder may not name.
const IMPURE: &[&str] = &[
    "std::net",
    "std::os::unix::net",
    "tokio",
    "std::fs",
    "std::process",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "OffsetDateTime::now_utc",
    "OffsetDateTime::now_local",
];

/// Values of the standard library's network module; they open nothing.
const ADDRESSES: &[&str] = &["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr"];

/// Places of the machines on which this is written; none belongs into the project. Homes of hosts are spoken of.
const MACHINE_PATHS: &[&str] = &["/root/"];

pub(super) fn lengths(path: &str, source: &Source) -> Vec<Finding> {
    if is_test_file(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if source.lines > FILE_LINES {
        findings.push(finding(
            path,
            1,
            format!("{} lines without tests, more than {FILE_LINES}", source.lines),
        ));
    }
    for function in source
        .functions
        .iter()
        .filter(|function| function.lines > FUNCTION_LINES)
    {
        let what = format!(
            "`{}` has {} lines, more than {FUNCTION_LINES}",
            function.name, function.lines
        );
        findings.push(finding(path, function.line, what));
    }
    findings
}

pub(super) fn modules(path: &str, source: &Source) -> Vec<Finding> {
    let empty = source
        .modules
        .iter()
        .filter(|module| EMPTY_NAMES.contains(&module.name.as_str()));
    empty
        .map(|module| finding(path, module.line, format!("a module called `{}`", module.name)))
        .collect()
}

/// Folders and files, crates among them.
pub(super) fn names(path: &str) -> Vec<Finding> {
    if !path.ends_with(".rs") && !path.ends_with("Cargo.toml") {
        return Vec::new();
    }
    let parts = path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    parts
        .filter(|part| EMPTY_NAMES.contains(part))
        .map(|part| finding(path, 1, format!("a crate, folder or file called `{part}`")))
        .collect()
}

/// `select!` stands in drivers only: `driver.rs`, or a file in a folder `driver`.
pub(super) fn select(path: &str, source: &Source) -> Vec<Finding> {
    let driver = path.split('/').any(|part| part == "driver" || part == "driver.rs");
    if driver || is_test_file(path) {
        return Vec::new();
    }
    let imported = source.paths.iter().any(|path| is_async_select(&path.name));
    let calls = source.macros.iter().filter(|call| {
        is_async_select(&call.name) || (imported && matches!(call.name.as_str(), "select" | "select_biased"))
    });
    calls
        .map(|call| finding(path, call.line, "`select!` outside a driver file".to_owned()))
        .collect()
}

/// Other macros may be called `select!` too.
fn is_async_select(path: &str) -> bool {
    let library = path.starts_with("tokio::") || path.starts_with("futures");
    let name = path.rsplit("::").next();
    library && matches!(name, Some("select" | "select_biased"))
}

pub(super) fn purity(path: &str, source: &Source) -> Vec<Finding> {
    if !is_pure(path) || is_test_file(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for named in &source.paths {
        if ADDRESSES.iter().any(|address| names_it(&named.name, address)) {
            continue;
        }
        if let Some(impure) = IMPURE.iter().find(|impure| names_it(&named.name, impure)) {
            findings.push(finding(path, named.line, format!("`{impure}` in a folder marked pure")));
        }
    }
    findings
}

/// Whether a written path goes through the impure one (`std::net::TcpStream`, `time::Instant::now`).
fn names_it(written: &str, impure: &str) -> bool {
    let (written, impure) = (format!("::{written}::"), format!("::{impure}::"));
    if impure.starts_with("::std::") || impure.starts_with("::tokio::") {
        written.starts_with(&impure)
    } else {
        written.contains(&impure)
    }
}

fn is_pure(path: &str) -> bool {
    if PURE.iter().any(|pure| path.starts_with(pure)) {
        return true;
    }
    let Some(rest) = path.strip_prefix("crates/protocols/") else {
        return false;
    };
    let mut parts = rest.split('/').skip(1);
    let part = match (parts.next(), parts.next()) {
        (Some("src"), Some(part)) => part.strip_suffix(".rs").unwrap_or(part),
        (_, _) => return false,
    };
    PURE_IN_PROTOCOLS.contains(&part)
}

pub(super) fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    // This file has to name them.
    if path == "xtask/src/tidy/rules.rs" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(named) = MACHINE_PATHS.iter().find(|named| starts_a_path(line, named)) {
            findings.push(finding(path, index + 1, format!("`{named}` is a path of one machine")));
        }
    }
    findings
}

/// Whether the text stands there as the beginning of an absolute path, and not inside a longer one.
fn starts_a_path(line: &str, named: &str) -> bool {
    line.match_indices(named).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '}' | '~'))
    })
}

/// Files that hold tests only.
fn is_test_file(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples" | "fuzz"))
}

fn finding(path: &str, line: usize, what: String) -> Finding {
    Finding {
        path: path.to_owned(),
        line,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let found = crate::tidy::check(path, text).unwrap_or_default();
        found
            .into_iter()
            .map(|finding| format!("{}: {}", finding.line, finding.what))
            .collect()
    }

    #[test]
    fn a_long_function_is_found_and_a_long_test_is_not() {
        let body = "let _a = 1;\n".repeat(70);
        let found = findings(
            "crates/x/src/a.rs",
            &format!("fn short() {{}}\nfn long() {{\n{body}}}\n"),
        );
        assert_eq!(found, ["2: `long` has 72 lines, more than 70"]);
        assert!(findings("crates/x/src/a.rs", &format!("#[test]\nfn long() {{\n{body}}}\n")).is_empty());
    }

    #[test]
    fn test_modules_do_not_count_towards_a_file_s_length() {
        let long = "const A: u8 = 1;\n".repeat(501);
        assert_eq!(
            findings("crates/x/src/a.rs", &long),
            ["1: 501 lines without tests, more than 500"]
        );
        let tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(findings("crates/x/src/a.rs", &tests).is_empty());
    }

    #[test]
    fn sockets_and_clocks_in_pure_folders_are_found_however_they_are_written() {
        let path = "crates/protocols/postgres/src/wire/ready.rs";
        assert_eq!(findings(path, "use std::{fmt, net::TcpStream};\n").len(), 1);
        assert_eq!(
            findings(path, "fn f() { let _ = std::time::Instant::now(); }\n").len(),
            1
        );
        assert_eq!(
            findings(path, "fn f() { println!(\"{:?}\", std::time::Instant::now()); }\n").len(),
            1
        );
        assert!(findings(path, "use std::{fmt, net::{IpAddr, Ipv4Addr}};\n").is_empty());
        assert_eq!(findings(path, "use std::net::*;\n").len(), 1);
        assert!(findings("crates/protocols/postgres/src/dial.rs", "use tokio::net::TcpStream;\n").is_empty());
    }

    #[test]
    fn select_belongs_into_drivers() {
        let text = "async fn f() { tokio::select! { _ = a() => {} } }\n";
        assert_eq!(
            findings("crates/session/src/gate.rs", text),
            ["1: `select!` outside a driver file"]
        );
        assert!(findings("crates/session/src/driver.rs", text).is_empty());
    }

    #[test]
    fn empty_names_and_machine_paths_are_found() {
        assert_eq!(findings("crates/x/src/utils.rs", "").len(), 1);
        assert_eq!(
            findings("crates/x/src/lib.rs", "mod common;\n"),
            ["1: a module called `common`"]
        );
        let place = format!("see {}x\n", MACHINE_PATHS.concat());
        assert_eq!(findings("README.md", &place).len(), 1);
        assert!(findings("README.md", "see target/work/x and ~/.cache\n").is_empty());
    }

    #[test]
    fn a_crate_takes_the_lints_of_the_workspace() {
        assert_eq!(findings("crates/x/Cargo.toml", "[package]\n").len(), 1);
        assert!(findings("crates/x/Cargo.toml", "[lints]\nworkspace = true\n").is_empty());
    }
}
