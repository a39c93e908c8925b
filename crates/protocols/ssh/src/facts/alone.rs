//! Commands outside of any session.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use sallyport_policy::{Act, Classification, Value};
use sallyport_session::{Command, Ground, Raw, Reader, Reclassified, Shape};
use sallyport_sftp::{Ask, AskId, Attributes, FileAct, Place};
use sallyport_target::{Access, Ssh};
use smol_str::SmolStr;

use super::{agent, file, forward, guarded, line, listen, start};
use crate::account::Account;
use crate::connection::{ClientOpen, Listening};
use crate::conversation::{Place as Directory, Setup, Start};

/// The forms of a command, for people who wrote another one.
const FORMS: &str = "exec (a command line, the usual form), line (of a guarded shell), shell, subsystem, sftp, forward, listen or agent";

/// Understands commands as the first of a session at one host, whose accounts live where accounts usually do.
pub(crate) struct Alone {
    target: SmolStr,
    host: Ssh,
    login: String,
    classification: Arc<Classification>,
}

impl Alone {
    /// At this host.
    ///
    /// # Errors
    /// When the target speaks another protocol.
    pub(crate) fn new(ground: Ground<'_>) -> Result<Self, String> {
        let target = ground.target.name.clone();
        let Access::Ssh(host) = &ground.target.access else {
            return Err(format!("`{target}` speaks another protocol"));
        };
        Ok(Self {
            target,
            host: host.clone(),
            login: ground.target.place().to_owned(),
            classification: ground.classification,
        })
    }

    fn account(&self, login: &str) -> Account {
        let home = match login {
            "root" => "/root".to_owned(),
            other => ["", "home", other].join("/"),
        };
        Account::new(&self.target, &self.host, login, Some(home))
    }

    fn command(&self, raw: &Raw<'_>) -> Result<Command, String> {
        let (account, setup) = (self.account(&self.login), Setup::default());
        let text = Bytes::copy_from_slice(raw.text.as_bytes());
        let started = |what: Start| start(&what, &setup, &account, &self.classification).0;
        Ok(match raw.form.unwrap_or("exec") {
            "exec" => started(Start::Exec(text)),
            "line" => {
                let place = Directory::at(account.home.as_deref().unwrap_or("/"));
                guarded(&text, &setup, &place, &account, &self.classification, &|_| false)
            }
            "shell" => started(Start::Shell),
            "subsystem" => started(Start::Subsystem(raw.text.to_owned())),
            "sftp" => file(&request(raw.text)?, &account, &self.classification),
            "forward" => forward(&leads(raw.text)?, &account),
            "listen" => listen(&listens(raw.text)?, &account),
            "agent" => agent(&account),
            other => return Err(format!("`{other}` is no form of a command at a host: use {FORMS}")),
        })
    }
}

impl Reader for Alone {
    fn read(&self, raw: &Raw<'_>) -> Result<Arc<Shape>, String> {
        self.command(raw).map(|command| command.shape)
    }

    fn reads_as(&self, text: &str, acts: &[Act]) -> Option<bool> {
        let first = acts
            .first()
            .filter(|act| act.action.name == "exec" && self::text(act, "command") == Some(text))?;
        // A line of a shell may depend on those before it: only where it does not, it says something.
        let alone = self.lines_again(acts);
        alone
            .map(|again| again.len() == acts.len())
            .or_else(|| self.depends_on_nothing(first).then_some(false))
    }

    fn reclassify(&self, recorded: Reclassified) -> Reclassified {
        let acts = &recorded.acts;
        let protected = line::protected(&self.classification);
        let lines = self.lines_again(acts);
        let renew = |(number, act): (usize, &Act)| match &lines {
            Some(again) => again.get(number).cloned().unwrap_or_else(|| act.clone()),
            None => renewed(act, &|path, whole| {
                protected
                    .classes_of(path, whole)
                    .into_iter()
                    .map(SmolStr::from)
                    .collect()
            }),
        };
        Reclassified {
            acts: acts.iter().enumerate().map(renew).collect(),
            ..recorded.clone()
        }
    }

    fn under(&self, classification: Arc<Classification>) -> Box<dyn Reader> {
        Box::new(Self {
            target: self.target.clone(),
            host: self.host.clone(),
            login: self.login.clone(),
            classification,
        })
    }
}

impl Alone {
    /// Whether a line has no names of variables or relative paths, which the lines before it could have given another meaning.
    fn depends_on_nothing(&self, line: &Act) -> bool {
        let command = text(line, "command").unwrap_or_default();
        !command.contains(['$', '~', '.', '*', '?', '['])
            && command
                .split_ascii_whitespace()
                .skip(1)
                .all(|w| w.starts_with(['/', '-']))
    }

    /// A command line once more, if it means the same by itself as it did in its session: but for what is classified.
    fn lines_again(&self, acts: &[Act]) -> Option<Vec<Act>> {
        let first = acts.first().filter(|act| act.action.name == "exec")?;
        let (command, login) = (text(first, "command")?, text(first, "login")?);
        let account = self.account(login);
        let setup = Setup::default();
        let setting = line::setting(&account, &setup, &self.classification);
        let bytes = Bytes::copy_from_slice(command.as_bytes());
        let (again, _) = line::line(&bytes, false, Bytes::new(), &account, &setting, &[]);
        let same = |(old, new): (&Act, &Act)| unclassified(old) == unclassified(new);
        let all = again.shape.acts.len() == acts.len() && acts.iter().zip(&again.shape.acts).all(same);
        all.then(|| again.shape.acts.clone())
    }
}

/// The facts of an act that do not depend on what is classified.
fn unclassified(act: &Act) -> Vec<(&SmolStr, &Value)> {
    let facts = act.context.iter();
    let same = facts.filter(|(name, value)| !matches!(value, Value::Entities(..)) && name != "terminal");
    same.map(|(name, value)| (name, value)).collect()
}

/// An act with the classes of its paths. Those of a command line, which has its paths elsewhere, stay as they were recorded.
fn renewed(act: &Act, classes_of: &dyn Fn(&str, bool) -> BTreeSet<SmolStr>) -> Act {
    let whole = act
        .context
        .iter()
        .any(|(n, v)| n == "recursive" && *v == Value::Bool(true));
    let classes = |name: &SmolStr, value: &Value| {
        let Value::Entities(kind, _) = value else {
            return value.clone();
        };
        let path = match name.as_str() {
            "classes" => text(act, "path"),
            "to_classes" => text(act, "to"),
            _ => return value.clone(),
        };
        let path = path.filter(|path| !path.is_empty());
        Value::Entities(
            kind.clone(),
            path.map(|path| classes_of(path, whole)).unwrap_or_default(),
        )
    };
    let facts = act
        .context
        .iter()
        .map(|(name, value)| (name.clone(), classes(name, value)));
    Act::new(act.action.clone(), facts.collect::<Vec<_>>())
}

fn text<'a>(act: &'a Act, name: &str) -> Option<&'a str> {
    let (_, value) = act.context.iter().find(|(n, _)| n == name)?;
    let Value::String(text) = value else { return None };
    Some(text)
}

/// `host:port`, or the path of a socket.
fn leads(text: &str) -> Result<ClientOpen, String> {
    if text.starts_with('/') {
        return Ok(ClientOpen::Socket { path: text.to_owned() });
    }
    let (host, port) = endpoint(text)?;
    Ok(ClientOpen::Tcp {
        host,
        port,
        originator: (String::new(), 0),
    })
}

fn listens(text: &str) -> Result<Listening, String> {
    if text.starts_with('/') {
        return Ok(Listening::Socket { path: text.to_owned() });
    }
    let (address, port) = endpoint(text)?;
    Ok(Listening::Tcp { address, port })
}

fn endpoint(text: &str) -> Result<(String, u32), String> {
    let wrong = || format!("`{text}` is no `host:port`, nor the path of a socket");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, port.parse().map_err(|_| wrong())?))
}

/// A request of SFTP in the words in which recordings show it: `get /srv/x`, `rename /a /b`. Paths are absolute and lead where
/// they say.
fn request(text: &str) -> Result<Ask, String> {
    let mut words = text.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default();
    let mut path = || {
        let path = words.next().filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| format!("`{text}` needs an absolute path, without spaces"))?;
        Ok::<_, String>(Place {
            path: sallyport_sftp::absolute(b"/", path.as_bytes()),
            written: Bytes::copy_from_slice(path.as_bytes()),
            resolved: true,
        })
    };
    let act = match verb {
        "get" => FileAct::Read { at: path()? },
        "put" => written(path()?),
        "ls" => FileAct::List { at: path()? },
        "stat" => FileAct::Stat { at: path()? },
        "setstat" => FileAct::Attributes {
            at: path()?,
            link: false,
            handle: false,
            attributes: Attributes::default(),
        },
        "rm" => FileAct::Remove { at: path()? },
        "mkdir" => FileAct::MakeDirectory {
            at: path()?,
            mode: None,
        },
        "rmdir" => FileAct::RemoveDirectory { at: path()? },
        "rename" | "replace" => FileAct::Rename {
            from: path()?,
            to: path()?,
            overwrite: verb == "replace",
        },
        "symlink" => FileAct::Symlink {
            at: path()?,
            to: path()?,
        },
        "hardlink" => FileAct::Hardlink {
            existing: path()?,
            new: path()?,
        },
        "copy" => FileAct::Copy {
            from: path()?,
            to: path()?,
            length: None,
            offset: 0,
            at: 0,
        },
        other => {
            return Err(format!(
                "`{other}` is no request of SFTP: get, put, ls, stat, setstat, rm, mkdir, rmdir, rename, replace, symlink, hardlink or copy"
            ));
        }
    };
    if let Some(more) = words.next() {
        return Err(format!("`{more}` is more than `{verb}` takes"));
    }
    Ok(Ask {
        id: AskId(0),
        text: text.to_owned(),
        act,
        size: None,
        request: Bytes::new(),
    })
}

fn written(at: Place) -> FileAct {
    FileAct::Write {
        at,
        reads: false,
        create: true,
        truncate: true,
        append: false,
        exclusive: false,
        mode: None,
    }
}
