//! `crossover cancel`: stops who trains in a store, wherever it was started, so that it can be gone on with.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use super::print_json;
use super::typed::typed;
use crate::error::{Error, Result};
use crate::executor::slurm;
use crate::here::hostname;
use crate::out;
use crate::shell::quoted;
use crate::store::{Reader, Writer};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  crossover cancel                stop what is being trained in the store
  crossover cancel quickstart     only if it is this sweep

It does what Ctrl-C does where 'crossover run' was typed: workers write their checkpoints, and 'crossover resume' goes on.
Pilots of Slurm are told to stop in the same way, and those that wait are taken out of the queue.")]
pub struct Args {
    /// Only if this sweep is being trained now
    #[arg(value_name = "SWEEP")]
    sweep: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Workers that do not write their checkpoints within 35 s are killed; this is longer.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Report<'a> {
    /// Whether something was being trained, and is not any more.
    stopped: bool,
    #[serde(flatten)]
    writer: Option<&'a Writer>,
    /// Pilots of Slurm that were told to stop.
    pilots: usize,
    seconds: f64,
}

pub fn run(args: &Args, store: &Path) -> Result<()> {
    let reader = Reader::open(store)?;
    if let Some(sweep) = &args.sweep {
        reader.sweep(sweep)?;
    }
    let since = Instant::now();
    // Before pilots: whoever waits for them would replace them.
    let writer = writer(&reader, store)?;
    let writer = match writer {
        // It is another sweep's, and pilots are what was meant.
        Some(Writer { sweep: Some(sweep), .. })
            if args.sweep.as_ref().is_some_and(|asked| *asked != sweep) && has_pilots(args, &reader, store)? =>
        {
            None
        }
        writer => writer,
    };
    if let Some(writer) = &writer {
        refuse_other(args, writer, store)?;
        stop(&reader, writer, store)?;
    }
    let pilots = pilots(args, &reader, store)?;
    let seconds = since.elapsed().as_secs_f64();
    if args.json {
        return print_json(&Report {
            stopped: writer.is_some() || pilots > 0,
            writer: writer.as_ref(),
            pilots,
            seconds,
        });
    }
    if let Some(writer) = &writer {
        let goes_on = writer.sweep.as_ref().map_or(String::new(), |sweep| goes_on(sweep, store));
        let Writer { pid, command, .. } = writer;
        out::line(format_args!("process {pid} ({command}) has stopped after {seconds:.1} s{goes_on}"))?;
    }
    if pilots > 0 {
        let goes_on = args.sweep.as_ref().map_or(String::new(), |sweep| goes_on(sweep, store));
        let who = if pilots == 1 { "1 pilot of Slurm has".into() } else { format!("{pilots} pilots of Slurm have") };
        out::line(format_args!("{who} stopped after {seconds:.1} s{goes_on}"))?;
    }
    match (writer, pilots) {
        (None, 0) => out::line(format_args!("nothing is being trained in {}", store.display())),
        _ => Ok(()),
    }
}

fn goes_on(sweep: &str, store: &Path) -> String {
    typed(&format!("; 'crossover resume {}' goes on from here", quoted(sweep)), store)
}

/// Runs of the sweep that was named; none: all are meant.
fn members(args: &Args, reader: &Reader) -> Result<Option<BTreeSet<String>>> {
    let runs = args.sweep.as_ref().map(|sweep| reader.runs(sweep)).transpose()?;
    Ok(runs.map(|runs| runs.into_iter().map(|run| run.id).collect()))
}

fn has_pilots(args: &Args, reader: &Reader, store: &Path) -> Result<bool> {
    let taken = slurm::taken(store)?;
    Ok(members(args, reader)?.is_none_or(|members| members.iter().any(|run| taken.contains(run))))
}

/// Stops those of the sweep that was named, or all; how many.
///
/// # Errors
/// Slurm does not answer, or some are still there.
fn pilots(args: &Args, reader: &Reader, store: &Path) -> Result<usize> {
    let members = members(args, reader)?;
    let wanted = |run: &str| members.as_ref().is_none_or(|members| members.contains(run));
    let (told, left) = slurm::cancel(store, &wanted)?;
    let left: Vec<&str> = left.iter().flat_map(|view| &view.pilots).map(|pilot| pilot.job.as_str()).collect();
    if left.is_empty() {
        return Ok(told);
    }
    Err(Error::failed(format!(
        "pilots still write their checkpoints, or are not known to be gone: {}",
        left.join(", ")
    ))
    .hint("'crossover status' says once they are; 'scancel' of those numbers kills them"))
}

/// Who writes to the store now, once it has said so.
fn writer(reader: &Reader, store: &Path) -> Result<Option<Writer>> {
    for _ in 0..20 {
        match reader.writer() {
            None => return Ok(None),
            Some(Some(writer)) => return Ok(Some(writer)),
            Some(None) => thread::sleep(LOOK_EVERY),
        }
    }
    Err(Error::failed(format!("a process writes to {} and does not say which", store.display()))
        .hint("'fuser' or 'lsof' on its writer.lock name it; 'kill -INT PID' stops it"))
}

/// # Errors
/// It trains another sweep; it is on another machine, or not to be seen from here.
fn refuse_other(args: &Args, writer: &Writer, store: &Path) -> Result<()> {
    let Writer { pid, host, command, .. } = writer;
    if let (Some(asked), Some(sweep)) = (&args.sweep, &writer.sweep)
        && asked != sweep
    {
        return Err(Error::failed(format!("'{asked}' is not being trained now: process {pid} trains '{sweep}'"))
            .hint("'crossover cancel' without a name stops it"));
    }
    let here = hostname();
    if *host != here {
        let store = quoted(&store.canonicalize().unwrap_or(store.into()).display().to_string());
        return Err(Error::failed(format!("process {pid} on {host} writes to the store ({command}); this is {here}"))
            .hint(format!("on {host} type: crossover cancel --store {store}")));
    }
    let running = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let running = String::from_utf8_lossy(&running).trim_end_matches('\0').replace('\0', " ");
    if running != *command {
        return Err(Error::failed(format!(
            "process {pid} of this machine is not the one that writes to the store ({command})"
        ))
        .hint("is it in a container? type 'crossover cancel' there"));
    }
    Ok(())
}

fn stop(reader: &Reader, writer: &Writer, store: &Path) -> Result<()> {
    let pid = writer.pid;
    match i32::try_from(pid).map(|pid| kill(Pid::from_raw(pid), Signal::SIGINT)) {
        Ok(Ok(()) | Err(Errno::ESRCH)) => {}
        Ok(Err(error)) => {
            return Err(Error::failed(format!("cannot stop process {pid}: {error}"))
                .hint(format!("whose is it? 'ps -fp {pid}' says so; its owner types 'kill -INT {pid}'")));
        }
        Err(_) => return Err(Error::failed(format!("{pid} is no number of a process"))),
    }
    let since = Instant::now();
    while reader.writer().is_some_and(|now| now.is_none_or(|now| now.pid == pid)) {
        if since.elapsed() > PATIENCE {
            let within = PATIENCE.as_secs();
            return Err(Error::failed(format!("process {pid} still writes to {} after {within} s", store.display()))
                .hint(format!("'kill -INT {pid}' once more kills its workers; checkpoints stay")));
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
