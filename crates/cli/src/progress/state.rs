//! What is known of a transfer so far: what there is to do, what is done, how fast it goes and how long it will take.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dicomet_proto::Uid;
use dicomet_proto::message::Counters;

use super::pace::{Pace, Rate};

/// The rate now is that of so long.
const RECENT: Duration = Duration::from_secs(10);

/// Which way instances go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Transfer {
    /// To us.
    #[default]
    Retrieve,
    /// To the peer.
    Store,
}

/// What is known so far. What has arrived, or was refused, has so at the one that stores.
#[derive(Debug)]
pub(super) struct State {
    pub(super) transfer: Transfer,
    /// What there is to do is known.
    pub(super) is_planned: bool,
    /// All there is to do is known: nothing more is being found.
    pub(super) is_all_found: bool,
    pub(super) studies: u64,
    pub(super) by_study: HashMap<Uid, StudyState>,
    /// The study of which the last instance came.
    pub(super) current: Option<Uid>,
    pub(super) studies_begun: u64,
    pub(super) expected: u64,
    pub(super) present: u64,
    pub(super) arrived: u64,
    pub(super) refused: u64,
    pub(super) bytes: u64,
    pub(super) counters: Counters,
    /// Side by side just now.
    pub(super) associations: usize,
    pub(super) pace: Pace,
}

impl Default for State {
    fn default() -> State {
        State {
            transfer: Transfer::default(),
            is_planned: false,
            is_all_found: false,
            studies: 0,
            by_study: HashMap::new(),
            current: None,
            studies_begun: 0,
            expected: 0,
            present: 0,
            arrived: 0,
            refused: 0,
            bytes: 0,
            counters: Counters::default(),
            associations: 0,
            pace: Pace::over(RECENT),
        }
    }
}

/// How far a study is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StudyState {
    /// As far as that is known.
    pub(super) expected: u64,
    pub(super) here: u64,
    pub(super) has_begun: bool,
}

impl State {
    pub(super) fn done(&self) -> u64 {
        (self.present + self.arrived).min(self.expected.max(self.arrived))
    }

    /// What is expected of a study is known, or is known better.
    pub(super) fn study(&mut self, study: &Uid, expected: u64, present: u64) {
        let state = self.by_study.entry(study.clone()).or_default();
        state.expected = expected;
        state.here = state.here.max(present);
    }

    /// An instance of a study came.
    pub(super) fn arrived(&mut self, study: &Uid) {
        self.arrived += 1;
        let state = self.by_study.entry(study.clone()).or_default();
        state.here += 1;
        self.studies_begun += u64::from(!std::mem::replace(&mut state.has_begun, true));
        if self.current.as_ref() != Some(study) {
            self.current = Some(study.clone());
        }
    }

    pub(super) fn rate(&self, now: Instant) -> Rate {
        self.pace.rate(now, self.arrived, self.bytes)
    }

    /// By the instances: their sizes are not known beforehand.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.expected.checked_sub(self.done())?;
        let rate = self.rate(now).count;
        (rate > 0.0).then(|| Duration::try_from_secs_f64(left as f64 / rate).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Uid = Uid::from_static("1.2.1");

    #[test]
    fn a_stall_is_shown_as_one() {
        let begin = Instant::now();
        let mut state = State { is_planned: true, expected: 500, ..State::default() };
        state.pace.begin(begin, 0, 0);
        state.arrived(&FIRST);
        state.bytes = 1_000_000;
        for second in 1..=20 {
            state.pace.look(begin + Duration::from_secs(second), state.arrived, state.bytes);
        }
        let now = begin + Duration::from_secs(20);
        assert_eq!((state.json(now)["bytes_per_second"].as_u64(), state.left(now)), (Some(0), None));
    }

    #[test]
    fn nothing_is_said_of_the_time_left_before_anything_came() {
        assert_eq!(State { expected: 5, ..State::default() }.left(Instant::now()), None);
    }
}
