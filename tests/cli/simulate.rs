//! `crossover simulate`.

use crate::workdir::Workdir;

const SWEEP: &str = r#"
name = "small"
task = { name = "mnist1d" }
[axes]
examples = [250, 1000, 4000, 16000, 64000]
seed = [0, 1, 2]
[tuned]
lr = [1e-3, 3e-3]
[budget]
examples = 256_000
[[model]]
arch = "convnet"
width = 8
depths = [1, 1]
[[model]]
arch = "vit"
patch = 5
width = 32
depth = 2
heads = 2
"#;

const CONVNET: &str = "convnet: E=0.5 A=30 alpha=0.5";
const VIT: &str = "vit: E=0.3 A=15 alpha=0.35";

fn arguments<'a>(laws: &[&'a str]) -> Vec<&'a str> {
    let laws = laws.iter().flat_map(|law| ["--truth", law]);
    ["simulate", "small.toml", "--trials", "60", "--bootstrap", "60"].into_iter().chain(laws).collect()
}

#[test]
fn says_how_surely_the_crossover_would_be_found() {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP);
    insta::assert_snapshot!(dir.stdout(&arguments(&[CONVNET, VIT])));
    let report = dir.json(&[&arguments(&[CONVNET, VIT])[..], &["--json", "--noise", "0.005"]].concat());
    let pair = &report["pairs"][0];
    assert!(pair["found"].as_f64().unwrap() > 0.95 && pair["width"][1].as_f64().unwrap() < 1.5, "{pair}");
    assert_eq!((report["runs"].as_u64(), report["law"].as_str()), (Some(2 * 5 * 3 * 2), Some("power-floor")));
}

#[test]
fn a_law_is_the_one_to_fit_and_old_commands_are_understood() {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP);
    let asked = |more: &[&'static str]| [&arguments(&[])[..], &["--json"], more].concat();
    let new = dir.json(&asked(&["--truth", CONVNET, "--truth", VIT, "--law", "power"]));
    assert_eq!((new["law"].as_str(), new["truths"][0]["law"].as_str()), (Some("power"), Some("power-floor")));
    assert_eq!(dir.json(&asked(&["--law", CONVNET, "--law", VIT, "--fit", "power"])), new);
    let error = dir.stderr(&asked(&["--truth", CONVNET, "--truth", VIT, "--law", "power", "--law", "m4"]), 2);
    assert!(error.contains("--law m4: one law is fitted to all curves"), "{error}");
    let error = dir.stderr(&asked(&["--law", "power"]), 2);
    assert!(error.contains("one curve crosses nothing") && error.contains("--truth"), "{error}");
    let error = dir.stderr(&asked(&["--truth", CONVNET, "--truth", VIT, "--law", "chinchilla"]), 2);
    assert!(error.contains("--law chinchilla: what is drawn are curves"), "{error}");
}

#[test]
fn errors_name_the_thing() {
    let dir = Workdir::new();
    dir.write("small.toml", SWEEP);
    let said = |laws: &[&str]| dir.stderr(&arguments(laws), 2);
    insta::assert_snapshot!(
        [
            said(&["convent: E=0.5 A=30 alpha=0.5", VIT]),
            said(&["convnet: E=0.5 A=30 alhpa=0.5", VIT]),
            said(&["convnet: E=0.5 A=-1 alpha=0.5", VIT]),
            said(&["convnet: E=0.5 alpha=0.5", VIT]),
            said(&["convnet E=0.5", VIT]),
            said(&[CONVNET]),
            said(&[CONVNET, VIT, VIT]),
        ]
        .concat()
    );
}
