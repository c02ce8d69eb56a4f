//! Small images side by side with their labels: what the examples of a task look like.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::canvas::{self, Align, Drawing, Raster, SCALE};
use super::font::Type;
use super::legend::TEXT;
use crate::error::{Error, Result};

const LABEL: Type = Type::regular(5.2);
const GAP: f64 = 5.0;
/// Tiles are enlarged by a whole factor to about this many pixels of the finished PNG.
const SIDE: usize = 168;
const STRIP: usize = 48;

/// An image of bytes, row by row, one (grey) or three (RGB) a pixel.
#[derive(Clone, Debug)]
pub struct Tile {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
    pub label: String,
}

/// Labels are drawn; where the tiles go is known.
pub struct Sheet<'a> {
    drawing: Drawing,
    /// Each with its top left corner, in pixels of the PNG.
    tiles: Vec<(&'a Tile, (usize, usize))>,
}

/// Tiles in rows of `columns`, each with its label under it.
///
/// Errors: no tile, a tile whose bytes are not width x height x channels, channels other than 1 and 3.
pub fn sheet(tiles: &[Tile], columns: usize) -> Result<Sheet<'_>> {
    for tile in tiles {
        tile.check()?;
    }
    if tiles.is_empty() || columns == 0 {
        return Err(Error::bad_input("a contact sheet needs at least one image and one column"));
    }
    // Pixels of the sheet are those of an SVG: SCALE times as many in the PNG.
    let largest =
        |side: fn(&(usize, usize)) -> usize| tiles.iter().map(|tile| side(&tile.enlarged())).max().unwrap_or(0);
    let (width, height) = (largest(|size| size.0) as f64 / SCALE, largest(|size| size.1) as f64 / SCALE);
    let labels: Vec<_> = tiles.iter().map(|tile| LABEL.wrap(&tile.label, width)).collect();
    let lines = labels.iter().map(Vec::len).max().unwrap_or(0) as f64;
    let cell = (width + GAP, height + 1.3 * LABEL.size * lines + GAP);
    let corner = |index: usize| (GAP + (index % columns) as f64 * cell.0, GAP + (index / columns) as f64 * cell.1);
    let size = (GAP + columns.min(tiles.len()) as f64 * cell.0, GAP + tiles.len().div_ceil(columns) as f64 * cell.1);
    let drawing = canvas::draw(size, "examples", "", |canvas| {
        for (index, lines) in labels.iter().enumerate() {
            let (left, top) = corner(index);
            for (row, line) in lines.iter().enumerate() {
                let baseline = top + height + 1.3 * LABEL.size * (row as f64 + 0.85);
                canvas.text(line, (left + 0.5 * width, baseline), Align::Centre, LABEL, TEXT)?;
            }
        }
        Ok(())
    })?;
    let placed = tiles.iter().enumerate().map(|(index, tile)| {
        let (left, top) = corner(index);
        let centred = left + 0.5 * (width - tile.enlarged().0 as f64 / SCALE);
        (tile, ((centred * SCALE).round() as usize, (top * SCALE).round() as usize))
    });
    let tiles = placed.collect();
    Ok(Sheet { drawing, tiles })
}

impl Sheet<'_> {
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut sheet = self.drawing.raster()?;
        self.tiles.iter().for_each(|(tile, (left, top))| tile.paint(&mut sheet, *left, *top));
        sheet.png()
    }

    /// Each tile is an embedded PNG of its own pixels, which the viewer enlarges.
    pub fn svg(&self) -> Result<String> {
        let mut images = String::new();
        for (tile, (left, top)) in &self.tiles {
            let [left, top, width, height] =
                [*left, *top, tile.enlarged().0, tile.enlarged().1].map(|pixels| pixels as f64 / SCALE);
            let png = STANDARD.encode(tile.raster().png()?);
            images += &format!(
                "<image x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" \
                 preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{png}\"/>"
            );
        }
        Ok(self.drawing.svg().replacen("</svg>", &(images + "</svg>"), 1))
    }
}

impl Tile {
    fn check(&self) -> Result<()> {
        let expected = self.width * self.height * self.channels;
        if !matches!(self.channels, 1 | 3) || expected == 0 || self.pixels.len() != expected {
            let Tile { width, height, channels, .. } = self;
            return Err(Error::bad_input(format!(
                "image '{}': {} bytes where {width} x {height} x {channels} were expected, with 1 or 3 channels",
                self.label,
                self.pixels.len()
            )));
        }
        Ok(())
    }

    /// Factors of enlargement, across and down; a signal of few rows is drawn as a strip that can be seen.
    fn factors(&self) -> (usize, usize) {
        let factor = (SIDE / self.width.max(self.height)).max(1);
        (factor, factor.max(STRIP / self.height))
    }

    fn enlarged(&self) -> (usize, usize) {
        let (across, down) = self.factors();
        (self.width * across, self.height * down)
    }

    fn paint(&self, sheet: &mut Raster, left: usize, top: usize) {
        let (across, down) = self.factors();
        let (width, height) = self.enlarged();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let at = 3 * ((top + y) * sheet.width + left + x);
            sheet.rgb[at..at + 3].copy_from_slice(&self.rgb(y / down * self.width + x / across));
        }
    }

    fn rgb(&self, pixel: usize) -> [u8; 3] {
        match self.channels {
            1 => [self.pixels[pixel]; 3],
            _ => [0, 1, 2].map(|channel| self.pixels[3 * pixel + channel]),
        }
    }

    fn raster(&self) -> Raster {
        let rgb = (0..self.width * self.height).flat_map(|pixel| self.rgb(pixel)).collect();
        Raster { width: self.width, height: self.height, rgb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(width: usize, height: usize, channels: usize, label: &str) -> Tile {
        let pixels = (0..width * height * channels).map(|at| (at * 7 % 256) as u8).collect();
        Tile { width, height, channels, pixels, label: label.into() }
    }

    #[test]
    fn tiles_keep_their_pixels_enlarged_by_a_whole_factor() {
        let tiles: Vec<Tile> = (0..7).map(|k| tile(28, 28, 1, &format!("ankle boot {k} & <co>"))).collect();
        let sheet = sheet(&tiles, 4).unwrap();
        let (png, svg) = (sheet.png().unwrap(), sheet.svg().unwrap());
        assert_eq!((svg.matches("<image ").count(), svg.matches("</svg>").count()), (7, 1));
        if let Some(folder) = std::env::var_os("CROSSOVER_FIGURES") {
            std::fs::write(std::path::Path::new(&folder).join("sheet.png"), &png).unwrap();
        }
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut rgb).unwrap();
        let width = reader.info().width as usize;
        // The first tile stands a gap from the corner; 28 pixels at 6 to one.
        let corner = (GAP * SCALE).round() as usize;
        for (x, y) in [(0, 0), (27, 0), (0, 27), (13, 21)] {
            for (dx, dy) in [(0, 0), (5, 5)] {
                let at = 3 * ((corner + 6 * y + dy) * width + corner + 6 * x + dx);
                assert_eq!(rgb[at..at + 3], [tiles[0].pixels[28 * y + x]; 3], "{x} {y}");
            }
        }
    }

    #[test]
    fn names_of_classes_are_drawn_in_their_script() {
        let drawn = |label: &str| sheet(&[tile(8, 8, 1, label)], 1).unwrap().png().unwrap();
        let names = ["猫", "犬", "とり", "고양이", "кошка", "□", "□□", "□□□"];
        let distinct: std::collections::BTreeSet<_> = names.iter().map(|name| drawn(name)).collect();
        assert_eq!(distinct.len(), names.len(), "none is a box");
    }

    #[test]
    fn shapes_of_every_kind_are_drawn_and_wrong_ones_refused() {
        for (width, height, channels) in [(40, 1, 1), (32, 32, 3), (1, 1, 1), (224, 100, 3), (2000, 3, 1)] {
            let tiles = [tile(width, height, channels, ""), tile(8, 8, 1, "x")];
            sheet(&tiles, 5).unwrap().png().unwrap();
        }
        let mut short = tile(4, 4, 3, "short");
        short.pixels.pop();
        let error = sheet(&[short], 1).err().unwrap();
        assert_eq!(error.message, "image 'short': 47 bytes where 4 x 4 x 3 were expected, with 1 or 3 channels");
        assert!(sheet(&[], 4).is_err() && sheet(&[tile(1, 1, 1, "")], 0).is_err());
    }
}
