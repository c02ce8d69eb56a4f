//! The idx format of MNIST and those after it: a big-endian header of sizes, then bytes.
//! (<http://yann.lecun.com/exdb/mnist/>: two zero bytes, a type, the number of dimensions, each size in 4 bytes.)

use std::ops::RangeInclusive;

use crate::error::{Error, Result};

/// The type code of unsigned bytes, the only one that image sets use.
const BYTES: u8 = 0x08;

/// An idx array of bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<u8>,
}

/// Reads an array of as many dimensions as are in `dimensions`. Refuses another format, another type, and sizes that are not those of
/// the content; `what` names the file in the message.
pub fn parse(what: &str, content: &[u8], dimensions: RangeInclusive<usize>) -> Result<Array> {
    let refuse = |reason: String| Err(Error::failed(format!("{what} is not a usable idx file: {reason}")));
    let Some(magic) = content.first_chunk::<4>() else {
        return refuse(format!("it has {} bytes, too few for a header", content.len()));
    };
    if magic[..2] != [0, 0] {
        return refuse(format!("it starts with {:02x} {:02x}, not with two zero bytes", magic[0], magic[1]));
    }
    if magic[2] != BYTES {
        return refuse(format!("its values have type 0x{:02x}, and only bytes (0x08) are read", magic[2]));
    }
    let found = usize::from(magic[3]);
    if !dimensions.contains(&found) {
        let (least, most) = dimensions.into_inner();
        let needed = if least == most { least.to_string() } else { format!("{least} to {most}") };
        return refuse(format!("it has {found} dimensions where {needed} are needed"));
    }
    let header = 4 + 4 * found;
    if content.len() < header {
        return refuse(format!("it ends inside its header, after {} of {header} bytes", content.len()));
    }
    let sizes = content[4..header].chunks_exact(4);
    let shape: Vec<usize> = sizes.map(|size| size.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte))).collect();
    let told = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let values = &content[header..];
    if told != Some(values.len()) {
        let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
        return refuse(format!("its header tells of {} bytes, and {} follow", sizes.join(" x "), values.len()));
    }
    Ok(Array { shape, values: values.to_vec() })
}

#[cfg(test)]
pub(crate) fn written(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut content = vec![0, 0, BYTES, shape.len() as u8];
    content.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    content.extend(values);
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_wrote() {
        // python: import struct, numpy as np; a = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
        //         (b'\x00\x00\x08\x03' + struct.pack('>3I', *a.shape) + a.tobytes()).hex()
        let hex = "00000803000000010000000200000003000102030405";
        let content: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        let array = parse("x", &content, 3..=3).unwrap();
        assert_eq!(array, Array { shape: vec![1, 2, 3], values: vec![0, 1, 2, 3, 4, 5] });
    }

    #[test]
    fn corrupt_files_are_refused() {
        let good = written(&[2, 1, 2], &[1, 2, 3, 4]);
        let refused =
            |content: &[u8], dimensions| parse("images", content, dimensions..=dimensions).unwrap_err().message;
        let with = |index: usize, byte: u8| {
            let mut bad = good.clone();
            bad[index] = byte;
            bad
        };
        assert!(parse("images", &good, 2..=3).is_ok());
        assert!(refused(&good[..3], 3).contains("too few for a header"));
        assert!(refused(&good[..9], 3).contains("inside its header, after 9 of 16 bytes"));
        assert!(refused(&good[..19], 3).contains("tells of 2 x 1 x 2 bytes, and 3 follow"));
        assert!(refused(&with(0, 0x1f), 3).contains("starts with 1f 00"));
        assert!(refused(&with(2, 0x0d), 3).contains("type 0x0d"));
        assert!(refused(&good, 1).contains("3 dimensions where 1 are needed"));
        // A size so large that the product overflows.
        let huge = written(&[u32::MAX, u32::MAX, u32::MAX], &[]);
        assert!(refused(&huge, 3).contains("and 0 follow"));
    }
}
