//! Looking into the studies that match, one after the other, while those that are known already are being got. What is
//! known and not yet taken is bounded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dicomet_proto::query::Query;
use tokio::sync::{mpsc, oneshot};

use super::Caller;
use super::find::Finder;
use super::inventory::Study;
use super::report::Event;
use super::shared::Shared;

/// Studies that are looked into ahead of the getting.
const AHEAD: usize = 32;

/// The studies as they become known.
pub(super) struct Found {
    pub(super) studies: mpsc::Receiver<Study>,
    /// How many will come at the most.
    pub(super) most: usize,
    /// Ends when what the workers share is in nobody's hands here any more.
    let_go: oneshot::Receiver<()>,
}

impl Found {
    /// Looks into no more studies. Afterwards, whoever begins anew finds the folder free.
    pub(super) async fn end(self) {
        drop(self.studies);
        // It is dropped, nothing is sent.
        let _ = self.let_go.await;
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
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (holding, let_go) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let nobody_waits = sender.clone();
        let mut looking = Looking { finder, query, caller, shared, is_lost: false };
        let is_done = tokio::select! {
            () = looking.all(studies, sender) => true,
            () = nobody_waits.closed() => false,
        };
        // The getting ends without waiting for the release.
        drop(nobody_waits);
        let Looking { finder, shared, .. } = looking;
        drop(shared);
        drop(holding);
        match is_done {
            true => finder.close().await,
            false => finder.abort().await,
        }
    });
    Found { studies: receiver, most, let_go }
}

struct Looking {
    finder: Finder,
    query: Query,
    caller: Caller,
    shared: Arc<Shared>,
    /// No association for C-FIND is to be had any more.
    is_lost: bool,
}

impl Looking {
    async fn all(&mut self, studies: Vec<Study>, found: mpsc::Sender<Study>) {
        let (mut known, mut instances) = (0, 0);
        for mut study in studies {
            self.one(&mut study).await;
            if let Some(round_trip) = self.finder.round_trip {
                self.shared.note_round_trip(round_trip);
            }
            if self.finder.has_no_image_level() {
                self.shared.meter.has_no_image_level.store(true, Ordering::Relaxed);
            }
            known += 1;
            instances += study.series.iter().map(|series| series.instances.len() as u64).sum::<u64>();
            self.shared.tell(Event::Found { studies: known, instances });
            if found.send(study).await.is_err() {
                return;
            }
        }
    }

    /// A study that cannot be looked into any more is handed on as it is, with nothing named: it is asked for, and
    /// never called complete.
    async fn one(&mut self, study: &mut Study) {
        for _ in 0..2 {
            if self.is_lost {
                return;
            }
            let Err(error) = self.finder.look_into(study).await else { return };
            tracing::debug!("looking into a study: {error}");
            study.series.clear();
            study.is_named = false;
            match Finder::open(&self.shared.node, &self.caller, &self.query).await {
                Ok(finder) => self.finder = finder,
                Err(error) => {
                    tracing::warn!("the rest cannot be looked into: {error}");
                    self.is_lost = true;
                }
            }
        }
        self.is_lost = true;
    }
}
