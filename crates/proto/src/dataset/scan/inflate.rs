//! Inflating a deflated data set piece by piece (PS3.5 A.5), within limits: a few kilobytes of zeros can stand
//! for terabytes. The inflated data set is never held, only handed on.

use flate2::{Decompress, FlushDecompress, Status};

use super::ScanError;

/// Bytes that are inflated whatever the ratio: an empty 16-bit image of 4,096 x 4,096 is no attack.
const FREE: u64 = 64 * 1024 * 1024;

/// Inflated bytes for each deflated one, beyond [`FREE`]. Deflate reaches 1,032; images reach 10.
const MAX_RATIO: u64 = 200;

/// Inflated bytes in all; a data set of this size is not deflated by anybody who wants it read.
const MAX_INFLATED: u64 = 16 * 1024 * 1024 * 1024;

/// Bytes that are inflated at a time.
const PIECE: usize = 32 * 1024;

/// The data set ends before its end.
pub(super) const CUT_SHORT: &str = "cut short";

/// Check sum and length, in bytes.
const GZIP_TRAILER: usize = 8;

/// The state of inflating.
#[derive(Debug)]
pub(super) struct Inflate {
    decompress: Decompress,
    ended: bool,
    /// Bytes after the end, as far as there may be any.
    trailing: Vec<u8>,
}

impl Default for Inflate {
    fn default() -> Inflate {
        Inflate { decompress: Decompress::new(false), ended: false, trailing: Vec::new() }
    }
}

impl Inflate {
    /// Takes the next deflated bytes and hands on what they stand for.
    ///
    /// # Errors
    /// [`ScanError::Deflate`], [`ScanError::Limit`], and what `scan` says.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        scan: &mut impl FnMut(&[u8]) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let mut piece = vec![0; PIECE];
        while !self.ended {
            let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
            let status = self
                .decompress
                .decompress(bytes, &mut piece, FlushDecompress::None)
                .map_err(|_| ScanError::Deflate("not a deflate stream"))?;
            let consumed = usize::try_from(self.decompress.total_in() - before_in).unwrap_or(usize::MAX);
            let inflated = usize::try_from(self.decompress.total_out() - before_out).unwrap_or(usize::MAX);
            bytes = bytes.get(consumed..).unwrap_or_default();
            self.check_limits()?;
            scan(piece.get(..inflated).unwrap_or_default())?;
            self.ended = status == Status::StreamEnd;
            // A full piece may have left more inside; otherwise all that came is used up.
            if bytes.is_empty() && inflated < PIECE || consumed == 0 && inflated == 0 {
                break;
            }
        }
        if self.ended {
            if self.trailing.len() + bytes.len() > GZIP_TRAILER + 1 {
                return Err(ScanError::Deflate("bytes after its end"));
            }
            self.trailing.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// [`ScanError::Deflate`].
    pub(super) fn finish(&self) -> Result<(), ScanError> {
        if !self.ended && self.decompress.total_in() > 0 {
            return Err(ScanError::Deflate(CUT_SHORT));
        }
        // One NUL pads the data set to even length (PS3.5 A.5). Some writers leave the trailer of gzip there, whose
        // second half is the inflated length: that it fits says that it is this and nothing else.
        let length = self.decompress.total_out().to_le_bytes();
        match self.trailing.as_slice() {
            [] | [0] => Ok(()),
            [_, _, _, _, size @ ..] if matches!(size.len(), 4 | 5) && size[..4] == length[..4] => Ok(()),
            _ => Err(ScanError::Deflate("bytes after its end")),
        }
    }

    fn check_limits(&self) -> Result<(), ScanError> {
        let (deflated, inflated) = (self.decompress.total_in(), self.decompress.total_out());
        if inflated > MAX_INFLATED || inflated > FREE && inflated / MAX_RATIO > deflated {
            return Err(ScanError::Limit("too many bytes when inflated"));
        }
        Ok(())
    }
}
