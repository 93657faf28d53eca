//! The report of a ledger: every expected instance counted once, the reasons for those that are not here, and what the
//! counts do not say.

use super::super::report::{Failure, Report};
use super::Ledger;
use super::entry::{Entry, State};

impl Ledger {
    /// The report, but for what the ledger does not know: time, method, associations. `otherwise` is the reason for
    /// instances that were neither sent nor reported as failed.
    pub fn report(&self, otherwise: &str) -> Report {
        let places = || 0..self.inventory.studies.len();
        let gap: u64 = places().map(|place| self.gap(place)).sum();
        let filled: u64 = places().map(|place| self.filled(place)).sum();
        let filled_now: u64 = places().map(|place| self.filled_now(place)).sum();
        // See [`Report`]: at least one instance each, whatever they have.
        let nameless = self.inventory.nameless;
        let failed = self.count(|state| matches!(state, State::Failed(_))) + nameless;
        let missing = self.count(|state| *state == State::Missing) + gap - filled;
        let proved = self.inventory.studies.iter().all(|study| study.is_named);
        let mut failures: Vec<Failure> =
            self.entries.of_each_study().filter_map(|entry| self.failure(entry, otherwise)).collect();
        failures.sort_by(|a, b| {
            (&a.study, &a.series, &a.sop_instance).cmp(&(&b.study, &b.series, &b.sop_instance))
        });
        Report {
            studies: self.inventory.studies.len() as u64 + nameless,
            expected: self.entries.of_each_study().count() as u64 + gap + nameless,
            retrieved: self.count(|state| *state == State::Retrieved) + filled_now,
            present: self.count(|state| *state == State::Present) + filled - filled_now,
            failed,
            missing,
            bytes: self.bytes,
            complete: proved
                && self.inventory.cut.is_none()
                && !self.inventory.studies.is_empty()
                && failed + missing == 0,
            unnamed: self.unnamed_count() - filled_now,
            failures,
            notes: self.notes(),
            ..Report::default()
        }
    }

    /// Studies, expected instances, and those of them that are here from an earlier run, as in the report.
    pub fn totals(&self) -> (u64, u64, u64) {
        let gap: u64 = (0..self.inventory.studies.len()).map(|place| self.gap(place)).sum();
        let nameless = self.inventory.nameless;
        let studies = self.inventory.studies.len() as u64 + nameless;
        let expected = self.entries.of_each_study().count() as u64 + gap + nameless;
        (studies, expected, self.count(|state| *state == State::Present))
    }

    fn failure(&self, entry: &Entry, otherwise: &str) -> Option<Failure> {
        let reason = match &entry.state {
            State::Failed(reason) => reason.to_string(),
            State::Missing => otherwise.to_owned(),
            State::Present | State::Retrieved => return None,
        };
        let (study, series, instance) = self.names(entry);
        Some(Failure { study: study.clone(), series: series.clone(), sop_instance: instance.clone(), reason })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.inventory.nameless > 0 {
            notes.push(match self.inventory.nameless {
                1 => "1 study that matches has no usable Study Instance UID, so that it cannot be asked for; it is \
                      counted as one failed instance"
                    .to_owned(),
                more => format!(
                    "{more} studies that match have no usable Study Instance UID, so that they cannot be asked for; \
                     each is counted as one failed instance"
                ),
            });
        }
        if let (times, Some(first)) = &self.other_bytes {
            notes.push(match times {
                1 => format!("instance {first} came again with other bytes: the first stays"),
                times => format!(
                    "{times} times, an instance came again with other bytes, as {first} did: the first stays"
                ),
            });
        }
        if let Some(cut) = &self.inventory.cut {
            notes.push(format!(
                "more studies may match than were found: {cut}; keys that match fewer, such as StudyDate, find the rest"
            ));
        } else if self.inventory.by_dates {
            notes.push(
                "the peer does not answer with all studies that match, so they were asked for by ranges of StudyDate; \
                 a study without a date is not found so"
                    .to_owned(),
            );
        }
        if self.inventory.walked > 1 {
            notes.push(format!(
                "{} studies were looked into to find what was asked for: StudyInstanceUID beside it spares that",
                self.inventory.walked
            ));
        }
        for (place, study) in self.inventory.studies.iter().enumerate() {
            let here = self.unnamed[place].count();
            match study.counted {
                Some(counted) if !study.is_named => notes.push(format!(
                    "study {}: the peer counts {counted} instances but does not name them; {here} are here, and \
                     nothing proves that they are the right ones",
                    study.uid
                )),
                Some(counted) if self.shortfall(place) > 0 => notes.push(format!(
                    "study {}: the peer counts {counted} instances, {} more than it names or sends",
                    study.uid,
                    self.shortfall(place)
                )),
                None if !study.is_named => notes.push(format!(
                    "study {}: the peer neither names nor counts the instances; {here} are here, and nothing proves \
                     that they are all",
                    study.uid
                )),
                _ => {}
            }
        }
        notes
    }
}
