//! Files into the archive without a network: DICOM files (PS3.10 section 7), and data sets without file meta
//! information where they can be recognised.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use dicomet_proto::Uid;
use dicomet_proto::dataset::Tag;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::scan::{Peek, Peeked};
use dicomet_proto::dataset::{FileMeta, FileMetaError};
use dicomet_proto::message::Refusal;
use rustix::fs::{Mode, OFlags};

use crate::error::status;
use crate::index::attributes::tags;
use crate::{Archive, Error, Provenance, Stored};

/// Bytes read from a file at a time.
const PIECE: usize = 256 * 1024;
/// Bytes of a file without file meta information in which its SOP Instance UID must come.
const MAX_PEEK: u64 = 64 * 1024;

impl Archive {
    /// Imports a file: its data set byte for byte, with file meta information of our own, its preamble left
    /// behind. Only regular files are read; a symbolic link is not followed.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is no DICOM file or its instance is refused; otherwise a fault of the system.
    pub fn import(&self, path: &Path) -> Result<Stored, Error> {
        let mut file = open_regular(path)?;
        let provenance = identify(&mut file)?;
        let mut incoming = self.receive(provenance)?;
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return incoming.commit(),
                Ok(length) => incoming.write(&piece[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(reading(error)),
            }
        }
    }
}

/// Opens a regular file. Without following links and without waiting: a FIFO would hold us for ever.
fn open_regular(path: &Path) -> Result<File, Error> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(not_dicom("a symbolic link is not followed")),
        Err(error) => return Err(reading(error.into())),
    };
    if !file.metadata().map_err(reading)?.is_file() {
        return Err(not_dicom("not a regular file"));
    }
    Ok(file)
}

/// Finds out what instance a file has, and leaves it where the data set begins.
fn identify(file: &mut File) -> Result<Provenance, Error> {
    let (meta, start) = match FileMeta::read(file) {
        Ok((meta, length)) => (Some(meta), length),
        Err(FileMetaError::NotDicom) => (None, 0),
        Err(FileMetaError::Io(error)) => return Err(reading(error)),
        Err(error) => return Err(Error::Refused(Refusal::new(status::NOT_DICOM, &error.to_string()))),
    };
    file.seek(SeekFrom::Start(start)).map_err(reading)?;
    let transfer_syntax = match &meta {
        Some(meta) => meta.transfer_syntax.clone(),
        None => guess_transfer_syntax(file)?,
    };
    // The data set is what is kept. File meta information that says otherwise occurs, where a tool has given
    // an instance a new UID and forgotten its file.
    let (sop_class, sop_instance) = match (peek(file, &transfer_syntax), meta) {
        (Ok(identity), _) => identity,
        (
            Err(_),
            Some(FileMeta {
                media_storage_sop_class_uid: Some(class),
                media_storage_sop_instance_uid: Some(instance),
                ..
            }),
        ) => (class, instance),
        (Err(error), _) => return Err(error),
    };
    file.seek(SeekFrom::Start(start)).map_err(reading)?;
    Ok(Provenance { sop_class, sop_instance, transfer_syntax, calling_ae_title: None })
}

/// Tells Explicit from Implicit VR Little Endian by the first element of a data set, which for an instance lies
/// in group 0008.
fn guess_transfer_syntax(file: &mut File) -> Result<Uid, Error> {
    let mut first = [0; 8];
    match file.read_exact(&mut first) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(not_dicom("not a DICOM file"));
        }
        other => other.map_err(reading)?,
    }
    file.seek(SeekFrom::Start(0)).map_err(reading)?;
    if first[..2] != [0x08, 0x00] {
        return Err(not_dicom("not a DICOM file"));
    }
    let looks_explicit = first[4..6].iter().all(u8::is_ascii_uppercase);
    Ok(if looks_explicit { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { uids::IMPLICIT_VR_LITTLE_ENDIAN })
}

/// Reads SOP class and instance from the front of the data set.
fn peek(file: &mut File, transfer_syntax: &Uid) -> Result<(Uid, Uid), Error> {
    let wanted = [tags::SOP_CLASS_UID, tags::SOP_INSTANCE_UID];
    let refused =
        |error: &dyn std::fmt::Display| Error::Refused(Refusal::new(status::NOT_DICOM, &error.to_string()));
    let mut peek = Peek::new(transfer_syntax, &wanted).map_err(|error| refused(&error))?;
    let mut front = file.take(MAX_PEEK);
    let mut piece = [0; 4096];
    while !peek.is_done() {
        match front.read(&mut piece).map_err(reading)? {
            0 => break,
            length => peek.push(&piece[..length]).map_err(|error| refused(&error))?,
        }
    }
    let uid = |tag: Tag| match peek.element(tag) {
        Peeked::Found(_) => peek.uid(tag),
        _ => None,
    };
    match (uid(tags::SOP_CLASS_UID), uid(tags::SOP_INSTANCE_UID)) {
        (Some(class), Some(instance)) => Ok((class, instance)),
        _ => Err(not_dicom("the file does not say its SOP class and instance")),
    }
}

fn reading(error: io::Error) -> Error {
    Error::Io { doing: "reading the file", source: error }
}

fn not_dicom(comment: &str) -> Error {
    Error::refused(status::NOT_DICOM, comment)
}
