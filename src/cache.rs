//! The cache folder that all checkouts share: libtorch, data sets, measured step times.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// `$CROSSOVER_CACHE`, else `$XDG_CACHE_HOME/crossover`, else `~/.cache/crossover`.
pub fn dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CROSSOVER_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("crossover")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/crossover")))
        .ok_or_else(|| {
            Error::bad_input("there is no cache folder: CROSSOVER_CACHE, XDG_CACHE_HOME and HOME are all unset")
                .hint("export CROSSOVER_CACHE=/some/folder")
        })
}
