//! A stored instance, read: the data set alone, without preamble and file meta information.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::Error;

/// The data set of a stored instance, byte for byte as it came. Ends with an error, never early, when the file
/// turns out to be shorter than what was stored.
#[derive(Debug)]
pub struct Blob {
    file: File,
    offset: u64,
    length: u64,
    rest: u64,
}

impl Blob {
    pub(crate) fn open(path: &Path, offset: u64, length: u64) -> Result<Blob, Error> {
        let mut file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Damaged("it is missing"),
            _ => Error::io("opening an instance", error),
        })?;
        let file_length = file.metadata().map_err(|error| Error::io("opening an instance", error))?.len();
        if offset.checked_add(length) != Some(file_length) {
            return Err(Error::Damaged("its length is not what was stored"));
        }
        file.seek(SeekFrom::Start(offset)).map_err(|error| Error::io("opening an instance", error))?;
        Ok(Blob { file, offset, length, rest: length })
    }

    /// Bytes of the data set.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file itself and where in it the data set begins, for sending it without copying through memory. The
    /// file's position is that of this reader.
    pub fn into_file(self) -> (File, u64) {
        (self.file, self.offset)
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..wanted])?;
        if read == 0 && wanted > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a stored instance is shorter than it was",
            ));
        }
        self.rest -= read as u64;
        Ok(read)
    }
}
