//! The events of a list of queries: how many lines are settled, and how fast it goes now. An average over a day that
//! waited for its hours would tell nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dicomet_net::retrieve::Event;
use dicomet_net::retrieve::bulk::{BulkEvent, Outcome};
use serde_json::json;

use super::{Progress, Style, duration, instance_line, set_template};
use crate::command::get_from::record_line;
use crate::output;

/// The rate now is that of so long, looked at so often.
const RECENT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(1);

/// How far a list is.
#[derive(Debug, Default)]
pub(super) struct ListState {
    lines: u64,
    settled: u64,
    studies: u64,
    instances: u64,
    incomplete: u64,
    bytes: u64,
    associations: usize,
    recent: VecDeque<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    settled: u64,
    bytes: u64,
}

impl Progress {
    /// Takes an event of a list.
    pub fn list_event(&mut self, event: &BulkEvent) {
        let list = self.list.get_or_insert_default();
        match event {
            BulkEvent::Begun { lines } => {
                list.lines = *lines;
                if let Style::Bar(bar) = &self.style {
                    bar.set_length(*lines);
                    set_template(bar, "{bar:24} {pos}/{len} lines  {msg}");
                }
            }
            BulkEvent::Recorded(record) => {
                list.studies += u64::from(record.study.is_some());
                let is_amiss =
                    matches!(record.outcome, Outcome::Partial | Outcome::Failed | Outcome::Nothing);
                list.incomplete += u64::from(is_amiss);
                if let Some(line) = record_line(record) {
                    self.say(&line);
                }
            }
            BulkEvent::Settled { lines } => list.settled = *lines,
            BulkEvent::Getting { studies, instances } => {
                let (studies, instances) = (*studies, *instances);
                self.detail(|| {
                    let studies = output::count(studies, "study", "studies");
                    format!("getting {studies}, {}", output::count(instances, "instance", "instances"))
                });
            }
            BulkEvent::Waiting { until } => {
                let until = until.map(|until| until.format(" until %H:%M").to_string()).unwrap_or_default();
                self.say(&format!("outside the hours of --between: waiting{until}"));
            }
            BulkEvent::Away { reason, again_in } => {
                let again = duration(*again_in);
                self.say(&format!("the peer is away: {}; again in {again}", output::visible(reason)));
            }
            BulkEvent::Back => self.say("the peer is back"),
            BulkEvent::Retrieve(event) => self.retrieve_event(event),
        }
        self.look();
        self.show_when_due();
    }

    /// What of the engine's events counts here: the numbers of a batch are not those of the list.
    fn retrieve_event(&mut self, event: &Event) {
        let list = self.list.get_or_insert_default();
        match event {
            Event::Bytes(bytes) => list.bytes += bytes,
            Event::Arrived(arrival) => {
                list.instances += 1;
                self.detail(|| instance_line(arrival));
            }
            Event::SideBySide { associations, .. } => list.associations = *associations,
            Event::Lost { reason } => self.say(&format!("an association ended early: {reason}")),
            Event::Refused { sop_instance, reason } => self.say(&format!("{sop_instance}: {reason}")),
            _ => {}
        }
    }

    fn look(&mut self) {
        let list = self.list.get_or_insert_default();
        let now = Instant::now();
        if list.recent.back().is_none_or(|look| now - look.at >= LOOK) {
            list.recent.push_back(Look { at: now, settled: list.settled, bytes: list.bytes });
            list.recent.retain(|look| now - look.at <= RECENT);
        }
    }
}

impl ListState {
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Bytes and lines a second, of late.
    fn rates(&self) -> (f64, f64) {
        let Some(oldest) = self.recent.front() else { return (0.0, 0.0) };
        let seconds = oldest.at.elapsed().as_secs_f64().max(0.001);
        ((self.bytes - oldest.bytes) as f64 / seconds, (self.settled - oldest.settled) as f64 / seconds)
    }

    fn left(&self) -> Option<Duration> {
        let (_, lines) = self.rates();
        let left = (self.lines - self.settled) as f64;
        (lines > 0.0).then(|| Duration::try_from_secs_f64(left / lines).ok()).flatten()
    }

    pub(super) fn message(&self) -> String {
        let (bytes, _) = self.rates();
        let mut text = format!(
            "{}, {}  {}  {}/s",
            output::count(self.studies, "study", "studies"),
            output::count(self.instances, "instance", "instances"),
            output::bytes(self.bytes),
            output::bytes(bytes as u64)
        );
        if let Some(left) = self.left() {
            text.push_str(&format!("  {} left", duration(left)));
        }
        if self.associations > 1 {
            text.push_str(&format!("  {} associations", self.associations));
        }
        if self.incomplete > 0 {
            text.push_str(&format!("  {} not complete", self.incomplete));
        }
        text
    }

    pub(super) fn line(&self) -> String {
        format!("{}/{} lines  {}", self.settled, self.lines, self.message())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "event": "progress",
            "lines": self.lines,
            "settled": self.settled,
            "studies": self.studies,
            "retrieved": self.instances,
            "incomplete": self.incomplete,
            "bytes": self.bytes,
            "bytes_per_second": self.rates().0 as u64,
            "associations": self.associations,
            "seconds_left": self.left().map(|left| left.as_secs()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_the_list_is_and_how_fast_it_goes() {
        let ago = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let list = ListState {
            lines: 2_000,
            settled: 500,
            studies: 480,
            instances: 48_000,
            incomplete: 1,
            bytes: 25_000_000_000,
            associations: 4,
            recent: [Look { at: ago, settled: 450, bytes: 24_500_000_000 }].into(),
        };
        let line = list.line();
        assert!(line.starts_with("500/2000 lines  480 studies, 48000 instances  25 GB  50 MB/s  "), "{line}");
        assert!(line.ends_with(" left  4 associations  1 not complete"), "{line}");
    }
}
