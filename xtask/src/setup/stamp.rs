//! A directory in the cache that is either whole, and made from today's recipe, or made anew.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sallyport_testbed::cache_dir;

const STAMP: &str = ".recipe";

/// Makes `name` in the cache with `make`, unless it is there already and was made from the same `recipe`.
pub(super) fn ensure(name: &str, recipe: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let dir = cache_dir().join(name);
    let stamp = dir.join(STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == recipe) {
        return Ok(dir);
    }
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("`{}` could not be removed", dir.display()))?;
    }
    std::fs::create_dir_all(&dir).with_context(|| format!("`{}` could not be made", dir.display()))?;
    eprintln!("setup: {recipe} → {}", dir.display());
    make(&dir)?;
    std::fs::write(&stamp, recipe).with_context(|| format!("`{}` could not be written", stamp.display()))?;
    Ok(dir)
}
