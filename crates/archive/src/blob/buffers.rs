//! The buffers that instances are received into, used again and again: memory that is new to the process costs as much as
//! what is then put there.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::direct::AlignedBuffer;

/// Bytes that a buffer has room for, in whole blocks. Written at once, an instance of 525 KB is durable sooner than in
/// pieces as it comes.
pub(super) const SIZE: usize = 1024 * 1024;

/// So many are kept for those who come; more were needed for a while only.
const KEPT: usize = 16;

/// Those that nobody uses.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<AlignedBuffer>>);

impl Buffers {
    /// An empty one.
    pub(super) fn lend(self: &Arc<Self>) -> Lent {
        let buffer = self.free().pop().unwrap_or_else(|| AlignedBuffer::new(SIZE));
        Lent { buffer, owner: Arc::clone(self) }
    }

    fn free(&self) -> MutexGuard<'_, Vec<AlignedBuffer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that is in use until this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    buffer: AlignedBuffer,
    owner: Arc<Buffers>,
}

impl Lent {
    /// Another from where this comes from.
    pub(super) fn lend_another(&self) -> Lent {
        self.owner.lend()
    }
}

impl Deref for Lent {
    type Target = AlignedBuffer;

    fn deref(&self) -> &AlignedBuffer {
        &self.buffer
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut AlignedBuffer {
        &mut self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut free = self.owner.free();
        if free.len() < KEPT {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_no_more_are_kept_than_are_of_use() {
        let buffers = Arc::new(Buffers::default());
        let mut first = buffers.lend();
        first.fill(b"of a patient");
        let place = first.bytes().as_ptr();
        drop(first);
        let again = buffers.lend();
        assert_eq!((again.bytes().as_ptr(), again.bytes().len(), again.room()), (place, 0, SIZE));
        let many: Vec<Lent> = (0..2 * KEPT).map(|_| buffers.lend()).collect();
        drop((again, many));
        assert_eq!(buffers.free().len(), KEPT);
    }
}
