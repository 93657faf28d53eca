//! The first pass, over studies that are still being found: what is known is got, on associations with the contexts
//! that it needs, and studies that become known meanwhile are added where these contexts suit them. The others have
//! the next associations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dicomet_proto::Uid;

use super::Stop;
use super::inventory::Study;
use super::look_into::{Finding, Found};
use super::passes::{End, Engine, Verdict};
use super::plan::{self, Round};
use super::report::Event;
use super::shared::{Shared, reached};
use super::side_by_side::{self, Pass};
use super::verify::{MissingSeries, Present};
use super::work::{Roles, Work};

/// How long a study that is being named is waited for when it is over before that.
const NAMED_WITHIN: Duration = Duration::from_secs(2);

/// The studies as they come, on their way into the ledger.
pub(super) struct Intake {
    found: Found,
    came: usize,
    expected: u64,
    present: u64,
    studies: u64,
    /// What is expected of the study that is being named: what the peer counts, and what it has named so far.
    being_named: (u64, u64),
}

/// What there is to get.
enum News {
    /// Of the study at a place something is missing.
    Study(usize),
    /// A series of a study that is being named.
    Series(usize, MissingSeries),
    /// All series of a study are named.
    Named(usize),
}

impl Intake {
    pub(super) fn new(found: Found) -> Intake {
        Intake { found, came: 0, expected: 0, present: 0, studies: 0, being_named: (0, 0) }
    }

    /// Takes no more studies.
    pub(super) async fn end(self) {
        self.found.end().await;
    }

    /// Waits for the names of the study that is being named, so that the report can say which of its instances are missing.
    /// Not for long: it is over, or the user wants to go.
    pub(super) async fn end_study(&mut self, shared: &Shared) {
        let named =
            async { while shared.ledger().being_named().is_some() && self.next(shared).await.is_some() {} };
        let mut stop = shared.stop.clone();
        tokio::select! {
            () = named => {}
            () = tokio::time::sleep(NAMED_WITHIN) => {}
            () = reached(&mut stop, Stop::Abort) => {}
        }
    }

    /// Whether all studies are in the ledger, to the last instance.
    pub(super) fn is_all(&self) -> bool {
        self.came == self.found.most
    }

    /// What there is to get more; `None` when that was all. Cancel safe.
    async fn next(&mut self, shared: &Shared) -> Option<Vec<News>> {
        let mut batch = Vec::new();
        let most = self.found.findings.max_capacity();
        if self.found.findings.recv_many(&mut batch, most).await == 0 {
            return None;
        }
        let news = batch.into_iter().filter_map(|finding| self.enter(shared, finding)).collect();
        if self.is_all() {
            (self.studies, self.expected, self.present) = shared.ledger().totals();
            self.being_named = (0, 0);
        }
        shared.tell(Event::Planned {
            studies: self.studies,
            expected: self.expected + self.being_named.0.max(self.being_named.1),
            present: self.present,
            is_all: self.is_all(),
        });
        Some(news)
    }

    /// Enters a finding into the ledger; what there is to get by it.
    fn enter(&mut self, shared: &Shared, finding: Finding) -> Option<News> {
        match finding {
            Finding::Known(study, here) => {
                self.came += 1;
                self.enter_known(shared, study, &here)
            }
            Finding::Begun(study) => {
                self.studies += 1;
                self.being_named = (study.counted.unwrap_or(0), 0);
                let (study_uid, expected) = (study.uid.clone(), self.being_named.0);
                shared.tell(Event::Study { study: study_uid, expected, present: 0 });
                Some(News::Study(shared.ledger().begin(study)))
            }
            Finding::Series(series) => {
                self.being_named.1 += series.instances.len() as u64;
                let mut ledger = shared.ledger();
                let place = ledger.being_named()?;
                Some(News::Series(place, ledger.name(series)?))
            }
            Finding::Named(is_named) => {
                self.came += 1;
                let named = std::mem::take(&mut self.being_named).1;
                self.expected += named;
                let mut ledger = shared.ledger();
                let place = ledger.end_naming(is_named)?;
                let study = ledger.inventory().studies[place].uid.clone();
                drop(ledger);
                shared.tell(Event::Study { study, expected: named, present: 0 });
                Some(News::Named(place))
            }
        }
    }

    fn enter_known(&mut self, shared: &Shared, study: Study, here: &Present) -> Option<News> {
        // Keys below STUDY level may leave nothing of it.
        if !study.is_whole && study.series.is_empty() && study.is_named {
            return None;
        }
        let mut ledger = shared.ledger();
        let place = ledger.add(study);
        ledger.present(place, here);
        self.studies += 1;
        self.present += here.count();
        let named = &ledger.inventory().studies[place].series;
        let expected = named.iter().map(|series| series.instances.len() as u64).sum();
        self.expected += expected;
        let study = ledger.inventory().studies[place].uid.clone();
        shared.tell(Event::Study { study, expected, present: here.count() });
        ledger.missing_of(place).map(|_| News::Study(place))
    }
}

impl Engine {
    /// Gets what is found while the rest is being found. Whether all of it was asked for, once: `Verdict::Again` is
    /// when it was not.
    pub(super) async fn while_found(&mut self, intake: &mut Intake) -> Verdict {
        let shared = Arc::clone(&self.shared);
        let mut pending: Vec<usize> = Vec::new();
        let mut seen: Vec<Uid> = Vec::new();
        let mut verdict = Verdict::Through;
        loop {
            if self.is_stopped() {
                return Verdict::Over(None);
            }
            if pending.is_empty() {
                let mut stop = shared.stop.clone();
                let next = tokio::select! {
                    next = intake.next(&shared) => next,
                    () = reached(&mut stop, Stop::Cancel) => continue,
                };
                match next {
                    // What becomes known of a study meanwhile is in the ledger.
                    Some(news) => pending.extend(news.iter().filter_map(News::study)),
                    None => break,
                }
                continue;
            }
            let (round, rest) = self.next_round(&pending, &mut seen);
            let before = shared.ledger().arrived();
            let (pass, left) = self.fed(&round, intake).await;
            let came = shared.ledger().arrived() > before;
            pending = rest.into_iter().chain(left).collect();
            if pass.error.is_some() && pass.stood == 0 && !intake.is_all() {
                // The peer may have no association to spare beside that for C-FIND.
                self.enter_all(intake).await;
                let mut stop = shared.stop.clone();
                tokio::select! {
                    () = intake.found.released() => {}
                    () = reached(&mut stop, Stop::Cancel) => {}
                }
                return Verdict::Again;
            }
            match self.conclude(&round, pass, came).await {
                Verdict::Through => {}
                Verdict::Again => verdict = Verdict::Again,
                over => return over,
            }
        }
        verdict
    }

    /// Waits until all is found.
    pub(super) async fn enter_all(&mut self, intake: &mut Intake) {
        let mut stop = self.shared.stop.clone();
        let all = async { while intake.next(&self.shared).await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = reached(&mut stop, Stop::Cancel) => {}
        }
    }

    /// The contexts for as many of the studies as fit together, and for what was seen before besides; and the studies
    /// that did not fit.
    fn next_round(&self, pending: &[usize], seen: &mut Vec<Uid>) -> (Round, Vec<usize>) {
        let ledger = self.shared.ledger();
        let missing: Vec<_> = pending.iter().filter_map(|place| ledger.missing_of(*place)).collect();
        // Of a study of more classes than fit, what is left out here is asked for by the next pass.
        let mut rounds =
            plan::rounds_beside(&missing, &self.offered.anew(), self.narrowed(), seen).into_iter();
        let round = rounds.next().unwrap_or_default();
        let rest: BTreeSet<usize> = rounds.flat_map(|round| round.parts).map(|part| part.study).collect();
        let asked: BTreeSet<usize> = round.parts.iter().map(|part| part.study).collect();
        for (class, _) in &round.contexts {
            if !seen.contains(class) {
                seen.push(class.clone());
            }
        }
        (round, rest.difference(&asked).copied().collect())
    }

    /// Works off a round, to which suitable studies are added while it lasts. Answers how it went, and the studies
    /// that were not asked for.
    async fn fed(&mut self, round: &Round, intake: &mut Intake) -> (Pass, Vec<usize>) {
        let dealer = self.dealer(round);
        let work = Arc::new(Work::new(round, self.roles, self.options.associations, dealer));
        let proposed: BTreeSet<&Uid> = round.contexts.iter().map(|(class, _)| class).collect();
        let mut unsuitable = Vec::new();
        let pass = {
            let working =
                side_by_side::work_off(&self.shared, Arc::clone(&work), &mut self.controller, self.begin);
            let mut working = std::pin::pin!(working);
            let mut takes_more = true;
            loop {
                tokio::select! {
                    pass = &mut working => break pass,
                    news = intake.next(&self.shared), if takes_more => {
                        takes_more = news.is_some();
                        for news in news.unwrap_or_default() {
                            match news {
                                News::Study(place) if !suits(&self.shared, place, &proposed) => {
                                    unsuitable.push(place);
                                }
                                news => feed(&self.shared, &work, news),
                            }
                        }
                        if !unsuitable.is_empty() || !takes_more {
                            // The others are not to wait until all is found.
                            takes_more = false;
                            work.close();
                        }
                    }
                }
            }
        };
        unsuitable.extend(work.dealer().undealt());
        unsuitable.sort_unstable();
        unsuitable.dedup();
        (pass, unsuitable)
    }

    /// What follows from a round.
    async fn conclude(&mut self, round: &Round, pass: Pass, came: bool) -> Verdict {
        self.associations += pass.stood;
        self.note(pass.proposed, pass.accepted);
        if let Some(reason) = pass.fatal {
            return Verdict::Over(Some(End::CannotStore(reason)));
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
            return Verdict::Through;
        }
        if pass.no_roles && !came && pass.stood > 0 && self.roles == Roles::Scp {
            self.propose_both_roles();
            return Verdict::Again;
        }
        self.offered.add(&round.contexts);
        Verdict::Through
    }
}

/// Whether the contexts proposed are those that a study needs.
fn suits(shared: &Shared, place: usize, proposed: &BTreeSet<&Uid>) -> bool {
    let ledger = shared.ledger();
    let Some(missing) = ledger.missing_of(place) else { return true };
    plan::classes_of(&missing).iter().all(|class| proposed.contains(class))
}

fn feed(shared: &Shared, work: &Work, news: News) {
    match news {
        News::Study(place) => {
            let missing = shared.ledger().missing_in(place, None);
            work.dealer().add(place, missing);
        }
        News::Series(place, series) => work.dealer().name(place, series),
        News::Named(place) => {
            let is_open = shared.ledger().missing_in(place, None).is_open;
            work.dealer().named(place, is_open);
        }
    }
    work.fed();
}

impl News {
    fn study(&self) -> Option<usize> {
        match self {
            News::Study(place) => Some(*place),
            News::Series(..) | News::Named(_) => None,
        }
    }
}
