//! A tensor that a network computes once (a position code, an index) and keeps where its parameters are.

use std::cell::RefCell;

use tch::Tensor;

pub struct Constant {
    value: RefCell<Tensor>,
}

impl Constant {
    pub fn new(value: Tensor) -> Self {
        Self { value: RefCell::new(value) }
    }

    /// On the device of `x` and, where it is a float, in its type; moved there at the first call only.
    pub fn like(&self, x: &Tensor) -> Tensor {
        let mut value = self.value.borrow_mut();
        let kind = if value.is_floating_point() { x.kind() } else { value.kind() };
        if value.device() != x.device() || value.kind() != kind {
            *value = value.to_device(x.device()).to_kind(kind);
        }
        value.shallow_clone()
    }
}
