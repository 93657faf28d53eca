//! What follows the finding: an inventory, less what is in the folder already, worked off by the engine.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dicomet_proto::query::{Model, Query};
use tokio::sync::{mpsc, watch};

use super::find::Finder;
use super::folder::Folder;
use super::inventory::{Inventory, Study};
use super::look_into;
use super::meter::Meter;
use super::passes::{End, Engine};
use super::report::{Event, Report};
use super::shared::Shared;
use super::verify::Ledger;
use super::{Options, RetrieveError, Stop};
use crate::Node;

/// The getting of what an inventory names.
pub(super) struct Fetch {
    shared: Arc<Shared>,
    engine: Engine,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Fetch {
    /// Looks which instances are in the folder. The query is for what may have to be asked again by C-FIND.
    pub(super) fn new(
        node: Node,
        options: Options,
        folder: Arc<Folder>,
        stop: watch::Receiver<Stop>,
        (model, round_trip, inventory): (Model, Option<Duration>, Inventory),
        query: Query,
    ) -> Fetch {
        let mut ledger = Ledger::new(inventory);
        for place in 0..ledger.inventory().studies.len() {
            let present = folder.expect(&ledger.inventory().studies[place]);
            ledger.present(place, &present);
        }
        let (sender, events) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            node,
            caller: options.caller.clone(),
            model,
            window: options.window,
            rate_limit: options.rate_limit.clone(),
            folder,
            ledger: Mutex::new(ledger),
            events: sender,
            stop,
            meter: Meter::new(round_trip),
            silences: Mutex::default(),
            placing: Mutex::default(),
        });
        Fetch { engine: Engine::new(Arc::clone(&shared), options, query), shared, events }
    }

    /// The same for studies that are still being looked into, beside the getting.
    pub(super) fn look_into(&mut self, finder: Finder, studies: Vec<Study>, query: Query) {
        let caller = self.shared.caller.clone();
        self.shared.meter.answers_most.store(finder.most_answers.unwrap_or(0), Ordering::Relaxed);
        let shared = Arc::clone(&self.shared);
        self.engine.found = Some(look_into::look_into(finder, studies, query, caller, shared));
    }

    /// What the workers share; the ledger above all.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Gets and verifies, until all is here or nothing more comes. Answers why it ended before all was tried, if it
    /// did.
    pub(super) async fn run(&mut self, mut tell: impl FnMut(&Event)) -> Option<End> {
        let end = {
            let mut passes = std::pin::pin!(self.engine.all_passes());
            loop {
                tokio::select! {
                    biased;
                    Some(event) = self.events.recv() => tell(&event),
                    end = &mut passes => break end,
                }
            }
        };
        while let Ok(event) = self.events.try_recv() {
            tell(&event);
        }
        end
    }

    /// How many associations were opened to get.
    pub(super) fn associations(&self) -> u64 {
        self.engine.associations
    }

    /// The report.
    pub(super) fn report(
        &self,
        end: Option<End>,
        seconds: Duration,
        cancelled: bool,
    ) -> Result<Report, RetrieveError> {
        self.engine.report(end, seconds, cancelled)
    }
}
