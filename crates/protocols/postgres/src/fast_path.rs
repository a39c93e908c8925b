//! The fast path (`FunctionCall`): what a function's number stands for.
//!
//! A call is judged, and its result masked, as that of the `SELECT` which calls the same function. The catalogue knows
//! the functions of the database. Where no rule needs a catalogue there is none: then only the functions behind the
//! client interface for large objects are known, whose numbers are fixed.

use sallyport_sql::{Catalog, FunctionCall};

/// Numbers, names, how many arguments, and the type of the result. Source: `src/include/catalog/pg_proc.dat`.
const FUNCTIONS: [(u32, &str, usize, u32); 13] = [
    (715, "lo_create", 1, 26),
    (952, "lo_open", 2, 23),
    (953, "lo_close", 1, 23),
    (954, "loread", 2, 17),
    (955, "lowrite", 2, 23),
    (956, "lo_lseek", 3, 23),
    (957, "lo_creat", 1, 26),
    (958, "lo_tell", 1, 23),
    (964, "lo_unlink", 1, 23),
    (1004, "lo_truncate", 2, 23),
    (3170, "lo_lseek64", 3, 20),
    (3171, "lo_tell64", 1, 20),
    (3172, "lo_truncate64", 2, 23),
];

/// The statement that a call of function `oid` is judged as.
pub(crate) fn call(oid: u32, catalog: &Catalog) -> Option<FunctionCall> {
    catalog.call(oid).or_else(|| {
        let (_, name, count, result) = FUNCTIONS.iter().find(|(number, ..)| *number == oid)?;
        let arguments: Vec<_> = (1..=*count).map(|n| format!("${n}")).collect();
        Some(FunctionCall {
            text: format!("SELECT pg_catalog.{name}({})", arguments.join(", ")),
            result: *result,
        })
    })
}
