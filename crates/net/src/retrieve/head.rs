//! The little of an instance that a retrieve reads: what a path needs, and what tells a whole file from a cut one.
//! The data set itself passes by as bytes.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::association::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use dicomet_proto::charset::{CharacterSets, TextKind};

use dicomet_proto::dataset::scan::{self, Peek, Peeked};
use dicomet_proto::dataset::{FileMeta, Tag, VR, dictionary};
use dicomet_proto::message::CStoreRq;
use dicomet_proto::{AeTitle, Uid};

use super::layout::{Layout, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// A few elements of an instance that is coming.
pub(super) struct Head {
    /// `None` when the transfer syntax or the bytes are not to be read: the instance is taken all the same.
    peek: Option<Peek>,
}

impl Head {
    /// Looks for instance, study and series, and for what the layout needs.
    pub(super) fn new(layout: &Layout, context: &Context) -> Head {
        let mut tags = vec![SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID];
        let before = tags.len();
        tags.extend(layout.further_tags());
        if tags.len() > before {
            tags.push(SPECIFIC_CHARACTER_SET);
        }
        tags.sort();
        tags.dedup();
        Head { peek: Peek::new(&context.transfer_syntax, &tags).ok() }
    }

    /// Takes the next piece of the data set.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        if let Some(peek) = &mut self.peek
            && let Err(error) = peek.push(piece)
        {
            tracing::debug!("an instance cannot be read for its header: {error}");
            peek.finish();
        }
    }

    /// SOP Instance UID (0008,0018) of the data set.
    pub(super) fn sop_instance(&self) -> Option<Uid> {
        self.peek.as_ref()?.uid(SOP_INSTANCE_UID)
    }

    /// Study and Series Instance UID of the data set.
    pub(super) fn study_and_series(&self) -> Option<(Uid, Uid)> {
        let peek = self.peek.as_ref()?;
        Some((peek.uid(STUDY_INSTANCE_UID)?, peek.uid(SERIES_INSTANCE_UID)?))
    }

    /// The value of a text element, its first if there are several.
    pub(super) fn value(&self, tag: Tag) -> Option<String> {
        let kind = match dictionary::vr_of(tag) {
            VR::PN => TextKind::PersonName,
            VR::ST | VR::LT | VR::UT => TextKind::Text,
            VR::AE
            | VR::AS
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::IS
            | VR::LO
            | VR::SH
            | VR::TM
            | VR::UI => TextKind::Values,
            _ => return None,
        };
        let text = self.character_sets().decode(self.found(tag)?, kind);
        let first = match kind {
            TextKind::Text => text.as_str(),
            _ => text.split('\\').next().unwrap_or_default(),
        };
        let first = first.trim_matches(|c| c == ' ' || c == '\0');
        (!first.is_empty()).then(|| first.to_owned())
    }

    fn character_sets(&self) -> CharacterSets {
        let terms = self.found(SPECIFIC_CHARACTER_SET).map(String::from_utf8_lossy).unwrap_or_default();
        CharacterSets::from_defined_terms(terms.split('\\').map(str::trim))
    }

    fn found(&self, tag: Tag) -> Option<&[u8]> {
        match self.peek.as_ref()?.element(tag) {
            Peeked::Found(value) => Some(value),
            Peeked::NeedMore | Peeked::Absent => None,
        }
    }
}

/// Preamble and file meta information of an instance as it is stored by a peer.
pub(super) fn file_meta(rq: &CStoreRq, context: &Context, sender: &AeTitle) -> Vec<u8> {
    let class = rq.affected_sop_class_uid.clone();
    let instance = rq.affected_sop_instance_uid.clone();
    let meta = FileMeta {
        implementation_class_uid: Some(IMPLEMENTATION_CLASS_UID),
        implementation_version_name: Some(IMPLEMENTATION_VERSION_NAME.to_owned()),
        source_ae_title: Some(sender.clone()),
        ..FileMeta::new(class, instance, context.transfer_syntax.clone())
    };
    meta.to_bytes()
}

/// Whether a file holds this instance and all of it.
pub(super) fn is_whole(path: &Path, instance: &Uid) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let Ok((meta, data_set)) = FileMeta::read(&mut file) else { return false };
    if meta.media_storage_sop_instance_uid.as_ref() != Some(instance) {
        return false;
    }
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    if length <= data_set || file.seek(SeekFrom::Start(data_set)).is_err() {
        return false;
    }
    scan::missing_end(&mut file, &meta.transfer_syntax).is_none()
}

/// The SOP Instance UID in the file meta information; `None` for what is no DICOM file.
pub(super) fn sop_instance_uid(path: &Path) -> Option<Uid> {
    let mut file = File::open(path).ok()?;
    FileMeta::read(&mut file).ok()?.0.media_storage_sop_instance_uid
}
