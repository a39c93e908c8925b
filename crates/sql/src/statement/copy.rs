//! COPY.

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::Statement;
use super::cursor::is_on;
use crate::bind::{Binder, Event, Field, Literals, Scope, Shape, Ty, most_rows, strings};
use crate::facts::{Action, Copy, CopyFormat, CopyPeer, Hazard};

impl Statement<'_> {
    pub(super) fn copy(&mut self, s: &nodes::CopyStmt) {
        let peer = match (s.is_from, s.is_program, s.filename().is_some()) {
            (true, true, _) => CopyPeer::FromProgram,
            (true, false, true) => CopyPeer::FromFile,
            (true, false, false) => CopyPeer::FromClient,
            (false, true, _) => CopyPeer::ToProgram,
            (false, false, true) => CopyPeer::ToFile,
            (false, false, false) => CopyPeer::ToClient,
        };
        match peer {
            CopyPeer::ToProgram | CopyPeer::FromProgram => self.hazard(Hazard::ServerProgram),
            CopyPeer::ToFile | CopyPeer::FromFile => self.hazard(Hazard::ServerFile),
            CopyPeer::ToClient | CopyPeer::FromClient => {}
        }
        let mut options = options(s, peer, &self.names.literals);
        if options
            .encoding
            .as_deref()
            .is_some_and(|e| !matches!(e.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode"))
        {
            self.hazard(Hazard::ParserSetting);
        }
        if s.is_from {
            self.copy_from(s);
        } else {
            self.copy_to(s, &mut options);
        }
        self.binder.facts.effects.copy = Some(options);
    }

    fn copy_to(&mut self, s: &nodes::CopyStmt, options: &mut Copy) {
        self.act(Action::CopyTo);
        let shape = match (s.query(), s.relation()) {
            (Node::None, Some(var)) => {
                let shape = self.copied_relation(var, &strings(s.attlist()));
                options.types = self.types_in_catalogue(var, &shape);
                shape
            }
            (query, _) => {
                let text = pg_raw_parse::deparse(query).ok();
                options.query = text.map(|text| text.as_str().into());
                self.binder.facts.max_rows = most_rows(query);
                self.binder.query(query, &Scope::default())
            }
        };
        if options.peer == CopyPeer::ToClient {
            self.binder.show(&shape);
        } else {
            self.binder.copy_away(&shape);
        }
    }

    fn copied_relation(&mut self, var: &nodes::RangeVar, columns: &[&str]) -> Shape {
        let Some(relation) = self.binder.relation(var) else {
            self.binder.facts.reads.insert(self.names.rel_name(var));
            return Shape {
                open: Some(Default::default()),
                ..Shape::default()
            };
        };
        let mut scope = Scope::default();
        scope.items.push(self.binder.read_relation(&relation, true));
        let mut fields = if self.names.budget.make(scope.star_width()) {
            scope.star()
        } else {
            Vec::new()
        };
        if columns.is_empty() && !relation.row_security {
            // With row security the server copies a query instead, whose star includes them.
            let mut generated = relation.columns.iter().map(|column| column.generated);
            fields.retain(|_| !generated.next().unwrap_or_default());
        }
        let known = self.names.budget.compare(columns.len().saturating_mul(fields.len()));
        if !columns.is_empty() {
            let listed = columns
                .iter()
                .filter(|_| known)
                .filter_map(|c| fields.iter().find(|f| f.name == *c).cloned());
            fields = listed.collect();
            if fields.len() != columns.len() {
                self.binder.unresolved(&format!("column of {}", relation.name));
            }
        }
        Shape {
            fields,
            ..Shape::default()
        }
    }

    /// The types of a relation's columns; none when the string changed the relation, or one of them is not known.
    fn types_in_catalogue(&mut self, var: &nodes::RangeVar, shape: &Shape) -> Vec<u32> {
        let known = |field: &Field| match field.flow.ty {
            Ty::Known(id) if id != 0 => Some(id),
            Ty::Known(_) | Ty::Unknown | Ty::Literal => None,
        };
        if self.names.overlay.contains_key(&self.names.rel_name(var)) {
            return Vec::new();
        }
        let types: Option<Vec<_>> = shape.fields.iter().map(known).collect();
        types.unwrap_or_default()
    }

    fn copy_from(&mut self, s: &nodes::CopyStmt) {
        self.act(Action::CopyFrom);
        let Some(var) = s.relation() else { return };
        let Some(relation) = self.binder.relation(var) else {
            self.binder.facts.writes.insert(self.names.rel_name(var));
            return;
        };
        self.binder.write(&relation, Event::Insert);
        let names = Binder::column_list(s.attlist());
        if names.is_empty() {
            let all: Vec<SmolStr> = relation.columns.iter().map(|c| c.name.clone()).collect();
            self.binder.written(&relation, all.iter().map(SmolStr::as_str));
        } else {
            self.binder.written(&relation, names);
        }
        let mut scope = Scope::default();
        let shown = self.binder.view_columns(&relation);
        scope.items.push(crate::bind::relation_item(&relation, shown));
        // the condition looks at the rows that come in, which are the client's own
        self.binder.expr(s.where_clause(), &scope);
    }
}

fn text_of(option: &nodes::DefElem) -> Option<&str> {
    option.arg().as_str()
}

/// The options, with the server's defaults for what is not named (`copy.c`, `ProcessCopyOptions`).
fn options(s: &nodes::CopyStmt, peer: CopyPeer, literals: &Literals) -> Copy {
    let find = |name: &str| s.options().iter().rfind(|o| o.defname() == Some(name));
    let format = match find("format").and_then(text_of) {
        Some("csv") => CopyFormat::Csv,
        Some("binary") => CopyFormat::Binary,
        _ => CopyFormat::Text,
    };
    let csv = format == CopyFormat::Csv;
    let text = |name: &str, default: &str| SmolStr::new(find(name).and_then(text_of).unwrap_or(default));
    let quote = text("quote", "\"");
    Copy {
        peer,
        format,
        delimiter: text("delimiter", if csv { "," } else { "\t" }),
        null: text("null", if csv { "" } else { "\\N" }),
        escape: text("escape", &quote),
        quote,
        force_quote: find("force_quote").is_some(),
        header: find("header").is_some_and(|o| is_on(o.arg(), literals)),
        encoding: find("encoding").and_then(text_of).map(SmolStr::new),
        types: Vec::new(),
        query: None,
    }
}
