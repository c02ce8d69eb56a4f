//! The sizes of each curve of a sweep: in which keys they differ, and what each is called as a curve of its own.

use std::collections::HashMap;

use serde::Serialize;

use super::query::Run;
use crate::run::{Named, Settings};
use crate::units::si;

/// How many curves the sizes of one model are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sizes {
    /// One: at each scale the size and budget with the lowest validation loss stand for it
    Best,
    /// Every size is a curve of its own, named by its parameters
    Each,
}

/// The shapes that each curve's runs have, by the curve's name.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    of: HashMap<String, Vec<Shape>>,
}

#[derive(Clone, Debug)]
struct Shape {
    settings: Settings,
    params: u64,
    /// The keys in which the shapes of the curve differ; empty where it has only this one.
    size: Settings,
    name: String,
}

impl Shapes {
    pub(super) fn of(runs: &[Run]) -> Shapes {
        let mut of: HashMap<String, Vec<Shape>> = HashMap::new();
        for run in runs {
            let known = of.entry(run.curve.clone()).or_default();
            let settings = &run.config.model.settings;
            if !known.iter().any(|shape| shape.settings == *settings) {
                let (settings, params) = (settings.clone(), run.costs.params);
                known.push(Shape { settings, params, size: Settings::new(), name: run.curve.clone() });
            }
        }
        for (curve, shapes) in &mut of {
            tell_apart(curve, shapes);
        }
        Shapes { of }
    }

    /// The keys in which this model differs from others of its curve.
    pub(super) fn size(&self, curve: &str, model: &Named) -> Settings {
        self.shape(curve, model).map(|shape| shape.size.clone()).unwrap_or_default()
    }

    /// The curve of a run of `curve` with this model.
    pub fn curve(&self, curve: &str, model: &Named, sizes: Sizes) -> String {
        match (sizes, self.shape(curve, model)) {
            (Sizes::Each, Some(shape)) => shape.name.clone(),
            (Sizes::Best, _) | (Sizes::Each, None) => curve.to_owned(),
        }
    }

    /// All keys in which sizes of a curve differ, in order.
    pub(super) fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> =
            self.of.values().flatten().flat_map(|shape| shape.size.keys().map(String::as_str)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn shape(&self, curve: &str, model: &Named) -> Option<&Shape> {
        self.of.get(curve)?.iter().find(|shape| shape.settings == model.settings)
    }
}

/// By the number of parameters where that is enough, else by the keys.
fn tell_apart(curve: &str, shapes: &mut [Shape]) {
    if shapes.len() < 2 {
        return;
    }
    let first = shapes[0].settings.clone();
    let differs = |key: &String| shapes.iter().any(|shape| shape.settings.get(key) != first.get(key));
    let keys: Vec<String> = first.keys().filter(|key| differs(key)).cloned().collect();
    let counts: Vec<String> = shapes.iter().map(|shape| si(shape.params as f64)).collect();
    let is_enough = (0..counts.len()).all(|i| !counts[..i].contains(&counts[i]));
    for (shape, count) in shapes.iter_mut().zip(counts) {
        let of_key = |key: &String| Some((key.clone(), shape.settings.get(key)?.clone()));
        shape.size = keys.iter().filter_map(of_key).collect();
        shape.name = match is_enough {
            true => format!("{curve} {count}"),
            false => shape.size.iter().fold(curve.to_owned(), |name, (key, value)| match value.as_str() {
                Some(text) => format!("{name} {key}={text}"),
                None => format!("{name} {key}={value}"),
            }),
        };
    }
}
