//! The names that are understood for what a column can mean, and how a name is recognised among a file's columns.

use super::number;
use super::table::{Table, normal};
use crate::error::{Error, Result};

/// What a column can mean, as `--column` names it.
pub struct Meaning {
    pub name: &'static str,
    /// The names understood for it, the first that there is wins.
    aliases: &'static [&'static str],
    /// Those of them that may stand behind other names, as in `model.num_params`; a short name says too little there.
    nested: &'static [&'static str],
}

pub const MEANINGS: [Meaning; 9] = [
    Meaning {
        name: "arch",
        aliases: &["arch", "architecture", "model", "family", "group", "curve", "model_family", "model_type"],
        nested: &["arch", "architecture", "family", "model_type"],
    },
    Meaning {
        name: "params",
        aliases: &[
            "params",
            "n",
            "parameters",
            "n_params",
            "num_params",
            "model_size",
            "size",
            "num_parameters",
            "n_parameters",
            "nparams",
            "param_count",
            "parameter_count",
            "total_params",
            "total_parameters",
            "model_params",
            "non_embedding_params",
            "params_non_embedding",
            "num_non_embedding_params",
        ],
        nested: &[
            "params",
            "parameters",
            "n_params",
            "num_params",
            "num_parameters",
            "n_parameters",
            "nparams",
            "param_count",
            "parameter_count",
            "total_params",
            "model_size",
        ],
    },
    Meaning {
        name: "examples",
        aliases: &[
            "examples",
            "d",
            "data",
            "tokens",
            "n_examples",
            "samples",
            "training_tokens",
            "dataset_size",
            "train_tokens",
            "n_tokens",
            "num_tokens",
            "num_train_tokens",
            "n_train",
            "num_train",
            "num_examples",
            "n_samples",
            "num_samples",
            "train_examples",
            "training_examples",
            "data_size",
            "train_size",
            "pretraining_tokens",
            "pretraining_data_size",
        ],
        nested: &[
            "examples",
            "tokens",
            "samples",
            "n_examples",
            "num_examples",
            "n_tokens",
            "num_tokens",
            "n_samples",
            "num_samples",
            "train_tokens",
            "training_tokens",
            "train_size",
            "dataset_size",
            "data_size",
        ],
    },
    Meaning {
        name: "flops",
        aliases: &[
            "flops",
            "c",
            "compute",
            "flop",
            "train_flops",
            "training_flop",
            "training_flops",
            "training_compute",
            "budget",
            "total_flops",
            "train_compute",
            "total_compute",
            "flops_total",
            "num_flops",
            "n_flops",
            "compute_budget",
            "flop_budget",
            "flops_budget",
            "pretraining_flops",
        ],
        nested: &["flops", "flop", "total_flops", "train_flops", "training_flops", "compute", "total_compute"],
    },
    Meaning {
        name: "seen",
        aliases: &[
            "seen",
            "examples_seen",
            "tokens_seen",
            "seen_tokens",
            "total_tokens",
            "samples_seen",
            "consumed_tokens",
            "consumed_samples",
            "tokens_trained",
        ],
        nested: &[
            "examples_seen",
            "tokens_seen",
            "total_tokens",
            "samples_seen",
            "consumed_tokens",
            "consumed_samples",
        ],
    },
    Meaning {
        name: "epochs",
        aliases: &["epochs", "n_epochs", "num_epochs"],
        nested: &["epochs", "n_epochs", "num_epochs"],
    },
    Meaning { name: "seed", aliases: &["seed", "random_seed", "rng_seed"], nested: &["seed", "random_seed"] },
    Meaning { name: "run", aliases: &["run", "run_id", "run_name", "run_path"], nested: &["run_id", "run_name"] },
    Meaning {
        name: "step",
        aliases: &[
            "step",
            "steps",
            "global_step",
            "train_step",
            "training_step",
            "iteration",
            "iterations",
            "iter",
            "iters",
            "iter_num",
            "checkpoint_step",
            "ckpt_step",
            "trainer_global_step",
            "optimizer_step",
            "training_iteration",
            "update",
            "updates",
            "num_updates",
            "epoch",
        ],
        nested: &["step", "global_step", "iteration"],
    },
];

/// Names understood for the metric where none was asked for.
const LOSSES: &[&str] = &[
    "test_loss",
    "val_loss",
    "validation_loss",
    "eval_loss",
    "final_loss",
    "loss",
    "l",
    "valid_loss",
    "dev_loss",
    "test_nll",
    "val_nll",
];

/// Those that may stand behind other names.
const NESTED_LOSSES: &[&str] = &["test_loss", "val_loss", "validation_loss", "eval_loss", "final_loss", "loss"];

/// The losses that choices are made by, so that the one reported stays untouched.
const VALIDATION: &[&str] = &["val_loss", "validation_loss", "valid_loss", "dev_loss", "eval_loss"];

/// Words of a metric that falls with scale, where no column is a loss.
const FALLING: &[&str] =
    &["loss", "error", "err", "perplexity", "ppl", "bpb", "nll", "rmse", "mse", "mae", "wer", "cer", "ce", "xent"];

/// Words of a metric that rises with scale.
const RISING: &[&str] = &[
    "acc",
    "accuracy",
    "top1",
    "top5",
    "f1",
    "auc",
    "auroc",
    "bleu",
    "rouge",
    "chrf",
    "precision",
    "recall",
    "iou",
    "miou",
    "ndcg",
    "mrr",
    "psnr",
    "ssim",
    "winrate",
    "mmlu",
    "hellaswag",
    "arc",
    "piqa",
    "winogrande",
    "lambada",
    "gsm8k",
    "humaneval",
];

/// Which way a metric goes, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Falling,
    Rising,
    Unsaid,
}

pub fn direction(metric: &str) -> Direction {
    let normal = normal(metric);
    let words: Vec<&str> = normal.split('_').collect();
    // The last word is what the name is of: `accuracy_loss` is a loss, `1 - acc` an error.
    if normal.starts_with("1_") || normal.contains("one_minus") {
        return Direction::Falling;
    }
    let last = words.iter().rev().find_map(|word| match () {
        _ if FALLING.contains(word) => Some(Direction::Falling),
        _ if RISING.contains(word) || word.starts_with("pass") && word.len() > 4 => Some(Direction::Rising),
        _ => None,
    });
    match last {
        Some(direction) => direction,
        None if ["top_1", "top_5", "exact_match", "win_rate", "pass_1"].iter().any(|name| normal.contains(name)) => {
            Direction::Rising
        }
        None => Direction::Unsaid,
    }
}

/// Columns without a name of their own: an index that pandas wrote.
pub fn is_index(column: &str) -> bool {
    column.is_empty() || column.starts_with("Unnamed: ") || column.starts_with("__index_level_")
}

/// The column of a table that has this meaning by its name, and what a unit in the name multiplies it by. `free` are
/// the columns that mean nothing yet.
///
/// # Errors
/// Two columns have the name.
pub fn find(table: &Table, meaning: &Meaning, free: &[bool]) -> Result<Option<usize>> {
    match by_names(table, meaning.aliases, free, true)? {
        Some(column) => Ok(Some(column)),
        None => nested(table, meaning.nested, free),
    }
}

/// Whether a column is called by a name.
type Rule<'a> = &'a dyn Fn(&str, &str) -> bool;

/// `counts`: whether a unit may stand behind the name; `loss_b` is no loss in billions.
fn by_names(table: &Table, names: &[&str], free: &[bool], counts: bool) -> Result<Option<usize>> {
    let exact = |column: &str, name: &str| column.replace([' ', '-'], "_").eq_ignore_ascii_case(name);
    let alike = |column: &str, name: &str| normal(column) == name;
    let with_unit = |column: &str, name: &str| number::of_name(column).is_some_and(|(base, _)| normal(&base) == name);
    let rules: [Rule; 3] = [&exact, &alike, &with_unit];
    for name in names {
        for rule in &rules[..if counts { 3 } else { 2 }] {
            if let Some(column) = only_one(table, free, |column| rule(column, name))? {
                return Ok(Some(column));
            }
        }
    }
    Ok(None)
}

/// A name whose last parts, behind dots or strokes, are one of these.
fn nested(table: &Table, names: &[&str], free: &[bool]) -> Result<Option<usize>> {
    let is = |column: &str, name: &str| {
        let cuts = column.char_indices().filter(|(_, letter)| matches!(letter, '.' | '/'));
        cuts.map(|(at, _)| &column[at + 1..])
            .any(|tail| normal(tail) == name || number::of_name(tail).is_some_and(|(base, _)| normal(&base) == name))
    };
    for name in names {
        if let Some(column) = only_one(table, free, |column| is(column, name))? {
            return Ok(Some(column));
        }
    }
    Ok(None)
}

fn only_one(table: &Table, free: &[bool], is: impl Fn(&str) -> bool) -> Result<Option<usize>> {
    let mut matching = (0..table.header.len()).filter(|column| free[*column] && is(&table.header[*column]));
    match (matching.next(), matching.next()) {
        (Some(one), Some(other)) if normal(&table.header[one]) != normal(&table.header[other]) => {
            let (one, other) = (&table.header[one], &table.header[other]);
            Err(Error::bad_input(format!("{} has two columns that may mean the same: {one} and {other}", table.name))
                .hint(format!(
                    "name one, as --column examples={one}; or write a table of rows with one column for both"
                )))
        }
        (Some(column), Some(_)) => Err(table.two_of(&table.header[column])),
        (found, _) => Ok(found),
    }
}

/// The metric's column where none was asked for: a loss by its name, or else the only column that is called one, or an
/// error, or an accuracy. Several are returned as they are, for a person to choose.
///
/// # Errors
/// Two columns have the name.
pub fn metric(table: &Table, free: &[bool]) -> Result<Vec<usize>> {
    if let Some(column) = by_names(table, LOSSES, free, false)? {
        return Ok(vec![column]);
    }
    if let Some(column) = nested(table, NESTED_LOSSES, free).ok().flatten() {
        return Ok(vec![column]);
    }
    let open = |column: &usize| {
        let name = &table.header[*column];
        free[*column] && !is_index(name) && !name.ends_with("__MIN") && !name.ends_with("__MAX")
    };
    let has = |column: &usize, words: &[&str]| {
        let normal = normal(&table.header[*column]);
        words.iter().any(|word| normal.split('_').any(|part| part == *word))
    };
    let all = || (0..table.header.len()).filter(open);
    let losses: Vec<usize> = all().filter(|column| has(column, &["loss"]) && !has(column, &["train"])).collect();
    // What the name is of is its last word: `translation_error_detection` is no error.
    let is_of = |column: &usize, way: Direction| {
        let name = &table.header[*column];
        let normal = normal(name);
        let last = normal.rsplit('_').find(|word| word.parse::<u32>().is_err() && *word != "rate").unwrap_or_default();
        direction(name) == way && direction(last) == way
    };
    let falling = || all().filter(|column| is_of(column, Direction::Falling)).collect();
    let rising = || all().filter(|column| is_of(column, Direction::Rising)).collect();
    let found: [&dyn Fn() -> Vec<usize>; 2] = [&falling, &rising];
    Ok(match losses.is_empty() {
        false => losses,
        true => found.iter().map(|find| find()).find(|columns| !columns.is_empty()).unwrap_or_default(),
    })
}

/// A column of validation losses, beside the metric's own.
pub fn validation(table: &Table, free: &[bool]) -> Option<usize> {
    by_names(table, VALIDATION, free, false).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(columns: &[&str], meaning: &str) -> Option<String> {
        let table = Table::new("f", columns.iter().map(|column| (*column).into()).collect());
        let meaning = MEANINGS.iter().find(|known| known.name == meaning).unwrap();
        find(&table, meaning, &vec![true; columns.len()]).unwrap().map(|column| columns[column].into())
    }

    #[test]
    fn names_are_found_plain_with_units_and_nested() {
        assert_eq!(found(&["loss", "Model Size"], "params").as_deref(), Some("Model Size"));
        assert_eq!(found(&["params (M)"], "params").as_deref(), Some("params (M)"));
        assert_eq!(found(&["model.num_params", "batch/size"], "params").as_deref(), Some("model.num_params"));
        assert_eq!(found(&["batch/size", "model.d"], "params"), None);
        assert_eq!(found(&["data.tokens_b"], "examples").as_deref(), Some("data.tokens_b"));
        assert_eq!(found(&["", "Unnamed: 0"], "params"), None);
    }

    #[test]
    fn a_metric_is_found_where_there_is_one() {
        let found = |columns: &[&str]| {
            let table = Table::new("f", columns.iter().map(|column| (*column).into()).collect());
            let found = metric(&table, &vec![true; columns.len()]).unwrap();
            found.into_iter().map(|column| columns[column].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found(&["loss", "val/loss"]), ["val/loss"]);
        assert_eq!(found(&["val/.dclm_loss", "step"]), ["val/.dclm_loss"]);
        assert_eq!(found(&["train_loss", "loss_c4", "loss_pile"]), ["loss_c4", "loss_pile"]);
        assert_eq!(found(&["accuracy", "params"]), ["accuracy"]);
        assert_eq!(found(&["test_error", "accuracy"]), ["test_error"]);
        assert!(found(&["translation_error_detection", "error_bars"]).is_empty());
        assert!(found(&["params", "tokens"]).is_empty());
    }

    #[test]
    fn a_name_tells_the_direction() {
        for name in ["accuracy", "val/acc", "top1", "top-1", "F1", "eval.bleu", "pass@1", "exact_match", "mmlu"] {
            assert_eq!(direction(name), Direction::Rising, "{name}");
        }
        for name in ["loss", "test_error", "acc_loss", "1 - accuracy", "mmlu_err", "perplexity"] {
            assert_eq!(direction(name), Direction::Falling, "{name}");
        }
        for name in ["value", "metric", "y", "space", "macaque"] {
            assert_eq!(direction(name), Direction::Unsaid, "{name}");
        }
    }
}
