//! Command lines: every text is understood or refused, within bounds, and says the same each time.

use sallyport_shell::{LoginShell, Protected, Setting, analyse, is_incomplete};

/// One input: the first byte chooses the shell.
pub fn run(data: &[u8]) {
    let Some((choice, line)) = data.split_first() else { return };
    let protected = Protected::new([("/etc/shadow*", "secret"), ("/srv/**", "data")]).expect("patterns");
    let mut setting = Setting::new("/root").protecting(protected).within("/srv/app").knowing("A", "b c");
    setting.shell = if choice % 2 == 0 { LoginShell::Bash } else { LoginShell::Posix };
    let analysis = analyse(line, &setting);
    assert_eq!(analysis, analyse(line, &setting));
    assert!(analysis.facts_json().is_object());
    if let Ok(text) = std::str::from_utf8(line)
        && is_incomplete(text)
        && setting.shell == LoginShell::Bash
    {
        assert!(analysis.unparsed.is_some(), "a line that goes on was understood: {text:?}");
    }
}
