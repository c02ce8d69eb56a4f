//! One host alone has the index open where the store is on a file system of a network: what SQLite's log is about is memory
//! that the processes of one machine share. Everything else in a store may be read and written by many hosts.

use std::path::Path;

use super::schema;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::here::hostname;

/// By the number that statfs(2) gives for them.
const NETWORKS: [(u64, &str); 11] = [
    (0x6969, "NFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x00c3_6400, "Ceph"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x5346_414f, "AFS"),
    (0x0102_1997, "9p"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
];

/// Says that this host has the index open, where that matters.
///
/// # Errors
/// Another one has it open, or had it when it was killed: says what to type there, or here.
pub(super) fn alone(dir: &Path) -> Result<()> {
    let Some(kind) = network(dir) else { return Ok(()) };
    match holder(dir, &hostname()) {
        Some(other) => Err(refusal(dir, kind, &other)),
        None => take(dir),
    }
}

/// From here on it is this host's.
pub(super) fn take(dir: &Path) -> Result<()> {
    let path = file(dir);
    if network(dir).is_none() || said(&path).is_some_and(|host| host == hostname()) {
        return Ok(());
    }
    match files::write_atomically(&path, hostname().as_bytes()) {
        // Where nothing can be written no log can be made either, and what is read is the file alone.
        Err(_) if nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK).is_err() => Ok(()),
        written => written.context(|| "cannot say which host has the index"),
    }
}

/// Another host that has it open; one that has closed it leaves no log.
fn holder(dir: &Path, here: &str) -> Option<String> {
    let mut log = schema::file(dir).into_os_string();
    log.push("-wal");
    let is_closed = std::fs::metadata(log).map_or(true, |log| log.len() == 0);
    said(&file(dir)).filter(|host| host != here && !is_closed)
}

fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("crossover.db.host")
}

fn said(path: &Path) -> Option<String> {
    Some(files::read_text(path).ok()?.trim().to_owned())
}

fn network(dir: &Path) -> Option<&'static str> {
    // Of a folder that is not there yet, the one that it will be in.
    let there = dir.ancestors().find(|folder| folder.exists())?;
    name(nix::sys::statfs::statfs(there).ok()?.filesystem_type().0 as u64)
}

fn name(number: u64) -> Option<&'static str> {
    // As 32 bits, which some machines extend by their sign.
    NETWORKS.iter().find(|(known, _)| *known == number & 0xffff_ffff).map(|(_, name)| *name)
}

fn refusal(dir: &Path, kind: &str, other: &str) -> Error {
    let shown = dir.display();
    Error::failed(format!(
        "{other} has the index of {shown} open, or was killed while it had: on {kind} one host alone may"
    ))
    .hint(format!(
        "type it on {other}; 'crossover ingest' there closes the index once nothing else runs; where {other} is gone \
             for good, 'crossover ingest --rebuild' here makes it this host's"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_known_by_their_numbers() {
        assert_eq!([0x6969, 0x0bd0_0bd0, 0xffff_ffff_ff53_4d42].map(name), [Some("NFS"), Some("Lustre"), Some("CIFS")]);
        // ext4, btrfs, tmpfs.
        assert_eq!([0xef53, 0x9123_683e, 0x0102_1994].map(name), [None; 3]);
    }

    #[test]
    fn another_host_is_refused_while_its_log_is_there() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path(), "here"), None);
        std::fs::write(file(dir.path()), "there\n").unwrap();
        assert_eq!(holder(dir.path(), "here"), None, "it has closed the index");
        std::fs::write(dir.path().join("crossover.db-wal"), "pages").unwrap();
        assert_eq!(holder(dir.path(), "here").as_deref(), Some("there"));
        assert_eq!(holder(dir.path(), "there"), None);
        let told = refusal(dir.path(), "NFS", "there");
        assert!(told.hint.unwrap().contains("type it on there"));
    }
}
