//! A bundle: one validated state of a policy directory, immutable.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::Entity;
use smol_str::SmolStr;

use crate::act::{Act, Resource, Situation, Subject};
use crate::classify::Classification;
use crate::classify_file::ClassifyFile;
use crate::decision::{Decision, Disclosure, Lifetime, Reveal, RuleId, View};
use crate::files::{self, Files};
use crate::git;
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
    files: Files,
    rules: Arc<Rules>,
    needs: Needs,
    warnings: Vec<Problem>,
    classify: ClassifyFile,
    classes: Vec<Entity>,
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

    fn try_load(&self, dir: &Path) -> Result<Bundle, Vec<Problem>> {
        let commit = git::commit(dir);
        let files = files::read(dir)?;
        let schema = schema::assemble(&self.fragments)?;
        let mut problems = Vec::new();
        let text = files.get("classify.toml").map_or("", String::as_str);
        let classify = ClassifyFile::parse(text, self.detectors.as_ref()).map_err(|found| problems.extend(found));
        let rules = Rules::load(&files, schema).map_err(|found| problems.extend(found));
        let (Ok(classify), Ok((rules, warnings))) = (classify, rules) else {
            return Err(problems);
        };
        let known: BTreeSet<SmolStr> = classify.classes.keys().cloned().collect();
        problems.extend(rules.unknown("Classification", &known, &files));
        let mut warnings = warnings;
        match Places::read(&files) {
            Ok(Some(places)) => warnings.extend(places.unknown(&rules, &classify, &files)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
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
            classify,
            files,
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

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(crate) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    pub(crate) fn classify_file(&self) -> &ClassifyFile {
        &self.classify
    }

    /// A bundle with the same targets and classes, and these rules instead of its own.
    pub(crate) fn with_rules(&self, rules: &Files) -> Result<Self, Vec<Problem>> {
        let (rules, warnings) = Rules::load(rules, self.rules.schema.clone())?;
        Ok(Self {
            dir: self.dir.clone(),
            digest: self.digest.clone(),
            commit: self.commit.clone(),
            files: self.files.clone(),
            needs: rules.needs(),
            rules: Arc::new(rules),
            warnings,
            classify: self.classify.clone(),
            classes: self.classes.clone(),
            standings: RwLock::default(),
            classifications: RwLock::default(),
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
        let standing = Arc::new(Standing::new(Arc::clone(&self.rules), who, target, &self.classes)?);
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
