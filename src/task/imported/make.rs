//! Making a set: all images are read, on all cores, into one file; what was found in them is counted; and what must not be
//! in a set is refused by name, without losing what has been read.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use memmap2::MmapMut;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::audit::{Audit, Damaged, Sizes};
use super::copies::{self, Place, Rule};
use super::leftover::Leftover;
use super::picture::Seen;
use super::set::{LABEL_BYTES, digits};
use super::{About, Opened};
use crate::error::{Context, Error, Result};
use crate::files::write_atomically;
use crate::out;

/// Files named in a message; a list has all.
const NAMED: usize = 10;
const EXAMPLES: usize = 3;

pub struct Making<'a> {
    /// Of the task, in the cache.
    pub folder: &'a Path,
    pub stamp: &'a str,
    pub rule: Rule,
}

/// A set whose examples have their name.
pub struct Made {
    pub content: String,
    pub about: About,
    pub audit: Audit,
    pub copies: Vec<Vec<u32>>,
}

impl Making<'_> {
    pub fn make(&self, opened: Opened) -> Result<Made> {
        out::say(format_args!("importing {}, once", opened.what));
        let part = self.folder.join("import.part");
        let mut sheet = Sheet::new(&part, &opened)?;
        let leftover = Leftover::find(self.folder, &opened, sheet.size);
        let made = self.fill(&mut sheet, &opened, &leftover).and_then(|seen| {
            // Whatever is refused from here on, no image is read again.
            self.finish(&mut sheet, &opened, &seen).inspect_err(|_| {
                let all: Vec<Option<&Seen>> = seen.iter().map(Some).collect();
                Leftover::keep(self.folder, &opened, &part, &all);
            })
        });
        match made {
            Ok(made) => {
                leftover.remove();
                let examples = self.folder.join(format!("{}.examples", made.content));
                fs::rename(&part, &examples).context(|| format!("cannot write {}", examples.display()))?;
                Ok(made)
            }
            Err(error) => {
                let _ = fs::remove_file(&part);
                Err(error)
            }
        }
    }

    /// Reads all images; every file that cannot be read is named.
    fn fill(&self, sheet: &mut Sheet, opened: &Opened, leftover: &Leftover) -> Result<Vec<Seen>> {
        let count = opened.labels.len();
        let (started, done) = (Instant::now(), AtomicUsize::new(0));
        let size = sheet.size;
        let images = sheet.pixels().par_chunks_exact_mut(size).enumerate();
        let read: Vec<Result<Seen>> = images
            .map(|(index, image)| {
                let seen = leftover.copy(opened, index, image).map_or_else(|| (opened.read)(index, image), Ok);
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if done.is_multiple_of(10_000) {
                    out::say(format_args!("{done} of {count} imported, {:.0} s", started.elapsed().as_secs_f64()));
                }
                seen
            })
            .collect();
        let unreadable: Vec<(usize, String)> = read
            .iter()
            .enumerate()
            .filter_map(|(index, read)| read.as_ref().err().map(|error| (index, error.message.clone())))
            .collect();
        if unreadable.is_empty() {
            return read.into_iter().collect();
        }
        let mut audit = opened.audit.clone();
        audit.refuse(unreadable.iter().filter_map(|(index, _)| opened.files.get(*index).map(PathBuf::as_path)));
        audit.say(&opened.about.classes);
        let usable: Vec<Option<&Seen>> = read.iter().map(|read| read.as_ref().ok()).collect();
        Leftover::keep(self.folder, opened, &self.folder.join("import.part"), &usable);
        let lines = unreadable.iter().map(|(index, message)| {
            let name = opened.name(*index);
            let reason = message.strip_prefix(&format!("{name}: ")).unwrap_or(message);
            format!("{name}\t{reason}")
        });
        let list = self.list("unreadable", "images that cannot be read", &lines.collect::<Vec<_>>())?;
        let named = unreadable.iter().take(NAMED).map(|(_, message)| message.as_str()).collect::<Vec<_>>().join("\n");
        let more = if unreadable.len() > NAMED { format!("\nall of them: {list}") } else { String::new() };
        Err(Error::bad_input(format!("{} of {count} images cannot be read\n{named}{more}", unreadable.len())).hint(
            match opened.files.is_empty() {
                true => "repair or remove them: none is left out silently".into(),
                false => format!(
                    "repair or remove them; or look through the list and go on without those that it names: skip = \"{list}\", or --set skip={list}"
                ),
            },
        ))
    }

    fn finish(&self, sheet: &mut Sheet, opened: &Opened, seen: &[Seen]) -> Result<Made> {
        let mut about = opened.about.clone();
        let places = places(opened);
        let groups = copies::groups(seen);
        let mut audit = opened.audit.clone();
        audit.duplicates = copies::count(&groups, &places);
        let duplicates = &mut audit.duplicates;
        let name = |index: usize| opened.name(index);
        if !groups.is_empty() {
            let lines = copies::lines(&groups, &places, &about.classes, name);
            duplicates.list = Some(self.list("duplicates", "images that are there more than once", &lines)?);
        }
        if self.rule == Rule::Refuse && duplicates.across_parts + duplicates.across_classes > 0 {
            return Err(refused(&groups, &places, &about, duplicates, name));
        }
        let dropped = if self.rule == Rule::Drop { copies::dropped(&groups, &places) } else { Vec::new() };
        duplicates.dropped = dropped.len() as u64;
        let mut kept = vec![true; seen.len()];
        for &index in &dropped {
            kept[index as usize] = false;
            about.parts[places[index as usize].part] -= 1;
        }
        let kept: Vec<usize> = (0..seen.len()).filter(|&index| kept[index]).collect();
        audit.classes = vec![[0; 3]; about.classes.len()];
        for &index in &kept {
            audit.classes[usize::from(places[index].label)][places[index].part] += 1;
        }
        if let Some(class) = audit.classes.iter().position(|parts| parts[0] == 0).filter(|_| !dropped.is_empty()) {
            return Err(Error::bad_input(format!(
                "without the duplicates, class {} has no image to train on",
                about.classes[class]
            ))
            .hint("'duplicates = \"keep\"' takes them all"));
        }
        audit.sizes = if opened.files.is_empty() { None } else { Sizes::of(seen) };
        audit.damaged = self.damaged(opened, seen)?;
        let content = sheet.close(&kept, &about)?;
        let pool = |index: &&usize| places[**index].part == 0;
        let train: Vec<Seen> = kept.iter().filter(pool).map(|&index| seen[index].clone()).collect();
        Ok(Made { content, about, audit, copies: copies::groups(&train) })
    }

    fn damaged(&self, opened: &Opened, seen: &[Seen]) -> Result<Damaged> {
        let damaged = seen.iter().enumerate();
        let lines: Vec<String> = damaged
            .filter_map(|(index, seen)| Some(format!("{}\t{}", opened.name(index), seen.damage.as_ref()?)))
            .collect();
        let list = match lines.is_empty() {
            true => None,
            false => Some(self.list("damaged", "images that are damaged inside", &lines)?),
        };
        let examples = lines.iter().take(EXAMPLES).map(|line| line.replace('\t', ": ")).collect();
        Ok(Damaged { count: lines.len() as u64, examples, list })
    }

    /// A file of names, each with what is to be said of it; it is a list that `skip` takes.
    fn list(&self, kind: &str, what: &str, lines: &[String]) -> Result<String> {
        let path = self.folder.join("lists").join(format!("{}-{kind}.txt", self.stamp));
        let text =
            format!("# {what}; as 'skip = \"FILE\"' this list leaves out the first column\n{}\n", lines.join("\n"));
        write_atomically(&path, text.as_bytes())?;
        Ok(path.display().to_string())
    }
}

fn places(opened: &Opened) -> Vec<Place> {
    let [train, validation, _] = opened.about.parts.map(|count| count as usize);
    let part = |index: usize| usize::from(index >= train) + usize::from(index >= train + validation);
    opened.labels.iter().enumerate().map(|(index, &label)| Place { part: part(index), label }).collect()
}

fn refused(
    groups: &[Vec<u32>],
    places: &[Place],
    about: &About,
    counted: &super::audit::Duplicates,
    name: impl Fn(usize) -> String,
) -> Error {
    let leaks = |group: &&Vec<u32>| copies::across_parts(group, places) || copies::across_classes(group, places);
    let groups: Vec<Vec<u32>> = groups.iter().filter(leaks).take(EXAMPLES).cloned().collect();
    let named = copies::lines(&groups, places, &about.classes, name);
    let named = named.iter().take(EXAMPLES).map(|line| line.replace('\t', ": ")).collect::<Vec<_>>().join("\n");
    let list = counted.list.as_deref().unwrap_or_default();
    let counts = [(counted.across_parts, "several splits"), (counted.across_classes, "several classes")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} in {what}"));
    Error::bad_input(format!(
        "the same image stands where it must not: {}\n{named}\nall of them: {list}",
        counts.collect::<Vec<_>>().join(", ")
    ))
    .hint("duplicates = \"drop\" (--set duplicates=drop) keeps one copy, in the test split if it is there, and none of an image under two labels; \"keep\" takes all as they are")
}

/// The file that becomes a set: labels, then pixels.
struct Sheet {
    path: PathBuf,
    file: File,
    map: MmapMut,
    count: usize,
    /// Bytes of an image.
    size: usize,
}

impl Sheet {
    fn new(path: &Path, opened: &Opened) -> Result<Self> {
        let failed = || format!("cannot write {}", path.display());
        let (count, about) = (opened.labels.len(), &opened.about);
        let size = (about.channels * about.height * about.width) as usize;
        let bytes = count * (LABEL_BYTES + size);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).context(failed)?;
        // All of it now: a disk that is full is an error here and would be a signal in the map.
        nix::fcntl::posix_fallocate(&file, 0, bytes as i64).context(failed)?;
        // SAFETY: nothing else opens the part while the lock on its folder is held.
        let mut map = unsafe { MmapMut::map_mut(&file) }.context(failed)?;
        for (place, label) in map.chunks_exact_mut(LABEL_BYTES).zip(&opened.labels) {
            place.copy_from_slice(&label.to_le_bytes());
        }
        Ok(Self { path: path.into(), file, map, count, size })
    }

    fn pixels(&mut self) -> &mut [u8] {
        &mut self.map[self.count * LABEL_BYTES..]
    }

    /// Leaves the images that are kept, in their order; gives the content's hash.
    fn close(&mut self, kept: &[usize], about: &About) -> Result<String> {
        let failed = || format!("cannot write {}", self.path.display());
        let bytes = kept.len() * (LABEL_BYTES + self.size);
        if kept.len() < self.count {
            let (old, new) = (self.count * LABEL_BYTES, kept.len() * LABEL_BYTES);
            for (to, &from) in kept.iter().enumerate() {
                self.map.copy_within(from * LABEL_BYTES..(from + 1) * LABEL_BYTES, to * LABEL_BYTES);
            }
            for (to, &from) in kept.iter().enumerate() {
                self.map.copy_within(old + from * self.size..old + (from + 1) * self.size, new + to * self.size);
            }
        }
        self.map.flush().context(failed)?;
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(about).context(|| "cannot write JSON")?);
        hash.update(&self.map[..bytes]);
        self.file.set_len(bytes as u64).context(failed)?;
        self.file.sync_all().context(failed)?;
        Ok(digits(hash))
    }
}
