//! What the files themselves say of targets and of what is sensitive, compared.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::change::Kind;
use super::finding::Difference;
use super::phrase::listed;
use super::settings;
use crate::act::Resource;
use crate::bundle::Bundle;
use crate::problem::single_line;
use crate::search::{Place, targets};

/// The differences of `targets.toml` and `classify.toml`.
pub(super) fn differences(old: &Bundle, new: &Bundle, places: &[Place]) -> Vec<Difference> {
    let difference = |(kind, sentence): (Kind, String)| Difference {
        kind,
        sentence: single_line(&sentence),
        actions: BTreeSet::new(),
        witness: None,
    };
    let mut list = of_targets(old, new, places);
    let settings = settings::differences(old, new).into_iter();
    list.extend(settings.map(|sentence| (Kind::Targets, sentence)));
    list.extend(of_observing(old, new));
    list.extend(of_classes(old, new));
    list.into_iter().map(difference).collect()
}

fn of_targets(old: &Bundle, new: &Bundle, places: &[Place]) -> Vec<(Kind, String)> {
    let (before, after) = (targets(old), targets(new));
    let described = |target: &Resource| {
        let environment = target
            .environment
            .as_ref()
            .map(|name| format!(" in `{name}`"))
            .unwrap_or_default();
        let tags = if target.tags.is_empty() {
            String::new()
        } else {
            format!(", tagged {}", listed(&target.tags, "and"))
        };
        format!("{}{environment}{tags}", target.protocol)
    };
    let mut list = Vec::new();
    for place in places {
        let Some(name) = place.sides.first().map(|side| &side.name) else {
            continue;
        };
        match (before.get(name), after.get(name)) {
            (None, Some(target)) => list.push(format!("target `{name}` is new: {}", described(target))),
            (Some(target), None) => list.push(format!("target `{name}` is gone (was {})", described(target))),
            (Some(was), Some(is)) if was != is => {
                list.push(format!(
                    "target `{name}` is now {} (was {})",
                    described(is),
                    described(was)
                ));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    list.into_iter().map(|sentence| (Kind::Targets, sentence)).collect()
}

/// What only observes, and did not, and the other way round.
fn of_observing(old: &Bundle, new: &Bundle) -> Vec<(Kind, String)> {
    let names = |bundle: &Bundle| -> BTreeSet<String> {
        let observing = bundle.observing();
        let rules = observing.rules.iter().map(|rule| format!("rule `{rule}`"));
        let targets = observing.targets.iter().map(|target| format!("target `{target}`"));
        rules.chain(targets).collect()
    };
    let (before, after) = (names(old), names(new));
    let begins = after
        .difference(&before)
        .map(|what| format!("{what} only observes now"));
    let ends = before
        .difference(&after)
        .map(|what| format!("{what} no longer only observes"));
    begins.chain(ends).map(|sentence| (Kind::Observing, sentence)).collect()
}

type Said = (Option<SmolStr>, &'static str, SmolStr, SmolStr);

fn of_classes(old: &Bundle, new: &Bundle) -> Vec<(Kind, String)> {
    let (before, after) = (old.classify().said(), new.classify().said());
    let gone = before.difference(&after).filter_map(|said| describe(said, false));
    let fresh = after.difference(&before).filter_map(|said| describe(said, true));
    gone.chain(fresh).collect()
}

/// One thing that `classify.toml` says and did not say before, or no longer says.
fn describe((target, what, name, of): &Said, fresh: bool) -> Option<(Kind, String)> {
    let place = target
        .as_ref()
        .map_or_else(|| "on every target".to_owned(), |target| format!("on `{target}`"));
    let (now, more) = if fresh {
        ("is now", Kind::MoreClassified)
    } else {
        ("is no longer", Kind::LessClassified)
    };
    Some(match *what {
        "class" => (more, format!("class `{name}` {now} within `{of}`")),
        "column" => (more, format!("column `{name}` {now} `{of}` {place}")),
        "path" => (more, format!("path `{name}` {now} `{of}` {place}")),
        "detector" if fresh => (more, format!("what the detector `{name}` finds is now `{of}` {place}")),
        "detector" => (
            more,
            format!("the detector `{name}` no longer looks for `{of}` {place}"),
        ),
        "relation" => {
            let kind = if fresh {
                Kind::LessClassified
            } else {
                Kind::MoreClassified
            };
            (kind, format!("relation `{name}` {now} declassified {place}"))
        }
        "function" => {
            let kind = if fresh { Kind::TrustedCode } else { Kind::DistrustedCode };
            let body = match of.get(..12) {
                Some(digest) => format!("with the body {digest}…"),
                None => "with any body".to_owned(),
            };
            (kind, format!("function `{name}` {now} trusted {place}, {body}"))
        }
        _ => return None,
    })
}
