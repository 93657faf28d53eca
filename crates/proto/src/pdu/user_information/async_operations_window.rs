//! Asynchronous operations window, 53H, PS3.7 D.3.3.3.
//!
//! ```text
//! byte 5-6  maximum number operations invoked
//! byte 7-8  maximum number operations performed
//! ```

use bytes::{BufMut, BytesMut};

use super::ASYNC_OPERATIONS_WINDOW;
use crate::pdu::read::Reader;
use crate::pdu::{DecodeError, write};

/// Asynchronous operations window, 53H. 0 says unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncOperationsWindow {
    /// Maximum number of operations that the association-requestor invokes.
    pub invoked: u16,
    /// Maximum number of operations that the association-requestor performs.
    pub performed: u16,
}

impl AsyncOperationsWindow {
    /// What holds without negotiation: one operation at a time, each way.
    pub const SYNCHRONOUS: AsyncOperationsWindow = AsyncOperationsWindow { invoked: 1, performed: 1 };

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<AsyncOperationsWindow, DecodeError> {
        Ok(AsyncOperationsWindow { invoked: reader.u16()?, performed: reader.u16()? })
    }

    pub(super) fn encode(self, output: &mut BytesMut) {
        write::item(output, ASYNC_OPERATIONS_WINDOW, |output| {
            output.put_u16(self.invoked);
            output.put_u16(self.performed);
        });
    }
}
