//! A buffer for writing past the page cache (O_DIRECT), and how a file is set to that.
//!
//! What is synced as soon as it is there gains nothing from the page cache: its bytes are copied there, written from
//! there, and waited for. Written directly, a large instance is durable sooner, and what others read is
//! not driven out of memory. The system wants memory, place and length in whole blocks; what does not fit, and small
//! instances, go the usual way.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// What memory, place and length have to be multiples of: no disk has larger blocks.
pub(super) const BLOCK: usize = 4096;

/// Bytes from which on a file is written past the page cache; up to here one write takes all of it.
pub(super) const CACHED: usize = 64 * 1024;

/// Bytes of a buffer, beginning at a multiple of [`BLOCK`] in memory.
#[derive(Default)]
pub(super) struct AlignedBuffer {
    /// What is before the beginning, and what is in it. Never grows beyond its capacity, and so stays where it is.
    memory: Vec<u8>,
    begin: usize,
    capacity: usize,
}

/// Without what is in it: those are a patient's data.
impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuffer").field("length", &self.bytes().len()).finish_non_exhaustive()
    }
}

impl AlignedBuffer {
    /// An empty one with room for so many bytes.
    pub(super) fn new(capacity: usize) -> AlignedBuffer {
        let mut memory: Vec<u8> = Vec::with_capacity(capacity + BLOCK);
        let begin = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        memory.resize(begin, 0);
        AlignedBuffer { memory, begin, capacity }
    }

    /// Bytes that there is still room for.
    pub(super) fn room(&self) -> usize {
        self.capacity - self.bytes().len()
    }

    /// Takes as many of the bytes as there is room for; answers how many.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.memory.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Puts so many zeros before what is in it from a place on. There must be room for them.
    pub(super) fn insert_zeros(&mut self, place: usize, zeros: usize) {
        debug_assert!(zeros <= self.room(), "it must not grow beyond its capacity");
        let place = self.begin + place;
        let moved = place..self.memory.len();
        self.memory.resize(moved.end + zeros, 0);
        self.memory.copy_within(moved, place + zeros);
        self.memory[place..place + zeros].fill(0);
    }

    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..]
    }

    /// What is in it, to be changed.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.begin..]
    }

    /// Empties it.
    pub(super) fn clear(&mut self) {
        self.memory.truncate(self.begin);
    }
}

/// Sets whether a file is written past the page cache; whether it is now. Some file systems have no such thing.
pub(super) fn set_direct(file: &File, direct: bool) -> bool {
    let set = || -> io::Result<()> {
        let mut flags = fcntl_getfl(file)?;
        flags.set(OFlags::DIRECT, direct);
        Ok(fcntl_setfl(file, flags)?)
    };
    set().is_ok() && direct
}

/// Writes whole blocks, directly if it can be.
pub(super) fn write_blocks(file: &File, blocks: &[u8], place: u64, direct: &mut bool) -> io::Result<()> {
    match file.write_all_at(blocks, place) {
        // Some file systems take the flag, and then no writes with it.
        Err(error) if *direct && error.kind() == io::ErrorKind::InvalidInput => {
            *direct = set_direct(file, false);
            file.write_all_at(blocks, place)
        }
        other => other,
    }
}

/// Writes the last bytes of a file: whole blocks directly if it can be, what does not fit the usual way.
pub(super) fn write_last(file: &File, bytes: &[u8], place: u64, mut direct: bool) -> io::Result<()> {
    if !direct {
        return file.write_all_at(bytes, place);
    }
    let (blocks, rest) = bytes.split_at(bytes.len() / BLOCK * BLOCK);
    write_blocks(file, blocks, place, &mut direct)?;
    if rest.is_empty() {
        return Ok(());
    }
    set_direct(file, false);
    file.write_all_at(rest, place + blocks.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_at_a_block_and_takes_no_more_than_it_has_room_for() {
        let mut buffer = AlignedBuffer::new(2 * BLOCK);
        assert_eq!(buffer.fill(&[7; BLOCK]), BLOCK);
        assert_eq!(buffer.room(), BLOCK);
        assert_eq!(buffer.fill(&[8; 2 * BLOCK]), BLOCK);
        assert_eq!(buffer.room(), 0);
        assert_eq!(buffer.bytes().as_ptr().align_offset(BLOCK), 0);
        assert_eq!(buffer.bytes()[..BLOCK], [7; BLOCK]);
        assert_eq!(buffer.bytes()[BLOCK..], [8; BLOCK]);
        buffer.clear();
        assert!(buffer.bytes().is_empty());
    }

    #[test]
    fn zeros_go_before_what_is_moved() {
        let mut buffer = AlignedBuffer::new(BLOCK);
        buffer.fill(b"headdata set");
        buffer.insert_zeros(4, 3);
        assert_eq!(buffer.bytes(), b"head\0\0\0data set");
        buffer.insert_zeros(0, buffer.room());
        assert_eq!((buffer.bytes().len(), buffer.room()), (BLOCK, 0));
        assert!(buffer.bytes().ends_with(b"\0head\0\0\0data set"));
    }
}
