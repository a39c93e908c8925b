use sallyport_shell::complete::{Quote, Word};

use super::{MAX_NAMES, Name, Source, absolute, candidates};
use crate::conversation::guard::Place;

fn listing(answer: &[u8]) -> Option<Vec<String>> {
    let names = Source::Directory("/".to_owned()).names(answer)?;
    Some(
        names
            .into_iter()
            .map(|name| name.text + if name.is_directory { "/" } else { "" })
            .collect(),
    )
}

#[test]
fn names_are_read_as_ls_escapes_them_and_odd_ones_are_not_offered() {
    let answer =
        b"./\n../\na\\ b\ndir/\nback\\\\slash\nnew\\nline\n\\033[31mred\n\\303\\274ber\n\\377raw\nbell\\a\n\xc3\xa9\n\
        zero\\342\\200\\213width\nbidi\\342\\200\\256x\nends\\";
    let expected = ["a b", "back\\slash", "dir/", "é", "über"];
    let mut names = listing(answer).unwrap_or_default();
    names.sort();
    assert_eq!(names, expected);
}

#[test]
fn of_too_many_names_none_is_offered() {
    let many = |count: usize| (0..count).map(|n| format!("n{n}\n")).collect::<String>();
    assert!(listing(many(MAX_NAMES).as_bytes()).is_some());
    assert!(listing(many(MAX_NAMES + 1).as_bytes()).is_none());
}

#[test]
fn a_listing_of_programs_has_no_directories() {
    let names = Source::Programs
        .names(b"/usr/bin:\nls\nX11/\n[\n\n/bin:\nls\n")
        .unwrap_or_default();
    let names: Vec<_> = names.into_iter().map(|name| name.text).collect();
    assert_eq!(names, ["[", "ls"]);
}

fn offered(typed: &str, quote: Quote, first: bool) -> Vec<String> {
    let names: Vec<Name> = ["-rf", "~x", "#x", ".hidden", "a'b", "$(id)"]
        .iter()
        .filter_map(|name| Name::read(name.as_bytes()))
        .collect();
    let word = Word {
        from: 0,
        typed: typed.to_owned(),
        quote,
        first,
    };
    let completions = candidates(&word, "", &names);
    completions
        .candidates
        .into_iter()
        .map(|candidate| candidate.text)
        .collect()
}

#[test]
fn what_would_mean_more_than_itself_is_quoted() {
    assert_eq!(
        offered("", Quote::Bare, true),
        ["./-rf", "\\~x", "\\#x", "a\\'b", "\\$\\(id\\)"]
    );
    // Nothing in quotes keeps an option from being one.
    assert_eq!(offered("", Quote::Single, true), ["~x", "#x", "a'\\''b", "$(id)"]);
    assert_eq!(offered("", Quote::Double, false), ["-rf", "~x", "#x", "a'b", "\\$(id)"]);
    assert_eq!(offered(".", Quote::Bare, true), ["hidden "].map(str::trim));
}

#[test]
fn a_directory_is_asked_for_by_its_whole_path() {
    let place = Place::at("/srv");
    assert_eq!(absolute("", &place).as_deref(), Some("/srv"));
    assert_eq!(absolute("a b/", &place).as_deref(), Some("/srv/a b"));
    assert_eq!(absolute("//", &place).as_deref(), Some("/"));
    assert_eq!(absolute("/etc/", &place).as_deref(), Some("/etc"));
    assert_eq!(absolute("a\nb/", &place), None);
    let line = Source::Directory("/it's; id".to_owned()).line();
    assert_eq!(line, r"ls -1apb -- '/it'\''s; id'");
    let analysis = sallyport_shell::analyse(line.as_bytes(), &sallyport_shell::Setting::new("/"));
    let lists: Vec<_> = analysis
        .runs
        .iter()
        .flat_map(|run| &run.lists)
        .map(|used| &*used.path)
        .collect();
    assert!(analysis.is_exact());
    assert_eq!(lists, ["/it's; id"]);
}
