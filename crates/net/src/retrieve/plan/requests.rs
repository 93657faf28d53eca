//! The requests of a round: studies, series, or lists of instances, by what is missing now. Pure.

use dicomet_proto::Uid;
use dicomet_proto::query::Level;

use super::Round;
use crate::retrieve::verify::{Ledger, MissingInstances, MissingSeries};

/// The most UIDs in one IMAGE level request: 64 characters each stay far below the 65,534 bytes that a UI element
/// holds in Explicit VR, and a peer's SQL gets no endless list.
const MAX_UIDS: usize = 256;

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

/// The requests of a round, by what is missing now.
///
/// With several workers no request is for more than a fair share of all that the round has to bring: studies are cut
/// into series, and series into lists of instances.
pub fn requests(ledger: &Ledger, round: &Round, granularity: Granularity, workers: usize) -> Vec<Request> {
    let parts: Vec<(usize, MissingInstances)> = round
        .parts
        .iter()
        .map(|part| (part.study, ledger.missing_in(part.study, part.classes.as_ref())))
        .collect();
    let share = match granularity {
        Granularity::Single => 1,
        _ => fair_share(parts.iter().map(|(_, missing)| missing.count()).sum(), workers),
    };
    parts.into_iter().flat_map(|(study, missing)| requests_of(study, missing, granularity, share)).collect()
}

/// How many instances one request is for at the most. Each worker gets several requests, so that none ends long
/// before the others; but none is so small that the round trips count, unless a worker would have nothing.
fn fair_share(instances: usize, workers: usize) -> usize {
    const REQUESTS_PER_WORKER: usize = 4;
    const SMALL: usize = 8;
    if workers <= 1 {
        return usize::MAX;
    }
    let small = SMALL.min(instances.div_ceil(workers));
    instances.div_ceil(REQUESTS_PER_WORKER * workers).max(small).max(1)
}

fn requests_of(
    study: usize,
    missing: MissingInstances,
    granularity: Granularity,
    share: usize,
) -> Vec<Request> {
    let whole = missing.series.iter().all(|series| series.is_whole) && missing.is_whole;
    let study_level = Request { level: Level::Study, study, series: None, instances: Vec::new() };
    if missing.is_open && (granularity == Granularity::Coarse || missing.series.is_empty()) {
        return vec![study_level];
    }
    let is_fair = missing.count() <= share;
    if granularity == Granularity::Coarse && whole && is_fair && !missing.series.is_empty() {
        return vec![study_level];
    }
    missing
        .series
        .into_iter()
        .flat_map(|series| requests_of_series(study, series, granularity, share))
        .collect()
}

fn requests_of_series(
    study: usize,
    series: MissingSeries,
    granularity: Granularity,
    share: usize,
) -> Vec<Request> {
    let request = |level, instances| Request { level, study, series: Some(series.uid.clone()), instances };
    if series.is_whole && granularity < Granularity::Single && series.instances.len() <= share {
        return vec![request(Level::Series, Vec::new())];
    }
    // Lists of the same length, rather than full ones and a rest.
    let lists = series.instances.len().div_ceil(share.min(MAX_UIDS)).max(1);
    let length = series.instances.len().div_ceil(lists).max(1);
    series.instances.chunks(length).map(|uids| request(Level::Image, uids.to_vec())).collect()
}
