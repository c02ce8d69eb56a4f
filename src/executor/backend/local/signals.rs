//! Signals while there are workers: Ctrl-C becomes an event, and a worker's closed pipe an error to handle.

use std::thread;

use nix::sys::signal::{SigHandler, Signal, signal};
use signal_hook::iterator::{Handle, Signals};

use crate::error::{Context, Result};

pub(in crate::executor) struct Listening {
    handle: Handle,
    signals: Vec<Signal>,
}

/// Calls `happened` at every SIGINT, SIGTERM and SIGHUP from here on, from a thread of its own. One that is ignored
/// already stays so: nohup and setsid mean that.
pub(in crate::executor) fn listen(happened: impl Fn() + Send + 'static) -> Result<Listening> {
    // SAFETY: ignoring a signal runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    let asked = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let asked: Vec<Signal> = asked.into_iter().filter(|signal| !is_ignored(*signal)).collect();
    let numbers = asked.iter().map(|signal| *signal as i32);
    let mut signals = Signals::new(numbers).context(|| "cannot listen to signals")?;
    let handle = signals.handle();
    thread::spawn(move || signals.forever().for_each(|_| happened()));
    Ok(Listening { handle, signals: asked })
}

fn is_ignored(signal: Signal) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only; `now` is written where it succeeds, and zeroes are a value of it where not.
    let now = unsafe {
        libc::sigaction(signal as i32, std::ptr::null(), now.as_mut_ptr());
        now.assume_init()
    };
    now.sa_sigaction == libc::SIG_IGN
}

impl Listening {
    /// From here on each of them ends this program again.
    pub(in crate::executor) fn forget(self) {
        self.handle.close();
        for number in self.signals.into_iter().chain([Signal::SIGPIPE]) {
            // SAFETY: the default disposition runs no code of ours.
            let _ = unsafe { signal(number, SigHandler::SigDfl) };
        }
    }
}
