//! The seven protocol data units of PS3.8 9.3, one a file, and the user information of PS3.7 Annex D.
//!
//! ```text
//! byte 1    PDU type        byte 2  reserved, never tested
//! byte 3-6  PDU length, big endian: the bytes that follow
//! ```

pub mod abort;
pub mod associate_ac;
pub mod associate_rj;
pub mod associate_rq;
pub mod presentation_context;
pub mod user_information;

pub use abort::{Abort, AbortReason, AbortSource};
pub use associate_ac::AssociateAc;
pub use associate_rj::{AssociateRj, RejectReason, RejectResult};
pub use associate_rq::AssociateRq;
pub use presentation_context::{ContextId, ContextResult, ContextResultReason, ProposedContext};
pub use user_information::{
    AsyncOperationsWindow, CommonExtendedNegotiation, ExtendedNegotiation, RoleSelection,
    UserIdentityRequest, UserInformation,
};
