//! Storage Commitment Push Model, PS3.4 Annex J, as SCU and as SCP: N-ACTION asks, N-EVENT-REPORT reports, on the same
//! association or, later, on one that the SCP requests.

pub mod scp;
pub mod scu;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::uids;

/// Transfer syntaxes that are proposed. Implicit VR first: a sequence of any length fits it.
pub(crate) const TRANSFER_SYNTAXES: [Uid; 2] =
    [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN];
