//! One life of a script: it is asked, it runs, it says lines. Each attempt has a file of lines of its own, so that what
//! outlives a kill never writes among the lines of its successor.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::Script;
use super::process::{Running, Start, end_all_of};
use super::protocol::{Asked, Line, read};
use crate::error::{Context, Error, Result};
use crate::files;

/// Its stdout and stderr, of all attempts.
pub const LOG: &str = "script.log";
/// What an attempt is asked is in `script-1.json`, and what it says in `script-1.jsonl`.
const OF_ATTEMPT: &str = "script-";
/// A longer line is none.
const LONGEST: usize = 1 << 20;

pub struct Attempt {
    pub running: Running,
    tail: Tail,
    steps: u64,
}

/// A line that was said, or which rule it breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub text: String,
    pub line: Result<Line, String>,
}

/// Where the lines of an attempt go.
pub fn lines_file(folder: &Path, attempt: u32) -> PathBuf {
    folder.join(format!("{OF_ATTEMPT}{attempt}.jsonl"))
}

/// Where it stands what an attempt is asked.
pub fn asked_file(folder: &Path, attempt: u32) -> PathBuf {
    folder.join(format!("{OF_ATTEMPT}{attempt}.json"))
}

/// Removes what all attempts said: for a run that is over, whose log has it.
///
/// # Errors
/// A file cannot be removed.
pub fn remove_lines(folder: &Path) -> Result<()> {
    all_lines_files(folder)?.iter().try_for_each(|path| {
        files::unless_absent(std::fs::remove_file(path)).context(|| format!("cannot remove {}", path.display()))
    })
}

/// Ends what is left of any attempt that was asked in this folder.
///
/// # Errors
/// A process cannot be ended, by its number.
pub fn end_leftovers(folder: &Path) -> Result<usize> {
    // What a run left that is done again was put aside.
    let is_trace = |name: &str| name.starts_with(OF_ATTEMPT) || name.starts_with("kept-");
    let mut names = std::fs::read_dir(folder).context(|| format!("cannot read {}", folder.display()))?.flatten();
    let begun = names.any(|entry| is_trace(&entry.file_name().to_string_lossy()));
    if begun { end_all_of(&folder.join(OF_ATTEMPT)) } else { Ok(0) }
}

/// The files of lines of all attempts so far, in their order.
pub fn all_lines_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot read {}", folder.display());
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder).context(failed)? {
        let path = entry.context(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(OF_ATTEMPT).and_then(|name| name.strip_suffix(".jsonl"));
        found.extend(number.and_then(|number| Some((number.parse().ok()?, path.clone()))));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

impl Attempt {
    /// Starts the script in its folder, where `asked` is written first.
    ///
    /// # Errors
    /// The folder cannot be written, the program not be started.
    pub fn start(script: &Script, asked: &Asked, grace: Duration) -> Result<Attempt> {
        let (folder, file) = (asked.folder, asked_file(asked.folder, asked.attempt));
        let failed = || format!("cannot write into {}", folder.display());
        let text = serde_json::to_vec_pretty(asked).context(failed)?;
        files::write_atomically(&file, &text)?;
        let tail = Tail::begin(asked.events)?;
        let mut log = OpenOptions::new().create(true).append(true).open(folder.join(LOG)).context(failed)?;
        writeln!(log, "--- attempt {} from step {}", asked.attempt, asked.resume).context(failed)?;
        let running = Running::start(Start {
            script: &script.declared,
            folder,
            asked: &file,
            describe: false,
            stdout: log.try_clone().context(failed)?,
            stderr: log,
            grace,
        })?;
        Ok(Attempt { running, tail, steps: asked.steps })
    }

    /// What it has said since.
    ///
    /// # Errors
    /// Its lines cannot be read.
    pub fn heard(&mut self) -> Result<Vec<Said>> {
        self.tail.said(self.steps)
    }

    /// How it ended, if it has; call [`Self::heard`] for its last words then.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.running.ended()
    }
}

/// Reads lines as they come.
pub struct Tail {
    file: File,
    path: PathBuf,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Tail {
    /// Of a file that an attempt is to write. Where a killed one of the same number left half a line, that ends here.
    fn begin(path: &Path) -> Result<Tail> {
        let failed = || format!("cannot write {}", path.display());
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).context(failed)?;
        let mut last = [b'\n'];
        if file.metadata().context(failed)?.len() > 0 {
            file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).context(failed)?;
        }
        if last != *b"\n" {
            file.write_all(b"\n").context(failed)?;
        }
        file.seek(SeekFrom::End(0)).context(failed)?;
        Ok(Tail { file, path: path.to_owned(), rest: Vec::new() })
    }

    /// Of a file that is there, from its beginning.
    pub fn of(path: &Path) -> Result<Tail> {
        let file = files::open(path).context(|| format!("cannot read {}", path.display()))?;
        Ok(Tail { file, path: path.to_owned(), rest: Vec::new() })
    }

    /// Whole lines; half of one is the beginning of the next. Empty ones are none.
    pub fn said(&mut self, steps: u64) -> Result<Vec<Said>> {
        let failed = || format!("cannot read {}", self.path.display());
        self.file.read_to_end(&mut self.rest).context(failed)?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return match self.rest.len() > LONGEST {
                true => Err(Error::failed(format!("{} has a line of more than 1 MiB", self.path.display()))),
                false => Ok(Vec::new()),
            };
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        let text = String::from_utf8_lossy(&whole);
        let said = |text: &str| Said { line: read(text, steps), text: text.to_owned() };
        Ok(text.lines().filter(|line| !line.trim().is_empty()).map(said).collect())
    }

    /// The beginning of a line that has not ended.
    pub fn rest(&self) -> String {
        String::from_utf8_lossy(&self.rest).into_owned()
    }
}

impl Attempt {
    /// A last line that it did not end.
    pub fn unended(&self) -> Option<String> {
        Some(self.tail.rest()).filter(|rest| !rest.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_waits_for_its_end_and_a_torn_one_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = lines_file(dir.path(), 2);
        let checkpoint = |step| Line::Checkpoint { step };
        std::fs::write(&path, "{\"event\":\"checkpoint\",\"step\":1}\n{\"event\":\"chec").unwrap();
        let mut tail = Tail::of(&path).unwrap();
        let lines = |said: Vec<Said>| said.into_iter().map(|said| said.line.ok()).collect::<Vec<_>>();
        assert_eq!(lines(tail.said(9).unwrap()), [Some(checkpoint(1))]);
        let mut next = Tail::begin(&path).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "{{\"event\":\"checkpoint\",").unwrap();
        assert_eq!(next.said(9).unwrap(), []);
        writeln!(file, "\"step\":3}}\n").unwrap();
        assert_eq!(lines(next.said(9).unwrap()), [Some(checkpoint(3))]);
        assert_eq!(lines(Tail::of(&path).unwrap().said(9).unwrap()), [Some(checkpoint(1)), None, Some(checkpoint(3))]);
        std::fs::write(lines_file(dir.path(), 10), "").unwrap();
        std::fs::write(dir.path().join("script-x.jsonl"), "").unwrap();
        assert_eq!(all_lines_files(dir.path()).unwrap(), [path, lines_file(dir.path(), 10)]);
    }
}
