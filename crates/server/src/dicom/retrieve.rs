//! C-GET from the archive: PS3.4 C.4.3.3. The index says which instances, the blobs are read as they are sent.

use std::io::{self, Read};
use std::time::Instant;

use dicomet_archive::{Archive, Blob};
use dicomet_net::association::Source;
use dicomet_net::reencode::{self, Reencoded};
use dicomet_net::service::c_get;
use dicomet_net::service::sub_operations::{Instance, Instances, Operation};
use dicomet_net::{Association, Error};
use dicomet_proto::Uid;
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{CGetRq, CMoveRq, Refusal, Status};

use super::identifier;
use crate::Server;

/// Answers a C-GET-RQ; says how many bytes were sent.
pub(super) async fn answer_get(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CGetRq,
    identifier: Result<DataSet, DataSetError>,
) -> Result<u64, Error> {
    let began = Instant::now();
    let outcome = plan(server, context, identifier).await;
    if let Err(refusal) = &outcome {
        tracing::info!(message_id = request.message_id.0, status = %refusal.status, comment = refusal.comment(), "C-GET refused");
    }
    let report = c_get::scp::answer(association, context, request, outcome, &server.settings.pace).await?;
    let Some(report) = report else {
        return Ok(0);
    };
    tracing::info!(
        message_id = request.message_id.0,
        status = %report.status,
        completed = report.sub_operations.completed,
        failed = report.sub_operations.failed,
        warning = report.sub_operations.warning,
        remaining = report.sub_operations.remaining,
        without_context = report.without_context,
        unreadable = report.unreadable,
        bytes = report.bytes,
        outstanding = report.most_outstanding,
        seconds = began.elapsed().as_secs_f64(),
        "C-GET answered"
    );
    Ok(report.bytes)
}

/// Refuses a C-MOVE-RQ: there is no table of move destinations yet.
pub(super) async fn refuse_move(
    association: &mut Association,
    context: &Context,
    request: &CMoveRq,
) -> Result<(), Error> {
    let refusal = Refusal::new(Status::MOVE_DESTINATION_UNKNOWN, "no move destinations are configured");
    Operation::moving(context, request).refuse(association, &refusal).await
}

async fn plan(
    server: &Server,
    context: &Context,
    identifier: Result<DataSet, DataSetError>,
) -> Result<Stored, Refusal> {
    let query = identifier::retrieve_query(&context.abstract_syntax, identifier)?;
    let archive = server.archive.clone();
    let planned = tokio::task::spawn_blocking(move || archive.plan(&query)).await;
    match planned {
        Ok(Ok(instances)) => {
            Ok(Stored { archive: server.archive.clone(), instances: instances.into_iter(), current: None })
        }
        Ok(Err(error)) => Err(super::refusal(&error)),
        Err(error) => Err(super::fault(&error, Status::UNABLE_TO_COUNT_MATCHES)),
    }
}

/// The instances of a retrieve, from the archive.
struct Stored {
    archive: Archive,
    instances: std::vec::IntoIter<dicomet_archive::Instance>,
    current: Option<dicomet_archive::Instance>,
}

impl Instances for Stored {
    type Source = BlobSource;

    fn total(&self) -> u64 {
        self.instances.len() as u64
    }

    async fn next(&mut self) -> Option<Instance> {
        let stored = self.instances.next()?;
        let instance = Instance {
            sop_class: stored.sop_class.clone(),
            sop_instance: stored.sop_instance.clone(),
            transfer_syntax: stored.transfer_syntax.clone(),
        };
        self.current = Some(stored);
        Some(instance)
    }

    fn converts(&self, instance: &Instance, transfer_syntax: &Uid) -> bool {
        reencode::is_possible(&instance.transfer_syntax, transfer_syntax)
    }

    /// Opens inline: some ten microseconds, and a thread switch would cost more.
    async fn open(&mut self, transfer_syntax: &Uid) -> io::Result<BlobSource> {
        let stored = self.current.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let blob = self.archive.open_instance(stored).map_err(io::Error::other)?;
        let length = blob.length();
        if *transfer_syntax == stored.transfer_syntax {
            return Ok(BlobSource::AsStored { blob, remaining: length });
        }
        let (file, offset) = blob.into_file();
        let reading = {
            let transfer_syntax = transfer_syntax.clone();
            move || Reencoded::new(file, offset, length, &transfer_syntax)
        };
        let reencoded = tokio::task::spawn_blocking(reading).await.map_err(io::Error::other)??;
        Ok(BlobSource::Reencoded(Box::new(reencoded)))
    }
}

/// A blob as it is sent.
enum BlobSource {
    AsStored { blob: Blob, remaining: u64 },
    Reencoded(Box<Reencoded>),
}

impl Source for BlobSource {
    fn remaining(&self) -> u64 {
        match self {
            BlobSource::AsStored { remaining, .. } => *remaining,
            BlobSource::Reencoded(reencoded) => reencoded.remaining(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            BlobSource::AsStored { blob, remaining } => {
                let length = blob.read(buffer)?;
                *remaining = remaining.saturating_sub(length as u64);
                Ok(length)
            }
            BlobSource::Reencoded(reencoded) => reencoded.read(buffer),
        }
    }
}
