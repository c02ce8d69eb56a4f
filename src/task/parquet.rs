//! `parquet:PATH`: images in Parquet as Hugging Face's datasets keep them, a column of encoded files and one of labels, in one
//! file or several for each split (`train-00000-of-00002.parquet`). Names of classes are those of the files' metadata.

mod columns;
mod schema;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::files::and_is;
use crate::task::arrays::FIRST_LABEL;
use crate::task::config::Entry;
use crate::task::imported::picture::Look;
use crate::task::imported::{Import, Opened};
use crate::task::packed::{self, Listed, Samples};
use columns::{bytes, labels};
use schema::Schema;

pub const ENTRY: Entry = Entry::imported::<Parquet>(
    "parquet",
    Some(("files", "PATH")),
    "your own images in Parquet, as Hugging Face's datasets keep them",
    &[
        ("files", "a folder of .parquet files, such as train-00000-of-00002.parquet, or one of them"),
        ("image", "the column of images; the only one that holds files, if not given"),
        ("label", "the column of labels; the only one of classes, or label, if not given"),
        FIRST_LABEL,
    ],
)
.of_pictures();

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Parquet {
    files: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_label: Option<i64>,
    #[serde(flatten)]
    look: Look,
}

impl Import for Parquet {
    const PATHS: &'static [&'static str] = &["files"];

    fn check(&self) -> Result<()> {
        if self.files.is_none() {
            return Err(Error::bad_input("it needs files").hint("name them parquet:PATH, or give the key files"));
        }
        self.look.check()
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(self.listed()?.paths())
    }

    /// Pages are packed and in pieces, so the encoded images are copied into `scratch`, one after the other.
    fn open(&self, scratch: &Path) -> Result<Opened> {
        let listed = self.listed()?;
        let mut samples = Samples::default();
        let mut classes = None;
        for (path, part) in &listed.files {
            let named = |error: Error| error.context(path.display());
            let copy = packed::scratch(scratch)?;
            samples.file(path.display().to_string(), copy.try_clone().context(|| "cannot copy")?);
            // The decoder trusts counts that a damaged file gets wrong, and has been seen to panic on them.
            let read = catch_unwind(AssertUnwindSafe(|| self.read(path, *part, copy, &mut samples)));
            let found = read.unwrap_or_else(|_| Err(Error::bad_input("it is damaged"))).map_err(named)?;
            match &classes {
                None => classes = Some(found),
                Some(before) if *before == found => (),
                Some(_) => {
                    return Err(named(Error::bad_input("its classes have other names than those of the first file")));
                }
            }
        }
        samples.open(self.look.clone(), listed.said("files"), classes.flatten(), self.first_label)
    }
}

impl Parquet {
    fn listed(&self) -> Result<Listed> {
        Listed::of(self.files.as_deref().unwrap_or_default(), &[".parquet"])
    }

    /// Copies the images of one file; gives the names of its classes, where it has them.
    fn read(&self, path: &Path, part: usize, copy: File, samples: &mut Samples) -> Result<Option<Vec<String>>> {
        let file = crate::files::open(path).context(|| "cannot read it")?;
        let reader = SerializedFileReader::new(file).map_err(|error| {
            Error::bad_input(format!("it is no Parquet that can be read ({error}){}", and_is(path)))
        })?;
        let schema = Schema::of(reader.metadata().file_metadata(), self.image.as_deref(), self.label.as_deref())?;
        let (mut writer, mut at, mut row) = (BufWriter::new(copy), 0, 0u64);
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(damaged)?;
            let mut labels = labels(&*group, &schema)?.into_iter();
            bytes(&*group, schema.image, &mut |image| {
                row += 1;
                let why = || format!("row {row}");
                let image = image.filter(|image| !image.is_empty()).ok_or_else(|| {
                    Error::bad_input(format!(
                        "row {row} has no image in it: a file beside the Parquet file is not read"
                    ))
                })?;
                let label =
                    labels.next().flatten().ok_or_else(|| Error::bad_input(format!("row {row} has no label")))?;
                writer.write_all(image).context(|| "cannot copy its images into the cache folder")?;
                samples.add(part, at, image.len() as u64, label).map_err(|error| error.context(why()))?;
                at += image.len() as u64;
                Ok(())
            })?;
        }
        writer.flush().context(|| "cannot copy its images into the cache folder")?;
        Ok(schema.classes)
    }
}

fn damaged(error: ParquetError) -> Error {
    Error::bad_input(format!("it cannot be read: {error}")).hint("the codecs read here are none, snappy, gzip and zstd")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::basic::Compression;
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use ::parquet::file::metadata::KeyValue;
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use ::parquet::schema::types::SchemaDescriptor;

    use super::*;
    use crate::run::Settings;
    use crate::task::config::Source;
    use crate::task::imported::parse_in;
    use crate::task::packed::tests::{png, shades};

    /// datasets.Dataset.from_dict({'image': [{'bytes': png, 'path': None}, …], 'label': [0, …]}, features=Features({'image':
    /// Image(), 'label': ClassLabel(names=['cat', 'dog'])})).to_parquet(file)                          # datasets 5.2.0
    const SCHEMA: &str = "message schema { optional group image { optional binary bytes; optional binary path (UTF8); } \
                          optional int64 label; }";
    const FEATURES: &str = r#"{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;

    /// Two row groups. A label of none is null; so is an image of no bytes.
    fn written(schema: &str, features: &str, rows: &[(Vec<u8>, Option<i64>)]) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let metadata = (!features.is_empty()).then(|| vec![KeyValue::new("huggingface".into(), features.to_owned())]);
        let properties =
            WriterProperties::builder().set_key_value_metadata(metadata).set_compression(Compression::SNAPPY);
        let names = SchemaDescriptor::new(schema.clone());
        let names: Vec<String> = names.columns().iter().map(|column| column.path().string()).collect();
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).unwrap();
        for rows in rows.chunks(rows.len().div_ceil(2)) {
            let mut group = writer.next_row_group().unwrap();
            for name in &names {
                let mut column = group.next_column().unwrap().unwrap();
                match name.as_str() {
                    "image.bytes" => {
                        let levels: Vec<i16> =
                            rows.iter().map(|(image, _)| if image.is_empty() { 1 } else { 2 }).collect();
                        let values: Vec<ByteArray> = rows
                            .iter()
                            .filter(|(image, _)| !image.is_empty())
                            .map(|(image, _)| image.clone().into())
                            .collect();
                        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
                    }
                    "image.path" => drop(
                        column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![1; rows.len()]), None).unwrap(),
                    ),
                    _ => {
                        let levels: Vec<i16> = rows.iter().map(|(_, label)| label.is_some().into()).collect();
                        let values: Vec<i64> = rows.iter().filter_map(|(_, label)| *label).collect();
                        column.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
                    }
                }
                column.close().unwrap();
            }
            group.close().unwrap();
        }
        writer.into_inner().unwrap()
    }

    /// Images of one shade each.
    fn rows(shades: std::ops::Range<u8>) -> Vec<(Vec<u8>, Option<i64>)> {
        shades.map(|shade| (png(shade), Some(i64::from(shade % 2)))).collect()
    }

    fn parse(path: &Path, more: &str) -> Result<Box<dyn Source>> {
        let given: Settings = serde_json::from_str(&format!(r#"{{"files": {path:?}, "size": 2{more}}}"#)).unwrap();
        Ok(parse_in::<Parquet>(&path.with_extension("cache"), "parquet", &given)?.0)
    }

    #[test]
    fn files_of_splits_are_read_with_the_names_of_their_classes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("set");
        std::fs::create_dir_all(root.join("data")).unwrap();
        for (name, range) in [
            ("train-00000-of-00002", 0..20),
            ("train-00001-of-00002", 20..30),
            ("validation-00000-of-00001", 30..34),
            ("test-00000-of-00001", 34..40),
        ] {
            std::fs::write(root.join(format!("data/{name}.parquet")), written(SCHEMA, FEATURES, &rows(range))).unwrap();
        }
        std::fs::write(root.join("README.md"), "no Parquet").unwrap();
        let task = parse(&root, "").unwrap();
        assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(30), 4, 6));
        assert_eq!((task.classes(), task.io().channels), (vec!["cat".to_owned(), "dog".into()], 3));
        let all = task.load(Path::new(""), 100).unwrap();
        assert_eq!(shades(&all.test, 12), (34..40).collect::<Vec<u8>>());
        assert_eq!(shades(&all.validation, 12), (30..34).collect::<Vec<u8>>());
        let mut train = shades(&all.train, 12);
        train.sort();
        assert_eq!(train, (0..30).collect::<Vec<u8>>());
        // One file is what there is to train on, whatever its name.
        let one =
            parse(&root.join("data/test-00000-of-00001.parquet"), r#", "test": 1, "validation": 1, "channels": 1"#)
                .unwrap();
        assert_eq!((one.splits().train, one.io().channels), (Some(4), 1));
    }

    #[test]
    fn columns_are_named_where_there_are_several() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: Vec<u8>| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let refused = |path: &Path, more: &str| {
            let error = parse(path, more).err().unwrap();
            format!(
                "{}; {}",
                error.message.split_once(".parquet: ").map_or("", |(_, why)| why),
                error.hint.unwrap_or_default()
            )
        };
        let two = SCHEMA.replace("optional int64 label;", "optional int64 coarse; optional int64 fine;");
        let features = r#"{"info": {"features": {"coarse": {"_type": "ClassLabel"}, "fine": {"names": ["a", "b"], "_type": "ClassLabel"}}}}"#;
        let path = file("two.parquet", written(&two, features, &rows(0..20)));
        assert_eq!(
            refused(&path, ""),
            "more than one column may be the label; it has image, coarse, fine; label = \"COLUMN\" names it"
        );
        assert_eq!(parse(&path, r#", "label": "fine""#).unwrap().classes(), ["a", "b"]);
        assert_eq!(parse(&path, r#", "label": "coarse""#).unwrap().classes(), ["0", "1"]);
        assert!(
            refused(&path, r#", "label": "colour""#)
                .starts_with("it has no column 'colour' of labels; it has image, coarse")
        );
        assert!(refused(&path, r#", "image": "fine""#).starts_with("it has no column 'fine' of images"));
        let plain = file("plain.parquet", written("message schema { optional int64 label; }", "", &rows(0..20)));
        assert!(
            refused(&plain, "")
                .starts_with("it has no column of images that is known; it has label; image = \"COLUMN\"")
        );
    }

    #[test]
    fn rows_and_files_that_cannot_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str, content: &[u8]| {
            let path = folder.path().join(format!("{name}.parquet"));
            std::fs::write(&path, content).unwrap();
            parse(&path, "").err().unwrap().message
        };
        let mut some = rows(0..20);
        some[11].1 = None;
        assert!(refused("label", &written(SCHEMA, FEATURES, &some)).ends_with("label.parquet: row 12 has no label"));
        some[3].0.clear();
        assert!(
            refused("image", &written(SCHEMA, FEATURES, &some)).contains("image.parquet: row 4 has no image in it")
        );
        let mut three = rows(0..20);
        three[0].1 = Some(2);
        assert!(
            refused("three", &written(SCHEMA, FEATURES, &three))
                .ends_with("there is a label 2, and 2 names of classes")
        );
        three[0].1 = Some(-1);
        assert!(
            refused("none", &written(SCHEMA, "", &three)).contains("there is a label -1, and with first_label = 0")
        );
        let mut bad = rows(0..20);
        bad[7].0 = b"no image".to_vec();
        assert!(
            refused("bad", &written(SCHEMA, FEATURES, &bad)).contains("bad.parquet: it is"),
            "{}",
            refused("bad", &written(SCHEMA, FEATURES, &bad))
        );
        assert!(refused("text", b"label,image\n").contains("it is no Parquet that can be read"));
        assert!(refused("zip", b"PK\x03\x04 and more").contains("it is a zip archive"));
        let whole = written(SCHEMA, FEATURES, &rows(0..20));
        for at in (4..whole.len()).step_by(31) {
            let mut bent = whole.clone();
            bent[at] ^= 0x55;
            let path = folder.path().join(format!("bent-{at}.parquet"));
            std::fs::write(&path, bent).unwrap();
            // An error or other pixels, never a panic.
            let _ = parse(&path, "");
        }
    }
}
