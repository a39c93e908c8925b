//! What `rsync --server` is asked to do: by its arguments, or by those that come in its stream (`-s`,
//! `--secluded-args`). The transfer itself is not understood: whoever permits it permits everything below the paths,
//! and what links there lead to.
//!
//! Only the options that a client of rsync itself hands to its server are known. What is not known is not
//! understood: others write logs, run programs, or take their arguments from files.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::SftpError;
use crate::out::Direction;

/// The longest list of arguments in a stream, in bytes.
const LONGEST_LIST: usize = 256 * 1024;

/// The longest argument in a stream, in bytes: a server reads no more at once.
const LONGEST: usize = 4000;

/// What the server is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsyncCommand {
    /// `--sender` gives files, without it files are taken.
    pub direction: Direction,
    /// The paths, from the directory in which the program starts. Empty while the rest comes in the stream.
    pub paths: Vec<Bytes>,
    /// Other paths that are read or written: backups, temporary files, files to compare with, lists of names.
    pub others: Vec<Bytes>,
    /// Files on the target that the client does not have may be removed.
    pub deletes: bool,
    /// What was given is removed on the target.
    pub removes_sources: bool,
    /// Nothing is written.
    pub dry_run: bool,
    /// Devices are made or written.
    pub devices: bool,
    /// Which files below the paths is said in the stream.
    pub listed: bool,
    /// The other arguments come in the stream: [`RsyncArgs`]. The server takes the paths among them for patterns.
    pub secluded: bool,
}

/// Letters that stand alone.
const LETTERS: &[u8] = b"svqbunldKmOJyLkWHogDtUNpEAXrcCIRxSz";

/// Options without a value.
const PLAIN: [&str; 40] = [
    "append",
    "delay-updates",
    "delete",
    "delete-after",
    "delete-before",
    "delete-delay",
    "delete-during",
    "delete-excluded",
    "delete-missing-args",
    "existing",
    "force",
    "from0",
    "fsync",
    "ignore-errors",
    "ignore-existing",
    "ignore-missing-args",
    "inplace",
    "copy-unsafe-links",
    "list-only",
    "mkpath",
    "msgs2stderr",
    "new-compress",
    "no-W",
    "no-implied-dirs",
    "no-msgs2stderr",
    "no-r",
    "no-relative",
    "no-specials",
    "numeric-ids",
    "old-compress",
    "open-noatime",
    "partial",
    "preallocate",
    "remove-sent-files",
    "remove-source-files",
    "safe-links",
    "size-only",
    "specials",
    "stats",
    "super",
];

/// Options with a value that is no path.
const VALUES: [&str; 17] = [
    "bwlimit",
    "checksum-choice",
    "checksum-seed",
    "compress-choice",
    "compress-level",
    "groupmap",
    "info",
    "log-format",
    "max-alloc",
    "max-delete",
    "max-size",
    "min-size",
    "modify-window",
    "skip-compress",
    "suffix",
    "timeout",
    "usermap",
];

/// Options whose value is a path.
const PATHS: [&str; 6] = [
    "backup-dir",
    "compare-dest",
    "copy-dest",
    "link-dest",
    "partial-dir",
    "temp-dir",
];

/// Options by which devices are read or written.
const DEVICES: [&str; 2] = ["copy-devices", "write-devices"];

impl RsyncCommand {
    /// Understands the arguments after the program's name. `None` if they are not those that rsync hands to its server.
    #[must_use]
    pub fn parse(args: &[Bytes]) -> Option<Self> {
        let (Some(b"--server"), rest) = (args.first().map(Bytes::as_ref), args.get(1..)?) else {
            return None;
        };
        let mut command = Self {
            direction: Direction::Upload,
            paths: Vec::new(),
            others: Vec::new(),
            deletes: false,
            removes_sources: false,
            dry_run: false,
            devices: false,
            listed: false,
            secluded: false,
        };
        let mut names = Vec::new();
        let mut rest = rest.iter();
        while let Some(arg) = rest.next() {
            // Options may stand behind names, too.
            match arg.as_ref() {
                b"--" => names.extend(rest.by_ref().cloned()),
                [b'-', b'-', option @ ..] => command.option(std::str::from_utf8(option).ok()?, &mut rest)?,
                [b'-', letters @ ..] if !letters.is_empty() => command.letters(letters)?,
                _ => names.push(arg.clone()),
            }
        }
        command.names(&names)
    }

    /// With the arguments that came in the stream, and the ones before them.
    #[must_use]
    pub fn with(args: &[Bytes], stream: &[Bytes]) -> Option<Self> {
        let all: Vec<Bytes> = args.iter().chain(stream).cloned().collect();
        let command = Self::parse(&all)?;
        (command.secluded && !command.paths.is_empty()).then_some(command)
    }

    /// The first name is the directory to start from, and always the one in which the program was started.
    fn names(mut self, names: &[Bytes]) -> Option<Self> {
        match names {
            [] if self.secluded => Some(self),
            [here, paths @ ..] if here.as_ref() == b"." => {
                self.paths = if paths.is_empty() {
                    vec![here.clone()]
                } else {
                    paths.to_vec()
                };
                (self.direction == Direction::Download || self.paths.len() == 1).then_some(self)
            }
            _ => None,
        }
    }

    fn letters(&mut self, letters: &[u8]) -> Option<()> {
        let mut letters = letters.iter();
        while let Some(letter) = letters.next() {
            match letter {
                b's' => self.secluded = true,
                b'n' => self.dry_run = true,
                b'D' => self.devices = true,
                // What the client can do, up to the end.
                b'e' => {
                    let rest = letters.as_slice();
                    let known = rest
                        .iter()
                        .all(|letter| letter.is_ascii_alphanumeric() || *letter == b'.');
                    let version = rest
                        .first()
                        .is_some_and(|first| first.is_ascii_digit() || *first == b'.');
                    return (version && known).then_some(());
                }
                b'B' | b'@' => {
                    let rest = letters.as_slice();
                    let number = rest.iter().all(|digit| digit.is_ascii_digit() || *digit == b'-');
                    return (!rest.is_empty() && number).then_some(());
                }
                _ if LETTERS.contains(letter) => {}
                _ => return None,
            }
        }
        Some(())
    }

    fn option<'a>(&mut self, option: &str, rest: &mut impl Iterator<Item = &'a Bytes>) -> Option<()> {
        let (name, value) = option
            .split_once('=')
            .map_or((option, None), |(name, value)| (name, Some(value)));
        let plain = PLAIN.contains(&name) || DEVICES.contains(&name) || matches!(name, "sender" | "secluded-args");
        if plain {
            self.plain(name);
            return value.is_none().then_some(());
        }
        let path = PATHS.contains(&name) || name == "files-from";
        if !path && !VALUES.contains(&name) && name != "only-write-batch" {
            return None;
        }
        let value = match value {
            Some(value) => Bytes::copy_from_slice(value.as_bytes()),
            None => rest.next()?.clone(),
        };
        match (name, value.as_ref()) {
            ("files-from", b"-") => self.listed = true,
            ("only-write-batch", b"X") => {}
            ("only-write-batch", _) => return None,
            _ if path => self.others.push(value),
            _ => {}
        }
        Some(())
    }

    fn plain(&mut self, name: &str) {
        match name {
            "sender" => self.direction = Direction::Download,
            "secluded-args" => self.secluded = true,
            "remove-source-files" | "remove-sent-files" => self.removes_sources = true,
            "specials" | "copy-devices" | "write-devices" => self.devices = true,
            _ if name.starts_with("delete") || name == "force" => self.deletes = true,
            _ => {}
        }
    }
}

/// Reads the arguments that begin the client's stream.
#[derive(Debug, Default)]
pub struct RsyncArgs {
    args: Vec<Bytes>,
    raw: BytesMut,
}

impl RsyncArgs {
    /// Takes the client's bytes up to the end of the arguments; what follows stays in `bytes`. `None` until they have come
    /// whole; then the arguments without the program's name, and the bytes that they were: the server must get these,
    /// once they are permitted, before anything else.
    ///
    /// # Errors
    /// When they are no arguments, or too many.
    pub fn read(&mut self, bytes: &mut BytesMut) -> Result<Option<(Vec<Bytes>, Bytes)>, SftpError> {
        loop {
            let Some(end) = bytes.iter().position(|byte| *byte == 0) else {
                let long = bytes.len() > LONGEST;
                return if long {
                    Err(SftpError::client("an argument is too long"))
                } else {
                    Ok(None)
                };
            };
            if end > LONGEST || self.raw.len() + end > LONGEST_LIST {
                return Err(SftpError::client("the arguments are too long"));
            }
            let arg = bytes.split_to(end).freeze();
            bytes.advance(1);
            self.raw.extend_from_slice(&arg);
            self.raw.extend_from_slice(&[0]);
            if !arg.is_empty() {
                self.args.push(arg);
                continue;
            }
            let mut args = std::mem::take(&mut self.args);
            if args.first().map(Bytes::as_ref) != Some(b"rsync") {
                return Err(SftpError::client("the arguments are not those of rsync"));
            }
            args.remove(0);
            return Ok(Some((args, self.raw.split().freeze())));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use bytes::{Bytes, BytesMut};
    use proptest::prelude::*;

    use super::{RsyncArgs, RsyncCommand};
    use crate::out::Direction;

    fn words(line: &str) -> Vec<Bytes> {
        line.split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect()
    }

    fn parse(line: &str) -> Option<RsyncCommand> {
        RsyncCommand::parse(&words(line))
    }

    #[test]
    fn arguments_say_where_and_which_way() {
        let up = parse("--server -vlogDtpre.iLsfxCIvu --delete --partial-dir .part . /srv/data/").unwrap();
        assert_eq!(
            (up.direction, up.paths, up.others),
            (Direction::Upload, words("/srv/data/"), words(".part"))
        );
        assert!(up.deletes && up.devices && !up.removes_sources && !up.secluded);
        let down = parse("--server --sender -re.L --remove-source-files . a b").unwrap();
        assert_eq!((down.direction, down.paths), (Direction::Download, words("a b")));
        assert!(down.removes_sources && !down.deletes);
        assert_eq!(
            parse("--server -re.L . /a --delete").map(|up| up.deletes),
            Some(true),
            "options behind names"
        );
        assert_eq!(parse("--server -re.L . -- --delete").unwrap().paths, words("--delete"));
        assert_eq!(parse("--server -e.L .").unwrap().paths, words("."));
    }

    #[test]
    fn what_rsync_does_not_hand_to_its_server_is_not_understood() {
        for line in [
            "-a a b",
            "--daemon",
            "--server --daemon .",
            "--server --config=/x .",
            "--server --log-file=/etc/cron.d/x -re.L . /a",
            "--server -M--fake-super -re.L . /a",
            "--server --sender --exclude-from=/etc/shadow -re.L . /a",
            "--server -e sh . /a",
            "--server --rsh=sh . /a",
            "--server -resh\u{20}-c . /a",
            "--server --rsync-path=x . /a",
            "--server --iconv=utf8 . /a",
            "--server --write-batch=/a . /a",
            "--server --only-write-batch=/a . /a",
            "--server --copy-as=root . /a",
            "--server -T /tmp . /a",
            "--server -f- . /a",
            "--server -re.L / etc",
            "--server -re.L /a",
            "--server -re.L . /a /b",
            "--server -re.L",
            "--server --delete=x . /a",
            "--server . /a --partial-dir",
            "",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn arguments_in_the_stream_count_with_those_before_them() {
        let args = words("--server -logDtpre.iLs -s");
        assert!(RsyncCommand::parse(&args).unwrap().paths.is_empty());
        let mut bytes = BytesMut::from(b"rsync\0--delete\0.\0/a b\0\0more".as_slice());
        let (stream, raw) = RsyncArgs::default().read(&mut bytes).unwrap().unwrap();
        let command = RsyncCommand::with(&args, &stream).unwrap();
        assert!(command.deletes && command.secluded && command.paths == [Bytes::from("/a b")]);
        assert_eq!(
            (raw.as_ref(), bytes.as_ref()),
            (b"rsync\0--delete\0.\0/a b\0\0".as_slice(), b"more".as_slice())
        );
        assert_eq!(RsyncCommand::with(&args, &words("--log-file=/x . /a")), None);
        assert_eq!(
            RsyncCommand::with(&words("--server -re.L"), &words(". /a")),
            None,
            "no stream was announced"
        );
        assert_eq!(RsyncCommand::with(&args, &[]), None);
    }

    #[test]
    fn streams_that_are_no_arguments_are_refused() {
        let read = |bytes: &[u8]| RsyncArgs::default().read(&mut BytesMut::from(bytes));
        assert!(read(b"sh\0-c\0\0").is_err() && read(b"\0").is_err());
        assert!(read(&[b'a'; 5000]).is_err());
        assert!(read(&b"rsync\0a\0".repeat(100_000)).is_err());
        assert_eq!(read(b"rsync\0a"), Ok(None));
    }

    proptest! {
        #[test]
        fn arguments_cut_anywhere_are_the_same(cuts in prop::collection::vec(1usize..9, 1..20)) {
            let whole = b"rsync\0--sender\0.\0some where\0\xff\0\0rest";
            let (mut args, mut bytes, mut found, mut given) = (RsyncArgs::default(), BytesMut::new(), None, 0);
            for cut in cuts.iter().cycle() {
                let end = (given + cut).min(whole.len());
                bytes.extend_from_slice(whole.get(given..end).unwrap());
                given = end;
                if found.is_none() {
                    found = args.read(&mut bytes).unwrap();
                }
                if given == whole.len() {
                    break;
                }
            }
            let (args, _) = found.unwrap();
            prop_assert_eq!(args, [&b"--sender"[..], b".", b"some where", b"\xff"]);
            prop_assert_eq!(bytes.as_ref(), b"rest");
        }
    }
}
