//! C-FIND as SCP: PS3.4 C.4.1.3, PS3.7 9.1.2.

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::DataSet;
use dicomet_proto::message::{CFindRq, Refusal, Status};

use crate::{Association, Error};

/// The answering of one C-FIND-RQ.
pub struct Answer<'a> {
    association: &'a mut Association,
}

impl<'a> Answer<'a> {
    /// Begins.
    pub fn new(association: &'a mut Association, context: &Context, request: &CFindRq) -> Answer<'a> {
        let _ = (context, request);
        Answer { association }
    }

    /// Sends one match with Pending (`PENDING` or `PENDING_UNSUPPORTED_KEYS`), unless the peer has cancelled.
    /// Answers whether to go on.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn pending(&mut self, identifier: &DataSet, status: Status) -> Result<bool, Error> {
        let _ = (&self.association, identifier, status);
        todo!()
    }

    /// Sends the one final response: cancelled when the peer has cancelled before, otherwise success or the
    /// refusal.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn finish(self, outcome: Result<(), Refusal>) -> Result<(), Error> {
        let _ = outcome;
        todo!()
    }
}
