//! crossover: which inductive bias wins at which scale, and where the curves cross.

pub mod budget;
pub mod cache;
pub mod cli;
pub mod error;
pub mod estimate;
pub mod event;
pub mod files;
pub mod fit;
pub mod model;
pub mod plan;
pub mod point;
pub mod random;
pub mod run;
pub mod spec;
pub mod task;
pub mod units;
pub mod worker;

use error::{Error, Result};

/// The worker binary: `$CROSSOVER_WORKER`, else `crossover-worker` beside this program.
pub fn worker_path() -> Result<std::path::PathBuf> {
    if let Some(path) = std::env::var_os("CROSSOVER_WORKER") {
        return Ok(path.into());
    }
    let worker = std::env::current_exe()?.with_file_name("crossover-worker");
    if worker.exists() {
        return Ok(worker);
    }
    Err(Error::failed(format!("there is no worker program at {}", worker.display()))
        .hint("build both programs with 'make build', or set CROSSOVER_WORKER"))
}
