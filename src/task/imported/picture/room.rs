//! Memory that images are decoded in: all cores together stay within it, whatever comes. (Pixels alone of 20 images of
//! 400 megapixels on two cores are 2.4 GB at once, and on 64 cores 24 GB.)

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Of all cores together. An image that needs more waits until it is alone.
const BYTES: u64 = 1 << 30;

pub static ROOM: Room =
    Room { bytes: BYTES, state: Mutex::new(State { held: 0, given: 0, served: 0 }), changed: Condvar::new() };

pub struct Room {
    bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    held: u64,
    /// Tickets: who came first is served first, so that small images do not keep a large one waiting for ever.
    given: u64,
    served: u64,
}

pub struct Held<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    /// Waits for so many bytes; they are given back when what is returned is dropped.
    pub fn take(&self, bytes: u64) -> Held<'_> {
        let bytes = bytes.min(self.bytes);
        let mut state = self.state();
        let ticket = state.given;
        state.given += 1;
        while state.served != ticket || state.held + bytes > self.bytes {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.served += 1;
        state.held += bytes;
        self.changed.notify_all();
        Held { room: self, bytes }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.room.state().held -= self.bytes;
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn all_threads_together_stay_within_it_and_the_largest_gets_its_turn() {
        let room =
            Room { bytes: 100, state: Mutex::new(State { held: 0, given: 0, served: 0 }), changed: Condvar::new() };
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (room, now, most) = (&room, &now, &most);
                scope.spawn(move || {
                    for turn in 0..50 {
                        let bytes = if (thread + turn) % 7 == 0 { 1000 } else { 10 + 7 * thread };
                        let held = room.take(bytes);
                        most.fetch_max(now.fetch_add(held.bytes, Ordering::SeqCst) + held.bytes, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(held.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), room.state().held), (100, 0));
    }
}
