//! Every page of the index ends in a checksum of it: what reads a page in which a bit has flipped gets an error and no other
//! value. A layer over SQLite's own access to files, in which all but reading and writing pages is done by the layer below.
//!
//! A page whose checksum is zero has none: another program wrote it, from the log that a killed writer had left.

use std::ffi::{CStr, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, OpenFlags, ffi};
use twox_hash::XxHash3_128;

/// What the layer is called among those that SQLite knows.
const NAME: &CStr = c"crossover";
/// Bytes of a checksum. SQLite leaves the end of each page alone where the first page says so, at [`RESERVED_AT`].
const SUM: usize = 8;
const RESERVED_AT: usize = 20;
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Of the first page, which is read alone to learn how large pages are.
const HEADER: usize = 100;
const SMALLEST_PAGE: usize = 512;

/// Where a [`Layer`] begins in what SQLite keeps of an open file; what the layer below keeps is before it.
static OFFSET: AtomicUsize = AtomicUsize::new(0);

struct Layer {
    /// Of the layer below, but for those that are done here.
    methods: ffi::sqlite3_io_methods,
    below: *const ffi::sqlite3_io_methods,
    /// Whether pages have room for a checksum.
    has_sums: bool,
}

/// An error that says that a page is not what was written.
pub(super) fn is_mismatch(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(ffi::SQLITE_IOERR_DATA)
}

/// Opens a database whose pages are checked. A new one gets room for checksums; one of before gets it when it is vacuumed.
pub(super) fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags_and_vfs(path, flags, layer())?;
    let mut bytes = SUM as c_int;
    // SAFETY: the connection is open, and this call reads and writes the one number.
    unsafe {
        let reserve = ffi::SQLITE_FCNTL_RESERVE_BYTES;
        ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), reserve, (&raw mut bytes).cast());
    }
    Ok(connection)
}

/// Its name, once SQLite knows it. Where that fails, nothing can be opened with it.
fn layer() -> &'static CStr {
    static KNOWN: OnceLock<()> = OnceLock::new();
    KNOWN.get_or_init(|| {
        // SAFETY: SQLite's own layer is there as long as the program, and so is this one, which is never freed.
        unsafe {
            let below = ffi::sqlite3_vfs_find(ptr::null());
            let Some(own) = below.as_ref() else { return };
            let offset = (own.szOsFile as usize).next_multiple_of(align_of::<Layer>());
            OFFSET.store(offset, Ordering::Release);
            let layer = ffi::sqlite3_vfs {
                szOsFile: (offset + size_of::<Layer>()) as c_int,
                pNext: ptr::null_mut(),
                zName: NAME.as_ptr(),
                pAppData: below.cast(),
                xOpen: Some(open_file),
                ..*own
            };
            ffi::sqlite3_vfs_register(Box::leak(Box::new(layer)), 0);
        }
    });
    NAME
}

/// # Safety
/// `file` is one that [`open_file`] has opened.
unsafe fn layer_of(file: *mut ffi::sqlite3_file) -> *mut Layer {
    // SAFETY: SQLite was told to keep so many bytes of a file, eight by eight.
    unsafe { file.byte_add(OFFSET.load(Ordering::Acquire)).cast() }
}

unsafe extern "C" fn open_file(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    granted: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls it with a layer that `layer` has made and a file of its size. What is written into it lies behind
    // what the layer below uses.
    unsafe {
        let below: *mut ffi::sqlite3_vfs = (*vfs).pAppData.cast();
        let Some(open) = (*below).xOpen else { return ffi::SQLITE_ERROR };
        let done = open(below, name, file, flags, granted);
        // Logs have checksums of their own, and temporary files are gone before a bit can flip.
        if done == ffi::SQLITE_OK && flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
            let (of_below, layer) = ((*file).pMethods, layer_of(file));
            let methods = ffi::sqlite3_io_methods {
                // Without what came later, which maps files into memory.
                iVersion: (*of_below).iVersion.min(2),
                xRead: Some(read),
                xWrite: Some(write),
                xDeviceCharacteristics: Some(characteristics),
                ..*of_below
            };
            layer.write(Layer { methods, below: of_below, has_sums: false });
            (*file).pMethods = &raw const (*layer).methods;
        }
        done
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite calls it with a file that is open and room for `length` bytes.
    unsafe {
        let layer = layer_of(file);
        let Some(read) = (*(*layer).below).xRead else { return ffi::SQLITE_IOERR };
        let done = read(file, into, length, at);
        if done != ffi::SQLITE_OK {
            return done;
        }
        let bytes = slice::from_raw_parts_mut(into.cast::<u8>(), length as usize);
        (*layer).look(bytes, at);
        if (*layer).is_page(bytes) && !take_sum(bytes) { ffi::SQLITE_IOERR_DATA } else { done }
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite calls it with a file that is open and `length` bytes, which stay as they are.
    unsafe {
        let layer = layer_of(file);
        let Some(write) = (*(*layer).below).xWrite else { return ffi::SQLITE_IOERR };
        let bytes = slice::from_raw_parts(from.cast::<u8>(), length as usize);
        (*layer).look(bytes, at);
        if !(*layer).is_page(bytes) {
            return write(file, from, length, at);
        }
        let content = &bytes[..bytes.len() - SUM];
        let page = [content, &sum(content)[..]].concat();
        write(file, page.as_ptr().cast(), length, at)
    }
}

/// Parts of pages, which SQLite would read alone, have no checksum.
unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite calls it with a file that is open.
    unsafe {
        let of_below = (*(*layer_of(file)).below).xDeviceCharacteristics;
        of_below.map_or(0, |of_below| of_below(file) & !ffi::SQLITE_IOCAP_SUBPAGE_READ)
    }
}

impl Layer {
    /// What is read or written first says whether pages have room for a checksum.
    fn look(&mut self, bytes: &[u8], at: i64) {
        if at == 0 && bytes.len() >= HEADER && bytes.starts_with(MAGIC) {
            self.has_sums = usize::from(bytes[RESERVED_AT]) == SUM;
        }
    }

    fn is_page(&self, bytes: &[u8]) -> bool {
        self.has_sums && bytes.len() >= SMALLEST_PAGE && bytes.len().is_power_of_two()
    }
}

/// Whether a page is as it was written. Its checksum is cleared: what SQLite puts into its log has none, and no old one.
fn take_sum(page: &mut [u8]) -> bool {
    let (content, stated) = page.split_at_mut(page.len() - SUM);
    let is_whole = *stated == [0; SUM] || *stated == sum(content);
    stated.fill(0);
    is_whole
}

fn sum(content: &[u8]) -> [u8; SUM] {
    (XxHash3_128::oneshot(content) as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(path: &Path) -> Connection {
        let connection = open(path, OpenFlags::default()).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; CREATE TABLE a (key INTEGER PRIMARY KEY, value REAL, note TEXT);
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                 INSERT INTO a SELECT i, i / 7.0, hex(randomblob(20)) FROM n;",
            )
            .unwrap();
        connection
    }

    fn content(path: &Path) -> rusqlite::Result<Vec<(i64, f64, String)>> {
        let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut query = connection.prepare("SELECT key, value, note FROM a")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    }

    #[test]
    fn no_flipped_bit_gives_another_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        drop(filled(&path));
        let expected = content(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let (mut bytes, mut told) = (whole.clone(), 0);
        let places: Vec<usize> = (0..HEADER).chain((HEADER..whole.len()).step_by(41)).collect();
        for &at in &places {
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            match content(&path) {
                Ok(found) => assert_eq!(found, expected, "byte {at}"),
                Err(error) => told += u32::from(is_mismatch(&error)),
            }
            bytes[at] = whole[at];
        }
        assert!(told as usize > places.len() * 9 / 10, "{told} of {}", places.len());
    }

    /// As a program without this layer leaves it when it takes in the log of a killed writer; and as it was before there
    /// were checksums.
    #[test]
    fn pages_without_a_checksum_are_read_and_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a.db"), dir.path().join("b.db"));
        let writer = filled(&path);
        let expected: i64 = writer.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        for end in ["", "-wal"] {
            std::fs::copy(format!("{}{end}", path.display()), format!("{}{end}", other.display())).unwrap();
        }
        let plain = Connection::open(&other).unwrap();
        plain.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(plain);
        assert_eq!(content(&other).unwrap().len() as i64, expected);
        // One that another program has changed is not what was written.
        drop(writer);
        let plain = Connection::open(&path).unwrap();
        plain.execute_batch("UPDATE a SET value = 0 WHERE key = 7").unwrap();
        drop(plain);
        assert!(is_mismatch(&content(&path).unwrap_err()));
        let old = dir.path().join("c.db");
        let plain = Connection::open(&old).unwrap();
        plain.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE a (key, value, note);").unwrap();
        plain.execute_batch("INSERT INTO a VALUES (1, 2.5, 'x')").unwrap();
        drop(plain);
        let at_byte = |path: &Path| std::fs::read(path).unwrap()[RESERVED_AT];
        assert_eq!((content(&old).unwrap().len(), at_byte(&old)), (1, 0));
        open(&old, OpenFlags::default()).unwrap().execute_batch("VACUUM").unwrap();
        assert_eq!((content(&old).unwrap().len(), at_byte(&old)), (1, 8));
        let mut bytes = std::fs::read(&old).unwrap();
        let end = bytes.len();
        assert_ne!(bytes[end - SUM..], [0; SUM]);
        bytes[end - SUM - 2] ^= 1;
        std::fs::write(&old, bytes).unwrap();
        assert!(is_mismatch(&content(&old).unwrap_err()));
    }
}
