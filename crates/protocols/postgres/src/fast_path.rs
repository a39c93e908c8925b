//! The fast path (`FunctionCall`): what a function's number stands for.
//!
//! A call is judged as the `SELECT` that calls the same function. Only the functions behind the client interface for
//! large objects are known, whose numbers are fixed; everything else can be called by a statement.

/// Numbers, names and how many arguments. Source: `src/include/catalog/pg_proc.dat`.
const FUNCTIONS: [(u32, &str, usize); 13] = [
    (715, "lo_create", 1),
    (952, "lo_open", 2),
    (953, "lo_close", 1),
    (954, "loread", 2),
    (955, "lowrite", 2),
    (956, "lo_lseek", 3),
    (957, "lo_creat", 1),
    (958, "lo_tell", 1),
    (964, "lo_unlink", 1),
    (1004, "lo_truncate", 2),
    (3170, "lo_lseek64", 3),
    (3171, "lo_tell64", 1),
    (3172, "lo_truncate64", 2),
];

/// The statement that a call of function `oid` is judged as.
pub(crate) fn statement(oid: u32) -> Option<String> {
    let (_, name, count) = FUNCTIONS.iter().find(|(number, ..)| *number == oid)?;
    let arguments: Vec<_> = (1..=*count).map(|n| format!("${n}")).collect();
    Some(format!("SELECT pg_catalog.{name}({})", arguments.join(", ")))
}
