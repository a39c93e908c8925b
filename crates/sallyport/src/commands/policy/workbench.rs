//! A bundle with all that is needed to try commands against it, away from any gateway.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sallyport_policy::{Bundle, Case, LoadError, Meaning, Problem, Resource};
use sallyport_session::{Ground, Raw, Reader, Shape};
use sallyport_target::{Broker, Catalogue, Target};

use crate::gateway::loader;
use crate::protocols;

/// The names at a target are read up to this length, in bytes.
const MAX_NAMES: u64 = 256 << 20;

/// The targets of a bundle.
///
/// # Errors
/// With the place of what is wrong in `targets.toml`.
pub(super) fn catalogue(bundle: &Bundle) -> Result<Catalogue, LoadError> {
    let text = bundle.file("targets.toml").unwrap_or_default();
    Catalogue::parse(text, "targets.toml", bundle.dir(), &Broker::elsewhere()).map_err(|error| LoadError {
        dir: bundle.dir().to_owned(),
        problems: vec![Problem::at("targets.toml", text, error.span, error.message)],
    })
}

/// What understands the commands of a target, or why nothing does.
type Known = Result<Rc<dyn Reader>, String>;

/// A bundle, its targets, and what understands the commands there.
pub(super) struct Workbench {
    pub(super) bundle: Bundle,
    pub(super) catalogue: Catalogue,
    /// By target.
    readers: RefCell<HashMap<String, Known>>,
}

impl Workbench {
    /// Loads the bundle in `dir`.
    ///
    /// # Errors
    /// When it is not valid.
    pub(super) fn open(dir: &Path) -> Result<Self, LoadError> {
        let bundle = loader().load(dir)?;
        let catalogue = catalogue(&bundle)?;
        Ok(Self {
            bundle,
            catalogue,
            readers: RefCell::default(),
        })
    }

    /// A target as policy sees it.
    pub(super) fn resource(&self, name: &str) -> Option<Resource> {
        self.catalogue
            .get(name)
            .map(|target| sallyport_session::resource(target))
    }

    /// What is known of a command at a target.
    ///
    /// # Errors
    /// When it cannot be said, with what is missing.
    pub(super) fn understand(&self, target: &str, raw: &Raw<'_>) -> Result<Meaning, String> {
        let shape = self.reader(target)?.read(raw)?;
        Ok(meaning(&shape))
    }

    /// What is known of a case's command under a bundle, this one or a mutant of it.
    ///
    /// # Errors
    /// As [`Self::understand`].
    pub(super) fn understand_case(&self, under: &Bundle, case: &Case) -> Result<Meaning, String> {
        let raw = Raw {
            text: case.command.as_deref().unwrap_or_default(),
            form: case.form.as_deref(),
        };
        let classification = under.classification(&case.target);
        if classification == self.bundle.classification(&case.target) {
            return self.understand(&case.target, &raw);
        }
        let shape = self.reader(&case.target)?.under(classification).read(&raw)?;
        Ok(meaning(&shape))
    }

    /// What understands the commands of a target.
    ///
    /// # Errors
    /// When nothing does.
    pub(super) fn reader(&self, target: &str) -> Known {
        if let Some(known) = self.readers.borrow().get(target) {
            return known.clone();
        }
        let made = self.make_reader(target);
        self.readers.borrow_mut().insert(target.to_owned(), made.clone());
        made
    }

    fn make_reader(&self, name: &str) -> Known {
        let target = self.catalogue.get(name);
        let target = target.ok_or_else(|| format!("there is no target `{name}`"))?;
        let names = read_names(self.bundle.dir(), target)?;
        let ground = Ground {
            target,
            names: names.as_deref(),
            classification: self.bundle.classification(name),
        };
        protocols::reader(ground).map(Rc::from)
    }
}

fn meaning(shape: &Shape) -> Meaning {
    Meaning {
        acts: shape.acts.clone(),
        shows: shape.shows.clone(),
        carries: shape.carries.clone(),
        empty: shape.empty,
        unparsed: shape.unparsed.as_ref().map(|unparsed| unparsed.message.clone()),
    }
}

/// Where the names at a target are kept.
pub(super) fn names_file(dir: &Path, target: &str) -> PathBuf {
    dir.join("names").join(format!("{target}.jsonl"))
}

fn read_names(dir: &Path, target: &Target) -> Result<Option<String>, String> {
    let path = names_file(dir, &target.name);
    let wrong = |why: String| format!("`{}` {why}", path.display());
    match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(format!("cannot be read: {error}"))),
        Ok(meta) if meta.len() > MAX_NAMES => Err(wrong(format!("is larger than {MAX_NAMES} bytes"))),
        Ok(_) => fs::read_to_string(&path)
            .map(Some)
            .map_err(|error| wrong(format!("cannot be read: {error}"))),
    }
}
