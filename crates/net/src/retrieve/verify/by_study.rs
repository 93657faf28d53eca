//! What became of one study of a ledger: the numbers of the report, for it alone.

use std::collections::BTreeMap;

use dicomet_proto::Uid;

use super::{Ledger, State};

/// What became of a study. `expected = retrieved + present + failed + missing`, as in the report of a retrieve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StudyOutcome {
    /// Instances that C-FIND named or counted.
    pub expected: u64,
    /// Those that came.
    pub retrieved: u64,
    /// Those that were in the folder already.
    pub present: u64,
    /// Those that did not come, for a reason that is known.
    pub failed: u64,
    /// Those that did not come, and nobody said why.
    pub missing: u64,
    /// Whether every instance that C-FIND named is here, and it named them all.
    pub complete: bool,
    /// Why instances are not here, with which.
    pub reasons: BTreeMap<String, Vec<Uid>>,
}

impl StudyOutcome {
    /// Of a study that could not be looked into: it has one instance at least, which is not here.
    pub fn unknown(reason: impl Into<String>) -> StudyOutcome {
        let reasons = [(reason.into(), Vec::new())].into();
        StudyOutcome { expected: 1, failed: 1, reasons, ..StudyOutcome::default() }
    }
}

impl Ledger {
    /// What became of the study at a place of the inventory; `otherwise` is the reason for what was neither sent nor
    /// reported as failed.
    pub fn outcome(&self, place: usize, otherwise: &str) -> StudyOutcome {
        let study = &self.inventory.studies[place];
        let (gap, filled, filled_now) = (self.gap(place), self.filled(place), self.filled_now(place));
        let mut outcome = StudyOutcome {
            expected: gap,
            retrieved: filled_now,
            present: filled - filled_now,
            missing: gap - filled,
            ..StudyOutcome::default()
        };
        for entry in self.entries.of_study(place).iter().chain(self.entries.elsewhere(place)) {
            let uid = self.names(entry).2;
            outcome.expected += 1;
            match &entry.state {
                State::Present => outcome.present += 1,
                State::Retrieved => outcome.retrieved += 1,
                State::Failed(reason) => {
                    outcome.failed += 1;
                    outcome.reasons.entry(reason.to_string()).or_default().push(uid.clone());
                }
                State::Missing => {
                    outcome.missing += 1;
                    outcome.reasons.entry(otherwise.to_owned()).or_default().push(uid.clone());
                }
            }
        }
        if gap > filled {
            let why =
                "the peer counts instances that it neither names nor sends, or does not name them at all";
            outcome.reasons.entry(why.to_owned()).or_default();
        }
        outcome.complete = study.is_named && outcome.failed + outcome.missing == 0;
        outcome
    }
}
