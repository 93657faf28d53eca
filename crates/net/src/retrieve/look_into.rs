//! Looking into the studies that match, one after the other, while those that are known already are being got. What is
//! known and not yet taken is bounded.
//!
//! A study of which nothing is in the folder is told of as soon as its series are listed, so that it can be got while its
//! instances are being named: `Begun`, `Series` for each series, `Named`. Any other is told of when it is known to the last
//! instance, with what of it is in the folder: `Known`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dicomet_proto::Uid;
use dicomet_proto::query::Query;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::find::Finder;
use super::folder::Folder;
use super::inventory::{Series, Study};
use super::report::Event;
use super::shared::Shared;
use super::verify::Present;
use super::{Caller, RetrieveError, plan};

/// Studies, or series of one that is being named, that are looked into ahead of the getting.
const AHEAD: usize = 32;

/// Studies in a row at which the association was lost although another one could be opened: it is not the studies.
const MAX_IN_A_ROW: u32 = 4;

/// What becomes known of the studies, in their order.
pub(super) enum Finding {
    /// A study, and what of it is in the folder.
    Known(Study, Present),
    /// A study of which nothing is in the folder, and whose instances follow.
    Begun(Study),
    /// A series of the study that was begun.
    Series(Series),
    /// That was the study; whether all its instances were named.
    Named(bool),
}

/// The studies as they become known.
pub(super) struct Found {
    pub(super) findings: mpsc::Receiver<Finding>,
    /// How many studies will come at the most.
    pub(super) most: usize,
    /// Ends when what the workers share is in nobody's hands here any more.
    let_go: oneshot::Receiver<()>,
    /// Ends when the association is released.
    released: oneshot::Receiver<()>,
}

impl Found {
    /// Looks into no more studies. Afterwards, whoever begins anew finds the folder free.
    pub(super) async fn end(self) {
        drop(self.findings);
        // It is dropped, nothing is sent.
        let _ = self.let_go.await;
    }

    /// Waits until the peer has got the association back, all studies having been taken.
    pub(super) async fn released(&mut self) {
        let _ = (&mut self.released).await;
    }
}

/// Looks into studies on the association of their C-FIND, beside whatever the caller does.
pub(super) fn look_into(
    finder: Finder,
    studies: Vec<Study>,
    query: Query,
    caller: Caller,
    shared: Arc<Shared>,
) -> Found {
    let most = studies.len();
    let (sender, findings) = mpsc::channel(AHEAD);
    let (holding, let_go) = oneshot::channel();
    let held = Held { shared, _holding: Arc::new(holding) };
    let (open, released) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let nobody_waits = sender.clone();
        let mut looking = Looking { finder, query, caller, held, in_a_row: 0, is_lost: false };
        let is_done = tokio::select! {
            () = looking.all(studies, sender) => true,
            () = nobody_waits.closed() => false,
        };
        // The getting ends without waiting for the release.
        drop(nobody_waits);
        let Looking { finder, held, .. } = looking;
        drop(held);
        match is_done {
            true => finder.close().await,
            false => finder.abort().await,
        }
        drop(open);
    });
    Found { findings, most, let_go, released }
}

/// What the workers share, in hands here, or in those of a thread that looks through the folder.
#[derive(Clone)]
struct Held {
    shared: Arc<Shared>,
    /// Dropped after it.
    _holding: Arc<oneshot::Sender<()>>,
}

impl Held {
    /// A closure that takes the folder by this holds all of it.
    fn folder(&self) -> &Folder {
        &self.shared.folder
    }
}

struct Looking {
    finder: Finder,
    query: Query,
    caller: Caller,
    held: Held,
    /// Studies in a row that could not be looked into.
    in_a_row: u32,
    /// No association for C-FIND is to be had any more.
    is_lost: bool,
}

/// Nobody takes what is found any more.
struct Unwanted;

/// The study that is being looked into.
struct Current {
    study: Study,
    /// The series that were named by an association that was lost.
    named: HashMap<Uid, Series>,
    /// Whether some of them were not named in full.
    lacks: bool,
    /// Whether it was told of.
    is_begun: bool,
}

impl Looking {
    async fn all(&mut self, studies: Vec<Study>, found: mpsc::Sender<Finding>) {
        let (mut known, mut instances) = (0, 0);
        for study in studies {
            let Ok(named) = self.one(study, &found).await else { return };
            if let Some(round_trip) = self.finder.round_trip {
                self.held.shared.note_round_trip(round_trip);
            }
            if self.finder.has_no_image_level() {
                self.held.shared.meter.has_no_image_level.store(true, Ordering::Relaxed);
            }
            known += 1;
            instances += named;
            self.held.shared.tell(Event::Found { studies: known, instances });
        }
    }

    /// Looks into a study and tells of it. One that cannot be looked into is handed on as it is, with what is named of it: it
    /// is asked for, and never called complete. Answers how many instances are named.
    async fn one(&mut self, study: Study, found: &mpsc::Sender<Finding>) -> Result<u64, Unwanted> {
        let mut current = Current { study, named: HashMap::new(), lacks: false, is_begun: false };
        let mut is_done = false;
        for _ in 0..2 {
            if self.is_lost || is_done {
                break;
            }
            match self.attempt(&mut current, found).await? {
                Ok(()) => is_done = true,
                Err(error) => self.open_again(&error).await,
            }
        }
        self.in_a_row = if is_done { 0 } else { self.in_a_row + 1 };
        self.is_lost |= self.in_a_row >= MAX_IN_A_ROW;
        if !is_done {
            current.study.is_named = false;
        }
        self.end(current, found).await
    }

    async fn open_again(&mut self, error: &RetrieveError) {
        tracing::debug!("looking into a study: {error}");
        match Finder::open(&self.held.shared.node, &self.caller, &self.query).await {
            Ok(mut finder) => {
                finder.knows_no_image_level = self.finder.knows_no_image_level;
                self.finder = finder;
            }
            Err(error) => {
                tracing::warn!("the rest cannot be looked into: {error}");
                self.is_lost = true;
            }
        }
    }

    /// Goes through the series that are not named yet.
    async fn attempt(
        &mut self,
        current: &mut Current,
        found: &mpsc::Sender<Finding>,
    ) -> Result<Result<(), RetrieveError>, Unwanted> {
        let listed = match self.finder.list_series(&mut current.study).await {
            Ok(listed) => listed,
            Err(error) => return Ok(Err(error)),
        };
        if !current.is_begun && !listed.is_empty() && self.may_begin(&current.study).await {
            current.is_begun = true;
            send(found, Finding::Begun(current.study.clone())).await?;
        }
        for series in listed {
            if let Some(named) = current.named.remove(&series.uid) {
                current.study.series.push(named);
                continue;
            }
            let series = match self.finder.name(&mut current.study, series).await {
                Ok(series) => series,
                Err(error) => {
                    current.lacks |= !current.study.is_named;
                    let named = std::mem::take(&mut current.study.series).into_iter();
                    current.named.extend(named.map(|series| (series.uid.clone(), series)));
                    return Ok(Err(error));
                }
            };
            current.study.series.push(series.clone());
            if current.is_begun {
                send(found, Finding::Series(series)).await?;
            }
        }
        current.study.is_named &= !current.lacks;
        Ok(Ok(()))
    }

    /// Whether a study may be got while its instances are being named: all of it is to be got, so that nothing that comes was
    /// not asked for, and the contexts are known that it needs.
    async fn may_begin(&mut self, study: &Study) -> bool {
        if !study.is_whole || self.finder.has_no_image_level() || !plan::is_known_before(study) {
            return false;
        }
        let (held, study) = (self.held.clone(), study.clone());
        spawn_blocking(move || {
            let folder = held.folder();
            let is_new = folder.has_nothing_of(&study);
            if is_new {
                folder.note_expected(&study);
            }
            is_new
        })
        .await
        .unwrap_or(false)
    }

    /// Tells that a study is known, as far as it is.
    async fn end(&mut self, current: Current, found: &mpsc::Sender<Finding>) -> Result<u64, Unwanted> {
        let Current { mut study, named, is_begun, .. } = current;
        study.series.extend(named.into_values());
        self.finder.end_study(&mut study);
        let instances = study.series.iter().map(|series| series.instances.len() as u64).sum();
        let held = self.held.clone();
        let is_named = study.is_named;
        let looked = spawn_blocking(move || {
            let folder = held.folder();
            if is_begun {
                folder.note_expected(&study);
                return Finding::Named(is_named);
            }
            let here = folder.expect(&study);
            Finding::Known(study, here)
        });
        match looked.await {
            Ok(finding) => send(found, finding).await.map(|()| instances),
            // It ends with the run time alone, or by a fault of ours.
            Err(error) => {
                tracing::error!("looking through the folder: {error}");
                Err(Unwanted)
            }
        }
    }
}

async fn send(found: &mpsc::Sender<Finding>, finding: Finding) -> Result<(), Unwanted> {
    found.send(finding).await.map_err(|_| Unwanted)
}
