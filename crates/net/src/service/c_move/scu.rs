//! C-MOVE as SCU: PS3.4 C.4.2, PS3.7 9.1.4. The instances go to somebody else, so what comes in is the peer's own
//! C-MOVE-RSPs, and all that is known of the instances is what these count.

use std::time::Duration;

use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::DataSet;
use dicomet_proto::message::{CCancelRq, CMoveRq, CMoveRsp, Command, DataSetType, MessageId, Priority};
use dicomet_proto::{AeTitle, Uid};

use crate::association::{Data, Received};
use crate::service::sub_operations::FAILED_SOP_INSTANCE_UID_LIST;
use crate::service::{MAX_IDENTIFIER_LENGTH, context_for};
use crate::{Association, Error};

/// A C-MOVE that goes on: take its responses one by one.
pub struct Move<'a> {
    association: &'a mut Association,
    context: Context,
    message_id: MessageId,
    /// A response whose identifier is still being read, so that [`Move::next`] can be dropped at any await.
    reading: Option<(CMoveRsp, Vec<u8>)>,
    is_ended: bool,
}

/// A C-MOVE-RSP with what its identifier says.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// How far the peer is, or, when its status is not pending, how it ended.
    pub command: CMoveRsp,
    /// Failed SOP Instance UID List (0008,0058).
    pub failed: Vec<Uid>,
}

impl<'a> Move<'a> {
    /// Sends the C-MOVE-RQ, on the context of the model.
    ///
    /// # Errors
    /// [`Error::NoPresentationContext`] when the peer did not accept the model.
    pub async fn start(
        association: &'a mut Association,
        sop_class: &Uid,
        move_destination: &AeTitle,
        identifier: &DataSet,
    ) -> Result<Move<'a>, Error> {
        let context = context_for(association, sop_class)?;
        let data = identifier.encode(&context.transfer_syntax).map_err(|error| {
            association
                .misbehaved(format!("chose a transfer syntax for C-MOVE that cannot be written: {error}"))
        })?;
        let message_id = association.next_message_id();
        let request = Command::CMoveRq(CMoveRq {
            message_id,
            affected_sop_class_uid: sop_class.clone(),
            priority: Priority::Medium,
            move_destination: move_destination.clone(),
        });
        association.send(context.id, &request, Data::Bytes(&data)).await?;
        association.flush().await?;
        Ok(Move { association, context, message_id, reading: None, is_ended: false })
    }

    /// The next response; `None` after the final one. The peer may be silent for as long as the limit: it is free to send
    /// no Pending responses (PS3.4 C.4.2.3.1).
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn next_within(&mut self, limit: Duration) -> Result<Option<Response>, Error> {
        while !self.is_ended {
            if self.reading.is_some() {
                return self.read_identifier().await.map(Some);
            }
            let message = match self.association.receive_within(limit, "send a response").await? {
                Received::Message(message) => message,
                Received::ReleaseRequested => return Err(self.association.released_by_peer()),
            };
            match message.command {
                Command::CMoveRsp(response) if response.message_id == self.message_id => {
                    if response.identifier == DataSetType::Present {
                        self.reading = Some((response, Vec::new()));
                        continue;
                    }
                    self.is_ended = !response.status.is_pending();
                    return Ok(Some(Response { command: response, failed: Vec::new() }));
                }
                // Nobody waits for it. Its data set is passed over by the next receive.
                _ => tracing::debug!("the peer sent something else than a response to the C-MOVE; ignored"),
            }
        }
        Ok(None)
    }

    async fn read_identifier(&mut self) -> Result<Response, Error> {
        while let Some(piece) = self.association.receive_data().await? {
            // More than an identifier can have is passed over: the counters say enough.
            if let Some((_, bytes)) = &mut self.reading
                && bytes.len() + piece.len() <= MAX_IDENTIFIER_LENGTH
            {
                bytes.extend_from_slice(&piece);
            }
        }
        let Some((command, bytes)) = self.reading.take() else { return Err(Error::ConnectionClosed) };
        self.is_ended = !command.status.is_pending();
        let identifier = DataSet::parse(&bytes, &self.context.transfer_syntax);
        let failed =
            identifier.map(|identifier| identifier.uids(FAILED_SOP_INSTANCE_UID_LIST)).unwrap_or_default();
        Ok(Response { command, failed })
    }

    /// Sends C-CANCEL-RQ, unless the final response is there. A final response still comes.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn cancel(&mut self) -> Result<(), Error> {
        if self.is_ended {
            return Ok(());
        }
        let cancel = Command::CCancelRq(CCancelRq { message_id: self.message_id });
        self.association.send(self.context.id, &cancel, Data::None).await?;
        self.association.flush().await
    }
}
