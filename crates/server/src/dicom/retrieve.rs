//! C-GET and C-MOVE from the archive: PS3.4 C.4.3.3, C.4.2.3. The index says which instances, the blobs are read as
//! they are sent.

use std::io::{self, Read};
use std::time::Instant;

use dicomet_archive::{Archive, Blob};
use dicomet_net::association::Source;
use dicomet_net::service::c_get;
use dicomet_net::service::c_move;
use dicomet_net::service::c_move::plan::Plan;
use dicomet_net::service::c_move::scp::{MoveDestination, Portion};
use dicomet_net::service::sub_operations::{Instance, Instances, Report};
use dicomet_net::transcode::{self, Converter, Pieces};
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{CGetRq, CMoveRq, MessageId, Refusal, Status};
use dicomet_proto::{AeTitle, Uid};

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
    let outcome = outcome.map(|instances| Stored::new(server, instances));
    if let Err(refusal) = &outcome {
        log_refusal("C-GET", request.message_id, refusal);
    }
    let report = c_get::scp::answer(association, context, request, outcome, &server.settings.pace).await?;
    if let Some(report) = &report {
        log("C-GET", None, request.message_id, report, began);
    }
    Ok(report.map_or(0, |report| report.bytes))
}

/// Answers a C-MOVE-RQ; says how many bytes were sent.
pub(super) async fn answer_move(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CMoveRq,
    identifier: Result<DataSet, DataSetError>,
) -> Result<u64, Error> {
    let began = Instant::now();
    let outcome = match move_destination(server, &request.move_destination) {
        Ok(destination) => plan(server, context, identifier)
            .await
            .map(|instances| (destination, portions(server, instances))),
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &outcome {
        log_refusal("C-MOVE", request.message_id, refusal);
    }
    let report = c_move::scp::answer(association, context, request, outcome, &server.settings.pace).await?;
    if let Some(report) = &report {
        log("C-MOVE", Some(&request.move_destination), request.message_id, report, began);
    }
    Ok(report.map_or(0, |report| report.bytes))
}

/// The address of a move destination comes from the table of nodes alone. We are none ourselves, unless the table says
/// so (another archive may have our AE title): what could be moved here is here.
fn move_destination(server: &Server, ae_title: &AeTitle) -> Result<MoveDestination, Refusal> {
    let settings = &server.settings;
    let node = settings.nodes.move_destination(ae_title).ok_or_else(|| {
        let comment = if *ae_title == settings.ae_title {
            "the move destination is this archive itself"
        } else {
            "the move destination is not in the table of nodes"
        };
        Refusal::new(Status::MOVE_DESTINATION_UNKNOWN, comment)
    })?;
    Ok(MoveDestination {
        node: node.clone(),
        calling_ae_title: settings.ae_title.clone(),
        timeouts: settings.destination.clone(),
        window: settings.max_window.max(1),
    })
}

/// What goes over which association.
fn portions(server: &Server, instances: Vec<dicomet_archive::Instance>) -> Vec<Portion<Stored>> {
    let needs = instances.iter().map(|instance| (&instance.sop_class, &instance.transfer_syntax));
    let plan = Plan::new(needs, |syntax| {
        // Every acceptor takes one of the two plain ones: Implicit VR is the default of all (PS3.5 10.1).
        transcode::alternatives(syntax).take(2).cloned().collect()
    });
    let mut shares: Vec<Vec<dicomet_archive::Instance>> = vec![Vec::new(); plan.associations.len()];
    for instance in instances {
        // Every class has its place.
        if let Some(place) = plan.place(&instance.sop_class) {
            shares[place].push(instance);
        }
    }
    let portion = |(contexts, share)| Portion { contexts, instances: Stored::new(server, share) };
    plan.associations.into_iter().zip(shares).map(portion).collect()
}

fn log_refusal(service: &'static str, message_id: MessageId, refusal: &Refusal) {
    tracing::info!(message_id = message_id.0, status = %refusal.status, comment = refusal.comment(), "{service} refused");
}

fn log(
    service: &'static str,
    destination: Option<&AeTitle>,
    message_id: MessageId,
    report: &Report,
    began: Instant,
) {
    tracing::info!(
        message_id = message_id.0,
        destination = destination.map(tracing::field::display),
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
        "{service} answered"
    );
}

/// The instances that an identifier asks for.
async fn plan(
    server: &Server,
    context: &Context,
    identifier: Result<DataSet, DataSetError>,
) -> Result<Vec<dicomet_archive::Instance>, Refusal> {
    let query = identifier::retrieve_query(&context.abstract_syntax, identifier)?;
    let archive = server.archive.clone();
    let planned = tokio::task::spawn_blocking(move || archive.plan(&query)).await;
    match planned {
        Ok(Ok(instances)) => Ok(instances),
        Ok(Err(error)) => Err(super::refusal(&error)),
        Err(error) => Err(super::fault(&error, Status::UNABLE_TO_COUNT_MATCHES)),
    }
}

/// The instances of a retrieve, from the archive.
struct Stored {
    archive: Archive,
    converter: Converter,
    instances: std::vec::IntoIter<dicomet_archive::Instance>,
    current: Option<dicomet_archive::Instance>,
}

impl Stored {
    fn new(server: &Server, instances: Vec<dicomet_archive::Instance>) -> Stored {
        let (archive, converter) = (server.archive.clone(), server.converter.clone());
        Stored { archive, converter, instances: instances.into_iter(), current: None }
    }
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
        transcode::alternatives(&instance.transfer_syntax).any(|other| other == transfer_syntax)
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
        let from = stored.transfer_syntax.clone();
        let stored = transcode::DataSet { file, offset, length, transfer_syntax: from };
        Ok(BlobSource::Converted(self.converter.convert(stored, transfer_syntax).await?))
    }
}

/// A blob as it is sent.
enum BlobSource {
    AsStored { blob: Blob, remaining: u64 },
    Converted(Pieces),
}

impl Source for BlobSource {
    fn remaining(&self) -> u64 {
        match self {
            BlobSource::AsStored { remaining, .. } => *remaining,
            BlobSource::Converted(pieces) => pieces.remaining(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            BlobSource::AsStored { blob, remaining } => {
                let length = blob.read(buffer)?;
                *remaining = remaining.saturating_sub(length as u64);
                Ok(length)
            }
            BlobSource::Converted(pieces) => Source::read(pieces, buffer),
        }
    }
}
