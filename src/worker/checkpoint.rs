//! The files that a stopped run goes on from: its newest checkpoint and the one before. Each is whole or not there, says
//! whose it is and carries a checksum of all that is in it. A flipped bit, the file of another run and a step that the
//! log does not bear out are found and told, and never trained on.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, View, serialize_to_file};
use twox_hash::XxHash3_128;

use super::Assignment;
use crate::error::{Context, Error, Result};
use crate::files;

const NEWEST: &str = "checkpoint.safetensors";
const BEFORE: &str = "checkpoint.previous.safetensors";
/// All that a run's folder may hold of them, the one under way last.
pub const FILES: [&str; 3] = [NEWEST, BEFORE, "checkpoint.safetensors.partial"];
/// The tensor that every checkpoint has: one `i64`.
pub const STEP: &str = "step";

/// Keys of a file's header. The checksum is of the whole file, with zeros in its own place.
const RUN: &str = "run";
const CHECKSUM: &str = "checksum";
const DIGITS: usize = 32;

/// What a run goes on from.
#[derive(Debug)]
pub struct Found<T> {
    /// None: from its beginning.
    pub saved: Option<T>,
    /// What the user is to know of checkpoints that cannot be used.
    pub warning: Option<String>,
}

/// Makes `tensors` the newest checkpoint of a run, and what was the newest the one before. Killed at any moment, one of them
/// is there.
///
/// # Errors
/// The folder cannot be written.
pub fn write<V: View>(folder: &Path, run: &str, tensors: Vec<(&str, V)>) -> Result<()> {
    let [newest, before, partial] = FILES.map(|name| folder.join(name));
    let failed = || format!("cannot write {}", newest.display());
    let header = HashMap::from([(RUN.to_owned(), run.to_owned()), (CHECKSUM.to_owned(), "0".repeat(DIGITS))]);
    serialize_to_file(tensors, &Some(header), &partial).map_err(explain).context(failed)?;
    seal(&partial).context(failed)?;
    files::unless_absent(fs::rename(&newest, &before)).context(failed)?;
    fs::rename(&partial, &newest).context(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).context(failed)
}

/// The newest checkpoint of a run that can be used: whole, of this run, at a step of it up to which the log `bears_out` all
/// that was measured, and one that `take` makes something of. Those that cannot are removed.
///
/// # Errors
/// A checkpoint is there and cannot be read: it may be good, so nothing is removed and nothing starts over.
pub fn read<T>(
    run: &Assignment,
    bears_out: &dyn Fn(u64) -> bool,
    take: &dyn Fn(u64, &SafeTensors) -> Result<T, String>,
) -> Result<Found<T>> {
    let (mut saved, mut refused) = (None, Vec::new());
    for name in [NEWEST, BEFORE] {
        let path = run.folder.join(name);
        let bytes = match files::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(Error::failed(format!("cannot read {}: {error}", path.display()))
                    .hint("mend what keeps it from being read, or remove the file: the run then starts over"));
            }
        };
        match open(bytes, run, bears_out, take) {
            Ok(found) => {
                saved = Some(found);
                break;
            }
            Err(reason) => refused.push((path, reason)),
        }
    }
    // Else the next write would let one take the place of a good one.
    for (path, _) in &refused {
        fs::remove_file(path).context(|| format!("cannot remove {}", path.display()))?;
    }
    let warning = (!refused.is_empty()).then(|| {
        let reasons: Vec<String> =
            refused.iter().map(|(path, reason)| format!("{} {reason}", path.display())).collect();
        let next = match &saved {
            Some((step, _)) => format!("goes on from the checkpoint before, at step {step}"),
            None => "starts over".into(),
        };
        format!("run {} {next}: {}", run.id, reasons.join("; "))
    });
    Ok(Found { saved: saved.map(|(_, state)| state), warning })
}

/// Removes all checkpoints from a run's folder.
pub fn remove(folder: &Path) -> Result<()> {
    FILES.iter().map(|name| folder.join(name)).try_for_each(|path| {
        files::unless_absent(fs::remove_file(&path)).context(|| format!("cannot remove {}", path.display()))
    })
}

/// What a run goes on from, whole or half-written, whichever trainer wrote it.
pub fn is_one(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains("checkpoint") || name.ends_with(".partial")
}

/// Removes what has `checkpoint` in its name from a run's folder, files and folders.
pub fn remove_all(folder: &Path) -> Result<()> {
    let failed = || format!("cannot remove checkpoints from {}", folder.display());
    for entry in fs::read_dir(folder).context(failed)? {
        let path = entry.context(failed)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains("checkpoint")) {
            remove_one(&path).context(failed)?;
        }
    }
    Ok(())
}

/// Some programs write a folder for each.
pub fn remove_one(path: &Path) -> io::Result<()> {
    let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    files::unless_absent(if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) })
}

/// The step and state of a checkpoint, or why it cannot be used, after its name.
fn open<T>(
    mut bytes: Vec<u8>,
    run: &Assignment,
    bears_out: &dyn Fn(u64) -> bool,
    take: &dyn Fn(u64, &SafeTensors) -> Result<T, String>,
) -> Result<(u64, T), String> {
    let not_whole = |error| format!("is not a whole file ({})", explain(error));
    let (header, said) = SafeTensors::read_metadata(&bytes).map_err(not_whole)?;
    // Those of the first release say nothing of themselves.
    if let Some(said) = said.metadata() {
        let place = place_of_checksum(&bytes[..8 + header]).ok_or("is damaged: it has no checksum")?;
        let stated = bytes[place..place + DIGITS].to_vec();
        bytes[place..place + DIGITS].fill(b'0');
        if checksum(&mut &bytes[..]).ok().map(String::into_bytes) != Some(stated) {
            return Err("is damaged: its checksum is not that of its content".into());
        }
        match said.get(RUN) {
            Some(id) if *id == run.id => {}
            other => return Err(format!("is of run {}", other.map_or("that it does not name", String::as_str))),
        }
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(not_whole)?;
    let step = tensors.tensor(STEP).ok().filter(|step| step.dtype() == Dtype::I64);
    let step = step.and_then(|step| step.data().try_into().ok()).map(i64::from_le_bytes);
    let step = step.and_then(|step| u64::try_from(step).ok()).ok_or("does not say at which step it was written")?;
    let end = run.config.steps;
    if step > end {
        return Err(format!("is of step {step}, and the run has {end}"));
    }
    if !bears_out(step) {
        return Err(format!("is of step {step}, and the log lacks what was measured up to it"));
    }
    Ok((step, take(step, &tensors)?))
}

/// Puts the checksum into the header of a file that has zeros there, and the file on the disk.
fn seal(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut header = [0; 8];
    file.read_exact_at(&mut header, 0)?;
    let mut start = vec![0; u64::from_le_bytes(header).min(file.metadata()?.len()) as usize];
    file.read_exact_at(&mut start[8..], 8)?;
    let place = place_of_checksum(&start).ok_or(io::Error::from(ErrorKind::InvalidData))?;
    let sum = checksum(&mut file)?;
    file.write_all_at(sum.as_bytes(), place as u64)?;
    file.sync_all()
}

/// Where the checksum's digits begin, in the beginning of a file that holds its header.
fn place_of_checksum(start: &[u8]) -> Option<usize> {
    let key = format!("\"{CHECKSUM}\":\"");
    let place = start.windows(key.len()).position(|found| found == key.as_bytes())? + key.len();
    (place + DIGITS <= start.len()).then_some(place)
}

fn checksum(content: &mut dyn Read) -> io::Result<String> {
    let (mut hash, mut block) = (XxHash3_128::new(), vec![0; 1 << 20]);
    loop {
        match content.read(&mut block) {
            Ok(0) => return Ok(format!("{:0DIGITS$x}", hash.finish_128())),
            Ok(read) => hash.write(&block[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn explain(error: SafeTensorError) -> String {
    match error {
        SafeTensorError::IoError(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::model::Io;
    use crate::run::{Named, Recipe, RunConfig, Schedule, Settings};

    fn run(folder: &Path) -> Assignment {
        let named = |name: &str| Named { name: name.into(), settings: Settings::new() };
        let train = Recipe {
            batch: 1,
            lr: 1.0,
            weight_decay: 0.0,
            clip: None,
            schedule: Schedule::Constant,
            evals: 1,
            ..Recipe::default()
        };
        let config = RunConfig { model: named("vit"), task: named("mnist1d"), examples: 9, steps: 100, train, seed: 0 };
        let io = Io { channels: 1, height: 1, width: 40, classes: 10 };
        Assignment { id: config.id(), folder: folder.to_path_buf(), attempt: 1, io, config }
    }

    fn save(run: &Assignment, step: u64) {
        let (step, params) = (step.to_le_bytes(), [step as u8; 12]);
        let tensors = vec![
            (STEP, TensorView::new(Dtype::I64, vec![1], &step).unwrap()),
            ("params", TensorView::new(Dtype::F32, vec![3], &params).unwrap()),
        ];
        write(&run.folder, &run.id, tensors).unwrap();
    }

    /// The step that a run goes on from, and what is told.
    fn resumed(run: &Assignment) -> (Option<u64>, Option<String>) {
        let take = |step: u64, tensors: &SafeTensors| {
            assert_eq!(tensors.tensor("params").unwrap().data(), [step as u8; 12]);
            Ok(step)
        };
        let found = read(run, &|_| true, &take).unwrap();
        (found.saved, found.warning)
    }

    fn put(run: &Assignment, files: &[(&str, &[u8])]) {
        remove(&run.folder).unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(run.folder.join(name), bytes).unwrap());
    }

    #[test]
    fn every_flipped_bit_is_found_and_the_checkpoint_before_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        save(&run, 10);
        save(&run, 20);
        let [newest, before] = [NEWEST, BEFORE].map(|name| fs::read(folder.path().join(name)).unwrap());
        assert_eq!(resumed(&run), (Some(20), None));
        for bit in 0..8 * newest.len() {
            let mut flipped = newest.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            put(&run, &[(NEWEST, &flipped), (BEFORE, &before)]);
            let (step, warning) = resumed(&run);
            let warning = warning.unwrap_or_default();
            assert_eq!(step, Some(10), "bit {bit}: {warning}");
            assert!(warning.starts_with(&format!("run {} goes on from the checkpoint before, at step 10: ", run.id)));
            assert!(warning.contains(NEWEST) && !warning.contains('\n'), "{warning}");
            assert!(!folder.path().join(NEWEST).exists(), "it would become the one before");
        }
        put(&run, &[(NEWEST, &newest[..newest.len() - 1]), (BEFORE, b"")]);
        let (step, warning) = resumed(&run);
        assert_eq!(step, None);
        assert!(warning.unwrap().starts_with(&format!("run {} starts over: ", run.id)));
        assert_eq!(resumed(&run), (None, None));
    }

    #[test]
    fn two_are_kept_and_one_of_them_is_good_whenever_a_writer_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        [10, 20, 30].iter().for_each(|step| save(&run, *step));
        let [newest, before, partial] = FILES.map(|name| folder.path().join(name));
        assert!(newest.exists() && before.exists() && !partial.exists());
        // Killed in the middle of the new file, and between the two renames.
        fs::write(&partial, b"half").unwrap();
        assert_eq!(resumed(&run), (Some(30), None));
        fs::rename(&newest, &before).unwrap();
        assert_eq!(resumed(&run), (Some(30), None));
        save(&run, 40);
        assert_eq!(resumed(&run), (Some(40), None));
        remove(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_this_runs_or_not_in_its_log_is_not_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        let mut other = run.clone();
        other.config.seed += 1;
        other.id = other.config.id();
        save(&other, 20);
        let (step, warning) = resumed(&run);
        assert_eq!(step, None);
        assert!(warning.unwrap().ends_with(&format!("{NEWEST} is of run {}", other.id)));
        save(&run, 101);
        assert!(resumed(&run).1.unwrap().ends_with("is of step 101, and the run has 100"));
        save(&run, 10);
        save(&run, 20);
        let found = read(&run, &|step| step < 20, &|step, _| Ok(step)).unwrap();
        assert_eq!(found.saved, Some(10));
        assert!(found.warning.unwrap().ends_with("is of step 20, and the log lacks what was measured up to it"));
        save(&run, 30);
        let refuse = |step: u64, _: &SafeTensors| if step == 30 { Err("has no 'first'".into()) } else { Ok(step) };
        let found = read(&run, &|_| true, &refuse).unwrap();
        assert_eq!((found.saved, found.warning.unwrap().ends_with("has no 'first'")), (Some(10), true));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_the_path_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        save(&run, 10);
        save(&run, 20);
        let path = folder.path().join(NEWEST);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = read(&run, &|_| true, &|step, _| Ok(step)).unwrap_err();
        assert!(error.message.contains(&path.display().to_string()), "{error}");
        assert!(path.is_dir() && folder.path().join(BEFORE).exists());
    }

    /// As the first release wrote them.
    #[test]
    fn a_checkpoint_without_a_checksum_is_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        let step = 20u64.to_le_bytes();
        let tensors = [
            (STEP, TensorView::new(Dtype::I64, vec![1], &step).unwrap()),
            ("params", TensorView::new(Dtype::F32, vec![3], &[20; 12]).unwrap()),
        ];
        serialize_to_file(tensors, &None, &folder.path().join(NEWEST)).unwrap();
        assert_eq!(resumed(&run), (Some(20), None));
    }
}
