//! Stored instances in other transfer syntaxes, for receivers that do not take the one they are stored in: the stored
//! bytes stay what they are.
//!
//! Uncompressed data sets change their encoding; deflated ones are inflated, and the other way; compressed frames are
//! decoded, one at a time, into a temporary file. Nothing is ever compressed but by deflating. The SOP Instance UID
//! stays: the same image, as well as the stored bytes have it (PS3.4 B.4.1.3 asks for a new one only where more
//! is lost).
//!
//! The modules, in the order to read them: `elements` reads what is stored, `encode` writes it another way as
//! `pieces`; `image` is what it says of its pixels, `pixels` decodes them with the codecs of `decode`; `single_bits` are
//! those of one bit; `deflate` stands before and behind; `wanted` ends what nobody waits for. `bulk_data` leaves out, and `extract` cuts
//! out frames, `by_frame`, `times` and `dose_grid` what goes with them.

mod bulk_data;
mod by_frame;
mod decimals;
mod decode;
mod deflate;
mod dose_grid;
mod elements;
mod encode;
mod extract;
mod image;
mod pieces;
mod pixels;
mod single_bits;
mod times;
mod wanted;

use std::fs::File;
use std::io;
use std::sync::Arc;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::{is_deflated, uids};
use tokio::sync::Semaphore;

pub use bulk_data::converts_without_bulk_data;
use elements::{Elements, Encoding};
use encode::Edits;
pub use extract::{ExtractError, Extracted, FrameList};
pub use pieces::Pieces;
use wanted::{Waiting, Wanted};

/// What we write, the best first. Explicit VR keeps the VR of private elements; big endian is retired, and deflating
/// costs time and is not read everywhere.
static WRITTEN: [Uid; 4] = [
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids::EXPLICIT_VR_BIG_ENDIAN,
];

/// The transfer syntaxes that a data set can be sent in besides the one it is stored in, the best first.
pub fn alternatives(stored: &Uid) -> impl Iterator<Item = &'static Uid> {
    let readable = WRITTEN.contains(stored) || decode::codec(stored).is_some();
    WRITTEN.iter().filter(move |written| readable && *written != stored)
}

/// The [`alternatives`] of an uncompressed data set: nothing but how its values are written is different. None for
/// a compressed one.
pub fn reencodings(stored: &Uid) -> impl Iterator<Item = &'static Uid> {
    let uncompressed = WRITTEN.contains(stored);
    alternatives(stored).filter(move |_| uncompressed)
}

/// Where a transfer syntax stands among those that we convert to: the less, the better.
pub fn rank(transfer_syntax: &Uid) -> usize {
    WRITTEN.iter().position(|written| written == transfer_syntax).unwrap_or(WRITTEN.len())
}

/// A stored data set.
#[derive(Debug)]
pub struct DataSet {
    /// The file that it is in.
    pub file: File,
    /// Where in the file it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
    /// The transfer syntax that it is in.
    pub transfer_syntax: Uid,
}

impl DataSet {
    /// The same data set of the same file, for another reader.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn try_clone(&self) -> io::Result<DataSet> {
        let DataSet { file, offset, length, transfer_syntax } = self;
        let file = file.try_clone()?;
        Ok(DataSet { file, offset: *offset, length: *length, transfer_syntax: transfer_syntax.clone() })
    }
}

/// How many data sets are converted at a time, over all associations: as many as there are processors, for each
/// takes one wholly, and memory for a frame.
#[derive(Debug, Clone)]
pub struct Converter {
    places: Arc<Semaphore>,
}

impl Default for Converter {
    fn default() -> Converter {
        let places = std::thread::available_parallelism().map_or(1, usize::from);
        Converter { places: Arc::new(Semaphore::new(places)) }
    }
}

impl Converter {
    /// Converts a data set to one of its [`alternatives`].
    ///
    /// # Errors
    /// `InvalidData` or `Unsupported` when it cannot be; a fault of a decoder is an error as well.
    pub async fn convert(&self, stored: DataSet, to: &Uid) -> io::Result<Pieces> {
        let to = to.clone();
        self.run(move |wanted| convert(stored, &to, wanted)).await
    }

    /// Leaves the bulk data out of a data set, and converts it to a transfer syntax that
    /// [`converts_without_bulk_data`] says yes to.
    ///
    /// # Errors
    /// `InvalidData` when it is not sound, and whatever reading says.
    pub async fn without_bulk_data(&self, stored: DataSet, to: &Uid) -> io::Result<Pieces> {
        let to = to.clone();
        self.run(move |wanted| bulk_data::strip(stored, &to, wanted)).await
    }

    /// Makes a new instance of some frames of a stored one: PS3.4 Y.3.3.
    ///
    /// # Errors
    /// [`ExtractError`].
    pub async fn extract(&self, stored: DataSet, frames: FrameList) -> Result<Extracted, ExtractError> {
        self.run(move |wanted| Ok(extract::extract(stored, &frames, wanted)))
            .await
            .map_err(ExtractError::Unreadable)?
    }

    /// Dropped, it stops soon: after the frame, or the piece of a file, that it is at.
    async fn run<T: Send + 'static>(
        &self,
        conversion: impl FnOnce(&Wanted) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let waiting = Waiting::new();
        let wanted = waiting.wanted();
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let converting = tokio::task::spawn_blocking(move || {
            let _place = place;
            conversion(&wanted)
        });
        converting.await.map_err(|fault| io::Error::other(format!("a decoder failed: {fault}")))?
    }
}

fn convert(stored: DataSet, to: &Uid, wanted: &Wanted) -> io::Result<Pieces> {
    if stored.transfer_syntax == *to {
        return Ok(Pieces::as_stored(stored));
    }
    let from = stored.transfer_syntax.clone();
    let (file, offset, length) = inflated(stored, wanted)?;
    let file = Arc::new(file);
    let elements = || Elements::new(&file, offset, length, Encoding::of(&from));
    let mut edits = Edits::default();
    if let Some((codec, loss)) = decode::codec(&from) {
        let image = image::read(&mut elements()?)?;
        if image.has_encapsulated_icon {
            edits.remove(image::ICON_IMAGE_SEQUENCE);
        }
        if let Some(pixels) = image.pixels {
            pixels::decode(&file, &pixels, codec, loss, wanted, &mut edits)?;
        }
    }
    let pieces = Pieces::new(encode::encode(&file, &mut elements()?, Encoding::of(to), edits)?);
    if *to == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
        deflate::deflate(pieces, wanted)
    } else {
        Ok(pieces)
    }
}

/// Where a data set lies that is not, or no more, deflated.
fn inflated(stored: DataSet, wanted: &Wanted) -> io::Result<(File, u64, u64)> {
    let DataSet { file, offset, length, transfer_syntax } = stored;
    if !is_deflated(&transfer_syntax) {
        return Ok((file, offset, length));
    }
    let (file, length) = deflate::inflate(&file, offset, length, wanted)?;
    Ok((file, 0, length))
}

#[cfg(test)]
mod tests;
