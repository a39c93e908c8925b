//! The queries that read a database's names from its system catalogues.
//!
//! They are written for PostgreSQL 12 to 18, spell every name out so that the session's search path
//! cannot redirect them, and return text only. See PostgreSQL's documentation, "System Catalogs".

/// One query of the snapshot. Run all of them in one read-only, repeatable-read transaction, in text
/// format, and feed each row to [`super::CatalogBuilder::feed`] under the query's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogQuery {
    /// The name that rows are fed under.
    pub name: &'static str,
    /// The text of the query.
    pub sql: &'static str,
}

/// The schemas under which the server rendered the definitions below.
const PATH: &str = "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text";

const SCHEMAS: &str = "SELECT nspname FROM pg_catalog.pg_namespace";

const TYPES: &str = "SELECT t.oid, n.nspname, t.typname, t.typtype, t.typelem, t.typrelid, t.typbasetype, \
      pg_catalog.format_type(t.oid, NULL) \
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace";

const RELATIONS: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relrowsecurity, \
      CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
        AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e') THEN 't' ELSE 'f' END \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,v,m,f,p,S,c}'::pg_catalog.\"char\"[])";

const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.attnotnull, \
      CASE WHEN a.attgenerated OPERATOR(pg_catalog.=) '' THEN 'f' ELSE 't' END \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid \
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,v,m,f,p,S,c}'::pg_catalog.\"char\"[]) AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped \
    ORDER BY a.attrelid, a.attnum";

/// Views over a trigger's transition table (`:rtekind 7`) make `pg_get_viewdef` fail, and the whole query
/// with it; left without a definition, they are unresolved when they are used.
const VIEWS: &str = "SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog.\"char\"[]) AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[]) \
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
        AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e') \
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid AND r.ev_action::pg_catalog.text OPERATOR(pg_catalog.~~) '%:rtekind 7%')";

const FUNCTIONS: &str = "SELECT p.oid, n.nspname, p.proname, p.prokind, p.provolatile, l.lanname, p.pronargs, p.pronargdefaults, p.provariadic, \
      p.proargtypes, pg_catalog.array_to_json(p.proallargtypes), pg_catalog.array_to_json(p.proargmodes), pg_catalog.array_to_json(p.proargnames), \
      p.prorettype, p.proretset, e.extname, \
      CASE WHEN n.nspname OPERATOR(pg_catalog.=) 'pg_catalog' OR e.extname IS NOT NULL THEN NULL \
        WHEN p.prokind OPERATOR(pg_catalog.=) 'a' THEN pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to((SELECT a FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid OPERATOR(pg_catalog.=) p.oid)::pg_catalog.text, 'UTF8')), 'hex') \
        ELSE pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.pg_get_functiondef(p.oid), 'UTF8')), 'hex') END \
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace \
      JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang \
      LEFT JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e' \
        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
      LEFT JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid";

const OPERATORS: &str = "SELECT n.nspname, o.oprname, o.oprleft, o.oprright, o.oprresult, o.oprcode::pg_catalog.oid \
    FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace \
    WHERE o.oid OPERATOR(pg_catalog.>=) 16384";

const CASTS: &str = "SELECT castsource, casttarget, castfunc, castcontext FROM pg_catalog.pg_cast \
    WHERE oid OPERATOR(pg_catalog.>=) 16384 AND castfunc OPERATOR(pg_catalog.<>) 0";

const RULES: &str = "SELECT r.ev_class, r.rulename, r.ev_type FROM pg_catalog.pg_rewrite r \
    WHERE r.oid OPERATOR(pg_catalog.>=) 16384 AND r.rulename OPERATOR(pg_catalog.<>) '_RETURN' AND r.ev_enabled OPERATOR(pg_catalog.<>) 'D'";

const TRIGGERS: &str = "SELECT t.tgrelid, t.tgname, t.tgtype, t.tgfoid FROM pg_catalog.pg_trigger t \
    WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D'";

const EVENT_TRIGGERS: &str =
    "SELECT evtname, evtevent, evtfoid FROM pg_catalog.pg_event_trigger WHERE evtenabled OPERATOR(pg_catalog.<>) 'D'";

const FOREIGN_KEYS: &str = "SELECT conrelid, confrelid, confdeltype, confupdtype FROM pg_catalog.pg_constraint \
    WHERE contype OPERATOR(pg_catalog.=) 'f' AND confrelid OPERATOR(pg_catalog.<>) 0";

const INHERITS: &str = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits";

/// Functions of users that expressions attached to relations and domains call. The server keeps these
/// dependencies itself, so that nothing has to be parsed.
const ATTACHED: &str = "WITH called AS ( \
      SELECT d.classid, d.objid, p.oid AS fn FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.refobjid \
        WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
      UNION ALL \
      SELECT d.classid, d.objid, o.oprcode::pg_catalog.oid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) d.refobjid \
        WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass) \
    SELECT 'policy', p.polrelid, p.polname, c.fn FROM called c JOIN pg_catalog.pg_policy p ON p.oid OPERATOR(pg_catalog.=) c.objid \
      WHERE c.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass \
    UNION ALL SELECT 'check', k.conrelid, k.conname, c.fn FROM called c JOIN pg_catalog.pg_constraint k ON k.oid OPERATOR(pg_catalog.=) c.objid \
      WHERE c.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.conrelid OPERATOR(pg_catalog.<>) 0 \
    UNION ALL SELECT 'domain', k.contypid, k.conname, c.fn FROM called c JOIN pg_catalog.pg_constraint k ON k.oid OPERATOR(pg_catalog.=) c.objid \
      WHERE c.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.contypid OPERATOR(pg_catalog.<>) 0 \
    UNION ALL SELECT 'default', a.adrelid, (SELECT attname FROM pg_catalog.pg_attribute x WHERE x.attrelid OPERATOR(pg_catalog.=) a.adrelid AND x.attnum OPERATOR(pg_catalog.=) a.adnum), c.fn \
      FROM called c JOIN pg_catalog.pg_attrdef a ON a.oid OPERATOR(pg_catalog.=) c.objid WHERE c.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
    UNION ALL SELECT 'index', i.indrelid, x.relname, c.fn FROM called c JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) c.objid JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) x.oid \
      WHERE c.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
    UNION ALL SELECT 'check', x.oid, x.relname, c.fn FROM called c JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) c.objid \
      WHERE c.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND x.relkind OPERATOR(pg_catalog.=) 'p' \
    UNION ALL SELECT 'index', s.stxrelid, s.stxname, c.fn FROM called c JOIN pg_catalog.pg_statistic_ext s ON s.oid OPERATOR(pg_catalog.=) c.objid \
      WHERE c.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass";

/// All queries, in the order in which they are best run.
pub(super) const ALL: &[CatalogQuery] = &[
    CatalogQuery {
        name: "path",
        sql: PATH,
    },
    CatalogQuery {
        name: "schemas",
        sql: SCHEMAS,
    },
    CatalogQuery {
        name: "types",
        sql: TYPES,
    },
    CatalogQuery {
        name: "relations",
        sql: RELATIONS,
    },
    CatalogQuery {
        name: "columns",
        sql: COLUMNS,
    },
    CatalogQuery {
        name: "views",
        sql: VIEWS,
    },
    CatalogQuery {
        name: "functions",
        sql: FUNCTIONS,
    },
    CatalogQuery {
        name: "operators",
        sql: OPERATORS,
    },
    CatalogQuery {
        name: "casts",
        sql: CASTS,
    },
    CatalogQuery {
        name: "rules",
        sql: RULES,
    },
    CatalogQuery {
        name: "triggers",
        sql: TRIGGERS,
    },
    CatalogQuery {
        name: "event_triggers",
        sql: EVENT_TRIGGERS,
    },
    CatalogQuery {
        name: "foreign_keys",
        sql: FOREIGN_KEYS,
    },
    CatalogQuery {
        name: "inherits",
        sql: INHERITS,
    },
    CatalogQuery {
        name: "attached",
        sql: ATTACHED,
    },
];

/// A row version is known by its place and the transaction that wrote it, so the sum over all of them
/// changes with any change; a count guards against two changes that cancel out. A server that was started from a copy counts
/// transactions as the one that was copied did, so when it started is a part of it. Nothing depends on a session's settings.
pub(super) const FINGERPRINT: &str = "SELECT pg_catalog.concat_ws('/', \
      (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.*) 1e6::pg_catalog.float8)::pg_catalog.int8, \
      pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(k, o::pg_catalog.int8))) FROM ( \
      SELECT ctid::pg_catalog.text || xmin::pg_catalog.text AS k, oid AS o FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.>=) 16384 \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, attrelid FROM pg_catalog.pg_attribute WHERE attrelid OPERATOR(pg_catalog.>=) 16384 \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_proc WHERE xmin::pg_catalog.text OPERATOR(pg_catalog.<>) '1' \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_type WHERE oid OPERATOR(pg_catalog.>=) 16384 \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_rewrite WHERE oid OPERATOR(pg_catalog.>=) 16384 \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_trigger \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_policy \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_constraint WHERE oid OPERATOR(pg_catalog.>=) 16384 \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_attrdef \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_operator WHERE oid OPERATOR(pg_catalog.>=) 16384 \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_cast WHERE oid OPERATOR(pg_catalog.>=) 16384 \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, inhrelid FROM pg_catalog.pg_inherits \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_namespace \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_extension \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_event_trigger \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_language \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, objid FROM pg_catalog.pg_depend WHERE deptype OPERATOR(pg_catalog.=) 'e' \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, oid FROM pg_catalog.pg_statistic_ext \
      UNION ALL SELECT ctid::pg_catalog.text || xmin::pg_catalog.text, indexrelid FROM pg_catalog.pg_index WHERE indexrelid OPERATOR(pg_catalog.>=) 16384) AS versions";
