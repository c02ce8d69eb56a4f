//! The files of a script: what of it a run's id hashes, and how its command names them in whatever folder it starts.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, glob_with};
use sha2::{Digest, Sha256};

use super::Declared;
use crate::error::{Context, Error, Result};
use crate::files;

/// Beyond these it is not sources that were named.
const MOST_FILES: usize = 10_000;
const MOST_BYTES: u64 = 1 << 30;

/// 16 hexadecimal digits of what is in the files of a script, and of their names. Paths start where crossover does.
///
/// # Errors
/// There are none, or more than sources are; one cannot be read.
pub fn hash(script: &Declared) -> Result<String> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    for path in &own(script)? {
        let failed = || format!("cannot read {}, a file of {}", path.display(), script.typed());
        let mut content = Sha256::new();
        bytes += std::io::copy(&mut files::open(path).context(failed)?, &mut Writer(&mut content)).context(failed)?;
        if bytes > MOST_BYTES {
            return Err(Error::bad_input(format!("the files of {} have more than 1 GiB", script.typed()))
                .hint("`files` names its sources, for example files = [\"train.py\", \"src/**/*.py\"]"));
        }
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(content.finalize());
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// The command as it can be started in any folder: a word that names a file from here names it from everywhere.
///
/// # Errors
/// The folder that crossover was started in is gone.
pub fn command(script: &Declared) -> Result<Vec<PathBuf>> {
    let here = std::env::current_dir().context(|| "the folder that crossover was started in is gone")?;
    let absolute = |(place, word): (usize, &String)| match is_file(word) && (place > 0 || word.contains('/')) {
        true => here.join(word),
        false => word.into(),
    };
    Ok(script.command.iter().enumerate().map(absolute).collect())
}

fn is_file(word: &str) -> bool {
    !word.is_empty() && Path::new(word).is_file()
}

/// In order of their names.
fn own(script: &Declared) -> Result<BTreeSet<PathBuf>> {
    let found = match &script.files {
        Some(patterns) => matching(patterns)?,
        None => by_default(script),
    };
    if found.is_empty() && script.files.as_ref().is_none_or(|patterns| !patterns.is_empty()) {
        let here = std::env::current_dir().unwrap_or_default();
        return Err(Error::bad_input(format!("`{}` names no file in {}", script.typed(), here.display())).hint(
            "paths start where crossover is started; files = [\"src/**/*.py\"] says what the script is made of, \
             files = [] that it is none of your files",
        ));
    }
    if found.len() > MOST_FILES {
        return Err(Error::bad_input(format!("the script {} has more than {MOST_FILES} files", script.typed()))
            .hint("`files` names its sources, for example files = [\"train.py\", \"src/**/*.py\"]"));
    }
    Ok(found)
}

/// Files that the command names, and the Python modules beside them. A program in a folder `bin` is an environment's.
fn by_default(script: &Declared) -> BTreeSet<PathBuf> {
    let is_environments = |word: &String| Path::new(word).parent().is_some_and(|folder| folder.ends_with("bin"));
    let named = script.command.iter().enumerate().filter(|(place, word)| match place {
        0 => word.contains('/') && is_file(word) && !is_environments(word),
        _ => is_file(word),
    });
    let mut found = BTreeSet::new();
    for path in named.map(|(_, word)| plain(Path::new(word))) {
        if path.extension().is_some_and(|extension| extension == "py") {
            modules(path.parent().unwrap_or(Path::new("")), &mut found);
        }
        found.insert(path);
    }
    found
}

/// The modules of a folder, and of the packages in it.
fn modules(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in std::fs::read_dir(listed).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        let is_module = path.extension().is_some_and(|extension| extension == "py") && path.is_file();
        if is_module {
            found.insert(path);
        } else if found.len() <= MOST_FILES && path.join("__init__.py").is_file() && !path.is_symlink() {
            modules(&path, found);
        }
    }
}

fn matching(patterns: &[String]) -> Result<BTreeSet<PathBuf>> {
    let options =
        MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let mut found = BTreeSet::new();
    for pattern in patterns {
        let refused = |why: String| Error::bad_input(format!("files = [\"{pattern}\"]: {why}"));
        // Of a pattern that ends in ** the files are meant, not the folders.
        let whole = if pattern.ends_with("**") { format!("{pattern}/*") } else { pattern.clone() };
        let (mut is_there, mut folder) = (false, None);
        for path in glob_with(&whole, options).map_err(|error| refused(error.msg.into()))? {
            let path = path.map_err(|error| refused(error.to_string()))?;
            if path.is_file() && !path.components().any(|part| part.as_os_str() == "__pycache__") {
                is_there = true;
                found.insert(plain(&path));
            } else if path.is_dir() {
                folder = Some(path);
            }
            if found.len() > MOST_FILES {
                return Ok(found);
            }
        }
        match (is_there, folder) {
            (true, _) => {}
            (false, None) => {
                return Err(refused("there is no such file".into()).hint("paths start where crossover is started"));
            }
            (false, Some(folder)) => {
                let folder = folder.display();
                return Err(
                    refused(format!("{folder} is a folder")).hint(format!("\"{folder}/**\" names the files in it"))
                );
            }
        }
    }
    Ok(found)
}

/// `./train.py` is `train.py`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

struct Writer<'a>(&'a mut Sha256);

impl std::io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(words: &[&str], files: Option<&[&str]>) -> Declared {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        Declared { command: owned(words), files: files.map(owned), gpus: 1 }
    }

    #[test]
    fn the_script_the_modules_beside_it_and_packages_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), text).unwrap();
        };
        for name in
            ["train.py", "net.py", "parts/__init__.py", "parts/deep/__init__.py", "parts/deep/a.py", "bin/python"]
        {
            write(name, "1");
        }
        let train = path("train.py");
        let train = script(&["python", &train], None);
        let first = hash(&train).unwrap();
        assert_eq!((first.len(), hash(&train).unwrap() == first), (16, true));
        for (name, is_own) in [
            ("train.py", true),
            ("net.py", true),
            ("parts/deep/a.py", true),
            ("notes.txt", false),
            ("tests/a.py", false),
            ("bin/python", false),
        ] {
            write(name, "2");
            assert_eq!(hash(&train).unwrap() != first, is_own, "{name}");
            write(name, "1");
        }
        assert!(own(&script(&[&path("bin/python"), "-c", "1"], None)).is_err(), "an environment's is not one's own");
        let program = path("net.py");
        assert_eq!(own(&script(&[&program], None)).unwrap().len(), 5, "a program of one's own, and what is beside it");
        let patterns = [path("parts/**"), path("*.py")];
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        assert_eq!(own(&script(&["python"], Some(&patterns))).unwrap().len(), 5);
        assert!(hash(&script(&["python"], Some(&[]))).is_ok(), "none, as it was said");
        let missing = hash(&script(&["python"], Some(&[patterns[1], "nowhere/*.py"]))).unwrap_err();
        assert_eq!(missing.message, "files = [\"nowhere/*.py\"]: there is no such file");
        let folder = hash(&script(&["python"], Some(&[&path("parts")]))).unwrap_err();
        assert!(folder.message.ends_with("/parts is a folder") && folder.hint.unwrap().contains("/parts/**"));
    }

    #[test]
    fn words_that_name_files_do_so_from_everywhere() {
        let here = std::env::current_dir().unwrap();
        let words = command(&script(&["python", "Cargo.toml", "--lr=1", "src"], None)).unwrap();
        assert_eq!(words, ["python".into(), here.join("Cargo.toml"), "--lr=1".into(), "src".into()]);
        assert_eq!(command(&script(&["src/lib.rs"], None)).unwrap(), [here.join("src/lib.rs")]);
    }
}
