//! `mnist1d`: ten 1-D digit-like curves, padded, scaled, moved, sheared and made noisy (Greydanus and Kobak 2024, "Scaling
//! Down Deep Learning with MNIST-1D", arXiv:2011.14439, with the settings of the published data set). Small enough for a
//! laptop, and it tells architectures apart: with 4,000 examples a linear model reaches about 32%, a convnet 94%.
//!
//! Made here, not read: example i of a split comes from a generator keyed by (seed, i), so there are as many as one asks
//! for and subsets nest. Its class is i mod 10, so every subset is balanced to within one. Drawn as images of 1 x 40.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Io;
use crate::random;
use crate::task::Splits;
use crate::task::config::{Entry, Source};
use crate::task::examples::{Examples, Images, Split};
use crate::task::order::{below, unit};

pub const ENTRY: Entry = Entry::procedural::<Mnist1d>("mnist1d", "procedural 1-D curves in ten classes, 1x40", &KEYS);

const KEYS: [(&str, &str); 3] = [
    ("validation", "examples of the validation split"),
    ("test", "examples of the test split"),
    ("seed", "of the examples"),
];

/// The published generator's settings.
const PADDING: (u32, u32) = (36, 60);
const SCALE: f64 = 0.4;
const MAX_TRANSLATION: u32 = 48;
const CORRELATED_NOISE: f64 = 0.25;
const WHITE_NOISE: f64 = 0.02;
const SHEAR: f64 = 0.75;
/// Positions before the last interpolation: the template and the widest padding.
const LONG: usize = TEMPLATE + PADDING.1 as usize;
const TEMPLATE: usize = 12;
const POSITIONS: usize = 40;
/// Of the Gaussian that correlates the noise, cut at four deviations.
const BLUR_DEVIATION: f64 = 2.0;
const BLUR_RADIUS: usize = 8;

/// The ten curves, before they are whitened.
const TEMPLATES: [[f64; TEMPLATE]; 10] = [
    [5.0, 6.0, 6.5, 6.75, 7.0, 7.0, 7.0, 7.0, 6.75, 6.5, 6.0, 5.0],
    [5.0, 3.0, 3.0, 3.4, 3.8, 4.2, 4.6, 5.0, 5.4, 5.8, 5.0, 5.0],
    [5.0, 6.0, 6.5, 6.5, 6.0, 5.25, 4.75, 4.0, 3.5, 3.5, 4.0, 5.0],
    [5.0, 6.0, 6.5, 6.5, 6.0, 5.0, 5.0, 6.0, 6.5, 6.5, 6.0, 5.0],
    [5.0, 4.4, 3.8, 3.2, 2.6, 2.6, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0],
    [5.0, 3.0, 3.0, 3.0, 3.0, 5.0, 6.0, 6.5, 6.5, 6.0, 4.5, 5.0],
    [5.0, 4.0, 3.5, 3.25, 3.0, 3.0, 3.0, 3.0, 3.25, 3.5, 4.0, 5.0],
    [5.0, 7.0, 7.0, 6.6, 6.2, 5.8, 5.4, 5.0, 4.6, 4.2, 5.0, 5.0],
    [5.0, 4.0, 3.5, 3.5, 4.0, 5.0, 5.0, 4.0, 3.5, 3.5, 4.0, 5.0],
    [5.0, 4.0, 3.5, 3.5, 4.0, 5.0, 5.0, 5.0, 5.0, 4.7, 4.3, 5.0],
];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mnist1d {
    validation: u64,
    test: u64,
    /// Of the examples.
    seed: u64,
}

impl Default for Mnist1d {
    fn default() -> Self {
        Self { validation: 5_000, test: 5_000, seed: 0 }
    }
}

impl Source for Mnist1d {
    fn check(&self) -> Result<()> {
        for (key, count) in [("validation", self.validation), ("test", self.test)] {
            if !(1..=10_000_000).contains(&count) {
                return Err(Error::bad_input(format!("{key} must be 1 to 10000000, and is {count}")));
            }
        }
        Ok(())
    }

    fn io(&self) -> Io {
        Io { channels: 1, height: 1, width: POSITIONS as u64, classes: 10 }
    }

    fn splits(&self) -> Splits {
        Splits { train: None, validation: self.validation, test: self.test }
    }

    fn classes(&self) -> Vec<String> {
        (0..10).map(|digit| digit.to_string()).collect()
    }

    fn load(&self, _data: &Path, train: u64) -> Result<Examples> {
        let templates = whitened();
        let make = |purpose: &str, count: u64| -> Split {
            let images = (0..count).into_par_iter().flat_map_iter(|i| {
                let mut rng = random::stream(self.seed, purpose, i);
                draw(&mut rng, &templates[(i % 10) as usize])
            });
            Split { images: Images::F32(images.collect()), labels: (0..count).map(|i| (i % 10) as i64).collect() }
        };
        Ok(Examples {
            train: make("mnist1d train", train),
            validation: make("mnist1d validation", self.validation),
            test: make("mnist1d test", self.test),
        })
    }
}

/// Each template with mean 0 and deviation 1, then moved to start and end at 0, then divided by 6.
fn whitened() -> [[f64; TEMPLATE]; 10] {
    TEMPLATES.map(|template| {
        let mean = template.iter().sum::<f64>() / TEMPLATE as f64;
        let variance = template.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / TEMPLATE as f64;
        template.map(|x| (x - template[0]) / variance.sqrt() / 6.0)
    })
}

/// One example of a class.
fn draw(rng: &mut ChaCha8Rng, template: &[f64; TEMPLATE]) -> [f32; POSITIONS] {
    // A trace above zero tells the curve from the padding, which alone becomes correlated noise.
    let mut curve: Vec<f64> = template.iter().map(|x| x + 1e-8).collect();
    let padding = PADDING.0 + below(rng, PADDING.1 - PADDING.0 + 1);
    curve.resize(TEMPLATE + padding as usize, 0.0);
    let mut curve: [f64; LONG] = interpolate(&curve);
    let scale = 1.0 + SCALE * (unit(rng) - 0.5);
    curve = curve.map(|x| x * scale);
    curve.rotate_right(below(rng, MAX_TRANSLATION) as usize);

    let noise = blur(&std::array::from_fn(|_| CORRELATED_NOISE * normal(rng)));
    let shear = SHEAR * (unit(rng) - 0.5);
    for (i, x) in curve.iter_mut().enumerate() {
        if *x == 0.0 {
            *x = noise[i];
        }
        *x += WHITE_NOISE * normal(rng) - shear * (i as f64 / (LONG - 1) as f64 - 0.5);
    }
    interpolate::<POSITIONS>(&curve).map(|x| x as f32)
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// Linear interpolation of evenly spaced values at N evenly spaced places, ends included.
fn interpolate<const N: usize>(values: &[f64]) -> [f64; N] {
    std::array::from_fn(|i| {
        let place = i as f64 * (values.len() - 1) as f64 / (N - 1) as f64;
        let left = (place as usize).min(values.len() - 2);
        let weight = place - left as f64;
        values[left] * (1.0 - weight) + values[left + 1] * weight
    })
}

/// Gaussian smoothing; beyond the ends the values are mirrored, the last one repeated.
fn blur(values: &[f64; LONG]) -> [f64; LONG] {
    let weights: [f64; 2 * BLUR_RADIUS + 1] =
        std::array::from_fn(|k| (-0.5 * ((k as f64 - BLUR_RADIUS as f64) / BLUR_DEVIATION).powi(2)).exp());
    let total: f64 = weights.iter().sum();
    std::array::from_fn(|i| {
        let weighted = weights.iter().enumerate().map(|(k, weight)| {
            let place = i as i64 + k as i64 - BLUR_RADIUS as i64;
            let mirrored = if place < 0 { -1 - place } else { place.min(2 * LONG as i64 - 1 - place) };
            weight * values[mirrored as usize]
        });
        weighted.sum::<f64>() / total
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::linear::Linear;

    fn examples(n: u64, seed: u64) -> Split {
        Mnist1d { validation: 1, test: 1, seed }.load(Path::new(""), n).unwrap().train
    }

    fn floats(split: &Split) -> &[f32] {
        let Images::F32(values) = &split.images else { panic!("curves are floats") };
        values
    }

    /// Against the published generator: `pip install mnist1d`, then for each class c
    ///   x = np.stack([transform(get_templates()['x'][c], get_templates()['t'], get_dataset_args())[0] for _ in range(20000)])
    ///   x.mean(0)[[0, 10, 20, 30, 39]], x.std(0)[…], np.mean((x[:, 1:] - x[:, :-1])**2)
    #[test]
    fn statistics_are_those_of_the_published_generator() {
        const EXPECTED: [(usize, [f64; 5], [f64; 5], f64); 4] = [
            (0, [-0.0006, 0.101, 0.0965, 0.0461, 0.0006], [0.1683, 0.198, 0.1888, 0.1646, 0.1698], 0.00771),
            (3, [-0.001, 0.0671, 0.0682, 0.0317, -0.0004], [0.1698, 0.1609, 0.15, 0.1415, 0.1708], 0.01209),
            (4, [0.0002, -0.037, -0.0375, -0.0018, -0.0014], [0.1695, 0.1389, 0.1275, 0.1055, 0.1708], 0.00786),
            (9, [-0.0018, -0.0436, -0.0435, -0.0072, 0.0003], [0.1702, 0.1415, 0.1311, 0.1067, 0.1704], 0.00931),
        ];
        let split = examples(100_000, 0);
        let rows: Vec<&[f32]> = floats(&split).chunks(POSITIONS).collect();
        for (class, means, deviations, steps) in EXPECTED {
            let of_class: Vec<&[f32]> = rows.iter().copied().skip(class).step_by(10).collect();
            let count = of_class.len() as f64;
            for (k, place) in [0, 10, 20, 30, 39].into_iter().enumerate() {
                let mean = of_class.iter().map(|x| f64::from(x[place])).sum::<f64>() / count;
                let variance = of_class.iter().map(|x| (f64::from(x[place]) - mean).powi(2)).sum::<f64>() / count;
                // Four standard errors of a mean of 10,000, and of the reference's 20,000.
                assert!((mean - means[k]).abs() < 0.01, "mean of class {class} at {place}: {mean}");
                assert!((variance.sqrt() - deviations[k]).abs() < 0.006, "deviation of {class} at {place}: {variance}");
            }
            let squares = of_class.iter().flat_map(|x| x.windows(2)).map(|w| f64::from(w[1] - w[0]).powi(2));
            let step = squares.sum::<f64>() / (count * 39.0);
            assert!((step - steps).abs() < 0.03 * steps, "steps of class {class}: {step}");
        }
    }

    #[test]
    fn the_parts_are_those_of_the_published_generator() {
        // get_templates()['x'][4], and scipy.ndimage.gaussian_filter((np.arange(72) < 3).astype(float), 2)[:6]
        let template = [0.0, -0.10599979, -0.21199958, -0.31799936, -0.42399915, -0.42399915, 0.0];
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-8);
        assert!(close(&whitened()[4], &template));
        let step: [f64; LONG] = std::array::from_fn(|i| if i < 3 { 1.0 } else { 0.0 });
        assert!(close(&blur(&step), &[0.85828108, 0.76428955, 0.5970181, 0.39975941, 0.22416, 0.10323943]));
        let mirrored: [f64; LONG] = std::array::from_fn(|i| step[LONG - 1 - i]);
        assert!(close(&blur(&mirrored)[66..], &[0.10323943, 0.22416, 0.39975941, 0.5970181, 0.76428955, 0.85828108]));
    }

    #[test]
    fn subsets_nest_and_splits_differ() {
        let (small, large) = (examples(100, 0), examples(1000, 0));
        assert_eq!(floats(&small), &floats(&large)[..floats(&small).len()]);
        assert_eq!(small.labels[..], large.labels[..100]);
        assert_ne!(floats(&examples(100, 1)), floats(&small));
        let all = Mnist1d { validation: 100, test: 100, seed: 0 }.load(Path::new(""), 100).unwrap();
        assert_ne!(all.validation, all.train);
        assert_ne!(all.validation, all.test);
    }

    /// A dependency that changed its random numbers would change every result on this task.
    #[test]
    fn the_examples_are_the_same_for_ever() {
        let bytes: Vec<u8> = floats(&examples(50, 0)).iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(crate::task::files::hex_sha256(&bytes)[..16], *"cb581b2c051f37ce");
    }

    /// The paper's table 1: a logistic regression on 4,000 examples reaches 32%.
    #[test]
    fn a_linear_model_tells_a_third() {
        let all = Mnist1d { validation: 1, test: 2000, seed: 0 }.load(Path::new(""), 4000).unwrap();
        let rows = |split: &Split| -> Vec<(Vec<f64>, Vec<f64>)> {
            let images = floats(split).chunks(POSITIONS).map(|x| x.iter().map(|&x| 6.0 * f64::from(x)).collect());
            let one_hot = |&label: &i64| (0..10).map(|class| if class == label { 1.0 } else { 0.0 }).collect();
            images.zip(split.labels.iter().map(one_hot)).collect()
        };
        let model = Linear::fit(&rows(&all.train), 200, 0.02);
        let largest = |values: &[f64]| (0..10).max_by(|&a, &b| values[a].total_cmp(&values[b]));
        let right = rows(&all.test).iter().filter(|(x, seen)| largest(&model.shares(x)) == largest(seen)).count();
        assert!((0.28..0.37).contains(&(right as f64 / 2000.0)), "{right} of 2000");
    }
}
