//! Storage Commitment Push Model, PS3.4 Annex J: what is asked for and what is reported, as values.
//!
//! ```text
//! N-ACTION-RQ, action 1        Transaction UID, Referenced SOP Sequence             PS3.4 J.3.2
//! N-EVENT-REPORT-RQ, event 1   the same: all of it is committed                     PS3.4 J.3.3
//!                    event 2   also Failed SOP Sequence, each item with its reason
//! ```
//!
//! An identifier that lacks what makes it one is refused as a whole: who asks is to know of every reference what
//! became of it.

use crate::dataset::dictionary::uids;
use crate::dataset::{DataSet, Tag};
use crate::message::{Refusal, Status};
use crate::{AeTitle, Uid};

/// Action Type ID of a request, PS3.4 Table J.3-1.
pub const REQUEST: u16 = 1;

/// Event Type ID of a report that all is committed, PS3.4 Table J.3-2.
pub const COMMITTED: u16 = 1;

/// Event Type ID of a report with failures, PS3.4 Table J.3-2.
pub const FAILURES_EXIST: u16 = 2;

const RETRIEVE_AE_TITLE: Tag = Tag(0x0008, 0x0054);
const REFERENCED_SOP_CLASS_UID: Tag = Tag(0x0008, 0x1150);
const REFERENCED_SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x1155);
const TRANSACTION_UID: Tag = Tag(0x0008, 0x1195);
const FAILURE_REASON: Tag = Tag(0x0008, 0x1197);
const FAILED_SOP_SEQUENCE: Tag = Tag(0x0008, 0x1198);
const REFERENCED_SOP_SEQUENCE: Tag = Tag(0x0008, 0x1199);

/// An instance that somebody else has, or should have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Referenced SOP Class UID (0008,1150).
    pub sop_class: Uid,
    /// Referenced SOP Instance UID (0008,1155).
    pub sop_instance: Uid,
}

/// What is asked for: the Action Information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Transaction UID (0008,1195): what the report will name.
    pub transaction: Uid,
    /// Referenced SOP Sequence (0008,1199); never empty.
    pub references: Vec<Reference>,
}

/// What became of it: the Event Information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Transaction UID (0008,1195) of the request.
    pub transaction: Uid,
    /// Retrieve AE Title (0008,0054): where the committed instances can be retrieved from.
    pub retrieve_ae_title: Option<AeTitle>,
    /// Referenced SOP Sequence (0008,1199): these are safe.
    pub committed: Vec<Reference>,
    /// Failed SOP Sequence (0008,1198): these are not, each with its Failure Reason (0008,1197).
    pub failed: Vec<(Reference, Status)>,
}

impl Request {
    /// Reads an Action Information.
    ///
    /// # Errors
    /// [`Refusal`] with 0115 when there is no Transaction UID, no reference, or one that names no instance.
    pub fn from_data_set(information: &DataSet) -> Result<Request, Refusal> {
        let transaction = transaction(information)?;
        let items = information.items(REFERENCED_SOP_SEQUENCE).unwrap_or_default();
        if items.is_empty() {
            return Err(invalid("Referenced SOP Sequence (0008,1199) is absent or empty"));
        }
        let references = items.iter().map(reference).collect::<Result<_, _>>()?;
        Ok(Request { transaction, references })
    }

    /// Writes an Action Information.
    pub fn to_data_set(&self) -> DataSet {
        let mut information = DataSet::new();
        information.set_uid(TRANSACTION_UID, &self.transaction);
        information.set_items(REFERENCED_SOP_SEQUENCE, self.references.iter().map(item).collect());
        information
    }
}

impl Report {
    /// Event Type ID (0000,1002) that goes with it.
    pub fn event_type_id(&self) -> u16 {
        if self.failed.is_empty() { COMMITTED } else { FAILURES_EXIST }
    }

    /// Reads an Event Information. By its content, not by its Event Type ID: what a peer lists as failed has failed.
    ///
    /// # Errors
    /// [`Refusal`] with 0115 when there is no Transaction UID, or a reference that names no instance.
    pub fn from_data_set(information: &DataSet) -> Result<Report, Refusal> {
        let items = |tag| information.items(tag).unwrap_or_default();
        let failed = |item: &DataSet| {
            let reason = item.integer(FAILURE_REASON).and_then(|reason| u16::try_from(reason).ok());
            Ok((reference(item)?, reason.map_or(Status::PROCESSING_FAILURE, Status::new)))
        };
        let retrieve_ae_title = information.text(RETRIEVE_AE_TITLE);
        Ok(Report {
            transaction: transaction(information)?,
            retrieve_ae_title: retrieve_ae_title.and_then(|title| AeTitle::new(&title).ok()),
            committed: items(REFERENCED_SOP_SEQUENCE).iter().map(reference).collect::<Result<_, _>>()?,
            failed: items(FAILED_SOP_SEQUENCE).iter().map(failed).collect::<Result<_, _>>()?,
        })
    }

    /// Writes an Event Information.
    pub fn to_data_set(&self) -> DataSet {
        let mut information = DataSet::new();
        information.set_uid(TRANSACTION_UID, &self.transaction);
        if let Some(title) = &self.retrieve_ae_title {
            information.set_text(RETRIEVE_AE_TITLE, title.as_str());
        }
        // Type 1C: a sequence without items is not allowed (PS3.4 Table J.3-2).
        if !self.committed.is_empty() {
            information.set_items(REFERENCED_SOP_SEQUENCE, self.committed.iter().map(item).collect());
        }
        if !self.failed.is_empty() {
            let failed = |(reference, reason): &(Reference, Status)| {
                let mut item = item(reference);
                item.set_integer(FAILURE_REASON, i64::from(reason.code()));
                item
            };
            information.set_items(FAILED_SOP_SEQUENCE, self.failed.iter().map(failed).collect());
        }
        information
    }
}

/// Whether an instance UID is the one that the SOP class has, PS3.4 J.3.5.
///
/// # Errors
/// [`Refusal`] with 0112.
pub fn check_instance(sop_instance: &Uid) -> Result<(), Refusal> {
    if *sop_instance == uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE {
        return Ok(());
    }
    Err(Refusal::new(Status::NO_SUCH_SOP_INSTANCE, "not the well-known instance of storage commitment"))
}

fn transaction(information: &DataSet) -> Result<Uid, Refusal> {
    let transaction = information.uid(TRANSACTION_UID);
    transaction.ok_or_else(|| invalid("Transaction UID (0008,1195) is absent or no UID"))
}

fn reference(item: &DataSet) -> Result<Reference, Refusal> {
    let uid = |tag| item.uid(tag).ok_or_else(|| invalid("a reference lacks SOP Class or Instance UID"));
    Ok(Reference {
        sop_class: uid(REFERENCED_SOP_CLASS_UID)?,
        sop_instance: uid(REFERENCED_SOP_INSTANCE_UID)?,
    })
}

fn item(reference: &Reference) -> DataSet {
    let mut item = DataSet::new();
    item.set_uid(REFERENCED_SOP_CLASS_UID, &reference.sop_class);
    item.set_uid(REFERENCED_SOP_INSTANCE_UID, &reference.sop_instance);
    item
}

fn invalid(comment: &str) -> Refusal {
    Refusal::new(Status::INVALID_ARGUMENT_VALUE, comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference_to(instance: &str) -> Reference {
        Reference { sop_class: uids::CT_IMAGE_STORAGE, sop_instance: Uid::new(instance).unwrap() }
    }

    fn read_again(set: &DataSet) -> DataSet {
        let syntax = uids::IMPLICIT_VR_LITTLE_ENDIAN;
        DataSet::parse(&set.encode(&syntax).unwrap(), &syntax).unwrap()
    }

    #[test]
    fn a_request_is_what_was_written() {
        let references = vec![reference_to("2.999.1"), reference_to("2.999.2")];
        let request = Request { transaction: Uid::from_static("2.999.7"), references };
        assert_eq!(Request::from_data_set(&read_again(&request.to_data_set())), Ok(request));
    }

    #[test]
    fn a_report_is_what_was_written_and_its_event_type_says_whether_something_failed() {
        let mut report = Report {
            transaction: Uid::from_static("2.999.7"),
            retrieve_ae_title: Some(AeTitle::new("ARCHIVE").unwrap()),
            committed: vec![reference_to("2.999.1")],
            failed: vec![(reference_to("2.999.2"), Status::NO_SUCH_SOP_INSTANCE)],
        };
        assert_eq!(report.event_type_id(), FAILURES_EXIST);
        assert_eq!(Report::from_data_set(&read_again(&report.to_data_set())), Ok(report.clone()));
        report.failed.clear();
        assert_eq!(report.event_type_id(), COMMITTED);
        assert!(!report.to_data_set().contains(FAILED_SOP_SEQUENCE));
        assert_eq!(Report::from_data_set(&read_again(&report.to_data_set())), Ok(report));
    }

    #[test]
    fn a_request_that_lacks_something_is_an_invalid_argument() {
        let whole =
            Request { transaction: Uid::from_static("2.999.7"), references: vec![reference_to("2.999.1")] };
        let mut broken = Vec::new();
        for tag in [TRANSACTION_UID, REFERENCED_SOP_SEQUENCE] {
            for empty in [false, true] {
                let mut set = whole.to_data_set();
                if empty {
                    set.set_empty(tag)
                } else {
                    set.remove(tag)
                }
                broken.push(set);
            }
        }
        for tag in [REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID] {
            let mut one = item(&whole.references[0]);
            one.remove(tag);
            let mut set = whole.to_data_set();
            set.set_items(REFERENCED_SOP_SEQUENCE, vec![item(&whole.references[0]), one]);
            broken.push(set);
        }
        for set in broken {
            let refusal = Request::from_data_set(&set).unwrap_err();
            assert_eq!(refusal.status, Status::INVALID_ARGUMENT_VALUE, "{set:?}");
        }
    }

    #[test]
    fn a_failure_without_a_reason_is_a_failure_all_the_same() {
        let mut set = DataSet::new();
        set.set_text(TRANSACTION_UID, "2.999.7");
        set.set_items(FAILED_SOP_SEQUENCE, vec![item(&reference_to("2.999.1"))]);
        let report = Report::from_data_set(&set).unwrap();
        assert_eq!(report.failed, [(reference_to("2.999.1"), Status::PROCESSING_FAILURE)]);
    }
}
