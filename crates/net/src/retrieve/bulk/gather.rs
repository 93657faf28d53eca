//! The finding of a bulk retrieve: lines become studies with their instances, on one association that stays open.
//!
//! What is found is gathered into batches, each of which is then got as one retrieve would get it: its studies share
//! contexts and associations. The next batch is gathered while one is being got, and is taken when that is done.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::query::{Model, Query};
use tokio::sync::watch;
use tokio::time::Instant;

use super::books::{Books, Came};
use super::list::{Line, Lines};
use super::patience::Patience;
use super::report::{BulkEvent, Outcome};
use super::state::Digest;
use crate::retrieve::find::Finder;
use crate::retrieve::inventory::Study;
use crate::retrieve::verify::StudyOutcome;
use crate::retrieve::{Caller, RetrieveError, Stop, is_final, reached};
use crate::{Error, Node};

/// The most studies in a batch.
const MAX_STUDIES: usize = 64;

/// A batch that has so many instances is full. A study is never divided.
const MAX_INSTANCES: usize = 10_000;

/// Who could be getting waits for so many studies, or so long.
const FEW_STUDIES: usize = 16;
const LINGER: Duration = Duration::from_secs(2);

/// Times that a query may cost the association before it is given up. One may be lost because it was idle for long.
const MAX_LOSSES: u32 = 3;

/// A study to get, for a line.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) line: u64,
    pub(super) study: Study,
    /// What became of it when it was last got, if it was.
    pub(super) outcome: Option<StudyOutcome>,
    /// What came of it so far.
    pub(super) came: Came,
}

/// Studies that are got together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    instances: usize,
    /// Times that the peer was lost without anything having come.
    pub(super) barren: u32,
}

impl Batch {
    pub(super) fn of(items: Vec<Item>) -> Batch {
        let mut batch = Batch::default();
        items.into_iter().for_each(|item| batch.push(item));
        batch
    }

    fn push(&mut self, item: Item) {
        self.instances += item.study.series.iter().map(|series| series.instances.len()).sum::<usize>();
        self.items.push(item);
    }

    fn has(&self, study: &Study) -> bool {
        self.items.iter().any(|item| item.study.uid == study.uid)
    }

    /// Whether it is to be got now: it is full, or there is something in it and nothing is being got.
    fn is_enough(&self, idle: Option<Instant>) -> bool {
        let waited = idle.map(|since| since.elapsed());
        self.items.len() >= MAX_STUDIES
            || self.instances >= MAX_INSTANCES
            || waited.is_some_and(|waited| {
                !self.items.is_empty() && (self.items.len() >= FEW_STUDIES || waited >= LINGER)
            })
    }
}

/// Why no more can be found.
pub(super) enum Trouble {
    /// The peer does not let us in, or was away for too long.
    Peer(RetrieveError),
    /// The list.
    List(io::Error),
}

/// A study of a line that is to be looked into.
struct Found {
    line: u64,
    query: Arc<Query>,
    study: Study,
}

/// What is known of how the peer answers by C-FIND.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answers {
    /// Whether it answers no IMAGE level.
    pub(super) no_image_level: bool,
    /// How many studies it answers with at the most.
    pub(super) most: Option<usize>,
}

/// See the module.
pub(super) struct Gatherer<'a> {
    node: &'a Node,
    caller: &'a Caller,
    books: &'a Mutex<Books>,
    again: bool,
    patience: Patience,
    lines: Lines,
    /// The list is through.
    is_through: bool,
    /// A line that is being asked for.
    pending: Option<(Line, Digest)>,
    finder: Option<Finder>,
    /// The model and the round trip of the last one.
    seen: Option<(Model, Option<Duration>)>,
    /// What is known of the peer's answers, from an earlier run or this one.
    answers: Answers,
    found: VecDeque<Found>,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(
        (node, caller): (&'a Node, &'a Caller),
        books: &'a Mutex<Books>,
        (lines, again): (Lines, bool),
        (patience, answers): (Patience, Answers),
    ) -> Gatherer<'a> {
        Gatherer {
            node,
            caller,
            books,
            again,
            patience,
            lines,
            is_through: false,
            pending: None,
            finder: None,
            seen: None,
            answers,
            found: VecDeque::new(),
        }
    }

    fn books(&self) -> MutexGuard<'a, Books> {
        self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether there is nothing more to find.
    pub(super) fn is_through(&self) -> bool {
        self.is_through && self.found.is_empty()
    }

    /// The model that the peer accepted last, and the shortest time in which it answered then.
    pub(super) fn seen(&self, asked: Model) -> (Model, Option<Duration>) {
        let now = self.finder.as_ref().map(|finder| (finder.model, finder.round_trip));
        now.or(self.seen).unwrap_or((asked, None))
    }

    /// What is known of the peer's answers.
    pub(super) fn answers(&self) -> Answers {
        self.answers
    }

    /// Gathers a batch; an empty one when there is nothing more, or when it is to stop. `idle` tells since when nothing
    /// is being got; studies that are `in_work` have to wait.
    pub(super) async fn gather(
        &mut self,
        in_work: &HashSet<Uid>,
        idle: &watch::Receiver<Option<Instant>>,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<Batch, Trouble> {
        let mut batch = Batch::default();
        let mut held_back = Vec::new();
        let mut outcome = Ok(true);
        while outcome.as_ref().is_ok_and(|more| *more) && !batch.is_enough(*idle.borrow()) {
            if self.books().has_error() {
                break;
            }
            // Many lines that are passed over leave the others a moment.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                () = reached(&mut stop, Stop::Cancel) => break,
                step = self.step(&mut batch, in_work, &mut held_back) => outcome = step,
            }
        }
        if *stop.borrow() != Stop::No {
            // A query that was cut leaves answers behind.
            self.abort().await;
        }
        self.found.extend(held_back);
        match outcome {
            Err(trouble) if batch.items.is_empty() => Err(trouble),
            // What was found is got first; trouble comes again by itself.
            _ => Ok(batch),
        }
    }

    /// Looks into the next study, or asks for the next line. Answers whether there is more.
    async fn step(
        &mut self,
        batch: &mut Batch,
        in_work: &HashSet<Uid>,
        held_back: &mut Vec<Found>,
    ) -> Result<bool, Trouble> {
        let Some(found) = self.found.front() else {
            return self.next_line().await;
        };
        if batch.has(&found.study) || in_work.contains(&found.study.uid) {
            held_back.extend(self.found.pop_front());
            return Ok(true);
        }
        let (query, mut study) = (Arc::clone(&found.query), found.study.clone());
        let looked = self.ask(&query, async |finder| finder.look_into(&mut study).await).await?;
        // Only now: what is dropped in the middle is to be looked into again.
        let Some(Found { line, .. }) = self.found.pop_front() else { return Ok(true) };
        match looked {
            Ok(()) if study.is_whole || !study.series.is_empty() => {
                batch.push(Item { line, study, outcome: None, came: Came::default() });
            }
            Ok(()) => self.books().drop_study(line),
            Err(reason) => self.books().settle(line, &study, StudyOutcome::unknown(reason), Came::default()),
        }
        Ok(true)
    }

    /// Asks which studies match the next line that is to be worked off. Answers whether there was a line.
    async fn next_line(&mut self) -> Result<bool, Trouble> {
        if self.pending.is_none() {
            let Some(line) = self.read_line().map_err(Trouble::List)? else { return Ok(false) };
            let digest = Digest::of(self.node, &line.query);
            if !self.books().takes(&line, digest, self.again) {
                return Ok(true);
            }
            self.pending = Some((line, digest));
        }
        let Some(query) = self.pending.as_ref().map(|(line, _)| line.query.clone()) else { return Ok(true) };
        let found = self.ask(&query, async |finder| finder.studies().await).await?;
        let Some((line, digest)) = self.pending.take() else { return Ok(true) };
        let inventory = match found {
            Ok(inventory) => inventory,
            Err(reason) => {
                self.books().close(&line, &digest, Outcome::Failed, Some(reason));
                return Ok(true);
            }
        };
        if inventory.studies.is_empty() && inventory.nameless == 0 && inventory.cut.is_none() {
            self.books().close(&line, &digest, Outcome::Nothing, None);
            return Ok(true);
        }
        let nameless = (inventory.nameless > 0).then(|| {
            let nameless = inventory.nameless;
            format!("{nameless} matching studies have no usable Study Instance UID: nobody can ask for them")
        });
        let cut = inventory.cut.map(|cut| format!("more studies may match than were found: {cut}"));
        let reason = nameless.into_iter().chain(cut).reduce(|one, other| format!("{one}; {other}"));
        let number = line.number;
        self.books().open(line, digest, inventory.studies.len(), reason);
        let (query, studies) = (Arc::new(query), inventory.studies.into_iter());
        self.found.extend(studies.map(|study| Found { line: number, query: Arc::clone(&query), study }));
        Ok(true)
    }

    /// The next line. All are good: they were checked before.
    fn read_line(&mut self) -> io::Result<Option<Line>> {
        for line in self.lines.by_ref() {
            if let Ok(line) = line? {
                return Ok(Some(line));
            }
        }
        self.is_through = true;
        Ok(None)
    }

    /// Asks by C-FIND, and once more on another association where one is lost. Answers what came, or why this query
    /// cannot be answered.
    async fn ask<T>(
        &mut self,
        query: &Query,
        mut ask: impl AsyncFnMut(&mut Finder) -> Result<T, RetrieveError>,
    ) -> Result<Result<T, String>, Trouble> {
        let mut losses = 0;
        loop {
            let finder = self.finder(query).await?;
            let error = match ask(finder).await {
                Ok(answer) => {
                    let Finder { most_answers: most, .. } = *finder;
                    self.answers = Answers { no_image_level: finder.has_no_image_level(), most };
                    return Ok(Ok(answer));
                }
                Err(error) => error,
            };
            if let RetrieveError::Find { .. } = error {
                return Ok(Err(error.to_string()));
            }
            self.abort().await;
            losses += 1;
            if losses >= MAX_LOSSES {
                return Ok(Err(error.to_string()));
            }
        }
    }

    /// An association for a query: the one that is open, or another. A peer that is away is waited for.
    pub(super) async fn finder(&mut self, query: &Query) -> Result<&mut Finder, Trouble> {
        let fits = self.finder.as_mut().is_some_and(|finder| finder.turn_to(query));
        if !fits {
            self.close().await;
            let finder = self.open(query).await?;
            self.seen = Some((finder.model, finder.round_trip));
            return Ok(self.finder.insert(finder));
        }
        // It is there: it fits.
        self.finder.as_mut().ok_or_else(|| Trouble::Peer(Error::ConnectionClosed.into()))
    }

    async fn open(&mut self, query: &Query) -> Result<Finder, Trouble> {
        loop {
            let error = match Finder::open(self.node, self.caller, query).await {
                Ok(mut finder) => {
                    let Answers { no_image_level, most } = self.answers;
                    (finder.knows_no_image_level, finder.most_answers) = (no_image_level, most);
                    if self.patience.reached() {
                        self.books().tell(BulkEvent::Back);
                    }
                    return Ok(finder);
                }
                Err(error) => error,
            };
            let is_for_good = matches!(&error, RetrieveError::Association(error) if is_final(error));
            let again_in = if is_for_good { None } else { self.patience.failed(Instant::now()) };
            let Some(again_in) = again_in else { return Err(Trouble::Peer(error)) };
            self.books().tell(BulkEvent::Away { reason: error.to_string(), again_in });
            tokio::time::sleep(again_in).await;
        }
    }

    /// Releases the association, where one is open.
    pub(super) async fn close(&mut self) {
        if let Some(finder) = self.finder.take() {
            finder.close().await;
        }
    }

    async fn abort(&mut self) {
        if let Some(finder) = self.finder.take() {
            finder.abort().await;
        }
    }
}
