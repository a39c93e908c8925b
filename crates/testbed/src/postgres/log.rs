//! Reading back what the server says it executed.

/// The prefix of each line: process, user, database.
pub(super) const PREFIX: &str = "@%p %u %d@ ";

/// One statement of the server's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedStatement {
    /// The server process that executed it.
    pub pid: u32,
    /// The session's user.
    pub user: String,
    /// The session's database.
    pub database: String,
    /// The statement's text.
    pub text: String,
}

/// A statement's line continues over lines that begin with a tab.
pub(super) fn statements(log: &str) -> Vec<LoggedStatement> {
    let mut found: Vec<LoggedStatement> = Vec::new();
    let mut open = false;
    for line in log.lines() {
        if let Some(more) = line.strip_prefix('\t') {
            if let (true, Some(last)) = (open, found.last_mut()) {
                last.text.push('\n');
                last.text.push_str(more);
            }
            continue;
        }
        let statement = parse(line);
        open = statement.is_some();
        found.extend(statement);
    }
    found
}

fn parse(line: &str) -> Option<LoggedStatement> {
    let (prefix, rest) = line.strip_prefix('@')?.split_once("@ ")?;
    let mut parts = prefix.splitn(3, ' ');
    let pid = parts.next()?.parse().ok()?;
    let user = parts.next()?.to_owned();
    let database = parts.next()?.to_owned();
    let message = rest.strip_prefix("LOG:  ")?;
    let text = match message.strip_prefix("statement: ") {
        Some(text) => text,
        None => message.strip_prefix("execute ")?.split_once(": ")?.1,
    };
    Some(LoggedStatement {
        pid,
        user,
        database,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_simple_extended_and_multi_line_statements() {
        let log = "@7 app shop@ LOG:  statement: SELECT 1\n\t  FROM t\n\
                   @7 app shop@ ERROR:  no\n\tnot this\n\
                   @8 bob a b@ LOG:  execute <unnamed>: SELECT $1\n";
        let found = statements(log);
        let texts: Vec<_> = found
            .iter()
            .map(|s| (s.pid, s.database.as_str(), s.text.as_str()))
            .collect();
        assert_eq!(texts, [(7, "shop", "SELECT 1\n  FROM t"), (8, "a b", "SELECT $1")]);
    }
}
