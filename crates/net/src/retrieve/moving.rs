//! Moving: the peer sends studies to a third party, by C-MOVE. What is there is found as for a get; what arrives,
//! only the third party knows, so all that can be told is what the peer counts, held against what C-FIND counted.

use std::time::{Duration, Instant};

use dicomet_proto::association::negotiation::Proposal;
use dicomet_proto::dataset::dictionary::{self, uids};
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{Counters, Status, StatusKind};
use dicomet_proto::query::{Level, Model, Pattern, Query};
use dicomet_proto::{AeTitle, Uid};
use serde::Serialize;
use tokio::sync::watch;

use super::find::{self, Finder};
use super::inventory::Study;
use super::plan::Request;
use super::report::milliseconds;
use super::shared::reached;
use super::{Caller, Method, RetrieveError, Stop};
use crate::service::c_move::scu::{Move, Response};
use crate::{Association, Error, Node, connect};

/// The most UIDs in one IMAGE level request.
const MAX_UIDS: usize = 256;

/// Counters are US: beyond, they say nothing exact.
const MAX_COUNT: u64 = u16::MAX as u64;

/// How long a peer may take between two responses when nothing else is said. Pending responses may be left out
/// (PS3.4 C.4.2.3.1), and then nothing is heard until all has gone, over whatever line the third party has.
pub const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// A move: what the peer is to send, and to whom.
#[derive(Debug)]
pub struct Moving {
    node: Node,
    query: Query,
    destination: AeTitle,
    caller: Caller,
    patience: Duration,
    stop: Option<watch::Receiver<Stop>>,
}

/// The end of a move, in numbers: what the peer counted. Serialises to the one line of `move --format json`.
#[derive(Debug, Default, Serialize)]
pub struct MoveReport {
    /// Studies that C-FIND found; 1 when unique keys made C-FIND needless.
    pub studies: u64,
    /// Instances that C-FIND counted; `None` when it was not asked or did not say.
    pub expected: Option<u64>,
    /// Sub-operations that ended with success.
    pub completed: u64,
    /// Sub-operations that ended with a warning: the instance was stored.
    pub warning: u64,
    /// Sub-operations that failed.
    pub failed: u64,
    /// Sub-operations that were not begun.
    pub remaining: u64,
    /// Requests that the peer ended without failure and without having counted anything: what arrived is not known.
    pub uncounted: u64,
    /// How long it took.
    #[serde(serialize_with = "milliseconds")]
    pub seconds: Duration,
    /// Whether the peer says that all was sent, and as many as C-FIND counted.
    pub complete: bool,
    /// How instances went.
    pub method: Method,
    /// The instances that the peer named as failed.
    #[serde(skip)]
    pub failed_instances: Vec<Uid>,
    /// Requests that did not end with success, in words.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// The first status that was no success.
    #[serde(skip)]
    pub status: Option<Status>,
    /// Why the association ended before its work was done.
    #[serde(skip)]
    pub error: Option<Error>,
    /// Whether it was ended by the user.
    #[serde(skip)]
    pub cancelled: bool,
}

/// What happens while a move runs.
#[derive(Debug, Clone, PartialEq)]
pub enum MoveEvent {
    /// It is known what to ask for.
    Planned {
        /// Studies.
        studies: u64,
        /// C-MOVE requests.
        requests: u64,
        /// Instances, where C-FIND counted them.
        expected: Option<u64>,
    },
    /// How far it is, over all requests, as the peer counts.
    Counters(Counters),
    /// A request has ended.
    Ended {
        /// Its study, where it has one.
        study: Option<Uid>,
        /// The status.
        status: Status,
        /// The peer's Error Comment.
        comment: Option<String>,
    },
}

/// One C-MOVE-RQ to be.
struct Ask {
    study: Option<Uid>,
    identifier: DataSet,
    expected: Option<u64>,
}

/// What is to be asked for.
struct Asks {
    model: Model,
    studies: u64,
    asks: Vec<Ask>,
    /// Why there may be studies that match beyond these, if there may.
    cut: Option<String>,
}

impl Moving {
    /// Has the peer send all that matches the query's keys, of whatever level, to the node that it knows by an AE
    /// title.
    pub fn new(node: Node, query: Query, destination: AeTitle) -> Moving {
        let caller = Caller::default();
        Moving { node, query, destination, caller, patience: PATIENCE, stop: None }
    }

    /// Who calls.
    #[must_use]
    pub fn caller(self, caller: Caller) -> Moving {
        Moving { caller, ..self }
    }

    /// How long the peer may take between two responses; [`PATIENCE`] otherwise.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Moving {
        Moving { patience, ..self }
    }

    /// With a way to end it early.
    #[must_use]
    pub fn stop_by(self, stop: watch::Receiver<Stop>) -> Moving {
        Moving { stop: Some(stop), ..self }
    }

    /// Finds, where the keys are not unique keys already, and moves; tells what happens as it happens.
    ///
    /// # Errors
    /// [`RetrieveError`] when nothing could be done. What could be done in part has a report that says so.
    pub async fn run(self, mut tell: impl FnMut(&MoveEvent)) -> Result<MoveReport, RetrieveError> {
        let begin = Instant::now();
        let mut stop = self.stop.clone().unwrap_or_else(|| watch::channel(Stop::No).1);
        let found = tokio::select! {
            found = self.asks() => Some(found?),
            () = reached(&mut stop, Stop::Cancel) => None,
        };
        let Some(Asks { model, studies, asks, cut }) = found else {
            return Ok(MoveReport { cancelled: true, method: Method::Move, ..MoveReport::default() });
        };
        let expected = asks.iter().map(|ask| ask.expected).sum::<Option<u64>>();
        let notes =
            cut.map(|cut| format!("more studies may match than were found: {cut}")).into_iter().collect();
        let report = MoveReport { studies, expected, method: Method::Move, notes, ..MoveReport::default() };
        tell(&MoveEvent::Planned { studies, requests: asks.len() as u64, expected });
        let mut work = Work { report, patience: self.patience, stop, tell: &mut tell };
        if !asks.is_empty() {
            self.ask(model, asks, &mut work).await?;
        }
        let Work { mut report, stop, .. } = work;
        report.cancelled = *stop.borrow() != Stop::No;
        report.seconds = begin.elapsed();
        report.judge();
        Ok(report)
    }

    /// What to ask for: as it was written, when that is unique keys, and else what C-FIND finds.
    async fn asks(&self) -> Result<Asks, RetrieveError> {
        if let Some(query) = unique(&self.query) {
            let study = query.keys.uid(Level::Study.unique_key());
            let identifier = query.retrieve_identifier();
            let asks = vec![Ask { study, identifier, expected: None }];
            return Ok(Asks { model: query.model, studies: 1, asks, cut: None });
        }
        let mut finder = Finder::open(&self.node, &self.caller, &self.query).await?;
        match self.found(&mut finder).await {
            Ok(asks) => {
                finder.close().await;
                Ok(asks)
            }
            Err(error) => {
                finder.abort().await;
                Err(error)
            }
        }
    }

    async fn found(&self, finder: &mut Finder) -> Result<Asks, RetrieveError> {
        let inventory = finder.studies().await?;
        let mut found = Asks { model: finder.model, studies: 0, asks: Vec::new(), cut: inventory.cut };
        for mut study in inventory.studies {
            if !study.is_whole || is_beyond_counting(study.counted) {
                finder.look_into(&mut study).await?;
            }
            let before = found.asks.len();
            found.asks.extend(requests(&study).into_iter().map(|(request, expected)| Ask {
                study: Some(study.uid.clone()),
                identifier: find::identifier(finder.model, &request, &study),
                expected,
            }));
            found.studies += u64::from(found.asks.len() > before);
        }
        Ok(found)
    }

    /// Asks for one after the other, on one association.
    async fn ask(
        &self,
        model: Model,
        asks: Vec<Ask>,
        work: &mut Work<'_, impl FnMut(&MoveEvent)>,
    ) -> Result<(), RetrieveError> {
        let sop_class = sop_class(model)?;
        let mut association = open(&self.node, &self.caller, model).await?;
        for ask in &asks {
            if *work.stop.borrow() != Stop::No {
                break;
            }
            match work.ask(&mut association, &sop_class, &self.destination, ask).await {
                // Every other request would end like this.
                Ok(status) if status == Some(Status::MOVE_DESTINATION_UNKNOWN) => break,
                Ok(_) => {}
                Err(error) => {
                    work.report.error = Some(error);
                    break;
                }
            }
        }
        if work.report.error.is_some() || *work.stop.borrow() == Stop::Abort {
            association.abort().await;
        } else if let Err(error) = association.release().await {
            tracing::debug!("releasing after C-MOVE: {error}");
        }
        Ok(())
    }
}

/// The SOP class of C-MOVE in a model.
///
/// # Errors
/// [`Error::NoPresentationContext`] when the model has none.
pub(super) fn sop_class(model: Model) -> Result<Uid, Error> {
    model.move_sop_class().ok_or_else(|| Error::NoPresentationContext { what: "C-MOVE".to_owned() })
}

/// Opens an association for C-MOVE.
///
/// # Errors
/// [`Error`].
pub(super) async fn open(node: &Node, caller: &Caller, model: Model) -> Result<Association, Error> {
    let sop_class = sop_class(model)?;
    // Implicit VR first: a Failed SOP Instance UID List of more than 64 KiB fits no explicit UI element.
    let both = vec![uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN];
    let proposal =
        Proposal::new(caller.ae_title.clone(), node.ae_title.clone(), vec![(sop_class.clone(), both)]);
    let association = connect::connect(node, proposal, &caller.timeouts).await?;
    if association.context_of(&sop_class).is_none() {
        association.abort().await;
        let what = dictionary::uid_name(&sop_class).unwrap_or("C-MOVE").to_owned();
        return Err(Error::NoPresentationContext { what });
    }
    Ok(association)
}

/// A move under way.
struct Work<'t, T> {
    report: MoveReport,
    patience: Duration,
    stop: watch::Receiver<Stop>,
    tell: &'t mut T,
}

impl<T: FnMut(&MoveEvent)> Work<'_, T> {
    /// Does one C-MOVE; answers its final status, or none when the user aborted it.
    async fn ask(
        &mut self,
        association: &mut Association,
        sop_class: &Uid,
        destination: &AeTitle,
        ask: &Ask,
    ) -> Result<Option<Status>, Error> {
        let mut moving = Move::start(association, sop_class, destination, &ask.identifier).await?;
        let mut cancelled = false;
        let mut pending = Counters::default();
        loop {
            let awaited = if cancelled { Stop::Abort } else { Stop::Cancel };
            let response = tokio::select! {
                biased;
                () = reached(&mut self.stop, awaited) => {
                    if *self.stop.borrow() == Stop::Abort {
                        let stopped = tally(&pending, &pending, StatusKind::Cancel);
                        self.report.add(&stopped.unwrap_or_default());
                        return Ok(None);
                    }
                    cancelled = true;
                    moving.cancel().await?;
                    continue;
                }
                response = moving.next_within(self.patience) => response?,
            };
            let Some(response) = response else { return Ok(None) };
            if response.command.status.is_pending() {
                pending = response.command.counters;
                self.tell_counters(&pending);
            } else {
                return Ok(Some(self.end(ask, &pending, response)));
            }
        }
    }

    fn tell_counters(&mut self, now: &Counters) {
        let saturated = |before: u64, now| Some(u16::try_from(before + count(now)).unwrap_or(u16::MAX));
        let counters = Counters {
            remaining: now.remaining,
            completed: saturated(self.report.completed, now.completed),
            failed: saturated(self.report.failed, now.failed),
            warning: saturated(self.report.warning, now.warning),
        };
        (self.tell)(&MoveEvent::Counters(counters));
    }

    /// Draws the conclusions from a final response.
    fn end(&mut self, ask: &Ask, pending: &Counters, response: Response) -> Status {
        let Response { command, failed } = response;
        let status = command.status;
        let counted = tally(&command.counters, pending, status.kind());
        match &counted {
            Some(tally) => self.report.add(tally),
            // A failure says for itself that nothing was done.
            None => self.report.uncounted += u64::from(status.kind() != StatusKind::Failure),
        }
        self.report.failed_instances.extend(failed);
        let of = ask.study.as_ref().map_or_else(String::new, |study| format!("study {study}: "));
        if status.kind() != StatusKind::Success {
            self.report.status.get_or_insert(status);
            let comment = command.error_comment.as_ref().map(|comment| format!(": {comment}"));
            self.report
                .notes
                .push(format!("{of}the peer ended with {status}{}", comment.unwrap_or_default()));
        } else {
            let doubt = counted.map_or_else(|| Some(UNCOUNTED.to_owned()), |tally| tally.doubt(ask.expected));
            self.report.notes.extend(doubt.map(|doubt| format!("{of}{doubt}")));
        }
        let comment = command.error_comment;
        (self.tell)(&MoveEvent::Ended { study: ask.study.clone(), status, comment });
        status
    }
}

/// Why a success without counters proves nothing.
const UNCOUNTED: &str = "the peer calls it success and counts nothing, so what arrived is not known";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    completed: u64,
    warning: u64,
    failed: u64,
    remaining: u64,
}

impl MoveReport {
    fn add(&mut self, tally: &Tally) {
        self.completed += tally.completed;
        self.warning += tally.warning;
        self.failed += tally.failed;
        self.remaining += tally.remaining;
    }

    fn judge(&mut self) {
        let is_something = self.completed + self.warning > 0;
        let is_all = self.failed + self.remaining == 0 && self.failed_instances.is_empty();
        self.complete =
            is_something && is_all && self.notes.is_empty() && self.error.is_none() && !self.cancelled;
    }
}

impl Tally {
    /// Why what the peer calls success is none, or cannot be told to be one.
    fn doubt(&self, expected: Option<u64>) -> Option<String> {
        let sent = self.completed + self.warning;
        if self.failed + self.remaining > 0 {
            let Tally { failed, remaining, .. } = self;
            return Some(format!(
                "the peer calls it success and counts {failed} failed and {remaining} remaining"
            ));
        }
        if is_beyond_counting(expected) || sent >= MAX_COUNT {
            return Some(format!(
                "counters end at {MAX_COUNT}, so that nobody can tell whether all was sent; ask for it by series"
            ));
        }
        let expected = expected.filter(|expected| sent < *expected)?;
        Some(format!("the peer sent {sent} of {expected} and calls that success"))
    }
}

/// Whether one request for so many could not be counted.
fn is_beyond_counting(count: Option<u64>) -> bool {
    count.is_some_and(|count| count >= MAX_COUNT)
}

/// What came of a request, as the peer counts. It may leave the counters out of its final response (PS3.4 C.4.2.1):
/// then those of the last Pending hold, and a success has done all of them. None when it counted nothing at all; what
/// C-FIND counted says only what there was to send.
fn tally(last: &Counters, pending: &Counters, end: StatusKind) -> Option<Tally> {
    let has_counts = |counters: &&Counters| counters.completed.is_some() || counters.failed.is_some();
    let from = [last, pending].into_iter().find(has_counts)?;
    let mut tally = Tally {
        completed: count(from.completed),
        warning: count(from.warning),
        failed: count(from.failed),
        remaining: count(from.remaining),
    };
    if !has_counts(&last) && end == StatusKind::Success {
        tally.completed += std::mem::take(&mut tally.remaining);
    }
    Some(tally)
}

fn count(counter: Option<u16>) -> u64 {
    counter.map_or(0, u64::from)
}

/// The query at the level of its lowest unique key, when it has unique keys and nothing else, down from the root of
/// its model: then C-FIND is not needed.
fn unique(query: &Query) -> Option<Query> {
    let has_value = |tag: Tag| query.keys.text(tag).is_some_and(|text| !text.is_empty());
    let levels = query.model.levels();
    let given: Vec<Level> =
        levels.iter().copied().take_while(|level| has_value(level.unique_key())).collect();
    let lowest = *given.last()?;
    let is_unique_key = |tag: Tag| given.iter().any(|level| level.unique_key() == tag);
    if query.keys.tags().any(|tag| has_value(tag) && !is_unique_key(tag)) {
        return None;
    }
    let is_single = |level: &Level| {
        let values = query.keys.texts(level.unique_key());
        let may_be_list = *level == lowest && *level != Level::Patient;
        (values.len() == 1 || may_be_list) && !values.iter().any(|value| Pattern::has_wildcard(value))
    };
    given.iter().all(is_single).then(|| Query { level: lowest, ..query.clone() })
}

/// The requests for a study, each with the number of instances that C-FIND counted: none for more than can be counted,
/// where what is in the study is known.
fn requests(study: &Study) -> Vec<(Request, Option<u64>)> {
    let request = |level, series: Option<&Uid>, instances: &[Uid]| Request {
        level,
        study: 0,
        series: series.cloned(),
        instances: instances.to_vec(),
    };
    if study.is_whole && (!is_beyond_counting(study.counted) || study.series.is_empty()) {
        return vec![(request(Level::Study, None, &[]), study.counted)];
    }
    let mut requests = Vec::new();
    for series in &study.series {
        let uids: Vec<Uid> = series.instances.iter().map(|instance| instance.uid.clone()).collect();
        let expected = series.counted.max((!uids.is_empty()).then_some(uids.len() as u64));
        if series.is_whole && (!is_beyond_counting(expected) || uids.is_empty()) {
            requests.push((request(Level::Series, Some(&series.uid), &[]), expected));
        } else {
            let chunks = uids.chunks(MAX_UIDS);
            requests.extend(
                chunks.map(|uids| (request(Level::Image, Some(&series.uid), uids), Some(uids.len() as u64))),
            );
        }
    }
    requests
}

#[cfg(test)]
mod tests;
