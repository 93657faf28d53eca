//! Receiving reports: an SCU that listens for the time of a run, for archives that report on associations of their
//! own (PS3.4 J.3.3). Whoever reaches the port may report; what counts is a Transaction UID of ours, which is random.

use std::sync::Arc;

use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Support;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::pdu::{
    AssociateRj, AsyncOperationsWindow, ContextResultReason, RejectReason, RejectResult, RoleSelection,
};
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::take_report;
use crate::Error;
use crate::accept::Incoming;
use crate::listen::Listener;
use crate::service::storage_commitment::TRANSFER_SYNTAXES;
use crate::service::{Request, c_echo, next_request};

/// Associations at a time; an archive opens one.
const MAX_ASSOCIATIONS: usize = 16;

/// Accepts associations and takes reports, until it is dropped.
pub(super) async fn accept_all(listener: Listener, ledger: Arc<Ledger>) {
    let mut associations = JoinSet::new();
    loop {
        tokio::select! {
            incoming = listener.accept() => {
                let is_full = associations.len() >= MAX_ASSOCIATIONS;
                let ledger = Arc::clone(&ledger);
                associations.spawn(async move {
                    if let Err(error) = receive(incoming, &ledger, is_full).await {
                        tracing::debug!(%error, "an association for reports ended");
                    }
                });
            }
            Some(_) = associations.join_next() => {}
        }
    }
}

async fn receive(incoming: Incoming, ledger: &Ledger, is_full: bool) -> Result<(), Error> {
    let requested = incoming.request().await?;
    if is_full {
        let reason = RejectReason::LocalLimitExceeded;
        requested.reject(AssociateRj { result: RejectResult::Transient, reason }).await;
        return Ok(());
    }
    let mut association = requested.accept(&Reports).await?;
    while let Some(request) = next_request(&mut association).await? {
        match request {
            Request::EventReport(context, request, information) => {
                take_report(ledger, &mut association, &context, &request, information).await?;
            }
            Request::Echo(context, request) => c_echo::answer(&mut association, &context, &request).await?,
            other => super::refuse(&mut association, other).await?,
        }
    }
    association.respond_release().await
}

/// Takes storage commitment, of which the requestor is the SCP, and verification.
struct Reports;

impl Support for Reports {
    fn transfer_syntax(&self, abstract_syntax: &Uid, proposed: &[Uid]) -> Result<Uid, ContextResultReason> {
        let known = [uids::STORAGE_COMMITMENT_PUSH_MODEL, uids::VERIFICATION];
        if !known.contains(abstract_syntax) {
            return Err(ContextResultReason::AbstractSyntaxNotSupported);
        }
        let chosen = TRANSFER_SYNTAXES.into_iter().find(|syntax| proposed.contains(syntax));
        chosen.ok_or(ContextResultReason::TransferSyntaxesNotSupported)
    }

    fn roles(&self, asked: &RoleSelection) -> RoleSelection {
        let reports = asked.sop_class_uid == uids::STORAGE_COMMITMENT_PUSH_MODEL;
        RoleSelection { scu: !reports, scp: reports, ..asked.clone() }
    }

    fn async_operations_window(&self, _: AsyncOperationsWindow) -> AsyncOperationsWindow {
        AsyncOperationsWindow::SYNCHRONOUS
    }
}
