//! Rules as people write them: most are about one team, one table or one kind of command; some about everything.

use std::fmt::Write as _;

/// As many rules, in Cedar's syntax. The first few let everybody in `developers` work.
pub(crate) fn rules(count: usize) -> String {
    const FIRST: &str = r#"
        @id("connect") permit (principal in Group::"developers", action == Action::"connect", resource);
        @id("statements") permit (principal in Group::"developers", action in Sql::Action::"any", resource);
        @id("lines") permit (principal in Group::"developers", action in Ssh::Action::"command", resource);
        @id("shown") permit (principal, action == Action::"reveal", resource);
    "#;
    let mut text = FIRST.to_owned();
    for n in FIRST.matches("@id").count()..count {
        // It is a string: writing to it cannot fail.
        let _ = writeln!(text, "@id(\"rule-{n}\") {}", rule(n));
    }
    text
}

const STATEMENTS: [&str; 8] = [
    "select",
    "insert",
    "update",
    "delete",
    "drop_table",
    "alter_table",
    "grant",
    "set",
];

/// Of twenty rules, two concern every statement and one every line of a shell; the others one team, table or action.
fn rule(n: usize) -> String {
    let statement = STATEMENTS.get(n % STATEMENTS.len()).copied().unwrap_or("select");
    match n % 20 {
        0 => format!(
            "forbid (principal, action in Sql::Action::\"any\", resource in Environment::\"production\")
             when {{ context.hazards.containsAny([\"hazard_{n}\", \"hazard_{n}_too\"]) }};"
        ),
        1 => format!(
            "@message(\"name the rows\") forbid (principal, action in Sql::Action::\"any\", resource in Tag::\"pci\")
             when {{ context.writes.contains(\"public.table_{n}\") }} unless {{ context.unrestricted.isEmpty() }};"
        ),
        2 => format!(
            "forbid (principal, action == Ssh::Action::\"exec\", resource in Environment::\"production\")
             when {{ context.system.contains(\"system_{n}\") || context.programs.contains(\"program_{n}\") }};"
        ),
        3..=6 => format!(
            "permit (principal in Group::\"team-{n}\", action in [Sql::Action::\"read\", Sql::Action::\"write\"], \
             resource == Target::\"target-{n}\");"
        ),
        7..=9 => format!(
            "forbid (principal, action == Sql::Action::\"{statement}\", resource)
             when {{ context.reads.contains(\"public.table_{n}\") }};"
        ),
        10 | 11 => format!(
            "@hold(\"dba\") @timeout(\"10m\") forbid (principal in Group::\"team-{n}\", \
             action in Sql::Action::\"ddl\", resource in Environment::\"production\")
             unless {{ context.approved_by.contains(Group::\"dba\") }};"
        ),
        12 | 13 => format!(
            "permit (principal in Group::\"team-{n}\", action in Ssh::Action::\"files\", resource in Tag::\"host-{n}\");"
        ),
        14 => format!(
            "forbid (principal in Group::\"contractors-{n}\", action in Sql::Action::\"any\", resource)
             when {{ context.now > datetime(\"2030-01-01\") }};"
        ),
        15 | 16 => format!(
            "@mask(\"partial\") forbid (principal, action == Action::\"reveal\", resource in Classification::\"class-{n}\")
             unless {{ principal in Group::\"team-{n}\" }};"
        ),
        17 => format!(
            "forbid (principal in Group::\"team-{n}\", action in Sql::Action::\"write\", resource)
             unless {{ context has task && context.task like \"OPS-*\" }};"
        ),
        18 => format!(
            "forbid (principal, action == Ssh::Action::\"file_write\", resource == Target::\"target-{n}\")
             when {{ context.classes.contains(Classification::\"class-{}\") }};",
            n - 2
        ),
        _ => format!(
            "forbid (principal == Machine::\"job-{n}\", action == Sql::Action::\"{statement}\", resource)
             unless {{ context.writes.isEmpty() || context.database == \"db-{n}\" }};"
        ),
    }
}

/// The classes that rules mask, in the form of `classify.toml`.
pub(crate) fn classes(count: usize) -> String {
    let masked = (0..count).filter(|n| matches!(n % 20, 15 | 16));
    masked.map(|n| format!("[[classes]]\nname = \"class-{n}\"\n")).collect()
}
