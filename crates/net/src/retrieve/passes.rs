//! The passes over what is missing: plan, get, verify, until nothing is missing or nothing more comes.
//!
//! ```text
//! all that is missing, coarsely, in further transfer syntaxes
//!   -> what the peer failed, one transfer syntax at a time
//!     -> where nobody tells the SOP classes, in further ones
//!       -> by series, then one by one, and each time the same again
//! ```

use std::sync::Arc;
use std::time::Duration;

use dicomet_proto::Uid;
use dicomet_proto::query::Query;
use tokio::time::Instant;

use super::alone::Alone;
use super::associations::Controller;
use super::find::Finder;
use super::habits::{Contexts, GetTried};
use super::look_into::Found;
use super::plan::{self, Dealer, Granularity, Offered, Round};
use super::report::{Event, Method, Report};
use super::shared::{Shared, reached};
use super::side_by_side::{self, Pass};
use super::verify::MissingStudy;
use super::while_found::Intake;
use super::work::{Roles, Work};
use super::{MAX_ASSOCIATIONS, Options, RetrieveError, Stop};
use crate::Error;

/// Associations that may end early, one after the other, without anything having come, before we give up.
const MAX_BARREN: u32 = 3;

/// The same for a peer that says it has no association to spare just now: it may have one in a few seconds. dcmqrscp
/// 3.6.7 counts associations that are over for a while.
const MAX_REJECTED: u32 = 6;

/// Passes over what is missing: a bound for peers that always promise more.
pub(super) const MAX_PASSES: u32 = 40;

/// Plan, get and verify, until nothing is missing or nothing more comes.
pub(super) struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) options: Options,
    query: Query,
    pub(super) associations: u64,
    /// The studies, when they are still being found.
    pub(super) found: Option<Found>,
    /// Whether all studies that match are in the ledger.
    pub(super) is_all_found: bool,
    pub(super) begin: Instant,
    pub(super) controller: Controller,
    pub(super) roles: Roles,
    /// Whether something came while the SCP role was proposed alone.
    pub(super) is_scp_enough: bool,
    pub(super) granularity: Granularity,
    pub(super) offered: Offered,
    pub(super) alone: Alone,
    /// What the peer accepts of what is proposed.
    pub(super) contexts: Contexts,
    /// How instances come now.
    pub(super) method: Method,
    /// How many instances the peer had failed when syntaxes were last tried from the first.
    failed_ever: usize,
    /// Passes in a row that ended early without anything having come.
    pub(super) barren: u32,
}

/// What follows from a pass.
pub(super) enum Verdict {
    /// All was asked for.
    Through,
    /// It ended early: the same once more.
    Again,
    /// That was all.
    Over(Option<End>),
}

/// Why a retrieve ended before all was tried.
pub(super) enum End {
    /// Associations are not to be had, or end early each time.
    Association(Error),
    /// The folder takes no more.
    CannotStore(String),
}

impl Engine {
    /// Before the first pass.
    pub(super) fn new(shared: Arc<Shared>, options: Options, query: Query) -> Engine {
        Engine {
            shared,
            found: None,
            is_all_found: true,
            begin: Instant::now(),
            controller: Controller::new(options.associations.map(|number| number.clamp(1, MAX_ASSOCIATIONS))),
            options,
            query,
            associations: 0,
            roles: Roles::Scp,
            is_scp_enough: false,
            granularity: Granularity::Coarse,
            offered: Offered::default(),
            alone: Alone::default(),
            contexts: Contexts::default(),
            method: Method::Get,
            failed_ever: 0,
            barren: 0,
        }
    }

    /// By C-GET, by C-MOVE, or by C-MOVE what C-GET did not bring. Answers why it ended before all was tried, if it
    /// did.
    pub(super) async fn all_passes(&mut self) -> Option<End> {
        let habits = self.recall();
        let is_learnt =
            self.options.method.is_none() && self.options.receive.is_some() && habits.has_no_get();
        let is_by_move = self.options.method == Some(Method::Move) || is_learnt;
        let first = match self.found.take() {
            Some(found) => self.first_pass(Intake::new(found), is_by_move || habits.serves_one()).await,
            None => Verdict::Again,
        };
        let (mut end, mut tried) = match first {
            _ if is_by_move => (None, GetTried::No),
            Verdict::Over(end) => self.tried(end),
            Verdict::Through => self.get(true).await,
            Verdict::Again => self.get(false).await,
        };
        let mut by_get = self.shared.progress().instances;
        let is_our_fault = matches!(end, Some(End::CannotStore(_)));
        if let Some(address) = self.options.receive.filter(|_| self.may_go_on() && !is_our_fault)
            && self.options.method != Some(Method::Get)
        {
            end = self.move_passes(address).await;
            if is_learnt && self.may_go_on() && self.shared.progress().instances == by_get {
                // What was learnt does not hold any more, or C-MOVE does not work today.
                self.method = Method::Get;
                self.granularity = Granularity::Coarse;
                (end, tried) = self.get(false).await;
                by_get = self.shared.progress().instances;
            }
        }
        self.learn(by_get, tried);
        end
    }

    fn may_go_on(&self) -> bool {
        !self.is_stopped() && self.shared.ledger().lacking() > 0
    }

    /// All passes by C-GET. All may have been asked for once already.
    async fn get(&mut self, is_asked: bool) -> (Option<End>, GetTried) {
        let end = self.passes(is_asked).await;
        self.tried(end)
    }

    /// How C-GET went, by how it ended.
    fn tried(&self, end: Option<End>) -> (Option<End>, GetTried) {
        let tried = match &end {
            None if self.associations > 0 => GetTried::Through,
            None => GetTried::No,
            Some(End::Association(Error::NoPresentationContext { .. })) => GetTried::NotOffered,
            Some(_) => GetTried::Failed,
        };
        (end, tried)
    }

    /// What is found is got at once, or, where that is of no use, when all is found.
    async fn first_pass(&mut self, mut intake: Intake, is_later: bool) -> Verdict {
        let mut verdict = Verdict::Again;
        if !is_later {
            verdict = self.while_found(&mut intake).await;
        }
        if matches!(verdict, Verdict::Over(Some(End::Association(_))) | Verdict::Again) {
            self.enter_all(&mut intake).await;
        }
        intake.end_study(&self.shared).await;
        self.is_all_found = intake.is_all();
        intake.end().await;
        verdict
    }

    /// Answers why it ended before all was tried, if it did. All may have been asked for once already.
    async fn passes(&mut self, is_asked: bool) -> Option<End> {
        let mut has_asked_classes = false;
        for number in 0..MAX_PASSES {
            if self.is_stopped() || self.shared.ledger().lacking() == 0 {
                return None;
            }
            if number > 0 || !is_asked {
                match self.ask_for_all(number).await {
                    Verdict::Through => {}
                    Verdict::Again => continue,
                    Verdict::Over(end) => return end,
                }
            }
            let mut missing = self.shared.ledger().missing();
            if !has_asked_classes && missing.iter().any(|study| study.unknown > 0) {
                has_asked_classes = true;
                self.ask_classes(&missing).await;
                missing = self.shared.ledger().missing();
            }
            if plan::has_more_syntaxes(&missing, &self.offered, self.narrowed()) {
                continue;
            }
            if let Verdict::Over(end) = self.one_syntax_at_a_time().await {
                return end;
            }
            if plan::has_more_classes(&self.shared.ledger().missing(), &self.offered) {
                continue;
            }
            if self.shared.ledger().lacking() > 0 && self.offered.leave_out_none() {
                // The peer may take today what it refused before.
                continue;
            }
            self.granularity = self.granularity.finer()?;
            if self.granularity == Granularity::Single && self.is_useless() {
                return None;
            }
        }
        None
    }

    /// Whether nothing came by C-GET, neither by studies nor by series, and there is another way: instance by instance,
    /// it would be one refusal each.
    fn is_useless(&self) -> bool {
        let may_move = self.options.receive.is_some() && self.options.method.is_none();
        may_move && self.shared.progress().instances == 0
    }

    /// Asks for all that is missing, in what it was not offered yet.
    async fn ask_for_all(&mut self, number: u32) -> Verdict {
        if number > 0 {
            self.tell_missing();
        }
        let missing = self.shared.ledger().missing();
        let rounds = plan::rounds(&missing, &self.offered, self.narrowed());
        let verdict = self.attempt(&rounds).await;
        if matches!(verdict, Verdict::Through) {
            rounds.iter().for_each(|round| self.offered.add(&round.contexts));
        }
        verdict
    }

    /// Asks for what the peer failed itself in passes that leave it no choice of the transfer syntax, as long as they bring
    /// something.
    async fn one_syntax_at_a_time(&mut self) -> Verdict {
        let (_, failed_ever) = self.shared.ledger().failures_at_peer();
        if failed_ever > self.failed_ever {
            self.failed_ever = failed_ever;
            self.alone.start_over();
        }
        loop {
            let (failed, _) = self.shared.ledger().failures_at_peer();
            let rounds = self.alone.rounds(&failed);
            if rounds.is_empty() {
                return Verdict::Through;
            }
            self.tell_missing();
            // A pass that ends early is not done again: what it has not asked for has further syntaxes to come, or
            // is asked for more finely.
            let before = self.shared.ledger().arrived();
            let verdict = self.attempt_coarsely(&rounds).await;
            self.alone.brought(self.shared.ledger().arrived() > before);
            if let Verdict::Over(end) = verdict {
                return Verdict::Over(end);
            }
        }
    }

    /// One pass by series at the finest: what a peer fails because of its syntax does not take others with it.
    async fn attempt_coarsely(&mut self, rounds: &[Round]) -> Verdict {
        let granularity = self.granularity;
        self.granularity = granularity.min(Granularity::Series);
        let verdict = self.attempt(rounds).await;
        self.granularity = granularity;
        verdict
    }

    fn tell_missing(&self) {
        let missing = self.shared.ledger().lacking().saturating_sub(self.shared.silences().count() as u64);
        if missing > 0 && !self.is_stopped() {
            let _ = self.shared.events.send(Event::AskingAgain { missing });
        }
    }

    pub(super) fn narrowed(&self) -> Option<&[Uid]> {
        self.options.transfer_syntaxes.as_deref()
    }

    /// One pass, and what follows from it.
    async fn attempt(&mut self, rounds: &[Round]) -> Verdict {
        if rounds.is_empty() || self.is_stopped() {
            return Verdict::Over(None);
        }
        let before = self.shared.ledger().arrived();
        let pass = self.pass(rounds).await;
        let came = self.shared.ledger().arrived() > before;
        self.note(pass.proposed, pass.accepted);
        if let Some(reason) = pass.fatal {
            return Verdict::Over(Some(End::CannotStore(reason)));
        }
        if self.is_stopped() || self.shared.ledger().lacking() == 0 {
            return Verdict::Over(None);
        }
        if let Some(error) = pass.error {
            if pass.is_passed_over {
                self.barren = 0;
                return Verdict::Again;
            }
            return self.after(error, came).await;
        }
        self.barren = 0;
        if pass.takes_probe {
            return Verdict::Again;
        }
        if pass.no_roles && !came && self.roles == Roles::Scp {
            self.propose_both_roles();
            return Verdict::Again;
        }
        Verdict::Through
    }

    /// Proposes the SCP role no more without the SCU role.
    pub(super) fn propose_both_roles(&mut self) {
        self.roles = Roles::ScuAndScp;
        self.is_scp_enough = self.shared.progress().instances > 0;
    }

    /// Notes what the peer accepted of what was proposed.
    pub(super) fn note(&mut self, proposed: Vec<(Uid, Uid)>, accepted: Vec<(Uid, Uid)>) {
        self.contexts.note(&proposed, &accepted, &self.offered);
        self.offered.was_accepted(&accepted);
        self.alone.learn(accepted);
    }

    /// What follows from an association that was lost or is not to be had: once more after a moment, if that makes
    /// sense.
    pub(super) async fn after(&mut self, error: Error, came: bool) -> Verdict {
        self.barren = if came { 0 } else { self.barren + 1 };
        let most = if matches!(error, Error::Rejected(_)) { MAX_REJECTED } else { MAX_BARREN };
        if is_final(&error) || self.barren >= most {
            return Verdict::Over(Some(End::Association(error)));
        }
        // A peer that has just fallen over, or that has no association to spare, needs a moment.
        let moment = Duration::from_millis(200) * (1 << self.barren);
        let mut stop = self.shared.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(moment) => {}
            () = reached(&mut stop, Stop::Cancel) => {}
        }
        Verdict::Again
    }

    /// Asks for the SOP class of each instance of studies of which some did not come although SOP Classes in Study
    /// seemed to say enough.
    async fn ask_classes(&self, missing: &[MissingStudy]) {
        let Ok(mut finder) = Finder::open(&self.shared.node, &self.options.caller, &self.query).await else {
            return;
        };
        finder.asks_classes = true;
        for place in missing.iter().filter(|study| study.unknown > 0).map(|study| study.study) {
            let mut study = self.shared.ledger().inventory().studies[place].head();
            if finder.look_into(&mut study).await.is_err() {
                return finder.abort().await;
            }
            self.shared.ledger().learn_classes(place, &study);
        }
        finder.close().await;
    }

    /// Works off the rounds one after the other, each on as many associations as are worth it. Stops at an error.
    async fn pass(&mut self, rounds: &[Round]) -> Pass {
        let mut all = Pass { no_roles: true, ..Pass::default() };
        for round in rounds {
            let dealer = self.dealer(round);
            if dealer.is_empty() {
                continue;
            }
            let work = Work::new(round, self.roles, self.options.associations, dealer);
            work.close();
            let pass =
                side_by_side::work_off(&self.shared, Arc::new(work), &mut self.controller, self.begin).await;
            self.associations += pass.stood;
            all.add(pass);
            if all.error.is_some() || all.fatal.is_some() || all.takes_probe || self.is_stopped() {
                break;
            }
        }
        all
    }

    /// What a round has to bring, less what the peer hangs at.
    pub(super) fn dealer(&self, round: &Round) -> Dealer {
        let mut dealer = Dealer::of_round(&self.shared.ledger(), round, self.granularity);
        let silences = self.shared.silences();
        if !silences.is_empty() {
            dealer.set_apart(|uid| silences.is_passed_over(uid), |uid| silences.is_suspect(uid));
        }
        dealer
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.shared.stop.borrow() != Stop::No
    }

    /// The report of all passes.
    pub(super) fn report(
        &self,
        end: Option<End>,
        seconds: Duration,
        cancelled: bool,
    ) -> Result<Report, RetrieveError> {
        let otherwise = match &end {
            Some(End::Association(error)) => error.to_string(),
            Some(End::CannotStore(reason)) => reason.clone(),
            None if cancelled => "cancelled before it came".to_owned(),
            None => "the peer never sent it and did not say why".to_owned(),
        };
        let mut report = self.shared.ledger().report(&otherwise);
        if !self.is_all_found {
            report.complete = false;
            report.notes.push("not all studies that match were looked into before it ended".to_owned());
        }
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

/// Errors that the same attempt will meet again.
pub(crate) fn is_final(error: &Error) -> bool {
    match error {
        Error::Rejected(rejection) => rejection.result != dicomet_proto::pdu::RejectResult::Transient,
        Error::NoPresentationContext { .. } | Error::NotInThisState(_) => true,
        _ => false,
    }
}
