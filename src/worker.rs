//! One slot's process: takes jobs on stdin, trains them, says how it goes on stdout, and never outlives the
//! orchestrator that started it. It knows nothing of sweeps, retries or the database: results go to the runs' logs.

pub mod checkpoint;
pub mod cuda;
pub mod noop;
#[cfg(not(torch))]
pub mod program;
#[cfg(not(torch))]
pub mod script;

use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::event::Event;
use crate::here;
use crate::model::Io;
use crate::out;
use crate::run::{Named, Precision, RunConfig};

/// A worker that was told to stop and has not after this long ends itself: a hang is not orphaned either.
const GRACE: Duration = Duration::from_secs(30);
/// Progress is for people: no more often than this.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Runs that are trained together, one line of JSON on stdin. Several are a pack: equal but for learning rate, weight
/// decay, examples and seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub runs: Vec<Assignment>,
}

/// One attempt at one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub id: String,
    /// The run's folder: `events.jsonl` and checkpoints.
    pub folder: PathBuf,
    /// Counted from 1; what a `Start` and an `End` event carry.
    pub attempt: u32,
    pub io: Io,
    pub config: RunConfig,
}

impl Assignment {
    /// What an attempt's log begins with, on this device of this machine.
    pub fn start(&self, device: &str, from_step: u64) -> Event {
        Event::Start {
            attempt: self.attempt,
            time: here::now(),
            host: here::hostname(),
            device: device.to_owned(),
            pid: std::process::id(),
            from_step,
            precision: Some(self.config.train.precision),
        }
    }
}

/// What a worker says on stdout, one line of JSON each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Message {
    /// Ready for its first job.
    Ready,
    Progress(Progress),
    /// What the user is to know at once though the job goes on: a checkpoint that cannot be used, for example.
    Warning {
        text: String,
    },
    /// The job is over; how each run ended is in its log. `failure` is said of the runs whose log has no end.
    Finished {
        failure: Option<String>,
    },
}

/// `loss` is the mean over the pack, in nats per example, and NaN while a script has said none; `examples_per_second` counts
/// all of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub step: u64,
    #[serde(deserialize_with = "number_or_none")]
    pub loss: f64,
    pub examples_per_second: f64,
}

/// JSON has no NaN: it is written as null.
fn number_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// What a trainer says while it trains.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    Progress(Progress),
    Warning(String),
}

/// What trains a job. It writes `Start`, `Metrics` and `End` events to the log of every run (`event::EventLog`), and
/// goes on from the checkpoint in the run's folder if there is one.
pub trait Trainer {
    /// Computes something on the device, before the worker says that it is ready: one that does not work is found out
    /// here, and not by the first runs.
    fn prepare(&mut self) -> Result<()>;

    /// Returns when all runs have ended. When `stop` is set it writes a checkpoint and `End` with `Stopped`, and
    /// returns within seconds. `report` may be called at every step. An error is a failed attempt of every run that
    /// has no `End`.
    fn train(&mut self, job: &Job, stop: &AtomicBool, report: &mut dyn FnMut(Report)) -> Result<()>;
}

enum Order {
    Train(Job),
    Stop,
}

/// Trains the jobs that come on stdin, one after the other, until stdin closes or SIGTERM comes.
///
/// # Errors
/// A line that is not a job, or a stdout that is gone.
pub fn serve(trainer: &mut dyn Trainer) -> Result<()> {
    let mut out = take_stdout()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, orders) = mpsc::channel();
    listen_to_signals(&stop, sender.clone())?;
    thread::spawn({
        let stop = stop.clone();
        move || read_orders(&stop, &sender)
    });
    trainer.prepare()?;
    say(&mut out, &Message::Ready)?;
    while let Ok(order) = orders.recv() {
        match order {
            Ok(Order::Train(job)) => train(trainer, &job, &stop, &mut out)?,
            Ok(Order::Stop) => break,
            Err(error) => return Err(error),
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

fn train(trainer: &mut dyn Trainer, job: &Job, stop: &AtomicBool, out: &mut File) -> Result<()> {
    let mut last: Option<Instant> = None;
    // An orchestrator that is gone is noticed by stdin, which closes with it.
    let result = trainer.train(job, stop, &mut |report| match report {
        Report::Progress(progress) if last.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY) => {
            last = Some(Instant::now());
            let _ = say(out, &Message::Progress(progress));
        }
        Report::Progress(_) => {}
        Report::Warning(text) => {
            out::say(format_args!("warning: {text}"));
            let _ = say(out, &Message::Warning { text });
        }
    });
    let failure = result.err().map(|error| {
        out::say(format_args!("error: {error}"));
        error.message
    });
    match say(out, &Message::Finished { failure }) {
        Err(_) if stop.load(Ordering::Relaxed) => Ok(()),
        said => said,
    }
}

fn say(out: &mut File, message: &Message) -> Result<()> {
    let mut line = serde_json::to_vec(message).context(|| "cannot write a message")?;
    line.push(b'\n');
    out.write_all(&line).context(|| "cannot write to the orchestrator")
}

/// Keeps the real stdout for messages and points file descriptor 1 at stderr, so that what a library prints cannot
/// garble the protocol.
fn take_stdout() -> Result<File> {
    let take = || {
        let real: OwnedFd = nix::unistd::dup(std::io::stdout())?;
        nix::unistd::dup2_stdout(std::io::stderr())?;
        nix::fcntl::fcntl(&real, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        Ok::<_, nix::Error>(File::from(real))
    };
    take().context(|| "cannot take over stdout")
}

/// SIGTERM (also sent by the kernel when the orchestrator dies) stops as a closed stdin does. SIGINT is the
/// orchestrator's business.
fn listen_to_signals(stop: &Arc<AtomicBool>, orders: Sender<Result<Order>>) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).context(|| "cannot listen to signals")?;
    let stop = stop.clone();
    thread::spawn(move || {
        for signal in signals.forever() {
            if signal != SIGINT {
                stop_soon(&stop, &orders);
            }
        }
    });
    Ok(())
}

fn read_orders(stop: &AtomicBool, orders: &Sender<Result<Order>>) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let job = serde_json::from_str(&line).map_err(|error| {
            Error::failed(format!("stdin: not a job: {error}"))
                .hint("'crossover-worker serve' is started by 'crossover run'; both must be of the same build")
        });
        if orders.send(job.map(Order::Train)).is_err() {
            return;
        }
    }
    stop_soon(stop, orders);
}

/// Waits itself: where memory ran out no further thread may be had.
fn stop_soon(stop: &AtomicBool, orders: &Sender<Result<Order>>) {
    if !stop.swap(true, Ordering::Relaxed) {
        let _ = orders.send(Ok(Order::Stop));
        thread::sleep(GRACE);
        let grace = GRACE.as_secs();
        out::say(format_args!("error: asked to stop and still busy after {grace} s: ending without a checkpoint"));
        std::process::exit(1);
    }
}

/// A shape whose training step `crossover-worker measure` times: a JSON list of these on stdin, a JSON list of seconds
/// per step on stdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub model: Named,
    pub io: Io,
    pub batch: u64,
    #[serde(default, skip_serializing_if = "Precision::is_usual")]
    pub precision: Precision,
}
