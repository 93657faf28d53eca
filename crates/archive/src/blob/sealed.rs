//! A blob that is whole, its seal filled in: what is left is to put it where a number says.

use std::sync::Arc;

use dicomet_proto::dataset::FileMeta;

use super::direct::{AlignedBuffer, BLOCK, CACHED};
use super::numbers::Numbers;
use super::placed::{PlacedBlob, Replaces};
use super::seal::Seal;
use super::write::Gathered;
use super::{Blobs, Fault};

/// A data set of so many bytes is synced before it gets a number as well, lest it hold up those after it.
const LARGE: u64 = 8 << 20;

/// A whole blob that has no place yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct SealedBlob {
    gathered: Gathered,
    head_length: usize,
    seal: Seal,
}

impl SealedBlob {
    /// Writes the head anew, with the seal. `head_length` is that of the head as it is.
    pub(super) fn new(
        mut gathered: Gathered,
        mut meta: FileMeta,
        head_length: usize,
        seal: Seal,
    ) -> SealedBlob {
        let zeros = match &gathered {
            Gathered::Small(all) => zeros(all),
            Gathered::Large(_) => 0,
        };
        meta.private_information = Some(seal.with_zeros(zeros));
        let head = meta.to_bytes();
        match &mut gathered {
            Gathered::Small(all) => {
                all.insert_zeros(head_length, zeros);
                all.bytes_mut()[..head.len()].copy_from_slice(&head);
            }
            Gathered::Large(large) => large.first_mut()[..head.len()].copy_from_slice(&head),
        }
        SealedBlob { gathered, head_length: head.len(), seal }
    }

    /// Where the data set begins in the file.
    pub(crate) fn data_set_offset(&self) -> u64 {
        self.head_length as u64
    }

    /// Bytes of the data set.
    pub(crate) fn data_set_length(&self) -> u64 {
        self.seal.length
    }

    /// The digest of the data set: BLAKE3, 32 bytes.
    pub(crate) fn data_set_digest(&self) -> [u8; 32] {
        self.seal.digest
    }

    /// Puts the file where a number says, durably.
    pub(crate) fn place(
        self,
        blobs: &Blobs,
        numbers: &Arc<Numbers>,
        replaces: Replaces,
    ) -> Result<PlacedBlob, Fault> {
        match self.gathered {
            Gathered::Small(all) => PlacedBlob::written(&all, blobs, numbers, replaces),
            Gathered::Large(mut large) => {
                large.finish().map_err(Fault::Other)?;
                if self.seal.length >= LARGE {
                    large.file.sync_data().map_err(Fault::Sync)?;
                }
                PlacedBlob::renamed(large.name, large.file, blobs, numbers)
            }
        }
    }
}

/// Zeros after the seal by which the file ends where a block does, if it is written past the page cache: what does not
/// fill a block would be written apart from the rest, and waited for apart.
fn zeros(all: &AlignedBuffer) -> usize {
    let length = all.bytes().len();
    let zeros = length.next_multiple_of(BLOCK) - length;
    // An element has an even length (PS3.5 7.1), a data set need not.
    if length > CACHED && zeros.is_multiple_of(2) { zeros } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom};

    use dicomet_proto::Uid;
    use dicomet_proto::dataset::dictionary::uids;

    use super::super::buffers::{Buffers, SIZE};
    use super::super::write::TemporaryBlob;
    use super::super::{BlobNumber, Blobs};
    use super::*;

    /// The length of the file that a data set of so many bytes is put into, which is read back.
    fn stored(length: usize) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let numbers = Arc::new(Numbers::from(BlobNumber(0), blobs.clone()));
        let meta =
            FileMeta::new(uids::CT_IMAGE_STORAGE, Uid::from_static("1.2"), uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let data_set: Vec<u8> = (0..length).map(|at| (at % 251) as u8 | 1).collect();
        let mut blob = TemporaryBlob::begin(folder.path().join("0.tmp"), meta, &Arc::new(Buffers::default()));
        for piece in data_set.chunks(100_000) {
            blob.write(piece).unwrap();
        }
        let sealed = blob.seal().unwrap();
        let (offset, digest) = (sealed.data_set_offset(), sealed.data_set_digest());
        let placed = sealed.place(&blobs, &numbers, Replaces::Nothing).unwrap();
        let mut file = File::open(blobs.path(placed.number())).unwrap();
        let (meta, begins_at) = FileMeta::read(&mut file).unwrap();
        assert_eq!(begins_at, offset);
        assert_eq!(Seal::of(&meta), Some(Seal { length: length as u64, digest }));
        let mut read = Vec::new();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.read_to_end(&mut read).unwrap();
        assert!(read == data_set, "byte for byte");
        file.metadata().unwrap().len()
    }

    #[test]
    fn what_is_written_past_the_page_cache_ends_where_a_block_does() {
        let block = BLOCK as u64;
        for length in [CACHED, CACHED + 2, 135_168, 537_600, SIZE - 1000] {
            assert_eq!(stored(length) % block, 0, "{length}");
        }
    }

    #[test]
    fn what_is_not_or_cannot_end_there_does_not_and_is_whole_all_the_same() {
        // Through the page cache; of odd length; large.
        for length in [0, 3000, CACHED - BLOCK, 135_169, SIZE + 1000] {
            assert_ne!(stored(length) % BLOCK as u64, 0, "{length}");
        }
    }
}
