//! A blob while it is being received. A small one, which fits into a buffer, is held in memory, and written once it is
//! whole; a large one is written to a file in `incoming/` as it comes.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use dicomet_proto::dataset::FileMeta;

use super::buffers::{Buffers, Lent};
use super::direct::{AlignedBuffer, BLOCK, set_direct, write_blocks, write_last};
use super::placed::{Provisional, lock};
use super::seal::Seal;
use super::sealed::SealedBlob;

/// A file being received. Holds a buffer of it in memory, and its head. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct TemporaryBlob {
    /// Where it is received to if it is large.
    incoming: PathBuf,
    gathered: Gathered,
    hasher: blake3::Hasher,
    meta: FileMeta,
    head_length: usize,
    data_set_length: u64,
    /// A write failed: what is in the file is not what came.
    broken: bool,
}

#[derive(Debug)]
pub(super) enum Gathered {
    /// All of it; there is no file yet.
    Small(Lent),
    Large(Large),
}

/// A file that is written as its bytes come, past the page cache.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) name: Provisional,
    /// Locked.
    pub(super) file: File,
    /// The first blocks, which have the seal, and are held back until it is known: they are written once, and nothing
    /// has to be read again for it.
    first: AlignedBuffer,
    /// What comes after what is written.
    next: Lent,
    written: u64,
    direct: bool,
}

impl TemporaryBlob {
    /// Begins with the file meta information (PS3.10 7.1), where room is left for the seal. `incoming` is
    /// a name for the file if it becomes a large one.
    pub(crate) fn begin(incoming: PathBuf, meta: FileMeta, buffers: &Arc<Buffers>) -> TemporaryBlob {
        let meta = FileMeta { private_information: Some(Seal::blank()), ..meta };
        let head = meta.to_bytes();
        let mut buffer = buffers.lend();
        buffer.fill(&head);
        TemporaryBlob {
            incoming,
            gathered: Gathered::Small(buffer),
            hasher: blake3::Hasher::new(),
            meta,
            head_length: head.len(),
            data_set_length: 0,
            broken: false,
        }
    }

    /// Adds bytes of the data set.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check_unbroken()?;
        self.hasher.update(bytes);
        self.data_set_length += bytes.len() as u64;
        let outcome = self.gather(bytes);
        self.broken = outcome.is_err();
        outcome
    }

    fn gather(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.gathered {
            Gathered::Large(large) => return large.write(bytes),
            Gathered::Small(small) if bytes.len() <= small.room() => _ = small.fill(bytes),
            Gathered::Small(small) => {
                let mut large = Large::create(self.incoming.clone(), small.lend_another(), self.head_length)?;
                large.write(small.bytes())?;
                large.write(bytes)?;
                self.gathered = Gathered::Large(large);
            }
        }
        Ok(())
    }

    fn check_unbroken(&self) -> io::Result<()> {
        if self.broken { Err(io::Error::other("an earlier write failed")) } else { Ok(()) }
    }

    /// The data set has come to its end: fills in the seal.
    pub(crate) fn seal(self) -> io::Result<SealedBlob> {
        self.check_unbroken()?;
        let seal = Seal { length: self.data_set_length, digest: *self.hasher.finalize().as_bytes() };
        Ok(SealedBlob::new(self.gathered, self.meta, self.head_length, seal))
    }
}

impl Large {
    fn create(path: PathBuf, next: Lent, head_length: usize) -> io::Result<Large> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let name = Provisional::new(path);
        lock(&file)?;
        let held_back = head_length.next_multiple_of(BLOCK);
        Ok(Large {
            name,
            first: AlignedBuffer::new(held_back),
            next,
            written: held_back as u64,
            direct: set_direct(&file, true),
            file,
        })
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        bytes = &bytes[self.first.fill(bytes)..];
        while !bytes.is_empty() {
            let taken = self.next.fill(bytes);
            bytes = &bytes[taken..];
            if self.next.room() == 0 {
                write_blocks(&self.file, self.next.bytes(), self.written, &mut self.direct)?;
                self.written += self.next.bytes().len() as u64;
                self.next.clear();
            }
        }
        Ok(())
    }

    /// What the file begins with.
    pub(super) fn first_mut(&mut self) -> &mut [u8] {
        self.first.bytes_mut()
    }

    /// Hands what is left to the system.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        write_blocks(&self.file, self.first.bytes(), 0, &mut self.direct)?;
        write_last(&self.file, self.next.bytes(), self.written, self.direct)
    }
}
