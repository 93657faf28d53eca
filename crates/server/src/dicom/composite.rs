//! Instance and frame level retrieve, PS3.4 Annex Y, and retrieve without bulk data, Annex Z: by SOP Instance UID alone,
//! and of a multi-frame image some frames, as a new instance.

use std::io;

use dicomet_net::transcode::{ExtractError, FrameList};
use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::uids::{
    COMPOSITE_INSTANCE_ROOT_GET as ROOT_GET, COMPOSITE_INSTANCE_ROOT_MOVE as ROOT_MOVE, WITHOUT_BULK_DATA_GET,
};
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::{Level, Model, Query};

use super::retrieve::{Planned, cannot_count, proved};
use crate::Server;
use crate::nodes::Operation;

const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
const SIMPLE_FRAME_LIST: Tag = Tag(0x0008, 0x1161);
const CALCULATED_FRAME_LIST: Tag = Tag(0x0008, 0x1162);
const TIME_RANGE: Tag = Tag(0x0008, 0x1163);

/// Whether a SOP class is one of these services.
pub(super) fn is_composite(sop_class: &Uid) -> bool {
    [ROOT_MOVE, ROOT_GET, WITHOUT_BULK_DATA_GET].contains(sop_class)
}

/// What one of these services asks to be allowed; `None` for any other SOP class.
pub(super) fn operation(sop_class: &Uid) -> Option<Operation> {
    let operation = if *sop_class == ROOT_MOVE { Operation::Move } else { Operation::Get };
    is_composite(sop_class).then_some(operation)
}

/// What is asked for by an identifier of PS3.4 Y.4.1.3, Z.4.1.3.
#[derive(Debug, PartialEq)]
struct Request {
    instances: Vec<Uid>,
    frames: Option<FrameList>,
}

/// What an identifier asks for, ready to be sent.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub(super) async fn plan(
    server: &Server,
    sop_class: &Uid,
    identifier: &DataSet,
) -> Result<Vec<Planned>, Refusal> {
    let request = read(sop_class, identifier)?;
    let mut keys = DataSet::new();
    keys.set_uids(SOP_INSTANCE_UID, &request.instances);
    let query = Query { keys, ..Query::new(Model::StudyRoot, Level::Image) };
    let archive = server.archive.clone();
    let planned = tokio::task::spawn_blocking(move || archive.plan(&query)).await;
    let instances = match planned {
        Ok(Ok(instances)) => instances,
        Ok(Err(error)) => return Err(cannot_count(&error)),
        Err(error) => return Err(super::fault(&error, Status::UNABLE_TO_COUNT_MATCHES)),
    };
    match request.frames {
        Some(frames) => extract(server, instances, frames).await,
        None if *sop_class == WITHOUT_BULK_DATA_GET => {
            Ok(instances.into_iter().map(Planned::WithoutBulkData).collect())
        }
        None => Ok(instances.into_iter().map(Planned::Whole).collect()),
    }
}

fn read(sop_class: &Uid, identifier: &DataSet) -> Result<Request, Refusal> {
    let mismatch = |comment| Refusal::new(Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment);
    let instances = identifier.uids(SOP_INSTANCE_UID);
    if instances.is_empty() {
        return Err(mismatch("no SOP Instance UID"));
    }
    let frames = match identifier.text(QUERY_RETRIEVE_LEVEL).as_deref() {
        Some("IMAGE") => None,
        Some("FRAME") if *sop_class != WITHOUT_BULK_DATA_GET && instances.len() == 1 => {
            Some(frame_list(identifier).ok_or_else(|| refused(&ExtractError::Invalid))?)
        }
        _ => return Err(mismatch("the level is not one of this SOP class")),
    };
    Ok(Request { instances, frames })
}

/// The one frame range key of an identifier, PS3.4 Y.3.2; what it says is checked when frames are taken.
fn frame_list(identifier: &DataSet) -> Option<FrameList> {
    let numbers = |tag| {
        let bytes = identifier.bytes(tag)?;
        let numbers = bytes.chunks_exact(4);
        Some(numbers.map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect::<Vec<_>>())
    };
    let keys = [SIMPLE_FRAME_LIST, CALCULATED_FRAME_LIST, TIME_RANGE];
    let mut present = keys.into_iter().filter(|key| identifier.contains(*key));
    match (present.next()?, present.next()) {
        (SIMPLE_FRAME_LIST, None) => numbers(SIMPLE_FRAME_LIST).map(FrameList::Simple),
        (CALCULATED_FRAME_LIST, None) => {
            let numbers = numbers(CALCULATED_FRAME_LIST)?;
            let ranges = numbers.chunks_exact(3);
            let whole = ranges.remainder().is_empty();
            whole.then(|| FrameList::Calculated(ranges.map(|range| [range[0], range[1], range[2]]).collect()))
        }
        (TIME_RANGE, None) => {
            let bytes = identifier.bytes(TIME_RANGE)?;
            let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(f64::from_le_bytes);
            Some(FrameList::Time([number(0)?, number(8)?]))
        }
        _ => None,
    }
}

async fn extract(
    server: &Server,
    mut instances: Vec<dicomet_archive::Instance>,
    frames: FrameList,
) -> Result<Vec<Planned>, Refusal> {
    let Some(instance) = instances.pop() else { return Ok(Vec::new()) };
    let unreadable = |error| refused(&ExtractError::Unreadable(error));
    let blob = server.archive.open_instance(&instance).map_err(io::Error::other).map_err(unreadable)?;
    let stored = proved(blob, &instance.transfer_syntax).await.map_err(unreadable)?;
    let extracted = server.converter.extract(stored, frames).await.map_err(|error| refused(&error))?;
    Ok(vec![Planned::Frames { sop_class: instance.sop_class, extracted: Box::new(extracted) }])
}

/// PS3.4 Table Y.4-1.
fn refused(error: &ExtractError) -> Refusal {
    let (code, comment) = match error {
        ExtractError::NoneFound => (0xAA00, "none of the frames is in the instance"),
        ExtractError::NoFrames => (0xAA01, "the instance has no frames to extract"),
        ExtractError::Unreadable(error) => {
            tracing::error!(%error, "frames cannot be extracted");
            (0xAA02, "the frames cannot be extracted")
        }
        ExtractError::NotTimeBased => (0xAA03, "the instance is not based on time"),
        ExtractError::Invalid => (0xAA04, "the frame list is not valid"),
    };
    Refusal::new(Status::new(code), comment)
}
