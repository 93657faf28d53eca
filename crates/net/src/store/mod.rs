//! The store engine: look, plan, send. This is the only file that knows the order.
//!
//! - [`walk`]: the files below the paths that the user named;
//! - [`files`]: what of them is an instance, and of which SOP class and transfer syntax;
//! - [`plan`]: which presentation contexts that needs, in how many associations;
//! - `side_by_side`, `work`: how many associations, and what they share;
//! - `quirk`: the peer with which there may be one alone;
//! - `send`: an association that sends what is in a queue;
//! - [`report`]: what is told, while it runs and at the end.

pub mod files;
pub mod plan;
mod quirk;
pub mod report;
mod send;
mod side_by_side;
pub mod walk;
mod work;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::retrieve::associations::Controller;
use crate::retrieve::{Caller, MAX_ASSOCIATIONS, Stop};
use crate::service::c_store::WINDOW;
use crate::{Error, Node};
use files::{FileInstance, Unfit};
use send::Shared;
use walk::{Step, Walk};
use work::Item;

pub use report::{Event, Remark, Report, Sent};

/// Files between two words on how many there are.
const FILES_PER_EVENT: u64 = 256;

/// How to store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who calls.
    pub caller: Caller,
    /// Associations side by side, at most [`MAX_ASSOCIATIONS`]; `None` leaves it to what is seen of the peer.
    pub associations: Option<usize>,
    /// Operations that we want to have under way on one association; 0 is no limit, 1 is not negotiated.
    pub window: u16,
}

impl Default for Options {
    fn default() -> Options {
        Options { caller: Caller::default(), associations: None, window: WINDOW }
    }
}

/// A store: which files and folders to send where.
///
/// Each data set is sent byte for byte as it is in its file, unless the peer takes only the other uncompressed
/// encoding. Holds in memory some 300 bytes a file; no instance.
#[derive(Debug)]
pub struct Store {
    node: Node,
    paths: Vec<PathBuf>,
    options: Options,
    stop: Option<watch::Receiver<Stop>>,
}

impl Store {
    /// A store of files, and of all in folders, by the default options.
    pub fn new(node: Node, paths: Vec<PathBuf>) -> Store {
        Store { node, paths, options: Options::default(), stop: None }
    }

    /// With other options.
    #[must_use]
    pub fn options(self, options: Options) -> Store {
        Store { options, ..self }
    }

    /// With a way to end it early: [`Stop::Cancel`] waits for what is outstanding and releases, [`Stop::Abort`]
    /// aborts.
    #[must_use]
    pub fn stop_by(self, stop: watch::Receiver<Stop>) -> Store {
        Store { stop: Some(stop), ..self }
    }

    /// Looks, plans and sends; tells what happens as it happens.
    ///
    /// # Errors
    /// [`Error`] when there never was an association. A store that is done in part has a report that says so.
    pub async fn run(self, mut tell: impl FnMut(&Event)) -> Result<Report, Error> {
        let begin = Instant::now();
        let stop = self.stop.clone().unwrap_or_else(|| watch::channel(Stop::No).1);
        let (events, mut receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            node: self.node,
            caller: self.options.caller.clone(),
            window: self.options.window,
            report: Mutex::default(),
            events,
            stop,
        });
        let ended = {
            let mut engine = std::pin::pin!(run(&shared, self.paths, self.options.associations, begin));
            loop {
                tokio::select! {
                    biased;
                    Some(event) = receiver.recv() => tell(&event),
                    ended = &mut engine => break ended,
                }
            }
        };
        while let Ok(event) = receiver.try_recv() {
            tell(&event);
        }
        let mut report = std::mem::take(&mut *shared.report());
        match ended {
            Some(error) if report.associations == 0 => return Err(error),
            _ => {}
        }
        report.seconds = begin.elapsed();
        report.cancelled = shared.is_stopped();
        // What a worker had in hands that ended by a fault of ours.
        let told = report.sent + report.already + report.failed + report.unknown + report.unsent;
        report.unsent += report.files.saturating_sub(told);
        report.complete = report.files > 0 && report.files == report.sent + report.already;
        Ok(report)
    }
}

/// Look, plan, send. Answers why it gave up before all was tried, if it did.
async fn run(
    shared: &Arc<Shared>,
    paths: Vec<PathBuf>,
    associations: Option<usize>,
    begin: Instant,
) -> Option<Error> {
    let looking = Arc::clone(shared);
    // A fault in there leaves no files, which is told as such.
    let files = tokio::task::spawn_blocking(move || look(&looking, paths)).await.unwrap_or_default();
    let rounds = plan::rounds(&files);
    shared.tell(Event::Planned {
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.length).sum(),
        contexts: rounds.iter().map(|round| round.contexts.len()).sum(),
        rounds: rounds.len(),
    });
    let mut files: Vec<Option<FileInstance>> = files.into_iter().map(Some).collect();
    let mut controller = Controller::new(associations.map(|fixed| fixed.clamp(1, MAX_ASSOCIATIONS)));
    let mut end = None;
    for round in rounds {
        let items = round.files.iter().filter_map(|&place| files[place].take());
        let items: VecDeque<Item> = items.map(|file| Item { file, cuts: 0, may_be_stored: false }).collect();
        let (left, error) = match end {
            Some(error) => (items, Some(error)),
            None => side_by_side::send(shared, &round, items, &mut controller, begin).await,
        };
        leave(shared, left, error.as_ref());
        end = error;
    }
    end
}

/// Looks at the files below the paths; notes those that cannot be stored.
fn look(shared: &Shared, paths: Vec<PathBuf>) -> Vec<FileInstance> {
    let mut found: Vec<FileInstance> = Vec::new();
    for step in Walk::new(paths) {
        if shared.is_stopped() {
            break;
        }
        let (path, unfit) = match step {
            Step::File(place) => match files::look(&place) {
                Ok(file) => {
                    note(shared, &file);
                    found.push(file);
                    let files = found.len() as u64;
                    if files.is_multiple_of(FILES_PER_EVENT) {
                        shared.tell(Event::Found { files });
                    }
                    continue;
                }
                Err(unfit) => (place.path, unfit),
            },
            Step::Other { path, what } => (path, Unfit::Skipped(what.to_owned())),
            Step::Unreadable { path, error } => (path, Unfit::Failed(format!("it cannot be read: {error}"))),
        };
        match unfit {
            Unfit::Failed(reason) => {
                shared.report().files += 1;
                shared.failed(path, reason);
            }
            Unfit::Skipped(reason) => {
                shared.report().skipped += 1;
                shared.tell(Event::Skipped(Remark { path, reason }));
            }
        }
    }
    shared.report().files += found.len() as u64;
    found
}

fn note(shared: &Shared, file: &FileInstance) {
    if let Some(reason) = file.note.clone() {
        shared.report().notes.push(Remark { path: file.path.clone(), reason });
    }
}

/// Notes what was not sent.
fn leave(shared: &Shared, left: VecDeque<Item>, error: Option<&Error>) {
    for item in left {
        match error {
            _ if item.may_be_stored => {
                let why = error.map_or_else(|| "it was ended".to_owned(), Error::to_string);
                shared.unknown(item.file.path, format!("all of it was sent, and no answer came: {why}"));
            }
            Some(error) if !shared.is_stopped() => {
                shared.failed(item.file.path, format!("not sent: {error}"));
            }
            _ => shared.report().unsent += 1,
        }
    }
}

#[cfg(test)]
mod tests;
