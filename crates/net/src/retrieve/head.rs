//! The little of an instance that a retrieve reads: what a path needs, and what tells a whole file from a cut one.
//! The data set itself passes by as bytes.

use std::path::Path;

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::Tag;
use dicomet_proto::message::CStoreRq;
use dicomet_proto::{AeTitle, Uid};

use super::layout::Layout;

pub(super) struct Head {}

impl Head {
    pub(super) fn new(layout: &Layout, needs_place: bool, context: &Context) -> Head {
        let _ = (layout, needs_place, context);
        Head {}
    }
    pub(super) fn feed(&mut self, piece: &[u8]) {
        let _ = piece;
    }
    pub(super) fn sop_instance(&self) -> Option<Uid> {
        None
    }
    pub(super) fn study_and_series(&self) -> Option<(Uid, Uid)> {
        None
    }
    pub(super) fn value(&self, tag: Tag) -> Option<String> {
        let _ = tag;
        None
    }
}

pub(super) fn file_meta(rq: &CStoreRq, context: &Context, sender: &AeTitle) -> Vec<u8> {
    let _ = (rq, context, sender);
    Vec::new()
}
pub(super) fn is_whole(path: &Path, instance: &Uid) -> bool {
    let _ = (path, instance);
    false
}
pub(super) fn sop_instance_uid(path: &Path) -> Option<Uid> {
    let _ = path;
    None
}
