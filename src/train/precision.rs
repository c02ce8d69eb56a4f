//! What layers compute in, as libtorch is told.

use std::ffi::{CStr, c_char, c_int};

use tch::{Device, Kind};

use crate::error::{Error, Result};
use crate::run::Precision;

unsafe extern "C" {
    /// worker/shim/tf32.cpp. 0, or 1 and a text that ends with a zero within `capacity` bytes.
    fn crossover_allow_tf32(allow: c_int, text: *mut c_char, capacity: usize) -> c_int;
}

/// The type of parameters and images on their way through a network.
pub fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Fp32 | Precision::Tf32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
    }
}

/// Says what products of float32 are rounded to from here on, in this process.
///
/// # Errors
/// The device has no TF32.
pub fn set(precision: Precision, device: Device) -> Result<()> {
    let tf32 = precision == Precision::Tf32;
    if tf32 && !device.is_cuda() {
        return Err(Error::bad_input("precision = \"tf32\" is of GPUs, and this device is a CPU"));
    }
    let mut text = [0u8; 512];
    // SAFETY: the function writes at most `capacity` bytes to `text`, which has them, and throws nothing.
    let failed = unsafe { crossover_allow_tf32(tf32.into(), text.as_mut_ptr().cast(), text.len()) };
    match failed {
        0 => Ok(()),
        _ => {
            let reason = CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy();
            Err(Error::failed(format!("libtorch: cannot say what float32 products are rounded to: {reason}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_is_refused_where_there_is_none() {
        let error = set(Precision::Tf32, Device::Cpu).unwrap_err();
        assert!(error.message.contains("\"tf32\" is of GPUs"), "{error}");
        for precision in [Precision::Bf16, Precision::Fp32] {
            set(precision, Device::Cpu).unwrap();
        }
    }
}
