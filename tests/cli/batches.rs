//! Batches of pilots as files of a store: a Slurm of a few lines takes what is submitted and starts nothing of it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::workdir::Workdir;

/// What is submitted waits until it is taken away.
const SLURM: [(&str, &str); 4] = [
    ("sbatch", "echo 7"),
    ("scontrol", "echo 'MaxArraySize = 1001'"),
    ("scancel", "touch \"$0.done\""),
    (
        "squeue",
        "[ -e \"${0%/*}/scancel.done\" ] && exit\nfor word; do case $word in --name=*) names=${word#--name=};; esac; done\n\
         for name in $(echo $names | tr , ' '); do echo \"$name|7|0|PENDING|Resources|\"; done",
    ),
];

fn sweep(name: &str, seeds: &str) -> String {
    format!(
        "name = \"{name}\"\ntask = {{ name = \"mnist1d\" }}\n[axes]\nexamples = [100]\nseed = {seeds}\n[budget]\nsteps = 4\n\
         [[model]]\narch = \"vit\"\npatch = 5\n"
    )
}

struct Lab(Workdir);

impl Lab {
    /// One of whose sweeps is with Slurm, and shares a run with the other.
    fn new() -> Lab {
        let dir = Workdir::new();
        std::fs::create_dir(dir.path("bin")).expect("a folder");
        for (program, does) in SLURM {
            let path = dir.path(&format!("bin/{program}"));
            std::fs::write(&path, format!("#!/bin/sh\n{does}\n")).expect("a file");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a mode");
        }
        dir.write("profile.toml", "[slurm]\npilots = 1\n[[slurm.pool]]\npartition = \"main\"\n");
        dir.write("there.toml", &sweep("there", "[0, 1]")).write("here.toml", &sweep("here", "[1, 2]"));
        let lab = Lab(dir);
        let said = lab.says(&["run", "there.toml", "--executor", "slurm", "--profile", "profile.toml"]);
        assert!(said.contains("1 pilot submitted (Slurm job 7)"), "{said}");
        lab
    }

    fn output(&self, args: &[&str]) -> Output {
        let mut command: Command = self.0.command(args);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.0.path("bin").display()));
        command.env("CROSSOVER_NOOP", "").env("CROSSOVER_SLURM_SECONDS", "0.001");
        command.output().expect("it starts")
    }

    /// On stdout and stderr; it has to succeed.
    fn says(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        said
    }

    fn refuses(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{args:?}: {said}");
        said
    }

    fn batch(&self) -> PathBuf {
        let batches = std::fs::read_dir(self.0.path("runs/slurm")).expect("batches");
        batches.flatten().map(|entry| entry.path()).find(|path| path.join("jobs.jsonl").exists()).expect("a batch")
    }
}

#[test]
fn a_sweep_is_resumed_where_it_was_trained_last_and_prune_takes_what_is_over() {
    let lab = Lab::new();
    let goes = |sweep: &str| lab.says(&["resume", sweep, "--dry-run"]);
    assert!(lab.refuses(&["prune", "--yes"]).contains("with Slurm"));
    assert!(lab.refuses(&["run", "here.toml"]).contains("1 run is with Slurm"));
    lab.says(&["cancel"]);
    // They share a run, and one of them alone was with Slurm.
    lab.says(&["run", "here.toml", "--devices", "cpu", "--slots", "1"]);
    assert!(goes("here").contains("here: 2 runs, 2 ended") && !goes("here").contains("#SBATCH"));
    assert!(goes("there").contains("#SBATCH"), "it was submitted, and is not done");
    lab.says(&["rename", "there", "elsewhere"]);
    assert!(goes("elsewhere").contains("#SBATCH"), "by another name too");
    lab.says(&["rename", "elsewhere", "there"]);
    // All that a batch was is of no more account once results are in.
    let batch = lab.batch();
    let waste = lab.says(&["prune", "--dry-run"]);
    assert!(waste.contains("batches of Slurm that are over") && batch.exists(), "{waste}");
    lab.says(&["prune", "--yes", "--only", "batches"]);
    assert!(!batch.exists());
    assert!(goes("there").contains("#SBATCH"), "where it was trained is kept");
    lab.says(&["run", "there.toml", "--devices", "cpu", "--slots", "1"]);
    assert!(!goes("there").contains("#SBATCH"), "it was trained here since");
}

#[test]
fn a_damaged_batch_holds_up_nothing_but_what_needs_it() {
    for (file, is_there) in [("batch.json", true), ("batch.json", false), ("jobs.jsonl", true)] {
        let lab = Lab::new();
        let batch = lab.batch();
        match is_there {
            true => std::fs::write(batch.join(file), "{\"id\":").expect("written"),
            false => std::fs::remove_file(batch.join(file)).expect("removed"),
        }
        let is_told = |said: &str| {
            said.contains(&format!("cannot read {}", batch.join(file).display())) && said.contains("'crossover cancel'")
        };
        let status = lab.says(&["status"]);
        assert!(is_told(&status) && status.contains("there"), "{status}");
        assert!(is_told(&lab.says(&["ingest"])));
        lab.0.write("apart.toml", &sweep("apart", "[5]"));
        let apart = ["run", "apart.toml", "--devices", "cpu", "--slots", "1"];
        // Where it says which runs it has, those alone are not to be had.
        if file == "batch.json" {
            lab.says(&apart);
            assert!(lab.refuses(&["run", "there.toml"]).contains("2 runs are with Slurm"));
        } else {
            let refused = lab.refuses(&apart);
            assert!(refused.contains("pilots of Slurm may have these runs") && is_told(&refused), "{refused}");
        }
        let again = ["run", "there.toml", "--executor", "slurm", "--profile", "profile.toml"];
        let refused = lab.refuses(&again);
        assert!(is_told(&refused), "{refused}");
        let cancelled = lab.says(&["cancel"]);
        assert!(cancelled.contains("1 pilot of Slurm has stopped"), "{cancelled}");
        assert!(batch.join("over").exists(), "nobody is left");
        std::fs::remove_file(lab.0.path("bin/scancel.done")).expect("removed");
        assert!(lab.says(&again).contains("1 pilot submitted"));
        lab.says(&["cancel"]);
        lab.says(&apart);
        lab.says(&["prune", "--yes"]);
        assert!(!batch.exists());
    }
}
