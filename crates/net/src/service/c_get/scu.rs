//! C-GET as SCU: PS3.4 C.4.3, PS3.7 9.1.3. The peer turns round and stores with us on the same association, so what
//! comes in is its C-STORE-RQs, which wait for an answer each, and its own C-GET-RSPs.

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{
    CCancelRq, CGetRq, CGetRsp, CStoreRq, Command, DataSetType, MessageId, Priority, Refusal,
};

use crate::association::{Data, Message, Received};
use crate::service::{MAX_IDENTIFIER_LENGTH, c_store, context_refusal};
use crate::{Association, Error};

/// Failed SOP Instance UID List (0008,0058).
const FAILED_SOP_INSTANCE_UID_LIST: Tag = Tag(0x0008, 0x0058);

/// A C-GET that goes on: take its events one by one.
pub struct Get<'a> {
    association: &'a mut Association,
    context: Context,
    message_id: MessageId,
    /// A response whose identifier is still being read, so that [`Get::next`] can be dropped at any await.
    reading: Option<(CGetRsp, Vec<u8>)>,
    is_ended: bool,
}

/// What comes in during a C-GET.
#[derive(Debug, Clone, PartialEq)]
pub enum GetEvent {
    /// The peer stores an instance: take its data set with [`Get::data`], then answer with [`Get::answer`].
    Store(Context, CStoreRq),
    /// How far the peer is, or, when the status is not pending, how it ended.
    Response(Response),
}

/// A C-GET-RSP with what its identifier says.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The response.
    pub command: CGetRsp,
    /// Failed SOP Instance UID List (0008,0058).
    pub failed: Vec<Uid>,
}

impl<'a> Get<'a> {
    /// Sends the C-GET-RQ, on the context of the model.
    ///
    /// # Errors
    /// [`Error::NoPresentationContext`] when the peer did not accept the model.
    pub async fn start(
        association: &'a mut Association,
        sop_class: &Uid,
        identifier: &DataSet,
    ) -> Result<Get<'a>, Error> {
        let accepted =
            association.negotiated().contexts.iter().find(|context| context.abstract_syntax == *sop_class);
        let context = accepted.cloned().ok_or_else(|| Error::NoPresentationContext {
            what: dicomet_proto::dataset::dictionary::uid_name(sop_class).unwrap_or("C-GET").to_owned(),
        })?;
        let data = identifier.encode(&context.transfer_syntax).map_err(|error| Error::PeerMisbehaved {
            what: format!("it chose a transfer syntax for C-GET that was not proposed ({error})"),
        })?;
        let message_id = association.next_message_id();
        let request = Command::CGetRq(CGetRq {
            message_id,
            affected_sop_class_uid: sop_class.clone(),
            priority: Priority::Medium,
        });
        association.send(context.id, &request, Data::Bytes(&data)).await?;
        Ok(Get { association, context, message_id, reading: None, is_ended: false })
    }

    /// The next event; `None` after the final response.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn next(&mut self) -> Result<Option<GetEvent>, Error> {
        while !self.is_ended {
            if self.reading.is_some() {
                return self.read_identifier().await.map(Some);
            }
            let message = match self.association.receive().await? {
                Received::Message(message) => message,
                Received::ReleaseRequested => return Err(self.association.released_by_peer()),
            };
            if let Some(event) = self.handle(message).await? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    async fn handle(&mut self, message: Message) -> Result<Option<GetEvent>, Error> {
        match message.command {
            Command::CStoreRq(_) => self.handle_store(message).await,
            Command::CGetRsp(response) if response.message_id == self.message_id => {
                self.is_ended = !response.status.is_pending() && response.identifier == DataSetType::Null;
                if response.identifier == DataSetType::Present {
                    self.reading = Some((response, Vec::new()));
                    return Ok(None);
                }
                Ok(Some(GetEvent::Response(Response { command: response, failed: Vec::new() })))
            }
            // A response to something else, or a request that has no place here: nobody waits for it. Its data
            // set is passed over by the next receive.
            other => {
                tracing::warn!("the peer sent a {} during a C-GET; ignored", name_of(&other));
                Ok(None)
            }
        }
    }

    async fn handle_store(&mut self, message: Message) -> Result<Option<GetEvent>, Error> {
        // The association has checked that the context was accepted.
        let Some(context) = self.association.context(message.context_id).cloned() else { return Ok(None) };
        let refusal = context_refusal(&message.command, &context);
        let Command::CStoreRq(request) = message.command else { return Ok(None) };
        match refusal {
            None => Ok(Some(GetEvent::Store(context, request))),
            Some(refusal) => {
                self.answer(&context, &request, Err(refusal)).await?;
                Ok(None)
            }
        }
    }

    async fn read_identifier(&mut self) -> Result<GetEvent, Error> {
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
        Ok(GetEvent::Response(Response { command, failed }))
    }

    /// The next piece of the data set of the instance that is being stored; `None` at its end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn data(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        self.association.receive_data().await
    }

    /// Answers a C-STORE-RQ. What is left of its data set is passed over.
    ///
    /// # Errors
    /// [`Error`]; the association is then at its end.
    pub async fn answer(
        &mut self,
        context: &Context,
        request: &CStoreRq,
        outcome: Result<(), Refusal>,
    ) -> Result<(), Error> {
        c_store::scp::answer(self.association, context, request, outcome).await
    }

    /// Sends C-CANCEL-RQ, unless the final response is there. What the peer had begun still comes, and a final response.
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

fn name_of(command: &Command) -> &'static str {
    match command {
        Command::CEchoRq(_) => "C-ECHO-RQ",
        Command::CEchoRsp(_) => "C-ECHO-RSP",
        Command::CStoreRq(_) => "C-STORE-RQ",
        Command::CStoreRsp(_) => "C-STORE-RSP",
        Command::CFindRq(_) => "C-FIND-RQ",
        Command::CFindRsp(_) => "C-FIND-RSP",
        Command::CGetRq(_) => "C-GET-RQ",
        Command::CGetRsp(_) => "C-GET-RSP of another operation",
        Command::CMoveRq(_) => "C-MOVE-RQ",
        Command::CMoveRsp(_) => "C-MOVE-RSP",
        Command::CCancelRq(_) => "C-CANCEL-RQ",
        Command::NEventReportRq(_) => "N-EVENT-REPORT-RQ",
        Command::NEventReportRsp(_) => "N-EVENT-REPORT-RSP",
        Command::NActionRq(_) => "N-ACTION-RQ",
        Command::NActionRsp(_) => "N-ACTION-RSP",
        Command::Unknown(_) => "command of no known service",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dicomet_proto::association::ContextId;
    use dicomet_proto::association::negotiation::{Willing, first_proposed};
    use dicomet_proto::dataset::dictionary::uids;
    use dicomet_proto::message::{CStoreRsp, Counters, Status};
    use dicomet_proto::pdu::RoleSelection;
    use tokio::io::DuplexStream;

    use super::*;
    use crate::accept::Incoming;
    use crate::association::Timeouts;
    use crate::testing::{self, data, message};

    /// A requestor with Study Root GET (context 1) and CT Image Storage (3), the latter as SCP, and its acceptor.
    async fn pair() -> (Association, Association) {
        let (ours, theirs): (DuplexStream, DuplexStream) = tokio::io::duplex(64 * 1024);
        let mut proposal = testing::proposal();
        proposal.contexts = [uids::STUDY_ROOT_GET, uids::CT_IMAGE_STORAGE]
            .map(|class| (class, vec![uids::EXPLICIT_VR_LITTLE_ENDIAN]))
            .to_vec();
        let role = RoleSelection { sop_class_uid: uids::CT_IMAGE_STORAGE, scu: false, scp: true };
        proposal.role_selections = vec![role];
        let accept = async {
            let incoming = Incoming::new(Box::new(theirs), None, Timeouts::default());
            incoming.request().await.unwrap().accept(&Willing(first_proposed)).await.unwrap()
        };
        let timeouts = Timeouts::default();
        let request = crate::connect::request(Box::new(ours), proposal, &timeouts);
        let (requestor, acceptor) = tokio::join!(request, accept);
        (requestor.unwrap(), acceptor)
    }

    fn context_id(id: u8) -> ContextId {
        ContextId::new(id).unwrap()
    }

    fn store(class: Uid) -> Command {
        Command::CStoreRq(CStoreRq {
            message_id: MessageId(9),
            affected_sop_class_uid: class,
            affected_sop_instance_uid: Uid::from_static("1.2.3"),
            priority: Priority::Medium,
            move_originator: None,
        })
    }

    fn response(message_id: MessageId, status: Status, identifier: DataSetType) -> Command {
        let counters = Counters { remaining: Some(1), ..Counters::default() };
        Command::CGetRsp(CGetRsp {
            message_id,
            affected_sop_class_uid: None,
            status,
            counters,
            identifier,
            error_comment: None,
            offending_elements: Vec::new(),
        })
    }

    /// Takes the C-GET-RQ and returns its Message ID.
    async fn take_request(acceptor: &mut Association) -> MessageId {
        match message(acceptor).await.command {
            Command::CGetRq(request) => {
                data(acceptor).await;
                request.message_id
            }
            other => panic!("{other:?}"),
        }
    }

    async fn store_status(acceptor: &mut Association) -> Status {
        match message(acceptor).await.command {
            Command::CStoreRsp(CStoreRsp { message_id: MessageId(9), status, .. }) => status,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn instances_come_between_the_responses_and_each_is_answered() {
        let (mut requestor, mut acceptor) = pair().await;
        let peer = async {
            let id = take_request(&mut acceptor).await;
            acceptor
                .send(context_id(3), &store(uids::CT_IMAGE_STORAGE), Data::Bytes(&[7; 200_000]))
                .await
                .unwrap();
            assert_eq!(store_status(&mut acceptor).await, Status::SUCCESS);
            acceptor
                .send(context_id(1), &response(id, Status::PENDING, DataSetType::Null), Data::None)
                .await
                .unwrap();
            acceptor.send(context_id(3), &store(uids::CT_IMAGE_STORAGE), Data::Bytes(b"ab")).await.unwrap();
            assert_eq!(store_status(&mut acceptor).await, Status::OUT_OF_RESOURCES);
            let mut identifier = DataSet::new();
            identifier.set_uids(FAILED_SOP_INSTANCE_UID_LIST, &[Uid::from_static("1.2.3")]);
            let bytes = identifier.encode(&uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
            let end = response(id, Status::WARNING, DataSetType::Present);
            acceptor.send(context_id(1), &end, Data::Bytes(&bytes)).await.unwrap();
            acceptor.flush().await.unwrap();
        };
        let ask = async {
            let mut get = Get::start(&mut requestor, &uids::STUDY_ROOT_GET, &DataSet::new()).await.unwrap();
            let Some(GetEvent::Store(context, rq)) = get.next().await.unwrap() else { panic!() };
            let mut length = 0;
            while let Some(piece) = get.data().await.unwrap() {
                length += piece.len();
            }
            assert_eq!(length, 200_000);
            get.answer(&context, &rq, Ok(())).await.unwrap();
            let Some(GetEvent::Response(pending)) = get.next().await.unwrap() else { panic!() };
            assert_eq!(pending.command.counters.remaining, Some(1));
            // Its data set is not taken: it is passed over.
            let Some(GetEvent::Store(context, rq)) = get.next().await.unwrap() else { panic!() };
            let refusal = Refusal::new(Status::OUT_OF_RESOURCES, "no space");
            get.answer(&context, &rq, Err(refusal)).await.unwrap();
            let Some(GetEvent::Response(end)) = get.next().await.unwrap() else { panic!() };
            assert_eq!(end.command.status, Status::WARNING);
            assert_eq!(end.failed, [Uid::from_static("1.2.3")]);
            assert_eq!(get.next().await.unwrap(), None);
        };
        tokio::join!(peer, ask);
    }

    #[tokio::test]
    async fn a_sop_class_that_is_not_the_contexts_is_refused_here() {
        let (mut requestor, mut acceptor) = pair().await;
        let peer = async {
            let id = take_request(&mut acceptor).await;
            acceptor.send(context_id(3), &store(uids::MR_IMAGE_STORAGE), Data::Bytes(b"ab")).await.unwrap();
            assert_eq!(store_status(&mut acceptor).await, Status::SOP_CLASS_NOT_SUPPORTED);
            // A response to another operation is nobody's.
            let stray = response(MessageId(id.0 + 1), Status::SUCCESS, DataSetType::Null);
            acceptor.send(context_id(1), &stray, Data::None).await.unwrap();
            acceptor
                .send(context_id(1), &response(id, Status::SUCCESS, DataSetType::Null), Data::None)
                .await
                .unwrap();
            acceptor.flush().await.unwrap();
        };
        let ask = async {
            let mut get = Get::start(&mut requestor, &uids::STUDY_ROOT_GET, &DataSet::new()).await.unwrap();
            let Some(GetEvent::Response(end)) = get.next().await.unwrap() else { panic!() };
            assert_eq!(end.command.status, Status::SUCCESS);
            assert_eq!(get.next().await.unwrap(), None);
        };
        tokio::join!(peer, ask);
    }

    #[tokio::test]
    async fn a_cancel_names_the_operation_and_the_end_still_comes() {
        let (mut requestor, mut acceptor) = pair().await;
        let peer = async {
            let id = take_request(&mut acceptor).await;
            assert_eq!(
                message(&mut acceptor).await.command,
                Command::CCancelRq(CCancelRq { message_id: id })
            );
            acceptor
                .send(context_id(1), &response(id, Status::CANCEL, DataSetType::Null), Data::None)
                .await
                .unwrap();
            assert_eq!(acceptor.receive().await.unwrap(), Received::ReleaseRequested);
            acceptor.respond_release().await.unwrap();
        };
        let ask = async {
            let mut get = Get::start(&mut requestor, &uids::STUDY_ROOT_GET, &DataSet::new()).await.unwrap();
            get.cancel().await.unwrap();
            let Some(GetEvent::Response(end)) = get.next().await.unwrap() else { panic!() };
            assert_eq!(end.command.status, Status::CANCEL);
            // There is nothing left to cancel.
            get.cancel().await.unwrap();
            requestor.release().await.unwrap();
        };
        tokio::join!(peer, ask);
    }

    #[tokio::test]
    async fn a_release_in_the_middle_is_answered_and_ends_the_operation() {
        let (mut requestor, mut acceptor) = pair().await;
        let peer = async {
            take_request(&mut acceptor).await;
            acceptor.release().await.unwrap();
        };
        let ask = async {
            let mut get = Get::start(&mut requestor, &uids::STUDY_ROOT_GET, &DataSet::new()).await.unwrap();
            assert!(matches!(get.next().await, Err(Error::ReleasedByPeer)));
        };
        tokio::join!(peer, ask);
    }

    #[tokio::test]
    async fn a_peer_without_the_service_is_told_apart() {
        let (mut requestor, _acceptor) = pair().await;
        let outcome = Get::start(&mut requestor, &uids::PATIENT_ROOT_GET, &DataSet::new()).await;
        assert!(matches!(outcome, Err(Error::NoPresentationContext { .. })));
    }
}
