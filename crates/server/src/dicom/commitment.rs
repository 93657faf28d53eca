//! Storage commitment over an association: PS3.4 J.3.2 and J.3.3. A request is taken on as soon as it is durable, and
//! reported on the same association when the requestor stays on it; what could not be reported here is handed to
//! [`crate::reports`] when the association ends, however it ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dicomet_archive::commitments::{Due, Requestor};
use dicomet_net::service::storage_commitment::scp;
use dicomet_net::service::{Next, Request, next_or_response, next_request};
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{Command, MessageId, NActionRq, Refusal, Status, StatusKind};
use tokio::sync::mpsc;

use crate::Server;
use crate::reports::transaction;

/// The requests for storage commitment of one association, and their reports.
pub(super) struct Commitments {
    server: Server,
    /// Where those go that cannot be reported here.
    elsewhere: mpsc::UnboundedSender<Due>,
    waiting: VecDeque<Due>,
    outstanding: Option<(Due, MessageId)>,
    /// The requestor has stayed, and made no request since.
    is_quiet: bool,
}

impl Drop for Commitments {
    fn drop(&mut self) {
        let outstanding = self.outstanding.take().map(|(due, _)| due);
        for due in outstanding.into_iter().chain(self.waiting.drain(..)) {
            // When the server has stopped, they are due at its next start.
            let _ = self.elsewhere.send(due);
        }
    }
}

impl Commitments {
    pub(super) fn new(server: &Server, elsewhere: mpsc::UnboundedSender<Due>) -> Commitments {
        let (server, waiting) = (server.clone(), VecDeque::new());
        Commitments { server, elsewhere, waiting, outstanding: None, is_quiet: false }
    }

    /// The next request of the peer. While it makes none, what is due is reported.
    pub(super) async fn next_request(
        &mut self,
        association: &mut Association,
    ) -> Result<Option<Request>, Error> {
        loop {
            if self.outstanding.is_none() && !self.waiting.is_empty() {
                // Many release as soon as they have their answer, and some fall over what comes in between.
                let pause = self.server.settings.reports.same_association;
                self.is_quiet = self.is_quiet || !association.arrives_within(pause).await?;
                if self.is_quiet {
                    self.report(association).await?;
                }
            }
            let request = match &self.outstanding {
                None => next_request(association).await?,
                Some((_, message_id)) => match next_or_response(association, *message_id).await? {
                    Some(Next::Response(response)) => {
                        self.answered(&response).await;
                        continue;
                    }
                    Some(Next::Request(request)) => Some(request),
                    None => None,
                },
            };
            self.is_quiet = false;
            return Ok(request);
        }
    }

    /// Answers a request: success says that it will be reported, whatever happens to this process.
    pub(super) async fn answer(
        &mut self,
        association: &mut Association,
        context: &Context,
        request: &NActionRq,
        information: Result<DataSet, DataSetError>,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let negotiated = association.negotiated();
        let requestor = Requestor {
            calling: negotiated.calling_ae_title.clone(),
            called: negotiated.called_ae_title.clone(),
        };
        let outcome = self.take_on(requestor, request, information).await;
        let message_id = request.message_id.0;
        match &outcome {
            Ok(references) => {
                let (status, seconds) = (Status::SUCCESS.digits(), began.elapsed().as_secs_f64());
                tracing::info!(message_id, %status, references, seconds, "N-ACTION answered");
            }
            Err(refusal) => {
                let (status, comment) = (refusal.status.digits(), refusal.comment());
                tracing::warn!(message_id, %status, comment, "N-ACTION refused");
            }
        }
        scp::answer(association, context, request, outcome.map(drop)).await
    }

    /// Makes a request durable; answers how many references it has.
    async fn take_on(
        &mut self,
        requestor: Requestor,
        request: &NActionRq,
        information: Result<DataSet, DataSetError>,
    ) -> Result<usize, Refusal> {
        let information = information.map_err(|error| {
            // What the error says may quote the data set: for debugging alone.
            tracing::debug!(%error, "Action Information cannot be read");
            match error {
                DataSetError::Limit(_) => {
                    Refusal::new(Status::RESOURCE_LIMITATION, "too many references in one request")
                }
                _ => Refusal::new(Status::PROCESSING_FAILURE, "the Action Information cannot be read"),
            }
        })?;
        let asked = scp::read_request(request, &information)?;
        let references = asked.references.len();
        let commitments = self.server.archive.commitments().clone();
        let due = tokio::task::spawn_blocking(move || {
            let id = commitments.add(&requestor, &asked)?;
            Ok(Due { id, requestor, tries: 0 })
        });
        match due.await {
            Ok(Ok(due)) => {
                self.waiting.push_back(due);
                Ok(references)
            }
            Ok(Err(error)) => Err(refusal(&error)),
            Err(error) => Err(super::fault(&error, Status::PROCESSING_FAILURE)),
        }
    }

    /// Sends the report that is due next. A request that comes while it is made goes first.
    async fn report(&mut self, association: &mut Association) -> Result<(), Error> {
        let context = association.context_of(&uids::STORAGE_COMMITMENT_PUSH_MODEL).cloned();
        let (Some(due), Some(context)) = (self.waiting.front().cloned(), context) else { return Ok(()) };
        let made = tokio::select! {
            biased;
            made = transaction::make(&self.server, &due) => made,
            arrived = association.arrives_within(Duration::MAX) => return arrived.map(drop),
        };
        let report = match made {
            Ok(Some(report)) => report,
            Ok(None) => {
                self.waiting.pop_front();
                return Ok(());
            }
            // Told there; it is tried again, but not here.
            Err(_) => {
                self.hand_over_next().await;
                return Ok(());
            }
        };
        let message_id = scp::send_report(association, &context, &report).await?;
        self.waiting.pop_front();
        self.outstanding = Some((due, message_id));
        Ok(())
    }

    async fn hand_over_next(&mut self) {
        if let Some(due) = self.waiting.pop_front() {
            let _ = self.elsewhere.send(transaction::failed(&self.server, due).await);
        }
    }

    /// Takes the answer to a report.
    async fn answered(&mut self, response: &Command) {
        let Some((due, _)) = self.outstanding.take() else { return };
        let status = match response {
            Command::NEventReportRsp(response) => response.status,
            _ => Status::PROCESSING_FAILURE,
        };
        if matches!(status.kind(), StatusKind::Success | StatusKind::Warning) {
            transaction::delivered(&self.server, &due).await;
        } else {
            tracing::warn!(calling = %due.requestor.calling, status = %status.digits(), "a storage commitment report was refused");
            let _ = self.elsewhere.send(transaction::failed(&self.server, due).await);
        }
    }
}

/// The answer to a peer when a request could not be taken on; what it does not say goes into the log.
fn refusal(error: &dicomet_archive::Error) -> Refusal {
    match error {
        dicomet_archive::Error::NoRoom { .. } => {
            tracing::error!(%error, "the archive failed");
            Refusal::new(Status::RESOURCE_LIMITATION, "no room in the archive")
        }
        dicomet_archive::Error::Busy { .. } => {
            tracing::error!(%error, "the archive failed");
            Refusal::new(Status::RESOURCE_LIMITATION, "the archive is busy; ask again later")
        }
        error => super::refusal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_finds_the_archive_busy_or_full_is_to_be_made_again_later() {
        let busy = dicomet_archive::Error::Busy { database: "commitment.sqlite".to_owned() };
        let no_room = dicomet_archive::Error::NoRoom {
            doing: "writing the index",
            source: std::io::ErrorKind::StorageFull.into(),
        };
        for error in [busy, no_room] {
            assert_eq!(refusal(&error).status, Status::RESOURCE_LIMITATION, "{error}");
        }
    }
}
