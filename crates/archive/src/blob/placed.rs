//! A blob in its place, durably, of which the index does not know yet: a file that is removed unless it is to stay.
//!
//! A small one is written where a file was made ahead for it. A large one is renamed before it is synced, so that one
//! sync makes both durable. What either leaves after a power failure is told apart by its seal. As long as a file is open
//! it is locked: whoever finds one without a row sees that there is still somebody at it.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::direct::{AlignedBuffer, CACHED, set_direct, write_last};
use super::numbers::Numbers;
use super::{BlobNumber, Blobs, Fault, has_a_name, sync_folder};

/// Whether a blob takes the place of another of the same instance: then its number is higher than that one's, by which the
/// files alone tell which came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaces {
    Nothing,
    Another,
}

/// Locks a file for who writes it.
pub(super) fn lock(file: &File) -> io::Result<()> {
    Ok(flock(file, FlockOperation::NonBlockingLockExclusive)?)
}

/// A name of a file that is removed unless it stays.
#[derive(Debug)]
pub(super) struct Provisional {
    path: PathBuf,
    /// Where it is among the blobs: its name must not come back with the power, and be taken for an instance.
    folder: Option<PathBuf>,
    stays: bool,
}

impl Provisional {
    pub(super) fn new(path: PathBuf) -> Provisional {
        Provisional { path, folder: None, stays: false }
    }

    fn among_the_blobs(path: PathBuf) -> Provisional {
        let folder = path.parent().map(std::path::Path::to_owned);
        Provisional { path, folder, stays: false }
    }
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
    /// Writes all of a small file to where one was made ahead, or makes one if it must come after all others.
    pub(super) fn written(
        bytes: &AlignedBuffer,
        blobs: &Blobs,
        numbers: &Arc<Numbers>,
        replaces: Replaces,
    ) -> Result<PlacedBlob, Fault> {
        let placed = PlacedBlob::empty(blobs, numbers, replaces)?;
        placed.fill(bytes)?;
        if replaces == Replaces::Another {
            blobs.sync_folder_of(placed.number()).map_err(Fault::Sync)?;
        }
        Ok(placed)
    }

    fn empty(blobs: &Blobs, numbers: &Arc<Numbers>, replaces: Replaces) -> Result<PlacedBlob, Fault> {
        let taken = |blob| Number { blob, numbers: Arc::clone(numbers) };
        let (number, file) = match replaces {
            Replaces::Nothing => {
                let (blob, file) = numbers.take_prepared()?;
                (taken(blob), file)
            }
            Replaces::Another => {
                let number = taken(numbers.take()?);
                let file = File::create_new(blobs.path(number.blob)).map_err(Fault::Other)?;
                (number, file)
            }
        };
        let path = blobs.path(number.blob);
        let placed = PlacedBlob { name: Provisional::among_the_blobs(path), file, number };
        lock(&placed.file).map_err(Fault::Other)?;
        Ok(placed)
    }

    /// Writes and syncs all that it is to have. Until then somebody who tidies up may have removed it, empty as it was.
    fn fill(&self, bytes: &AlignedBuffer) -> Result<(), Fault> {
        write_all(&self.file, bytes.bytes()).map_err(Fault::Other)?;
        self.file.sync_all().map_err(Fault::Sync)?;
        match has_a_name(&self.file).map_err(Fault::Other)? {
            true => Ok(()),
            false => {
                let removed =
                    io::Error::new(io::ErrorKind::NotFound, "its file was removed by somebody else");
                Err(Fault::Other(removed))
            }
        }
    }

    /// Renames a file, which is locked, to where a number says.
    pub(super) fn renamed(
        mut name: Provisional,
        file: File,
        blobs: &Blobs,
        numbers: &Arc<Numbers>,
    ) -> Result<PlacedBlob, Fault> {
        let number = Number { blob: numbers.take()?, numbers: Arc::clone(numbers) };
        let path = blobs.take_in(&name.path, number.blob).map_err(Fault::Other)?;
        // What was renamed has no other name to remove.
        name.stays = true;
        let placed = PlacedBlob { name: Provisional::among_the_blobs(path), file, number };
        placed.file.sync_all().map_err(Fault::Sync)?;
        blobs.sync_folder_of(placed.number.blob).map_err(Fault::Sync)?;
        Ok(placed)
    }

    pub(crate) fn number(&self) -> BlobNumber {
        self.number.blob
    }

    /// Sets whether the file is left where it is when this is dropped: it has a row, or nobody knows whether it has.
    pub(crate) fn set_staying(&mut self, stays: bool) {
        self.name.stays = stays;
    }
}

/// Writes all of a new file.
fn write_all(file: &File, bytes: &[u8]) -> io::Result<()> {
    let direct = bytes.len() > CACHED && set_direct(file, true);
    write_last(file, bytes, 0, direct)
}

#[cfg(test)]
mod tests {
    use super::super::BlobNumber;
    use super::*;

    #[test]
    fn what_is_written_to_a_file_without_a_name_is_no_success() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let numbers = Arc::new(Numbers::from(BlobNumber(0), blobs.clone()));
        let mut bytes = AlignedBuffer::new(4096);
        bytes.fill(b"an instance");
        for replaces in [Replaces::Nothing, Replaces::Another] {
            let placed = PlacedBlob::empty(&blobs, &numbers, replaces).unwrap();
            placed.fill(&bytes).unwrap();
            fs::remove_file(blobs.path(placed.number())).unwrap();
            let failed = placed.fill(&bytes).unwrap_err();
            assert!(matches!(failed, Fault::Other(error) if error.kind() == io::ErrorKind::NotFound));
        }
    }
}
