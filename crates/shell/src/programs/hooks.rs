//! Variables of the environment from which programs take code, options, or places of either.

/// Names that programs or the shell take code, options or places of code from.
const HOOKS: [&str; 66] = [
    "BASHOPTS",
    "BASH_ENV",
    "BASH_LOADABLES_PATH",
    "BASH_XTRACEFD",
    "BROWSER",
    "CDPATH",
    "CURL_HOME",
    "DEBUGINFOD_URLS",
    "DIFF_OPTIONS",
    "EDITOR",
    "ENV",
    "EXECIGNORE",
    "FCEDIT",
    "FIGNORE",
    "FPATH",
    "FUNCNEST",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLOBIGNORE",
    "GREP_OPTIONS",
    "GZIP",
    "HISTFILE",
    "HOME",
    "HOSTALIASES",
    "HOSTFILE",
    "IFS",
    "INPUTRC",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "KUBECONFIG",
    "LANG_DIR",
    "LOCPATH",
    "LOGNAME",
    "LUA_INIT",
    "MAILPATH",
    "MAKEFILES",
    "MAKEFLAGS",
    "MALLOC_TRACE",
    "MANOPT",
    "MANPATH",
    "NLSPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PATH",
    "POSIXLY_CORRECT",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS4",
    "RSYNC_RSH",
    "RUBYLIB",
    "RUBYOPT",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "TAR_OPTIONS",
    "TERMCAP",
    "TERMINFO",
    "TZDIR",
    "VISUAL",
    "WGETRC",
    "ZDOTDIR",
];

/// Beginnings of such names.
const FAMILIES: [&str; 18] = [
    "BASH_FUNC",
    "DOCKER_",
    "DYLD_",
    "GIT_",
    "GREP_",
    "KUBE",
    "LD_",
    "LESS",
    "MAN",
    "OPENSSL_",
    "PAGER",
    "PERL",
    "PIP_",
    "PYTHON",
    "RUBY",
    "SSH_",
    "SUDO_",
    "SYSTEMD_",
];

/// Names that decide how something is shown, and nothing else.
const HARMLESS: [&str; 12] = [
    "CLICOLOR",
    "COLUMNS",
    "DEBIAN_FRONTEND",
    "LANG",
    "LANGUAGE",
    "LINES",
    "NO_COLOR",
    "TERM",
    "TZ",
    "USER",
    "XDG_SESSION_ID",
    "_",
];

/// Whether a value under this name may decide what runs.
pub(crate) fn is_hook(name: &str) -> bool {
    let lower_proxy = name.to_ascii_lowercase().ends_with("_proxy");
    let pager = name.ends_with("PAGER") || name.ends_with("EDITOR");
    HOOKS.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family)) || lower_proxy || pager
}

/// Programs that look at no variables but those that are named here.
const INDIFFERENT: [&str; 36] = [
    "[", "basename", "bash", "cat", "cp", "cut", "date", "dirname", "echo", "env", "false", "grep", "head", "hostname",
    "id", "ln", "ls", "mkdir", "mv", "printenv", "printf", "pwd", "rm", "rmdir", "seq", "sh", "sleep", "sort", "tail",
    "tee", "test", "touch", "tr", "true", "uniq", "wc",
];

/// Whether a variable of any other name makes no difference to a program.
pub(crate) fn is_indifferent(program: &str) -> bool {
    INDIFFERENT.contains(&program)
}

/// Variables that are numbers as long as nobody touches them.
pub(crate) fn is_number(name: &str) -> bool {
    ["RANDOM", "SECONDS", "LINENO", "UID", "EUID", "PPID", "BASHPID"].contains(&name)
}

/// Whether a name may be set for a program: it only decides how something is shown, or no program of the system is
/// known to look at such names.
pub(crate) fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name)
        || name.starts_with("LC_")
        || name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_decide_what_runs_is_a_hook() {
        for name in [
            "LD_PRELOAD",
            "GIT_SSH_COMMAND",
            "http_proxy",
            "SYSTEMD_PAGER",
            "BASH_FUNC_ls%%",
            "PS4",
            "IFS",
            "PERL5OPT",
        ] {
            assert!(is_hook(name), "{name}");
        }
        for name in ["LC_ALL", "f", "TZ", "LANG"] {
            assert!(!is_hook(name) && is_harmless(name), "{name}");
        }
        assert!(!is_harmless("SOMETHING"));
    }
}
