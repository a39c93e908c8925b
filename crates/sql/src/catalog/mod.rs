//! A snapshot of one database's names: what the binder resolves against.

mod build;
mod queries;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, RwLock};

use smol_str::SmolStr;

pub use build::{CatalogBuilder, CatalogError};
pub use queries::CatalogQuery;

use crate::bind::ViewFacts;
use crate::facts::{ColumnName, RelName};

/// `FirstNormalObjectId` of the server: what has a lower number is the server's own.
const FIRST_OF_USERS: u32 = 16384;

/// A set of columns that is shared, because whole rows of them are passed around.
pub(crate) type Columns = Arc<BTreeSet<ColumnName>>;

/// The number of a type in `pg_type`.
pub(crate) type TypeId = u32;

/// A snapshot of one database's names. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) inner: Arc<Inner>,
    /// Views whose columns stand for themselves only.
    pub(crate) declassified: Arc<BTreeSet<RelName>>,
    /// What each view shows, found when first asked; depends on `declassified`.
    pub(crate) views: Arc<RwLock<HashMap<u32, Arc<ViewFacts>>>>,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog")
            .field("relations", &self.inner.relations.len())
            .field("functions", &self.inner.functions_by_id.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) path: Vec<SmolStr>,
    pub(crate) schemas: HashSet<SmolStr>,
    pub(crate) types: HashMap<TypeId, Type>,
    /// The array type of each element type.
    pub(crate) arrays: HashMap<TypeId, TypeId>,
    pub(crate) types_by_name: HashMap<SmolStr, Vec<TypeId>>,
    pub(crate) relations: HashMap<u32, Arc<Relation>>,
    pub(crate) relations_by_name: HashMap<RelName, u32>,
    pub(crate) functions: HashMap<SmolStr, Vec<Arc<Function>>>,
    pub(crate) functions_by_id: HashMap<u32, Arc<Function>>,
    pub(crate) operators: HashMap<SmolStr, Vec<Operator>>,
    pub(crate) casts: Vec<Cast>,
    pub(crate) event_triggers: Vec<AttachedCode>,
    pub(crate) domain_checks: HashMap<TypeId, Vec<AttachedCode>>,
    pub(crate) children: HashMap<u32, Vec<u32>>,
    /// By referenced table, the tables whose foreign keys follow it.
    pub(crate) followers: HashMap<u32, Vec<Follower>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Type {
    pub(crate) schema: SmolStr,
    pub(crate) name: SmolStr,
    /// `typtype`: b, c, d, e, p, r, m.
    pub(crate) kind: char,
    pub(crate) element: TypeId,
    pub(crate) relation: u32,
    pub(crate) base: TypeId,
    /// As SQL spells it: `integer` for `int4`.
    pub(crate) spelled: SmolStr,
}

#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) id: u32,
    pub(crate) name: RelName,
    /// `relkind`: r, v, m, f, p, S, c.
    pub(crate) kind: char,
    pub(crate) temporary: bool,
    pub(crate) row_security: bool,
    /// Part of the server or of an extension: a view of these is a source of its own.
    pub(crate) opaque: bool,
    pub(crate) columns: Vec<Column>,
    /// The definition of a view or materialized view.
    pub(crate) definition: Option<Arc<str>>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) attached: Vec<AttachedCode>,
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: SmolStr,
    pub(crate) number: i16,
    pub(crate) ty: TypeId,
    /// `GENERATED ALWAYS AS (…) STORED`.
    pub(crate) generated: bool,
    /// The column itself and those that share its values by inheritance.
    pub(crate) origins: Columns,
}

/// A foreign key that changes its own table when the referenced one changes.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    /// The referencing table.
    pub(crate) relation: u32,
    /// `confdeltype` and `confupdtype`: c(ascade), n(ull), d(efault) …
    pub(crate) on_delete: char,
    pub(crate) on_update: char,
}

/// `ev_type` of a rule: 1 SELECT, 2 UPDATE, 3 INSERT, 4 DELETE.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: SmolStr,
    pub(crate) event: char,
}

#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    /// `tgtype`, the bits of `TRIGGER_TYPE_*`.
    pub(crate) bits: u32,
    pub(crate) function: u32,
}

/// An expression of a constraint, default, index or policy that calls a user's function.
#[derive(Debug, Clone)]
pub(crate) struct AttachedCode {
    /// `policy`, `check`, `default`, `index`, `domain` or the event of an event trigger.
    pub(crate) kind: SmolStr,
    pub(crate) function: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) schema: SmolStr,
    pub(crate) name: SmolStr,
    /// `provolatile`: i, s, v.
    pub(crate) volatility: char,
    pub(crate) language: SmolStr,
    pub(crate) args: Vec<TypeId>,
    pub(crate) defaults: usize,
    pub(crate) variadic: bool,
    /// Names and types of OUT and TABLE columns.
    pub(crate) outs: Vec<(SmolStr, TypeId)>,
    pub(crate) result: TypeId,
    pub(crate) set_returning: bool,
    pub(crate) extension: Option<SmolStr>,
    pub(crate) digest: Option<SmolStr>,
    /// `schema.name(argument types)`; `pg_catalog.name` for the server's own.
    pub(crate) identity: SmolStr,
}

#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) schema: SmolStr,
    pub(crate) left: TypeId,
    pub(crate) right: TypeId,
    pub(crate) function: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) source: TypeId,
    pub(crate) target: TypeId,
    pub(crate) function: u32,
    /// `castcontext`: e, a, i.
    pub(crate) context: char,
}

impl Catalog {
    /// The queries whose rows make a snapshot.
    pub const QUERIES: &'static [CatalogQuery] = queries::ALL;

    /// A builder to feed the rows to.
    pub fn builder() -> CatalogBuilder {
        CatalogBuilder::default()
    }

    /// One SELECT with one text value that changes whenever an object visible to users changes.
    pub fn fingerprint_query() -> &'static str {
        queries::FINGERPRINT
    }

    /// The same names, with these views standing for themselves: what they show is not followed to
    /// the base columns behind them.
    #[must_use]
    pub fn with_declassified(&self, views: BTreeSet<RelName>) -> Catalog {
        Catalog {
            inner: Arc::clone(&self.inner),
            declassified: Arc::new(views),
            views: Arc::default(),
        }
    }

    /// The schemas that were searched where the names were read, in order, the implicit ones included.
    pub fn path(&self) -> &[SmolStr] {
        &self.inner.path
    }

    /// The hex SHA-256 of a function's definition, by the identity in
    /// [`crate::StatementFacts::functions`]. `None` for functions of the server and of extensions.
    pub fn function_digest(&self, identity: &str) -> Option<&str> {
        let name = identity.split('(').next()?.rsplit('.').next()?;
        let candidates = self.inner.functions.get(name)?;
        candidates.iter().find(|f| f.identity == identity)?.digest.as_deref()
    }

    /// The column behind a table's number and an attribute's number, as RowDescription gives them,
    /// with every column that shares its values by inheritance.
    pub fn column(&self, table: u32, attribute: i16) -> Option<(&RelName, &str, &BTreeSet<ColumnName>)> {
        let relation = self.inner.relations.get(&table)?;
        let column = relation.columns.iter().find(|c| c.number == attribute)?;
        Some((&relation.name, column.name.as_str(), &column.origins))
    }

    /// The name of the relation with this number.
    pub fn relation(&self, table: u32) -> Option<&RelName> {
        self.inner.relations.get(&table).map(|r| &r.name)
    }

    /// Every relation's name, with its `relkind`.
    pub fn relations(&self) -> impl Iterator<Item = (&RelName, char)> {
        self.inner.relations.values().map(|r| (&r.name, r.kind))
    }

    /// The names of a relation's columns, in order; empty when there is no such relation.
    pub fn columns(&self, relation: &RelName) -> Vec<&str> {
        let found = self.inner.relations_by_name.get(relation);
        let found = found.and_then(|id| self.inner.relations.get(id));
        found
            .map(|r| r.columns.iter().map(|c| c.name.as_str()).collect())
            .unwrap_or_default()
    }

    /// Every type: number, schema, name, `typtype`, element or base type's number, and the number of
    /// the relation behind a composite type.
    pub fn types(&self) -> impl Iterator<Item = TypeRow<'_>> {
        self.inner.types.iter().map(|(&oid, t)| TypeRow {
            oid,
            schema: &t.schema,
            name: &t.name,
            kind: t.kind,
            element: t.element,
            base: t.base,
            relation: t.relation,
        })
    }

    /// The call of the function with this number, each argument a parameter.
    pub fn call(&self, function: u32) -> Option<FunctionCall> {
        let function = self.inner.functions_by_id.get(&function)?;
        let last = function.args.len();
        let argument = |(index, ty): (usize, &TypeId)| {
            let ty = self.inner.types.get(ty)?;
            let variadic = if function.variadic && index + 1 == last {
                "VARIADIC "
            } else {
                ""
            };
            Some(format!("{variadic}${}::{}", index + 1, quoted(&ty.schema, &ty.name)))
        };
        let arguments: Option<Vec<String>> = function.args.iter().enumerate().map(argument).collect();
        let name = quoted(&function.schema, &function.name);
        Some(FunctionCall {
            text: format!("SELECT {name}({})", arguments?.join(", ")),
            result: function.result,
        })
    }

    /// Whether making a value of this type runs code of users: the checks of domains in it.
    pub fn type_runs_code(&self, ty: u32) -> bool {
        !self.inner.checks_of_type(ty).0.is_empty()
    }

    /// The types of a relation's columns, in order, dropped columns left out.
    pub fn column_types(&self, relation: u32) -> Vec<u32> {
        let found = self.inner.relations.get(&relation);
        found
            .map(|r| r.columns.iter().map(|c| c.ty).collect())
            .unwrap_or_default()
    }
}

/// A call of a function, as [`Catalog::call`] gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCall {
    /// `SELECT "schema"."name"($1::"schema"."type", …)`.
    pub text: String,
    /// The number of the result's type.
    pub result: u32,
}

/// A qualified name as SQL writes it, whatever is in it.
fn quoted(schema: &str, name: &str) -> String {
    format!("\"{}\".\"{}\"", schema.replace('"', "\"\""), name.replace('"', "\"\""))
}

/// A type of the database, as [`Catalog::types`] gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeRow<'a> {
    /// Its number.
    pub oid: u32,
    /// Its schema.
    pub schema: &'a str,
    /// Its name.
    pub name: &'a str,
    /// `typtype`: b(ase), c(omposite), d(omain), e(num), p(seudo), r(ange), m(ultirange).
    pub kind: char,
    /// The element type of an array, or 0.
    pub element: u32,
    /// The base type of a domain, or 0.
    pub base: u32,
    /// The relation of a composite type, or 0.
    pub relation: u32,
}

impl Inner {
    /// The functions behind the checks of all domains that a type is made of, and how many types and columns it took
    /// to find them.
    pub(crate) fn checks_of_type(&self, ty: TypeId) -> (Vec<u32>, usize) {
        let mut functions = Vec::new();
        if ty < FIRST_OF_USERS {
            return (functions, 0);
        }
        let mut looked_at = 0;
        let mut seen = HashSet::from([ty]);
        let mut open = vec![ty];
        while let Some(id) = open.pop() {
            functions.extend(self.domain_checks.get(&id).into_iter().flatten().map(|c| c.function));
            let Some(found) = self.types.get(&id) else {
                continue;
            };
            let fields = self.relations.get(&found.relation).filter(|_| found.relation != 0);
            looked_at += 1 + fields.map_or(0, |r| r.columns.len());
            let fields = fields.into_iter().flat_map(|r| r.columns.iter().map(|c| c.ty));
            // the server's own types are made of none
            let parts = [found.base, found.element]
                .into_iter()
                .chain(fields)
                .filter(|p| *p >= FIRST_OF_USERS);
            open.extend(parts.filter(|p| seen.insert(*p)));
        }
        (functions, looked_at)
    }

    /// The identity of a function by number, for `code`.
    pub(crate) fn function_identity(&self, id: u32) -> SmolStr {
        match self.functions_by_id.get(&id) {
            Some(f) => f.identity.clone(),
            None => SmolStr::new(format!("?.{id}")),
        }
    }
}

impl Function {
    /// Whether the server brought it.
    pub(crate) fn is_builtin(&self) -> bool {
        (self.schema == "pg_catalog" || self.schema == "information_schema") && self.digest.is_none()
    }
}
