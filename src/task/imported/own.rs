//! An imported set as a source of examples: what is held out of it, and where each image is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::About;
use super::audit::Audit;
use super::held_out;
use super::set::{LABEL_BYTES, Set};
use crate::error::{Context, Error, Result};
use crate::model::Io;
use crate::random::stream;
use crate::task::Splits;
use crate::task::config::Source;
use crate::task::examples::{Examples, Images, OnDisk, Split, is_small};
use crate::task::order::permutation;

/// How much is held out of the training part where the files have no part of their own for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HeldOut {
    /// None is a tenth.
    pub validation: Option<Wanted>,
    pub test: Option<Wanted>,
    /// Of the permutation that draws them, and of the training order.
    pub seed: u64,
    /// Of each class the same share; none where nothing is held out.
    pub stratified: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// A count, or a share below 1.
    Number(f64),
    /// A part that the files have.
    Name(String),
}

fn number(wanted: &Option<Wanted>) -> Option<f64> {
    match wanted {
        Some(Wanted::Number(number)) => Some(*number),
        _ => None,
    }
}

/// The task: a set, and what is held out of it.
pub struct Own {
    pub set: Set,
    pub held_out: HeldOut,
}

impl Own {
    fn about(&self) -> &About {
        &self.set.kept.about
    }

    /// With what follows from the set.
    pub fn resolved(mut self) -> Self {
        let default = (self.held() != [0, 0]).then_some(true);
        self.held_out.stratified = self.held_out.stratified.filter(|_| default.is_some()).or(default);
        self
    }

    /// Images held out of the training part: validation, test.
    fn held(&self) -> [u64; 2] {
        let [pool, ..] = self.about().parts;
        [(&self.held_out.validation, 1), (&self.held_out.test, 2)].map(|(wanted, part)| {
            match (self.about().parts[part], number(wanted)) {
                (0, Some(count)) if count >= 1.0 => count as u64,
                (0, share) => ((share.unwrap_or(0.1) * pool as f64).round() as u64).max(1),
                _ => 0,
            }
        })
    }
}

impl Source for Own {
    fn check(&self) -> Result<()> {
        let parts = self.about().parts;
        for (key, wanted, own) in
            [("validation", &self.held_out.validation, parts[1]), ("test", &self.held_out.test, parts[2])]
        {
            let Some(wanted) = number(wanted) else { continue };
            if own > 0 {
                return Err(Error::bad_input(format!(
                    "{key} is {wanted}, and the files have {own} {key} images of their own"
                ))
                .hint(format!("leave {key} out")));
            }
            if wanted <= 0.0 || (wanted >= 1.0 && wanted.fract() != 0.0) {
                return Err(Error::bad_input(format!(
                    "{key} must be a whole number or a share below 1, and is {wanted}"
                )));
            }
        }
        let held: u64 = self.held().iter().fold(0, |sum, count| sum.saturating_add(*count));
        match held < parts[0] {
            true => Ok(()),
            false => Err(Error::bad_input(format!(
                "validation and test must leave some of the {} training images, and take {held}",
                parts[0]
            ))),
        }
    }

    fn io(&self) -> Io {
        let About { channels, height, width, ref classes, .. } = *self.about();
        Io { channels, height, width, classes: classes.len() as u64 }
    }

    fn splits(&self) -> Splits {
        let ([pool, validation, test], [held_validation, held_test]) = (self.about().parts, self.held());
        Splits {
            train: Some(pool - held_validation - held_test),
            validation: validation + held_validation,
            test: test + held_test,
        }
    }

    fn classes(&self) -> Vec<String> {
        self.about().classes.clone()
    }

    fn origin(&self) -> Option<String> {
        let path = |value: &serde_json::Value| value.as_str().filter(|text| text.starts_with('/')).map(String::from);
        self.set.kept.origin.values().find_map(path)
    }

    fn audit(&self) -> Option<&Audit> {
        self.set.kept.audit.as_ref()
    }

    /// What is held out is drawn from the permuted training part; the rest, in that order, is trained on.
    fn load(&self, _data: &Path, train: u64) -> Result<Examples> {
        let path = &self.set.examples;
        let failed = || format!("cannot read {}", path.display());
        let file = File::open(path).context(failed)?;
        let (parts, io) = (self.about().parts, self.io());
        let (count, size) = (parts.iter().sum::<u64>(), io.channels * io.height * io.width);
        let (bytes, start) = (file.metadata().context(failed)?.len(), count * LABEL_BYTES as u64);
        if bytes != start + count * size {
            return Err(Error::failed(format!("{} is not whole: it has {bytes} bytes", path.display()))
                .hint("remove it, and the files are imported again"));
        }
        let mut labels = vec![0; start as usize];
        file.read_exact_at(&mut labels, 0).context(failed)?;
        let class = |index: u32| {
            let at = index as usize * LABEL_BYTES;
            usize::from(u16::from_le_bytes([labels[at], labels[at + 1]]))
        };
        let select = |indices: &[u32]| -> Result<Split> {
            let on_disk = OnDisk::new(path.clone(), start, size as usize, indices.to_vec())?;
            Ok(Split {
                images: match is_small(count * size) {
                    true => on_disk.read(&(0..indices.len()).collect::<Vec<_>>())?,
                    false => Images::OnDisk(on_disk),
                },
                labels: indices.iter().map(|&index| class(index) as i64).collect(),
            })
        };
        let number = |n: u64| u32::try_from(n).map_err(|_| Error::failed("more than 2^32 images"));
        let [pool, after_validation, end] = [parts[0], parts[0] + parts[1], parts[0] + parts[1] + parts[2]].map(number);
        let (pool, after_validation, end) = (pool?, after_validation?, end?);
        let order = permutation(&mut stream(self.held_out.seed, "holdout", 0), pool);
        let [held_validation, held_test] = self.held();
        let [test, validation, rest] = match self.held_out.stratified {
            Some(true) => held_out::draw(&order, class, &self.set.kept.copies, [held_test, held_validation]),
            _ => {
                let (test, rest) = order.split_at(held_test as usize);
                let (validation, rest) = rest.split_at(held_validation as usize);
                [test, validation, rest].map(<[u32]>::to_vec)
            }
        };
        let own = |from: u32, to: u32| (from..to).collect::<Vec<_>>();
        Ok(Examples {
            train: select(&rest[..rest.len().min(train as usize)])?,
            validation: select(&[validation, own(pool, after_validation)].concat())?,
            test: select(&[test, own(after_validation, end)].concat())?,
        })
    }
}
