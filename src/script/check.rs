//! Whether a script keeps to the protocol: it is asked, run, stopped, killed and gone on with, and what it measures is
//! compared. Each rule that it breaks is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tempfile::TempDir;

use super::Script;
use super::attempt::{self, Attempt, LOG, lines_file};
use super::describe::{self, last_words};
use super::process::Guard;
use super::protocol::{self, Asked, End, Ending, Hello, Line};
use crate::error::{Context, Result};
use crate::run::{Named, RunConfig};
use crate::task::files::data_dir;

/// How it is tried.
pub struct Trial {
    /// Its files' hash is of no account here.
    pub script: Script,
    pub task: Named,
    pub examples: u64,
    pub steps: u64,
    pub batch: u64,
    /// To leave in, after SIGTERM.
    pub grace: Duration,
    /// No run takes longer.
    pub within: Duration,
}

/// A rule of the protocol, and whether it was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub rule: &'static str,
    /// None where it was not tried, since another was broken.
    pub kept: Option<bool>,
    pub found: String,
}

const DESCRIBES: &str = "asked what it is, it prints its hello and leaves";
const GREETS: &str = "a run begins with a hello";
const LINES: &str = "its lines are those of the protocol";
const FINITE: &str = "what it measures is finite";
const MEASURES: &str = "it says val_loss at its last step";
const ENDS: &str = "it says `end` before it leaves";
const SPEAKS: &str = "it says something between its hello and its end";
const STOPS: &str = "at SIGTERM it says a checkpoint and leaves in time";
const RESUMES: &str = "it goes on from its checkpoint";
const SAME: &str = "stopped and gone on with, it measures the same";
const KILLED: &str = "killed and started again, it measures the same";

/// In the order of the rules.
///
/// # Errors
/// It cannot be started, or this machine does not let it be tried.
pub fn check(trial: &Trial) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    let mut say = |rule, kept, found: String| verdicts.push(Verdict { rule, kept: Some(kept), found });
    match describe::ask(&trial.script, &trial.task) {
        Ok(hello) => say(DESCRIBES, true, told(&hello)),
        Err(error) => say(DESCRIBES, false, error.message),
    }
    let begun = || tempfile::tempdir_in(std::env::temp_dir().canonicalize()?);
    let all = begun().context(|| "cannot make a folder to try it in")?;
    // With a slash behind it: of all lives, and of no other check.
    let _guard = Guard::over(&all.path().join(""))?;
    let mut whole = Life::begin(trial, &folder_in(&all, "whole")?, 1, 0)?;
    let ended = whole.until(|_| false)?;
    whole.judge(ended, &mut say);
    let is_whole = whole.is_whole() && verdicts.iter().skip(1).all(|verdict| verdict.kept == Some(true));
    if !is_whole {
        let rules = [SPEAKS, STOPS, RESUMES, SAME, KILLED];
        let found = || "not tried: a whole run comes first".to_owned();
        verdicts.extend(rules.map(|rule| Verdict { rule, kept: None, found: found() }));
        return Ok(verdicts);
    }
    let stopped = trial.stopped(&whole, &folder_in(&all, "stopped")?)?;
    let broken = stopped.iter().any(|verdict| verdict.kept == Some(false));
    verdicts.extend(stopped);
    verdicts.push(if broken {
        untried(KILLED, "a stop comes first")
    } else {
        trial.killed(&whole, &folder_in(&all, "killed")?)?
    });
    Ok(verdicts)
}

fn untried(rule: &'static str, why: &str) -> Verdict {
    Verdict { rule, kept: None, found: format!("not tried: {why}") }
}

fn told(hello: &Hello) -> String {
    let count =
        |what: &str, value: Option<u64>| value.map_or(format!("{what} unknown"), |value| format!("{what} {value}"));
    let known =
        [count("params", hello.params), count("forward_flops", hello.forward_flops), count("examples", hello.examples)];
    known.join(", ")
}

/// A folder of its own for each time that it is begun anew.
fn folder_in(all: &TempDir, name: &str) -> Result<PathBuf> {
    let folder = all.path().join(name);
    std::fs::create_dir(&folder).context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

impl Trial {
    /// Stopped in the middle and gone on with.
    fn stopped(&self, whole: &Life, folder: &Path) -> Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        let mut say = |rule, kept, found: String| verdicts.push(Verdict { rule, kept: Some(kept), found });
        let mut first = Life::begin(self, folder, 1, 0)?;
        let middle = self.steps.div_ceil(3);
        if first.until(|life| life.step >= middle)?.is_some() {
            say(
                SPEAKS,
                false,
                "it had ended before a line told that it was in its middle: metrics or progress do".into(),
            );
            verdicts.extend([STOPS, RESUMES, SAME].map(|rule| untried(rule, "it cannot be met in its middle")));
            return Ok(verdicts);
        }
        say(SPEAKS, true, format!("step {} of {} was heard of", first.step, self.steps));
        let since = Instant::now();
        first.attempt.running.ask_to_stop();
        first.until(|_| false)?;
        let (took, overstayed) = (since.elapsed().as_secs_f64(), first.attempt.running.overstayed);
        let at = first.checkpoint;
        let went_on = first.is_whole();
        say(
            STOPS,
            !overstayed && !went_on && at > 0,
            match at {
                _ if overstayed => {
                    format!("it was still there {:.1} s after SIGTERM, and was killed", self.grace.as_secs_f64())
                }
                _ if went_on => {
                    "it went on to its end as if nothing was (where it is that quick, give it more --steps)".into()
                }
                0 => format!("it left after {took:.1} s, and said no checkpoint"),
                at => format!("it left after {took:.1} s, with a checkpoint at step {at}"),
            },
        );
        if at == 0 || went_on {
            verdicts.extend([RESUMES, SAME].map(|rule| untried(rule, "it was not stopped at a checkpoint")));
            return Ok(verdicts);
        }
        let mut second = Life::begin(self, folder, 2, at)?;
        let ended = second.until(|_| false)?;
        let from = second.hello.as_ref().map_or(0, |hello| hello.step);
        let again = second.first_step.filter(|step| *step <= at);
        say(
            RESUMES,
            from == at && again.is_none(),
            match (from == at, again) {
                (true, None) => format!("from step {at}"),
                (true, Some(step)) => {
                    format!("its hello says that it goes on from step {at}, and it spoke of step {step} again")
                }
                (false, _) => format!("its checkpoint is of step {at}, and its hello says that it goes on from {from}"),
            },
        );
        let differs = if second.is_whole() { whole.differs(&[&first, &second]) } else { Some(second.why(ended)) };
        say(
            SAME,
            differs.is_none(),
            differs.unwrap_or_else(|| format!("{} values, to the last bit", whole.values.len())),
        );
        Ok(verdicts)
    }

    /// Killed in the middle, behind its first checkpoint where it writes any by itself, and started again.
    fn killed(&self, whole: &Life, folder: &Path) -> Result<Verdict> {
        let verdict = |kept, found: String| Ok(Verdict { rule: KILLED, kept: Some(kept), found });
        let mut first = Life::begin(self, folder, 1, 0)?;
        let half = self.steps.div_ceil(2);
        let is_due = |life: &Life| (life.checkpoint > 0 && life.step > life.checkpoint) || life.step >= half;
        if first.until(is_due)?.is_some() {
            return Ok(untried(KILLED, "it had ended before it could be killed: give it more --steps"));
        }
        first.attempt.running.kill();
        first.until(|_| false)?;
        let mut second = Life::begin(self, folder, 2, first.checkpoint)?;
        let ended = second.until(|_| false)?;
        let differs = if second.is_whole() { whole.differs(&[&first, &second]) } else { Some(second.why(ended)) };
        let from = second.hello.as_ref().map_or(0, |hello| hello.step);
        verdict(
            differs.is_none(),
            differs.unwrap_or_else(|| format!("killed at step {}, gone on with from {from}", first.step)),
        )
    }
}

/// One life of the script, and what it has said in it.
struct Life<'t> {
    trial: &'t Trial,
    folder: PathBuf,
    attempt: Attempt,
    since: Instant,
    hello: Option<Hello>,
    /// What its first line was, if no hello.
    began: Option<String>,
    values: BTreeMap<(u64, String), f64>,
    step: u64,
    /// The first that was spoken of.
    first_step: Option<u64>,
    checkpoint: u64,
    end: Option<End>,
    bad: Vec<String>,
    late: bool,
}

impl Drop for Life<'_> {
    /// What it started too, in whatever group.
    fn drop(&mut self) {
        let _ = attempt::end_leftovers(&self.folder);
    }
}

impl<'t> Life<'t> {
    fn begin(trial: &'t Trial, folder: &Path, attempt: u32, resume: u64) -> Result<Life<'t>> {
        let (events, data) = (lines_file(folder, attempt), data_dir()?);
        let train = crate::run::Recipe { batch: trial.batch, ..Default::default() };
        let (examples, steps) = (trial.examples, trial.steps);
        let (model, task) = (trial.script.named(), trial.task.clone());
        let config = RunConfig { model, task, examples, steps, train, seed: 0 };
        let asked = Asked {
            protocol: protocol::VERSION,
            id: "check",
            attempt,
            config: &trial.script.keys,
            task: protocol::task(&config),
            examples,
            steps,
            seed: config.seed,
            train: config.train.keys(),
            evaluations: config.evaluations(),
            resume,
            threads: 1,
            grace: trial.grace.as_secs_f64(),
            folder,
            events: &events,
            data: &data,
        };
        let attempt = Attempt::start(&trial.script, &asked, trial.grace)?;
        Ok(Life {
            trial,
            folder: folder.to_owned(),
            attempt,
            since: Instant::now(),
            hello: None,
            began: None,
            values: BTreeMap::new(),
            step: 0,
            first_step: None,
            checkpoint: 0,
            end: None,
            bad: Vec::new(),
            late: false,
        })
    }

    /// Listens until it has ended, and how; none where `is_enough` comes first.
    fn until(&mut self, is_enough: impl Fn(&Life) -> bool) -> Result<Option<ExitStatus>> {
        loop {
            let ended = self.attempt.ended()?;
            for said in self.attempt.heard()? {
                self.hear(said.text, said.line);
            }
            if ended.is_some() {
                self.bad.extend(self.attempt.unended().map(|rest| format!("its last line has no end: {rest}")));
                return Ok(ended);
            }
            if is_enough(self) {
                return Ok(None);
            }
            if self.since.elapsed() > self.trial.within && !self.late {
                self.late = true;
                self.attempt.running.kill();
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn hear(&mut self, text: String, line: Result<Line, String>) {
        let is_first = self.hello.is_none() && self.began.is_none();
        match line {
            Ok(Line::Hello(hello)) => {
                self.step = self.step.max(hello.step);
                self.hello = Some(hello);
                return;
            }
            Ok(Line::Metrics { step, values }) => {
                self.at(step);
                for (name, value) in values {
                    self.values.entry((step, name)).or_insert(value);
                }
            }
            Ok(Line::Progress { step, .. }) => self.at(step),
            Ok(Line::Checkpoint { step }) => {
                self.checkpoint = step;
                self.at(step);
            }
            Ok(Line::End(end)) => self.end = Some(end),
            Err(why) => self.bad.push(format!("{why}: {text}")),
        }
        if is_first {
            self.began = Some(text);
        }
    }

    fn at(&mut self, step: u64) {
        self.first_step.get_or_insert(step);
        self.step = self.step.max(step);
    }

    /// The rules that a whole run shows.
    fn judge(&self, ended: Option<ExitStatus>, say: &mut dyn FnMut(&'static str, bool, String)) {
        match (&self.began, &self.hello) {
            (None, Some(_)) => say(GREETS, true, "its first line".into()),
            (Some(first), _) => say(GREETS, false, format!("its first line is {first}")),
            (None, None) => say(GREETS, false, self.why(ended)),
        }
        match self.bad.first() {
            None => say(LINES, true, "every one".into()),
            Some(first) => say(LINES, false, first.clone()),
        }
        match self.values.iter().find(|(_, value)| !value.is_finite()) {
            None => say(FINITE, true, "every value".into()),
            Some(((step, name), _)) => {
                say(FINITE, false, format!("{name} at step {step} is not: its run would be diverged"))
            }
        }
        let (steps, name) = (self.trial.steps, "val_loss".to_owned());
        match self.values.get(&(steps, name)) {
            Some(loss) => say(MEASURES, true, format!("{loss} at step {steps}")),
            None => say(
                MEASURES,
                false,
                format!("there is none at step {steps}; the last step that it spoke of is {}", self.step),
            ),
        }
        match &self.end {
            Some(End { outcome: Ending::Done, .. }) => say(ENDS, true, "done".into()),
            Some(End { outcome, .. }) => say(ENDS, false, format!("it said {outcome:?}, where it is to be done")),
            None => say(ENDS, false, self.why(ended)),
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self.end, Some(End { outcome: Ending::Done, .. }))
    }

    /// How it left that did not say it was done.
    fn why(&self, ended: Option<ExitStatus>) -> String {
        let how = match ended {
            _ if self.late => format!("it was killed after {} s", self.trial.within.as_secs()),
            Some(status) if status.success() => {
                format!("it left with exit code 0 after step {} and said no `end`", self.step)
            }
            Some(status) => format!("it ended with {status} after step {}", self.step),
            None => "it had not ended".into(),
        };
        format!("{how}{}", last_words(&self.folder.join(LOG)))
    }

    /// Where the first values of these lives are others than its own.
    fn differs(&self, lives: &[&Life]) -> Option<String> {
        let mut found: BTreeMap<&(u64, String), f64> = BTreeMap::new();
        for (at, value) in lives.iter().flat_map(|life| &life.values) {
            found.entry(at).or_insert(*value);
        }
        self.values.iter().find_map(|(at, value)| {
            let (step, name) = at;
            match found.get(at) {
                Some(other) if other.to_bits() == value.to_bits() => None,
                Some(other) => Some(format!("{name} at step {step} is {other}, and {value} where nothing happens")),
                None => Some(format!("{name} at step {step} is missing")),
            }
        })
    }
}
