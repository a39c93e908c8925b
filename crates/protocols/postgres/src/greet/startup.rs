//! What a startup packet asks for. Pure.
//!
//! The packet is taken apart here and never passed on: the target gets one that is made afresh. A server
//! takes the last of two values with the same name, so a name that comes twice is refused.

use std::collections::HashSet;

use smol_str::SmolStr;

use crate::replication::Walsender;
use crate::wire::{
    Diagnostic,
    startup::{StartupPacket, Version},
};

/// Settings that every client may give at connect: how values are written, how long to wait, what to be
/// called. None changes identity, names or what code runs.
const ALLOWED_SETTINGS: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "statement_timeout",
    "timezone",
];

/// The newest version spoken here.
const NEWEST: Version = Version::V3_2;
/// Longest user or database name, in bytes.
const MAX_NAME: usize = 256;
/// Longest value of a setting, in bytes.
const MAX_VALUE: usize = 1024;
/// Most settings.
const MAX_SETTINGS: usize = 64;

/// Whether a replication session is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Replication {
    /// It is not.
    #[default]
    No,
    /// The client asks for one; nobody has permitted it.
    Asked(Walsender),
    /// It is permitted.
    Permitted(Walsender),
}

impl Replication {
    /// What kind of session the client asks for.
    pub(crate) fn asked(&self) -> Option<Walsender> {
        match self {
            Self::No => None,
            Self::Asked(walsender) | Self::Permitted(walsender) => Some(*walsender),
        }
    }

    /// Reads the parameter as servers do.
    fn read(value: &str) -> Option<Self> {
        if value == "database" {
            return Some(Self::Asked(Walsender::Database));
        }
        match boolean(value)? {
            true => Some(Self::Asked(Walsender::Physical)),
            false => Some(Self::No),
        }
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// The version that is spoken with this client: 3.0 or 3.2.
    pub version: Version,
    /// Who it says it is.
    pub user: String,
    /// The database it asks for; the user's name when it named none, as servers do.
    pub database: String,
    /// The task that it works on (`sallyport.task`).
    pub task: Option<String>,
    /// The target that it names beside the database (`sallyport.target`): only for physical replication, whose clients
    /// cannot choose the database's name.
    pub target: Option<String>,
    /// Whether it asks for replication.
    pub replication: Replication,
    /// Settings it gives, lower-case names, each once. Not yet checked against what is allowed.
    settings: Vec<(SmolStr, String)>,
    /// Options of the protocol (`_pq_.…`) that are not known here.
    unknown_options: Vec<Vec<u8>>,
    negotiate: bool,
}

impl Startup {
    /// Takes a startup packet apart.
    ///
    /// # Errors
    /// The refusal to send, fatal, in PostgreSQL's terms.
    pub fn read(packet: &StartupPacket<'_>) -> Result<Self, Box<Diagnostic<'static>>> {
        let mut draft = Draft::default();
        for (name, value) in &packet.parameters {
            if name.starts_with(b"_pq_.") {
                draft.unknown_options.push(name.to_vec());
                continue;
            }
            draft.parameter(text(name, "a parameter's name")?, text(value, "a parameter's value")?)?;
        }
        let user = draft.user.filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| {
            let message = "no user name was given";
            Box::new(Diagnostic::fatal("28000", message).hint("Connect with user=…, your own name."))
        })?;
        let database = draft.database.filter(|database| !database.is_empty());
        if draft.target.is_some() && draft.replication.asked() != Some(Walsender::Physical) {
            let message = "`sallyport.target` is for connections of physical replication";
            let hint = "Elsewhere the database's name chooses the target.";
            return Err(Box::new(Diagnostic::fatal("22023", message).hint(hint)));
        }
        let negotiate = packet.version > NEWEST || !draft.unknown_options.is_empty();
        // There never was a 3.1.
        let version = if packet.version >= Version::V3_2 {
            NEWEST
        } else {
            Version::V3_0
        };
        Ok(Self {
            version,
            database: database.unwrap_or_else(|| user.clone()),
            user,
            task: draft.task,
            target: draft.target,
            replication: draft.replication,
            settings: draft.settings,
            unknown_options: draft.unknown_options,
            negotiate,
        })
    }

    /// What must still be told about the version: the version that is spoken, and the options that are not
    /// known. `None` when all is as asked, and after [`super::greet`], which tells it before a password is
    /// asked for: clients refuse to be told twice.
    pub fn negotiation(&self) -> Option<(Version, &[Vec<u8>])> {
        self.negotiate
            .then_some((self.version, self.unknown_options.as_slice()))
    }

    /// Notes that the client has been told.
    pub(super) fn negotiated(&mut self) {
        self.negotiate = false;
    }

    /// The settings that the client gives.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A setting's value.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings().find(|(have, _)| *have == name).map(|(_, value)| value)
    }

    /// The first setting that may not be given at connect, when `also` may be besides the usual ones.
    pub fn refused_setting(&self, also: &[SmolStr]) -> Option<&str> {
        let allowed = |name: &str| ALLOWED_SETTINGS.contains(&name) || also.iter().any(|have| have == name);
        self.settings().map(|(name, _)| name).find(|name| !allowed(name))
    }

    /// Permits the replication that was asked for.
    pub fn permit_replication(&mut self) {
        if let Replication::Asked(walsender) = self.replication {
            self.replication = Replication::Permitted(walsender);
        }
    }
}

#[derive(Default)]
struct Draft {
    seen: HashSet<String>,
    user: Option<String>,
    database: Option<String>,
    task: Option<String>,
    target: Option<String>,
    replication: Replication,
    settings: Vec<(SmolStr, String)>,
    unknown_options: Vec<Vec<u8>>,
}

impl Draft {
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Box<Diagnostic<'static>>> {
        // Other spellings of these names are settings, which the target does not have.
        match name {
            "user" | "database" => {
                self.once(name)?;
                if value.len() > MAX_NAME {
                    return Err(protocol(format!("the {name}'s name is longer than {MAX_NAME} bytes")));
                }
                let slot = if name == "user" {
                    &mut self.user
                } else {
                    &mut self.database
                };
                *slot = Some(value.to_owned());
                Ok(())
            }
            "replication" => {
                self.once(name)?;
                self.replication = Replication::read(value).ok_or_else(|| {
                    let value = value.escape_debug();
                    let message = format!("invalid value for parameter \"replication\": \"{value}\"");
                    Box::new(
                        Diagnostic::fatal("22023", message)
                            .hint("Valid values are: \"false\", \"true\", \"database\"."),
                    )
                })?;
                Ok(())
            }
            "options" => {
                self.once(name)?;
                for (name, value) in options(value)? {
                    self.setting(&name, value)?;
                }
                Ok(())
            }
            name => self.setting(name, value.to_owned()),
        }
    }

    fn setting(&mut self, name: &str, value: String) -> Result<(), Box<Diagnostic<'static>>> {
        let name = name.to_ascii_lowercase();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(protocol(format!(
                "`{}` is not the name of a setting",
                name.escape_debug()
            )));
        }
        self.once(&name)?;
        if value.len() > MAX_VALUE {
            return Err(protocol(format!(
                "the value of `{name}` is longer than {MAX_VALUE} bytes"
            )));
        }
        if name == "sallyport.task" {
            self.task = Some(value);
        } else if name == "sallyport.target" {
            self.target = Some(value);
        } else {
            if self.settings.len() >= MAX_SETTINGS {
                return Err(protocol(format!("more than {MAX_SETTINGS} settings")));
            }
            self.settings.push((name.into(), value));
        }
        Ok(())
    }

    fn once(&mut self, name: &str) -> Result<(), Box<Diagnostic<'static>>> {
        if self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let message = format!("the parameter `{name}` is given twice");
        let detail = "Which of two values counts is for nobody to guess.";
        Err(Box::new(Diagnostic::fatal("08P01", message).detail(detail)))
    }
}

fn protocol(message: impl Into<String>) -> Box<Diagnostic<'static>> {
    Box::new(Diagnostic::fatal("08P01", message))
}

fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Box<Diagnostic<'static>>> {
    std::str::from_utf8(bytes).map_err(|_| Box::new(Diagnostic::fatal("22021", format!("{what} is not UTF-8"))))
}

/// How servers read a boolean: any unambiguous beginning of the words.
fn boolean(value: &str) -> Option<bool> {
    let value = value.to_ascii_lowercase();
    let is = |words: [&str; 2], others: &[&str]| {
        !value.is_empty() && (words.iter().any(|word| word.starts_with(&value)) || others.contains(&value.as_str()))
    };
    match (
        is(["true", "yes"], &["on", "1"]),
        is(["false", "no"], &["of", "off", "0"]),
    ) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// The settings in `options`, which is a command line of the server: `-c name=value`, `--name=value`.
///
/// Source: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS>.
fn options(line: &str) -> Result<Vec<(String, String)>, Box<Diagnostic<'static>>> {
    let mut settings = Vec::new();
    let mut words = split(line).into_iter();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next().ok_or_else(|| protocol("`options` ends after -c"))?
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_owned()
        } else {
            let message = format!("`options` has the switch `{}`", word.escape_debug());
            let hint = "Only settings can be given at connect: -c name=value.";
            return Err(Box::new(Diagnostic::fatal("42501", message).hint(hint)));
        };
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| protocol(format!("`{}` in `options` has no value", assignment.escape_debug())))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Words as the server splits them: at white space, a backslash takes the next character as it is.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| is_space(*c)).is_some() {}
        if chars.peek().is_none() {
            return words;
        }
        let mut word = String::new();
        while let Some(c) = chars.next_if(|c| !is_space(*c)) {
            match c {
                '\\' => word.extend(chars.next()),
                c => word.push(c),
            }
        }
        words.push(word);
    }
}

/// What C's isspace() takes for white space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests;
