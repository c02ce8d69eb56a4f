//! Pilots on a real Slurm: whatever happens to them, a sweep's results are those of a sweep that was trained here.

use crate::cluster::{Cluster, Lab, shared};

const SWEEP: &str = r#"
name = "many"
task = { name = "mnist1d" }
[axes]
examples = [100]
seed = [0, 1, 2, 3, 4, 5]
[budget]
steps = [60, 120]
[train]
batch = 64
evals = 8
schedule = "wsd"
warmup_steps = 5
[[model]]
arch = "vit"
patch = 5
"#;
/// Two pilots of one worker.
const PROFILE: &str = "[slurm]\npilots = 2\n[[slurm.pool]]\npartition = \"main\"\ncpus = 1\n";
/// A sweep takes some seconds.
const NOOP: &str = "step_millis=10 checkpoint_every=7";

/// In a folder, as two GPUs of which Slurm gives one to each pilot.
fn fake_gpus(lab: &Lab) {
    let smi = lab.dir.path("bin/nvidia-smi");
    std::fs::create_dir(lab.dir.path("bin")).expect("a folder");
    std::fs::write(&smi, "#!/bin/sh\necho '0, GPU-aaaa-1, 4, 81559'\necho '1, GPU-bbbb-2, 4, 81559'\n")
        .expect("a file");
    std::fs::set_permissions(&smi, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let setup = format!("export PATH=\"{}:$PATH\"", lab.dir.path("bin").display());
    let profile =
        format!("[slurm]\npilots = 2\nsetup = ['{setup}']\n[[slurm.pool]]\npartition = \"main\"\ngres = \"gpu:1\"\n");
    lab.dir.write("profile.toml", &profile);
}

#[test]
fn a_sweep_is_done_by_pilots_on_a_gpu_each() {
    let Some(cluster) = shared() else { return };
    let lab = Lab::new(cluster, SWEEP, PROFILE, NOOP);
    fake_gpus(&lab);
    let dry = lab.submit(&["--dry-run"]);
    assert!(!lab.dir.path("runs").exists(), "a dry run does nothing");
    let said = lab.submit(&[]);
    assert!(said.contains("many: 2 pilots submitted (Slurm job ") && said.contains("a new store"), "{said}");
    let batch = std::fs::read_dir(lab.dir.path("runs/slurm")).expect("a batch").flatten().next().expect("one").path();
    let script = std::fs::read_to_string(batch.join("submissions/1.sh")).expect("the script");
    assert!(dry.contains(&script), "what --dry-run prints is what is submitted:\n{dry}\n{script}");
    assert!(script.contains("#SBATCH --gres=gpu:1"), "{script}");
    // While pilots have its runs nobody else may.
    let refused = lab.refuses(&["run", "many.toml"]);
    assert!(refused.contains("12 runs are with Slurm") && refused.contains("crossover cancel"), "{refused}");
    assert!(lab.refuses(&["prune", "--yes"]).contains("with Slurm"));
    lab.until("a run is under way", || lab.logged() > 0);
    let status = lab.status();
    assert_eq!(status["slurm"][0]["pilots"][0]["state"], "RUNNING", "{status}");
    assert!(status["counts"]["running"].as_u64() > Some(0), "{status}");
    // Submitting again submits nothing.
    assert!(!lab.submit(&[]).contains("submitted ("));
    lab.finish();
    assert!(crate::interrupted::logs(&lab.dir).iter().all(|log| log.contains("\"pid\"")), "events");
    assert!(lab.status()["slurm"].is_null(), "nothing is left to look after");
}

#[test]
fn a_pilot_that_is_requeued_goes_on_where_it_was() {
    let Some(cluster) = shared() else { return };
    let lab = Lab::new(cluster, SWEEP, PROFILE, NOOP);
    lab.submit(&[]);
    lab.until("runs are under way", || lab.logged() > 12);
    let (name, _) = lab.pilots().into_iter().next().expect("a pilot");
    let task = name.split('.').next().expect("a task").to_owned();
    cluster.ask("scontrol", &["requeue", &task]);
    lab.finish();
    let stopped = crate::interrupted::logs(&lab.dir).iter().filter(|log| log.contains("\"stopped\"")).count();
    assert!(stopped > 0, "its run wrote a checkpoint and was gone on with:\n{}", lab.logs());
}

/// The allocation is over before the work is: checkpoints, and the same task goes on in the next one.
#[test]
fn an_allocation_that_is_shorter_than_the_work_is_gone_on_with() {
    let Some(cluster) = shared() else { return };
    let sweep = SWEEP.replace("seed = [0, 1, 2, 3, 4, 5]", "seed = [0]").replace("steps = [60, 120]", "steps = [3200]");
    let profile = "[slurm]\ngrace = 40\n[[slurm.pool]]\npartition = \"short\"\ntime = 1\n";
    let lab = Lab::new(cluster, &sweep, profile, NOOP);
    lab.finish();
    let log = crate::interrupted::logs(&lab.dir).concat();
    assert!(log.contains("\"stopped\"") && log.contains("\"attempt\":2"), "{log}");
    let logs = lab.logs();
    assert!(logs.contains("; it goes on") && logs.contains("_0.1 on ") && logs.contains(": 1 done"), "{logs}");
}

/// A user's own program beside one of ours; its pilot is requeued in the middle. It lies where the sweep was submitted.
#[test]
fn a_script_is_trained_by_pilots_too() {
    let Some(cluster) = shared() else { return };
    let python = crate::scripts::python();
    let sweep =
        SWEEP.replace("seed = [0, 1, 2, 3, 4, 5]", "seed = [0, 1]").replace("steps = [60, 120]", "steps = [150]");
    let sweep = format!("{sweep}[[model]]\nname = \"own\"\ncommand = [{python:?}, \"train.py\"]\npause = 0.02\n");
    let lab = Lab::new(cluster, &sweep, &PROFILE.replace("main\"", "main\"\ntime = 60"), NOOP);
    lab.dir.write("train.py", crate::scripts::TRAIN);
    let said = lab.submit(&[]);
    assert!(said.contains("2 pilots submitted"), "{said}");
    lab.until("a script is under way", || {
        crate::interrupted::logs(&lab.dir).iter().any(|log| log.contains("\"metrics\"") && log.contains("hello"))
            || lab.logged() > 6
    });
    let (name, _) = lab.pilots().into_iter().next().expect("a pilot");
    cluster.ask("scontrol", &["requeue", name.split('.').next().expect("a task")]);
    lab.finish();
    assert_eq!(lab.status()["counts"]["done"], 4);
}

#[test]
fn what_is_cancelled_is_resumed_where_it_was() {
    let Some(cluster) = shared() else { return };
    let lab = Lab::new(cluster, SWEEP, PROFILE, NOOP);
    lab.submit(&[]);
    lab.until("runs are under way", || lab.logged() > 12);
    let said = lab.says(&["cancel", "many"]);
    assert!(said.contains("2 pilots of Slurm have stopped after"), "{said}");
    assert!(lab.pilots().is_empty(), "{:?}", lab.pilots());
    let counts = lab.status()["counts"].take();
    assert!(counts["running"] == 0 && counts["interrupted"].as_u64() > Some(0), "{counts}");
    // Its runs are anybody's again, and a sweep of Slurm is resumed there.
    let said = lab.says(&["resume", "many", "--wait"]);
    assert!(said.contains("submitted (Slurm job"), "{said}");
    lab.is_as_here(&said);
}

/// Its batch shell too, so that nobody says anything: only squeue tells.
#[test]
fn what_a_killed_pilot_had_is_done_by_another() {
    let Some(cluster) = shared() else { return };
    let lab = Lab::new(cluster, SWEEP, PROFILE, NOOP);
    lab.submit(&[]);
    lab.until("runs are under way", || lab.logged() > 12);
    let (name, pid) = lab.pilots().into_iter().next().expect("a pilot");
    lab.kill_pilot(pid);
    lab.finish();
    let log = crate::interrupted::logs(&lab.dir).concat();
    assert!(log.contains("\"attempt\":2"), "another attempt, with a number of its own: {log}");
    let batch = std::fs::read_dir(lab.dir.path("runs/slurm")).expect("a batch").flatten().next().expect("one").path();
    let gone = std::fs::read_to_string(batch.join(format!("pilots/{name}.gone"))).expect("found gone");
    assert!(gone.contains("FAILED") || gone.contains("CANCELLED") || gone.contains("NODE_FAIL"), "{gone}");
}

#[test]
fn what_sbatch_refuses_is_told_and_nothing_is_left() {
    let Some(cluster) = shared() else { return };
    let lab = Lab::new(cluster, SWEEP, &PROFILE.replace("main", "nowhere"), NOOP);
    let run = ["run", "many.toml", "--executor", "slurm", "--profile", "profile.toml"];
    let said = lab.refuses(&run);
    assert!(said.contains("sbatch refused: invalid partition specified: nowhere"), "{said}");
    assert!(said.contains("'sinfo' lists the partitions"), "{said}");
    lab.dir.write("profile.toml", "[slurm]\n[[slurm.pool]]\nparition = \"main\"\n");
    let said = lab.refuses(&run);
    assert!(said.contains("profile.toml:3:1") && said.contains("did you mean `partition`?"), "{said}");
    let said = lab.refuses(&["run", "many.toml", "--executor", "slurm", "--profile", "nowhere.toml"]);
    assert!(said.contains("cannot read the profile nowhere.toml") && said.contains("[[slurm.pool]]"), "{said}");
    let said = lab.refuses(&["run", "many.toml", "--wait"]);
    assert!(said.contains("--executor slurm"), "{said}");
    // A set-up that does not work: told with its last words, and not submitted for ever.
    lab.dir.write("profile.toml", &PROFILE.replace("[[", "program = \"/nowhere/crossover\"\n[["));
    lab.submit(&[]);
    lab.until("it has failed", || {
        let said = lab.command(&["status", "many"]).output().expect("it starts");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        said.contains("ended before it began (FAILED)") && said.contains("/nowhere/crossover: No such file")
    });
    lab.says(&["cancel", "many"]);
    lab.dir.write("profile.toml", PROFILE);
    lab.finish();
}

/// With a Slurm of its own, which takes arrays of two tasks: its controller is killed and started, a node fails.
#[test]
fn a_controller_that_is_killed_and_a_node_that_fails() {
    let Some(cluster) = Cluster::start(2) else { return };
    let profile = PROFILE.replace("pilots = 2", "pilots = 3");
    let sweep = SWEEP.replace("steps = [60, 120]", "steps = [200, 400]");
    let lab = Lab::new(&cluster, &sweep, &profile, "step_millis=15 checkpoint_every=7");
    lab.submit(&[]);
    let scripts = lab.scripts();
    assert_eq!(scripts.len(), 2);
    for array in ["--array=0-1%2", "--array=0-0%1"] {
        assert!(scripts.iter().any(|script| script.contains(array)), "cut at MaxArraySize: {scripts:?}");
    }
    lab.until("runs are under way", || lab.pilots().len() == 3 && lab.logged() > 12);
    cluster.kill_controller();
    let before = lab.logged();
    let output = lab.command(&["status", "many", "--json"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("pilots that are not known to be over count as alive"), "{said}");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status[0]["slurm"][0]["pilots"].as_array().map(Vec::len), Some(3), "{status}");
    assert!(lab.logged() > before, "pilots go on");
    cluster.start_controller();
    // It was killed before it had written that it started them: they may be killed and started again, under other names.
    lab.finish();
    let lab = Lab::new(&cluster, SWEEP, PROFILE, NOOP);
    a_node_fails(&lab);
}

/// Its slurmd and what it runs are killed, so that nobody says anything.
fn a_node_fails(lab: &Lab) {
    lab.submit(&[]);
    lab.until("runs are under way", || lab.pilots().len() == 2 && lab.logged() > 12);
    let node = lab.status()["slurm"][0]["pilots"][0]["node"].as_str().expect("a node").to_owned();
    lab.cluster.kill_node(&node);
    lab.cluster.ask("scontrol", &["update", &format!("nodename={node}"), "state=down", "reason=test"]);
    lab.pilots().into_iter().for_each(|(_, pid)| lab.kill_pilot(pid));
    lab.until("it is found", || lab.says(&["status"]).contains(&format!("left out from now on: {node}")));
    lab.finish();
    // What is submitted from here on is not sent there.
    lab.dir.write("many.toml", &SWEEP.replace("seed = [", "seed = [7, "));
    lab.finish();
    let scripts = lab.scripts();
    assert!(scripts.iter().any(|script| script.contains(&format!("--exclude={node}"))), "{scripts:?}");
}
