//! The retrieve engine: find, plan, get, verify. This is the only file that knows the order.
//!
//! - [`mod@find`]: the studies that match, and the inventory of every instance in them;
//! - [`plan`], `likely`: what to propose and what to ask for, from what is missing;
//! - `get`: an association that works off requests and writes what comes;
//! - `get_by_move`, `receive`: the same by C-MOVE, with a storage SCP to which the peer sends;
//! - [`folder`], [`layout`], `head`: where instances go, and what of them must be read for that;
//! - [`verify`]: the ledger of what was found and what became of it;
//! - [`report`]: what is told, while it runs and at the end;
//! - [`moving`]: the same find, and the peer sends to a third party.

pub mod find;
pub mod folder;
mod get;
mod get_by_move;
mod head;
pub mod layout;
mod likely;
pub mod moving;
pub mod plan;
mod receive;
pub mod report;
pub mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dicomet_proto::message::Status;
use dicomet_proto::query::{Level, Model, Query};
use dicomet_proto::{AeTitle, Uid};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::association::Timeouts;
use crate::{Error, Node};
use find::{Finder, Inventory};
use folder::{Folder, FolderError};
use get::{Outcome, Roles, Shared, Work};
use plan::{Granularity, Offered, Part, Round};
use receive::Receiver;
use verify::{Ledger, MissingStudy};

pub use find::find;
pub(crate) use get::reached;
pub use layout::Layout;
pub use moving::{MoveEvent, MoveReport, Moving};
pub use report::{Arrival, Event, Failure, Method, Report};

/// Associations that may end early, one after the other, without anything having come, before we give up.
const MAX_BARREN: u32 = 3;

/// Passes over what is missing: a bound for peers that always promise more.
const MAX_PASSES: u32 = 40;

/// Who calls, and how patient we are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Our AE title.
    pub ae_title: AeTitle,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl Default for Caller {
    /// `DICOMET`.
    fn default() -> Caller {
        // A literal of seven letters is an AE title.
        #[allow(clippy::unwrap_used)]
        let ae_title = AeTitle::new("DICOMET").unwrap();
        Caller { ae_title, timeouts: Timeouts::default() }
    }
}

/// The user's wish to end a retrieve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// Cancel (C-CANCEL), release, keep what has arrived.
    Cancel,
    /// Abort the associations; what has arrived whole is kept all the same.
    Abort,
}

/// How to retrieve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who calls.
    pub caller: Caller,
    /// Associations side by side.
    pub associations: usize,
    /// Operations that the peer may have under way on one association; 0 is no limit, 1 is not negotiated.
    pub window: u16,
    /// Where instances go below the folder.
    pub layout: Layout,
    /// The only transfer syntaxes to propose; `None` proposes all there are. A C-MOVE takes them all: there the peer
    /// proposes.
    pub transfer_syntaxes: Option<Vec<Uid>>,
    /// How instances come; `None` is C-GET, and C-MOVE for what does not come so.
    pub method: Option<Method>,
    /// Where to listen for what the peer sends by C-MOVE; it must know us there, by our AE title. Without, there is
    /// no C-MOVE.
    pub receive: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            caller: Caller::default(),
            associations: 1,
            window: 16,
            layout: Layout::default(),
            transfer_syntaxes: None,
            method: None,
            receive: None,
        }
    }
}

/// Why a retrieve could not be done at all. What could be done in part ends with a [`Report`].
#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    /// No association, or it ended before anything was known.
    #[error(transparent)]
    Association(#[from] Error),
    /// The peer ended a C-FIND with a failure.
    #[error("the peer refused the query at {level:?} level: {status}{}", .comment.as_ref().map(|c| format!(": {c}")).unwrap_or_default())]
    Find {
        /// The level.
        level: Level,
        /// Its status.
        status: Status,
        /// Its Error Comment.
        comment: Option<String>,
    },
    /// The output folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// A retrieve: what to get from where, and where to put it.
///
/// Run again on the same folder, it asks only for what is missing.
#[derive(Debug)]
pub struct Retrieve {
    node: Node,
    query: Query,
    output: PathBuf,
    options: Options,
    stop: Option<watch::Receiver<Stop>>,
}

impl Retrieve {
    /// A retrieve of all that matches the query's keys, of whatever level, into a folder, by the default options.
    pub fn new(node: Node, query: Query, output: impl Into<PathBuf>) -> Retrieve {
        Retrieve { node, query, output: output.into(), options: Options::default(), stop: None }
    }

    /// With other options.
    #[must_use]
    pub fn options(self, options: Options) -> Retrieve {
        Retrieve { options, ..self }
    }

    /// With a way to end it early.
    #[must_use]
    pub fn stop_by(self, stop: watch::Receiver<Stop>) -> Retrieve {
        Retrieve { stop: Some(stop), ..self }
    }

    /// Finds, plans, gets and verifies; tells what happens as it happens.
    ///
    /// # Errors
    /// [`RetrieveError`] when nothing could be done. A retrieve that is done in part has a report that says so.
    pub async fn run(self, mut tell: impl FnMut(&Event)) -> Result<Report, RetrieveError> {
        let begin = Instant::now();
        let folder = Folder::open(&self.output, self.options.layout.clone())?;
        let mut stop = self.stop.clone().unwrap_or_else(|| watch::channel(Stop::No).1);
        let found = tokio::select! {
            found = self.inventory(&mut tell) => Some(found?),
            () = get::reached(&mut stop, Stop::Cancel) => None,
        };
        let Some((model, inventory)) = found else {
            return Ok(Report { cancelled: true, seconds: begin.elapsed(), ..Report::default() });
        };
        let mut ledger = Ledger::new(inventory);
        for uid in folder.present(ledger.expected()) {
            ledger.present(&uid);
        }
        let report = ledger.report("");
        tell(&Event::Planned { studies: report.studies, expected: report.expected, present: report.present });
        let (events, mut receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            node: self.node,
            caller: self.options.caller.clone(),
            model,
            window: self.options.window,
            folder,
            ledger: Mutex::new(ledger),
            events,
            stop: stop.clone(),
        });
        let mut engine = Engine {
            shared,
            options: self.options,
            associations: 0,
            roles: Roles::Scp,
            query: self.query,
            method: Method::Get,
        };
        let outcome = {
            let mut passes = std::pin::pin!(engine.all_passes());
            loop {
                tokio::select! {
                    biased;
                    Some(event) = receiver.recv() => tell(&event),
                    outcome = &mut passes => break outcome,
                }
            }
        };
        while let Ok(event) = receiver.try_recv() {
            tell(&event);
        }
        engine.report(outcome, begin.elapsed(), *stop.borrow() != Stop::No)
    }

    /// Find: what there is to fetch.
    async fn inventory(&self, tell: &mut impl FnMut(&Event)) -> Result<(Model, Inventory), RetrieveError> {
        let mut finder = Finder::open(&self.node, &self.options.caller, &self.query).await?;
        match fill(&mut finder, tell).await {
            Ok(inventory) => {
                let model = finder.model;
                finder.close().await;
                Ok((model, inventory))
            }
            Err(error) => {
                finder.abort().await;
                Err(error)
            }
        }
    }
}

async fn fill(finder: &mut Finder, tell: &mut impl FnMut(&Event)) -> Result<Inventory, RetrieveError> {
    let mut inventory = finder.studies().await?;
    let mut instances = 0;
    for (place, study) in inventory.studies.iter_mut().enumerate() {
        finder.look_into(study).await?;
        instances += study.series.iter().map(|series| series.instances.len() as u64).sum::<u64>();
        tell(&Event::Found { studies: place as u64 + 1, instances });
    }
    // Keys below STUDY level may leave nothing of a study.
    inventory.studies.retain(|study| study.is_whole || !study.series.is_empty());
    Ok(inventory)
}

/// Plan, get and verify, until nothing is missing or nothing more comes.
struct Engine {
    shared: Arc<Shared>,
    options: Options,
    associations: u64,
    roles: Roles,
    query: Query,
    /// How instances come now.
    method: Method,
}

/// How a pass over all that is missing went.
#[derive(Default)]
struct Pass {
    error: Option<Error>,
    no_roles: bool,
    fatal: Option<String>,
}

impl Engine {
    /// By C-GET, by C-MOVE, or by C-MOVE what C-GET did not bring. Answers why it ended before all was tried, if it
    /// did.
    async fn all_passes(&mut self) -> Option<End> {
        let mut end = None;
        if self.options.method != Some(Method::Move) {
            end = self.passes().await;
        }
        let may_move = self.options.method != Some(Method::Get) && !self.is_stopped();
        let is_done = matches!(end, Some(End::CannotStore(_))) || self.shared.ledger().missing().is_empty();
        match self.options.receive {
            Some(address) if may_move && !is_done => self.move_passes(address).await,
            _ => end,
        }
    }

    /// As [`Engine::passes`], by C-MOVE: the peer proposes the contexts, so only what to ask for is left to plan.
    async fn move_passes(&mut self, address: SocketAddr) -> Option<End> {
        self.method = Method::Move;
        let receiver = match Receiver::open(address, Arc::clone(&self.shared)).await {
            Ok(receiver) => receiver,
            Err(error) => return Some(End::CannotStore(format!("cannot listen on {address}: {error}"))),
        };
        let mut granularity = Granularity::Coarse;
        let mut barren = 0;
        for _ in 0..MAX_PASSES {
            let missing = self.shared.ledger().missing();
            if missing.is_empty() || self.is_stopped() {
                return None;
            }
            let before = self.shared.ledger().arrived();
            let parts = missing.iter().map(|study| Part { study: study.study, classes: None }).collect();
            let round = Round { contexts: Vec::new(), parts };
            let requests = plan::requests(&self.shared.ledger(), &round, granularity, 1);
            let outcome = self.shared.work_by_move(&requests, &receiver).await;
            self.associations += u64::from(outcome.was_open);
            if let Some(reason) = outcome.fatal {
                return Some(End::CannotStore(reason));
            }
            let Some(error) = outcome.error else {
                granularity = granularity.finer()?;
                continue;
            };
            barren = if self.shared.ledger().arrived() > before { 0 } else { barren + 1 };
            if is_final(&error) || barren >= MAX_BARREN {
                return Some(End::Association(error));
            }
            tokio::time::sleep(Duration::from_millis(200) * (1 << barren)).await;
        }
        None
    }

    /// Answers why it ended before all was tried, if it did.
    async fn passes(&mut self) -> Option<End> {
        let mut offered = Offered::default();
        let mut granularity = Granularity::Coarse;
        let mut barren = 0;
        let mut has_asked_classes = false;
        for number in 0..MAX_PASSES {
            let missing = self.shared.ledger().missing();
            if missing.is_empty() || self.is_stopped() {
                return None;
            }
            if number > 0 {
                let report = self.shared.ledger().report("");
                let _ =
                    self.shared.events.send(Event::AskingAgain { missing: report.failed + report.missing });
            }
            let before = self.shared.ledger().arrived();
            let rounds = plan::rounds(&missing, &offered, self.options.transfer_syntaxes.as_deref());
            let pass = self.pass(&rounds, granularity).await;
            let came = self.shared.ledger().arrived() > before;
            if let Some(reason) = pass.fatal {
                return Some(End::CannotStore(reason));
            }
            if self.is_stopped() {
                return None;
            }
            if let Some(error) = pass.error {
                barren = if came { 0 } else { barren + 1 };
                if is_final(&error) || barren >= MAX_BARREN {
                    return Some(End::Association(error));
                }
                // A peer that has just fallen over needs a moment.
                tokio::time::sleep(Duration::from_millis(200) * (1 << barren)).await;
                continue;
            }
            if pass.no_roles && !came && self.roles == Roles::Scp {
                self.roles = Roles::ScuAndScp;
                continue;
            }
            rounds.iter().for_each(|round| offered.add(&round.contexts));
            let missing = self.shared.ledger().missing();
            if plan::has_more_to_offer(&missing, &offered, self.options.transfer_syntaxes.as_deref()) {
                continue;
            }
            if !has_asked_classes && missing.iter().any(|study| study.unknown > 0) {
                has_asked_classes = true;
                if self.ask_classes(&missing).await {
                    continue;
                }
            }
            match granularity.finer() {
                Some(finer) => granularity = finer,
                None => return None,
            }
        }
        None
    }

    /// Asks for the SOP class of each instance of studies whose SOP Classes in Study led nowhere; answers whether
    /// there are classes that were not proposed.
    async fn ask_classes(&self, missing: &[MissingStudy]) -> bool {
        let Ok(mut finder) = Finder::open(&self.shared.node, &self.options.caller, &self.query).await else {
            return false;
        };
        finder.asks_classes = true;
        let mut is_news = false;
        for place in missing.iter().filter(|study| study.unknown > 0).map(|study| study.study) {
            let mut study = self.shared.ledger().inventory().studies[place].head();
            if finder.look_into(&mut study).await.is_err() {
                finder.abort().await;
                return is_news;
            }
            is_news |= self.shared.ledger().learn_classes(place, &study);
        }
        finder.close().await;
        is_news
    }

    /// Works off the rounds one after the other, each with as many workers as are useful. Stops at an error.
    async fn pass(&mut self, rounds: &[Round], granularity: Granularity) -> Pass {
        let mut pass = Pass { no_roles: true, ..Pass::default() };
        for round in rounds {
            let workers = self.options.associations.max(1);
            let requests = plan::requests(&self.shared.ledger(), round, granularity, workers);
            let workers = workers.min(requests.len());
            let work = Arc::new(Work {
                contexts: round.contexts.clone(),
                roles: self.roles,
                queue: Mutex::new(requests.into()),
            });
            let mut running = JoinSet::new();
            for _ in 0..workers {
                running.spawn(Arc::clone(&self.shared).work(Arc::clone(&work)));
            }
            let mut some_stood = false;
            let mut error = None;
            while let Some(joined) = running.join_next().await {
                let Outcome { was_open, error: ended, no_roles, fatal } = joined.unwrap_or_default();
                self.associations += u64::from(was_open);
                some_stood |= was_open;
                pass.no_roles &= no_roles;
                pass.fatal = pass.fatal.or(fatal);
                error = error.or(ended);
            }
            let left = !work.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).is_empty();
            // A worker whose association was refused while others did the work is no failure.
            pass.error = error.filter(|_| left || !some_stood || workers == 1);
            if pass.error.is_some() || pass.fatal.is_some() || self.is_stopped() {
                break;
            }
        }
        pass
    }

    fn is_stopped(&self) -> bool {
        *self.shared.stop.borrow() != Stop::No
    }

    fn report(&self, end: Option<End>, seconds: Duration, cancelled: bool) -> Result<Report, RetrieveError> {
        let otherwise = match &end {
            Some(End::Association(error)) => error.to_string(),
            Some(End::CannotStore(reason)) => reason.clone(),
            None if cancelled => "cancelled before it came".to_owned(),
            None => "the peer never sent it and did not say why".to_owned(),
        };
        let mut report = self.shared.ledger().report(&otherwise);
        let nothing_is_here = report.retrieved + report.present + report.unnamed == 0;
        match end {
            Some(End::Association(error)) if nothing_is_here => return Err(error.into()),
            Some(_) => report.notes.push(format!("the retrieve ended early: {otherwise}")),
            None => {}
        }
        let method = self.method;
        Ok(Report { seconds, associations: self.associations, cancelled, method, ..report })
    }
}

/// Why a retrieve ended before all was tried.
enum End {
    /// Associations are not to be had, or end early each time.
    Association(Error),
    /// The folder takes no more.
    CannotStore(String),
}

/// Errors that the same attempt will meet again.
pub(crate) fn is_final(error: &Error) -> bool {
    match error {
        Error::Rejected(rejection) => rejection.result != dicomet_proto::pdu::RejectResult::Transient,
        Error::NoPresentationContext { .. } | Error::NotInThisState(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
