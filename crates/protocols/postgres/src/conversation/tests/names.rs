//! What a name means to the gate is what it means to the target, whatever the target has not said yet.

use super::play::{Play, Says, bind, close, execute, house_rule, parse, query, run, sync};

/// The attacker's statement: held, so it must not run before its approval.
const HELD: &str = "DELETE FROM accounts";

fn never_ran(play: &Play) {
    assert!(
        play.server.ran.iter().all(|text| !text.contains("DELETE")),
        "{:?}",
        play.server.ran
    );
    play.check();
}

#[test]
fn a_name_whose_new_meaning_fails_keeps_the_old_one() {
    for needs_names in [false, true] {
        for ask in [
            query("EXECUTE s"),
            [bind("", "s"), execute(""), sync()].concat().into(),
            [run("EXECUTE s"), sync()].concat().into(),
        ] {
            let mut play = Play::new(needs_names, house_rule);
            play.send(&[parse("s", HELD), sync()].concat());
            play.server_sleeps = true;
            // The target refuses the second meaning, which the gateway cannot know yet.
            play.send(&[parse("s", "SELECT 1"), sync(), ask].concat());
            play.wake();
            assert!(play.held.is_some(), "{:?}", play.answers());
            never_ran(&play);
        }
    }
}

#[test]
fn a_failure_does_not_bring_an_old_meaning_back_over_a_newer_one() {
    for needs_names in [false, true] {
        let mut play = Play::new(needs_names, house_rule);
        play.send(&[parse("", "SELECT 1"), sync()].concat());
        play.server_sleeps = true;
        play.send(&[parse("", "SELECT unknown_function()"), sync(), parse("", HELD)].concat());
        play.wake();
        play.send(&[bind("", ""), execute(""), sync()].concat());
        assert!(play.held.is_some(), "{:?}", play.answers());
        never_ran(&play);
    }
}

#[test]
fn a_statement_that_runs_another_by_name_is_judged_by_what_the_name_means_when_it_runs() {
    for needs_names in [false, true] {
        let mut play = Play::new(needs_names, house_rule);
        play.send(&[parse("s", "SELECT 1"), sync(), parse("x", "EXECUTE s"), sync()].concat());
        play.send(&[close("s"), parse("s", HELD), sync()].concat());
        play.send(&[bind("", "x"), execute(""), sync()].concat());
        assert!(play.held.is_some(), "{:?}", play.answers());
        never_ran(&play);
    }
}

#[test]
fn a_portal_does_not_run_a_name_that_changed_since_it_was_bound() {
    for needs_names in [false, true] {
        let mut play = Play::new(needs_names, house_rule);
        play.send(
            &[
                query("BEGIN"),
                parse("s", "SELECT 1"),
                parse("x", "EXECUTE s"),
                bind("p", "x"),
                sync(),
            ]
            .concat(),
        );
        play.send(&[close("s"), parse("s", HELD), sync()].concat());
        play.send(&[execute("p"), sync()].concat());
        never_ran(&play);
    }
}

#[test]
fn names_that_sql_changes_are_waited_for() {
    for needs_names in [false, true] {
        let mut play = Play::new(needs_names, house_rule);
        play.send(&[query("PREPARE s AS SELECT 1")].concat());
        play.server_sleeps = true;
        play.send(
            &[
                run("DEALLOCATE s"),
                parse("t", "SELECT 2"),
                bind("", "s"),
                execute(""),
                sync(),
            ]
            .concat(),
        );
        play.wake();
        assert_eq!(play.server.ran.last().map(String::as_str), Some("DEALLOCATE s"));
        play.check();
    }
}

#[test]
fn text_is_read_as_the_target_reads_it_even_in_the_batch_that_changes_how() {
    // With backslashes that escape, the string ends later, and a DROP follows.
    let hidden = r"SELECT 'a\', '; DROP TABLE t; --'";
    for needs_names in [false, true] {
        let mut play = Play::new(needs_names, house_rule);
        play.send(
            &[
                run("SET standard_conforming_strings = off"),
                parse("", hidden),
                bind("", ""),
                execute(""),
                sync(),
            ]
            .concat(),
        );
        let asked = play.asked.iter().find(|c| c.text == hidden.as_bytes()).expect("asked");
        let acts = format!("{:?}", asked.shape.acts);
        assert!(
            asked.shape.unparsed.is_some() || acts.contains("drop_table"),
            "{needs_names}: {acts}"
        );
    }
}

#[test]
fn text_is_read_as_the_target_read_it_though_settings_changed_since() {
    let shown = |play: &Play, text: &str| {
        let asked = play.asked.iter().filter(|c| c.text == text.as_bytes());
        asked.map(|c| format!("{:?}", c.shape.acts)).collect::<Vec<_>>()
    };
    // In a batch of its own a text is read the old way: what looks like a DELETE is in a string.
    let apart = r"SELECT 'a\'; DELETE FROM t; --'";
    for (setting, deletes) in [("off", false), ("on", true)] {
        let mut play = Play::new(true, house_rule);
        play.send(&query(&format!("SET standard_conforming_strings = {setting}")));
        play.send(&query(apart));
        assert_eq!(play.held.is_some(), deletes, "{setting}");
        assert_eq!(shown(&play, apart).concat().contains("delete"), deletes, "{setting}");
    }
    // A statement that was prepared before is what it was then.
    for (before, after) in [("on", "off"), ("off", "on")] {
        let text = r"SELECT 'a\', f(1) --'";
        let mut play = Play::new(true, |_| Says::Permit);
        play.send(&query(&format!("SET standard_conforming_strings = {before}")));
        play.send(&[parse("s", text), sync()].concat());
        play.send(&query(&format!("SET standard_conforming_strings = {after}")));
        play.send(&query("ALTER TABLE t ADD COLUMN c int"));
        play.send(&[bind("", "s"), execute(""), sync()].concat());
        let acts = shown(&play, text);
        assert_eq!(acts.len(), 2, "{before}");
        assert_eq!(acts[0], acts[1], "{before}");
    }
}

#[test]
fn an_approval_is_bound_to_the_types_of_the_parameters_and_to_how_text_is_read() {
    let states: Vec<_> = [&[][..], &[20], &[25]]
        .into_iter()
        .map(|types| {
            let mut play = Play::new(true, house_rule);
            play.send(
                &[
                    super::play::typed_parse("", "DELETE FROM t WHERE f($1)", types),
                    bind("", ""),
                    sync(),
                ]
                .concat(),
            );
            play.held.take().expect("held").1.state
        })
        .collect();
    assert!(states[0] != states[1] && states[1] != states[2] && states[0] != states[2]);
    let mut play = Play::new(true, house_rule);
    play.send(&query("DELETE FROM t"));
    let on = play.held.take().expect("held").1.state;
    let mut play = Play::new(true, house_rule);
    play.send(&query("SET standard_conforming_strings = off"))
        .send(&query("DELETE FROM t"));
    assert_ne!(on, play.held.take().expect("held").1.state);
}

#[test]
fn an_approval_of_execute_is_bound_to_what_the_name_stands_for() {
    let state = |inner: &str| {
        let mut play = Play::new(true, house_rule);
        play.send(&query(&format!("PREPARE s AS {inner}")));
        if play.held.is_some() {
            play.approve();
        }
        play.send(&query("EXECUTE s"));
        play.held.take().expect("held").1.state
    };
    assert_ne!(state("DELETE FROM a"), state("DELETE FROM b"));
}

/// Portals and cursors are one kind of name to the target.
#[test]
fn a_cursor_takes_the_name_of_a_portal_and_the_other_way_round() {
    for needs_names in [false, true] {
        let mut play = Play::new(needs_names, house_rule);
        // The portal is gone at the target once the savepoint is, and the name is free for a cursor.
        play.send(
            &[
                query("BEGIN"),
                query("SAVEPOINT a"),
                parse("s", "SELECT 1"),
                bind("c", "s"),
                sync(),
            ]
            .concat(),
        );
        play.send(&[query("ROLLBACK TO a"), query("DECLARE c CURSOR FOR SELECT 2")].concat());
        let asked = play.asked.len();
        play.send(&[execute("c"), sync()].concat());
        let fetched = play.asked.get(asked).expect("executing a cursor is fetching from it");
        assert_eq!(fetched.text, "FETCH FROM c");
        // A portal that is bound under a cursor's name is what is fetched from.
        let mut play = Play::new(needs_names, house_rule);
        play.send(
            &[
                query("BEGIN"),
                query("DECLARE c CURSOR FOR SELECT 2"),
                parse("s", HELD),
                sync(),
            ]
            .concat(),
        );
        play.send(&[bind("c", "s"), sync()].concat());
        play.approve();
        play.send(&query("FETCH FROM c"));
        assert!(play.held.is_some(), "{:?}", play.answers());
    }
}
