//! What libtorch is slow at on CPUs: attention of small heads over few tokens, and the backward of depthwise convolutions. libtorch
//! gets nodes of its graph whose backward is ours. Elsewhere its own operations stand.
//!
//! A sum's order and each rounding are fixed: bits depend neither on how wide the processor's vectors are nor on threads.

mod attention;
mod dense;
mod depthwise;
mod node;
pub mod simd;

use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

pub use attention::attend;
pub use depthwise::depthwise;

/// What tensors here hold: float32, or bfloat16 that is computed with in float32.
pub trait Number: Copy + Send + Sync + 'static {
    const KIND: Kind;
    fn get(self) -> f32;
    fn of(value: f32) -> Self;
}

impl Number for f32 {
    const KIND: Kind = Kind::Float;

    #[inline(always)]
    fn get(self) -> f32 {
        self
    }

    #[inline(always)]
    fn of(value: f32) -> Self {
        value
    }
}

/// The upper half of a float32.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Bf16(u16);

impl Number for Bf16 {
    const KIND: Kind = Kind::BFloat16;

    #[inline(always)]
    fn get(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// The nearest, the even one of two; what is no number stays none.
    #[inline(always)]
    fn of(value: f32) -> Self {
        let bits = value.to_bits();
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        Self(if value.is_nan() { 0x7fc0 } else { nearest as u16 })
    }
}

/// Whether operations here take these tensors: on the CPU, contiguous, of one type of theirs, and the processor multiplies and adds at once.
fn takes(tensors: &[&Tensor]) -> bool {
    let here = |x: &&Tensor| x.device() == Device::Cpu && x.is_contiguous() && x.kind() == tensors[0].kind();
    simd::fuses() && matches!(tensors[0].kind(), Kind::Float | Kind::BFloat16) && tensors.iter().all(here)
}

/// The numbers of a tensor.
///
/// # Panics
/// It is not of this type, contiguous and on the CPU.
pub fn numbers<N: Number>(tensor: &Tensor) -> &[N] {
    let (data, length) = place(tensor);
    // SAFETY: `place` has checked that so many numbers begin there; the storage lives as long as the tensor, and nobody writes
    // to it meanwhile: the thread that could is in this call.
    unsafe { std::slice::from_raw_parts(data, length) }
}

/// See [`numbers`].
pub fn numbers_mut<N: Number>(tensor: &mut Tensor) -> &mut [N] {
    let (data, length) = place(tensor);
    // SAFETY: as above; the tensor is borrowed for writing, and its storage is shared by no other that is looked at meanwhile.
    unsafe { std::slice::from_raw_parts_mut(data, length) }
}

fn place<N: Number>(tensor: &Tensor) -> (*mut N, usize) {
    let fits = (tensor.kind(), tensor.device(), tensor.is_contiguous()) == (N::KIND, Device::Cpu, true);
    assert!(fits, "{tensor:?} is not {:?}, contiguous and on the CPU", N::KIND);
    match tensor.numel() {
        0 => (std::ptr::NonNull::dangling().as_ptr(), 0),
        length => (tensor.data_ptr().cast(), length),
    }
}

/// Does `all` of them, on as many threads as libtorch's operations have; `start` makes what a thread keeps between items.
fn each<T: Send, S>(all: Vec<T>, start: impl Fn() -> S + Sync + Send, item: impl Fn(&mut S, T) + Sync + Send) {
    if tch::get_num_threads() > 1 {
        return all.into_par_iter().for_each_init(start, item);
    }
    let mut kept = start();
    all.into_iter().for_each(|one| item(&mut kept, one));
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Normal numbers, the same ones for a seed and a size.
    pub fn drawn(seed: u64, size: &[i64]) -> Tensor {
        let mut random = crate::random::stream(seed, "kernel", size.iter().sum::<i64>() as u64);
        let numbers: Vec<f32> = (0..size.iter().product()).map(|_| StandardNormal.sample(&mut random)).collect();
        Tensor::from_slice(&numbers).reshape(size)
    }

    /// Attention and a depthwise convolution with their gradients.
    fn computed(kind: Kind) -> Vec<Tensor> {
        let make = |size: &[i64]| drawn(8, size).to_kind(kind).set_requires_grad(true);
        let inputs = [make(&[3, 21, 3, 2, 12]), make(&[2, 19, 9, 8]), make(&[19, 1, 5, 5])];
        let out = attend(&[&inputs[0]]).unwrap();
        let map = depthwise(&inputs[1], &inputs[2], None, [2, 2]).unwrap();
        let loss = out.square().sum(Kind::Float) + map.square().sum(Kind::Float);
        let grads = Tensor::run_backward(&[loss], &inputs, false, false);
        grads.into_iter().chain([out.detach(), map.detach()]).collect()
    }

    #[test]
    fn bits_are_the_same_however_wide_vectors_are() {
        tch::set_num_threads(1); // tests run side by side
        for kind in [Kind::Float, Kind::BFloat16] {
            let plain = computed(kind);
            simd::tests::NARROW.set(true);
            let narrow = computed(kind);
            simd::tests::NARROW.set(false);
            assert!(plain.iter().zip(&narrow).all(|(a, b)| a.equal(b)), "{kind:?}");
            assert_eq!(plain.len(), 5);
        }
    }
}
