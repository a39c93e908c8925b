//! A `classify.toml` is understood or refused, and names no class that rules could not speak of.

use sallyport_policy::testing::classify;

/// One input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match classify(text, "orders") {
        Ok((classification, classes)) => {
            let named = classification.all_classes();
            assert!(named.iter().all(|class| classes.contains(class)), "{named:?} of {classes:?}");
            for name in ["public.customers.ssn", "a.b.c", "", "\"a.b\".\"c\"\"d\".e"] {
                assert!(classification.of_column(name).is_subset(&named));
            }
        }
        Err(problems) => assert!(!problems.is_empty(), "a refusal says why"),
    }
}
