//! What a person sees on stderr while a retrieve or a store runs: a bar on a terminal, a line every few seconds elsewhere, or
//! JSON for a program; with `-v`, each instance.

mod display;
mod line;
mod lists;
mod pace;
mod retrieving;
mod sending;
mod state;

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use clap::ValueEnum;
use dicomet_net::retrieve::Event;
use dicomet_net::retrieve::bulk::BulkEvent;
use dicomet_net::store;
use tokio::task::JoinHandle;

use display::{Display, Style, bar};

pub use line::duration;
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

/// Shows the events of a retrieve, or of a store, and that there are none.
pub struct Progress {
    display: Arc<Mutex<Display>>,
    /// Shows how it goes while nothing happens.
    ticking: Option<JoinHandle<()>>,
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
        let is_silent = matches!(style, Style::Silent);
        let display = Arc::new(Mutex::new(Display::new(style, interval, is_verbose)));
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
