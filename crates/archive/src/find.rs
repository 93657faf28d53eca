//! C-FIND: the matches of a query, one after the other, without ever holding all of them (PS3.4 C.4.1).
//!
//! A selective query first collects the row numbers of its matches, 8 bytes each, by whatever index serves it
//! best, and reads the rows as they are asked for. One with more matches than that is worth goes through the
//! table in its order instead. Either way no transaction stays open between two answers, so a peer that stops
//! reading holds nobody up.

use std::collections::VecDeque;
use std::sync::Arc;

use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::Status;
use dicomet_proto::query::{Attribute, Level, Query};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::index::attributes::{Kind, level_of, tags};
use crate::index::condition::{Returned, Selection, select};
use crate::index::{header, regions};
use crate::store::Shared;
use crate::{Archive, Error};

/// Row numbers that are collected at most: half a MiB.
const MAX_COLLECTED: usize = 64 * 1024;
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
        let selection = select(query).map_err(Error::Refused)?;
        let statements = Statements::of(&selection);
        let mut matches = Matches {
            shared: Arc::clone(&self.shared),
            statements,
            selection,
            source: Source::Scan { after: 0 },
            page: VecDeque::new(),
            page_length: FIRST_PAGE,
            is_done: false,
        };
        if !matches.selection.condition.is_universal() {
            matches.collect_rows()?;
        }
        Ok(matches)
    }
}

/// The matches of a query: an iterator of the identifiers of C-FIND responses, with the requested keys,
/// (0008,0052) and no character set yet chosen; (0008,0054) is left to who knows the AE title. Holds one page
/// of answers and at most half a MiB of row numbers.
#[derive(Debug)]
pub struct Matches {
    shared: Arc<Shared>,
    selection: Selection,
    statements: Statements,
    source: Source,
    page: VecDeque<DataSet>,
    page_length: usize,
    is_done: bool,
}

#[derive(Debug)]
enum Source {
    /// These rows, collected before.
    Rows(std::vec::IntoIter<i64>),
    /// All rows after this one, in their order.
    Scan { after: i64 },
}

impl Matches {
    /// The keys that can be neither matched nor returned at this level: to be said with FF01.
    pub fn unsupported_keys(&self) -> &[Tag] {
        &self.selection.unsupported
    }

    /// The status of each match: Pending, or Pending with the warning that keys are not supported.
    pub fn status(&self) -> Status {
        if self.selection.unsupported.is_empty() { Status::PENDING } else { Status::PENDING_UNSUPPORTED_KEYS }
    }

    /// Collects the row numbers of all matches, or finds that there are too many.
    fn collect_rows(&mut self) -> Result<(), Error> {
        let rows: Vec<i64> = self.shared.readers.with(|index| {
            let mut statement = index.prepare_cached(&self.statements.collect)?;
            let limit = Value::Integer(MAX_COLLECTED as i64 + 1);
            let parameters = self.selection.condition.parameters.iter().chain([&limit]);
            let rows = statement.query_map(params_from_iter(parameters), |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        if rows.len() <= MAX_COLLECTED {
            self.source = Source::Rows(rows.into_iter());
        }
        Ok(())
    }

    /// Reads the next page, which may be empty because of filters without being the last.
    fn read_page(&mut self) -> Result<(), Error> {
        let Matches { shared, selection, statements, source, page, page_length, is_done } = self;
        let length = *page_length;
        *page_length = (length * 2).min(LARGEST_PAGE);
        shared.readers.with(|index| {
            // One read transaction a page: without it each of the statements for each row takes and frees locks.
            let _snapshot = index.unchecked_transaction()?;
            let mut headers = Headers { index, level: selection.level, series: None };
            match source {
                Source::Rows(rows) => {
                    let mut statement = index.prepare_cached(&statements.by_row)?;
                    for id in rows.by_ref().take(length) {
                        // Removed since: then it is no match any more.
                        let answer = statement
                            .query_row([id], |row| Ok(answer(row, selection, &mut headers)))
                            .optional()?;
                        page.extend(answer.transpose()?.flatten());
                    }
                    *is_done = rows.len() == 0;
                }
                Source::Scan { after } => {
                    let mut statement = index.prepare_cached(&statements.scan)?;
                    let condition = &selection.condition.parameters;
                    let (start, limit) = (Value::Integer(*after), Value::Integer(length as i64));
                    let mut rows = statement
                        .query(params_from_iter([&start].into_iter().chain(condition).chain([&limit])))?;
                    let mut count = 0;
                    while let Some(row) = rows.next()? {
                        count += 1;
                        *after = row.get(0)?;
                        page.extend(answer(row, selection, &mut headers)?);
                    }
                    *is_done = count < length;
                }
            }
            Ok(())
        })
    }
}

impl Iterator for Matches {
    type Item = Result<DataSet, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(answer) = self.page.pop_front() {
                return Some(Ok(answer));
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

/// The row numbers of all matches, at the level of the query.
pub(crate) fn matching_rows(index: &Connection, selection: &Selection) -> Result<Vec<i64>, Error> {
    let mut statement = index.prepare(&Statements::of(selection).collect)?;
    let no_limit = Value::Integer(-1);
    let parameters = selection.condition.parameters.iter().chain([&no_limit]);
    let rows = statement.query_map(params_from_iter(parameters), |row| row.get(0))?;
    let mut rows: Vec<i64> = rows.collect::<Result<_, _>>()?;
    if !selection.filters.is_empty() {
        let mut headers = Headers { index, level: selection.level, series: None };
        let mut matching = Vec::new();
        for id in rows {
            let header = headers.read(id, &selection.needed)?;
            if selection.filters.iter().all(|filter| filter.matches(&header)) {
                matching.push(id);
            }
        }
        rows = matching;
    }
    Ok(rows)
}

/// The statements of one query.
#[derive(Debug)]
struct Statements {
    /// Parameters: those of the condition, how many.
    collect: String,
    /// Parameter: the row.
    by_row: String,
    /// Parameters: the row after which to begin, those of the condition, how many.
    scan: String,
}

impl Statements {
    fn of(selection: &Selection) -> Statements {
        let (table, from, scan_from) = match selection.level {
            Level::Patient => ("patient", "patient", "patient NOT INDEXED"),
            Level::Study => ("study", "study", "study NOT INDEXED"),
            Level::Series => (
                "series",
                "series JOIN study ON study.id = series.study",
                "series NOT INDEXED CROSS JOIN study ON study.id = series.study",
            ),
            Level::Image => (
                "instance",
                "instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study",
                "instance NOT INDEXED CROSS JOIN series ON series.id = instance.series
                     CROSS JOIN study ON study.id = series.study",
            ),
        };
        let mut columns = format!("{table}.id");
        for returned in &selection.returned {
            if let Returned::Column(_, attribute) = returned {
                columns.push_str(", ");
                columns.push_str(attribute.value);
            }
        }
        let condition = selection.condition.sql();
        Statements {
            collect: format!("SELECT {table}.id FROM {from} WHERE {condition} LIMIT ?"),
            by_row: format!("SELECT {columns} FROM {from} WHERE {table}.id = ?"),
            scan: format!(
                "SELECT {columns} FROM {scan_from} WHERE {table}.id > ? AND {condition} ORDER BY {table}.id LIMIT ?"
            ),
        }
    }
}

/// The answer of a row, unless a filter holds it back.
fn answer(row: &Row<'_>, selection: &Selection, headers: &mut Headers<'_>) -> Result<Option<DataSet>, Error> {
    let header = if selection.needed.is_empty() {
        DataSet::new()
    } else {
        headers.read(row.get(0)?, &selection.needed)?
    };
    if !selection.filters.iter().all(|filter| filter.matches(&header)) {
        return Ok(None);
    }
    let mut answer = DataSet::new();
    answer.set_text(tags::QUERY_RETRIEVE_LEVEL, selection.level.as_str());
    let mut column = 0;
    for returned in &selection.returned {
        match returned {
            Returned::Column(tag, attribute) => {
                column += 1;
                if attribute.kind == Kind::Count {
                    answer.set_integer(*tag, row.get(column)?);
                } else {
                    set_text_or_empty(&mut answer, *tag, row.get_ref(column)?.as_str().unwrap_or_default());
                }
            }
            Returned::Header(attribute, wanted) => {
                attribute.answer(&header, &mut answer);
                if let Some(items) = answer.items(attribute.tag).filter(|_| !wanted.is_empty()) {
                    let items = items.iter().map(|item| only(item, wanted)).collect();
                    answer.set_items(attribute.tag, items);
                }
            }
            Returned::Constant(tag, text) => answer.set_text(*tag, text),
            Returned::Empty(attribute) => attribute.answer(&DataSet::new(), &mut answer),
        }
    }
    Ok(Some(answer))
}

fn set_text_or_empty(answer: &mut DataSet, tag: Tag, text: &str) {
    if text.is_empty() {
        answer.set_empty(tag);
    } else {
        answer.set_text(tag, text);
    }
}

/// An item with the requested attributes, those that it lacks empty (PS3.4 C.2.2.2.6).
fn only(item: &DataSet, wanted: &[Attribute]) -> DataSet {
    let mut answer = DataSet::new();
    for attribute in wanted {
        attribute.answer(item, &mut answer);
    }
    answer
}

/// Stored headers, those of a series read once for all its instances that follow one another.
struct Headers<'a> {
    index: &'a Connection,
    level: Level,
    series: Option<(i64, DataSet)>,
}

impl Headers<'_> {
    /// The wanted elements of a row of the query's level, and of the levels above it.
    fn read(&mut self, id: i64, wanted: &[Attribute]) -> Result<DataSet, Error> {
        match self.level {
            Level::Patient => {
                let mut header = DataSet::new();
                self.add(&mut header, "SELECT header FROM patient_header WHERE patient = ?1", id, wanted)?;
                Ok(header)
            }
            Level::Study => {
                let mut header = DataSet::new();
                self.add(&mut header, "SELECT header FROM study_header WHERE study = ?1", id, wanted)?;
                self.add_regions(&mut header, id, wanted)?;
                Ok(header)
            }
            Level::Series => self.of_series(id, wanted),
            Level::Image => self.of_instance(id, wanted),
        }
    }

    fn of_series(&self, series: i64, wanted: &[Attribute]) -> Result<DataSet, Error> {
        let mut header = DataSet::new();
        if wanted.iter().any(|attribute| level_of(attribute.tag) <= Level::Study) {
            let of_study =
                "SELECT header FROM study_header WHERE study = (SELECT study FROM series WHERE id = ?1)";
            self.add(&mut header, of_study, series, wanted)?;
            let study = "SELECT study FROM series WHERE id = ?1";
            let study = self.index.prepare_cached(study)?.query_row([series], |row| row.get(0))?;
            self.add_regions(&mut header, study, wanted)?;
        }
        self.add(&mut header, "SELECT header FROM series_header WHERE series = ?1", series, wanted)?;
        Ok(header)
    }

    fn of_instance(&mut self, instance: i64, wanted: &[Attribute]) -> Result<DataSet, Error> {
        let series: i64 = self
            .index
            .prepare_cached("SELECT series FROM instance WHERE id = ?1")?
            .query_row([instance], |row| row.get(0))?;
        if self.series.as_ref().is_none_or(|(known, _)| *known != series) {
            let mut header = self.of_series(series, wanted)?;
            self.add(&mut header, "SELECT common FROM series_header WHERE series = ?1", series, wanted)?;
            self.series = Some((series, header));
        }
        let mut header = self.series.as_ref().map(|(_, header)| header.clone()).unwrap_or_default();
        self.add(
            &mut header,
            "SELECT difference FROM instance_header WHERE instance = ?1",
            instance,
            wanted,
        )?;
        Ok(header)
    }

    fn add_regions(&self, header: &mut DataSet, study: i64, wanted: &[Attribute]) -> Result<(), Error> {
        if wanted.iter().any(|attribute| attribute.tag == tags::ANATOMIC_REGIONS_IN_STUDY) {
            regions::gather(self.index, study, header)?;
        }
        Ok(())
    }

    fn add(&self, header: &mut DataSet, sql: &str, id: i64, wanted: &[Attribute]) -> Result<(), Error> {
        let mut statement = self.index.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        if let Some(row) = rows.next()? {
            header::read_into(header, row.get_ref(0)?.as_blob().unwrap_or_default(), wanted);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dicomet_proto::query::Model;

    use super::*;
    use crate::Settings;
    use crate::index::schema::open_for_writing;

    /// How SQLite goes about collecting the matches of a key.
    fn plan(index: &Connection, level: Level, keys: &[(Tag, &str)]) -> String {
        let mut query = Query::new(Model::PatientRoot, level);
        for (tag, value) in keys {
            query.keys.set_text(*tag, value);
        }
        let selection = select(&query).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", Statements::of(&selection).collect);
        let mut statement = index.prepare(&sql).unwrap();
        let limit = Value::Integer(1);
        let parameters = selection.condition.parameters.iter().chain([&limit]);
        let steps = statement.query_map(params_from_iter(parameters), |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn selective_keys_never_go_through_a_whole_table() {
        let folder = tempfile::tempdir().unwrap();
        let index = open_for_writing(&folder.path().join("index.sqlite"), &Settings::default()).unwrap();
        let of_study = [(tags::STUDY_INSTANCE_UID, "1.2"), (tags::PATIENT_ID, "P1")];
        // So does what has no index of its own; were it otherwise, this test would look at the wrong words.
        assert!(plan(&index, Level::Study, &[(tags::STUDY_DESCRIPTION, "x")]).contains("SCAN study"));
        for (level, keys) in [
            (Level::Patient, &[(tags::PATIENT_ID, "P1")][..]),
            (Level::Patient, &[(tags::PATIENT_NAME, "bowen*")]),
            (Level::Study, &[(tags::STUDY_INSTANCE_UID, "1.2")]),
            (Level::Study, &[(tags::STUDY_INSTANCE_UID, "1.2\\1.3")]),
            (Level::Study, &[(tags::PATIENT_ID, "P1")]),
            (Level::Study, &[(tags::PATIENT_ID, "P1*")]),
            (Level::Study, &[(tags::PATIENT_NAME, "bowen^william")]),
            (Level::Study, &[(tags::PATIENT_NAME, "bowen*")]),
            (Level::Study, &[(tags::PATIENT_NAME, "*owen*")]),
            (Level::Study, &[(tags::REFERRING_PHYSICIAN_NAME, "house*")]),
            (Level::Study, &[(tags::ACCESSION_NUMBER, "A1")]),
            (Level::Study, &[(tags::STUDY_DATE, "20200301-20200331")]),
            (Level::Study, &[(tags::MODALITIES_IN_STUDY, "MR")]),
            (Level::Series, &of_study),
            (Level::Image, &[of_study[0], (tags::SERIES_INSTANCE_UID, "1.2.3")]),
            (Level::Image, &[(tags::SOP_INSTANCE_UID, "1.2.3.4")]),
        ] {
            let plan = plan(&index, level, keys);
            for table in
                ["patient", "study", "series", "instance", "person_name", "name_text", "study_modality"]
            {
                assert!(!format!("{plan};").contains(&format!("SCAN {table};")), "{keys:?}: {plan}");
                assert!(!plan.contains(&format!("SCAN {table} ")), "{keys:?}: {plan}");
            }
        }
    }
}
