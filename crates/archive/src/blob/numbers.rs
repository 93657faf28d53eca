//! The numbers that blobs get: rising, each used once, and never far apart while they are in use.
//!
//! Who has taken a number puts a file in its place, makes that durable, and has it put into the index; side by side
//! with others, so that rows come into the index nearly in the order of their numbers. How nearly is certain: a
//! number waits until none is in use that is [`SPREAD`] below it. So what a crash has left without a row lies
//! close to the last rows, and is found without looking through the archive.
//!
//! For small instances files are made ahead, [`AHEAD`] at a time, empty, under the names of the next numbers, and their
//! folder is synced once for all: a new name costs more to make durable than the bytes of a small instance. Those that
//! nobody has taken are removed when the archive is closed, and after a crash when it is opened.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{BITS_A_FOLDER, BlobNumber, Blobs, Fault, has_a_name};

/// How far apart numbers in use may be at most; more than stores run at once.
pub(crate) const SPREAD: u64 = 1024;

/// Files that are made ahead at a time.
const AHEAD: u64 = 64;

/// Files made one after the other whose metadata lie in one block of the disk: 16 inodes on ext4.
const A_BLOCK: u64 = 16;

/// With so many left, more are made.
const FEW: usize = 16;

#[derive(Debug)]
pub(crate) struct Numbers {
    blobs: Blobs,
    state: Mutex<State>,
    /// The lowest number in use is in use no more.
    advanced: Condvar,
    /// Files were made ahead, or could not be.
    prepared: Condvar,
}

#[derive(Debug)]
struct State {
    next: u64,
    in_use: BTreeSet<u64>,
    /// Numbers below the next whose files are there durably, empty, for whoever comes.
    prepared: VecDeque<(u64, File)>,
    /// Whether somebody is making more of them.
    is_preparing: bool,
    /// The folder, by its number, that is there durably.
    folder: Option<u64>,
}

impl Numbers {
    pub(crate) fn from(next: BlobNumber, blobs: Blobs) -> Numbers {
        let state = State {
            next: next.0,
            in_use: BTreeSet::new(),
            prepared: VecDeque::new(),
            is_preparing: false,
            folder: None,
        };
        Numbers { blobs, state: Mutex::new(state), advanced: Condvar::new(), prepared: Condvar::new() }
    }

    /// Takes the next number, whose folder is then there durably. Waits while one is in use that is too far below.
    pub(crate) fn take(&self) -> Result<BlobNumber, Fault> {
        let mut state = self.state_with_room();
        self.folder_of_the_next(&mut state)?;
        let number = state.next;
        state.next += 1;
        state.in_use.insert(number);
        Ok(BlobNumber(number))
    }

    /// Takes a number with its file, which is there durably, empty. Waits as [`Numbers::take`] does. Who finds few left
    /// makes more, while the others take those.
    pub(crate) fn take_prepared(&self) -> Result<(BlobNumber, File), Fault> {
        loop {
            let mut state = self.state_with_room();
            // Too far below those that were taken since.
            if state.prepared.front().is_some_and(|(first, _)| state.next - first >= SPREAD / 2) {
                self.discard(&mut state.prepared);
            }
            // Empty as they are, somebody may have tidied them up, or taken their folder away.
            if state.prepared.front().is_some_and(|(_, file)| !has_a_name(file).unwrap_or(false)) {
                self.discard(&mut state.prepared);
                state.folder = None;
            }
            let is_ours_to_make = state.prepared.len() <= FEW && !state.is_preparing;
            let to_make = if is_ours_to_make { Some(self.reserve(&mut state)?) } else { None };
            let taken = state.prepared.pop_front();
            if let Some((number, _)) = &taken {
                state.in_use.insert(*number);
            } else if to_make.is_none() {
                let is_empty = |state: &mut State| state.is_preparing && state.prepared.is_empty();
                drop(self.prepared.wait_while(state, is_empty));
                continue;
            }
            drop(state);
            let made = to_make.map_or(Ok(()), |numbers| self.prepare(numbers));
            let Some((number, file)) = taken else {
                made?;
                continue;
            };
            // What there is no room for those need who come later; but after a sync that failed nobody is to go on.
            if let Err(fault @ Fault::Sync(_)) = made {
                self.remove(number);
                self.release(BlobNumber(number));
                return Err(fault);
            }
            return Ok((BlobNumber(number), file));
        }
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

    /// Sets the next numbers apart, within one folder, for which [`Numbers::prepare`] is to follow.
    fn reserve(&self, state: &mut State) -> Result<Range<u64>, Fault> {
        self.folder_of_the_next(state)?;
        let first = state.next;
        let in_folder = (1 << BITS_A_FOLDER) - (first & ((1 << BITS_A_FOLDER) - 1));
        state.next = first + AHEAD.min(in_folder);
        state.is_preparing = true;
        Ok(first..state.next)
    }

    /// Makes files for numbers. Where there is no room for all, some are enough.
    fn prepare(&self, numbers: Range<u64>) -> Result<(), Fault> {
        let mut files = VecDeque::new();
        let made = self.make(numbers, &mut files);
        if made.is_err() {
            self.discard(&mut files);
        }
        let mut state = self.state();
        state.prepared.append(&mut files);
        state.is_preparing = false;
        drop(state);
        self.prepared.notify_all();
        made
    }

    fn make(&self, numbers: Range<u64>, files: &mut VecDeque<(u64, File)>) -> Result<(), Fault> {
        let first = BlobNumber(numbers.start);
        for number in apart(numbers) {
            match File::create_new(self.blobs.path(BlobNumber(number))) {
                Ok(file) => files.push_back((number, file)),
                Err(error) if files.is_empty() => return Err(Fault::Other(error)),
                Err(_) => break,
            }
        }
        files.make_contiguous().sort_unstable_by_key(|(number, _)| *number);
        self.blobs.sync_folder_of(first).map_err(Fault::Sync)
    }

    /// Removes files that were made ahead.
    fn discard(&self, files: &mut VecDeque<(u64, File)>) {
        files.drain(..).for_each(|(number, _)| self.remove(number));
    }

    fn remove(&self, number: u64) {
        if let Err(error) = self.blobs.remove(BlobNumber(number)) {
            tracing::warn!(%error, "an empty file among the instances could not be removed");
        }
    }

    fn folder_of_the_next(&self, state: &mut State) -> Result<(), Fault> {
        let folder = state.next >> BITS_A_FOLDER;
        if state.folder != Some(folder) {
            self.blobs.make_folder(BlobNumber(state.next))?;
            state.folder = Some(folder);
        }
        Ok(())
    }

    /// As soon as no number is in use that is too far below the next.
    fn state_with_room(&self) -> MutexGuard<'_, State> {
        let is_too_far =
            |state: &mut State| state.in_use.first().is_some_and(|lowest| state.next - lowest >= SPREAD);
        self.advanced.wait_while(self.state(), is_too_far).unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers in the order in which to make their files, so that those of numbers that follow one another have their metadata
/// in blocks of their own: two that are synced at once would wait for each other's block.
fn apart(numbers: Range<u64>) -> impl Iterator<Item = u64> {
    let blocks = numbers.clone().count().div_ceil(A_BLOCK as usize).max(1);
    (0..blocks).flat_map(move |block| numbers.clone().skip(block).step_by(blocks))
}

impl Drop for Numbers {
    fn drop(&mut self) {
        self.discard(&mut self.state().prepared);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
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
    fn prepared_numbers_have_an_empty_file_and_the_rest_goes_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let numbers = Numbers::from(BlobNumber(1000), blobs.clone());
        let taken: Vec<BlobNumber> = (0..30).map(|_| numbers.take_prepared().unwrap().0).collect();
        assert_eq!(taken.iter().map(|number| number.0).collect::<Vec<_>>(), (1000..1030).collect::<Vec<_>>());
        for number in &taken {
            assert_eq!(fs::metadata(blobs.path(*number)).unwrap().len(), 0);
        }
        let there = || blobs.list().unwrap().blobs.iter().map(|number| number.0).collect::<Vec<_>>();
        assert_eq!(
            there(),
            (1000..1024 + AHEAD).collect::<Vec<_>>(),
            "to the end of the folder, then as many as usual"
        );
        assert_eq!(numbers.take().unwrap(), BlobNumber(1024 + AHEAD), "no prepared one");
        drop(numbers);
        assert_eq!(there(), (1000..1030).collect::<Vec<_>>());
    }

    #[test]
    fn while_one_makes_more_the_others_take_what_is_left_and_then_wait() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = Numbers::from(BlobNumber(0), Blobs::new(folder.path().to_owned()));
        let take = || numbers.take_prepared().unwrap().0.0;
        let kept = AHEAD - FEW as u64;
        assert_eq!((0..kept).map(|_| take()).collect::<Vec<_>>(), (0..kept).collect::<Vec<_>>());
        let more = numbers.reserve(&mut numbers.state()).unwrap();
        assert_eq!(more, AHEAD..2 * AHEAD);
        assert_eq!((kept..AHEAD).map(|_| take()).collect::<Vec<_>>(), (kept..AHEAD).collect::<Vec<_>>());
        let (taken, waiting) = sync_channel(1);
        std::thread::scope(|scope| {
            scope.spawn(|| taken.send(take()).unwrap());
            // Whether it waits is seen by what it gets: not one of those that are made by nobody yet.
            assert!(waiting.try_recv().is_err());
            numbers.prepare(more).unwrap();
            assert_eq!(waiting.recv().unwrap(), AHEAD);
        });
    }

    #[test]
    fn many_at_once_get_each_another_number() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = Numbers::from(BlobNumber(0), Blobs::new(folder.path().to_owned()));
        let mut taken: Vec<u64> = std::thread::scope(|scope| {
            let take = || -> Vec<u64> {
                let one = || {
                    let (number, file) = numbers.take_prepared().unwrap();
                    assert_eq!(file.metadata().unwrap().len(), 0);
                    numbers.release(number);
                    number.0
                };
                (0..3 * AHEAD).map(|_| one()).collect()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        taken.sort_unstable();
        assert_eq!(taken, (0..12 * AHEAD).collect::<Vec<_>>());
    }

    #[test]
    fn a_prepared_number_that_others_have_left_behind_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let numbers = Numbers::from(BlobNumber(0), blobs.clone());
        numbers.release(numbers.take_prepared().unwrap().0);
        for _ in AHEAD..SPREAD / 2 {
            numbers.release(numbers.take().unwrap());
        }
        assert_eq!(numbers.take_prepared().unwrap().0, BlobNumber(1));
        numbers.release(numbers.take().unwrap());
        numbers.release(numbers.take().unwrap());
        assert_eq!(numbers.take_prepared().unwrap().0, BlobNumber(SPREAD / 2 + 2));
        assert!(!blobs.path(BlobNumber(2)).exists());
    }

    #[test]
    fn numbers_that_follow_one_another_have_no_block_in_common() {
        let made: Vec<u64> = apart(7..7 + AHEAD).collect();
        let block = |number: u64| made.iter().position(|made| *made == number).unwrap() as u64 / A_BLOCK;
        for at_once in (7..7 + AHEAD).collect::<Vec<_>>().windows((AHEAD / A_BLOCK) as usize) {
            let blocks: BTreeSet<u64> = at_once.iter().map(|number| block(*number)).collect();
            assert_eq!(blocks.len(), at_once.len(), "{at_once:?}");
        }
        assert_eq!(apart(3..21).collect::<BTreeSet<_>>(), (3..21).collect());
        assert_eq!(apart(3..8).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
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
