//! The bytes of an image file, JPEG or PNG, as pixels of a set.
//!
//! Of each image the centre square is taken, turned as its Exif says, laid on white where it is transparent, and resized
//! once to `size` pixels a side, antialiased (a triangle as wide as the pixels it covers, Pillow's BILINEAR).

use std::io::{self, Cursor, ErrorKind};

use image::imageops::{FilterType, resize};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

/// What becomes of an image.
#[derive(Clone, Debug)]
pub struct Look {
    /// Pixels of each side.
    pub size: u32,
    /// 3, or 1 for grey.
    pub channels: u64,
}

/// Fills in `[channels, size, size]`.
pub fn read(bytes: &[u8], look: &Look, pixels: &mut [u8]) -> image::ImageResult<()> {
    let &Look { size, channels } = look;
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format() == Some(ImageFormat::Jpeg) && !has_end(bytes) {
        // The decoder would fill up what is missing with grey.
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "it is cut off: a JPEG without its end").into());
    }
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let side = image.width().min(image.height());
    let square = image.crop_imm((image.width() - side) / 2, (image.height() - side) / 2, side, side);
    let colours = on_white(&square);
    if channels == 1 {
        let grey = resize(&grey(&colours), size, size, FilterType::Triangle);
        pixels.copy_from_slice(grey.as_raw());
        return Ok(());
    }
    let colours = resize(&colours, size, size, FilterType::Triangle);
    let plane = (size * size) as usize;
    for (place, pixel) in colours.pixels().enumerate() {
        for (channel, value) in pixel.0.into_iter().enumerate() {
            pixels[channel * plane + place] = value;
        }
    }
    Ok(())
}

/// Whether the end marker of a JPEG follows its last scan. (A thumbnail within it has a scan and an end of its own; within
/// a scan no byte of a marker follows FF.)
fn has_end(jpeg: &[u8]) -> bool {
    let scan = jpeg.windows(2).rposition(|marker| marker == [0xff, 0xda]);
    scan.is_some_and(|at| jpeg[at..].windows(2).any(|marker| marker == [0xff, 0xd9]))
}

fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let transparent = image.to_rgba8();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = transparent.get_pixel(x, y).0;
        let laid =
            |value: u8| ((u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
        image::Rgb([laid(red), laid(green), laid(blue)])
    })
}

/// Brightness as in ITU-R BT.601, rounded as Pillow does.
fn grey(image: &RgbImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue] = image.get_pixel(x, y).0.map(u32::from);
        image::Luma([((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8])
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use image::ImageEncoder;
    use image::codecs::jpeg::JpegEncoder;

    /// An image that is different everywhere.
    fn painted(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 53, 106].map(|c| ((x * x + 3 * y * x + c) % 256) as u8)))
    }

    fn save(folder: &Path, name: &str, image: impl Into<DynamicImage>) {
        image.into().save(folder.join(name)).unwrap();
    }

    fn of(path: &Path, size: u32, channels: u64, pixels: &mut [u8]) -> image::ImageResult<()> {
        read(&fs::read(path).unwrap(), &Look { size, channels }, pixels)
    }

    #[test]
    fn resizing_is_pillows() {
        const COLOURS: [u8; 48] = [
            145, 130, 131, 125, 123, 132, 139, 116, 123, 125, 127, 130, 130, 123, 123, 127, 143, 128, 127, 124, 120,
            131, 136, 144, 122, 120, 128, 129, 122, 129, 134, 128, 125, 133, 127, 124, 129, 131, 125, 120, 135, 128,
            127, 118, 123, 136, 126, 123,
        ];
        const GREY: [u8; 16] = [141, 129, 128, 124, 122, 131, 135, 133, 124, 122, 127, 128, 125, 128, 130, 127];
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "a.png", painted(37, 23));
        let path = folder.path().join("a.png");
        let (mut colours, mut shades) = ([0; 48], [0; 16]);
        of(&path, 4, 3, &mut colours).unwrap();
        of(&path, 4, 1, &mut shades).unwrap();
        let furthest = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max();
        // Pillow rounds between the two passes.
        assert!(furthest(&colours, &COLOURS) <= Some(1), "{colours:?}");
        assert!(furthest(&shades, &GREY) <= Some(1), "{shades:?}");
    }

    #[test]
    fn transparency_is_white_and_exif_turns() {
        let folder = tempfile::tempdir().unwrap();
        let mut half = image::RgbaImage::from_pixel(2, 2, image::Rgba([0, 100, 200, 255]));
        half.put_pixel(0, 0, image::Rgba([0, 0, 0, 0]));
        half.put_pixel(1, 0, image::Rgba([0, 0, 0, 51]));
        save(folder.path(), "a.png", half);
        let mut pixels = [0; 12];
        of(&folder.path().join("a.png"), 2, 3, &mut pixels).unwrap();
        assert_eq!(pixels, [255, 204, 0, 0, 255, 204, 100, 100, 255, 204, 200, 200]);
        // Exif: little-endian TIFF of one entry, orientation (0x112) 6: the top of the picture is at the right.
        let exif = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), b"\x06\0\0\0\0\0\0\0"].concat();
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 100);
        encoder.set_exif_metadata(exif).unwrap();
        let left_is_black = GrayImage::from_fn(16, 16, |x, _| image::Luma([if x < 8 { 0 } else { 255 }]));
        encoder.write_image(left_is_black.as_raw(), 16, 16, image::ExtendedColorType::L8).unwrap();
        fs::write(folder.path().join("b.jpg"), file).unwrap();
        let mut pixels = [0; 4];
        of(&folder.path().join("b.jpg"), 2, 1, &mut pixels).unwrap();
        assert!(
            pixels[..2].iter().all(|&top| top < 60) && pixels[2..].iter().all(|&bottom| bottom > 195),
            "{pixels:?}"
        );
    }

    #[test]
    fn a_jpeg_that_is_cut_off_is_refused_wherever_it_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "a.jpg", painted(64, 64));
        let path = folder.path().join("a.jpg");
        let whole = fs::read(&path).unwrap();
        for kept in [whole.len() / 3, whole.len() * 9 / 10, whole.len() - 2] {
            fs::write(&path, &whole[..kept]).unwrap();
            let error = of(&path, 8, 3, &mut [0; 192]).unwrap_err().to_string();
            assert!(error.contains("it is cut off"), "{error}");
        }
        fs::write(&path, [whole, b"a comment behind it".to_vec()].concat()).unwrap();
        of(&path, 8, 3, &mut [0; 192]).unwrap();
    }
}
