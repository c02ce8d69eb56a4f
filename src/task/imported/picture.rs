//! The bytes of an image file as pixels of a set: decoded within a memory budget, turned as its Exif or XMP says, laid on a
//! background where it is transparent, fitted into a square, and resized once, antialiased, as Pillow does.

mod caught;
mod kind;
mod look;
mod orientation;
mod room;
mod view;

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::imageops::resize;
use image::metadata::Orientation;
use image::{
    DynamicImage, GenericImageView, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Pixel, RgbImage,
};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::jpeg::{self, Coding};
use crate::error::{Context, Error, Result};
use caught::caught;
pub use kind::{READ, reason};
pub use look::{Fit, KEYS, Look};
use room::ROOM;
use view::{Grey, View, grey};

/// What was seen of an image while it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub width: u32,
    pub height: u32,
    /// Of the decoded pixels: equal for images that look the same, whatever their files are.
    pub hash: u128,
    /// What is wrong with a file that can be read all the same.
    pub damage: Option<String>,
}

impl Seen {
    /// Of an image that is kept as it is.
    pub fn of(pixels: &[u8], (width, height): (u32, u32)) -> Self {
        Self { width, height, hash: XxHash3_128::oneshot(pixels), damage: None }
    }
}

/// Fills in `[channels, size, size]`.
pub fn read(bytes: &[u8], look: &Look, pixels: &mut [u8]) -> Result<Seen> {
    caught(|| of_kind(bytes, look, pixels))
}

fn of_kind(bytes: &[u8], look: &Look, pixels: &mut [u8]) -> Result<Seen> {
    let format = kind::format(bytes)?;
    if format != ImageFormat::Jpeg {
        // A canvas, or the planes of a frame.
        let more = if matches!(format, ImageFormat::Png | ImageFormat::Bmp) { 0 } else { 1 };
        return decode(bytes, format, look, more, pixels);
    }
    let told = jpeg::inspect(bytes, look.max_pixels).map_err(Error::bad_input)?;
    let whole = &bytes[..told.end];
    let seen = match told.coding {
        Coding::Split => split(whole, look, u64::from(told.width) * u64::from(told.height), pixels)?,
        Coding::Progressive => decode(whole, format, look, 2, pixels)?,
        Coding::Baseline | Coding::Rare => decode(whole, format, look, 0, pixels)?,
    };
    Ok(Seen { damage: told.damage, ..seen })
}

/// Refuses an image that is too large to be meant.
pub fn within(width: u64, height: u64, most: u64) -> Result<(), String> {
    match width.saturating_mul(height) <= most {
        true => Ok(()),
        false => Err(format!("it says that it has {width} x {height} pixels, more than max_pixels = {most}")),
    }
}

const CANNOT: &str = "it cannot be decoded";

/// `more` is what the decoder holds besides the pixels, as a multiple of them.
fn decode(bytes: &[u8], format: ImageFormat, look: &Look, more: u64, pixels: &mut [u8]) -> Result<Seen> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(look.max_pixels.saturating_mul(16).saturating_add(1 << 26));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().context(|| CANNOT)?;
    let (width, height) = decoder.dimensions();
    within(width.into(), height.into(), look.max_pixels).map_err(Error::bad_input)?;
    let orientation = orientation::of(&mut decoder);
    let _held = ROOM.take(decoder.total_bytes().saturating_mul(1 + more));
    let image = DynamicImage::from_decoder(decoder).context(|| CANNOT)?;
    Ok(lay(&image, orientation, look, pixels))
}

/// A JPEG with a scan for each colour, of which the decoder of all others makes stripes.
fn split(bytes: &[u8], look: &Look, count: u64, pixels: &mut [u8]) -> Result<Seen> {
    let orientation = JpegDecoder::new(Cursor::new(bytes)).map(|mut decoder| orientation::of(&mut decoder));
    // Coefficients, planes, pixels.
    let _held = ROOM.take(12 * count);
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    let decoded = decoder.decode().context(|| CANNOT)?;
    let info = decoder.info().filter(|info| info.pixel_format == jpeg_decoder::PixelFormat::RGB24);
    let image = info.and_then(|info| RgbImage::from_raw(info.width.into(), info.height.into(), decoded));
    let image = image.ok_or_else(|| {
        Error::bad_input("it is a JPEG with a scan for each of its colours, which are not three: it is not read")
    })?;
    Ok(lay(&image.into(), orientation.unwrap_or(Orientation::NoTransforms), look, pixels))
}

/// Fills in the pixels of a decoded image.
fn lay(image: &DynamicImage, orientation: Orientation, look: &Look, pixels: &mut [u8]) -> Seen {
    let whole = View::new(image, orientation, look.background.colour());
    let (width, height) = whole.dimensions();
    let seen = Seen { width, height, hash: whole.hash(), damage: None };
    let size = look.size as u32;
    let shrunk = |side: u32| (f64::from(size) * f64::from(side) / f64::from(width.max(height))).round().max(1.0) as u32;
    let (part, (across, down)) = match look.fit {
        Fit::Crop => (whole.middle(), (size, size)),
        Fit::Squash => (whole, (size, size)),
        Fit::Pad => (whole, (shrunk(width), shrunk(height))),
    };
    match look.channels {
        1 => place(&resize(&Grey(part), across, down, look.filter()), look, pixels),
        _ => place(&resize(&part, across, down, look.filter()), look, pixels),
    }
    seen
}

/// Puts an image no larger than the square into its middle, as planes.
fn place<P: Pixel<Subpixel = u8>>(image: &ImageBuffer<P, Vec<u8>>, look: &Look, pixels: &mut [u8]) {
    let size = look.size as usize;
    let (left, top) = ((size - image.width() as usize) / 2, (size - image.height() as usize) / 2);
    let colour = look.background.colour();
    let around = if look.channels == 1 { [grey(colour); 3] } else { colour };
    for (plane, value) in pixels.chunks_exact_mut(size * size).zip(around) {
        plane.fill(value);
    }
    for (x, y, pixel) in image.enumerate_pixels() {
        let at = (top + y as usize) * size + left + x as usize;
        for (channel, &value) in pixel.channels().iter().enumerate() {
            pixels[channel * size * size + at] = value;
        }
    }
}

#[cfg(test)]
mod tests;
