//! Types by name, and the casts of users that a conversion would run.

use super::{Binder, Ty};
use crate::catalog::TypeId;
use pg_raw_parse::nodes::TypeName;

impl Binder<'_> {
    /// The type that a name means; arrays become their array type where that is known. Making a value of it runs the
    /// checks of domains in it.
    pub(crate) fn type_of(&mut self, name: &TypeName) -> Ty {
        let parts: Vec<&str> = name.names().iter().filter_map(|s| s.sval()).collect();
        let base = match parts.as_slice() {
            [one] => self.type_by_name(None, one),
            [.., schema, one] => self.type_by_name(Some(schema), one),
            [] => None,
        };
        let Some(base) = base else { return Ty::Unknown };
        self.domain_code(base);
        if name.array_bounds().is_empty() {
            return Ty::Known(base);
        }
        self.array_type(Ty::Known(base))
    }

    /// The type of arrays of this type.
    pub(crate) fn array_type(&self, element: Ty) -> Ty {
        let Ty::Known(element) = element else {
            return Ty::Unknown;
        };
        let array = self.names.catalog.inner.arrays.get(&element);
        array.map_or(Ty::Unknown, |&id| Ty::Known(id))
    }

    /// Whether the type is an array.
    pub(crate) fn is_array(&self, ty: TypeId) -> bool {
        let inner = &self.names.catalog.inner;
        let element = inner.types.get(&ty).map(|t| t.element);
        element.is_some_and(|e| inner.arrays.get(&e) == Some(&ty))
    }

    fn type_by_name(&self, schema: Option<&str>, name: &str) -> Option<TypeId> {
        let inner = &self.names.catalog.inner;
        let ids = inner.types_by_name.get(name)?;
        let in_schema = |schema: &str| {
            ids.iter()
                .copied()
                .find(|id| inner.types.get(id).is_some_and(|t| t.schema == schema))
        };
        match schema {
            Some("pg_temp") => in_schema(&self.names.temporary_schema()),
            Some(schema) => in_schema(schema),
            None => self.names.path.iter().find_map(|s| in_schema(s)),
        }
    }

    /// The relation behind a composite type.
    pub(crate) fn row_relation(&self, ty: Ty) -> Option<u32> {
        let Ty::Known(id) = ty else { return None };
        let inner = &self.names.catalog.inner;
        let found = inner.types.get(&id)?;
        match found.kind {
            'c' => Some(found.relation),
            'd' => self.row_relation(Ty::Known(found.base)),
            _ => None,
        }
    }

    /// The element type of an array.
    pub(crate) fn element_of(&self, ty: Ty) -> Ty {
        let Ty::Known(id) = ty else {
            return Ty::Unknown;
        };
        match self.names.catalog.inner.types.get(&id) {
            Some(t) if t.element != 0 => Ty::Known(t.element),
            _ => Ty::Unknown,
        }
    }

    /// Records the code that an explicit conversion runs: a user's cast, a domain's check.
    pub(crate) fn explicit_cast(&mut self, from: Ty, to: Ty) {
        let Ty::Known(target) = to else { return };
        let inner = &self.names.catalog.inner;
        let casts = inner
            .casts
            .iter()
            .filter(|c| c.target == target && (from == Ty::Unknown || from == Ty::Known(c.source)));
        let functions: Vec<u32> = casts.map(|c| c.function).collect();
        for function in functions {
            self.run_code(function);
        }
        self.domain_code(target);
    }

    /// Records the checks of a domain, and of the domains in a type: under it, in its elements and in its fields.
    pub(crate) fn domain_code(&mut self, ty: TypeId) {
        let (functions, looked_at) = self.names.catalog.inner.checks_of_type(ty);
        self.names.budget.spend(looked_at);
        for function in functions {
            self.run_code(function);
        }
    }

    /// Casts that the server may apply by itself to a type that the statement handles.
    pub(super) fn implicit_casts(&mut self) {
        let inner = &self.names.catalog.inner;
        if inner.casts.is_empty() {
            return;
        }
        // types of the server itself are everywhere, so a user's cast between two of them always counts
        let near = |c: &crate::catalog::Cast| {
            self.types.contains(&c.source) || self.types.contains(&c.target) || (c.source < 16384 && c.target < 16384)
        };
        let casts = inner.casts.iter().filter(|c| c.context != 'e' && near(c));
        let functions: Vec<u32> = casts.map(|c| c.function).collect();
        for function in functions {
            self.run_code(function);
        }
    }

    /// Records that a function may run, unless it is the server's or of a known extension.
    pub(crate) fn run_code(&mut self, function: u32) {
        let inner = &self.names.catalog.inner;
        let harmless = inner
            .functions_by_id
            .get(&function)
            .is_some_and(|f| f.is_builtin() || super::functions::is_known_extension(f));
        if !harmless {
            let identity = inner.function_identity(function);
            self.facts.code.insert(identity);
        }
    }
}
