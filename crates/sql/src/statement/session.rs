//! Transactions, settings, prepared statements, channels: the session's own state.

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::{Change, Statement};
use crate::bind::{Binder, Literals};
use crate::facts::{Action, Discard, Hazard, OneOrAll, Output, Outputs, Setting, Transaction};

impl Statement<'_> {
    pub(super) fn session(&mut self, node: Node<'_>) -> bool {
        match node {
            Node::TransactionStmt(s) => self.transaction(s),
            Node::VariableSetStmt(s) => self.set(s),
            Node::VariableShowStmt(s) => self.show_setting(s.name().unwrap_or_default()),
            Node::ConstraintsSetStmt(_) => self.simply(Action::SetConstraints),
            Node::DiscardStmt(s) => self.discard(s.target),
            Node::ListenStmt(s) => {
                self.act(Action::Listen);
                self.binder.facts.effects.listens = s.conditionname().map(SmolStr::new);
            }
            Node::UnlistenStmt(s) => {
                self.act(Action::Unlisten);
                let which = s
                    .conditionname()
                    .map_or(OneOrAll::All, |n| OneOrAll::One(SmolStr::new(n)));
                self.binder.facts.effects.unlistens = Some(which);
            }
            Node::NotifyStmt(_) => {
                self.act(Action::Notify);
                self.hazard(Hazard::Notify);
            }
            _ => return false,
        }
        true
    }

    fn transaction(&mut self, s: &nodes::TransactionStmt) {
        use nodes::TransactionStmtKind as K;
        let name = || SmolStr::new(s.savepoint_name().unwrap_or_default());
        let (action, what) = match s.kind {
            K::TRANS_STMT_BEGIN | K::TRANS_STMT_START => (Action::Begin, Transaction::Begin),
            K::TRANS_STMT_COMMIT => (Action::Commit, Transaction::Commit { chain: s.chain }),
            K::TRANS_STMT_ROLLBACK => (Action::Rollback, Transaction::Rollback { chain: s.chain }),
            K::TRANS_STMT_SAVEPOINT => (Action::Savepoint, Transaction::Savepoint(name())),
            K::TRANS_STMT_RELEASE => (Action::Savepoint, Transaction::Release(name())),
            K::TRANS_STMT_ROLLBACK_TO => (Action::Savepoint, Transaction::RollbackTo(name())),
            K::TRANS_STMT_PREPARE => (Action::TwoPhase, Transaction::Prepare),
            K::TRANS_STMT_COMMIT_PREPARED => (Action::TwoPhase, Transaction::CommitPrepared),
            K::TRANS_STMT_ROLLBACK_PREPARED => (Action::TwoPhase, Transaction::RollbackPrepared),
            _ => {
                self.act(Action::Unknown);
                self.binder.unresolved("transaction statement");
                return;
            }
        };
        self.act(action);
        self.changes.extend(match what {
            Transaction::Savepoint(_) | Transaction::Release(_) => None,
            Transaction::Begin => Some(Change::Began),
            Transaction::RollbackTo(_) => Some(Change::WentBack),
            _ => Some(Change::Ended),
        });
        self.binder.facts.effects.transaction = Some(what);
    }

    fn set(&mut self, s: &nodes::VariableSetStmt) {
        use nodes::VariableSetKind as K;
        let name = s.name().unwrap_or_default().to_ascii_lowercase();
        let identity = matches!(name.as_str(), "role" | "session_authorization");
        self.act(match s.kind {
            _ if identity => Action::SetRole,
            K::VAR_RESET | K::VAR_RESET_ALL => Action::Reset,
            _ => Action::Set,
        });
        match s.kind {
            K::VAR_SET_VALUE => self.set_value(s, &name),
            K::VAR_SET_MULTI => self.binder.setting(&name, None, s.is_local),
            K::VAR_RESET_ALL => {
                self.binder.facts.effects.sets.push(Setting {
                    name: SmolStr::new_static("*"),
                    value: None,
                    local: false,
                });
                self.binder.facts.effects.changes_path = true;
                self.changes.push(Change::Lost);
            }
            // to the value that the session began with, which is not known here
            _ => {
                self.binder.setting(&name, None, s.is_local);
                if name == "search_path" {
                    self.changes.push(Change::Lost);
                }
            }
        }
    }

    fn set_value(&mut self, s: &nodes::VariableSetStmt, name: &str) {
        let values: Vec<String> = s
            .args()
            .iter()
            .filter_map(|a| setting_text(a, &self.names.literals))
            .collect();
        let complete = values.len() == s.args().len();
        let joined = complete.then(|| values.join(", "));
        self.binder.setting(name, joined.as_deref(), s.is_local);
        if name == "search_path" {
            let schemas: Vec<SmolStr> = values
                .iter()
                .map(|v| {
                    if v == "$user" {
                        self.binder_user()
                    } else {
                        SmolStr::new(v)
                    }
                })
                .collect();
            // SET search_path = 'a, b' names one schema; lists come as several values
            let local = s.is_local;
            self.changes.push(if complete {
                Change::Path { schemas, local }
            } else {
                Change::Lost
            });
        }
        if matches!(name, "role" | "session_authorization") {
            self.changes.push(Change::Lost);
        }
    }

    /// `"$user"` in a search path: whoever that is, names after it may be shadowed.
    fn binder_user(&mut self) -> SmolStr {
        self.names.user.clone()
    }

    fn show_setting(&mut self, name: &str) {
        self.act(Action::Show);
        let column = |name: &str| Output {
            name: SmolStr::new(name),
            origins: Default::default(),
            direct: false,
        };
        let columns = if name.eq_ignore_ascii_case("all") {
            ["name", "setting", "description"].into_iter().map(column).collect()
        } else {
            vec![column(name)]
        };
        self.binder.facts.outputs = Outputs::Columns(columns);
    }

    fn discard(&mut self, target: nodes::DiscardMode::Type) {
        use nodes::DiscardMode as D;
        self.act(Action::Discard);
        let what = match target {
            D::DISCARD_PLANS => Discard::Plans,
            D::DISCARD_SEQUENCES => Discard::Sequences,
            D::DISCARD_TEMP => Discard::Temporary,
            _ => Discard::All,
        };
        let effects = &mut self.binder.facts.effects;
        effects.discards = Some(what);
        if matches!(what, Discard::All | Discard::Temporary) {
            effects.changes_catalog = true;
            effects.changes_path = true;
            self.changes.push(Change::DropTemporary);
        }
        if what == Discard::All {
            self.changes.push(Change::Forget);
            self.changes.push(Change::Lost);
        }
    }
}

impl Binder<'_> {
    /// A setting is written: what that means for identity, parsing and triggers.
    pub(crate) fn setting(&mut self, name: &str, value: Option<&str>, local: bool) {
        let plain = value.map(|v| v.trim().to_ascii_lowercase());
        let is = |wanted: &[&str]| plain.as_deref().is_some_and(|v| wanted.contains(&v));
        match name {
            "role" | "session_authorization" => {
                self.hazard(Hazard::SessionIdentity);
                self.facts.effects.changes_path = true;
            }
            "search_path" => self.facts.effects.changes_path = true,
            "session_replication_role" if !is(&["origin"]) => self.hazard(Hazard::DisablesTriggers),
            "standard_conforming_strings" if !is(&["on", "true", "yes", "1"]) => {
                self.hazard(Hazard::ParserSetting);
            }
            "client_encoding" if !is(&["utf8", "utf-8", "unicode"]) => {
                self.hazard(Hazard::ParserSetting);
            }
            "backslash_quote" if !is(&["safe_encoding", "off"]) => {
                self.hazard(Hazard::ParserSetting);
            }
            "transform_null_equals" if !is(&["off", "false", "no", "0"]) => {
                self.hazard(Hazard::ParserSetting);
            }
            "session_preload_libraries"
            | "local_preload_libraries"
            | "shared_preload_libraries"
            | "dynamic_library_path"
            | "jit_provider" => self.hazard(Hazard::ServerProgram),
            "allow_system_table_mods" | "createrole_self_grant" => self.hazard(Hazard::Privileges),
            _ if name.starts_with("auto_explain.") => self.hazard(Hazard::Statistics),
            _ => {}
        }
        let setting = Setting {
            name: SmolStr::new(name),
            value: value.map(SmolStr::new),
            local,
        };
        self.facts.effects.sets.push(setting);
    }
}

/// The text of a value in SET: a literal, or an interval for the time zone.
fn setting_text(node: Node<'_>, literals: &Literals) -> Option<String> {
    match node {
        Node::TypeCast(c) => setting_text(c.arg(), literals),
        other => literals.text(other),
    }
}
