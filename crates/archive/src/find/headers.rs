//! What the stored headers say of a row, for what has no column.

use dicomet_proto::dataset::DataSet;
use dicomet_proto::query::{Attribute, Level};
use rusqlite::Connection;

use crate::Error;
use crate::index::attributes::{level_of, tags};
use crate::index::{header, regions};

/// Stored headers, those of a series read once for all its instances that follow one another.
pub(super) struct Headers<'a> {
    index: &'a Connection,
    level: Level,
    series: Option<(i64, DataSet)>,
}

impl<'a> Headers<'a> {
    pub(super) fn new(index: &'a Connection, level: Level) -> Headers<'a> {
        Headers { index, level, series: None }
    }

    /// The wanted elements of a row of the query's level, and of the levels above it.
    pub(super) fn read(&mut self, id: i64, wanted: &[Attribute]) -> Result<DataSet, Error> {
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
