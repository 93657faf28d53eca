//! What a person sees on stderr while a retrieve or a store runs: a bar on a terminal, a line every few seconds elsewhere, or
//! JSON for a program; with `-v`, each instance.

mod lists;
mod sending;

use std::collections::HashSet;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use dicomet_net::retrieve::{Arrival, Event};
use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;
use dicomet_proto::message::Counters;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output;

use lists::ListState;

pub use sending::remark_line;

/// When and how progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// A bar on a terminal, a line every few seconds elsewhere
    Auto,
    /// As auto, with a line every second where there is no terminal
    Always,
    /// Nothing
    Never,
    /// A JSON object a line
    Json,
}

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Between two lines when they are asked for, and between two JSON objects.
const SHORT_INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks of a bar.
const BAR_INTERVAL: Duration = Duration::from_millis(100);

enum Style {
    Bar(ProgressBar),
    Lines,
    Json,
    Silent,
}

/// Shows the events of a retrieve, or of a store.
pub struct Progress {
    style: Style,
    interval: Duration,
    is_verbose: bool,
    begin: Instant,
    shown: Instant,
    state: State,
    /// Of a list of queries, where there is one.
    list: Option<ListState>,
}

/// Which way instances go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Transfer {
    /// To us.
    #[default]
    Retrieve,
    /// To the peer.
    Store,
}

/// What is known so far. What has arrived, or was refused, has so at the one that stores.
#[derive(Debug, Default)]
struct State {
    transfer: Transfer,
    /// What there is to do is known.
    is_planned: bool,
    studies: u64,
    studies_seen: HashSet<Uid>,
    expected: u64,
    present: u64,
    arrived: u64,
    refused: u64,
    bytes: u64,
    counters: Counters,
    /// Side by side just now.
    associations: usize,
}

impl Progress {
    /// Begins.
    pub fn new(progress: ProgressArg, is_verbose: bool) -> Progress {
        let is_terminal = std::io::stderr().is_terminal();
        let (style, interval) = match progress {
            ProgressArg::Never => (Style::Silent, LINE_INTERVAL),
            ProgressArg::Json => (Style::Json, SHORT_INTERVAL),
            _ if is_terminal => (Style::Bar(bar()), BAR_INTERVAL),
            ProgressArg::Auto => (Style::Lines, LINE_INTERVAL),
            ProgressArg::Always => (Style::Lines, SHORT_INTERVAL),
        };
        let now = Instant::now();
        Progress { style, interval, is_verbose, begin: now, shown: now, state: State::default(), list: None }
    }

    /// Takes an event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Known(habits) => {
                self.detail(|| format!("learnt of this node before: {}", habits.join("; ")));
            }
            Event::Found { .. } if self.state.is_planned => {}
            Event::Found { studies, instances } => {
                self.state.studies = *studies;
                self.state.expected = *instances;
            }
            Event::Planned { studies, expected, present, is_all } => {
                self.state.studies = *studies;
                self.state.expected = *expected;
                self.state.present = *present;
                self.begin_transfer(*expected);
                if *is_all {
                    self.planned();
                }
            }
            Event::Associated { accepted, proposed, window } => self.detail(|| {
                format!("association: {accepted} of {proposed} storage contexts accepted, window {window}")
            }),
            Event::SideBySide { associations, reason } => {
                self.state.associations = *associations;
                self.detail(|| {
                    format!(
                        "{}: {reason}",
                        output::count(*associations as u64, "association", "associations")
                    )
                });
            }
            Event::Bytes(bytes) => self.state.bytes += bytes,
            Event::Arrived(arrival) => {
                self.state.arrived += 1;
                if !self.state.studies_seen.contains(&arrival.study) {
                    self.state.studies_seen.insert(arrival.study.clone());
                }
                self.detail(|| instance_line(arrival));
            }
            Event::Refused { sop_instance, reason } => {
                self.state.refused += 1;
                self.say(&format!("{sop_instance}: {reason}"));
            }
            Event::Counters(counters) => self.state.counters = *counters,
            Event::Ended { status, comment } => self.detail(|| match comment {
                Some(comment) => format!("the peer ended with {status}: {}", output::visible(comment)),
                None => format!("the peer ended with {status}"),
            }),
            Event::Lost { reason } => self.say(&format!("an association ended early: {reason}")),
            Event::AskingAgain { missing } => self.say(&format!(
                "{} missing; asking again",
                output::count(*missing, "instance is", "instances are")
            )),
        }
        self.show_when_due();
    }

    fn show_when_due(&mut self) {
        if self.shown.elapsed() >= self.interval {
            self.show();
        }
    }

    /// The last look: nothing is left on a terminal.
    pub fn finish(self) {
        if let Style::Bar(bar) = self.style {
            bar.finish_and_clear();
        }
    }

    /// What there is to do is known; the rate is that of the transfer, not of the looking before it.
    fn begin_transfer(&mut self, instances: u64) {
        if let Style::Bar(bar) = &self.style {
            bar.set_length(instances);
        }
        if std::mem::replace(&mut self.state.is_planned, true) {
            return;
        }
        self.begin = Instant::now();
        if let Style::Bar(bar) = &self.style {
            set_template(bar, "{bar:24} {pos}/{len} instances  {msg}");
        }
    }

    fn planned(&mut self) {
        let State { studies, expected, present, .. } = self.state;
        self.detail(|| {
            format!(
                "{}, {}, {present} of them here already",
                output::count(studies, "study", "studies"),
                output::count(expected, "instance", "instances")
            )
        });
    }

    /// What only `-v` shows.
    fn detail(&self, line: impl FnOnce() -> String) {
        if self.is_verbose {
            self.say(&line());
        }
    }

    /// Says something beside the progress.
    pub fn say(&self, line: &str) {
        match &self.style {
            Style::Bar(bar) => bar.println(line),
            Style::Json => eprintln!("{}", json!({ "event": "message", "message": line })),
            Style::Silent if !self.is_verbose => {}
            _ => eprintln!("{line}"),
        }
    }

    fn show(&mut self) {
        self.shown = Instant::now();
        let elapsed = self.begin.elapsed();
        match (&self.style, &self.list) {
            (Style::Bar(bar), Some(list)) => {
                bar.set_position(list.settled());
                bar.set_message(list.message());
                bar.tick();
            }
            (Style::Lines, Some(list)) => eprintln!("{}", list.line()),
            (Style::Json, Some(list)) => eprintln!("{}", list.json()),
            (Style::Bar(bar), None) => {
                bar.set_position(self.state.done());
                bar.set_message(self.state.message(elapsed));
                bar.tick();
            }
            (Style::Lines, None) => eprintln!("{}", self.state.line(elapsed)),
            (Style::Json, None) if self.state.transfer == Transfer::Store => {
                eprintln!("{}", self.state.store_json(elapsed));
            }
            (Style::Json, None) => eprintln!("{}", self.state.json(elapsed)),
            (Style::Silent, _) => {}
        }
    }
}

/// A bar that is none yet: how much there is to do is being found out.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    set_template(&bar, "{spinner} {msg}");
    bar
}

/// The template is a literal; one that indicatif cannot read leaves its own.
fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

impl State {
    fn done(&self) -> u64 {
        (self.present + self.arrived).min(self.expected.max(self.arrived))
    }

    fn bytes_per_second(&self, elapsed: Duration) -> u64 {
        (self.bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64
    }

    /// By the instances: their sizes are not known beforehand.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let left = self.expected.checked_sub(self.done()).filter(|_| self.arrived > 0)?;
        Some(elapsed.mul_f64(left as f64 / self.arrived as f64))
    }

    fn rates(&self, elapsed: Duration) -> String {
        let mut text = String::new();
        if self.transfer == Transfer::Retrieve {
            text = format!("study {}/{}  ", self.studies_seen.len(), self.studies);
        }
        let rate = self.bytes_per_second(elapsed);
        text.push_str(&format!("{}  {}/s", output::bytes(self.bytes), output::bytes(rate)));
        if let Some(left) = self.left(elapsed) {
            text.push_str(&format!("  {} left", duration(left)));
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
    fn message(&self, elapsed: Duration) -> String {
        if self.is_planned {
            return self.rates(elapsed);
        }
        let instances = output::count(self.expected, "instance", "instances");
        match self.transfer {
            Transfer::Retrieve => {
                format!("finding: {}, {instances} so far", output::count(self.studies, "study", "studies"))
            }
            Transfer::Store => format!("looking: {instances} so far"),
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        if !self.is_planned {
            return self.message(elapsed);
        }
        format!("{}/{} instances  {}", self.done(), self.expected, self.rates(elapsed))
    }

    fn json(&self, elapsed: Duration) -> serde_json::Value {
        json!({
            "event": "progress",
            "studies": self.studies,
            "expected": self.expected,
            "present": self.present,
            "retrieved": self.arrived,
            "refused": self.refused,
            "bytes": self.bytes,
            "bytes_per_second": self.bytes_per_second(elapsed),
            "associations": self.associations,
            "seconds_left": self.left(elapsed).map(|left| left.as_secs()),
            "peer": {
                "remaining": self.counters.remaining,
                "completed": self.counters.completed,
                "failed": self.counters.failed,
                "warning": self.counters.warning,
            },
        })
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

fn instance_line(arrival: &Arrival) -> String {
    let syntax = dictionary::uid_name(&arrival.transfer_syntax).unwrap_or(arrival.transfer_syntax.as_str());
    format!("{}  {syntax}  from {}", output::visible(&arrival.path.display().to_string()), arrival.ae_title)
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
    use super::*;

    #[test]
    fn a_line_tells_studies_instances_bytes_rate_time_left_and_the_peers_counters() {
        let state = State {
            is_planned: true,
            studies: 2,
            studies_seen: HashSet::from([Uid::from_static("1.2")]),
            expected: 500,
            present: 100,
            arrived: 200,
            bytes: 200_000_000,
            counters: Counters {
                remaining: Some(200),
                completed: Some(200),
                failed: Some(0),
                warning: Some(0),
            },
            ..State::default()
        };
        assert_eq!(
            state.line(Duration::from_secs(4)),
            "300/500 instances  study 1/2  200 MB  50 MB/s  4 s left  \
             (peer: 200 remaining, 200 completed, 0 failed, 0 warning)"
        );
        assert_eq!(state.json(Duration::from_secs(4))["seconds_left"], 4);
    }

    #[test]
    fn while_peers_are_asked_what_there_is_that_is_what_is_shown() {
        let state = State { studies: 16, expected: 1, ..State::default() };
        assert_eq!(state.line(Duration::from_secs(1)), "finding: 16 studies, 1 instance so far");
    }

    #[test]
    fn nothing_is_said_of_the_time_left_before_anything_came() {
        assert_eq!(State { expected: 5, ..State::default() }.left(Duration::from_secs(1)), None);
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_secs(61)), "1 min 1 s");
        assert_eq!(duration(Duration::from_secs(7_260)), "2 h 1 min");
    }
}
