//! What the book shows can be read, and is permitted.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use sallyport_credential::{Credentials, Environment, Options, Source, Stores};

const BOOK: &str = include_str!("../../../docs/src/credentials.md");

#[test]
fn every_example_of_the_book_is_good() {
    let examples = BOOK.split("```toml\n").skip(1);
    let examples: String = examples.map(|rest| rest.split("```").next().unwrap()).collect();
    let mut stores: toml::Table = toml::from_str(&examples).unwrap();
    let targets = stores.remove("target").unwrap();
    let stores: Stores = stores.try_into().unwrap();
    let options = Options {
        commands: true,
        environment: Environment::given([("KUBERNETES_SERVICE_HOST", "::1"), ("KUBERNETES_SERVICE_PORT", "443")]),
        ..Options::default()
    };
    let credentials = Credentials::new(&stores, options).unwrap();
    let mut shown = 0;
    for target in targets.as_array().unwrap() {
        let source: Source = target.get("credential").unwrap().clone().try_into().unwrap();
        credentials.check(&source).unwrap();
        shown += 1;
    }
    assert_eq!(shown, 11);
}
