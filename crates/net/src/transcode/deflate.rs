//! Deflated data sets (PS3.5 A.5), to and from temporary files: how long they are must be known before they are sent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::elements::invalid;
use super::pieces::{Piece, Pieces, Stored};
use super::wanted::Wanted;

/// The longest data set that is inflated. A deflated megabyte can be a gigabyte of nothing.
const MAX_INFLATED: u64 = 4 * 1024 * 1024 * 1024;

/// Inflates a data set; answers how long it is.
///
/// # Errors
/// `InvalidData` when it is not sound or too long, and whatever reading and writing say.
pub(super) fn inflate(mut file: &File, offset: u64, length: u64, wanted: &Wanted) -> io::Result<(File, u64)> {
    file.seek(SeekFrom::Start(offset))?;
    let mut inflated = tempfile::tempfile()?;
    // Not buffered: the decoder does that itself.
    let decoder = DeflateDecoder::new(file.take(length)).take(MAX_INFLATED + 1);
    let length = io::copy(&mut wanted.reading(decoder), &mut inflated)?;
    if length > MAX_INFLATED {
        return Err(invalid("the data set is longer than is inflated"));
    }
    Ok((inflated, length))
}

/// Deflates a data set, and pads it to an even length.
///
/// # Errors
/// Whatever reading and writing say.
pub(super) fn deflate(pieces: Pieces, wanted: &Wanted) -> io::Result<Pieces> {
    let mut encoder = DeflateEncoder::new(tempfile::tempfile()?, Compression::default());
    io::copy(&mut wanted.reading(pieces), &mut encoder)?;
    let mut file = encoder.finish()?;
    let mut length = file.stream_position()?;
    if length % 2 == 1 {
        file.write_all(&[0])?;
        length += 1;
    }
    let stored = Stored { file: Arc::new(file), offset: 0, length, unit: 1 };
    Ok(Pieces::new(vec![Piece::Stored(stored)]))
}
