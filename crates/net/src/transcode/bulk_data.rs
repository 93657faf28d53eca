//! Data sets without their bulk data, for Composite Instance Retrieve Without Bulk Data: PS3.4 Z.1.3. No frame is
//! decoded for it, so what is stored in any transfer syntax of PS3.6 can be answered in any other.

use std::io;
use std::sync::Arc;

use dicomet_proto::Uid;
use dicomet_proto::dataset::Tag;
use dicomet_proto::dataset::dictionary::{is_deflated, transfer_syntaxes};

use super::elements::{Elements, Encoding};
use super::encode::{Edits, encode};
use super::pieces::Pieces;
use super::wanted::Wanted;
use super::{DataSet, deflate, image, inflated};

/// Bulk data on top, but for repeating groups: Pixel Data and its like with their tables, Pixel Data Provider URL,
/// Encapsulated Document, Spectroscopy Data.
const BULK_DATA: [Tag; 9] = [
    Tag(0x0028, 0x7FE0),
    Tag(0x0042, 0x0011),
    Tag(0x5600, 0x0020),
    Tag(0x7FE0, 0x0001),
    Tag(0x7FE0, 0x0002),
    Tag(0x7FE0, 0x0003),
    Tag(0x7FE0, 0x0008),
    Tag(0x7FE0, 0x0009),
    Tag(0x7FE0, 0x0010),
];

/// Whether a data set can be sent in a transfer syntax once it has no bulk data.
pub fn converts_without_bulk_data(stored: &Uid, to: &Uid) -> bool {
    transfer_syntaxes().contains(stored) && transfer_syntaxes().contains(to)
}

pub(super) fn strip(stored: DataSet, to: &Uid, wanted: &Wanted) -> io::Result<Pieces> {
    let from = stored.transfer_syntax.clone();
    let (file, offset, length) = inflated(stored, wanted)?;
    let file = Arc::new(file);
    let mut edits = Edits::default();
    edits.without_waveforms = true;
    for tag in BULK_DATA {
        edits.remove(tag);
    }
    for group in 0..16 {
        // Overlay Data; Curve Data and Audio Sample Data, which are retired.
        edits.remove(Tag(0x6000 + 2 * group, 0x3000));
        edits.remove(Tag(0x5000 + 2 * group, 0x3000));
        edits.remove(Tag(0x5000 + 2 * group, 0x200C));
    }
    let is_native = |uid: &Uid| super::WRITTEN.contains(uid);
    if is_native(to) && !is_native(&from) {
        edits.remove(image::ICON_IMAGE_SEQUENCE);
    }
    edits.keeps_encapsulated = !is_native(to);
    let mut elements = Elements::new(&file, offset, length, Encoding::of(&from))?;
    let pieces = Pieces::new(encode(&file, &mut elements, Encoding::of(to), edits)?);
    if is_deflated(to) { deflate::deflate(pieces, wanted) } else { Ok(pieces) }
}
