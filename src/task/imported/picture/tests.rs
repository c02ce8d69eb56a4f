use std::fs;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{GrayImage, ImageEncoder};

use super::*;
use crate::task::imported::jpeg::tests::{bomb, flat};

/// An image that is different everywhere.
fn painted(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 53, 106].map(|c| ((x * x + 3 * y * x + c) % 256) as u8)))
}

fn save(folder: &Path, name: &str, image: impl Into<DynamicImage>) {
    image.into().save(folder.join(name)).unwrap();
}

fn look(text: &str) -> Look {
    let mut look = serde_json::to_value(Look::default()).unwrap();
    let given: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
    look.as_object_mut().unwrap().extend(given);
    serde_json::from_value(look).unwrap()
}

fn of(path: &Path, size: u64, channels: u64, pixels: &mut [u8]) -> Result<Seen> {
    read(&fs::read(path).unwrap(), &Look { size, channels, ..Look::default() }, pixels)
}

/// The planes of a file's bytes.
fn planes(bytes: &[u8], text: &str) -> Vec<u8> {
    let look = look(text);
    let mut pixels = vec![0; (look.channels * look.size * look.size) as usize];
    read(bytes, &look, &mut pixels).unwrap();
    pixels
}

#[test]
fn resizing_is_pillows() {
    const COLOURS: [u8; 48] = [
        145, 130, 131, 125, 123, 132, 139, 116, 123, 125, 127, 130, 130, 123, 123, 127, 143, 128, 127, 124, 120, 131,
        136, 144, 122, 120, 128, 129, 122, 129, 134, 128, 125, 133, 127, 124, 129, 131, 125, 120, 135, 128, 127, 118,
        123, 136, 126, 123,
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
    encoder.set_exif_metadata(exif.clone()).unwrap();
    let left_is_black = GrayImage::from_fn(16, 16, |x, _| image::Luma([if x < 8 { 0 } else { 255 }]));
    encoder.write_image(left_is_black.as_raw(), 16, 16, image::ExtendedColorType::L8).unwrap();
    fs::write(folder.path().join("b.jpg"), file).unwrap();
    let mut pixels = [0; 4];
    of(&folder.path().join("b.jpg"), 2, 1, &mut pixels).unwrap();
    assert!(pixels[..2].iter().all(|&top| top < 60) && pixels[2..].iter().all(|&bottom| bottom > 195), "{pixels:?}");
    // Pillow puts the head of a JPEG's segment before the Exif of a WebP.
    let mut file = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut file);
    encoder.set_exif_metadata([&b"Exif\0\0"[..], &exif].concat()).unwrap();
    encoder.write_image(left_is_black.as_raw(), 16, 16, image::ExtendedColorType::L8).unwrap();
    assert_eq!(planes(&file, r#"{"size": 2, "channels": 1, "interpolation": "nearest"}"#), [0, 0, 255, 255]);
}

/// ImageOps.exif_transpose(Image.open(file)).getdata()                                            # Pillow 13.0.0
#[test]
fn xmp_turns_where_exif_says_nothing() {
    let left_is_black = GrayImage::from_fn(16, 16, |x, _| image::Luma([if x < 8 { 0 } else { 255 }]));
    let xmp = |told: u8| {
        let text = format!(r#"<x:xmpmeta><rdf:Description tiff:Orientation="{told}"/></x:xmpmeta>"#);
        [b"http://ns.adobe.com/xap/1.0/\0", text.as_bytes()].concat()
    };
    let exif =
        |told: u8| [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[told, 0, 0, 0, 0, 0, 0, 0]].concat();
    let read = |exif: Option<Vec<u8>>, xmp: Vec<u8>| {
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 100);
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif).unwrap();
        }
        encoder.write_image(left_is_black.as_raw(), 16, 16, image::ExtendedColorType::L8).unwrap();
        let length = (xmp.len() as u16 + 2).to_be_bytes();
        file.splice(2..2, [&[0xff, 0xe1], &length[..], &xmp].concat());
        let four = planes(&file, r#"{"size": 2, "channels": 1, "interpolation": "nearest"}"#);
        four.into_iter().map(|value| value > 127).collect::<Vec<bool>>()
    };
    let (as_it_is, top_is_black) = ([false, true, false, true], [false, false, true, true]);
    assert_eq!(read(None, xmp(6)), top_is_black);
    assert_eq!(read(None, xmp(2)), [true, false, true, false]);
    assert_eq!(read(Some(exif(1)), xmp(6)), as_it_is, "Exif says it");
    assert_eq!(read(Some(exif(6)), xmp(3)), top_is_black);
    assert_eq!(read(Some(b"broken".to_vec()), xmp(6)), top_is_black);
    assert_eq!(read(None, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta".to_vec()), as_it_is);
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

#[test]
fn a_jpeg_with_a_scan_for_each_colour_is_the_same_picture() {
    let blocks = [0, 1, 2].map(|component| (0..12).map(|block| (block * 17 + component * 40) % 160 - 80).collect());
    let [together, apart] = [false, true].map(|split| planes(&flat(32, 24, &blocks, split), r#"{"size": 24}"#));
    let furthest = together.iter().zip(&apart).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(furthest <= Some(2), "{furthest:?}");
    assert!(together.iter().max() > together.iter().min());
}

#[test]
fn a_camera_file_and_a_damaged_one_are_read_and_a_bomb_is_not() {
    let blocks = [0, 1, 2].map(|component| (0..12).map(|block| (block * 17 + component * 40) % 160 - 80).collect());
    let file = flat(32, 24, &blocks, false);
    let preview = [&file[..], &file[..file.len() - 5]].concat();
    assert_eq!(planes(&preview, "{}"), planes(&file, "{}"));
    let damaged = [&file[..file.len() - 12], &[0xff, 0xd9]].concat();
    let look = Look { size: 4, ..Look::default() };
    let seen = read(&damaged, &look, &mut [0; 48]).unwrap();
    assert!(seen.damage.unwrap().contains("from row"));
    let error = read(&bomb(), &look, &mut [0; 48]).unwrap_err().message;
    assert_eq!(error, "it says that it has 65535 x 65535 pixels, more than max_pixels = 178956970");
    let mut png = Vec::new();
    let large = DynamicImage::new_luma8(400, 100);
    large.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
    let few = Look { max_pixels: 39_999, ..look };
    assert!(read(&png, &few, &mut [0; 48]).unwrap_err().message.contains("400 x 100 pixels"));
}

#[test]
fn every_kind_of_file_that_is_named_is_read() {
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff] {
        let mut file = Vec::new();
        // Two colours, which a palette keeps as they are.
        let image = RgbImage::from_fn(16, 8, |x, _| image::Rgb(if x < 8 { [10, 200, 30] } else { [250, 0, 90] }));
        DynamicImage::from(image).write_to(&mut Cursor::new(&mut file), format).unwrap();
        let colours = planes(&file, r#"{"size": 2, "fit": "squash", "interpolation": "nearest"}"#);
        assert_eq!(colours, [10, 250, 10, 250, 200, 0, 200, 0, 30, 90, 30, 90], "{format:?}");
    }
}

#[test]
fn an_image_is_cropped_squashed_or_padded() {
    let mut file = Vec::new();
    let shades = [0, 100, 100, 200].map(|shade| [shade; 2]).concat();
    let image = GrayImage::from_fn(8, 4, |x, _| image::Luma([shades[x as usize]]));
    DynamicImage::from(image).write_to(&mut Cursor::new(&mut file), ImageFormat::Png).unwrap();
    let grey =
        |more: &str| planes(&file, &format!(r#"{{"size": 4, "channels": 1, "interpolation": "nearest"{more}}}"#));
    assert_eq!(grey("")[..4], [100; 4]);
    assert_eq!(grey(r#", "fit": "squash""#)[..4], [0, 100, 100, 200]);
    let padded = grey(r##", "fit": "pad", "background": "#000080""##);
    assert_eq!((&padded[..4], &padded[4..8], &padded[12..]), (&[15; 4][..], &[0, 100, 100, 200][..], &[15; 4][..]));
    assert_eq!(grey(r#", "fit": "pad""#)[0], 255);
}

#[test]
fn keys_that_make_no_sense_are_refused() {
    for (key, value) in [("size", 0), ("size", 1025), ("channels", 2), ("max_pixels", 0)] {
        assert!(look(&format!(r#"{{"{key}": {value}}}"#)).check().unwrap_err().message.starts_with(key), "{key}");
    }
    for background in ["red", "#12345", "#+12345", "#1234567"] {
        let text = format!(r#""{background}""#);
        assert!(serde_json::from_str::<look::Background>(&text).is_err(), "{background}");
    }
}

/// y, x = np.mgrid[0:24, 0:40]
/// a = np.stack([x*6, y*10, 255-x*3-y*5], 2).astype(np.uint8)
/// Image.fromarray(a).save(progressive, 'JPEG', quality=30, progressive=True)      # subsampled 4:2:0
/// printf '0;\n1;\n2;\n' > scans; jpegtran -scans scans -restart 2B progressive > apart
/// np.asarray(Image.open(file).crop((8, 0, 32, 24)).resize((4, 4), Image.BILINEAR)).transpose(2, 0, 1).ravel()
#[test]
fn progressive_files_and_those_of_several_scans_are_pillows() {
    const EXPECTED: [u8; 48] = [
        70, 102, 139, 172, 68, 99, 135, 169, 67, 98, 134, 168, 68, 100, 136, 169, 28, 30, 30, 28, 85, 86, 86, 85, 146,
        146, 146, 145, 197, 198, 198, 196, 208, 192, 173, 155, 181, 163, 144, 128, 150, 133, 116, 99, 125, 112, 96, 77,
    ];
    for hex in [PROGRESSIVE, APART] {
        let file: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        assert_eq!(jpeg::inspect(&file, 1000).unwrap().damage, None);
        let pixels = planes(&file, r#"{"size": 4}"#);
        let furthest = pixels.iter().zip(EXPECTED).map(|(a, b)| a.abs_diff(b)).max();
        assert!(furthest <= Some(8), "{furthest:?} {pixels:?}");
        let last = file.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
        assert!(jpeg::inspect(&[&file[..last], &[0xff, 0xd9]].concat(), 1000).unwrap().damage.is_some());
    }
}

#[rustfmt::skip]
const PROGRESSIVE: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb0043001b12141714111b1716171e1c1b2028422b28252528513a3d3042605565645f\
    555d5b6a7899816a7190735b5d85b586909ea3abadab6780bcc9baa6c799a8aba4ffdb0043011c1e1e2823284e2b2b4ea46e5d6ea4a4a4a4\
    a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4ffc20011080018002803\
    012200021101031101ffc4001800000301010000000000000000000000000002030104ffc400170101010101000000000000000000000000\
    03040005ffda000c03010002100310000001e4dab52726a30d122e136306e53680bb004fffc4001510010100000000000000000000000000\
    000011ffda0008010100010502888888888888888fffc400161101010100000000000000000000000000020001ffda0008010301013f012a\
    2ac51d8ed9b7ffc4001811010101010100000000000000000000000001021112ffda0008010201013f01bb5dbdad5aebffc4001410010000\
    0000000000000000000000000030ffda0008010100063f027fffc40014100100000000000000000000000000000030ffda0008010100013f\
    2170001fffda000c030100020003000000104eece07fefffc4001811010100030000000000000000000000000001101121ffda0008010301\
    013f10c2f1514534ffc4001811010100030000000000000000000000000100101121ffda0008010201013f10c7bdcf3cbddfffc400151001\
    0100000000000000000000000000000001ffda0008010100013f108c6318c6318c6318c63fffd9\
    ";

#[rustfmt::skip]
const APART: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb0043001b12141714111b1716171e1c1b2028422b28252528513a3d3042605565645f\
    555d5b6a7899816a7190735b5d85b586909ea3abadab6780bcc9baa6c799a8aba4ffdb0043011c1e1e2823284e2b2b4ea46e5d6ea4a4a4a4\
    a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4ffc00011080018002803\
    012200021101031101ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b510000201030302040305\
    0504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a2526272829\
    2a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a9293949596979899\
    9aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9\
    faffdd00040002ffda0008010100003f00c91153c455ffd0a022a788abffd1ac22a41157ffd284454f1157ffd351153c455fffd4788a9e22\
    afffd5b422a788abffd6d11157ffc4001f0100030101010101010101010000000000000102030405060708090a0bffc400b5110002010204\
    0403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718\
    191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a9293\
    9495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5\
    f6f7f8f9faffda0008010211003f00f4e75ce39d73ffd0875f514e6cffd1e09cd9cae6ee7fffda0008010311003f00c29d53be9d53ffd0f5\
    635743e529c99fffd1c29c99db193b1fffd9\
    ";

/// Of a folder of images, each beside what Pillow makes of it, in a file of its name and `.rgb`:
///
/// for path in [p for p in Path(folder).iterdir() if p.suffix != ".rgb"]:
///     image = ImageOps.exif_transpose(Image.open(path))
///     if image.mode.startswith("I;16"):
///         image = Image.fromarray((numpy.asarray(image).astype("u4") * 255 + 32895 >> 16).astype("u1"))
///     image = image.convert("RGBA")
///     image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
///     Path(f"{path}.rgb").write_bytes(struct.pack("<II", *image.size) + image.tobytes())
///
/// CROSSOVER_PICTURES=FOLDER cargo test -p crossover --lib -- --ignored --nocapture a_folder_of_images
#[test]
#[ignore = "a folder of images, which CROSSOVER_PICTURES names"]
fn a_folder_of_images_is_within_8_levels_of_pillow() {
    let folder = std::env::var("CROSSOVER_PICTURES").unwrap();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "rgb"));
    paths.sort();
    let mut counts = [0; 3];
    for expected in paths {
        let (path, expected) = (expected.with_extension(""), fs::read(expected).unwrap());
        let side = |at: usize| u32::from_le_bytes(expected[at..at + 4].try_into().unwrap());
        let (width, height, size) = (side(0), side(4), side(0).max(side(4)).into());
        let mut pixels = vec![0; (3 * size * size) as usize];
        let all = Look { size, fit: Fit::Pad, ..Look::default() };
        let told = match read(&fs::read(&path).unwrap(), &all, &mut pixels) {
            Err(error) => Err(error.message),
            Ok(Seen { damage: Some(damage), .. }) => Err(damage),
            Ok(seen) if (seen.width, seen.height) != (width, height) => Ok(format!("{seen:?}, not {width} x {height}")),
            Ok(_) => {
                let (left, top) = ((size as u32 - width) / 2, (size as u32 - height) / 2);
                let own = |x: u32, y: u32, c: u64| {
                    pixels[((c * size + u64::from(top + y)) * size) as usize + (left + x) as usize]
                };
                let theirs = |x: u32, y: u32, c: u64| expected[8 + 3 * (y * width + x) as usize + c as usize];
                let places = (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| (x, y, c))));
                let apart = places.map(|(x, y, c)| (own(x, y, c).abs_diff(theirs(x, y, c)), (x, y)));
                let far: Vec<_> = apart.filter(|(apart, _)| *apart > 8).collect();
                let most = far.iter().max().map(|(apart, at)| format!("{} values, {apart} at {at:?}", far.len()));
                Ok(most.map_or(String::new(), |most| format!("{most} of {width} x {height}")))
            }
        };
        let which = match &told {
            Ok(told) if told.is_empty() => 0,
            Ok(_) => 1,
            Err(_) => 2,
        };
        counts[which] += 1;
        if which > 0 {
            println!("{} {}: {told:?}", ["", "apart", "refused"][which], path.display());
        }
    }
    let [within, apart, refused] = counts;
    println!("{within} within 8 levels, {apart} not, {refused} refused");
    assert!(within > 0 && apart == 0);
}
