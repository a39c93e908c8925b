//! `cargo xtask docs`: the book and the repository's other pages hold together. What their commands print is checked by
//! the end-to-end tests (`tests/e2e/book.rs`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::process;

/// Folders in which nobody of ours wrote.
const SKIPPED: &[&str] = &["target", ".git", "node_modules"];

/// One page.
#[derive(Debug, Default)]
struct Page {
    /// Where its links lead, as they are written.
    links: Vec<String>,
    /// What its headings can be linked by.
    anchors: BTreeSet<String>,
}

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
    if !problems.is_empty() {
        bail!("the documents do not hold together:\n{}", problems.join("\n"));
    }
    eprintln!("docs: {} pages hold together", pages.len());
    Ok(())
}

/// Every page of the repository.
fn pages(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("`{}` could not be read", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            found.extend(pages(&path)?);
        } else if path.is_file() && path.extension().is_some_and(|end| end == "md") {
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
