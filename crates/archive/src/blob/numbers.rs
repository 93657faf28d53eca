//! The numbers that blobs get: rising, each used once, and never far apart while they are in use.
//!
//! Who has taken a number puts a file in its place, makes that durable, and has it put into the index; side by side
//! with others, so that rows come into the index nearly in the order of their numbers. How nearly is certain: a
//! number waits until none is in use that is [`SPREAD`] below it. So what a crash has left without a row lies
//! close to the last rows, and is found without looking through the archive.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{BITS_A_FOLDER, BlobNumber, Blobs, Fault};

/// How far apart numbers in use may be at most; more than stores run at once.
pub(crate) const SPREAD: u64 = 1024;

#[derive(Debug)]
pub(crate) struct Numbers {
    blobs: Blobs,
    state: Mutex<State>,
    /// The lowest number in use is in use no more.
    advanced: Condvar,
}

#[derive(Debug)]
struct State {
    next: u64,
    in_use: BTreeSet<u64>,
    /// The folder, by its number, that is there durably.
    folder: Option<u64>,
}

impl Numbers {
    pub(crate) fn from(next: BlobNumber, blobs: Blobs) -> Numbers {
        let state = State { next: next.0, in_use: BTreeSet::new(), folder: None };
        Numbers { blobs, state: Mutex::new(state), advanced: Condvar::new() }
    }

    /// Takes the next number, whose folder is then there durably. Waits while one is in use that is too far below.
    pub(crate) fn take(&self) -> Result<BlobNumber, Fault> {
        let is_too_far =
            |state: &mut State| state.in_use.first().is_some_and(|lowest| state.next - lowest >= SPREAD);
        let waited = self.advanced.wait_while(self.state(), is_too_far);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let number = BlobNumber(state.next);
        let folder = number.0 >> BITS_A_FOLDER;
        if state.folder != Some(folder) {
            self.blobs.make_folder(number)?;
            state.folder = Some(folder);
        }
        state.next += 1;
        state.in_use.insert(number.0);
        Ok(number)
    }

    /// A number is in use no more: its file has a row, or is gone.
    pub(crate) fn release(&self, number: BlobNumber) {
        let mut state = self.state();
        let was_lowest = state.in_use.first() == Some(&number.0);
        state.in_use.remove(&number.0);
        drop(state);
        if was_lowest {
            self.advanced.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn numbers_rise_and_their_folders_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let numbers = Numbers::from(BlobNumber(1022), blobs.clone());
        for expected in 1022..1026 {
            let number = numbers.take().unwrap();
            assert_eq!(number, BlobNumber(expected));
            assert!(blobs.path(number).parent().unwrap().is_dir());
        }
    }

    #[test]
    fn a_number_waits_for_one_that_is_far_below() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = Numbers::from(BlobNumber(0), Blobs::new(folder.path().to_owned()));
        let slow = numbers.take().unwrap();
        for _ in 1..SPREAD {
            let quick = numbers.take().unwrap();
            numbers.release(quick);
        }
        let (taken, waiting) = sync_channel(1);
        std::thread::scope(|scope| {
            scope.spawn(|| taken.send(numbers.take().unwrap()).unwrap());
            // Whether it waits is seen by who goes first: the slow one, always.
            assert!(waiting.try_recv().is_err());
            numbers.release(slow);
            assert_eq!(waiting.recv().unwrap(), BlobNumber(SPREAD));
        });
    }
}
