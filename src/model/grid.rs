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
    /// Patches of `size x size` pixels, cut to the image, side by side. Refuses those that leave out a part of it.
    pub fn tiling(size: u64, io: Io) -> Result<Self> {
        Self::cut(size, size, io).ok_or_else(|| {
            let sizes = (1..=io.height.max(io.width)).filter(|size| Self::cut(*size, *size, io).is_some());
            misfit("patch", size, &format!("must divide the {}x{} image", io.height, io.width), sizes)
        })
    }

    /// The same, `stride` pixels from one to the next.
    pub fn sliding(size: u64, stride: u64, io: Io) -> Result<Self> {
        Self::cut(size, stride, io).ok_or_else(|| {
            let strides = (1..=size).filter(|stride| Self::cut(size, *stride, io).is_some());
            let rule = format!("patches of {size} must end at the border of the {}x{} image", io.height, io.width);
            misfit("stride", stride, &rule, strides)
        })
    }

    fn cut(size: u64, stride: u64, io: Io) -> Option<Self> {
        let image = [io.height, io.width];
        let patch = image.map(|side| size.min(side));
        let stride = patch.map(|side| stride.min(side));
        let ends = |axis: usize| stride[axis] > 0 && (image[axis] - patch[axis]).is_multiple_of(stride[axis]);
        let cells = |axis: usize| (image[axis] - patch[axis]) / stride[axis] + 1;
        (ends(0) && ends(1)).then(|| Grid { patch, stride, cells: [0, 1].map(cells) })
    }

    pub fn tokens(self) -> u64 {
        self.cells[0] * self.cells[1]
    }
}

fn misfit(key: &str, value: u64, rule: &str, fits: impl Iterator<Item = u64>) -> Error {
    let fits: Vec<_> = fits.map(|value| value.to_string()).collect();
    Error::bad_input(format!("{key} = {value}: {rule}")).hint(format!("{key} is one of {}", fits.join(", ")))
}
