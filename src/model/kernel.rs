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
