//! C-FIND as SCP: PS3.4 C.4.1.3, PS3.7 9.1.2.

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::charset::CharacterSets;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{CFindRq, CFindRsp, Command, DataSetType, Refusal, Status};

use crate::association::Data;
use crate::{Association, Error};

/// The answering of one C-FIND-RQ.
pub struct Answer<'a> {
    association: &'a mut Association,
    context: Context,
    request: CFindRq,
    character_sets: CharacterSets,
    cancelled: bool,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("request", &self.request).finish_non_exhaustive()
    }
}

impl<'a> Answer<'a> {
    /// Begins.
    pub fn new(association: &'a mut Association, context: &Context, request: &CFindRq) -> Answer<'a> {
        let character_sets = CharacterSets::default_repertoire();
        let (context, request) = (context.clone(), request.clone());
        Answer { association, context, request, character_sets, cancelled: false }
    }

    /// Writes the matches in the character sets of the request, where these can hold them (PS3.4 C.2.2.2).
    #[must_use]
    pub fn in_character_sets(mut self, of_request: CharacterSets) -> Self {
        self.character_sets = of_request;
        self
    }

    /// Sends one match with Pending (`PENDING` or `PENDING_UNSUPPORTED_KEYS`), unless the peer has cancelled.
    /// Answers whether to go on.
    ///
    /// The first match leaves at once, those that follow quickly leave together. Who has to search for long
    /// between two matches calls [`Answer::flush`] before.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn pending(&mut self, identifier: &DataSet, status: Status) -> Result<bool, Error> {
        if self.is_cancelled()? {
            return Ok(false);
        }
        let bytes = match identifier.encode_for(&self.context.transfer_syntax, &self.character_sets) {
            Ok(bytes) => bytes,
            // Only deflated contexts come here, or none that we accept: a fault of ours.
            Err(error) => {
                let error = std::io::Error::new(std::io::ErrorKind::Unsupported, error);
                return Err(self.association.failed_to_read(error));
            }
        };
        let response = self.response(status, DataSetType::Present, None, Vec::new());
        self.association.send(self.context.id, &response, Data::Bytes(&bytes)).await?;
        Ok(true)
    }

    /// Whether the peer has sent C-CANCEL for this operation. To be asked now and then during a long search.
    ///
    /// # Errors
    /// [`Error`].
    pub fn is_cancelled(&mut self) -> Result<bool, Error> {
        if !self.cancelled {
            self.cancelled = self.association.cancel_requested(self.request.message_id)?;
        }
        Ok(self.cancelled)
    }

    /// Waits until the matches sent so far have left.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.association.flush().await
    }

    /// Sends the one final response: cancelled when the peer has cancelled before, otherwise success or the
    /// refusal.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn finish(mut self, outcome: Result<(), Refusal>) -> Result<(), Error> {
        let response = if self.is_cancelled()? {
            self.response(Status::CANCEL, DataSetType::Null, None, Vec::new())
        } else {
            match outcome {
                Ok(()) => self.response(Status::SUCCESS, DataSetType::Null, None, Vec::new()),
                Err(refusal) => {
                    let comment = Some(refusal.comment().to_owned()).filter(|comment| !comment.is_empty());
                    self.response(refusal.status, DataSetType::Null, comment, refusal.offending_elements)
                }
            }
        };
        self.association.send(self.context.id, &response, Data::None).await?;
        self.association.flush().await
    }

    fn response(
        &self,
        status: Status,
        identifier: DataSetType,
        error_comment: Option<String>,
        offending_elements: Vec<Tag>,
    ) -> Command {
        Command::CFindRsp(CFindRsp {
            message_id: self.request.message_id,
            affected_sop_class_uid: Some(self.request.affected_sop_class_uid.clone()),
            status,
            identifier,
            error_comment,
            offending_elements,
        })
    }
}
