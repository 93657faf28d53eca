//! The modality worklist: what is scheduled, and who asks for it (PS3.4 Annex K).
//!
//! It lies in a database of its own beside the index: an index can be rebuilt from the blobs, a worklist from
//! nothing. Whoever puts items in need not hold the archive's lock, so a worklist is filled while it is served.
//!
//! A search goes two ways at once: columns and `names` narrow it by SQL, and what is left is held against the query
//! by [`dicomet_proto::query`], which has the last word. [`item`] checks what is put in, [`file`](mod@file) reads it.

pub mod file;
pub mod item;
mod names;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use dicomet_proto::dataset::dictionary::uids::EXPLICIT_VR_LITTLE_ENDIAN;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{Refusal, Status};
use dicomet_proto::query::{Level, Matching, MatchingKey, Model, Query, Range};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params, params_from_iter};

pub use item::{InvalidItem, WorklistItem};

use crate::folder::Folder;
use crate::index::condition::comparison;
use crate::index::read::Readers;
use crate::index::schema::open_with_migrations;
use crate::{Error, Settings, Stop};

const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001_worklist.sql"), include_str!("migrations/0002_names.sql")];

/// Items read at once.
const PAGE: usize = 64;

/// Attributes of the worklist information model, PS3.4 K.6.
#[rustfmt::skip]
pub(crate) mod tags {
    use dicomet_proto::dataset::Tag;

    pub(crate) const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
    pub(crate) const ACCESSION_NUMBER: Tag = Tag(0x0008, 0x0050);
    pub(crate) const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
    pub(crate) const MODALITY: Tag = Tag(0x0008, 0x0060);
    pub(crate) const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
    pub(crate) const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
    pub(crate) const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
    pub(crate) const REQUESTED_PROCEDURE_DESCRIPTION: Tag = Tag(0x0032, 0x1060);
    pub(crate) const REQUESTED_PROCEDURE_CODE_SEQUENCE: Tag = Tag(0x0032, 0x1064);
    pub(crate) const SCHEDULED_STATION_AE_TITLE: Tag = Tag(0x0040, 0x0001);
    pub(crate) const SCHEDULED_PROCEDURE_STEP_START_DATE: Tag = Tag(0x0040, 0x0002);
    pub(crate) const SCHEDULED_PROCEDURE_STEP_START_TIME: Tag = Tag(0x0040, 0x0003);
    pub(crate) const SCHEDULED_PERFORMING_PHYSICIAN_NAME: Tag = Tag(0x0040, 0x0006);
    pub(crate) const SCHEDULED_PROCEDURE_STEP_DESCRIPTION: Tag = Tag(0x0040, 0x0007);
    pub(crate) const SCHEDULED_PROTOCOL_CODE_SEQUENCE: Tag = Tag(0x0040, 0x0008);
    pub(crate) const SCHEDULED_PROCEDURE_STEP_ID: Tag = Tag(0x0040, 0x0009);
    pub(crate) const SCHEDULED_PROCEDURE_STEP_SEQUENCE: Tag = Tag(0x0040, 0x0100);
    pub(crate) const REQUESTED_PROCEDURE_ID: Tag = Tag(0x0040, 0x1001);
}

/// A worklist. A clone is another handle of the same one; all calls block.
#[derive(Debug, Clone)]
pub struct Worklist {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: Mutex<Connection>,
    readers: Readers,
}

/// What became of items that were put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Added {
    /// Steps that were not there.
    pub new: u64,
    /// Steps that took the place of what was there under the same Study Instance UID and Scheduled Procedure Step
    /// ID.
    pub replaced: u64,
}

impl Worklist {
    /// Opens the worklist of an archive's folder. The archive may be served meanwhile.
    ///
    /// # Errors
    /// [`Error::NoArchive`], [`Error::NewerSchema`], [`Error::Busy`], [`Error::BesideIndex`], or a fault of the system.
    pub fn open(folder: &Path) -> Result<Worklist, Error> {
        Worklist::at(&Folder::worklist_in(folder)?, &Settings::default())
    }

    pub(crate) fn of_folder(folder: &Folder, settings: &Settings) -> Result<Worklist, Error> {
        Worklist::at(&folder.layout.worklist, settings)
    }

    fn at(path: &Path, settings: &Settings) -> Result<Worklist, Error> {
        let writer = Worklist::writer(path, settings).map_err(|error| error.beside_index(path))?;
        let readers = Readers::new(path.to_owned(), settings);
        Ok(Worklist { shared: Arc::new(Shared { writer: Mutex::new(writer), readers }) })
    }

    fn writer(path: &Path, settings: &Settings) -> Result<Connection, Error> {
        let mut writer = open_with_migrations(path, settings, MIGRATIONS)?;
        names::complete(&mut writer)?;
        Ok(writer)
    }

    /// Puts items in, all or none of them; when this returns, they are durable.
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Busy`] or a fault of the database.
    pub fn add(&self, items: &[WorklistItem]) -> Result<Added, Error> {
        self.shared.write(|index| {
            let mut added = Added::default();
            for item in items {
                if insert(index, item)? { added.replaced += 1 } else { added.new += 1 }
            }
            Ok(added)
        })
    }

    /// Takes out all items that a query finds, and says how many these were.
    ///
    /// # Errors
    /// As [`Worklist::find`], [`Error::NoRoom`], and [`Error::Busy`].
    pub fn remove(&self, query: &Query) -> Result<u64, Error> {
        self.remove_found(self.find(query)?)
    }

    /// Takes out what was found, a page at a time. Each item is looked at again in the transaction that takes it out: since it
    /// was found, another may have got its row number, or it may have been replaced by one that does not match.
    fn remove_found(&self, mut found: WorklistMatches) -> Result<u64, Error> {
        let mut removed = 0;
        while let Some(page) = found.next_page() {
            removed += self.shared.write(|index| {
                let matching = matching(index, &page, &found.keys)?;
                let mut statement = index.prepare_cached("DELETE FROM worklist_item WHERE id = ?1")?;
                for (row, _) in &matching {
                    statement.execute([row])?;
                }
                Ok(matching.len() as u64)
            })?;
        }
        Ok(removed)
    }

    /// The items that a query asks for, by the start of their steps.
    ///
    /// # Errors
    /// [`Error::Refused`] with A900 when the identifier is none of the worklist model, C000 for keys that mean
    /// nothing.
    pub fn find(&self, query: &Query) -> Result<WorklistMatches, Error> {
        let keys = query.matching_keys().map_err(Error::Refused)?;
        if query.model != Model::Worklist || keys.is_empty() {
            let refusal = Refusal::new(
                Status::DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
                "the identifier has no key of the worklist model",
            );
            return Err(Error::Refused(refusal));
        }
        let (condition, parameters) = condition(&keys);
        let sql = format!(
            "SELECT id
             FROM worklist_item
             WHERE {condition}
             ORDER BY start_date_search, start_time_search, id"
        );
        let rows: Vec<i64> = self.shared.read(&Stop::default(), |index| {
            let mut statement = index.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(parameters), |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        Ok(WorklistMatches {
            shared: Arc::clone(&self.shared),
            unsupported: MatchingKey::unsupported_among(&keys),
            keys,
            asked: query.keys.clone(),
            rows: rows.into_iter(),
            stop: Stop::default(),
            page: VecDeque::new(),
            whole: false,
        })
    }
}

impl Shared {
    /// Reads until there is a stop. An error says that it is of this database.
    fn read<T>(&self, stop: &Stop, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        self.readers.until(stop, read).map_err(|error| error.beside_index(self.readers.path()))
    }

    /// Writes in one transaction, all or nothing. An error says that it is of this database.
    fn write<T>(&self, write: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let in_transaction = || {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let written = write(&transaction)?;
            transaction.commit()?;
            Ok(written)
        };
        in_transaction().map_err(|error: Error| error.beside_index(self.readers.path()))
    }
}

/// Puts in one item; says whether one was there under its name. It gets the row number of that one: a search that goes on
/// meanwhile holds row numbers, and is to find what was there all the time.
fn insert(index: &Connection, item: &WorklistItem) -> Result<bool, Error> {
    let identity = params![
        item.column(tags::STUDY_INSTANCE_UID),
        item.column_of_step(tags::SCHEDULED_PROCEDURE_STEP_ID)
    ];
    let replaced: Option<i64> = index
        .prepare_cached(
            "DELETE FROM worklist_item
             WHERE study_instance_uid = ?1 AND scheduled_procedure_step_id = ?2
             RETURNING id",
        )?
        .query_row(identity, |row| row.get(0))
        .optional()?;
    index
        .prepare_cached(
            "INSERT INTO worklist_item (
                study_instance_uid, scheduled_procedure_step_id, patient_id, accession_number,
                requested_procedure_id, modality, start_date_search, start_time_search, item, has_names, id
             )
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10)",
        )?
        .execute(params![
            item.column(tags::STUDY_INSTANCE_UID),
            item.column_of_step(tags::SCHEDULED_PROCEDURE_STEP_ID),
            item.column(tags::PATIENT_ID),
            item.column(tags::ACCESSION_NUMBER),
            item.column(tags::REQUESTED_PROCEDURE_ID),
            item.column_of_step(tags::MODALITY),
            item.column_of_step(tags::SCHEDULED_PROCEDURE_STEP_START_DATE),
            item.column_of_step(tags::SCHEDULED_PROCEDURE_STEP_START_TIME),
            item.encoded(),
            replaced,
        ])?;
    let id = index.last_insert_rowid();
    let mut statement =
        index.prepare_cached("INSERT OR IGNORE INTO worklist_station (ae_title, item) VALUES (?1, ?2)")?;
    for station in item.stations() {
        statement.execute(params![station, id])?;
    }
    names::insert(index, id, item.data_set())?;
    Ok(replaced.is_some())
}

/// What the columns can say of a query: everything that matches is among what this finds.
fn condition(keys: &[MatchingKey]) -> (String, Vec<Value>) {
    let mut conditions = vec!["1".to_owned()];
    let mut parameters = Vec::new();
    for key in keys {
        match (&key.matching, key.tag()) {
            (Matching::Sequence(of_step), tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE) => {
                for key in of_step {
                    let place =
                        Place { column: column_of_step(key.tag()), name: names::number_of_step(key.tag()) };
                    conditions.extend(condition_of(key, place, &mut parameters));
                }
            }
            _ => {
                let place = Place { column: column(key.tag()), name: names::number(key.tag()) };
                conditions.extend(condition_of(key, place, &mut parameters));
            }
        }
    }
    (conditions.join(" AND "), parameters)
}

/// Where the value of an attribute stands outside of the item.
struct Place {
    column: Option<&'static str>,
    name: Option<i64>,
}

fn condition_of(key: &MatchingKey, place: Place, parameters: &mut Vec<Value>) -> Option<String> {
    if let Some(name) = place.name {
        return names::condition(name, &key.matching, parameters);
    }
    let column = place.column.filter(|_| !key.is_universal())?;
    let comparison = match &key.matching {
        Matching::Empty | Matching::AllOf(_) => return None,
        Matching::DateTime { range, .. } => {
            let day = |moment: &String| moment.get(..8).unwrap_or_default().to_owned();
            let days = Range { from: range.from.as_ref().map(day), to: range.to.as_ref().map(day) };
            comparison(column, key.vr, &Matching::Range(days), parameters)
        }
        matching => comparison(column, key.vr, matching, parameters),
    };
    Some(match column {
        "ae_title" => format!("id IN (SELECT item FROM worklist_station WHERE {comparison})"),
        _ => comparison,
    })
}

fn column(tag: Tag) -> Option<&'static str> {
    match tag {
        tags::PATIENT_ID => Some("patient_id"),
        tags::ACCESSION_NUMBER => Some("accession_number"),
        tags::STUDY_INSTANCE_UID => Some("study_instance_uid"),
        tags::REQUESTED_PROCEDURE_ID => Some("requested_procedure_id"),
        _ => None,
    }
}

fn column_of_step(tag: Tag) -> Option<&'static str> {
    match tag {
        tags::SCHEDULED_STATION_AE_TITLE => Some("ae_title"),
        tags::SCHEDULED_PROCEDURE_STEP_START_DATE => Some("start_date_search"),
        tags::SCHEDULED_PROCEDURE_STEP_START_TIME => Some("start_time_search"),
        tags::MODALITY => Some("modality"),
        tags::SCHEDULED_PROCEDURE_STEP_ID => Some("scheduled_procedure_step_id"),
        _ => None,
    }
}

/// The matches of a worklist query: an iterator of the identifiers of C-FIND responses, each with one scheduled
/// procedure step. Holds 8 bytes for each item that the columns let through, and one page of items.
#[derive(Debug)]
pub struct WorklistMatches {
    shared: Arc<Shared>,
    keys: Vec<MatchingKey>,
    asked: DataSet,
    unsupported: Vec<Tag>,
    rows: std::vec::IntoIter<i64>,
    stop: Stop,
    page: VecDeque<DataSet>,
    whole: bool,
}

impl WorklistMatches {
    /// The status of each match: Pending, or Pending with the warning that keys are not supported.
    pub fn status(&self) -> Status {
        if self.unsupported.is_empty() { Status::PENDING } else { Status::PENDING_UNSUPPORTED_KEYS }
    }

    /// The same matches, which end with [`Error::Stopped`] once there is a stop.
    #[must_use]
    pub fn until(self, stop: &Stop) -> WorklistMatches {
        WorklistMatches { stop: stop.clone(), ..self }
    }

    /// The next row numbers; `None` at the end.
    fn next_page(&mut self) -> Option<Vec<i64>> {
        let page: Vec<i64> = self.rows.by_ref().take(PAGE).collect();
        Some(page).filter(|page| !page.is_empty())
    }

    /// The next items that match, perhaps none of this page; `None` at the end.
    fn next_matching(&mut self) -> Result<Option<Vec<DataSet>>, Error> {
        let Some(page) = self.next_page() else { return Ok(None) };
        let matching = self.shared.read(&self.stop, |index| matching(index, &page, &self.keys))?;
        Ok(Some(matching.into_iter().map(|(_, item)| item).collect()))
    }

    /// The items themselves, with all that they say.
    pub fn whole(self) -> impl Iterator<Item = Result<DataSet, Error>> {
        let mut asked = self;
        asked.whole = true;
        asked
    }
}

/// The items in these rows that match the keys as they are now, with their row numbers.
fn matching(index: &Connection, rows: &[i64], keys: &[MatchingKey]) -> Result<Vec<(i64, DataSet)>, Error> {
    let mut statement = index.prepare_cached("SELECT item FROM worklist_item WHERE id = ?1")?;
    let mut matching = Vec::new();
    for &row in rows {
        // Removed since: then it is no match any more.
        let encoded: Option<Vec<u8>> = statement.query_row([row], |row| row.get(0)).optional()?;
        let item = encoded.and_then(|item| DataSet::parse(&item, &EXPLICIT_VR_LITTLE_ENDIAN).ok());
        let found = item.filter(|item| keys.iter().all(|key| key.matches(item)));
        matching.extend(found.map(|item| (row, item)));
    }
    Ok(matching)
}

impl Iterator for WorklistMatches {
    type Item = Result<DataSet, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(answer) = self.page.pop_front() {
                return Some(Ok(answer));
            }
            match self.next_matching() {
                Ok(Some(matching)) => {
                    let (asked, keys) = (&self.asked, &self.keys);
                    self.page.extend(matching.into_iter().map(|item| match self.whole {
                        true => item,
                        false => answer(&item, asked, keys),
                    }));
                }
                Ok(None) => return None,
                Err(error) => {
                    self.rows = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// What an answer says of an item: the requested attributes, those that it lacks empty; of a sequence, the
/// matching items with what was requested in them (PS3.4 C.2.2.2.6).
///
/// It is written in the character sets of the item, which the modality's site has chosen.
fn answer(item: &DataSet, asked: &DataSet, keys: &[MatchingKey]) -> DataSet {
    let mut answer = requested(item, asked, keys);
    answer.copy(tags::SPECIFIC_CHARACTER_SET, item);
    answer
}

/// Calls itself for sequences in sequences, of which a query has a limited number.
fn requested(item: &DataSet, asked: &DataSet, keys: &[MatchingKey]) -> DataSet {
    let mut answer = DataSet::new();
    for key in keys {
        let wanted = asked.items(key.tag()).unwrap_or_default();
        let items = key.attribute.tag_in(item).and_then(|tag| item.items(tag));
        match (wanted.first(), items) {
            (Some(wanted), Some(items)) if !wanted.is_empty() => {
                let within = match &key.matching {
                    Matching::Sequence(within) => within.clone(),
                    _ => keys_of(wanted),
                };
                let matching = items.iter().filter(|item| within.iter().all(|key| key.matches(item)));
                let items = matching.map(|item| requested(item, wanted, &within)).collect();
                answer.set_items(key.tag(), items);
                key.attribute.answer_creator(&mut answer);
            }
            _ => key.attribute.answer(item, &mut answer),
        }
    }
    answer
}

/// The keys in the item of a sequence that asks for values alone. They were understood before.
fn keys_of(item: &DataSet) -> Vec<MatchingKey> {
    let mut query = Query::new(Model::Worklist, Level::Study);
    query.keys = item.clone();
    query.matching_keys().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::names::tests::{item, query};

    #[test]
    fn what_does_not_match_any_more_when_it_is_its_turn_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let archive = crate::Archive::open(folder.path(), crate::Settings::default()).unwrap();
        let worklist = archive.worklist();
        worklist
            .add(&[item(1, "Bowen^William"), item(2, "Bowen^William"), item(3, "Bowen^William")])
            .unwrap();
        let found = worklist.find(&query(&["PatientName=Bowen*".to_owned()])).unwrap();
        // One is another patient's now, and another has the row number of one that is gone.
        worklist.add(&[item(1, "Other")]).unwrap();
        worklist.remove(&query(&["StudyInstanceUID=2.999.3".to_owned()])).unwrap();
        worklist.add(&[item(4, "Other")]).unwrap();
        assert_eq!(worklist.remove_found(found).unwrap(), 1);
        let left = worklist.find(&query(&["PatientName=Other".to_owned()])).unwrap();
        assert_eq!(left.count(), 2);
    }
}
