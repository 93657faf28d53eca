//! The head of a file, preamble and file meta information, held against the index and written anew.
//!
//! As long as there is the index, nothing but the data set is needed of a file. Without it the head is believed, and one
//! that says something else would cost an instance whose data set is sound.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use dicomet_proto::association::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use dicomet_proto::dataset::FileMeta;
use dicomet_proto::{AeTitle, Uid};

use super::quarantine::keep;
use super::verify::Row;
use crate::blob::seal::Seal;
use crate::blob::{open, sync_folder};
use crate::folder::Layout;
use crate::reread::PIECE;

/// What the index says of the head of a file.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) sop_class: String,
    pub(super) sop_instance: String,
    pub(super) transfer_syntax: String,
    /// Empty if there is none.
    pub(super) source_ae_title: String,
    pub(super) seal: Seal,
}

impl Head {
    /// What is wrong with a head, which is all that comes before the data set.
    pub(super) fn fault(&self, bytes: &[u8]) -> Option<&'static str> {
        let meta = match FileMeta::read(&mut &bytes[..]) {
            Ok((meta, length)) if length == bytes.len() as u64 => meta,
            _ => return Some("its file meta information cannot be read"),
        };
        let text = |uid: &Option<Uid>| uid.as_ref().map(Uid::to_string).unwrap_or_default();
        let source = meta.source_ae_title.as_ref().map_or("", AeTitle::as_str);
        if text(&meta.media_storage_sop_class_uid) != self.sop_class {
            Some("its Media Storage SOP Class UID (0002,0002) is not that of the instance")
        } else if text(&meta.media_storage_sop_instance_uid) != self.sop_instance {
            Some("its Media Storage SOP Instance UID (0002,0003) is not that of the instance")
        } else if meta.transfer_syntax.as_str() != self.transfer_syntax {
            Some("its Transfer Syntax UID (0002,0010) is not that of the instance")
        } else if source != self.source_ae_title {
            Some("its Source Application Entity Title (0002,0016) is not who sent the instance")
        // There was a time before seals.
        } else if meta.private_information.as_ref().is_some_and(|private| !self.seal.is_all_of(private)) {
            Some("its seal (0002,0102) is not that of the data set")
        } else if meta.to_bytes() != bytes {
            Some("its file meta information is not as it was written")
        } else {
            None
        }
    }

    /// The head as it is to be, in so many bytes; none if it cannot have so many.
    fn of_length(&self, length: u64) -> Option<Vec<u8>> {
        let uid = |text: &String| Uid::new(text.clone()).ok();
        let plain = FileMeta {
            implementation_class_uid: Some(IMPLEMENTATION_CLASS_UID),
            source_ae_title: AeTitle::new(&self.source_ae_title).ok(),
            ..FileMeta::new(uid(&self.sop_class)?, uid(&self.sop_instance)?, uid(&self.transfer_syntax)?)
        };
        let length = usize::try_from(length).ok()?;
        // Another version of this program may have had a shorter name; a file need not have any.
        [Some(IMPLEMENTATION_VERSION_NAME.to_owned()), None].into_iter().find_map(|name| {
            let mut meta = FileMeta { implementation_version_name: name, ..plain.clone() };
            let unsealed = meta.to_bytes();
            if unsealed.len() == length {
                return Some(unsealed);
            }
            meta.private_information = Some(self.seal.with_zeros(0));
            let zeros = length.checked_sub(meta.to_bytes().len())?;
            meta.private_information = Some(self.seal.with_zeros(zeros));
            Some(meta.to_bytes()).filter(|head| head.len() == length)
        })
    }
}

/// Puts a file with the same data set and the head that it is to have in the place of one; answers what that one is called
/// now. Nothing is done, and nothing answered, where the head has no room or the data set is not what it was.
pub(super) fn write_anew(layout: &Layout, row: &Row) -> io::Result<Option<PathBuf>> {
    let path = layout.blobs.path(row.blob);
    let Some(head) = row.head.of_length(row.offset) else { return Ok(None) };
    // Cut off, it goes when the archive is next opened.
    let unfinished = layout.incoming.join("head.tmp");
    let mut new = File::create(&unfinished)?;
    new.write_all(&head)?;
    let mut old = open(&path)?;
    old.seek(SeekFrom::Start(row.offset))?;
    if copy(&mut old, &mut new)? != row.head.seal {
        fs::remove_file(&unfinished)?;
        return Ok(None);
    }
    // It is the time of arrival, for a rebuild.
    let received = Duration::from_secs(u64::try_from(row.received_at).unwrap_or_default());
    new.set_modified(UNIX_EPOCH + received)?;
    new.sync_all()?;
    let kept = keep(layout, &path)?;
    fs::rename(&unfinished, &path)?;
    path.parent().map_or(Ok(()), sync_folder)?;
    Ok(Some(kept))
}

/// Copies a data set; answers its length and digest.
fn copy(from: &mut File, to: &mut File) -> io::Result<Seal> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(Seal { length: hasher.count(), digest: *hasher.finalize().as_bytes() }),
            Ok(length) => {
                hasher.update(&piece[..length]);
                to.write_all(&piece[..length])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            sop_class: "1.2.840.10008.5.1.4.1.1.2".to_owned(),
            sop_instance: "2.999.1.1".to_owned(),
            transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
            source_ae_title: "SENDER".to_owned(),
            seal: Seal { length: 3000, digest: [7; 32] },
        }
    }

    /// What the head has, sealed with so many zeros, or unsealed.
    fn bytes(zeros: Option<usize>) -> Vec<u8> {
        let uid = Uid::from_static;
        let sop_class = uid("1.2.840.10008.5.1.4.1.1.2");
        let meta = FileMeta {
            implementation_class_uid: Some(IMPLEMENTATION_CLASS_UID),
            implementation_version_name: Some(IMPLEMENTATION_VERSION_NAME.to_owned()),
            source_ae_title: AeTitle::new("SENDER").ok(),
            private_information: zeros.map(|zeros| head().seal.with_zeros(zeros)),
            ..FileMeta::new(sop_class, uid("2.999.1.1"), uid("1.2.840.10008.1.2.1"))
        };
        meta.to_bytes()
    }

    #[test]
    fn every_bit_is_held_against_the_index_but_those_of_what_wrote_the_file() {
        for zeros in [None, Some(0), Some(2), Some(3500)] {
            let sound = bytes(zeros);
            assert_eq!(head().fault(&sound), None);
            let place = |word: &[u8]| sound.windows(word.len()).position(|window| window == word).unwrap();
            let implementation = place(b"\x02\0\x12\0UI") + 8..place(b"\x02\0\x16\0AE");
            for bit in 0..sound.len() * 8 {
                let mut other = sound.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                let is_found = head().fault(&other).is_some();
                assert!(is_found || implementation.contains(&(bit / 8)), "bit {bit}, zeros {zeros:?}");
            }
        }
    }

    #[test]
    fn it_is_written_as_it_was_or_at_least_as_long() {
        for zeros in [None, Some(0), Some(2), Some(3500)] {
            let sound = bytes(zeros);
            assert_eq!(head().of_length(sound.len() as u64).unwrap(), sound);
        }
        // Of a version with a longer name, and with a shorter one.
        for other in [bytes(Some(0)).len() + 2, bytes(Some(0)).len() - 2] {
            let written = head().of_length(other as u64).unwrap();
            assert_eq!((written.len(), head().fault(&written)), (other, None));
        }
        assert_eq!(head().of_length(200), None);
    }
}
