//! What a message to be sent has for a data set.

use std::io::{self, Read};

/// The data set of a message to be sent.
pub enum Data<'a> {
    /// The command has none.
    None,
    /// In memory. Packed with the command in one P-DATA-TF when both fit.
    Bytes(&'a [u8]),
    /// Read as it is sent; constant memory.
    Source(&'a mut dyn Source),
}

/// Something that is read as it is sent, such as the data set in a file.
pub trait Source: Send {
    /// Bytes that remain.
    fn remaining(&self) -> u64;

    /// Fills the front of `buffer` and says how much, at least 1 while anything remains.
    ///
    /// # Errors
    /// Whatever reading says. The association is then aborted: a data set that was begun cannot be taken back.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Bytes in memory are a source.
impl Source for &[u8] {
    fn remaining(&self) -> u64 {
        self.len() as u64
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

/// A reader of which a known number of bytes are to be sent, such as a file that stands at its data set.
#[derive(Debug)]
pub struct ReaderSource<R> {
    reader: R,
    remaining: u64,
}

impl<R: Read + Send> ReaderSource<R> {
    /// Sends the next `length` bytes of `reader`.
    pub fn new(reader: R, length: u64) -> ReaderSource<R> {
        ReaderSource { reader, remaining: length }
    }
}

impl<R: Read + Send> Source for ReaderSource<R> {
    fn remaining(&self) -> u64 {
        self.remaining
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        let read = self.reader.read(&mut buffer[..length])?;
        self.remaining -= read as u64;
        Ok(read)
    }
}
