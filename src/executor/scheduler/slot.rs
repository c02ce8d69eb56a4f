//! A place for one worker, and what is held against it.

use std::collections::HashSet;
use std::time::Duration;

use super::super::jobs::PlannedJob;
use crate::worker::program::TrainedBy;

/// Silence of so many of the longest times between reports is a hang, but none that is shorter than this.
const GAPS: u32 = 50;
const SHORTEST_HANG: Duration = Duration::from_secs(600);
/// A worker that starts loads libtorch and wakes its device; one that begins a job reads its data.
const STARTS_WITHIN: Duration = Duration::from_secs(600);
const BEGINS_WITHIN: Duration = Duration::from_secs(3600);

pub(super) enum Worker {
    None,
    /// Started and not ready.
    Starting {
        since: Duration,
        killed: Option<Duration>,
    },
    Idle,
    Busy {
        job: PlannedJob,
        heard: Duration,
        reports: u64,
        killed: Option<Duration>,
    },
    /// Killed without a job: its place is free when it is gone, or for a worker of another kind.
    Leaving {
        killed: Duration,
        for_another: bool,
    },
    /// The slot is not used any more.
    LeftAlone,
}

impl Worker {
    pub fn busy(job: PlannedJob, now: Duration) -> Worker {
        Worker::Busy { job, heard: now, reports: 0, killed: None }
    }
}

pub(super) struct Slot {
    pub name: String,
    pub worker: Worker,
    /// What its worker trains, or the one that comes next.
    pub trains: TrainedBy,
    /// Runs of jobs that failed here in a row, and that nobody else has failed since.
    pub strikes: Vec<HashSet<String>>,
    /// One of those succeeded elsewhere.
    pub confirmed: bool,
    /// Of the first strike in the row.
    pub struck_since: Option<Duration>,
    /// When a job of it last succeeded.
    pub succeeded: Option<Duration>,
    /// Why its last job failed.
    pub last_words: String,
    /// Workers that ended before they were ready, in a row.
    pub bad_starts: u32,
    pub was_ready: bool,
    /// No worker is started earlier.
    pub not_before: Duration,
}

impl Slot {
    pub fn new(name: String) -> Slot {
        Slot {
            name,
            worker: Worker::None,
            trains: TrainedBy::Libtorch,
            strikes: Vec::new(),
            confirmed: false,
            struck_since: None,
            succeeded: None,
            last_words: String::new(),
            bad_starts: 0,
            was_ready: false,
            not_before: Duration::ZERO,
        }
    }

    pub fn is_ready(&mut self) {
        if let Worker::Starting { killed: None, .. } = self.worker {
            self.worker = Worker::Idle;
            (self.bad_starts, self.was_ready) = (0, true);
        }
    }

    pub fn is_busy(&self) -> bool {
        matches!(self.worker, Worker::Busy { .. })
    }

    pub fn is_starting(&self) -> bool {
        matches!(self.worker, Worker::Starting { .. })
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.worker, Worker::Idle)
    }

    /// Whether a worker of this kind is there soon.
    pub fn is_coming(&self, trains: TrainedBy) -> bool {
        let comes = matches!(self.worker, Worker::Starting { .. } | Worker::Leaving { for_another: true, .. });
        comes && self.trains == trains
    }

    /// An idle worker leaves for one of another kind.
    pub fn make_room(&mut self, now: Duration, trains: TrainedBy) {
        (self.worker, self.trains) = (Worker::Leaving { killed: now, for_another: true }, trains);
    }

    /// It would take a job, at once or once its worker is ready.
    pub fn is_free(&self) -> bool {
        match self.worker {
            Worker::None | Worker::Idle | Worker::Starting { killed: None, .. } => true,
            Worker::Leaving { for_another, .. } => for_another,
            Worker::Starting { .. } | Worker::Busy { .. } | Worker::LeftAlone => false,
        }
    }

    pub fn is_left_alone(&self) -> bool {
        matches!(self.worker, Worker::LeftAlone)
    }

    pub fn has_worker(&self) -> bool {
        !matches!(self.worker, Worker::None | Worker::LeftAlone)
    }

    pub fn may_start(&self, now: Duration) -> bool {
        matches!(self.worker, Worker::None) && now >= self.not_before
    }

    pub fn job(&self) -> Option<&PlannedJob> {
        if let Worker::Busy { job, .. } = &self.worker { Some(job) } else { None }
    }

    pub fn job_mut(&mut self) -> Option<&mut PlannedJob> {
        if let Worker::Busy { job, .. } = &mut self.worker { Some(job) } else { None }
    }

    /// Its worker is not busy any more, and leaving if it was killed.
    pub fn take_job(&mut self) -> Option<PlannedJob> {
        match std::mem::replace(&mut self.worker, Worker::Idle) {
            Worker::Busy { job, killed, .. } => {
                if let Some(killed) = killed {
                    self.worker = Worker::Leaving { killed, for_another: false };
                }
                Some(job)
            }
            other => {
                self.worker = other;
                None
            }
        }
    }

    /// Whether there is something to kill that was not killed before.
    pub fn kill(&mut self, now: Duration) -> bool {
        match &mut self.worker {
            Worker::Starting { killed, .. } | Worker::Busy { killed, .. } if killed.is_none() => {
                *killed = Some(now);
                true
            }
            Worker::Idle => {
                self.worker = Worker::Leaving { killed: now, for_another: false };
                true
            }
            _ => false,
        }
    }

    pub fn killed(&self) -> Option<Duration> {
        match &self.worker {
            Worker::Starting { killed, .. } | Worker::Busy { killed, .. } => *killed,
            Worker::Leaving { killed, .. } => Some(*killed),
            Worker::None | Worker::Idle | Worker::LeftAlone => None,
        }
    }

    /// For how long a worker that has something to say has said nothing.
    pub fn silence(&self, now: Duration) -> Option<Duration> {
        match &self.worker {
            Worker::Starting { since, killed: None } => Some(now.saturating_sub(*since)),
            Worker::Busy { heard, killed: None, .. } => Some(now.saturating_sub(*heard)),
            _ => None,
        }
    }

    /// How much silence is too much: as a person says, or as the times between reports say.
    pub fn patience(&self, hang: Option<Duration>, longest_gap: Duration) -> Duration {
        let seen = longest_gap.saturating_mul(GAPS).max(SHORTEST_HANG);
        match &self.worker {
            Worker::Busy { reports: 0, .. } => hang.unwrap_or(seen.max(BEGINS_WITHIN)),
            Worker::Busy { .. } => hang.unwrap_or(seen),
            _ => STARTS_WITHIN,
        }
    }

    pub fn forgive(&mut self, now: Duration) {
        self.strikes.clear();
        (self.confirmed, self.struck_since, self.succeeded) = (false, None, Some(now));
    }
}
