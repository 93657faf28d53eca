//! How many associations side by side: what is seen goes in, how many there are to be and why comes out. Pure: time is
//! an argument.
//!
//! ```text
//! measure -> what is left is worth it? -> try twice as many -> the whole is faster by enough? -> keep them, measure
//!                    no: stay             (the most, where one    no: back to as many as before, settled
//!                                          only waits)            less than hoped: as many as that takes, settled
//! settled -> much slower than it was: half as many -> after a while: measure again
//! ```
//!
//! One association without a window of operations waits a round trip for each instance, so over distance several fill
//! a line that one leaves idle. On one machine, or where the peer granted a window that covers the line, further ones
//! only cost. How many a peer serves, it does not tell beforehand: it rejects, it leaves the next one without an
//! answer (Orthanc 1.10 accepts it, and serves `DicomThreadsCount` at a time), or it gets no faster.

mod reason;
mod share;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use reason::Reason;
use share::SMALL_SHARE;
pub use share::{Costs, Share, share};

/// The most that are opened where nobody says how many.
pub const MOST: usize = 16;

/// A peer that answers sooner is on this machine or in this building.
const NEAR: Duration = Duration::from_millis(5);

/// What is left must take so many round trips, or so long, for another association to pay.
const WORTH_ROUND_TRIPS: u32 = 10;
const WORTH: Duration = Duration::from_millis(500);

/// A measurement takes so many round trips at least, and so long.
const MEASURED_ROUND_TRIPS: u32 = 4;
const MEASURED: Duration = Duration::from_millis(200);

/// A measurement of few but big instances takes so long.
const MEASURED_BY_BYTES: Duration = Duration::from_secs(2);

/// What is settled is looked at in longer stretches: a moment of trouble is no reason to change it.
const MEASURED_SETTLED: Duration = Duration::from_secs(3);

/// How much faster the whole must be for further associations to stay, in percent.
const GAIN: f64 = 25.0;

/// How many there are to be for one that is busy all the time: those that fill a line take turns, and new connections are
/// slow at first.
const ROOM: f64 = 2.0;

/// How long what was settled holds, before more are tried again.
const SETTLED_FOR: Duration = Duration::from_secs(60);

/// How long an association may wait for its first instance while others are served: so long and some round trips.
const UNSERVED: Duration = Duration::from_secs(5);

/// What is seen at a moment.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Since the run began.
    pub now: Duration,
    /// Instances that have come so far.
    pub instances: u64,
    /// Bytes that have come so far.
    pub bytes: u64,
    /// Instances that are still to be asked for or to come.
    pub left: u64,
    /// Associations on which something came.
    pub serving: usize,
    /// Associations that are being opened, or wait for the first answer.
    pub opening: usize,
    /// The shortest time in which the peer answered anything.
    pub round_trip: Duration,
    /// Operations that the peer may have under way on one association; 0 is no limit.
    pub window: u16,
}

/// How many there are to be, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Associations.
    pub associations: usize,
    /// Why so many.
    pub reason: Reason,
}

/// Finds the number of associations while a retrieve runs.
#[derive(Debug)]
pub struct Controller {
    most: usize,
    /// The most there may be again, when the peer has let nobody in for a moment.
    most_again: Option<usize>,
    is_fixed: bool,
    wanted: usize,
    phase: Phase,
    opening_since: Option<Duration>,
    /// New associations need a moment until instances come on them.
    quiet_until: Duration,
    mark: Option<Mark>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Measuring,
    /// So many there were before, and so fast it went.
    Trying {
        before: usize,
        rate: Rate,
    },
    Settled {
        since: Duration,
        rate: Option<Rate>,
    },
}

/// Where a measurement began.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Duration,
    instances: u64,
    bytes: u64,
}

/// Of the whole, a second.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// `None` when so few came that they say nothing.
    instances: Option<f64>,
    bytes: f64,
}

impl Rate {
    /// How many times as fast as another one. Instances of one series may be a hundred times as big as those of the
    /// next: bytes and instances together say more than each alone.
    fn over(&self, other: &Rate) -> f64 {
        let ratio = |one: f64, other: f64| if other > 0.0 { one / other } else { 1.0 };
        let by_bytes = ratio(self.bytes, other.bytes);
        match (self.instances, other.instances) {
            (Some(one), Some(other)) => (by_bytes * ratio(one, other)).sqrt(),
            _ => by_bytes,
        }
    }
}

impl Controller {
    /// As many as the user says, or as turn out to be worth it.
    pub fn new(fixed: Option<usize>) -> Controller {
        Controller {
            most: fixed.unwrap_or(MOST),
            most_again: None,
            is_fixed: fixed.is_some(),
            wanted: fixed.unwrap_or(1),
            phase: Phase::Measuring,
            opening_since: None,
            quiet_until: Duration::ZERO,
            mark: None,
        }
    }

    /// Begins with what another run has learnt: the most that the peer serves, and how many were worth it.
    pub fn remember(&mut self, most: Option<usize>, worth: Option<usize>) {
        if self.is_fixed {
            return;
        }
        self.most = most.unwrap_or(MOST).clamp(1, MOST);
        self.wanted = worth.unwrap_or(1).clamp(1, self.most);
    }

    /// How many there are to be at the beginning, for so many instances.
    pub fn begin(&self, instances: usize) -> Advice {
        let reason = match (self.is_fixed, self.wanted) {
            (true, _) => Reason::Asked,
            (false, 1) => Reason::First,
            (false, _) => Reason::Remembered,
        };
        let useful = if self.is_fixed { instances } else { instances.div_ceil(SMALL_SHARE) };
        Advice { associations: self.wanted.min(useful).max(1), reason }
    }

    /// The most that the peer serves, as far as it has shown. That it had none to spare for a moment shows nothing.
    pub fn most(&self) -> Option<usize> {
        let most = self.most_again.unwrap_or(self.most);
        (most < MOST && !self.is_fixed).then_some(most)
    }

    /// Whether there may be more of them soon.
    pub fn is_growing(&self) -> bool {
        !self.is_fixed && self.wanted < self.most && !matches!(self.phase, Phase::Settled { .. })
    }

    /// How many were worth it.
    pub fn worth(&self) -> usize {
        self.wanted
    }

    /// An association was not to be had while so many stood. Where that may pass, as PS3.8 9.3.4 has it of a transient
    /// rejection, more are tried again after a while.
    pub fn rejected(&mut self, now: Duration, standing: usize, is_transient: bool) -> Advice {
        let before = self.most_again.unwrap_or(self.most);
        let advice = self.no_more_than(now, standing, Reason::Rejected);
        self.most_again = (is_transient && !self.is_fixed).then_some(before);
        advice
    }

    /// Some of the associations ended, and so many stand: it goes on with those.
    pub fn lost(&mut self, standing: usize) {
        if !self.is_fixed {
            self.wanted = standing.max(1);
            (self.phase, self.mark) = (Phase::Measuring, None);
        }
    }

    /// Looks at how it goes. Answers when there are to be more or fewer, or when it is settled that there are not.
    pub fn look(&mut self, sight: &Sight) -> Option<Advice> {
        if self.is_fixed || sight.serving == 0 {
            return None;
        }
        if sight.opening > 0 {
            let since = *self.opening_since.get_or_insert(sight.now);
            self.mark = None;
            // Near the end, those that end make room for those that wait.
            let is_served =
                sight.left == 0 || sight.now.saturating_sub(since) <= UNSERVED + 6 * sight.round_trip;
            return (!is_served).then(|| self.no_more_than(sight.now, sight.serving, Reason::Unserved));
        }
        if self.opening_since.take().is_some() {
            self.quiet_until = sight.now + sight.round_trip * 3 / 2;
        }
        if sight.now < self.quiet_until {
            return None;
        }
        if sight.left == 0 {
            // Those that have nothing more to do end: that says nothing of the peer.
            self.mark = None;
            return None;
        }
        let mark = *self.mark.get_or_insert(Mark::of(sight));
        let rate = self.measured(&mark, sight)?;
        self.mark = Some(Mark::of(sight));
        self.conclude(sight, rate)
    }

    /// The rate since the mark, when enough has come.
    fn measured(&self, mark: &Mark, sight: &Sight) -> Option<Rate> {
        let span = sight.now.saturating_sub(mark.at);
        let instances = sight.instances.saturating_sub(mark.instances);
        let bytes = sight.bytes.saturating_sub(mark.bytes);
        let are_many = instances >= 4 * sight.serving as u64;
        let least = match self.phase {
            Phase::Settled { .. } => MEASURED_SETTLED,
            Phase::Measuring | Phase::Trying { .. } => MEASURED,
        };
        let is_long = span >= least.max(MEASURED_ROUND_TRIPS * sight.round_trip);
        if !is_long || !(are_many || span >= MEASURED_BY_BYTES) {
            return None;
        }
        let seconds = span.as_secs_f64();
        let by_instances = are_many.then_some(instances as f64 / seconds);
        Some(Rate { instances: by_instances, bytes: bytes as f64 / seconds })
    }

    fn conclude(&mut self, sight: &Sight, rate: Rate) -> Option<Advice> {
        match self.phase {
            Phase::Measuring => self.consider(sight, rate),
            Phase::Trying { before, rate: earlier } => self.compare(sight, rate, before, earlier),
            Phase::Settled { since, rate: settled } => {
                let is_slow = settled.is_some_and(|settled| rate.over(&settled) < 0.5);
                let is_old = sight.now.saturating_sub(since) >= SETTLED_FOR;
                if is_slow && sight.serving > 1 {
                    self.settle(sight.now, None);
                    return Some(self.want(sight.serving / 2, Reason::Slower));
                }
                if is_old {
                    self.most = self.most_again.take().unwrap_or(self.most);
                    self.phase = Phase::Measuring;
                } else if settled.is_none() {
                    self.phase = Phase::Settled { since, rate: Some(rate) };
                }
                None
            }
        }
    }

    /// Whether those that were tried brought enough.
    fn compare(&mut self, sight: &Sight, rate: Rate, before: usize, earlier: Rate) -> Option<Advice> {
        let times = rate.over(&earlier);
        let percent = (times - 1.0) * 100.0;
        if percent < GAIN {
            let reason = Reason::NoGain { tried: sight.serving, percent: percent.round() as i32 };
            self.settle(sight.now, Some(earlier));
            return Some(self.want(before, reason));
        }
        let enough = (ROOM * times * before as f64).ceil() as usize;
        if enough < sight.serving {
            let reason = Reason::Enough { tried: sight.serving, times: times.round() as u32 };
            self.settle(sight.now, None);
            return Some(self.want(enough, reason));
        }
        self.phase = Phase::Measuring;
        self.consider(sight, rate)
    }

    /// Whether to try more.
    fn consider(&mut self, sight: &Sight, rate: Rate) -> Option<Advice> {
        let left = match rate.instances {
            Some(instances) if instances > 0.0 => {
                Duration::from_secs_f64((sight.left as f64 / instances).min(1e9))
            }
            // Big ones that take seconds each.
            _ => Duration::MAX,
        };
        if sight.left == 0 || left < WORTH.max(WORTH_ROUND_TRIPS * sight.round_trip) {
            return None;
        }
        let is_waiting = is_waiting(sight, rate);
        if sight.window != 1 && !is_waiting {
            self.settle(sight.now, Some(rate));
            return Some(self.want(sight.serving, Reason::Window(sight.window)));
        }
        // Where one does nothing but wait, several are certain to bring something, and each step would cost round trips.
        let more = if is_waiting && sight.serving == 1 { MOST } else { 2 * sight.serving };
        let useful = usize::try_from(sight.left).unwrap_or(usize::MAX).div_ceil(SMALL_SHARE);
        let more = more.min(self.most).min(useful);
        if more <= sight.serving {
            self.settle(sight.now, Some(rate));
            return Some(self.want(sight.serving, Reason::Most));
        }
        self.phase = Phase::Trying { before: sight.serving, rate };
        Some(self.want(more, Reason::Trying))
    }

    fn no_more_than(&mut self, now: Duration, standing: usize, reason: Reason) -> Advice {
        if !self.is_fixed {
            self.most = standing.max(1);
            self.most_again = None;
            // What was gained by those that were served is kept: they work.
            self.settle(now, None);
        }
        self.want(standing.max(1), reason)
    }

    fn settle(&mut self, now: Duration, rate: Option<Rate>) {
        self.phase = Phase::Settled { since: now, rate };
        self.opening_since = None;
        self.mark = None;
    }

    fn want(&mut self, associations: usize, reason: Reason) -> Advice {
        self.wanted = associations;
        self.mark = None;
        Advice { associations, reason }
    }
}

impl Mark {
    fn of(sight: &Sight) -> Mark {
        Mark { at: sight.now, instances: sight.instances, bytes: sight.bytes }
    }
}

/// Whether most of the time is spent waiting for the round trip: the operations under way together take hardly longer.
/// Without a window, what the peer itself takes for each is in it too.
fn is_waiting(sight: &Sight, rate: Rate) -> bool {
    let Some(instances) = rate.instances else { return false };
    if sight.window == 0 || sight.round_trip < NEAR || instances <= 0.0 {
        return false;
    }
    let under_way = sight.serving as f64 * f64::from(sight.window);
    let round_trips = if sight.window == 1 { 2.0 } else { 1.25 };
    under_way / instances < round_trips * sight.round_trip.as_secs_f64()
}
