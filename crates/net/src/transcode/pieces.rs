//! A data set as pieces, read as it is sent: what was made stands in memory, the rest in files.
//!
//! ```text
//! stored   head value head  pixels............
//! sent     HEAD value HEAD  pixels............     made in memory: HEAD and short values
//!          \----made-----/  \-stored, as sent-/    read as it is sent: the rest
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::association::Source;

/// Bytes of a file that are read at a time to be turned round; a multiple of every [`unit`](super::elements::unit).
const SWAP_LENGTH: usize = 64 * 1024;

/// A piece of a data set.
pub(super) enum Piece {
    Made(Vec<u8>),
    Stored(Stored),
}

/// Bytes of a file, turned round in units of so many bytes.
pub(super) struct Stored {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) unit: usize,
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Piece::Made(bytes) => bytes.len() as u64,
            Piece::Stored(stored) => stored.length,
        }
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.length).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if read == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += read as u64;
        self.length -= read as u64;
        Ok(read)
    }
}

/// A data set, read as it is sent.
pub struct Pieces {
    pieces: std::vec::IntoIter<Piece>,
    /// What is in memory of the current piece, and how much of it was sent.
    made: Vec<u8>,
    sent: usize,
    /// The rest of the current piece, if it is one of a file.
    stored: Option<Stored>,
    remaining: u64,
}

impl Pieces {
    pub(super) fn new(pieces: Vec<Piece>) -> Pieces {
        let remaining = pieces.iter().map(Piece::length).sum();
        Pieces { pieces: pieces.into_iter(), made: Vec::new(), sent: 0, stored: None, remaining }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.sent < self.made.len() {
                let length = buffer.len().min(self.made.len() - self.sent);
                buffer[..length].copy_from_slice(&self.made[self.sent..self.sent + length]);
                self.sent += length;
                return Ok(length);
            }
            match &mut self.stored {
                Some(stored) if stored.length > 0 && stored.unit == 1 => return stored.read(buffer),
                Some(stored) if stored.length > 0 => {
                    let length = usize::try_from(stored.length).unwrap_or(usize::MAX).min(SWAP_LENGTH);
                    self.made.resize(length, 0);
                    self.sent = 0;
                    stored.read_exact(&mut self.made)?;
                    swap(&mut self.made, stored.unit);
                }
                _ => match self.pieces.next() {
                    None => return Ok(0),
                    Some(Piece::Made(bytes)) => (self.made, self.sent) = (bytes, 0),
                    Some(Piece::Stored(stored)) => self.stored = Some(stored),
                },
            }
        }
    }
}

impl Source for Pieces {
    fn remaining(&self) -> u64 {
        self.remaining
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.read_some(buffer)?;
        self.remaining -= read as u64;
        Ok(read)
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Source::read(self, buffer)
    }
}

/// Turns the bytes of each unit round; what is left over at the end stays.
pub(super) fn swap(bytes: &mut [u8], unit: usize) {
    if unit > 1 {
        bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
    }
}
