//! Changes to any task's examples, each a key of the task and so an axis of a sweep: they take away from an
//! architecture what its bias relies on, or give it to all.

use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Io;
use crate::random::stream;
use crate::run::Settings;
use crate::task::change::Change;
use crate::task::config;
use crate::task::examples::{Examples, Split};
use crate::task::order::{below, permutation, unit};

/// All tasks have these keys beside their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transforms {
    /// One fixed permutation of the positions, the same for every image and channel: neighbours no longer mean
    /// anything, and nothing is lost to a model that does not rely on them.
    shuffle: bool,
    /// The share of training labels that are replaced by another class, drawn uniformly. Validation and test keep
    /// theirs. The labels replaced at a small share are replaced at a larger one too.
    label_noise: f64,
    /// What every training image goes through each time it is seen.
    pub augment: Augment,
    /// Pixels of the longer side; the other follows. Each pixel is the mean of the area that it covers. None: as is.
    resolution: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    #[default]
    None,
    /// Moved by up to an eighth of each side, zeros moving in, and mirrored left to right every other time: the usual
    /// of CIFAR training.
    ShiftFlip,
}

const LARGEST_RESOLUTION: u64 = 1024;

impl Transforms {
    /// What the keys mean.
    pub const KEYS: [(&str, &str); 4] = [
        ("shuffle", "one fixed permutation of the positions, the same for every image"),
        ("label_noise", "share of the training labels that are replaced by another class"),
        ("augment", "what training images go through each time: none, or shift-flip"),
        ("resolution", "pixels of the longer side, by averaging areas; null: as is"),
    ];

    pub fn keys() -> Vec<String> {
        config::to_settings(&Self::default()).keys().cloned().collect()
    }

    /// Refuses values outside their rule.
    pub fn parse(task: &str, given: &Settings) -> Result<(Self, Settings)> {
        let (transforms, settings) = config::parse::<Self>(task, given)?;
        transforms.check().map_err(|error| error.context(format!("task '{task}'")))?;
        Ok((transforms, settings))
    }

    fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.label_noise) {
            return Err(Error::bad_input(format!("label_noise must be 0 to 1, and is {}", self.label_noise)));
        }
        if let Some(resolution) = self.resolution.filter(|side| !(1..=LARGEST_RESOLUTION).contains(side)) {
            return Err(Error::bad_input(format!("resolution must be 1 to {LARGEST_RESOLUTION}, and is {resolution}")));
        }
        if self.shuffle && self.augment != Augment::None {
            return Err(Error::bad_input("augment moves neighbouring pixels, and shuffle leaves no neighbours")
                .hint("set augment = \"none\" or shuffle = false"));
        }
        Ok(())
    }

    /// Whether what is local in the source is local in what a model sees, and nothing else is.
    pub fn leave_neighbours(&self) -> bool {
        !self.shuffle && self.resolution.is_none()
    }

    /// What a model sees, of a source that gives `io`.
    pub fn io(&self, io: Io) -> Io {
        let Some(resolution) = self.resolution else { return io };
        let longer = io.height.max(io.width);
        let side = |side: u64| ((side * resolution) as f64 / longer as f64).round().max(1.0) as u64;
        Io { height: side(io.height), width: side(io.width), ..io }
    }

    /// Changes the examples of a source that gives `io`.
    ///
    /// # Errors
    /// They are on a disk that cannot be read.
    pub fn apply(&self, io: Io, mut examples: Examples) -> Result<Examples> {
        let seen = self.io(io);
        let positions =
            self.shuffle.then(|| permutation(&mut stream(0, "shuffle", 0), (seen.height * seen.width) as u32));
        let splits = [&mut examples.train, &mut examples.validation, &mut examples.test];
        // Means of bytes are rounded to bytes, which of zeros and ones would leave nothing.
        let mut floats = seen != io;
        for split in &splits {
            floats = floats && split.images.are_binary()?;
        }
        let mut changes = Vec::new();
        if seen != io {
            changes.push(Change::Resize { from: io, to: seen, floats });
        }
        changes.extend(positions.map(|positions| Change::Permute(positions.into())));
        for split in splits {
            changes.iter().for_each(|change| split.images.change(change));
        }
        add_noise(&mut examples.train, self.label_noise, io.classes);
        Ok(examples)
    }
}

/// What one training image goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    pub down: i64,
    pub right: i64,
    pub mirrored: bool,
}

impl Move {
    pub fn draw(rng: &mut impl Rng, io: Io) -> Self {
        let mut shift = |side: u64| {
            let most = side / 8;
            i64::from(below(rng, 2 * most as u32 + 1)) - most as i64
        };
        let (down, right) = (shift(io.height), shift(io.width));
        Self { down, right, mirrored: below(rng, 2) == 1 }
    }
}

fn add_noise(train: &mut Split, share: f64, classes: u64) {
    if share == 0.0 || classes < 2 {
        return;
    }
    for (index, label) in train.labels.iter_mut().enumerate() {
        let mut rng = stream(0, "label noise", index as u64);
        if unit(&mut rng) < share {
            *label = (*label + 1 + i64::from(below(&mut rng, classes as u32 - 1))) % classes as i64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::examples::Images;

    fn of(text: &str) -> Result<Transforms> {
        Ok(Transforms::parse("x", &serde_json::from_str(text).unwrap())?.0)
    }

    fn all(values: Vec<u8>) -> Examples {
        let split = Split { images: Images::U8(values), labels: vec![0] };
        Examples { train: split.clone(), validation: split.clone(), test: split }
    }

    #[test]
    fn shuffling_is_one_permutation_for_all() {
        let plane: Vec<u8> = (0..12).collect();
        let mut examples = all(plane.clone());
        // Two channels of 3 x 4 in train, so that both planes can be compared.
        examples.train.images = Images::U8([plane.clone(), plane.clone()].concat());
        let io = Io { channels: 2, height: 3, width: 4, classes: 1 };
        let shuffled = of(r#"{"shuffle": true}"#).unwrap().apply(io, examples).unwrap();
        let Images::U8(test) = &shuffled.test.images else { panic!("bytes stay bytes") };
        assert_ne!(*test, plane);
        let mut sorted = test.clone();
        sorted.sort();
        assert_eq!(sorted, plane);
        assert_eq!(shuffled.validation.images, shuffled.test.images);
        assert_eq!(shuffled.train.images, Images::U8([test.clone(), test.clone()].concat()));
    }

    #[test]
    fn means_of_zeros_and_ones_are_not_rounded() {
        let io = Io { channels: 1, height: 1, width: 4, classes: 2 };
        let resized = of(r#"{"resolution": 2}"#).unwrap().apply(io, all(vec![0, 1, 0, 0])).unwrap();
        assert_eq!(resized.test.images, Images::F32(vec![0.5, 0.0]));
        assert_eq!(resized.train.images, resized.test.images);
        let bytes = of(r#"{"resolution": 2}"#).unwrap().apply(io, all(vec![0, 3, 0, 0])).unwrap();
        assert_eq!(bytes.test.images, Images::U8(vec![2, 0]));
    }

    #[test]
    fn resizing_averages_areas() {
        let io = Io { channels: 1, height: 3, width: 6, classes: 1 };
        let transforms = of(r#"{"resolution": 4}"#).unwrap();
        assert_eq!(transforms.io(io), Io { height: 2, width: 4, ..io });
        // numpy: c = lambda f, t: np.array([[max(0, min(f/t*(i+1), k+1) - max(f/t*i, k)) / (f/t) for k in range(f)]
        //                                   for i in range(t)])
        //        c(3, 2) @ np.arange(18.).reshape(3, 6) @ c(6, 4).T
        let resized = transforms.apply(io, all((0..18).collect())).unwrap();
        assert_eq!(resized.test.images, Images::U8(vec![2, 4, 5, 7, 10, 12, 13, 15]));
        // Mean brightness stays: an exact division keeps it exactly.
        let halved = of(r#"{"resolution": 3}"#).unwrap().apply(Io { height: 2, ..io }, all((0..12).collect())).unwrap();
        let expected: Vec<u8> = vec![4, 6, 8]; // (0 + 1 + 6 + 7) / 4 = 3.5, 5.5, 7.5, rounded away from zero
        assert_eq!(halved.test.images, Images::U8(expected));
    }

    #[test]
    fn label_noise_hits_its_share_of_training_labels_and_nests() {
        let split = Split { images: Images::U8(vec![0; 20_000]), labels: vec![3; 20_000] };
        let examples = Examples { train: split.clone(), validation: split.clone(), test: split };
        let io = Io { channels: 1, height: 1, width: 1, classes: 10 };
        let wrong = |share: f64| {
            let noisy = of(&format!(r#"{{"label_noise": {share}}}"#)).unwrap().apply(io, examples.clone()).unwrap();
            assert_eq!(noisy.test, examples.test);
            assert_eq!(noisy.validation, examples.validation);
            noisy.train.labels
        };
        let (some, more) = (wrong(0.2), wrong(0.5));
        let count = |labels: &[i64]| labels.iter().filter(|&&label| label != 3).count();
        assert!((3800..4200).contains(&count(&some)) && (9800..10_200).contains(&count(&more)));
        assert!(some.iter().zip(&more).all(|(some, more)| *some == 3 || some == more));
        // Every other class, equally often: 10,000 / 9 and four deviations.
        let per_class = |class| more.iter().filter(|&&label| label == class).count();
        assert!((0..10).filter(|&class| class != 3).all(|class| (980..1240).contains(&per_class(class))));
    }

    #[test]
    fn moves_stay_within_an_eighth() {
        let io = Io { channels: 1, height: 28, width: 40, classes: 10 };
        let mut rng = stream(0, "test", 0);
        let moves: Vec<Move> = (0..2000).map(|_| Move::draw(&mut rng, io)).collect();
        let most = |of: fn(&Move) -> i64| (moves.iter().map(of).min().unwrap(), moves.iter().map(of).max().unwrap());
        assert_eq!((most(|m| m.down), most(|m| m.right)), ((-3, 3), (-5, 5)));
        assert!((900..1100).contains(&moves.iter().filter(|m| m.mirrored).count()));
    }

    #[test]
    fn values_outside_their_rule_are_refused() {
        for (text, says) in [
            (r#"{"label_noise": 1.5}"#, "label_noise must be 0 to 1"),
            (r#"{"resolution": 0}"#, "resolution must be 1 to 1024"),
            (r#"{"augment": "flip"}"#, "unknown variant `flip`, expected `none` or `shift-flip`"),
            (r#"{"augment": "shift-flip", "shuffle": true}"#, "leaves no neighbours"),
        ] {
            let message = of(text).unwrap_err().message;
            assert!(message.contains(says), "{message}");
        }
    }
}
