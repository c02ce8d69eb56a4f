//! Sets made of a user's own files: read once into one file of the cache folder, which is then mapped into memory. What
//! names a set, and so is part of a run's id, is the hash of what is in it (classes, labels, pixels), wherever the files
//! lie: moving them changes nothing, changing them makes other runs.

pub mod audit;
pub mod copies;
mod held_out;
mod jpeg;
mod leftover;
mod make;
mod own;
pub mod picture;
mod set;

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::run::Settings;
use crate::task::config::{self, Source};
use crate::task::files;
use audit::Audit;
use copies::Rule;
use own::{HeldOut, Own, Wanted};
use picture::Seen;
use set::Set;

/// Labels are kept in two bytes.
pub const MOST_CLASSES: usize = 1 << 16;

/// The keys of a task that say which files are read and how.
pub trait Import: Default + Serialize + DeserializeOwned + 'static {
    /// Those that are paths.
    const PATHS: &'static [&'static str];
    /// Those that name something within what the paths name: a run's content stands for them, too.
    const NAMES: &'static [&'static str] = &[];
    /// Values of those keys that are no paths.
    const WORDS: &'static [&'static str] = &[];
    /// Refuses values outside their rule, and a path that is needed and not given.
    fn check(&self) -> Result<()>;
    /// All files that are read, in the same order each time.
    fn files(&self) -> Result<Vec<PathBuf>>;
    /// What they hold; pixels are read one image at a time. What has to be unpacked goes into the folder `scratch`.
    fn open(&self, scratch: &Path) -> Result<Opened>;
    /// What becomes of images that stand in several splits or classes.
    fn duplicates(&self) -> Rule {
        Rule::Keep
    }
    /// Takes names in place of numbers for `validation` and `test`: parts that the files have.
    fn name_parts(&mut self, parts: [Option<&str>; 2]) -> Result<()> {
        match parts.into_iter().flatten().next() {
            None => Ok(()),
            Some(name) => Err(Error::bad_input(format!(
                "validation and test must be a whole number or a share below 1, and one is '{name}'"
            ))),
        }
    }
}

/// Files that are understood, their pixels not yet read.
pub struct Opened {
    pub about: About,
    /// In the order of the parts.
    pub labels: Vec<u16>,
    /// Said when the import starts: `1,234 images of DIR`.
    pub what: String,
    /// The file of each image, where each has one of its own; else none.
    pub files: Vec<PathBuf>,
    /// Equal where equal files become equal pixels.
    pub look: String,
    /// What was found before an image was read.
    pub audit: Audit,
    pub read: Box<Read>,
}

/// Fills in image `[C, H, W]` of an index; an error names the file.
type Read = dyn Fn(usize, &mut [u8]) -> Result<Seen> + Sync;

impl Opened {
    fn name(&self, index: usize) -> String {
        self.files.get(index).map_or_else(|| format!("image {index}"), |path| path.display().to_string())
    }
}

/// What is known of a set without its examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub channels: u64,
    pub height: u64,
    pub width: u64,
    pub classes: Vec<String>,
    /// Images of the training, validation and test part; none where a part has to be held out of the first.
    pub parts: [u64; 3],
}

#[derive(Default, Serialize, Deserialize)]
struct Keys<T> {
    #[serde(flatten)]
    import: T,
    content: Option<String>,
    #[serde(flatten)]
    held_out: HeldOut,
}

/// What `task show` says of the keys that all imported tasks have.
pub const KEYS: [(&str, &str); 5] = [
    ("content", "hash of the imported examples; it stands for the files"),
    ("validation", "held out of the training part: a count, or a share below 1; a tenth, or what the files have"),
    ("test", "the same for the test split"),
    ("seed", "of what is held out and of the training order"),
    ("stratified", "hold out the same share of each class"),
];

/// All keys with their defaults.
pub fn defaults<T: Import>() -> Settings {
    config::to_settings(&Keys::<T>::default())
}

/// Imports what is not imported yet. In the settings that come back, `content` stands for the paths.
pub fn parse<T: Import>(task: &str, given: &Settings) -> Result<(Box<dyn Source>, Settings)> {
    parse_in::<T>(&files::data_dir()?, task, given)
}

pub(super) fn parse_in<T: Import>(data: &Path, task: &str, given: &Settings) -> Result<(Box<dyn Source>, Settings)> {
    let (mut keys, mut settings) = config::parse::<Keys<T>>(task, given)?;
    // Settings that a run of before was resolved to: what is not in them was not yet thought of.
    let of_before = T::PATHS.iter().any(|path| given.get(*path).is_some_and(serde_json::Value::is_null));
    if of_before && !given.contains_key("stratified") {
        keys.held_out.stratified = Some(false);
    }
    let find = |keys: &mut Keys<T>| -> Result<Own> {
        let folder = data.join(task);
        let parts = [&mut keys.held_out.validation, &mut keys.held_out.test].map(|wanted| match wanted.take() {
            Some(Wanted::Name(name)) => Some(name),
            other => {
                *wanted = other;
                None
            }
        });
        keys.import.name_parts([parts[0].as_deref(), parts[1].as_deref()])?;
        let kept = keys.content.as_deref().map(|content| Set::open(&folder, content)).transpose()?;
        let mut origin = config::to_settings(&keys.import);
        for key in T::PATHS.iter().chain(T::NAMES) {
            let value = origin.get(*key).filter(|value| !value.is_null()).cloned();
            let value = match (value.as_ref().and_then(|value| value.as_str()), &kept) {
                (Some(path), _) if T::PATHS.contains(key) && !T::WORDS.contains(&path) => Some(absolute(path)?.into()),
                // What is not given again is as it was imported.
                (None, Some(set)) if value.is_none() => set.kept.origin.get(*key).cloned(),
                _ => value,
            };
            value.and_then(|value| origin.insert((*key).into(), value));
        }
        let set = match kept {
            Some(set) if set.kept.origin == origin => set,
            _ => Set::import::<T>(&folder, origin)?,
        };
        Ok(Own { set, held_out: keys.held_out.clone() })
    };
    let own = find(&mut keys)
        .and_then(|own| own.check().map(|()| own))
        .map_err(|error| error.context(format!("task '{task}'")))?;
    let own = own.resolved();
    settings.insert("content".into(), own.set.content.clone().into());
    settings.extend(config::to_settings(&own.held_out));
    for key in T::PATHS.iter().chain(T::NAMES) {
        if settings.contains_key(*key) {
            settings.insert((*key).into(), serde_json::Value::Null);
        }
    }
    Ok((Box::new(own), settings))
}

fn absolute(path: &str) -> Result<String> {
    let here = || std::env::current_dir().unwrap_or_default();
    // A pattern of names, as in train-{000..012}.tar, is where its folder is.
    let pattern = Path::new(path).file_name().filter(|name| name.to_string_lossy().contains('{'));
    if let Some(name) = pattern.filter(|_| !Path::new(path).exists()) {
        let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = absolute(&folder.to_string_lossy())?;
        return Ok(format!("{folder}/{}", name.to_string_lossy()));
    }
    let found = fs::canonicalize(path).map_err(|error| {
        Error::bad_input(format!("cannot open {path}: {error}")).hint(format!("paths start at {}", here().display()))
    })?;
    found.into_os_string().into_string().map_err(|path| Error::bad_input(format!("{path:?} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::task::examples::Images;

    /// A file of bytes: as many images of one pixel, its class each pixel's lowest bit.
    #[derive(Default, Serialize, Deserialize)]
    struct Bytes {
        file: Option<String>,
        inverted: bool,
    }

    impl Import for Bytes {
        const PATHS: &'static [&'static str] = &["file"];

        fn check(&self) -> Result<()> {
            self.file.as_ref().map(drop).ok_or_else(|| Error::bad_input("it needs a file"))
        }

        fn files(&self) -> Result<Vec<PathBuf>> {
            Ok(self.file.iter().map(PathBuf::from).collect())
        }

        fn open(&self, _scratch: &Path) -> Result<Opened> {
            let (bytes, flip) = (fs::read(&self.files()?[0])?, if self.inverted { 0xff } else { 0 });
            let classes = vec!["even".into(), "odd".into()];
            Ok(Opened {
                what: "bytes".into(),
                files: Vec::new(),
                look: String::new(),
                audit: Audit::default(),
                about: About { channels: 1, height: 1, width: 1, classes, parts: [bytes.len() as u64, 0, 0] },
                labels: bytes.iter().map(|byte| u16::from(byte % 2)).collect(),
                read: Box::new(move |index, pixel| match bytes[index] {
                    b'!' => Err(Error::failed(format!("byte {index} is a '!'"))),
                    byte => {
                        pixel[0] = byte ^ flip;
                        Ok(Seen::of(pixel, (1, 1)))
                    }
                }),
            })
        }
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn write(&self, name: &str, bytes: &[u8]) -> Settings {
            let path = self.0.path().join(name);
            fs::write(&path, bytes).unwrap();
            Settings::from([("file".into(), path.to_str().unwrap().into())])
        }

        fn parse(&self, given: &Settings) -> Result<(Box<dyn Source>, Settings)> {
            parse_in::<Bytes>(&self.0.path().join("data"), "bytes", given)
        }
    }

    #[test]
    fn a_set_is_named_by_what_is_in_it_and_read_once() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let given = folder.write("a", b"abcdefghijklmnopqrst");
        let (task, resolved) = folder.parse(&given).unwrap();
        assert_eq!((&resolved["file"], &resolved["validation"]), (&serde_json::Value::Null, &serde_json::Value::Null));
        assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(16), 2, 2));
        // Resolved settings stay as they are, and give the same examples.
        let (again, resolved_again) = folder.parse(&resolved).unwrap();
        assert_eq!(resolved, resolved_again);
        let load = |task: &dyn Source| task.load(Path::new(""), 100).unwrap();
        assert_eq!(load(&*task), load(&*again));
        // Elsewhere, the same; with another byte, another.
        assert_eq!(folder.parse(&folder.write("b", b"abcdefghijklmnopqrst")).unwrap().1, resolved);
        assert_ne!(
            folder.parse(&folder.write("b", b"abcdefghijklmnopqrsu")).unwrap().1["content"],
            resolved["content"]
        );
        // Another key reads the files again, where they were named last.
        let mut inverted = folder.parse(&given).unwrap().1;
        inverted.insert("inverted".into(), true.into());
        let (other, inverted) = folder.parse(&inverted).unwrap();
        assert_ne!(inverted["content"], resolved["content"]);
        let (Images::U8(pixels), Images::U8(flipped)) = (load(&*task).train.images, load(&*other).train.images) else {
            panic!("images are bytes")
        };
        assert!(pixels.iter().zip(&flipped).all(|(a, b)| a ^ b == 0xff));
    }

    #[test]
    fn files_that_did_not_change_are_not_read_again() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let given = folder.write("a", b"abcdefghij");
        let (_, resolved) = folder.parse(&given).unwrap();
        let path = folder.0.path().join("a");
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        folder.write("a", b"!!!!!!!!!!");
        File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        assert_eq!(folder.parse(&given).unwrap().1, resolved, "the same name, size and time");
        File::options().write(true).open(&path).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
        let message = folder.parse(&given).err().unwrap().message;
        assert_eq!(message, "task 'bytes': 10 of 10 images cannot be read\n".to_owned() + &named_bytes());
        // The set that was imported is there still.
        assert_eq!(folder.parse(&resolved).unwrap().1, resolved);
    }

    fn named_bytes() -> String {
        (0..10).map(|index| format!("byte {index} is a '!'")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let given = folder.write("a", b"abcdefghij");
        let refused = |key: &str, value: serde_json::Value| {
            let mut given = given.clone();
            given.insert(key.into(), value);
            folder.parse(&given).err().unwrap().message
        };
        assert!(
            refused("validation", 1.5.into())
                .ends_with("validation must be a whole number or a share below 1, and is 1.5")
        );
        assert!(refused("test", 0.into()).ends_with("test must be a whole number or a share below 1, and is 0"));
        assert!(refused("test", 9.into()).ends_with("must leave some of the 10 training images, and take 10"));
        assert!(refused("file", serde_json::Value::Null).ends_with("it needs a file"));
        for content in ["../../../etc/passwd", "0123456789abcdef"] {
            let message = refused("content", content.into());
            assert!(message.contains(&format!("has no imported set '{content}'")), "{message}");
        }
    }
}
