//! The sheet that a figure is drawn on: plotters writes it as SVG, usvg turns its text into outlines of the bundled
//! fonts, resvg paints the same for PNG. So a figure looks alike on every machine, with fonts or without.

use plotters::coord::Shift;
use plotters::element::Drawable;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use resvg::{tiny_skia, usvg};

use super::font::{self, FAMILY, Type, UNITS, printable};
use crate::error::{Context, Error, Result};

const PNG_DPI: f64 = 300.0;
/// Pixels of a PNG per pixel of an SVG, which CSS puts at 1/96 inch.
pub const SCALE: f64 = PNG_DPI / 96.0;

pub type Xy = (f64, f64);

/// Colour and opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ink(pub u32, pub f64);

impl Ink {
    pub fn at(self, opacity: f64) -> Ink {
        Ink(self.0, opacity)
    }

    fn rgba(self) -> RGBAColor {
        let [_, r, g, b] = self.0.to_be_bytes();
        RGBAColor(r, g, b, self.1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Align {
    Left,
    Centre,
    Right,
}

/// All coordinates are pixels from the top left corner.
pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl<'a> Canvas<'a> {
    pub fn line(&self, points: &[Xy], width: f64, ink: Ink) -> Result<()> {
        if points.len() < 2 {
            return Ok(());
        }
        let style = ink.rgba().stroke_width(units(width).max(1) as u32);
        self.draw(&PathElement::new(points.iter().map(|&point| whole(point)).collect::<Vec<_>>(), style))
    }

    pub fn fill(&self, outline: &[Xy], ink: Ink) -> Result<()> {
        self.draw(&Polygon::new(outline.iter().map(|&point| whole(point)).collect::<Vec<_>>(), ink.rgba()))
    }

    /// Left end, centre or right end of the baseline stands at `at`.
    pub fn text(&self, text: &str, at: Xy, align: Align, font: Type, ink: Ink) -> Result<()> {
        self.anchored(text, (at.0, at.1 - 0.25 * font.size), align, font, ink, FontTransform::None)
    }

    /// Reads upwards; the baseline's middle stands at `at`.
    pub fn text_up(&self, text: &str, at: Xy, font: Type, ink: Ink) -> Result<()> {
        self.anchored(text, (at.0 - 0.25 * font.size, at.1), Align::Centre, font, ink, FontTransform::Rotate270)
    }

    /// `at` lies 0.25 em above the baseline: that is where plotters' vertical centre is.
    fn anchored(&self, text: &str, at: Xy, align: Align, font: Type, ink: Ink, turn: FontTransform) -> Result<()> {
        let horizontal = match align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let colour = ink.rgba();
        let style = TextStyle::from(font.font().transform(turn)).color(&colour).pos(Pos::new(horizontal, VPos::Center));
        self.draw(&Text::new(font::marked(text), whole(at), style))
    }

    fn draw<'e, E>(&self, element: &'e E) -> Result<()>
    where
        &'e E: plotters::element::PointCollection<'e, (i32, i32)>,
        E: Drawable<SVGBackend<'a>>,
    {
        self.area.draw(element).context(|| "cannot draw the figure")
    }
}

/// A finished sheet.
pub struct Drawing {
    tree: usvg::Tree,
    /// For readers who cannot see it.
    title: String,
    description: String,
}

/// Paints on a white sheet of so many pixels.
pub fn draw(size: Xy, title: &str, description: &str, paint: impl FnOnce(&Canvas) -> Result<()>) -> Result<Drawing> {
    let (width, height) = (units(size.0) as u32, units(size.1) as u32);
    let mut svg = String::new();
    {
        let canvas = Canvas { area: SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area() };
        canvas.area.fill(&WHITE).context(|| "cannot draw the figure")?;
        paint(&canvas)?;
        canvas.area.present().context(|| "cannot draw the figure")?;
    }
    // The sheet keeps its units inside and gets its size in pixels outside.
    let inside = format!(r#"width="{width}" height="{height}""#);
    let outside = format!(
        r#"width="{}" height="{}" stroke-linejoin="round" stroke-linecap="butt""#,
        f64::from(width) / UNITS,
        f64::from(height) / UNITS
    );
    let svg = font::spans(&svg.replacen(&inside, &outside, 1));
    let options =
        usvg::Options { fontdb: font::database(&svg), font_family: FAMILY.to_string(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(&svg, &options).context(|| "cannot draw the figure")?;
    Ok(Drawing { tree, title: title.to_string(), description: description.to_string() })
}

/// Several sheets as one, in rows of `columns`.
pub fn panels(drawings: &[Drawing], columns: usize) -> Result<Drawing> {
    let size = |drawing: &Drawing| (drawing.tree.size().width(), drawing.tree.size().height());
    let rows: Vec<&[Drawing]> = drawings.chunks(columns.max(1)).collect();
    let column = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|drawing| size(drawing).0).fold(0.0, f32::max);
    let widths: Vec<f32> = (0..columns).map(column).collect();
    let (mut inside, mut top) = (String::new(), 0.0);
    for row in &rows {
        let mut left = 0.0;
        for (drawing, width) in row.iter().zip(&widths) {
            let own = drawing.tree.to_string(&usvg::WriteOptions::default());
            inside += &own.replacen("<svg ", &format!("<svg x=\"{left}\" y=\"{top}\" "), 1);
            left += width;
        }
        top += row.iter().map(|drawing| size(drawing).1).fold(0.0, f32::max);
    }
    let width: f32 = widths.iter().sum();
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{top}\">\
         <rect width=\"{width}\" height=\"{top}\" fill=\"#ffffff\"/>{inside}</svg>"
    );
    let tree = usvg::Tree::from_str(&svg, &usvg::Options::default()).context(|| "cannot draw the figure")?;
    let all = |part: fn(&Drawing) -> &String| drawings.iter().map(part).cloned().collect::<Vec<_>>().join("; ");
    Ok(Drawing { tree, title: all(|drawing| &drawing.title), description: all(|drawing| &drawing.description) })
}

impl Drawing {
    #[cfg(test)]
    pub fn root(&self) -> &usvg::Group {
        self.tree.root()
    }

    pub fn svg(&self) -> String {
        let options = usvg::WriteOptions {
            coordinates_precision: 1,
            transforms_precision: 5,
            indent: usvg::Indent::None,
            ..usvg::WriteOptions::default()
        };
        let svg = self.tree.to_string(&options);
        let Some(open) = svg.find('>') else { return svg };
        let (width, height) = (self.tree.size().width(), self.tree.size().height());
        format!(
            "{} viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title><desc>{}</desc>{}\n",
            &svg[..open],
            escaped(&self.title),
            escaped(&self.description),
            &svg[open + 1..]
        )
    }

    /// At 300 dots per inch, which the file says too.
    pub fn png(&self) -> Result<Vec<u8>> {
        self.raster()?.png()
    }

    pub fn raster(&self) -> Result<Raster> {
        let side = |pixels: f32| (pixels * SCALE as f32).round() as usize;
        let (width, height) = (side(self.tree.size().width()), side(self.tree.size().height()));
        let mut pixels = tiny_skia::Pixmap::new(width as u32, height as u32)
            .ok_or_else(|| Error::failed(format!("cannot draw a figure of {width} x {height} pixels")))?;
        pixels.fill(tiny_skia::Color::WHITE);
        let transform = tiny_skia::Transform::from_scale(SCALE as f32, SCALE as f32);
        resvg::render(&self.tree, transform, &mut pixels.as_mut());
        // Opaque, so premultiplied colour is colour.
        let rgb = pixels.data().chunks_exact(4).flat_map(|rgba| [rgba[0], rgba[1], rgba[2]]).collect();
        Ok(Raster { width, height, rgb })
    }
}

/// Row by row, three bytes a pixel.
pub struct Raster {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl Raster {
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let per_metre = (PNG_DPI / 0.0254).round() as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter }));
        let mut writer = encoder.write_header().context(|| "cannot write PNG")?;
        writer.write_image_data(&self.rgb).context(|| "cannot write PNG")?;
        writer.finish().context(|| "cannot write PNG")?;
        Ok(file)
    }
}

fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

fn whole((x, y): Xy) -> (i32, i32) {
    (units(x), units(y))
}

fn escaped(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_node(group: &usvg::Group) -> &usvg::Text {
        match group.children().last().unwrap() {
            usvg::Node::Group(group) => text_node(group),
            usvg::Node::Text(text) => text,
            node => panic!("{node:?}"),
        }
    }

    fn drawn(text: &str, font: Type) -> Drawing {
        draw((400.0, 50.0), "", "", |canvas| canvas.text(text, (10.0, 30.0), Align::Left, font, Ink(0, 1.0))).unwrap()
    }

    #[test]
    fn text_becomes_outlines_of_the_right_width() {
        for text in [
            "Hamburgefonstiv 10¹⁸",
            "卷积神经网络的测试损失",
            "vit 视觉变换器 v2 -> コンボリュ 신경망!",
            "ёж ζεύξη Việt",
        ] {
            for font in [Type::regular(20.0), Type::bold(18.0)] {
                let drawing = drawn(text, font);
                let outline = text_node(drawing.root()).flattened().abs_bounding_box();
                let measured = f64::from(outline.width());
                assert!((font.width(text) / measured - 1.0).abs() < 0.06, "{text}: {measured}");
                assert!((f64::from(outline.left()) - 10.0).abs() < 2.5, "{}", outline.left());
            }
        }
    }

    /// A missing character would have a width too: each must have its own shape.
    #[test]
    fn every_character_has_its_own_outline() {
        let svg = |text: &str| drawn(text, Type::regular(20.0)).svg();
        let shapes: std::collections::BTreeSet<String> =
            ["卷", "积", "网", "ひ", "カ", "한", "글", "Ж", "ё", "ζ", "□"].map(svg).into_iter().collect();
        assert_eq!(shapes.len(), 11);
        assert!(svg("→卷 -> e\u{301}").len() > svg("→ -> e\u{301}").len(), "ligatures and marks hide no ideograph");
    }
}
