//! What the stored headers say of a row, for what has no column, and the files, for what is too long to be kept there.

use dicomet_proto::Uid;
use dicomet_proto::dataset::scan::pick;
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::query::{Attribute, Level};
use rusqlite::{Connection, OptionalExtension};

use crate::Error;
use crate::blob::Blobs;
use crate::index::attributes::{level_of, tags};
use crate::index::header::Read;
use crate::index::regions;
use crate::plan::{Location, location};
use crate::store::malformed;

/// Stored headers, those of a series read once for all its instances that follow one another.
pub(super) struct Headers<'a> {
    index: &'a Connection,
    blobs: &'a Blobs,
    level: Level,
    series: Option<(i64, Read)>,
}

impl<'a> Headers<'a> {
    pub(super) fn new(index: &'a Connection, blobs: &'a Blobs, level: Level) -> Headers<'a> {
        Headers { index, blobs, level, series: None }
    }

    /// The wanted elements of a row of the query's level, and of the levels above it. What is said to be in the file
    /// afterwards could not be read from it.
    pub(super) fn read(&mut self, id: i64, wanted: &[Attribute]) -> Result<Read, Error> {
        let mut header = match self.level {
            Level::Patient => {
                let mut header = Read::default();
                self.add(&mut header, "SELECT header FROM patient_header WHERE patient = ?1", id, wanted)?;
                header
            }
            Level::Study => {
                let mut header = Read::default();
                self.add(&mut header, "SELECT header FROM study_header WHERE study = ?1", id, wanted)?;
                self.add_regions(&mut header, id, wanted)?;
                header
            }
            Level::Series => self.of_series(id, wanted)?,
            Level::Image => self.of_instance(id, wanted)?,
        };
        if !header.in_file.is_empty() {
            self.add_from_file(&mut header, id)?;
        }
        Ok(header)
    }

    fn of_series(&self, series: i64, wanted: &[Attribute]) -> Result<Read, Error> {
        let mut header = Read::default();
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

    fn of_instance(&mut self, instance: i64, wanted: &[Attribute]) -> Result<Read, Error> {
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

    fn add_regions(&self, header: &mut Read, study: i64, wanted: &[Attribute]) -> Result<(), Error> {
        if wanted.iter().any(|attribute| attribute.tag == tags::ANATOMIC_REGIONS_IN_STUDY) {
            regions::gather(self.index, study, &mut header.data_set)?;
        }
        Ok(())
    }

    fn add(&self, header: &mut Read, sql: &str, id: i64, wanted: &[Attribute]) -> Result<(), Error> {
        let mut statement = self.index.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        if let Some(row) = rows.next()? {
            header.add(row.get_ref(0)?.as_blob().unwrap_or_default(), wanted);
        }
        Ok(())
    }

    /// Reads what the header leaves to the file: of the instance or of the first that is there of series, study or
    /// patient, whose values count (see `index/write.rs`). A file that is gone or damaged keeps nobody from his answer.
    fn add_from_file(&self, header: &mut Read, id: i64) -> Result<(), Error> {
        let Some(last) = header.in_file.iter().copied().max() else { return Ok(()) };
        let from = match self.level {
            Level::Image => "instance WHERE instance.id = ?1",
            Level::Series => "instance WHERE instance.series = ?1 ORDER BY instance.id LIMIT 1",
            Level::Study => {
                "instance JOIN series ON series.id = instance.series
                 WHERE series.study = ?1 ORDER BY instance.id LIMIT 1"
            }
            Level::Patient => {
                "instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study
                 WHERE study.patient = ?1 ORDER BY instance.id LIMIT 1"
            }
        };
        let sql = format!(
            "SELECT instance.blob, instance.data_set_offset, instance.data_set_length, instance.data_set_digest,
                 instance.transfer_syntax_uid
             FROM {from}"
        );
        let mut statement = self.index.prepare_cached(&sql)?;
        let found = statement.query_row([id], |row| Ok((location(row, 0)?, row.get::<_, String>(4)?)));
        let Some((location, syntax)) = found.optional()? else { return Ok(()) };
        match picked(location, self.blobs, &syntax, &header.in_file, last) {
            Ok(picked) => {
                for tag in std::mem::take(&mut header.in_file) {
                    header.data_set.copy(tag, &picked);
                }
            }
            // What it says names no value.
            Err(error) => tracing::warn!(%error, "a file cannot be read for a key"),
        }
        Ok(())
    }
}

fn picked(
    location: Location,
    blobs: &Blobs,
    transfer_syntax: &str,
    wanted: &[Tag],
    last: Tag,
) -> Result<DataSet, Error> {
    let transfer_syntax =
        Uid::new(transfer_syntax).map_err(|_| Error::Index("a UID in the index is none".to_owned()))?;
    let picked = pick(location.open(blobs)?, &transfer_syntax, |tag| wanted.contains(&tag), last);
    picked.map_err(|error| Error::Refused(malformed(&error)))
}
