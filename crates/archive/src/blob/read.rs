//! A stored instance, read: the data set alone, without preamble and file meta information, and held against its digest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::proof::Proof;
use crate::{Error, Stop};

/// A data set up to this length is read and proved when it is opened, so that a damaged one is found before anything of
/// it was sent. A longer one would keep others waiting, and is proved as it is read.
const PROVED_AT_ONCE: u64 = 1024 * 1024;

/// So much is read at a time where a data set is read for its digest alone.
const PIECE: usize = 256 * 1024;

/// What a damaged data set is called.
const ALTERED: &str = "its data set is not what was stored: it has another digest";

/// What one is called that was cut while it was read.
const SHORTER: &str = "it is shorter than it was";

/// The data set of a stored instance, byte for byte as it came. Ends with an error, never well, when it is not what was
/// stored: shorter, or with another digest. Then its last bytes are withheld. The digest is looked at once a day.
#[derive(Debug)]
pub struct Blob {
    file: File,
    offset: u64,
    length: u64,
    body: Body,
}

/// What is still to be read.
#[derive(Debug)]
enum Body {
    /// In memory, and proved.
    Proved { bytes: Vec<u8>, read: usize },
    /// In the file; with a proof, if one is wanted.
    Rest { length: u64, proof: Option<Proof> },
}

impl Blob {
    pub(crate) fn open(path: &Path, offset: u64, length: u64, proof: Option<Proof>) -> Result<Blob, Error> {
        let failed = |error| Error::io("opening an instance", error);
        let mut file = open_whole(path, offset, length)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let body = match proof {
            Some(mut proof) if length <= PROVED_AT_ONCE => {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
                file.read_exact(&mut bytes).map_err(failed)?;
                proof.update(&bytes);
                if !proof.is_sound() {
                    return Err(Error::Damaged(ALTERED));
                }
                Body::Proved { bytes, read: 0 }
            }
            proof => Body::Rest { length, proof },
        };
        Ok(Blob { file, offset, length, body })
    }

    /// Bytes of the data set.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Proves a data set that has not been read, and gives the file and where in it the data set begins, for another
    /// reader. Blocks for as long as reading it takes, or until it is stopped.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is not what was stored, [`Error::Stopped`], or a fault of the system.
    pub fn prove(mut self, stop: &Stop) -> Result<(File, u64), Error> {
        if matches!(self.body, Body::Rest { proof: Some(_), .. }) {
            let mut piece = vec![0; PIECE];
            loop {
                stop.check()?;
                match self.read(&mut piece) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        return Err(Error::Damaged(ALTERED));
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Err(Error::Damaged(SHORTER));
                    }
                    Err(error) => return Err(Error::io("reading an instance", error)),
                }
            }
        }
        Ok((self.file, self.offset))
    }
}

/// Opens a file that is as long as it was.
fn open_whole(path: &Path, offset: u64, length: u64) -> Result<File, Error> {
    let file = super::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Damaged("it is missing"),
        _ => Error::io("opening an instance", error),
    })?;
    let file_length = file.metadata().map_err(|error| Error::io("opening an instance", error))?.len();
    match offset.checked_add(length) {
        Some(end) if end == file_length => Ok(file),
        _ => Err(Error::Damaged("its length is not what was stored")),
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.body {
            Body::Proved { bytes, read } => {
                let length = buffer.len().min(bytes.len() - *read);
                buffer[..length].copy_from_slice(&bytes[*read..*read + length]);
                *read += length;
                Ok(length)
            }
            Body::Rest { length: rest, proof } => {
                let wanted = buffer.len().min(usize::try_from(*rest).unwrap_or(usize::MAX));
                let length = self.file.read(&mut buffer[..wanted])?;
                if length == 0 && wanted > 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, SHORTER));
                }
                *rest -= length as u64;
                if let Some(proof) = proof {
                    proof.update(&buffer[..length]);
                    if *rest == 0 && !proof.is_sound() {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, ALTERED));
                    }
                }
                Ok(length)
            }
        }
    }
}
