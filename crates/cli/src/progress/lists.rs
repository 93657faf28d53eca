//! The events of a list of queries: how many lines are settled, and how fast it goes now.

use std::time::{Duration, Instant};

use dicomet_net::retrieve::Event;
use dicomet_net::retrieve::bulk::{BulkEvent, Outcome};
use serde_json::json;

use super::display::{Display, Style, set_template};
use super::line::duration;
use super::pace::{Pace, Rate};
use super::retrieving::{instance_line, side_by_side_line};
use crate::command::get_from::record_line;
use crate::output;

/// The rate now is that of so long: some studies are large.
const RECENT: Duration = Duration::from_secs(120);

/// How far a list is.
#[derive(Debug)]
pub(super) struct ListState {
    lines: u64,
    settled: u64,
    studies: u64,
    instances: u64,
    incomplete: u64,
    bytes: u64,
    associations: usize,
    pace: Pace,
}

impl Default for ListState {
    fn default() -> ListState {
        let mut pace = Pace::over(RECENT);
        pace.begin(Instant::now(), 0, 0);
        ListState {
            lines: 0,
            settled: 0,
            studies: 0,
            instances: 0,
            incomplete: 0,
            bytes: 0,
            associations: 0,
            pace,
        }
    }
}

impl Display {
    /// Takes an event of a list.
    pub(super) fn list_event(&mut self, event: &BulkEvent) {
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
            Event::SideBySide { associations, reason } => {
                list.associations = *associations;
                self.detail(|| side_by_side_line(*associations, reason));
            }
            Event::Lost { reason } => self.say(&format!("an association ended early: {reason}")),
            Event::Refused { sop_instance, reason } => self.say(&format!("{sop_instance}: {reason}")),
            _ => {}
        }
    }
}

impl ListState {
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    pub(super) fn look(&mut self, now: Instant) {
        self.pace.look(now, self.settled, self.bytes);
    }

    /// Lines and bytes.
    fn rate(&self) -> Rate {
        self.pace.rate(Instant::now(), self.settled, self.bytes)
    }

    fn left(&self) -> Option<Duration> {
        let lines = self.rate().count;
        let left = self.lines.saturating_sub(self.settled) as f64;
        (lines > 0.0).then(|| Duration::try_from_secs_f64(left / lines).ok()).flatten()
    }

    pub(super) fn message(&self) -> String {
        let mut text = format!(
            "{}, {}  {}  {}/s",
            output::count(self.studies, "study", "studies"),
            output::count(self.instances, "instance", "instances"),
            output::bytes(self.bytes),
            output::bytes(self.rate().bytes as u64)
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
            "bytes_per_second": self.rate().bytes as u64,
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
        let mut list = ListState {
            lines: 2_000,
            settled: 500,
            studies: 480,
            instances: 48_000,
            incomplete: 1,
            bytes: 25_000_000_000,
            associations: 4,
            ..ListState::default()
        };
        list.pace.begin(ago, 450, 24_500_000_000);
        let line = list.line();
        assert!(line.starts_with("500/2000 lines  480 studies, 48000 instances  25 GB  50 MB/s  "), "{line}");
        assert!(line.ends_with(" left  4 associations  1 not complete"), "{line}");
    }
}
