//! The fuzz targets, and what they share: edits to a file; and a script, a target that behaves and the gate's part for the
//! PostgreSQL conversation.

pub mod edits;
pub mod play;
pub mod script;
pub mod server;

/// What is fuzzed.
pub struct Target {
    /// Also the name of the folder of its seeds.
    pub name: &'static str,
    /// Runs one input; what must not be is a panic.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        mod targets {
            $(pub(crate) mod $name;)+
        }

        /// Every target.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: targets::$name::run }),+];
    };
}

targets! {
    agents,
    classify_file,
    ledger_journal,
    ledger_reader,
    mask_json,
    mask_scanner,
    oidc,
    people_file,
    postgres_cells,
    postgres_conversation,
    postgres_login,
    postgres_veil,
    postgres_wire,
    postgres_words,
    scp,
    sftp,
    shell_line,
    sql_analyse,
    ssh_prompt,
    ssh_transport,
    ssh_typed,
    targets_file,
    tunnel,
}
