//! The requests of a round: studies, series, or lists of instances, by what is missing. They are dealt out one by one,
//! as large as fits just then, so that associations may come and go while a round is worked off. Pure.

use std::collections::VecDeque;

use dicomet_proto::Uid;
use dicomet_proto::query::Level;

use super::Round;
use crate::retrieve::associations::Share;
use crate::retrieve::verify::{Ledger, MissingInstances, MissingSeries};

/// The most UIDs in one IMAGE level request: 64 characters each stay far below the 65,534 bytes that a UI element
/// holds in Explicit VR, and a peer's SQL gets no endless list.
const MAX_UIDS: usize = 256;

/// The most sub-operations that the counters of one request can tell, being of 16 bits (PS3.7 9.3.3.2). Beyond it some
/// peers refuse, some count from 0 again.
const MAX_SUB_OPERATIONS: usize = 65_535;

/// How finely to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Granularity {
    /// At the coarsest level that asks for just what is missing.
    Coarse,
    /// By series: one study that fails as a whole does not hide what could be had.
    Series,
    /// One instance at a time: one instance that fails does not take others with it.
    Single,
}

impl Granularity {
    /// The next finer one.
    pub fn finer(self) -> Option<Granularity> {
        match self {
            Granularity::Coarse => Some(Granularity::Series),
            Granularity::Series => Some(Granularity::Single),
            Granularity::Single => None,
        }
    }
}

/// One C-GET-RQ.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Study, Series or Image.
    pub level: Level,
    /// Place of the study in the inventory.
    pub study: usize,
    /// The series, for Series and Image.
    pub series: Option<Uid>,
    /// The instances, for Image.
    pub instances: Vec<Uid>,
}

/// Deals out what is missing in some studies.
///
/// Who comes for work gets it of a study that nobody is at work on, if there is one: a big study does not keep small
/// ones waiting when there are several associations, and when it alone is left, all work on it.
#[derive(Debug)]
pub struct Dealer {
    granularity: Granularity,
    waiting: VecDeque<Pile>,
    begun: Vec<Pile>,
    /// Requests that were dealt and not begun.
    returned: Vec<Request>,
    left: usize,
    total: usize,
}

/// What is missing in a study and was not dealt yet.
#[derive(Debug)]
struct Pile {
    study: usize,
    missing: MissingInstances,
    /// Instances that are asked for by themselves, with their series.
    alone: Vec<(Uid, Uid)>,
    is_untouched: bool,
    /// Its series are still being named: it is asked for whole, or series by series as they become known.
    is_being_named: bool,
    /// Requests that are being worked off.
    workers: usize,
}

impl Dealer {
    /// With nothing to deal yet.
    pub fn new(granularity: Granularity) -> Dealer {
        Dealer {
            granularity,
            waiting: VecDeque::new(),
            begun: Vec::new(),
            returned: Vec::new(),
            left: 0,
            total: 0,
        }
    }

    /// With all that a round has to bring.
    pub fn of_round(ledger: &Ledger, round: &Round, granularity: Granularity) -> Dealer {
        let mut dealer = Dealer::new(granularity);
        for part in &round.parts {
            dealer.add(part.study, ledger.missing_in(part.study, part.classes.as_ref()));
        }
        dealer
    }

    /// Leaves out some instances, and deals others by themselves, after the rest of their study.
    pub fn set_apart(&mut self, is_left_out: impl Fn(&Uid) -> bool, is_alone: impl Fn(&Uid) -> bool) {
        for pile in &mut self.waiting {
            let before = pile.count();
            pile.set_apart(&is_left_out, &is_alone);
            self.left -= before - pile.count();
        }
        self.waiting.retain(|pile| !pile.is_empty());
    }

    /// Takes in another study.
    pub fn add(&mut self, study: usize, missing: MissingInstances) {
        if missing.series.is_empty() && !missing.is_open {
            return;
        }
        self.left += missing.count();
        self.total += missing.count();
        let is_being_named = missing.is_being_named;
        let (alone, is_untouched, workers) = (Vec::new(), true, 0);
        self.waiting.push_back(Pile { study, missing, alone, is_untouched, is_being_named, workers });
    }

    /// Takes in a series of a study that is being named. Not where the study has been dealt whole.
    pub fn name(&mut self, study: usize, series: MissingSeries) {
        let count = series.instances.len();
        let Some(pile) = self.pile_being_named(study) else { return };
        pile.missing.series.push(series);
        self.left += count;
        self.total += count;
    }

    /// All series of a study are named. `is_open` is when the peer has more than it named.
    pub fn named(&mut self, study: usize, is_open: bool) {
        let Some(pile) = self.pile_being_named(study) else { return };
        pile.is_being_named = false;
        pile.missing.is_open = is_open && pile.is_untouched;
        self.waiting.retain(|pile| !pile.is_empty());
        self.begun.retain(|pile| pile.workers > 0 || !pile.is_empty());
    }

    fn pile_being_named(&mut self, study: usize) -> Option<&mut Pile> {
        let mut piles = self.waiting.iter_mut().chain(&mut self.begun);
        piles.find(|pile| pile.study == study && pile.is_being_named)
    }

    /// How many instances were not dealt yet, as far as named.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Whether all has been dealt.
    pub fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.waiting.is_empty() && self.begun.iter().all(Pile::is_empty)
    }

    /// How many requests there can be at least: for studies whose instances are not named, one each, or as many as the
    /// peer counts where they will be.
    pub fn least(&self) -> usize {
        let piles = || self.waiting.iter().chain(&self.begun);
        let to_be_named = piles().filter(|pile| pile.is_being_named).map(Pile::unnamed).sum::<usize>();
        (self.left + to_be_named).max(self.waiting.len())
    }

    /// The studies of which not all has been dealt.
    pub fn undealt(&self) -> Vec<usize> {
        let begun = self.begun.iter().filter(|pile| !pile.is_empty());
        let returned = self.returned.iter().map(|request| request.study);
        begun.chain(&self.waiting).map(|pile| pile.study).chain(returned).collect()
    }

    /// How many instances one request is for at the most, where so many workers take from beginning to end. Each gets
    /// several requests, so that none ends long before the others; but none is so small that the round trips count,
    /// unless a worker would have nothing.
    pub fn fair_share(&self, workers: usize) -> usize {
        const REQUESTS_PER_WORKER: usize = 4;
        const SMALL: usize = 8;
        if workers <= 1 {
            return usize::MAX;
        }
        let small = SMALL.min(self.total.div_ceil(workers));
        self.total.div_ceil(REQUESTS_PER_WORKER * workers).max(small).max(1)
    }

    /// The next request, for no more than a share; `None` when there is none now. [`Dealer::done`] is to follow.
    pub fn deal(&mut self, share: Share) -> Option<Request> {
        if let Some(request) = self.returned.pop() {
            self.left = self.left.saturating_sub(request.instances.len());
            return Some(request);
        }
        let share = match self.granularity {
            Granularity::Single => Share::of(1),
            _ => Share { instances: share.instances.clamp(1, MAX_SUB_OPERATIONS), ..share },
        };
        let place = self.next_pile(share)?;
        let pile = &mut self.begun[place];
        let before = pile.count();
        let request = pile.deal(self.granularity, share);
        pile.workers += 1;
        self.left -= before - pile.count();
        request
    }

    /// A request has been worked off, whatever came.
    pub fn done(&mut self, request: &Request) {
        if let Some(pile) = self.begun.iter_mut().find(|pile| pile.study == request.study) {
            pile.workers = pile.workers.saturating_sub(1);
        }
        self.begun.retain(|pile| pile.workers > 0 || !pile.is_empty());
    }

    /// Takes back a request that was not begun; [`Dealer::done`] does not follow any more.
    pub fn put_back(&mut self, request: Request) {
        self.done(&request);
        self.left += request.instances.len();
        self.returned.push(request);
    }

    fn next_pile(&mut self, share: Share) -> Option<usize> {
        let granularity = self.granularity;
        let begun = self.begun.iter().enumerate().filter(|(_, pile)| pile.has_some(granularity, share));
        let fewest = begun.min_by_key(|(_, pile)| pile.workers).map(|(place, pile)| (place, pile.workers));
        let waiting = self.waiting.iter().position(|pile| pile.has_some(granularity, share));
        match (fewest, waiting) {
            (Some((place, 0)), _) | (Some((place, _)), None) => Some(place),
            (_, Some(waiting)) => {
                self.begun.extend(self.waiting.remove(waiting));
                Some(self.begun.len() - 1)
            }
            (None, None) => None,
        }
    }
}

impl Pile {
    /// Whether nothing is left of it, nor to come.
    fn is_empty(&self) -> bool {
        let is_open = self.missing.is_open && self.is_untouched;
        self.missing.series.is_empty() && self.alone.is_empty() && !is_open && !self.is_being_named
    }

    /// Whether something of it can be dealt now.
    fn has_some(&self, granularity: Granularity, share: Share) -> bool {
        let is_named = !self.missing.series.is_empty() || !self.alone.is_empty();
        is_named || self.is_dealt_whole(granularity, share)
    }

    /// Whether the next request is for all of the study.
    fn is_dealt_whole(&self, granularity: Granularity, share: Share) -> bool {
        let missing = &self.missing;
        if !self.is_untouched {
            return false;
        }
        let is_coarse = granularity == Granularity::Coarse;
        if self.is_being_named {
            let few = missing.counted.is_some_and(|counted| counted <= share.instances as u64);
            let fits = missing.counted.is_none_or(|counted| counted <= MAX_SUB_OPERATIONS as u64);
            return is_coarse && fits && (few || !share.cuts_series);
        }
        if missing.is_open {
            return is_coarse || missing.series.is_empty();
        }
        let is_whole = missing.is_whole && missing.series.iter().all(|series| series.is_whole);
        let is_one = !share.cuts_series && missing.series.len() == 1;
        let count = missing.count();
        let is_fair = count <= share.instances || (is_one && count <= MAX_SUB_OPERATIONS);
        is_coarse && is_whole && is_fair && !missing.series.is_empty()
    }

    fn count(&self) -> usize {
        self.missing.count() + self.alone.len()
    }

    /// How many instances are to be named still, as far as the peer counts them.
    fn unnamed(&self) -> usize {
        let counted = self.missing.counted.unwrap_or(0);
        usize::try_from(counted).unwrap_or(usize::MAX).saturating_sub(self.missing.count())
    }

    fn set_apart(&mut self, is_left_out: &impl Fn(&Uid) -> bool, is_alone: &impl Fn(&Uid) -> bool) {
        for series in &mut self.missing.series {
            let before = series.instances.len();
            series.instances.retain(|uid| !is_left_out(uid));
            let alone = series.instances.extract_if(.., |uid| is_alone(uid));
            self.alone.extend(alone.map(|uid| (series.uid.clone(), uid)));
            let is_untouched = series.instances.len() == before;
            series.is_whole &= is_untouched;
            series.is_open &= is_untouched;
        }
        self.missing.is_whole &= self.missing.series.iter().all(|series| series.is_whole);
        self.missing.series.retain(|series| !series.instances.is_empty() || series.is_open);
    }

    fn deal(&mut self, granularity: Granularity, share: Share) -> Option<Request> {
        let is_dealt_whole = self.is_dealt_whole(granularity, share);
        self.is_untouched = false;
        let missing = &mut self.missing;
        if is_dealt_whole {
            missing.series.clear();
            self.is_being_named = false;
            return Some(Request {
                level: Level::Study,
                study: self.study,
                series: None,
                instances: Vec::new(),
            });
        }
        let Some(series) = missing.series.first_mut() else {
            let (series, uid) = self.alone.pop()?;
            return Some(Request {
                level: Level::Image,
                study: self.study,
                series: Some(series),
                instances: vec![uid],
            });
        };
        let request = of_series(self.study, series, granularity, share);
        if series.instances.is_empty() {
            missing.series.remove(0);
        }
        Some(request)
    }
}

/// Takes the next request off a series.
fn of_series(study: usize, series: &mut MissingSeries, granularity: Granularity, share: Share) -> Request {
    let request = |level, instances| Request { level, study, series: Some(series.uid.clone()), instances };
    let whole = if share.cuts_series { share.instances } else { MAX_SUB_OPERATIONS };
    let is_coarse = granularity < Granularity::Single;
    let is_open = series.is_open && (is_coarse || series.instances.is_empty());
    if is_open || (series.is_whole && is_coarse && series.instances.len() <= whole) {
        let request = request(Level::Series, Vec::new());
        series.instances.clear();
        return request;
    }
    // Lists of the same length, rather than full ones and a rest.
    let lists = series.instances.len().div_ceil(share.instances.min(MAX_UIDS)).max(1);
    let length = series.instances.len().div_ceil(lists).max(1);
    let request = request(Level::Image, series.instances.drain(..length).collect());
    series.is_whole = false;
    request
}
