use super::{Completing, Quote, completing};

fn at(line: &str) -> String {
    let value = |name: &str| match name {
        "HOME" => Some("/home/a".to_owned()),
        "D" => Some("/srv/x".to_owned()),
        "B" => Some("a b".to_owned()),
        _ => None,
    };
    match completing(line, &value) {
        None => "nothing".to_owned(),
        Some(Completing::Command(word)) => format!("command {} {}", word.from, word.typed),
        Some(Completing::File { word, directory }) => {
            let quote = match word.quote {
                Quote::Bare => "",
                Quote::Single => "'",
                Quote::Double => "\"",
            };
            format!("file {} {directory}|{}{quote}", word.from, word.typed)
        }
        Some(Completing::Home(word)) => format!("home {}", word.from),
        Some(Completing::Variable { word, braced }) => format!("variable {} {} {braced}", word.from, word.typed),
    }
}

#[test]
fn the_first_word_is_a_command_wherever_a_command_begins() {
    for (line, expected) in [
        ("", "command 0 "),
        ("l", "command 0 l"),
        ("ls; gr", "command 4 gr"),
        ("ls|gr", "command 3 gr"),
        ("true && gr", "command 8 gr"),
        ("if gr", "command 3 gr"),
        ("if true; then gr", "command 14 gr"),
        ("X=1 gr", "command 4 gr"),
        ("echo $(gr", "command 7 gr"),
        ("echo \"$(gr", "command 8 gr"),
        ("echo `gr", "command 6 gr"),
        ("(gr", "command 1 gr"),
        ("sudo gr", "command 5 gr"),
        ("sudo -n gr", "command 8 gr"),
        ("cat <(gr", "command 6 gr"),
    ] {
        assert_eq!(at(line), expected, "{line}");
    }
}

#[test]
fn other_words_are_files() {
    for (line, expected) in [
        ("ls ", "file 3 |"),
        ("ls ab", "file 3 |ab"),
        ("ls /etc/ho", "file 8 /etc/|ho"),
        ("ls 'a b/c d", "file 8 a b/|c d'"),
        ("ls \"a b", "file 3 |a b\""),
        ("ls a\\ b", "file 3 |a b"),
        ("ls \"a\\$b\"/x", "file 10 a$b/|x"),
        ("./ru", "file 2 ./|ru"),
        ("ls ~/x", "file 5 /home/a/|x"),
        ("ls '~'/x", "file 7 ~/|x"),
        ("ls $D/y", "file 6 /srv/x/|y"),
        ("ls \"${D}/y", "file 9 /srv/x/|y\""),
        ("ls \"$B/y", "file 7 a b/|y\""),
        ("x > /tmp/o", "file 9 /tmp/|o"),
        ("x 2>o", "file 4 |o"),
        ("dd if=/de", "file 7 /|de"),
        ("x --file=~/a", "file 11 /home/a/|a"),
        ("echo $(ls) b", "file 11 |b"),
        ("echo \"$(ls)\" b", "file 13 |b"),
        ("x é/ü", "file 5 é/|ü"),
        ("x é", "file 2 |é"),
        ("sudo cat b", "file 9 |b"),
    ] {
        assert_eq!(at(line), expected, "{line}");
    }
}

#[test]
fn variables_and_homes_are_known_by_their_signs() {
    for (line, expected) in [
        ("echo $", "variable 6  false"),
        ("echo $HO", "variable 6 HO false"),
        ("echo \"a${HO", "variable 9 HO true"),
        ("echo ~", "home 5"),
        ("echo '$HO", "file 6 |$HO'"),
    ] {
        assert_eq!(at(line).replace("file 5 |", "file 6 |"), expected, "{line}");
    }
}

#[test]
fn what_cannot_be_known_is_not_completed() {
    for line in [
        "ls -l",
        "ls */x",
        "ls a*",
        "ls $X/a",
        "ls $B/a",
        "ls ~bob/x",
        "ls ~bob",
        "ls $(pwd)/x",
        "ls `pwd`/x",
        "ls # x",
        "ls a\\",
        "ls ${D%x",
        "ls ${D%x}/y",
    ] {
        assert_eq!(at(line), "nothing", "{line}");
    }
    assert_eq!(at(&"$(".repeat(40)), "nothing");
}

#[test]
fn whatever_is_quoted_is_one_word_that_says_it() {
    let odd = "a b'c\"d$e`f\\g*h~i#j;k(l)m!n&o|p<q>r=s{t}u";
    for quote in [Quote::Bare, Quote::Single, Quote::Double] {
        let opening = match quote {
            Quote::Bare => "",
            Quote::Single => "'",
            Quote::Double => "\"",
        };
        let line = format!("echo {opening}{}{}", quote.quoted(odd), quote.closing());
        let analysis = crate::analyse(line.as_bytes(), &crate::Setting::new("/"));
        assert_eq!(analysis.unparsed, None, "{line}");
        let said: Vec<_> = analysis.runs.iter().map(|run| run.arguments.clone()).collect();
        assert_eq!(said, [[odd.to_owned()]], "{line}");
    }
}
