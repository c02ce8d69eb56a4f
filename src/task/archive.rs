//! Taking the files of a task out of the `.tar.gz` that they are published in.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::error::{Context, Error, Result};
use crate::files::write_atomically;
use crate::task::files::{File, hex_sha256};

/// Puts each of `files`, found by its name in any folder of the archive, into `folder`. Refuses an archive that lacks
/// one, and a file that is not as published.
pub fn unpack(archive: &[u8], files: &[File], folder: &Path) -> Result<()> {
    let failed = || "cannot unpack the archive";
    let mut tar = tar::Archive::new(GzDecoder::new(archive));
    let mut missing: Vec<&File> = files.iter().collect();
    for entry in tar.entries().context(failed)? {
        let mut entry = entry.context(failed)?;
        let name = entry.path().context(failed)?.file_name().map(ToOwned::to_owned);
        let Some(place) = missing.iter().position(|file| name.as_deref() == Some(file.name.as_ref())) else { continue };
        let file = missing.remove(place);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).context(failed)?;
        if hex_sha256(&content) != file.sha256 {
            return Err(Error::failed(format!(
                "{} in the archive is not as published: its SHA-256 differs",
                file.name
            )));
        }
        write_atomically(&folder.join(file.name), &content)?;
    }
    match missing.first() {
        None => Ok(()),
        Some(file) => Err(Error::failed(format!("the archive has no {}", file.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// mkdir d; printf hello > d/a.bin; printf x > d/b.bin; tar --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 \
    ///   --numeric-owner -czf - d | base64 -w0
    const ARCHIVE: &str = "H4sIAAAAAAAAA+3TwQ6CMAyA4T4KT+CGW+F5IDPBhGgCmPj4Tm+C4ULGNP7fpTu1XZsGI8nZqFZ9xWgeP7xr76wUmr41kds4NUMsuTXP/HM/Ipjm0J4vSWs851F5v7J/fd9/aZ1TKXYZ4p/vvzv1/TV3E8gmmPYL7r9c3v+R+9/DPXcDAAAAAAAAAAAAAABgswcOn9tpACgAAA==";

    fn decode(base64: &str) -> Vec<u8> {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let values: Vec<u32> =
            base64.bytes().filter_map(|byte| digits.iter().position(|&d| d == byte).map(|at| at as u32)).collect();
        let group = |group: &[u32]| {
            let bits = group.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - group.len()));
            bits.to_be_bytes()[1..group.len()].to_vec()
        };
        values.chunks(4).flat_map(group).collect()
    }

    #[test]
    fn files_are_taken_out_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let archive = decode(ARCHIVE);
        // printf hello | sha256sum
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let file = |name, sha256| File { name, bytes: 0, sha256, others: &[] };
        unpack(&archive, &[file("a.bin", hello)], folder.path()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.bin")).unwrap(), b"hello");
        let refused = |archive: &[u8], name| unpack(archive, &[file(name, hello)], folder.path()).unwrap_err().message;
        assert_eq!(refused(&archive, "c.bin"), "the archive has no c.bin");
        assert!(refused(&archive, "b.bin").contains("b.bin in the archive is not as published"));
        assert!(refused(&archive[..archive.len() / 2], "a.bin").starts_with("cannot unpack the archive"));
        assert!(!folder.path().join("b.bin").exists());
    }
}
