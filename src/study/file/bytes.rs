//! The bytes of a file or of stdin, unpacked where they are packed.

use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::error::{Context, Error, Kind, Result};
use crate::files;
use crate::task::files::hex_sha256;

/// Names the gibibytes beyond which a file is refused, in place of [`MOST`] and half of the memory.
const VARIABLE: &str = "CROSSOVER_MOST_GIB";
/// What is read here is held in memory as a whole, and a few bytes can be packed so that they fill any.
const MOST: u64 = 8 << 30;

pub struct Bytes {
    /// The path as it was given, or `stdin`.
    pub name: String,
    pub bytes: ::bytes::Bytes,
    /// Of the bytes as they lie in the file.
    pub sha256: String,
}

/// Reads the file, or stdin where the path is `-`; gzip and zstd are recognised by their first bytes.
///
/// # Errors
/// The file cannot be read, or what it is packed with is damaged or not known here.
pub fn read(path: &Path) -> Result<Bytes> {
    let name = name_of(path);
    let most = most()?;
    let mut raw = Vec::new();
    let read = match name.as_str() {
        "stdin" => std::io::stdin().lock().take(most + 1).read_to_end(&mut raw),
        _ => {
            let file = if is_given_pipe(path) { std::fs::File::open(path) } else { files::open(path) };
            file.and_then(|file| file.take(most + 1).read_to_end(&mut raw))
        }
    };
    read.context(|| format!("cannot read {name}")).map_err(|error| {
        Error { kind: Kind::BadInput, ..error }.hint("name a file, a folder of logs, or - for stdin")
    })?;
    if raw.len() as u64 > most {
        return Err(too_large(&name, "", most));
    }
    let (bytes, sha256) = rayon::join(|| unpacked(&name, &raw, most), || hex_sha256(&raw));
    Ok(Bytes { bytes: bytes?.unwrap_or(raw).into(), sha256, name })
}

/// A pipe that a shell has opened, as in `--file <(zcat runs.csv.gz)`: it has a writer.
fn is_given_pipe(path: &Path) -> bool {
    let given = ["/dev/fd", "/proc/self/fd", "/dev/stdin"].iter().any(|place| path.starts_with(place));
    given && path.metadata().is_ok_and(|found| found.file_type().is_fifo())
}

/// What a path is called in sources and errors.
pub fn name_of(path: &Path) -> String {
    if path.as_os_str() == "-" { "stdin".into() } else { path.display().to_string() }
}

/// Bytes that a file may have.
fn most() -> Result<u64> {
    let Ok(given) = std::env::var(VARIABLE) else {
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let free = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next());
        let half = free.and_then(|kib| kib.parse::<u64>().ok()).map_or(MOST, |kib| kib << 9);
        return Ok(MOST.min(half));
    };
    let gib = given.parse::<u64>().ok().filter(|gib| (1..1 << 20).contains(gib));
    gib.map(|gib| gib << 30)
        .ok_or_else(|| Error::bad_input(format!("{VARIABLE} is a whole number of GiB, not '{given}'")))
}

fn too_large(name: &str, unpacked: &str, most: u64) -> Error {
    Error::bad_input(format!("{name} is larger than {}{unpacked}: it would fill the memory", crate::units::bytes(most)))
        .hint(format!(
            "write the columns and rows that are needed to a file of their own; {VARIABLE}=N reads up to N GiB"
        ))
}

/// The unpacked bytes, `most` at most; nothing where they are not packed.
pub fn unpacked(name: &str, raw: &[u8], most: u64) -> Result<Option<Vec<u8>>> {
    let with = |what: &str, reader: &mut dyn Read| {
        let mut bytes = Vec::new();
        let read = reader.take(most + 1).read_to_end(&mut bytes);
        let damaged = |error| {
            Error::bad_input(format!("{name} is {what} and cannot be unpacked: {error}"))
                .hint("the file may be cut off or damaged: fetch it anew")
        };
        match read.map_err(damaged)? as u64 > most {
            true => Err(too_large(name, " unpacked", most)),
            false => Ok(Some(bytes)),
        }
    };
    let packed = |what: &str, tool: &str| {
        Err(Error::bad_input(format!("{name} is {what}, which is not read here")).hint(format!("unpack it: {tool}")))
    };
    match raw {
        [0x1f, 0x8b, ..] => with("gzip", &mut flate2::read::MultiGzDecoder::new(raw)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => match zstd::stream::read::Decoder::with_buffer(raw) {
            Ok(mut decoder) => with("zstd", &mut decoder),
            Err(error) => Err(Error::failed(format!("cannot unpack zstd: {error}"))),
        },
        [b'P', b'K', 3, 4, ..] => packed("a zip archive or a spreadsheet", "unzip FILE, or save the sheet as CSV"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => packed("packed with xz", "xz -d FILE"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => packed("packed with bzip2", "bzip2 -d FILE"),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn gzip_and_zstd_are_unpacked_and_damage_is_said() {
        let text = b"params,loss\n1,2\n".repeat(50);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&text).unwrap();
        let gz = gz.finish().unwrap();
        let zst = zstd::encode_all(&text[..], 3).unwrap();
        for packed in [&gz, &zst] {
            assert_eq!(unpacked("f", packed, MOST).unwrap().as_deref(), Some(&text[..]));
            let cut = unpacked("f", &packed[..packed.len() / 2], MOST).unwrap_err();
            assert!(cut.message.contains("cannot be unpacked") && cut.hint.is_some(), "{cut}");
        }
        // Two gzip members are one text, as `cat a.gz b.gz` makes them.
        assert_eq!(unpacked("f", &[gz.clone(), gz].concat(), MOST).unwrap().map(|b| b.len()), Some(2 * text.len()));
        assert_eq!(unpacked("f", &text, MOST).unwrap(), None);
        assert!(unpacked("f", b"PK\x03\x04rest", MOST).unwrap_err().hint.unwrap().contains("CSV"));
    }

    /// A few kilobytes that unpack to 64 MiB.
    #[test]
    fn a_bomb_is_refused_before_it_fills_the_memory() {
        let zeros = vec![0; 64 << 20];
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&zeros).unwrap();
        for packed in [gz.finish().unwrap(), zstd::encode_all(&zeros[..], 3).unwrap()] {
            assert!(packed.len() < 1 << 17);
            let error = unpacked("f", &packed, 1 << 20).unwrap_err();
            assert!(error.message.starts_with("f is larger than 1.05 MB unpacked"), "{error}");
            assert!(error.hint.unwrap().contains("CROSSOVER_MOST_GIB=N"));
            assert_eq!(unpacked("f", &packed, 64 << 20).unwrap().map(|bytes| bytes.len()), Some(64 << 20));
        }
    }
}
