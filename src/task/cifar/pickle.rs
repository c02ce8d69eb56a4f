//! CIFAR's "python version" (what torchvision leaves on disk): dicts of labels and one array of bytes, written by Python 2 in
//! protocol 2. A pickle is a program; this reads the one that CIFAR's files are, and what they do not hold (a call, an
//! object, another opcode) is refused by name. Nothing is ever called.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::{Error, Result};

/// A larger file is none of CIFAR's, the largest of which has 155 MB.
const LARGEST: usize = 200 << 20;

/// Records of the binary version: for each image its labels, one of each of `labels`, then its row of `data`. `what` names
/// the file in messages.
pub fn records(what: &str, content: &[u8], labels: &[&str], image: usize) -> Result<Vec<u8>> {
    let refuse = |why: String| {
        Error::failed(format!("{what} is not a file of CIFAR's Python version: {why}")).hint(
            "only those are read: a pickle of your own is a program; save its arrays with np.savez and name npz:FILE",
        )
    };
    if content.len() > LARGEST {
        return Err(refuse(format!("it has {} bytes", content.len())));
    }
    let top = Reader { content, at: 0, stack: Vec::new(), memo: BTreeMap::new() }.run().map_err(refuse)?;
    let Value::Dict(pairs) = top else { return Err(refuse("it is no dict".into())) };
    let find = |key: &str| {
        let found = pairs.iter().find(|(name, _)| matches!(name, Value::Text(text) if *text == key.as_bytes()));
        found.map(|(_, value)| value).ok_or_else(|| refuse(format!("it has no '{key}'")))
    };
    let (rows, values) = match find("data")? {
        Value::Array { shape: [rows, size], values } if *size == image => (*rows, content.get(values.clone())),
        _ => return Err(refuse(format!("'data' is no array of bytes with {image} in a row"))),
    };
    let values = values.filter(|values| rows.checked_mul(image) == Some(values.len()));
    let values = values.ok_or_else(|| refuse(format!("'data' does not have the {rows} rows that it tells of")))?;
    let mut columns = Vec::new();
    for key in labels {
        let Value::List(list) = find(key)? else { return Err(refuse(format!("'{key}' is no list"))) };
        let bytes = list.iter().map(|label| match label {
            Value::Number(label) => u8::try_from(*label).ok(),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        let bytes = bytes.ok_or_else(|| refuse(format!("'{key}' has a label that is no number from 0 to 255")))?;
        if bytes.len() != rows {
            return Err(refuse(format!("'{key}' has {} labels, and there are {rows} images", bytes.len())));
        }
        columns.push(bytes);
    }
    let mut records = Vec::with_capacity(rows * (image + labels.len()));
    for (row, pixels) in values.chunks_exact(image).enumerate() {
        records.extend(columns.iter().map(|column| column[row]));
        records.extend(pixels);
    }
    Ok(records)
}

/// What can stand in such a file.
#[derive(Clone, Debug)]
enum Value<'a> {
    None,
    Flag(bool),
    Number(i64),
    Text(&'a [u8]),
    /// A function or a type by its name.
    Global(&'a [u8], &'a [u8]),
    /// `numpy.dtype('u1')`.
    Bytes,
    /// An array of bytes, where its values are in the content; none of both before it is built.
    Array {
        shape: [usize; 2],
        values: Range<usize>,
    },
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Mark,
}

struct Reader<'a> {
    content: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// Names and texts that are referred to again; nothing that can change or grow.
    memo: BTreeMap<u32, Value<'a>>,
}

type Step<T> = std::result::Result<T, String>;

impl<'a> Reader<'a> {
    fn run(mut self) -> Step<Value<'a>> {
        loop {
            let (at, opcode) = (self.at, self.byte()?);
            match opcode {
                0x80 => match self.byte()? {
                    2 => (),
                    other => return Err(format!("it is a pickle of protocol {other}, and CIFAR's have protocol 2")),
                },
                b'.' => return self.pop(),
                b'}' => self.stack.push(Value::Dict(Vec::new())),
                b']' => self.stack.push(Value::List(Vec::new())),
                b')' => self.stack.push(Value::Tuple(Vec::new())),
                b'(' => self.stack.push(Value::Mark),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Flag(opcode == 0x88)),
                b'K' => self.number(1)?,
                b'M' => self.number(2)?,
                b'J' => self.number(4)?,
                b'U' => self.text(1)?,
                b'T' => self.text(4)?,
                b'q' => self.keep(1)?,
                b'r' => self.keep(4)?,
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.stack.push(Value::Global(module, name));
                }
                0x85..=0x87 => {
                    let items = self.stack.len().checked_sub(usize::from(opcode - 0x84)).ok_or_else(short)?;
                    let items = self.stack.split_off(items);
                    self.stack.push(Value::Tuple(items));
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.stack.push(Value::Tuple(items));
                }
                b'a' | b'e' => {
                    let items = if opcode == b'a' { vec![self.pop()?] } else { self.since_mark()? };
                    let Some(Value::List(list)) = self.stack.last_mut() else { return Err(short()) };
                    list.extend(items);
                }
                b's' | b'u' => self.set_items(opcode == b's')?,
                b'R' => self.call()?,
                b'b' => self.build()?,
                other => {
                    return Err(format!("it has the opcode 0x{other:02x} at byte {at}, which CIFAR's files have not"));
                }
            }
        }
    }

    /// A call: those of numpy's that make an array of bytes are known, and are not calls here.
    fn call(&mut self) -> Step<()> {
        let (Value::Tuple(arguments), called) = (self.pop()?, self.pop()?) else { return Err(short()) };
        let Value::Global(module, name) = called else { return Err("it calls what has no name".into()) };
        let made = match (module, name, arguments.first()) {
            (b"numpy.core.multiarray", b"_reconstruct", Some(Value::Global(b"numpy", b"ndarray"))) => {
                Value::Array { shape: [0, 0], values: 0..0 }
            }
            (b"numpy", b"dtype", Some(Value::Text(b"u1"))) => Value::Bytes,
            (b"numpy", b"dtype", Some(Value::Text(other))) => {
                return Err(format!("it has an array of '{}', not of bytes", String::from_utf8_lossy(other)));
            }
            _ => {
                let called = [module, b".", name].concat();
                return Err(format!("it calls {}, and nothing is called here", String::from_utf8_lossy(&called)));
            }
        };
        self.stack.push(made);
        Ok(())
    }

    /// Gives an array its shape and values: (version, shape, type, Fortran order, values).
    fn build(&mut self) -> Step<()> {
        let Value::Tuple(state) = self.pop()? else { return Err("it builds an object".into()) };
        match (self.stack.last_mut(), state.as_slice()) {
            // What a type of one byte says of itself changes nothing.
            (Some(Value::Bytes), _) => Ok(()),
            (
                Some(Value::Array { shape, values }),
                [_, Value::Tuple(sides), Value::Bytes, Value::Flag(false), Value::Text(text)],
            ) => {
                let [Value::Number(rows), Value::Number(size)] = sides[..] else {
                    return Err("its array has not two sides".into());
                };
                let side = |side: i64| usize::try_from(side).map_err(|_| "its array has a side below 0".to_owned());
                *shape = [side(rows)?, side(size)?];
                let start = text.as_ptr() as usize - self.content.as_ptr() as usize;
                *values = start..start + text.len();
                Ok(())
            }
            _ => Err("it builds an object that is no array of bytes".into()),
        }
    }

    fn set_items(&mut self, one: bool) -> Step<()> {
        let items = match one {
            true => self.stack.len().checked_sub(2).map(|at| self.stack.split_off(at)).ok_or_else(short)?,
            false => self.since_mark()?,
        };
        let Some(Value::Dict(pairs)) = self.stack.last_mut() else { return Err(short()) };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            pairs.push((key, value));
        }
        Ok(())
    }

    fn keep(&mut self, bytes: usize) -> Step<()> {
        let place = self.unsigned(bytes)?;
        // Lists and arrays are kept too, and never asked for again.
        if let Some(value @ (Value::Text(_) | Value::Global(..) | Value::Bytes)) = self.stack.last() {
            self.memo.insert(place, value.clone());
        }
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Step<()> {
        let place = self.unsigned(bytes)?;
        let value = self.memo.get(&place).cloned().ok_or("it refers to a list or an array twice")?;
        self.stack.push(value);
        Ok(())
    }

    fn number(&mut self, bytes: usize) -> Step<()> {
        let value = self.unsigned(bytes)?;
        // Four bytes have a sign.
        self.stack.push(Value::Number(if bytes == 4 { i64::from(value as i32) } else { value.into() }));
        Ok(())
    }

    fn text(&mut self, bytes: usize) -> Step<()> {
        let length = self.unsigned(bytes)? as usize;
        let text = self.take(length)?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn since_mark(&mut self) -> Step<Vec<Value<'a>>> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark)).ok_or_else(short)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn pop(&mut self) -> Step<Value<'a>> {
        self.stack.pop().ok_or_else(short)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.take(1)?[0])
    }

    fn unsigned(&mut self, bytes: usize) -> Step<u32> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn line(&mut self) -> Step<&'a [u8]> {
        let end = self.content[self.at..].iter().position(|&byte| byte == b'\n').ok_or_else(short)?;
        let line = self.take(end)?;
        self.at += 1;
        Ok(line)
    }

    fn take(&mut self, bytes: usize) -> Step<&'a [u8]> {
        let taken = self.at.checked_add(bytes).and_then(|end| self.content.get(self.at..end)).ok_or_else(short)?;
        self.at += bytes;
        Ok(taken)
    }
}

fn short() -> String {
    "it is cut off or damaged".into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A batch as cPickle of Python 2.7 wrote it, byte for byte: pickle.dump({'batch_label': …, 'labels': […], 'data': array,
    /// 'filenames': […]}, file, 2). The same bytes are read by Python 3 (torchvision's way), numpy imported:
    ///   batch = pickle.load(open(file, 'rb'), encoding='latin1'); batch['data'].shape == (2, 3072)
    pub fn written(labels: &[(&str, Vec<u8>)], images: &[u8], image: usize) -> Vec<u8> {
        let text = |text: &str| [b"U", [text.len() as u8].as_slice(), text.as_bytes()].concat();
        let long = |number: usize| (number as u32).to_le_bytes();
        let mut file =
            [b"\x80\x02}q\x01(".as_slice(), &text("batch_label"), b"q\x02", &text("training batch 1 of 5")].concat();
        for (key, values) in labels {
            file.extend([&text(key), b"q\x04]q\x05(".as_slice()].concat());
            file.extend(values.iter().flat_map(|&label| [b'K', label]));
            file.push(b'e');
        }
        file.extend([&text("data"), b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\tU\x01bq\n\x87Rq\x0b(K\x01J".as_slice()].concat());
        file.extend([&long(images.len() / image), b"M".as_slice(), &long(image)[..2]].concat());
        file.extend(b"\x86cnumpy\ndtype\nq\x0cU\x02u1K\x00K\x01\x87Rq\r(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
        file.extend([&long(images.len()), images, b"tb", &text("filenames"), b"q\x0e]q\x0fh\x02au."].concat());
        file
    }

    #[test]
    fn a_batch_becomes_the_records_of_the_binary_version() {
        let images: Vec<u8> = (0..12).collect();
        let file = written(&[("labels", vec![6, 9])], &images, 6);
        assert_eq!(records("x", &file, &["labels"], 6).unwrap(), [6, 0, 1, 2, 3, 4, 5, 9, 6, 7, 8, 9, 10, 11]);
        let file = written(&[("fine_labels", vec![19]), ("coarse_labels", vec![11])], &images, 12);
        assert_eq!(records("x", &file, &["coarse_labels", "fine_labels"], 12).unwrap()[..3], [11, 19, 0]);
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let images: Vec<u8> = (0..12).collect();
        let good = written(&[("labels", vec![6, 9])], &images, 6);
        let refused = |file: &[u8]| records("x", file, &["labels"], 6).unwrap_err().message;
        // python3 -c "import pickle, os
        // class A:
        //     def __reduce__(self): return os.system, ('true',)
        // print(pickle.dumps(A(), 2))"
        let evil = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
        assert!(
            refused(evil).ends_with("it has the opcode 0x58 at byte 18, which CIFAR's files have not"),
            "{}",
            refused(evil)
        );
        let evil = b"\x80\x02cposix\nsystem\nq\x00U\x04trueq\x01\x85q\x02Rq\x03.";
        assert!(refused(evil).ends_with("it calls posix.system, and nothing is called here"), "{}", refused(evil));
        assert!(refused(b"\x80\x04N.").contains("a pickle of protocol 4"));
        assert!(refused(b"\x80\x02N.").contains("it is no dict"));
        assert!(refused(b"\x80\x02}.").contains("it has no 'data'"));
        assert!(
            refused(&written(&[("labels", vec![6])], &images, 6)).contains("'labels' has 1 labels, and there are 2")
        );
        assert!(refused(&written(&[], &images, 6)).contains("it has no 'labels'"));
        assert!(refused(&written(&[], &images, 4)).contains("no array of bytes with 6 in a row"));
        for cut in 0..good.len() {
            assert!(records("x", &good[..cut], &["labels"], 6).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            let mut bent = good.clone();
            bent[at] ^= 0x55;
            let _ = records("x", &bent, &["labels"], 6);
        }
        // Values that would double with each reference are kept nowhere.
        assert!(refused(b"\x80\x02]q\x01h\x01.").contains("it refers to a list or an array twice"));
    }
}
