//! The little of an instance that a retrieve reads: which one it is, what a path needs, and whether its end is there. The
//! data set itself passes by as bytes.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::association::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use dicomet_proto::charset::{CharacterSets, TextKind};

use dicomet_proto::dataset::scan::{self, Peek, Peeked, ScanError};
use dicomet_proto::dataset::{FileMeta, Tag, VR, dictionary};
use dicomet_proto::message::{CStoreRq, Refusal, Status};
use dicomet_proto::{AeTitle, Uid};

use super::layout::{Layout, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// What says which instance it is.
const IDENTITY: [Tag; 4] = [SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID];

/// A few elements of an instance that is coming, and how far its elements go.
pub(super) struct Head {
    /// `None` when the transfer syntax is not one of data sets.
    peek: Option<Peek>,
    /// Where it stopped to be a data set. What comes after that is not looked at.
    broken: Option<ScanError>,
}

impl Head {
    /// Looks for class, instance, study and series, and for what the layout needs.
    pub(super) fn new(layout: &Layout, context: &Context) -> Head {
        let mut tags = IDENTITY.to_vec();
        let before = tags.len();
        tags.extend(layout.further_tags());
        if tags.len() > before {
            tags.push(SPECIFIC_CHARACTER_SET);
        }
        tags.sort();
        tags.dedup();
        match Peek::to_the_end(&context.transfer_syntax, &tags) {
            Ok(peek) => Head { peek: Some(peek), broken: None },
            Err(error) => Head { peek: None, broken: Some(error) },
        }
    }

    /// Takes the next piece of the data set.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        if let Some(peek) = self.peek.as_mut().filter(|_| self.broken.is_none())
            && let Err(error) = peek.push(piece)
        {
            tracing::debug!("an instance breaks the rules of data sets: {error}");
            peek.finish();
            self.broken = Some(error);
        }
    }

    /// The data set is over. Answers why it is not all there, if so. One that breaks another rule behind its UIDs is as
    /// its maker left it.
    pub(super) fn end(&mut self) -> Option<Refusal> {
        let peek = self.peek.as_mut()?;
        match &self.broken {
            Some(_) => None,
            None => peek.missing_end().as_ref().map(unreadable),
        }
    }

    /// Whether it is known of each UID that says which instance it is whether it is there.
    pub(super) fn is_read(&self) -> bool {
        let may_come =
            |peek: &Peek| IDENTITY.iter().any(|tag| matches!(peek.element(*tag), Peeked::NeedMore));
        !self.peek.as_ref().is_some_and(may_come)
    }

    /// Study and series as the data set says, if it is the instance of the command, when [`Head::is_read`]. `None` for
    /// what says neither because it belongs to no patient.
    ///
    /// # Errors
    /// Why it is not: PS3.4 B.2.3.
    pub(super) fn identify(&self, rq: &CStoreRq) -> Result<Option<(Uid, Uid)>, Refusal> {
        if self.required(SOP_CLASS_UID)? != rq.affected_sop_class_uid {
            return Err(mismatch("SOP Class UID of the data set is not that of the command", SOP_CLASS_UID));
        }
        if self.required(SOP_INSTANCE_UID)? != rq.affected_sop_instance_uid {
            let comment = "SOP Instance UID of the data set is not that of the command";
            return Err(mismatch(comment, SOP_INSTANCE_UID));
        }
        let above = [STUDY_INSTANCE_UID, SERIES_INSTANCE_UID];
        let is_of_no_patient = dictionary::is_of_no_patient(&rq.affected_sop_class_uid);
        if is_of_no_patient && self.broken.is_none() && above.iter().all(|tag| self.found(*tag).is_none()) {
            return Ok(None);
        }
        Ok(Some((self.required(STUDY_INSTANCE_UID)?, self.required(SERIES_INSTANCE_UID)?)))
    }

    fn required(&self, tag: Tag) -> Result<Uid, Refusal> {
        let name = name_of(tag);
        match (self.found(tag), &self.broken) {
            (Some(value), _) => Uid::from_bytes(value)
                .map_err(|error| mismatch(&format!("{name} of the data set: {error}"), tag)),
            (None, Some(error)) => Err(unreadable(error)),
            (None, None) => Err(mismatch(&format!("the data set has no {name}"), tag)),
        }
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

fn name_of(uid: Tag) -> &'static str {
    match uid {
        SOP_CLASS_UID => "SOP Class UID",
        SOP_INSTANCE_UID => "SOP Instance UID",
        STUDY_INSTANCE_UID => "Study Instance UID",
        _ => "Series Instance UID",
    }
}

fn mismatch(comment: &str, tag: Tag) -> Refusal {
    Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment).offending(tag)
}

/// The errors name tags, offsets and rules, no values.
fn unreadable(error: &ScanError) -> Refusal {
    let refusal = Refusal::new(Status::UNABLE_TO_PROCESS, &error.to_string());
    match error {
        ScanError::Structure { tag, .. } => refusal.offending(*tag),
        _ => refusal,
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
