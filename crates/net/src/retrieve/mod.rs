//! The retrieve engine: find, plan, get, verify. This file and `passes` are the only ones that know the order.
//!
//! - [`mod@find`], `relational`: the studies that match, and the [`inventory`] of every instance in them;
//! - [`plan`], `likely`: what to propose and what to ask for, from what is missing;
//! - `fetch`: what follows the finding, for an inventory;
//! - `look_into`, `while_found`: getting what is known while the rest is being found;
//! - [`known`], `habits`: what was learnt of the node in earlier runs;
//! - `passes`, `alone`: asking, and asking again in other ways for what did not come;
//! - [`associations`], `side_by_side`, `work`, `meter`: how many associations share the work, and what each gets of it;
//! - `get`, `take`, `shared`, `silence`, [`rate`]: an association that works off requests and writes what comes;
//! - `get_by_move`, `receive`: the same by C-MOVE, with a storage SCP to which the peer sends;
//! - [`folder`], [`layout`], `head`, `journal`: where instances go, and what of them must be read for that;
//! - [`verify`]: the ledger of what was found and what became of it;
//! - [`report`]: what is told, while it runs and at the end;
//! - [`bulk`]: all of it for a list of queries, with a state that a second run continues;
//! - [`moving`]: the same find, and the peer sends to a third party.

mod alone;
pub mod associations;
pub mod bulk;
mod fetch;
pub mod find;
pub mod folder;
mod get;
mod get_by_move;
mod habits;
mod head;
pub mod inventory;
mod journal;
pub mod known;
pub mod layout;
mod likely;
mod look_into;
mod meter;
pub mod moving;
mod passes;
pub mod plan;
pub mod rate;
mod receive;
mod relational;
pub mod report;
mod shared;
mod side_by_side;
mod silence;
mod take;
pub mod verify;
mod while_found;
mod work;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use dicomet_proto::message::Status;
use dicomet_proto::query::{Level, Query};
use dicomet_proto::{AeTitle, Uid};
use tokio::sync::watch;

use crate::association::Timeouts;
use crate::service::c_store;
use crate::{Error, Node};
use fetch::Fetch;
use find::Finder;
use folder::{Folder, FolderError};
use inventory::Inventory;

pub use find::find;
pub use known::Known;
pub use layout::Layout;
pub use moving::{MoveEvent, MoveReport, Moving};
pub(crate) use passes::is_final;
pub use rate::RateLimit;
pub use report::{Arrival, Event, Failure, Method, Report};
pub(crate) use shared::reached;

/// The most associations side by side. More bring nothing on any line that was measured, and many peers have no more
/// for all their users together.
pub const MAX_ASSOCIATIONS: usize = 32;

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
    /// Associations side by side, at most [`MAX_ASSOCIATIONS`]; fewer, when the peer rejects the further ones. `None`
    /// is as many as turn out to be worth it.
    pub associations: Option<usize>,
    /// Operations that the peer may have under way on one association; 0 is no limit, 1 is not negotiated.
    pub window: u16,
    /// Where instances go below the folder.
    pub layout: Layout,
    /// The only transfer syntaxes to propose; `None` proposes all there are. A C-MOVE takes them all: there the peer
    /// proposes.
    pub transfer_syntaxes: Option<Vec<Uid>>,
    /// Where what is learnt of nodes is kept; `None` keeps and uses nothing.
    pub known: Option<Known>,
    /// How instances come; `None` is C-GET, and C-MOVE for what does not come so.
    pub method: Option<Method>,
    /// Where to listen for what the peer sends by C-MOVE; it must know us there, by our AE title. Without, there is
    /// no C-MOVE.
    pub receive: Option<SocketAddr>,
    /// The most bytes a second, over all associations together.
    pub rate_limit: Option<RateLimit>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            caller: Caller::default(),
            associations: None,
            window: c_store::WINDOW,
            layout: Layout::default(),
            transfer_syntaxes: None,
            known: None,
            method: None,
            receive: None,
            rate_limit: None,
        }
    }
}

/// Why a retrieve could not be done at all. What could be done in part ends with a [`Report`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    pub async fn run(self, tell: impl FnMut(&Event)) -> Result<Report, RetrieveError> {
        let begin = Instant::now();
        let folder = Folder::open(&self.output, self.options.layout.clone())?;
        let mut stop = self.stop.clone().unwrap_or_else(|| watch::channel(Stop::No).1);
        let found = tokio::select! {
            found = self.studies() => Some(found?),
            () = reached(&mut stop, Stop::Cancel) => None,
        };
        let Some((finder, mut inventory)) = found else {
            return Ok(Report { cancelled: true, seconds: begin.elapsed(), ..Report::default() });
        };
        let studies = std::mem::take(&mut inventory.studies);
        let found = (finder.model, finder.round_trip, inventory);
        let query = self.query.clone();
        let mut fetch =
            Fetch::new(self.node, self.options, Arc::new(folder), stop.clone(), found, self.query);
        fetch.look_into(finder, studies, query);
        let end = fetch.run(tell).await;
        fetch.report(end, begin.elapsed(), *stop.borrow() != Stop::No)
    }

    /// The studies that match, not yet looked into.
    async fn studies(&self) -> Result<(Finder, Inventory), RetrieveError> {
        let mut finder = Finder::open(&self.node, &self.options.caller, &self.query).await?;
        if let Some(known) = &self.options.known {
            let habits = known.habits(&self.node, SystemTime::now());
            (finder.knows_no_image_level, finder.most_answers) =
                (habits.has_no_image_level(), habits.answers_most());
        }
        match finder.studies().await {
            Ok(inventory) => Ok((finder, inventory)),
            Err(error) => {
                finder.abort().await;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
