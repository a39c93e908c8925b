//! A bundle: one validated state of a policy directory, immutable.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::Entity;
use smol_str::SmolStr;

use crate::act::{Act, Resource, Situation, Subject};
use crate::classify::Classification;
use crate::classify_file::ClassifyFile;
use crate::code::Code;
use crate::decision::{Decision, Disclosure, Lifetime, Reveal, RuleId, View};
use crate::files::{self, Files};
use crate::git;
use crate::given;
use crate::needs::Needs;
use crate::places::Places;
use crate::problem::{LoadError, Problem};
use crate::rules::Rules;
use crate::schema::{self, SchemaFragment};
use crate::standing::Standing;

/// How many standings and classifications a bundle remembers before it forgets them all.
const MAX_REMEMBERED: usize = 4096;

/// One validated state of a policy directory. Share it as `Arc<Bundle>`.
pub struct Bundle {
    dir: PathBuf,
    digest: String,
    commit: Option<String>,
    files: Arc<Files>,
    rules: Arc<Rules>,
    needs: Needs,
    warnings: Vec<Problem>,
    classify: Arc<ClassifyFile>,
    classes: Vec<Entity>,
    places: Arc<Places>,
    standings: RwLock<HashMap<u64, Vec<Remembered>>>,
    classifications: RwLock<HashMap<SmolStr, Arc<Classification>>>,
}

type Remembered = (Subject, Resource, Arc<Standing>);

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({} {})", self.dir.display(), self.digest)
    }
}

/// How to load bundles: the protocols' schema fragments, and the words that other crates know.
#[derive(Debug, Clone, Default)]
pub struct Loader {
    fragments: Vec<SchemaFragment>,
    detectors: Option<BTreeSet<SmolStr>>,
}

impl Loader {
    /// A loader that knows these protocols.
    #[must_use]
    pub fn new(fragments: &[SchemaFragment]) -> Self {
        Self {
            fragments: fragments.to_vec(),
            detectors: None,
        }
    }

    /// The detectors that exist; a bundle that names another one is not accepted.
    #[must_use]
    pub fn detectors<S: Into<SmolStr>>(mut self, kinds: impl IntoIterator<Item = S>) -> Self {
        self.detectors = Some(kinds.into_iter().map(Into::into).collect());
        self
    }

    /// The schema that rules are checked against, in Cedar's schema syntax: the base and what each protocol adds.
    #[must_use]
    pub fn schema_text(&self) -> String {
        schema::text(&self.fragments)
    }

    /// The protocols' fragments.
    #[must_use]
    pub fn fragments(&self) -> &[SchemaFragment] {
        &self.fragments
    }

    /// Reads and validates the directory.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn load(&self, dir: &Path) -> Result<Bundle, LoadError> {
        self.try_load(dir).map_err(|problems| LoadError::new(dir, problems))
    }

    /// Validates a bundle that was not read from a directory: its files by path, and the commit that they are of.
    /// Relative paths in `targets.toml` are relative to `dir`.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn load_files(
        &self,
        dir: &Path,
        files: BTreeMap<String, String>,
        commit: Option<String>,
    ) -> Result<Bundle, Vec<Problem>> {
        self.validate(dir, given::check(files)?, commit)
    }

    fn try_load(&self, dir: &Path) -> Result<Bundle, Vec<Problem>> {
        let commit = git::commit(dir);
        self.validate(dir, files::read(dir)?, commit)
    }

    fn validate(&self, dir: &Path, files: Files, commit: Option<String>) -> Result<Bundle, Vec<Problem>> {
        let schema = schema::assemble(&self.fragments)?;
        let mut problems = Vec::new();
        let text = files.get("classify.toml").map_or("", String::as_str);
        let classify = ClassifyFile::parse(text, self.detectors.as_ref()).map_err(|found| problems.extend(found));
        let rules = Rules::load(&files, schema).map_err(|found| problems.extend(found));
        let (Ok(classify), Ok((rules, warnings))) = (classify, rules) else {
            return Err(problems);
        };
        let known: BTreeSet<SmolStr> = classify.classes.keys().cloned().collect();
        problems.extend(rules.unknown(("Classification", Code::UNKNOWN_CLASSIFICATION), &known, &files));
        let mut warnings = warnings;
        let places = match Places::read(&files) {
            Ok(Some(places)) => {
                warnings.extend(places.unknown(&rules, &classify, &files));
                places
            }
            Ok(None) => Places::default(),
            Err(problem) => {
                problems.push(problem);
                Places::default()
            }
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Bundle {
            dir: dir.to_owned(),
            digest: files::digest(&files),
            commit,
            needs: rules.needs(),
            rules: Arc::new(rules),
            warnings,
            classes: classify.entities(),
            classify: Arc::new(classify),
            places: Arc::new(places),
            files: Arc::new(files),
            standings: RwLock::default(),
            classifications: RwLock::default(),
        })
    }
}

impl Bundle {
    /// Reads and validates the directory; see [`Loader`] for more.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn load(dir: &Path, fragments: &[SchemaFragment]) -> Result<Self, LoadError> {
        Loader::new(fragments).load(dir)
    }

    /// SHA-256 over the files that decide something, lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The commit that the directory's repository was at, if it is in one.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// Where it was read from.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is odd about it but not wrong.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The text of one of its files, by path relative to its directory (`targets.toml`).
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// The same bundle but for its rules or its classification: never to be put in force, as it has the digest of this one.
    pub(crate) fn but(&self, rules: Option<Rules>, classify: Option<ClassifyFile>) -> Self {
        let classes = classify
            .as_ref()
            .map_or_else(|| self.classes.clone(), ClassifyFile::entities);
        Self {
            dir: self.dir.clone(),
            digest: self.digest.clone(),
            commit: self.commit.clone(),
            files: Arc::clone(&self.files),
            rules: rules.map_or_else(|| Arc::clone(&self.rules), Arc::new),
            needs: self.needs.clone(),
            warnings: Vec::new(),
            classify: classify.map_or_else(|| Arc::clone(&self.classify), Arc::new),
            classes,
            places: Arc::clone(&self.places),
            standings: RwLock::default(),
            classifications: RwLock::default(),
        }
    }

    pub(crate) fn classify(&self) -> &ClassifyFile {
        &self.classify
    }

    pub(crate) fn all_files(&self) -> &Files {
        &self.files
    }

    pub(crate) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every class, with those that it lies within.
    pub(crate) fn classes(&self) -> &BTreeMap<SmolStr, BTreeSet<SmolStr>> {
        &self.classify.classes
    }

    /// A bundle with the same targets and classes, and these rules instead of its own, which are enforced everywhere.
    pub(crate) fn with_rules(&self, rules: &Files) -> Result<Self, Vec<Problem>> {
        let (rules, _) = Rules::load(rules, self.rules.schema.as_ref().clone())?;
        Ok(Self {
            places: Arc::new(self.places.enforced()),
            ..self.but(Some(rules), None)
        })
    }

    /// The ids of all rules, in the order of their files.
    pub fn rule_ids(&self) -> impl Iterator<Item = RuleId> {
        self.rules.rules.iter().map(|rule| rule.id.clone())
    }

    /// What the rules read.
    #[must_use]
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Decides a command: all acts must be allowed; a refusal beats a hold, a hold beats an allow.
    #[must_use]
    pub fn decide(&self, who: &Subject, target: &Resource, acts: &[Act], situation: &Situation) -> Decision {
        match self.standing(who, target) {
            Ok(standing) => standing.decide(acts, situation),
            Err(why) => Decision::refused(why, Lifetime::Never),
        }
    }

    /// How values of a class are shown to somebody, when they come from this target.
    #[must_use]
    pub fn reveal(
        &self,
        who: &Subject,
        target: &Resource,
        class: &str,
        view: View,
        situation: &Situation,
    ) -> Disclosure {
        match self.standing(who, target) {
            Ok(standing) => standing.reveal(class, view, situation),
            Err(_) => Disclosure {
                reveal: Reveal::Withhold,
                rules: Vec::new(),
                cache: Lifetime::Never,
            },
        }
    }

    /// One subject before one target, for a session to keep. Remembered for the next who asks.
    ///
    /// # Errors
    /// When the subject or the target cannot be expressed as entities; nothing may be allowed then.
    pub fn standing(&self, who: &Subject, target: &Resource) -> Result<Arc<Standing>, String> {
        let key = hash(who, target);
        let found = |list: &Vec<Remembered>| {
            list.iter()
                .find(|(w, t, _)| w == who && t == target)
                .map(|(_, _, standing)| Arc::clone(standing))
        };
        let remembered = self
            .standings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .and_then(found);
        if let Some(standing) = remembered {
            return Ok(standing);
        }
        let standing = Standing::new(Arc::clone(&self.rules), who, target, &self.classes)?;
        let standing = Arc::new(standing.observing(self.places.observes(&target.name)));
        let mut standings = self.standings.write().unwrap_or_else(PoisonError::into_inner);
        if standings.len() >= MAX_REMEMBERED {
            standings.clear();
        }
        standings
            .entry(key)
            .or_default()
            .push((who.clone(), target.clone(), Arc::clone(&standing)));
        Ok(standing)
    }

    /// What is classified on a target.
    #[must_use]
    pub fn classification(&self, target: &str) -> Arc<Classification> {
        let remembered = self
            .classifications
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(target)
            .cloned();
        remembered.unwrap_or_else(|| {
            let made = Arc::new(self.classify.on(target));
            let mut all = self.classifications.write().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= MAX_REMEMBERED {
                all.clear();
            }
            all.insert(target.into(), Arc::clone(&made));
            made
        })
    }

    /// The targets that `classify.toml` names: each should exist.
    #[must_use]
    pub fn classified_targets(&self) -> BTreeSet<&SmolStr> {
        self.classify.targets()
    }
}

fn hash(who: &Subject, target: &Resource) -> u64 {
    let mut hasher = DefaultHasher::new();
    who.hash(&mut hasher);
    target.hash(&mut hasher);
    hasher.finish()
}
