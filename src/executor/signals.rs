//! Signals while there are workers: Ctrl-C becomes an event, and a worker's closed pipe an error to handle.

use std::thread;

use nix::sys::signal::{SigHandler, Signal, signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::error::{Context, Result};

pub(super) struct Listening(Handle);

/// Calls `happened` at every SIGINT, SIGTERM and SIGHUP from here on, from a thread of its own.
pub(super) fn listen(happened: impl Fn() + Send + 'static) -> Result<Listening> {
    // SAFETY: ignoring a signal runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context(|| "cannot listen to signals")?;
    let handle = signals.handle();
    thread::spawn(move || signals.forever().for_each(|_| happened()));
    Ok(Listening(handle))
}

impl Listening {
    /// From here on each of them ends this program again.
    pub(super) fn forget(self) {
        self.0.close();
        for number in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGPIPE] {
            // SAFETY: the default disposition runs no code of ours.
            let _ = unsafe { signal(number, SigHandler::SigDfl) };
        }
    }
}
