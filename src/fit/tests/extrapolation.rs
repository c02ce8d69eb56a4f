//! `--law auto` against each law, two and four times beyond the largest scale that it saw. docs/laws.md has the table.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::*;
use crate::fit::auto::rolling::{cuts, roll};
use crate::fit::data::curve::{Curve, split};
use crate::fit::data::scale::Scale;
use crate::fit::laws::{ALL, LnX, Theta};
use crate::fit::settings::solver_of;

/// A set of curves that are fitted by one law.
type Sets = BTreeMap<String, Vec<Point>>;

/// The sets of a file with the columns set, curve, x, loss.
fn published(path: &str) -> Sets {
    let text = std::fs::read_to_string(path).unwrap();
    let mut sets = Sets::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [set, curve, x, loss] = fields[..] else { panic!("{line}") };
        let point = planted(curve, |_| loss.parse().unwrap(), &[x.parse().unwrap()], 1, 0.0, 0).remove(0);
        sets.entry(set.into()).or_default().push(point);
    }
    sets
}

/// Twelve curves from each law, 24 scales a factor of 1.5 apart, its parameters within a fifth of what is planted, the
/// noise 1%.
fn simulated() -> Sets {
    let mut sets = Sets::new();
    for (name, truth) in truths() {
        let law = laws::by_name(name).unwrap();
        if law.domain() != Domain::Curve {
            continue;
        }
        for which in 0..12u64 {
            let mut rng = random::stream(which, name, 77);
            let spread = Normal::new(0.0, 0.1).unwrap();
            let mut theta = Theta::default();
            for (i, (param, value)) in law.params().iter().zip(&truth).enumerate() {
                theta[i] = param.theta(value * f64::exp(spread.sample(&mut rng)));
            }
            let loss = |x: f64| law.ln_loss(&theta, &[x.ln(), 0.0, 0.0], &mut Theta::default()).exp();
            let xs: Vec<f64> = (0..24).map(|i| 300.0 * 1.5f64.powi(i)).collect();
            let points = planted(&format!("{name}-{which}"), loss, &xs, 1, 0.01, which);
            sets.entry(format!("sim {name}")).or_default().extend(points);
        }
    }
    sets
}

fn hide(points: &[Point], times: f64) -> (Vec<Point>, Vec<Point>) {
    let mut largest: BTreeMap<&str, f64> = BTreeMap::new();
    for point in points {
        let most = largest.entry(&point.curve).or_insert(0.0);
        *most = most.max(point.data.unwrap());
    }
    points.iter().cloned().partition(|point| point.data.unwrap() <= largest[point.curve.as_str()] / times * 1.000001)
}

#[test]
#[ignore = "a study: takes minutes, and CROSSOVER_CURVES names a file"]
fn dump() {
    let mut sets = simulated();
    if let Ok(path) = std::env::var("CROSSOVER_CURVES") {
        sets.extend(published(&path));
    }
    let mut out = String::new();
    for (set, points) in &sets {
        for times in [2.0, 4.0] {
            let (seen, hidden) = hide(points, times);
            let seen = split(&seen, Scale::Curve(Axis::Data), 0);
            let started = std::time::Instant::now();
            for law in ALL.iter().filter(|law| law.domain() == Domain::Curve) {
                let solver = solver_of(&Settings { law: *law, ..settings(0) });
                let lines: Vec<String> = seen
                    .par_iter()
                    .filter_map(|curve: &Curve| {
                        let rolled = roll(&solver, &curve.sample, &cuts(&curve.sample, Domain::Curve), 1)?;
                        let search = solver.search(&curve.sample)?;
                        let mut line = format!(
                            "{set}|{times}|{}|{}|{}|{}|{}|",
                            law.name(),
                            curve.name,
                            rolled.all.objective,
                            search.best.objective,
                            search.best.converged
                        );
                        for cut in &rolled.beyond {
                            match cut {
                                None => line += "-;",
                                Some(beyond) => write!(line, "{:?};", beyond.0.map(|e| e.unwrap_or(-1.0))).unwrap(),
                            }
                        }
                        line += "|";
                        for point in hidden.iter().filter(|point| point.curve == curve.name) {
                            let ln_x: LnX = [point.data.unwrap().ln(), 0.0, 0.0];
                            let off = law.ln_loss(&search.best.theta, &ln_x, &mut Theta::default()) - point.value.ln();
                            write!(line, "{off:.6};").unwrap();
                        }
                        Some(line + "\n")
                    })
                    .collect();
                lines.iter().for_each(|line| out += line);
            }
            eprintln!("{set} {times} {:?}", started.elapsed());
        }
    }
    std::fs::write(std::env::var("CROSSOVER_DUMP").unwrap(), out).unwrap();
}
