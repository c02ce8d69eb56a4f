//! Which rows are of one run: independent replicates, a log, the values of a setting.

use std::collections::BTreeSet;

use super::*;

fn read(text: &str) -> Found {
    over(DATA, text.as_bytes(), &Asked::default()).unwrap()
}

fn sources(found: &Found) -> usize {
    found.points.iter().map(|point| point.source.as_str()).collect::<BTreeSet<_>>().len()
}

/// Two curves, five scales, two seeds.
fn cells() -> impl Iterator<Item = (&'static str, u32, u32)> {
    let scales = |arch| (0..5).flat_map(move |i| (0..2).map(move |seed| (arch, 1000 * 3u32.pow(i), seed)));
    ["convnet", "vit"].into_iter().flat_map(scales)
}

fn loss(examples: u32) -> f64 {
    0.4 + 8.0 * f64::from(examples).powf(-0.4)
}

/// However the lines are broken, each row is one.
#[test]
fn a_row_is_its_own_whatever_shares_its_line() {
    let rows: Vec<(String, String)> = cells()
        .map(|(arch, examples, seed)| {
            let loss = loss(examples) * (1.0 + 0.01 * f64::from(seed));
            let csv = format!("{arch},{examples},{seed},{loss}");
            (csv, format!(r#"{{"arch":"{arch}","examples":{examples},"seed":{seed},"loss":{loss}}}"#))
        })
        .collect();
    let csv: Vec<&str> = ["arch,examples,seed,loss"].into_iter().chain(rows.iter().map(|row| row.0.as_str())).collect();
    let json: Vec<&str> = rows.iter().map(|row| row.1.as_str()).collect();
    let plain = read(&csv.join("\n"));
    let values =
        |found: &Found| found.points.iter().map(|point| (point.curve.clone(), point.value)).collect::<Vec<_>>();
    for (text, last) in [
        (format!("[{}]", json.join(",")), "f.csv:20"),
        (json.chunks(2).map(|pair| pair.join(" ")).collect::<Vec<_>>().join("\n"), "f.csv:20"),
        (csv.join("\r"), "f.csv:21"),
        (csv.join("\r") + "\n", "f.csv:21"),
        (csv.join("\r\n"), "f.csv:21"),
        (format!("# by hand\n#\n{}", csv.join("\n")), "f.csv:23"),
        (format!("sep=;\n{}", csv.join("\n").replace(',', ";")), "f.csv:22"),
        (format!("# {}", csv.join("\n")), "f.csv:21"),
    ] {
        let found = read(&text);
        assert_eq!((values(&found), sources(&found)), (values(&plain), 20), "{text}");
        assert_eq!(found.points[19].source, last);
    }
    let spaces = refusal(DATA, &csv.join("\n").replace(',', "  "), &Asked::default());
    assert!(spaces.message.ends_with("its columns are parted by spaces") && spaces.hint.is_some(), "{spaces}");
}

#[test]
fn epochs_are_checkpoints_and_their_last_is_the_point() {
    for name in ["epoch", "step", "epochs", "iters", "trainer/global_step", "_step"] {
        let log = |seeds: bool| {
            let mut text = format!("arch,examples,{}{name},val_loss\n", if seeds { "seed," } else { "" });
            for (arch, examples, seed) in cells() {
                let seed = if seeds { format!("{seed},") } else { String::new() };
                for at in 1..=10 {
                    text += &format!("{arch},{examples},{seed}{at},{}\n", loss(examples) + 1.0 / f64::from(at));
                }
            }
            text
        };
        let (text, seedless) = (log(true), log(false));
        let found = read(&text);
        assert_eq!(found.points.len(), 20, "{name}: {:?}", found.notes);
        let last = found.notes.last().unwrap();
        assert!(last.starts_with("200 of 200 rows look like checkpoints of 20 runs"), "{:?}", found.notes);
        assert!(found.points.iter().all(|point| point.value < loss(1000) + 0.11));
        // Rows in any order, and seeds that no column tells apart.
        let mut lines: Vec<&str> = text.lines().collect();
        lines[1..].reverse();
        assert_eq!(read(&lines.join("\n")).points.len(), 20, "{name}");
        assert_eq!(read(&seedless).points.len(), 20, "{name}");
    }
    // By another name it is told how to say so, and not to take the best.
    let mut text = String::from("arch,examples,seed,pass,val_loss\n");
    for (arch, examples, seed) in cells() {
        (1..=10).for_each(|at| text += &format!("{arch},{examples},{seed},{at},{}\n", loss(examples)));
    }
    let notes = read(&text).notes.concat();
    assert!(notes.contains("--column step=pass takes the last of each run") && !notes.contains("--tuned"), "{notes}");
}

/// Without a column of runs a curve, a size and a seed are one, where each step has seen as much.
#[test]
fn a_log_of_tokens_is_resampled_with_its_run() {
    let log = |step: &str, seed: &str, tokens: fn(u32) -> u32| {
        let mut text = format!("arch,{seed}{step},tokens,loss\n");
        for arch in ["a", "b"] {
            for run in 0..2 {
                let seed = if seed.is_empty() { String::new() } else { format!("{run},") };
                (1..=8).for_each(|at| {
                    text += &format!("{arch},{seed}{},{},{}\n", at * 100, tokens(at), loss(tokens(at)));
                });
            }
        }
        read(&text)
    };
    let even = |at: u32| at * 200_000;
    let found = log("step", "seed,", even);
    assert_eq!((found.points.len(), sources(&found)), (32, 4), "{:?}", found.notes);
    assert!(found.notes[0].contains("32 of 32 rows look like checkpoints of 4 runs"), "{:?}", found.notes);
    assert_eq!(found.points[8].source, "f.csv run 2 of a");
    assert_eq!(sources(&log("step", "", even)), 4);
    // How long a run of each budget took, and runs that ended early.
    assert_eq!(sources(&log("steps", "seed,", even)), 32);
    assert_eq!(sources(&log("step", "seed,", |at| at * at * 200_000)), 32);
}

/// Three learning rates of one curve and five of the other, then rates drawn at random, of runs with a name or without.
#[test]
fn a_grid_that_differs_between_curves_is_told() {
    for (random, with_run) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut text = String::from(if with_run {
            "run,arch,examples,lr,wd,grad_norm,loss\n"
        } else {
            "arch,examples,lr,wd,grad_norm,loss\n"
        });
        for (arch, count) in [("convnet", 3), ("vit", 5)] {
            for (cell, examples) in (0..6).map(|i| (i, 1000 * 3u32.pow(i))) {
                for at in 0..count {
                    let lr = if random { 1e-4 * f64::from(1 + 7 * at + 3 * cell) } else { 1e-4 * f64::from(1 << at) };
                    let run = if with_run { format!("{arch}{cell}{at},") } else { String::new() };
                    text += &format!("{run}{arch},{examples},{lr},0.1,{},{}\n", lr * loss(examples), loss(examples));
                }
            }
        }
        let notes = read(&text).notes.concat();
        assert!(notes.contains("differ in lr (") && notes.contains("--tuned lr takes its best value"), "{notes}");
        assert!(!notes.contains("grad_norm") && !notes.contains("wd"), "{notes}");
    }
}

#[test]
fn rows_without_a_name_of_a_curve_are_left_out_and_counted() {
    let text = "arch,examples,loss\nvit,1000,3\n,1000,2\nvit,3000,2\n,3000,1\n";
    let json = r#"[{"arch": "vit", "examples": 1000, "loss": 3}, {"arch": null, "examples": 1000, "loss": 2}]"#;
    let found = read(text);
    assert_eq!((found.points.len(), found.origin.left_out.len()), (2, 2));
    assert_eq!(found.notes, ["left out: 2 of 4 rows have no name of a curve in column arch (f.csv:3, f.csv:5)"]);
    assert_eq!(read(json).points.len(), 1);
    // A column that is empty throughout names nothing.
    let curves = |text: &str| read(text).points.into_iter().map(|point| point.curve).collect::<BTreeSet<_>>();
    assert_eq!(curves("group,examples,loss\n,1000,3\n,3000,2\n"), ["f".to_owned()].into());
    assert_eq!(curves("arch,model,examples,loss\n,a,1000,3\n,b,3000,2\n"), ["a".to_owned(), "b".to_owned()].into());
    assert_eq!(
        curves("arch,examples,loss\n\u{1b}[31mvit\u{1b}[0m,1000,3\n"),
        ["\\u{1b}[31mvit\\u{1b}[0m".to_owned()].into()
    );
}
