//! Sliding windows, of convolutions and of pooling: which map they leave, and how much of the image they see.

use crate::error::{Error, Result};

/// `[height, width]` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kernel: [u64; 2],
    pub stride: [u64; 2],
    /// Pixels that are added on either side.
    pub padding: [u64; 2],
    /// Those are the pixels of the opposite side, not zeros.
    pub circular: bool,
}

/// Makes windows that fit the images: those of one row are signals, on which windows are one pixel high.
#[derive(Clone, Copy)]
pub struct Windows {
    pub signal: bool,
    pub circular: bool,
}

impl Windows {
    /// `side x side`, padded by half of it.
    pub fn centred(self, side: u64, stride: u64) -> Window {
        let [kernel, stride] = [self.square(side), self.square(stride)];
        Window { kernel, stride, padding: kernel.map(|side| side / 2), circular: self.circular }
    }

    /// `side x side`, side by side; what does not fill one is left out.
    pub fn tiles(self, side: u64) -> Window {
        let kernel = self.square(side);
        Window { kernel, stride: kernel, padding: [0, 0], circular: false }
    }

    fn square(self, side: u64) -> [u64; 2] {
        if self.signal { [1, side] } else { [side, side] }
    }
}

impl Window {
    /// Sides of the map that it leaves of a map of these sides.
    pub fn over(&self, sides: [u64; 2]) -> Result<[u64; 2]> {
        let mut out = [0, 0];
        for (axis, side) in sides.into_iter().enumerate() {
            // A circle is gone around once at most.
            let padded = if self.circular && self.padding[axis] > side { 0 } else { side + 2 * self.padding[axis] };
            let Some(room) = padded.checked_sub(self.kernel[axis]) else { return Err(self.misfit(sides)) };
            out[axis] = room / self.stride[axis] + 1;
        }
        Ok(out)
    }

    fn misfit(&self, sides: [u64; 2]) -> Error {
        let shown = |sides: [u64; 2]| format!("{}x{}", sides[0], sides[1]);
        let (kernel, sides) = (shown(self.kernel), shown(sides));
        Error::bad_input(format!("a {kernel} window does not fit a map of {sides} that is left of the image"))
            .hint("fewer stages halve it less often")
    }
}

/// Sides of the part of the image that one value sees after these windows, one on the other.
pub fn receptive_field(windows: &[Window]) -> [u64; 2] {
    let (mut field, mut step) = ([1, 1], [1, 1]);
    for window in windows {
        for axis in [0, 1] {
            field[axis] += (window.kernel[axis] - 1) * step[axis];
            step[axis] *= window.stride[axis];
        }
    }
    field
}
