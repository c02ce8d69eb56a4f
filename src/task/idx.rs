//! The idx format of MNIST and those after it: a big-endian header of sizes, then numbers.
//! (<http://yann.lecun.com/exdb/mnist/>: two zero bytes, a type, the number of dimensions, each size in 4 bytes.)

use std::io::{BufReader, Read, Seek};
use std::ops::RangeInclusive;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Context, Error, Kind as ErrorKind, Result};
use crate::files::and_is;
use crate::task::arrays::{self, Kind, Number};

/// The type codes, and what they stand for.
const NUMBERS: [(u8, Kind); 6] =
    [(0x08, Kind::U8), (0x09, Kind::I8), (0x0b, Kind::I16), (0x0c, Kind::I32), (0x0d, Kind::F32), (0x0e, Kind::F64)];

/// An idx array of bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<u8>,
}

/// Reads an array of bytes with as many dimensions as are in `dimensions`. Refuses another format, another type, and sizes
/// that are not those of the content; `what` names the file in the message.
pub fn parse(what: &str, content: &[u8], dimensions: RangeInclusive<usize>) -> Result<Array> {
    let mut values = content;
    let (shape, number) = header(&mut values, dimensions).map_err(|reason| unusable(what, &reason))?;
    if number.kind != Kind::U8 {
        return Err(unusable(what, &format!("its values are {}, and bytes are needed", number.name())));
    }
    let told = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    if told != Some(values.len() as u64) {
        let sizes: Vec<String> = shape.iter().map(u64::to_string).collect();
        let message = format!("its header tells of {} bytes, and {} follow", sizes.join(" x "), values.len());
        return Err(unusable(what, &message));
    }
    Ok(Array { shape: shape.into_iter().map(|size| size as usize).collect(), values: values.to_vec() })
}

/// An array on disk, plain or gzip; what is packed is unpacked into the folder `scratch`.
pub fn open(path: &Path, dimensions: RangeInclusive<usize>, scratch: &Path) -> Result<arrays::Array> {
    let what = path.display().to_string();
    let failed = || format!("cannot read {what}");
    let unusable =
        |reason: String| Error { kind: ErrorKind::BadInput, ..unusable(&format!("{what}{}", and_is(path)), &reason) };
    let mut file = crate::files::open(path).context(failed)?;
    let mut head = Vec::new();
    (&file).take(2).read_to_end(&mut head).context(failed)?;
    file.rewind().context(failed)?;
    if head == [0x1f, 0x8b] {
        let mut unpacked = MultiGzDecoder::new(BufReader::new(file));
        let (shape, number) = header(&mut unpacked, dimensions).map_err(unusable)?;
        let values = arrays::unpack(&what, &shape, number, &mut unpacked, scratch)?;
        return arrays::Array::new(what, shape, number, values, 0);
    }
    let (shape, number) = header(&mut file, dimensions).map_err(unusable)?;
    let start = 4 + 4 * shape.len() as u64;
    arrays::Array::new(what, shape, number, file, start)
}

fn unusable(what: &str, reason: &str) -> Error {
    Error::failed(format!("{what} is not a usable idx file: {reason}"))
}

/// Reads sizes and type, or says what is wrong.
fn header(reader: &mut impl Read, dimensions: RangeInclusive<usize>) -> Result<(Vec<u64>, Number), String> {
    let mut header = Vec::new();
    let mut more = |header: &mut Vec<u8>, bytes: usize| {
        reader
            .by_ref()
            .take((bytes - header.len()) as u64)
            .read_to_end(header)
            .map_err(|error| format!("cannot unpack it: {error}"))
    };
    more(&mut header, 4)?;
    let [zero, also_zero, code, found] = header[..] else {
        return Err(format!("it has {} bytes, too few for a header", header.len()));
    };
    if [zero, also_zero] != [0, 0] {
        return Err(format!("it starts with {zero:02x} {also_zero:02x}, not with two zero bytes"));
    }
    let Some((_, kind)) = NUMBERS.iter().find(|(known, _)| *known == code) else {
        return Err(format!("its values have type 0x{code:02x}, which idx does not have"));
    };
    let found = usize::from(found);
    if !dimensions.contains(&found) {
        let (least, most) = dimensions.into_inner();
        let needed = if least == most { least.to_string() } else { format!("{least} to {most}") };
        return Err(format!("it has {found} dimensions where {needed} are needed"));
    }
    let whole = 4 + 4 * found;
    more(&mut header, whole)?;
    if header.len() < whole {
        return Err(format!("it ends inside its header, after {} of {whole} bytes", header.len()));
    }
    let sizes = header[4..].as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size).into()).collect();
    Ok((sizes, Number { kind: *kind, big_endian: true }))
}

#[cfg(test)]
pub(crate) fn written(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut content = vec![0, 0, 0x08, shape.len() as u8];
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
        assert!(refused(&with(2, 0x0d), 3).contains("its values are float32, and bytes are needed"));
        assert!(refused(&with(2, 0x0a), 3).contains("type 0x0a, which idx does not have"));
        assert!(refused(&good, 1).contains("3 dimensions where 1 are needed"));
        // A size so large that the product overflows.
        let huge = written(&[u32::MAX, u32::MAX, u32::MAX], &[]);
        assert!(refused(&huge, 3).contains("and 0 follow"));
    }
}
