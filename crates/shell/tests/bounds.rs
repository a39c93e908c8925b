//! No text makes the analysis fail, hang or balloon.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;
use sallyport_shell::{Protected, Setting, analyse};

/// What one line may take, on a slow machine and without optimisation.
const LIMIT: Duration = Duration::from_secs(10);

fn setting() -> Setting {
    let protected = Protected::new([("/etc/shadow*", "secret"), ("/srv/**", "production")]);
    Setting::new("/root").protecting(protected.unwrap_or_default())
}

fn within_limits(line: &str) {
    let started = Instant::now();
    let found = analyse(line.as_bytes(), &setting());
    let taken = started.elapsed();
    let start: String = line.chars().take(60).collect();
    assert!(taken < LIMIT, "{taken:?} for {start:?}…");
    assert!(found.runs.len() <= 2_000, "{start:?}…");
}

#[test]
fn nesting_is_bounded() {
    for (open, inner, close) in [
        ("(", "ls", ")"),
        ("( ", "ls", " )"),
        ("{ ", "ls;", "};"),
        ("if ", "ls;", "then ls; fi;"),
        ("while ", "ls;", "do ls; done;"),
        ("case x in x) ", "ls", " esac"),
        ("case x in (x) ", "ls", ";; esac "),
        ("for i in 1 2; do ", "ls;", "done;"),
        ("echo $(", "ls", ")"),
        ("echo \"$(", "ls", ")\""),
        ("echo ${x:-", "y", "}"),
        ("cat <(", "ls", ")"),
        ("[[ ( ", "a", " ) ]]"),
        ("[[ ! ", "a", " ]]"),
        ("! ", "ls", ""),
        ("coproc ", "ls", ""),
        ("f() { ", "ls;", "};"),
        ("function f { ", "ls;", "};"),
        ("time ", "ls", ""),
        ("((", "1", "))"),
        ("echo $((", "1", "))"),
        ("a=(", "b", ")"),
        ("sh -c '", "ls", "'"),
        ("sudo ", "ls", ""),
        ("env ", "ls", ""),
        ("xargs ", "ls", ""),
        ("eval eval ", "ls", ""),
        ("echo {a,", "b", "}"),
    ] {
        for depth in [1, 2, 5, 6, 7, 10, 11, 12, 13, 20, 47, 48, 49, 200, 1_000] {
            within_limits(&format!("{}{inner}{}", open.repeat(depth), close.repeat(depth)));
            within_limits(&open.repeat(depth));
        }
    }
}

/// The deepest text that the grammar takes, read where the analysis is at its deepest, in the stack of a usual thread.
#[test]
fn the_stack_suffices_where_both_depths_meet() {
    for (open, close) in [
        ("{ ", "};"),
        ("if ", "then ls; fi;"),
        ("( ", " )"),
        ("case x in x) ", " esac"),
        ("! { ", "};"),
    ] {
        for depth in [6, 12, 47] {
            let inner = format!("{}ls;{}", open.repeat(depth), close.repeat(depth));
            for calls in 1..16 {
                let functions: String = (0..calls).map(|n| format!("f{n}() {{ f{}; }}; ", n + 1)).collect();
                within_limits(&format!("{functions}f{calls}() {{ eval \"$x\"; }}; x='{inner}'; f0"));
                within_limits(&format!(
                    "{functions}f{calls}() {{ sudo sh -c \"$x\"; }}; x='{inner}'; f0"
                ));
            }
        }
    }
}

#[test]
fn length_and_width_are_bounded() {
    for piece in [
        "a",
        " ",
        "a ",
        "a;",
        "a|",
        "a&&",
        "a&",
        "a\n",
        "x=1;",
        "x=1 ",
        "{a,b}",
        "{1..200}",
        "$x",
        "${x}",
        "$(a)",
        "`a`",
        "'a'",
        "\"a\"",
        "\\a",
        "*",
        "[a",
        "?",
        "/*",
        "../",
        "a/",
        "((1));",
        "f() { f; };",
        "f() { a; f; }; f; ",
        ">a ",
        "<<E\nE\n",
        "<<<a ",
        "[[ a ]];",
        "$((1+1))",
        "\u{e9}",
        "\u{1f600}",
        "~",
        "#",
        "!",
        "-",
        "x+=$x;",
        "x=$x$x;",
        "set -- $x $x;",
        "set -- \"$@\" \"$@\" a;",
        "for i in a b; do ",
        "cd a;",
        "cd a || cd b; ",
        "[ a ] && x=a || x=b; ",
        "y$x",
        "x=b; ",
    ] {
        within_limits(&piece.repeat(1_000));
        within_limits(&piece.repeat(sallyport_shell::MAX_LENGTH / piece.len()));
        within_limits(&format!("x=a; [ b ] && x=c; {}", piece.repeat(3_000)));
    }
}

#[test]
fn work_that_multiplies_is_bounded() {
    for line in [
        "for a in {1..64}; do for b in {1..64}; do for c in {1..64}; do ls $a $b $c; done; done; done",
        "f() { g; g; }; g() { h; h; }; h() { i; i; }; i() { f; f; }; f",
        ":(){ :|:& };:",
        "while a; do while b; do while c; do while d; do x=$x$y; y=$x; done; done; done; done",
        "x=a; x=$x$x$x$x$x$x$x$x$x$x$x$x; x=$x$x$x$x$x$x$x$x$x$x$x$x; x=$x$x$x$x$x$x$x$x; x=$x$x$x$x$x$x$x$x; ls $x",
        "f() { sh -c \"$1\" sh \"$1\"; }; f 'ls'",
        "echo {a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}",
        "echo {1..9999999} {a..z}{a..z}{a..z}{a..z}",
        "cat /*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*",
        "cat ************************************************************************x",
        "99999999999999999999>a ls 99999999999999999999<b",
    ] {
        within_limits(line);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for bytes in [&b"ls \xff"[..], b"ls \0", b"ls \r", b"ls\x1b[2J", b"\xc3\x28"] {
        assert!(analyse(bytes, &setting()).unparsed.is_some(), "{bytes:?}");
    }
    let long = "a".repeat(sallyport_shell::MAX_LENGTH + 1);
    assert!(analyse(long.as_bytes(), &setting()).unparsed.is_some());
}

const SEEDS: [&str; 24] = [
    "cat /etc/shadow",
    "cd /etc && cat shadow",
    "$'\\x63at' $'/etc/\\163hadow'",
    "{cat,/etc/shadow}",
    "cat ${HOME%root}etc/shadow",
    "sh -c 'sh -c \"cat /etc/shadow\"'",
    "find /srv -type f -print0 | xargs -0 rm -f",
    "f() { cat \"$@\"; }; f /etc/shadow",
    "trap \"rm -rf /srv\" 0",
    "kubectl delete ns -l env=prod",
    "tar czf /tmp/b.tgz /srv/prod",
    "sed -n 's/a/b/w /tmp/x' /etc/hosts",
    "awk '{print $1}' /etc/hosts | sort | uniq -c",
    "rsync -a --delete /empty/ /srv/",
    "sudo -u app env A=1 nice -n 5 timeout 5 ls",
    "for i in 1 2 3; do echo $i; done",
    "cat <<E\n$(ls)\nE\n",
    "case x in a|b) ls;; *) rm x;; esac",
    "[[ -f a && b == c* ]] || ls",
    "dd if=/dev/zero of=x bs=1M",
    "ssh -p 22 h 'ls | wc'",
    "git log --oneline 2>/dev/null; true",
    "docker exec -it c sh -c ls",
    "x=$((1+2)); echo ${x:-y} \"$x\" `ls`",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = analyse(&bytes, &setting());
    }

    #[test]
    fn any_text_is_survived(line in "[-a-z0-9$(){}\\[\\]<>|&;'\"`\\\\ \n\t/*?!#=~%:+,.@^]{0,80}") {
        within_limits(&line);
    }

    #[test]
    fn any_change_of_a_line_is_survived(
        seed in select(&SEEDS[..]),
        other in select(&SEEDS[..]),
        (cut, from, drop) in (0_usize..80, 0_usize..80, 0_usize..4),
        insert in "[$(){}'\"`\\\\|&;<> ]{0,4}",
    ) {
        let mut line: Vec<char> = seed.chars().collect();
        let cut = cut.min(line.len());
        let tail: Vec<char> = line.split_off(cut).into_iter().skip(drop).collect();
        line.extend(insert.chars());
        line.extend(other.chars().skip(from));
        line.extend(tail);
        within_limits(&line.into_iter().collect::<String>());
    }
}
