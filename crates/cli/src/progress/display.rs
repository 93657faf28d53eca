//! Where progress is shown: a bar, lines or JSON objects, each when it is due; and what is said beside it.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output;

use super::lists::ListState;
use super::state::{State, Transfer};

/// What is known, and how and when it is shown.
pub(super) struct Display {
    pub(super) style: Style,
    interval: Duration,
    is_verbose: bool,
    shown: Instant,
    pub(super) state: State,
    /// Of a list of queries, where there is one.
    pub(super) list: Option<ListState>,
}

/// How it is shown.
pub(super) enum Style {
    Bar(ProgressBar),
    Lines,
    Json,
    Silent,
}

impl Display {
    /// Of what nothing is known yet.
    pub(super) fn new(style: Style, interval: Duration, is_verbose: bool) -> Display {
        let (shown, state) = (Instant::now(), State::default());
        Display { style, interval, is_verbose, shown, state, list: None }
    }

    pub(super) fn show_when_due(&mut self) {
        if self.shown.elapsed() >= self.interval {
            self.show();
        }
    }

    /// What there is to do is known; the rate is that of the transfer, not of the looking before it.
    pub(super) fn begin_transfer(&mut self, instances: u64) {
        if let Style::Bar(bar) = &self.style {
            bar.set_length(instances);
        }
        if std::mem::replace(&mut self.state.is_planned, true) {
            return;
        }
        self.state.pace.begin(Instant::now(), self.state.arrived, self.state.bytes);
        if let Style::Bar(bar) = &self.style {
            set_template(bar, "{bar:24} {pos}/{len} instances  {msg}");
        }
    }

    /// What only `-v` shows.
    pub(super) fn detail(&self, line: impl FnOnce() -> String) {
        if self.is_verbose {
            self.say(&line());
        }
    }

    pub(super) fn say(&self, line: &str) {
        match &self.style {
            Style::Bar(bar) => bar.println(line),
            Style::Json => output::tell(json!({ "event": "message", "message": line })),
            Style::Silent if !self.is_verbose => {}
            _ => output::tell(line),
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
            (Style::Lines, Some(list)) => output::tell(list.line()),
            (Style::Json, Some(list)) => output::tell(list.json()),
            (Style::Bar(bar), None) => {
                bar.set_position(self.state.done());
                bar.set_message(self.state.message(now));
                bar.tick();
            }
            (Style::Lines, None) => output::tell(self.state.line(now)),
            (Style::Json, None) if self.state.transfer == Transfer::Store => {
                output::tell(self.state.store_json(now));
            }
            (Style::Json, None) => output::tell(self.state.json(now)),
            (Style::Silent, _) => {}
        }
    }
}

/// A bar that is none yet: how much there is to do is being found out.
pub(super) fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    set_template(&bar, "{spinner} {msg}");
    bar
}

/// The template is a literal; one that indicatif cannot read leaves its own.
pub(super) fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
