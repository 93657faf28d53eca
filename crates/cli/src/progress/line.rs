//! What is known so far as a person reads it: a line, or the text beside a bar.

use std::time::{Duration, Instant};

use dicomet_proto::message::Counters;

use super::state::{State, Transfer};
use crate::output;

impl State {
    /// Which study it is at, and how far it is in it.
    fn at_study(&self) -> String {
        let mut text = format!("study {}/{}", self.studies_begun, self.studies);
        let current = self.current.as_ref().and_then(|study| self.by_study.get(study));
        if let Some(study) = current.filter(|study| self.studies > 1 && study.expected > 0) {
            text.push_str(&format!(" ({}/{})", study.here.min(study.expected), study.expected));
        }
        text
    }

    fn rates(&self, now: Instant) -> String {
        let mut text = String::new();
        if self.transfer == Transfer::Retrieve {
            text = format!("{}  ", self.at_study());
        }
        let rate = self.rate(now).bytes as u64;
        text.push_str(&format!("{}  {}/s", output::bytes(self.bytes), output::bytes(rate)));
        if let Some(left) = self.left(now) {
            text.push_str(&format!("  {} left", duration(left)));
        }
        if !self.is_all_found {
            text.push_str("  more is being found");
        }
        if self.associations > 1 {
            text.push_str(&format!("  {} associations", self.associations));
        }
        if let Some(peer) = counters(&self.counters) {
            text.push_str(&format!("  (peer: {peer})"));
        }
        if self.refused > 0 {
            let word = if self.transfer == Transfer::Retrieve { "refused" } else { "failed" };
            text.push_str(&format!("  {} {word}", self.refused));
        }
        text
    }

    /// What stands beside the bar, or in its place while there is none.
    pub(super) fn message(&self, now: Instant) -> String {
        if self.is_planned {
            return self.rates(now);
        }
        let instances = output::count(self.expected, "instance", "instances");
        match self.transfer {
            Transfer::Retrieve => {
                format!("finding: {}, {instances} so far", output::count(self.studies, "study", "studies"))
            }
            Transfer::Store => format!("looking: {instances} so far"),
        }
    }

    pub(super) fn line(&self, now: Instant) -> String {
        if !self.is_planned {
            return self.message(now);
        }
        format!("{}/{} instances  {}", self.done(), self.expected, self.rates(now))
    }
}

/// The peer's own counters, those that it gave.
fn counters(counters: &Counters) -> Option<String> {
    let parts = [
        (counters.remaining, "remaining"),
        (counters.completed, "completed"),
        (counters.failed, "failed"),
        (counters.warning, "warning"),
    ];
    let parts: Vec<String> =
        parts.iter().filter_map(|(count, name)| count.map(|count| format!("{count} {name}"))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A duration as a person reads it.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::Uid;

    use super::*;

    const FIRST: Uid = Uid::from_static("1.2.1");
    const SECOND: Uid = Uid::from_static("1.2.2");

    #[test]
    fn a_line_tells_studies_instances_bytes_rate_time_left_and_the_peers_counters() {
        let begin = Instant::now();
        let mut state = State {
            is_planned: true,
            is_all_found: true,
            studies: 2,
            expected: 500,
            present: 100,
            bytes: 200_000_000,
            counters: Counters {
                remaining: Some(200),
                completed: Some(200),
                failed: Some(0),
                warning: Some(0),
            },
            ..State::default()
        };
        state.pace.begin(begin, 0, 0);
        state.study(&FIRST, 150, 100);
        state.study(&SECOND, 350, 0);
        (0..50).for_each(|_| state.arrived(&FIRST));
        (0..150).for_each(|_| state.arrived(&SECOND));
        let now = begin + Duration::from_secs(4);
        assert_eq!(
            state.line(now),
            "300/500 instances  study 2/2 (150/350)  200 MB  50 MB/s  4 s left  \
             (peer: 200 remaining, 200 completed, 0 failed, 0 warning)"
        );
        assert_eq!(state.json(now)["seconds_left"], 4);
        let state = State { is_all_found: false, ..state };
        assert!(state.line(now).contains("4 s left  more is being found  ("), "{}", state.line(now));
        assert_eq!(state.json(now)["all_found"], false);
    }

    #[test]
    fn while_peers_are_asked_what_there_is_that_is_what_is_shown() {
        let state = State { studies: 16, expected: 1, ..State::default() };
        assert_eq!(state.line(Instant::now()), "finding: 16 studies, 1 instance so far");
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_secs(61)), "1 min 1 s");
        assert_eq!(duration(Duration::from_secs(7_260)), "2 h 1 min");
    }
}
