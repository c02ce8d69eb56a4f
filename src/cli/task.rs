//! `crossover task`: which tasks there are, what one looks like, and getting its files.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::print_json;
use crate::cli::sheet;
use crate::cli::table::table;
use crate::error::{Error, Result};
use crate::out;
use crate::plot;
use crate::run::{Named, Settings};
use crate::task::{self, fetch, files};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All tasks: what they are, their shapes and splits, and whether their files are on disk
    #[command(after_help = "Examples:\n  crossover task list\n  crossover task list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// One task: its settings and what they mean, splits, classes; a picture of examples
    #[command(after_help = "Examples:
  crossover task show fashion-mnist
  crossover task show mnist1d --set shuffle=true --json
  crossover task show relations --set relational=0 -o relations.png
  crossover task show images:photos --set size=96 -o photos.png
  crossover task show idx --set images=train-images.gz labels=train-labels.gz")]
    Show {
        /// As 'crossover task list' has it; images:DIR for a folder of your own
        name: String,
        /// Settings of the task, as in a sweep's task table
        #[arg(long = "set", value_name = "KEY=VALUE", num_args = 1..)]
        set: Vec<String>,
        /// Draw training examples with their labels; a file that is there is replaced
        #[arg(short, long, value_name = "FILE.png|FILE.svg")]
        output: Option<PathBuf>,
        /// Examples that are drawn
        #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=1000))]
        count: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Get the files of a task from their public address, checked, going on where it broke off
    #[command(after_help = "Example:\n  crossover task fetch fashion-mnist")]
    Fetch {
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::List { json } => list(*json),
        Command::Show { name, set, output, count, json } => {
            let named = task::resolve(name, &parse_settings(set)?)?;
            show(&named, *json)?;
            match output {
                Some(path) => plot::write_sheet(&sheet::tiles(&named, *count)?, sheet::COLUMNS, path),
                None => Ok(()),
            }
        }
        Command::Fetch { name, json } => {
            let (entry, data) = (task::entry(name)?, files::data_dir()?);
            fetch::fetch(entry, &data, &mut |line| out::say(line))?;
            let found = || entry.files.iter().filter_map(|file| files::find(&data, entry.name, file));
            if *json { print_json(&json!({"name": name, "files": found().collect::<Vec<_>>()})) } else { Ok(()) }
        }
    }
}

fn list(json: bool) -> Result<()> {
    let described = task::names()
        .into_iter()
        .map(|name| match task::entry(name)? {
            entry if entry.own => Ok(json!({"name": entry.usage(), "about": entry.about, "files": "your own"})),
            _ => describe(&task::resolve(name, &Settings::new())?),
        })
        .collect::<Result<Vec<_>>>()?;
    if json {
        return print_json(&Value::Array(described));
    }
    let columns = ["name", "about", "input", "classes", "train", "validation", "test", "files"];
    let rows = described.iter().map(|task| columns.map(|column| shown(&task[column])).to_vec());
    out::line(table(&columns, &["name", "about", "input", "files"], rows))
}

fn show(named: &Named, json: bool) -> Result<()> {
    let (entry, described) = (task::entry(&named.name)?, describe(named)?);
    if json {
        return print_json(&described);
    }
    for key in ["name", "about", "input", "classes", "train", "validation", "test", "files", "folder"] {
        out::line(format_args!("{key:<11} {}", shown(&described[key])))?;
    }
    let classes = task::classes(named)?;
    out::line(format_args!("{:<11} {}", "labels", few(&classes)))?;
    if let Some(audit) = task::audit(named)? {
        for (what, text) in audit.lines(&classes) {
            out::line(format_args!("{what:<11} {text}"))?;
        }
    }
    if let Some(floor) = task::floor(named)? {
        out::line(format_args!("{:<11} {floor:.4} nats, for models of local features without positions", "floor"))?;
    }
    for (key, value) in &named.settings {
        let setting = format!("{key} = {value}");
        out::line(format_args!("{:<11} {setting:<27} {}", "setting", entry.meaning(key).unwrap_or_default()))?;
    }
    if described["files"] == "missing" {
        out::say(format_args!("hint: crossover task fetch {}", named.name));
    }
    Ok(())
}

fn describe(task: &Named) -> Result<Value> {
    let entry = task::entry(&task.name)?;
    let (io, splits) = (task::io(task)?, task::splits(task)?);
    let data = files::data_dir()?;
    let found = entry.files.iter().map(|file| files::find(&data, entry.name, file)).collect::<Option<Vec<_>>>();
    let origin = task::origin(task)?;
    let files = match &found {
        _ if entry.own => "imported",
        _ if entry.any_keys => "your scripts'",
        Some(paths) if paths.is_empty() => "none needed",
        Some(_) => "on disk",
        None => "missing",
    };
    let folder = found.as_ref().and_then(|paths| paths.first()?.parent().map(|folder| folder.display().to_string()));
    let meanings: Settings = entry.meanings().map(|(key, meaning)| ((*key).into(), (*meaning).into())).collect();
    Ok(json!({
        "name": task.name,
        "about": entry.about,
        "input": if entry.any_keys { Value::Null } else { format!("{}x{}x{}", io.channels, io.height, io.width).into() },
        "classes": if entry.any_keys { Value::Null } else { io.classes.into() },
        "train": splits.train,
        "validation": splits.validation,
        "test": splits.test,
        "local_floor": task::floor(task)?,
        "files": files,
        "folder": origin.or(folder),
        "labels": task::classes(task)?,
        "audit": task::audit(task)?,
        "settings": task.settings,
        "meanings": meanings,
    }))
}

/// All names, or the first of many.
fn few(names: &[String]) -> String {
    const MOST: usize = 30;
    match names.len() {
        0..=MOST => names.join(", "),
        count => format!("{}, … {} more (--json has all)", names[..MOST].join(", "), count - MOST),
    }
}

/// `KEY=VALUE` as in TOML; a value that is no TOML is a string.
pub fn parse_settings(set: &[String]) -> Result<Settings> {
    set.iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Error::bad_input(format!("--set takes KEY=VALUE, and got '{pair}'"))
                    .hint("for example --set shuffle=true")
            })?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
            Ok((key.to_owned(), value))
        })
        .collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "any".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
