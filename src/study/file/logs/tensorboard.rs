//! TensorBoard's event files: records of a length, its checksum, a protocol buffer and its checksum (TFRecord,
//! tensorflow/core/lib/io/record_writer.h; the messages: tensorflow/core/util/event.proto, framework/summary.proto).

use std::collections::BTreeMap;

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use super::{Damage, number};
use crate::study::file::table::Gathered;

const CHECK: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<Tensor>,
}

/// A scalar as TensorFlow 2 writes it.
#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(bytes = "vec", tag = "4")]
    content: Vec<u8>,
    #[prost(float, repeated, tag = "5")]
    floats: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    doubles: Vec<f64>,
}

impl Value {
    /// Nothing of images, histograms and text.
    fn number(&self) -> Option<String> {
        const FLOAT: i32 = 1;
        const DOUBLE: i32 = 2;
        if let Some(value) = self.simple_value {
            return Some(value.to_string());
        }
        let Tensor { dtype, content, floats, doubles } = self.tensor.as_ref()?;
        match (*dtype, content.len(), floats.as_slice(), doubles.as_slice()) {
            (FLOAT, 0, [value], _) => Some(value.to_string()),
            (DOUBLE, 0, _, [value]) => Some(value.to_string()),
            (FLOAT, 4, ..) => number(content, 0).map(|bytes| f32::from_le_bytes(bytes).to_string()),
            (DOUBLE, 8, ..) => number(content, 0).map(|bytes| f64::from_le_bytes(bytes).to_string()),
            _ => None,
        }
    }
}

/// Adds a row for each step of the run `run`; a value that is logged again at a step replaces the one before.
pub(super) fn rows(bytes: &[u8], run: &str, gathered: &mut Gathered) -> Result<(), Damage> {
    let mut steps: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    let whole = each_record(bytes, |record| {
        let Ok(event) = Event::decode(record) else { return false };
        for value in event.summary.iter().flat_map(|summary| &summary.value) {
            if let Some(number) = value.number() {
                steps.entry(event.step).or_default().insert(value.tag.clone(), number);
            }
        }
        true
    });
    for (step, values) in steps {
        gathered.row(0);
        gathered.cell("run".into(), run);
        gathered.cell("step".into(), &step.to_string());
        for (tag, value) in values {
            gathered.cell(tag, &value);
        }
    }
    whole
}

/// Gives every whole record; `take` says whether it made sense of it. A file that ends within a record is one whose
/// writer was stopped: no damage.
fn each_record(bytes: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> Result<(), Damage> {
    const FRAME: usize = 8 + 4;
    let mut at = 0;
    while let (Some(length), Some(check)) = (number(bytes, at), number(bytes, at + 8)) {
        if masked(&length) != u32::from_le_bytes(check) {
            return Err(Damage { at, what: "a length with a wrong checksum" });
        }
        let from = at + FRAME;
        let to = usize::try_from(u64::from_le_bytes(length)).ok().and_then(|length| from.checked_add(length));
        let Some((to, record)) = to.and_then(|to| Some((to, bytes.get(from..to)?))) else { return Ok(()) };
        let Some(check) = number(bytes, to) else { return Ok(()) };
        if masked(record) != u32::from_le_bytes(check) || !take(record) {
            return Err(Damage { at, what: "a damaged record" });
        }
        at = to + 4;
    }
    Ok(())
}

/// TFRecord stores checksums rotated, since checksums of data that hold checksums are weak.
fn masked(bytes: &[u8]) -> u32 {
    CHECK.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn record(event: &Event) -> Vec<u8> {
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        [&length[..], &masked(&length).to_le_bytes(), &data, &masked(&data).to_le_bytes()].concat()
    }

    pub fn events(scalars: &[(i64, &str, f32)]) -> Vec<u8> {
        let event = |(step, tag, value): &(i64, &str, f32)| Event {
            step: *step,
            summary: Some(Summary {
                value: vec![Value { tag: (*tag).into(), simple_value: Some(*value), tensor: None }],
            }),
        };
        scalars.iter().flat_map(|scalar| record(&event(scalar))).collect()
    }

    /// from tensorboardX import SummaryWriter
    /// w = SummaryWriter("tb"); w.add_scalar("val/loss", 1.75, 300); w.close(); the file in hexadecimal, without its
    /// first record (the version).
    const WRITTEN: &str =
        "1f00000000000000514b441809ce0785f86ac2da4110ac022a110a0f0a0876616c2f6c6f7373150000e03fd78cebda";

    fn read(bytes: &[u8]) -> (Vec<Vec<String>>, Result<(), Damage>) {
        let mut gathered = Gathered::default();
        let whole = rows(bytes, "r", &mut gathered);
        let Some(table) = gathered.table("t") else { return (Vec::new(), whole) };
        let row = |row| (0..table.header.len()).map(|column| table.shown(row, column)).collect();
        ((0..table.rows()).map(row).collect(), whole)
    }

    #[test]
    fn what_another_program_wrote_is_read() {
        let bytes: Vec<u8> =
            (0..WRITTEN.len()).step_by(2).map(|at| u8::from_str_radix(&WRITTEN[at..at + 2], 16).unwrap()).collect();
        assert_eq!(read(&bytes), (vec![vec!["r".to_string(), "300".into(), "1.75".into()]], Ok(())));
    }

    #[test]
    fn the_last_value_of_a_step_counts_and_a_torn_end_is_no_damage() {
        let bytes = events(&[(2, "loss", 3.0), (1, "loss", 4.0), (2, "loss", 2.5)]);
        let expected = [["r", "1", "4"], ["r", "2", "2.5"]];
        assert_eq!(
            read(&bytes),
            (expected.iter().map(|row| row.iter().map(|c| c.to_string()).collect()).collect(), Ok(()))
        );
        let (torn, whole) = read(&bytes[..bytes.len() - 3]);
        assert_eq!((torn[1][2].as_str(), whole), ("3", Ok(())));
        let mut flipped = bytes.clone();
        let at = bytes.len() - 8;
        flipped[at] ^= 1;
        let (before, damage) = read(&flipped);
        assert_eq!((before[1][2].as_str(), damage.unwrap_err().what), ("3", "a damaged record"));
    }

    #[test]
    fn tensors_of_one_number_are_scalars_and_others_are_not() {
        let tensor = |dtype, content: Vec<u8>| Value {
            tag: "t".into(),
            simple_value: None,
            tensor: Some(Tensor { dtype, content, floats: Vec::new(), doubles: Vec::new() }),
        };
        assert_eq!(tensor(1, 1.5f32.to_le_bytes().to_vec()).number().as_deref(), Some("1.5"));
        assert_eq!(tensor(2, 0.25f64.to_le_bytes().to_vec()).number().as_deref(), Some("0.25"));
        assert_eq!(tensor(1, vec![0; 8]).number(), None);
        assert_eq!(tensor(7, b"text".to_vec()).number(), None);
    }
}
