//! What each point of a fit is, as a table: only where something was chosen, and so has to be said.

use super::table::{natural_width, table, width};
use crate::fit::Analysis;
use crate::point::Axis;
use crate::progress::cut;
use crate::study::Study;
use crate::study::rows::{Row, in_words, shown};
use crate::units::{brief, si};

/// Rows beyond which each curve has one line.
const MOST_ROWS: usize = 24;

/// The keys of a size are not worth fewer.
const LEAST_FOR_SIZE: usize = 12;

/// The points that the fits use.
pub fn used(study: &Study, analysis: &Analysis, axis: Axis) -> Vec<Row> {
    study.rows(axis, analysis.fits.iter().map(|fit| (fit.curve.as_str(), fit.points_dropped.as_slice())))
}

/// Nothing where nothing was chosen; ends with a line break.
pub fn text(rows: &[Row], axis: Axis, with_budgets: bool) -> String {
    let chosen: Vec<&Row> = rows.iter().filter(|row| row.is_chosen()).collect();
    if chosen.is_empty() {
        return String::new();
    }
    let listed = (chosen.len() <= MOST_ROWS).then(|| listed(&chosen, axis, with_budgets)).flatten();
    listed.unwrap_or_else(|| {
        let lines: String = in_words(rows, with_budgets).iter().map(|line| format!("{line}\n")).collect();
        format!("what the {} points are (--json lists each):\n{lines}", chosen.len())
    })
}

/// A row for each; nothing where the columns do not fit.
fn listed(chosen: &[&Row], axis: Axis, with_budgets: bool) -> Option<String> {
    let keys = tuned_keys(chosen);
    let sized = chosen.iter().any(|row| row.made.as_ref().is_some_and(|made| !made.size.is_empty()));
    let several = chosen.iter().any(|row| row.made.as_ref().is_some_and(|made| made.best_of > 1));
    let x = axis.to_string();
    let mut header = vec!["curve", &x];
    header.extend((sized && axis != Axis::Params).then_some("params"));
    header.extend(keys.iter().copied());
    header.extend(with_budgets.then_some("steps"));
    header.extend(several.then_some("best of"));
    header.extend(["seeds", "mean"]);
    let row = |row: &&Row| {
        let made = row.made.as_ref();
        let mut cells = vec![cut(&row.curve, width() / 3), row.x(axis).map_or("-".into(), si)];
        if sized && axis != Axis::Params {
            cells.push(row.params.map_or("-".into(), si));
        }
        let value = |key: &&str| made.and_then(|made| made.tuned.get(*key)).map_or("-".into(), shown);
        cells.extend(keys.iter().map(value));
        if with_budgets {
            cells.push(made.and_then(|made| made.steps).map_or("-".into(), |steps| si(steps as f64)));
        }
        if several {
            cells.push(made.map_or("-".into(), |made| made.best_of.to_string()));
        }
        cells.extend([row.runs.len().to_string(), brief(row.mean)]);
        cells
    };
    let mut rows: Vec<Vec<String>> = chosen.iter().map(row).collect();
    let left = room(&header, &rows)?;
    if sized && left >= LEAST_FOR_SIZE {
        header.push("size");
        for (cells, row) in rows.iter_mut().zip(chosen) {
            cells.push(cut(&shape(row), left));
        }
    }
    Some(format!("what each point is:\n{}\n", table(&header, &["curve", "size"], rows)))
}

fn tuned_keys<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let keys = rows.iter().filter_map(|row| row.made.as_ref()).flat_map(|made| made.tuned.keys());
    let mut keys: Vec<&str> = keys.map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What the columns leave for one more; nothing where they are too wide themselves.
fn room(header: &[&str], rows: &[Vec<String>]) -> Option<usize> {
    const BETWEEN: usize = 2;
    width().checked_sub(natural_width(header, rows) + BETWEEN)
}

fn shape(row: &Row) -> String {
    let size = row.made.iter().flat_map(|made| &made.size);
    size.map(|(key, value)| format!("{key}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::point::Made;

    fn row(curve: &str, i: usize, made: Made) -> Row {
        Row {
            curve: curve.into(),
            params: Some(4570.0 * (i + 1) as f64),
            data: Some(250.0 * (i + 1) as f64),
            compute: Some(1e9),
            seconds: None,
            made: Some(made),
            seeds: vec![0, 1],
            runs: vec!["a".into(), "b".into()],
            mean: 0.5,
        }
    }

    fn made(width: u64, lr: f64) -> Made {
        Made {
            size: [("depths".into(), json!([1, 1, width])), ("width".into(), json!(width))].into(),
            tuned: [("lr".into(), json!(lr))].into(),
            steps: Some(400),
            best_of: 6,
        }
    }

    #[test]
    fn a_table_names_size_and_tuned_values_within_the_width() {
        let name = "a curve with a name as long as nobody would write it, but who knows";
        let rows = [row("vit", 0, made(16, 3e-3)), row(name, 1, made(1_000_000_000_000_000, 0.05))];
        let text = text(&rows, Axis::Data, true);
        assert!(text.lines().all(|line| line.chars().count() <= width()), "{text}");
        for part in ["3e-3", "0.05", "depths=[1,1,1…", "best of", "400", "4.57k"] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        let mut many = made(16, 3e-3);
        many.tuned.extend((0..10).map(|i| (format!("a_key_called_{i}"), json!(i))));
        let wide = super::text(&[row("vit", 0, many)], Axis::Data, true);
        assert!(wide.starts_with("what the 1 points are"), "{wide}");
    }

    #[test]
    fn many_rows_are_one_line_for_each_curve() {
        let rows: Vec<Row> = (0..40).map(|i| row("vit", i, made(16 + i as u64, 1e-3))).collect();
        assert_eq!(
            text(&rows, Axis::Data, false),
            "what the 40 points are (--json lists each):\n\
             vit: 4.57k to 183k params (depths of 40 kinds, width 16 to 55), lr 1e-3\n"
        );
    }

    #[test]
    fn nothing_is_said_where_nothing_was_chosen() {
        let plain = Made { size: [].into(), tuned: [].into(), steps: Some(400), best_of: 1 };
        assert_eq!(text(&[row("vit", 0, plain)], Axis::Data, true), "");
    }
}
