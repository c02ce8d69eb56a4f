//! Which columns of a Parquet file are its images and its labels, and what its classes are called.

use ::parquet::basic::Type as Physical;
use ::parquet::file::metadata::FileMetaData;
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

use crate::error::{Error, Result};

/// A column by its number, and the level at which a value is there.
#[derive(Clone, Copy)]
pub struct Column {
    pub index: usize,
    pub defined: i16,
}

pub struct Schema {
    pub image: Column,
    pub label: Column,
    /// In the order of the labels.
    pub classes: Option<Vec<String>>,
}

impl Schema {
    /// The columns that are named, or the ones that can be meant.
    pub fn of(file: &FileMetaData, image: Option<&str>, label: Option<&str>) -> Result<Self> {
        let columns = file.schema_descr().columns();
        let features = features(file);
        let has = || {
            let mut names: Vec<&str> =
                columns.iter().filter_map(|column| Some(column.path().parts().first()?.as_str())).collect();
            names.dedup();
            names.join(", ")
        };
        let choose = |key: &str, named: Option<&str>, found: Vec<usize>| match (named, found.as_slice()) {
            (_, &[index]) => Ok(Column { index, defined: columns[index].max_def_level() }),
            (Some(name), _) => Err(Error::bad_input(format!("it has no column '{name}' of {key}s; it has {}", has()))),
            (None, []) => Err(Error::bad_input(format!("it has no column of {key}s that is known; it has {}", has()))
                .hint(format!("{key} = \"COLUMN\" names it"))),
            (None, _) => Err(Error::bad_input(format!("more than one column may be the {key}; it has {}", has()))
                .hint(format!("{key} = \"COLUMN\" names it"))),
        };
        let all = |is: &dyn Fn(&str, &ColumnDescriptor) -> bool| -> Vec<usize> {
            let name = |column: &ColumnDescriptor| column.path().parts().first().cloned().unwrap_or_default();
            (0..columns.len())
                .filter(|&index| columns[index].max_rep_level() == 0 && is(&name(&columns[index]), &columns[index]))
                .collect()
        };
        // A struct with bytes, or bytes by themselves.
        let holds_files = |column: &ColumnDescriptor| {
            let parts = column.path().parts();
            column.physical_type() == Physical::BYTE_ARRAY
                && (parts.len() == 1 || (parts.len() == 2 && parts[1] == "bytes"))
        };
        let images = match image {
            Some(named) => all(&|name, column| name == named && holds_files(column)),
            None => all(&|_, column| holds_files(column) && column.path().parts().len() == 2),
        };
        let is_label = |column: &ColumnDescriptor| {
            matches!(column.physical_type(), Physical::INT32 | Physical::INT64 | Physical::BYTE_ARRAY)
                && column.path().parts().len() == 1
        };
        let is_class = |name: &str| features[name]["_type"] == "ClassLabel";
        let labels = match label {
            Some(named) => all(&|name, column| name == named && is_label(column)),
            None => match all(&|name, column| is_class(name) && is_label(column)) {
                found if found.is_empty() => {
                    all(&|name, column| ["label", "labels"].contains(&name) && is_label(column))
                }
                found => found,
            },
        };
        let (image, label) = (choose("image", image, images)?, choose("label", label, labels)?);
        let name = columns[label.index].path().parts().first().cloned().unwrap_or_default();
        Ok(Self { image, label, classes: names(&features[name.as_str()]) })
    }
}

/// What Hugging Face's datasets writes of each column; null where it wrote nothing.
fn features(file: &FileMetaData) -> Value {
    let written = file.key_value_metadata().into_iter().flatten().find(|pair| pair.key == "huggingface");
    let mut written = written.and_then(|pair| serde_json::from_str::<Value>(pair.value.as_deref()?).ok());
    written.as_mut().and_then(|written| written.pointer_mut("/info/features")).map(Value::take).unwrap_or_default()
}

/// `{"_type": "ClassLabel", "names": ["cat", "dog"]}`.
fn names(feature: &Value) -> Option<Vec<String>> {
    let names = feature["names"].as_array()?;
    names.iter().map(|name| name.as_str().map(String::from)).collect()
}
