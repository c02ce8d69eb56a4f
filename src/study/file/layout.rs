//! Which column of a table means what. A column has one meaning: what was named takes its column away from the names
//! that are understood.

use std::collections::BTreeMap;

use super::asked::Asked;
use super::names::{self, MEANINGS, Meaning};
use super::number::{self, Unit};
use super::table::{Table, normal};
use crate::error::{Error, Result};

/// A column of counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    pub column: usize,
    pub of: Unit,
    /// By the unit in its name: `params (M)` is in millions.
    pub times: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// None: the file is one curve.
    pub curve: Vec<usize>,
    pub params: Option<Count>,
    pub data: Option<Count>,
    pub seen: Option<Count>,
    pub compute: Option<Count>,
    pub step: Option<Count>,
    pub epochs: Option<usize>,
    pub value: usize,
    pub seed: Option<usize>,
    pub run: Option<usize>,
    /// The state of each run, of a W&B export.
    pub state: Option<usize>,
    pub tuned: Vec<usize>,
    /// The column that tuned values are chosen by: validation where there is one, else the metric.
    pub chosen_by: usize,
    /// Where nothing names the curves.
    pub only_curve: String,
}

/// What W&B says of a run that has not ended well, and of one that has.
const STATES: [(&str, bool); 8] = [
    ("finished", true),
    ("running", false),
    ("crashed", false),
    ("failed", false),
    ("killed", false),
    ("preempted", false),
    ("preempting", false),
    ("pending", false),
];

impl Layout {
    /// # Errors
    /// A column that was named is missing, has two meanings, or means nothing that is known; no metric, or no scale.
    pub fn find(table: &Table, asked: &Asked) -> Result<Layout> {
        let mut free = vec![true; table.header.len()];
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        for (meaning, column) in &asked.named {
            let meaning = known(meaning)?.name;
            let column = table.column(column)?;
            if let Some((other, _)) = named.iter().find(|(other, taken)| **taken == column && **other != meaning) {
                let column = &table.header[column];
                return Err(Error::bad_input(format!("--column {meaning}={column}: the column means {other} already"))
                    .hint("a column has one meaning: leave one of the two out"));
            }
            named.insert(meaning, column);
            free[column] = false;
        }
        let value = asked.metric.as_ref().map(|metric| table.column(metric)).transpose()?;
        if let Some((meaning, column)) = named.iter().find(|(_, column)| Some(**column) == value) {
            let column = &table.header[*column];
            return Err(Error::bad_input(format!("--column {meaning}={column}: {column} is the metric"))
                .hint("a column has one meaning: --metric names another one"));
        }
        let tuned = listed(table, &asked.tuned)?;
        value.iter().chain(&tuned).for_each(|column| free[*column] = false);
        let by = listed(table, &asked.by)?;
        let mut meant = |meaning: &Meaning| {
            let found = match named.get(meaning.name) {
                Some(column) => Some(*column),
                // W&B has a column Group also where no run is in one.
                None if meaning.name == "arch" => {
                    let filled = |column: usize| (0..table.rows()).any(|row| !table.cell(row, column).is_empty());
                    let named: Vec<bool> = (0..free.len()).map(|column| free[column] && filled(column)).collect();
                    names::find(table, meaning, &named)?
                }
                None => names::find(table, meaning, &free)?,
            };
            found.iter().for_each(|column| free[*column] = false);
            Ok::<_, Error>(found)
        };
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for meaning in MEANINGS.iter().filter(|meaning| meaning.name != "arch" || by.is_empty()) {
            found.extend(meant(meaning)?.map(|column| (meaning.name, column)));
        }
        let value = match value {
            Some(value) => value,
            None => the_metric(table, &free)?,
        };
        free[value] = false;
        let count = |meaning: &str, of: Unit| {
            let column = *found.get(meaning)?;
            let times = number::of_name(&table.header[column]).map_or(1.0, |(_, times)| times);
            Some(Count { column, of, times })
        };
        let mut layout = Layout {
            curve: if by.is_empty() { found.get("arch").copied().into_iter().collect() } else { by },
            params: count("params", Unit::Params),
            data: count("examples", Unit::Examples),
            seen: count("seen", Unit::Examples),
            compute: count("flops", Unit::Flops),
            step: count("step", Unit::Steps),
            epochs: found.get("epochs").copied(),
            value,
            seed: found.get("seed").copied(),
            run: found.get("run").copied(),
            state: state(table),
            chosen_by: (!tuned.is_empty()).then(|| names::validation(table, &free)).flatten().unwrap_or(value),
            tuned,
            only_curve: table.stem(),
        };
        layout.scales(table)?;
        layout.dots(table)?;
        Ok(layout)
    }

    /// There has to be a scale. Of a panel it is what the panel is drawn over.
    fn scales(&mut self, table: &Table) -> Result<()> {
        if self.params.is_some() || self.data.is_some() || self.compute.is_some() || self.seen.is_some() {
            return Ok(());
        }
        if table.panel.is_some() {
            self.data = self.step.take().or(Some(Count { column: 0, of: Unit::Steps, times: 1.0 }));
            return Ok(());
        }
        Err(Error::bad_input(format!(
            "{} has no column of scales (params, examples or flops); its columns are {}",
            table.name,
            table.header.join(", ")
        ))
        .hint("name one: --column examples=COLUMN"))
    }

    /// Counts of which every fraction could be thousands with dots between them: 1.000 is one, or a thousand.
    fn dots(&self, table: &Table) -> Result<()> {
        for count in self.counts().filter(|count| count.times == 1.0) {
            let mut doubtful = None;
            let cells = (0..table.rows()).map(|row| (row, table.cell(row, count.column)));
            for (row, cell) in cells.filter(|(_, cell)| cell.contains(&b'.')) {
                if !std::str::from_utf8(cell).is_ok_and(number::dots_between_thousands) {
                    doubtful = None;
                    break;
                }
                doubtful.get_or_insert(row);
            }
            if let Some(row) = doubtful {
                let shown = table.shown(row, count.column);
                let error = table.refuse(row, count.column, "which may be two numbers: a fraction, or thousands");
                return Err(error.hint(format!(
                    "write {} or {}; a unit in the column's name tells too, as 'params (M)'",
                    shown.replace('.', ""),
                    shown.trim_end_matches('0').trim_end_matches('.').to_owned() + "e0"
                )));
            }
        }
        Ok(())
    }

    pub fn counts(&self) -> impl Iterator<Item = &Count> {
        [&self.params, &self.data, &self.seen, &self.compute, &self.step].into_iter().flatten()
    }

    /// What each column was read as, by the meaning.
    pub fn columns(&self, table: &Table) -> BTreeMap<String, String> {
        let count = |count: &Option<Count>| count.as_ref().map(|count| count.column);
        let one = [
            ("params", count(&self.params)),
            ("examples", count(&self.data)),
            ("seen", count(&self.seen)),
            ("flops", count(&self.compute)),
            ("step", count(&self.step)),
            ("epochs", self.epochs),
            ("seed", self.seed),
            ("run", self.run),
        ];
        let one = one.into_iter().filter_map(|(meaning, column)| Some((meaning, table.header[column?].clone())));
        let list = |columns: &[usize]| columns.iter().map(|column| table.header[*column].as_str()).collect::<Vec<_>>();
        let several = [("arch", list(&self.curve).join(",")), ("tuned", list(&self.tuned).join(","))];
        let several = several.into_iter().filter(|(_, columns)| !columns.is_empty());
        one.chain(several).map(|(meaning, column)| (meaning.to_owned(), column)).collect()
    }

    /// What was read as what, where a name was found within another or told a unit: what a person may not have meant.
    pub fn told(&self, table: &Table) -> Option<String> {
        let mut columns = self.columns(table);
        columns.insert("metric".into(), table.header[self.value].clone());
        let within = columns.values().any(|column| column.contains(['.', '/']));
        let with_unit = self.counts().any(|count| count.times != 1.0);
        let pairs: Vec<String> = columns.iter().map(|(meaning, column)| format!("{meaning} = {column}")).collect();
        (within || with_unit).then(|| format!("columns read: {}", pairs.join(", ")))
    }

    /// Whether a column has a meaning, or is an index.
    pub fn uses(&self, table: &Table, column: usize) -> bool {
        let single = [Some(self.value), Some(self.chosen_by), self.epochs, self.seed, self.run, self.state];
        single.contains(&Some(column))
            || self.counts().any(|count| count.column == column)
            || self.curve.contains(&column)
            || self.tuned.contains(&column)
            || names::is_index(&table.header[column])
    }
}

fn known(meaning: &str) -> Result<&'static Meaning> {
    MEANINGS.iter().find(|known| known.name == meaning).ok_or_else(|| {
        let known: Vec<&str> = MEANINGS.iter().map(|known| known.name).collect();
        Error::bad_input(format!("--column {meaning}=…: a column cannot mean {meaning}"))
            .hint(format!("the meanings are {}; the metric's column is named by --metric", known.join(", ")))
    })
}

/// Columns by name; a name that is no column is several, parted by commas.
fn listed(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    let mut columns = Vec::new();
    for name in names {
        let one = table.column(name);
        let parts: Vec<&str> = name.split(',').map(str::trim).collect();
        match one {
            Ok(column) => columns.push(column),
            Err(error) if parts.len() == 1 => return Err(error),
            Err(_) => {
                for part in parts {
                    columns.push(table.column(part)?);
                }
            }
        }
    }
    Ok(columns)
}

fn the_metric(table: &Table, free: &[bool]) -> Result<usize> {
    let found = names::metric(table, free)?;
    let named = |columns: &[usize]| columns.iter().map(|c| table.header[*c].as_str()).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::bad_input(format!(
            "{} has no column of losses; its columns are {}",
            table.name,
            table.header.join(", ")
        ))
        .hint("name the metric's column: --metric COLUMN")),
        [first, ..] => {
            let validation = found.iter().find(|column| table.header[**column].to_lowercase().contains("val"));
            let one = &table.header[*validation.unwrap_or(first)];
            Err(Error::bad_input(format!("{} has several metrics: {}", table.name, named(&found)))
                .hint(format!("name one: --metric '{one}'")))
        }
    }
}

/// The column of W&B's states: every cell of it is one.
fn state(table: &Table) -> Option<usize> {
    let is_state = |row: usize, column: usize| {
        std::str::from_utf8(table.cell(row, column)).is_ok_and(|cell| ended(cell).is_some())
    };
    (0..table.header.len())
        .filter(|column| matches!(normal(&table.header[*column]).as_str(), "state" | "run_state" | "status"))
        .find(|column| (0..table.rows()).all(|row| is_state(row, *column)))
}

/// Whether a run in this state has ended well; nothing for a word that is no state.
pub fn ended(state: &str) -> Option<bool> {
    STATES.iter().find(|(known, _)| state.eq_ignore_ascii_case(known)).map(|(_, ended)| *ended)
}
