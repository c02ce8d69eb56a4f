//! How an image is cut into patches.

use crate::error::{Error, Result};
use crate::model::Io;

/// `[height, width]` each.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Pixels of a patch.
    pub patch: [u64; 2],
    /// Pixels from one patch to the next.
    pub stride: [u64; 2],
    /// Patches.
    pub cells: [u64; 2],
}

impl Grid {
    /// Patches of `patch x patch` pixels side by side. Refuses those that leave a part of the image out.
    pub fn tiling(size: u64, io: Io) -> Result<Self> {
        let image = [io.height, io.width];
        let patch = image.map(|side| size.min(side));
        for (side, patch) in image.into_iter().zip(patch) {
            if patch == 0 || side % patch != 0 {
                let divisors: Vec<_> =
                    (1..=side).filter(|p| image.iter().all(|s| s % (*p).min(*s) == 0)).map(|p| p.to_string()).collect();
                let (height, width) = (io.height, io.width);
                return Err(Error::bad_input(format!("patch = {size}: must divide the {height}x{width} image"))
                    .hint(format!("patch is one of {}", divisors.join(", "))));
            }
        }
        Ok(Grid { patch, stride: patch, cells: [image[0] / patch[0], image[1] / patch[1]] })
    }

    pub fn tokens(self) -> u64 {
        self.cells[0] * self.cells[1]
    }

    /// Patches of `patch x patch` pixels, `stride` apart, both cut to the image. Refuses those that leave out a part of it.
    pub fn sliding(size: u64, stride: u64, io: Io) -> Result<Self> {
        let image = [io.height, io.width];
        let patch = image.map(|side| size.min(side));
        let fits = |stride: u64| {
            let ends = |(side, patch): (u64, u64)| stride > 0 && (side - patch).is_multiple_of(stride.min(patch));
            image.into_iter().zip(patch).all(ends)
        };
        if !fits(stride) {
            let strides: Vec<_> = (1..=size).filter(|stride| fits(*stride)).map(|stride| stride.to_string()).collect();
            let (height, width) = (io.height, io.width);
            let rule = format!("patches of {size} must end at the border of the {height}x{width} image");
            return Err(Error::bad_input(format!("stride = {stride}: {rule}"))
                .hint(format!("stride is one of {}", strides.join(", "))));
        }
        let stride = patch.map(|side| stride.min(side));
        Ok(Grid { patch, stride, cells: [0, 1].map(|axis| (image[axis] - patch[axis]) / stride[axis] + 1) })
    }
}
