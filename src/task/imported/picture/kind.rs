//! Which kind of file something is: by its name, before it is opened, and by its first bytes.

use image::ImageFormat;

use crate::error::{Error, Result};

/// Ends of names of what is read.
pub const READ: [&str; 11] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff", "mpo"];

/// Images that are not read, by the end of their name.
const UNREAD: [(&str, &str); 22] = [
    ("heic", "HEIC"),
    ("heif", "HEIF"),
    ("avif", "AVIF"),
    ("jxl", "JPEG XL"),
    ("jp2", "JPEG 2000"),
    ("j2k", "JPEG 2000"),
    ("svg", "SVG"),
    ("psd", "Photoshop"),
    ("pdf", "PDF"),
    ("dcm", "DICOM"),
    ("nii", "NIfTI"),
    ("npy", "NumPy"),
    ("exr", "OpenEXR"),
    ("tga", "Targa"),
    ("ico", "an icon"),
    ("ppm", "PNM"),
    ("pgm", "PNM"),
    ("cr2", "a camera's raw data"),
    ("nef", "a camera's raw data"),
    ("arw", "a camera's raw data"),
    ("dng", "a camera's raw data"),
    ("mp4", "a film"),
];

/// Why a file of such a name is not read as an image; none where it is.
pub fn reason(extension: &str) -> Option<String> {
    if READ.contains(&extension) {
        return None;
    }
    let known = UNREAD.iter().find(|(end, _)| *end == extension);
    Some(match known {
        Some((_, kind)) => format!("{kind} is not read: convert it to PNG or JPEG"),
        None => "no image by its name".into(),
    })
}

/// By the first bytes; an error names what it is instead.
pub fn format(bytes: &[u8]) -> Result<ImageFormat> {
    use ImageFormat::{Avif, Bmp, Gif, Jpeg, OpenExr, Png, Pnm, Tiff, WebP};
    let what = match image::guess_format(bytes) {
        Ok(format @ (Jpeg | Png | WebP | Bmp | Gif | Tiff)) => return Ok(format),
        Ok(Avif) => "AVIF",
        Ok(OpenExr) => "OpenEXR",
        Ok(Pnm) => "PNM",
        Ok(_) => "an image of a kind",
        Err(_) if bytes.is_empty() => return Err(Error::bad_input("it is empty")),
        Err(_) => other(bytes).ok_or_else(|| Error::bad_input("it is no image that is known by its first bytes"))?,
    };
    Err(Error::bad_input(format!("it is {what}, which is not read: convert it to PNG or JPEG")))
}

fn other(bytes: &[u8]) -> Option<&'static str> {
    let starts = |text: &[u8]| bytes.starts_with(text);
    let brand = bytes.get(4..12).filter(|brand| brand.starts_with(b"ftyp")).map(|brand| &brand[4..]);
    match brand {
        Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" | b"heim" | b"heis") => Some("HEIC"),
        Some(b"avis") => Some("AVIF"),
        Some(_) => Some("a film"),
        None if starts(&[0xff, 0x0a]) || starts(b"\0\0\0\x0cJXL ") => Some("JPEG XL"),
        None if starts(b"\0\0\0\x0cjP  ") || starts(&[0xff, 0x4f, 0xff, 0x51]) => Some("JPEG 2000"),
        None if starts(b"8BPS") => Some("Photoshop"),
        None if starts(b"%PDF") => Some("PDF"),
        None if starts(b"PK\x03\x04") => Some("a zip archive"),
        None if starts(&[0x1f, 0x8b]) => Some("gzip"),
        None if starts(b"\x93NUMPY") => Some("NumPy"),
        None if starts(b"version https://git-lfs") => Some("a pointer of Git LFS, not the file itself"),
        None => {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_start().to_lowercase();
            match () {
                () if text.starts_with("<!doctype html") || text.starts_with("<html") => Some("a web page"),
                () if text.contains("<svg") => Some("SVG"),
                () => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_named() {
        let refused = |bytes: &[u8]| format(bytes).unwrap_err().message;
        assert_eq!(refused(b"\0\0\0\x18ftypheic"), "it is HEIC, which is not read: convert it to PNG or JPEG");
        assert!(refused(b" <!DOCTYPE html><p>404").contains("a web page"));
        assert!(refused(b"version https://git-lfs.github.com/spec/v1").contains("Git LFS"));
        assert_eq!(refused(b""), "it is empty");
        assert!(refused(b"no image").contains("first bytes"));
        assert!(reason("heic").unwrap().starts_with("HEIC is not read") && reason("jfif").is_none());
    }
}
