//! The one peer that must not be stored with side by side, and how it is told apart.
//!
//! DCMTK's dcmqrscp (3.6.7) serves each association in a process of its own, and each makes up names for its files
//! from the second of the clock. Two that store in the same second may take the same name: both instances are
//! answered with success, and one is gone (200 CT over 14 associations: 8 to 24 lost). It names itself as all of DCMTK
//! does, and so do Orthanc and storescp, which do no such thing; but of the three it alone answers Patient/Study Only
//! queries, so that context is proposed with the others.

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Negotiated;

/// Patient/Study Only Query/Retrieve Information Model - FIND, retired.
pub(super) const PATIENT_STUDY_ONLY_FIND: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.2.3.1");

/// The root of DCMTK's implementation class UIDs.
const DCMTK: &str = "1.2.276.0.7230010.3.0.3.";

/// Whether instances that are stored side by side overwrite one another there.
pub(super) fn overwrites(negotiated: &Negotiated) -> bool {
    let is_dcmtk = |uid: &Uid| uid.as_str().starts_with(DCMTK);
    negotiated.peer_implementation_class_uid.as_ref().is_some_and(is_dcmtk)
        && negotiated.contexts.iter().any(|context| context.abstract_syntax == PATIENT_STUDY_ONLY_FIND)
}
