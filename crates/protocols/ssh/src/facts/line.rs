//! A command line.

use std::sync::Arc;

use bytes::Bytes;
use sallyport_policy::{Act, Classification, Value};
use sallyport_session::{Command, Unparsed};
use sallyport_sftp::Direction;
use sallyport_sftp::rsync::RsyncCommand;
use sallyport_sftp::scp::ScpCommand;
use sallyport_shell::{Analysis, Code, LoginShell, Opaque, Pager, PathUse, Protected, Run, Setting, Stdin};
use serde::Serialize;
use smol_str::SmolStr;

use super::file::ScpRun;
use super::{Facts, command};
use crate::account::Account;
use crate::conversation::Setup;

/// The command that a line is. `reserved` are names that no function in it may take.
pub(super) fn line(
    text: &Bytes,
    terminal: bool,
    state: Bytes,
    account: &Account,
    setting: &Setting,
    reserved: &[&str],
) -> (Command, Carries) {
    let analysis = sallyport_shell::analyse(text, setting);
    let (acts, unparsed) = judged(text, terminal, account, &analysis, reserved);
    let carries = Carries::of(&analysis, account);
    (
        command(acts, text.clone(), state, &analysis.facts_json(), unparsed),
        carries,
    )
}

/// What policy is asked of a line, and why it is not understood.
pub(super) fn judged(
    text: &[u8],
    terminal: bool,
    account: &Account,
    analysis: &Analysis,
    reserved: &[&str],
) -> (Vec<Act>, Option<Unparsed>) {
    let taken = analysis.functions.iter().find(|name| reserved.contains(&name.as_str()));
    let unparsed = match (&analysis.unparsed, taken) {
        (None, _) if account.home.is_none() => Some(Unparsed {
            message: "the host does not say where this account's shell begins, or it is another shell than `login_shell` says".to_owned(),
            position: None,
        }),
        (Some(unparsed), _) => Some(Unparsed {
            message: unparsed.message.clone(),
            position: Some(unparsed.position + 1),
        }),
        (None, Some(name)) => Some(Unparsed {
            message: format!("a function may not be called `{name}` in this shell"),
            position: None,
        }),
        (None, None) => None,
    };
    let acts = if unparsed.is_some() {
        vec![Act::new(sallyport_policy::ActionName::unparsed(), Vec::new())]
    } else {
        acts(text, terminal, account, analysis)
    };
    (acts, unparsed)
}

/// What a command's streams hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Text for people and programs: recorded, and masked.
    Text,
    /// A protocol of files, of which a changed byte would break everything: recorded as a digest, never masked.
    Transfer,
    /// SFTP: every request is understood and judged.
    Files,
    /// scp: every file and directory is.
    Scp(Arc<ScpRun>),
    /// rsync, which gets the rest of its arguments behind these in its stream: that is judged.
    Rsync(Vec<Bytes>),
}

impl Carries {
    /// Of a line that is nothing but one program that speaks such a protocol.
    fn of(analysis: &Analysis, account: &Account) -> Self {
        let [run] = analysis.runs.as_slice() else {
            return Self::Text;
        };
        let redirected = !analysis.redirections.reads.is_empty() || !analysis.redirections.writes.is_empty();
        let alone = !redirected && run.via.is_empty() && !analysis.background;
        let plain = alone && analysis.is_exact() && run.exact;
        match run.program.as_str() {
            _ if !alone => Self::Text,
            "scp" => Self::scp(run, account),
            "rsync" if run.exact => Self::rsync(analysis, run),
            // What it is told on its standard input is what is judged.
            "sftp-server" if run.exact && misses_only(analysis, Opaque::CodeFromStdin) => Self::Files,
            _ if !plain => Self::Text,
            "git-upload-pack" | "git-receive-pack" | "git-upload-archive" => Self::Transfer,
            _ => Self::Text,
        }
    }
}

impl Carries {
    /// Whether requests in the stream are judged. What runs then has no terminal: it would make other requests of them, by
    /// its erasing and killing characters, which the client chooses.
    pub(crate) const fn is_judged(&self) -> bool {
        match self {
            Self::Files | Self::Scp(_) | Self::Rsync(_) => true,
            Self::Text | Self::Transfer => false,
        }
    }

    /// Where files are put must be known. What is fetched may be a pattern: names come with the files.
    fn scp(run: &Run, account: &Account) -> Self {
        let server =
            ScpCommand::parse(&arguments(run)).filter(|command| command.direction == Direction::Download || run.exact);
        server.map_or(Self::Text, |command| {
            Self::Scp(Arc::new(ScpRun {
                command,
                home: account.home.clone(),
            }))
        })
    }

    /// What may be missing in the facts is what comes in the stream.
    fn rsync(analysis: &Analysis, run: &Run) -> Self {
        let args = arguments(run);
        let streamed = misses_only(analysis, Opaque::DynamicArgument);
        match RsyncCommand::parse(&args) {
            Some(command) if command.secluded && streamed => Self::Rsync(args),
            Some(_) if streamed => Self::Transfer,
            Some(_) => Self::Text,
            None if analysis.is_exact() && run.arguments.first().is_some_and(|first| first == "--server") => {
                Self::Transfer
            }
            None => Self::Text,
        }
    }
}

/// Whether nothing makes the facts miss something, or this alone.
fn misses_only(analysis: &Analysis, what: Opaque) -> bool {
    analysis.unparsed.is_none() && analysis.opaque.iter().all(|why| *why == what)
}

fn arguments(run: &Run) -> Vec<Bytes> {
    let arguments = run.arguments.iter();
    arguments
        .map(|argument| Bytes::copy_from_slice(argument.as_bytes()))
        .collect()
}

/// Where the line is going to run.
pub(super) fn setting(account: &Account, setup: &Setup, classification: &Classification) -> Setting {
    let mut setting = Setting::new(account.home.as_deref().unwrap_or("/")).protecting(protected(classification));
    setting.shell = match account.login_shell {
        sallyport_target::LoginShell::Bash => LoginShell::Bash,
        sallyport_target::LoginShell::Sh => LoginShell::Posix,
    };
    setting.pager = if setup.pty.is_some() { Pager::Free } else { Pager::None };
    setting = setting.knowing("USER", &account.login);
    for (name, value) in &setup.environment {
        setting = setting.knowing(name, value);
    }
    setting
}

/// The paths that classify.toml speaks of.
pub(super) fn protected(classification: &Classification) -> Protected {
    let rules = classification
        .paths()
        .iter()
        .map(|path| (&path.pattern, path.class.as_str()));
    // The bundle was checked when it was loaded. What is no pattern all the same protects everything.
    Protected::new(rules).unwrap_or_else(|_| Protected::everything(classification.all_classes()))
}

fn acts(text: &[u8], terminal: bool, account: &Account, analysis: &Analysis) -> Vec<Act> {
    let whole = Facts::of(account)
        .flag("terminal", terminal)
        .text("command", &String::from_utf8_lossy(text))
        .texts("programs", analysis.programs())
        .texts("unknown_programs", analysis.unknown_programs())
        .texts("opaque", names(&analysis.opaque))
        .flag("background", analysis.background)
        .flag("download_runs", download_runs(analysis))
        .classes("reads_classes", analysis.reads_classes())
        .classes("writes_classes", analysis.writes_classes())
        .classes("removes_classes", analysis.removes_classes())
        .texts("system", names(&analysis.system()))
        .texts("kubernetes_deletes", analysis.kubernetes_deletes())
        .with(
            "runs",
            Value::Long(i64::try_from(analysis.runs.len()).unwrap_or(i64::MAX)),
        );
    let programs = analysis.runs.iter().map(|run| program(run, terminal, account));
    std::iter::once(whole.act("exec")).chain(programs).collect()
}

fn program(run: &Run, terminal: bool, account: &Account) -> Act {
    let paths = |uses: &[PathUse]| uses.iter().map(|used| used.path.clone()).collect::<Vec<_>>();
    let classes = |uses: &[PathUse]| uses.iter().flat_map(|used| used.classes.clone()).collect::<Vec<_>>();
    Facts::of(account)
        .flag("terminal", terminal)
        .text("program", &run.program)
        .text("path", &run.path)
        .texts("arguments", &run.arguments)
        .text("line", &run.arguments.join(" "))
        .flag("exact", run.exact)
        .texts("via", &run.via)
        .text("as_user", run.as_user.as_deref().unwrap_or_default())
        .text("host", run.host.as_deref().unwrap_or_default())
        .flag("known", run.known)
        .flag("builtin", run.builtin)
        .flag("network", run.network)
        .flag("background", run.background)
        .texts("interprets", run.interprets.iter().map(name))
        .texts("reads", paths(&run.reads))
        .texts("writes", paths(&run.writes))
        .texts("removes", paths(&run.removes))
        .texts("lists", paths(&run.lists))
        .classes("reads_classes", classes(&run.reads))
        .classes("writes_classes", classes(&run.writes))
        .classes("removes_classes", classes(&run.removes))
        .classes("lists_classes", classes(&run.lists))
        .texts("system", names(&run.system))
        .texts("kubernetes_deletes", &run.kubernetes_deletes)
        .act("run")
}

/// Whether something that runs code reads what another program of the line had from the network.
fn download_runs(analysis: &Analysis) -> bool {
    let downloads = analysis.runs.iter().any(|run| run.network);
    let runs = |run: &Run| match run.interprets {
        Some(Code::Stdin | Code::File | Code::Text) => true,
        Some(Code::Shell | Code::Interactive) => matches!(run.stdin, Stdin::Pipe(_)),
        None => false,
    };
    downloads && analysis.runs.iter().any(runs)
}

/// The name of a variant, as it is serialised.
fn name<T: Serialize>(value: &T) -> SmolStr {
    let name = serde_json::to_value(value).unwrap_or_default();
    name.as_str().unwrap_or("unknown").into()
}

fn names<'a, T: Serialize + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<SmolStr> {
    values.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sallyport_policy::Classification;

    use super::{Carries, line, setting};
    use crate::account::Account;
    use crate::conversation::Setup;

    fn carries(text: &str) -> Carries {
        let account = Account::for_tests("deploy");
        let setting = setting(&account, &Setup::default(), &Classification::default());
        line(
            &Bytes::copy_from_slice(text.as_bytes()),
            false,
            Bytes::new(),
            &account,
            &setting,
            &[],
        )
        .1
    }

    #[test]
    fn a_line_that_is_one_server_of_files_is_taken_apart() {
        for text in [
            "scp -t x",
            "scp -r -p -d -v -q -t -- -x",
            "scp -prt 'a b'",
            "scp -f a b",
            "scp -f /srv/*.txt",
            "/usr/bin/scp -f ~/x",
        ] {
            assert!(matches!(carries(text), Carries::Scp(_)), "{text}");
        }
        for text in [
            "rsync --server -slogDtpre.iLsfxCIvu",
            "rsync --server --sender -s -e.L .",
        ] {
            let judged = matches!(carries(text), Carries::Rsync(_));
            assert!(judged, "{text}");
        }
        assert_eq!(carries("/usr/lib/openssh/sftp-server -e"), Carries::Files);
        assert_eq!(carries("rsync --server -re.L . /srv/x"), Carries::Transfer);
        assert_eq!(
            carries("rsync --server --files-from=- --sender -re.L . /srv"),
            Carries::Transfer
        );
    }

    #[test]
    fn a_line_that_is_more_than_that_is_text() {
        for text in [
            "scp -t x; id",
            "scp -t x | cat",
            "scp -t x > y",
            "scp -t x &",
            "scp -t $(id)",
            "scp -t *",
            "scp -t ''",
            "scp -t x y",
            "scp -t -S sh x",
            "scp a b",
            "cat | scp -t x",
            "rsync --server -s; id",
            "rsync --server -s $X",
            "rsync --server -s --log-file=x",
            "rsync -s a b",
            "sftp-server $X",
            "sftp-server < x",
        ] {
            let carried = carries(text);
            assert!(!carried.is_judged(), "{text}: {carried:?}");
        }
    }

    #[test]
    fn what_is_judged_in_the_stream_has_no_terminal() {
        for text in ["scp -t x", "sftp-server", "rsync --server -s -e.L"] {
            assert!(carries(text).is_judged(), "{text}");
        }
        assert!(!carries("cat").is_judged());
    }
}
