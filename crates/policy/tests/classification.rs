//! What `classify.toml` says about columns, relations and code.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use support::load;

const CLASSIFY: &str = r#"
[[columns]]
column = ["public.customers.ssn", "public.customers.card_number"]
class = "protected"

[[columns]]
target = "orders"
column = ["*.*.email*", "hr*.sal*ry.*"]
class = "pii"

[[columns]]
column = 'public."odd.name".x'
class = "odd"

[[declassified]]
relation = "public.*_masked"

[[detectors]]
kind = "credit_card"
class = "pci"

[[functions]]
target = "orders"
name = "public.order_total(integer)"

[[functions]]
name = "public.fmt(numeric)"
sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
"#;

fn on(target: &str) -> std::sync::Arc<sallyport_policy::Classification> {
    load("", CLASSIFY).classification(target)
}

fn names(classes: impl IntoIterator<Item = smol_str::SmolStr>) -> String {
    classes.into_iter().map(|c| c.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn columns_have_classes_by_name_and_by_pattern() {
    let orders = on("orders");
    let class = |name: &str| names(orders.of_column(name));
    assert_eq!(class("public.customers.ssn"), "protected");
    assert_eq!(class("demo.customers.ssn"), "");
    assert_eq!(class("public.customers.SSN"), "");
    assert_eq!(class("public.people.email_address"), "pii");
    assert_eq!(class("hr_eu.salary.amount"), "pii");
    assert_eq!(class("hr_eu.sally.amount"), "");
    assert_eq!(class("public.\"odd.name\".x"), "odd");
    assert_eq!(class("public.leads_masked.email"), "");
    assert_eq!(names(on("other").of_column("public.people.email")), "");
}

#[test]
fn a_name_that_cannot_be_read_carries_everything() {
    let orders = on("orders");
    for name in ["ssn", "a.b", "a.b.c.d", "public.\"x.y", "public..x", ""] {
        assert_eq!(names(orders.of_column(name)), "odd pci pii protected", "{name}");
    }
    assert_eq!(names(orders.of_relation("customers")), "odd pci pii protected");
}

#[test]
fn a_relation_carries_the_classes_of_its_columns() {
    let orders = on("orders");
    assert_eq!(names(orders.of_relation("public.customers")), "pii protected");
    assert_eq!(names(on("other").of_relation("public.customers")), "protected");
    assert_eq!(names(orders.of_relation("public.customers_masked")), "");
    assert!(orders.declassified("public.customers_masked"));
    assert!(!orders.declassified("demo.customers_masked"));
    assert!(!orders.declassified("customers_masked"));
}

#[test]
fn code_is_trusted_by_identity_and_digest() {
    let orders = on("orders");
    assert!(orders.trusts("public.order_total(integer)", None));
    assert!(!orders.trusts("public.order_total(bigint)", None));
    assert!(!on("other").trusts("public.order_total(integer)", None));
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    assert!(orders.trusts("public.fmt(numeric)", Some(digest)));
    assert!(!orders.trusts("public.fmt(numeric)", Some(&digest.replace('9', "8"))));
    assert!(!orders.trusts("public.fmt(numeric)", None));
}

#[test]
fn nothing_classified_is_empty() {
    assert!(load("", "").classification("orders").is_empty());
    assert!(!on("orders").is_empty());
    assert!(on("orders").has_columns());
}
