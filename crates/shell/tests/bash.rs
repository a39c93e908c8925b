//! What bash really runs is among what the analysis says. The oracle is bash itself, with programs that only record
//! how they were called.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;
use sallyport_shell::{Analysis, Run, Setting, analyse};

/// The programs that exist. Builtins of the same names are switched off.
const PROGRAMS: [&str; 22] = [
    "cat", "rm", "ls", "cp", "mv", "echo", "printf", "grep", "sort", "head", "touch", "mkdir", "tee", "wc", "env",
    "sudo", "sh", "xargs", "find", "a", "b", "pr",
];

/// Writes its name and its arguments, with one write, so that those of a pipeline do not mix. `echo` and `printf` also
/// write what they are for.
const RECORDER: &str = r#"#!/bin/dash
m="$PWD$(printf '\037')${0##*/}"
for a; do m="$m$(printf '\037')$a"; done
printf '%s\036' "$m" >>"$RECORD"
case "${0##*/}" in
echo) printf '%s\n' "$*" ;;
esac
"#;

/// How a program was called.
#[derive(Debug)]
struct Called {
    directory: String,
    words: Vec<String>,
}

/// A place to run in.
struct Stage {
    root: tempfile::TempDir,
    runs: std::cell::Cell<usize>,
}

impl Stage {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let programs = root.path().join("bin");
        fs::create_dir(&programs).unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        let recorder = root.path().join("recorder");
        fs::write(&recorder, RECORDER).unwrap();
        fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755)).unwrap();
        for program in PROGRAMS {
            symlink(&recorder, programs.join(program)).unwrap();
        }
        fs::write(root.path().join("start"), "enable -n echo printf test [ kill\n").unwrap();
        Self {
            root,
            runs: std::cell::Cell::new(0),
        }
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Every call that bash makes when it runs the line.
    fn run(&self, line: &str) -> Vec<Called> {
        // One record for each line: what the line before left in the background does not write into it.
        self.runs.set(self.runs.get() + 1);
        let record = self.root.path().join(format!("record-{}", self.runs.get()));
        fs::write(&record, "").unwrap();
        clear(&self.home());
        fs::create_dir_all(self.home().join("d1/d2/d3")).unwrap();
        fs::create_dir_all(self.home().join("d2/d1")).unwrap();
        let mut bash = Command::new("/bin/bash")
            .args(["-c", line])
            .current_dir(self.home())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", self.root.path().join("bin"))
            .env("BASH_ENV", self.root.path().join("start"))
            .env("RECORD", &record)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while bash.try_wait().unwrap().is_none() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "bash does not end: {line:?}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let calls = self.settled(&record);
        fs::remove_file(&record).unwrap();
        calls
            .split('\u{1e}')
            .filter(|call| !call.is_empty())
            .map(|call| {
                let mut parts = call.split('\u{1f}').map(str::to_owned);
                Called {
                    directory: parts.next().unwrap(),
                    words: parts.collect(),
                }
            })
            .collect()
    }

    /// The record, once nothing in the background adds to it any more.
    fn settled(&self, record: &Path) -> String {
        let mut before = String::new();
        loop {
            let now = String::from_utf8_lossy(&fs::read(record).unwrap()).into_owned();
            if now == before {
                return now;
            }
            before = now;
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

fn clear(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Whether a run that the analysis lists covers a call.
fn covers(run: &Run, call: &Called) -> bool {
    let Some((program, arguments)) = call.words.split_first() else {
        return false;
    };
    if run.program != *program {
        return false;
    }
    // Arguments that are no constants cover whatever stands there: how exact a pattern is, other tests say.
    if !run.exact {
        return true;
    }
    run.arguments == arguments && (program != "cat" || arguments.iter().all(|argument| reads(run, call, argument)))
}

/// Whether a run reads what an argument names, from where the program stands.
fn reads(run: &Run, call: &Called, argument: &str) -> bool {
    if argument.is_empty() || argument.starts_with('-') {
        return true;
    }
    let mut path = PathBuf::from("/");
    for part in Path::new(&call.directory).join(argument).components() {
        match part {
            std::path::Component::ParentDir => {
                path.pop();
            }
            std::path::Component::Normal(name) => path.push(name),
            std::path::Component::Prefix(_) | std::path::Component::RootDir | std::path::Component::CurDir => {}
        }
    }
    run.reads
        .iter()
        .any(|used| Path::new(&used.path) == path || used.path.contains(['…', '*', '?']))
}

/// What the outermost shell runs: nothing that only a wrapper would.
fn own(run: &Run) -> bool {
    run.via
        .iter()
        .all(|via| matches!(via.as_str(), "eval" | "exec" | "command" | "builtin"))
}

fn check(stage: &Stage, line: &str) -> Analysis {
    let found = analyse(line.as_bytes(), &Setting::new(stage.home().to_str().unwrap()));
    if found.is_exact() {
        for call in stage.run(line) {
            assert!(
                found.runs.iter().any(|run| own(run) && covers(run, &call)),
                "bash runs {call:?} in {line:?}, but the analysis only knows {:#?}",
                found.runs
            );
        }
    }
    found
}

/// As `check`, and the other way round: what the analysis lists is run.
fn same(stage: &Stage, line: &str) {
    let found = check(stage, line);
    assert!(found.is_exact(), "{line:?}: {:?} {:?}", found.opaque, found.unparsed);
    let calls = stage.run(line);
    for run in found
        .runs
        .iter()
        .filter(|run| own(run) && PROGRAMS.contains(&run.program.as_str()))
    {
        assert!(
            calls.iter().any(|call| covers(run, call)),
            "the analysis knows {run:#?} in {line:?}, but bash runs {calls:?}"
        );
    }
}

#[test]
fn lines_without_choices_run_as_they_are_understood() {
    let stage = Stage::new();
    for line in [
        "cat a b",
        "c\\at 'a b'\"c d\"$'e\\x41\\t'",
        "a=1; b=\"$a 2\"; cat $b \"$b\" '$b' \\$b",
        "cat {a,b}{1..3} {x} {} a{,b}c \"{a,b}\" {a,'b,c'} {a,{b,c}}",
        "cat {c..a} {-1..1} {1..1}x",
        "v=x.tar.gz; cat ${v%.gz} ${v#x.} ${v:-d} ${v:+set} ${#v} ${v%y}",
        "cat ~ ~/x '~' x~ a=~",
        "cat $((2*3)) $((1+2*3-4)) $(( (1+2) * 3 )) $((7/2)) $((-7%3))",
        "cat $(echo q) \"$(echo q r)\" `echo s`",
        "f() { cat \"$@\" \"$1\" $#; shift; ls \"$@\"; }; f 'a b' c",
        "f() { a \"$*\"; }; f 1 '2 3'",
        "set -- x 'y z'; cat \"$2\" $1 \"$@\"",
        "for i in 1 2 'a b'; do cat \"$i\" $i; done",
        "cat <<E\n$(echo x) `echo y` $v \\$z\nE\nls",
        "cat <<'E'\n$(echo x)\nE\nls",
        "cat <<-E\n\t$(echo x)\n\tE\nls",
        "cat <<A <<B\n1\nA\n2\nB\nls",
        "cat <<< $(echo x); ls",
        "cat # comment; ls\nls #x",
        "cat a#b '#' \"#\" \\# #",
        "echo 'a'\\''b' \"a\\\"b\\c\\$d\" a\\ b",
        "(cat a; ls) | sort | { head; wc; }",
        "cat 2>/dev/null >out a 2>&1 &>out2 b >|out3 <out",
        "eval 'cat a' b; command cat c; exec ls d",
        "a=1 b=2 cat; a=3; b=; cat $a$b",
        "export x='a b'; cat \"$x\" $x",
        "x=(a $(echo b)); ls",
        "cat \"\" '' \"a\"\"b\" a''",
        "if :; then cat a; fi; case x in x) ls;; esac",
        "{ cat a; }; ( ls ); ! rm b",
        "time cat a; time -p ls",
        "cat a\\\n  b \\\n c",
        "x=1; x+=2; cat $x",
        "cat $'a\\'b' $'\\101\\u0042' $\"\" 2>&1".split(" $\"").next().unwrap(),
        "[[ -f x && ! ( a == b ) ]]; cat",
        "cat \"a\\\nb\" 'a\\\nb'",
        "a=b; cat \"${a}c\" ${a}c $a-c $a/c",
        "cat >out a; cat >>out b; cat < out",
        "f() ( cat \"$1\" ); f a; function g { ls; }; g",
        "unset x; cat a$x",
        "cat /dev/null; cat x=1 y=~",
    ] {
        same(&stage, line);
    }
}

#[test]
fn lines_with_choices_are_covered_whichever_way_they_go() {
    let stage = Stage::new();
    for line in [
        "for x in a b; do cd d1; break; cd ~; done; cat f",
        "x=d0; while :; do x=d1; break; x=d2; done; cat $x/f",
        "y=d0; for x in a; do y=d1; break; y=d2; done; cat $y/f",
        "y=d0; f() { y=d1; return; y=d2; }; f; cat $y/f",
        "f() { cd d1; return; cd ~; }; f; cat f",
        "f() { cd d1; for x in a; do return; cd ~; done; cd d2; }; f; cat f",
        "y=d0; for x in d1 d2; do false && continue; y=$x; done; cat $y",
        "for x in d1 d2; do y=$x; continue; y=z; done; cat $y",
        "x=d1; false && x=d2; cat $x/f; cd none || cd d1; cat f",
        "f() { local x=d2; cat $x/f; }; x=d1; f; cat $x/f",
        "local x=d2; x=d1; local x=d2; cat $x/f",
        "x=d1; (x=d2; cat $x); cat $x",
        "x=d1; x=d2 cat $x; cat $x",
        "if cd d1; then :; fi; cat f",
        "cd d1 | cat g; cat f",
        "! cd d1 && cat g; cat f",
        "cd none && cat g; cat f",
        "until cd d1; do cat g; done; cat f",
        "case d1 in d*) cd d1;; *) cd d2;; esac; cat f",
        "case d1 in d*) cd d1;& x) cat g;; esac; cat f",
        "x=; cat \"${x:-d1}/f\" \"${x-d2}f\" \"${x:+d3}f\"",
        "f() { cat a; }; g() { f() { cat b; }; }; f; g; f",
        "false && f() { cat a; }; true && f() { cat b; }; f",
        "cd d1; eval 'cd d2; cat f'; cat f",
        "cd d1/d2; cd ..; cat f; cd ..; cat f",
        "pushd d1; cat f; cd d2; cat f",
        "set -- a b; f() { shift; cat $1; }; f c d; cat $1",
        "{ cd d1; cat f; } & wait; cat f",
        "x=$(cd d1; cat f); cat f",
        "cat <(cd d1; cat f); cat f",
    ] {
        let found = check(&stage, line);
        assert!(found.unparsed.is_none(), "{line:?}: {:?}", found.unparsed);
        // What else is said of a line hides nothing of what is checked here.
        let calls = stage.run(line);
        for call in calls {
            assert!(
                found.runs.iter().any(|run| own(run) && covers(run, &call)),
                "bash runs {call:?} in {line:?}, but the analysis only knows {:#?}",
                found.runs
            );
        }
    }
}

/// Pieces of which lines are made: all that quoting, expansion and grammar have, and only names that exist here.
const PIECES: [&str; 118] = [
    "cat",
    "ls",
    "echo",
    "a",
    "b",
    "x y",
    "v",
    "f",
    " ",
    " ",
    " ",
    " ",
    " ",
    "\t",
    ";",
    ";",
    "; ",
    "\n",
    "\n",
    "|",
    " | ",
    "&&",
    "||",
    "&",
    "|&",
    ";;",
    "!",
    "! ",
    "(",
    ")",
    "$(",
    ")",
    "`",
    "{ ",
    "; }",
    "{",
    "}",
    ",",
    "..",
    "{a,b}",
    "{1..3}",
    "{a..c}",
    "{a,'b c'}",
    "'",
    "'",
    "\"",
    "\"",
    "\\",
    "\\\\",
    "\\'",
    "\\\"",
    "\\$",
    "\\\n",
    "\\ ",
    "$",
    "$v",
    "\"$v\"",
    "${v}",
    "${v:-d}",
    "${v:=d}",
    "${v%b}",
    "${v##*/}",
    "${#v}",
    "${v:+e}",
    "${v/a/b}",
    "${v:1}",
    "${v^}",
    "${!v}",
    "$1",
    "$@",
    "\"$@\"",
    "$*",
    "$#",
    "$?",
    "$'\\x41'",
    "$'",
    "$\"",
    "$((1+2))",
    "$((",
    "))",
    "((1))",
    "v=1",
    "v='a b'",
    "v=a b=c ",
    "v+=x",
    "export v=",
    "set -- a b;",
    "shift;",
    "unset v;",
    "local v=1;",
    "eval ",
    "eval 'cat x';",
    "command ",
    "exec ",
    "~",
    "~/x",
    "*",
    "?",
    "[a]",
    "#",
    " #c",
    "if :;then ",
    ";fi",
    "for v in a b;do ",
    ";done",
    "case x in x)",
    ";;esac",
    "f() { ",
    "function f { ",
    "<<E\n",
    "\nE\n",
    "<<<",
    "<a",
    ">a",
    "2>a",
    "&>a",
    ">&2",
    "[[ a == b ]]",
];

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases())
    })]

    #[test]
    fn whatever_bash_runs_is_among_what_is_understood(pieces in prop::collection::vec(select(&PIECES[..]), 1..14)) {
        thread_local!(static STAGE: Stage = Stage::new());
        let line = pieces.concat();
        STAGE.with(|stage| check(stage, &line));
    }

    #[test]
    fn words_of_any_form_are_understood_as_bash_does(
        pieces in prop::collection::vec(select(&PIECES[32..104]), 1..6),
        set in select(&["", "v=abc;", "v='a  b';", "v='*';", "set -- 'x y' z;", "v=;", "v=a,b;"][..]),
    ) {
        thread_local!(static STAGE: Stage = Stage::new());
        let line = format!("{set} cat {}", pieces.concat());
        STAGE.with(|stage| check(stage, &line));
    }
}

/// Commands that change what those behind them mean, or show it.
const STEPS: [&str; 46] = [
    "cat f",
    "cat f",
    "cat ./f g",
    "cat ../f",
    "cat d1/f",
    "cat \"$x\"",
    "cat $x",
    "cat $x/f",
    "cat \"$@\"",
    "cat $1 $2",
    "cat \"$PWD/f\"",
    "cat ~/f",
    "cat $HOME",
    "ls",
    "cd d1",
    "cd d1",
    "cd d2",
    "cd d1/d2",
    "cd ./d1/../d2",
    "cd",
    "cd ~",
    "cd \"$x\"",
    "cd none",
    "cd /",
    "cd -",
    "pushd d1",
    "popd",
    "eval 'cd d1'",
    "builtin cd d1",
    "command cd d1",
    "x=d1",
    "x=d2",
    "x='a b'",
    "x+=y",
    "export x=d1",
    "unset x",
    "set -- d1 d2",
    "set -- 'a b'",
    "shift",
    "f",
    "f d1",
    "local x=d2",
    "break",
    "return",
    "true",
    "false",
];

/// Texts made of those steps and all that the grammar puts around them.
fn texts() -> impl Strategy<Value = String> {
    let leaf = select(&STEPS[..]).prop_map(str::to_owned);
    leaf.prop_recursive(5, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let three = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            4 => (two.clone(), select(&["; ", "\n", " && ", " || ", " | "][..])).prop_map(|((a, b), by)| format!("{a}{by}{b}")),
            1 => inner.clone().prop_map(|a| format!("( {a} )")),
            1 => inner.clone().prop_map(|a| format!("{{ {a}; }}")),
            1 => inner.clone().prop_map(|a| format!("! {{ {a}\n}}")),
            1 => inner.clone().prop_map(|a| format!("cat \"$( {a} )\"")),
            1 => inner.clone().prop_map(|a| format!("for x in d1 d2; do {a}; done")),
            1 => inner.prop_map(|a| format!("f() {{ {a}; }}; f d2")),
            1 => two.clone().prop_map(|(a, b)| format!("f() {{ {a}; }}\n{b}")),
            1 => two.clone().prop_map(|(a, b)| format!("case $x in d1) {a};; *) {b};; esac")),
            1 => two.clone().prop_map(|(a, b)| format!("while {a}; do {b}; break; done")),
            1 => two.prop_map(|(a, b)| format!("{{ {a}; }} & wait; {b}")),
            2 => three.prop_map(|(a, b, c)| format!("if {a}; then {b}; else {c}; fi")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases())
    })]

    #[test]
    fn state_is_followed_wherever_a_text_goes(text in texts()) {
        thread_local!(static STAGE: Stage = Stage::new());
        STAGE.with(|stage| check(stage, &text));
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(128)
}
