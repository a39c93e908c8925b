//! Requests of SFTP, items of scp, and what rsync is to do.

use bytes::{Bytes, BytesMut};
use sallyport_policy::{Act, Classification};
use sallyport_session::Command;
use sallyport_sftp::rsync::RsyncCommand;
use sallyport_sftp::scp::{Item, ScpAsk, ScpCommand};
use sallyport_sftp::{Ask, Direction, FileAct, Place, shown};
use sallyport_ssh_transport::wire;
use serde_json::json;

use super::{Facts, command, line};
use crate::account::Account;

/// What `scp` is to do at the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScpRun {
    pub(crate) command: ScpCommand,
    /// Where it starts, if that is known.
    pub(crate) home: Option<String>,
}

/// What rsync is to do at the host, when that came in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RsyncRun {
    pub(crate) command: RsyncCommand,
    /// The bytes that its arguments were.
    pub(crate) raw: Bytes,
}

/// The command that a request is.
pub(crate) fn file(ask: &Ask, account: &Account, classification: &Classification) -> Command {
    let act = act(&ask.act, size(ask), account, classification);
    let mut state = BytesMut::new();
    wire::put_string(&mut state, account.login.as_bytes());
    // The text is for people; what is approved is the exact packet.
    wire::put_string(&mut state, &ask.request);
    let text = Bytes::from(format!("SFTP {}", ask.text));
    let facts = json!({ "request": ask.text, "size": size(ask) });
    command(vec![act], text, state.freeze(), &facts, None)
}

/// The size of the file that is opened, or that a file is given.
fn size(ask: &Ask) -> Option<u64> {
    if let FileAct::Attributes { attributes, .. } = &ask.act {
        attributes.size
    } else {
        ask.size
    }
}

fn act(act: &FileAct, size: Option<u64>, account: &Account, classification: &Classification) -> Act {
    let (at, to) = act.places();
    // A directory stands for what lies in it when it is moved or removed as a whole.
    let recursive = matches!(act, FileAct::Rename { .. } | FileAct::RemoveDirectory { .. });
    let (overwrites, hard) = match act {
        FileAct::Write { truncate, .. } => (*truncate, false),
        FileAct::Rename { overwrite, .. } => (*overwrite, false),
        FileAct::Hardlink { .. } => (false, true),
        FileAct::Read { .. }
        | FileAct::List { .. }
        | FileAct::Stat { .. }
        | FileAct::LinkStat { .. }
        | FileAct::Attributes { .. }
        | FileAct::Remove { .. }
        | FileAct::MakeDirectory { .. }
        | FileAct::RemoveDirectory { .. }
        | FileAct::Symlink { .. }
        | FileAct::Copy { .. }
        | FileAct::ReadLink { .. }
        | FileAct::RealPath { .. }
        | FileAct::FileSystem { .. }
        | FileAct::Home { .. }
        | FileAct::Names { .. } => (false, false),
    };
    let how = How {
        action: action(act),
        recursive,
        overwrites,
        hard,
        size,
        unknown: false,
    };
    how.act((at, to), account, classification)
}

impl ScpRun {
    /// The paths that an item may get, or come from.
    fn places(&self, item: &Item) -> Vec<Place> {
        let paths = match (item.direction, self.command.paths.first()) {
            (Direction::Upload, Some(base)) => item.candidates(base, self.command.directory),
            (Direction::Upload, None) => Vec::new(),
            (Direction::Download, _) => item.origins(&self.command.paths),
        };
        paths
            .into_iter()
            .map(|path| place(path, self.home.as_deref()))
            .collect()
    }

    /// The same for people.
    pub(crate) fn shown(&self, item: &Item) -> String {
        let places = self.places(item);
        let paths: Vec<_> = places.iter().map(|place| shown(&place.path)).collect();
        paths.join(" or ")
    }
}

/// A path of which nobody is asked where it leads.
fn place(written: Bytes, home: Option<&str>) -> Place {
    Place {
        path: sallyport_sftp::absolute(home.unwrap_or("/").as_bytes(), &written),
        written,
        resolved: false,
    }
}

/// Whether a path starts where nobody knows.
fn is_adrift(written: &[u8], home: Option<&str>) -> bool {
    home.is_none() && !written.starts_with(b"/")
}

/// The command that an item of scp is: an act for each path that it may get.
pub(crate) fn item(ask: &ScpAsk, run: &ScpRun, account: &Account, classification: &Classification) -> Command {
    let item = &ask.item;
    let mut how = match (item.direction, item.directory) {
        (Direction::Upload, false) => How {
            overwrites: true,
            ..How::plain("file_write")
        },
        (Direction::Upload, true) => How::plain("file_make_directory"),
        (Direction::Download, false) => How::plain("file_read"),
        (Direction::Download, true) => How::plain("file_list"),
    };
    how.size = Some(item.size).filter(|_| !item.directory);
    let places = run.places(item);
    // What a shell makes of an argument is shown so.
    let unknown = |place: &Place| {
        let made = String::from_utf8_lossy(&place.written).contains('…');
        made || is_adrift(&place.written, run.home.as_deref())
    };
    let act = |place| {
        let unknown = unknown(place);
        How { unknown, ..how }.act((Some(place), None), account, classification)
    };
    let acts = places.iter().map(act).collect();
    let mut state = BytesMut::new();
    wire::put_string(&mut state, account.login.as_bytes());
    wire::put_string(&mut state, &ask.request);
    for place in &places {
        wire::put_string(&mut state, &place.path);
    }
    let text = format!("{} as {}", ask.text, run.shown(item));
    let facts =
        json!({ "request": ask.text, "paths": places.iter().map(|place| shown(&place.path)).collect::<Vec<_>>() });
    command(acts, text.into(), state.freeze(), &facts, None)
}

/// The command that rsync is, by the arguments in its stream: whoever permits it permits all that lies below its paths.
pub(crate) fn rsync(run: &RsyncRun, account: &Account, classification: &Classification) -> Command {
    let RsyncCommand {
        direction,
        paths,
        others,
        deletes,
        removes_sources,
        ..
    } = &run.command;
    let all = |action| How {
        recursive: true,
        overwrites: action == "file_write",
        ..How::plain(action)
    };
    let (moves, verb) = match direction {
        Direction::Upload => ("file_write", "put"),
        Direction::Download => ("file_read", "get"),
    };
    let removes = match direction {
        Direction::Upload => *deletes,
        Direction::Download => *removes_sources,
    };
    let main: Vec<_> = std::iter::once(all(moves))
        .chain(removes.then(|| all("file_remove")))
        .collect();
    let beside = [all("file_read"), all("file_write")];
    let home = account.home.as_deref();
    let place = |path: &Bytes| place(path.clone(), home);
    let act = |how: &How, at: &Place, unknown| How { unknown, ..*how }.act((Some(at), None), account, classification);
    let mut acts = Vec::new();
    for path in paths {
        // Somebody's home.
        let unknown = path.starts_with(b"~") || is_adrift(path, home);
        acts.extend(main.iter().map(|how| act(how, &place(path), unknown)));
    }
    for other in others {
        // Most of them start where the files are put.
        let climbs = other.split(|byte| *byte == b'/').any(|part| part == b"..");
        let unknown = climbs || other.starts_with(b"~") || is_adrift(other, home);
        let at = match paths.first() {
            Some(path) if !other.starts_with(b"/") => place(&Bytes::from([path, b"/".as_slice(), other].concat())),
            Some(_) | None => place(other),
        };
        acts.extend(beside.iter().map(|how| act(how, &at, unknown)));
    }
    let words = |paths: &[Bytes]| paths.iter().map(|path| shown(path)).collect::<Vec<_>>().join(" ");
    let text = format!("rsync {verb} {}", words(paths));
    let mut state = BytesMut::new();
    wire::put_string(&mut state, account.login.as_bytes());
    wire::put_string(&mut state, &run.raw);
    let facts = json!({
        "request": text,
        "deletes": deletes,
        "removes_sources": removes_sources,
        "others": words(others),
    });
    command(acts, text.into(), state.freeze(), &facts, None)
}

/// What is done to the places of an act.
#[derive(Debug, Clone, Copy)]
struct How {
    action: &'static str,
    /// To all that lies below them, too.
    recursive: bool,
    overwrites: bool,
    hard: bool,
    /// In bytes, if it is known.
    size: Option<u64>,
    /// Only the host knows where the paths lead: they may be anything.
    unknown: bool,
}

impl How {
    const fn plain(action: &'static str) -> Self {
        Self {
            action,
            recursive: false,
            overwrites: false,
            hard: false,
            size: None,
            unknown: false,
        }
    }

    fn act(
        self,
        (at, to): (Option<&Place>, Option<&Place>),
        account: &Account,
        classification: &Classification,
    ) -> Act {
        let protected = line::protected(classification);
        let classes = |place: Option<&Place>| {
            place.map(|place| match std::str::from_utf8(&place.path) {
                Ok(path) if !self.unknown => protected.classes_of(path, self.recursive),
                // Rules are about text: what is none may be anything.
                Ok(_) | Err(_) => classification.path_classes().iter().map(ToString::to_string).collect(),
            })
        };
        let path = |place: Option<&Place>| place.map(|place| shown(&place.path)).unwrap_or_default();
        Facts::of(account)
            .text("path", &path(at))
            .text("written", &at.map(|place| shown(&place.written)).unwrap_or_default())
            .text("to", &path(to))
            .classes("classes", classes(at).unwrap_or_default())
            .classes("to_classes", classes(to).unwrap_or_default())
            .flag("recursive", self.recursive)
            .flag("overwrites", self.overwrites)
            .flag("hard", self.hard)
            .number("size", self.size)
            .act(self.action)
    }
}

fn action(act: &FileAct) -> &'static str {
    match act {
        FileAct::Read { .. } => "file_read",
        FileAct::Write { .. } => "file_write",
        FileAct::List { .. } => "file_list",
        FileAct::Stat { .. }
        | FileAct::LinkStat { .. }
        | FileAct::ReadLink { .. }
        | FileAct::RealPath { .. }
        | FileAct::FileSystem { .. }
        | FileAct::Home { .. }
        | FileAct::Names { .. } => "file_stat",
        FileAct::Attributes { .. } => "file_attributes",
        FileAct::Remove { .. } | FileAct::RemoveDirectory { .. } => "file_remove",
        FileAct::MakeDirectory { .. } => "file_make_directory",
        FileAct::Rename { .. } => "file_rename",
        FileAct::Symlink { .. } | FileAct::Hardlink { .. } => "file_link",
        FileAct::Copy { .. } => "file_copy",
    }
}
