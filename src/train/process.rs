//! What a process that trains sets up once, before libtorch's first call.

use std::time::Duration;

use nix::libc;

use crate::error::{Error, Result};
use crate::out;

/// Time between checkpoints: `$CROSSOVER_CHECKPOINT_SECONDS`, else 30 s.
pub fn checkpoint_every() -> Result<Duration> {
    const NAME: &str = "CROSSOVER_CHECKPOINT_SECONDS";
    let Ok(text) = std::env::var(NAME) else { return Ok(Duration::from_secs(30)) };
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| Error::bad_input(format!("{NAME} is a number of seconds, not '{text}'")))
}

/// Says what panicked and where, without a backtrace. Naming its frames takes memory, which may be what ran out: under
/// RUST_BACKTRACE=1 the process then waited for itself for ever.
fn say_panics() {
    std::panic::set_hook(Box::new(|panicked| out::say(format_args!("{panicked}"))));
}

/// Threads of one operation, and an allocator that keeps what it got: glibc gives large blocks back to the kernel at
/// every free, which made a ViT's step 12 to 15% slower.
pub fn prepare(threads: usize) {
    say_panics();
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    tch::set_num_interop_threads(1);
    // Of our own loops as of libtorch's: several workers share a machine. Once set, it stays.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets parameters of the allocator; a value that it refuses leaves them as they were.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}
