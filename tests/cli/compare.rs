//! `crossover fit --shared --backtest --multiverse` and `crossover plot --multiplier`.

use std::fmt::Write;

use crate::workdir::Workdir;

/// Two curves that cross once, with a wiggle of a percent in place of noise.
fn rows() -> String {
    let mut text = String::from("arch,params,examples,flops,flops_counted,loss,seed\n");
    for (i, x) in [250.0f64, 1000.0, 4000.0, 16000.0, 64000.0, 256_000.0].into_iter().enumerate() {
        for seed in 0..3 {
            let wiggle = 1.0 + 0.01 * f64::from((3 * i as i32 + 7 * seed) % 5 - 2);
            let (convnet, vit) = ((0.5 + 30.0 * x.powf(-0.5)) * wiggle, (0.3 + 15.0 * x.powf(-0.35)) / wiggle);
            writeln!(text, "convnet,1e5,{x},{:e},{:e},{convnet},{seed}", x * 7e5, x * 8e5).unwrap();
            writeln!(text, "vit,1e5,{x},{:e},{:e},{vit},{seed}", x * 6e5, x * 6e5).unwrap();
        }
    }
    text
}

const FIT: [&str; 5] = ["fit", "--csv", "runs.csv", "--bootstrap", "200"];
const SECTIONS: [&str; 3] = ["--shared", "--backtest", "--multiverse"];

#[test]
fn every_section_is_printed() {
    let dir = Workdir::new();
    insta::assert_snapshot!(dir.write("runs.csv", &rows()).stdout(&[&FIT[..], &SECTIONS].concat()));
}

#[test]
fn json_has_every_section_under_its_name() {
    let dir = Workdir::new();
    let asked = [&FIT[..], &SECTIONS, &["--x", "compute", "--count", "flops_counted", "--json"]].concat();
    let json = dir.write("runs.csv", &rows()).json(&asked);
    let multiplier = &json["multipliers"][0];
    assert_eq!((multiplier["who"].as_str(), multiplier["of"].as_str()), (Some("convnet"), Some("vit")));
    assert!(multiplier["curve"].as_array().unwrap().iter().any(|at| at["times"].is_null() && at["x"].is_number()));
    assert_eq!(json["shared"][0]["tests"].as_array().map(Vec::len), Some(3));
    assert!(json["shared"][0]["tests"][0]["p_value"].as_f64().unwrap() < 0.05);
    assert!(json["backtest"]["decisions"].as_array().unwrap().len() >= 2 && json["backtest"]["wrong"].is_number());
    let options = json["multiverse"]["pairs"][0]["options"].as_array().unwrap();
    let counted: Vec<_> = options.iter().filter(|option| option["choice"] == "counting").collect();
    let names: Vec<_> = counted.iter().map(|option| option["option"].as_str().unwrap()).collect();
    assert_eq!(names, ["as given", "6 N D", "flops_counted"]);
    let plain = dir.json(&[&FIT[..], &["--json"]].concat());
    assert!(plain["multipliers"].is_array() && plain.get("shared").is_none() && plain.get("multiverse").is_none());
}

#[test]
fn any_number_of_threads_gives_the_same_text() {
    let dir = Workdir::new();
    dir.write("runs.csv", &rows());
    let on = |threads: &str| dir.stdout(&[&FIT[..], &SECTIONS, &["--json", "--threads", threads]].concat());
    assert_eq!(on("1"), on("3"));
}

#[test]
fn what_cannot_be_compared_is_said() {
    let dir = Workdir::new();
    let alone: String =
        rows().lines().filter(|line| !line.starts_with("vit")).fold(String::new(), |all, line| all + line + "\n");
    dir.write("runs.csv", &rows()).write("alone.csv", &alone);
    let said = |file: &str, more: &[&str], code: i32| {
        dir.stderr(&[&["fit", "--csv", file, "--bootstrap", "0"], more].concat(), code)
    };
    assert!(said("alone.csv", &["--shared"], 1).contains("one curve shares nothing with itself"));
    assert!(said("alone.csv", &["--backtest"], 1).contains("nothing to test"));
    assert!(said("runs.csv", &["--count", "flops_counted"], 2).contains("--multiverse"));
    let error = said("runs.csv", &["--multiverse", "--count", "flops_count"], 2);
    assert!(error.contains("no column flops_count") && error.contains("did you mean flops_counted?"), "{error}");
    let error = said("runs.csv", &["--law", "m4", "--backtest"], 1);
    assert!(error.contains("--law power"), "{error}");
}

/// Every scale counted twice as large, a crossover is twice as large, whatever is left out.
#[test]
fn outliers_are_those_of_the_same_count() {
    let dir = Workdir::new();
    let doubled = |(i, line): (usize, &str)| match line.split(',').collect::<Vec<_>>()[..] {
        [_, _, "examples", ..] => format!("{line},twice\n"),
        [arch, n, x, c, counted, loss, seed] => {
            let loss = loss.parse::<f64>().unwrap() * if i == 20 { 1.5 } else { 1.0 };
            format!("{arch},{n},{x},{c},{counted},{loss},{seed},{}\n", 2.0 * x.parse::<f64>().unwrap())
        }
        _ => panic!("{line}"),
    };
    let text: String = rows().lines().enumerate().map(doubled).collect();
    let asked = ["fit", "--csv", "runs.csv", "--bootstrap", "0", "--multiverse", "--count", "twice", "--json"];
    let json = dir.write("runs.csv", &text).json(&asked);
    let universes = json["multiverse"]["universes"].as_array().unwrap();
    let (given, twice): (Vec<_>, Vec<_>) = universes.iter().partition(|universe| universe["options"][3] == "as given");
    assert_eq!(given.len(), twice.len());
    let crossovers = |universe: &serde_json::Value| -> Vec<f64> {
        let found = universe["conclusions"][0]["crossovers"].as_array();
        found.into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
    };
    for (given, twice) in given.iter().zip(&twice) {
        let halved: Vec<f64> = crossovers(twice).iter().map(|at| at / 2.0).collect();
        let same = |(a, b): (&f64, &f64)| (a / b - 1.0).abs() < 1e-2;
        let given = (crossovers(given), &given["options"]);
        assert!(given.0.len() == halved.len() && given.0.iter().zip(&halved).all(same), "{given:?} {halved:?}");
    }
    assert!(given.iter().any(|universe| !crossovers(universe).is_empty()));
}

#[test]
fn flags_that_would_do_nothing_are_refused() {
    let dir = Workdir::new();
    for flags in [["--by", "kind"], ["--column", "examples=n"], ["--where", "a=b"], ["--tuned", "lr"]] {
        let error = dir.stderr(&[&["fit", "some-sweep"][..], &flags].concat(), 2);
        assert!(error.contains("is about the rows of a file"), "{error}");
    }
    dir.write("runs.csv", &rows());
    let error = dir.stderr(&["plot", "--csv", "runs.csv", "--law", "broken-2", "--multiplier", "-o", "times.svg"], 1);
    assert!(error.contains("too few scales") && !dir.path("times.svg").exists(), "{error}");
}

#[test]
fn multipliers_are_drawn() {
    let dir = Workdir::new();
    dir.write("runs.csv", &rows());
    dir.stdout(&["plot", "--csv", "runs.csv", "--bootstrap", "50", "--multiplier", "-o", "times.svg"]);
    let svg = std::fs::read_to_string(dir.path("times.svg")).expect("the figure");
    assert!(svg.contains("vit, to equal convnet") && svg.contains("times as much data"), "{}", &svg[..2000]);
}
