//! A decoder that panics on a file says that the file cannot be read, no more: not the end of an import of a million others.
//! (tiff 0.11.3 does, on files of Pillow's tests.)

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::error::{Error, Result};

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// What `read` gives, or that its decoder gave up; nothing is printed of that.
pub fn caught<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            if !DECODING.get() {
                loud(panicked);
            }
        }));
    });
    DECODING.set(true);
    let read = panic::catch_unwind(AssertUnwindSafe(read));
    DECODING.set(false);
    read.unwrap_or_else(|panicked| {
        let text = panicked.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panicked.downcast_ref::<&str>().copied()).unwrap_or("for no reason that it gives");
        Err(Error::bad_input(format!("its decoder gives up: {text}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_file_is_read() {
        let image: [u8; 1] = [7];
        let at = |index: usize| caught(|| Ok(image[index]));
        assert!(at(1).unwrap_err().message.contains("its decoder gives up: index out of bounds"));
        assert_eq!(at(0).unwrap(), 7);
    }
}
