//! `--tuned`: of each cell the values of the tuned columns with the lowest mean over seeds, as in our own sweeps.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::layout::Layout;
use super::points::Read;
use super::table::Table;
use crate::fit::AtEdge;
use crate::point::Made;
use crate::run::Settings;

/// The rows of one cell with equal tuned values.
struct Candidate {
    tuned: Settings,
    rows: Vec<usize>,
    /// Rows without a finite value: the mean over the others is over the lucky ones.
    lost: usize,
    mean: f64,
}

/// Leaves the rows of the best candidate of each cell. What was chosen travels with each point; the tuned columns whose
/// choice is at the edge of what was tried are returned by source, with a note.
pub fn choose(rows: &mut Vec<Read>, table: &Table, layout: &Layout) -> (AtEdge, Option<String>) {
    if layout.tuned.is_empty() {
        return (AtEdge::new(), None);
    }
    let mut cells: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, read) in rows.iter().enumerate() {
        let point = &read.point;
        let scales = [point.params, point.data, point.compute, point.seen].map(|x| x.map(f64::to_bits));
        cells.entry((point.curve.clone(), scales)).or_default().push(at);
    }
    let (mut at_edge, mut kept, mut most) = (AtEdge::new(), vec![false; rows.len()], 0);
    let count = cells.len();
    for members in cells.into_values() {
        let candidates = candidates(&members, rows, table, layout);
        most = most.max(candidates.len());
        let edges = |best: &Candidate| edges(best, &candidates);
        let best = candidates.iter().min_by(|a, b| a.lost.cmp(&b.lost).then(a.mean.total_cmp(&b.mean)));
        let Some(best) = best else { continue };
        let keys = edges(best);
        let made = Arc::new(Made { size: Settings::new(), tuned: best.tuned.clone(), steps: None, best_of: 1 });
        for at in &best.rows {
            kept[*at] = true;
            rows[*at].point.made = Some(made.clone());
            if !keys.is_empty() {
                at_edge.insert(rows[*at].point.source.clone(), keys.clone());
            }
        }
    }
    let mut kept = kept.into_iter();
    rows.retain(|_| kept.next().unwrap_or(false));
    let names: Vec<&str> = layout.tuned.iter().map(|column| table.header[*column].as_str()).collect();
    let by = match layout.chosen_by == layout.value {
        true => format!("{}, the metric itself, so that it is a little too low", table.header[layout.value]),
        false => table.header[layout.chosen_by].clone(),
    };
    let note = format!(
        "in each of {count} cells the best of up to {most} values of {} stands for the curve, by the mean of {by}",
        names.join(", ")
    );
    (at_edge, Some(note))
}

fn candidates(members: &[usize], rows: &[Read], table: &Table, layout: &Layout) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for at in members {
        let cell = |column: &usize| {
            let text = table.shown(rows[*at].row, *column);
            let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number);
            (table.header[*column].clone(), number.unwrap_or(Value::String(text)))
        };
        let tuned: Settings = layout.tuned.iter().map(cell).collect();
        match candidates.iter_mut().find(|candidate| candidate.tuned == tuned) {
            Some(candidate) => candidate.rows.push(*at),
            None => candidates.push(Candidate { tuned, rows: vec![*at], lost: 0, mean: f64::NAN }),
        }
    }
    for candidate in &mut candidates {
        let own = layout.chosen_by == layout.value;
        let value = |at: &usize| if own { rows[*at].point.value } else { rows[*at].chosen_by };
        let values: Vec<f64> = candidate.rows.iter().map(value).filter(|value| value.is_finite()).collect();
        candidate.lost = candidate.rows.len() - values.len();
        candidate.mean = values.iter().sum::<f64>() / values.len() as f64;
    }
    candidates
}

/// The columns of which the best candidate has the smallest or the largest value tried.
fn edges(best: &Candidate, candidates: &[Candidate]) -> Vec<String> {
    let is_at_edge = |key: &&String| {
        let value = |candidate: &Candidate| candidate.tuned.get(*key).and_then(Value::as_f64);
        let tried = candidates.iter().filter_map(value);
        let (low, high) = tried.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        low < high && (value(best) == Some(low) || value(best) == Some(high))
    };
    best.tuned.keys().filter(is_at_edge).cloned().collect()
}
