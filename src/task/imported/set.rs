//! A set in the cache folder, under its task: made once, found again by its content or by the files that it was made of.
//!
//! `<content>.examples` holds labels (two bytes each, little-endian), then images `[n, C, H, W]`, the training part
//! first, then validation, then test; `<content>.json` what they are and where they came from; `stamps/<stamp>` the
//! content of files of these names, sizes and times, so that a plan reads none of them again, and what was found in them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::audit::Audit;
use super::make::{Made, Making};
use super::{About, Import};
use crate::error::{Context, Error, Result};
use crate::files::write_atomically;
use crate::out;
use crate::run::Settings;
use crate::task::{config, files};

/// Part of the stamp: raised when the same files would be read into other pixels.
pub const FORMAT: u32 = 4;
pub const LABEL_BYTES: usize = 2;

/// A set in the cache folder.
#[derive(Debug)]
pub struct Set {
    pub content: String,
    pub examples: PathBuf,
    pub kept: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    pub about: About,
    /// The importing keys, paths absolute.
    pub origin: Settings,
    /// None of a set that was imported before there were audits.
    #[serde(default)]
    pub audit: Option<Audit>,
    /// Images of the training part that look the same, so that none is held out of the others.
    #[serde(default)]
    pub copies: Vec<Vec<u32>>,
}

/// What files of a stamp became.
#[derive(Serialize, Deserialize)]
struct Known {
    content: String,
    audit: Audit,
}

impl Set {
    /// Refuses a content that is not there.
    pub fn open(folder: &Path, content: &str) -> Result<Self> {
        let (about, examples) = (folder.join(format!("{content}.json")), folder.join(format!("{content}.examples")));
        let named = content.len() == 16 && content.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !named || !about.is_file() || !examples.is_file() {
            return Err(Error::failed(format!("{} has no imported set '{content}'", folder.display()))
                .hint("name the files again, as in 'crossover task show images:DIR': they are imported anew"));
        }
        let text = fs::read(&about).context(|| format!("cannot read {}", about.display()))?;
        let kept = serde_json::from_slice(&text).context(|| format!("cannot read {}", about.display()))?;
        Ok(Self { content: content.into(), examples, kept })
    }

    /// The set of what `origin` names: the one of the same files, sizes and times, or read now.
    pub fn import<T: Import>(folder: &Path, origin: Settings) -> Result<Self> {
        let import: T = config::from_settings(&origin).map_err(|reason| Error::bad_input(reason.to_string()))?;
        import.check()?;
        let stamp = stamp(&origin, &import.files()?)?;
        let stamps = folder.join("stamps");
        let known = || {
            let known: Known = serde_json::from_slice(&fs::read(stamps.join(&stamp)).ok()?).ok()?;
            let mut set = Self::open(folder, &known.content).ok()?;
            if set.kept.origin != origin {
                // Equal files lie elsewhere too, and were imported last.
                (set.kept.origin, set.kept.audit) = (origin.clone(), Some(known.audit));
                set.keep(folder).ok()?;
            }
            Some(set)
        };
        if let Some(set) = known() {
            return Ok(set);
        }
        fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
        let _lock = files::lock(folder, &mut |line| out::say(line))?;
        if let Some(set) = known() {
            return Ok(set);
        }
        let opened = import.open(folder)?;
        let making = Making { folder, stamp: &stamp, rule: import.duplicates() };
        let Made { content, about, audit, copies } = making.make(opened)?;
        audit.say(&about.classes);
        let known = Known { content: content.clone(), audit: audit.clone() };
        let examples = folder.join(format!("{content}.examples"));
        let set = Self { content, examples, kept: Kept { about, origin, audit: Some(audit), copies } };
        set.keep(folder)?;
        write_atomically(&stamps.join(&stamp), &serde_json::to_vec(&known).context(|| "cannot write JSON")?)?;
        Ok(set)
    }

    fn keep(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec(&self.kept).context(|| "cannot write JSON")?;
        write_atomically(&folder.join(format!("{}.json", self.content)), &text)
    }
}

/// Equal while no file of the import was added, removed, renamed or written to. A link that leads nowhere is a file too: one
/// that cannot be read.
fn stamp(origin: &Settings, files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{FORMAT} {}", serde_json::to_string(origin).context(|| "cannot write JSON")?));
    for path in files {
        hash.update(file_stamp(path));
    }
    Ok(digits(hash))
}

/// Name, size and time of a file.
pub fn file_stamp(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(found) => format!("\n{} {} {} {path:?}", found.len(), found.mtime(), found.mtime_nsec()),
        Err(error) => format!("\n{error} {path:?}"),
    }
}

pub fn digits(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
