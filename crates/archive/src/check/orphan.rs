//! A file that no row names: whether it is a whole instance, by its own seal. One that is not may be all that is left
//! of an instance that somebody was told is stored.

use std::io::ErrorKind;
use std::path::Path;

use dicomet_proto::Uid;
use dicomet_proto::dataset::FileMeta;

use super::{Damage, Depth};
use crate::blob::open;
use crate::reread::{Unreadable, reread};

/// What a file is called that no row names, and more about it; nothing when it is gone meanwhile.
pub(super) fn look(path: &Path, depth: Depth) -> Option<(Damage, String)> {
    let named = match depth {
        Depth::Sizes => (Damage::Orphan, "the index does not know it".to_owned()),
        Depth::Bytes => name(path)?,
    };
    path.exists().then_some(named)
}

fn name(path: &Path) -> Option<(Damage, String)> {
    let (damage, reason) = match reread(path) {
        Ok(_) => return Some((Damage::Orphan, "the index does not know it".to_owned())),
        Err(Unreadable::Io(error)) if error.kind() == ErrorKind::NotFound => return None,
        Err(Unreadable::Io(error)) => return Some((Damage::Unreadable, error.to_string())),
        Err(reason @ Unreadable::Cut) => (Damage::Cut, reason),
        Err(reason @ Unreadable::NoInstance(_)) => (Damage::Altered, reason),
    };
    let instance = instance(path).map(|uid| format!("; by its file meta information it is {uid}"));
    Some((damage, format!("{reason}; the index does not know it{}", instance.unwrap_or_default())))
}

/// What the file itself says which instance it is.
fn instance(path: &Path) -> Option<Uid> {
    let (meta, _) = FileMeta::read(&mut open(path).ok()?).ok()?;
    meta.media_storage_sop_instance_uid
}
