//! The replication of Chinchilla with 4,000 resamples against the same in scipy, a million rows read and fitted, and the laws
//! of 92 learning curves chosen: `cargo bench --bench fit`. The rows come from `CHINCHILLA_CSV`, or from ../shared/data/chinchilla.csv.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crossover::fit::auto::fit_auto;
use crossover::fit::laws::law::Domain;
use crossover::fit::{Scale, Settings, fit_curves, laws};
use crossover::point::{Axis, Point};
use crossover::study::file::{Asked, read};

fn main() {
    chinchilla();
    million();
    curves();
}

/// Learning curves of two breaks, the law that takes longest, each fitted alone and its law chosen, with intervals.
fn curves() {
    let mut noise = 1u32;
    let mut curve = |which: u32| -> Vec<Point> {
        let bend = |x: f64, at: f64, by: f64| (1.0 + (x / at).powi(3)).powf(-by / 3.0);
        let (first, second) = (3e3 * f64::from(1 + which % 7), 1e6 * f64::from(1 + which % 5));
        let point = |i| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = 100.0 * 1.4f64.powi(i);
            let clean = 0.4 + 6.0 * x.powf(-0.08) * bend(x, first, 0.3) * bend(x, second, -0.2);
            let value = clean * (1.0 + 0.02 * (f64::from(noise) / f64::from(u32::MAX) - 0.5));
            Point {
                curve: which.to_string(),
                params: None,
                data: Some(x),
                seen: None,
                compute: None,
                seconds: None,
                value,
                seed: None,
                source: i.to_string(),
                made: None,
            }
        };
        (0..40).map(point).collect()
    };
    let curves: Vec<Vec<Point>> = (0..92).map(&mut curve).collect();
    for bootstrap in [0, 1000] {
        let settings = Settings { bootstrap, ..Settings::default() };
        let started = Instant::now();
        let fit = |points: &Vec<Point>| fit_auto(points, Axis::Data, Domain::Curve, &settings).expect("a fit");
        let broken = curves.iter().filter(|points| fit(points).fits[0].law.name().starts_with("broken")).count();
        println!(
            "fit, 92 curves of 40 points, law chosen, {bootstrap} resamples: {:.1} s ({broken} take a broken law)",
            started.elapsed().as_secs_f64()
        );
    }
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
