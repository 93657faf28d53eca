//! What we say about ourselves, and the bounds that hold for every association, each with its reason.

use std::time::Duration;

use crate::Uid;
use crate::pdu::data_tf;

/// Implementation class UID, PS3.7 D.3.3.2.1: a random one under the UUID root (PS3.5 B.2), ours for good.
pub const IMPLEMENTATION_CLASS_UID: Uid = Uid::from_static("2.25.227100133706374391062731060969045727756");

/// Implementation version name, PS3.7 D.3.3.2.3: at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = concat!("DICOMET_", env!("CARGO_PKG_VERSION"));
const _: () = assert!(IMPLEMENTATION_VERSION_NAME.len() <= 16);

/// The longest P-DATA-TF that we take unless told otherwise. Large, so that a peer needs few of them and few
/// system calls for an instance; not larger, because each association holds up to one of them in memory.
pub const MAX_PDU_LENGTH: u32 = 256 * 1024;

/// The longest A-ASSOCIATE PDU that we take, as DCMTK: a request with 128 contexts of twenty transfer syntaxes
/// has some 80 KiB, and one with a user identity as long as its item may be has 64 KiB more.
pub const MAX_ASSOCIATE_LENGTH: u32 = 1024 * 1024;

/// ARTIM: time for a whole A-ASSOCIATE-RQ to come in, and for the peer to close after a rejection, a release or
/// an abort. 30 s is what DCMTK and others use; a slow line needs a few of them.
pub const ARTIM: Duration = Duration::from_secs(30);

/// The most bytes that we put into one fragment, whatever the peer takes: more does not make it faster, and a
/// response would have to wait behind it.
pub const MAX_FRAGMENT_LENGTH: usize = 256 * 1024;

/// The lowest maximum length of a peer that we talk to: one item header and two bytes of fragment (PS3.8 E.1
/// wants an even number). With less, no message would ever end.
pub const MIN_PEER_PDU_LENGTH: u32 = data_tf::VALUE_HEADER_LENGTH as u32 + 2;

/// Bounds that hold for every association.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest P-DATA-TF that we take, its six header bytes not counted: what we say in item 51H. There is
    /// no unlimited here: 0 is taken as [`MAX_PDU_LENGTH`].
    pub max_pdu_length: u32,
    /// The longest A-ASSOCIATE PDU that we take.
    pub max_associate_length: u32,
    /// ARTIM, PS3.8 9.1.5.
    pub artim: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_pdu_length: MAX_PDU_LENGTH, max_associate_length: MAX_ASSOCIATE_LENGTH, artim: ARTIM }
    }
}
