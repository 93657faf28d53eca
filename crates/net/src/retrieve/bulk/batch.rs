//! Getting a batch: its studies go through the engine together, as those of one retrieve, and each is settled in the
//! books as soon as all of it is here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use dicomet_proto::Uid;
use dicomet_proto::query::{Level, Model, Query};
use tokio::sync::watch;

use super::Bulk;
use super::books::{Books, Came};
use super::gather::{Batch, Item};
use super::report::BulkEvent;
use crate::Error;
use crate::retrieve::Stop;
use crate::retrieve::fetch::Fetch;
use crate::retrieve::folder::Folder;
use crate::retrieve::inventory::Inventory;
use crate::retrieve::passes::End;
use crate::retrieve::report::{Arrival, Event};
use crate::retrieve::shared::Shared;
use crate::retrieve::verify::StudyOutcome;

/// How the getting of a batch ended.
pub(super) enum Ended {
    /// All its studies are settled.
    Done,
    /// It was halted; these are to be gone on with.
    Halted(Batch),
    /// The peer was lost; these are left.
    Lost(Batch, Error),
    /// We can store nothing more.
    CannotStore(String),
}

/// See the module.
pub(super) struct Getter<'a> {
    bulk: &'a Bulk,
    folder: &'a Arc<Folder>,
    books: &'a Mutex<Books>,
}

impl<'a> Getter<'a> {
    pub(super) fn new(bulk: &'a Bulk, folder: &'a Arc<Folder>, books: &'a Mutex<Books>) -> Getter<'a> {
        Getter { bulk, folder, books }
    }

    fn books(&self) -> MutexGuard<'a, Books> {
        self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether the books cannot be kept.
    pub(super) fn has_trouble(&self) -> bool {
        self.books().has_error()
    }

    /// Gets a batch.
    pub(super) async fn get(
        &self,
        mut batch: Batch,
        (model, round_trip): (Model, Option<Duration>),
        halted: &watch::Receiver<Stop>,
    ) -> Ended {
        let studies = batch.items.iter().map(|item| item.study.clone()).collect();
        let inventory = Inventory { studies, ..Inventory::default() };
        let options = self.bulk.options.retrieve.clone();
        let (node, folder) = (self.bulk.node.clone(), Arc::clone(self.folder));
        let any = Query::new(model, Level::Study);
        let found = (model, round_trip, inventory);
        let mut fetch = Fetch::new(node, options, folder, halted.clone(), found, any);
        let mut progress = Progress::new(fetch.shared(), std::mem::take(&mut batch.items));
        self.settle(progress.take_complete());
        self.books().tell(BulkEvent::Getting { studies: progress.studies(), instances: progress.lacking() });
        let end = fetch
            .run(|event| {
                if let Event::Arrived(arrival) = event {
                    self.settle(progress.arrived(arrival));
                }
                self.books().tell(BulkEvent::Retrieve(event.clone()));
            })
            .await;
        self.books().summary.associations += fetch.associations();
        let has_come = progress.has_come;
        let ended = self.end(progress, end, halted);
        match ended {
            Ended::Lost(mut rest, error) => {
                rest.barren = if has_come { 0 } else { batch.barren + 1 };
                Ended::Lost(rest, error)
            }
            other => other,
        }
    }

    fn end(&self, progress: Progress, end: Option<End>, halted: &watch::Receiver<Stop>) -> Ended {
        match end {
            _ if *self.bulk.stop.borrow() != Stop::No => {
                self.settle(progress.rest("cancelled before it came"));
                Ended::Done
            }
            _ if *halted.borrow() != Stop::No => Ended::Halted(Batch::of(progress.rest("not yet"))),
            Some(End::Association(error)) => Ended::Lost(Batch::of(progress.rest(&error.to_string())), error),
            Some(End::CannotStore(reason)) => {
                self.settle(progress.rest(&reason));
                Ended::CannotStore(reason)
            }
            None => {
                self.settle(progress.rest("the peer never sent it and did not say why"));
                Ended::Done
            }
        }
    }

    /// Settles studies as they were when they were last got.
    pub(super) fn settle(&self, items: impl IntoIterator<Item = Item>) {
        let mut books = self.books();
        for item in items {
            if let Some(outcome) = item.outcome {
                books.settle(item.line, &item.study, outcome, item.came);
            }
        }
    }
}

/// How far the studies of a batch are.
struct Progress {
    shared: Arc<Shared>,
    /// By place in the inventory; those that are settled are gone.
    items: Vec<Option<Item>>,
    places: HashMap<Uid, Place>,
    /// When the last instance came, of whatever study.
    last: Instant,
    has_come: bool,
}

struct Place {
    place: usize,
    /// Instances that are to come still, if none comes that was not named.
    lacking: usize,
    /// When it was the study's turn: when the last instance of another had come.
    begin: Option<Instant>,
}

impl Progress {
    fn new(shared: Arc<Shared>, items: Vec<Item>) -> Progress {
        let ledger = shared.ledger();
        let places = items
            .iter()
            .enumerate()
            .map(|(place, item)| {
                let lacking = ledger.missing_in(place, None).count();
                (item.study.uid.clone(), Place { place, lacking, begin: None })
            })
            .collect();
        drop(ledger);
        let items = items.into_iter().map(Some).collect();
        Progress { shared, items, places, last: Instant::now(), has_come: false }
    }

    fn studies(&self) -> u64 {
        self.items.iter().flatten().count() as u64
    }

    fn lacking(&self) -> u64 {
        self.places.values().map(|place| place.lacking as u64).sum()
    }

    /// What was all here before.
    fn take_complete(&mut self) -> Vec<Item> {
        (0..self.items.len()).filter_map(|place| self.take_if_complete(place)).collect()
    }

    fn take_if_complete(&mut self, place: usize) -> Option<Item> {
        let outcome = self.shared.ledger().outcome(place, "");
        if outcome.complete { self.take(place, outcome) } else { None }
    }

    /// Takes an item out, with what became of it. What came when it was got before counts as having come.
    fn take(&mut self, place: usize, mut outcome: StudyOutcome) -> Option<Item> {
        let mut item = self.items[place].take()?;
        let before = item.outcome.take().map_or(0, |before| before.retrieved).min(outcome.present);
        outcome.present -= before;
        outcome.retrieved += before;
        item.outcome = Some(outcome);
        Some(item)
    }

    /// An instance came; answers the study, if that makes it complete.
    fn arrived(&mut self, arrival: &Arrival) -> Option<Item> {
        let now = Instant::now();
        self.has_come = true;
        let last = std::mem::replace(&mut self.last, now);
        let place = self.places.get_mut(&arrival.study)?;
        let begin = *place.begin.get_or_insert(last);
        place.lacking = place.lacking.saturating_sub(1);
        let (place, lacking) = (place.place, place.lacking);
        let item = self.items[place].as_mut()?;
        item.came = Came { bytes: item.came.bytes + arrival.bytes, seconds: now - begin };
        if lacking == 0 { self.take_if_complete(place) } else { None }
    }

    /// What is not settled, as it is now; `otherwise` is the reason for what did not come.
    fn rest(mut self, otherwise: &str) -> Vec<Item> {
        let rest = (0..self.items.len()).filter_map(|place| {
            let outcome = self.shared.ledger().outcome(place, otherwise);
            self.take(place, outcome)
        });
        rest.collect()
    }
}
