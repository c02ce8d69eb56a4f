//! Writes from a thread of its own, so that a terminal that is held (Ctrl-S), a pager that nobody scrolls or a connection
//! that hangs never holds up who hands out runs.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// What is not written so long after the end is let go: a program that is done does not wait for a terminal.
const PATIENCE: Duration = Duration::from_secs(2);

pub struct Behind {
    /// Hung up to end the thread.
    texts: Option<Sender<Vec<u8>>>,
    unwritten: Arc<AtomicUsize>,
    written: Receiver<()>,
}

impl Behind {
    pub fn new(mut out: impl Write + Send + 'static) -> Self {
        let (texts, queue) = mpsc::channel::<Vec<u8>>();
        let (end, written) = mpsc::channel::<()>();
        let unwritten = Arc::new(AtomicUsize::new(0));
        let counter = unwritten.clone();
        // Without a thread there is no display: the queue's other end is gone, and what is sent is let go.
        let _ = thread::Builder::new().name("display".into()).spawn(move || {
            for text in queue {
                // A terminal that is gone is no reason to stop a sweep.
                let _ = out.write_all(&text).and_then(|()| out.flush());
                counter.fetch_sub(1, Ordering::Release);
            }
            drop(end);
        });
        Self { texts: Some(texts), unwritten, written }
    }

    /// Tells whether all has been written.
    pub fn idle(&self) -> impl Fn() -> bool + Send + use<> {
        let unwritten = self.unwritten.clone();
        move || unwritten.load(Ordering::Acquire) == 0
    }
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unwritten.fetch_add(1, Ordering::Acquire);
        if let Some(texts) = &self.texts {
            texts.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.texts = None;
        let _ = self.written.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Takes nothing until it is released.
    struct Held(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_waits_and_who_writes_does_not() {
        let (release, held) = mpsc::channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let mut behind = Behind::new(Held(held, text.clone()));
        let idle = behind.idle();
        assert!(idle());
        for line in 0..3 {
            writeln!(behind, "line {line}").unwrap();
        }
        assert!(!idle() && text.lock().unwrap().is_empty());
        drop(release);
        drop(behind);
        assert!(idle());
        assert_eq!(String::from_utf8_lossy(&text.lock().unwrap()), "line 0\nline 1\nline 2\n");
    }
}
