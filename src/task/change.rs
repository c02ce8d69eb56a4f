//! What transforms do to images, whole sets or a batch at a time.

use std::sync::Arc;

use rayon::prelude::*;

use crate::model::Io;
use crate::task::examples::Images;

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Each pixel becomes the mean of the area that it covers; as floats where bytes would be rounded to nothing.
    Resize { from: Io, to: Io, floats: bool },
    /// Each plane in this order.
    Permute(Arc<[u32]>),
}

impl Change {
    /// Of images that are in memory.
    pub fn apply(&self, images: &mut Images) {
        match (self, images) {
            (Change::Resize { from, to, floats }, images) => {
                let bytes = match &*images {
                    Images::U8(bytes) if *floats => Some(bytes.iter().map(|&byte| byte.into()).collect()),
                    _ => None,
                };
                if let Some(floats) = bytes {
                    *images = Images::F32(floats);
                }
                resize(images, *from, *to);
            }
            (Change::Permute(positions), Images::U8(values)) => permute_planes(values, positions),
            (Change::Permute(positions), Images::F32(values)) => permute_planes(values, positions),
            (Change::Permute(_), Images::OnDisk(set)) => set.change(self),
        }
    }
}

/// Permutes each plane `[H, W]` of `values`.
fn permute_planes<T: Copy>(values: &mut [T], positions: &[u32]) {
    let mut old = Vec::with_capacity(positions.len());
    for plane in values.chunks_exact_mut(positions.len()) {
        old.clear();
        old.extend_from_slice(plane);
        for (value, &from) in plane.iter_mut().zip(positions) {
            *value = old[from as usize];
        }
    }
}

fn resize(images: &mut Images, from: Io, to: Io) {
    let down = coverage(from.height as usize, to.height as usize);
    let across = coverage(from.width as usize, to.width as usize);
    let plane = (from.height * from.width) as usize;
    match images {
        Images::U8(values) => {
            let resized = values.par_chunks_exact(plane).flat_map_iter(|plane| {
                let plane: Vec<f64> = plane.iter().map(|&byte| byte.into()).collect();
                resize_plane(&plane, &down, &across).into_iter().map(|value| value.round() as u8)
            });
            *values = resized.collect();
        }
        Images::F32(values) => {
            let resized = values.par_chunks_exact(plane).flat_map_iter(|plane| {
                let plane: Vec<f64> = plane.iter().map(|&float| float.into()).collect();
                resize_plane(&plane, &down, &across).into_iter().map(|value| value as f32)
            });
            *values = resized.collect();
        }
        Images::OnDisk(set) => set.change(&Change::Resize { from, to, floats: false }),
    }
}

/// For each of `to` pixels, the pixels of `from` that it covers and their shares.
fn coverage(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let step = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let (start, end) = (i as f64 * step, (i + 1) as f64 * step);
            (start as usize..from.min(end.ceil() as usize))
                .map(|k| (k, (end.min((k + 1) as f64) - start.max(k as f64)) / step))
                .filter(|(_, share)| *share > 1e-12)
                .collect()
        })
        .collect()
}

fn resize_plane(plane: &[f64], down: &[Vec<(usize, f64)>], across: &[Vec<(usize, f64)>]) -> Vec<f64> {
    let width = across.last().and_then(|covered| covered.last()).map_or(0, |(k, _)| k + 1);
    let at = |rows: &Vec<(usize, f64)>, columns: &Vec<(usize, f64)>| -> f64 {
        let row = |y: usize| columns.iter().map(|&(x, share)| share * plane[y * width + x]).sum::<f64>();
        rows.iter().map(|&(y, share)| share * row(y)).sum()
    };
    down.iter().flat_map(|rows| across.iter().map(move |columns| at(rows, columns))).collect()
}
