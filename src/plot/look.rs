//! How curves look: a place among all curves of a study gives a colour, a marker and dashes.

use super::canvas::{Canvas, Ink, Xy};
use crate::error::Result;

pub const WHITE: Ink = Ink(0xff_ff_ff, 1.0);
pub const LINE_WIDTH: f64 = 1.7;
pub const MARKER_RADIUS: f64 = 3.7;
/// Where a line is extrapolated.
pub const DOTS: &[f64] = &[1.6, 2.6];

/// Okabe and Ito (2008), told apart by colour-blind readers; their yellow is too pale for lines on white, so the
/// eighth is a grey. Then as many darker ones: what they are near to has other dashes and another marker.
const COLOURS: [u32; 16] = [
    0x00_72_b2, 0xd5_5e_00, 0x00_9e_73, 0xcc_79_a7, 0xe6_9f_00, 0x56_b4_e9, 0x00_00_00, 0x5f_5f_5f, //
    0x00_3a_70, 0x8f_2d_00, 0x00_5a_3c, 0x88_22_6b, 0x8a_62_00, 0x6a_a3_29, 0x5b_3a_9e, 0x2f_8f_a8,
];
/// Seven against sixteen colours: 112 curves before two share colour and marker.
const SHAPES: [Shape; 7] =
    [Shape::Circle, Shape::Square, Shape::Up, Shape::Diamond, Shape::Down, Shape::Plus, Shape::Star];
const DASHES: [&[f64]; 5] = [&[], &[8.0, 3.0], &[8.0, 2.5, 1.8, 2.5], &[4.0, 2.2], &[10.0, 2.5, 1.8, 2.5, 1.8, 2.5]];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Circle,
    Square,
    Up,
    Diamond,
    Down,
    Plus,
    Star,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    pub ink: Ink,
    pub shape: Shape,
    pub dashes: &'static [f64],
}

impl Look {
    /// Of the curve at `index` among all of a study: no two of the first 112 share both colour and marker.
    pub fn of(index: usize) -> Look {
        Look {
            ink: Ink(COLOURS[index % COLOURS.len()], 1.0),
            shape: SHAPES[index % SHAPES.len()],
            dashes: DASHES[index % DASHES.len()],
        }
    }
}

/// Colours in an order, dark to light, all dark enough for white paper.
const SHADES: [u32; 5] = [0x0d_08_87, 0x6a_00_a8, 0xb1_2a_90, 0xe1_64_62, 0xf2_9a_2e];

/// The colour at a share of the scale.
pub fn shade(share: f64) -> Ink {
    let at = share.clamp(0.0, 1.0) * (SHADES.len() - 1) as f64;
    let below = (at as usize).min(SHADES.len() - 2);
    let (from, to) = (SHADES[below].to_be_bytes(), SHADES[below + 1].to_be_bytes());
    let mixed = |i: usize| (f64::from(from[i]) + (at - below as f64) * (f64::from(to[i]) - f64::from(from[i]))).round();
    Ink(u32::from_be_bytes([0, mixed(1) as u8, mixed(2) as u8, mixed(3) as u8]), 1.0)
}

impl Shape {
    /// Outline around `at`, of about the same area for every shape.
    pub fn outline(self, (x, y): Xy, radius: f64) -> Vec<Xy> {
        let polygon = |corners: usize, radii: &[f64], turn: f64| -> Vec<Xy> {
            (0..corners)
                .map(|corner| (radii[corner % radii.len()] * radius, corner as f64 / corners as f64 + turn))
                .map(|(r, turn)| {
                    (x + r * (turn * std::f64::consts::TAU).cos(), y + r * (turn * std::f64::consts::TAU).sin())
                })
                .collect()
        };
        match self {
            Shape::Circle => polygon(28, &[1.0], 0.0),
            Shape::Square => polygon(4, &[1.28], 0.125),
            Shape::Diamond => polygon(4, &[1.35], 0.0),
            Shape::Up => polygon(3, &[1.5], 0.75),
            Shape::Down => polygon(3, &[1.5], 0.25),
            Shape::Star => polygon(10, &[1.55, 0.72], 0.75),
            Shape::Plus => {
                let (arm, half) = (1.35 * radius, 0.45 * radius);
                let quarter = [(half, arm), (half, half), (arm, half)];
                let corner = |(dx, dy): Xy| [(dx, dy), (dy, -dx), (-dx, -dy), (-dy, dx)];
                (0..4).flat_map(|turn| quarter.map(|at| corner(at)[turn])).map(|(dx, dy)| (x + dx, y + dy)).collect()
            }
        }
    }
}

/// A marker with a thin white edge, so that neighbours stay apart.
pub fn marker(canvas: &Canvas, at: Xy, radius: f64, ink: Ink, shape: Shape) -> Result<()> {
    canvas.fill(&shape.outline(at, 1.25 * radius), WHITE.at(0.9 * ink.1))?;
    canvas.fill(&shape.outline(at, radius), ink)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As seen by most (0), by the red-blind (1) and by the green-blind (2): Viénot, Brettel and Mollon (1999).
    fn seen(colour: u32, by: usize) -> [f64; 3] {
        const MIX: [[[f64; 3]; 3]; 3] = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
            [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
        ];
        let light = |byte: u8| (f64::from(byte) / 255.0).powf(2.2);
        let [_, red, green, blue] = colour.to_be_bytes();
        let light = [light(red), light(green), light(blue)];
        MIX[by]
            .map(|row| 255.0 * row.iter().zip(light).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0).powf(1.0 / 2.2))
    }

    /// Fourteen curves are told apart by dashes and markers together, or else by colour, colour-blind or not.
    #[test]
    fn fourteen_looks_differ_for_every_reader() {
        for (a, b) in (0..14).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let (one, other) = (Look::of(a), Look::of(b));
            let apart = |by: usize| {
                let (x, y) = (seen(one.ink.0, by), seen(other.ink.0, by));
                (0..3).map(|k| (x[k] - y[k]).powi(2)).sum::<f64>().sqrt()
            };
            let least = (0..3).map(apart).fold(f64::INFINITY, f64::min);
            let shaped = one.dashes != other.dashes && one.shape != other.shape;
            assert!(shaped || least > 50.0, "{a} and {b}: {least}");
            assert!(apart(0) > 50.0, "{a} and {b}: {}", apart(0));
        }
        let looks: Vec<Look> = (0..112).map(Look::of).collect();
        let same = |a: &Look, b: &Look| a.ink == b.ink && a.shape == b.shape;
        assert!((0..112).all(|b| (0..b).all(|a| !same(&looks[a], &looks[b]))));
    }
}
