//! A node of libtorch's graph whose value is there already and whose backward is a function here (worker/shim/node.cpp).

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;
use torch_sys::C_tensor;

/// The gradient of a value and what was saved, to the gradients of the inputs.
pub type Backward = fn(&Tensor, &[Tensor]) -> Vec<Tensor>;

type Entry =
    extern "C" fn(*const c_void, *const C_tensor, *const *const C_tensor, usize, *mut *mut C_tensor, usize) -> c_int;

unsafe extern "C" {
    /// A new tensor, or null where libtorch threw.
    fn crossover_node(
        inputs: *const *const C_tensor,
        count: usize,
        value: *const C_tensor,
        saved: *const *const C_tensor,
        kept: usize,
        entry: Entry,
        backward: *const c_void,
    ) -> *mut C_tensor;
}

/// `value`, as what came of one to three `inputs`: its gradient goes through `backward`, which is handed `saved`.
pub fn node(inputs: &[&Tensor], value: &Tensor, saved: &[&Tensor], backward: Backward) -> Tensor {
    let pointers = |tensors: &[&Tensor]| tensors.iter().map(|tensor| tensor.as_ptr()).collect::<Vec<_>>();
    let (from, keep) = (pointers(inputs), pointers(saved));
    // SAFETY: the lists have the lengths that are given, and all that they name lives through the call, which keeps references
    // of its own to what it needs longer.
    let made = unsafe {
        let backward = backward as *const c_void;
        crossover_node(from.as_ptr(), from.len(), value.as_ptr(), keep.as_ptr(), keep.len(), entry, backward)
    };
    assert!(!made.is_null(), "libtorch does not take a node into its graph");
    // SAFETY: it is new, and nobody else's.
    unsafe { Tensor::from_ptr(made) }
}

/// What libtorch calls. 0, and new tensors in `into`; or 1, after a panic that the process's hook has told.
extern "C" fn entry(
    backward: *const c_void,
    grad: *const C_tensor,
    saved: *const *const C_tensor,
    kept: usize,
    into: *mut *mut C_tensor,
    inputs: usize,
) -> c_int {
    // SAFETY: it is what `node` has handed over.
    let backward = unsafe { std::mem::transmute::<*const c_void, Backward>(backward) };
    // SAFETY: libtorch's tensors live through this call; these are references of their own to them.
    let reference = |tensor: *const C_tensor| unsafe { Tensor::clone_from_ptr(tensor.cast_mut()) };
    // SAFETY: there are so many of each.
    let (saved, into) =
        unsafe { (std::slice::from_raw_parts(saved, kept), std::slice::from_raw_parts_mut(into, inputs)) };
    let saved: Vec<Tensor> = saved.iter().map(|tensor| reference(*tensor)).collect();
    let Ok(grads) = catch_unwind(AssertUnwindSafe(|| backward(&reference(grad), &saved))) else { return 1 };
    for (into, mut grad) in into.iter_mut().zip(grads) {
        *into = grad.as_mut_ptr();
        std::mem::forget(grad);
    }
    0
}
