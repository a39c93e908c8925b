//! One line of a corpus of SQL cases. The format's own description says what each field means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A case of the SQL corpora; fields that only describe are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SqlCase {
    pub(crate) id: String,
    pub(crate) class: String,
    #[serde(default)]
    pub(crate) sql: String,
    pub(crate) verdict: Verdict,
    #[serde(default)]
    pub(crate) protocol: String,
    #[serde(default = "app")]
    pub(crate) role: String,
    pub(crate) oracle: OneOrMany,
    #[serde(default)]
    pub(crate) setup: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) steps: Option<Vec<Step>>,
    /// Startup parameters for each session.
    #[serde(default)]
    pub(crate) startup: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) allow_changes: Vec<String>,
}

fn app() -> String {
    "app".to_owned()
}

/// What must become of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    MustBlock,
    MustAllow,
    MustMask,
    MustNotMask,
    Either,
}

/// An oracle is one condition, or several that must all hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn all(&self) -> Vec<&str> {
        match self {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts.iter().map(String::as_str).collect(),
        }
    }
}

/// One message of the client, or a pause.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) op: String,
    #[serde(default = "first_session")]
    pub(crate) session: String,
    /// Send together with the next step.
    #[serde(default)]
    pub(crate) coalesce: bool,
    /// Cut what is sent into pieces of so many bytes.
    #[serde(default)]
    pub(crate) chunk: Option<usize>,
    /// Seconds between the pieces.
    #[serde(default)]
    pub(crate) delay: f64,
    /// Seconds to wait for the answer.
    #[serde(default)]
    pub(crate) tmo: Option<f64>,
    /// Milliseconds to pause.
    #[serde(default)]
    pub(crate) ms: Option<u64>,
    #[serde(default)]
    pub(crate) sql: Option<String>,
    #[serde(default)]
    pub(crate) sql_hex: Option<String>,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) portal: String,
    #[serde(default)]
    pub(crate) stmt: String,
    #[serde(default)]
    pub(crate) oids: Vec<u32>,
    #[serde(default)]
    pub(crate) params: Vec<Parameter>,
    #[serde(default)]
    pub(crate) pfmt: Vec<u16>,
    /// The formats of a result: a list in Bind, one number in a function call.
    #[serde(default)]
    pub(crate) rfmt: Option<Formats>,
    #[serde(default)]
    pub(crate) max: i64,
    #[serde(default, rename = "fn")]
    pub(crate) function: Option<String>,
    #[serde(default)]
    pub(crate) args: Vec<Parameter>,
    #[serde(default)]
    pub(crate) afmt: Vec<u16>,
    #[serde(default)]
    pub(crate) hex: Option<String>,
    #[serde(default)]
    pub(crate) text: Option<String>,
}

fn first_session() -> String {
    "a".to_owned()
}

/// A bound value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Parameter {
    Hex { hex: String },
    Text(String),
    Null(()),
}

/// Result formats.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Formats {
    One(u16),
    Many(Vec<u16>),
}

impl Formats {
    pub(crate) fn list(&self) -> Vec<u16> {
        match self {
            Formats::One(format) => vec![*format],
            Formats::Many(formats) => formats.clone(),
        }
    }
}

impl SqlCase {
    /// The steps as given, or one statement by the case's protocol.
    pub(crate) fn script(&self) -> Vec<Step> {
        if let Some(steps) = self.steps.as_ref().filter(|steps| !steps.is_empty()) {
            return steps.clone();
        }
        let step = |op: &str, coalesce: bool| Step {
            op: op.to_owned(),
            session: first_session(),
            coalesce,
            ..Step::default()
        };
        if self.protocol != "extended" {
            return vec![Step {
                sql: Some(self.sql.clone()),
                ..step("Q", false)
            }];
        }
        vec![
            Step {
                sql: Some(self.sql.clone()),
                ..step("P", true)
            },
            step("B", true),
            Step {
                kind: Some("P".to_owned()),
                ..step("D", true)
            },
            step("E", true),
            step("S", false),
        ]
    }
}
