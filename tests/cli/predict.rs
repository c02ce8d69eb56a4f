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

/// L = 1.8 + 480 N'^-0.35 + 2100 D'^-0.37, repeats worth something for 15 epochs, sizes for 5.
fn of_repeated(n: f64, unique: f64, seen: f64) -> f64 {
    let worth = |base: f64, used: f64, r: f64| base * (1.0 + r * -(-(used / base - 1.0) / r).exp_m1());
    let g = (0.35f64 * 480.0 / (0.37 * 2100.0)).powf(1.0 / 0.72);
    let optimal = g * (unique * g).powf(0.37 / 0.35);
    let (size, data) = (worth(optimal.min(n), n, 5.0), worth(unique, seen, 15.0));
    1.8 + 480.0 * size.powf(-0.35) + 2100.0 * data.powf(-0.37)
}

fn repeated() -> String {
    let mut text = String::from("N,examples,epochs,loss\n");
    for i in 0..125 {
        let (n, u, epochs) = (1e6 * 8f64.powi(i / 25), 1e7 * 6f64.powi(i / 5 % 5), 4f64.powi(i % 5));
        let wiggle = 1.0 + 0.002 * f64::from(i * 7 % 5 - 2);
        text += &format!("{n},{u},{epochs},{:.5}\n", of_repeated(n, u, u * epochs) * wiggle);
    }
    text
}

#[test]
fn repeated_data_predict_losses_and_how_long_to_train_on_what_there_is() {
    let dir = Workdir::new();
    dir.write("repeated.csv", &repeated());
    let fit = ["fit", "--csv", "repeated.csv", "--law", "repeated", "--bootstrap", "100"];
    let asked = ["--predict", "params=100M,data=1B,seen=4B", "--predict", "data=100M,compute=1e19"];
    insta::assert_snapshot!(dir.stdout(&[&fit[..], &asked].concat()));
    let json = dir.json(&[&fit[..], &asked, &["--json"]].concat());
    let [at, best] = [&json["predictions"][0], &json["predictions"][1]];
    let truth = of_repeated(1e8, 1e9, 4e9);
    assert!((at["loss"].as_f64().unwrap() / truth - 1.0).abs() < 0.002, "{at} {truth}");
    // All of the compute is used, and the examples are seen more than once.
    let (size, seen) = (best["params"].as_f64().unwrap(), best["seen"].as_f64().unwrap());
    assert!((seen * size * 6.0 / 1e19 - 1.0).abs() < 1e-6 && seen > 2e8, "{best}");
    // No size twice as large or half as large, with what it can see, is as good.
    for other in [size / 2.0, size * 2.0] {
        let place = format!("params={other},data=100M,compute=1e19");
        let json = dir.json(&[&fit[..], &["--predict", &place, "--json"]].concat());
        assert!(json["predictions"][0]["loss"].as_f64().unwrap() > best["loss"].as_f64().unwrap());
    }
    let said = dir.stderr(&[&fit[..], &["--predict", "params=1e9,data=1e9"]].concat(), 2);
    assert!(said.contains("one of seen and compute"), "{said}");
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
    assert!(said(&["--predict", "tokens=1"], 2).contains("they are params, data, seen, compute and seconds"));
    assert!(said(&["--predict", "params=1B,data=20B,seen=40B"], 2).contains("for two of params, data and compute"));
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

/// Losses of runs whose best learning rate is 0.1 D^-0.25, tuned over a grid whose values lie twice apart.
fn learning_rates() -> String {
    let mut text = String::from("arch,params,examples,lr,loss\n");
    for examples in (0..6).map(|i| 1e4 * 4f64.powi(i)) {
        for lr in (0..12).map(|i| 1e-4 * 2f64.powi(i)) {
            let off = (lr / (0.1 * examples.powf(-0.25))).ln();
            text += &format!("vit,1e6,{examples},{lr},{:.5}\n", 1.0 + 50.0 * examples.powf(-0.4) + 0.1 * off * off);
        }
    }
    text
}

#[test]
fn the_best_learning_rate_is_a_law_of_scale() {
    let dir = Workdir::new();
    dir.write("rates.csv", &learning_rates());
    let asked = ["fit", "--file", "rates.csv", "--tuned", "lr", "--law", "tuned:lr"];
    insta::assert_snapshot!(dir.stdout(&asked));
    let json = dir.json(&[&asked[..], &["--json"]].concat());
    let (found, ends) = (&json["fits"][0]["params"]["c"], &json["fits"][0]["intervals"]["c"]);
    assert!((found.as_f64().unwrap() + 0.25).abs() < 0.03, "{json}");
    assert!(ends["low"].as_f64().unwrap() < -0.25 && -0.25 < ends["high"].as_f64().unwrap(), "{json}");
}
