//! What policy is asked about a command.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sallyport_policy::{Act, ActionName, Classification, Value};
use sallyport_session::Shape;
use sallyport_sql::Facts;
use smol_str::SmolStr;

use super::{Carries, Command, Setting};
use crate::understanding::{Reading, Under, Understood};

/// What is known of `command`, whose text is `text`.
pub(crate) fn understood(
    text: Bytes,
    command: &Command,
    classification: &Classification,
    database: &str,
    under: Under,
) -> Understood {
    let carried = match command.carries() {
        Carries::Rows => Vec::new(),
        // Any table's rows may be in it, and what a value is cannot be told from its bytes.
        Carries::Backup | Carries::Log | Carries::Changes => classification.all_classes().into_iter().collect(),
    };
    let context = context(command, &carried, database);
    let shape = Shape {
        id: Shape::next_id(),
        acts: vec![Act::new(ActionName::new("Replication", action(command)), context)],
        shows: Vec::new(),
        carries: carried,
        unparsed: None,
        empty: false,
        facts: "{}".to_owned(),
        recorded: OnceLock::new(),
    };
    Understood {
        text,
        shape: Arc::new(shape),
        facts: Arc::new(Facts { statements: Vec::new() }),
        changes_names: false,
        unsettles: false,
        depends_on_session: false,
        runs_unknown_code: false,
        copies_in: false,
        under,
        reading: Reading::AsIs,
    }
}

fn action(command: &Command) -> &'static str {
    match command {
        // Never asked about: it is judged as SQL.
        Command::Show | Command::IdentifySystem => "identify_system",
        Command::TimelineHistory => "timeline_history",
        Command::ReadSlot { .. } => "read_slot",
        Command::CreateSlot { .. } => "create_slot",
        Command::AlterSlot { .. } => "alter_slot",
        Command::DropSlot { .. } => "drop_slot",
        Command::StreamPhysical { .. } => "stream_physical",
        Command::StreamLogical { .. } => "stream_logical",
        Command::BaseBackup { .. } => "base_backup",
    }
}

fn context(command: &Command, carried: &[SmolStr], database: &str) -> Vec<(SmolStr, Value)> {
    let mut context = Vec::new();
    let mut put = |name: &'static str, value: Value| context.push((SmolStr::new_static(name), value));
    let (slot, plugin, temporary) = match command {
        Command::ReadSlot { slot }
        | Command::AlterSlot { slot, .. }
        | Command::DropSlot { slot }
        | Command::StreamLogical { slot, .. } => (slot.as_str(), "", false),
        Command::StreamPhysical { slot } => (slot.as_deref().unwrap_or_default(), "", false),
        Command::CreateSlot {
            slot,
            temporary,
            plugin,
            ..
        } => (slot.as_str(), plugin.as_deref().unwrap_or_default(), *temporary),
        Command::IdentifySystem | Command::Show | Command::TimelineHistory | Command::BaseBackup { .. } => {
            ("", "", false)
        }
    };
    put("slot", slot.into());
    put("plugin", plugin.into());
    put("temporary", temporary.into());
    put(
        "options",
        Value::strings(options(command).iter().map(|o| o.name.as_str())),
    );
    put("publications", Value::strings(publications(command)));
    put("hazards", Value::strings(hazards(command)));
    put(
        "carried_classes",
        Value::entities("Classification", carried.iter().cloned()),
    );
    put("database", database.into());
    context
}

fn options(command: &Command) -> &[Setting] {
    match command {
        Command::CreateSlot { options, .. }
        | Command::AlterSlot { options, .. }
        | Command::StreamLogical { options, .. }
        | Command::BaseBackup { options } => options,
        Command::IdentifySystem
        | Command::Show
        | Command::TimelineHistory
        | Command::ReadSlot { .. }
        | Command::DropSlot { .. }
        | Command::StreamPhysical { .. } => &[],
    }
}

/// The publications that a stream is asked for: a list of names as in SQL, `"a","B c",d`.
fn publications(command: &Command) -> Vec<String> {
    let lists = options(command)
        .iter()
        .filter(|option| option.name == "publication_names");
    let mut names = Vec::new();
    for list in lists.filter_map(|option| option.value.as_deref()) {
        let (mut name, mut quoted, mut chars) = (String::new(), false, list.chars().peekable());
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.next_if_eq(&'"').is_some() => name.push('"'),
                '"' => quoted = !quoted,
                ',' if !quoted => names.push(std::mem::take(&mut name)),
                c if !quoted && c.is_ascii_whitespace() => {}
                c if !quoted => name.push(c.to_ascii_lowercase()),
                c => name.push(c),
            }
        }
        names.push(name);
    }
    names
}

/// What else a command can do than send to this client.
fn hazards(command: &Command) -> Vec<&'static str> {
    let mut hazards = Vec::new();
    match command {
        // A backup goes to the client, to nobody, to a directory of the server, or wherever a module of the server sends it.
        Command::BaseBackup { options } => {
            let targets = options.iter().filter(|option| option.name == "target");
            hazards.extend(targets.filter_map(|option| match option.value.as_deref() {
                Some("client" | "blackhole") => None,
                Some("server") => Some("server_file"),
                Some(_) | None => Some("server_program"),
            }));
        }
        // A plugin is a library: one that is named by a path is code from anywhere.
        Command::CreateSlot {
            plugin: Some(plugin), ..
        } => {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !plugin.chars().all(plain) {
                hazards.push("server_program");
            }
        }
        Command::CreateSlot { plugin: None, .. }
        | Command::IdentifySystem
        | Command::Show
        | Command::TimelineHistory
        | Command::ReadSlot { .. }
        | Command::AlterSlot { .. }
        | Command::DropSlot { .. }
        | Command::StreamPhysical { .. }
        | Command::StreamLogical { .. } => {}
    }
    hazards
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::parse;
    use super::*;

    fn facts(text: &str) -> (Vec<&'static str>, Vec<String>) {
        let command = parse(text).unwrap().unwrap();
        (hazards(&command), publications(&command))
    }

    #[test]
    fn where_a_backup_goes_and_what_a_slot_loads_are_facts() {
        for (text, wanted) in [
            ("BASE_BACKUP", &[][..]),
            ("BASE_BACKUP (TARGET 'client')", &[]),
            ("BASE_BACKUP (TARGET 'blackhole')", &[]),
            (
                "BASE_BACKUP (TARGET 'server', TARGET_DETAIL '/tmp/x')",
                &["server_file"],
            ),
            ("BASE_BACKUP (TARGET 'shell')", &["server_program"]),
            ("BASE_BACKUP (target)", &["server_program"]),
            ("CREATE_REPLICATION_SLOT s LOGICAL pgoutput", &[]),
            ("CREATE_REPLICATION_SLOT s LOGICAL \"/tmp/x\"", &["server_program"]),
        ] {
            assert_eq!(facts(text).0, wanted, "{text}");
        }
    }

    #[test]
    fn publications_are_names_as_sql_writes_them() {
        let stream = "START_REPLICATION SLOT s LOGICAL 0/0 (publication_names '\"a\",\"B, \"\"c\", D')";
        assert_eq!(facts(stream).1, ["a", "B, \"c", "d"]);
    }
}
