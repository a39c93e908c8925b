//! A condition restricts by the values that are bound to it, not by having parameters.

use std::sync::Arc;

use sallyport_session::{Command, Phase};
use sallyport_sql::Catalog;

use super::play::{
    Play, Says, bind, bind_values, describe_statement, execute, house_rule, parse, query, sync, typed_parse,
};
use crate::wire::Format;

const DELETE: &str = "DELETE FROM care.patients WHERE id > $1";

/// How the facts say that all patients may be written.
const BLANKET: &str = "\"unrestricted\":[\"care.patients\"]";

/// Refuses what runs without a condition that restricts it.
fn no_blanket_writes(command: &Command) -> Says {
    if command.phase == Phase::Run && !command.shape.facts.contains("\"unrestricted\":[]") {
        Says::Refuse
    } else {
        Says::Permit
    }
}

pub(super) fn clinic() -> Arc<Catalog> {
    let mut builder = Catalog::builder();
    for line in include_str!("../../../../../sql/tests/fixture/catalogue.jsonl").lines() {
        let cells: Vec<Option<String>> = serde_json::from_str(line).unwrap();
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        builder.feed(cells[0].unwrap(), &cells[1..]).unwrap();
    }
    Arc::new(builder.build())
}

/// A session with a clinic's catalogue.
fn play(rule: fn(&Command) -> Says) -> Play {
    let play = Play::new(true, rule);
    play.names.publish(0, None, &clinic());
    play
}

fn ran(play: &Play) -> bool {
    play.check();
    play.server.ran.iter().any(|text| text.starts_with("DELETE"))
}

#[test]
fn a_bound_value_that_leaves_nothing_out_is_no_restriction() {
    let number = |n: i32| n.to_be_bytes().to_vec();
    for (format, value, runs) in [
        (Format::Text, Some(b"100".to_vec()), true),
        (Format::Text, Some(b"0".to_vec()), false),
        (Format::Text, Some(b"-1".to_vec()), false),
        (Format::Binary, Some(number(100)), true),
        (Format::Binary, Some(number(0)), false),
        (Format::Binary, Some(0.5_f64.to_be_bytes().to_vec()), false),
        (Format::Text, None, false),
    ] {
        let mut play = play(no_blanket_writes);
        // preparing it is permitted, and says nothing of what it will be bound to
        play.send(&[parse("s", DELETE), sync()].concat());
        let bind = bind_values("", "s", format, &[value.as_deref()]);
        play.send(&[bind, execute(""), sync()].concat());
        assert_eq!(ran(&play), runs, "{format:?} {value:?}: {}", play.answers());
    }
}

#[test]
fn bytes_are_of_the_type_that_the_target_told() {
    let text = "DELETE FROM care.patients WHERE id::int8 > $1";
    for (told, value, runs) in [
        (&[23_u32][..], 100_i64.to_be_bytes()[4..].to_vec(), true),
        (&[23], 0_i64.to_be_bytes()[4..].to_vec(), false),
        (&[701], 100.0_f64.to_be_bytes().to_vec(), true),
        (&[701], 1_000_000_i64.to_be_bytes().to_vec(), false),
        // nobody asked, so nobody knows
        (&[], 100_i64.to_be_bytes()[4..].to_vec(), false),
    ] {
        let mut play = play(no_blanket_writes);
        play.server.parameter_types = told.to_vec();
        play.send(&[parse("s", text), sync()].concat());
        if !told.is_empty() {
            play.send(&[describe_statement("s"), sync()].concat());
        }
        let bind = bind_values("", "s", Format::Binary, &[Some(&value)]);
        play.send(&[bind, execute(""), sync()].concat());
        assert_eq!(ran(&play), runs, "{told:?} {value:?}: {}", play.answers());
    }
}

#[test]
fn one_statement_is_judged_by_each_binding_of_it() {
    let mut play = play(no_blanket_writes);
    play.send(&[typed_parse("s", DELETE, &[23]), sync()].concat());
    for (value, runs) in [(100_i32, true), (0, false), (100, true)] {
        play.server.ran.clear();
        let bind = bind_values("p", "s", Format::Binary, &[Some(&value.to_be_bytes())]);
        play.send(&[bind, execute("p"), sync()].concat());
        assert_eq!(ran(&play), runs, "{value}: {}", play.answers());
    }
}

#[test]
fn a_portal_is_still_judged_by_its_values_when_names_have_changed_since() {
    let mut play = play(|_| Says::Permit);
    play.send(&[parse("s", DELETE), sync(), query("BEGIN")].concat());
    let bind = bind_values("p", "s", Format::Text, &[Some(b"0")]);
    play.send(&[bind, sync()].concat());
    play.names.changed();
    play.names.publish(1, None, &clinic());
    play.send(&[execute("p"), sync()].concat());
    assert!(ran(&play), "{}", play.answers());
    let asked = play
        .asked
        .iter()
        .filter(|c| c.phase == Phase::Run && c.text == DELETE.as_bytes());
    let blanket = asked.map(|c| c.shape.facts.contains(BLANKET)).collect::<Vec<_>>();
    assert_eq!(
        blanket,
        [true, true],
        "when it is bound, and when it is executed under other names"
    );
}

#[test]
fn a_held_binding_goes_on_as_what_was_approved() {
    for other_names in [false, true] {
        let mut play = play(house_rule);
        play.send(&[parse("s", DELETE), sync()].concat());
        play.send(&bind_values("", "s", Format::Text, &[Some(b"0")]));
        let (_, command) = play.held.as_ref().expect("a held binding");
        assert!(command.shape.facts.contains(BLANKET));
        if other_names {
            // of the same meaning: it is understood anew, with the same values
            play.names.changed();
            play.names.publish(1, None, &clinic());
        }
        play.approve();
        play.send(&[execute(""), sync()].concat());
        if play.held.is_some() {
            play.approve();
            play.send(&sync());
        }
        assert!(ran(&play), "{}", play.answers());
    }
}

#[test]
fn what_sql_executes_or_prepares_is_no_way_around() {
    for (prepare, run) in [
        (parse("s", DELETE), query("EXECUTE s(0)")),
        (
            query("PREPARE s AS DELETE FROM care.patients WHERE id > $1"),
            query("EXECUTE s(0)"),
        ),
        // of what the protocol prepared the text is not at hand
        (parse("s", DELETE), query("EXECUTE s(100)")),
        (
            query("PREPARE s AS DELETE FROM care.patients WHERE id > $1"),
            [bind_values("", "s", Format::Text, &[Some(b"0")]), execute(""), sync()]
                .concat()
                .into(),
        ),
    ] {
        let mut play = play(no_blanket_writes);
        play.send(&[prepare, sync()].concat());
        play.server.ran.clear();
        play.send(&run);
        assert!(
            !play
                .server
                .ran
                .iter()
                .any(|t| t.contains("EXECUTE") || t.contains("DELETE")),
            "{}",
            play.answers()
        );
    }
    let mut restricted = play(no_blanket_writes);
    restricted.send(&query("PREPARE s AS DELETE FROM care.patients WHERE id > $1"));
    restricted.send(&query("EXECUTE s (100)"));
    assert!(ran(&restricted), "{}", restricted.answers());
    // no values, no restriction
    let mut play = play(no_blanket_writes);
    play.send(&[parse("s", DELETE), sync(), bind("", "s"), execute(""), sync()].concat());
    assert!(!ran(&play), "{}", play.answers());
}
