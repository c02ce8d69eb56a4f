//! Products of matrices that fit the first caches, by tiles of sums that stay in registers.

use super::simd::{LANES, Lanes};

/// Zeros for a matrix whose rows are whole vectors.
pub fn padded(rows: usize, columns: usize) -> Vec<f32> {
    vec![0.0; rows * columns.next_multiple_of(LANES)]
}

/// A left factor `[rows, depth]` as it lies: how far apart its rows and its columns are.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    numbers: &'a [f32],
    row: usize,
    column: usize,
}

impl<'a> Left<'a> {
    #[inline(always)]
    pub fn rows(numbers: &'a [f32], apart: usize) -> Self {
        Self { numbers, row: apart, column: 1 }
    }

    /// Turned over: its columns lie as rows.
    #[inline(always)]
    pub fn columns(numbers: &'a [f32], apart: usize) -> Self {
        Self { numbers, row: 1, column: apart }
    }
}

/// `a` times `b [depth, columns]`, into `c [rows, columns]`, whose rows are `columns` apart: a multiple of [`LANES`].
///
/// # Panics
/// A matrix has fewer numbers than that.
#[inline(always)]
pub fn product<L: Lanes>([rows, depth, columns]: [usize; 3], a: Left, b: &[f32], c: &mut [f32]) {
    assert!(depth > 0 && columns.is_multiple_of(LANES) && b.len() >= depth * columns && c.len() >= rows * columns);
    assert!(rows == 0 || a.numbers.len() > (rows - 1) * a.row + (depth - 1) * a.column);
    // Sums for as many rows as there are registers, then for what is left of them.
    let row = tiles::<L, 8>(0, [rows, depth, columns], a, b, c);
    let row = tiles::<L, 4>(row, [rows, depth, columns], a, b, c);
    let row = tiles::<L, 2>(row, [rows, depth, columns], a, b, c);
    tiles::<L, 1>(row, [rows, depth, columns], a, b, c);
}

/// From a row on, the row it comes to.
#[inline(always)]
fn tiles<L: Lanes, const ROWS: usize>(
    mut row: usize,
    [rows, depth, columns]: [usize; 3],
    a: Left,
    b: &[f32],
    c: &mut [f32],
) -> usize {
    let apart = a.row;
    while row + ROWS <= rows {
        for column in (0..columns).step_by(LANES) {
            let mut sums = [L::splat(0.0); ROWS];
            let (mut left, mut right) = (a.numbers[row * a.row..].as_ptr(), b[column..].as_ptr());
            for _ in 0..depth {
                // SAFETY: `product` has checked that both have so many numbers.
                unsafe {
                    let numbers = L::load(right);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = L::splat(*left.add(i * apart)).times_plus(numbers, *sum);
                    }
                }
                (left, right) = (left.wrapping_add(a.column), right.wrapping_add(columns));
            }
            for (i, sum) in sums.into_iter().enumerate() {
                // SAFETY: as above.
                unsafe { sum.store(c.as_mut_ptr().add((row + i) * columns + column)) };
            }
        }
        row += ROWS;
    }
    row
}
