//! From the text of a command to what policy judges and what its result may show.

mod acts;
mod alone;
mod reading;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use sallyport_policy::{Act, ActionName, Classification};
use sallyport_session::{Shape, Unparsed};
use sallyport_sql::{
    Catalog, CopyPeer, Facts, Hazard, Outputs, Parameters, Prepared, SessionState, StatementFacts, SyntaxError,
    Transaction,
};

use self::acts::{acts, shown_classes, trusted};
pub(crate) use self::alone::Alone;
pub(crate) use self::reading::Reading;

/// Texts that are remembered at once; beyond it the memory starts afresh.
const REMEMBERED: usize = 4096;
const REMEMBERED_BYTES: usize = 4 * 1024 * 1024;
/// Longer texts are understood each time.
const MAX_REMEMBERED_TEXT: usize = 16 * 1024;

/// The facts that take the target's catalogue to establish.
pub(crate) const NAMED_FACTS: &[&str] = &[
    "reads",
    "writes",
    "touches",
    "unrestricted",
    "shown",
    "derived",
    "inferred",
    "copied",
    "written",
    "shown_classes",
    "derived_classes",
    "inferred_classes",
    "copied_classes",
    "written_classes",
    "read_classes",
    "functions",
    "code",
    "untrusted_code",
    "hazards",
    "persistent",
    "unresolved",
    // An approval is bound to what the names in its command mean.
    "approved_by",
];

/// The mark in the facts of a command whose bytes are no text as they stand: who reads them in another session would read
/// another statement.
pub(crate) const READ_OTHERWISE: &str = "read_otherwise";

/// What is known of a command.
#[derive(Debug)]
pub(crate) struct Understood {
    /// The exact bytes.
    pub(crate) text: Bytes,
    /// What the gate judges.
    pub(crate) shape: Arc<Shape>,
    /// What the parser found; nothing when it understood nothing.
    pub(crate) facts: Arc<Facts>,
    /// Running it may change what names, settings or the transaction are.
    pub(crate) changes_names: bool,
    /// Running it may change what the session's own names (statements, cursors) mean, or how text is read. Always looked
    /// at, whether or not the policy reads what the database's names mean.
    pub(crate) unsettles: bool,
    /// Its facts come from names that the session may give another meaning.
    pub(crate) depends_on_session: bool,
    /// It runs code that the gateway cannot see into and nobody vouches for.
    pub(crate) runs_unknown_code: bool,
    /// It takes COPY data from the client.
    pub(crate) copies_in: bool,
    /// The names, state and policy under which it was understood.
    pub(crate) under: Under,
    /// How its bytes are text.
    pub(crate) reading: Reading,
}

impl Understood {
    /// The facts of the command's only statement.
    pub(crate) fn single(&self) -> Option<Arc<StatementFacts>> {
        match self.facts.statements.as_slice() {
            [one] => Some(Arc::new(one.clone())),
            _ => None,
        }
    }

    /// The queries that it copies to the client, by the number of the statement. Left out are those behind a statement of
    /// the same text that may change what their names mean.
    pub(crate) fn copied_queries(&self) -> impl Iterator<Item = (usize, &str)> {
        let statements = self.facts.statements.iter().enumerate();
        let first_change = self.facts.statements.iter().position(changes_relations);
        let settled = statements.take_while(move |(number, _)| first_change.is_none_or(|first| *number <= first));
        settled.filter_map(|(number, s)| {
            let copy = s.effects.copy.as_ref()?;
            let query = copy.query.as_deref()?;
            (copy.peer == CopyPeer::ToClient).then_some((number, query))
        })
    }

    /// Whether it may return rows or COPY data. What was not understood may.
    pub(crate) fn may_return_rows(&self) -> bool {
        self.shape.unparsed.is_some()
            || self
                .facts
                .statements
                .iter()
                .any(|s| s.outputs != Outputs::NoRows || s.effects.copy.is_some())
    }
}

/// What the understanding of a text depends on besides the text: names, the session's state, and the policy. Equal
/// numbers stand for the same of all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Under(pub(crate) u64);

/// What a statement is understood with.
pub(crate) struct Sources<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) state: &'a SessionState,
    pub(crate) names: &'a dyn Prepared,
    pub(crate) classification: &'a Classification,
    pub(crate) database: &'a str,
    pub(crate) under: Under,
}

/// The memory of what was understood with one and the same [`Sources`], but for the names of the session.
#[derive(Debug, Default)]
pub(crate) struct Library {
    texts: Memory<Arc<Understood>>,
    /// By shape: what stands for each text of it, or nothing if each must be understood by itself.
    shapes: Memory<Option<Arc<Understood>>>,
}

/// Something remembered by text.
#[derive(Debug)]
struct Memory<V>(RwLock<Remembered<V>>);

#[derive(Debug)]
struct Remembered<V> {
    known: HashMap<Box<[u8]>, V>,
    /// Of the texts.
    bytes: usize,
}

thread_local! {
    /// Where shapes are written, so that a lookup allocates nothing.
    static SHAPE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Library {
    /// What is known of `text`, which reads as `readable` in the session's encoding.
    pub(crate) fn understand(&self, text: &[u8], readable: &str, from: &Sources<'_>) -> Arc<Understood> {
        // In another encoding the same bytes may be another text.
        if text != readable.as_bytes() {
            return Arc::new(understand(owned(text), readable, from));
        }
        let mut key = SHAPE.take();
        let understood = match sallyport_sql::shape(readable, &mut key) {
            Some(shape) => self.by_shape(text, readable, shape, from),
            None => self.by_text(text, readable, from),
        };
        SHAPE.set(key);
        understood
    }

    fn by_text(&self, text: &[u8], readable: &str, from: &Sources<'_>) -> Arc<Understood> {
        if let Some(known) = self.texts.get(text) {
            return known;
        }
        let understood = Arc::new(understand(owned(text), readable, from));
        if text.len() <= MAX_REMEMBERED_TEXT && !understood.depends_on_session {
            self.texts.put(text, Arc::clone(&understood));
        }
        understood
    }

    /// Statements that differ in their literals only, where no literal's value is a fact.
    fn by_shape(&self, text: &[u8], readable: &str, shape: &str, from: &Sources<'_>) -> Arc<Understood> {
        match self.shapes.get(shape.as_bytes()) {
            Some(Some(known)) => return Arc::new(known.of_text(owned(text))),
            Some(None) => return self.by_text(text, readable, from),
            None => {}
        }
        let shaped = sallyport_sql::parse(readable)
            .and_then(|parsed| sallyport_sql::analyse_shaped(&parsed, shape, from.catalog, from.state, from.names));
        match shaped {
            Ok(shaped) => {
                let understood = Arc::new(of_facts(owned(text), Arc::new(shaped.facts), from));
                let shared = shaped.shared.then(|| Arc::clone(&understood));
                self.shapes.put(shape.as_bytes(), shared);
                understood
            }
            Err(error) => Arc::new(unparsed(owned(text), &error, from.under)),
        }
    }
}

impl<V> Default for Memory<V> {
    fn default() -> Self {
        let (known, bytes) = (HashMap::new(), 0);
        Self(RwLock::new(Remembered { known, bytes }))
    }
}

impl<V: Clone> Memory<V> {
    fn get(&self, text: &[u8]) -> Option<V> {
        let memory = self.0.read().unwrap_or_else(PoisonError::into_inner);
        memory.known.get(text).cloned()
    }

    fn put(&self, text: &[u8], value: V) {
        let mut memory = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if memory.known.len() >= REMEMBERED || memory.bytes >= REMEMBERED_BYTES {
            memory.known.clear();
            memory.bytes = 0;
        }
        memory.bytes += text.len();
        memory.known.insert(text.into(), value);
    }
}

/// The names, where views that policy declassifies stand for themselves.
pub(crate) fn declassified(names: &Catalog, classification: &Classification) -> Catalog {
    let views = names.relations().map(|(name, _)| name);
    let views = views.filter(|name| classification.declassified(&name.to_string()));
    names.with_declassified(views.cloned().collect())
}

fn owned(text: &[u8]) -> Bytes {
    Bytes::copy_from_slice(text)
}

/// Whether a statement's facts come from a name that the session may give another meaning.
fn names_other_statements(statement: &StatementFacts) -> bool {
    statement.effects.executes.is_some() || statement.effects.fetches.is_some()
}

fn understand(text: Bytes, readable: &str, from: &Sources<'_>) -> Understood {
    let facts = sallyport_sql::parse(readable)
        .and_then(|parsed| sallyport_sql::analyse(&parsed, from.catalog, from.state, from.names));
    let reading = Reading::of(&text, readable);
    let understood = match facts {
        Ok(facts) => of_facts(text.clone(), Arc::new(reading.places(facts, text.len())), from),
        Err(mut error) => {
            error.position = error.position.filter(|_| reading.keeps_places(&text));
            unparsed(text, &error, from.under)
        }
    };
    understood.read(reading)
}

/// What is known of a statement with these values of its parameters. That is never remembered.
pub(crate) fn understand_bound(
    text: Bytes,
    readable: &str,
    parameters: Parameters,
    from: &Sources<'_>,
) -> Result<Understood, SyntaxError> {
    let parsed = sallyport_sql::parse(readable)?;
    let facts = sallyport_sql::analyse_bound(&parsed, parameters, from.catalog, from.state, from.names)?;
    let reading = Reading::of(&text, readable);
    let facts = reading.places(facts, text.len());
    Ok(of_facts(text, Arc::new(facts), from).read(reading))
}

/// A command that is no text of its own, such as fetching from a cursor: judged by `facts`.
pub(crate) fn of_facts(text: Bytes, facts: Arc<Facts>, from: &Sources<'_>) -> Understood {
    let acts = facts
        .statements
        .iter()
        .flat_map(|s| acts(s, facts.statements.len(), from))
        .collect();
    let shows = facts
        .statements
        .iter()
        .flat_map(|s| shown_classes(s, from.classification))
        .collect::<BTreeSet<_>>();
    let shape = Shape {
        id: Shape::next_id(),
        acts,
        shows: shows.into_iter().collect(),
        carries: Vec::new(),
        unparsed: None,
        empty: facts.statements.is_empty(),
        facts: serde_json::to_string(&*facts).unwrap_or_default(),
        recorded: OnceLock::new(),
    };
    let untrusted = |s: &StatementFacts| s.code.iter().any(|code| !trusted(code, from));
    let runs_unknown_code = facts
        .statements
        .iter()
        .any(|s| untrusted(s) || s.hazards.contains(&Hazard::DynamicSql));
    Understood {
        text,
        shape: Arc::new(shape),
        unsettles: runs_unknown_code || facts.statements.iter().any(unsettles),
        depends_on_session: facts.statements.iter().any(names_other_statements),
        changes_names: facts.statements.iter().any(|s| changes_names(s) || untrusted(s)),
        runs_unknown_code,
        copies_in: facts.statements.iter().any(copies_in),
        facts,
        under: from.under,
        reading: Reading::AsIs,
    }
}

impl Understood {
    /// The same, of a text that is read so.
    fn read(mut self, reading: Reading) -> Understood {
        // Whoever else sees the text would read it otherwise.
        if !matches!(reading, Reading::AsIs)
            && let Some(shape) = Arc::get_mut(&mut self.shape)
            && let Some(facts) = shape.facts.strip_suffix('}').filter(|facts| facts.len() > 1)
        {
            shape.facts = format!("{facts},\"{READ_OTHERWISE}\":true}}");
        }
        self.reading = reading;
        self
    }

    /// The same for another text of its shape.
    fn of_text(&self, text: Bytes) -> Understood {
        Understood {
            text,
            shape: Arc::clone(&self.shape),
            facts: Arc::clone(&self.facts),
            reading: Reading::AsIs,
            ..*self
        }
    }

    /// The text as the target has read it.
    ///
    /// # Errors
    /// Why nothing is sure of it.
    pub(crate) fn readable(&self) -> Result<&str, &str> {
        match &self.reading {
            Reading::AsIs => std::str::from_utf8(&self.text).map_err(|_| "the statement is not valid text"),
            Reading::As(readable) => Ok(readable),
            Reading::Not(why) => Err(why),
        }
    }

    /// Whether what is bound to its parameters decides something.
    pub(crate) fn weighs_parameters(&self) -> bool {
        self.facts.statements.iter().any(|s| s.at_worst.is_some())
    }

    /// What is known of it whatever is bound to its parameters.
    pub(crate) fn at_worst(&self, from: &Sources<'_>) -> Understood {
        let worst = |s: &StatementFacts| s.at_worst.as_deref().unwrap_or(s).clone();
        let statements = self.facts.statements.iter().map(worst).collect();
        of_facts(self.text.clone(), Arc::new(Facts { statements }), from).read(self.reading.clone())
    }

    /// What is known of the statement inside a `PREPARE`, as a command of its own.
    pub(crate) fn inner(&self, facts: &Arc<StatementFacts>) -> Understood {
        Understood {
            text: self.text.clone(),
            shape: Arc::clone(&self.shape),
            facts: Arc::new(Facts {
                statements: vec![(**facts).clone()],
            }),
            changes_names: changes_names(facts),
            unsettles: self.runs_unknown_code || unsettles(facts),
            depends_on_session: names_other_statements(facts),
            runs_unknown_code: self.runs_unknown_code,
            copies_in: copies_in(facts),
            under: self.under,
            reading: self.reading.clone(),
        }
    }
}

/// A command that the parser does not understand: the action `unparsed` (I3).
pub(crate) fn unparsed(text: Bytes, error: &SyntaxError, under: Under) -> Understood {
    let shape = Shape {
        id: Shape::next_id(),
        acts: vec![Act::new(ActionName::unparsed(), Vec::new())],
        shows: Vec::new(),
        carries: Vec::new(),
        unparsed: Some(Unparsed {
            message: error.message.clone(),
            position: error.position,
        }),
        empty: false,
        facts: "{}".to_owned(),
        recorded: OnceLock::new(),
    };
    Understood {
        text,
        shape: Arc::new(shape),
        facts: Arc::new(Facts { statements: Vec::new() }),
        // Where a policy lets it through all the same, it may have done anything.
        changes_names: true,
        unsettles: true,
        depends_on_session: false,
        runs_unknown_code: true,
        copies_in: true,
        under,
        reading: Reading::AsIs,
    }
}

fn changes_names(s: &StatementFacts) -> bool {
    let e = &s.effects;
    e.changes_catalog
        || e.changes_path
        || e.transaction.is_some()
        || !e.sets.is_empty()
        || e.prepares.is_some()
        || e.deallocates.is_some()
        || e.declares.is_some()
        || e.closes.is_some()
        || e.discards.is_some()
        || s.hazards
            .iter()
            .any(|h| matches!(h, Hazard::SettingWrite | Hazard::DynamicSql | Hazard::ParserSetting))
}

/// Whether it may change which relations names mean, or what their columns are.
fn changes_relations(s: &StatementFacts) -> bool {
    s.effects.changes_catalog || s.effects.changes_path || sets(s)
}

fn unsettles(s: &StatementFacts) -> bool {
    let e = &s.effects;
    let ends_transaction = match &e.transaction {
        // What was set for the transaction is as before, and its cursors are gone.
        Some(
            Transaction::Commit { .. }
            | Transaction::Rollback { .. }
            | Transaction::RollbackTo(_)
            | Transaction::Prepare,
        ) => true,
        Some(
            Transaction::Begin
            | Transaction::Savepoint(_)
            | Transaction::Release(_)
            | Transaction::CommitPrepared
            | Transaction::RollbackPrepared,
        )
        | None => false,
    };
    ends_transaction || renames(s) || sets(s)
}

/// Whether it may change which statements and cursors the session's names stand for.
fn renames(s: &StatementFacts) -> bool {
    let e = &s.effects;
    e.prepares.is_some()
        || e.deallocates.is_some()
        || e.declares.is_some()
        || e.closes.is_some()
        || e.discards.is_some()
}

/// Whether it may change a setting.
pub(crate) fn sets(s: &StatementFacts) -> bool {
    let hazard = |h: &Hazard| matches!(h, Hazard::SettingWrite | Hazard::DynamicSql | Hazard::ParserSetting);
    !s.effects.sets.is_empty() || s.effects.discards.is_some() || s.hazards.iter().any(hazard)
}

fn copies_in(s: &StatementFacts) -> bool {
    s.effects.copy.as_ref().is_some_and(|c| c.peer == CopyPeer::FromClient)
}
