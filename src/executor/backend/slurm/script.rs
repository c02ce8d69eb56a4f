//! The batch script of an array of pilots, as `--dry-run` prints it: a value of what is submitted, and nothing else.

use std::fmt::Write as _;
use std::path::Path;

use super::amount;
use super::profile::{Pool, Profile};
use crate::shell::quoted;

/// What one sbatch call is about.
pub(super) struct Array<'a> {
    pub name: &'a str,
    /// Of the batch.
    pub folder: &'a Path,
    pub number: u32,
    pub pool: &'a Pool,
    pub tasks: u32,
    /// Nodes that have failed.
    pub excluded: &'a [String],
    /// Where pilots start.
    pub directory: &'a Path,
}

/// A pilot that leaves work behind ends with this, and its task is requeued: EX_TEMPFAIL of sysexits.h.
pub const GO_ON: u8 = 75;

pub(super) fn text(profile: &Profile, array: &Array, program: &Path) -> String {
    let mut script = String::from("#!/bin/bash\n");
    for option in options(profile, array) {
        // Writing to a String cannot fail.
        let _ = writeln!(script, "#SBATCH {option}");
    }
    for line in &profile.setup {
        let _ = writeln!(script, "{line}");
    }
    let program = profile.program.as_deref().unwrap_or(program).display().to_string();
    let prefix = if profile.prefix.is_empty() { String::new() } else { format!("{} ", profile.prefix) };
    let folder = quoted(&array.folder.display().to_string());
    let _ = write!(
        script,
        r#"# The pilot is told what this shell is told, and goes on in the next allocation where it leaves work behind: of all
# that may stand around it, a container say, this shell alone surely has scontrol.
task=${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}
{prefix}{} pilot {folder} --submission {} &
pilot=$!
trap 'kill -TERM "$pilot" 2>/dev/null || :' TERM
while wait "$pilot"; kill -0 "$pilot" 2>/dev/null; do :; done
status=0
wait "$pilot" || status=$?
unset ${{!SQUEUE_@}}
# Not where somebody has cancelled it, or Slurm requeues it already.
if [ "$status" = {GO_ON} ] && [ "$(squeue --noheader --jobs="$task" --format=%T)" = RUNNING ]; then
  scontrol requeue "$task"
  exit 0
fi
exit "$status"
"#,
        quoted(&program),
        array.number,
    );
    script
}

fn options(profile: &Profile, array: &Array) -> Vec<String> {
    let Array { name, folder, pool, tasks, excluded, .. } = array;
    let at_once = pool.pilots.min(*tasks);
    let mut options = vec![
        format!("--job-name={name}"),
        format!("--array=0-{}%{at_once}", tasks.saturating_sub(1)),
        "--nodes=1".into(),
        "--ntasks=1".into(),
        format!("--cpus-per-task={}", pool.cpus),
    ];
    let named: [(&str, Option<String>); 8] = [
        ("partition", pool.partition.clone()),
        ("account", pool.account.clone()),
        ("qos", pool.qos.clone()),
        ("reservation", pool.reservation.clone()),
        ("constraint", pool.constraint.clone()),
        ("gres", pool.gres.clone()),
        ("gpus", pool.gpus.map(|gpus| gpus.to_string())),
        ("mem", pool.memory.clone()),
    ];
    options.extend(named.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value?))));
    options.extend(pool.seconds.map(|seconds| format!("--time={}", amount::time(seconds))));
    if !excluded.is_empty() {
        options.push(format!("--exclude={}", excluded.join(",")));
    }
    // A per cent sign stands for something in names of files.
    let log = folder.join("logs").display().to_string().replace('%', "%%");
    options.extend([
        format!("--chdir=\"{}\"", array.directory.display()),
        format!("--output=\"{log}/%A_%a.log\""),
        "--open-mode=append".into(),
        "--requeue".into(),
        format!("--signal=B:TERM@{}", profile.grace),
    ]);
    options.extend(profile.sbatch.iter().cloned());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_says_all_of_it() {
        let text_of = "[slurm]\nsetup = [\"module load cuda\"]\nprefix = \"apptainer exec i.sif\"\nsbatch = [\"--mail-type=FAIL\"]\n\
             [[slurm.pool]]\npartition = \"gpu\"\nqos = \"long\"\ngres = \"gpu:a100:4\"\ngpus = 4\ncpus = 16\n\
             memory = \"64G\"\ntime = \"12:00:00\"\npilots = 2\n";
        let profile = Profile::parse(text_of, "p").unwrap();
        let excluded = ["n1".to_string(), "n7".into()];
        let array = Array {
            name: "crossover-0a-1",
            folder: Path::new("/my runs/slurm/0a"),
            number: 1,
            pool: &profile.pools[0],
            tasks: 5,
            excluded: &excluded,
            directory: Path::new("/home/me"),
        };
        insta::assert_snapshot!(text(&profile, &array, Path::new("/opt/crossover")));
    }
}
