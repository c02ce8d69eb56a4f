//! A line for who waits more than a moment at a terminal: what takes its time, and how far it is where that is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::is_drawn;
use super::screen::{cut, stderr_size};
use crate::out;
use crate::units::duration;

/// Who waits less wants no line.
const AFTER: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_millis(500);

/// Shows its line from `AFTER` on until it is dropped, or data has been written.
pub struct Waiting {
    done: Arc<AtomicUsize>,
    /// Hung up to end the thread; none where nothing is drawn.
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Waiting {
    /// `what` with the time that has passed.
    pub fn new(what: &str) -> Self {
        let what = what.to_owned();
        Self::showing(move |elapsed, _| format!("{what}, {}", duration(elapsed)))
    }

    /// And how many `things` of `total` are done, as [`Waiting::tick`] counts them.
    pub fn counting(what: &str, total: usize, things: &str) -> Self {
        let (what, things) = (what.to_owned(), things.to_owned());
        Self::showing(move |elapsed, done| counted(&what, done, total, &things, elapsed))
    }

    fn showing(line: impl Fn(f64, usize) -> String + Send + 'static) -> Self {
        let done = Arc::new(AtomicUsize::new(0));
        if !is_drawn() {
            return Self { done, thread: None };
        }
        let (hang_up, hung_up) = mpsc::channel();
        let counter = done.clone();
        let thread = thread::spawn(move || {
            let started = Instant::now();
            while hung_up.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                if started.elapsed() >= AFTER {
                    let line = line(started.elapsed().as_secs_f64(), counter.load(Ordering::Relaxed));
                    out::status(&cut(&line, stderr_size().0.saturating_sub(1)));
                }
            }
        });
        Self { done, thread: Some((hang_up, thread)) }
    }

    /// One more is done.
    pub fn tick(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((hang_up, thread)) = self.thread.take() {
            drop(hang_up);
            // A thread that panicked has nothing left to show.
            let _ = thread.join();
            out::status("");
        }
    }
}

fn counted(what: &str, done: usize, total: usize, things: &str, elapsed: f64) -> String {
    let left = elapsed * total.saturating_sub(done) as f64 / done.max(1) as f64;
    let left = if done > 0 { format!(", {} left", duration(left)) } else { String::new() };
    format!("{what}: {done} of {total} {things}, {}{left}", duration(elapsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_says_how_long_it_still_takes() {
        assert_eq!(counted("simulate", 100, 500, "trials", 12.0), "simulate: 100 of 500 trials, 12 s, 48 s left");
        assert_eq!(counted("simulate", 0, 500, "trials", 12.0), "simulate: 0 of 500 trials, 12 s");
    }
}
