//! An instance that is coming: a file under a temporary name, which goes when the instance does not become whole.

use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::path::PathBuf;

/// A first piece up to this length is copied behind the file meta information, so that a small instance is one write.
const COPIED: usize = 64 * 1024;

/// An instance that is coming. Dropped before [`super::Folder::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Part {
    file: Option<File>,
    pub(super) path: PathBuf,
    /// What is to stand in front of the next piece.
    meta: Vec<u8>,
    /// Bytes that were written.
    length: u64,
}

impl Part {
    pub(super) fn new(file: File, path: PathBuf, meta: Vec<u8>) -> Part {
        Part { file: Some(file), path, meta, length: 0 }
    }

    /// Appends a piece of the data set.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        #[cfg(test)]
        super::room::take(&self.path, self.meta.len() + piece.len())?;
        let mut meta = std::mem::take(&mut self.meta);
        self.length += (meta.len() + piece.len()) as u64;
        if meta.is_empty() {
            return file.write_all(piece);
        }
        if piece.len() <= COPIED {
            meta.extend_from_slice(piece);
            return file.write_all(&meta);
        }
        let written = file.write_vectored(&[IoSlice::new(&meta), IoSlice::new(piece)])?;
        if written < meta.len() {
            file.write_all(&meta[written..])?;
            return file.write_all(piece);
        }
        file.write_all(&piece[written - meta.len()..])
    }

    /// Ends the file and answers its length. A full disk may be told only here, on network file systems.
    pub(super) fn close(&mut self) -> io::Result<u64> {
        self.write(&[])?;
        self.file = None;
        Ok(self.length)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            self.file = None;
            let _ = fs::remove_file(&self.path);
        }
    }
}
