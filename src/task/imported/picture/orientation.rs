//! Which way up an image is: its Exif says it, or TIFF's own tag, or where neither does its XMP, as in Pillow's
//! `exif_transpose`. What is broken says nothing.

use image::ImageDecoder;
use image::metadata::Orientation;

pub fn of(decoder: &mut impl ImageDecoder) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten();
    // Some put the head of a JPEG's segment before it, in other formats too.
    let bare = exif.as_deref().map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    if let Some(told) = bare.and_then(Orientation::from_exif_chunk) {
        return told;
    }
    // TIFF's own tag: where it says 'as it is' it cannot be told from none.
    match decoder.orientation() {
        Ok(told) if told != Orientation::NoTransforms => told,
        _ => decoder.xmp_metadata().ok().flatten().and_then(|xmp| in_xmp(&xmp)).unwrap_or(Orientation::NoTransforms),
    }
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6</tiff:Orientation>`: the first digit behind the name's first use.
fn in_xmp(xmp: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut behind = xmp.windows(NAME.len()).enumerate().filter(|(_, name)| *name == NAME).map(|(at, _)| {
        let rest = &xmp[at + NAME.len()..];
        let value = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b"='")).or_else(|| rest.strip_prefix(b">"));
        value?.first().filter(|digit| digit.is_ascii_digit())
    });
    Orientation::from_exif(behind.find_map(|digit| digit)? - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_or_an_element_of_xmp_says_it() {
        for (xmp, told) in [
            (r#"<rdf:Description tiff:Make="a" tiff:Orientation="6"/>"#, Some(Orientation::Rotate90)),
            ("<tiff:Orientation>3</tiff:Orientation>", Some(Orientation::Rotate180)),
            ("tiff:Orientation='8'", Some(Orientation::Rotate270)),
            // The schema's own list of its fields, then the value.
            ("<p>tiff:Orientation;tiff:XResolution</p> tiff:Orientation=\"2\"", Some(Orientation::FlipHorizontal)),
            ("tiff:Orientation=\"0\"", None),
            ("tiff:Orientation=\"", None),
            ("", None),
        ] {
            assert_eq!(in_xmp(xmp.as_bytes()), told, "{xmp}");
        }
    }
}
