//! `webdataset:PATH`: shards of the WebDataset kind, tar archives in which `000.jpg` and `000.cls` are one example. A label is
//! a number or a name in `.cls`, or a field of `.json`. Splits are known by the names of the archives.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Context, Error, Result};
use crate::files::and_is;
use crate::task::arrays::FIRST_LABEL;
use crate::task::config::Entry;
use crate::task::imported::picture::{self, Look};
use crate::task::imported::{Import, Opened};
use crate::task::packed::{self, Label, Listed, Samples};

pub const ENTRY: Entry = Entry::imported::<WebDataset>(
    "webdataset",
    Some(("shards", "PATH")),
    "your own images in tar archives of the WebDataset kind",
    &[
        ("shards", "a folder of .tar files, one of them, or a pattern such as train-{000..012}.tar"),
        ("label", "the field of .json that is the label, where there is no .cls"),
        FIRST_LABEL,
    ],
)
.of_pictures();

const ENDS: [&str; 3] = [".tar", ".tar.gz", ".tgz"];
/// A label is a word; a longer one is something else.
const LONGEST_LABEL: u64 = 1 << 10;
const LONGEST_JSON: u64 = 1 << 20;

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct WebDataset {
    shards: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_label: Option<i64>,
    #[serde(flatten)]
    look: Look,
}

impl Import for WebDataset {
    const PATHS: &'static [&'static str] = &["shards"];

    fn check(&self) -> Result<()> {
        if self.shards.is_none() {
            return Err(Error::bad_input("it needs shards").hint("name them webdataset:PATH, or give the key shards"));
        }
        self.look.check()
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(self.listed()?.paths())
    }

    fn open(&self, scratch: &Path) -> Result<Opened> {
        let listed = self.listed()?;
        let mut samples = Samples::default();
        for (path, part) in &listed.files {
            self.shard(path, *part, scratch, &mut samples).map_err(|error| error.context(path.display()))?;
        }
        samples.open(self.look.clone(), listed.said("shards"), None, self.first_label)
    }
}

/// What is known of an example while its members pass by.
#[derive(Default)]
struct Example {
    key: String,
    image: Option<(u64, u64)>,
    label: Option<Label>,
    /// Ends of the names of other members, for the message.
    others: Vec<String>,
}

impl WebDataset {
    fn listed(&self) -> Result<Listed> {
        Listed::of(self.shards.as_deref().unwrap_or_default(), &ENDS)
    }

    fn shard(&self, path: &Path, part: usize, scratch: &Path, samples: &mut Samples) -> Result<()> {
        let failed = || "cannot read it";
        let file = unpacked(path, scratch)?;
        samples.file(path.display().to_string(), file.try_clone().context(failed)?);
        let mut tar = tar::Archive::new(BufReader::new(file));
        let mut example = Example::default();
        let no_tar =
            |error: std::io::Error| Error::bad_input(format!("it cannot be read as tar ({error}){}", and_is(path)));
        for entry in tar.entries_with_seek().map_err(no_tar)? {
            let mut entry = entry.map_err(no_tar)?;
            let (kind, size) = (entry.header().entry_type(), entry.size());
            if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            }
            let name = entry.path().map_err(no_tar)?.to_string_lossy().into_owned();
            if !kind.is_file() {
                return Err(Error::bad_input(format!("{name} is a link or another special member: files are read")));
            }
            let (folder, base) = name.rsplit_once('/').unwrap_or(("", &name));
            let Some((stem, end)) = base.split_once('.').filter(|(stem, _)| !stem.is_empty()) else { continue };
            let (key, end) = (format!("{folder}/{stem}"), end.to_lowercase());
            if key != example.key {
                self.end(std::mem::take(&mut example), part, samples)?;
                example.key = key;
            }
            let last = end.rsplit('.').next().unwrap_or_default();
            let text = |entry: &mut dyn Read, most| {
                let mut text = String::new();
                entry
                    .take(most)
                    .read_to_string(&mut text)
                    .map(|_| text.trim().to_owned())
                    .map_err(|error| Error::bad_input(format!("{name} is no text: {error}")))
            };
            match last {
                _ if picture::READ.contains(&last) => {
                    if example.image.replace((entry.raw_file_position(), size)).is_some() {
                        return Err(Error::bad_input(format!("{key} has two images", key = example.key)));
                    }
                }
                "cls" if size <= LONGEST_LABEL => {
                    let text = text(&mut entry, LONGEST_LABEL)?;
                    example.label = Some(text.parse().map_or(Label::Name(text), Label::Number));
                }
                "json" if size <= LONGEST_JSON && example.label.is_none() && self.label.is_some() => {
                    let text = text(&mut entry, LONGEST_JSON)?;
                    let value: Value = serde_json::from_str(&text)
                        .map_err(|error| Error::bad_input(format!("{name} is no JSON: {error}")))?;
                    example.label = self.field(&name, &value)?;
                }
                _ => example.others.push(end),
            }
        }
        self.end(example, part, samples)
    }

    fn field(&self, name: &str, value: &Value) -> Result<Option<Label>> {
        let field = self.label.as_deref().unwrap_or_default();
        match &value[field] {
            Value::Number(number) if number.is_i64() => Ok(number.as_i64().map(Label::Number)),
            Value::String(text) => Ok(Some(Label::Name(text.clone()))),
            other => Err(Error::bad_input(format!("{name}: '{field}' must be a number or a text, and is {other}"))),
        }
    }

    fn end(&self, example: Example, part: usize, samples: &mut Samples) -> Result<()> {
        let key = example.key.trim_start_matches('/');
        match (example.image, example.label) {
            (None, None) if example.others.is_empty() => Ok(()),
            (Some((start, bytes)), Some(label)) => samples.add(part, start, bytes, label),
            (Some(_), None) => {
                let has = if example.others.is_empty() { "nothing".into() } else { example.others.join(", ") };
                Err(Error::bad_input(format!("{key} has an image without a label: no .cls, but {has}"))
                    .hint("a label that is a field of .json is named by label = \"FIELD\""))
            }
            (None, _) => Err(Error::bad_input(format!(
                "{key} has no image: {} are read",
                picture::READ.map(|end| format!(".{end}")).join(", ")
            ))),
        }
    }
}

/// What an archive of images unpacks to at most, in times of its own size.
const MOST_TIMES: u64 = 100;

/// The archive, unpacked into a file without a name where it is gzip.
fn unpacked(path: &Path, scratch: &Path) -> Result<File> {
    let failed = || "cannot read it";
    let mut file = crate::files::open(path).context(failed)?;
    let mut head = Vec::new();
    (&file).take(2).read_to_end(&mut head).context(failed)?;
    file.seek(SeekFrom::Start(0)).context(failed)?;
    if head != [0x1f, 0x8b] {
        return Ok(file);
    }
    let mut plain = packed::scratch(scratch)?;
    let most = MOST_TIMES * file.metadata().context(failed)?.len() + (1 << 30);
    let mut unpacking = MultiGzDecoder::new(BufReader::new(file)).take(most + 1);
    if std::io::copy(&mut unpacking, &mut plain).context(|| "cannot unpack it")? > most {
        return Err(Error::bad_input(format!(
            "it unpacks to more than {MOST_TIMES} times its size and would fill the disk"
        ))
        .hint("images hardly shrink when they are packed; unpack it by hand where it is right: gzip -d"));
    }
    plain.flush().context(failed)?;
    plain.seek(SeekFrom::Start(0)).context(failed)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Settings;
    use crate::task::config::Source;
    use crate::task::imported::parse_in;
    use crate::task::packed::tests::{png, shades};

    /// webdataset.TarWriter(file).write({'__key__': '000007', 'png': image, 'cls': 1}), for each                # 1.0.2
    fn tar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o444);
            tar.append_data(&mut header, name, content.as_slice()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn examples(shades: std::ops::Range<u8>) -> Vec<(String, Vec<u8>)> {
        let members = shades.flat_map(|shade| {
            [
                (format!("deep/{shade:06}.png"), png(shade)),
                (format!("deep/{shade:06}.cls"), (shade % 2).to_string().into_bytes()),
            ]
        });
        members.collect()
    }

    fn parse(path: &Path, more: &str) -> Result<Box<dyn Source>> {
        let given: Settings = serde_json::from_str(&format!(r#"{{"shards": {path:?}, "size": 2{more}}}"#)).unwrap();
        Ok(parse_in::<WebDataset>(&path.with_extension("cache"), "webdataset", &given)?.0)
    }

    #[test]
    fn shards_are_read_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("set");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("train-000.tar"), tar(&examples(0..20))).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&tar(&examples(20..30))).unwrap();
        std::fs::write(root.join("train-001.tar.gz"), packed.finish().unwrap()).unwrap();
        std::fs::write(root.join("val-000.tar"), tar(&examples(30..34))).unwrap();
        let task = parse(&root, "").unwrap();
        assert_eq!((task.splits().train, task.splits().validation, task.splits().test), (Some(27), 4, 3));
        assert_eq!(task.classes(), ["0", "1"]);
        let all = task.load(Path::new(""), 100).unwrap();
        assert_eq!(shades(&all.validation, 12), (30..34).collect::<Vec<u8>>());
        let mut others = [shades(&all.train, 12), shades(&all.test, 12)].concat();
        others.sort();
        assert_eq!(others, (0..30).collect::<Vec<u8>>());
        // The same set by a pattern is the same set: shards are read by their names, and stand for nothing else.
        std::fs::write(root.join("train-001.tar"), tar(&examples(20..30))).unwrap();
        assert_eq!(parse(&root.join("train-{000..001}.tar"), "").unwrap().splits().train, Some(24));
    }

    #[test]
    fn labels_may_be_names_or_fields_of_json() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, end: &str, label: &dyn Fn(u8) -> String| {
            let members = (0..20).flat_map(|shade| {
                [(format!("{shade}.png"), png(shade)), (format!("{shade}.{end}"), label(shade).into_bytes())]
            });
            let path = folder.path().join(name);
            std::fs::write(&path, tar(&members.collect::<Vec<_>>())).unwrap();
            path
        };
        let names = write("names.tar", "cls", &|shade| ["wolf\n", "ant\n"][usize::from(shade % 2)].into());
        assert_eq!(parse(&names, "").unwrap().classes(), ["ant", "wolf"]);
        let json = write("json.tar", "json", &|shade| format!(r#"{{"kind": {}, "by": "me"}}"#, shade % 2 + 1));
        assert_eq!(parse(&json, r#", "label": "kind", "first_label": 1"#).unwrap().classes(), ["1", "2"]);
        let error = parse(&json, "").err().unwrap();
        assert!(error.message.ends_with("json.tar: 0 has an image without a label: no .cls, but json"), "{error}");
        assert!(error.hint.unwrap().contains("label = \"FIELD\""));
        let error = parse(&json, r#", "label": "size""#).err().unwrap().message;
        assert!(error.ends_with("0.json: 'size' must be a number or a text, and is null"), "{error}");
        let both = write("both.tar", "cls", &|shade| if shade == 3 { "ant".into() } else { "1".into() });
        assert!(
            parse(&both, "").err().unwrap().message.contains("some of its labels are numbers and others are names")
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str, content: &[u8]| {
            let path = folder.path().join(format!("{name}.tar"));
            std::fs::write(&path, content).unwrap();
            let message = parse(&path, "").err().unwrap().message;
            message.split_once(".tar").map(|(_, why)| why.to_owned()).unwrap_or(message)
        };
        let with = |index: usize, name: &str, content: &[u8]| {
            let mut members = examples(0..20);
            members[index] = (name.into(), content.to_vec());
            tar(&members)
        };
        assert_eq!(
            refused("txt", &with(1, "deep/000000.txt", b"a cat")),
            ": deep/000000 has an image without a label: no .cls, but txt"
        );
        assert!(refused("mp4", &with(2, "deep/000001.mp4", b"")).contains("deep/000001 has no image: .jpg, .jpeg"));
        assert!(refused("two", &with(1, "deep/000000.jpg", b"")).contains("deep/000000 has two images"));
        assert!(refused("bytes", &with(1, "deep/000000.cls", &[0xff])).contains("000000.cls is no text"));
        let message = refused("bad", &with(0, "deep/000000.png", b"hello"));
        assert!(message.contains("it is no image"), "{message}");
        assert!(refused("zip", b"PK\x03\x04").contains("it is a zip archive"));
        assert!(refused("empty", b"").contains("there are 0 training images in "));
        let whole = tar(&examples(0..20));
        assert!(!refused("cut", &whole[..whole.len() / 2 + 100]).is_empty());
        let mut link = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        link.append_link(&mut header, "a.png", "/etc/passwd").unwrap();
        assert!(refused("link", &link.into_inner().unwrap()).contains("a.png is a link or another special member"));
    }
}
