//! `fit --fix`, `fit --predict` and the figures of isoFLOP profiles.

use crate::workdir::Workdir;

/// L = 1.8 + 480 N^-0.35 + 2100 D^-0.37 at six computes, nine sizes each, with a wiggle.
fn profiles() -> String {
    let mut text = String::from("arch,params,flops,loss\n");
    let mut row = 0;
    for (arch, times) in [("vit", 1.0), ("mixer", 1.15)] {
        for compute in (0..6).map(|i| 1e18 * 2f64.powi(i)) {
            for size in -4..=4 {
                let n = 5.5e7 * times * (compute / 1e18f64).powf(0.514) * 1.5f64.powi(size);
                let d = compute / 6.0 / n;
                row += 1;
                let wiggle = 1.0 + 0.0005 * (f64::from(row * 7 % 11) - 5.0) / 5.0;
                let loss = times * (1.8 + 480.0 * n.powf(-0.35) + 2100.0 * d.powf(-0.37)) * wiggle;
                text += &format!("{arch},{n:.0},{compute:e},{loss:.5}\n");
            }
        }
    }
    text
}

fn surface() -> String {
    let mut text = String::from("N,D,loss\n");
    for i in 0..36 {
        let (n, d) = (1e6 * 8f64.powi(i / 6), 1e8 * 6f64.powi(i % 6));
        let wiggle = 1.0 + 0.002 * f64::from(i * 7 % 5 - 2);
        text += &format!("{n},{d},{:.5}\n", (1.8 + 480.0 * n.powf(-0.35) + 2100.0 * d.powf(-0.37)) * wiggle);
    }
    text
}

const SURFACE: [&str; 7] = ["fit", "--csv", "surface.csv", "--law", "chinchilla", "--bootstrap", "200"];

#[test]
fn a_surface_predicts_losses_and_the_best_size() {
    let dir = Workdir::new();
    dir.write("surface.csv", &surface());
    let asked = ["--predict", "params=1e9,data=2e10", "--predict", "compute=1e25"];
    insta::assert_snapshot!(dir.stdout(&[&SURFACE[..], &asked].concat()));
    let json = dir.json(&[&SURFACE[..], &asked, &["--json"]].concat());
    let [at, best] = [&json["predictions"][0], &json["predictions"][1]];
    assert_eq!((at["at"]["params"].as_f64(), at["beyond"].as_array().map(Vec::len)), (Some(1e9), Some(0)));
    let (low, high) = (&best["intervals"]["params"]["low"], &best["intervals"]["params"]["high"]);
    let size = best["params"].as_f64().unwrap();
    assert!(low.as_f64().unwrap() < size && size < high.as_f64().unwrap());
    assert!((best["data"].as_f64().unwrap() * size * 6.0 / 1e25 - 1.0).abs() < 1e-6);
    assert!(best["beyond"].as_array().unwrap().iter().any(|beyond| beyond["times"].as_f64().unwrap() > 1.0));
}

#[test]
fn what_is_fixed_is_fixed_in_every_number() {
    let dir = Workdir::new();
    dir.write("surface.csv", &surface());
    let fixed = [&SURFACE[..], &["--fix", "E=1.8", "--fix", "alpha=beta"]].concat();
    insta::assert_snapshot!(dir.stdout(&fixed));
    let json = dir.json(&[&fixed[..], &["--json"]].concat());
    let fit = &json["fits"][0];
    assert_eq!(fit["provenance"]["fixed"], serde_json::json!(["E=1.8", "alpha=beta"]));
    assert_eq!(fit["params"]["E"].as_f64(), Some(1.8));
    assert_eq!(fit["params"]["alpha"], fit["params"]["beta"]);
    assert!(fit["intervals"].get("E").is_none() && fit["intervals"]["alpha"] == fit["intervals"]["beta"]);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let dir = Workdir::new();
    dir.write("surface.csv", &surface()).write("profiles.csv", &profiles());
    let said = |more: &[&str], code| dir.stderr(&[&SURFACE[..], more].concat(), code);
    assert!(said(&["--fix", "gamma=1"], 2).contains("chinchilla has no parameter of that name"));
    assert!(said(&["--fix", "E=-1"], 2).contains("E is 0 or more"));
    assert!(said(&["--predict", "data=1e9"], 2).contains("a surface has a loss for two of params, data and compute"));
    assert!(said(&["--predict", "data=-1"], 2).contains("a scale is a positive number"));
    assert!(said(&["--predict", "tokens=1"], 2).contains("they are params, data and compute"));
    assert!(said(&["--predict", "data=1,data=2"], 2).contains("given twice"));
    let said = |more: &[&str]| dir.stderr(&[&["fit", "--csv", "profiles.csv", "--law"], more].concat(), 2);
    assert!(said(&["isoflop", "--fix", "a=0.5"]).contains("no parameters to fix"));
    assert!(said(&["auto", "--x", "compute", "--fix", "E=1"]).contains("tries laws that have other parameters"));
    assert!(said(&["isoflop", "--predict", "data=1e9"]).contains("profiles predict at a compute alone"));
}

#[test]
fn profiles_say_their_minima_with_intervals_and_are_drawn() {
    let dir = Workdir::new();
    dir.write("profiles.csv", &profiles());
    let asked = ["--csv", "profiles.csv", "--law", "isoflop-akima", "--bootstrap", "200"];
    insta::assert_snapshot!(dir.stdout(&[&["fit"][..], &asked[..], &["--predict", "compute=1e20"]].concat()));
    let json = dir.json(&[&["fit"][..], &asked[..], &["--predict", "compute=1e20", "--json"]].concat());
    let cell = &json["fits"][0]["cells"][0];
    for name in ["params", "data", "loss"] {
        assert!(cell["intervals"][name]["low"].as_f64().unwrap() < cell["intervals"][name]["high"].as_f64().unwrap());
    }
    assert!((json["predictions"][0]["beyond"][0]["times"].as_f64().unwrap() - 3.125).abs() < 1e-9);
    dir.stdout(&[&["plot"][..], &asked[..], &["--title", "Best sizes", "-o", "profiles.svg"]].concat());
    let svg = std::fs::read_to_string(dir.path("profiles.svg")).unwrap();
    // Two panels of profiles, the best size and the best data.
    assert_eq!(svg.matches("<svg").count(), 1);
    for words in ["Best sizes: ", "best model size", "best training set size", "1.00E (9 points)"] {
        assert!(svg.contains(words), "{words}");
    }
    dir.stdout(&[&["plot"][..], &asked[..], &["-o", "profiles.png"]].concat());
    let error = dir.stderr(&[&["plot"][..], &asked[..], &["--multiplier", "-o", "x.svg"]].concat(), 2);
    assert!(error.contains("gives no curves of loss"), "{error}");
}
