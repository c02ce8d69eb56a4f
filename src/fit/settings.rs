//! How to fit, and on how many threads.

use crate::error::{Context, Error, Result};
use crate::fit::data::origin::Origin;
use crate::fit::laws::fixed::Fix;
use crate::fit::laws::{Domain, Law, power_floor};
use crate::fit::solve::objective::Objective;
use crate::fit::solve::search::Solver;
use crate::fit::uncertainty::bootstrap::Resampling;
use crate::fit::uncertainty::interval::{IntervalKind, needed};

/// Steps granted to one start.
const STEPS: usize = 300;

/// How to fit. `Settings::default()` is what the command line defaults to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// With what is `fixed` of it.
    pub law: &'static dyn Law,
    /// What of the law was given a value or tied, for provenance.
    pub fixed: Vec<Fix>,
    /// Absent: squared residuals of log loss for curves, Huber for surfaces.
    pub objective: Option<Objective>,
    /// Resamples; 0 for no intervals.
    pub bootstrap: usize,
    /// Absent: what suits the number of runs.
    pub resampling: Option<Resampling>,
    pub seed: u64,
    /// Absent: RAYON_NUM_THREADS, or all cores. The result does not depend on it.
    pub threads: Option<usize>,
    pub interval: IntervalKind,
    /// Coverage of the intervals.
    pub level: f64,
    /// The K largest losses of each curve are left out.
    pub exclude_top_loss: usize,
    /// How many of the largest scales are hidden for `holdout_rmse`.
    pub holdout: usize,
    /// Where the points come from, for provenance.
    pub origin: Option<Origin>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            law: &power_floor::PowerFloor,
            fixed: Vec::new(),
            objective: None,
            bootstrap: 2000,
            resampling: None,
            seed: 0,
            threads: None,
            interval: IntervalKind::Percentile,
            level: 0.95,
            exclude_top_loss: 0,
            holdout: 1,
            origin: None,
        }
    }
}

/// Fewer resamples would have no quantile as far out as the level asks for.
pub fn check_bootstrap(settings: &Settings) -> Result<()> {
    let need = needed(settings.level);
    if settings.bootstrap > 0 && settings.bootstrap < need {
        return Err(Error::bad_input(format!(
            "--bootstrap {}: intervals of {} need at least {need} resamples",
            settings.bootstrap, settings.level
        ))
        .hint("--bootstrap 0 asks for none"));
    }
    Ok(())
}

pub fn solver_of(settings: &Settings) -> Solver {
    let objective = settings.objective.unwrap_or(match settings.law.domain() {
        Domain::Curve | Domain::Frontier => Objective::SquaredLog,
        Domain::Surface | Domain::Repeated => Objective::Huber,
    });
    Solver { law: settings.law, objective, max_steps: STEPS }
}

/// Runs `work` on as many threads as asked for.
pub fn in_pool<T: Send>(threads: Option<usize>, work: impl FnOnce() -> T + Send) -> Result<T> {
    match threads {
        None => Ok(work()),
        Some(threads) => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            Ok(pool.context(|| format!("cannot start {threads} threads"))?.install(work))
        }
    }
}
