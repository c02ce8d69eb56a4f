//! `crossover model ladder`.

use crate::workdir::Workdir;

#[test]
fn every_family_and_every_target_has_a_line() {
    let dir = Workdir::new();
    let args = ["model", "ladder", "--params", "1e3,1e5", "--input", "1x28x28"];
    let table = dir.stdout(&args);
    let archs = dir.json(&["model", "list", "--json"]);
    let archs: Vec<_> = archs.as_array().unwrap().iter().map(|arch| arch["arch"].as_str().unwrap()).collect();
    for arch in &archs {
        assert_eq!(table.lines().filter(|line| line.starts_with(arch)).count(), 2, "{table}");
    }
    assert!(
        table.contains("vit: no usual shape is within 10% of 1.00k params; the smallest, width=8 depth=2"),
        "{table}"
    );
    let json = dir.json(&[&args[..], &["--json"]].concat());
    let rungs = json.as_array().unwrap();
    assert_eq!(rungs.len(), 2 * archs.len());
    for rung in rungs {
        let found = rung["costs"]["params"].as_f64().map(|params| (params / 1e5 - 1.0).abs() <= 0.1);
        assert!(found.unwrap_or(rung["refused"].is_string()), "{rung}");
    }
}

#[test]
fn what_is_no_ladder_is_refused() {
    let dir = Workdir::new();
    let refused = |args: &[&str]| dir.stderr(&[&["model", "ladder"], args].concat(), 2);
    assert!(refused(&["vit", "--params", "1e5", "--set", "pach=4"]).contains("did you mean 'patch'?"));
    assert!(refused(&["vit", "--params", "1e5", "--set", "patch=5"]).contains("must divide the 32x32 image"));
    assert!(refused(&["vitt", "--params", "1e5"]).contains("did you mean 'vit'?"));
    assert!(refused(&["vit", "--params", "1e5", "--tolerance", "5"]).contains("must be a share between 0 and 1"));
    assert!(refused(&["vit"]).contains("--params"));
    assert!(refused(&["vit", "--params", "1e5", "--forward-flops", "1e6"]).contains("cannot be used with"));
}
