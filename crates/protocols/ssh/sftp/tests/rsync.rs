//! What rsync itself says to its server is understood.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use bytes::{Bytes, BytesMut};
use sallyport_sftp::Direction;
use sallyport_sftp::rsync::{RsyncArgs, RsyncCommand};

/// Runs rsync over a shell that writes down the server's arguments and its stream; both run in `root`.
fn rsync(root: &Path, args: &[&str]) -> RsyncCommand {
    let bin = root.join("bin");
    let _ = fs::create_dir(&bin);
    let real = String::from_utf8(
        Command::new("sh")
            .args(["-c", "command -v rsync"])
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    assert!(!real.is_empty(), "rsync is installed");
    let place = root.display();
    let script = |name: &str, text: String| {
        fs::write(bin.join(name), text).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(
        "shell",
        format!("#!/bin/sh\nshift\nPATH={place}/bin:$PATH exec sh -c \"$*\"\n"),
    );
    // As `ssh` does, it ends when the server has ended, whatever the client still could say.
    let server = format!(
        "printf '%s\\0' \"$@\" > {place}/args\nrm -f {place}/pipe\nmkfifo {place}/pipe\nexec 3<&0\n\
         tee {place}/stream <&3 > {place}/pipe &\n{} \"$@\" < {place}/pipe\nended=$?\nkill $! 2>/dev/null\nexit $ended",
        real.trim()
    );
    script("rsync", format!("#!/bin/sh\n{server}\n"));
    let output = Command::new(real.trim())
        .current_dir(root)
        .arg("-e")
        .arg(bin.join("shell"))
        .args(args)
        .output()
        .expect("rsync is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = fs::read(root.join("args")).unwrap();
    let args: Vec<Bytes> = said.split(|byte| *byte == 0).map(Bytes::copy_from_slice).collect();
    let args = args.split_last().unwrap().1;
    let command = RsyncCommand::parse(args).unwrap_or_else(|| unreachable!("{args:?}"));
    if !command.secluded {
        return command;
    }
    let mut stream = BytesMut::from(fs::read(root.join("stream")).unwrap().as_slice());
    let (rest, _) = RsyncArgs::default().read(&mut stream).unwrap().unwrap();
    RsyncCommand::with(args, &rest).unwrap_or_else(|| unreachable!("{rest:?}"))
}

#[test]
fn command_lines_of_rsync_itself_are_understood() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for dir in ["from", "from/sub", "to"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("from/sub/a file"), "content").unwrap();
    fs::write(root.join("list"), "sub/a file\n").unwrap();
    let common: [&[&str]; 6] = [
        &["-a"],
        &["-az", "--delete", "--partial", "--progress", "--stats"],
        &[
            "-rvvHAXxS",
            "--numeric-ids",
            "--inplace",
            "--timeout=30",
            "--bwlimit=9000",
        ],
        &[
            "-a",
            "--backup",
            "--backup-dir=kept",
            "--suffix=.old",
            "--delete-after",
            "--max-delete=5",
        ],
        &[
            "-aR",
            "--checksum",
            "--compare-dest=../other",
            "--temp-dir=.",
            "--chmod=go-w",
        ],
        &["-a", "--files-from=list", "--itemize-changes", "--dry-run"],
    ];
    for options in common {
        for secluded in ["--secluded-args", "--no-secluded-args"] {
            for (from, to, path, direction) in [
                ("from/", "host:to/a place", "to/a place", Direction::Upload),
                ("host:from/", "to/back", "from/", Direction::Download),
            ] {
                let args: Vec<&str> = options.iter().copied().chain([secluded, from, to]).collect();
                let command = rsync(root, &args);
                assert_eq!(command.direction, direction, "{args:?}");
                assert_eq!(command.paths, [Bytes::from(path)], "{args:?}");
                assert_eq!(command.secluded, secluded == "--secluded-args");
                assert_eq!(command.dry_run, options.contains(&"--dry-run"));
                let deletes = options.iter().any(|option| option.starts_with("--delete"));
                assert_eq!(command.deletes, deletes && direction == Direction::Upload, "{args:?}");
                let kept = options.contains(&"--backup-dir=kept");
                assert_eq!(command.others.contains(&Bytes::from("kept")), kept);
            }
        }
    }
    assert_eq!(fs::read(root.join("to/a place/sub/a file")).unwrap(), b"content");
    assert_eq!(fs::read(root.join("to/back/sub/a file")).unwrap(), b"content");
}
