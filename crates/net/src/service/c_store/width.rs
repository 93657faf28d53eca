//! How many stores are to be under way on an association: found from how long the first takes and how many come through.
//!
//! ```text
//! width = LEAST + rate * (2 * shortest response + SLACK)
//! ```
//!
//! So many fill whatever line there is: a line that is not full answers what it gets within one shortest response,
//! the width grows to more than twice that, and so on until the rate grows no more. Beyond that there is no use in more:
//! they would only wait in the queue of a slow line or a slow peer, are what is sent once more after a cut, and come before
//! whatever is said next. `SLACK` is the longest such queue. Where the rate sinks, the width follows. Pure: time is an
//! argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// While nothing is seen, so many bytes, whatever the number: nearly what a line of 1 Gbit/s holds in 150 ms.
const FIRST_BYTES: u64 = 16 * 1024 * 1024;

/// With so many bytes unanswered, nothing more is begun: what a line of 3.5 Gbit/s holds in 150 ms. It is what has to be
/// sent once more after a cut.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// So many at the least, so that a rate that has sunk can rise again.
const LEAST: usize = 4;

/// How long what is sent may wait for what was sent before, beyond two of the shortest responses. A peer that writes to a
/// disk stands still for longer than a response takes.
const SLACK: Duration = Duration::from_millis(500);

/// The rate is the best of so many spells.
const SPELLS: usize = 4;

/// A spell is two of the shortest responses, and this at the least.
const SPELL: Duration = Duration::from_millis(50);

/// What is seen of one association.
#[derive(Debug)]
pub(super) struct Width {
    most: usize,
    most_bytes: u64,
    wide: usize,
    shortest: Duration,
    /// Responses a second in the last spells.
    rates: VecDeque<f64>,
    /// When the spell now began, rests left out, and what is answered in it.
    begun: Instant,
    answered: u32,
    /// When the last one was answered.
    last: Instant,
}

impl Width {
    /// Never more than `most`, and 1 at the least.
    pub(super) fn new(most: usize, now: Instant) -> Width {
        let most = most.max(1);
        let rates = VecDeque::with_capacity(SPELLS);
        Width {
            most,
            most_bytes: FIRST_BYTES,
            wide: most,
            shortest: Duration::MAX,
            rates,
            begun: now,
            answered: 0,
            last: now,
        }
    }

    /// Whether there is room for one more beside so many, of so many bytes. There always is for one, however long it is.
    pub(super) fn has_room(&self, stores: usize, bytes: u64) -> bool {
        stores == 0 || (stores < self.wide && bytes < self.most_bytes)
    }

    /// One is sent after a rest, with nothing outstanding: the time of the rest is nobody's.
    pub(super) fn rested(&mut self, now: Instant) {
        self.begun += now.duration_since(self.last);
    }

    /// One is answered, after a time.
    pub(super) fn answered(&mut self, after: Duration, now: Instant) {
        self.shortest = self.shortest.min(after);
        self.answered += 1;
        self.last = now;
        let spell = now.duration_since(self.begun);
        if spell < SPELL.max(2 * self.shortest) {
            return;
        }
        if self.rates.len() == SPELLS {
            self.rates.pop_front();
        }
        self.rates.push_back(f64::from(self.answered) / spell.as_secs_f64());
        self.wide = self.found();
        self.most_bytes = MAX_BYTES;
        self.begun = now;
        self.answered = 0;
    }

    fn found(&self) -> usize {
        let rate = self.rates.iter().copied().fold(0.0, f64::max);
        let span = 2 * self.shortest + SLACK;
        let further = rate * span.as_secs_f64();
        // As a float saturates: no rate is beyond `most`.
        LEAST.saturating_add(further as usize).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each store.
    const BYTES: u64 = 20_000;

    /// A line and a peer: so long there and back, and so long for each store, one after the other.
    struct Peer {
        round_trip: Duration,
        each: Duration,
    }

    impl Peer {
        /// Sends as many as the width lets go at any time, until so many are answered; answers how long it took.
        fn run(&self, width: &mut Width, begin: Instant, stores: usize) -> Duration {
            let (mut now, mut free_at, mut left) = (begin, begin, stores);
            let mut under_way: VecDeque<(Instant, Instant)> = VecDeque::new();
            while left > 0 || !under_way.is_empty() {
                while left > 0 && width.has_room(under_way.len(), under_way.len() as u64 * BYTES) {
                    if under_way.is_empty() {
                        width.rested(now);
                    }
                    free_at = free_at.max(now + self.round_trip / 2) + self.each;
                    under_way.push_back((now, free_at + self.round_trip / 2));
                    left -= 1;
                }
                let Some((sent, answered)) = under_way.pop_front() else { break };
                now = answered;
                width.answered(now - sent, now);
            }
            now - begin
        }
    }

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn a_line_over_distance_is_filled() {
        for round_trip in [1, 10, 50, 150, 600].map(milliseconds) {
            let peer = Peer { round_trip, each: milliseconds(4) };
            let mut width = Width::new(1024, Instant::now());
            let took = peer.run(&mut width, Instant::now(), 5000);
            let floor = 5000 * peer.each + round_trip;
            assert!(took < floor + 3 * round_trip, "{round_trip:?}: {took:?}, and the line needs {floor:?}");
        }
    }

    #[test]
    fn no_more_wait_at_a_slow_peer_than_it_works_off_in_a_moment() {
        let peer = Peer { round_trip: milliseconds(1), each: milliseconds(200) };
        let mut width = Width::new(1024, Instant::now());
        peer.run(&mut width, Instant::now(), 100);
        assert_eq!(width.wide, LEAST + 4);
    }

    #[test]
    fn a_peer_that_slows_gets_less_at_a_time() {
        let (fast, slow) = (milliseconds(1), milliseconds(50));
        let mut width = Width::new(1024, Instant::now());
        let begin = Instant::now();
        let took = Peer { round_trip: fast, each: fast }.run(&mut width, begin, 2000);
        assert!(width.wide > 500, "{}", width.wide);
        Peer { round_trip: fast, each: slow }.run(&mut width, begin + took, 2000);
        assert!(width.wide < 40, "{}", width.wide);
    }

    #[test]
    fn a_rest_is_not_taken_for_slowness() {
        let peer = Peer { round_trip: milliseconds(10), each: milliseconds(1) };
        let mut width = Width::new(1024, Instant::now());
        let begin = Instant::now();
        let took = peer.run(&mut width, begin, 2000);
        let before = width.wide;
        for rest in 1..=8 {
            peer.run(&mut width, begin + took + rest * milliseconds(60_000), 100);
        }
        assert!(width.wide > before / 2, "{} after {before}", width.wide);
    }

    #[test]
    fn what_was_negotiated_is_the_most() {
        for most in [0, 1, 7, 40] {
            let mut width = Width::new(most, Instant::now());
            let peer = Peer { round_trip: milliseconds(10), each: Duration::ZERO };
            peer.run(&mut width, Instant::now(), 1000);
            assert_eq!(width.wide, most.max(1));
        }
    }
}
