//! User identity request, 58H, PS3.7 D.3.3.7.1.
//!
//! ```text
//! byte 5    user identity type    byte 6  positive response requested, 0 or 1
//! byte 7-8  length, primary field    then  length (2 bytes), secondary field
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::USER_IDENTITY_REQUEST;
use crate::pdu::read::Reader;
use crate::pdu::{DecodeError, write};

/// User identity request, 58H. Its `Debug` does not show the fields: they are names, passcodes and tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct UserIdentityRequest {
    /// 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT; others as they came.
    pub identity_type: u8,
    /// Whether a response is asked for.
    pub positive_response_requested: bool,
    /// Primary field.
    pub primary: Bytes,
    /// Secondary field: the passcode.
    pub secondary: Bytes,
}

impl UserIdentityRequest {
    pub(super) fn decode(mut reader: Reader<'_>) -> Result<UserIdentityRequest, DecodeError> {
        let [identity_type, positive_response_requested] = reader.array()?;
        Ok(UserIdentityRequest {
            identity_type,
            positive_response_requested: positive_response_requested == 1,
            primary: Bytes::copy_from_slice(reader.field()?),
            secondary: Bytes::copy_from_slice(reader.field()?),
        })
    }

    pub(super) fn encode(&self, output: &mut BytesMut) {
        write::item(output, USER_IDENTITY_REQUEST, |output| {
            output.put_slice(&[self.identity_type, u8::from(self.positive_response_requested)]);
            write::field(output, &self.primary);
            write::field(output, &self.secondary);
        });
    }
}

impl std::fmt::Debug for UserIdentityRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserIdentityRequest")
            .field("identity_type", &self.identity_type)
            .finish_non_exhaustive()
    }
}
