//! Programs on files whose arguments do not read as a table can say: `tar`, `dd`, `openssl`; and builtins of the
//! shell as programs.

use super::options::{Known, Options, Order, Parsed, Takes, parse};
use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Opaque, Run};
use crate::paths::field::Field;

const TAR: &str = "-c,--create -x,--extract,--get -t,--list -r,--append -u,--update -A,--catenate,--concatenate \
    -d,--diff,--compare --delete -f,--file=a -C,--directory=C -T,--files-from=t -X,--exclude-from=r \
    -I,--use-compress-program=h --to-command=h --checkpoint-action=X --checkpoint?_ \
    -F,--info-script,--new-volume-script=h --rsh-command=h --rmt-command=h -g,--listed-incremental=rw \
    -G,--incremental --remove-files!D --index-file=w -V,--label=_ -b,--blocking-factor=_ -N,--newer,--after-date=_ \
    --newer-mtime=_ --transform,--xform=_ --exclude=_ --exclude-vcs --exclude-caches --exclude-tag=_ \
    --strip-components=_ --owner=_ --group=_ --mode=_ --mtime=_ --one-top-level?w -K,--starting-file=_ \
    -L,--tape-length=_ -H,--format=_ --level=_ --sort=_ --totals?_ --warning=_ --suffix=_ --backup?_ \
    --atime-preserve?_ --occurrence?_ --pax-option=_ --record-size=_ --volno-file=w --add-file=o \
    -z,--gzip,--gunzip,--ungzip -j,--bzip2 -J,--xz -Z,--compress,--uncompress --lzma --lzip --lzop --zstd \
    -a,--auto-compress --no-auto-compress -v,--verbose -p,--preserve-permissions,--same-permissions \
    -P,--absolute-names -O,--to-stdout -k,--keep-old-files --overwrite -U,--unlink-first -m,--touch -S,--sparse \
    -h,--dereference -l,--check-links -n,--seek -i,--ignore-zeros -B,--read-full-records \
    -w,--interactive,--confirmation -W,--verify -M,--multi-volume -o,--no-same-owner --same-owner --numeric-owner \
    --wildcards --no-wildcards --anchored --null --no-recursion --recursion --one-file-system --acls --xattrs \
    --selinux -s,--preserve-order,--same-order --skip-old-files --keep-newer-files --no-overwrite-dir \
    --recursive-unlink --ignore-failed-read --utc --full-time --block-number,-R --show-transformed-names \
    --quoting-style=_ --no-unquote --unquote --help,-? --version --show-defaults --force-local --no-check-device \
    --check-device --hard-dereference --verbatim-files-from --no-same-permissions --no-null \
    --delay-directory-restore --no-delay-directory-restore --clamp-mtime --no-seek --sparse-version=_ \
    --hole-detection=_ --posix --old-archive --portability --old";
/// Commands of `openssl` that compute on files and do nothing else.
const OPENSSL: [&str; 20] = [
    "x509",
    "version",
    "dgst",
    "enc",
    "rand",
    "verify",
    "rsa",
    "pkey",
    "req",
    "crl",
    "pkcs12",
    "passwd",
    "ciphers",
    "asn1parse",
    "sha256",
    "sha1",
    "md5",
    "base64",
    "s_client",
    "genpkey",
];

impl Evaluator<'_> {
    /// `tar`, `dd`, `openssl`, and `/bin/echo` and its like.
    pub(crate) fn file_tool(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let mut run = run.clone();
        match run.program.as_str() {
            "tar" | "gtar" | "bsdtar" => self.tar(run, arguments, state, context),
            "dd" => self.dd(run, arguments, state),
            "openssl" => self.openssl(run, arguments, state),
            "echo" | "printf" | "true" | "false" | "pwd" => {
                run.known = true;
                self.list(run);
            }
            "test" | "[" => {
                run.known = true;
                self.tested_paths(&mut run, arguments, state);
                self.list(run);
            }
            "kill" => {
                run.known = true;
                super::system::signalled(&mut run, arguments);
                self.list(run);
            }
            _ => return false,
        }
        true
    }

    fn tar(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        run.known = run.program != "bsdtar";
        let options = Options::of(TAR);
        let arguments = old_style(&options, arguments);
        let parsed = parse(&options, &arguments, Order::Anywhere);
        let before = arguments.get(..parsed.first_operand).unwrap_or_default();
        let settled = parse(&options, before, Order::Anywhere).values("-C").count() == parsed.values("-C").count()
            && !parsed.has("--add-file");
        if !parsed.unknown.is_empty() {
            self.opaque(Opaque::UnknownOption);
        }
        // A name that is an option runs a program (`--checkpoint-action`).
        if parsed.dynamic || parsed.wild {
            self.opaque(Opaque::DynamicArgument);
        }
        let mut inner = state.clone();
        for given in &parsed.given {
            let Some(value) = &given.value else { continue };
            match given.role.as_str() {
                "C" => {
                    let from = inner.directories().unwrap_or_default().to_vec();
                    let mut directories = crate::paths::directory(value, &from, &self.home);
                    // Members that stand before it are those of the directory before.
                    if let (Some(all), false) = (&mut directories, parsed.operands.is_empty() || settled) {
                        all.extend(from);
                    }
                    inner.set_directories(directories);
                }
                "X" if value
                    .exact()
                    .is_some_and(|text| matches!(text.as_str(), "dot" | "echo" | "totals")) => {}
                "X" => {
                    self.opaque(Opaque::CodeText);
                    run.interprets = Some(crate::facts::Code::Text);
                }
                "a" | "t" | "o" => {}
                role => self.role(role, value, &mut run, state, context),
            }
        }
        self.members(&mut run, &parsed, &inner, state);
        self.list(run);
    }

    fn members(&mut self, run: &mut Run, parsed: &Parsed, inner: &State, state: &State) {
        let writes_archive = ["-c", "-r", "-u", "-A", "--delete"].iter().any(|mode| parsed.has(mode));
        let extracts = parsed.has("-x") && !parsed.has("-O");
        let unclear = !writes_archive && !parsed.has("-x") && !parsed.has("-t") && !parsed.has("-d");
        if unclear {
            self.opaque(Opaque::UnknownOption);
        }
        for archive in parsed.values("-f") {
            // `host:archive` is reached through a program.
            if archive.contains(':') && !parsed.has("--force-local") {
                run.network = true;
                self.opaque(Opaque::UnknownOption);
            }
            if archive.exact().as_deref() != Some("-") {
                self.path(
                    run,
                    archive,
                    Uses::only(!writes_archive || !parsed.has("-c"), writes_archive, false),
                    state,
                );
            }
        }
        for list in parsed.values("-T") {
            self.opaque(Opaque::DynamicArgument);
            self.path(run, list, Uses::READ, state);
        }
        if writes_archive || parsed.has("-d") || unclear {
            let uses = Uses::only(true, false, parsed.given.iter().any(|given| given.role == "D")).recursively();
            for operand in parsed.operands.iter().chain(parsed.values("--add-file")) {
                self.path(run, operand, uses, inner);
            }
        }
        if extracts || unclear {
            let here = Uses::only(false, true, parsed.has("--recursive-unlink")).recursively();
            self.path(run, &Field::constant("."), here, inner);
            if parsed.has("-P") {
                self.path(run, &Field::unknown(), here, inner);
            }
        }
    }

    fn dd(&mut self, mut run: Run, arguments: &[Field], state: &State) {
        run.known = true;
        for argument in arguments {
            match argument.split_at('=') {
                Some((name, value)) => match name.exact().as_deref() {
                    Some("if") => self.path(&mut run, &value, Uses::READ, state),
                    Some("of") => self.path(&mut run, &value, Uses::WRITE, state),
                    Some(
                        "bs" | "ibs" | "obs" | "cbs" | "count" | "skip" | "seek" | "iseek" | "oseek" | "conv" | "iflag"
                        | "oflag" | "status",
                    ) => {}
                    _ => self.opaque(Opaque::DynamicArgument),
                },
                None if argument.exact().is_none() => self.opaque(Opaque::DynamicArgument),
                None => {}
            }
        }
        self.list(run);
    }

    fn openssl(&mut self, mut run: Run, arguments: &[Field], state: &State) {
        run.known = true;
        let verb = arguments.first().and_then(Field::exact).unwrap_or_default();
        let loads = |field: &Field| {
            let text = field.exact().unwrap_or_else(|| "-engine".to_owned());
            [
                "-engine",
                "-provider",
                "-config",
                "-keyform",
                "-extfile",
                "-propquery",
                "-sess",
                "-proxy",
            ]
            .iter()
            .any(|name| text.trim_start_matches('-').starts_with(name.trim_start_matches('-')) && text.starts_with('-'))
        };
        if !OPENSSL.contains(&verb.as_str()) || arguments.iter().any(loads) {
            self.opaque(Opaque::UnknownOption);
        }
        run.network = verb == "s_client";
        for pair in arguments.windows(2) {
            let [before, argument] = pair else { continue };
            // `-in=file` is `-in file`.
            let attached = argument.split_at('=').filter(|_| argument.starts_with("-"));
            let (before, argument) = match &attached {
                Some((option, value)) => (option, value),
                None if argument.starts_with("-") => continue,
                None => (before, argument),
            };
            if before.exact().is_some_and(|before| only_reads(&verb, &before)) {
                self.path(&mut run, argument, Uses::READ, state);
                continue;
            }
            let file = argument
                .split_at(':')
                .map_or_else(|| argument.clone(), |(_, file)| file);
            self.path(&mut run, argument, Uses::only(true, true, false), state);
            self.path(&mut run, &file, Uses::only(true, true, false), state);
        }
        self.list(run);
    }
}

/// Whether what stands behind an argument of `openssl` is a file to read, if it is a file at all.
fn only_reads(verb: &str, before: &str) -> bool {
    let source = matches!(before, "-in" | "-CAfile" | "-untrusted" | "-inkey" | "-certfile");
    let digest = matches!(verb, "dgst" | "sha256" | "sha1" | "md5" | "verify");
    let writes = before.starts_with('-') && (before.contains("out") || before.contains("write"));
    source || (digest && !writes)
}

/// The first argument without a dash is a cluster of letters, whose values stand behind it in their order.
fn old_style(options: &Options, arguments: &[Field]) -> Vec<Field> {
    let Some((first, rest)) = arguments.split_first() else {
        return Vec::new();
    };
    let letters = match first.exact() {
        Some(text) if !text.starts_with('-') && !text.is_empty() => text,
        _ => return arguments.to_vec(),
    };
    let mut rest = rest.iter();
    let mut made = Vec::new();
    for letter in letters.chars() {
        made.push(Field::constant(&format!("-{letter}")));
        let takes = |known: &Known| known.takes == Takes::Value && known.names.contains(&format!("-{letter}"));
        if options.known.iter().any(takes) {
            made.extend(rest.next().cloned());
        }
    }
    made.extend(rest.cloned());
    made
}
