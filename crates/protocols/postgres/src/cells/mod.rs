//! Masks values inside PostgreSQL's results: `DataRow` messages and `COPY … TO STDOUT`.
//!
//! A value is masked because its column is classified (a rule), or because a detector finds something in it. What
//! comes out still parses as the column's type, or is NULL. The formats are those of the documentation's chapter
//! "Frontend/Backend Protocol" and of the types' output and send functions.
//!
//! Everything here is pure, and takes what servers send as hostile: lengths are checked, nothing panics.

mod batch;
mod composite;
mod containers;
mod copy;
mod copy_batch;
mod copy_binary;
mod copy_csv;
mod copy_text;
mod dates;
mod documents;
mod encoding;
mod marks;
mod masker;
mod numeric;
mod rewrite;
mod row;
mod scalars;
mod types;

use sallyport_mask::Strategy;

pub use crate::wire::Format;
pub use batch::Rows;
pub use copy::{CopyFormat, CopyMasker, CsvOptions, TextOptions};
pub use encoding::Encoding;
pub use row::{RowMasker, mask_value};
pub use types::{Scalar, TypeKind, TypeMap};

/// What is known of a result column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnPlan {
    /// How to replace every value, if the column is classified.
    pub rule: Option<Strategy>,
    /// The column's type; 0 if nobody said.
    pub type_oid: u32,
    /// How the values are written.
    pub format: Format,
}

impl ColumnPlan {
    /// A column of which nothing is known.
    pub const fn unknown(format: Format) -> Self {
        Self {
            rule: None,
            type_oid: 0,
            format,
        }
    }
}

/// Bytes of the target that cannot be masked, so they must not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// Lengths and counts do not fit together.
    #[error("the target sent a malformed {0}")]
    Malformed(&'static str),
    /// The row has another number of columns than the result.
    #[error("the target sent a row of {got} columns in a result of {expected}")]
    Columns {
        /// Columns in the description.
        expected: usize,
        /// Columns in the row.
        got: usize,
    },
    /// A row is longer than what may be held in memory.
    #[error("the target sent a row of more than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// The longest row of a COPY that is put together from pieces, in bytes.
pub const ROW_LIMIT: usize = 64 * 1024 * 1024;
