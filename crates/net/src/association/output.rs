//! The write buffer: PDUs are made in it, and leave it in as few system calls as the peer takes.
//!
//! ```text
//! 0         start            end            CAPACITY
//! | written | to be written  | room for PDUs |
//! ```

/// Room for one fragment of the largest size with its header, and for some small messages before it.
const CAPACITY: usize = 256 * 1024;

/// The largest fragment we make of a data set. Smaller than what most peers would take: while the peer reads
/// one, we read the next from its file.
pub(super) const MAX_FRAGMENT: usize = 128 * 1024 - 12;

/// The write buffer. It is made at the first use, so that an association that only waits costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// What is to be written.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes off what was written.
    pub(super) fn advance(&mut self, written: usize) {
        self.start = (self.start + written).min(self.end);
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
        // A large control PDU may have made it grow.
        if self.bytes.len() > CAPACITY {
            self.bytes = Vec::new();
        }
    }

    /// Whether `length` bytes fit behind what is there. An empty buffer takes whatever it is given.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.is_empty() || self.end + length <= CAPACITY
    }

    /// The next `length` bytes, to be filled; they count after [`Output::commit`]. Grows beyond its capacity
    /// rather than refuse: who may have to wait asks [`Output::has_room`] first.
    pub(super) fn slot(&mut self, length: usize) -> &mut [u8] {
        let needed = self.end + length;
        if needed > self.bytes.len() {
            // Fresh zeroed memory rather than `resize`: the system hands out pages only as they are touched.
            let mut bytes = vec![0; needed.max(CAPACITY)];
            bytes[..self.len()].copy_from_slice(&self.bytes[self.start..self.end]);
            (self.bytes, self.start, self.end) = (bytes, 0, self.len());
        }
        &mut self.bytes[self.end..self.end + length]
    }

    pub(super) fn commit(&mut self, length: usize) {
        self.end = (self.end + length).min(self.bytes.len());
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.slot(bytes.len()).copy_from_slice(bytes);
        self.commit(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_room_comes_back_when_all_is_written() {
        let mut output = Output::default();
        output.append(b"abc");
        output.slot(4)[..4].copy_from_slice(b"defg");
        output.commit(4);
        output.advance(2);
        assert_eq!(output.pending(), b"cdefg");
        assert!(output.has_room(CAPACITY - 7) && !output.has_room(CAPACITY - 6));
        output.advance(5);
        assert!(output.is_empty() && output.has_room(CAPACITY));
    }

    #[test]
    fn grows_for_what_does_not_fit_and_shrinks_again() {
        let mut output = Output::default();
        output.append(b"abc");
        output.append(&vec![7; 2 * CAPACITY]);
        output.advance(3);
        assert_eq!(output.pending(), vec![7; 2 * CAPACITY]);
        output.advance(2 * CAPACITY);
        assert_eq!(output.bytes.len(), 0);
    }
}
