//! `images:DIR`: a user's own photographs, JPEG or PNG, a folder for each class. The classes are the folders in the order
//! of their names. Where DIR has a folder `train`, the classes are in it, and `val` and `test` beside it are the other
//! splits; else those are held out.
//!
//! Of each image the centre square is taken, turned as its Exif says, laid on white where it is transparent, and resized
//! once to `size` pixels a side, antialiased (a triangle as wide as the pixels it covers, Pillow's BILINEAR).

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, resize};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, RgbImage};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::task::config::Entry;
use crate::task::imported::{About, Import, MOST_CLASSES, Opened};

pub const ENTRY: Entry = Entry::imported::<ImageFolder>(
    "images",
    Some(("folder", "DIR")),
    "your own JPEG and PNG images, a folder for each class",
    &[
        ("folder", "a folder for each class, or train, val and test with a folder for each class"),
        ("size", "pixels of each side that the images are resized to"),
        ("channels", "3, or 1 for grey"),
    ],
);

const LARGEST: u64 = 1024;
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

#[derive(Clone, Serialize, Deserialize)]
pub struct ImageFolder {
    folder: Option<String>,
    size: u64,
    channels: u64,
}

impl Default for ImageFolder {
    fn default() -> Self {
        Self { folder: None, size: 64, channels: 3 }
    }
}

impl Import for ImageFolder {
    const PATHS: &'static [&'static str] = &["folder"];

    fn check(&self) -> Result<()> {
        if self.folder.is_none() {
            return Err(Error::bad_input("it needs a folder").hint("name it images:DIR, or give the key folder"));
        }
        if !(1..=LARGEST).contains(&self.size) {
            return Err(Error::bad_input(format!("size must be 1 to {LARGEST}, and is {}", self.size)));
        }
        match self.channels {
            1 | 3 => Ok(()),
            other => Err(Error::bad_input(format!("channels must be 1 or 3, and is {other}"))),
        }
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(Listing::of(self.folder())?.images.into_iter().map(|image| image.path).collect())
    }

    fn open(&self) -> Result<Opened> {
        let Listing { classes, images, others } = Listing::of(self.folder())?;
        let parts = [0, 1, 2].map(|part| images.iter().filter(|image| image.part == part).count() as u64);
        let (size, channels) = (self.size, self.channels);
        let left_out = others.first().map_or(String::new(), |other| {
            format!(
                " ({} files that end neither in .jpg nor .png left out, {} among them)",
                others.len(),
                other.display()
            )
        });
        Ok(Opened {
            what: format!("{} images of {}{left_out}", images.len(), self.folder().display()),
            about: About { channels, height: size, width: size, classes, parts },
            labels: images.iter().map(|image| image.class).collect(),
            read: Box::new(move |index, pixels| {
                let path = &images[index].path;
                read(path, size as u32, channels, pixels).context(|| path.display())
            }),
        })
    }
}

impl ImageFolder {
    fn folder(&self) -> &Path {
        Path::new(self.folder.as_deref().unwrap_or_default())
    }
}

struct Listed {
    path: PathBuf,
    class: u16,
    /// 0 training, 1 validation, 2 test.
    part: usize,
}

/// What is in a folder, by names alone.
#[derive(Default)]
struct Listing {
    classes: Vec<String>,
    /// By part, class and path.
    images: Vec<Listed>,
    /// Files within the classes that are no images by their names.
    others: Vec<PathBuf>,
}

impl Listing {
    fn of(root: &Path) -> Result<Self> {
        let folders = subfolders(root)?;
        let mut parts: [Vec<&str>; 3] = Default::default();
        for (folder, _) in &folders {
            match folder.as_str() {
                "train" => parts[0].push(folder),
                "val" | "valid" | "validation" => parts[1].push(folder),
                "test" => parts[2].push(folder),
                _ => (),
            }
        }
        let mut listing = Self::default();
        if parts[0].is_empty() {
            listing.add(root, 0)?;
            return Ok(listing);
        }
        if parts.iter().any(|part| part.len() > 1) || parts.iter().flatten().count() < folders.len() {
            let names: Vec<&str> = folders.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::bad_input(format!(
                "{} has a folder train, so beside it only val and test are read, and it has {}",
                root.display(),
                names.join(", ")
            ))
            .hint("move the others away; or, if train is a class, call that class something else"));
        }
        for (part, folders) in parts.iter().enumerate() {
            folders.iter().try_for_each(|folder| listing.add(&root.join(folder), part))?;
        }
        Ok(listing)
    }

    /// The classes of one part; the training part comes first and says which there are.
    fn add(&mut self, folder: &Path, part: usize) -> Result<()> {
        let classes = subfolders(folder)?;
        if part == 0 {
            if !(2..=MOST_CLASSES).contains(&classes.len()) {
                let (count, folder) = (classes.len(), folder.display());
                return Err(Error::bad_input(format!(
                    "{folder} has {count} folders, and needs one for each of 2 to {MOST_CLASSES} classes"
                )));
            }
            self.classes = classes.iter().map(|(name, _)| name.clone()).collect();
        }
        for (name, path) in classes {
            let Ok(class) = self.classes.binary_search(&name) else {
                return Err(Error::bad_input(format!("{} is a class that train does not have", path.display()))
                    .hint(format!("its classes are {}", self.classes.join(", "))));
            };
            let before = self.images.len();
            let mut found = Vec::new();
            walk(&path, &mut found)?;
            found.sort();
            for path in found {
                let extension = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
                match extension.is_some_and(|end| EXTENSIONS.contains(&end.as_str())) {
                    true => self.images.push(Listed { path, class: class as u16, part }),
                    false => self.others.push(path),
                }
            }
            if part == 0 && self.images.len() == before {
                return Err(Error::bad_input(format!("{} has no .jpg, .jpeg or .png file", path.display()))
                    .hint("remove the folder, or put the images of its class there"));
            }
        }
        Ok(())
    }
}

/// Entries that are not hidden: name and path, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).context(failed)? {
        let entry = entry.context(failed)?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| Error::bad_input(format!("{}: {name:?} is not UTF-8", folder.display())))?;
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

fn subfolders(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    Ok(entries(folder)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
}

/// All files below a folder.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for (_, path) in entries(folder)? {
        match path.is_dir() {
            true => walk(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

/// Fills in `[channels, size, size]` from a file.
fn read(path: &Path, size: u32, channels: u64, pixels: &mut [u8]) -> image::ImageResult<()> {
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
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
