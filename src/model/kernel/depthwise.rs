//! Depthwise convolution: each channel by a window of its own. Forward it is libtorch's. Its backward there runs at a fifteenth of
//! a core's peak in float32 and takes 2.7 times as long in bfloat16 (docs/performance.md); here the gradient of the input is
//! a convolution by the windows turned over, and that of the windows is summed by vectors of channels.
//!
//! Letters: B images, C channels, H W height and width, K height and width of a window.

use tch::{Kind, Tensor};

use super::node::node;
use super::simd::{LANES, Lanes, vectorised};
use super::{Bf16, Number, each, numbers, numbers_mut, takes};

/// `[B, C, H, W]` by windows `[C, 1, K, K]` at every place, with zeros around it: `[B, C, H', W']`. None where libtorch's own is
/// to be taken.
pub fn depthwise(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, padding: [i64; 2]) -> Option<Tensor> {
    let size = weight.size();
    let inside = (0..2).all(|axis| padding[axis] < size[axis + 2]);
    if !(takes(&[weight]) && x.kind() == weight.kind() && inside && x.requires_grad()) {
        return None;
    }
    let channels = size[0];
    let value = tch::no_grad(|| x.conv2d(weight, bias, [1, 1], padding, [1, 1], channels));
    let inputs: Vec<&Tensor> = [x, weight].into_iter().chain(bias).collect();
    Some(node(&inputs, &value, &[x, weight], if bias.is_some() { gradients::<true> } else { gradients::<false> }))
}

/// `[B, H, W, C]`: a view where memory is so already.
fn innermost(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous()
}

fn gradients<const BIAS: bool>(grad: &Tensor, saved: &[Tensor]) -> Vec<Tensor> {
    let (x, weight) = (&saved[0], &saved[1]);
    let (x_size, grad_size, window) = (x.size(), grad.size(), weight.size());
    // H' = H + 2 padding - K + 1
    let padding = [2, 3].map(|axis| (grad_size[axis] - x_size[axis] + window[axis] - 1) / 2);
    let beyond = [0, 1].map(|axis| window[axis + 2] - 1 - padding[axis]);
    let of_x = grad.conv2d(&weight.flip([2, 3]), None::<&Tensor>, [1, 1], beyond, [1, 1], window[0]);
    let of_weight = match x.kind() {
        Kind::BFloat16 => of_windows::<Bf16>(x, grad, weight, padding),
        _ => of_windows::<f32>(x, grad, weight, padding),
    };
    let of_bias = BIAS.then(|| grad.sum_dim_intlist([0, 2, 3].as_slice(), false, grad.kind()));
    [of_x, of_weight].into_iter().chain(of_bias).collect()
}

fn of_windows<N: Number>(x: &Tensor, grad: &Tensor, weight: &Tensor, padding: [i64; 2]) -> Tensor {
    let (x, grad) = (innermost(x), innermost(grad));
    let [from, to] = [&x, &grad].map(|map| [map.size()[1] as usize, map.size()[2] as usize]);
    let window = [weight.size()[2] as usize, weight.size()[3] as usize];
    let shape =
        Shape { channels: weight.size()[0] as usize, from, to, window, padding: padding.map(|side| side as usize) };
    let mut made = weight.empty_like();
    let (x, grad) = (numbers::<N>(&x), numbers::<N>(&grad));
    let blocks = numbers_mut::<N>(&mut made).chunks_mut(LANES * window[0] * window[1]).enumerate().collect();
    each(blocks, || Scratch::new(shape), |scratch, (block, into)| sum(scratch, x, grad, block * LANES, into));
    made
}

#[derive(Clone, Copy)]
struct Shape {
    channels: usize,
    /// H, W
    from: [usize; 2],
    /// H', W'
    to: [usize; 2],
    window: [usize; 2],
    padding: [usize; 2],
}

/// Of [`LANES`] channels.
struct Scratch {
    shape: Shape,
    /// Height and width of an image with zeros around it.
    around: [usize; 2],
    /// `[height, width, LANES]`
    x: Vec<f32>,
    /// `[H', W', LANES]`
    grad: Vec<f32>,
    /// `[K, K, LANES]`
    sums: Vec<f32>,
}

impl Scratch {
    fn new(shape: Shape) -> Self {
        let around = [0, 1].map(|axis| shape.to[axis] + shape.window[axis] - 1);
        let zeros = |[height, width]: [usize; 2]| vec![0.0; height * width * LANES];
        Self { shape, around, x: zeros(around), grad: zeros(shape.to), sums: zeros(shape.window) }
    }
}

vectorised! {
    /// The gradient of some channels' windows `[LANES or fewer, K, K]`, from the first of them on.
    fn sum<L, N: Number>(scratch: &mut Scratch, x: &[N], grad: &[N], first: usize, into: &mut [N]) {
        let Shape { channels, from, to, window, padding } = scratch.shape;
        let some = LANES.min(channels - first);
        let area = |[height, width]: [usize; 2]| height * width * channels;
        scratch.sums.fill(0.0);
        for (x, grad) in x.chunks_exact(area(from)).zip(grad.chunks_exact(area(to))) {
            let inside = &mut scratch.x[(padding[0] * scratch.around[1] + padding[1]) * LANES..];
            read(inside, scratch.around[1], x, from, channels, first, some);
            read(&mut scratch.grad, to[1], grad, to, channels, first, some);
            for down in 0..window[0] {
                let across = taps::<L, 8>(scratch, down, 0);
                let across = taps::<L, 4>(scratch, down, across);
                let across = taps::<L, 2>(scratch, down, across);
                taps::<L, 1>(scratch, down, across);
            }
        }
        for (lane, into) in into.chunks_exact_mut(window[0] * window[1]).enumerate() {
            for (into, sums) in into.iter_mut().zip(scratch.sums.chunks_exact(LANES)) {
                *into = N::of(sums[lane]);
            }
        }
    }
}

/// Some channels of an image, into rows that are `width` pixels apart.
#[inline(always)]
fn read<N: Number>(
    into: &mut [f32],
    width: usize,
    image: &[N],
    [_, columns]: [usize; 2],
    channels: usize,
    first: usize,
    some: usize,
) {
    for (into, from) in into.chunks_mut(width * LANES).zip(image.chunks_exact(columns * channels)) {
        for (into, from) in into.chunks_exact_mut(LANES).zip(from.chunks_exact(channels)) {
            for (into, from) in into[..some].iter_mut().zip(&from[first..]) {
                *into = from.get();
            }
        }
    }
}

/// Adds up neighbouring columns of a row of the window, from one on; the column it comes to.
#[inline(always)]
fn taps<L: Lanes, const TAPS: usize>(scratch: &mut Scratch, down: usize, mut across: usize) -> usize {
    let (Shape { to, window, .. }, wide) = (scratch.shape, scratch.around[1]);
    while across + TAPS <= window[1] {
        let place = (down * window[1] + across) * LANES;
        let kept = scratch.sums[place..place + TAPS * LANES].as_mut_ptr();
        // SAFETY: so many numbers lie there.
        let mut sums: [L; TAPS] = std::array::from_fn(|tap| unsafe { L::load(kept.add(tap * LANES)) });
        for row in 0..to[0] {
            let x = &scratch.x[((row + down) * wide + across) * LANES..][..(to[1] + TAPS - 1) * LANES];
            let grad = &scratch.grad[row * to[1] * LANES..][..to[1] * LANES];
            for column in 0..to[1] {
                // SAFETY: of each row there are as many numbers as the slices have.
                unsafe {
                    let grad = L::load(grad.as_ptr().add(column * LANES));
                    let x = x.as_ptr().add(column * LANES);
                    for (tap, sum) in sums.iter_mut().enumerate() {
                        *sum = grad.times_plus(L::load(x.add(tap * LANES)), *sum);
                    }
                }
            }
        }
        for (tap, sum) in sums.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { sum.store(kept.add(tap * LANES)) };
        }
        across += TAPS;
    }
    across
}

#[cfg(test)]
mod tests {
    use super::super::tests::drawn;
    use super::*;

    fn largest(x: &Tensor) -> f64 {
        x.abs().max().double_value(&[])
    }

    #[test]
    fn gradients_are_those_of_libtorch_in_float64() {
        let cases = [(16, [9, 8], 7, [3, 3]), (5, [6, 7], 3, [1, 1]), (37, [5, 5], 5, [0, 2]), (1, [8, 8], 1, [0, 0])];
        for (channels, [height, width], side, padding) in cases {
            for biased in [true, false] {
                let make = |size: &[i64]| drawn(6, size).set_requires_grad(true);
                let x = make(&[3, height, width, channels]);
                let inputs = [x.permute([0, 3, 1, 2]), make(&[channels, 1, side, side]), make(&[channels])];
                let of = |inputs: &[Tensor]| {
                    let bias = biased.then(|| &inputs[2]);
                    let ours = depthwise(&inputs[0], &inputs[1], bias, padding);
                    ours.unwrap_or_else(|| inputs[0].conv2d(&inputs[1], bias, [1, 1], padding, [1, 1], channels))
                };
                let exact = inputs.each_ref().map(|input| input.detach().to_kind(Kind::Double).set_requires_grad(true));
                let (ours, theirs) = (of(&inputs), of(&exact));
                assert!(largest(&(&ours - &theirs)) < 1e-4, "{channels} {side}");
                let grad = drawn(7, &ours.size());
                let of = |out: &Tensor, inputs: &[Tensor; 3]| {
                    let loss = (out * grad.to_kind(out.kind())).sum(out.kind());
                    Tensor::run_backward(&[loss], &inputs[..if biased { 3 } else { 2 }], false, false)
                };
                for (ours, theirs) in of(&ours, &inputs).iter().zip(of(&theirs, &exact)) {
                    assert!(largest(&(ours - &theirs)) < 5e-6 * largest(&theirs).max(1.0), "{channels} {side}");
                }
            }
        }
    }

    #[test]
    fn bfloat16_is_rounded_once() {
        let x = drawn(7, &[2, 12, 8, 8]).to_kind(Kind::BFloat16).set_requires_grad(true);
        let weight = drawn(7, &[12, 1, 7, 7]).to_kind(Kind::BFloat16).set_requires_grad(true);
        let out = depthwise(&x, &weight, None, [3, 3]).unwrap();
        let grads = Tensor::run_backward(&[out.sum(Kind::Float)], &[&weight], false, false);
        let exact = [&x, &weight].map(|tensor| tensor.detach().to_kind(Kind::Double).set_requires_grad(true));
        let out = exact[0].conv2d(&exact[1], None::<&Tensor>, [1, 1], [3, 3], [1, 1], 12);
        let theirs = Tensor::run_backward(&[out.sum(Kind::Double)], &[&exact[1]], false, false);
        let off = largest(&(grads[0].to_kind(Kind::Double) - &theirs[0]));
        assert!(grads[0].kind() == Kind::BFloat16 && off < 0.004 * largest(&theirs[0]), "{off}");
    }
}
