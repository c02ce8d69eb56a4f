//! `images:DIR`: a user's own photographs, a folder for each class. The classes are the folders in the order of their names.
//! Where DIR has a folder `train` with classes in it, `val` and `test` beside it are the other splits; else those are held
//! out. Other layouts are named by keys: which folder is which split, or a list of files with their labels.

mod folders;
mod layout;
mod list;
mod listing;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::task::config::Entry;
use crate::task::imported::copies::Rule;
use crate::task::imported::picture::{self, Look};
use crate::task::imported::{About, Import, Opened};
use listing::Listing;

pub const ENTRY: Entry = Entry::imported::<ImageFolder>(
    "images",
    Some(("folder", "DIR")),
    "your own images, a folder for each class or a list of labels",
    &[
        ("folder", "a folder for each class, or train, val and test with a folder for each class"),
        ("train", "the folder of the training split; then 'validation' and 'test' may name folders too"),
        ("labels", "a list of file, label and split (CSV); \"names\" for labels such as cat of cat.0.jpg"),
        ("skip", "a list of files to leave out, one a line"),
        ("duplicates", "of an image in several splits or classes: refuse, drop or keep"),
    ],
)
.of_pictures();

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ImageFolder {
    folder: Option<String>,
    #[serde(flatten)]
    look: Look,
    train: Option<String>,
    /// Folders of validation and test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<[Option<String>; 2]>,
    labels: Option<String>,
    skip: Option<String>,
    duplicates: Rule,
}

/// The value of `labels` that takes them from the names of the files.
const NAMES: &str = "names";

impl Import for ImageFolder {
    const PATHS: &'static [&'static str] = &["folder", "labels", "skip"];
    const NAMES: &'static [&'static str] = &["train", "parts"];
    const WORDS: &'static [&'static str] = &[NAMES];

    fn check(&self) -> Result<()> {
        if self.folder.is_none() {
            return Err(Error::bad_input("it needs a folder").hint("name it images:DIR, or give the key folder"));
        }
        if self.train.is_none() && self.parts.is_some() {
            return Err(Error::bad_input("validation or test names a folder, and train does not")
                .hint("train = \"FOLDER\" names the one to train on; '.' is the whole folder"));
        }
        self.look.check()
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let lists = [&self.labels, &self.skip].into_iter().flatten().filter(|list| *list != NAMES).map(PathBuf::from);
        let images = Listing::of(self)?.images.into_iter().map(|image| image.path);
        Ok(lists.chain(images).collect())
    }

    fn open(&self, _scratch: &Path) -> Result<Opened> {
        let Listing { classes, images, audit } = Listing::of(self)?;
        let parts = [0, 1, 2].map(|part| images.iter().filter(|image| image.part == part).count() as u64);
        let look = self.look.clone();
        let files: Vec<PathBuf> = images.iter().map(|image| image.path.clone()).collect();
        Ok(Opened {
            what: format!("{} images of {}", images.len(), self.folder().display()),
            about: About { channels: look.channels, height: look.size, width: look.size, classes, parts },
            labels: images.iter().map(|image| image.class).collect(),
            look: serde_json::to_string(&look).context(|| "cannot write JSON")?,
            audit,
            files,
            read: Box::new(move |index, pixels| {
                let path = &images[index].path;
                let bytes = crate::files::read(path).context(|| path.display())?;
                picture::read(&bytes, &look, pixels).map_err(|error| error.context(path.display()))
            }),
        })
    }

    fn duplicates(&self) -> Rule {
        self.duplicates
    }

    fn name_parts(&mut self, parts: [Option<&str>; 2]) -> Result<()> {
        if parts.iter().any(Option::is_some) {
            self.parts = Some(parts.map(|part| part.map(String::from)));
        }
        Ok(())
    }
}

impl ImageFolder {
    fn folder(&self) -> &Path {
        Path::new(self.folder.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
