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
    0x00_72_b2, 0xd5_5e_00, 0x00_9e_73, 0xcc_79_a7, 0xe6_9f_00, 0x56_b4_e9, 0x00_00_00, 0x7f_7f_7f, //
    0x00_3a_70, 0x8f_2d_00, 0x00_5a_3c, 0x88_22_6b, 0x8a_62_00, 0x2f_8f_a8, 0x5b_3a_9e, 0x6b_6f_2a,
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
