//! What a person sees on stderr while a retrieve or a store runs: a bar on a terminal, a line every few seconds elsewhere, or
//! JSON for a program; with `-v`, each instance.

mod lists;
mod pace;
mod sending;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use dicomet_net::retrieve::associations::Reason;
use dicomet_net::retrieve::bulk::BulkEvent;
use dicomet_net::retrieve::{Arrival, Event};
use dicomet_net::store;
use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary;
use dicomet_proto::message::Counters;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::output;

use lists::ListState;
use pace::{Pace, Rate};

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

/// The rate now is that of so long.
const RECENT: Duration = Duration::from_secs(10);

enum Style {
    Bar(ProgressBar),
    Lines,
    Json,
    Silent,
}

/// Shows the events of a retrieve, or of a store, and that there are none.
pub struct Progress {
    display: Arc<Mutex<Display>>,
    /// Shows how it goes while nothing happens.
    ticking: Option<JoinHandle<()>>,
}

struct Display {
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
#[derive(Debug)]
struct State {
    transfer: Transfer,
    /// What there is to do is known.
    is_planned: bool,
    /// All there is to do is known: nothing more is being found.
    is_all_found: bool,
    studies: u64,
    by_study: HashMap<Uid, StudyState>,
    /// The study of which the last instance came.
    current: Option<Uid>,
    studies_begun: u64,
    expected: u64,
    present: u64,
    arrived: u64,
    refused: u64,
    bytes: u64,
    counters: Counters,
    /// Side by side just now.
    associations: usize,
    pace: Pace,
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
struct StudyState {
    /// As far as that is known.
    expected: u64,
    here: u64,
    has_begun: bool,
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
        let is_silent = matches!(style, Style::Silent);
        let state = State::default();
        let display = Display { style, interval, is_verbose, begin: now, shown: now, state, list: None };
        let display = Arc::new(Mutex::new(display));
        let ticking = (!is_silent).then(|| tokio::spawn(tick(Arc::clone(&display), interval)));
        Progress { display, ticking }
    }

    fn display(&self) -> MutexGuard<'_, Display> {
        self.display.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes an event of a retrieve.
    pub fn event(&mut self, event: &Event) {
        self.display().event(event);
    }

    /// Takes an event of a store.
    pub fn store_event(&mut self, event: &store::Event) {
        self.display().store_event(event);
    }

    /// Takes an event of a list.
    pub fn list_event(&mut self, event: &BulkEvent) {
        self.display().list_event(event);
    }

    /// Says something beside the progress.
    pub fn say(&self, line: &str) {
        self.display().say(line);
    }

    /// The last look: nothing is left on a terminal.
    pub fn finish(self) {
        if let Style::Bar(bar) = &self.display().style {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(ticking) = &self.ticking {
            ticking.abort();
        }
    }
}

/// Shows how it goes, for as long as it does.
async fn tick(display: Arc<Mutex<Display>>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        display.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).show_when_due();
    }
}

impl Display {
    /// Takes an event.
    fn event(&mut self, event: &Event) {
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
                self.state.is_all_found = *is_all;
                if *is_all {
                    self.planned();
                }
            }
            Event::Study { study, expected, present } => self.state.study(study, *expected, *present),
            Event::Associated { accepted, proposed, window } => self.detail(|| {
                format!("association: {accepted} of {proposed} storage contexts accepted, window {window}")
            }),
            Event::SideBySide { associations, reason } => {
                self.state.associations = *associations;
                self.detail(|| side_by_side_line(*associations, reason));
            }
            Event::Bytes(bytes) => self.state.bytes += bytes,
            Event::Arrived(arrival) => {
                self.state.arrived(&arrival.study);
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

    /// What there is to do is known; the rate is that of the transfer, not of the looking before it.
    fn begin_transfer(&mut self, instances: u64) {
        if let Style::Bar(bar) = &self.style {
            bar.set_length(instances);
        }
        if std::mem::replace(&mut self.state.is_planned, true) {
            return;
        }
        self.begin = Instant::now();
        self.state.pace.begin(self.begin, self.state.arrived, self.state.bytes);
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

    fn say(&self, line: &str) {
        match &self.style {
            Style::Bar(bar) => bar.println(line),
            Style::Json => eprintln!("{}", json!({ "event": "message", "message": line })),
            Style::Silent if !self.is_verbose => {}
            _ => eprintln!("{line}"),
        }
    }

    fn show(&mut self) {
        let now = Instant::now();
        self.shown = now;
        if self.state.is_planned {
            self.state.pace.look(now, self.state.arrived, self.state.bytes);
        }
        if let Some(list) = &mut self.list {
            list.look(now);
        }
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
                bar.set_message(self.state.message(now));
                bar.tick();
            }
            (Style::Lines, None) => eprintln!("{}", self.state.line(now)),
            (Style::Json, None) if self.state.transfer == Transfer::Store => {
                eprintln!("{}", self.state.store_json(now));
            }
            (Style::Json, None) => eprintln!("{}", self.state.json(now)),
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

    /// What is expected of a study is known, or is known better.
    fn study(&mut self, study: &Uid, expected: u64, present: u64) {
        let state = self.by_study.entry(study.clone()).or_default();
        state.expected = expected;
        state.here = state.here.max(present);
    }

    /// An instance of a study came.
    fn arrived(&mut self, study: &Uid) {
        self.arrived += 1;
        let state = self.by_study.entry(study.clone()).or_default();
        state.here += 1;
        self.studies_begun += u64::from(!std::mem::replace(&mut state.has_begun, true));
        if self.current.as_ref() != Some(study) {
            self.current = Some(study.clone());
        }
    }

    fn rate(&self, now: Instant) -> Rate {
        self.pace.rate(now, self.arrived, self.bytes)
    }

    /// By the instances: their sizes are not known beforehand.
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.expected.checked_sub(self.done())?;
        let rate = self.rate(now).count;
        (rate > 0.0).then(|| Duration::try_from_secs_f64(left as f64 / rate).ok()).flatten()
    }

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
    fn message(&self, now: Instant) -> String {
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

    fn line(&self, now: Instant) -> String {
        if !self.is_planned {
            return self.message(now);
        }
        format!("{}/{} instances  {}", self.done(), self.expected, self.rates(now))
    }

    fn json(&self, now: Instant) -> serde_json::Value {
        json!({
            "event": "progress",
            "studies": self.studies,
            "expected": self.expected,
            "present": self.present,
            "retrieved": self.arrived,
            "refused": self.refused,
            "bytes": self.bytes,
            "bytes_per_second": self.rate(now).bytes as u64,
            "associations": self.associations,
            "all_found": self.is_all_found,
            "seconds_left": self.left(now).map(|left| left.as_secs()),
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

/// How many associations there are to be, and why.
fn side_by_side_line(associations: usize, reason: &Reason) -> String {
    format!("{}: {reason}", output::count(associations as u64, "association", "associations"))
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
    fn while_peers_are_asked_what_there_is_that_is_what_is_shown() {
        let state = State { studies: 16, expected: 1, ..State::default() };
        assert_eq!(state.line(Instant::now()), "finding: 16 studies, 1 instance so far");
    }

    #[test]
    fn nothing_is_said_of_the_time_left_before_anything_came() {
        assert_eq!(State { expected: 5, ..State::default() }.left(Instant::now()), None);
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_secs(61)), "1 min 1 s");
        assert_eq!(duration(Duration::from_secs(7_260)), "2 h 1 min");
    }
}
