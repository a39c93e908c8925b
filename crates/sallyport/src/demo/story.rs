//! The demo's story: commands to paste, in an order that shows what the gateway does.

use std::fmt::Write;
use std::io;

use super::Demo;

/// Prints the story.
pub(super) fn print(demo: &Demo) -> io::Result<()> {
    crate::output::line(&text(demo))
}

fn text(demo: &Demo) -> String {
    // What was built is not on anybody's PATH.
    let program = std::env::current_exe().map_or_else(|_| "sallyport".to_owned(), |path| path.display().to_string());
    let psql = |name: &str| {
        format!(
            "PGPASSWORD={} psql \"host={} port={} dbname=orders user={name} sslmode=require options='-c sallyport.task=OPS-42'\"",
            demo.token(name),
            demo.postgres.ip(),
            demo.postgres.port(),
        )
    };
    let (alice, api) = (psql("alice"), format!("http://{}", demo.api));
    let cli = |name: &str| format!("SALLYPORT_API={api} SALLYPORT_TOKEN={}", demo.token(name));
    let steps: [(&str, Vec<String>); 6] = [
        (
            "alice reads customers: e-mail, card and national id come back masked.",
            vec![format!(
                "{alice} -c 'SELECT name, email, card_number, national_id FROM customers LIMIT 3'"
            )],
        ),
        (
            "She tries to drop a table: refused, with the rule's name and message.",
            vec![format!("{alice} -c 'DROP TABLE payments'")],
        ),
        (
            "She changes the schema: held. Her psql waits and shows the request's id.",
            vec![format!("{alice} -c 'ALTER TABLE orders ADD COLUMN gift boolean'")],
        ),
        (
            "In another terminal dana, a DBA, sees exactly that statement and approves it; alice's ALTER goes through.",
            vec![
                format!("{} {program} requests", cli("dana")),
                format!("{} {program} approve REQUEST_ID --reason 'reviewed'", cli("dana")),
            ],
        ),
        (
            "audrey, an auditor, replays the session.",
            vec![
                format!("{} {program} sessions", cli("audrey")),
                format!("{} {program} replay SESSION_ID", cli("audrey")),
            ],
        ),
        (
            "And sees who approved what.",
            vec![format!("{} {program} requests --all --json", cli("audrey"))],
        ),
    ];
    let mut text = String::from("Sallyport is running, with a throw-away PostgreSQL server behind it.\n\n");
    for (number, (words, commands)) in steps.iter().enumerate() {
        let _ = writeln!(text, "{}. {words}", number + 1);
        for command in commands {
            let _ = writeln!(text, "   {command}");
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "State: {}\nThe server's own log: {}",
        demo.state_dir.display(),
        demo.target_log.display()
    );
    text.push_str("Ctrl-C ends everything and leaves nothing behind.");
    text
}
