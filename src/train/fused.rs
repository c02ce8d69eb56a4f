//! AdamW on a CPU: clipping, decay, moments and update of a row in one pass over its numbers, where as many operations on
//! whole tensors read and write them three times as often. Nothing is contracted or reordered, so that a number comes out the
//! same whatever the instructions, the threads and its neighbours are.

use rayon::prelude::*;

use crate::model::kernel::simd::vectorised;

/// Numbers that a thread takes at a time. A norm is the sum over sums of these.
const BLOCK: usize = 1 << 14;

/// A row of a pack on its way through one update.
pub struct Row<'a> {
    pub params: &'a mut [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
    pub grad: &'a [f32],
}

/// What a number of a row is updated by.
#[derive(Clone, Copy)]
pub struct Update {
    /// 1 - beta1, beta2, 1 - beta2.
    pub toward: f32,
    pub beta2: f32,
    pub rest2: f32,
    /// As `rate`, corrected for the moments' start at zero.
    pub epsilon: f32,
    /// What a parameter moves by in units of its normalised gradient, negative; and what it keeps of itself before.
    pub rate: f32,
    pub keep: f32,
}

/// Updates a row, of which the first `decayed` parameters keep `keep` of themselves and the others all. The gradient is clipped
/// to a norm of `clip`. By one thread or by all.
pub fn update(row: Row, decayed: usize, clip: Option<f32>, with: Update, threads: bool) {
    let scale = clip.map_or(1.0, |clip| clipped(row.grad, clip, threads));
    let (params, plain) = row.params.split_at_mut(decayed);
    let (first, plain_first) = row.first.split_at_mut(decayed);
    let (second, plain_second) = row.second.split_at_mut(decayed);
    let (grad, plain_grad) = row.grad.split_at(decayed);
    let plain = Row { params: plain, first: plain_first, second: plain_second, grad: plain_grad };
    for (part, keep) in [(Row { params, first, second, grad }, with.keep), (plain, 1.0)] {
        let with = Update { keep, ..with };
        if !threads || part.grad.len() <= BLOCK {
            move_all(part, scale, with);
            continue;
        }
        let moments = part.first.par_chunks_mut(BLOCK).zip(part.second.par_chunks_mut(BLOCK));
        let blocks = part.params.par_chunks_mut(BLOCK).zip(moments).zip(part.grad.par_chunks(BLOCK));
        blocks.for_each(|((params, (first, second)), grad)| move_all(Row { params, first, second, grad }, scale, with));
    }
}

/// What a gradient is multiplied by. A norm that is no number is handed on: the run has diverged.
fn clipped(grad: &[f32], clip: f32, threads: bool) -> f32 {
    let sums: Vec<f64> = match threads && grad.len() > BLOCK {
        true => grad.par_chunks(BLOCK).map(sum_of_squares).collect(),
        false => grad.chunks(BLOCK).map(sum_of_squares).collect(),
    };
    let scale = clip / (sums.iter().sum::<f64>().sqrt() as f32 + 1e-6);
    if scale > 1.0 { 1.0 } else { scale }
}

vectorised! {
    /// As many running sums as two vectors hold.
    fn sum_of_squares<L>(block: &[f32]) -> f64 {
        const LANES: usize = 16;
        let mut sums = [0.0; LANES];
        let (chunks, rest) = block.as_chunks::<LANES>();
        for chunk in chunks {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(*value) * f64::from(*value);
            }
        }
        let rest = rest.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        sums.iter().sum::<f64>() + rest
    }
}

vectorised! {
    fn move_all<L>(row: Row, scale: f32, with: Update) {
        let Row { params, first, second, grad } = row;
        let moments = first.iter_mut().zip(second);
        for ((param, (first, second)), grad) in params.iter_mut().zip(moments).zip(grad) {
            let grad = grad * scale;
            *first += with.toward * (grad - *first);
            *second = *second * with.beta2 + with.rest2 * grad * grad;
            *param = *param * with.keep + with.rate * *first / (second.sqrt() + with.epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: Update = Update { toward: 0.1, beta2: 0.99, rest2: 0.01, epsilon: 1e-8, rate: -1e-3, keep: 0.99 };

    fn updated(length: usize, decayed: usize, threads: bool) -> [Vec<f32>; 3] {
        let numbers = |salt: f32| (0..length).map(|at| (at as f32 * 0.37 + salt).sin()).collect::<Vec<_>>();
        let (mut params, mut first, grad) = (numbers(1.0), numbers(2.0), numbers(3.0));
        let mut second: Vec<f32> = numbers(4.0).iter().map(|value| value * value).collect();
        let row = Row { params: &mut params, first: &mut first, second: &mut second, grad: &grad };
        update(row, decayed, Some(0.5), WITH, threads);
        [params, first, second]
    }

    #[test]
    fn threads_and_neighbours_change_no_bit() {
        let long = updated(5 * BLOCK + 17, 2 * BLOCK + 5, false);
        assert_eq!(updated(5 * BLOCK + 17, 2 * BLOCK + 5, true), long);
        // One by one, as no vector instruction does it.
        let (mut alone, grad) = ([[0.7f32], [0.2], [0.3]], vec![0.1f32; 33]);
        let (mut many, mut first, mut second) = (vec![0.7f32; 33], vec![0.2f32; 33], vec![0.3f32; 33]);
        let [params, means, squares] = &mut alone;
        update(Row { params, first: means, second: squares, grad: &grad[..1] }, 1, None, WITH, false);
        update(Row { params: &mut many, first: &mut first, second: &mut second, grad: &grad }, 33, None, WITH, false);
        assert!(many.iter().all(|value| *value == alone[0][0]) && first[32] == alone[1][0] && second[5] == alone[2][0]);
    }

    #[test]
    fn a_gradient_is_clipped_to_its_norm_and_one_that_is_no_number_is_handed_on() {
        assert_eq!(clipped(&[3.0, 4.0], 10.0, false), 1.0);
        assert!((clipped(&[3.0, 4.0], 1.0, false) - 0.2).abs() < 1e-6);
        assert!(
            (clipped(&vec![1e-3; 3 * BLOCK + 1], 1e-3, true) - ((3 * BLOCK + 1) as f32).sqrt().recip()).abs() < 1e-7
        );
        assert!(clipped(&[f32::NAN, 1.0], 1.0, false).is_nan());
        assert_eq!(clipped(&[f32::INFINITY], 1.0, false), 0.0, "and 0 times infinity is no number");
    }
}
