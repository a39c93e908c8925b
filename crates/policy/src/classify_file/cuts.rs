//! Single entries of `classify.toml`, and the file without one of them: something less is protected then.

use smol_str::SmolStr;

use super::{ClassifyFile, FILE, OneOrMany};
use crate::problem::Problem;

/// One entry, by its places in the lists of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// A name in an entry of `columns`.
    Column(usize, usize),
    /// A pattern in an entry of `paths`.
    Path(usize, usize),
    /// An entry of `detectors`.
    Detector(usize),
    /// A class that another lies within.
    Within(usize, usize),
}

impl ClassifyFile {
    /// Every entry that protects something. What is declassified or trusted protects nothing.
    pub(crate) fn cuts(&self) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for (at, columns) in self.raw.columns.iter().enumerate() {
            cuts.extend((0..columns.column.names().len()).map(|name| Cut::Column(at, name)));
        }
        cuts.extend((0..self.raw.detectors.len()).map(Cut::Detector));
        for (at, paths) in self.raw.paths.iter().enumerate() {
            cuts.extend((0..paths.path.names().len()).map(|name| Cut::Path(at, name)));
        }
        for (at, class) in self.raw.classes.iter().enumerate() {
            cuts.extend((0..class.within.len()).map(|name| Cut::Within(at, name)));
        }
        cuts
    }

    /// The file without an entry, and where it stands with a sentence that says so. Classes that nothing has any more
    /// stay known, since rules name them.
    pub(crate) fn without(&self, cut: Cut, text: &str) -> Option<(Self, Problem)> {
        let mut file = self.clone();
        let (quoted, message) = match cut {
            Cut::Column(at, name) => {
                let columns = file.raw.columns.get_mut(at)?;
                let name = columns.column.remove(name)?;
                (
                    name.clone(),
                    format!("the columns `{name}` are not `{}`", columns.class),
                )
            }
            Cut::Path(at, name) => {
                let paths = file.raw.paths.get_mut(at)?;
                let name = paths.path.remove(name)?;
                (name.clone(), format!("the files `{name}` are not `{}`", paths.class))
            }
            Cut::Detector(at) => {
                let detector = self.raw.detectors.get(at)?;
                file.raw.detectors.remove(at);
                let kind = detector.kind.get_ref();
                let message = format!("nobody looks for `{kind}`, which is `{}`", detector.class);
                return Some((file, Problem::at(FILE, text, detector.kind.span(), message)));
            }
            Cut::Within(at, name) => {
                let class = self.raw.classes.get(at)?;
                let outer = class.within.get(name)?;
                file.classes.get_mut(&class.name)?.remove(outer);
                let message = format!("the class `{}` does not lie within `{outer}`", class.name);
                (class.name.clone(), message)
            }
        };
        Some((file, found(text, &quoted, message)))
    }

    /// The target that an entry is about, if it is about one.
    pub(crate) fn target_of(&self, cut: Cut) -> Option<&SmolStr> {
        match cut {
            Cut::Column(at, _) => self.raw.columns.get(at)?.target.as_ref(),
            Cut::Path(at, _) => self.raw.paths.get(at)?.target.as_ref(),
            Cut::Detector(at) => self.raw.detectors.get(at)?.target.as_ref(),
            Cut::Within(..) => None,
        }
    }
}

impl OneOrMany {
    fn remove(&mut self, at: usize) -> Option<SmolStr> {
        match self {
            Self::One(name) => {
                let name = name.clone();
                *self = Self::Many(Vec::new());
                Some(name)
            }
            Self::Many(names) => (at < names.len()).then(|| names.remove(at)),
        }
    }
}

/// Where a name stands first.
fn found(text: &str, name: &str, message: String) -> Problem {
    let quoted = format!("\"{name}\"");
    match text.find(&quoted) {
        Some(start) => Problem::at(FILE, text, start..start + quoted.len(), message),
        None => Problem::in_file(FILE, message),
    }
}
