//! A blob while it is being received, and once it is in its place: a file that is removed unless it is kept.
//!
//! It is renamed before it is synced, so that one sync makes both durable. What that leaves after a power failure is
//! told apart by its seal. As long as it is open it is locked: whoever finds a file without a row sees that there is
//! still somebody at it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::direct::{AlignedBuffer, BLOCK, set_direct};
use super::numbers::Numbers;
use super::seal::{self, Seal};
use super::{BlobNumber, Blobs, Fault, sync_folder};

/// Bytes from which on an instance is written past the page cache; up to here one write takes all of it.
const SMALL: usize = 64 * 1024;

/// Bytes of a larger instance that are written at a time, and held in memory: a disk gains little by more.
const PIECE: usize = 256 * 1024;

/// A data set of so many bytes is synced before it gets a number as well, lest it hold up those after it.
const LARGE: u64 = 8 << 20;

/// A file being written. Holds at most 256 KiB in memory.
#[derive(Debug)]
pub(crate) struct TemporaryBlob {
    name: Provisional,
    /// Locked.
    file: File,
    gathered: Gathered,
    hasher: blake3::Hasher,
    head_length: usize,
    data_set_length: u64,
    /// A write failed: what is in the file is not what came.
    broken: bool,
}

/// What is not written yet.
#[derive(Debug)]
enum Gathered {
    /// All of it.
    Small(Vec<u8>),
    /// The first block, which has the seal, and what comes after what is written.
    Large { first: AlignedBuffer, next: AlignedBuffer, written: u64, direct: bool },
}

impl TemporaryBlob {
    /// Begins a file with its preamble and file meta information (PS3.10 7.1), at whose end is room for the seal.
    pub(crate) fn create(path: PathBuf, head: &[u8]) -> io::Result<TemporaryBlob> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let mut gathered = Vec::with_capacity(head.len().max(4096));
        gathered.extend_from_slice(head);
        Ok(TemporaryBlob {
            name: Provisional { path, folder: None, stays: false },
            file,
            gathered: Gathered::Small(gathered),
            hasher: blake3::Hasher::new(),
            head_length: head.len(),
            data_set_length: 0,
            broken: false,
        })
    }

    /// Adds bytes of the data set.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check_unbroken()?;
        self.hasher.update(bytes);
        self.data_set_length += bytes.len() as u64;
        if let Gathered::Small(small) = &mut self.gathered {
            if small.len() + bytes.len() <= SMALL {
                small.extend_from_slice(bytes);
                return Ok(());
            }
            self.become_large()?;
        }
        self.write_large(bytes)
    }

    /// Goes on as a large one. The seal is in the first blocks, which are held back until it is known: they are written
    /// once, and nothing has to be read again for it.
    fn become_large(&mut self) -> io::Result<()> {
        let held_back = self.head_length.next_multiple_of(BLOCK);
        let large = Gathered::Large {
            first: AlignedBuffer::new(held_back),
            next: AlignedBuffer::new(PIECE),
            written: held_back as u64,
            direct: set_direct(&self.file, true),
        };
        match std::mem::replace(&mut self.gathered, large) {
            Gathered::Small(small) => self.write_large(&small),
            Gathered::Large { .. } => Ok(()),
        }
    }

    fn write_large(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Gathered::Large { first, next, written, direct } = &mut self.gathered else { return Ok(()) };
        bytes = &bytes[first.fill(bytes)..];
        while !bytes.is_empty() {
            let taken = next.fill(bytes);
            bytes = &bytes[taken..];
            if next.is_full() {
                let outcome = write_at(&self.file, next.bytes(), *written, direct);
                self.broken |= outcome.is_err();
                outcome?;
                *written += next.bytes().len() as u64;
                next.clear();
            }
        }
        Ok(())
    }

    fn check_unbroken(&self) -> io::Result<()> {
        if self.broken { Err(io::Error::other("an earlier write failed")) } else { Ok(()) }
    }

    /// Fills in the seal and hands everything to the system.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.check_unbroken()?;
        let seal = Seal { length: self.data_set_length, digest: self.data_set_digest() }.to_bytes();
        let place = self.head_length - seal::LENGTH..self.head_length;
        match &mut self.gathered {
            Gathered::Small(small) => {
                small[place].copy_from_slice(&seal);
                self.file.write_all(small)
            }
            Gathered::Large { first, next, written, direct } => {
                let (blocks, rest) = next.bytes().split_at(next.bytes().len() / BLOCK * BLOCK);
                write_at(&self.file, blocks, *written, direct)?;
                first.bytes_mut()[place].copy_from_slice(&seal);
                write_at(&self.file, first.bytes(), 0, direct)?;
                *direct = *direct && set_direct(&self.file, false);
                self.file.write_all_at(rest, *written + blocks.len() as u64)
            }
        }
    }

    /// Renames the file to where a number says.
    pub(crate) fn place(mut self, blobs: &Blobs, numbers: &Arc<Numbers>) -> Result<PlacedBlob, Fault> {
        if self.data_set_length >= LARGE {
            self.file.sync_data().map_err(Fault::Sync)?;
        }
        let number = Number { blob: numbers.take()?, numbers: Arc::clone(numbers) };
        self.name.path = blobs.take_in(&self.name.path, number.blob).map_err(Fault::Other)?;
        self.name.folder = self.name.path.parent().map(Path::to_owned);
        Ok(PlacedBlob { name: self.name, file: self.file, number })
    }

    /// Where the data set begins in the file.
    pub(crate) fn data_set_offset(&self) -> u64 {
        self.head_length as u64
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

/// Writes whole blocks, directly if it can be.
fn write_at(file: &File, blocks: &[u8], place: u64, direct: &mut bool) -> io::Result<()> {
    match file.write_all_at(blocks, place) {
        // Some file systems take the flag, and then no writes with it.
        Err(error) if *direct && error.kind() == io::ErrorKind::InvalidInput => {
            *direct = set_direct(file, false);
            file.write_all_at(blocks, place)
        }
        other => other,
    }
}

/// A name of a file that is removed unless it stays.
#[derive(Debug)]
struct Provisional {
    path: PathBuf,
    /// Where it is among the blobs: its name must not come back with the power, and be taken for an instance.
    folder: Option<PathBuf>,
    stays: bool,
}

impl Drop for Provisional {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let removed = fs::remove_file(&self.path);
        let synced = removed.and_then(|()| self.folder.as_deref().map_or(Ok(()), sync_folder));
        if let Err(error) = synced {
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
    pub(crate) fn sync(&self, blobs: &Blobs) -> Result<(), Fault> {
        self.file.sync_all().map_err(Fault::Sync)?;
        blobs.sync_folder_of(self.number.blob).map_err(Fault::Sync)
    }

    /// Leaves the file where it is: it has a row now, or nobody knows whether it has.
    pub(crate) fn keep(mut self) {
        self.name.stays = true;
    }
}
