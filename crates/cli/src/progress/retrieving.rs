//! The events of a retrieve.

use std::time::Instant;

use dicomet_net::retrieve::associations::Reason;
use dicomet_net::retrieve::{Arrival, Event};
use dicomet_proto::dataset::dictionary;
use serde_json::json;

use super::display::Display;
use super::state::State;
use crate::output;

impl Display {
    /// Takes an event of a retrieve.
    pub(super) fn event(&mut self, event: &Event) {
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
}

impl State {
    pub(super) fn json(&self, now: Instant) -> serde_json::Value {
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

/// How many associations there are to be, and why.
pub(super) fn side_by_side_line(associations: usize, reason: &Reason) -> String {
    format!("{}: {reason}", output::count(associations as u64, "association", "associations"))
}

pub(super) fn instance_line(arrival: &Arrival) -> String {
    let syntax = dictionary::uid_name(&arrival.transfer_syntax).unwrap_or(arrival.transfer_syntax.as_str());
    format!("{}  {syntax}  from {}", output::visible(&arrival.path.display().to_string()), arrival.ae_title)
}
