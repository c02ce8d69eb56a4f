//! What a process that trains sets up once, before libtorch's first call.

use nix::libc;

/// Threads of one operation, and an allocator that keeps what it got: glibc gives large blocks back to the kernel at
/// every free, which made a ViT's step 12 to 15% slower.
pub fn prepare(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    tch::set_num_interop_threads(1);
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets parameters of the allocator; a value that it refuses leaves them as they were.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}
