//! What a cluster is like and how much of it may be taken: a file of the user's, not of the sweep, so that a sweep file
//! means the same wherever it is trained.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::amount::{self, memory_bytes};
use crate::error::{Error, Result};
use crate::files;
use crate::spec::document::{Checked, Complaint};

/// Seconds before the end of an allocation at which its pilot is told to stop: workers have 30 to write checkpoints.
const GRACE: u32 = 60;
const SHORTEST_GRACE: u32 = 40;
/// Of each pool, where the file says nothing.
const PILOTS: u32 = 4;
const KEYS: [&str; 7] = ["pool", "pilots", "setup", "prefix", "program", "sbatch", "grace"];
const POOL_KEYS: [&str; 11] =
    ["partition", "account", "qos", "gres", "gpus", "constraint", "cpus", "memory", "time", "pilots", "reservation"];
const EXAMPLE: &str =
    "[slurm]\n    [[slurm.pool]]\n    partition = \"gpu\"\n    gpus = 1\n    cpus = 8\n    time = \"12:00:00\"";

/// `[slurm]`, every value checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// As it was written.
    pub pools: Vec<Pool>,
    /// Lines of shell before the pilot starts.
    pub setup: Vec<String>,
    /// Before the program's name: what enters a container.
    pub prefix: String,
    /// The program on the nodes; none: this one.
    pub program: Option<PathBuf>,
    /// Further `#SBATCH` lines, of every pool.
    pub sbatch: Vec<String>,
    /// Seconds before the end of an allocation at which its pilot is told to stop.
    pub grace: u32,
}

/// Allocations of one kind: those of one array.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    pub reservation: Option<String>,
    pub constraint: Option<String>,
    /// As sbatch takes it: `gpu:a100:4`.
    pub gres: Option<String>,
    /// As sbatch's `--gpus` takes it, for clusters that want that beside or in place of `gres`.
    pub gpus: Option<u32>,
    pub cpus: u32,
    /// As sbatch takes it: `64G`.
    pub memory: Option<String>,
    /// Seconds of an allocation; none: as the partition has it.
    pub seconds: Option<u64>,
    /// At most so many at once.
    pub pilots: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    slurm: RawSlurm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSlurm {
    #[serde(default)]
    pool: Vec<Spanned<RawPool>>,
    pilots: Option<Spanned<u32>>,
    #[serde(default)]
    setup: Vec<Spanned<String>>,
    prefix: Option<Spanned<String>>,
    program: Option<PathBuf>,
    #[serde(default)]
    sbatch: Vec<Spanned<String>>,
    grace: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPool {
    partition: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    qos: Option<Spanned<String>>,
    reservation: Option<Spanned<String>>,
    constraint: Option<Spanned<String>>,
    gres: Option<Spanned<String>>,
    gpus: Option<Spanned<u32>>,
    cpus: Option<Spanned<u32>>,
    memory: Option<Spanned<String>>,
    time: Option<Spanned<Time>>,
    pilots: Option<Spanned<u32>>,
}

/// Minutes, as sbatch reads a number, or a text that sbatch reads.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Minutes(u64),
    Text(String),
}

impl Profile {
    /// From the file that is named, else from the one of the user.
    ///
    /// # Errors
    /// There is none, or it is no profile: with line and column.
    pub fn load(named: Option<&Path>) -> Result<Profile> {
        let path = match named {
            Some(path) => path.to_path_buf(),
            None => usual_place().filter(|path| path.exists()).ok_or_else(none_there)?,
        };
        let name = path.display().to_string();
        let text = files::read_text(&path).map_err(|error| {
            Error::bad_input(format!("cannot read the profile {name}: {error}"))
                .hint(format!("--profile FILE names one; a small one is\n    {EXAMPLE}"))
        })?;
        Profile::parse(&text, &name)
    }

    /// # Errors
    /// The text is no profile: with line and column. `name` is what errors call the file.
    pub fn parse(text: &str, name: &str) -> Result<Profile> {
        let raw = toml::from_str::<RawFile>(text).map_err(|error| syntax(&error, text).render(name, text))?;
        resolve(raw.slurm).map_err(|complaint| complaint.render(name, text))
    }
}

/// `$XDG_CONFIG_HOME/crossover/config.toml`, else `~/.config/crossover/config.toml`.
fn usual_place() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("crossover/config.toml"))
}

fn none_there() -> Error {
    let place = usual_place().map_or("~/.config/crossover/config.toml".into(), |path| path.display().to_string());
    Error::bad_input(format!("no profile says what this cluster is like: {place} is not there"))
        .hint(format!("write it, or name one with --profile FILE (docs/slurm.md); a small one is\n    {EXAMPLE}"))
}

fn syntax(error: &toml::de::Error, text: &str) -> Complaint {
    let span = error.span().unwrap_or(0..text.len().min(1));
    let message = error.message();
    let key = message.split('`').nth(1).unwrap_or_default();
    match message {
        _ if message.starts_with("unknown field") && message.contains("`partition`") => {
            Complaint::unknown(span, "[[slurm.pool]]", key, &POOL_KEYS)
        }
        _ if message.starts_with("unknown field") && message.contains("`setup`") => {
            Complaint::unknown(span, "[slurm]", key, &KEYS)
        }
        _ if message.starts_with("unknown field") => Complaint::unknown(span, "a profile", key, &["slurm"]),
        _ if message.starts_with("missing field") => {
            Complaint::at(0..0, "the profile has no table [slurm]").hint(format!("a small one is\n    {EXAMPLE}"))
        }
        _ if message.contains("untagged enum Time") => Complaint::at(span, "`time` is a number of minutes, or a text")
            .hint("as sbatch takes it: 90, \"12:00:00\", \"1-12:00:00\""),
        _ => Complaint::at(span, message.trim_end().replace('\n', ", ")),
    }
}

fn resolve(raw: RawSlurm) -> Checked<Profile> {
    if raw.pool.is_empty() {
        return Err(Complaint::at(0..0, "[slurm] has no pool, so there is nothing to take allocations of")
            .hint(format!("a small one is\n    {EXAMPLE}")));
    }
    let pilots = raw.pilots.as_ref().map_or(Ok(PILOTS), |pilots| at_least_one("pilots", pilots))?;
    let grace = match raw.grace {
        Some(grace) if *grace.get_ref() < SHORTEST_GRACE => {
            let (said, span) = (*grace.get_ref(), grace.span());
            let message =
                format!("`grace` is {said} s: workers have 30 s to write their checkpoints, and their pilot 35");
            return Err(Complaint::at(span, message).hint(format!("{SHORTEST_GRACE} or more; {GRACE} is usual")));
        }
        Some(grace) => *grace.get_ref(),
        None => GRACE,
    };
    Ok(Profile {
        pools: raw.pool.into_iter().map(|pool| resolve_pool(pool, pilots)).collect::<Checked<_>>()?,
        setup: raw.setup.iter().map(line).collect::<Checked<_>>()?,
        prefix: raw.prefix.as_ref().map_or(Ok(String::new()), line)?,
        program: raw.program,
        sbatch: raw.sbatch.iter().map(sbatch_line).collect::<Checked<_>>()?,
        grace,
    })
}

fn resolve_pool(raw: Spanned<RawPool>, pilots: u32) -> Checked<Pool> {
    let raw = raw.into_inner();
    let word = |value: Option<Spanned<String>>| value.map(|value| option(&value)).transpose();
    let seconds = raw.time.map(|time| seconds(&time)).transpose()?;
    if let Some(memory) = &raw.memory
        && memory_bytes(memory.get_ref()).is_none()
    {
        let message = format!("`memory` is \"{}\"", memory.get_ref());
        return Err(Complaint::at(memory.span(), message).hint("as sbatch takes it: \"64G\", \"4000M\""));
    }
    Ok(Pool {
        partition: word(raw.partition)?,
        account: word(raw.account)?,
        qos: word(raw.qos)?,
        reservation: word(raw.reservation)?,
        constraint: word(raw.constraint)?,
        gres: word(raw.gres)?,
        gpus: raw.gpus.map(|gpus| at_least_one("gpus", &gpus)).transpose()?,
        cpus: raw.cpus.map_or(Ok(1), |cpus| at_least_one("cpus", &cpus))?,
        memory: raw.memory.map(Spanned::into_inner),
        seconds,
        pilots: raw.pilots.map_or(Ok(pilots), |pilots| at_least_one("pilots", &pilots))?,
    })
}

fn at_least_one(key: &str, value: &Spanned<u32>) -> Checked<u32> {
    match *value.get_ref() {
        0 => Err(Complaint::at(value.span(), format!("`{key}` is 0")).hint("1 or more, or no such line")),
        some => Ok(some),
    }
}

fn seconds(time: &Spanned<Time>) -> Checked<u64> {
    let found = match time.get_ref() {
        Time::Minutes(minutes) => minutes.checked_mul(60),
        Time::Text(text) => amount::seconds(text),
    };
    let hint = "as sbatch takes it: 90 (minutes), \"12:00:00\", \"1-12:00:00\"; no such line: as the partition has it";
    match found {
        Some(seconds) if seconds > 0 => Ok(seconds),
        _ => Err(Complaint::at(time.span(), "`time` is no length of time").hint(hint)),
    }
}

/// A line of shell, one.
fn line(text: &Spanned<String>) -> Checked<String> {
    refuse(text, |c| c.is_control() && c != '\t', "a line break or another control character")
}

/// A value of an option in a `#SBATCH` line.
fn option(text: &Spanned<String>) -> Checked<String> {
    if text.get_ref().is_empty() {
        return Err(Complaint::at(text.span(), "an empty text").hint("name one, or remove the line"));
    }
    refuse(text, |c| c.is_whitespace() || c.is_control() || "\"'#".contains(c), "a space, a quote or a #")
}

fn sbatch_line(text: &Spanned<String>) -> Checked<String> {
    let line = line(text)?;
    let options = line.strip_prefix("#SBATCH").unwrap_or(&line).trim().to_owned();
    let taken = [
        "--array",
        "-a",
        "--job-name",
        "-J",
        "--output",
        "-o",
        "--no-requeue",
        "--signal",
        "--open-mode",
        "--clusters",
        "-M",
        "--chdir",
        "-D",
    ];
    let mut words = options.split_whitespace().filter(|word| word.starts_with('-'));
    // A value may follow the letter of a short option at once.
    let names = |word: &str, taken: &str| match taken.starts_with("--") {
        true => word.split('=').next() == Some(taken),
        false => !word.starts_with("--") && word.starts_with(taken),
    };
    match words.find_map(|word| taken.iter().find(|taken| names(word, taken))) {
        Some(taken) => Err(Complaint::at(text.span(), format!("{taken} is what pilots are known and stopped by"))
            .hint("remove the line")),
        None if options.starts_with('-') => Ok(options),
        None => Err(Complaint::at(text.span(), "an #SBATCH line begins with an option").hint("\"--mail-type=FAIL\"")),
    }
}

fn refuse(text: &Spanned<String>, is_bad: impl Fn(char) -> bool, what: &str) -> Checked<String> {
    let span: Range<usize> = text.span();
    match text.get_ref().contains(is_bad) {
        true => Err(Complaint::at(span, format!("{:?} has {what}", text.get_ref()))),
        false => Ok(text.get_ref().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = Profile::parse(text, "profile.toml").unwrap_err();
        format!("{}\nhint: {}", error.message, error.hint.unwrap_or_default())
    }

    #[test]
    fn a_profile_is_read_with_what_it_leaves_out() {
        let text = "[slurm]\npilots = 2\nsetup = [\"module load cuda\"]\nsbatch = [\"#SBATCH --mail-type=FAIL\"]\n\
                    [[slurm.pool]]\npartition = \"gpu\"\ngres = \"gpu:a100:4\"\ncpus = 16\ntime = \"1-12:00:00\"\n\
                    [[slurm.pool]]\ntime = 90\nmemory = \"4G\"\npilots = 9\n";
        let profile = Profile::parse(text, "p").unwrap();
        assert_eq!((profile.grace, profile.sbatch[0].as_str()), (GRACE, "--mail-type=FAIL"));
        let [gpu, cpu] = profile.pools.as_slice() else { panic!("two pools") };
        assert_eq!((gpu.pilots, gpu.seconds, gpu.cpus), (2, Some(129_600), 16));
        assert_eq!((cpu.pilots, cpu.seconds, cpu.cpus), (9, Some(5400), 1));
        let kept: Profile = serde_json::from_str(&serde_json::to_string(&profile).unwrap()).unwrap();
        assert_eq!(kept, profile);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let pool = "[[slurm.pool]]\n";
        for (text, place, says) in [
            ("".into(), "", "no table [slurm]"),
            ("[slurm]\n".into(), "", "has no pool"),
            (format!("[slurm]\npilot = 1\n{pool}"), "profile.toml:2:1", "did you mean `pilots`?"),
            (format!("[slurm]\n{pool}parition = \"a\"\n"), "profile.toml:3:1", "did you mean `partition`?"),
            (format!("[slurm]\n{pool}time = \"soon\"\n"), "profile.toml:3:8", "no length of time"),
            (format!("[slurm]\n{pool}time = true\n"), "profile.toml:3:8", "a number of minutes, or a text"),
            (format!("[slurm]\n{pool}memory = \"64 pages\"\n"), "profile.toml:3:10", "\"64G\""),
            (format!("[slurm]\n{pool}partition = \"a b\"\n"), "profile.toml:3:13", "a space"),
            (format!("[slurm]\n{pool}cpus = 0\n"), "profile.toml:3:8", "`cpus` is 0"),
            (format!("[slurm]\ngrace = 5\n{pool}"), "profile.toml:2:9", "30 s to write"),
            (format!("[slurm]\nsbatch = [\"--array=1-9\"]\n{pool}"), "profile.toml:2:11", "--array"),
            (format!("[slurm]\nsbatch = [\"--mail-type=FAIL -Jx\"]\n{pool}"), "profile.toml:2:11", "-J"),
            (format!("[slurm]\nsbatch = [\"--clusters=x\"]\n{pool}"), "profile.toml:2:11", "--clusters"),
            (format!("[slurm]\nsetup = [\"a\\nb\"]\n{pool}"), "profile.toml:2:10", "line break"),
            (format!("[slrum]\n{pool}"), "profile.toml:1:2", "did you mean `slurm`?"),
        ] {
            let told = refused(&text);
            assert!(told.contains(place) && told.contains(says), "{text}: {told}");
        }
    }
}
