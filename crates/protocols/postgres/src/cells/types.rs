//! What types are, as far as masking needs to know.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A type whose values are no text, but can be replaced by another value of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scalar {
    /// `int2`, `int4`, `int8`, `oid`: so many bytes.
    Int(u8),
    /// `float4`, `float8`: so many bytes.
    Float(u8),
    /// `numeric`.
    Numeric,
    /// `money`.
    Money,
    /// `boolean`.
    Bool,
    /// `uuid`.
    Uuid,
    /// `inet`.
    Inet,
    /// `cidr`.
    Cidr,
    /// `date`.
    Date,
    /// `timestamp`.
    Timestamp,
    /// `timestamp with time zone`.
    Timestamptz,
}

/// How values of a type are written and what can stand in them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeKind {
    /// Text of any length: `text`, `varchar`, `citext` …
    Text,
    /// `character(n)`: blank-padded.
    Bpchar,
    /// `name`: at most 63 bytes.
    Name,
    /// Numbers, times, addresses.
    Scalar(Scalar),
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
    /// `xml`.
    Xml,
    /// `bytea`.
    Bytea,
    /// `tsvector`, `tsquery`: words in quotes.
    Lexemes,
    /// `hstore`.
    Hstore,
    /// Text out of a fixed set or with a grammar of its own: enums, `regclass` and its kin, `jsonpath`. It cannot
    /// be changed, only be NULL.
    Word,
    /// An array; elements are separated by the delimiter in text.
    Array {
        /// The elements' type.
        element: u32,
        /// `,`, or `;` for `box`.
        delimiter: u8,
    },
    /// A composite type, with its fields' types; none are known for `record`.
    Composite(Option<Arc<[u32]>>),
    /// A range of this type.
    Range(u32),
    /// A multirange of ranges of this type.
    Multirange(u32),
    /// A domain over this type. Results report the base type; elements of arrays and composites do not.
    Domain(u32),
    /// A known type that no built-in detector can find anything in: geometry, intervals, bit strings …
    Opaque,
    /// A type that nobody described.
    Unknown,
}

/// The types of a database: the built-in ones, and those added.
#[derive(Clone, Debug, Default)]
pub struct TypeMap {
    added: HashMap<u32, TypeKind>,
}

/// Domains over domains, so many deep.
const DOMAIN_LIMIT: usize = 16;

impl TypeMap {
    /// The built-in types only.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// Adds a type of the database's own. Built-in types stay what they are.
    pub fn insert(&mut self, oid: u32, kind: TypeKind) {
        self.added.insert(oid, kind);
    }

    /// The types of the database's own that values of these types are made of. Values of a type whose parts are not
    /// known say themselves what they are, so all are needed for those.
    pub fn needed_for(&self, oids: impl Iterator<Item = u32>) -> Vec<(u32, TypeKind)> {
        let mut needed = BTreeMap::new();
        let mut open: Vec<u32> = oids.collect();
        while let Some(oid) = open.pop() {
            let built_in = builtin(oid);
            let Some(kind) = built_in.as_ref().or_else(|| self.added.get(&oid)) else {
                continue;
            };
            if needed.contains_key(&oid) {
                continue;
            }
            match kind {
                TypeKind::Array { element: part, .. }
                | TypeKind::Range(part)
                | TypeKind::Multirange(part)
                | TypeKind::Domain(part) => open.push(*part),
                TypeKind::Composite(Some(fields)) => open.extend(fields.iter()),
                TypeKind::Composite(None) => return self.added.clone().into_iter().collect(),
                TypeKind::Text
                | TypeKind::Bpchar
                | TypeKind::Name
                | TypeKind::Scalar(_)
                | TypeKind::Json
                | TypeKind::Jsonb
                | TypeKind::Xml
                | TypeKind::Bytea
                | TypeKind::Lexemes
                | TypeKind::Hstore
                | TypeKind::Word
                | TypeKind::Opaque
                | TypeKind::Unknown => {}
            }
            if built_in.is_none() {
                needed.insert(oid, kind.clone());
            }
        }
        needed.into_iter().collect()
    }

    /// What the type is, domains resolved.
    pub fn kind(&self, oid: u32) -> TypeKind {
        let mut oid = oid;
        for _ in 0..DOMAIN_LIMIT {
            if let Some(kind) = builtin(oid) {
                return kind;
            }
            match self.added.get(&oid) {
                Some(TypeKind::Domain(base)) => oid = *base,
                Some(kind) => return kind.clone(),
                None => return TypeKind::Unknown,
            }
        }
        TypeKind::Unknown
    }
}

/// The types of PostgreSQL's own catalogue (`pg_type.dat`), whose numbers never change.
fn builtin(oid: u32) -> Option<TypeKind> {
    if let Some(element) = builtin_element(oid) {
        let delimiter = if element == 603 { b';' } else { b',' };
        return Some(TypeKind::Array { element, delimiter });
    }
    Some(match oid {
        25 | 1043 | 705 | 2275 | 1790 => TypeKind::Text,
        1042 => TypeKind::Bpchar,
        19 => TypeKind::Name,
        21 => TypeKind::Scalar(Scalar::Int(2)),
        23 | 26 => TypeKind::Scalar(Scalar::Int(4)),
        20 => TypeKind::Scalar(Scalar::Int(8)),
        700 => TypeKind::Scalar(Scalar::Float(4)),
        701 => TypeKind::Scalar(Scalar::Float(8)),
        1700 => TypeKind::Scalar(Scalar::Numeric),
        790 => TypeKind::Scalar(Scalar::Money),
        16 => TypeKind::Scalar(Scalar::Bool),
        2950 => TypeKind::Scalar(Scalar::Uuid),
        869 => TypeKind::Scalar(Scalar::Inet),
        650 => TypeKind::Scalar(Scalar::Cidr),
        1082 => TypeKind::Scalar(Scalar::Date),
        1114 => TypeKind::Scalar(Scalar::Timestamp),
        1184 => TypeKind::Scalar(Scalar::Timestamptz),
        114 => TypeKind::Json,
        3802 => TypeKind::Jsonb,
        142 => TypeKind::Xml,
        17 => TypeKind::Bytea,
        3614 | 3615 => TypeKind::Lexemes,
        // regproc, regprocedure, regoper, regoperator, regclass, regtype, regrole, regnamespace, regconfig,
        // regdictionary, regcollation, jsonpath, aclitem, pg_node_tree, pg_snapshot and its kin
        24 | 2202..=2206 | 4096 | 4089 | 3734 | 3769 | 4191 | 4072 | 1033 | 194 | 2970 | 5038 => TypeKind::Word,
        2249 => TypeKind::Composite(None),
        // int2vector, oidvector: text without braces, binary as arrays; numbers too short for any value
        22 | 30 => TypeKind::Opaque,
        // "char", tid, xid, cid, xid8, point, lseg, path, box, polygon, line, circle, macaddr8, macaddr, time,
        // interval, timetz, bit, varbit, pg_lsn, void, trigger and the other pseudo-types that carry nothing
        18
        | 27
        | 28
        | 29
        | 5069
        | 600..=604
        | 628
        | 718
        | 774
        | 829
        | 1083
        | 1186
        | 1266
        | 1560
        | 1562
        | 3220
        | 2278
        | 2279
        | 2280
        | 2281
        | 3838 => TypeKind::Opaque,
        _ => return builtin_range(oid),
    })
}

/// The built-in ranges and multiranges, by the type of their bounds.
fn builtin_range(oid: u32) -> Option<TypeKind> {
    Some(match oid {
        3904 => TypeKind::Range(23),
        3906 => TypeKind::Range(1700),
        3908 => TypeKind::Range(1114),
        3910 => TypeKind::Range(1184),
        3912 => TypeKind::Range(1082),
        3926 => TypeKind::Range(20),
        4451 => TypeKind::Multirange(23),
        4532 => TypeKind::Multirange(1700),
        4533 => TypeKind::Multirange(1114),
        4534 => TypeKind::Multirange(1184),
        4535 => TypeKind::Multirange(1082),
        4536 => TypeKind::Multirange(20),
        _ => return None,
    })
}

/// The built-in array types with their elements' types.
#[rustfmt::skip]
const ARRAYS: [(u32, u32); 78] = [
    (1000, 16), (1001, 17), (1002, 18), (1003, 19), (1005, 21), (1006, 22), (1007, 23), (1008, 24),
    (1009, 25), (1010, 27), (1011, 28), (1012, 29), (1013, 30), (1014, 1042), (1015, 1043),
    (1016, 20), (1017, 600), (1018, 601), (1019, 602), (1020, 603), (1021, 700), (1022, 701),
    (1027, 604), (1028, 26), (1034, 1033), (1040, 829), (1041, 869), (651, 650), (1115, 1114),
    (1182, 1082), (1183, 1083), (1185, 1184), (1187, 1186), (1231, 1700), (1263, 2275),
    (1270, 1266), (1561, 1560), (1563, 1562), (199, 114), (143, 142), (271, 5069), (629, 628),
    (719, 718), (775, 774), (791, 790), (2201, 1790), (2207, 2202), (2208, 2203), (2209, 2204),
    (2210, 2205), (2211, 2206), (2287, 2249), (2949, 2970), (2951, 2950), (3221, 3220),
    (3643, 3614), (3645, 3615), (3735, 3734), (3770, 3769), (3807, 3802), (3905, 3904),
    (3907, 3906), (3909, 3908), (3911, 3910), (3913, 3912), (3927, 3926), (4073, 4072),
    (4090, 4089), (4097, 4096), (4192, 4191), (5039, 5038), (6150, 4451), (6151, 4532),
    (6152, 4533), (6153, 4534), (6155, 4535), (6157, 4536), (210, 71),
];

/// The element type of a built-in array type.
fn builtin_element(oid: u32) -> Option<u32> {
    ARRAYS
        .iter()
        .find(|(array, _)| *array == oid)
        .map(|(_, element)| *element)
}
