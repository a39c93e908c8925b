//! What the database holds, and what changed. The words of a change are those that the cases' oracles use.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::wire::Connection;

const RELATIONS: &str = "
    SELECT c.oid, n.nspname || '.' || c.relname, c.relkind::text, c.relispopulated
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg_temp%' AND n.nspname NOT LIKE 'pg_toast%'
    ORDER BY 1";

/// Each list of things beside relations: its name in a change, and the query for its entries.
const LISTS: &[(&str, &str)] = &[
    (
        "roles",
        "SELECT rolname || ' ' || rolsuper || rolcreaterole || rolcreatedb || rolcanlogin || rolreplication
                || rolbypassrls || coalesce(rolpassword, '')
         FROM pg_authid WHERE rolname !~ '^pg_' OR rolsuper",
    ),
    (
        "members",
        "SELECT roleid::regrole::text || '<-' || member::regrole::text || admin_option FROM pg_auth_members",
    ),
    (
        "acl",
        "SELECT n.nspname || '.' || relname || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '')
                || relrowsecurity
         FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema'
           AND relkind IN ('r', 'v', 'm', 'f', 'p')",
    ),
    (
        "nspacl",
        "SELECT nspname || ' ' || nspowner::regrole || ' ' || coalesce(nspacl::text, '')
         FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast)'",
    ),
    ("defacl", "SELECT defaclacl::text FROM pg_default_acl"),
    ("dbs", "SELECT datname || ' ' || datdba::regrole FROM pg_database"),
    (
        "setting",
        "SELECT coalesce(setdatabase::text, '') || setrole || setconfig::text FROM pg_db_role_setting",
    ),
    (
        "fns",
        "SELECT p.oid::regprocedure::text || proowner::regrole || prosecdef || md5(prosrc)
                || coalesce(proacl::text, '')
         FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
         WHERE nspname IN ('public', 'demo')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')",
    ),
    (
        "trig",
        "SELECT tgrelid::regclass::text || tgname || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal",
    ),
    (
        "cons",
        "SELECT conrelid::regclass::text || ' ' || conname FROM pg_constraint WHERE conrelid <> 0",
    ),
    (
        "idx",
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid > 16384",
    ),
];

/// A relation at the time of the snapshot.
#[derive(Debug, Clone)]
struct Relation {
    name: String,
    kind: String,
    rows: Option<i64>,
    digest: Option<String>,
    columns: Option<String>,
}

/// The database at one time.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    relations: BTreeMap<u32, Relation>,
    lists: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Snapshot {
    /// Takes a snapshot by an administrator's connection.
    pub(crate) fn take(admin: &mut Connection) -> Result<Snapshot> {
        let mut relations = BTreeMap::new();
        for row in admin.query(RELATIONS)? {
            let [Some(oid), Some(name), Some(kind), Some(populated)] = row.as_slice() else {
                continue;
            };
            let oid: u32 = oid.parse()?;
            let relation = look_at(admin, oid, name, kind, populated == "t")?;
            relations.insert(oid, relation);
        }
        let mut lists = BTreeMap::new();
        for (name, sql) in LISTS {
            let rows = admin.query(sql)?.into_iter().flatten().flatten();
            lists.insert(*name, rows.collect());
        }
        Ok(Snapshot { relations, lists })
    }

    fn oid(&self, name: &str) -> Result<u32> {
        let found = self.relations.iter().find(|(_, relation)| relation.name == name);
        found
            .map(|(oid, _)| *oid)
            .with_context(|| format!("the oracle names `{name}`, which never was"))
    }

    /// Whether a relation of this snapshot is missing in the later one.
    pub(crate) fn is_gone(&self, name: &str, later: &Snapshot) -> Result<bool> {
        Ok(!later.relations.contains_key(&self.oid(name)?))
    }

    /// How many rows a relation of this snapshot has in the later one.
    pub(crate) fn rows(&self, name: &str, later: &Snapshot) -> Result<Option<i64>> {
        Ok(later.relations.get(&self.oid(name)?).and_then(|relation| relation.rows))
    }

    /// What changed from this snapshot to the later one.
    pub(crate) fn changes(&self, later: &Snapshot) -> Vec<String> {
        let mut changes = Vec::new();
        for (oid, relation) in &self.relations {
            match later.relations.get(oid) {
                Some(now) => changes.extend(relation.changes(now)),
                None => changes.push(format!("dropped {}", relation.name)),
            }
        }
        for (oid, relation) in &later.relations {
            if !self.relations.contains_key(oid) {
                changes.push(format!("created {} {}", relation.kind, relation.name));
            }
        }
        for (name, _) in LISTS {
            if self.list(name, later) != later.list(name, self) {
                changes.push(format!("{name}-changed"));
            }
        }
        changes
    }

    /// A list; of the privileges only those of relations that the other snapshot has too.
    fn list(&self, name: &str, other: &Snapshot) -> BTreeSet<String> {
        let list = self.lists.get(name).cloned().unwrap_or_default();
        if name != "acl" {
            return list;
        }
        let known: BTreeSet<&str> = other
            .relations
            .values()
            .map(|relation| relation.name.as_str())
            .collect();
        let relation = |entry: &str| entry.split(' ').next().is_some_and(|name| known.contains(name));
        list.into_iter().filter(|entry| relation(entry)).collect()
    }
}

impl Relation {
    fn changes(&self, now: &Relation) -> Vec<String> {
        let name = &self.name;
        let mut changes = Vec::new();
        if now.name != *name {
            changes.push(format!("renamed {name} -> {}", now.name));
        }
        if let Some(rows) = self.rows.filter(|_| self.rows != now.rows) {
            let after = now.rows.map_or("None".to_owned(), |rows| rows.to_string());
            changes.push(format!("rows {name} {rows} -> {after}"));
        } else if self.digest.is_some() && self.digest != now.digest {
            changes.push(format!("content-changed {name}"));
        }
        if self.columns.is_some() && self.columns != now.columns {
            changes.push(format!("columns-changed {name}"));
        }
        changes
    }
}

fn look_at(admin: &mut Connection, oid: u32, name: &str, kind: &str, populated: bool) -> Result<Relation> {
    let mut relation = Relation {
        name: name.to_owned(),
        kind: kind.to_owned(),
        rows: None,
        digest: None,
        columns: None,
    };
    if !matches!(kind, "r" | "m") || name.starts_with("public.pg_stat") {
        return Ok(relation);
    }
    let (schema, table) = name.split_once('.').context("a relation without a schema")?;
    let quoted = format!("{}.{}", quote(schema), quote(table));
    relation.rows = Some(0);
    if populated {
        relation.rows = Some(single(admin, &format!("SELECT count(*) FROM {quoted}"))?.parse()?);
    }
    if kind == "r" {
        let sql = format!("SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {quoted} t");
        relation.digest = Some(single(admin, &sql)?);
    }
    let sql = format!(
        "SELECT string_agg(attname || ':' || atttypid::regtype, ',' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped"
    );
    relation.columns = Some(single(admin, &sql)?);
    Ok(relation)
}

/// The only cell of a query; empty for a null.
pub(crate) fn single(admin: &mut Connection, sql: &str) -> Result<String> {
    let rows = admin.query(sql)?;
    let cell = rows.into_iter().next().and_then(|row| row.into_iter().next());
    Ok(cell
        .with_context(|| format!("`{sql}` gave no row"))?
        .unwrap_or_default())
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
