//! What the index is told of one instance, taken from its header before the one writer gets it.

use dicomet_proto::dataset::Tag;
use dicomet_proto::dataset::scan::Header;
use dicomet_proto::{AeTitle, Uid};

use super::attributes::tags;
use super::header::Headers;
use super::normalise::trim;

/// An instance as the index knows it. Values are as received, '' where absent.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) sop_instance: Uid,
    pub(crate) sop_class: Uid,
    pub(crate) transfer_syntax: Uid,
    pub(crate) study: Uid,
    pub(crate) series: Uid,

    pub(crate) patient_id: String,
    pub(crate) issuer_of_patient_id: String,
    pub(crate) patient_name: String,
    pub(crate) patient_birth_date: String,
    pub(crate) patient_sex: String,

    pub(crate) study_date: String,
    pub(crate) study_time: String,
    pub(crate) accession_number: String,
    pub(crate) study_id: String,
    pub(crate) study_description: String,
    pub(crate) referring_physician_name: String,

    pub(crate) modality: String,
    pub(crate) series_number: String,
    pub(crate) series_description: String,
    pub(crate) series_date: String,
    pub(crate) series_time: String,
    pub(crate) body_part_examined: String,
    pub(crate) protocol_name: String,
    pub(crate) station_name: String,
    pub(crate) institution_name: String,

    pub(crate) instance_number: String,

    pub(crate) headers: Headers,
    /// What is forgiven, and not kept: for who stores it.
    pub(crate) odd_lengths: u64,
    pub(crate) trailing_zeros: u64,
    pub(crate) file: FileFacts,
}

/// What is known of the file of an instance.
#[derive(Debug)]
pub(crate) struct FileFacts {
    pub(crate) data_set_offset: u64,
    pub(crate) data_set_length: u64,
    pub(crate) data_set_digest: [u8; 32],
    pub(crate) received_at: i64,
    pub(crate) calling_ae_title: Option<AeTitle>,
}

/// The UIDs of an instance, found sound.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) sop_instance: Uid,
    pub(crate) sop_class: Uid,
    pub(crate) transfer_syntax: Uid,
    pub(crate) study: Uid,
    pub(crate) series: Uid,
}

impl Record {
    pub(crate) fn new(identity: Identity, header: &Header, file: FileFacts) -> Record {
        let data_set = &header.data_set;
        let text = |tag: Tag| data_set.text(tag).map(|text| trim(&text).to_owned()).unwrap_or_default();
        Record {
            patient_id: text(tags::PATIENT_ID),
            issuer_of_patient_id: text(tags::ISSUER_OF_PATIENT_ID),
            patient_name: text(tags::PATIENT_NAME),
            patient_birth_date: text(tags::PATIENT_BIRTH_DATE),
            patient_sex: text(tags::PATIENT_SEX),
            study_date: text(tags::STUDY_DATE),
            study_time: text(tags::STUDY_TIME),
            accession_number: text(tags::ACCESSION_NUMBER),
            study_id: text(tags::STUDY_ID),
            study_description: text(tags::STUDY_DESCRIPTION),
            referring_physician_name: text(tags::REFERRING_PHYSICIAN_NAME),
            modality: text(tags::MODALITY),
            series_number: text(tags::SERIES_NUMBER),
            series_description: text(tags::SERIES_DESCRIPTION),
            series_date: text(tags::SERIES_DATE),
            series_time: text(tags::SERIES_TIME),
            body_part_examined: text(tags::BODY_PART_EXAMINED),
            protocol_name: text(tags::PROTOCOL_NAME),
            station_name: text(tags::STATION_NAME),
            institution_name: text(tags::INSTITUTION_NAME),
            instance_number: text(tags::INSTANCE_NUMBER),
            headers: Headers::of(header),
            odd_lengths: header.odd_lengths,
            trailing_zeros: header.trailing_zeros,
            sop_instance: identity.sop_instance,
            sop_class: identity.sop_class,
            transfer_syntax: identity.transfer_syntax,
            study: identity.study,
            series: identity.series,
            file,
        }
    }
}
