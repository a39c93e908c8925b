//! Roles, grants, owners, policies, labels.

use pg_raw_parse::{Node, nodes};

use super::Statement;
use crate::facts::{Action, Hazard};

impl Statement<'_> {
    pub(super) fn privilege(&mut self, node: Node<'_>) -> bool {
        let action = match node {
            Node::GrantStmt(s) => {
                self.granted(s);
                if s.is_grant { Action::Grant } else { Action::Revoke }
            }
            Node::GrantRoleStmt(s) if s.is_grant => Action::Grant,
            Node::GrantRoleStmt(_) => Action::Revoke,
            Node::AlterDefaultPrivilegesStmt(s) => match s.action() {
                Some(grant) if !grant.is_grant => Action::Revoke,
                _ => Action::Grant,
            },
            Node::CreateRoleStmt(_) => Action::CreateRole,
            Node::AlterRoleStmt(_) => Action::AlterRole,
            Node::AlterRoleSetStmt(s) => {
                self.later_setting(s.setstmt());
                Action::AlterRole
            }
            Node::DropRoleStmt(_) => Action::DropRole,
            Node::AlterOwnerStmt(s) => {
                self.touch(s.relation());
                Action::AlterOwner
            }
            Node::ReassignOwnedStmt(_) => Action::AlterOwner,
            Node::CreatePolicyStmt(s) => {
                self.touch(s.table());
                Action::CreatePolicy
            }
            Node::AlterPolicyStmt(s) => {
                self.touch(s.table());
                Action::CreatePolicy
            }
            Node::SecLabelStmt(_) => Action::SecurityLabel,
            _ => return false,
        };
        self.changing(action);
        self.hazard(Hazard::Privileges);
        true
    }

    fn granted(&mut self, s: &nodes::GrantStmt) {
        use nodes::ObjectType as O;
        let tables = matches!(s.objtype, O::OBJECT_TABLE | O::OBJECT_SEQUENCE)
            && s.targtype == nodes::GrantTargetType::ACL_TARGET_OBJECT;
        if tables {
            for var in s.objects() {
                self.touch(Some(var));
            }
        }
    }
}
