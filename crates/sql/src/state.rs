//! What the session around a statement knows: its path, its user, its names.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::facts::StatementFacts;

/// The state of a session that names and parsing depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    /// The schemas searched, in order, the implicit ones included (`current_schemas(true)`).
    pub search_path: Vec<SmolStr>,
    /// The schema in which new objects land (`current_schema()`), if any.
    pub creation_schema: Option<SmolStr>,
    /// The current role.
    pub user: SmolStr,
    /// The authenticated role.
    pub session_user: SmolStr,
    /// The open transaction has changed names: objects created, altered or dropped, or settings. A
    /// COMMIT or ROLLBACK may then change what names mean within one string of statements. Whoever
    /// follows the session sets this.
    pub uncommitted: bool,
    /// The year at the server: what is from later is not there yet. Without one, the last that is surely over.
    pub year: i32,
}

/// A year that is over, whatever the server says.
const PAST_YEAR: i32 = 2025;

impl Default for SessionState {
    fn default() -> SessionState {
        SessionState {
            search_path: vec![SmolStr::new_static("pg_catalog"), SmolStr::new_static("public")],
            creation_schema: Some(SmolStr::new_static("public")),
            user: SmolStr::default(),
            session_user: SmolStr::default(),
            uncommitted: false,
            year: PAST_YEAR,
        }
    }
}

impl SessionState {
    /// One row that [`SessionState::from_row`] reads; nothing in it depends on the search path.
    pub const QUERY: &'static str = "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text, \
         pg_catalog.current_schema()::pg_catalog.text, current_user::pg_catalog.text, session_user::pg_catalog.text, \
         pg_catalog.date_part('year', pg_catalog.now())::pg_catalog.text";

    /// Reads the row of [`SessionState::QUERY`], in text format. `None` when it has another shape.
    pub fn from_row(row: &[Option<&str>]) -> Option<SessionState> {
        let [Some(path), creation, Some(user), Some(session_user), Some(year)] = row else {
            return None;
        };
        Some(SessionState {
            search_path: json_strings(path)?,
            creation_schema: creation.map(SmolStr::new),
            user: SmolStr::new(user),
            session_user: SmolStr::new(session_user),
            uncommitted: false,
            year: year.parse().ok()?,
        })
    }
}

/// Reads a JSON array of strings, as the server's `array_to_json` writes it.
pub(crate) fn json_strings(text: &str) -> Option<Vec<SmolStr>> {
    let mut out = Vec::new();
    let mut chars = text.trim().strip_prefix('[')?.chars().peekable();
    loop {
        match chars.next()? {
            ']' => return Some(out),
            ',' | ' ' => {}
            'n' => {
                // null: an unnamed entry keeps its place
                for expected in ['u', 'l', 'l'] {
                    (chars.next()? == expected).then_some(())?;
                }
                out.push(SmolStr::default());
            }
            '"' => out.push(json_string(&mut chars)?),
            _ => return None,
        }
    }
}

/// The rest of a JSON string after its opening quote.
fn json_string(chars: &mut impl Iterator<Item = char>) -> Option<SmolStr> {
    let mut s = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(SmolStr::new(s)),
            '\\' => s.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => {
                    let mut code = 0;
                    for _ in 0..4 {
                        code = code * 16 + chars.next()?.to_digit(16)?;
                    }
                    char::from_u32(code)?
                }
                other => other,
            }),
            other => s.push(other),
        }
    }
}

/// The prepared statements and cursors of a session, by name: those of SQL and those of the wire.
pub trait Prepared {
    /// The facts of a prepared statement.
    fn statement(&self, name: &str) -> Option<Arc<StatementFacts>>;
    /// The facts of an open cursor or portal.
    fn cursor(&self, name: &str) -> Option<Arc<StatementFacts>>;
}

/// A session without prepared statements and cursors.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNames;

impl Prepared for NoNames {
    fn statement(&self, _name: &str) -> Option<Arc<StatementFacts>> {
        None
    }

    fn cursor(&self, _name: &str) -> Option<Arc<StatementFacts>> {
        None
    }
}
