//! Any text is understood or refused: PostgreSQL's parser (C) and the analysis over its tree neither crash nor hang, every
//! statement gets facts, and facts can be written down.
//!
//! `catalog.json` holds the names of a small database, so that the analysis has something to resolve.

use std::sync::OnceLock;

use sallyport_sql::{Catalog, NoNames, SessionState, analyse, parse};

fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let rows: Vec<(String, Vec<Option<String>>)> = serde_json::from_str(include_str!("../../catalog.json")).unwrap();
        let mut builder = Catalog::builder();
        for (name, cells) in &rows {
            let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
            builder.feed(name, &cells).unwrap();
        }
        builder.build()
    })
}

/// One input.
pub fn run(data: &[u8]) {
    let catalog = catalog();
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(parsed) = parse(text) else { return };
    // What is too large to understand is refused as well.
    let Ok(facts) = analyse(&parsed, catalog, &SessionState::default(), &NoNames) else {
        return;
    };
    assert_eq!(facts.statements.len(), parsed.len());
    for statement in &facts.statements {
        assert!(
            statement.span.end <= text.len(),
            "{:?} of {}",
            statement.span,
            text.len()
        );
        assert!(!statement.actions.is_empty(), "every statement does something");
    }
    serde_json::to_string(&facts).unwrap();
}
