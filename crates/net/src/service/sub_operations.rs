//! The one loop that C-GET and C-MOVE share as SCP: PS3.4 C.4.2.3, C.4.3.3.
//!
//! It sends instances by C-STORE sub-operations, to the requestor on its own association (C-GET) or to a third
//! party on others (C-MOVE), with as many of them outstanding as the asynchronous operations window allows. It
//! counts how they end, tells the requestor with Pending, hears C-CANCEL whatever it is at, and ends with exactly
//! one final response. An instance that cannot be sent is a failed sub-operation, never a skipped one; it fails
//! alone.
//!
//! - `tally`: how the sub-operations end, and whether they are to go on;
//! - `supply`: the instances, dealt out to whoever has room;
//! - `leg`: the loop itself, over one association;
//! - `answer`: the requestor's side: Pending, C-CANCEL, the final response;
//! - `meanwhile`: what else the requestor asks for, put off or answered.

mod answer;
mod leg;
mod meanwhile;
mod supply;
mod tally;

use std::future::Future;
use std::io;
use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::Tag;
use dicomet_proto::message::{
    CGetRq, CGetRsp, CMoveRq, CMoveRsp, Command, Counters, DataSetType, MessageId, Refusal, Status,
    SubOperations,
};

use crate::association::{Data, Source};
use crate::service::c_store;
use crate::{Association, Error};

pub(super) use answer::{Answer, Prepared, STOPPED};
pub(super) use leg::{Elsewhere, End, Leg};
pub(super) use supply::Supply;
pub(super) use tally::{Halt, Tally};

/// Failed SOP Instance UID List.
pub(super) const FAILED_SOP_INSTANCE_UID_LIST: Tag = Tag(0x0008, 0x0058);

/// An instance that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// The transfer syntax it is stored in, and is sent in where the receiver takes that.
    pub transfer_syntax: Uid,
}

/// The instances of one retrieve, one after the other.
pub trait Instances: Send {
    /// One of them.
    type Instance: Outgoing;

    /// How many there are in all; asked once, before the first [`Instances::next`].
    fn total(&self) -> u64;

    /// The next instance; `None` after the last.
    fn next(&mut self) -> Option<Self::Instance>;
}

/// An instance that can be opened to be sent, more than once if need be.
pub trait Outgoing: Send + Sync {
    /// What it is read from as it is sent.
    type Source: Source;

    /// What it is.
    fn describe(&self) -> Instance;

    /// Whether it can be sent in another transfer syntax than the one it is stored in. Asked only when no context has
    /// that one.
    fn converts(&self, transfer_syntax: &Uid) -> bool {
        let _ = transfer_syntax;
        false
    }

    /// Opens its data set, to be sent in a transfer syntax: its own, or one that [`Outgoing::converts`] said yes to.
    /// What can be found wrong with it should be found here: an error here fails this instance alone, one in the middle
    /// ends the association. May take its time; dropped, it is to stop soon.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn open(&self, transfer_syntax: &Uid) -> impl Future<Output = io::Result<Self::Source>> + Send;
}

/// How the loop keeps time.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The least time between two Pending responses. One a sub-operation would double the messages for small
    /// instances; a person sees no more than ten a second.
    pub pending_interval: Duration,
    /// A Pending response goes out at the latest after this time, though nothing has changed, for the sake of
    /// the requestor's timer.
    pub keep_alive: Duration,
    /// How long to wait for the response to any outstanding sub-operation.
    pub response: Duration,
    /// After C-CANCEL, how long the receiver may take to end what was begun: the requestor is answered within a tenth
    /// of a second.
    pub cancel_grace: Duration,
    /// When we stop, how long the receiver may take to end what was begun, before the rest is reported as failed.
    pub stop_grace: Duration,
    /// The most sub-operations outstanding, whatever larger window was negotiated. Their bytes are bounded too.
    pub max_outstanding: u16,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            pending_interval: Duration::from_millis(100),
            keep_alive: Duration::from_secs(5),
            response: Duration::from_secs(60),
            cancel_grace: Duration::from_millis(50),
            stop_grace: Duration::from_millis(250),
            max_outstanding: c_store::WINDOW,
        }
    }
}

/// The request that the loop answers.
#[derive(Debug, Clone)]
pub struct Operation {
    context: Context,
    message_id: MessageId,
    service: Service,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Get,
    Move,
}

/// How a retrieve ended, for the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The status of the final response.
    pub status: Status,
    /// How the sub-operations ended.
    pub sub_operations: SubOperations,
    /// Bytes of data sets that were sent.
    pub bytes: u64,
    /// Failed because no presentation context, or no role, fits.
    pub without_context: u64,
    /// Failed because the instance could not be read.
    pub unreadable: u64,
    /// The most sub-operations that were outstanding at a time on one association.
    pub most_outstanding: usize,
    /// Associations with the move destination that were opened.
    pub associations: usize,
}

impl Operation {
    /// A C-GET-RQ.
    pub fn get(context: &Context, request: &CGetRq) -> Operation {
        Operation { context: context.clone(), message_id: request.message_id, service: Service::Get }
    }

    /// A C-MOVE-RQ.
    pub fn moving(context: &Context, request: &CMoveRq) -> Operation {
        Operation { context: context.clone(), message_id: request.message_id, service: Service::Move }
    }

    /// Answers that nothing is done, and why.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn refuse(&self, association: &mut Association, refusal: &Refusal) -> Result<(), Error> {
        let response = self.response(refusal.status, Counters::default(), DataSetType::Null, Some(refusal));
        association.send(self.context.id, &response, Data::None).await?;
        association.flush().await
    }

    fn response(
        &self,
        status: Status,
        counters: Counters,
        identifier: DataSetType,
        refusal: Option<&Refusal>,
    ) -> Command {
        let message_id = self.message_id;
        let affected_sop_class_uid = Some(self.context.abstract_syntax.clone());
        let error_comment =
            refusal.map(|refusal| refusal.comment().to_owned()).filter(|comment| !comment.is_empty());
        let offending_elements =
            refusal.map(|refusal| refusal.offending_elements.clone()).unwrap_or_default();
        match self.service {
            Service::Get => Command::CGetRsp(CGetRsp {
                message_id,
                affected_sop_class_uid,
                status,
                counters,
                identifier,
                error_comment,
                offending_elements,
            }),
            Service::Move => Command::CMoveRsp(CMoveRsp {
                message_id,
                affected_sop_class_uid,
                status,
                counters,
                identifier,
                error_comment,
                offending_elements,
            }),
        }
    }
}
