//! Images out of an array: which side is which, and how its numbers become bytes. Nothing is rounded: numbers that are not
//! bytes, or bytes over 255, are refused.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Array, Kind};
use crate::error::{Error, Result};

/// Where the channels of an array `[n, …]` of four dimensions stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    ChannelsFirst,
    ChannelsLast,
}

/// One image within an array: its sides, and how far apart its neighbours lie along channels, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub sides: [usize; 3],
    strides: [usize; 3],
}

impl Layout {
    /// Of an array `[n, W]`, `[n, H, W]`, `[n, C, H, W]` or `[n, H, W, C]`. Which of the last two is seen by a side of 1
    /// or 3. Where neither is, the channels come first if `any_channels`.
    pub fn of(array: &Array, order: Option<Order>, transpose: bool, any_channels: bool) -> Result<Self> {
        let [_, ref sides @ ..] = array.shape[..] else { return Err(shapeless(array)) };
        let sides = sides.iter().map(|&side| usize::try_from(side)).collect::<Result<Vec<_>, _>>();
        let (sides, strides) = match sides.as_deref() {
            Ok(&[width]) if !transpose => ([1, 1, width], [0, 0, 1]),
            Ok(&[height, width]) => ([1, height, width], [0, width, 1]),
            Ok(&[a, b, c]) => match order.map_or_else(|| order_of(array, [a, b, c], any_channels), Ok)? {
                Order::ChannelsFirst => ([a, b, c], [b * c, c, 1]),
                Order::ChannelsLast => ([c, a, b], [1, b * c, c]),
            },
            _ => return Err(shapeless(array)),
        };
        let ([channels, height, width], [plane, down, across]) = (sides, strides);
        Ok(match transpose {
            true => Self { sides: [channels, width, height], strides: [plane, across, down] },
            false => Self { sides, strides },
        })
    }

    /// As `[C, H, W]`, values one after the other.
    fn is_plain(&self) -> bool {
        let [_, height, width] = self.sides;
        self.strides[1..] == [width, 1] && [0, height * width].contains(&self.strides[0]) || height * width == 1
    }

    /// Calls `put` with the place of each value of `[C, H, W]` in its order, and of the same in the array.
    fn places(&self, mut put: impl FnMut(usize, usize)) {
        let ([channels, height, width], [plane, down, across]) = (self.sides, self.strides);
        let mut to = 0;
        for channel in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    put(to, channel * plane + y * down + x * across);
                    to += 1;
                }
            }
        }
    }
}

fn shapeless(array: &Array) -> Error {
    Error::bad_input(format!("{} is {:?}, which is no set of images", array.what, array.shape))
        .hint("images are [n, H, W], [n, H, W, 3] or [n, 3, H, W]; signals are [n, W]")
}

fn order_of(array: &Array, [first, _, last]: [usize; 3], any_channels: bool) -> Result<Order> {
    let is_colour = |side| side == 1 || side == 3;
    let unclear = |why: &str, hint: &str| {
        Err(Error::bad_input(format!("{} is {:?}: {why}", array.what, array.shape)).hint(hint.to_owned()))
    };
    match (is_colour(first), is_colour(last)) {
        (true, true) => unclear(
            "the channels may be the first side of an image or the last",
            "say which: layout = \"channels-first\" or layout = \"channels-last\"",
        ),
        (true, false) => Ok(Order::ChannelsFirst),
        (false, true) => Ok(Order::ChannelsLast),
        (false, false) if any_channels => Ok(Order::ChannelsFirst),
        (false, false) if last == 4 => {
            unclear("its images have four channels, as with alpha", "leave alpha out: x = x[..., :3]")
        }
        (false, false) => unclear(
            "neither the first nor the last side of an image is 1 or 3 channels, as of volumes",
            "a slice of a volume is an image: x = x[:, x.shape[1] // 2]; or say where the channels are: layout = \
             \"channels-first\"",
        ),
    }
}

/// Images of an array, as bytes.
pub struct Pixels {
    array: Array,
    pub layout: Layout,
    /// What a value is multiplied by: 1, or 255.
    factor: f64,
}

impl Pixels {
    /// Refuses numbers that are not bytes, once all of them are seen.
    pub fn of(array: Array, layout: Layout) -> Result<Self> {
        let factor = if array.is_bytes() { 1.0 } else { factor(&array)? };
        Ok(Self { array, layout, factor })
    }

    /// How values became bytes, where they were not.
    pub fn note(&self) -> Option<String> {
        let name = self.array.number.name();
        match self.factor {
            1.0 if self.array.is_bytes() => None,
            1.0 => Some(format!("{name} from 0 to 255")),
            _ => Some(format!("{name} from 0 to 1, times 255")),
        }
    }

    /// Fills in image `[C, H, W]` number `index`.
    pub fn read(&self, index: u64, image: &mut [u8]) -> Result<()> {
        let start = index * image.len() as u64;
        if self.array.is_bytes() && self.layout.is_plain() {
            return self.array.read(start, image);
        }
        let mut raw = vec![0; image.len() * self.array.number.bytes()];
        self.array.read(start, &mut raw)?;
        if self.array.is_bytes() {
            self.layout.places(|to, from| image[to] = raw[from]);
            return Ok(());
        }
        let mut values = Vec::with_capacity(image.len());
        self.array.number.decode(&raw, &mut values);
        self.layout.places(|to, from| image[to] = (values[from] * self.factor).round() as u8);
        Ok(())
    }
}

/// What is seen of numbers.
#[derive(Clone, Copy)]
struct Seen {
    least: f64,
    most: f64,
    finite: bool,
    /// All are whole; times 255 all are.
    whole: bool,
    of_255: bool,
}

impl Seen {
    const NOTHING: Self =
        Self { least: f64::INFINITY, most: f64::NEG_INFINITY, finite: true, whole: true, of_255: true };

    fn and(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
            finite: self.finite && other.finite,
            whole: self.whole && other.whole,
            of_255: self.of_255 && other.of_255,
        }
    }

    fn value(value: f64) -> Self {
        // A byte over 255 in float32, back times 255, is this near.
        let near = |value: f64| (value - value.round()).abs() < 1e-3;
        Self {
            least: value,
            most: value,
            finite: value.is_finite(),
            whole: value.fract() == 0.0,
            of_255: near(value * 255.0),
        }
    }
}

/// Values looked at in one piece.
const PIECE: u64 = 1 << 16;

fn factor(array: &Array) -> Result<f64> {
    let count = array.len();
    let pieces = (0..count.div_ceil(PIECE)).into_par_iter().map(|piece| {
        let start = piece * PIECE;
        let mut raw = vec![0; (PIECE.min(count - start)) as usize * array.number.bytes()];
        array.read(start, &mut raw)?;
        let mut values = Vec::new();
        array.number.decode(&raw, &mut values);
        Ok::<_, Error>(values.into_iter().map(Seen::value).fold(Seen::NOTHING, Seen::and))
    });
    let seen = pieces.try_reduce(|| Seen::NOTHING, |a, b| Ok(a.and(b)))?;
    if !seen.finite {
        return Err(Error::bad_input(format!("{}: pixels are no numbers (NaN or infinite)", array.what))
            .hint("numpy.isfinite says where"));
    }
    if seen.whole && seen.least >= 0.0 && seen.most <= 255.0 {
        return Ok(1.0);
    }
    let is_share = array.number.is_float() && seen.least >= 0.0 && seen.most <= 1.0;
    if is_share && seen.of_255 {
        return Ok(255.0);
    }
    // As many digits as the numbers have.
    let [least, most] = [seen.least, seen.most].map(|value| match array.number.kind {
        Kind::F32 => (value as f32).to_string(),
        _ => value.to_string(),
    });
    let found = format!("{} from {least} to {most}", array.number.name());
    let (why, hint) = match is_share {
        true => (", and not 255ths", "round them, if that is meant: (x * 255).round().astype('uint8')"),
        false => {
            ("", "scale them, if that is meant: ((x - x.min()) * (255 / (x.max() - x.min()))).round().astype('uint8')")
        }
    };
    Err(Error::bad_input(format!("{}: pixels are {found}{why}; images are bytes, 0 to 255", array.what)).hint(hint))
}
