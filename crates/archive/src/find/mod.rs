//! C-FIND: the matches of a query, one after the other, without ever holding all of them (PS3.4 C.4.1).
//!
//! A query with a condition collects the row numbers of its matches by whatever index serves it best, and reads the
//! rows as they are asked for (`collect`); their numbers take some two bytes each (`rows`). One without a condition goes
//! through the table in its order. Either way no transaction stays open between two answers, so a peer that stops
//! reading holds nobody up. A search ends soon after it is stopped, also while it finds nothing.

mod answer;
mod collect;
mod headers;
mod rows;
mod statements;

use std::collections::VecDeque;
use std::sync::Arc;

use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::Status;
use dicomet_proto::query::Query;
use rusqlite::{Connection, OptionalExtension};

use self::answer::{Answer, answer};
pub(crate) use self::collect::matching_rows;
use self::collect::{Collected, FIRST_COLLECTED};
use self::headers::Headers;
use self::statements::Statements;
use crate::index::condition::{Selection, select};
use crate::store::Shared;
use crate::{Archive, Error, Stop};

/// Answers read at once: few at first, so that the first comes soon, then more.
const FIRST_PAGE: usize = 16;
const LARGEST_PAGE: usize = 512;

impl Archive {
    /// The matches of a query. Whether the identifier fits the hierarchy was found out when the query was read
    /// from it; here a query may be relational.
    ///
    /// # Errors
    /// [`Error::Refused`] with A900 when the model does not have the level, C000 for keys that mean nothing.
    pub fn find(&self, query: &Query) -> Result<Matches, Error> {
        let mut selection = select(query).map_err(Error::Refused)?;
        // Else what is in the index is answered; the log has it.
        self.shared.writer.settle_if_due();
        self.shared.readers.with(|index| Ok(selection.condition.choose_leader(index)?))?;
        let source = match selection.condition.is_universal() {
            true => Source::Scan { after: 0 },
            false => Source::Collected(Collected::beginning_with(FIRST_COLLECTED)),
        };
        Ok(Matches {
            shared: Arc::clone(&self.shared),
            statements: Statements::of(&selection),
            selection,
            source,
            stop: Stop::default(),
            page: VecDeque::new(),
            page_length: FIRST_PAGE,
            is_done: false,
            is_partial: false,
        })
    }
}

/// The matches of a query: an iterator of the identifiers of C-FIND responses, with the requested keys,
/// (0008,0052) and no character set yet chosen; (0008,0054) is left to who knows the AE title. Holds one page
/// of answers and some two bytes for each match that is still to come.
#[derive(Debug)]
pub struct Matches {
    shared: Arc<Shared>,
    selection: Selection,
    statements: Statements,
    source: Source,
    stop: Stop,
    page: VecDeque<Answer>,
    page_length: usize,
    is_done: bool,
    /// The match that was given last is not all that was asked for.
    is_partial: bool,
}

#[derive(Debug)]
enum Source {
    /// The rows whose numbers are collected.
    Collected(Collected),
    /// All rows after this one, in their order.
    Scan { after: i64 },
}

impl Matches {
    /// The keys that can be neither matched nor returned at this level: to be said with FF01.
    pub fn unsupported_keys(&self) -> &[Tag] {
        &self.selection.unsupported
    }

    /// The status of the match that was given last: Pending, or Pending with the warning that keys are not supported,
    /// because of what they are or because the file of this match cannot be read for them.
    pub fn status(&self) -> Status {
        match self.selection.unsupported.is_empty() && !self.is_partial {
            true => Status::PENDING,
            false => Status::PENDING_UNSUPPORTED_KEYS,
        }
    }

    /// The same matches, which end with [`Error::Stopped`] once there is a stop.
    #[must_use]
    pub fn until(self, stop: &Stop) -> Matches {
        Matches { stop: stop.clone(), ..self }
    }

    /// Reads the next page, which may be empty because of filters without being the last.
    fn read_page(&mut self) -> Result<(), Error> {
        let length = self.page_length;
        self.page_length = (length * 2).min(LARGEST_PAGE);
        let shared = Arc::clone(&self.shared);
        let stop = self.stop.clone();
        shared.readers.until(&stop, |index| {
            // One read transaction a page: without it each of the statements for each row takes and frees locks.
            let _snapshot = index.unchecked_transaction()?;
            match &mut self.source {
                Source::Scan { after } => {
                    let after = *after;
                    self.scan(index, after, length)
                }
                Source::Collected(_) => self.read_collected(index, length),
            }
        })
    }

    fn scan(&mut self, index: &Connection, after: i64, length: usize) -> Result<(), Error> {
        let Matches { shared, selection, statements, stop, page, .. } = self;
        let mut headers = Headers::new(index, &shared.folder.layout.blobs, selection.level);
        let mut statement = index.prepare_cached(&statements.scan)?;
        let mut rows = statement.query([after, length as i64])?;
        let (mut count, mut last) = (0, after);
        while let Some(row) = rows.next()? {
            stop.check()?;
            count += 1;
            last = row.get(0)?;
            page.extend(answer(row, selection, &mut headers)?);
        }
        self.source = Source::Scan { after: last };
        self.is_done = count < length;
        Ok(())
    }

    fn read_collected(&mut self, index: &Connection, length: usize) -> Result<(), Error> {
        let Matches { shared, selection, statements, source, stop, page, .. } = self;
        let Source::Collected(collected) = source else { return Ok(()) };
        let rows = collected.next(length, index, selection, statements)?;
        let mut headers = Headers::new(index, &shared.folder.layout.blobs, selection.level);
        let mut statement = index.prepare_cached(&statements.by_row)?;
        for id in rows {
            stop.check()?;
            // Removed since: then it is no match any more.
            let found =
                statement.query_row([id], |row| Ok(answer(row, selection, &mut headers))).optional()?;
            page.extend(found.transpose()?.flatten());
        }
        self.is_done = collected.is_done();
        Ok(())
    }
}

impl Iterator for Matches {
    type Item = Result<DataSet, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(answer) = self.page.pop_front() {
                self.is_partial = answer.is_partial;
                return Some(Ok(answer.identifier));
            }
            if self.is_done {
                return None;
            }
            if let Err(error) = self.read_page() {
                self.is_done = true;
                return Some(Err(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::query::{Level, Model};

    use super::*;
    use crate::Settings;
    use crate::index::attributes::tags;
    use crate::index::schema::open_beside;

    /// An archive whose index has studies of number 1 to this one, every second of them with a CT; they have no header.
    fn archive_of(studies: i64) -> (tempfile::TempDir, Archive) {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(folder.path(), Settings::default()).unwrap();
        let index = open_beside(&folder.path().join("index.sqlite"), &Settings::default()).unwrap();
        add_studies(&index, 1, studies);
        (folder, archive)
    }

    fn add_studies(index: &Connection, from: i64, to: i64) {
        let texts = "patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_birth_date_search,
            patient_sex, study_date, study_date_search, study_time, study_time_search, accession_number, study_id,
            referring_physician_name";
        let empty = vec!["''"; 13].join(", ");
        index
            .execute_batch(&format!(
                "BEGIN;
                 INSERT OR IGNORE INTO patient VALUES (1, 'P', '', '', '', '', '', '');
                 WITH RECURSIVE number (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM number WHERE n < {to})
                 INSERT INTO study (id, patient, study_instance_uid, study_description, {texts})
                 SELECT n, 1, '2.999.' || n, 'CHEST', {empty} FROM number;
                 INSERT INTO study_modality
                 SELECT id, 'CT' FROM study WHERE id BETWEEN {from} AND {to} AND id % 2 = 0;
                 COMMIT;"
            ))
            .unwrap();
    }

    fn of_study(tag: Tag, value: &str) -> Query {
        let mut query = Query::new(Model::StudyRoot, Level::Study);
        query.keys.set_empty(tags::STUDY_INSTANCE_UID);
        query.keys.set_text(tag, value);
        query
    }

    fn numbers(matches: impl Iterator<Item = Result<DataSet, Error>>) -> Vec<i64> {
        matches
            .map(|answer| answer.unwrap().text(tags::STUDY_INSTANCE_UID).unwrap()[6..].parse().unwrap())
            .collect()
    }

    #[test]
    fn more_matches_than_are_collected_at_first_come_once_each() {
        let (_folder, archive) = archive_of(3000);
        for (tag, value, step) in [(tags::MODALITIES_IN_STUDY, "CT", 2), (tags::STUDY_DESCRIPTION, "C*", 1)] {
            let expected: Vec<i64> = (1..=3000).filter(|number| number % step == 0).collect();
            for first in [1, 7, expected.len() - 1, expected.len(), expected.len() + 1] {
                let matches = archive.find(&of_study(tag, value)).unwrap();
                let source = Source::Collected(Collected::beginning_with(first));
                let mut found = numbers(Matches { source, ..matches });
                found.sort_unstable();
                assert!(found == expected, "{} instead of {} for {tag} {first}", found.len(), expected.len());
            }
        }
    }

    #[test]
    fn a_row_number_that_has_become_anothers_is_no_match_by_its_old_holder() {
        let (folder, archive) = archive_of(100);
        let mut matches = archive.find(&of_study(tags::MODALITIES_IN_STUDY, "CT")).unwrap();
        assert!(matches.next().is_some());
        // The highest row goes, and its number with it to one without a CT.
        let index = open_beside(&folder.path().join("index.sqlite"), &Settings::default()).unwrap();
        index
            .execute_batch("DELETE FROM study_modality WHERE study = 100; DELETE FROM study WHERE id = 100")
            .unwrap();
        index
            .execute_batch(
                "INSERT INTO study (patient, study_instance_uid, study_description, patient_id, issuer_of_patient_id,
                     patient_name, patient_birth_date, patient_birth_date_search, patient_sex, study_date,
                     study_date_search, study_time, study_time_search, accession_number, study_id,
                     referring_physician_name)
                 VALUES (1, '2.999.500', '', 'P2', '', '', '', '', '', '', '', '', '', '', '', '')",
            )
            .unwrap();
        assert_eq!(index.last_insert_rowid(), 100);
        let found = numbers(matches);
        assert_eq!(found.len(), 48);
        assert!(!found.contains(&500), "{found:?}");
    }

    #[test]
    fn a_stopped_search_ends_whatever_it_is_at() {
        let (_folder, archive) = archive_of(3000);
        let no_condition = of_study(tags::STUDY_DESCRIPTION, "");
        for query in [no_condition, of_study(tags::MODALITIES_IN_STUDY, "CT")] {
            let stop = Stop::default();
            let mut matches = archive.find(&query).unwrap().until(&stop);
            assert!(matches.next().unwrap().is_ok());
            stop.stop();
            let ended: Vec<_> = matches.filter_map(Result::err).collect();
            assert!(matches!(ended[..], [Error::Stopped]), "{ended:?}");
        }
    }

    /// No event tells that a search is within a page; but it finds nothing, so that its end by a stop can only be
    /// within a page or between two.
    #[test]
    fn a_search_that_finds_nothing_is_stopped_too() {
        let (_folder, archive) = archive_of(3000);
        let mut query = of_study(tags::STUDY_DESCRIPTION, "");
        // From the header, which these studies do not have.
        query.keys.set_text(Tag(0x0010, 0x1010), "042Y");
        let stop = Stop::default();
        let mut matches = archive.find(&query).unwrap().until(&stop);
        matches.read_page().unwrap();
        assert!(matches.page.is_empty() && !matches.is_done);
        stop.stop();
        assert!(matches!(matches.next(), Some(Err(Error::Stopped))));
        assert!(matches.next().is_none());
    }
}
