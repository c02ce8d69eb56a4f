//! Files that are whole or not there: written beside, synced, renamed.

mod signed;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Context, Error, Result};
pub use signed::signed;

/// Writes a file that a person named: where one is there that the program did not write, or that was changed since, it is
/// theirs and stays, unless `replace` is set.
///
/// # Errors
/// There is such a file; it cannot be written.
pub fn write_new(path: &Path, content: &[u8], replace: bool) -> Result<()> {
    refuse_to_replace(path, replace)?;
    write_atomically(path, content)
}

/// What was to be removed and is not there is removed.
pub fn unless_absent(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Before anything is computed for it.
///
/// # Errors
/// There is a file that is a person's own, and `replace` is not set.
pub fn refuse_to_replace(path: &Path, replace: bool) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) if !replace && !signed::is_unchanged(path) => {
            Err(Error::bad_input(format!("{} is there already, and not as crossover wrote it", path.display()))
                .hint("name another file, or replace it with --force"))
        }
        _ => Ok(()),
    }
}

/// Replaces `path` by `content`; its folder is made. An interruption leaves the old file or the new one.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).context(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).context(failed)?;
    file.write_all(content).context(failed)?;
    file.as_file().sync_all().context(failed)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode).context(failed)?;
    file.persist(path).map_err(|error| error.error).context(failed)?;
    Ok(())
}

/// Makes a folder in one that has to be there: a store that was moved away is not made again at its old place.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The last `most` bytes of what a file has after its first `from`, as text; empty where there is nothing that can be read.
pub fn end_of(path: &Path, from: u64, most: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(most))))?;
        let mut read = Vec::new();
        file.take(most).read_to_end(&mut read)?;
        Ok::<_, io::Error>(read)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// Opens a file for reading. A pipe, a folder or a device in its place is refused: opening or reading some of them would
/// never end.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    refuse_other(&file.metadata()?)?;
    Ok(file)
}

/// The content of a file that [`open`] opens.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file that [`open`] opens.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("it is no text: {}", error.utf8_error())))
}

/// Whether it is a regular file; else an error that says what it is.
pub fn refuse_other(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let other = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a fifo (a named pipe)",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {other}, not a file")))
}

/// What a file is by its first bytes (a kibibyte is enough), as a person would call it; none where they tell nothing. For
/// messages about files that were taken for something else.
pub fn kind_of(head: &[u8]) -> Option<&'static str> {
    let starts: [(&[u8], &str); 18] = [
        (b"\x93NUMPY", "a single NumPy array (.npy)"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"PAR1", "a Parquet file"),
        (b"ARROW1", "an Arrow file"),
        (b"MATLAB 5.0", "a MATLAB file"),
        (b"PK", "a zip archive (.npz, or a checkpoint of PyTorch)"),
        (b"\x1f\x8b", "packed with gzip"),
        (b"BZh", "packed with bzip2"),
        (b"\xfd7zXZ", "packed with xz"),
        (b"\x28\xb5\x2f\xfd", "packed with zstd"),
        (b"Rar!", "a RAR archive"),
        (b"7z\xbc\xaf", "a 7z archive"),
        (b"version https://git-lfs", "a pointer of Git LFS: 'git lfs pull' fetches the file itself"),
        (b"\x80", "a Python pickle"),
        (b"\0\0", "an idx file, if anything"),
    ];
    let page = [b"<!doctype".as_slice(), b"<html"];
    let like = |start: &&[u8]| head.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    match starts.iter().find(|(start, _)| head.starts_with(start)) {
        Some((_, kind)) => Some(kind),
        None if head.is_empty() => Some("empty"),
        None if head.get(257..262) == Some(b"ustar") => Some("a tar archive"),
        None if page.iter().any(like) => Some("a web page: the download gave an answer for people"),
        None if head.get(8) == Some(&b'{') && head.get(6..8) == Some(&[0, 0]) => Some("a safetensors file"),
        None => None,
    }
}

/// [`kind_of`] a file on disk, with `is` in front.
pub fn and_is(path: &Path) -> String {
    let mut head = [0; 1024];
    let read = open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    kind_of(&head[..read]).map_or(String::new(), |kind| format!(": it is {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let refused = |path: &Path| read(path).unwrap_err().to_string();
        assert_eq!(refused(&fifo), "it is a fifo (a named pipe), not a file");
        assert_eq!(refused(dir.path()), "it is a folder, not a file");
        assert_eq!(refused(Path::new("/dev/zero")), "it is a device, not a file");
        std::fs::write(dir.path().join("a"), "b").unwrap();
        assert_eq!(read(&dir.path().join("a")).unwrap(), b"b");
    }

    #[test]
    fn files_are_called_what_they_are() {
        let kind = |head: &[u8]| kind_of(head).unwrap_or("unknown");
        assert_eq!(kind(b"PK\x03\x04"), "a zip archive (.npz, or a checkpoint of PyTorch)");
        assert_eq!(kind(b"\x80\x04\x95"), "a Python pickle");
        assert_eq!(kind(b"\x10\0\0\0\0\0\0\0{\"a\":"), "a safetensors file");
        assert_eq!(kind(b"<!DOCTYPE html>"), "a web page: the download gave an answer for people");
        assert_eq!(kind(&[[b'a'; 257].as_slice(), b"ustar\0"].concat()), "a tar archive");
        assert_eq!((kind(b""), kind(b"label,file\n")), ("empty", "unknown"));
    }
}
