//! Frames of one bit a pixel. Native pixel data have them one behind the other without gaps, so that a frame may begin
//! within a byte; the first pixel is the lowest bit (PS3.5 8.1.1). Encapsulated, each begins with a byte of its own.

use std::io::{self, Read, Write};

/// Bytes that are read at a time.
const READ_LENGTH: usize = 64 * 1024;

/// Between two frames: the bits that are no whole byte yet.
#[derive(Default)]
pub(super) struct SingleBits {
    held: u32,
    count: u32,
}

impl SingleBits {
    /// Appends so many bits to what was written before. They begin in the first byte of `input` behind `skipped` others,
    /// less than 8.
    ///
    /// # Errors
    /// When the input ends before, and whatever reading and writing say.
    pub(super) fn append(
        &mut self,
        output: &mut impl Write,
        mut input: impl Read,
        mut skipped: u32,
        bits: u64,
    ) -> io::Result<()> {
        let mut left = bits;
        let mut buffer = vec![0; READ_LENGTH];
        while left > 0 {
            let bytes = (left + u64::from(skipped)).div_ceil(8);
            let chunk = &mut buffer[..usize::try_from(bytes).unwrap_or(READ_LENGTH).min(READ_LENGTH)];
            input.read_exact(chunk)?;
            let mut whole = Vec::with_capacity(chunk.len() + 1);
            for byte in chunk {
                // At most 8.
                let here = left.min(u64::from(8 - skipped)) as u32;
                self.held |= ((u32::from(*byte) >> skipped) & ((1 << here) - 1)) << self.count;
                self.count += here;
                if self.count >= 8 {
                    whole.push(self.held as u8);
                    self.held >>= 8;
                    self.count -= 8;
                }
                left -= u64::from(here);
                skipped = 0;
            }
            output.write_all(&whole)?;
        }
        Ok(())
    }

    /// Writes what is left, with zeros up to the end of a byte.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn finish(self, output: &mut impl Write) -> io::Result<()> {
        if self.count > 0 { output.write_all(&[self.held as u8]) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits as text, the first one first.
    fn bits(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:08b}").chars().rev().collect::<String>()).collect()
    }

    #[test]
    fn bits_follow_one_another_wherever_in_a_byte_they_were() {
        let input: Vec<u8> = (0..200_u32).map(|number| (number * 37 + 11) as u8).collect();
        let all = bits(&input);
        let (mut single_bits, mut taken) = (SingleBits::default(), Vec::new());
        let mut expected = String::new();
        for (start, length) in [(0, 3), (5, 9), (13, 1), (16, 16), (7, 0), (801, 450), (3, 1001)] {
            let (from, skipped) = (&input[start / 8..], (start % 8) as u32);
            single_bits.append(&mut taken, from, skipped, length as u64).unwrap();
            expected.push_str(&all[start..start + length]);
        }
        single_bits.finish(&mut taken).unwrap();
        let taken = bits(&taken);
        assert_eq!(taken[..expected.len()], expected);
        assert!(taken.len() - expected.len() < 8 && !taken[expected.len()..].contains('1'));
    }

    #[test]
    fn more_bits_than_are_read_at_a_time_are_taken_and_more_than_there_are_is_an_error() {
        let input = vec![0b1010_1010; 3 * READ_LENGTH];
        let (mut single_bits, mut taken) = (SingleBits::default(), Vec::new());
        single_bits.append(&mut taken, &input[..], 1, 8 * 3 * READ_LENGTH as u64 - 1).unwrap();
        single_bits.finish(&mut taken).unwrap();
        assert_eq!(taken.len(), input.len());
        assert!(taken[..taken.len() - 1].iter().all(|byte| *byte == 0b0101_0101));
        let error = SingleBits::default().append(&mut Vec::new(), &input[..2], 1, 16).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
