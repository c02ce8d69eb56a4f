//! The replication of Chinchilla with 4,000 resamples against the same in scipy, and a million rows read and fitted:
//! `cargo bench --bench fit`. The rows come from `CHINCHILLA_CSV`, or from ../shared/data/chinchilla.csv.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crossover::fit::{Scale, Settings, fit_curves, laws};
use crossover::point::Axis;
use crossover::study::file::{Asked, read};

fn main() {
    chinchilla();
    million();
}

fn chinchilla() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/chinchilla.csv");
    let path = std::env::var_os("CHINCHILLA_CSV").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if !path.exists() {
        println!("fit: SKIPPED, {} is not there; CHINCHILLA_CSV names the file", path.display());
        return;
    }
    let law = laws::by_name("chinchilla").expect("a law");
    let settings = Settings { law, exclude_top_loss: 5, bootstrap: 4000, ..Settings::default() };
    let started = Instant::now();
    let asked = Asked { path: path.clone(), ..Asked::default() };
    let points = read(&asked, Scale::Surface).expect("the published rows").points;
    let analysis = fit_curves(&points, Axis::Data, &settings).expect("a fit");
    let seconds = started.elapsed().as_secs_f64();
    let fit = &analysis.fits[0];
    println!("fit, Chinchilla with 4000 resamples: {seconds:.2} s, objective {:.12}", fit.objective);
    match scipy(&path) {
        Ok((objective, theirs)) => println!(
            "the same in scipy (benches/chinchilla.py): {theirs:.1} s, objective {objective:.12}; {:.0} times as long",
            theirs / seconds
        ),
        Err(reason) => println!("the same in scipy: SKIPPED, {reason}"),
    }
}

/// Objective and seconds of the scipy program, run by `PYTHON` or `python3`.
fn scipy(path: &std::path::Path) -> Result<(f64, f64), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/chinchilla.py");
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(python).arg(script).arg(path).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [objective, seconds] => Ok((objective, seconds)),
        _ => Err(format!("PYTHON needs numpy and scipy: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn million() {
    let mut text = String::from("arch,examples,loss,seed\n");
    for i in 0..1_000_000u32 {
        let x = 100.0 * f64::from(i / 2 + 1);
        let noise = f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24) - 0.5;
        let loss = (0.3 + 20.0 * x.powf(-0.45)) * (1.0 + 0.02 * noise);
        writeln!(text, "{},{x},{loss:.6},{}", ["a", "b"][i as usize % 2], i % 5).expect("a string grows");
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("written");
    let started = Instant::now();
    let asked = Asked { path: file.path().into(), ..Asked::default() };
    let points = read(&asked, Scale::Curve(Axis::Data)).expect("a good file").points;
    let reading = started.elapsed().as_secs_f64();
    fit_curves(&points, Axis::Data, &Settings::default()).expect("fits");
    println!("fit, a million rows: {:.2} s, of which reading {reading:.2} s", started.elapsed().as_secs_f64());
}
