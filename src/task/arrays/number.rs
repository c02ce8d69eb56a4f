//! The types of numbers that arrays of images and labels are written in.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub kind: Kind,
    /// Its first byte is the most significant.
    pub big_endian: bool,
}

impl Number {
    /// As numpy calls it.
    pub fn name(self) -> &'static str {
        match self.kind {
            Kind::Bool => "bool",
            Kind::U8 => "uint8",
            Kind::I8 => "int8",
            Kind::U16 => "uint16",
            Kind::I16 => "int16",
            Kind::U32 => "uint32",
            Kind::I32 => "int32",
            Kind::U64 => "uint64",
            Kind::I64 => "int64",
            Kind::F32 => "float32",
            Kind::F64 => "float64",
        }
    }

    pub fn bytes(self) -> usize {
        match self.kind {
            Kind::Bool | Kind::U8 | Kind::I8 => 1,
            Kind::U16 | Kind::I16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 => 8,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self.kind, Kind::F32 | Kind::F64)
    }

    /// Appends the numbers of whole values to `values`. Integers beyond 2^53 are rounded: no pixel and no label is there.
    pub fn decode(self, raw: &[u8], values: &mut Vec<f64>) {
        macro_rules! of {
            ($number:ty) => {
                values.extend(raw.as_chunks().0.iter().map(|&bytes| match self.big_endian {
                    true => <$number>::from_be_bytes(bytes) as f64,
                    false => <$number>::from_le_bytes(bytes) as f64,
                }))
            };
        }
        match self.kind {
            Kind::Bool | Kind::U8 => of!(u8),
            Kind::I8 => of!(i8),
            Kind::U16 => of!(u16),
            Kind::I16 => of!(i16),
            Kind::U32 => of!(u32),
            Kind::I32 => of!(i32),
            Kind::U64 => of!(u64),
            Kind::I64 => of!(i64),
            Kind::F32 => of!(f32),
            Kind::F64 => of!(f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_are_read() {
        let read = |kind, big_endian, raw: &[u8]| {
            let mut values = Vec::new();
            Number { kind, big_endian }.decode(raw, &mut values);
            values
        };
        assert_eq!(read(Kind::I16, false, &[0xfe, 0xff, 1, 0]), [-2.0, 1.0]);
        assert_eq!(read(Kind::I16, true, &[0xff, 0xfe, 0, 1]), [-2.0, 1.0]);
        assert_eq!(read(Kind::F32, true, &1.5f32.to_be_bytes()), [1.5]);
        assert_eq!(read(Kind::F64, false, &(-0.25f64).to_le_bytes()), [-0.25]);
        assert_eq!(read(Kind::U64, false, &7u64.to_le_bytes()), [7.0]);
    }
}
