//! A blob while it is being received, and once it is in its place: a file that is removed unless it is kept.
//!
//! It is renamed before it is synced, so that one sync makes both durable. What that leaves after a power failure is
//! told apart by its seal. As long as it is open it is locked: whoever finds a file without a row sees that there is
//! still somebody at it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::numbers::Numbers;
use super::seal::{self, Seal};
use super::{BlobNumber, Blobs};

/// Bytes gathered before they are written. A fragment of a DIMSE message has 16 KiB to 128 KiB; larger pieces
/// than this gain nothing.
const BUFFER_LENGTH: usize = 64 * 1024;

/// A data set of so many bytes is synced before it gets a number as well, lest it hold up those after it.
const LARGE: u64 = 8 << 20;

/// A file being written. Holds at most 64 KiB in memory.
#[derive(Debug)]
pub(crate) struct TemporaryBlob {
    name: Provisional,
    /// Locked.
    file: File,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    head_length: u64,
    data_set_length: u64,
    /// Bytes handed to the system.
    written: u64,
    /// A write failed: what is in the file is not what came.
    broken: bool,
}

impl TemporaryBlob {
    /// Begins a file with its preamble and file meta information (PS3.10 7.1), at whose end is room for the seal.
    pub(crate) fn create(path: PathBuf, head: &[u8]) -> io::Result<TemporaryBlob> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let mut buffer = Vec::with_capacity(head.len().max(4096));
        buffer.extend_from_slice(head);
        Ok(TemporaryBlob {
            name: Provisional { path, stays: false },
            file,
            buffer,
            hasher: blake3::Hasher::new(),
            head_length: head.len() as u64,
            data_set_length: 0,
            written: 0,
            broken: false,
        })
    }

    /// Adds bytes of the data set.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check_unbroken()?;
        self.hasher.update(bytes);
        self.data_set_length += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER_LENGTH {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_LENGTH {
            return self.write_through(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Hands what is gathered to the system.
    fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.write_through(&buffer);
        buffer.clear();
        self.buffer = buffer;
        outcome
    }

    fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        let outcome = self.file.write_all(bytes);
        self.broken |= outcome.is_err();
        self.written += bytes.len() as u64;
        outcome
    }

    fn check_unbroken(&self) -> io::Result<()> {
        if self.broken { Err(io::Error::other("an earlier write failed")) } else { Ok(()) }
    }

    /// Fills in the seal and hands everything to the system.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.check_unbroken()?;
        let seal = Seal { length: self.data_set_length, digest: self.data_set_digest() }.to_bytes();
        let place = self.head_length - seal::LENGTH as u64;
        if self.written == 0 {
            let place = place as usize;
            self.buffer[place..place + seal::LENGTH].copy_from_slice(&seal);
            return self.flush();
        }
        self.flush()?;
        self.file.write_all_at(&seal, place)
    }

    /// Renames the file to where a number says.
    pub(crate) fn place(mut self, blobs: &Blobs, numbers: &Arc<Numbers>) -> io::Result<PlacedBlob> {
        if self.data_set_length >= LARGE {
            self.file.sync_data()?;
        }
        let number = Number { blob: numbers.take()?, numbers: Arc::clone(numbers) };
        self.name.path = blobs.take_in(&self.name.path, number.blob)?;
        Ok(PlacedBlob { name: self.name, file: self.file, number })
    }

    /// Where the data set begins in the file.
    pub(crate) fn data_set_offset(&self) -> u64 {
        self.head_length
    }

    /// Bytes of the data set so far.
    pub(crate) fn data_set_length(&self) -> u64 {
        self.data_set_length
    }

    /// The digest of the data set so far: BLAKE3, 32 bytes.
    pub(crate) fn data_set_digest(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

/// A name of a file that is removed unless it stays.
#[derive(Debug)]
struct Provisional {
    path: PathBuf,
    stays: bool,
}

impl Drop for Provisional {
    fn drop(&mut self) {
        if !self.stays
            && let Err(error) = fs::remove_file(&self.path)
        {
            // It goes when the archive is next opened.
            tracing::warn!(%error, "a file that no instance needs could not be removed");
        }
    }
}

/// A number in use.
#[derive(Debug)]
struct Number {
    blob: BlobNumber,
    numbers: Arc<Numbers>,
}

impl Drop for Number {
    fn drop(&mut self) {
        self.numbers.release(self.blob);
    }
}

/// A file in its place, of which the index does not know yet. Dropped, it is removed, then unlocked, then lets go
/// of its number.
#[derive(Debug)]
pub(crate) struct PlacedBlob {
    name: Provisional,
    file: File,
    number: Number,
}

impl PlacedBlob {
    pub(crate) fn number(&self) -> BlobNumber {
        self.number.blob
    }

    /// Makes file and name durable.
    pub(crate) fn sync(&self, blobs: &Blobs) -> io::Result<()> {
        self.file.sync_all()?;
        blobs.sync_folder_of(self.number.blob)
    }

    /// Leaves the file where it is: it has a row now, or nobody knows whether it has.
    pub(crate) fn keep(mut self) {
        self.name.stays = true;
    }
}
