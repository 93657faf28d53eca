//! The whole of a data set checked while it passes by, and its header kept: for an archive that stores what
//! comes and indexes what it says.

use std::io::{Read, Seek, SeekFrom};

use super::inflate::CUT_SHORT;
use super::scanner::PAST_THE_END;
use super::{Element, ScanError, Scanner, Sink, Want};
use crate::Uid;
use crate::dataset::build::Builder;
use crate::dataset::{DataSet, Tag};

/// Bytes that are read at a time.
pub(super) const PIECE: usize = 64 * 1024;

/// What is kept of a data set that was walked.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The elements but for bulk: values of up to 64 KiB (1 KiB where the VR says nothing about them), sequences
    /// as far as 256 KiB go, never encapsulated pixel data. Longer values where they were asked for.
    pub data_set: DataSet,
    /// The elements of which something was left out, or all, in ascending order; pixel data and what comes after it is
    /// not named. They can be had by [`pick`](super::pick()).
    pub left_out: Vec<Tag>,
    /// The UIDs, not those in sequences, that have more around them than padding: NULs, or one space at the end. In the
    /// data set they stand without it.
    pub ill_padded_uids: Vec<Tag>,
    /// Bytes of the data set, inflated where it was deflated.
    pub length: u64,
    /// Values of odd length, against PS3.5 7.1: worth a line in a log, no reason to refuse.
    pub odd_lengths: u64,
    /// Zeros after the last element: the same.
    pub trailing_zeros: u64,
}

/// A walk over a data set that comes in pieces. It holds the header and nothing else.
#[derive(Debug)]
pub struct Walk {
    scanner: Scanner,
    builder: Builder,
}

impl Walk {
    /// Begins at the front of a data set.
    ///
    /// # Errors
    /// [`ScanError::TransferSyntax`].
    pub fn new(transfer_syntax: &Uid) -> Result<Walk, ScanError> {
        Ok(Walk { scanner: Scanner::new(transfer_syntax)?, builder: Builder::header(None) })
    }

    /// Begins as [`Walk::new`], and keeps the longer values of some attributes of the data set itself too, as far
    /// as 1 MiB goes.
    ///
    /// # Errors
    /// [`ScanError::TransferSyntax`].
    pub fn keeping(whole: fn(Tag) -> bool, transfer_syntax: &Uid) -> Result<Walk, ScanError> {
        Ok(Walk { scanner: Scanner::new(transfer_syntax)?, builder: Builder::header(Some(whole)) })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ScanError`]; the walk is then at its end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ScanError> {
        self.scanner.push(bytes, &mut self.builder)
    }

    /// Says that no more bytes come, and returns the header.
    ///
    /// # Errors
    /// [`ScanError`] when the data set cannot end here.
    pub fn finish(mut self) -> Result<Header, ScanError> {
        self.scanner.finish(&mut self.builder)?;
        let left_out = self.builder.left_out();
        let ill_padded_uids = self.builder.ill_padded_uids();
        Ok(Header {
            data_set: self.builder.finish(),
            left_out,
            ill_padded_uids,
            length: self.scanner.position(),
            odd_lengths: self.scanner.odd_lengths(),
            trailing_zeros: self.scanner.trailing_zeros(),
        })
    }
}

/// Walks over a data set that is read to its end.
///
/// # Errors
/// [`ScanError`].
pub fn walk(mut reader: impl Read, transfer_syntax: &Uid) -> Result<Header, ScanError> {
    let mut walk = Walk::new(transfer_syntax)?;
    let mut piece = vec![0; PIECE];
    loop {
        match read(&mut reader, &mut piece)? {
            [] => return walk.finish(),
            bytes => walk.push(bytes)?,
        }
    }
}

/// As [`walk`], from where the reader stands; bulk values are not read but sought past, as long as that saves
/// something.
///
/// # Errors
/// [`ScanError`].
pub fn walk_seekable(mut reader: impl Read + Seek, transfer_syntax: &Uid) -> Result<Header, ScanError> {
    let mut walk = Walk::new(transfer_syntax)?;
    walk.scanner = walk.scanner.with_length(remaining(&mut reader)?);
    push_seekable(reader, &mut walk.scanner, &mut walk.builder)?;
    walk.finish()
}

/// Why a data set is not all there, from where the reader stands to the end of the file; `None` when it is, or when
/// the transfer syntax is not one of data sets. That it breaks another rule is passed over: it may be just as
/// its maker left it. Holds nothing of it.
pub fn missing_end(mut reader: impl Read + Seek, transfer_syntax: &Uid) -> Option<ScanError> {
    let mut check = || {
        let mut scanner = Scanner::new(transfer_syntax)?.with_length(remaining(&mut reader)?);
        push_seekable(&mut reader, &mut scanner, &mut Nobody)?;
        scanner.finish(&mut Nobody)
    };
    check().err().filter(is_of_the_end)
}

/// Whether a data set that gives this error is not all there, rather than broken in another way.
pub(super) fn is_of_the_end(error: &ScanError) -> bool {
    match error {
        ScanError::Truncated(_) | ScanError::Io(_) => true,
        ScanError::Structure { rule, .. } => *rule == PAST_THE_END,
        ScanError::Deflate(rule) => *rule == CUT_SHORT,
        ScanError::TransferSyntax(_) | ScanError::Limit(_) => false,
    }
}

fn remaining(reader: &mut impl Seek) -> std::io::Result<u64> {
    let start = reader.stream_position()?;
    let length = reader.seek(SeekFrom::End(0))?.saturating_sub(start);
    reader.seek(SeekFrom::Start(start))?;
    Ok(length)
}

/// Pushes all that a reader has, without what nobody wants and can be sought past.
fn push_seekable(
    mut reader: impl Read + Seek,
    scanner: &mut Scanner,
    sink: &mut impl Sink,
) -> Result<(), ScanError> {
    let mut piece = vec![0; PIECE];
    loop {
        let skippable = scanner.skippable();
        if skippable > PIECE as u64
            && let Ok(offset) = i64::try_from(skippable)
        {
            // The length was compared with that of the file: this does not lead past its end.
            reader.seek_relative(offset)?;
            scanner.skip(skippable, sink);
        }
        match read(&mut reader, &mut piece)? {
            [] => return Ok(()),
            bytes => scanner.push(bytes, sink)?,
        }
    }
}

/// Wants nothing.
struct Nobody;

impl Sink for Nobody {
    fn element(&mut self, _: &Element) -> Result<Want, ScanError> {
        Ok(Want::Nothing)
    }

    fn value(&mut self, _: &Element, _: &[u8]) -> Result<(), ScanError> {
        Ok(())
    }

    fn begin_sequence(&mut self, _: &Element, _: bool) -> Result<(), ScanError> {
        Ok(())
    }

    fn begin_item(&mut self) -> Result<(), ScanError> {
        Ok(())
    }

    fn end_item(&mut self) {}

    fn end_sequence(&mut self) {}
}

pub(super) fn read<'a>(reader: &mut impl Read, piece: &'a mut [u8]) -> Result<&'a [u8], ScanError> {
    loop {
        match reader.read(piece) {
            Ok(length) => return Ok(piece.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
