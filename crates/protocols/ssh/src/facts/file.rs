//! A request of SFTP.

use bytes::{Bytes, BytesMut};
use sallyport_policy::{Act, Classification};
use sallyport_session::Command;
use sallyport_sftp::{Ask, FileAct, Place, shown};
use sallyport_ssh_transport::wire;
use serde_json::json;

use super::{Facts, command, line};
use crate::account::Account;

/// The command that a request is.
pub(crate) fn file(ask: &Ask, account: &Account, classification: &Classification) -> Command {
    let act = act(&ask.act, account, classification);
    let mut state = BytesMut::new();
    wire::put_string(&mut state, account.login.as_bytes());
    // The text is for people; what is approved is the exact packet.
    wire::put_string(&mut state, &ask.request);
    let text = Bytes::from(format!("SFTP {}", ask.text));
    command(vec![act], text, state.freeze(), &json!({ "request": ask.text }), None)
}

fn act(act: &FileAct, account: &Account, classification: &Classification) -> Act {
    let (at, to) = act.places();
    let protected = line::protected(classification);
    // A directory stands for what lies in it when it is moved or removed as a whole.
    let whole = matches!(act, FileAct::Rename { .. } | FileAct::RemoveDirectory { .. });
    let classes = |place: Option<&Place>| {
        place.map(|place| match std::str::from_utf8(&place.path) {
            Ok(path) => protected.classes_of(path, whole),
            // Rules are about text: what is none may be anything.
            Err(_) => classification.path_classes().iter().map(ToString::to_string).collect(),
        })
    };
    let path = |place: Option<&Place>| place.map(|place| shown(&place.path)).unwrap_or_default();
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
    Facts::of(account)
        .text("path", &path(at))
        .text("written", &at.map(|place| shown(&place.written)).unwrap_or_default())
        .text("to", &path(to))
        .classes("classes", classes(at).unwrap_or_default())
        .classes("to_classes", classes(to).unwrap_or_default())
        .flag("overwrites", overwrites)
        .flag("hard", hard)
        .act(action(act))
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
