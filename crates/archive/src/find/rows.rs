//! Row numbers of matches, packed: a million of them take one or two million bytes.
//!
//! Each is written as its difference from the one before, the sign in the lowest bit, seven bits a byte, the lowest
//! first, the highest bit of a byte saying that more follow. Matches lie close together, whatever order they come in.

/// A row of numbers: written at its end, read from its front.
#[derive(Debug, Default)]
pub(super) struct Rows {
    packed: Vec<u8>,
    written: i64,
    read: i64,
    at: usize,
}

impl Rows {
    pub(super) fn push(&mut self, row: i64) {
        let difference = row.wrapping_sub(self.written);
        self.written = row;
        let mut rest = ((difference << 1) ^ (difference >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.packed.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.packed.push(rest as u8);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.packed.len()
    }
}

impl Iterator for Rows {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        let (mut folded, mut shift) = (0_u64, 0);
        loop {
            let byte = *self.packed.get(self.at)?;
            self.at += 1;
            folded |= u64::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let difference = (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
        self.read = self.read.wrapping_add(difference);
        Some(self.read)
    }
}

impl FromIterator<i64> for Rows {
    fn from_iter<T: IntoIterator<Item = i64>>(numbers: T) -> Rows {
        let mut rows = Rows::default();
        numbers.into_iter().for_each(|row| rows.push(row));
        rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_take_a_byte_each() {
        let rows: Rows = (5_000_000..5_001_000).collect();
        assert!(rows.packed.len() < 1010, "{}", rows.packed.len());
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(numbers in prop::collection::vec(any::<i64>(), 0..50)) {
            let mut rows: Rows = numbers.iter().copied().collect();
            for number in &numbers {
                prop_assert!(!rows.is_empty());
                prop_assert_eq!(rows.next(), Some(*number));
            }
            prop_assert!(rows.is_empty());
            prop_assert_eq!(rows.next(), None);
        }
    }
}
