//! The target's own types, for the masks of cells.

use std::sync::Arc;

use sallyport_sql::{Catalog, TypeRow};

use crate::cells::{TypeKind, TypeMap};

/// The types of a database as far as masking needs to know them.
pub(crate) fn of(catalog: &Catalog) -> TypeMap {
    let mut map = TypeMap::builtin();
    for row in catalog.types() {
        if let Some(kind) = kind(&row, catalog) {
            map.insert(row.oid, kind);
        }
    }
    map
}

/// What a type of the database's own is; `None` leaves it unknown, so that its values are hidden when in doubt.
fn kind(row: &TypeRow<'_>, catalog: &Catalog) -> Option<TypeKind> {
    match (row.kind, row.name) {
        ('b', _) if row.element != 0 => Some(TypeKind::Array {
            element: row.element,
            delimiter: b',',
        }),
        ('b', "citext") => Some(TypeKind::Text),
        ('b', "hstore") => Some(TypeKind::Hstore),
        ('d', _) => Some(TypeKind::Domain(row.base)),
        ('e', _) => Some(TypeKind::Word),
        ('c', _) => {
            let columns: Arc<[u32]> = catalog.column_types(row.relation).into();
            Some(TypeKind::Composite(Some(columns)))
        }
        _ => None,
    }
}
