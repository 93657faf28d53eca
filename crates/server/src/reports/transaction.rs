//! A transaction of storage commitment, as the archive has it: its report is made, it is noted as tried, and as settled.

use dicomet_archive::Stop;
use dicomet_archive::commitments::{CommitmentId, Due, Requestor};
use dicomet_proto::commitment::Report;
use tokio::task::JoinError;

use crate::Server;

/// A report could not be made; the log has why.
pub(crate) struct NotMade;

/// Reads the instances, and makes the report; `None` when it is settled. Dropped, it stops reading.
pub(crate) async fn make(server: &Server, due: &Due) -> Result<Option<Report>, NotMade> {
    let (archive, id) = (server.archive.clone(), due.id);
    let ae_title = server.settings.ae_title.clone();
    let stop = Stop::default();
    let _at_end = stop.at_end();
    let made = tokio::task::spawn_blocking(move || archive.commitment_report(id, &ae_title, &stop)).await;
    match made {
        Ok(Ok(report)) => {
            if let Some(report) = &report {
                let (committed, failed) = (report.committed.len(), report.failed.len());
                tracing::info!(calling = %due.requestor.calling, committed, failed, "storage commitment report made");
            }
            Ok(report)
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a storage commitment report cannot be made");
            Err(NotMade)
        }
        Err(_) => {
            tracing::error!("a storage commitment report ended by a fault of ours");
            Err(NotMade)
        }
    }
}

/// Notes that a report was delivered.
pub(crate) async fn delivered(server: &Server, due: &Due) {
    settle(server, due.id).await;
    tracing::info!(calling = %due.requestor.calling, "storage commitment report delivered");
}

/// Notes that a report could not be delivered.
pub(crate) async fn failed(server: &Server, due: Due) -> Due {
    let (commitments, id) = (server.archive.commitments().clone(), due.id);
    let tries = match tokio::task::spawn_blocking(move || commitments.tried(id)).await {
        Ok(Ok(tries)) => tries,
        other => {
            tracing::error!(error = why(other), "a try cannot be noted");
            due.tries + 1
        }
    };
    Due { tries, ..due }
}

pub(super) async fn give_up(server: &Server, requestor: &Requestor, id: CommitmentId, why: &str) {
    settle(server, id).await;
    tracing::warn!(calling = %requestor.calling, why, "storage commitment report given up");
}

/// One that cannot be noted as settled is delivered once more after the next start, which does no harm.
async fn settle(server: &Server, id: CommitmentId) {
    let commitments = server.archive.commitments().clone();
    match tokio::task::spawn_blocking(move || commitments.settle(id)).await {
        Ok(Ok(())) => {}
        other => {
            tracing::error!(error = why(other), "a storage commitment report cannot be noted as settled")
        }
    }
}

/// What the archive says, but not what a panic says: that may quote a data set.
fn why<T>(failed: Result<Result<T, dicomet_archive::Error>, JoinError>) -> String {
    match failed {
        Ok(Err(error)) => error.to_string(),
        _ => "a fault of ours".to_owned(),
    }
}
