//! DROP and TRUNCATE.

use pg_raw_parse::{Node, nodes};

use super::{Change, Statement};
use crate::bind::{Event, strings};
use crate::facts::{Action, Hazard};

impl Statement<'_> {
    pub(super) fn remove(&mut self, node: Node<'_>) -> bool {
        match node {
            Node::DropStmt(s) => self.drop_objects(s),
            Node::DropdbStmt(_) => self.simply(Action::DropDatabase),
            Node::DropTableSpaceStmt(_) => self.simply(Action::DropTablespace),
            Node::DropOwnedStmt(_) => {
                self.upsetting(Action::DropOwned);
                self.hazard(Hazard::Privileges);
            }
            Node::DropSubscriptionStmt(_) | Node::DropUserMappingStmt(_) => {
                self.changing(Action::DropOther);
            }
            _ => return false,
        }
        true
    }

    fn drop_objects(&mut self, s: &nodes::DropStmt) {
        use nodes::ObjectType as O;
        let action = match s.remove_type {
            O::OBJECT_TABLE | O::OBJECT_FOREIGN_TABLE => Action::DropTable,
            O::OBJECT_VIEW | O::OBJECT_MATVIEW => Action::DropView,
            O::OBJECT_SEQUENCE => Action::DropSequence,
            O::OBJECT_INDEX => Action::DropIndex,
            O::OBJECT_SCHEMA => Action::DropSchema,
            O::OBJECT_FUNCTION | O::OBJECT_PROCEDURE | O::OBJECT_ROUTINE | O::OBJECT_AGGREGATE => Action::DropFunction,
            O::OBJECT_TYPE | O::OBJECT_DOMAIN => Action::DropType,
            O::OBJECT_TRIGGER | O::OBJECT_RULE | O::OBJECT_EVENT_TRIGGER => Action::DropTrigger,
            O::OBJECT_POLICY => Action::DropPolicy,
            O::OBJECT_EXTENSION => Action::DropExtension,
            _ => Action::DropOther,
        };
        match action {
            Action::DropTable | Action::DropView | Action::DropSequence => {
                return self.drop_relations(s, action);
            }
            Action::DropPolicy => self.hazard(Hazard::Privileges),
            Action::DropTrigger => self.hazard(Hazard::DisablesTriggers),
            _ => {}
        }
        if matches!(action, Action::DropPolicy | Action::DropTrigger) {
            for object in s.objects() {
                let parts = strings(object.as_node_list().into_iter().flatten());
                if let Some((_, table)) = parts.split_last().filter(|(_, t)| !t.is_empty()) {
                    let (_, name) = self.names.listed(table);
                    self.binder.facts.touches.insert(name);
                }
            }
            return self.changing(action);
        }
        if matches!(action, Action::DropIndex) {
            return self.changing(action);
        }
        self.upsetting(action);
    }

    fn drop_relations(&mut self, s: &nodes::DropStmt, action: Action) {
        let mut temporary = true;
        for object in s.objects() {
            let parts = strings(object.as_node_list().into_iter().flatten());
            let (found, name) = self.names.listed(&parts);
            // what is not there may be there by the time it runs
            temporary &= found.as_ref().is_some_and(|r| r.temporary) && !self.names.lost;
            self.binder.facts.touches.insert(name.clone());
            self.changes.push(Change::Drop(name));
        }
        self.changing(if temporary { Action::DropTemporary } else { action });
        if s.behavior == nodes::DropBehavior::DROP_CASCADE {
            self.changes.push(Change::Lost);
        }
    }

    pub(super) fn truncate(&mut self, s: &nodes::TruncateStmt) {
        let mut temporary = true;
        for relation in s.relations() {
            let Node::RangeVar(var) = relation else {
                continue;
            };
            self.touch(Some(var));
            match self.binder.relation(var) {
                Some(relation) => {
                    temporary &= relation.temporary;
                    self.binder.write(&relation, Event::Truncate);
                }
                None => temporary = false,
            }
        }
        self.act(if temporary && !self.names.lost {
            Action::DropTemporary
        } else {
            Action::Truncate
        });
    }
}
