//! `relations`: images on which one knob says how right the convolutional prior is. A small cue glyph tells the class
//! by itself: a local feature, wherever it stands. The class is also told by a relation that needs the whole image, and
//! is always right; the cue is right only with probability 1 - `relational` x (K - 1) / K, for K classes.
//!
//! - `relation = "same"` (K = 2): two far-apart glyphs, of `glyphs` kinds, are the same or not.
//! - `relation = "quadrant"` (K = 4): the quadrant in which the one marker glyph stands.
//!
//! **Floor.** With q = `relational`, a model that sees local features without their positions cannot get below
//!
//!   H(q) = -(1 - e) ln(1 - e) - e ln(e / (K - 1)) nats, with e = q (K - 1) / K,
//!
//! the entropy of the class given the cue: 0 at q = 0, ln K at q = 1. A model that uses the relation can reach 0.
//! Why: glyphs stand at least `gap` pixels apart and `margin` pixels from the border, so a model whose receptive field
//! is at most gap + 1 pixels wide sees one glyph at a time, and never a glyph and the border if it is at most margin +
//! 1 wide, or pads in a circle and is at most 2 margin + 1 wide: by default 5, as that of `convnet` with block =
//! "plain", depths = [1], padding = "circular". For "quadrant", what it sees of the marker is then the same in each
//! quadrant, so *any* function of the bag of its features is bound by the cue alone. For "same" the bag does tell (it
//! can be counted), and the floor holds for models that *average* features into linear logits: the loss is convex in
//! the logits, and exchanging glyph kinds changes nothing, so by Jensen's inequality no additive score of the two
//! glyphs beats a constant.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Io;
use crate::random::stream;
use crate::task::Splits;
use crate::task::config::{Entry, Source};
use crate::task::examples::{Examples, Images, Split};
use crate::task::order::{below, unit};

pub const ENTRY: Entry =
    Entry::procedural::<Relations>("relations", "glyphs: a local cue against a relation across the image", &KEYS);

const KEYS: [(&str, &str); 10] = [
    ("relation", "same: are two far-apart glyphs alike; quadrant: in which is the marker"),
    ("relational", "the knob: 0, a local cue says the class; 1, only the relation does"),
    ("size", "pixels of each side"),
    ("glyphs", "kinds of glyphs that are compared"),
    ("gap", "least pixels between glyphs"),
    ("margin", "least pixels between a glyph and the border"),
    ("noise", "brightness of uniform noise on every pixel, as a share of full"),
    ("validation", "examples of the validation split"),
    ("test", "examples of the test split"),
    ("seed", "of the examples"),
];

/// Pixels of a side of a glyph.
const SIDE: u64 = 5;
/// Of ink, and of the brightest noise.
const INK: f64 = 160.0;
const NOISE: f64 = 95.0;
const MOST_GLYPHS: u64 = 16;
const LARGEST_CANVAS: u64 = 512;
/// Tries to place the glyphs of one image before starting it over.
const TRIES: u32 = 100;

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Relation {
    Same,
    Quadrant,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relations {
    relation: Relation,
    /// The knob: 0, the cue says it all; 1, the cue says nothing.
    relational: f64,
    /// Pixels of each side of the canvas.
    size: u64,
    /// Kinds of glyphs that are compared.
    glyphs: u64,
    /// Least pixels between glyphs, and between a glyph and the border.
    gap: u64,
    margin: u64,
    /// Brightness of uniform noise on every pixel, as a share of full.
    noise: f64,
    validation: u64,
    test: u64,
    /// Of the examples.
    seed: u64,
}

impl Default for Relations {
    fn default() -> Self {
        let relation = Relation::Same;
        let (size, glyphs, gap, margin) = (32, 4, 4, 2);
        Self {
            relation,
            relational: 1.0,
            size,
            glyphs,
            gap,
            margin,
            noise: 0.5,
            validation: 5_000,
            test: 5_000,
            seed: 0,
        }
    }
}

impl Source for Relations {
    fn check(&self) -> Result<()> {
        let within = |key: &str, value: f64, least: f64, most: f64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::bad_input(format!("{key} must be {least} to {most}, and is {value}"))),
        };
        within("relational", self.relational, 0.0, 1.0)?;
        within("noise", self.noise, 0.0, 1.0)?;
        within("glyphs", self.glyphs as f64, 2.0, MOST_GLYPHS as f64)?;
        within("validation", self.validation as f64, 1.0, 1e7)?;
        within("test", self.test as f64, 1.0, 1e7)?;
        // Three glyphs fit without trying for long, wherever the first two are; each quadrant holds one.
        let least = 3 * SIDE + 3 * self.gap.min(LARGEST_CANVAS) + 2 * self.margin.min(LARGEST_CANVAS);
        within("size", self.size as f64, least as f64, LARGEST_CANVAS as f64)
            .map_err(|error| error.hint("its least value follows from gap and margin: make those smaller"))
    }

    fn io(&self) -> Io {
        Io { channels: 1, height: self.size, width: self.size, classes: self.relation.classes() }
    }

    fn splits(&self) -> Splits {
        Splits { train: None, validation: self.validation, test: self.test }
    }

    fn classes(&self) -> Vec<String> {
        match self.relation {
            Relation::Same => ["different", "same"].map(String::from).into(),
            Relation::Quadrant => ["top left", "top right", "bottom left", "bottom right"].map(String::from).into(),
        }
    }

    fn load(&self, _data: &Path, train: u64) -> Result<Examples> {
        let font = font();
        let make = |purpose: &str, count: u64| -> Split {
            let drawn = (0..count).into_par_iter().map(|i| self.draw(&mut stream(self.seed, purpose, i), &font));
            let (images, labels): (Vec<Vec<u8>>, Vec<i64>) = drawn.unzip();
            Split { images: Images::U8(images.concat()), labels }
        };
        Ok(Examples {
            train: make("relations train", train),
            validation: make("relations validation", self.validation),
            test: make("relations test", self.test),
        })
    }

    fn floor(&self) -> Option<f64> {
        let classes = self.relation.classes() as f64;
        let wrong = self.relational * (classes - 1.0) / classes;
        let term = |share: f64, each: f64| if share > 0.0 { -share * each.ln() } else { 0.0 };
        Some(term(1.0 - wrong, 1.0 - wrong) + term(wrong, wrong / (classes - 1.0)))
    }
}

impl Relation {
    fn classes(self) -> u64 {
        match self {
            Relation::Same => 2,
            Relation::Quadrant => 4,
        }
    }
}

/// The top left pixel of a glyph.
type Place = (u64, u64);
/// Rows of ink, the lowest bits to the left.
type Glyph = u32;

impl Relations {
    fn draw(&self, rng: &mut ChaCha8Rng, font: &[Glyph]) -> (Vec<u8>, i64) {
        let classes = self.relation.classes();
        let class = u64::from(below(rng, classes as u32));
        let told = match unit(rng) < self.relational {
            true => below(rng, classes as u32).into(),
            false => class,
        };
        // The font has the cues first, then the glyphs that are compared.
        let compared = &font[classes as usize..][..self.glyphs as usize];
        let first = below(rng, self.glyphs as u32) as usize;
        let other = (first + 1 + below(rng, self.glyphs as u32 - 1) as usize) % compared.len();
        let glyphs = match self.relation {
            Relation::Same => vec![compared[first], compared[if class == 1 { first } else { other }]],
            Relation::Quadrant => vec![compared[0]],
        };
        let places = self.place(rng, class, glyphs.len() + 1);
        let mut image: Vec<f64> = (0..self.size * self.size).map(|_| self.noise * NOISE * unit(rng)).collect();
        for (glyph, (top, left)) in glyphs.into_iter().chain([font[told as usize]]).zip(places) {
            for bit in (0..SIDE * SIDE).filter(|bit| glyph >> bit & 1 == 1) {
                image[((top + bit / SIDE) * self.size + left + bit % SIDE) as usize] += INK;
            }
        }
        (image.into_iter().map(|value| value as u8).collect(), class as i64)
    }

    /// Places for `count` glyphs, the last of them the cue, `gap` apart and `margin` from the border.
    fn place(&self, rng: &mut impl Rng, class: u64, count: usize) -> Vec<Place> {
        let last = self.size - self.margin - SIDE;
        let mut uniform = |least: u64, most: u64| least + u64::from(below(rng, (most - least + 1) as u32));
        let far = |a: Place, b: Place| a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)) >= SIDE + self.gap;
        loop {
            let mut places = Vec::with_capacity(count);
            if let Relation::Quadrant = self.relation {
                let half = self.size / 2;
                let mut within = |far_half: bool| match far_half {
                    true => uniform(half, last),
                    false => uniform(self.margin, half - SIDE),
                };
                places.push((within(class >= 2), within(class % 2 == 1)));
            }
            for _ in 0..TRIES {
                if places.len() == count {
                    return places;
                }
                let place = (uniform(self.margin, last), uniform(self.margin, last));
                if places.iter().all(|&taken| far(place, taken)) {
                    places.push(place);
                }
            }
        }
    }
}

/// Glyphs that differ from each other in at least eight of their 25 pixels, with about half of them ink: four cues,
/// then those that are compared.
fn font() -> Vec<Glyph> {
    let mut rng = stream(0, "relations font", 0);
    let mut font: Vec<Glyph> = Vec::new();
    while font.len() < 4 + MOST_GLYPHS as usize {
        let glyph = rng.next_u32() >> (32 - SIDE * SIDE);
        let apart = font.iter().all(|other| (glyph ^ other).count_ones() >= 8);
        if apart && (11..=14).contains(&glyph.count_ones()) {
            font.push(glyph);
        }
    }
    font
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::linear::Linear;

    fn of(relation: Relation, relational: f64) -> Relations {
        Relations { relation, relational, noise: 0.0, ..Relations::default() }
    }

    /// Finds every glyph of the font in an image by matching all its pixels: an independent reading of what was drawn.
    fn read(image: &[u8], size: usize) -> Vec<(usize, Place)> {
        let mut found = Vec::new();
        for (kind, glyph) in font().into_iter().enumerate() {
            for top in 0..=size - 5 {
                for left in 0..=size - 5 {
                    let ink = |bit: usize| image[(top + bit / 5) * size + left + bit % 5] > 0;
                    if (0..25).all(|bit| ink(bit) == (glyph >> bit & 1 == 1)) {
                        found.push((kind, (top as u64, left as u64)));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn the_relation_is_always_right_and_the_cue_as_often_as_told() {
        for (relation, classes) in [(Relation::Same, 2), (Relation::Quadrant, 4)] {
            let task = of(relation, 0.4);
            task.check().unwrap();
            let split = task.load(Path::new(""), 2000).unwrap().train;
            let Images::U8(values) = &split.images else { panic!("images are bytes") };
            let mut cue_right = 0;
            for (image, &class) in values.chunks(32 * 32).zip(&split.labels) {
                let found = read(image, 32);
                let (cues, compared): (Vec<_>, Vec<_>) = found.into_iter().partition(|(kind, _)| *kind < classes);
                assert_eq!((cues.len(), compared.len()), (1, if classes == 2 { 2 } else { 1 }));
                let told = match relation {
                    Relation::Same => i64::from(compared[0].0 == compared[1].0),
                    Relation::Quadrant => {
                        let (top, left) = compared[0].1;
                        i64::from(top >= 16) * 2 + i64::from(left >= 16)
                    }
                };
                assert_eq!(told, class);
                cue_right += usize::from(cues[0].0 as i64 == class);
                let places: Vec<_> = cues.iter().chain(&compared).map(|(_, place)| *place).collect();
                for (i, a) in places.iter().enumerate() {
                    assert!(a.0.min(a.1) >= 2 && a.0.max(a.1) <= 32 - 2 - 5, "{a:?}");
                    assert!(places[..i].iter().all(|b| a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)) >= 9));
                }
            }
            let right = 1.0 - 0.4 * (classes as f64 - 1.0) / classes as f64;
            let deviation = (right * (1.0 - right) / 2000.0).sqrt();
            assert!((cue_right as f64 / 2000.0 - right).abs() < 4.0 * deviation, "{cue_right}");
            let of_class_0 = split.labels.iter().filter(|&&class| class == 0).count() as f64;
            assert!((of_class_0 * classes as f64 / 2000.0 - 1.0).abs() < 0.15, "{of_class_0}");
        }
    }

    /// scipy.stats.entropy([1 - e] + [e / (K - 1)] * (K - 1))
    #[test]
    fn the_floor_is_the_entropy_of_the_class_given_the_cue() {
        let floor = |relation, relational| of(relation, relational).floor().unwrap();
        assert_eq!(floor(Relation::Same, 0.0), 0.0);
        assert!((floor(Relation::Same, 1.0) - 2f64.ln()).abs() < 1e-12);
        assert!((floor(Relation::Quadrant, 1.0) - 4f64.ln()).abs() < 1e-12);
        assert!((floor(Relation::Same, 0.5) - 0.5623351446188083).abs() < 1e-12);
        assert!((floor(Relation::Quadrant, 0.5) - 1.073_542_846_408_523).abs() < 1e-12);
    }

    #[test]
    fn subsets_nest_and_impossible_canvases_are_refused() {
        let task = Relations { noise: 0.5, ..of(Relation::Quadrant, 1.0) };
        let (small, large) = (task.load(Path::new(""), 10).unwrap(), task.load(Path::new(""), 20).unwrap());
        let (Images::U8(small), Images::U8(large)) = (&small.train.images, &large.train.images) else {
            panic!("images are bytes")
        };
        assert_eq!(small[..], large[..small.len()]);
        let refused = |task: Relations| task.check().unwrap_err().message;
        assert_eq!(refused(Relations { size: 20, ..task.clone() }), "size must be 31 to 512, and is 20");
        assert_eq!(refused(Relations { relational: 1.5, ..task.clone() }), "relational must be 0 to 1, and is 1.5");
        assert_eq!(refused(Relations { glyphs: 1, ..task }), "glyphs must be 2 to 16, and is 1");
    }

    /// How often each class goes with each bag of glyphs, counted on drawn images.
    fn bags(task: &Relations, seed: u64, count: u64) -> Vec<(Vec<f64>, Vec<f64>)> {
        let split = Relations { seed, ..task.clone() }.load(Path::new(""), count).unwrap().train;
        let Images::U8(values) = &split.images else { panic!("images are bytes") };
        let mut counted = std::collections::BTreeMap::<Vec<u8>, Vec<f64>>::new();
        for (image, &class) in values.chunks(32 * 32).zip(&split.labels) {
            let mut bag = vec![0; font().len()];
            read(image, 32).into_iter().for_each(|(kind, _)| bag[kind] += 1);
            let classes = task.relation.classes() as usize;
            counted.entry(bag).or_insert_with(|| vec![0.0; classes])[class as usize] += 1.0;
        }
        counted.into_iter().map(|(bag, classes)| (bag.into_iter().map(f64::from).collect(), classes)).collect()
    }

    /// Mean and standard error of a predictor's loss.
    fn loss(bags: &[(Vec<f64>, Vec<f64>)], predict: impl Fn(&[f64]) -> Vec<f64>) -> (f64, f64) {
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (bag, classes) in bags {
            for (share, seen) in predict(bag).into_iter().zip(classes).filter(|(_, seen)| **seen > 0.0) {
                count += seen;
                sum -= seen * share.ln();
                squares += seen * share.ln().powi(2);
            }
        }
        let mean = sum / count;
        (mean, ((squares / count - mean * mean) / count).sqrt())
    }

    /// The floor without its formula: the best linear logits of the bag of glyphs, and the best function of the bag at
    /// all (how often each class was seen with it), found on some images and measured on others.
    #[test]
    fn the_best_bag_of_glyphs_stands_on_the_floor() {
        for relation in [Relation::Same, Relation::Quadrant] {
            let task = of(relation, 0.6);
            let (seen, held_out) = (bags(&task, 1, 4000), bags(&task, 2, 4000));
            let (floor, best) = (task.floor().unwrap(), Linear::fit(&seen, 1000, 0.1));
            let (linear, error) = loss(&held_out, |bag| best.shares(bag));
            assert!((linear - floor).abs() < 4.0 * error, "{linear} +- {error}, floor {floor}");
            let (any, error) = loss(&held_out, |bag| {
                let (_, counts) = seen.iter().find(|(other, _)| other == bag).expect("all bags were seen");
                let total: f64 = counts.iter().map(|count| count + 0.1).sum();
                counts.iter().map(|count| (count + 0.1) / total).collect()
            });
            match relation {
                // That two of a bag are alike says it all, but no sum over the glyphs does.
                Relation::Same => assert!(any < 0.02, "{any}"),
                Relation::Quadrant => assert!((any - floor).abs() < 4.0 * error, "{any} +- {error}, floor {floor}"),
            }
        }
    }
}
