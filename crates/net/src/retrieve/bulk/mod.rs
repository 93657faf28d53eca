//! Bulk retrieve: a list of queries, thousands of studies, for as long as it takes.
//!
//! - [`list`]: the list, checked before anything begins, and then read line by line;
//! - `gather`: lines become studies by C-FIND, and studies become batches;
//! - `batch`: a batch is got by the engine, as one retrieve would;
//! - `books`, `state`, [`report`]: what became of each study and line, for people, programs and the next run;
//! - [`hours`], `patience`: when it is at work, and how long a peer may be away.
//!
//! In memory are a batch that is being got and one that is being gathered, the lines they belong to, and a digest of
//! each line of the list.

mod batch;
mod books;
mod gather;
pub mod hours;
pub mod list;
mod patience;
pub mod report;
mod state;

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use dicomet_proto::query::{Level, Model, Query};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::folder::{Folder, FolderError, OURS};
use super::known::Lesson;
use super::{Options, RetrieveError, Stop, is_final, reached};
use crate::{Error, Node};
use batch::{Ended, Getter};
use books::Books;
use gather::{Answers, Batch, Gatherer, Trouble};
use hours::{Clock, Hours, SystemClock};
use list::List;
use patience::Patience;
use report::ReportFile;
use state::State;

pub use report::{BulkEvent, Outcome, Reason, Record, Summary};

/// How long a peer may be away when nothing else is said.
pub const RETRY_FOR: Duration = Duration::from_secs(30 * 60);

/// Times that the peer may be lost over one study without anything having come.
const MAX_BARREN: u32 = 2;

/// How to work off a list.
#[derive(Debug, Clone)]
pub struct BulkOptions {
    /// How to retrieve.
    pub retrieve: Options,
    /// When; `None` is at any time. Outside these hours nothing is asked of the peer; what is being got is cancelled
    /// between two instances, and goes on when they begin again.
    pub between: Option<Hours>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How long a peer that was reached may be away before the run ends.
    pub retry_for: Duration,
    /// Whether to ask for lines anew that an earlier run completed.
    pub again: bool,
    /// Where the report goes; `None` is `.dicomet/report.jsonl` in the folder.
    pub report: Option<PathBuf>,
}

impl Default for BulkOptions {
    fn default() -> BulkOptions {
        BulkOptions {
            retrieve: Options::default(),
            between: None,
            clock: Arc::new(SystemClock),
            retry_for: RETRY_FOR,
            again: false,
            report: None,
        }
    }
}

/// Why a list could not be worked off at all. What could be done in part ends with a [`Summary`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// The peer, before anything was done.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    /// The output folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The report or the state.
    #[error("cannot write to {path}: {source}")]
    Books {
        /// The file, or its folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The list, which was good when it was checked.
    #[error("the list cannot be read: {0}")]
    List(io::Error),
}

/// A list of queries to work off, from a node into a folder.
///
/// Run again, it passes over what is complete and takes up the rest.
#[derive(Debug)]
pub struct Bulk {
    node: Node,
    list: List,
    output: PathBuf,
    options: BulkOptions,
    stop: watch::Receiver<Stop>,
}

impl Bulk {
    /// All that the lines of a list ask for.
    pub fn new(node: Node, list: List, output: impl Into<PathBuf>) -> Bulk {
        let stop = watch::channel(Stop::No).1;
        Bulk { node, list, output: output.into(), options: BulkOptions::default(), stop }
    }

    /// With other options.
    #[must_use]
    pub fn options(self, options: BulkOptions) -> Bulk {
        Bulk { options, ..self }
    }

    /// With a way to end it early.
    #[must_use]
    pub fn stop_by(self, stop: watch::Receiver<Stop>) -> Bulk {
        Bulk { stop, ..self }
    }

    /// Works the list off; tells what happens as it happens.
    ///
    /// # Errors
    /// [`BulkError`] when nothing could be done.
    pub async fn run(self, mut tell: impl FnMut(&BulkEvent)) -> Result<Summary, BulkError> {
        let begin = Instant::now();
        let layout = &self.options.retrieve.layout;
        let folder = Arc::new(Folder::open(&self.output, layout.clone())?);
        let own = self.output.join(OURS);
        let path = self.options.report.clone().unwrap_or_else(|| own.join("report.jsonl"));
        let unwritable = |path: &PathBuf| {
            let path = path.display().to_string();
            move |source| BulkError::Books { path, source }
        };
        let state = State::open(&self.output, layout).map_err(unwritable(&own))?;
        let report = ReportFile::create(&path).map_err(unwritable(&path))?;
        let (events, mut receiver) = mpsc::unbounded_channel();
        tell(&BulkEvent::Begun { lines: self.list.len() });
        let run = Run { books: Mutex::new(Books::new(state, report, events)), folder, bulk: &self };
        let ended = {
            let mut work = std::pin::pin!(run.work_off());
            loop {
                tokio::select! {
                    biased;
                    Some(event) = receiver.recv() => tell(&event),
                    ended = &mut work => break ended,
                }
            }
        };
        while let Ok(event) = receiver.try_recv() {
            tell(&event);
        }
        let mut books = run.books.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let places = match self.options.report {
            Some(_) => format!("{} or {}", own.display(), path.display()),
            None => own.display().to_string(),
        };
        let unkept = books.take_error().map(|source| BulkError::Books { path: places, source });
        let is_kept = unkept.is_none();
        let mut summary = books.summary;
        summary.ended = match ended {
            // What came is here, and told, though it is not noted: the next run looks at it again.
            _ if let Some(error) = unkept => match summary.retrieved + summary.present {
                0 => return Err(error),
                _ => Some(error.to_string()),
            },
            Ok(ended) => ended,
            Err(Trouble::List(error)) if summary.lines == 0 => return Err(BulkError::List(error)),
            Err(Trouble::List(error)) => Some(BulkError::List(error).to_string()),
            Err(Trouble::Peer(error)) if summary.lines == 0 => return Err(error.into()),
            Err(Trouble::Peer(error)) => Some(error.to_string()),
        };
        summary.seconds = begin.elapsed();
        summary.left = self.list.len() - summary.lines;
        summary.complete = is_kept && summary.left + summary.nothing + summary.incomplete == 0;
        Ok(summary)
    }
}

/// A run over a list.
struct Run<'a> {
    bulk: &'a Bulk,
    folder: Arc<Folder>,
    books: Mutex<Books>,
}

impl Run<'_> {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Answers why it ended before the list was through, if it did.
    async fn work_off(&self) -> Result<Option<String>, Trouble> {
        let Bulk { node, list, options, .. } = self.bulk;
        let lines = list.lines().map_err(Trouble::List)?;
        let patience = Patience::new(options.retry_for);
        let asks = (node, &options.retrieve.caller);
        let known = options.retrieve.known.as_ref();
        let habits = known.map(|known| known.habits(node, SystemTime::now())).unwrap_or_default();
        let answers = Answers { no_image_level: habits.has_no_image_level(), most: habits.answers_most() };
        let mut gatherer = Gatherer::new(asks, &self.books, (lines, options.again), (patience, answers));
        let ended = self.periods(&mut gatherer).await;
        if let Some(known) = known {
            known.learn(node, gatherer.answers().lesson(), SystemTime::now());
        }
        ended
    }

    /// Gets and gathers, in the hours there are.
    async fn periods<'s>(&'s self, gatherer: &mut Gatherer<'s>) -> Result<Option<String>, Trouble> {
        let list = &self.bulk.list;
        let getter = Getter::new(self.bulk, &self.folder, &self.books);
        let mut work = Work { gatherer, getter, next: VecDeque::new(), is_alone: false };
        let mut user = self.bulk.stop.clone();
        loop {
            tokio::select! {
                () = self.wait_for_hours() => {}
                () = reached(&mut user, Stop::Cancel) => {}
            }
            if *user.borrow() != Stop::No {
                return Ok(Some("cancelled".to_owned()));
            }
            // One period of work: until the hours end, the user stops it, or all is done.
            let (halt, halted) = watch::channel(Stop::No);
            let ended = tokio::select! {
                ended = work.period(list.base(), &halted) => ended,
                never = self.watch(&halt) => match never {},
            };
            work.gatherer.close().await;
            if ended.as_ref().is_ok_and(Option::is_none) && *halted.borrow() != Stop::No {
                continue;
            }
            return ended;
        }
    }

    async fn wait_for_hours(&self) {
        let BulkOptions { between, clock, .. } = &self.bulk.options;
        let Some(hours) = between else { return };
        let now = clock.now();
        if !hours.is_open(now.time()) {
            self.books().tell(BulkEvent::Waiting { until: hours.next_change(now) });
            hours::wait_until(hours, &**clock, true).await;
        }
    }

    /// Stops a period of work when the user wishes it, or when the hours end.
    async fn watch(&self, halt: &watch::Sender<Stop>) -> std::convert::Infallible {
        let mut user = self.bulk.stop.clone();
        let over = async {
            match &self.bulk.options.between {
                Some(hours) => hours::wait_until(hours, &*self.bulk.options.clock, false).await,
                None => std::future::pending().await,
            }
        };
        let is_over = tokio::select! {
            () = over => true,
            () = reached(&mut user, Stop::Cancel) => false,
        };
        halt.send_replace(Stop::Cancel);
        // Whoever sends the peer to bed does not wait for it all night: one that does not heed C-CANCEL is aborted.
        let grace = self.bulk.options.retrieve.caller.timeouts.progress;
        tokio::select! {
            () = tokio::time::sleep(grace), if is_over => {}
            () = reached(&mut user, Stop::Abort) => {}
        }
        halt.send_replace(Stop::Abort);
        std::future::pending().await
    }
}

impl Answers {
    fn lesson(self) -> Lesson {
        let no_image_level = self.no_image_level.then_some(true);
        Lesson { no_image_level, answers_most: self.most, ..Lesson::default() }
    }
}

/// What a run has in hands.
struct Work<'r, 'a> {
    gatherer: &'r mut Gatherer<'a>,
    getter: Getter<'a>,
    /// What was found and is to be got.
    next: VecDeque<Batch>,
    /// Whether the peer has no association to spare for finding while it is got from.
    is_alone: bool,
}

impl Work<'_, '_> {
    /// Gets batch after batch, and gathers the next meanwhile. What is not done when it is halted stays at hand.
    /// Answers why nothing more can be done, if so.
    async fn period(
        &mut self,
        base: &Query,
        halted: &watch::Receiver<Stop>,
    ) -> Result<Option<String>, Trouble> {
        loop {
            if *halted.borrow() != Stop::No || self.getter.has_trouble() {
                return Ok(None);
            }
            let Some(batch) = self.next.pop_front() else {
                if self.gatherer.is_through() {
                    return Ok(None);
                }
                let idle = watch::channel(Some(Instant::now())).1;
                let batch = self.gatherer.gather(&HashSet::new(), &idle, halted.clone()).await?;
                self.next.extend(Some(batch).filter(|batch| !batch.items.is_empty()));
                continue;
            };
            let (ended, gathered) = self.get_and_gather(batch, base.model, halted).await;
            let over = self.after(ended, base, halted).await?;
            if over.is_some() {
                return Ok(over);
            }
            self.next.extend(Some(gathered?).filter(|batch| !batch.items.is_empty()));
        }
    }

    async fn get_and_gather(
        &mut self,
        batch: Batch,
        model: Model,
        halted: &watch::Receiver<Stop>,
    ) -> (Ended, Result<Batch, Trouble>) {
        let seen = self.gatherer.seen(model);
        if self.is_alone || !self.next.is_empty() {
            if self.is_alone {
                self.gatherer.close().await;
            }
            return (self.getter.get(batch, seen, halted).await, Ok(Batch::default()));
        }
        let in_work = batch.items.iter().map(|item| item.study.uid.clone()).collect();
        let (busy, idle) = watch::channel(None);
        let getting = async {
            let ended = self.getter.get(batch, seen, halted).await;
            busy.send_replace(Some(Instant::now()));
            ended
        };
        tokio::join!(getting, self.gatherer.gather(&in_work, &idle, halted.clone()))
    }

    /// What follows from how a batch ended.
    async fn after(
        &mut self,
        ended: Ended,
        base: &Query,
        halted: &watch::Receiver<Stop>,
    ) -> Result<Option<String>, Trouble> {
        let (rest, error) = match ended {
            Ended::Done => return Ok(None),
            Ended::CannotStore(reason) => return Ok(Some(reason)),
            Ended::Halted(rest) => {
                self.next.push_front(rest);
                return Ok(None);
            }
            Ended::Lost(rest, error) => (rest, error),
        };
        if is_final(&error) {
            self.getter.settle(rest.items);
            return Ok(Some(error.to_string()));
        }
        if matches!(error, Error::Rejected(_)) && !self.is_alone {
            self.is_alone = true;
            self.next.push_front(rest);
            return Ok(None);
        }
        let mut halted = halted.clone();
        let any = Query::new(base.model, Level::Study);
        let reached = tokio::select! {
            () = reached(&mut halted, Stop::Cancel) => None,
            finder = self.gatherer.finder(&any) => Some(finder.map(|_| ())),
        };
        match reached {
            None => self.next.push_front(rest),
            Some(Err(trouble)) => {
                self.getter.settle(rest.items);
                return Err(trouble);
            }
            // It is there, so something else is the matter: a study that it cannot send is found by asking for each
            // by itself.
            Some(Ok(())) if rest.barren > 0 && rest.items.len() > 1 => {
                let singles = rest.items.into_iter().rev().map(|item| Batch::of(vec![item]));
                singles.for_each(|single| self.next.push_front(single));
            }
            Some(Ok(())) if rest.barren < MAX_BARREN => self.next.push_front(rest),
            Some(Ok(())) => self.getter.settle(rest.items),
        }
        Ok(None)
    }
}
