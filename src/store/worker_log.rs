//! What is kept of a worker's stderr with the run that it is about.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::Reader;
use crate::error::{Context, Result};
use crate::files;

/// As src/script/attempt.rs writes it.
const SCRIPT: &str = crate::script::attempt::LOG;
/// Of a longer one the end is shown.
const MOST: u64 = 256 << 10;

impl Reader {
    /// Where the log that was kept of a run's last failed worker is, or what its script printed.
    pub fn worker_log_file(&self, run: &str) -> PathBuf {
        let of_script = self.run_folder(run).join(SCRIPT);
        if of_script.exists() { of_script } else { self.run_folder(run).join("worker.log") }
    }

    /// Its end, and where it is; none where none was kept.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn worker_log(&self, run: &str) -> Result<(Option<String>, PathBuf)> {
        let path = self.worker_log_file(run);
        let read = || {
            let mut file = files::open(&path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
            let mut bytes = Vec::new();
            file.take(MOST).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        match read() {
            Ok(text) => Ok((Some(text), path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok((None, path)),
            Err::<_, std::io::Error>(error) => Err(error).context(|| format!("cannot read {}", path.display())),
        }
    }
}
