//! Which variables one line of a shell may hand to the next.

use crate::eval::state::changes_by_itself;
use crate::programs::hooks;

/// Variables that the shell sets, or by which it is steered itself, beside those that [`hooks`] knows.
const OWN: [&str; 16] = [
    "CHILD_MAX",
    "COLUMNS",
    "HOSTNAME",
    "HOSTTYPE",
    "IGNOREEOF",
    "INSIDE_EMACS",
    "LINES",
    "MACHTYPE",
    "MAIL",
    "MAILCHECK",
    "OSTYPE",
    "POSIXLY_CORRECT",
    "TIMEFORMAT",
    "TMOUT",
    "auto_resume",
    "histchars",
];

/// Beginnings of such names.
const FAMILIES: [&str; 6] = ["BASH", "COMP_", "HIST", "PROMPT", "READLINE_", "__sallyport"];

fn is_own(name: &str) -> bool {
    OWN.contains(&name)
        || FAMILIES.iter().any(|family| name.starts_with(family))
        || hooks::is_number(name)
        || changes_by_itself(name)
}

/// Whether a variable of this name may be set, without exporting it, before a line that is judged by its value
/// ([`Setting::knowing`](crate::Setting::knowing)): neither the shell itself nor any program looks at it.
#[must_use]
pub fn may_be_set(name: &str) -> bool {
    let locale = name.starts_with("LC_") || name.starts_with("LANG");
    crate::is_name(name) && !is_own(name) && !hooks::is_hook(name) && !locale
}

/// Whether one may be exported before a line that is judged for it ([`Setting::exporting`](crate::Setting::exporting)).
#[must_use]
pub fn may_be_exported(name: &str) -> bool {
    crate::is_name(name) && !is_own(name)
}

#[cfg(test)]
mod tests {
    use super::{may_be_exported, may_be_set};
    use crate::facts::Opaque;
    use crate::{Setting, analyse};

    #[test]
    fn what_steers_the_shell_is_not_handed_on() {
        for name in [
            "IFS",
            "PATH",
            "BASH_ENV",
            "ENV",
            "PROMPT_COMMAND",
            "PS4",
            "LD_PRELOAD",
            "GLOBIGNORE",
            "CDPATH",
            "RANDOM",
            "OPTIND",
            "BASH_COMPAT",
            "LC_ALL",
            "TMOUT",
            "HOME",
            "KUBECONFIG",
            "http_proxy",
            "__sallyport",
            "1x",
            "a b",
            "a[0]",
            "",
        ] {
            assert!(!may_be_set(name), "{name}");
        }
        for name in ["x", "count", "HOST", "REPLY", "file_1"] {
            assert!(may_be_set(name) && may_be_exported(name), "{name}");
        }
        assert!(!may_be_exported("BASH_COMPAT") && !may_be_exported("SECONDS"));
    }

    #[test]
    fn a_variable_of_the_shell_alone_is_not_one_of_what_it_starts() {
        let setting = Setting::new("/root").holding("x", Some("a")).exporting("y", Some("b"));
        let writes = |line: &str| {
            let analysis = analyse(line.as_bytes(), &setting);
            let paths: Vec<_> = analysis
                .runs
                .iter()
                .flat_map(|run| &run.removes)
                .map(|used| used.path.clone())
                .collect();
            (paths.join(" "), analysis.opaque.contains(&Opaque::DynamicArgument))
        };
        assert_eq!(writes("rm /$x"), ("/a".to_owned(), false));
        assert_eq!(writes("rm /$y"), ("/b".to_owned(), false));
        assert_eq!(writes("bash -c 'rm /$y'"), ("/b".to_owned(), false));
        for hidden in [
            "bash -c 'rm /$x'",
            "sh -c 'rm /$x'",
            "env -i bash -c 'rm /$y'",
            "sudo bash -c 'rm /$y'",
            "export -n y; bash -c 'rm /$y'",
            "declare +x y; bash -c 'rm /$y'",
            "f() { local y=c; bash -c 'rm /$y'; }; f",
            "f() { declare y; bash -c 'rm /$y'; }; f",
        ] {
            let analysis = analyse(hidden.as_bytes(), &setting);
            assert!(!analysis.opaque.is_empty(), "{hidden}: {analysis:?}");
        }
    }

    /// What one line exported is there for the next as if both were one.
    #[test]
    fn what_was_exported_before_is_known_to_matter() {
        let opaque = |name: &str, line: &str| {
            let setting = Setting::new("/root").exporting(name, Some("v"));
            analyse(line.as_bytes(), &setting)
                .opaque
                .contains(&Opaque::HookVariable)
        };
        assert!(opaque("KUBECONFIG", "kubectl get pods"));
        assert!(opaque("AWS_CONFIG_FILE", "aws s3 ls"));
        assert!(!opaque("AWS_CONFIG_FILE", "ls -l"));
        assert!(!opaque("greeting", "systemctl status"));
        let setting = Setting::new("/root").knowing("secret", "old").exporting("secret", None);
        assert!(
            analyse(b"rm -rf $secret", &setting)
                .opaque
                .contains(&Opaque::DynamicArgument)
        );
    }
}
