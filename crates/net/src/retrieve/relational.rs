//! Series and instances that are named without their study. A peer that grants relational queries (PS3.4 C.4.1.2.2,
//! C.5.1.1) tells in one query which studies they are in; with any other every study is looked into.

use std::collections::BTreeSet;

use bytes::Bytes;
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Negotiated;
use dicomet_proto::dataset::DataSet;
use dicomet_proto::pdu::ExtendedNegotiation;
use dicomet_proto::query::{Level, Query};

use super::RetrieveError;
use super::find::{Finder, MAX_ANSWERS, answers};
use super::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};

/// The level at which to ask for the studies of what the keys name; `None` where they name the study, or nothing
/// below it.
pub(super) fn level(keys: &DataSet) -> Option<Level> {
    let names = |tag| keys.text(tag).is_some_and(|text| !text.is_empty() && text != "*");
    match (names(STUDY_INSTANCE_UID), names(SERIES_INSTANCE_UID), names(SOP_INSTANCE_UID)) {
        (true, _, _) | (false, false, false) => None,
        (false, _, true) => Some(Level::Image),
        (false, true, false) => Some(Level::Series),
    }
}

/// The sub-item that asks for relational queries: byte 1.
pub(super) fn asked(sop_class_uid: Uid) -> ExtendedNegotiation {
    ExtendedNegotiation { sop_class_uid, information: Bytes::from_static(&[1]) }
}

fn is_granted(negotiated: &Negotiated, sop_class: &Uid) -> bool {
    let mut granted = negotiated.extended_negotiations.iter();
    granted.any(|granted| granted.sop_class_uid == *sop_class && granted.information.first() == Some(&1))
}

impl Finder {
    /// The studies of the series or instances that the keys name; `None` when the peer cannot tell.
    pub(super) async fn locate(&mut self, level: Level) -> Result<Option<BTreeSet<Uid>>, RetrieveError> {
        let mut query = Query::new(self.model, level);
        if !is_granted(self.association.negotiated(), &query.find_sop_class()) {
            return Ok(None);
        }
        for (tag, keys) in [(SERIES_INSTANCE_UID, &self.keys.series), (SOP_INSTANCE_UID, &self.keys.image)] {
            if keys.text(tag).is_some() {
                query.keys.copy(tag, keys);
            }
        }
        query.keys.set_empty(STUDY_INSTANCE_UID);
        let mut studies = Some(BTreeSet::new());
        let take = |answer: &DataSet| match answer.uid(STUDY_INSTANCE_UID) {
            Some(uid) => _ = studies.as_mut().map(|studies| studies.insert(uid)),
            None => studies = None,
        };
        match answers(&mut self.association, &query, MAX_ANSWERS, take).await {
            Ok(None) => Ok(studies),
            Ok(Some(cut)) => {
                tracing::warn!("studies are looked into one by one: {cut}");
                Ok(None)
            }
            // It grants what it does not do: the long way then.
            Err(RetrieveError::Find { status, .. }) => {
                tracing::warn!("the peer answers no relational query: {status}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dicomet_proto::query::Model;

    use super::*;

    #[test]
    fn the_study_is_asked_for_where_it_is_not_named() {
        let level_of = |keys: &[&str]| {
            let query = Query::new(Model::StudyRoot, Level::Study);
            level(&keys.iter().fold(query, |query, key| query.key(key).unwrap()).keys)
        };
        assert_eq!(level_of(&["SOPInstanceUID=1.2"]), Some(Level::Image));
        assert_eq!(level_of(&["SOPInstanceUID=1.2", "SeriesInstanceUID=1.3"]), Some(Level::Image));
        assert_eq!(level_of(&["SeriesInstanceUID=1.3", "PatientID=*"]), Some(Level::Series));
        assert_eq!(level_of(&["SOPInstanceUID=1.2", "StudyInstanceUID=1.3"]), None);
        assert_eq!(level_of(&["PatientID=A", "SOPInstanceUID"]), None);
    }
}
