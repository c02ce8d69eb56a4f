//! `rhm`: the Random Hierarchy Model (Cagnetta et al. 2024, "How Deep Neural Networks Learn Compositional Data",
//! Phys. Rev. X 14, 031001): a class is written as s symbols, each of those as s symbols of the next level, L times; each
//! symbol of a level has m spellings (synonyms), all different. What a model must find out is which spellings mean the
//! same. With `blanks`, each symbol stands somewhere among that many empty places at every level (the sparse model of
//! Tomasini and Wyart 2024, arXiv:2404.10727).
//!
//! An example is a sequence of v symbols, one-hot as v channels of a 1 x d image; a blank is all zeros. Without blanks
//! d = s^L, and there are P = classes x m^((d - 1) / (s - 1)) different examples. They are numbered, and a keyed
//! permutation of the numbers gives test, validation and training order: no example is in two splits, or twice.
//! `shuffle` permutes the positions, which takes the order away that convolution goes by.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Io;
use crate::random::stream;
use crate::task::Splits;
use crate::task::config::{Entry, Source};
use crate::task::examples::{Examples, Images, Split};
use crate::task::order::{Shuffled, below, permutation};

pub const ENTRY: Entry =
    Entry::procedural::<RandomHierarchy>("rhm", "Random Hierarchy Model: sequences with a hidden grammar", &KEYS);

const KEYS: [(&str, &str); 9] = [
    ("v", "symbols of each level"),
    ("m", "spellings (synonyms) of each symbol"),
    ("s", "symbols of a spelling"),
    ("L", "levels; a sequence has (s (blanks + 1))^L positions"),
    ("classes", "symbols of the first level, n_c in the paper"),
    ("blanks", "empty places beside each symbol; above 0, the sparse model"),
    ("validation", "examples of the validation split"),
    ("test", "examples of the test split"),
    ("seed", "of the grammar and of the order of the examples"),
];

/// Positions of the longest sequence, and spellings there can be of s symbols.
const LONGEST: u64 = 4096;
/// A symbol is a byte.
const MOST_SYMBOLS: u64 = 256;
const MOST_TUPLES: u64 = 1 << 24;
/// Examples are numbered up to here; where there are more, the rest is drawn.
const MOST_NUMBERS: u64 = 1 << 62;

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomHierarchy {
    /// Symbols of each level.
    v: u64,
    /// Spellings of each symbol.
    m: u64,
    /// Symbols of a spelling.
    s: u64,
    /// Levels.
    #[serde(rename = "L")]
    levels: u64,
    classes: u64,
    /// Empty places beside each symbol.
    blanks: u64,
    validation: u64,
    test: u64,
    /// Of the grammar and of the order of the examples.
    seed: u64,
}

impl Default for RandomHierarchy {
    fn default() -> Self {
        Self { v: 8, m: 4, s: 2, levels: 3, classes: 8, blanks: 0, validation: 5_000, test: 5_000, seed: 0 }
    }
}

impl Source for RandomHierarchy {
    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::bad_input(message));
        for (key, value, least) in
            [("v", self.v, 2), ("m", self.m, 1), ("s", self.s, 2), ("L", self.levels, 1), ("classes", self.classes, 2)]
        {
            if value < least {
                return refuse(format!("{key} must be at least {least}, and is {value}"));
            }
        }
        if self.v.max(self.classes) > MOST_SYMBOLS {
            let most = self.v.max(self.classes);
            return refuse(format!("v and classes must be at most {MOST_SYMBOLS}, and one is {most}"));
        }
        if self.length().is_none_or(|length| length > LONGEST) {
            return refuse(format!("(s (blanks + 1))^L must be at most {LONGEST} positions"));
        }
        let Some(tuples) = self.v.checked_pow(self.s as u32).filter(|&tuples| tuples <= MOST_TUPLES) else {
            return refuse(format!("v^s must be at most {MOST_TUPLES}"));
        };
        if self.v.max(self.classes).saturating_mul(self.m) > tuples {
            return refuse(format!(
                "the {tuples} tuples of s = {} symbols are too few for m = {} spellings each",
                self.s, self.m
            ));
        }
        if self.validation == 0 || self.test == 0 || self.validation.saturating_add(self.test) >= self.numbers() {
            let (numbers, wanted) = (self.numbers(), (self.validation, self.test));
            return refuse(format!(
                "validation and test must be at least 1 and leave some of the {numbers} examples, and are {wanted:?}"
            ));
        }
        Ok(())
    }

    fn io(&self) -> Io {
        Io { channels: self.v, height: 1, width: self.length().unwrap_or(LONGEST), classes: self.classes }
    }

    fn splits(&self) -> Splits {
        let numbers = self.numbers();
        let train = (numbers < MOST_NUMBERS).then(|| numbers - self.validation - self.test);
        Splits { train, validation: self.validation, test: self.test }
    }

    fn classes(&self) -> Vec<String> {
        (0..self.classes).map(|class| class.to_string()).collect()
    }

    fn load(&self, _data: &Path, train: u64) -> Result<Examples> {
        let grammar = Grammar::new(self);
        let order = Shuffled::new(self.seed, "rhm order", self.numbers());
        let split = |from: u64, count: u64| -> Split {
            let numbers = (from..from + count).into_par_iter().map(|place| order.at(place));
            let (images, labels): (Vec<Vec<u8>>, Vec<i64>) = numbers.map(|number| grammar.example(number)).unzip();
            Split { images: Images::U8(images.concat()), labels }
        };
        let held_out = self.test + self.validation;
        Ok(Examples {
            test: split(0, self.test),
            validation: split(self.test, self.validation),
            train: split(held_out, train.min(self.numbers() - held_out)),
        })
    }
}

impl RandomHierarchy {
    /// Positions of a sequence.
    fn length(&self) -> Option<u64> {
        self.s.checked_mul(self.blanks.checked_add(1)?)?.checked_pow(self.levels as u32)
    }

    /// Choices that make an example of a class: one at each node above the leaves.
    fn choices(&self) -> u32 {
        (0..self.levels as u32).map(|level| self.s.saturating_pow(level) as u32).sum()
    }

    /// Examples that there are, up to [`MOST_NUMBERS`].
    fn numbers(&self) -> u64 {
        let spellings = self.m.checked_pow(self.choices());
        spellings
            .and_then(|spellings| spellings.checked_mul(self.classes))
            .map_or(MOST_NUMBERS, |n| n.min(MOST_NUMBERS))
    }
}

struct Grammar<'a> {
    model: &'a RandomHierarchy,
    /// For each level, from the classes down: the spelling number k of symbol a is at `(a m + k) s`.
    rules: Vec<Vec<u8>>,
}

impl<'a> Grammar<'a> {
    fn new(model: &'a RandomHierarchy) -> Self {
        let tuples = model.v.pow(model.s as u32) as u32;
        let rules = (0..model.levels).map(|level| {
            let symbols = if level == 0 { model.classes } else { model.v };
            let order = permutation(&mut stream(model.seed, "rhm rules", level), tuples);
            let chosen = &order[..(symbols * model.m) as usize];
            let digits =
                |tuple: u32| (0..model.s as u32).map(move |i| tuple / (model.v as u32).pow(i) % model.v as u32);
            chosen.iter().flat_map(|&tuple| digits(tuple).map(|symbol| symbol as u8)).collect()
        });
        Self { model, rules: rules.collect() }
    }

    /// The image `[v, 1, d]` and the class of the example of this number.
    fn example(&self, number: u64) -> (Vec<u8>, i64) {
        let model = self.model;
        let class = number % model.classes;
        let mut choices = number / model.classes;
        let mut drawn = stream(model.seed, "rhm choices", number);
        let mut choose = || match model.numbers() < MOST_NUMBERS {
            true => {
                let choice = choices % model.m;
                choices /= model.m;
                choice
            }
            false => below(&mut drawn, model.m as u32).into(),
        };
        let mut places = stream(model.seed, "rhm blanks", number);
        let mut symbols = vec![Some(class as u8)];
        for rules in &self.rules {
            let mut longer = Vec::with_capacity(symbols.len() * model.s as usize);
            for symbol in symbols {
                let spelling = symbol.map(|symbol| {
                    let start = ((u64::from(symbol) * model.m + choose()) * model.s) as usize;
                    &rules[start..start + model.s as usize]
                });
                for i in 0..model.s as usize {
                    let at = spelling.map_or(0, |_| below(&mut places, model.blanks as u32 + 1));
                    longer.extend((0..=model.blanks as u32).map(|k| spelling.filter(|_| k == at).map(|s| s[i])));
                }
            }
            symbols = longer;
        }
        let length = symbols.len();
        let mut image = vec![0; model.v as usize * length];
        for (place, symbol) in symbols.into_iter().enumerate() {
            if let Some(symbol) = symbol {
                image[usize::from(symbol) * length + place] = 1;
            }
        }
        (image, class as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn small() -> RandomHierarchy {
        // 3 x 2^3 = 24 examples of 4 symbols.
        RandomHierarchy { v: 3, m: 2, s: 2, levels: 2, classes: 3, blanks: 0, validation: 4, test: 4, seed: 5 }
    }

    fn rows(split: &Split, size: usize) -> Vec<Vec<u8>> {
        let Images::U8(values) = &split.images else { panic!("symbols are bytes") };
        values.chunks(size).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn every_example_is_in_one_split_once() {
        let model = small();
        model.check().unwrap();
        assert_eq!(model.splits().train, Some(16));
        let all = model.load(Path::new(""), 100).unwrap();
        let seen: Vec<_> = [&all.train, &all.validation, &all.test].iter().flat_map(|split| rows(split, 12)).collect();
        assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (24, 24));
        let some = model.load(Path::new(""), 5).unwrap();
        assert_eq!(rows(&some.train, 12), rows(&all.train, 12)[..5]);
    }

    /// The grammar, parsed bottom-up from the examples alone: an independent reading of the definition.
    #[test]
    fn spellings_mean_one_symbol_each() {
        let model = small();
        let grammar = Grammar::new(&model);
        let mut spelled = BTreeMap::new();
        for number in 0..24 {
            let (image, class) = grammar.example(number);
            let symbols: Vec<usize> =
                (0..4).map(|place| (0..3).find(|symbol| image[symbol * 4 + place] == 1).unwrap()).collect();
            assert_eq!(image.iter().map(|&x| u32::from(x)).sum::<u32>(), 4);
            assert_eq!(*spelled.entry(symbols).or_insert(class), class);
        }
        let pairs: BTreeSet<_> =
            spelled.keys().flat_map(|symbols| [symbols[..2].to_vec(), symbols[2..].to_vec()]).collect();
        // At most v m = 6 pairs of the 9 are spellings.
        assert!(pairs.len() <= 6, "{pairs:?}");
        assert!((0..3).all(|class| spelled.values().filter(|&&c| c == class).count() == 8));
    }

    #[test]
    fn blanks_spread_the_same_symbols() {
        let dense = small();
        let sparse = RandomHierarchy { blanks: 1, ..dense.clone() };
        assert_eq!(sparse.io().width, 16);
        let symbols = |image: Vec<u8>, length: usize| -> Vec<usize> {
            (0..length).filter_map(|place| (0..3).find(|symbol| image[symbol * length + place] == 1)).collect()
        };
        let mut layouts = BTreeSet::new();
        for number in 0..24 {
            let (short, long) = (Grammar::new(&dense).example(number), Grammar::new(&sparse).example(number));
            layouts.insert((0..16).filter(|&place| (0..3).any(|s| long.0[s * 16 + place] == 1)).collect::<Vec<_>>());
            assert_eq!((symbols(short.0, 4), short.1), (symbols(long.0, 16), long.1));
        }
        assert!(layouts.len() > 5);
    }

    #[test]
    fn impossible_grammars_are_refused() {
        let refused = |model: RandomHierarchy| model.check().unwrap_err().message;
        assert!(refused(RandomHierarchy { m: 4, ..small() }).contains("too few for m = 4"));
        assert!(refused(RandomHierarchy { levels: 40, ..small() }).contains("at most 4096 positions"));
        assert!(refused(RandomHierarchy { test: 20, ..small() }).contains("leave some of the 24 examples"));
        // More examples than can be numbered: as many as one asks for.
        let large = RandomHierarchy { levels: 6, ..RandomHierarchy::default() };
        large.check().unwrap();
        assert_eq!(large.splits().train, None);
        assert_eq!(large.load(Path::new(""), 3).unwrap().train.len(), 3);
    }

    #[test]
    fn at_the_size_of_the_paper_no_sequence_is_in_two_splits() {
        let model = RandomHierarchy::default();
        assert_eq!(model.numbers(), 8 * 4u64.pow(7));
        let all = model.load(Path::new(""), 8192).unwrap();
        let of = |split: &Split| rows(split, 64).into_iter().collect::<BTreeSet<_>>();
        let (train, validation, test) = (of(&all.train), of(&all.validation), of(&all.test));
        assert_eq!((train.len(), validation.len(), test.len()), (8192, 5000, 5000));
        assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
        // Classes are as frequent in each split as they are in all: eight of 8192 / 8 with four deviations.
        let per_class = |class| all.train.labels.iter().filter(|&&label| label == class).count();
        assert!((0..8).all(|class| (900..1150).contains(&per_class(class))));
    }
}
