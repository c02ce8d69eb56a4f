//! Points from any CSV file: columns found by name or alias, and every complaint with its line and column.

use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result, nearest};
use crate::fit::data::origin::FileOrigin;
use crate::point::Point;

/// What a column can mean, with the names understood for it (compared without case; spaces and hyphens are underscores).
const MEANINGS: &[(&str, &[&str])] = &[
    ("arch", &["arch", "architecture", "model", "family", "group", "curve"]),
    ("params", &["params", "n", "parameters", "n_params", "num_params", "model_size", "size"]),
    ("examples", &["examples", "d", "data", "tokens", "n_examples", "samples", "training_tokens", "dataset_size"]),
    (
        "flops",
        &[
            "flops",
            "c",
            "compute",
            "flop",
            "train_flops",
            "training_flop",
            "training_flops",
            "training_compute",
            "budget",
        ],
    ),
    ("seen", &["seen", "examples_seen", "tokens_seen", "seen_tokens", "total_tokens"]),
    ("epochs", &["epochs", "n_epochs", "num_epochs"]),
    ("seed", &["seed", "random_seed"]),
    ("run", &["run", "run_id", "run_name", "run_path"]),
];

/// Names understood for the metric where none was asked for.
const LOSSES: &[&str] = &["test_loss", "val_loss", "validation_loss", "eval_loss", "final_loss", "loss", "l"];

/// Which columns to read. What is absent is found by name or alias.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// The column whose values name the curves; `arch` unless given.
    pub by: Option<String>,
    /// The metric's column.
    pub metric: Option<String>,
    /// Other names, as (meaning, column): ("params", "my_size").
    pub named: Vec<(String, String)>,
}

/// Reads a file. Its points carry `FILE:LINE` as source, or `FILE run NAME` where a column names runs, so that the
/// checkpoints of one run stay together.
///
/// Errors: no such file, no rows, a column that is missing or named twice, text where a number is due (with line and
/// column), rows of unequal length. Numbers that no law can use (zero, NaN) are not errors here: the fit drops those
/// points and says why. An empty cell is a value that was not measured.
pub fn read(path: &Path, columns: &Columns) -> Result<(Vec<Point>, FileOrigin)> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .context(|| format!("cannot read {name}"))
        .map_err(|error| Error { kind: crate::error::Kind::BadInput, ..error })?;
    let (points, sha256) = rayon::join(|| parse_named(&name, &bytes, columns), || hex(&Sha256::digest(&bytes)));
    let (points, metric) = points?;
    let origin = FileOrigin { path: name, sha256, rows: points.len(), metric };
    Ok((points, origin))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The points in the text of a CSV file called `name`.
pub fn parse(name: &str, bytes: &[u8], columns: &Columns) -> Result<Vec<Point>> {
    Ok(parse_named(name, bytes, columns)?.0)
}

/// The same with the name of the metric's column.
fn parse_named(name: &str, bytes: &[u8], columns: &Columns) -> Result<(Vec<Point>, String)> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::bad_input(format!("{name} is UTF-16 text; a CSV file here is UTF-8"))
            .hint("save it as UTF-8, or: iconv -f UTF-16 -t UTF-8 FILE > NEW.csv"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().delimiter(delimiter(bytes)).trim(csv::Trim::All).from_reader(bytes);
    let bad = |error: csv::Error| bad_csv(name, &error);
    let header: Vec<String> =
        reader.byte_headers().map_err(bad)?.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    if header.iter().all(String::is_empty) {
        return Err(Error::bad_input(format!("{name} is empty"))
            .hint("the first line names the columns, for example: arch,params,examples,flops,loss,seed"));
    }
    let layout = Layout::find(name, &header, columns)?;
    let mut points = Vec::new();
    let mut row = ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(bad)? {
        points.push(layout.point(name, &header, &row, line_of(bytes, &row))?);
    }
    if points.is_empty() {
        return Err(Error::bad_input(format!("{name} has a header and no rows")));
    }
    Ok((points, header[layout.value].clone()))
}

/// The line that a row starts on. The reader's own position is before the line breaks that it has yet to skip.
fn line_of(bytes: &[u8], row: &ByteRecord) -> u64 {
    let Some(position) = row.position() else { return 0 };
    let rest = bytes.get(position.byte() as usize..).unwrap_or_default();
    let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n').count();
    position.line() + breaks as u64
}

/// Comma, semicolon or tab: whichever the first line holds most of.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |candidate: u8| first.iter().filter(|byte| **byte == candidate).count();
    // Of equals the last wins: the comma.
    b";\t,".iter().copied().max_by_key(|candidate| count(*candidate)).unwrap_or(b',')
}

fn bad_csv(name: &str, error: &csv::Error) -> Error {
    if let csv::ErrorKind::UnequalLengths { pos: Some(pos), expected_len, len } = error.kind() {
        return Error::bad_input(format!(
            "{name}:{}: the row has {len} fields and the header {expected_len}",
            pos.line()
        ))
        .hint("a field that contains the delimiter needs double quotes");
    }
    Error::bad_input(format!("{name}: {error}"))
}

/// Where in a row each thing stands.
struct Layout {
    curve: Option<usize>,
    params: Option<usize>,
    data: Option<usize>,
    seen: Option<usize>,
    epochs: Option<usize>,
    compute: Option<usize>,
    value: usize,
    seed: Option<usize>,
    run: Option<usize>,
    /// The curve's name where no column names one.
    only_curve: String,
}

impl Layout {
    fn find(name: &str, header: &[String], columns: &Columns) -> Result<Self> {
        if let Some((wrong, _)) = columns.named.iter().find(|(meaning, _)| MEANINGS.iter().all(|(m, _)| m != meaning)) {
            let known: Vec<_> = MEANINGS.iter().map(|(meaning, _)| *meaning).collect();
            return Err(Error::bad_input(format!("--column {wrong}=…: a column cannot mean {wrong}"))
                .hint(format!("the meanings are {}; the metric's column is named by --metric", known.join(", "))));
        }
        let meant = |meaning: &str| match columns.named.iter().find(|(m, _)| m == meaning) {
            Some((_, column)) => required(name, header, column).map(Some),
            None => {
                by_alias(name, header, MEANINGS.iter().find(|(m, _)| *m == meaning).map_or(&[], |(_, names)| names))
            }
        };
        let curve = match &columns.by {
            Some(column) => Some(required(name, header, column)?),
            None => meant("arch")?,
        };
        let value = match &columns.metric {
            Some(column) => required(name, header, column)?,
            None => by_alias(name, header, LOSSES)?.ok_or_else(|| {
                Error::bad_input(format!("{name} has no column of losses; its columns are {}", header.join(", ")))
                    .hint("name the metric's column: --metric COLUMN")
            })?,
        };
        let layout = Self {
            curve,
            params: meant("params")?,
            data: meant("examples")?,
            seen: meant("seen")?,
            epochs: meant("epochs")?,
            compute: meant("flops")?,
            value,
            seed: meant("seed")?,
            run: meant("run")?,
            only_curve: Path::new(name).file_stem().map_or("all".into(), |stem| stem.to_string_lossy().into_owned()),
        };
        if layout.params.is_none() && layout.data.is_none() && layout.compute.is_none() {
            return Err(Error::bad_input(format!(
                "{name} has no column of scales (params, examples or flops); its columns are {}",
                header.join(", ")
            ))
            .hint("name one: --column examples=COLUMN"));
        }
        Ok(layout)
    }

    fn point(&self, name: &str, header: &[String], row: &ByteRecord, line: u64) -> Result<Point> {
        let text = |column: usize| std::str::from_utf8(row.get(column).unwrap_or_default());
        let refuse = |column: usize, rule: &str| {
            let shown = String::from_utf8_lossy(row.get(column).unwrap_or_default()).into_owned();
            Error::bad_input(format!(
                "{name}:{line}: column {} ({}) holds '{shown}', {rule}",
                column + 1,
                header[column]
            ))
        };
        let number = |column: usize| match text(column) {
            Ok("") => Ok(None),
            Ok(digits) => digits.parse::<f64>().map(Some).map_err(|_| refuse(column, "not a number")),
            Err(_) => Err(refuse(column, "not a number")),
        };
        let optional = |column: Option<usize>| column.map_or(Ok(None), number);
        let seed = match self.seed {
            None => None,
            Some(column) => match text(column) {
                Ok("") => None,
                Ok(digits) => Some(whole(digits).ok_or_else(|| refuse(column, "not a whole number"))?),
                Err(_) => return Err(refuse(column, "not a whole number")),
            },
        };
        let words = |column: usize| text(column).map(str::to_owned).map_err(|_| refuse(column, "not UTF-8 text"));
        let (data, epochs) = (optional(self.data)?, optional(self.epochs)?);
        let run = self.run.map(words).transpose()?.filter(|run| !run.is_empty());
        Ok(Point {
            curve: self.curve.map_or_else(|| Ok(self.only_curve.clone()), words)?,
            params: optional(self.params)?,
            data,
            seen: optional(self.seen)?.or_else(|| Some(data? * epochs?)),
            compute: optional(self.compute)?,
            value: number(self.value)?.unwrap_or(f64::NAN),
            seed,
            source: run.map_or_else(|| format!("{name}:{line}"), |run| format!("{name} run {run}")),
            made: None,
        })
    }
}

/// Also as pandas writes whole numbers of a column with gaps: 7.0.
fn whole(digits: &str) -> Option<i64> {
    let float = || digits.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && x.abs() < 2f64.powi(53));
    digits.parse().ok().or_else(|| float().map(|x| x as i64))
}

/// The one column that a name in `aliases` matches. The first alias that matches wins; two equal columns are an error.
fn by_alias(name: &str, header: &[String], aliases: &[&str]) -> Result<Option<usize>> {
    for alias in aliases {
        let same = |column: &str| column.replace([' ', '-'], "_").eq_ignore_ascii_case(&alias.replace([' ', '-'], "_"));
        let mut matching = header.iter().enumerate().filter(|(_, column)| same(column));
        if let Some((index, column)) = matching.next() {
            return match matching.next() {
                None => Ok(Some(index)),
                Some(_) => Err(Error::bad_input(format!("{name} has two columns called {column}"))
                    .hint("rename one of them, or delete it")),
            };
        }
    }
    Ok(None)
}

fn required(name: &str, header: &[String], column: &str) -> Result<usize> {
    by_alias(name, header, &[column])?.ok_or_else(|| {
        let error = Error::bad_input(format!("{name} has no column {column}; its columns are {}", header.join(", ")));
        match nearest(column, header.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error,
        }
    })
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::Rng;

    use super::*;
    use crate::random;

    fn points(text: &str) -> Result<Vec<Point>> {
        parse("f.csv", text.as_bytes(), &Columns::default())
    }

    #[test]
    fn understands_names_aliases_and_delimiters() {
        for text in [
            "arch,params,examples,flops,loss,seed\nvit,10,20,30,1.5,7\n",
            "\u{feff}Model;N;Tokens;C;L;seed\r\nvit;1e1;20.0;30;1.5;7\r\n",
            " group \t Model Size \t D \t compute \t val_loss \t SEED\nvit\t10\t20\t30\t1.5\t7",
        ] {
            let point = &points(text).unwrap()[0];
            assert_eq!(
                (point.curve.as_str(), point.params, point.data, point.compute),
                ("vit", Some(10.0), Some(20.0), Some(30.0))
            );
            assert_eq!((point.value, point.seed, point.source.as_str()), (1.5, Some(7), "f.csv:2"));
        }
    }

    #[test]
    fn flags_name_other_columns() {
        let columns = Columns {
            by: Some("kind".into()),
            metric: Some("error".into()),
            named: vec![("params".into(), "size".into())],
        };
        let read = parse("f.csv", b"kind,size,error,run\nx,3,0.5,r1\nx,4,,r1\n", &columns).unwrap();
        assert_eq!((read[0].curve.as_str(), read[0].params, read[0].value), ("x", Some(3.0), 0.5));
        assert_eq!(read[0].source, "f.csv run r1");
        assert!(read[1].value.is_nan());
    }

    #[test]
    fn a_validation_loss_comes_before_a_bare_one_and_gaps_make_no_fractions() {
        let (read, metric) =
            parse_named("f.csv", b"loss,val_loss,n,seed\n9,2,3,7.0\n8,1,4,\n", &Columns::default()).unwrap();
        assert_eq!((metric.as_str(), read[0].value, read[0].seed, read[1].seed), ("val_loss", 2.0, Some(7), None));
    }

    #[test]
    fn what_is_seen_is_said_or_counted_by_epochs() {
        let seen = |text: &str| points(text).unwrap()[0].seen;
        assert_eq!(seen("examples,seen,epochs,loss\n10,35,4,1\n"), Some(35.0));
        assert_eq!(seen("examples,epochs,loss\n10,4,1\n"), Some(40.0));
        assert_eq!(seen("examples,loss\n10,1\n"), None);
    }

    #[test]
    fn complaints_name_line_and_column() {
        let message = |text: &str| points(text).unwrap_err().to_string();
        assert_eq!(message(""), "f.csv is empty");
        assert_eq!(message("\n\n"), "f.csv is empty");
        assert_eq!(message("params,loss\n"), "f.csv has a header and no rows");
        assert_eq!(message("params,loss\n1,2\n3,two\n"), "f.csv:3: column 2 (loss) holds 'two', not a number");
        assert_eq!(message("params,loss\r\n1,2\r\n\r\n3,?\r\n"), "f.csv:4: column 2 (loss) holds '?', not a number");
        assert_eq!(message("params,loss\n1,2,3\n"), "f.csv:2: the row has 3 fields and the header 2");
        assert_eq!(message("params,loss,seed\n1,2,0.5\n"), "f.csv:2: column 3 (seed) holds '0.5', not a whole number");
        assert_eq!(message("loss,Loss,params\n1,2,3\n"), "f.csv has two columns called loss");
        assert!(message("params,lossy\n1,2\n").starts_with("f.csv has no column of losses"));
        assert!(message("width,loss\n1,2\n").starts_with("f.csv has no column of scales"));
        let columns = Columns { metric: Some("los".into()), ..Columns::default() };
        let error = parse("f.csv", b"params,loss\n1,2\n", &columns).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean loss?"));
        let columns = Columns { named: vec![("width".into(), "w".into())], ..Columns::default() };
        assert!(parse("f.csv", b"params,loss\n1,2\n", &columns).is_err());
    }

    /// Ten thousand mutilations of a good file: an answer or an error, never a panic.
    #[test]
    fn no_bytes_make_it_panic() {
        let good = b"arch,params,examples,flops,loss,seed,run\n\"v,it\",1e3,2,3,0.5,1,a\nvit,10,20,30,nan,,\xff\n";
        for index in 0..10_000 {
            let mut rng = random::stream(0, "csv", index);
            let mut bytes = good.to_vec();
            for _ in 0..=rng.next_u32() % 8 {
                let at = rng.next_u32() as usize % bytes.len();
                match rng.next_u32() % 4 {
                    0 => bytes[at] = rng.next_u32() as u8,
                    1 => bytes.insert(at, b"\n\r,;\t\"-e"[rng.next_u32() as usize % 8]),
                    2 => bytes.truncate(at.max(1)),
                    _ => drop(bytes.remove(at)),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let _ = parse("f.csv", &bytes, &Columns::default());
        }
    }
}
