//! Sweep files with one thing wrong each: the message names the thing, the rule, the value, the place, what to type.

use rand_chacha::rand_core::Rng;

use crate::workdir::Workdir;

const GOOD: &str = r#"name = "good"
task = { name = "mnist1d" }

[axes]
examples = [100, 1000]
seed = [0, 1]

[tuned]
lr = [1e-3, 3e-3]

[budget]
steps = 100

[train]
batch = 32

[[model]]
arch = "vit"
patch = 5
params = [1e4]
"#;

/// Name of the snapshot, what to replace in the good sweep, by what.
const BAD: &[(&str, &str, &str)] = &[
    ("not-toml", "name = \"good\"", "name = good"),
    ("unknown-top-key", "[budget]", "[budgets]"),
    ("no-name", "name = \"good\"\n", ""),
    ("bad-name", "name = \"good\"", "name = \"../good\""),
    ("unknown-task", "mnist1d", "mnist-1d"),
    ("unknown-task-key", "{ name = \"mnist1d\" }", "{ name = \"mnist1d\", shufle = true }"),
    ("unknown-axis", "examples = [100, 1000]", "exmples = [100, 1000]"),
    ("empty-axis", "examples = [100, 1000]", "examples = []"),
    ("too-many-examples", "{ name = \"mnist1d\" }", "{ name = \"fashion-mnist\" }\n#"),
    ("fractional-examples", "[100, 1000]", "[100, 1000.5]"),
    ("twice-the-same", "seed = [0, 1]", "seed = [0, 0]"),
    ("negative-lr", "lr = [1e-3, 3e-3]", "lr = [1e-3, -3e-3]"),
    ("lr-not-a-number", "lr = [1e-3, 3e-3]", "lr = [\"fast\"]"),
    ("infinite-lr", "lr = [1e-3, 3e-3]", "lr = [inf]"),
    ("tuned-and-fixed", "batch = 32", "batch = 32\nlr = 1e-3"),
    ("tuned-and-axis", "seed = [0, 1]", "seed = [0, 1]\nlr = [1e-2]"),
    ("two-budgets", "steps = 100", "steps = 100\nepochs = 2"),
    ("no-budget", "steps = 100", ""),
    ("wrong-unit", "steps = 100", "hours = 100"),
    ("zero-budget", "steps = 100", "steps = 0"),
    ("unknown-train-key", "batch = 32", "batchsize = 32"),
    ("bad-precision", "batch = 32", "precision = \"fp16\""),
    ("bad-schedule", "batch = 32", "schedule = \"cosin\""),
    ("warmup-in-steps", "batch = 32", "warmup = 500"),
    ("warmup-as-a-share-of-wsd", "batch = 32", "schedule = \"wsd\"\nwarmup = 0.1"),
    ("two-warmups", "batch = 32", "warmup = 0.1\nwarmup_steps = 10"),
    ("cooldown-of-a-cosine", "batch = 32", "cooldown = 0.2"),
    ("no-cooldown", "batch = 32", "schedule = \"wsd\"\ncooldown = 0"),
    ("all-warmup", "batch = 32", "schedule = \"wsd\""),
    ("nothing-but-warmup", "batch = 32", "warmup_steps = 100"),
    ("huge-depth", "patch = 5", "patch = 5\ndepth = 100_000_000_000"),
    ("unknown-arch", "\"vit\"", "\"vitt\""),
    ("unknown-model-key", "patch = 5", "pach = 5"),
    ("bad-model-value", "patch = 5", "patch = 0"),
    ("two-sizes", "params = [1e4]", "params = [1e4]\nforward_flops = [1e6]"),
    ("no-model", "[[model]]\narch = \"vit\"\npatch = 5\nparams = [1e4]", ""),
    ("same-label", "[[model]]", "[[model]]\narch = \"vit\"\n\n[[model]]"),
    ("nothing-left", "params = [1e4]", "params = [1]"),
    ("unknown-size-key", "params = [1e4]", "parms = [1e4]"),
    ("one-bracket", "[[model]]", "[model]"),
    ("two-single-brackets", "[[model]]", "[model]\narch = \"mlp\"\n\n[model]"),
    ("several-values-of-a-key", "params = [1e4]", "width = [16, 64]"),
    (
        "task-axis-and-fixed",
        "{ name = \"mnist1d\" }\n\n[axes]",
        "{ name = \"mnist1d\", shuffle = true }\n\n[axes]\nshuffle = [true, false]",
    ),
];

#[test]
fn the_good_sweep_is_good() {
    let dir = Workdir::new();
    let plan = dir.write("sweep.toml", GOOD).json(&["plan", "sweep.toml", "--no-time", "--json"]);
    assert_eq!(plan["runs"].as_array().map(Vec::len), Some(8));
}

#[test]
fn each_bad_sweep_says_what_is_wrong() {
    for (name, from, to) in BAD {
        let text = match *name {
            "too-many-examples" => GOOD.replace(from, to).replace("[100, 1000]", "[100, 100000]"),
            _ => GOOD.replacen(from, to, 1),
        };
        assert_ne!(text, GOOD, "{name} changes nothing");
        let dir = Workdir::new();
        let stderr = dir.write("sweep.toml", &text).stderr(&["plan", "sweep.toml", "--no-time"], 2);
        insta::assert_snapshot!(*name, stderr);
    }
}

/// Ten thousand mutilations of a good sweep: a sweep or an error, never a panic. `make fuzz` goes on from here.
#[test]
fn no_text_makes_the_reader_panic() {
    for index in 0..10_000 {
        let mut rng = crossover::random::stream(0, "sweep", index);
        let mut bytes = GOOD.as_bytes().to_vec();
        for _ in 0..=rng.next_u32() % 6 {
            let at = rng.next_u32() as usize % bytes.len();
            let from = rng.next_u32() as usize % bytes.len();
            match rng.next_u32() % 5 {
                0 => bytes[at] = rng.next_u32() as u8 % 128,
                1 => bytes.insert(at, b"\n=[]{}\"'#.-e_9"[rng.next_u32() as usize % 14]),
                2 => bytes.truncate(at.max(1)),
                3 => bytes.splice(at..at, GOOD.bytes().skip(from).take(20)).for_each(drop),
                _ => drop(bytes.drain(at..(at + 8).min(bytes.len()))),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let _ = crossover::spec::parse(&String::from_utf8_lossy(&bytes), "sweep.toml");
    }
}
