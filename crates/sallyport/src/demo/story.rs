//! The demo's story: commands to paste, in an order that shows what the gateway does.

use std::fmt::Write;
use std::io;

use super::{Demo, host};

/// Prints the story.
pub(super) fn print(demo: &Demo) -> io::Result<()> {
    crate::output::line(&text(demo))
}

/// What happens, and the commands that make it happen.
type Step = (&'static str, Vec<String>);

fn text(demo: &Demo) -> String {
    let mut text = String::from("Sallyport is running, with throw-away servers behind it.\n\n");
    for (number, (words, commands)) in in_database(demo).into_iter().chain(on_host(demo)).enumerate() {
        let _ = writeln!(text, "{}. {words}", number + 1);
        for command in commands {
            let _ = writeln!(text, "   {command}");
        }
        text.push('\n');
    }
    if let Err(why) = &demo.ssh {
        let _ = writeln!(text, "There is no host to reach by SSH here: {why}\n");
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

fn in_database(demo: &Demo) -> Vec<Step> {
    // What was built is not on anybody's PATH.
    let program = std::env::current_exe().map_or_else(|_| "sallyport".to_owned(), |path| path.display().to_string());
    let alice = format!(
        "PGPASSWORD={} psql \"host={} port={} dbname=orders user=alice sslmode=require options='-c sallyport.task=OPS-42'\"",
        demo.token("alice"),
        demo.postgres.ip(),
        demo.postgres.port(),
    );
    let cli = |name: &str| format!("SALLYPORT_API=http://{} SALLYPORT_TOKEN={}", demo.api, demo.token(name));
    vec![
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
    ]
}

fn on_host(demo: &Demo) -> Vec<Step> {
    let Some(config) = demo.ssh_config("alice") else {
        return Vec::new();
    };
    let ssh = format!("ssh -F {} {}", config.display(), host::NAME);
    vec![
        (
            "On a host alice reads a log, in which card numbers are masked.",
            vec![format!("{ssh} cat app.log")],
        ),
        (
            "She does not read the host's passwords, by whatever way.",
            vec![format!("{ssh} \"sh -c 'cat /etc/shad*'\"")],
        ),
        (
            "A script can do anything: held, until dana, who is an operator too, approves it as above.",
            vec![format!("{ssh} ./deploy.sh")],
        ),
        ("A shell: the gateway reads its lines, and each is judged.", vec![ssh]),
    ]
}
