//! A stored file read back: what the index would have been told of it when it came.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use dicomet_proto::dataset::scan::Walk;
use dicomet_proto::dataset::{FileMeta, FileMetaError};

use crate::Provenance;
use crate::blob::seal::{Fit, Seal};
use crate::index::attributes::has_column_for_value;
use crate::index::record::{FileFacts, Record};
use crate::store::identify;

/// Bytes read at a time.
pub(crate) const PIECE: usize = 256 * 1024;

/// Why a file cannot be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The system does not let us; the file may be good.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is shorter than what was to be written, so that it was never synced.
    #[error("not all of it was written")]
    Cut,
    /// It is no whole instance.
    #[error("{0}")]
    NoInstance(String),
}

/// Reads a file of ours, all of it, and holds it against its seal. The time of arrival is that of the file.
pub(crate) fn reread(path: &Path) -> Result<Record, Unreadable> {
    let no_instance = |error: &dyn std::fmt::Display| Unreadable::NoInstance(error.to_string());
    let mut file = crate::blob::open(path)?;
    let (meta, offset) = match FileMeta::read(&mut file) {
        Ok(read) => read,
        Err(FileMetaError::Io(error)) => return Err(error.into()),
        Err(_) if is_blank(&mut file)? => return Err(Unreadable::Cut),
        Err(error) => return Err(no_instance(&error)),
    };
    let seal = Seal::of(&meta);
    let (Some(sop_class), Some(sop_instance)) =
        (meta.media_storage_sop_class_uid, meta.media_storage_sop_instance_uid)
    else {
        return Err(no_instance(&"its file meta information names no instance"));
    };
    let mut walk =
        Walk::keeping(has_column_for_value, &meta.transfer_syntax).map_err(|error| no_instance(&error))?;
    let mut walked = Ok(());
    let mut hasher = blake3::Hasher::new();
    file.seek(SeekFrom::Start(offset))?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                hasher.update(&piece[..length]);
                walked = walked.and_then(|()| walk.push(&piece[..length]));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let found = Seal { length: hasher.count(), digest: *hasher.finalize().as_bytes() };
    match seal.map(|seal| seal.fit(found)) {
        // Written before there were seals: in its place only when it had been synced.
        None | Some(Fit::Whole) => {}
        Some(Fit::Cut) => return Err(Unreadable::Cut),
        Some(Fit::Altered) => return Err(no_instance(&"it is not what its seal says")),
    }
    walked.map_err(|error| no_instance(&error))?;
    let header = walk.finish().map_err(|error| no_instance(&error))?;
    let calling_ae_title = meta.source_ae_title;
    let provenance = Provenance {
        sop_class,
        sop_instance,
        transfer_syntax: meta.transfer_syntax,
        calling_ae_title: calling_ae_title.clone(),
    };
    let identity = identify(&provenance, &header).map_err(|refusal| no_instance(&refusal))?;
    let facts = FileFacts {
        data_set_offset: offset,
        data_set_length: hasher.count(),
        data_set_digest: *hasher.finalize().as_bytes(),
        received_at: modified_at(&file)?,
        calling_ae_title,
    };
    Ok(Record::new(identity, &header, facts))
}

/// Whether nothing of a file was written: it is empty, or nothing but zeros.
fn is_blank(file: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(true),
            Ok(length) if piece[..length].iter().any(|byte| *byte != 0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn modified_at(file: &File) -> io::Result<i64> {
    let modified = file.metadata()?.modified()?;
    Ok(modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64))
}
