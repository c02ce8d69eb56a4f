//! What a person reads of pilots: a dry run with its scripts, and how what was submitted stands.

use crate::error::Result;
use crate::executor::slurm::{Decision, PilotView, View, Wanted};
use crate::out;
use crate::units::duration;

/// Tasks that are named one by one.
const SHOWN: usize = 6;

pub fn print_decision(decision: &Decision) -> Result<()> {
    let Decision { sweep, runs, ended, submitted, jobs, pools, scripts, notes } = decision;
    notes.iter().for_each(out::say);
    let with = if *submitted > 0 { format!(", {submitted} with Slurm") } else { String::new() };
    let to_do = runs - ended - submitted;
    out::line(format_args!("{sweep}: {runs} runs, {ended} ended{with}, {to_do} to do in {jobs} jobs"))?;
    for (Wanted { pool, jobs, pilots, slots, allocations, .. }, script) in pools.iter().zip(scripts) {
        let workers = if *slots == 1 { "1 worker".into() } else { format!("{slots} workers") };
        let cut = allocations.filter(|count| *count > 1);
        let cut = cut.map_or(String::new(), |count| format!(", the longest in {count} allocations"));
        let (jobs, pilots) = (counted(*jobs, "job"), counted(*pilots as usize, "pilot"));
        out::line(format_args!("{pool}: {jobs}{cut}, {pilots} of {workers}"))?;
        out::text(script)?;
    }
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Lines about the batches of a sweep.
pub fn told(sweep: &str, views: &[View]) -> String {
    let mut text = String::new();
    for view in views {
        let View { batch, jobs, open, pilots, losses, asked, .. } = view;
        let asked = asked.map_or("Slurm was not asked yet".into(), |time| {
            format!("Slurm was asked {} ago", duration(crate::here::now() - time))
        });
        let done = jobs - open;
        text += &format!("{sweep}: batch {batch}: {done} of {jobs} jobs over; {}; {asked}\n", view.told());
        for PilotView { job, state, reason, node } in pilots.iter().take(SHOWN) {
            let node = node.as_ref().map_or(String::new(), |node| format!(" on {node}"));
            let reason = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            text += &format!("{sweep}:   {job} {state}{node}{reason}\n");
        }
        if pilots.len() > SHOWN {
            text += &format!("{sweep}:   and {} more\n", pilots.len() - SHOWN);
        }
        for loss in losses.iter().rev().take(SHOWN) {
            text += &format!("{sweep}:   {loss}\n");
        }
    }
    text
}

/// Nodes that are not used any more.
pub fn nodes(failed: &[String], store: &std::path::Path) -> String {
    if failed.is_empty() {
        return String::new();
    }
    let folder = store.join("slurm/nodes").display().to_string();
    format!(
        "nodes that failed and are left out from now on: {}; 'rm {folder}/NODE' lets one in again\n",
        failed.join(", ")
    )
}
