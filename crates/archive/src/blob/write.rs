//! A blob while it is being received: a file that is removed unless it is taken in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes gathered before they are written. A fragment of a DIMSE message has 16 KiB to 128 KiB; larger pieces
/// than this gain nothing.
const BUFFER_LENGTH: usize = 64 * 1024;

/// A file being written. Holds at most 64 KiB in memory.
#[derive(Debug)]
pub(crate) struct TemporaryBlob {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    head_length: u64,
    data_set_length: u64,
    taken: bool,
    /// A write failed: what is in the file is not what came.
    broken: bool,
}

impl TemporaryBlob {
    /// Begins a file with its preamble and file meta information (PS3.10 7.1).
    pub(crate) fn create(path: PathBuf, head: &[u8]) -> io::Result<TemporaryBlob> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let mut buffer = Vec::with_capacity(head.len().max(4096));
        buffer.extend_from_slice(head);
        Ok(TemporaryBlob {
            path,
            file,
            buffer,
            hasher: blake3::Hasher::new(),
            head_length: head.len() as u64,
            data_set_length: 0,
            taken: false,
            broken: false,
        })
    }

    /// Adds bytes of the data set.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed"));
        }
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
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.write_through(&buffer);
        buffer.clear();
        self.buffer = buffer;
        outcome
    }

    fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        let outcome = self.file.write_all(bytes);
        self.broken |= outcome.is_err();
        outcome
    }

    /// Makes the bytes durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
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

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file alone from now on: it was renamed.
    pub(crate) fn taken(&mut self) {
        self.taken = true;
    }
}

impl Drop for TemporaryBlob {
    fn drop(&mut self) {
        if !self.taken {
            // Nobody to tell; a file that stays is discarded when the archive is next opened.
            let _ = fs::remove_file(&self.path);
        }
    }
}
