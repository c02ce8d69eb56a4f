//! What becomes of an image: the keys that say it.

use image::imageops::FilterType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where Pillow, too, takes a file for a bomb.
const MOST_PIXELS: u64 = 178_956_970;
const LARGEST: u64 = 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Look {
    pub size: u64,
    pub channels: u64,
    pub fit: Fit,
    pub interpolation: Interpolation,
    pub background: Background,
    pub max_pixels: u64,
}

/// What the keys mean.
pub const KEYS: [(&str, &str); 6] = [
    ("size", "pixels of each side that the images are resized to"),
    ("channels", "3, or 1 for grey"),
    ("fit", "crop the middle square, squash all into a square, or pad it to one"),
    ("interpolation", "bilinear, bicubic, lanczos (all antialiased) or nearest"),
    ("background", "under transparency and around pad: white, black, grey or #rrggbb"),
    ("max_pixels", "an image that has more is refused before it is decoded"),
];

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    Crop,
    Squash,
    Pad,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    Bilinear,
    Bicubic,
    Lanczos,
    Nearest,
}

/// A colour, as it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Background(String, [u8; 3]);

impl Background {
    pub fn colour(&self) -> [u8; 3] {
        self.1
    }
}

impl TryFrom<String> for Background {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let digits = |text: &str| {
            let [_, red, green, blue] = u32::from_str_radix(text, 16).ok()?.to_be_bytes();
            (text.len() == 6 && !text.starts_with('+')).then_some([red, green, blue])
        };
        let colour = match written.as_str() {
            "white" => Some([255; 3]),
            "black" => Some([0; 3]),
            "grey" => Some([128; 3]),
            other => other.strip_prefix('#').and_then(digits),
        };
        match colour {
            Some(colour) => Ok(Self(written, colour)),
            None => Err(format!("must be white, black, grey or a colour such as #7f7f7f, and is '{written}'")),
        }
    }
}

impl From<Background> for String {
    fn from(background: Background) -> String {
        background.0
    }
}

impl Default for Look {
    fn default() -> Self {
        let background = Background("white".into(), [255; 3]);
        let (fit, interpolation) = (Fit::Crop, Interpolation::Bilinear);
        Self { size: 64, channels: 3, fit, interpolation, background, max_pixels: MOST_PIXELS }
    }
}

impl Look {
    pub fn check(&self) -> Result<()> {
        if !(1..=LARGEST).contains(&self.size) {
            return Err(Error::bad_input(format!("size must be 1 to {LARGEST}, and is {}", self.size)));
        }
        if self.max_pixels == 0 {
            return Err(Error::bad_input("max_pixels must be at least 1, and is 0"));
        }
        match self.channels {
            1 | 3 => Ok(()),
            other => Err(Error::bad_input(format!("channels must be 1 or 3, and is {other}"))),
        }
    }

    pub fn filter(&self) -> FilterType {
        match self.interpolation {
            Interpolation::Bilinear => FilterType::Triangle,
            Interpolation::Bicubic => FilterType::CatmullRom,
            Interpolation::Lanczos => FilterType::Lanczos3,
            Interpolation::Nearest => FilterType::Nearest,
        }
    }
}
