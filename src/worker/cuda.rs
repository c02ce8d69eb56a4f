//! One binary for CPU and GPU machines: it links libtorch's CPU half, and a worker that is given a GPU loads the
//! CUDA half here, before the first call into libtorch.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

const CPU: &str = "libtorch_cpu.so";
const CUDA: &str = "libtorch_cuda.so";

/// Loads `libtorch_cuda.so` from the folder that `libtorch_cpu.so` came from. Its symbols are global: libtorch finds
/// its CUDA half by the registrations that loading it runs.
///
/// # Errors
/// No libtorch in this process, no CUDA half beside it, or one that does not load (no driver).
pub fn load() -> Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps").context(|| "cannot read /proc/self/maps")?;
    let cpu = mapped(&maps, CPU).ok_or_else(|| Error::failed(format!("{CPU} is not loaded in this process")))?;
    let cuda = cpu.with_file_name(CUDA);
    if !cuda.exists() {
        return Err(Error::failed(format!("{} is not there: this libtorch is for CPUs only", cuda.display()))
            .hint("'CROSSOVER_LIBTORCH=cuda make libtorch' fetches one with CUDA; '--devices cpu' goes without"));
    }
    open_globally(&cuda)
}

/// The path of the mapped file of this name, from the text of `/proc/self/maps`.
fn mapped(maps: &str, name: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])))
        .find(|path| path.file_name().is_some_and(|file| file == name))
        .map(Path::to_path_buf)
}

fn open_globally(library: &Path) -> Result<()> {
    let path = CString::new(library.as_os_str().as_encoded_bytes()).context(|| "cannot load a library")?;
    // SAFETY: dlopen takes a C string and runs the library's initialisers, which libtorch makes for this use; dlerror
    // returns a C string of this thread or null. The handle is kept open for the life of the process.
    let failure = unsafe {
        if libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            let reason = libc::dlerror();
            Some(if reason.is_null() {
                "no reason given".into()
            } else {
                CStr::from_ptr(reason).to_string_lossy().into_owned()
            })
        } else {
            None
        }
    };
    match failure {
        None => Ok(()),
        Some(reason) => Err(Error::failed(format!("cannot load {}: {reason}", library.display()))
            .hint("'nvidia-smi' tells whether the driver works; '--devices cpu' goes without GPUs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_mapped_library_by_its_file_name() {
        let maps = "7f00-7f01 r--p 00000000 fe:00 123   /opt/a b/lib/libtorch_cpu.so\n\
                    7f02-7f03 rw-p 00000000 00:00 0\n\
                    7f04-7f05 r--p 00000000 fe:00 124   /usr/lib/libc.so.6\n";
        assert_eq!(mapped(maps, CPU), Some(PathBuf::from("/opt/a b/lib/libtorch_cpu.so")));
        assert_eq!(mapped(maps, CUDA), None);
    }
}
