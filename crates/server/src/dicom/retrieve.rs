//! C-GET and C-MOVE from the archive: PS3.4 C.4.3.3, C.4.2.3. The index says which instances, the blobs are read as
//! they are sent.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use dicomet_archive::{Archive, Blob, Stop};
use dicomet_net::association::Source;
use dicomet_net::service::c_get;
use dicomet_net::service::c_move;
use dicomet_net::service::c_move::plan::Plan;
use dicomet_net::service::c_move::scp::{MoveDestination, Portion};
use dicomet_net::service::sub_operations::{Instance, Instances, Outgoing, Report};
use dicomet_net::transcode::{self, Converter, Extracted, Pieces};
use dicomet_net::{Association, Error};
use dicomet_proto::association::negotiation::Context;
use dicomet_proto::dataset::{DataSet, DataSetError};
use dicomet_proto::message::{CGetRq, CMoveRq, MessageId, Refusal, Status};
use dicomet_proto::{AeTitle, Uid};
use tokio::sync::watch;

use super::Watched;
use super::counted::Counted;
use super::log::Progress;
use super::{composite, identifier};
use crate::Server;
use crate::nodes::Permissions;

/// Before the server cuts off what still runs, so long is left to report what was not sent. Of a shorter grace, half.
const TIME_TO_REPORT: Duration = Duration::from_secs(1);

/// Answers a C-GET-RQ.
pub(super) async fn answer_get(
    server: &Server,
    association: &mut Association,
    context: &Context,
    request: &CGetRq,
    identifier: Result<DataSet, DataSetError>,
    Watched { progress, stopped }: Watched<'_>,
) -> Result<(), Error> {
    let began = Instant::now();
    let planning = async {
        let planned = plan(server, context, identifier).await;
        let planned = planned.map(|instances| Counted::new(Stored::new(server, instances), progress));
        planned.inspect_err(|refusal| log_refusal("C-GET", None, request.message_id, refusal))
    };
    let (pace, stop) = (&server.settings.pace, about_to_be_cut_off(server, stopped));
    let report = c_get::scp::answer(association, context, request, planning, pace, stop).await?;
    if let Some(report) = &report {
        log("C-GET", None, request.message_id, report, began);
    }
    Ok(())
}

/// Answers a C-MOVE-RQ.
pub(super) async fn answer_move(
    server: &Server,
    permissions: &Permissions,
    association: &mut Association,
    context: &Context,
    request: &CMoveRq,
    identifier: Result<DataSet, DataSetError>,
    Watched { progress, stopped }: Watched<'_>,
) -> Result<(), Error> {
    let began = Instant::now();
    let planning = async {
        let planned = match move_destination(server, permissions, &request.move_destination) {
            Ok(destination) => plan(server, context, identifier)
                .await
                .map(|instances| (destination, portions(server, instances, progress))),
            Err(refusal) => Err(refusal),
        };
        let destination = Some(&request.move_destination);
        planned.inspect_err(|refusal| log_refusal("C-MOVE", destination, request.message_id, refusal))
    };
    let (pace, stop) = (&server.settings.pace, about_to_be_cut_off(server, stopped));
    let report = c_move::scp::answer(association, context, request, planning, pace, stop).await?;
    if let Some(report) = &report {
        log("C-MOVE", Some(&request.move_destination), request.message_id, report, began);
    }
    Ok(())
}

/// Waits until what still runs is about to be cut off, since the server stops.
async fn about_to_be_cut_off(server: &Server, mut stopped: watch::Receiver<bool>) {
    super::asked_to_stop(&mut stopped).await;
    let grace = server.settings.grace;
    tokio::time::sleep(grace - TIME_TO_REPORT.min(grace / 2)).await;
}

/// The address of a move destination comes from the table of nodes alone. We are none ourselves, unless the table says
/// so (another archive may have our AE title): what could be moved here is here.
fn move_destination(
    server: &Server,
    permissions: &Permissions,
    ae_title: &AeTitle,
) -> Result<MoveDestination, Refusal> {
    let settings = &server.settings;
    let destination = permissions.move_destination(ae_title).map_err(|refusal| {
        if refusal.status == Status::MOVE_DESTINATION_UNKNOWN && *ae_title == settings.ae_title {
            Refusal::new(refusal.status, "the move destination is this archive itself")
        } else {
            refusal
        }
    })?;
    Ok(MoveDestination {
        node: destination.node.clone(),
        calling_ae_title: settings.ae_title.clone(),
        timeouts: settings.destination.clone(),
        window: settings.max_window.max(1),
        associations: destination.associations.into(),
    })
}

/// What goes over which association.
fn portions(server: &Server, instances: Vec<Planned>, progress: &Progress) -> Vec<Portion<Counted<Stored>>> {
    let described: Vec<Instance> = instances.iter().map(Planned::describe).collect();
    let needs = described.iter().map(|instance| (&instance.sop_class, &instance.transfer_syntax));
    let plan = Plan::new(needs, |syntax| {
        // Every acceptor takes one of the two plain ones: Implicit VR is the default of all (PS3.5 10.1).
        transcode::alternatives(syntax).take(2).cloned().collect()
    });
    let mut shares: Vec<Vec<Planned>> = plan.associations.iter().map(|_| Vec::new()).collect();
    for (instance, planned) in described.iter().zip(instances) {
        // Every class has its place.
        if let Some(place) = plan.place(&instance.sop_class) {
            shares[place].push(planned);
        }
    }
    let portion = |(contexts, share)| {
        let instances = Counted::new(Stored::new(server, share), progress);
        Portion { contexts, instances }
    };
    plan.associations.into_iter().zip(shares).map(portion).collect()
}

fn log_refusal(
    service: &'static str,
    destination: Option<&AeTitle>,
    message_id: MessageId,
    refusal: &Refusal,
) {
    tracing::info!(
        message_id = message_id.0,
        destination = destination.map(tracing::field::display),
        status = %refusal.status.digits(),
        comment = refusal.comment(),
        "{service} refused"
    );
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
        status = %report.status.digits(),
        completed = report.sub_operations.completed,
        failed = report.sub_operations.failed,
        warning = report.sub_operations.warning,
        remaining = report.sub_operations.remaining,
        without_context = report.without_context,
        unreadable = report.unreadable,
        bytes = report.bytes,
        outstanding = report.most_outstanding,
        associations = destination.map(|_| report.associations),
        seconds = began.elapsed().as_secs_f64(),
        "{service} answered"
    );
}

/// The instances that an identifier asks for.
async fn plan(
    server: &Server,
    context: &Context,
    identifier: Result<DataSet, DataSetError>,
) -> Result<Vec<Planned>, Refusal> {
    if composite::is_composite(&context.abstract_syntax) {
        return composite::plan(server, &context.abstract_syntax, &identifier::readable(identifier)?).await;
    }
    let query = identifier::retrieve_query(&context.abstract_syntax, identifier)?;
    let archive = server.archive.clone();
    let planned = tokio::task::spawn_blocking(move || archive.plan(&query)).await;
    match planned {
        Ok(Ok(instances)) => Ok(instances.into_iter().map(Planned::Whole).collect()),
        Ok(Err(error)) => Err(cannot_count(&error)),
        Err(error) => Err(super::fault(&error, Status::UNABLE_TO_COUNT_MATCHES)),
    }
}

/// When the index does not say which instances there are, they cannot be counted: PS3.4 Table C.4-2, C.4-3.
pub(super) fn cannot_count(error: &dicomet_archive::Error) -> Refusal {
    let refusal = super::refusal(error);
    match error {
        dicomet_archive::Error::Refused(_) => refusal,
        _ => Refusal::new(Status::UNABLE_TO_COUNT_MATCHES, refusal.comment()),
    }
}

/// What is to be sent.
pub(super) enum Planned {
    /// An instance as it is stored.
    Whole(dicomet_archive::Instance),
    /// One without its bulk data, PS3.4 Annex Z.
    WithoutBulkData(dicomet_archive::Instance),
    /// A new one of some frames, PS3.4 Annex Y.
    Frames {
        /// That of the instance that the frames are from.
        sop_class: Uid,
        /// The new instance.
        extracted: Box<Extracted>,
    },
}

/// The instances of a retrieve, from the archive.
struct Stored {
    archive: Archive,
    converter: Converter,
    instances: std::vec::IntoIter<Planned>,
}

impl Stored {
    fn new(server: &Server, instances: Vec<Planned>) -> Stored {
        let (archive, converter) = (server.archive.clone(), server.converter.clone());
        Stored { archive, converter, instances: instances.into_iter() }
    }
}

impl Instances for Stored {
    type Instance = StoredInstance;

    fn total(&self) -> u64 {
        self.instances.len() as u64
    }

    fn next(&mut self) -> Option<StoredInstance> {
        let planned = self.instances.next()?;
        let (archive, converter) = (self.archive.clone(), self.converter.clone());
        Some(StoredInstance { archive, converter, planned })
    }
}

/// One of them.
struct StoredInstance {
    archive: Archive,
    converter: Converter,
    planned: Planned,
}

impl Planned {
    fn describe(&self) -> Instance {
        match self {
            Planned::Whole(stored) | Planned::WithoutBulkData(stored) => Instance {
                sop_class: stored.sop_class.clone(),
                sop_instance: stored.sop_instance.clone(),
                transfer_syntax: stored.transfer_syntax.clone(),
            },
            Planned::Frames { sop_class, extracted } => Instance {
                sop_class: sop_class.clone(),
                sop_instance: extracted.sop_instance.clone(),
                transfer_syntax: extracted.data_set.transfer_syntax.clone(),
            },
        }
    }
}

impl Outgoing for StoredInstance {
    type Source = BlobSource;

    fn describe(&self) -> Instance {
        self.planned.describe()
    }

    fn converts(&self, transfer_syntax: &Uid) -> bool {
        match &self.planned {
            Planned::Whole(stored) => is_alternative(&stored.transfer_syntax, transfer_syntax),
            Planned::WithoutBulkData(stored) => {
                transcode::converts_without_bulk_data(&stored.transfer_syntax, transfer_syntax)
            }
            Planned::Frames { extracted, .. } => {
                is_alternative(&extracted.data_set.transfer_syntax, transfer_syntax)
            }
        }
    }

    /// Opens inline: some ten microseconds, and where the digest of up to 1 MiB is looked at, less than a millisecond. A
    /// thread switch for each would cost more.
    async fn open(&self, transfer_syntax: &Uid) -> io::Result<BlobSource> {
        let (stored, whole) = match &self.planned {
            Planned::Whole(stored) => (stored, true),
            Planned::WithoutBulkData(stored) => (stored, false),
            Planned::Frames { extracted, .. } => {
                let made = extracted.data_set.try_clone()?;
                return Ok(BlobSource::Converted(self.converter.convert(made, transfer_syntax).await?));
            }
        };
        let blob = self.archive.open_instance(stored).map_err(io::Error::other)?;
        let length = blob.length();
        if whole && *transfer_syntax == stored.transfer_syntax {
            return Ok(BlobSource::AsStored { blob, remaining: length });
        }
        let stored = proved(blob, &stored.transfer_syntax).await?;
        let pieces = if whole {
            self.converter.convert(stored, transfer_syntax).await?
        } else {
            self.converter.without_bulk_data(stored, transfer_syntax).await?
        };
        Ok(BlobSource::Converted(pieces))
    }
}

/// A data set to be read for something else than to be sent as it is. What is wrong with it is found before.
pub(super) async fn proved(blob: Blob, transfer_syntax: &Uid) -> io::Result<transcode::DataSet> {
    let length = blob.length();
    let stop = Stop::default();
    let _at_end = stop.at_end();
    let proving = tokio::task::spawn_blocking(move || blob.prove(&stop));
    let (file, offset) = proving.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok(transcode::DataSet { file, offset, length, transfer_syntax: transfer_syntax.clone() })
}

fn is_alternative(stored: &Uid, transfer_syntax: &Uid) -> bool {
    transcode::alternatives(stored).any(|other| other == transfer_syntax)
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
