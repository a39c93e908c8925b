//! What is known of a COPY.

use std::sync::Arc;

use serde::Serialize;
use smol_str::SmolStr;

/// Which end of a COPY the data takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyPeer {
    /// COPY … TO STDOUT.
    ToClient,
    /// COPY … FROM STDIN.
    FromClient,
    /// COPY … TO 'file'.
    ToFile,
    /// COPY … FROM 'file'.
    FromFile,
    /// COPY … TO PROGRAM.
    ToProgram,
    /// COPY … FROM PROGRAM.
    FromProgram,
}

/// The format of COPY data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyFormat {
    /// The text format.
    Text,
    /// Comma-separated values.
    Csv,
    /// The binary format.
    Binary,
}

/// A COPY and its options, with the server's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// Direction and peer.
    pub peer: CopyPeer,
    /// The format.
    pub format: CopyFormat,
    /// The column separator.
    pub delimiter: SmolStr,
    /// What stands for NULL.
    pub null: SmolStr,
    /// CSV's quote.
    pub quote: SmolStr,
    /// CSV's escape.
    pub escape: SmolStr,
    /// Whether a header line comes first.
    pub header: bool,
    /// Whether columns are named whose values are always in CSV's quotes.
    pub force_quote: bool,
    /// ENCODING, if named.
    pub encoding: Option<SmolStr>,
    /// The types of the columns that leave a table, as the catalogue says; none for a query, or when they are not sure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<u32>,
    /// The query whose rows leave, in canonical form: whoever needs its columns' types asks the server for them.
    #[serde(skip)]
    pub query: Option<Arc<str>>,
}
