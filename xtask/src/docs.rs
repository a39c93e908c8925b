//! `cargo xtask docs`: the book and the repository's other pages hold together. What their commands print is checked by
//! the end-to-end tests (`tests/e2e/book.rs`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::process;

/// Folders in which nobody of ours wrote.
const SKIPPED: &[&str] = &[".git", "node_modules"];
/// Cargo puts this into the folder of what it builds.
const BUILT: &str = "CACHEDIR.TAG";

/// One page.
#[derive(Debug, Default)]
struct Page {
    /// Where its links lead, as they are written.
    links: Vec<String>,
    /// What its headings can be linked by.
    anchors: BTreeSet<String>,
    /// What it sets as code within a line.
    code: Vec<String>,
}

/// Pages that name tests.
const NAME_TESTS: &[&str] = &["ARCHITECTURE.md", "tests/corpus/peers.md"];

/// Checks every page; an error when something leads nowhere.
pub(crate) fn run() -> Result<()> {
    let root = process::root();
    let mut problems = Vec::new();
    let pages = pages(&root)?;
    for path in &pages {
        let page = read(path)?;
        for link in &page.links {
            if let Some(why) = broken(path, link)? {
                let shown = path.strip_prefix(&root).unwrap_or(path).display();
                problems.push(format!("{shown}: `{link}` {why}"));
            }
        }
    }
    problems.extend(left_out(&root.join("docs").join("src"))?);
    let functions = functions(&root)?;
    for name in NAME_TESTS {
        let page = read(&root.join(name))?;
        let missing = unknown(&page, &functions);
        problems.extend(missing.map(|test| format!("{name}: there is no test `{test}`")));
    }
    if !problems.is_empty() {
        bail!("the documents do not hold together:\n{}", problems.join("\n"));
    }
    eprintln!("docs: {} pages hold together", pages.len());
    Ok(())
}

/// What a page names that looks like a test's name and is no function of ours.
fn unknown<'a>(page: &'a Page, functions: &'a BTreeSet<String>) -> impl Iterator<Item = &'a String> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let named = page.code.iter().filter(move |code| {
        // Names of tests are sentences.
        code.chars().all(word) && code.matches('_').count() >= 2 && !code.starts_with("sallyport_")
    });
    named.filter(|code| !functions.contains(*code))
}

/// The names of all functions of the repository.
fn functions(root: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for path in files(root, "rs")? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("`{}` could not be read", path.display()))?;
        let after = text.split("fn ").skip(1);
        found.extend(after.filter_map(|rest| Some(rest.split_once(['(', '<'])?.0.to_owned())));
    }
    Ok(found)
}

/// Every page of the repository.
fn pages(dir: &Path) -> Result<Vec<PathBuf>> {
    files(dir, "md")
}

/// Every file of ours whose name ends so.
fn files(dir: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("`{}` could not be read", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) && !path.join(BUILT).exists() {
            found.extend(files(&path, end)?);
        } else if path.is_file() && path.extension().is_some_and(|found| found == end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Page> {
    let text = std::fs::read_to_string(path).with_context(|| format!("`{}` could not be read", path.display()))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        if let Event::Code(code) = &event {
            page.code.push(code.to_string());
        }
        if let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event {
            page.links.push(dest_url.to_string());
        } else if let Event::Start(Tag::Heading { .. }) = event {
            heading = Some(String::new());
        } else if let Event::End(TagEnd::Heading(_)) = event {
            page.anchors.extend(heading.take().map(|words| anchor(&words)));
        } else if let (Event::Text(words) | Event::Code(words), Some(heading)) = (event, &mut heading) {
            heading.push_str(&words);
        }
    }
    page
}

/// How a heading is linked to, here and in the book.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() })
        .collect()
}

/// Why a link leads nowhere, if it does. Other people's pages are not asked for.
fn broken(page: &Path, link: &str) -> Result<Option<&'static str>> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(None);
    }
    let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        page.to_owned()
    } else {
        page.parent().unwrap_or(page).join(file)
    };
    if !target.exists() {
        return Ok(Some("does not exist"));
    }
    if fragment.is_empty() {
        return Ok(None);
    }
    Ok((!read(&target)?.anchors.contains(fragment)).then_some("has no such heading"))
}

/// Pages of the book that its summary does not list: nobody would find them.
fn left_out(book: &Path) -> Result<Vec<String>> {
    let listed: BTreeSet<String> = read(&book.join("SUMMARY.md"))?.links.into_iter().collect();
    let name = |path: &PathBuf| path.strip_prefix(book).unwrap_or(path).display().to_string();
    let there = pages(book)?.iter().map(name).collect::<BTreeSet<_>>();
    let missing = there
        .iter()
        .filter(|name| *name != "SUMMARY.md" && !listed.contains(*name));
    Ok(missing
        .map(|name| format!("docs/src/SUMMARY.md: does not list `{name}`"))
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn headings_are_linked_by_their_words() {
        let page = parse("# What `psql` says, and why\n\n## sallyport.toml\n\n[a](#x) ![b](c.png) `[no](link)`\n");
        let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["sallyporttoml", "what-psql-says-and-why"]);
        assert_eq!(page.links, ["#x", "c.png"]);
    }

    #[test]
    fn a_test_that_does_not_exist_is_found() {
        let page = parse("`this_one_exists`, `this_one_does_not`, `a_word`, `cargo xtask`, `Type::new_with_it`\n");
        let functions = ["this_one_exists".to_owned()].into();
        assert_eq!(unknown(&page, &functions).collect::<Vec<_>>(), ["this_one_does_not"]);
        assert!(
            super::functions(&process::root())
                .unwrap()
                .contains("a_test_that_does_not_exist_is_found")
        );
    }

    #[test]
    fn a_link_that_leads_nowhere_and_a_page_that_nobody_lists_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put("SUMMARY.md", "- [One](one.md)\n");
        put("one.md", "# One\n\n## A part\n");
        put("two.md", "# Two\n");
        let page = dir.path().join("two.md");
        let why = |link: &str| broken(&page, link).unwrap();
        assert_eq!(why("one.md"), None);
        assert_eq!(why("one.md#a-part"), None);
        assert_eq!(why("#two"), None);
        assert_eq!(why("https://example.org/nowhere"), None);
        assert_eq!(why("three.md"), Some("does not exist"));
        assert_eq!(why("one.md#another"), Some("has no such heading"));
        assert_eq!(
            left_out(dir.path()).unwrap(),
            ["docs/src/SUMMARY.md: does not list `two.md`"]
        );
    }
}
