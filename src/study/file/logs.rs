//! Logs that other programs keep of training: TensorBoard's event files and W&B's run files, each row a step of a run.

mod tensorboard;
mod wandb;

use std::path::{Path, PathBuf};

use super::table::{Gathered, Table};
use crate::error::{Context, Error, Result};

/// Folders below the given one that are looked into.
const DEPTH: usize = 8;

/// What a folder's logs hold, and what of them could not be read.
#[derive(Debug)]
pub struct Logs {
    pub table: Table,
    pub notes: Vec<String>,
}

/// The format of a log, by its file's name: the only thing that an event file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    TensorBoard,
    Wandb,
}

impl Kind {
    fn of(path: &Path) -> Option<Kind> {
        let name = path.file_name()?.to_string_lossy();
        if name.contains("tfevents") {
            Some(Kind::TensorBoard)
        } else {
            name.ends_with(".wandb").then_some(Kind::Wandb)
        }
    }
}

/// Whether there are logs to read at this path: a folder, or one log.
pub fn is_logs(path: &Path) -> bool {
    path.is_dir() || Kind::of(path).is_some()
}

/// Every log in a folder and below, or the one log that the path names. A run is a row for each step of which anything
/// was logged, in the order of steps; what W&B knows of its config stands in each of its rows. A log that ends in the
/// middle of a record (its run was killed, or still writes) gives what is whole.
///
/// # Errors
/// The folder cannot be read or holds no log; no log holds a number.
pub fn read(path: &Path) -> Result<Logs> {
    let mut files = Vec::new();
    match path.is_dir() {
        true => gather(path, DEPTH, &mut files)?,
        false => files.extend(Kind::of(path).map(|kind| (kind, path.to_path_buf()))),
    }
    let shown = path.display();
    if files.is_empty() {
        return Err(Error::bad_input(format!("{shown} holds no logs of TensorBoard or W&B"))
            .hint("a log is a file called *tfevents* or *.wandb; tables are read one by one: --file FILE"));
    }
    let (mut gathered, mut notes) = (Gathered::default(), Vec::new());
    for (kind, file) in files {
        let bytes = crate::files::read(&file).context(|| format!("cannot read {}", file.display()))?;
        let whole = match kind {
            Kind::TensorBoard => tensorboard::rows(&bytes, &run_of(path, &file), &mut gathered),
            Kind::Wandb => wandb::rows(&bytes, &mut gathered),
        };
        if let Err(Damage { at, what }) = whole {
            notes.push(format!("{}: {what} at byte {at}; what stands before it is read", file.display()));
        }
    }
    let table = gathered.table(&shown.to_string()).ok_or_else(|| {
        let error = Error::bad_input(format!("the logs in {shown} hold no numbers"));
        notes.iter().fold(error, |error, note| error.hint(note.clone()))
    })?;
    Ok(Logs { table, notes })
}

/// Where a log stops making sense.
#[derive(Debug, PartialEq)]
struct Damage {
    at: usize,
    what: &'static str,
}

/// TensorBoard names a run by its folder.
fn run_of(root: &Path, file: &Path) -> String {
    let folder = file.parent().unwrap_or(root);
    let below = folder.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    let name = below.or_else(|| folder.file_name().map(Path::new)).unwrap_or(folder);
    name.display().to_string()
}

/// Logs in the order of their names; links are not followed, so that there is an end.
fn gather(folder: &Path, depth: usize, files: &mut Vec<(Kind, PathBuf)>) -> Result<()> {
    let entries = || std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>();
    let mut entries = entries().context(|| format!("cannot read {}", folder.display()))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().context(|| format!("cannot read {}", folder.display()))?);
        if kind.is_dir() && depth > 0 {
            gather(&path, depth - 1, files)?;
        } else if kind.is_file() {
            files.extend(Kind::of(&path).map(|kind| (kind, path)));
        }
    }
    Ok(())
}

/// The little-endian number at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::Rng;

    use super::*;
    use crate::random;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (run, loss) in [("vit/s0", 2.5f32), ("conv", 2.0)] {
            let of_run = dir.path().join(run);
            std::fs::create_dir_all(&of_run).unwrap();
            let events = tensorboard::tests::events(&[(100, "val/loss", loss), (300, "val/loss", loss / 2.0)]);
            std::fs::write(of_run.join("events.out.tfevents.1.host"), events).unwrap();
        }
        std::fs::write(dir.path().join("notes.txt"), "no log").unwrap();
        dir
    }

    #[test]
    fn a_folder_of_runs_is_one_table() {
        let dir = folder();
        let Logs { table, notes } = read(dir.path()).unwrap();
        assert_eq!((table.rows(), notes.len()), (4, 0));
        let (run, step, loss) = ["run", "step", "val/loss"].map(|name| table.column(name).unwrap()).into();
        let row = |row| [run, step, loss].map(|column| table.shown(row, column));
        assert_eq!(
            (row(0), row(3)),
            (["conv", "100", "2"].map(String::from), ["vit/s0", "300", "1.25"].map(String::from))
        );
    }

    #[test]
    fn a_folder_without_logs_and_one_without_numbers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap_err().message.contains("holds no logs"));
        std::fs::write(dir.path().join("events.out.tfevents.1"), b"").unwrap();
        assert!(read(dir.path()).unwrap_err().message.contains("hold no numbers"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let logs = [tensorboard::tests::events(&[(1, "loss", 2.0), (2, "loss", 1.0)]), wandb::tests::log()];
        for index in 0..4000 {
            let mut rng = random::stream(0, "logs", index);
            let mut bytes = logs[index as usize % 2].clone();
            for _ in 0..=rng.next_u32() % 6 {
                let at = rng.next_u32() as usize % bytes.len();
                match rng.next_u32() % 3 {
                    0 => bytes[at] = rng.next_u32() as u8,
                    1 => bytes.truncate(at.max(1)),
                    _ => drop(bytes.remove(at)),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let mut gathered = Gathered::default();
            let _ = if index % 2 == 0 {
                tensorboard::rows(&bytes, "r", &mut gathered)
            } else {
                wandb::rows(&bytes, &mut gathered)
            };
        }
    }
}
