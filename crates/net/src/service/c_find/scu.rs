//! C-FIND as SCU: PS3.4 C.4.1, PS3.7 9.1.2.

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::DataSet;
use dicomet_proto::message::{
    CCancelRq, CFindRq, CFindRsp, Command, DataSetType, MessageId, Priority, Status,
};
use dicomet_proto::query::Query;

use crate::association::Data;
use crate::service::MAX_IDENTIFIER_LENGTH;
use crate::{Association, Error};

/// A C-FIND that goes on: take the matches one by one, to the end, or call [`Find::finish`]; whoever drops it
/// before leaves answers on the association that fit no request.
pub struct Find<'a> {
    association: &'a mut Association,
    context: Context,
    message_id: MessageId,
    cancelled: bool,
    unsupported_keys: bool,
    /// A match whose identifier is still being read, so that [`Find::next`] can be dropped at any await.
    reading: Option<Vec<u8>>,
    end: Option<FindEnd>,
}

impl std::fmt::Debug for Find<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Find")
            .field("message_id", &self.message_id)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// How a C-FIND ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FindEnd {
    /// The final status.
    pub status: Status,
    /// Error Comment (0000,0902).
    pub error_comment: Option<String>,
    /// Whether any match came with 0xFF01: some optional keys were not supported.
    pub unsupported_keys: bool,
}

impl<'a> Find<'a> {
    /// Sends the C-FIND-RQ, on the context of the query's model.
    ///
    /// # Errors
    /// [`Error::NoPresentationContext`] when the peer did not accept the model.
    pub async fn start(association: &'a mut Association, query: &Query) -> Result<Find<'a>, Error> {
        let context = crate::service::context_for(association, &query.find_sop_class())?;
        let identifier = query
            .identifier()
            .encode(&context.transfer_syntax)
            .map_err(|error| Error::Source(std::io::Error::new(std::io::ErrorKind::Unsupported, error)))?;
        let message_id = association.next_message_id();
        let request = CFindRq {
            message_id,
            affected_sop_class_uid: context.abstract_syntax.clone(),
            priority: Priority::Medium,
        };
        association.send(context.id, &Command::CFindRq(request), Data::Bytes(&identifier)).await?;
        let (cancelled, unsupported_keys, reading, end) = (false, false, None, None);
        Ok(Find { association, context, message_id, cancelled, unsupported_keys, reading, end })
    }

    /// The next match; `None` when the peer has sent its final response.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end. An identifier that cannot be read, or of more than
    /// [`MAX_IDENTIFIER_LENGTH`] bytes, is one.
    pub async fn next(&mut self) -> Result<Option<DataSet>, Error> {
        while self.reading.is_none() {
            match self.next_pending().await? {
                Some(response) if response.identifier == DataSetType::Present => {
                    self.reading = Some(Vec::new());
                }
                // A match without identifier says nothing; some peers send it all the same.
                Some(_) => {}
                None => return Ok(None),
            }
        }
        self.read_identifier().await.map(Some)
    }

    async fn read_identifier(&mut self) -> Result<DataSet, Error> {
        while let Some(piece) = self.association.receive_data().await? {
            let bytes = self.reading.get_or_insert_default();
            if bytes.len() + piece.len() > MAX_IDENTIFIER_LENGTH {
                return Err(self.association.misbehaved("sent a C-FIND identifier of more than 4 MiB"));
            }
            bytes.extend_from_slice(&piece);
        }
        let bytes = self.reading.take().unwrap_or_default();
        DataSet::parse(&bytes, &self.context.transfer_syntax).map_err(|error| {
            tracing::debug!(%error, "an identifier cannot be read");
            self.association.misbehaved("sent a C-FIND identifier that cannot be read")
        })
    }

    /// Sends C-CANCEL-RQ; the matches that still come are to be taken with [`Find::next`], or passed over by
    /// [`Find::finish`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel(&mut self) -> Result<(), Error> {
        if self.end.is_some() || self.cancelled {
            return Ok(());
        }
        self.cancelled = true;
        let cancel = Command::CCancelRq(CCancelRq { message_id: self.message_id });
        self.association.send(self.context.id, &cancel, Data::None).await?;
        self.association.flush().await
    }

    /// Passes over what still comes and tells how it ended. A peer that was asked to cancel and goes on for
    /// longer than the progress timeout is aborted.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn finish(mut self) -> Result<FindEnd, Error> {
        if self.cancelled {
            let grace = self.association.timeouts().progress;
            match tokio::time::timeout(grace, self.pass_over()).await {
                Ok(result) => result?,
                Err(_) => return Err(self.association.timed_out("stop after C-CANCEL", grace)),
            }
        } else {
            self.pass_over().await?;
        }
        // `next_pending` answers `None` only with the end in place.
        self.end.ok_or(Error::ConnectionClosed)
    }

    async fn pass_over(&mut self) -> Result<(), Error> {
        while self.next_pending().await?.is_some() {}
        Ok(())
    }

    /// The next Pending response, its identifier not yet taken; `None` at the end. Everything that is not
    /// Pending ends it, whatever the status: an unknown one must not keep us waiting.
    async fn next_pending(&mut self) -> Result<Option<CFindRsp>, Error> {
        if self.end.is_some() {
            return Ok(None);
        }
        // Of a match that was begun and dropped: its data set is passed over.
        self.reading = None;
        let response = match crate::service::receive_message(self.association).await?.command {
            Command::CFindRsp(response) if response.message_id == self.message_id => response,
            Command::CFindRsp(_) => {
                return Err(self.association.misbehaved("answered a C-FIND that we did not send"));
            }
            _ => return Err(self.association.misbehaved("answered C-FIND with something else")),
        };
        if response.status.is_pending() {
            self.unsupported_keys |= response.status == Status::PENDING_UNSUPPORTED_KEYS;
            return Ok(Some(response));
        }
        self.end = Some(FindEnd {
            status: response.status,
            error_comment: response.error_comment,
            unsupported_keys: self.unsupported_keys,
        });
        Ok(None)
    }
}
