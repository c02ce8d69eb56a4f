//! Files of other programs, as people have them: what is read, what is refused and what to type then. One snapshot shows
//! every answer.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use parquet::data_type::DoubleType;
use parquet::file::writer::SerializedFileWriter;
use serde_json::Value;

use crate::workdir::Workdir;

/// Six runs of rising size, each measured at five steps; the last loss is 1.5 + 30 N^-0.25.
fn checkpoints(with_run: bool, step: &str) -> String {
    let mut text = format!("arch,{}params,{step},loss\n", if with_run { "run," } else { "" });
    for (i, n) in [1e6, 3e6, 1e7, 3e7, 1e8, 3e8].into_iter().enumerate() {
        for step in [100.0, 300.0, 1e3, 3e3, 1e4] {
            let run = if with_run { format!("r{i},") } else { String::new() };
            let loss = 1.5 + 30.0 * f64::powf(n, -0.25) + 400.0 * (1.0 / step - 1e-4);
            text += &format!("vit,{run}{n},{step},{loss:.5}\n");
        }
    }
    text
}

fn accuracies(percent: &str) -> String {
    let mut text = String::from("arch,examples,accuracy\n");
    for (arch, at) in [("good", [0.60, 0.72, 0.81, 0.87, 0.91]), ("poor", [0.40, 0.50, 0.58, 0.64, 0.69])] {
        for (i, accuracy) in at.into_iter().enumerate() {
            let accuracy = if percent.is_empty() { accuracy } else { 100.0 * accuracy };
            text += &format!("{arch},{},{accuracy:.2}{percent}\n", 1000 * 4u32.pow(i as u32));
        }
    }
    text
}

/// One run a row, as W&B exports them: quoted, nested names, an index, states.
fn export() -> String {
    let mut text = String::from(
        "\"\",\"Name\",\"State\",\"Runtime\",\"model.arch\",\"model.num_params\",\"data.tokens\",\"val/loss\"\n",
    );
    let mut row = |arch: &str, state: &str, tokens: &str, loss: &str| {
        let index = text.lines().count();
        text += &format!("\"{index}\",\"r{index}\",\"{state}\",\"9\",\"{arch}\",\"1M\",\"{tokens}\",\"{loss}\"\n");
    };
    for (tokens, vit, conv) in [
        ("1M", "3.10", "2.80"),
        ("4M", "2.70", "2.55"),
        ("16,000,000", "2.42", "2.40"),
        ("6.4e7", "2.21", "2.30"),
        ("256M", "2.06", "2.24"),
    ] {
        row("vit", "finished", tokens, vit);
        row("conv", "finished", tokens, conv);
    }
    row("vit", "crashed", "256M", "NaN");
    row("conv", "failed", "16M", "");
    row("conv", "finished", "256M", "Infinity");
    text
}

const PANEL: &str = "\"Step\",\"vit-s - val_loss\",\"vit-s - val_loss__MIN\",\"vit-s - val_loss__MAX\",\"conv-s - \
                     val_loss\",\"conv-s - val_loss__MIN\",\"conv-s - val_loss__MAX\"
\"1000\",\"2.31\",\"2.31\",\"2.31\",\"2.05\",\"2.05\",\"2.05\"
\"2000\",\"2.02\",\"2.02\",\"2.02\",\"1.85\",\"1.85\",\"1.85\"
\"4000\",\"1.79\",\"1.79\",\"1.79\",\"1.71\",\"1.71\",\"1.71\"
\"8000\",\"1.62\",\"1.62\",\"1.62\",\"1.61\",\"1.61\",\"1.61\"
\"16000\",\"1.49\",\"1.49\",\"1.49\",\"1.54\",\"1.54\",\"1.54\"
";

/// Two evaluation sets of each of five runs.
fn sets() -> String {
    let mut text = String::from("run,params,eval_set,loss\n");
    for (i, n) in [1e6, 4e6, 1.6e7, 6.4e7, 2.56e8].into_iter().enumerate() {
        let loss = 1.5 + 30.0 * f64::powf(n, -0.25);
        text += &format!("r{i},{n},c4,{loss:.4}\nr{i},{n},pile,{:.4}\n", 0.8 * loss);
    }
    text
}

/// Three learning rates and two seeds at each of five scales; the best rate is the middle one but for the last scale.
fn tuned() -> String {
    let mut text = String::from("examples,seed,lr,val_loss,test_loss\n");
    for (i, x) in [1e3, 4e3, 1.6e4, 6.4e4, 2.56e5].into_iter().enumerate() {
        for seed in 0..2 {
            for (j, lr) in [1e-3, 1e-2, 1e-1].into_iter().enumerate() {
                let off = if i == 4 { j } else { j.abs_diff(1) };
                let wiggle = 1.0 + 0.004 * ((7 * i + 3 * seed) % 5) as f64;
                let loss = (0.5 + 20.0 * f64::powf(x, -0.4)) * (1.0 + 0.1 * off as f64) * wiggle;
                text += &format!("{x},{seed},{lr},{loss:.4},{:.4}\n", 1.01 * loss);
            }
        }
    }
    text
}

const WIDTHS: &str = "width,n,loss\n8,100,1.60\n32,100,1.25\n8,200,1.43\n32,200,1.07\n8,400,1.30\n32,400,0.95\n\
                      8,800,1.21\n32,800,0.86\n8,1600,1.15\n32,1600,0.80\n";

/// Flags beside `--file FILE`, the file.
fn cases() -> Vec<(&'static str, String)> {
    vec![
        ("--x params", checkpoints(true, "step")),
        ("--x params", checkpoints(false, "step")),
        ("--x params --checkpoints all", checkpoints(true, "step")),
        ("--x data", checkpoints(true, "tokens")),
        ("--law chinchilla", checkpoints(true, "tokens")),
        ("--x data", accuracies("")),
        ("--x data --rising", accuracies("")),
        ("--x data", accuracies("%")),
        ("--x data --rising", accuracies("%")),
        ("--x data --rising=0.5", accuracies("")),
        ("--column examples=n", WIDTHS.into()),
        ("--column examples=n --by width", WIDTHS.into()),
        ("--law chinchilla --column examples=n", WIDTHS.into()),
        ("--column examples=n --column params=n", WIDTHS.into()),
        ("--x compute --column examples=n --column params=width", WIDTHS.into()),
        ("--x compute --flops-per 0", WIDTHS.into()),
        ("--x params", sets()),
        ("--x params --where eval_set=c4", sets()),
        ("--x params --where eval_set=c5", sets()),
        ("--x params --where eval_set", sets()),
        ("--x params --by eval_set", sets()),
        ("--x data --tuned lr", tuned()),
        ("--x data", tuned()),
        ("--x data", export()),
        ("--x data --where State=crashed", export()),
        ("", PANEL.into()),
        ("--x compute", PANEL.into()),
        ("--x data --multiverse", PANEL.into()),
        ("", "examples,loss\n1.000,2\n2.000,1\n".into()),
        ("", "examples;loss\n1,000;2\n".into()),
        ("", "examples,loss_a,loss_b\n1,2,2\n".into()),
        ("", "{\"examples\": 10, \"loss\": 2}\n{\"examples\": 20, \"loss\": }\n".into()),
        ("", "PAR1 and nothing else".into()),
    ]
}

#[test]
fn every_file_is_read_or_refused_with_what_to_type() {
    let mut shown = String::new();
    for (flags, file) in cases() {
        let dir = Workdir::new();
        dir.write("points.csv", &file);
        let mut args = vec!["fit", "--file", "points.csv", "--bootstrap", "199"];
        args.extend(flags.split_whitespace());
        let output = dir.output(&args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("no signal ended it");
        assert!(code <= 2, "{flags}: exit code {code}: {}", text(&output.stderr));
        let head: String = file.lines().take(2).map(|line| format!("  {line}\n")).collect();
        shown += &format!("== fit {flags}\n{head}exit {code}\n{}{}\n", text(&output.stdout), text(&output.stderr));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn the_last_checkpoints_give_the_floor_that_is_there() {
    let dir = Workdir::new();
    for (name, with_run) in [("with.csv", true), ("without.csv", false)] {
        dir.write(name, &checkpoints(with_run, "step"));
        let json = dir.json(&["fit", "--csv", name, "--x", "params", "--bootstrap", "100", "--json"]);
        let floor = json["fits"][0]["params"]["E"].as_f64().unwrap();
        assert!((floor / 1.5 - 1.0).abs() < 0.01, "{floor}");
        let origin = &json["fits"][0]["provenance"]["file"];
        assert!(origin["read_as"][0].as_str().unwrap().contains("checkpoints of 6 runs"), "{origin}");
        assert_eq!((&origin["columns"]["step"], &origin["rows"]), (&"step".into(), &30.into()));
    }
}

#[test]
fn stdin_is_a_file_too() {
    let dir = Workdir::new();
    let mut fit = dir.command(&["fit", "--file", "-", "--json", "--bootstrap", "100"]);
    let mut child = fit.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let rows = (1..9).map(|i| format!("{{\"arch\": \"a\", \"examples\": {i}000, \"loss\": {}}}\n", 1.0 / f64::from(i)));
    child.stdin.take().expect("piped").write_all(rows.collect::<String>().as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["points"][0]["runs"][0], "stdin:1");
}

/// A unit is said where the file says it, and nowhere else.
#[test]
fn figures_say_only_what_the_file_says() {
    let dir = Workdir::new();
    let drawn = |file: &str, flags: &[&str]| {
        dir.write("points.csv", file);
        dir.stdout(&[&["plot", "--file", "points.csv", "-o", "figure.svg", "--bootstrap", "99"][..], flags].concat());
        std::fs::read_to_string(dir.path("figure.svg")).expect("a figure")
    };
    let plain = drawn(&sets(), &["--x", "params", "--where", "eval_set=c4"]);
    assert!(plain.contains("parameters") && !plain.contains("nats"), "{plain}");
    let turned = drawn(&accuracies("%"), &["--rising"]);
    assert!(turned.contains("100% - accuracy") && turned.contains("examples"), "{turned}");
    let steps = drawn(PANEL, &[]);
    assert!(steps.contains("Step") && !steps.contains("examples") && !steps.contains("nats"), "{steps}");
}

/// Rows are taken one by one: together they took three times the memory, since each names all its columns.
#[test]
fn rows_of_a_parquet_file_are_not_held_together() {
    const ROWS: usize = 60_000;
    let dir = Workdir::new();
    let columns: Vec<String> = (0..20).map(|column| format!("required double a_measured_value_{column};")).collect();
    let schema = parquet::schema::parser::parse_message_type(&format!("message rows {{ {} }}", columns.concat()));
    let file = std::fs::File::create(dir.path("wide.parquet")).expect("a file");
    let mut file = SerializedFileWriter::new(file, schema.expect("a schema").into(), Default::default()).expect("ok");
    let mut group = file.next_row_group().expect("a group");
    for column in 0..columns.len() {
        let values: Vec<f64> = (0..ROWS).map(|row| 1.0 / (row + column + 1) as f64).collect();
        let mut writer = group.next_column().expect("ok").expect("a column");
        writer.typed::<DoubleType>().write_batch(&values, None, None).expect("written");
        writer.close().expect("closed");
    }
    group.close().expect("closed");
    file.close().expect("closed");
    // No row is left, so that nothing is fitted.
    let mut fit = dir.command(&["fit", "--file", "wide.parquet", "--where", "a_measured_value_0=2"]);
    let (mut child, mut peak) = (fit.stderr(Stdio::null()).spawn().expect("it starts"), 0);
    while child.try_wait().expect("a child").is_none() {
        peak = crate::large::memory(child.id().into()).unwrap_or(0).max(peak);
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("{} MiB", peak >> 20);
    assert!(peak < 200 << 20, "{} MiB", peak >> 20);
}
