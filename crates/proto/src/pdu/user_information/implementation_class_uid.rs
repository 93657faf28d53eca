//! Implementation class UID, 52H, PS3.7 D.3.3.2.1: the UID.

use crate::Uid;
use crate::pdu::read::Reader;

/// `None` when it is no UID; that is the peer's affair, it only tells us about itself.
pub(super) fn decode(mut reader: Reader<'_>) -> Option<Uid> {
    Uid::from_bytes(reader.rest()).ok()
}
