//! The events of a store.

use std::time::Instant;

use dicomet_net::store::{Event, Remark, Sent};
use dicomet_proto::dataset::dictionary;
use dicomet_proto::message::Status;
use serde_json::json;

use super::display::Display;
use super::retrieving::side_by_side_line;
use super::state::{State, Transfer};
use crate::output;

impl Display {
    /// Takes an event of a store.
    pub(super) fn store_event(&mut self, event: &Event) {
        self.state.transfer = Transfer::Store;
        match event {
            Event::Found { files } => self.state.expected = *files,
            Event::Planned { files, bytes, contexts, rounds } => {
                self.state.expected = *files;
                self.state.is_all_found = true;
                self.begin_transfer(*files);
                self.detail(|| {
                    format!(
                        "{}, {}; {} in {}",
                        output::count(*files, "instance", "instances"),
                        output::bytes(*bytes),
                        output::count(*contexts as u64, "presentation context", "presentation contexts"),
                        output::count(*rounds as u64, "association", "associations"),
                    )
                });
            }
            Event::Associated { accepted, proposed, window } => self.detail(|| {
                format!("association: {accepted} of {proposed} contexts accepted, window {window}")
            }),
            Event::SideBySide { associations, reason } => {
                self.state.associations = *associations;
                self.detail(|| side_by_side_line(*associations, reason));
            }
            Event::OneAlone => self
                .say("one association alone: dcmqrscp loses instances that are stored with it side by side"),
            Event::Bytes(bytes) => self.state.bytes += bytes,
            Event::Sent(sent) => {
                self.state.arrived += 1;
                self.detail(|| sent_line(sent));
            }
            Event::Failed(remark) => {
                self.state.refused += 1;
                self.detail(|| format!("failed: {}", remark_line(remark)));
            }
            Event::Unknown(remark) => {
                self.detail(|| format!("not known whether stored: {}", remark_line(remark)));
            }
            Event::Skipped(remark) => self.say(&format!("passed over: {}", remark_line(remark))),
            Event::Lost { reason } => self.say(&format!("an association ended early: {reason}")),
        }
        self.show_when_due();
    }
}

impl State {
    pub(super) fn store_json(&self, now: Instant) -> serde_json::Value {
        json!({
            "event": "progress",
            "files": self.expected,
            "sent": self.arrived,
            "failed": self.refused,
            "bytes": self.bytes,
            "bytes_per_second": self.rate(now).bytes as u64,
            "associations": self.associations,
            "seconds_left": self.left(now).map(|left| left.as_secs()),
        })
    }
}

/// A file and what is to be said of it, on a line of its own.
pub fn remark_line(remark: &Remark) -> String {
    let path = remark.path.display().to_string();
    format!("{}: {}", output::visible(&path), output::visible(&remark.reason))
}

fn sent_line(sent: &Sent) -> String {
    let syntax = dictionary::uid_name(&sent.transfer_syntax).unwrap_or(sent.transfer_syntax.as_str());
    let path = sent.path.display().to_string();
    let mut line = format!("{}  {syntax}", output::visible(&path));
    if sent.status != Status::SUCCESS {
        line.push_str(&format!("  {}", sent.status));
    }
    if let Some(comment) = &sent.comment {
        line.push_str(&format!("  {}", output::visible(comment)));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_of_a_store_tells_files_bytes_rate_and_failures_and_no_studies() {
        let begin = Instant::now();
        let mut state = State {
            transfer: Transfer::Store,
            is_planned: true,
            is_all_found: true,
            expected: 500,
            arrived: 200,
            refused: 1,
            bytes: 200_000_000,
            associations: 4,
            ..State::default()
        };
        state.pace.begin(begin, 0, 0);
        let now = begin + Duration::from_secs(4);
        assert_eq!(state.line(now), "200/500 instances  200 MB  50 MB/s  6 s left  4 associations  1 failed");
        assert_eq!(
            (&state.store_json(now)["sent"], &state.store_json(now)["associations"]),
            (&200.into(), &4.into())
        );
    }
}
