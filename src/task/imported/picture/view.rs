//! A decoded image as it is looked at: turned, a part of it, laid on a background. No copy is made of it, since one of a
//! large image costs as much memory as the image.

use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, Luma, Rgb};
use twox_hash::XxHash3_128;

#[derive(Clone, Copy)]
pub struct View<'a> {
    image: &'a DynamicImage,
    orientation: Orientation,
    background: [u8; 3],
    /// Of the turned image.
    corner: (u32, u32),
    size: (u32, u32),
}

impl<'a> View<'a> {
    pub fn new(image: &'a DynamicImage, orientation: Orientation, background: [u8; 3]) -> Self {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        let (width, height) = (image.width(), image.height());
        let size = match orientation {
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (height, width),
            _ => (width, height),
        };
        Self { image, orientation, background, corner: (0, 0), size }
    }

    /// Its middle square.
    pub fn middle(self) -> Self {
        let (width, height) = self.size;
        let side = width.min(height);
        Self { corner: ((width - side) / 2, (height - side) / 2), size: (side, side), ..self }
    }

    /// Equal for images of equal pixels, whatever they were kept as.
    pub fn hash(&self) -> u128 {
        let mut hash = XxHash3_128::new();
        let (width, height) = self.size;
        hash.write(&[width.to_le_bytes(), height.to_le_bytes()].concat());
        if let (DynamicImage::ImageRgb8(plain), Orientation::NoTransforms) = (self.image, self.orientation) {
            hash.write(plain.as_raw());
            return hash.finish_128();
        }
        let mut row = Vec::with_capacity(3 * width as usize);
        for y in 0..height {
            row.clear();
            row.extend((0..width).flat_map(|x| self.get_pixel(x, y).0));
            hash.write(&row);
        }
        hash.finish_128()
    }

    /// Where a pixel of the turned image stands in the decoded one.
    fn source(&self, x: u32, y: u32) -> (u32, u32) {
        let (width, height) = (self.image.width(), self.image.height());
        match self.orientation {
            Orientation::NoTransforms => (x, y),
            Orientation::FlipHorizontal => (width - 1 - x, y),
            Orientation::FlipVertical => (x, height - 1 - y),
            Orientation::Rotate180 => (width - 1 - x, height - 1 - y),
            Orientation::Rotate90 => (y, height - 1 - x),
            Orientation::Rotate270 => (width - 1 - y, x),
            Orientation::Rotate90FlipH => (y, x),
            Orientation::Rotate270FlipH => (width - 1 - y, height - 1 - x),
        }
    }
}

impl GenericImageView for View<'_> {
    type Pixel = Rgb<u8>;

    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn get_pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let (x, y) = self.source(self.corner.0 + x, self.corner.1 + y);
        match self.image {
            DynamicImage::ImageRgb8(image) => *image.get_pixel(x, y),
            DynamicImage::ImageLuma8(image) => Rgb([image.get_pixel(x, y).0[0]; 3]),
            other => {
                let [red, green, blue, alpha] = other.get_pixel(x, y).0;
                let laid = |value: u8, under: u8| {
                    let (alpha, value, under) = (u32::from(alpha), u32::from(value), u32::from(under));
                    ((value * alpha + under * (255 - alpha) + 127) / 255) as u8
                };
                let under = self.background;
                Rgb([laid(red, under[0]), laid(green, under[1]), laid(blue, under[2])])
            }
        }
    }
}

/// The same without its colours.
pub struct Grey<'a>(pub View<'a>);

impl GenericImageView for Grey<'_> {
    type Pixel = Luma<u8>;

    fn dimensions(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    fn get_pixel(&self, x: u32, y: u32) -> Luma<u8> {
        Luma([grey(self.0.get_pixel(x, y).0)])
    }
}

/// Brightness as in ITU-R BT.601, rounded as Pillow does.
pub fn grey(colour: [u8; 3]) -> u8 {
    let [red, green, blue] = colour.map(u32::from);
    ((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, RgbaImage};

    #[test]
    fn a_view_is_the_copy_that_it_saves() {
        let painted = RgbaImage::from_fn(5, 3, |x, y| image::Rgba([x as u8 * 50, y as u8 * 80, 7, 255]));
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut copy = DynamicImage::from(painted.clone());
            copy.apply_orientation(orientation);
            let image = DynamicImage::from(painted.clone());
            let view = View::new(&image, orientation, [0; 3]);
            assert_eq!(view.dimensions(), copy.dimensions());
            assert!(copy.to_rgb8().enumerate_pixels().all(|(x, y, pixel)| view.get_pixel(x, y) == *pixel), "{exif}");
            assert_eq!(view.hash(), View::new(&copy.to_rgb8().into(), Orientation::NoTransforms, [9; 3]).hash());
        }
        // Every kind of pixel becomes the bytes that the crate's own conversion makes of it.
        let deep = ImageBuffer::<image::Rgb<u16>, _>::from_fn(64, 64, |x, y| {
            image::Rgb([(x * 1021) as u16, (y * 1023) as u16, 9])
        });
        let grey = ImageBuffer::<Luma<u16>, _>::from_fn(64, 64, |x, y| Luma([(x * 1021 + y) as u16]));
        let float = ImageBuffer::<Rgb<f32>, _>::from_fn(64, 64, |x, y| Rgb([x as f32 / 63.0, y as f32 / 50.0, 0.4999]));
        for image in [DynamicImage::from(deep), DynamicImage::from(grey), DynamicImage::from(float)] {
            let view = View::new(&image, Orientation::NoTransforms, [0; 3]);
            let copy = image.to_rgb8();
            assert!(copy.enumerate_pixels().all(|(x, y, pixel)| view.get_pixel(x, y) == *pixel), "{:?}", image.color());
        }
    }
}
