//! The user information item, PS3.8 9.3.2.3 and Annex D, PS3.7 Annex D.3.3. (To become a folder, one sub-item a
//! file.)

use bytes::Bytes;

use crate::Uid;

/// The user information item of A-ASSOCIATE-RQ and A-ASSOCIATE-AC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInformation {
    /// 51H, PS3.8 D.1: the longest P-DATA-TF that the sender of this item takes; 0 says no limit.
    pub maximum_length: Option<u32>,
    /// 52H, PS3.7 D.3.3.2.1.
    pub implementation_class_uid: Option<Uid>,
    /// 55H, PS3.7 D.3.3.2.3, 1 to 16 characters.
    pub implementation_version_name: Option<String>,
    /// 53H, PS3.7 D.3.3.3.
    pub async_operations_window: Option<AsyncOperationsWindow>,
    /// 54H, PS3.7 D.3.3.4.
    pub role_selections: Vec<RoleSelection>,
    /// 56H, PS3.7 D.3.3.5.
    pub extended_negotiations: Vec<ExtendedNegotiation>,
    /// 57H, PS3.7 D.3.3.6, in requests only.
    pub common_extended_negotiations: Vec<CommonExtendedNegotiation>,
    /// 58H, PS3.7 D.3.3.7.1, in requests only.
    pub user_identity_request: Option<UserIdentityRequest>,
    /// 59H, PS3.7 D.3.3.7.2, in responses only: the server response.
    pub user_identity_response: Option<Bytes>,
    /// Sub-items of other types: type and content, kept as they came.
    pub unknown: Vec<(u8, Bytes)>,
}

/// Asynchronous operations window, 53H. 0 says unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncOperationsWindow {
    /// Maximum number of operations that the association-requestor invokes.
    pub invoked: u16,
    /// Maximum number of operations that the association-requestor performs.
    pub performed: u16,
}

/// SCP/SCU role selection, 54H: the roles of the association-requestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSelection {
    /// SOP Class UID.
    pub sop_class_uid: Uid,
    /// The requestor's SCU role.
    pub scu: bool,
    /// The requestor's SCP role.
    pub scp: bool,
}

/// SOP class extended negotiation, 56H.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedNegotiation {
    /// SOP Class UID.
    pub sop_class_uid: Uid,
    /// Service-class-application-information.
    pub information: Bytes,
}

/// SOP class common extended negotiation, 57H.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommonExtendedNegotiation {
    /// SOP Class UID.
    pub sop_class_uid: Uid,
    /// Service Class UID.
    pub service_class_uid: Uid,
    /// Related general SOP classes.
    pub related_general_sop_class_uids: Vec<Uid>,
}

/// User identity request, 58H. Its `Debug` must not show the fields.
#[derive(Clone, PartialEq, Eq)]
pub struct UserIdentityRequest {
    /// 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT.
    pub identity_type: u8,
    /// Whether a response is asked for.
    pub positive_response_requested: bool,
    /// Primary field.
    pub primary: Bytes,
    /// Secondary field: the passcode.
    pub secondary: Bytes,
}

impl std::fmt::Debug for UserIdentityRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserIdentityRequest")
            .field("identity_type", &self.identity_type)
            .finish_non_exhaustive()
    }
}
