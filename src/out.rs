//! All that the program writes: data on stdout, talk on stderr. One place does it, so that a full disk is an error line
//! and never a panic.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Data, as it is.
///
/// # Errors
/// stdout cannot be written.
pub fn text(text: impl Display) -> Result<()> {
    stream(|out| write!(out, "{text}").map_err(refused))
}

/// Data, and a line break.
///
/// # Errors
/// stdout cannot be written.
pub fn line(line: impl Display) -> Result<()> {
    text(format_args!("{line}\n"))
}

/// Data that `write` makes bit by bit.
///
/// # Errors
/// Those of `write`; stdout cannot be written.
pub fn stream(write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    *cleared() = Status::Over;
    let mut out = BufWriter::new(Watched { out: io::stdout().lock(), failure: None });
    let written = write(&mut out).and_then(|()| out.flush().map_err(refused));
    // What failed is stdout, whatever was being written.
    match out.get_mut().failure.take() {
        Some(failure) => Err(refused(failure)),
        None => written,
    }
}

/// A writer that remembers why it could not be written.
struct Watched<W> {
    out: W,
    failure: Option<io::Error>,
}

impl<W: Write> Watched<W> {
    fn watch<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failure = Some(io::Error::new(error.kind(), error.to_string()));
        }
        done
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.watch(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.watch(flushed)
    }
}

/// A line of talk. Where stderr cannot be written there is nobody to tell.
pub fn say(line: impl Display) {
    let _status = cleared();
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line on a terminal's stderr that goes when anything else is written; an empty one goes at once. None is shown any
/// more once data was written.
pub fn status(line: &str) {
    let mut status = cleared();
    if *status == Status::None && !line.is_empty() {
        let _ = write!(io::stderr(), "{line}");
        *status = Status::Shown;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Status {
    None,
    Shown,
    Over,
}

/// Takes the status line away; none comes while this is held.
fn cleared() -> std::sync::MutexGuard<'static, Status> {
    static STATUS: Mutex<Status> = Mutex::new(Status::None);
    let mut status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    if *status == Status::Shown {
        let _ = write!(io::stderr(), "\r\x1b[K");
        *status = Status::None;
    }
    status
}

/// Whether a person reads stdout.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

fn refused(error: io::Error) -> Error {
    let message = format!("cannot write to stdout: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::failed(message).hint("'df -h' shows the room on each disk; name a file on another one")
        }
        _ => Error::failed(message),
    }
}
